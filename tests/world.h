/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world: a small network as the mirror would have written it, for tests of the data path.
 *
 *   br0 (if 10) 10.0.0.1/24 fd00:0::1/64     p0 p1 p2 (if 1..3, slots 0..2) are its members
 *   p3  (if 4, slot 3) 10.3.0.1/24 fd00:3::1/64
 *   p4  (if 5, slot 4) 10.4.0.1/24 fd00:4::1/64
 *   wg0 (if 6) 10.6.0.1/24, not a port
 *
 * Station n has MAC 02:00:00:00:01:0n. 0, 1 and 2 are in the FDB behind p0, p1 and p2; station 0 is
 * 10.0.0.2, 3 is 10.3.0.2 and 4 is 10.4.0.2 in the neighbour tables (fd00:n::2 likewise).
 */
#ifndef SHUNT_TESTS_WORLD_H
#define SHUNT_TESTS_WORLD_H

#include <assert.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#include "path/parse.h"
#include "table/tables.h"

#define WORLD_PORTS 5u
#define WORLD_BRIDGE 10u
#define WORLD_OTHER 6u

struct world {
	struct tables tables;
	/* Set before world_build(), on top of what every interface has. */
	uint32_t without[WORLD_PORTS]; /* flags taken away, by slot */
	uint32_t with[WORLD_PORTS];    /* and added */
	uint32_t bridge_extra;         /* flags added to br0 */
	uint8_t rp_filter;
	bool kernel_floods;
	uint32_t mtu; /* 0: 1500 */
};

static inline struct mac world_station(unsigned n)
{
	return (struct mac){{2, 0, 0, 0, 1, (uint8_t)n}};
}

/* The port's own MAC, or the bridge's (WORLD_BRIDGE). */
static inline struct mac world_mac(unsigned ifindex)
{
	return (struct mac){{2, 0, 0, 0, 0, (uint8_t)ifindex}};
}

static inline struct ip_addr world_ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct ip_addr){{a, b, c, d}};
}

/* fd00:net::host */
static inline struct ip_addr world_ip6(uint8_t net, uint8_t host)
{
	return (struct ip_addr){{0xfd, 0, 0, net, [15] = host}};
}

static inline void world_route(struct world *w, enum rib_table table, enum ip_family family,
			       struct ip_addr prefix, unsigned len, enum nexthop_action action,
			       const struct hop *hops, unsigned count)
{
	struct rib_route route = {
		.key = {.family = family, .table = table, .len = (uint8_t)len, .prefix = prefix},
		.type = table == RIB_LOCAL ? RTN_LOCAL : RTN_UNICAST,
		.action = action,
		.count = (uint8_t)count};
	int err;

	for (unsigned i = 0; i < count; i++) {
		route.hop[i] = hops[i];
	}
	err = rib_set(w->tables.rib, &route, false);
	assert(!err);
	(void)err;
}

static inline void world_neigh(struct world *w, uint32_t ifindex, enum ip_family family,
			       struct ip_addr addr, struct mac mac, uint16_t nud)
{
	const struct neigh_key key = {.ifindex = ifindex, .family = family, .addr = addr};

	neigh_set(w->tables.neigh, &key, nud & (NUD_FAILED | NUD_INCOMPLETE) ? NULL : &mac, nud);
}

static inline void world_fdb(struct world *w, struct mac mac, uint32_t ifindex, int slot,
			     enum fdb_state state)
{
	const struct fdb_key key = {.bridge = WORLD_BRIDGE, .mac = mac};

	fdb_set(w->tables.fdb, &key, ifindex, (int16_t)slot, state);
}

/* (Re)build the interfaces from the settings. */
static inline void world_topo(struct world *w)
{
	struct topo *topo = topo_create();
	struct topo_if iface = {.mtu = w->mtu ? w->mtu : 1500, .rp_filter = w->rp_filter};
	const struct topo_bridge_conf conf = {.ifindex = WORLD_BRIDGE};
	const struct topo_vlan vlan = {.self = true,
				       .self_untagged = true,
				       .flood_ours = !w->kernel_floods,
				       .ingress = 7,
				       .learn = 7,
				       .egress = 7,
				       .untagged = 7,
				       .flood = 7};
	int bridge;

	iface.mtu6 = iface.mtu;
	for (unsigned slot = 0; slot < WORLD_PORTS; slot++) {
		iface.ifindex = slot + 1;
		iface.kind = TOPO_PORT;
		iface.slot = (int16_t)slot;
		iface.bridge = TOPO_NONE;
		iface.mac = world_mac(iface.ifindex);
		iface.flags = (TOPO_UP | TOPO_L2 | TOPO_L3 | TOPO_LEARNING | TOPO_FORWARD4 |
			       TOPO_FORWARD6 | TOPO_PARTIAL) &
			      ~w->without[slot];
		iface.flags |= w->with[slot];
		snprintf(iface.name, sizeof(iface.name), "p%u", slot);
		topo_add_if(topo, &iface);
	}
	iface.ifindex = WORLD_OTHER;
	iface.kind = TOPO_OTHER;
	iface.slot = TOPO_NONE;
	iface.flags = TOPO_UP | TOPO_FORWARD4 | TOPO_FORWARD6;
	snprintf(iface.name, sizeof(iface.name), "wg0");
	topo_add_if(topo, &iface);
	iface.ifindex = WORLD_BRIDGE;
	iface.kind = TOPO_BRIDGE;
	iface.mac = world_mac(WORLD_BRIDGE);
	iface.flags = TOPO_UP | TOPO_L3 | TOPO_FORWARD4 | TOPO_FORWARD6 | w->bridge_extra;
	snprintf(iface.name, sizeof(iface.name), "br0");
	topo_add_if(topo, &iface);
	bridge = topo_add_bridge(topo, &conf);
	for (uint32_t ifindex = 1; ifindex <= 3; ifindex++) {
		topo_join(topo, ifindex, bridge);
	}
	topo_add_vlan(topo, bridge, &vlan);
	tables_publish_topo(&w->tables, topo);
}

