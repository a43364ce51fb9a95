/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vlan_world: VLANs, as the mirror would have written them, for tests of the data path.
 *
 *   br1 (if 20) filters VLANs; its members, and what they are in (u: untagged, P: PVID):
 *     0  p0 (if 1)       trunk            1 uP, 10, 20
 *     1  p1 (if 2)       access           10 uP
 *     2  p2 (if 3)       access           20 uP
 *     3  p3 (if 4)       trunk, no PVID   10, 20
 *     4  p4.300 (if 34)  VLAN device      10 uP
 *     br1 itself                          1 uP, 10
 *   br1.10 (if 21)       10.10.0.1/24
 *   p5 (if 6) 10.5.0.1/24, p5.100 (if 36) 10.100.0.1/24, p5.100.200 (if 37) 10.200.0.1/24,
 *   p5 and 802.1ad 7 (if 38) 10.7.0.1/24, macvlans on p5 (if 39) and on p5.100 (if 40)
 *   br2 (if 22) does not filter: p6, p7 (if 7, 8); br2.5 (if 23) 10.55.0.1/24
 *
 * Station n is behind member n of br1 in every VLAN that is in, stations 6 and 7 behind p6 and p7;
 * 10.N.0.2 is station 3 on br1.10, station 6 on br2.5, station 5 elsewhere.
 */
#ifndef SHUNT_TESTS_VLAN_WORLD_H
#define SHUNT_TESTS_VLAN_WORLD_H

#include "path/tags.h"
#include "world.h"

enum {
	IF_BR1 = 20,
	IF_BR1_10 = 21,
	IF_BR2 = 22,
	IF_BR2_5 = 23,
	IF_P4_300 = 34,
	IF_P5 = 6,
	IF_P5_100 = 36,
	IF_P5_100_200 = 37,
	IF_P5_AD7 = 38,
	IF_MAC_P5 = 39,
	IF_MAC_P5_100 = 40,
};

struct vlan_world {
	struct world w;
	/* Set before vlan_topo(). */
	uint32_t with[64], without[64]; /* flags, by ifindex */
	uint16_t proto;                 /* of br1; 0: 802.1Q */
	struct topo_vlan vlan[3];       /* 1, 10, 20 */
	bool kernel_floods;
};

#define Q(tci) (TPID_8021Q << 16 | (tci))
#define AD(tci) (TPID_8021AD << 16 | (tci))

static inline void vlan_add(struct vlan_world *v, struct topo *topo, struct topo_if iface,
			    enum topo_kind kind, uint32_t ifindex, uint32_t lower,
			    const uint32_t *tags, unsigned count)
{
	iface.ifindex = ifindex;
	iface.kind = (uint8_t)kind;
	iface.lower = lower;
	iface.mac = world_mac(kind == TOPO_VLAN ? lower : ifindex);
	iface.tag_count = (uint8_t)count;
	for (unsigned i = 0; i < count; i++) {
		iface.tag[i] = (struct topo_tag){htons((uint16_t)(tags[i] >> 16)),
						 htons((uint16_t)tags[i])};
	}
	iface.flags = (TOPO_UP | TOPO_L2 | TOPO_L3 | TOPO_LEARNING | TOPO_FORWARD4 | TOPO_FORWARD6 |
		       v->with[ifindex]) &
		      ~v->without[ifindex];
	assert(topo_add_if(topo, &iface) == 0);
	(void)iface;
}

static inline void vlan_bridges(struct vlan_world *v, struct topo *topo)
{
	static const uint32_t members[] = {1, 2, 3, 4, IF_P4_300};
	static const uint16_t pvid[] = {1, 10, 20, 0, 10};
	const struct topo_bridge_conf conf = {.ifindex = IF_BR1,
					      .filtering = true,
					      .proto_be = htons(v->proto ? v->proto : TPID_8021Q),
					      .pvid_self = 1};
	const struct topo_vlan plain = {.self = true,
					.self_untagged = true,
					.flood_ours = true,
					.ingress = 3,
					.learn = 3,
					.egress = 3,
					.untagged = 3,
					.flood = 3};
	int bridge = topo_add_bridge(topo, &conf);

	for (int i = 0; i < 5; i++) {
		topo_join(topo, members[i], bridge);
		topo_set_pvid(topo, bridge, i, pvid[i]);
	}
	for (int i = 0; i < 3; i++) {
		struct topo_vlan vlan = v->vlan[i];

		vlan.flood_ours = !v->kernel_floods;
		topo_add_vlan(topo, bridge, &vlan);
	}
	bridge = topo_add_bridge(topo, &(struct topo_bridge_conf){.ifindex = IF_BR2});
	topo_join(topo, 7, bridge);
	topo_join(topo, 8, bridge);
	topo_add_vlan(topo, bridge, &plain);
}

