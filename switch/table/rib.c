// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "table/hash.h"
#include "table/rib_private.h"

/* The first route of the key, from index `at` of the chain on; 0 none. */
static uint32_t of_key(const struct rib *rib, const struct prefix *prefix,
		       const struct rib_key *key, uint32_t at)
{
	while ((at = rib_candidate(rib, prefix, at))) {
		if (rib->route[at].metric == key->metric && rib->route[at].tos == key->tos) {
			return at;
		}
		at = rib->route[at].next;
	}
	return 0;
}

static uint32_t route_take(struct rib *rib)
{
	uint32_t at = rib->idle, room = rib->room * 2;
	struct route *fresh;

	if (at) {
		rib->idle = rib->route[at].next;
		return at;
	}
	if (rib->next == rib->room) {
		fresh = room <= RIB_ROUTES_MAX ? reallocarray(rib->route, room, sizeof(*fresh))
					       : NULL;
		if (!fresh) {
			return 0;
		}
		rib->route = fresh;
		rib->room = room;
	}
	rib->route[rib->next].used = 0; /* in memory that was never written */
	return rib->next++;
}

/* Set since the resync began. */
static bool is_marked(const struct rib *rib, const struct route *route)
{
	return route->round == rib->round[route->family];
}

static void set_doubt(struct rib *rib, struct route *route, bool doubt)
{
	rib->doubts[route->family] += (size_t)doubt - route->doubt;
	route->doubt = doubt;
}

/* Routes. ----------------------------------------------------------------------------------- */

static uint32_t content_of(const struct rib *rib, const struct rib_route *route)
{
	uint64_t value = hash_mix(rib->seed[0] ^ route->type ^ (uint64_t)route->action << 32,
				  rib->seed[1] ^ route->origin ^ (uint64_t)route->object << 32);

	/* What an object leads to is not the route's: it may be told with it or not. */
	for (unsigned i = 0; !route->object && i < route->count; i++) {
		uint64_t w[3];

		memcpy(w, &route->hop[i], sizeof(w));
		value = hash_mix(value ^ w[0], rib->seed[0] ^ w[1]);
		value = hash_mix(value ^ w[2], rib->seed[1]);
	}
	return (uint32_t)value;
}

void rib_remove(struct rib *rib, uint32_t at)
{
	struct route *route = &rib->route[at];
	struct prefix prefix = prefix_of(route);
	uint32_t *link = rib_chain(rib, &prefix);

	while (*link != at) {
		link = &rib->route[*link].next;
	}
	*link = route->next;
	set_doubt(rib, route, false);
	rib_set_absent(rib, route, false);
	rib->over -= route->over;
	rib->count[route->family]--;
	rib->prefsrcs[route->family] -= route->prefsrc;
	rib->table[route->table]->of_len[route->family][route->len]--;
	rib_apply(rib, &prefix);
	/* Last: the fib does not lead to it any more. */
	nexthops_put(rib->nexthops, route->nexthop);
	route->used = 0;
	route->next = rib->idle;
	rib->idle = at;
}

/* The route's hops as a nexthop index with a reference; what cannot be stored is the kernel's. */
static uint32_t hops_get(struct rib *rib, const struct rib_route *route, int *err)
{
	const struct nexthop_spec spec = {.action = route->action,
					  .family = route->key.family,
					  .count = route->count,
					  .mtu = route->mtu,
					  .hops = route->hop};
	int index;

	if (route->object && route->action == NEXTHOP_FORWARD) {
		index = nexthops_object(rib->nexthops, route->object);
	} else {
		index = nexthops_get(rib->nexthops, &spec);
	}

	if (index > 0) {
		return (uint32_t)index;
	}
	*err = index;
	nexthops_ref(rib->nexthops, rib->kernel);
	return rib->kernel;
}

bool rib_full(const struct rib *rib)
{
	return rib->count[IP_V4] + rib->count[IP_V6] - rib->over >= rib->limit;
}

/* Room beyond the limit, where a route only keeps its prefix with the kernel. */
static bool is_over_full(const struct rib *rib)
{
	return rib->over >= rib->limit / 4 + 16;
}