static inline void world_build(struct world *w)
{
	static const struct {
		uint32_t ifindex;
		uint8_t net;
	} nets[] = {{WORLD_BRIDGE, 0}, {4, 3}, {5, 4}, {WORLD_OTHER, 6}};
	const struct tables_limits limits = {.fdb = 1000, .neigh = 1000, .routes = 1000};
	struct hop hop = {.weight = 1};

	tables_create(&w->tables, &limits);
	world_topo(w);
	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++) {
		uint8_t net = nets[i].net;

		hop.ifindex = nets[i].ifindex;
		world_route(w, RIB_LOCAL, IP_V4, world_ip4(10, net, 0, 1), 32, NEXTHOP_LOCAL, NULL,
			    0);
		world_route(w, RIB_LOCAL, IP_V4, world_ip4(10, net, 0, 255), 32, NEXTHOP_LOCAL,
			    NULL, 0);
		world_route(w, RIB_LOCAL, IP_V6, world_ip6(net, 1), 128, NEXTHOP_LOCAL, NULL, 0);
		world_route(w, RIB_MAIN, IP_V4, world_ip4(10, net, 0, 0), 24, NEXTHOP_FORWARD, &hop,
			    1);
		world_route(w, RIB_MAIN, IP_V6, world_ip6(net, 0), 64, NEXTHOP_FORWARD, &hop, 1);
		world_neigh(w, hop.ifindex, IP_V4, world_ip4(10, net, 0, 2), world_station(net),
			    NUD_REACHABLE);
		world_neigh(w, hop.ifindex, IP_V6, world_ip6(net, 2), world_station(net),
			    NUD_STALE);
		world_neigh(w, hop.ifindex, IP_V4, world_ip4(10, net, 0, 9), world_station(9),
			    NUD_FAILED);
	}
	for (unsigned n = 0; n < 3; n++) {
		world_fdb(w, world_station(n), n + 1, (int)n, FDB_DYNAMIC);
		world_fdb(w, world_mac(n + 1), n + 1, (int)n, FDB_LOCAL);
	}
	world_fdb(w, world_mac(WORLD_BRIDGE), WORLD_BRIDGE, TOPO_NONE, FDB_LOCAL);
}

static inline void world_destroy(struct world *w)
{
	tables_destroy(&w->tables);
}

/* Frames ------------------------------------------------------------------------------------- */

/* `size` bytes of UDP payload behind good headers; returns the frame's length. */
static inline unsigned world_udp4(uint8_t *out, struct mac dst, struct mac src, struct ip_addr from,
				  struct ip_addr to, unsigned size)
{
	struct eth *eth = (struct eth *)out;
	struct ipv4 *ip = (struct ipv4 *)(out + ETH_SIZE);
	uint16_t udp[4] = {htons(1000), htons(2000), htons((uint16_t)(8 + size)), 0};

	*eth = (struct eth){.dst = dst, .src = src, .type_be = htons(ETHERTYPE_IPV4)};
	*ip = (struct ipv4){.version_ihl = 0x45,
			    .length_be = htons((uint16_t)(IPV4_SIZE + 8 + size)),
			    .ttl = 64,
			    .proto = PROTO_UDP};
	memcpy(ip->src, from.b, 4);
	memcpy(ip->dst, to.b, 4);
	ip->check = (uint16_t)~checksum_fold(checksum_add(0, ip, IPV4_SIZE));
	memcpy(ip + 1, udp, sizeof(udp));
	memset((uint8_t *)(ip + 1) + 8, 'x', size);
	return ETH_SIZE + IPV4_SIZE + 8 + size;
}

static inline unsigned world_udp6(uint8_t *out, struct mac dst, struct mac src, struct ip_addr from,
				  struct ip_addr to, unsigned size)
{
	struct eth *eth = (struct eth *)out;
	struct ipv6 *ip = (struct ipv6 *)(out + ETH_SIZE);
	uint16_t udp[4] = {htons(1000), htons(2000), htons((uint16_t)(8 + size)), 0x1234};

	*eth = (struct eth){.dst = dst, .src = src, .type_be = htons(ETHERTYPE_IPV6)};
	*ip = (struct ipv6){.version_be = htonl(0x60000000),
			    .length_be = htons((uint16_t)(8 + size)),
			    .next = PROTO_UDP,
			    .hops = 64};
	memcpy(ip->src, from.b, 16);
	memcpy(ip->dst, to.b, 16);
	memcpy(ip + 1, udp, sizeof(udp));
	memset((uint8_t *)(ip + 1) + 8, 'x', size);
	return ETH_SIZE + IPV6_SIZE + 8 + size;
}

#endif
