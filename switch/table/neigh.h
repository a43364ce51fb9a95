/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * neigh: the kernel's neighbours (ARP and ND) that a frame can be sent to.
 *
 * What:    (interface, address) -> MAC, with the kernel's NUD state.
 * Callers: netlink/mirror writes; switch/path reads and marks as used; shunt neigh lists.
 * Thread, ownership, resync: as fdb.h.
 * Full:    -ENOSPC at the limit: the neighbour is unknown here and its frames go to the kernel.
 */
#ifndef SHUNT_TABLE_NEIGH_H
#define SHUNT_TABLE_NEIGH_H

#include <stddef.h>

#include "table/addr.h"

struct neigh_key {
	uint32_t ifindex;
	uint32_t family; /* enum ip_family */
	struct ip_addr addr;
};

struct neigh_entry {
	struct neigh_key key;
	struct mac lladdr;
	uint16_t nud;    /* NUD_* of linux/neighbour.h */
	bool usable;     /* has a lladdr and NUD is one of REACHABLE, STALE, DELAY, PROBE, NOARP,
			  * PERMANENT */
	uint32_t used_s; /* coarse seconds of last use as a next hop, as fdb_entry.used_s */
};

struct neigh;

int neigh_create(struct neigh **out, size_t limit);
void neigh_destroy(struct neigh *neigh);
/* lladdr may be NULL (INCOMPLETE, FAILED).  `used_s` of a replaced entry is carried over. */
int neigh_set(struct neigh *neigh, const struct neigh_key *key, const struct mac *lladdr,
	      uint16_t nud);
int neigh_delete(struct neigh *neigh, const struct neigh_key *key);
void neigh_resync_begin(struct neigh *neigh);
bool neigh_resync_sweep(struct neigh *neigh, size_t *cursor, size_t budget);
size_t neigh_count(const struct neigh *neigh);
bool neigh_full(const struct neigh *neigh); /* at its limit */
/* There are some that did not fit when they came, or at the last resync. */
bool neigh_partial(const struct neigh *neigh);
/* Changes when an entry comes, goes or is replaced. Any thread. */
uint64_t neigh_version(const struct neigh *neigh);
void neigh_each(struct neigh *neigh, void (*fn)(const struct neigh_entry *entry, void *arg),
		void *arg);
bool neigh_walk(struct neigh *neigh, size_t *cursor, size_t budget,
		void (*fn)(const struct neigh_entry *entry, void *arg), void *arg);

const struct neigh_entry *neigh_find(const struct neigh *neigh, const struct neigh_key *key);
static inline void neigh_touch(const struct neigh_entry *entry, uint32_t now_s)
{
	uint32_t *used_s = (uint32_t *)&entry->used_s;

	if (__atomic_load_n(used_s, __ATOMIC_RELAXED) != now_s) {
		__atomic_store_n(used_s, now_s, __ATOMIC_RELAXED);
	}
}

#endif