static int route_add(struct rib *rib, const struct prefix *prefix, const struct rib_route *from)
{
	uint32_t at = 0, *head;
	struct route *route;
	int err = 0, applied;

	if (!rib_full(rib) || !is_over_full(rib)) {
		at = route_take(rib);
	}
	if (!at) {
		rib->lost[prefix->family] = true;
		rib_close(rib, prefix);
		return rib_full(rib) ? -ENOSPC : -ENOMEM;
	}
	if (rib->next > rib->mask) {
		rib_chains_grow(rib); /* without it the chains are longer, no more */
	}
	head = rib_chain(rib, prefix);
	route = &rib->route[at];
	*route = (struct route){.prefix = prefix->addr,
				.metric = from->key.metric,
				.next = *head,
				.content = content_of(rib, from),
				.len = prefix->len & 0xff,
				.tos = from->key.tos,
				.type = from->type & 0xf,
				.family = prefix->family & 1,
				.table = prefix->table & 0x1ff,
				.used = 1,
				.prefsrc = from->prefsrc,
				.round = rib->round[prefix->family] % RIB_ROUNDS,
				.over = rib_full(rib)};
	if (route->over) {
		err = -ENOSPC;
	}
	route->nexthop = hops_get(rib, from, &err);
	*head = at;
	rib->over += route->over;
	rib->count[route->family]++;
	rib->prefsrcs[route->family] += route->prefsrc;
	rib->table[prefix->table]->of_len[route->family][route->len]++;
	applied = rib_apply(rib, prefix);
	return applied ? applied : err;
}

/* Give a route that is there other content (or the same again, known to be right now). */
static int route_update(struct rib *rib, const struct prefix *prefix, uint32_t at,
			const struct rib_route *from)
{
	struct route *route = &rib->route[at];
	uint32_t old = route->nexthop;
	bool same, over = route->over && rib_full(rib);
	int err = over ? -ENOSPC : 0, applied = 0;

	route->nexthop = hops_get(rib, from, &err);
	same = route->nexthop == old && !route->doubt && !route->absent && over == route->over;
	route->content = content_of(rib, from);
	route->type = from->type & 0xf;
	rib->prefsrcs[route->family] += (size_t)from->prefsrc - route->prefsrc;
	route->prefsrc = from->prefsrc;
	route->round = rib->round[route->family] % RIB_ROUNDS;
	route->twin = 0;
	rib->over -= route->over && !over;
	route->over = over;
	set_doubt(rib, route, false);
	if (!same) {
		applied = rib_apply(rib, prefix);
	}
	nexthops_put(rib->nexthops, old);
	return applied ? applied : err;
}

/* The route as a value again. */
static void route_load(const struct rib *rib, uint32_t at, struct rib_route *out)
{
	const struct route *route = &rib->route[at];
	const struct nexthop *set = nexthops_full(rib->nexthops, route->nexthop);

	out->key = (struct rib_key){.family = route->family,
				    .table = rib->table[route->table]->id,
				    .len = route->len,
				    .tos = route->tos,
				    .metric = route->metric,
				    .prefix = route->prefix};
	out->type = route->type;
	out->action = set->action;
	out->count = set->count;
	out->origin = 0;
	out->object = 0;
	out->mtu = set->mtu;
	out->prefsrc = route->prefsrc;
	memcpy(out->hop, set->hop, set->count * sizeof(set->hop[0]));
}

/* The same, with what the fast path does of it. */
static void route_show(const struct rib *rib, uint32_t at, struct rib_route *out)
{
	struct prefix prefix = prefix_of(&rib->route[at]);

	route_load(rib, at, out);
	if (fib_closed(rib->table[prefix.table]->fib[prefix.family], &prefix.addr) ||
	    rib_choose(rib, &prefix) == rib->kernel) {
		out->action = NEXTHOP_KERNEL;
	}
}

/* All routes of the key, and their prefix with them, are in doubt. */
static void doubt_key(struct rib *rib, const struct prefix *prefix, const struct rib_key *key)
{
	uint32_t at = *rib_chain(rib, prefix);
	bool any = false;

	for (; (at = of_key(rib, prefix, key, at)); at = rib->route[at].next) {
		set_doubt(rib, &rib->route[at], true);
		any = true;
	}
	if (any) {
		rib_apply(rib, prefix);
	}
}

static uint32_t of_content(const struct rib *rib, const struct prefix *prefix,
			   const struct rib_route *route)
{
	uint32_t at = *rib_chain(rib, prefix), content = content_of(rib, route);

	for (; (at = of_key(rib, prefix, &route->key, at)); at = rib->route[at].next) {
		if (rib->route[at].content == content) {
			return at;
		}
	}
	return 0;
}

