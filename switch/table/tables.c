// SPDX-License-Identifier: BSD-2-Clause
#include "table/tables.h"

#include <errno.h>

int tables_create(struct tables *tables, const struct tables_limits *limits)
{
	struct tables made = {0};
	int err;

	made.topo = topo_create();
	if (!made.topo) {
		return -ENOMEM;
	}
	err = fdb_create(&made.fdb, limits->fdb);
	if (err) {
		goto topo;
	}
	err = mdb_create(&made.mdb);
	if (err) {
		goto fdb;
	}
	err = neigh_create(&made.neigh, limits->neigh);
	if (err) {
		goto mdb;
	}
	err = rib_create(&made.rib, limits->routes);
	if (err) {
		goto neigh;
	}
	*tables = made;
	return 0;
neigh:
	neigh_destroy(made.neigh);
mdb:
	mdb_destroy(made.mdb);
fdb:
	fdb_destroy(made.fdb);
topo:
	topo_destroy(made.topo);
	return err;
}

void tables_destroy(struct tables *tables)
{
	rib_destroy(tables->rib);
	neigh_destroy(tables->neigh);
	mdb_destroy(tables->mdb);
	fdb_destroy(tables->fdb);
	topo_destroy(tables->topo);
	*tables = (struct tables){0};
}

/* The rules that a system starts with. */
static struct routing *default_routing(const struct rib *rib)
{
	static const uint32_t ids[] = {RIB_LOCAL, RIB_MAIN, RIB_DEFAULT};
	struct routing *routing = routing_create(3, 3, 0);

	for (unsigned family = IP_V4; routing && family < IP_FAMILIES; family++) {
		routing->rules[family].plain = true;
		for (unsigned i = 0; i < 3; i++) {
			routing->rules[family].rule[i] = (struct rule){
				.action = RULE_TABLE,
				.suppress = -1,
				.table = ids[i],
				.fib = rib_fib(rib, (enum ip_family)family, ids[i])};
		}
	}
	return routing;
}

void tables_publish_topo(struct tables *tables, struct topo *topo)
{
	struct topo *old = tables->topo;

	if (!topo_routing(topo)) {
		topo_set_routing(topo, default_routing(tables->rib));
	}
	__atomic_store_n(&tables->topo, topo, __ATOMIC_RELEASE);
	__atomic_store_n(&tables->topo_version, tables->topo_version + 1, __ATOMIC_RELEASE);
	topo_retire(old);
}

/* Each counts up only, and so does their sum. */
uint64_t tables_version(const struct tables *tables)
{
	return __atomic_load_n(&tables->topo_version, __ATOMIC_ACQUIRE) + fdb_version(tables->fdb) +
	       neigh_version(tables->neigh) + rib_version(tables->rib);
}
