/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tables: everything the mirror writes and the workers read, in one place.
 *
 * Built once by shuntd, filled by netlink/mirror (the only writer), read by switch/path under
 * liburcu QSBR (urcu-qsbr): a worker quiesces once a burst and is offline while it sleeps.  Memory
 * is reclaimed by call_rcu(), so the writer never waits for a reader.
 */
#ifndef SHUNT_TABLE_TABLES_H
#define SHUNT_TABLE_TABLES_H

#include "table/fdb.h"
#include "table/neigh.h"
#include "table/rib.h"
#include "table/topo.h"

struct tables {
	struct topo *topo; /* rcu_dereference() */
	struct fdb *fdb;
	struct neigh *neigh;
	struct rib *rib;
};

struct tables_limits {
	size_t fdb, neigh, routes;
};

/* All created or none. 0 or -errno. */
int tables_create(struct tables *tables, const struct tables_limits *limits);
void tables_destroy(struct tables *tables); /* no reader may be left */
/* Publish a new topo; the old one is freed after a grace period. */
void tables_publish_topo(struct tables *tables, struct topo *topo);

#endif
