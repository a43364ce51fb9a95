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
 * Full:    a route over `limit` is kept, but its prefix is NEXTHOP_KERNEL, and -ENOSPC is returned
 *          (a shorter route must not catch its traffic); a later resync with room brings it back.
 *          When not even that can be stored (a quarter over the limit, no memory, no fib node) the
 *          fib is closed there: in the /16s that the prefix meets every address is the kernel's
 *          until a resync found room for all.  rib_closed() tells.
 *          Tables come with their first route and stay.  Routes of one over RIB_TABLES_MAX are not
 *          kept (-ENOSPC): rib_table_unknown() is then true of it, and who would look there is to
 *          leave it to the kernel.
 * Refuses: a malformed route (-EINVAL).
 *
 * Sure, or kernel: what the kernel's choice among a prefix's routes depends on and we cannot see
 * makes the prefix NEXTHOP_KERNEL:
 *  - a candidate with a TOS;
 *  - several candidates with the best metric that lead to different places: IPv4 aliases made by
 *    `ip route append` (the kernel's own fib_magic() appends: one subnet on two interfaces), IPv6
 *    routes that are no siblings (rt6_qualify_for_ecmp(): without a gateway, from an RA);
 *  - a delete or replace that does not say which of several it meant (or that does not know their
 *    `origin`): "in doubt" until a resync has shown what is left.  rib_doubts() counts these.
 */
#ifndef SHUNT_TABLE_RIB_H
#define SHUNT_TABLE_RIB_H

#include "table/fib.h"
#include "table/nexthop.h"

/* Of any number; these are as in linux/rtnetlink.h. */
enum rib_table { RIB_DEFAULT = 253, RIB_MAIN = 254, RIB_LOCAL = 255 };
#define RIB_TABLES_MAX 256u

struct rib_key {
	uint8_t family; /* enum ip_family */
	uint8_t len;
	uint8_t tos;
	uint32_t table; /* the kernel's number of it, not 0 */
	uint32_t metric;
	struct ip_addr prefix; /* host bits zero */
};

struct rib_route {
	struct rib_key key;
	uint8_t type;   /* RTN_* as the kernel said, for `shunt route` */
	uint8_t action; /* enum nexthop_action decided by the decoder */
	uint8_t count;
	/* Not 0: a digest of what else the kernel tells routes of one key apart by (protocol,
	 * scope, preferred source, nexthop id, metrics).  Then a second rib_set() with the same
	 * content is the same route told twice.  0, not known: it may be a twin, and deleting one
	 * of them leaves the prefix in doubt. */
	uint32_t origin;
	uint32_t object; /* next-hop object it leads to, which says what `hop` would; 0 none */
	uint32_t mtu;    /* bytes; 0 none */
	bool prefsrc;    /* goes without a word with its preferred source address */
	struct hop hop[NEXTHOP_HOPS_MAX];
};

/* How a route joins those of the same key.  The first two are `false` and `true`. */
enum rib_how {
	RIB_BESIDE, /* NLM_F_REPLACE not set, or a dump: one of different content stays beside it */
	RIB_MERGE,  /* IPv6 siblings (gateway, not from an RA): add the hops to those of the key;
		      * the first of a resync starts them anew */
	RIB_REPLACE, /* NLM_F_REPLACE set: takes the place of the one there is */
};

struct rib;

int rib_create(struct rib **out, size_t limit);
void rib_destroy(struct rib *rib);
/* Add, merge or replace. 0, -EINVAL; -ENOSPC, -ENOMEM: see "Full", it is the kernel's now. */
int rib_set(struct rib *rib, const struct rib_route *route, enum rib_how how);
/* Remove by key. With count > 0 and `merge` only those hops are taken out (IPv6), and the route
 * goes with its last. 0 or -ENOENT. */
int rib_delete(struct rib *rib, const struct rib_route *route, bool merge);
/* What the key's routes are now only a resync tells. */
void rib_doubt(struct rib *rib, const struct rib_key *key);
/* Mark and sweep; begin again when a dump was interrupted and is asked anew.  The sweep goes in
 * parts: from `*cursor` on (0 at first), as much work as removing `budget` routes.  True: there is
 * more. */
void rib_resync_begin(struct rib *rib, enum ip_family family);
bool rib_resync_sweep(struct rib *rib, enum ip_family family, size_t *cursor, size_t budget);
size_t rib_count(const struct rib *rib, enum ip_family family);
/* `action` is what the fast path does with the prefix, NEXTHOP_KERNEL when in doubt, say. */
void rib_each(struct rib *rib, void (*fn)(const struct rib_route *route, void *arg), void *arg);
/* The same in parts, as the sweep: what comes between two parts may be missed or seen twice. */
bool rib_walk(struct rib *rib, size_t *cursor, size_t budget,
	      void (*fn)(const struct rib_route *route, void *arg), void *arg);
/* Is there the same route (`origin` aside) with the same action?  For one that rib_walk() of
 * another rib gave. */
bool rib_has(const struct rib *rib, const struct rib_route *route);
/* Does the fib, at the prefix's first address, say what the routes amount to?  Slow: one search a
 * prefix length. */
bool rib_agrees(const struct rib *rib, const struct rib_key *key);
size_t rib_memory(const struct rib *rib);
/* The part of it that look-ups go through: fibs and hops. */
size_t rib_lookup_memory(const struct rib *rib);
/* Routes in doubt: not 0 is a reason to resync the family when there is time. */
size_t rib_doubts(const struct rib *rib, enum ip_family family);
/* There are routes over the limit (of any family), or a fib is closed somewhere. */
bool rib_limited(const struct rib *rib, enum ip_family family);
/* Some of the family are over the limit, and by now there is room. */
bool rib_has_room(const struct rib *rib, enum ip_family family);
/* The family's fibs, or one of them, are closed somewhere (fib_closed()). */
bool rib_closed(const struct rib *rib, enum ip_family family);

/* A table that rib_fib() has nothing of may have routes all the same. */
bool rib_table_unknown(const struct rib *rib, enum ip_family family, uint32_t table);
/* Another number when there is another table, or one more unknown: who keeps pointers to fibs then
 * looks again. */
uint64_t rib_tables_version(const struct rib *rib);

/* Next-hop objects: `spec` is what routes that name the object lead to. 0 or -errno (it is the
 * kernel's then). */
int rib_object_set(struct rib *rib, uint32_t id, const struct nexthop_spec *spec);
/* The object is gone, and routes that name it with it, as the kernel takes them away. */
void rib_object_delete(struct rib *rib, uint32_t id);
/* The family's hops by the device are not used any more, or again. */
void rib_device(struct rib *rib, enum ip_family family, uint32_t ifindex, bool dead);
/* The device went down (or away): so did the routes whose every hop was by such a device
 * (fib_sync_down_dev(), fib6_ifdown()).  True: others have hops by it still. */
bool rib_device_flush(struct rib *rib, uint32_t ifindex,
		      bool (*is_down)(uint32_t ifindex, void *arg), void *arg);
/* Routes that go with their preferred source without a word. */
size_t rib_prefsrcs(const struct rib *rib, enum ip_family family);

/* Reader. */
/* NULL: no route ever was in it. Stays valid. */
const struct fib *rib_fib(const struct rib *rib, enum ip_family family, uint32_t table);
/* Another number after any change that a look-up could see. */
uint64_t rib_version(const struct rib *rib);
const struct nexthops *rib_nexthops(const struct rib *rib);

#endif
