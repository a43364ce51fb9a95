/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nexthop: where routes lead, each distinct set of hops stored once.
 *
 * What:    sets of hops, interned by content, and next-hop objects, known by their id; a FIB entry
 *          holds the small index.  What an index stands for is swapped in place when an object
 *          changes, or when a device that hops leave by goes down: a million routes follow at once.
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
	NEXTHOP_THROW,   /* as if the table had no route: the next policy rule decides */
};

struct hop {
	uint32_t ifindex;
	uint8_t via_family; /* enum ip_family of `via`; meaningful when has_via */
	uint8_t has_via;    /* 0: the destination itself is the neighbour (on link) */
	uint16_t weight;    /* 1..65535 (rtnh_hops + 1) */
	struct ip_addr via;
};

/* A hop is not chosen by hash: fib_rebalance() gives a dead one a bound of -1. */
#define NEXTHOP_NO_BOUND UINT32_MAX

struct nexthop {
	uint8_t action; /* enum nexthop_action */
	uint8_t count;  /* hops; 0 unless FORWARD, or LOCAL: 1, the interface whose address it is */
	/* A group of next-hop objects: hops whose neighbour has failed are passed over
	 * (nexthop_is_good_nh()). */
	bool object;
	uint8_t pad;
	uint32_t mtu;          /* of the route, bytes; 0 none: that of the interface */
	uint32_t weight_total; /* sum of weights */
	uint32_t bucket_count; /* of a resilient group; 0: hash threshold */
	/* Behind the hops: for each its upper bound (31 bits), then the hop number of each
	 * bucket. */
	struct hop hop[];
};

/* What a set is made of.  Hops must be zero-padded values (compared by memcmp). */
struct nexthop_spec {
	uint8_t action; /* FORWARD needs a hop at least (-EINVAL), LOCAL keeps one, others none */
	uint8_t family; /* enum ip_family of the routes: a device may be dead for one of them */
	uint8_t count;
	uint32_t mtu;
	const struct hop *hops;
	/* Of objects only. */
	const uint8_t *buckets;
	uint32_t bucket_count;
};

/* The part that readers use; the rest is nexthop.c's.  set[0] is always NULL. */
struct nexthops {
	const struct nexthop *const *set; /* by index; does not move */
};

int nexthops_create(struct nexthops **out);
void nexthops_destroy(struct nexthops *nexthops);
/* Find or add; takes a reference.  Returns an index >= 1, or -errno. */
int nexthops_get(struct nexthops *nexthops, const struct nexthop_spec *spec);
/* The index of an object, with a reference; NEXTHOP_KERNEL until its content is told. */
int nexthops_object(struct nexthops *nexthops, uint32_t id);
/* Tell its content; the object lives from here to nexthops_object_delete() at least.  0 or -errno:
 * then it is NEXTHOP_KERNEL. */
int nexthops_object_set(struct nexthops *nexthops, uint32_t id, const struct nexthop_spec *spec);
/* It is NEXTHOP_KERNEL again for who refers to it.  Returns its index, 0 when nobody does. */
uint32_t nexthops_object_delete(struct nexthops *nexthops, uint32_t id);
/* Hops of the family's sets (not of objects) by this device are dead, or alive again.  False: out
 * of memory, sets that lead there are NEXTHOP_KERNEL or still as they were. */
bool nexthops_device(struct nexthops *nexthops, enum ip_family family, uint32_t ifindex, bool dead);
/* Does any set lead by the device? */
bool nexthops_use(const struct nexthops *nexthops, uint32_t ifindex);
/* Take another reference to a set one is held of already. */
void nexthops_ref(struct nexthops *nexthops, uint32_t index);
void nexthops_put(struct nexthops *nexthops, uint32_t index);
size_t nexthops_count(const struct nexthops *nexthops);  /* sets that are referred to */
size_t nexthops_memory(const struct nexthops *nexthops); /* bytes */
/* Counts the changes in place. */
uint64_t nexthops_version(const struct nexthops *nexthops);
/* Writer: as it was given, dead hops included. */
const struct nexthop *nexthops_full(const struct nexthops *nexthops, uint32_t index);

/* Reader (or writer): never NULL for an index a FIB holds. O(1). */
static inline const struct nexthop *nexthops_at(const struct nexthops *nexthops, uint32_t index)
{
	return __atomic_load_n(&nexthops->set[index], __ATOMIC_ACQUIRE);
}

static inline const uint32_t *nexthop_bounds(const struct nexthop *set)
{
	return (const uint32_t *)&set->hop[set->count];
}

static inline const uint8_t *nexthop_buckets(const struct nexthop *set)
{
	return (const uint8_t *)(nexthop_bounds(set) + set->count);
}

#endif
