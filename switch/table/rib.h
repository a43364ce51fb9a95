/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rib: every route as the kernel has it, and the best of each prefix in the fib.
 *
 * What:    (table, family, prefix, length, tos, metric) -> hops.  Keeps all candidates of a prefix,
 *          picks the kernel's choice (lowest metric; any entry with a TOS makes the prefix
 *          NEXTHOP_KERNEL) and writes it to that table's fib.
 * Callers: netlink/mirror writes; shunt route lists; switch/path reads the fibs.
 * Thread:  one writer (control); the fibs and nexthops are read under RCU.
 * Owner:   owns routes, fibs and nexthops.
 * Full:    at `limit` routes the prefix is made NEXTHOP_KERNEL if it can be, and -ENOSPC returned.
 * Refuses: tables other than main and local: counted, never forwarded by.
 */
#ifndef SHUNT_TABLE_RIB_H
#define SHUNT_TABLE_RIB_H

#include "table/fib.h"
#include "table/nexthop.h"

enum rib_table { RIB_LOCAL, RIB_MAIN, RIB_TABLES };

struct rib_key {
	uint8_t family; /* enum ip_family */
	uint8_t table;  /* enum rib_table */
	uint8_t len;
	uint8_t tos;
	uint32_t metric;
	struct ip_addr prefix; /* host bits zero */
};

struct rib_route {
	struct rib_key key;
	uint8_t type;   /* RTN_* as the kernel said, for `shunt route` */
	uint8_t action; /* enum nexthop_action decided by the decoder */
	uint8_t count;
	struct hop hop[NEXTHOP_HOPS_MAX];
};

struct rib;

int rib_create(struct rib **out, size_t limit);
void rib_destroy(struct rib *rib);
/* Insert or replace by key. With `merge` the hops are added to those of an existing route with the
 * same key (IPv6 notifies multipath hop by hop). 0, -ENOMEM, -ENOSPC, -EINVAL. */
int rib_set(struct rib *rib, const struct rib_route *route, bool merge);
/* Remove by key. With count > 0 and `merge` only those hops are taken out (IPv6), and the route goes
 * with its last. 0 or -ENOENT. */
int rib_delete(struct rib *rib, const struct rib_route *route, bool merge);
void rib_resync_begin(struct rib *rib, enum ip_family family);
size_t rib_resync_sweep(struct rib *rib, enum ip_family family);
size_t rib_count(const struct rib *rib, enum ip_family family);
void rib_each(struct rib *rib, void (*fn)(const struct rib_route *route, void *arg), void *arg);
size_t rib_memory(const struct rib *rib);

/* Reader. */
const struct fib *rib_fib(const struct rib *rib, enum ip_family family, enum rib_table table);
const struct nexthops *rib_nexthops(const struct rib *rib);

#endif
