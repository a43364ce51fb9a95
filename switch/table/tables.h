/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tables: everything the mirror writes and the workers read, in one place.
 *
 * Built once by shuntd, filled by netlink/mirror (the only writer), read by switch/path under
 * liburcu QSBR (urcu-qsbr): a worker quiesces once a burst and is offline while it sleeps.  Memory
 * is reclaimed by call_rcu(), so the writer never waits for a reader.
 *
 * The writer must be registered with liburcu-qsbr (rcu_register_thread()) and online whenever it
 * calls in here, and offline while it sleeps, or nothing is ever reclaimed.  call_rcu() starts a
 * thread at its first use, which inherits the signal mask: block the signals of the event loop
 * before.  The destroy functions may wait for a grace period (rcu_barrier()): take readers offline
 * first.
 */
#ifndef SHUNT_TABLE_TABLES_H
#define SHUNT_TABLE_TABLES_H

#include "table/fdb.h"
#include "table/mdb.h"
#include "table/neigh.h"
#include "table/rib.h"
#include "table/topo.h"

struct tables {
	struct topo *topo; /* tables_topo(); never NULL, empty at first */
	struct fdb *fdb;
	struct mdb *mdb;
	struct neigh *neigh;
	struct rib *rib;
	uint64_t topo_version; /* counts published topos, stored (release) after each */
};

struct tables_limits {
	size_t fdb, neigh, routes;
};

/* All created or none. 0 or -errno. */
int tables_create(struct tables *tables, const struct tables_limits *limits);
void tables_destroy(struct tables *tables); /* no reader may be left */
/* Publish a new topo; the old one is freed after a grace period.  One without routing gets the
 * rules that a system starts with: tables local, main, default. */
void tables_publish_topo(struct tables *tables, struct topo *topo);

/* Reader: another number after any change that a look-up could see.  What is found after asking is
 * at least as new as the number: a result may be kept for as long as it stays the same. */
uint64_t tables_version(const struct tables *tables);

/* Reader: valid until the reader's next quiescent state. */
static inline const struct topo *tables_topo(const struct tables *tables)
{
	return __atomic_load_n(&tables->topo, __ATOMIC_ACQUIRE);
}

#endif