static inline void vlan_topo(struct vlan_world *v)
{
	const uint32_t stack[] = {Q(100), Q(200)}, ad7 = AD(7), q10 = Q(10), q5 = Q(5),
		       q300 = Q(300);
	struct topo_if port = {.over = TOPO_NONE, .mtu = 1500, .mtu6 = 1500}, other = port, p4, p5;
	struct topo *topo = topo_create();

	for (uint32_t slot = 0; slot < 8; slot++) {
		port.slot = (int16_t)slot;
		vlan_add(v, topo, port, TOPO_PORT, slot + 1, 0, NULL, 0);
	}
	p4 = p5 = port;
	p4.slot = 4;
	p5.slot = 5;
	vlan_add(v, topo, p4, TOPO_VLAN, IF_P4_300, 5, &q300, 1);
	vlan_add(v, topo, p5, TOPO_VLAN, IF_P5_100, IF_P5, stack, 1);
	vlan_add(v, topo, p5, TOPO_VLAN, IF_P5_100_200, IF_P5_100, stack, 2);
	vlan_add(v, topo, p5, TOPO_VLAN, IF_P5_AD7, IF_P5, &ad7, 1);
	vlan_add(v, topo, p5, TOPO_MACVLAN, IF_MAC_P5, IF_P5, NULL, 0);
	vlan_add(v, topo, p5, TOPO_MACVLAN, IF_MAC_P5_100, IF_P5_100, stack, 1);
	other.slot = TOPO_NONE;
	vlan_add(v, topo, other, TOPO_BRIDGE, IF_BR1, 0, NULL, 0);
	vlan_add(v, topo, other, TOPO_BRIDGE, IF_BR2, 0, NULL, 0);
	other.over = 0;
	vlan_add(v, topo, other, TOPO_VLAN, IF_BR1_10, IF_BR1, &q10, 1);
	other.over = 1;
	vlan_add(v, topo, other, TOPO_VLAN, IF_BR2_5, IF_BR2, &q5, 1);
	vlan_bridges(v, topo);
	tables_publish_topo(&v->w.tables, topo);
}

static inline void vlan_fdb(struct vlan_world *v, uint32_t bridge, uint16_t vlan, struct mac mac,
			    uint32_t ifindex, enum fdb_state state)
{
	const struct fdb_key key = {.bridge = bridge, .vlan = vlan, .mac = mac};

	fdb_set(v->w.tables.fdb, &key, ifindex, TOPO_NONE, state);
}

static inline void vlan_stations(struct vlan_world *v)
{
	static const struct {
		uint16_t vlan, station;
		uint32_t ifindex;
	} known[] = {{1, 0, 1},   {10, 0, 1}, {10, 1, 2}, {10, 3, 4},
		     {10, 4, 34}, {20, 0, 1}, {20, 2, 3}, {20, 3, 4}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		vlan_fdb(v, IF_BR1, known[i].vlan, world_station(known[i].station),
			 known[i].ifindex, FDB_DYNAMIC);
	}
	vlan_fdb(v, IF_BR1, 1, world_mac(IF_BR1), IF_BR1, FDB_LOCAL);
	vlan_fdb(v, IF_BR1, 10, world_mac(IF_BR1), IF_BR1, FDB_LOCAL);
	vlan_fdb(v, IF_BR2, 0, world_mac(IF_BR2), IF_BR2, FDB_LOCAL);
	vlan_fdb(v, IF_BR2, 0, world_station(6), 7, FDB_DYNAMIC);
	vlan_fdb(v, IF_BR2, 0, world_station(7), 8, FDB_DYNAMIC);
}

static inline void vlan_build(struct vlan_world *v)
{
	static const struct {
		uint32_t ifindex;
		uint8_t net, station;
	} nets[] = {{IF_BR1_10, 10, 3},      {IF_P5, 5, 5},     {IF_P5_100, 100, 5},
		    {IF_P5_100_200, 200, 5}, {IF_P5_AD7, 7, 5}, {IF_BR2_5, 55, 6},
		    {IF_BR1, 11, 0}};
	const struct tables_limits limits = {.fdb = 1000, .neigh = 1000, .routes = 1000};
	const struct topo_vlan vlans[3] = {
		{.vid = 1, .self = true, .self_untagged = true, .ingress = 1, .untagged = 1},
		{.vid = 10, .self = true, .ingress = 0x1b, .untagged = 0x12},
		{.vid = 20, .ingress = 0x0d, .untagged = 0x04}};

	memset(v, 0, sizeof(*v));
	for (int i = 0; i < 3; i++) {
		v->vlan[i] = vlans[i];
		v->vlan[i].learn = v->vlan[i].egress = v->vlan[i].flood = vlans[i].ingress;
	}
	tables_create(&v->w.tables, &limits);
	vlan_topo(v);
	vlan_stations(v);
	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++) {
		const struct hop hop = {.ifindex = nets[i].ifindex, .weight = 1};
		uint8_t net = nets[i].net;

		world_route(&v->w, RIB_LOCAL, IP_V4, world_ip4(10, net, 0, 1), 32, NEXTHOP_LOCAL,
			    NULL, 0);
		world_route(&v->w, RIB_MAIN, IP_V4, world_ip4(10, net, 0, 0), 24, NEXTHOP_FORWARD,
			    &hop, 1);
		world_neigh(&v->w, hop.ifindex, IP_V4, world_ip4(10, net, 0, 2),
			    world_station(nets[i].station), NUD_REACHABLE);
	}
}

/* A UDP frame with tags (Q(), AD()), outermost first, at `out`. Returns its length. */
static inline unsigned vlan_frame(uint8_t *out, const uint32_t *tags, unsigned count,
				  struct mac dst, struct mac src, struct ip_addr from,
				  struct ip_addr to)
{
	unsigned len = world_udp4(out + count * TAG_SIZE, dst, src, from, to, 18);

	memmove(out, out + count * TAG_SIZE, 2 * MAC_SIZE);
	for (unsigned i = 0; i < count; i++) {
		const uint32_t tag_be = htonl(tags[i]);

		memcpy(out + 2 * MAC_SIZE + i * TAG_SIZE, &tag_be, sizeof(tag_be));
	}
	return len + count * TAG_SIZE;
}

#endif