static uint32_t count_key(const struct rib *rib, const struct prefix *prefix,
			  const struct rib_key *key, uint32_t *first)
{
	uint32_t at = of_key(rib, prefix, key, *rib_chain(rib, prefix)), count = 0;

	*first = at;
	for (; at; at = of_key(rib, prefix, key, rib->route[at].next)) {
		count++;
	}
	return count;
}

/* Hops of IPv6 siblings. -------------------------------------------------------------------- */

static bool hop_same(const struct hop *a, const struct hop *b)
{
	return a->ifindex == b->ifindex && a->has_via == b->has_via &&
	       (!a->has_via || (a->via_family == b->via_family && ip_equal(&a->via, &b->via)));
}

static int hop_index(const struct hop *hops, unsigned count, const struct hop *hop)
{
	for (unsigned i = 0; i < count; i++) {
		if (hop_same(&hops[i], hop)) {
			return (int)i;
		}
	}
	return -1;
}

/* The first route of the key that has hops. */
static uint32_t forwarding(const struct rib *rib, const struct prefix *prefix,
			   const struct rib_key *key)
{
	uint32_t at = *rib_chain(rib, prefix);

	for (; (at = of_key(rib, prefix, key, at)); at = rib->route[at].next) {
		const struct nexthop *set = nexthops_full(rib->nexthops, rib->route[at].nexthop);

		if (set->action == NEXTHOP_FORWARD && !set->object) {
			return at;
		}
	}
	return 0;
}

static int merge(struct rib *rib, const struct prefix *prefix, uint32_t at,
		 const struct rib_route *route)
{
	struct rib_route all;

	route_load(rib, at, &all);
	all.type = route->type;
	all.origin = route->origin;
	for (unsigned i = 0; i < route->count; i++) {
		int have = hop_index(all.hop, all.count, &route->hop[i]);

		if (have >= 0) {
			all.hop[have] = route->hop[i];
			continue;
		}
		if (all.count == NEXTHOP_HOPS_MAX) {
			/* More than we can hold: the kernel's, and which hop goes we cannot
			 * follow. */
			doubt_key(rib, prefix, &route->key);
			return 0;
		}
		all.hop[all.count++] = route->hop[i];
	}
	return route_update(rib, prefix, at, &all);
}

/* The route of the key that has one of the hops. */
static uint32_t of_hops(const struct rib *rib, const struct prefix *prefix,
			const struct rib_route *route)
{
	uint32_t at = *rib_chain(rib, prefix);

	for (; (at = of_key(rib, prefix, &route->key, at)); at = rib->route[at].next) {
		const struct nexthop *set = nexthops_full(rib->nexthops, rib->route[at].nexthop);

		for (unsigned i = 0;
		     set->action == NEXTHOP_FORWARD && !set->object && i < route->count; i++) {
			if (hop_index(set->hop, set->count, &route->hop[i]) >= 0) {
				return at;
			}
		}
	}
	return 0;
}

/* Take hops out of the set of siblings that has them. 0, or -ENOENT when no set does. */
static int unmerge(struct rib *rib, const struct prefix *prefix, const struct rib_route *route)
{
	uint32_t at = of_hops(rib, prefix, route), round;
	struct rib_route rest;

	if (!at) {
		return -ENOENT;
	}
	if (rib->route[at].doubt) {
		return 0; /* what it leads to is not known, and stays so until a resync */
	}
	route_load(rib, at, &rest);
	for (unsigned i = 0; i < route->count; i++) {
		int have = hop_index(rest.hop, rest.count, &route->hop[i]);

		if (have >= 0) {
			rest.count--;
			memmove(&rest.hop[have], &rest.hop[have + 1],
				(rest.count - (unsigned)have) * sizeof(rest.hop[0]));
		}
	}
	if (rest.count == 0) {
		rib_remove(rib, at);
		return 0;
	}
	round = rib->route[at].round;
	route_update(rib, prefix, at, &rest);
	rib->route[at].round = round % RIB_ROUNDS;
	return 0;
}

/* The whole. -------------------------------------------------------------------------------- */

