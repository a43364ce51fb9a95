/* SPDX-License-Identifier: BSD-2-Clause */
#include "maze.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#define IFINDEX_PORT 1u    /* + slot */
#define IFINDEX_BRIDGE 20u /* + bridge */
#define IFINDEX_OTHER 30u  /* no port of ours */

static unsigned worn; /* MAZE_*, what is worn now */

static void must(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "maze: %s: %d\n", what, result);
		abort();
	}
}

static struct mac make_mac(uint8_t kind, uint8_t a, uint8_t b)
{
	return (struct mac){{0x02, 0x00, 0x5e, kind, a, b}};
}

struct mac maze_port_mac(unsigned slot)
{
	return make_mac(1, 0, (uint8_t)slot);
}

struct mac maze_bridge_mac(unsigned bridge)
{
	return make_mac(2, 0, (uint8_t)bridge);
}

struct mac maze_host_mac(unsigned net, unsigned host)
{
	return make_mac(3, (uint8_t)net, (uint8_t)host);
}

int maze_bridge_of(unsigned slot)
{
	static const int bridge[MAZE_PORTS] = {0, 0, 0, -1, -1, 1, 1, 2};

	return bridge[slot];
}

struct mac maze_router_mac(unsigned slot)
{
	int bridge = maze_bridge_of(slot);

	return bridge < 0 ? maze_port_mac(slot) : maze_bridge_mac((unsigned)bridge);
}

int maze_host_slot(const struct mac *mac)
{
	static const int first[MAZE_NETS] = {0, -1, -1, 5, 7}, last[MAZE_NETS] = {2, -1, -1, 6, 7};
	bool moved = worn & MAZE_FDB;

	for (unsigned net = 0; net < MAZE_NETS; net++) {
		for (unsigned host = 2; host < 5; host++) {
			struct mac known = maze_host_mac(net, host);

			if (mac_equal(mac, &known)) {
				return host == 4 && !moved ? last[net] : first[net];
			}
		}
	}
	return -1;
}

/* The interface with the network's address. */
static uint32_t net_ifindex(unsigned net)
{
	static const uint32_t ifindex[MAZE_NETS] = {IFINDEX_BRIDGE, IFINDEX_PORT + 3,
						    IFINDEX_PORT + 4, IFINDEX_BRIDGE + 1,
						    IFINDEX_BRIDGE + 2};

	return ifindex[net];
}

static struct ip_addr address(enum ip_family family, unsigned net, unsigned host)
{
	if (family == IP_V4) {
		return (struct ip_addr){{10, (uint8_t)net, 0, (uint8_t)host}};
	}
	return (struct ip_addr){{0x20, 0x01, 0x0d, 0xb8, 0, (uint8_t)net, [15] = (uint8_t)host}};
}

#define ALL_FLAGS (TOPO_UP | TOPO_L2 | TOPO_L3 | TOPO_LEARNING | TOPO_FORWARD4 | TOPO_FORWARD6)

static void build_ports(struct topo *topo)
{
	const uint32_t worn_away[MAZE_PORTS] = {
		[2] = TOPO_UP, [3] = TOPO_FORWARD4, [4] = TOPO_FORWARD6, [5] = TOPO_L2};
	struct topo_if iface;

	for (unsigned slot = 0; slot < MAZE_PORTS; slot++) {
		iface = (struct topo_if){.ifindex = IFINDEX_PORT + slot,
					 .kind = TOPO_PORT,
					 .flags = ALL_FLAGS,
					 .slot = (int16_t)slot,
					 .bridge = TOPO_NONE,
					 .mac = maze_port_mac(slot),
					 .mtu = slot == 4 ? 1280 : 1500};
		iface.mtu6 = iface.mtu;
		iface.rp_filter = slot == 3 ? 1 : slot == 4 ? 2 : 0;
		if (slot >= 4 && slot <= 6) {
			iface.flags |= TOPO_PARTIAL;
		}
		if (worn & MAZE_LINKS) {
			iface.flags &= ~worn_away[slot];
			iface.flags |= slot == 4 || slot == 6 ? TOPO_FRAGMENTS : 0;
		}
		snprintf(iface.name, sizeof(iface.name), "port%u", slot);
		must(topo_add_if(topo, &iface), "port");
	}
}

