/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lookup: where a packet is routed to, and whether its source may have come in here.
 *
 * What:    policy rules, routing tables, the choice among several hops, and the kernel's
 *          fib_validate_source().
 * Callers: path/route, for packets of which nothing is remembered.
 * Thread:  a worker, under RCU.
 * Refuses: what only the kernel can tell is punted.
 */
#ifndef SHUNT_PATH_LOOKUP_H
#define SHUNT_PATH_LOOKUP_H

#include "path/forward.h"

/* A packet being routed: what both families need to find its way out. */
struct packet {
	enum ip_family family;
	const uint8_t *ip;        /* its header, in the frame */
	const uint8_t *src, *dst; /* in the header */
	unsigned addr_size;       /* bytes */
	unsigned size;            /* IP packet, header included, bytes */
};

struct lookup {
	const struct hop *hop;
	unsigned mtu; /* the route's own, bytes; UINT_MAX none */
	/* Every packet from this source to this destination that comes in here goes this way. */
	bool by_addresses;
};

/* TX: `*found` was filled, and its slot is not known yet. */
struct verdict lookup_route(const struct path *path, const struct topo_if *in,
			    const struct packet *packet, struct lookup *found);
/*
 * Reverse path (RFC 3704; kernel fib_validate_source()): may the source come in by `in`, when the
 * packet leaves by the interface `out`?  False when the kernel would drop it, or when only the
 * kernel can tell.
 */
bool lookup_source(const struct path *path, const struct topo_if *in, uint32_t out,
		   const struct packet *packet);

#endif