int rib_create(struct rib **out, size_t limit)
{
	struct rib *rib = calloc(1, sizeof(*rib));
	int err = -ENOMEM, index;

	if (!rib) {
		return -ENOMEM;
	}
	if (getrandom(rib->seed, sizeof(rib->seed), 0) != sizeof(rib->seed)) {
		free(rib);
		return -EIO;
	}
	rib->limit = limit;
	rib->mask = RIB_HEADS_MIN - 1;
	rib->room = RIB_HEADS_MIN;
	rib->next = 1;
	rib->head = calloc(RIB_HEADS_MIN, sizeof(*rib->head));
	rib->route = calloc(rib->room, sizeof(*rib->route));
	if (!rib->head || !rib->route) {
		goto fail;
	}
	err = nexthops_create(&rib->nexthops);
	if (err) {
		goto fail;
	}
	index = nexthops_get(rib->nexthops, &(struct nexthop_spec){.action = NEXTHOP_KERNEL});
	if (index < 0) {
		err = index;
		goto fail;
	}
	rib->kernel = (uint32_t)index;
	for (unsigned family = IP_V4; family < IP_FAMILIES; family++) {
		err = rib_table_make(rib, RIB_LOCAL, family);
		err = err ? err : rib_table_make(rib, RIB_MAIN, family);
		if (err) {
			goto fail;
		}
	}
	*out = rib;
	return 0;
fail:
	rib_destroy(rib);
	return err;
}

void rib_destroy(struct rib *rib)
{
	if (!rib) {
		return;
	}
	rib_tables_destroy(rib);
	nexthops_destroy(rib->nexthops);
	free(rib->route);
	free(rib->head);
	free(rib);
}

static bool is_sane(const struct rib_route *route)
{
	return route->key.family < IP_FAMILIES && route->key.table != 0 &&
	       route->key.len <= ip_bits((enum ip_family)route->key.family) &&
	       route->action <= NEXTHOP_THROW && route->count <= NEXTHOP_HOPS_MAX &&
	       (route->action != NEXTHOP_FORWARD || route->count > 0 || route->object);
}

static int set_merge(struct rib *rib, const struct prefix *prefix, const struct rib_route *route)
{
	uint32_t at = forwarding(rib, prefix, &route->key);

	if (!at) {
		return route_add(rib, prefix, route);
	}
	if (!is_marked(rib, &rib->route[at])) {
		return route_update(rib, prefix, at, route);
	}
	if (rib->route[at].doubt) {
		return 0; /* only a resync can settle it */
	}
	return merge(rib, prefix, at, route);
}

static int set_beside(struct rib *rib, const struct prefix *prefix, const struct rib_route *route)
{
	uint32_t at = of_content(rib, prefix, route);
	bool twin;
	int err;

	if (!at) {
		return route_add(rib, prefix, route);
	}
	if (rib->route[at].doubt && is_marked(rib, &rib->route[at])) {
		return 0; /* only a resync can settle it */
	}
	twin = is_marked(rib, &rib->route[at]) && (rib->route[at].twin || route->origin == 0);
	err = route_update(rib, prefix, at, route);
	rib->route[at].twin = twin;
	return err;
}

int rib_set(struct rib *rib, const struct rib_route *route, enum rib_how how)
{
	struct prefix prefix;
	uint32_t at, count;
	int err;

	if (!is_sane(route)) {
		return -EINVAL;
	}
	err = rib_table_make(rib, route->key.table, route->key.family);
	if (err) {
		return err;
	}
	prefix = rib_prefix(rib, &route->key);
	if (how == RIB_MERGE && route->action == NEXTHOP_FORWARD) {
		return set_merge(rib, &prefix, route);
	}
	if (how == RIB_REPLACE) {
		count = count_key(rib, &prefix, &route->key, &at);
		if (count == 1 && !rib->route[at].twin && !rib->route[at].doubt) {
			return route_update(rib, &prefix, at, route);
		}
		/* The first of several it was, but which is that? */
		doubt_key(rib, &prefix, &route->key);
	}
	return set_beside(rib, &prefix, route);
}

void rib_doubt(struct rib *rib, const struct rib_key *key)
{
	struct prefix prefix = rib_prefix(rib, key);

	doubt_key(rib, &prefix, key);
}

int rib_delete(struct rib *rib, const struct rib_route *route, bool merged)
{
	struct prefix prefix;
	uint32_t at, first, count;

	if (!is_sane(route)) {
		return -ENOENT;
	}
	prefix = rib_prefix(rib, &route->key);
	count = count_key(rib, &prefix, &route->key, &first);
	if (count == 0) {
		return -ENOENT;
	}
	if (merged && route->action == NEXTHOP_FORWARD && !route->object &&
	    forwarding(rib, &prefix, &route->key)) {
		return unmerge(rib, &prefix, route);
	}
	if (count == 1 && !rib->route[first].twin && !rib->route[first].doubt) {
		rib_remove(rib, first);
		return 0;
	}
	at = of_content(rib, &prefix, route);
	if (at && count > 1 && !rib->route[at].twin && !rib->route[at].doubt) {
		rib_remove(rib, at);
		if (route->origin) {
			return 0;
		}
	}
	/* Which of several went, and whether we know all that stay, only a resync tells. */
	doubt_key(rib, &prefix, &route->key);
	return 0;
}

