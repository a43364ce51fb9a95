/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nexthop: where routes lead, each distinct set of hops stored once.
 *
 * What:    immutable sets of hops, interned by content; a FIB entry holds the small index.
 * Callers: table/rib (writer); switch/path reads.
 * Thread:  one writer (control); readers under RCU.
 * Owner:   counted references of the writer; freed a grace period after the last is put.
 * Full:    -ENOSPC when the index space (2^22) is used up, -ENOMEM.
 * Refuses: more than NEXTHOP_HOPS_MAX hops (-E2BIG): the rib then makes the route `kernel`.
 */
#ifndef SHUNT_TABLE_NEXTHOP_H
#define SHUNT_TABLE_NEXTHOP_H

#include <stddef.h>

#include "table/addr.h"

#define NEXTHOP_HOPS_MAX 64u

enum nexthop_action {
	NEXTHOP_KERNEL,  /* frames for this destination are the kernel's */
	NEXTHOP_FORWARD, /* hops[] says where to */
	NEXTHOP_LOCAL,   /* an address of this machine (local table: local, broadcast, anycast) */
};

struct hop {
	uint32_t ifindex;
	uint8_t via_family; /* enum ip_family of `via`; meaningful when has_via */
	uint8_t has_via;    /* 0: the destination itself is the neighbour (on link) */
	uint16_t weight;    /* 1..256 (rtnh_hops + 1) */
	struct ip_addr via;
};

struct nexthop {
	uint8_t action;        /* enum nexthop_action */
	uint8_t count;         /* hops; 0 unless FORWARD */
	uint16_t weight_total; /* sum of weights */
	struct hop hop[];
};

/* The part that readers use; the rest is nexthop.c's.  set[0] is always NULL. */
struct nexthops {
	const struct nexthop *const *set; /* by index; does not move */
};

int nexthops_create(struct nexthops **out);
void nexthops_destroy(struct nexthops *nexthops);
/* Find or add; takes a reference.  Hops must be zero-padded values (compared by memcmp); they are
 * looked at for FORWARD only, which needs one at least (-EINVAL).  Returns an index >= 1, or
 * -errno. */
int nexthops_get(struct nexthops *nexthops, enum nexthop_action action, const struct hop *hops,
		 unsigned count);
/* Take another reference to a set one is held of already. */
void nexthops_ref(struct nexthops *nexthops, uint32_t index);
void nexthops_put(struct nexthops *nexthops, uint32_t index);
size_t nexthops_count(const struct nexthops *nexthops);  /* sets that are referred to */
size_t nexthops_memory(const struct nexthops *nexthops); /* bytes */
/* Reader (or writer): never NULL for an index a FIB holds. O(1). */
static inline const struct nexthop *nexthops_at(const struct nexthops *nexthops, uint32_t index)
{
	return __atomic_load_n(&nexthops->set[index], __ATOMIC_ACQUIRE);
}

#endif
