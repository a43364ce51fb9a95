/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any netlink messages, in any order, through the mirror into the tables: after each input the
 * tables must still be what their headers promise, asked the slow way.  No socket and no kernel:
 * messages are handed to mirror_message(), a resync is its marks and sweeps, the guard is a fake
 * below.
 *
 * The tables live through all inputs, and a resync that is told nothing empties them after each:
 * what stays behind was lost track of.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grammar.h"
#include "judge.h"
#include "netlink/compare.h"

#define PORTS 3u
#define ROUTES_MAX 48u
#define MACS_MAX 12u
#define NEIGHS_MAX 10u
#define MESSAGES_MAX 24u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tables tables;
static struct mirror *mirror;
static unsigned told_locals;

/* The guard: nothing is in the way. ---------------------------------------------------------- */

int guard_open(struct guard **out, bool netfilter_bypass)
{
	*out = NULL;
	return 0;
}

void guard_close(struct guard *guard)
{
}

int guard_fd(const struct guard *guard)
{
	return -1;
}

bool guard_read(struct guard *guard)
{
	return false;
}

bool guard_poll(struct guard *guard)
{
	return false;
}

bool guard_watch(struct guard *guard, const struct guard_device *devices, unsigned count)
{
	return false;
}

const char *guard_routing(const struct guard *guard)
{
	return NULL;
}

const char *guard_bridging(const struct guard *guard)
{
	return NULL;
}

const char *guard_bridge_routing(const struct guard *guard)
{
	return NULL;
}

const char *guard_device(const struct guard *guard, uint32_t ifindex)
{
	return NULL;
}

bool guard_fragments(const struct guard *guard)
{
	return false;
}

bool guard_bridge_fragments(const struct guard *guard)
{
	return false;
}

bool guard_bridge_netfilter(const struct guard *guard)
{
	return false;
}

/* The routes. ------------------------------------------------------------------------------- */

struct routes {
	struct rib_route route[ROUTES_MAX * 2];
	unsigned count, of_family[IP_FAMILIES];
};

static void list_route(const struct rib_route *route, void *arg)
{
	struct routes *routes = arg;

	require(routes->count < ROUTES_MAX * 2, "more routes than the limit and a quarter");
	require(route->count <= NEXTHOP_HOPS_MAX, "hops");
	require(rib_agrees(tables.rib, &route->key), "a prefix's fib entry is not its choice");
	routes->of_family[route->key.family]++;
	routes->route[routes->count++] = *route;
}

static bool covers(const struct rib_key *key, const uint8_t *addr)
{
	for (unsigned bit = 0; bit < key->len; bit++) {
		if ((key->prefix.b[bit / 8] ^ addr[bit / 8]) & 0x80 >> bit % 8) {
			return false;
		}
	}
	return true;
}

static bool has_hop(const struct rib_route *route, const struct hop *hop)
{
	for (unsigned i = 0; i < route->count; i++) {
		if (memcmp(&route->hop[i], hop, sizeof(*hop)) == 0) {
			return true;
		}
	}
	return false;
}

/* What the fib says for the address, against the longest of all routes and its lowest metric. */
static void check_address(const struct routes *routes, enum ip_family family, unsigned table,
			  const uint8_t *addr)
{
	const struct fib *fib = rib_fib(tables.rib, family, table);
	uint32_t value = fib != NULL ? fib_lookup(fib, addr) : 0;
	const struct rib_route *best = NULL;
	const struct nexthop *set;

	if (fib != NULL && fib_closed(fib, &(struct ip_addr){.b = {addr[0], addr[1]}})) {
		require(nexthops_at(rib_nexthops(tables.rib), value)->action == NEXTHOP_KERNEL,
			"a closed fib is not the kernel's");
		return;
	}
	for (unsigned i = 0; i < routes->count; i++) {
		const struct rib_route *route = &routes->route[i];

		if (route->key.family == family && route->key.table == table &&
		    covers(&route->key, addr) &&
		    (best == NULL || route->key.len > best->key.len ||
		     (route->key.len == best->key.len && route->key.metric < best->key.metric))) {
			best = route;
		}
	}
	if (rib_table_unknown(tables.rib, family, table)) {
		return;
	}
	require((value == 0) == (best == NULL), "a route without a fib entry, or the reverse");
	if (best == NULL) {
		return;
	}
	set = nexthops_at(rib_nexthops(tables.rib), value);
	require(set != NULL, "a fib entry leads nowhere");
	/* By dead devices alone a route leads nowhere that we know. */
	require(set->action == best->action ||
			(best->action == NEXTHOP_FORWARD && set->action == NEXTHOP_KERNEL),
		"not the longest route's action");
	for (unsigned i = 0; set->action == NEXTHOP_FORWARD && i < set->count; i++) {
		require(has_hop(best, &set->hop[i]), "not the longest route's hops");
	}
}