static void build_bridges(struct topo *topo)
{
	const uint64_t members[MAZE_BRIDGES] = {0x07, 0x60, 0x80};
	struct topo_if iface;

	for (unsigned bridge = 0; bridge < MAZE_BRIDGES; bridge++) {
		struct topo_bridge_conf conf = {.ifindex = IFINDEX_BRIDGE + bridge};
		struct topo_vlan vlan = {.self = true, .self_untagged = true};
		int index;

		iface = (struct topo_if){.ifindex = IFINDEX_BRIDGE + bridge,
					 .kind = TOPO_BRIDGE,
					 .flags = ALL_FLAGS | (bridge == 1 ? TOPO_BR_NF : 0),
					 .slot = TOPO_NONE,
					 .bridge = TOPO_NONE,
					 .mac = maze_bridge_mac(bridge),
					 .mtu = 1500,
					 .mtu6 = 1500};
		if (bridge != 1 && worn & MAZE_LINKS) {
			iface.flags |= TOPO_FRAGMENTS;
		}
		if (bridge == 2) {
			iface.flags &= (uint32_t)~TOPO_L3;
		}
		snprintf(iface.name, sizeof(iface.name), "br%u", bridge);
		must(topo_add_if(topo, &iface), "bridge");
		index = topo_add_bridge(topo, &conf);
		must(index, "bridge");
		for (unsigned slot = 0; slot < MAZE_PORTS; slot++) {
			if (members[bridge] >> slot & 1) {
				must(topo_join(topo, IFINDEX_PORT + slot, index), "member");
			}
		}
		vlan.flood_ours = bridge != 2 || (worn & MAZE_LINKS);
		vlan.ingress = (1ull << __builtin_popcountll(members[bridge])) - 1;
		vlan.learn = vlan.egress = vlan.untagged = vlan.flood = vlan.ingress;
		must(topo_add_vlan(topo, index, &vlan), "vlan");
	}
}

static void build_links(struct tables *tables)
{
	struct topo *topo = topo_create();
	const struct topo_if other = {.ifindex = IFINDEX_OTHER,
				      .kind = TOPO_OTHER,
				      .flags = TOPO_UP | TOPO_FORWARD4 | TOPO_FORWARD6,
				      .slot = TOPO_NONE,
				      .bridge = TOPO_NONE,
				      .mac = make_mac(4, 0, 0),
				      .mtu = 1500,
				      .mtu6 = 1500,
				      .name = "other"};

	if (!topo) {
		abort();
	}
	build_ports(topo);
	must(topo_add_if(topo, &other), "other");
	build_bridges(topo);
	tables_publish_topo(tables, topo);
}

static void build_locals(struct tables *tables)
{
	for (unsigned slot = 0; slot < MAZE_PORTS; slot++) {
		int bridge = maze_bridge_of(slot);
		struct fdb_key key = {.mac = maze_port_mac(slot)};

		if (bridge < 0) {
			continue;
		}
		key.bridge = IFINDEX_BRIDGE + (unsigned)bridge;
		must(fdb_set(tables->fdb, &key, IFINDEX_PORT + slot, (int16_t)slot, FDB_LOCAL),
		     "fdb");
		key.mac = maze_bridge_mac((unsigned)bridge);
		must(fdb_set(tables->fdb, &key, key.bridge, TOPO_NONE, FDB_LOCAL), "fdb");
	}
}

static void build_stations(struct tables *tables)
{
	for (unsigned net = 0; net < MAZE_NETS; net++) {
		for (unsigned host = 2; host < 5; host++) {
			struct fdb_key key = {.mac = maze_host_mac(net, host)};
			int slot = maze_host_slot(&key.mac);

			if (slot < 0) {
				continue;
			}
			key.bridge = IFINDEX_BRIDGE + (unsigned)maze_bridge_of((unsigned)slot);
			must(fdb_set(tables->fdb, &key, IFINDEX_PORT + (unsigned)slot,
				     (int16_t)slot, FDB_DYNAMIC),
			     "fdb");
		}
	}
}

static void add_route(struct tables *tables, enum ip_family family, enum rib_table table,
		      struct ip_addr prefix, unsigned len, enum nexthop_action action,
		      const struct hop *hops, unsigned count)
{
	struct rib_route *route = calloc(1, sizeof(*route));

	if (!route) {
		abort();
	}
	route->key.family = (uint8_t)family;
	route->key.table = table;
	route->key.len = (uint8_t)len;
	route->key.prefix = prefix;
	route->type = action == NEXTHOP_LOCAL ? RTN_LOCAL : RTN_UNICAST;
	route->action = (uint8_t)action;
	route->count = (uint8_t)count;
	route->origin = 1;
	for (unsigned i = 0; i < count; i++) {
		route->hop[i] = hops[i];
	}
	must(rib_set(tables->rib, route, RIB_REPLACE), "route");
	free(route);
}

