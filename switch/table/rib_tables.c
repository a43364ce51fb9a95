// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdlib.h>

#include <linux/rtnetlink.h>

#include "table/rib_private.h"

unsigned rib_table_find(const struct rib *rib, uint32_t id)
{
	for (unsigned i = 0; i < rib->table_count; i++) {
		if (rib->table[i]->id == id) {
			return i;
		}
	}
	return RIB_TABLES_MAX;
}

void rib_changed(struct rib *rib)
{
	__atomic_store_n(&rib->version, rib->version + 1, __ATOMIC_RELEASE);
}

static int table_add(struct rib *rib, uint32_t id)
{
	struct routing_table *table;

	if (rib->table_count == RIB_TABLES_MAX) {
		return -ENOSPC;
	}
	table = calloc(1, sizeof(*table));
	if (!table) {
		return -ENOMEM;
	}
	table->id = id;
	rib->table[rib->table_count++] = table;
	return 0;
}

int rib_table_make(struct rib *rib, uint32_t id, enum ip_family family)
{
	unsigned at = rib_table_find(rib, id);
	struct routing_table *table;
	struct fib *fib;
	int err = 0;

	if (at == RIB_TABLES_MAX) {
		err = table_add(rib, id);
		at = rib->table_count - 1;
	}
	if (!err && !rib->table[at]->fib[family]) {
		table = rib->table[at];
		err = id == RIB_MAIN ? fib_create(&fib, family) : fib_create_small(&fib, family);
		if (!err) {
			if (rib->shut[family]) {
				fib_close(fib, &(struct ip_addr){0}, 0, rib->kernel);
			}
			table->fib[family] = fib;
			rib->fib_count++;
			rib_changed(rib);
		}
	}
	if (err && !rib->table_lost[family]) {
		rib->table_lost[family] = true;
		rib_changed(rib);
	}
	return err;
}

void rib_tables_destroy(struct rib *rib)
{
	for (unsigned i = 0; i < rib->table_count; i++) {
		fib_destroy(rib->table[i]->fib[IP_V4]);
		fib_destroy(rib->table[i]->fib[IP_V6]);
		free(rib->table[i]);
	}
}

void rib_close(struct rib *rib, const struct prefix *prefix)
{
	fib_close(rib->table[prefix->table]->fib[prefix->family], &prefix->addr, prefix->len,
		  rib->kernel);
	rib->closed[prefix->family] = true;
	rib_changed(rib);
}

/* Every address of the family is the kernel's from now on. */
static void shut(struct rib *rib, enum ip_family family)
{
	for (unsigned i = 0; i < rib->table_count; i++) {
		if (rib->table[i]->fib[family]) {
			fib_close(rib->table[i]->fib[family], &(struct ip_addr){0}, 0, rib->kernel);
		}
	}
	rib->closed[family] = rib->shut[family] = true;
	rib_changed(rib);
}

void rib_tables_open(struct rib *rib, enum ip_family family)
{
	for (unsigned i = 0; i < rib->table_count; i++) {
		if (rib->table[i]->fib[family]) {
			fib_open(rib->table[i]->fib[family]);
		}
	}
	rib->closed[family] = rib->shut[family] = false;
	rib_changed(rib);
}

/* Objects and devices. ---------------------------------------------------------------------- */

int rib_object_set(struct rib *rib, uint32_t id, const struct nexthop_spec *spec)
{
	return nexthops_object_set(rib->nexthops, id, spec);
}

void rib_object_delete(struct rib *rib, uint32_t id)
{
	uint32_t index = nexthops_object_delete(rib->nexthops, id);

	for (uint32_t at = 1; index && at < rib->next; at++) {
		if (rib->route[at].used && rib->route[at].nexthop == index) {
			rib_remove(rib, at);
		}
	}
}

void rib_device(struct rib *rib, enum ip_family family, uint32_t ifindex, bool dead)
{
	if (!nexthops_device(rib->nexthops, family, ifindex, dead)) {
		shut(rib, family);
		rib->lost[family] = true;
	}
}

bool rib_device_flush(struct rib *rib, uint32_t ifindex,
		      bool (*is_down)(uint32_t ifindex, void *arg), void *arg)
{
	bool others = false;

	if (!nexthops_use(rib->nexthops, ifindex)) {
		return false; /* without a walk over all routes */
	}
	for (uint32_t at = 1; at < rib->next; at++) {
		const struct route *route = &rib->route[at];
		const struct nexthop *set;
		unsigned down = 0, by = 0;

		if (!route->used) {
			continue;
		}
		set = nexthops_full(rib->nexthops, route->nexthop);
		/* An address stays when its interface goes down (fib_nh_scope RT_SCOPE_NOWHERE). */
		for (unsigned i = 0; !set->object && route->type != RTN_LOCAL && i < set->count;
		     i++) {
			by += set->hop[i].ifindex == ifindex;
			down += set->hop[i].ifindex == ifindex || is_down(set->hop[i].ifindex, arg);
		}
		if (by && down == set->count) {
			rib_remove(rib, at);
		} else {
			others |= by != 0;
		}
	}
	return others;
}

size_t rib_prefsrcs(const struct rib *rib, enum ip_family family)
{
	return rib->prefsrcs[family];
}

/* Reading. ---------------------------------------------------------------------------------- */

size_t rib_lookup_memory(const struct rib *rib)
{
	size_t size = nexthops_memory(rib->nexthops);

	for (unsigned i = 0; i < rib->table_count * IP_FAMILIES; i++) {
		const struct fib *fib = rib->table[i / IP_FAMILIES]->fib[i % IP_FAMILIES];

		size += fib ? fib_memory(fib) : 0;
	}
	return size;
}

size_t rib_memory(const struct rib *rib)
{
	return sizeof(*rib) + rib->room * sizeof(*rib->route) +
	       ((size_t)rib->mask + 1) * sizeof(*rib->head) +
	       rib->table_count * sizeof(*rib->table[0]) + rib_lookup_memory(rib);
}

size_t rib_doubts(const struct rib *rib, enum ip_family family)
{
	return rib->doubts[family];
}

bool rib_limited(const struct rib *rib, enum ip_family family)
{
	return rib->over || rib->closed[family] || rib->table_lost[family];
}

bool rib_has_room(const struct rib *rib, enum ip_family family)
{
	return (rib->over && !rib_full(rib)) || rib->closed[family];
}

bool rib_closed(const struct rib *rib, enum ip_family family)
{
	return rib->closed[family];
}

bool rib_table_unknown(const struct rib *rib, enum ip_family family, uint32_t table)
{
	return rib->table_lost[family] && !rib_fib(rib, family, table);
}

uint64_t rib_tables_version(const struct rib *rib)
{
	return rib->fib_count << 2 | (unsigned)rib->table_lost[IP_V6] << 1 | rib->table_lost[IP_V4];
}

const struct fib *rib_fib(const struct rib *rib, enum ip_family family, uint32_t table)
{
	unsigned at = rib_table_find(rib, table);

	return at < RIB_TABLES_MAX ? rib->table[at]->fib[family] : NULL;
}

const struct nexthops *rib_nexthops(const struct rib *rib)
{
	return rib->nexthops;
}

uint64_t rib_version(const struct rib *rib)
{
	return __atomic_load_n(&rib->version, __ATOMIC_ACQUIRE) + nexthops_version(rib->nexthops);
}
