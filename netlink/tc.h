/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tc: the few traffic-control objects the punt path needs on its TAP.
 *
 * Callers: run/punt, control thread.  Each call opens its own socket, asks, waits for the answer.
 * Owner:   the kernel; everything goes with the TAP.
 * Returns: 0 or -errno as the kernel answered.
 */
#ifndef SHUNT_NETLINK_TC_H
#define SHUNT_NETLINK_TC_H

#include <stdint.h>

/* Put a clsact qdisc on an interface. */
int tc_clsact_add(uint32_t ifindex);
/* On `tap`'s ingress, priority `prio` (>= 1): classifier `prog_fd`; a match is handed to `target`'s
 * ingress (mirred). Replaces a filter of the same priority. */
int tc_punt_filter_set(uint32_t tap, uint16_t prio, int prog_fd, uint32_t target);
int tc_punt_filter_delete(uint32_t tap, uint16_t prio);

#endif
