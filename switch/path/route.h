/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * route: a frame for the router's own MAC whose IP destination is somewhere else (RFC 1812 5.2;
 * kernel ip_route_input_slow(), ip_forward(), ip6_forward()).
 *
 * `in` is the interface the kernel would route from: the port, or the bridge it is a member of.
 * The frame is rewritten only when the verdict is TX: the kernel gets a punted frame as it arrived.
 */
#ifndef SHUNT_PATH_ROUTE_H
#define SHUNT_PATH_ROUTE_H

#include "path/forward.h"

struct verdict route(struct path *path, const struct topo_if *in, struct xsk_frame *frame);

#endif
