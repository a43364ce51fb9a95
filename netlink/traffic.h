/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traffic: traffic control on the interfaces that matter: qdiscs that shape or police, filters.
 *
 * What:    a qdisc that only orders what waits is no obstacle: frames of the fast path never wait
 *          in one.  A clsact or ingress qdisc is none without a filter.
 * Callers: netlink/guard.
 * Thread:  control.
 * Owner:   its sockets.
 * Full:    more qdiscs that could have filters than TRAFFIC_FILTERED: each further one is taken to
 *          have some.
 * Refuses: to be sure of what it cannot read: an error is a finding on every interface.
 */
#ifndef SHUNT_NETLINK_TRAFFIC_H
#define SHUNT_NETLINK_TRAFFIC_H

#include <stdbool.h>

#include "netlink/guard.h"

#define TRAFFIC_FILTERED 256u

struct traffic;

int traffic_open(struct traffic **out);
void traffic_close(struct traffic *traffic);
/* Readable when an interface, or a qdisc or filter of one, changed: then traffic_changed(). */
int traffic_fd(const struct traffic *traffic);
/* Take the notifications. True: there were some. */
bool traffic_changed(struct traffic *traffic);
/* A reason ("" none) for each of `count` interfaces.  0; -errno: not all could be read, try
 * again. */
int traffic_look(struct traffic *traffic, const struct guard_device *devices, unsigned count,
		 char (*reasons)[GUARD_REASON]);

#endif