static void check_routes(void)
{
	static struct routes routes;
	uint8_t addr[16];

	routes.count = 0;
	memset(routes.of_family, 0, sizeof(routes.of_family));
	rib_each(tables.rib, list_route, &routes);
	for (unsigned family = IP_V4; family < IP_FAMILIES; family++) {
		require(rib_count(tables.rib, family) == routes.of_family[family], "route count");
		for (unsigned i = 0; grammar_address(i, family == IP_V6, addr); i++) {
			check_address(&routes, family, RIB_MAIN, addr);
			check_address(&routes, family, RIB_LOCAL, addr);
			check_address(&routes, family, GRAMMAR_TABLE, addr);
		}
	}
	require(nexthops_count(rib_nexthops(tables.rib)) <= routes.count + 1 + GRAMMAR_OBJECTS,
		"more sets of hops than routes and objects");
}

/* The rest. --------------------------------------------------------------------------------- */

static void check_neigh(const struct neigh_entry *entry, void *arg)
{
	static const struct mac none;

	++*(size_t *)arg;
	require(neigh_find(tables.neigh, &entry->key) == entry, "a neighbour is not found");
	require(!entry->usable || (entry->nud & (NUD_FAILED | NUD_INCOMPLETE)) != entry->nud,
		"an unresolved neighbour is usable");
	require(entry->usable || entry->nud || mac_equal(&entry->lladdr, &none), "neighbour");
}

static void check_mac(const struct fdb_entry *entry, void *arg)
{
	++*(size_t *)arg;
	require(fdb_find(tables.fdb, &entry->key) == entry, "a MAC is not found");
	require(entry->key.bridge != 0 && entry->state <= FDB_LOCKED, "FDB entry");
	require(entry->slot >= TOPO_NONE && entry->slot < (int)PORTS, "FDB entry's slot");
}

static void check_locals(void)
{
	unsigned addresses = 0;

	for (unsigned i = 0; i < LOCAL_BUCKETS; i++) {
		for (const struct local *at = mirror->local[i]; at != NULL; at = at->next) {
			bool first = true;

			for (const struct local *other = mirror->local[i]; other != at;
			     other = other->next) {
				if (other->family == at->family &&
				    ip_equal(&other->addr, &at->addr)) {
					first = false;
					require(other->source != at->source ||
							other->ifindex != at->ifindex,
						"a local address twice from one source");
				}
			}
			addresses += first;
		}
	}
	require(addresses == told_locals, "local addresses told and held");
}

static void check_topo(void)
{
	const struct topo *topo;
	const struct topo_if *iface;

	judge_publish(mirror);
	topo = tables_topo(&tables);
	for (size_t i = 0; (iface = topo_if_at(topo, i)) != NULL; i++) {
		const struct topo_bridge *bridge = iface->bridge == TOPO_NONE
							   ? NULL
							   : topo_bridge(topo, iface->bridge);

		require(topo_if(topo, iface->ifindex) == iface, "an interface is not found");
		require(iface->slot < (int)PORTS, "slot");
		/* What is above a port has its slot too. */
		require(iface->kind != TOPO_PORT || topo_port(topo, (unsigned)iface->slot) == iface,
			"a port is not its slot's");
		require(iface->bridge == TOPO_NONE || bridge != NULL, "a bridge that is not there");
		require(bridge == NULL || bridge->member_count <= TOPO_MEMBERS_MAX, "members");
	}
	for (size_t i = 1; i < mirror->link_count; i++) {
		require(mirror->link[i - 1].ifindex < mirror->link[i].ifindex, "order of links");
	}
}