void rib_resync_begin(struct rib *rib, enum ip_family family)
{
	unsigned last = rib->round[family];

	/* After a sweep all routes are of one round, and a new number is enough.  One that was
	 * begun and not swept leaves two kinds; when the numbers run out, make them one again. */
	if (++rib->unswept[family] == RIB_ROUNDS) {
		for (uint32_t at = 1; at < rib->next; at++) {
			if (rib->route[at].family == family) {
				rib->route[at].round = last % RIB_ROUNDS;
			}
		}
		rib->unswept[family] = 1;
	}
	rib->round[family] = (uint8_t)((last + 1) % RIB_ROUNDS);
	rib->lost[family] = false;
	rib->table_lost[family] = false;
}

/* Where there was no room before there may be now. */
static void settle(struct rib *rib, enum ip_family family)
{
	for (uint32_t at = 1; at < rib->next && (rib->over || rib->absents[family]); at++) {
		struct route *route = &rib->route[at];
		bool room = route->over && !rib_full(rib);
		struct prefix prefix;

		if (route->used && route->family == family && (room || route->absent)) {
			prefix = prefix_of(route);
			rib->over -= room;
			route->over &= !room;
			rib_apply(rib, &prefix);
		}
	}
	if (rib->closed[family] && !rib->lost[family] && !rib->absents[family]) {
		rib_tables_open(rib, family);
	}
}

/* Visiting a route costs little beside removing it. */
#define VISITS 16u

bool rib_resync_sweep(struct rib *rib, enum ip_family family, size_t *cursor, size_t budget)
{
	uint32_t at = *cursor ? (uint32_t)*cursor : 1;
	size_t done = 0;

	for (; at < rib->next && done / VISITS < budget; at++, done++) {
		const struct route *route = &rib->route[at];

		if (route->used && route->family == family && !is_marked(rib, route)) {
			rib_remove(rib, at);
			done += VISITS;
		}
	}
	*cursor = at;
	if (at < rib->next) {
		return true;
	}
	rib->unswept[family] = 0;
	settle(rib, family);
	return false;
}

size_t rib_count(const struct rib *rib, enum ip_family family)
{
	return rib->count[family];
}

bool rib_walk(struct rib *rib, size_t *cursor, size_t budget,
	      void (*fn)(const struct rib_route *route, void *arg), void *arg)
{
	uint32_t at = *cursor ? (uint32_t)*cursor : 1;

	for (; at < rib->next && budget; at++, budget--) {
		struct rib_route route;

		if (rib->route[at].used) {
			route_show(rib, at, &route);
			fn(&route, arg);
		}
	}
	*cursor = at;
	return at < rib->next;
}

void rib_each(struct rib *rib, void (*fn)(const struct rib_route *route, void *arg), void *arg)
{
	size_t cursor = 0;

	rib_walk(rib, &cursor, SIZE_MAX, fn, arg);
}

bool rib_has(const struct rib *rib, const struct rib_route *route)
{
	struct prefix prefix = rib_prefix(rib, &route->key);
	uint32_t at = *rib_chain(rib, &prefix);
	struct rib_route have;

	for (; (at = of_key(rib, &prefix, &route->key, at)); at = rib->route[at].next) {
		route_show(rib, at, &have);
		if (have.type == route->type && have.action == route->action &&
		    have.count == route->count &&
		    memcmp(have.hop, route->hop, have.count * sizeof(have.hop[0])) == 0) {
			return true;
		}
	}
	return false;
}

bool rib_agrees(const struct rib *rib, const struct rib_key *key)
{
	const struct fib *fib = rib_fib(rib, (enum ip_family)key->family, key->table);
	uint32_t value = fib ? fib_lookup(fib, key->prefix.b) : 0;

	if (!fib) {
		return true;
	}
	if (fib_closed(fib, &key->prefix)) {
		return value == rib->kernel;
	}
	return value == rib_longest(rib, key);
}