static struct hop via(enum ip_family family, unsigned net, unsigned host, uint16_t weight)
{
	return (struct hop){.ifindex = net_ifindex(net),
			    .via_family = (uint8_t)family,
			    .has_via = 1,
			    .weight = weight,
			    .via = address(family, net, host)};
}

/* Beyond the connected networks: 21 the kernel's, 22 by no port of ours, 23 (IPv4)
 * through an IPv6 neighbour, 24 by a neighbour that is not resolved, the rest of IPv4
 * by default. */
static void build_routes(struct tables *tables, enum ip_family family)
{
	unsigned net_len = family == IP_V4 ? 24 : 64, host_len = ip_bits(family);
	unsigned far_len = family == IP_V4 ? 16 : 48;
	struct hop other = {.ifindex = IFINDEX_OTHER, .weight = 1}, hop;

	for (unsigned net = 0; net < MAZE_NETS; net++) {
		hop = (struct hop){.ifindex = net_ifindex(net), .weight = 1};
		add_route(tables, family, RIB_MAIN, address(family, net, 0), net_len,
			  NEXTHOP_FORWARD, &hop, 1);
		add_route(tables, family, RIB_LOCAL, address(family, net, 1), host_len,
			  NEXTHOP_LOCAL, NULL, 0);
	}
	if (family == IP_V4) {
		add_route(tables, family, RIB_LOCAL, address(family, 0, 255), host_len,
			  NEXTHOP_LOCAL, NULL, 0);
	}
	add_route(tables, family, RIB_MAIN, address(family, 21, 0), far_len, NEXTHOP_KERNEL, NULL,
		  0);
	add_route(tables, family, RIB_MAIN, address(family, 22, 0), far_len, NEXTHOP_FORWARD,
		  &other, 1);
	hop = via(IP_V6, 2, 4, 1);
	add_route(tables, family, RIB_MAIN, address(family, 23, 0), far_len, NEXTHOP_FORWARD, &hop,
		  1);
	hop = via(family, 1, 3, 1);
	add_route(tables, family, RIB_MAIN, address(family, 24, 0), far_len, NEXTHOP_FORWARD, &hop,
		  1);
	if (family == IP_V4) {
		hop = via(family, 0, 4, 1);
		add_route(tables, family, RIB_MAIN, (struct ip_addr){{0}}, 0, NEXTHOP_FORWARD, &hop,
			  1);
	}
}

/* By two ways, until it is worn. */
static void build_two_ways(struct tables *tables, enum ip_family family)
{
	struct hop two[] = {via(family, 1, 2, 3), via(family, 2, 2, 1)};
	bool whole = !(worn & MAZE_ROUTES);

	add_route(tables, family, RIB_MAIN, address(family, 20, 0), family == IP_V4 ? 16 : 48,
		  whole ? NEXTHOP_FORWARD : NEXTHOP_KERNEL, two, whole ? 2 : 0);
}

bool maze_resolved(unsigned host)
{
	return host == 1 || host == 4 || (host == 2 && !(worn & MAZE_NEIGH));
}

static void build_neighbours(struct tables *tables, enum ip_family family)
{
	for (unsigned net = 0; net < MAZE_NETS; net++) {
		for (unsigned host = 1; host < 5; host++) {
			struct neigh_key key = {.ifindex = net_ifindex(net),
						.family = (uint32_t)family,
						.addr = address(family, net, host)};
			/* .1 is ours: that it could be resolved must not matter. */
			struct mac mac = maze_host_mac(net, host == 1 ? 4 : host);

			must(neigh_set(tables->neigh, &key, maze_resolved(host) ? &mac : NULL,
				       maze_resolved(host) ? NUD_STALE : NUD_FAILED),
			     "neighbour");
		}
	}
}

void maze_build(struct tables *tables)
{
	const struct tables_limits limits = {.fdb = 1024, .neigh = 1024, .routes = 1024};

	must(tables_create(tables, &limits), "tables");
	build_links(tables);
	build_locals(tables);
	build_stations(tables);
	for (int family = 0; family < IP_FAMILIES; family++) {
		build_routes(tables, family);
		build_two_ways(tables, family);
		build_neighbours(tables, family);
	}
}

void maze_wear(struct tables *tables, unsigned what)
{
	unsigned changed = worn ^ what;

	worn = what;
	if (changed & MAZE_LINKS) {
		build_links(tables);
	}
	if (changed & MAZE_FDB) {
		build_stations(tables);
	}
	for (int family = 0; family < IP_FAMILIES; family++) {
		if (changed & MAZE_NEIGH) {
			build_neighbours(tables, family);
		}
		if (changed & MAZE_ROUTES) {
			build_two_ways(tables, family);
		}
	}
}

unsigned maze_worn(void)
{
	return worn;
}
