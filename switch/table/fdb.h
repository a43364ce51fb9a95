/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fdb: the kernel bridges' forwarding databases, as the kernel told them.
 *
 * What:    (bridge, vlan, MAC) -> interface.  One table for all bridges.
 * Callers: netlink/mirror writes; switch/path reads and marks as used; shunt fdb lists.
 * Thread:  one writer (control); readers under RCU.  Only `used` is written by readers.
 * Owner:   the table owns its entries; a removed one is freed after a grace period.
 * Full:    at `limit` entries fdb_set() returns -ENOSPC and the MAC stays unknown here; until a
 *          resync found room for all, fdb_partial() says so, and what is unknown is the kernel's:
 *          slower, never wrong.
 * Refuses: nothing; the mirror has decoded and checked.
 */
#ifndef SHUNT_TABLE_FDB_H
#define SHUNT_TABLE_FDB_H

#include <stddef.h>

#include "table/addr.h"

enum fdb_state {
	FDB_DYNAMIC,
	FDB_STATIC,
	FDB_LOCAL,
	FDB_STICKY, /* stays where it is, whatever port frames from it come in by */
	FDB_LOCKED, /* seen on a locked port, which does not let it in: only a destination */
};

struct fdb_key {
	uint32_t bridge; /* ifindex of the bridge */
	uint16_t vlan;   /* 0 on a bridge that does not filter VLANs */
	struct mac mac;
};

/* What a reader sees.  Immutable but for `used_s`: a change replaces the entry. */
struct fdb_entry {
	struct fdb_key key;
	uint32_t ifindex; /* member the MAC is behind; the bridge itself for its own */
	int16_t slot;     /* its port slot, or TOPO_NONE */
	uint8_t state;    /* enum fdb_state */
	uint32_t used_s;  /* coarse seconds when last seen as a source; atomic, racy by design */
};

struct fdb;

int fdb_create(struct fdb **out, size_t limit);
void fdb_destroy(struct fdb *fdb); /* no reader may be left */

/* Writer.  0, -ENOMEM, -ENOSPC.  Insert or replace; remembers the current generation. */
int fdb_set(struct fdb *fdb, const struct fdb_key *key, uint32_t ifindex, int16_t slot,
	    enum fdb_state state);
/* 0 or -ENOENT. */
int fdb_delete(struct fdb *fdb, const struct fdb_key *key);
/* Mark and sweep for a resync: begin starts a generation, sweep removes what was not set since, in
 * parts: from `*cursor` on (0 at first), some `budget` entries.  True: there is more. */
void fdb_resync_begin(struct fdb *fdb);
bool fdb_resync_sweep(struct fdb *fdb, size_t *cursor, size_t budget);
size_t fdb_count(const struct fdb *fdb);
bool fdb_full(const struct fdb *fdb); /* at its limit */
/* Changes when an entry comes, goes or is replaced. Any thread. */
uint64_t fdb_version(const struct fdb *fdb);
/* Writer thread; fn may not change the table except fdb_delete() of the entry it was given. */
void fdb_each(struct fdb *fdb, void (*fn)(const struct fdb_entry *entry, void *arg), void *arg);
/* The same in parts, as the sweep: what comes between two parts may be missed or seen twice. */
bool fdb_walk(struct fdb *fdb, size_t *cursor, size_t budget,
	      void (*fn)(const struct fdb_entry *entry, void *arg), void *arg);

/* Reader: valid until the reader's next quiescent state. */
const struct fdb_entry *fdb_find(const struct fdb *fdb, const struct fdb_key *key);
/* Reader: there are MACs that did not fit, so a MAC that is not found may be known to the
 * kernel. */
bool fdb_partial(const struct fdb *fdb);
/* The same for who has the key in registers: `mac` as addr.h's mac_word() gives it. */
const struct fdb_entry *fdb_find_word(const struct fdb *fdb, uint32_t bridge, uint16_t vlan,
				      uint64_t mac);
/* Reader: note that the entry was seen as a source; stores only when the second changed. */
static inline void fdb_touch(const struct fdb_entry *entry, uint32_t now_s)
{
	uint32_t *used_s = (uint32_t *)&entry->used_s;

	if (__atomic_load_n(used_s, __ATOMIC_RELAXED) != now_s) {
		__atomic_store_n(used_s, now_s, __ATOMIC_RELAXED);
	}
}

#endif
