/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mdb: who listens to which multicast group on which bridge.
 *
 * What:    (bridge, VLAN, group, source) -> the members that get its frames: those that joined, and
 *          the ports towards routers.  A group is in it only while the kernel would deliver by it:
 *          snooping is on and a querier is known.  What is not in it is the kernel's.
 * Callers: netlink/mirror writes, from the kernel's MDB; switch/path reads.
 * Thread:  one writer (control); readers under RCU.
 * Owner:   the table owns its entries; a removed one is freed after a grace period.
 * Full:    at MDB_LIMIT entries mdb_set() returns -ENOSPC: the group is the kernel's.
 * Refuses: more than TOPO_MEMBERS_MAX members (-E2BIG): the caller deletes the group.
 */
#ifndef SHUNT_TABLE_MDB_H
#define SHUNT_TABLE_MDB_H

#include "table/topo.h"

#define MDB_LIMIT 65536u   /* entries; the kernel takes 4096 a bridge by default (mcast_hash_max) */
#define MDB_L2 IP_FAMILIES /* family of a group that is a MAC, in the address's first six bytes */

struct mdb_key {
	uint32_t bridge; /* ifindex */
	uint16_t vlan;   /* 0 on a bridge that does not filter VLANs */
	uint16_t family; /* enum ip_family, or MDB_L2 */
	struct ip_addr group;
	struct ip_addr source; /* zero: any.  One with a source comes before the one for any. */
};

/* What a reader sees.  Immutable: a change replaces the entry.  Members by ifindex, since their
 * numbers are good for one topo only. */
struct mdb_entry {
	struct mdb_key key;
	bool kernel; /* it listens itself, or is not sure what to do with some member: all its */
	uint8_t count;
	uint32_t ifindex[];
};

struct mdb;

int mdb_create(struct mdb **out);
void mdb_destroy(struct mdb *mdb); /* no reader may be left */

/* Writer.  0, -ENOMEM, -ENOSPC, -E2BIG.  Insert or replace; remembers the current generation. */
int mdb_set(struct mdb *mdb, const struct mdb_key *key, const uint32_t *ifindex, unsigned count,
	    bool kernel);
/* 0 or -ENOENT. */
int mdb_delete(struct mdb *mdb, const struct mdb_key *key);
/* Mark and sweep: begin starts a generation, sweep removes what was not set since, telling `gone`
 * (may be NULL) of each. */
void mdb_resync_begin(struct mdb *mdb);
void mdb_resync_sweep(struct mdb *mdb, void (*gone)(const struct mdb_entry *entry, void *arg),
		      void *arg);
size_t mdb_count(const struct mdb *mdb);
/* Writer; fn may change nothing. */
void mdb_each(struct mdb *mdb, void (*fn)(const struct mdb_entry *entry, void *arg), void *arg);

/* Reader, or writer: valid until the reader's next quiescent state. */
const struct mdb_entry *mdb_find(const struct mdb *mdb, const struct mdb_key *key);

#endif
