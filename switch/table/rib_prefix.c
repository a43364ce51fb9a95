// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdlib.h>

#include "table/hash.h"
#include "table/rib_private.h"

/* Prefixes and chains. ---------------------------------------------------------------------- */

static struct prefix prefix_cut(const struct prefix *from, unsigned len)
{
	struct prefix prefix = *from;

	prefix.len = len;
	if (len % 8) {
		prefix.addr.b[len / 8] &= (uint8_t)(0xff << (8 - len % 8));
		len += 8 - len % 8;
	}
	if (len < 128) {
		memset(&prefix.addr.b[len / 8], 0, sizeof(prefix.addr.b) - len / 8);
	}
	return prefix;
}

struct prefix rib_prefix(const struct rib *rib, const struct rib_key *key)
{
	struct prefix prefix = {key->prefix, key->family, rib_table_find(rib, key->table),
				key->len};

	return prefix_cut(&prefix, key->len);
}

static bool prefix_has(const struct prefix *prefix, const struct route *route)
{
	return route->len == prefix->len && route->family == prefix->family &&
	       route->table == prefix->table && ip_equal(&route->prefix, &prefix->addr);
}

uint32_t *rib_chain(const struct rib *rib, const struct prefix *prefix)
{
	uint64_t w[2], shape = prefix->family << 16 | prefix->table << 8 | prefix->len;

	memcpy(w, &prefix->addr, sizeof(w));
	return &rib->head[hash_mix(hash_mix(w[0] ^ rib->seed[0], w[1] ^ rib->seed[1]) ^ shape,
				   rib->seed[0]) &
			  rib->mask];
}

uint32_t rib_candidate(const struct rib *rib, const struct prefix *prefix, uint32_t at)
{
	while (at && !prefix_has(prefix, &rib->route[at])) {
		at = rib->route[at].next;
	}
	return at;
}

int rib_chains_grow(struct rib *rib)
{
	uint32_t mask = rib->mask * 2 + 1;
	uint32_t *fresh = calloc((size_t)mask + 1, sizeof(*fresh)), *old = rib->head;

	if (!fresh) {
		return -ENOMEM;
	}
	rib->head = fresh;
	rib->mask = mask;
	for (uint32_t at = 1; at < rib->next; at++) {
		if (rib->route[at].used) {
			struct prefix prefix = prefix_of(&rib->route[at]);
			uint32_t *head = rib_chain(rib, &prefix);

			rib->route[at].next = *head;
			*head = at;
		}
	}
	free(old);
	return 0;
}

void rib_set_absent(struct rib *rib, struct route *route, bool absent)
{
	rib->absents[route->family] += (size_t)absent - route->absent;
	route->absent = absent;
}

/* The choice. ------------------------------------------------------------------------------- */

/* Where this route leads as far as we may follow it. */
static uint32_t route_value(const struct rib *rib, const struct route *route)
{
	const struct nexthop *set = nexthops_full(rib->nexthops, route->nexthop);

	if (route->over) {
		return rib->kernel;
	}
	/* rt6_qualify_for_ecmp(): without a gateway they are no siblings, and the kernel picks by
	 * find_rr_leaf(). */
	for (unsigned i = 0;
	     route->family == IP_V6 && !set->object && set->count > 1 && i < set->count; i++) {
		if (!set->hop[i].has_via) {
			return rib->kernel;
		}
	}
	return route->nexthop;
}

/* The machine's own addresses are alike, whichever interface has them. */
static bool same_place(const struct rib *rib, uint32_t a, uint32_t b)
{
	return a == b || (nexthops_full(rib->nexthops, a)->action == NEXTHOP_LOCAL &&
			  nexthops_full(rib->nexthops, b)->action == NEXTHOP_LOCAL);
}

uint32_t rib_choose(const struct rib *rib, const struct prefix *prefix)
{
	uint32_t at = *rib_chain(rib, prefix), best = 0, value = 0;

	for (; (at = rib_candidate(rib, prefix, at)); at = rib->route[at].next) {
		const struct route *route = &rib->route[at];

		if (route->tos || route->doubt) {
			return rib->kernel;
		}
		if (!best || route->metric < rib->route[best].metric) {
			best = at;
			value = route_value(rib, route);
		} else if (route->metric == rib->route[best].metric &&
			   !same_place(rib, route_value(rib, route), value)) {
			value = rib->kernel;
		}
	}
	return value;
}

/* The longest shorter prefix that has a route, and its value; value 0: none. */
static uint32_t cover(const struct rib *rib, const struct prefix *prefix, unsigned *len)
{
	const uint32_t *of_len = rib->table[prefix->table]->of_len[prefix->family];

	for (unsigned shorter = prefix->len; shorter--;) {
		if (of_len[shorter]) {
			struct prefix wider = prefix_cut(prefix, shorter);
			uint32_t value = rib_choose(rib, &wider);

			if (value) {
				*len = shorter;
				return value;
			}
		}
	}
	*len = 0;
	return 0;
}

uint32_t rib_longest(const struct rib *rib, const struct rib_key *key)
{
	const struct prefix host = {key->prefix, key->family, rib_table_find(rib, key->table),
				    ip_bits((enum ip_family)key->family) + 1};
	unsigned len;

	return cover(rib, &host, &len);
}

/* Write the choice for a prefix to the fib.  When there is no room, close it: else a shorter route
 * would catch what belongs here. */
int rib_apply(struct rib *rib, const struct prefix *prefix)
{
	struct fib *fib = rib->table[prefix->table]->fib[prefix->family];
	uint32_t value = rib_choose(rib, prefix), at = *rib_chain(rib, prefix);
	int err;

	if (!value) {
		unsigned len;

		value = cover(rib, prefix, &len);
		err = fib_delete(fib, &prefix->addr, prefix->len, len, value);
		rib_changed(rib);
		return err;
	}
	err = fib_insert(fib, &prefix->addr, prefix->len, value);
	rib_changed(rib);
	for (; (at = rib_candidate(rib, prefix, at)); at = rib->route[at].next) {
		rib_set_absent(rib, &rib->route[at], err != 0);
	}
	if (err) {
		rib_close(rib, prefix);
	}
	return err;
}
