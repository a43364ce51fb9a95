/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * multipath: which of several hops a packet takes, as the kernel would choose.
 *
 * What:    the kernel's hash (fib_multipath_hash(), rt6_multipath_hash()) over what its policy
 *          names, and the choice by it among a set's hops.  With net.ipv4.fib_multipath_hash_seed
 *          set the hash is the kernel's; otherwise the same over the same fields with a seed of
 *          ours, since the kernel's cannot be read.
 * Callers: path/lookup.
 * Thread:  any; pure.
 * Refuses: what it cannot look into as the kernel does (an inner header that is cut off or not IP):
 *          the packet is the kernel's.
 */
#ifndef SHUNT_PATH_MULTIPATH_H
#define SHUNT_PATH_MULTIPATH_H

#include "path/frame.h"
#include "table/neigh.h"
#include "table/rules.h"

/* `ip` is a packet of `size` bytes whose header was found right. False: only the kernel can tell;
 * else *hash has 31 bits. */
bool multipath_hash(const struct multipath *conf, enum ip_family family, const uint8_t *ip,
		    unsigned size, uint32_t *hash);

/* The hop of a set with several that the hash leads to. */
const struct hop *multipath_hop(const struct nexthop *set, const struct neigh *neigh,
				uint32_t hash);

/* An ICMP error is hashed by the packet it is about. */
static inline bool multipath_is_error4(const struct ipv4 *ip, unsigned size)
{
	static const uint32_t errors = 1u << 3 | 1u << 4 | 1u << 5 | 1u << 11 | 1u << 12;
	unsigned type;

	if (__builtin_expect(ip->proto != PROTO_ICMP || size < IPV4_SIZE + 8, 1)) {
		return false;
	}
	type = ((const uint8_t *)ip)[IPV4_SIZE];
	return type < 32 && errors >> type & 1;
}

#endif