static void differs(void *arg, uint64_t key, const struct mirror_difference *difference)
{
	fprintf(stderr, "%s %s %s: %s\n", difference->kind, difference->what, difference->object,
		difference->table);
	require(false, "a mirror differs from itself");
}

static void check(void)
{
	struct compare compare = {.from = mirror, .to = mirror, .live = true, .differs = differs};
	size_t count = 0;

	check_routes();
	neigh_each(tables.neigh, check_neigh, &count);
	require(count == neigh_count(tables.neigh) && count <= NEIGHS_MAX, "neighbour count");
	count = 0;
	fdb_each(tables.fdb, check_mac, &count);
	require(count == fdb_count(tables.fdb) && count <= MACS_MAX, "MAC count");
	check_locals();
	check_topo();
	while (compare_slice(&compare)) {
	}
}

/* Driving it. ------------------------------------------------------------------------------- */

static void on_local(void *arg, enum ip_family family, const struct ip_addr *addr, bool added)
{
	told_locals += added ? 1u : -1u;
}

static void open_mirror(void)
{
	const struct tables_limits limits = {
		.fdb = MACS_MAX, .neigh = NEIGHS_MAX, .routes = ROUTES_MAX};

	mirror = calloc(1, sizeof(*mirror));
	if (mirror == NULL || tables_create(&tables, &limits) != 0) {
		abort();
	}
	mirror->tables = &tables;
	mirror->epoll_fd = mirror->timer_fd = mirror->work_fd = -1;
	mirror->sync.running = SYNC_NONE;
	mirror->ops.local = on_local;
	for (unsigned i = 0; i < FULL_TABLES; i++) {
		mirror->full_told[i] = ""; /* they are, all the time */
	}
	mirror->slot_count = PORTS;
	for (unsigned slot = 0; slot < PORTS; slot++) {
		snprintf(mirror->slot[slot].name, SHUNT_IFNAME_SIZE, "p%u", slot);
		mirror->slot[slot].bound = true;
	}
}

/* A resync of a kind: what is not told until its end goes. */
static void resync_begin(enum sync_kind kind)
{
	mirror->sync.running = kind;
	sync_mark(mirror, kind);
}

static void resync_end(enum sync_kind kind)
{
	mirror->sync.cursor = 0;
	while (sync_sweep(mirror, kind, true)) {
	}
	mirror->sync.running = SYNC_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed feed = feed_of(data, size);
	unsigned kind, from, to, count;

	if (mirror == NULL) {
		open_mirror();
	}
	count = feed_byte(&feed) % MESSAGES_MAX;
	kind = feed_byte(&feed) % SYNC_KINDS;
	from = feed_byte(&feed) % 16;
	to = from + feed_byte(&feed) % 8;
	for (unsigned i = 0; i < count; i++) {
		struct nlmsghdr *message = grammar_message(&feed);

		if (i == from) {
			resync_begin(kind);
		}
		mirror_message(message, mirror);
		compare_key(message, &mirror->route);
		free(message);
		if (i == to) {
			resync_end(kind);
		}
	}
	check();
	for (unsigned i = 0; i < GRAMMAR_OBJECTS; i++) {
		mirror_message(grammar_object_gone(i), mirror);
	}
	for (kind = 0; kind < SYNC_KINDS; kind++) {
		resync_begin(kind);
		resync_end(kind);
	}
	check();
	require(rib_count(tables.rib, IP_V4) + rib_count(tables.rib, IP_V6) == 0 &&
			neigh_count(tables.neigh) == 0 && fdb_count(tables.fdb) == 0 &&
			nexthops_count(rib_nexthops(tables.rib)) == 1 && told_locals == 0,
		"something is left after a resync that was told nothing");
	return 0;
}
