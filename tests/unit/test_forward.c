/* SPDX-License-Identifier: BSD-2-Clause */
/* forward: every verdict there is, and what a sent frame looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <urcu-qsbr.h>

#include "path/forward.h"
#include "world.h"

static struct world world;
static uint8_t bytes[2048];
static struct xsk_frame frame;
static struct path path;

/* A UDP frame of 18 bytes payload (64 on the wire) that came in by `slot`. */
static struct verdict run(unsigned slot)
{
	struct verdict verdict;

	path_begin(&path, &world.tables, 1);
	forward(&path, topo_port(path.topo, slot), &frame, 1, &verdict);
	return verdict;
}

static void l2(struct mac dst, struct mac src)
{
	frame = (struct xsk_frame){.data = bytes};
	frame.len = world_udp4(bytes, dst, src, world_ip4(10, 0, 0, 2), world_ip4(10, 0, 0, 3), 18);
}

/* From station 3 behind p3, for the router. */
static void l3(struct ip_addr from, struct ip_addr to)
{
	frame = (struct xsk_frame){.data = bytes};
	frame.len = world_udp4(bytes, world_mac(4), world_station(3), from, to, 18);
}

static void l3_6(struct ip_addr from, struct ip_addr to)
{
	frame = (struct xsk_frame){.data = bytes};
	frame.len = world_udp6(bytes, world_mac(4), world_station(3), from, to, 18);
}

static struct ipv4 *ip4(void)
{
	return (struct ipv4 *)(bytes + ETH_SIZE);
}

static struct ipv6 *ip6(void)
{
	return (struct ipv6 *)(bytes + ETH_SIZE);
}

static void mend_checksum(void)
{
	ip4()->check = 0;
	ip4()->check = (uint16_t)~checksum_fold(checksum_add(0, ip4(), IPV4_SIZE));
}

#define assert_tx(got, to)                             \
	do {                                           \
		struct verdict v_ = (got);             \
		assert_int_equal(v_.kind, VERDICT_TX); \
		assert_int_equal(v_.slot, (to));       \
	} while (0)
#define assert_punt(got, why)                            \
	do {                                             \
		struct verdict v_ = (got);               \
		assert_int_equal(v_.kind, VERDICT_PUNT); \
		assert_int_equal(v_.reason, (why));      \
	} while (0)
#define assert_drop(got, why)                            \
	do {                                             \
		struct verdict v_ = (got);               \
		assert_int_equal(v_.kind, VERDICT_DROP); \
		assert_int_equal(v_.reason, (why));      \
	} while (0)

static int setup(void **state)
{
	memset(&world, 0, sizeof(world));
	memset(&path, 0, sizeof(path)); /* remembers another test's world */
	world_build(&world);
	return 0;
}

static int teardown(void **state)
{
	world_destroy(&world);
	return 0;
}

/* Bridged ------------------------------------------------------------------------------------ */

static void known_mac_goes_to_its_port_unchanged(void **state)
{
	uint8_t before[128];

	l2(world_station(1), world_station(0));
	memcpy(before, bytes, sizeof(before));
	assert_tx(run(0), 1);
	assert_memory_equal(bytes, before, sizeof(before));
}

static void known_source_is_touched_and_not_learnt_again(void **state)
{
	const struct fdb_key key = {.bridge = WORLD_BRIDGE, .mac = world_station(0)};

	l2(world_station(1), world_station(0));
	run(0);
	assert_int_equal(path.learn_count, 0);
	assert_int_equal(fdb_find(world.tables.fdb, &key)->used_s, 1);
}

static void new_and_moved_sources_are_learnt(void **state)
{
	l2(world_station(1), world_station(7));
	run(0);
	assert_int_equal(path.learn_count, 1);
	assert_int_equal(path.learn[0].mac.b[5], 7);
	l2(world_station(1), world_station(0));
	run(2);
	assert_int_equal(path.learn_count, 1);
	world.without[0] = TOPO_LEARNING;
	world_topo(&world);
	l2(world_station(1), world_station(7));
	run(0);
	assert_int_equal(path.learn_count, 0);
}

static void unknown_unicast_is_flooded_to_all_but_its_port(void **state)
{
	struct verdict verdict;

	l2(world_station(7), world_station(1));
	verdict = run(1);
	assert_int_equal(verdict.kind, VERDICT_FLOOD);
	assert_int_equal(path.flood[verdict.slot].count, 1);
	assert_int_equal(path.flood[verdict.slot].group[0].slots, 5);
	assert_int_equal(path.flood[verdict.slot].group[0].form, 0);
}

static void the_kernel_floods_when_we_cannot_reach_every_target(void **state)
{
	world.kernel_floods = true;
	world_topo(&world);
	l2(world_station(7), world_station(1));
	assert_punt(run(1), PUNT_FLOOD);
	world.kernel_floods = false;
	world.without[2] = TOPO_UP; /* went down after the flood set was made */
	world_topo(&world);
	assert_punt(run(1), PUNT_FLOOD);
}

static void hairpin_is_dropped(void **state)
{
	world_fdb(&world, world_station(6), 1, 0, FDB_DYNAMIC);
	l2(world_station(6), world_station(0));
	assert_drop(run(0), DROP_SAME_PORT);
}

static void local_and_foreign_members_are_the_kernels(void **state)
{
	l2(world_mac(2), world_station(0));
	assert_punt(run(0), PUNT_LOCAL);
	world_fdb(&world, world_station(6), WORLD_OTHER, TOPO_NONE, FDB_DYNAMIC);
	l2(world_station(6), world_station(0));
	assert_punt(run(0), PUNT_NOT_FAST);
	world.without[1] = TOPO_L2;
	world_topo(&world);
	l2(world_station(1), world_station(0));
	assert_punt(run(0), PUNT_NOT_FAST);
	assert_punt(run(1), PUNT_FORWARDING);
}

static void an_entry_of_an_earlier_interface_is_not_followed(void **state)
{
	/* p1 was unplugged and came back with another ifindex: the entry still has the old one */
	world_fdb(&world, world_station(1), 99, 1, FDB_DYNAMIC);
	l2(world_station(1), world_station(0));
	assert_punt(run(0), PUNT_NOT_FAST);
}

static void bridged_frames_over_the_mtu_are_the_kernels_to_drop(void **state)
{
	l2(world_station(1), world_station(0));
	frame.len = 1518;
	assert_tx(run(0), 1);
	frame.len = 1519;
	assert_punt(run(0), PUNT_TOO_BIG);
}

static void bad_sources_are_the_kernels(void **state)
{
	struct mac multicast = {{3}}, zero = {{0}};

	l2(world_station(1), multicast);
	assert_punt(run(0), PUNT_BAD_SOURCE);
	l2(world_station(1), zero);
	assert_punt(run(0), PUNT_BAD_SOURCE);
	l2(world_station(1), world_mac(WORLD_BRIDGE));
	assert_punt(run(0), PUNT_BAD_SOURCE);
	l2(world_station(1), world_station(1)); /* moved, to itself */
	assert_punt(run(0), PUNT_BAD_SOURCE);
}

static void multicast_is_the_kernels(void **state)
{
	l2((struct mac){{1, 0, 0x5e, 0, 0, 1}}, world_station(0));
	assert_punt(run(0), PUNT_MULTICAST);
	assert_punt(run(3), PUNT_MULTICAST);
}

static void br_netfilter_judges_bridged_ip_and_trims_padding(void **state)
{
	l2(world_station(1), world_station(0));
	ip4()->check ^= 0x55;
	assert_tx(run(0), 1);
	world.bridge_extra = TOPO_BR_NF;
	world_topo(&world);
	assert_punt(run(0), PUNT_BAD_IP);
	l2(world_station(1), world_station(0));
	frame.len += 10;
	assert_tx(run(0), 1);
	assert_int_equal(frame.len, ETH_SIZE + IPV4_SIZE + 8 + 18);
	l2(world_station(1), world_station(0));
	((struct eth *)bytes)->type_be = htons(ETHERTYPE_ARP);
	frame.len = ETH_SIZE + ARP_SIZE;
	assert_tx(run(0), 1);
	frame.len--;
	assert_punt(run(0), PUNT_BAD_IP);
	/* No room for a tag: IP longer than the MTU is cut or dropped, remembered or not. */
	for (unsigned len = 1500 + ETH_SIZE; len <= 1500 + ETH_SIZE + 4; len++) {
		l2(world_station(1), world_station(0));
		((struct eth *)bytes)->type_be = htons(0x88b5);
		frame.len = len;
		if (len == 1500 + ETH_SIZE) {
			assert_tx(run(0), 1);
		} else {
			assert_punt(run(0), PUNT_TOO_BIG);
		}
	}
}

/* Make the IPv6 packet say that headers of `next` and, if that is not 44 itself, 44 follow. */
static void fragment6(uint8_t next)
{
	ip6()->next = next;
	bytes[ETH_SIZE + IPV6_SIZE] = next == PROTO_FRAGMENT ? PROTO_UDP : PROTO_FRAGMENT;
	bytes[ETH_SIZE + IPV6_SIZE + 1] = next == PROTO_AH ? 2 : 0;
}

static void bridged_fragments_are_the_kernels_where_it_reassembles_them(void **state)
{
	l2(world_station(1), world_station(0));
	ip4()->frag_be = htons(0x2000);
	mend_checksum();
	assert_tx(run(0), 1);
	world.bridge_extra = TOPO_FRAGMENTS; /* routed ones only */
	world_topo(&world);
	assert_tx(run(0), 1);
	((struct eth *)bytes)->dst = world_mac(WORLD_BRIDGE);
	assert_punt(run(0), PUNT_FRAGMENT);
	world.bridge_extra = 0;
	world.with[0] = TOPO_FRAGMENTS;
	world_topo(&world);
	l2(world_station(1), world_station(0));
	assert_tx(run(0), 1); /* whole, and now remembered */
	ip4()->frag_be = htons(0x2000);
	assert_punt(run(0), PUNT_FRAGMENT); /* with a wrong checksum too */
	frame.len = ETH_SIZE + IPV4_SIZE - 1;
	assert_punt(run(0), PUNT_FRAGMENT);
	((struct eth *)bytes)->type_be = htons(0x88b5);
	assert_tx(run(0), 1);
}

/* Routed ------------------------------------------------------------------------------------- */

static void ipv4_is_routed_with_ttl_checksum_and_macs(void **state)
{
	struct eth *eth = (struct eth *)bytes;
	struct mac dst = world_station(4), src = world_mac(5);

	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	frame.len += 4; /* padding */
	assert_tx(run(3), 4);
	assert_int_equal(frame.len, ETH_SIZE + IPV4_SIZE + 8 + 18);
	assert_int_equal(ip4()->ttl, 63);
	assert_int_equal(checksum_fold(checksum_add(0, ip4(), IPV4_SIZE)), 0xffff);
	assert_memory_equal(&eth->dst, &dst, 6);
	assert_memory_equal(&eth->src, &src, 6);
}

static void routed_fragments_are_the_kernels_where_it_reassembles_them(void **state)
{
	const uint16_t fragments[] = {0x2000, 0x0001, 0x1fff}, whole[] = {0, 0x4000, 0x8000};
	const uint8_t before[] = {PROTO_FRAGMENT, PROTO_DSTOPTS, PROTO_AH};

	for (unsigned on = 0; on < 2; on++) {
		world.with[3] = on ? TOPO_FRAGMENTS : 0;
		world_topo(&world);
		for (unsigned i = 0; i < 3; i++) {
			l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
			ip4()->frag_be = htons(whole[i]);
			mend_checksum();
			assert_tx(run(3), 4); /* and is remembered */
			l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
			ip4()->frag_be = htons(fragments[i]);
			mend_checksum();
			if (on) {
				assert_punt(run(3), PUNT_FRAGMENT);
			} else {
				assert_tx(run(3), 4);
			}
			l3_6(world_ip6(3, 2), world_ip6(4, 2));
			assert_tx(run(3), 4);
			l3_6(world_ip6(3, 2), world_ip6(4, 2));
			fragment6(before[i]);
			if (on) {
				assert_punt(run(3), PUNT_FRAGMENT);
			} else {
				assert_tx(run(3), 4);
			}
		}
	}
	l3_6(world_ip6(3, 2), world_ip6(4, 2));
	fragment6(PROTO_DSTOPTS);
	bytes[ETH_SIZE + IPV6_SIZE] = PROTO_UDP; /* options, but whole */
	assert_tx(run(3), 4);
}

static void ipv6_is_routed_with_hop_limit_and_macs(void **state)
{
	struct eth *eth = (struct eth *)bytes;
	struct mac dst = world_station(4), src = world_mac(5);

	l3_6(world_ip6(3, 2), world_ip6(4, 2));
	assert_tx(run(3), 4);
	assert_int_equal(ip6()->hops, 63);
	assert_memory_equal(&eth->dst, &dst, 6);
	assert_memory_equal(&eth->src, &src, 6);
}

static void routed_between_the_bridge_and_a_port(void **state)
{
	struct eth *eth = (struct eth *)bytes;
	struct mac src = world_mac(WORLD_BRIDGE), dst = world_station(0);

	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 0, 0, 2));
	assert_tx(run(3), 0);
	assert_memory_equal(&eth->src, &src, 6);
	assert_memory_equal(&eth->dst, &dst, 6);

	frame.len = world_udp4(bytes, world_mac(WORLD_BRIDGE), world_station(0),
			       world_ip4(10, 0, 0, 2), world_ip4(10, 3, 0, 2), 18);
	assert_tx(run(0), 3);
	assert_int_equal(ip4()->ttl, 63);
}

static void a_neighbour_behind_no_known_port_is_the_kernels(void **state)
{
	const struct fdb_key key = {.bridge = WORLD_BRIDGE, .mac = world_station(0)};

	fdb_delete(world.tables.fdb, &key);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 0, 0, 2));
	assert_punt(run(3), PUNT_FLOOD);
	assert_int_equal(ip4()->ttl, 64); /* as it arrived */
}

static void frames_for_another_mac_are_not_routed(void **state)
{
	frame = (struct xsk_frame){.data = bytes};
	frame.len = world_udp4(bytes, world_mac(5), world_station(3), world_ip4(10, 3, 0, 2),
			       world_ip4(10, 4, 0, 2), 18);
	assert_punt(run(3), PUNT_LOCAL);
}

static void what_ends_here_is_punted(void **state)
{
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 1));
	assert_punt(run(3), PUNT_LOCAL);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 255));
	assert_punt(run(3), PUNT_LOCAL);
	l3_6(world_ip6(3, 2), world_ip6(4, 1));
	assert_punt(run(3), PUNT_LOCAL);
}

static void what_only_the_kernel_can_answer_is_punted(void **state)
{
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 9));
	assert_punt(run(3), PUNT_NO_NEIGH); /* FAILED */
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 8));
	assert_punt(run(3), PUNT_NO_NEIGH); /* never heard of */
	l3(world_ip4(10, 3, 0, 2), world_ip4(198, 51, 100, 1));
	assert_punt(run(3), PUNT_NO_ROUTE);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 3, 0, 7));
	assert_punt(run(3), PUNT_REDIRECT);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	ip4()->ttl = 1;
	mend_checksum();
	assert_punt(run(3), PUNT_TTL);
	l3_6(world_ip6(3, 2), world_ip6(4, 2));
	ip6()->hops = 1;
	assert_punt(run(3), PUNT_TTL);
}

static void other_interfaces_are_the_kernels_and_cacheable(void **state)
{
	struct verdict verdict;

	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 6, 0, 2));
	verdict = run(3);
	assert_punt(verdict, PUNT_NOT_FAST);
	assert_true(verdict.elsewhere);
}

static void kernel_routes_are_the_kernels(void **state)
{
	world_route(&world, RIB_MAIN, IP_V4, world_ip4(10, 4, 0, 2), 32, NEXTHOP_KERNEL, NULL, 0);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	assert_punt(run(3), PUNT_ROUTE_KERNEL);
}

static void packets_over_the_egress_mtu_are_punted_whole(void **state)
{
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	frame.len = world_udp4(bytes, world_mac(4), world_station(3), world_ip4(10, 3, 0, 2),
			       world_ip4(10, 4, 0, 2), 1500 - 28);
	assert_tx(run(3), 4);
	frame.len = world_udp4(bytes, world_mac(4), world_station(3), world_ip4(10, 3, 0, 2),
			       world_ip4(10, 4, 0, 2), 1501 - 28);
	assert_punt(run(3), PUNT_TOO_BIG);
	assert_int_equal(ip4()->ttl, 64);
	frame.len = world_udp6(bytes, world_mac(4), world_station(3), world_ip6(3, 2),
			       world_ip6(4, 2), 1501 - 48);
	assert_punt(run(3), PUNT_TOO_BIG);
}

static void martians_are_the_kernels_to_judge(void **state)
{
	static const uint8_t nets[] = {0, 127, 224, 240, 255};
	struct ip_addr link_local = {{0xfe, 0x80, [15] = 1}}, loopback = {{[15] = 1}}, any = {{0}};
	struct ip_addr multicast = {{0xff, 2, [15] = 1}};
	const struct ip_addr bad6[] = {link_local, loopback, any, multicast};

	for (size_t i = 0; i < sizeof(nets); i++) {
		l3(world_ip4(10, 3, 0, 2), world_ip4(nets[i], 1, 1, 1));
		assert_punt(run(3), PUNT_MARTIAN);
		l3(world_ip4(nets[i], 1, 1, 1), world_ip4(10, 4, 0, 2));
		assert_punt(run(3), PUNT_MARTIAN);
	}
	l3(world_ip4(10, 0, 0, 1), world_ip4(10, 4, 0, 2)); /* our own address as source */
	assert_punt(run(3), PUNT_MARTIAN);
	for (size_t i = 0; i < 4; i++) {
		l3_6(bad6[i], world_ip6(4, 2));
		assert_punt(run(3), PUNT_MARTIAN);
		l3_6(world_ip6(3, 2), bad6[i]);
		assert_punt(run(3), PUNT_MARTIAN);
	}
}

static void bad_and_optioned_headers_are_the_kernels(void **state)
{
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	ip4()->check ^= 1;
	assert_punt(run(3), PUNT_BAD_IP);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	ip4()->version_ihl = 0x46;
	assert_punt(run(3), PUNT_OPTIONS);
	l3_6(world_ip6(3, 2), world_ip6(4, 2));
	ip6()->next = PROTO_HOPOPTS;
	assert_punt(run(3), PUNT_OPTIONS);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	((struct eth *)bytes)->type_be = htons(0x8847);
	assert_punt(run(3), PUNT_UNSUPPORTED);
}

static void forwarding_switched_off_is_obeyed(void **state)
{
	world.without[3] = TOPO_FORWARD4;
	world_topo(&world);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	assert_punt(run(3), PUNT_FORWARDING);
	l3_6(world_ip6(3, 2), world_ip6(4, 2));
	assert_tx(run(3), 4);
	world.without[3] = TOPO_FORWARD6;
	world_topo(&world);
	l3_6(world_ip6(3, 2), world_ip6(4, 2));
	assert_punt(run(3), PUNT_FORWARDING);
	world.without[3] = TOPO_L3;
	world_topo(&world);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	assert_punt(run(3), PUNT_FORWARDING);
	world.without[3] = 0;
	world.without[4] = TOPO_UP;
	world_topo(&world);
	assert_punt(run(3), PUNT_NOT_FAST);
}

static void reverse_path_filter_is_obeyed(void **state)
{
	world.rp_filter = 1;
	world_topo(&world);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	assert_tx(run(3), 4);
	l3(world_ip4(10, 0, 0, 2), world_ip4(10, 4, 0, 2)); /* belongs behind br0 */
	assert_punt(run(3), PUNT_MARTIAN);
	world.rp_filter = 2;
	world_topo(&world);
	assert_tx(run(3), 4);
	l3(world_ip4(198, 51, 100, 1), world_ip4(10, 4, 0, 2)); /* from nowhere */
	assert_punt(run(3), PUNT_MARTIAN);
}

static void multipath_is_stable_per_flow_and_uses_every_hop_by_weight(void **state)
{
	struct hop hops[2] = {
		{.ifindex = 5, .has_via = 1, .weight = 3, .via = world_ip4(10, 4, 0, 2)},
		{.ifindex = WORLD_BRIDGE, .has_via = 1, .weight = 1, .via = world_ip4(10, 0, 0, 2)},
	};
	unsigned to_p4 = 0;

	world_route(&world, RIB_MAIN, IP_V4, world_ip4(172, 16, 0, 0), 12, NEXTHOP_FORWARD, hops,
		    2);
	for (unsigned i = 0; i < 4000; i++) {
		struct verdict first, again;

		l3(world_ip4(10, 3, 0, 2), world_ip4(172, 16, (uint8_t)(i >> 8), (uint8_t)i));
		first = run(3);
		l3(world_ip4(10, 3, 0, 2), world_ip4(172, 16, (uint8_t)(i >> 8), (uint8_t)i));
		again = run(3);
		assert_int_equal(first.kind, VERDICT_TX);
		assert_int_equal(first.slot, again.slot);
		to_p4 += first.slot == 4;
	}
	assert_in_range(to_p4, 2800, 3200); /* 3 of 4 */
}

static void partial_checksums_are_finished_on_every_exit(void **state)
{
	uint16_t partial, field;
	uint8_t *udp = bytes + ETH_SIZE + IPV4_SIZE;

	/* sent; no neighbour; not up; not there */
	for (int way = 0; way < 4; way++) {
		l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, way == 1 ? 9 : 2));
		world.without[3] = way == 2 ? TOPO_UP : 0;
		world_topo(&world);
		partial = checksum_fold(checksum_add(0, ip4()->src, 8) + htons(PROTO_UDP) +
					htons(8 + 18));
		memcpy(udp + 6, &partial, 2);
		assert_int_equal(run(way == 3 ? 9 : 3).kind, way ? VERDICT_PUNT : VERDICT_TX);
		memcpy(&field, udp + 6, 2);
		assert_int_not_equal(field, partial);
		assert_int_equal(checksum_fold(checksum_add(0, ip4()->src, 8) + htons(PROTO_UDP) +
					       htons(8 + 18) + checksum_add(0, udp, 8 + 18)),
				 0xffff);
	}
}

static void frames_of_every_length_get_a_verdict(void **state)
{
	for (unsigned len = 0; len <= 80; len++) {
		/* On the heap and cut to length, so that a sanitizer sees a read past the end. */
		uint8_t *cut = malloc(len ? len : 1);
		struct verdict verdict;

		for (unsigned slot = 0; slot < WORLD_PORTS; slot += 3) {
			l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
			memcpy(cut, bytes, len);
			frame = (struct xsk_frame){.data = cut, .len = len};
			verdict = run(slot);
			if (len < ETH_SIZE) {
				assert_drop(verdict, DROP_SHORT);
			} else if (slot == 3 && len < 60) {
				assert_punt(verdict, PUNT_BAD_IP);
			}
		}
		free(cut);
	}
}

static void a_port_that_is_not_there_gives_its_frames_back(void **state)
{
	l2(world_station(1), world_station(0));
	assert_punt(run(9), PUNT_FORWARDING);
}

/* The exact-match cache ---------------------------------------------------------------------- */

static void what_was_remembered_ends_with_any_change_of_the_tables(void **state)
{
	const struct fdb_key key = {.bridge = WORLD_BRIDGE, .mac = world_station(1)};
	const struct hop back = {.ifindex = WORLD_BRIDGE, .weight = 1};

	l2(world_station(1), world_station(0));
	assert_tx(run(0), 1);
	world_fdb(&world, world_station(1), 3, 2, FDB_DYNAMIC); /* moved */
	assert_tx(run(0), 2);
	fdb_delete(world.tables.fdb, &key);
	assert_int_equal(run(0).kind, VERDICT_FLOOD);

	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	assert_tx(run(3), 4);
	world_neigh(&world, 5, IP_V4, world_ip4(10, 4, 0, 2), world_station(4), NUD_FAILED);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	assert_punt(run(3), PUNT_NO_NEIGH);
	world_neigh(&world, 5, IP_V4, world_ip4(10, 4, 0, 2), world_station(4), NUD_REACHABLE);
	assert_tx(run(3), 4);
	world_route(&world, RIB_MAIN, IP_V4, world_ip4(10, 4, 0, 2), 32, NEXTHOP_FORWARD, &back, 1);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
	assert_punt(run(3), PUNT_NO_NEIGH);

	l3_6(world_ip6(3, 2), world_ip6(4, 2));
	assert_tx(run(3), 4);
	world.without[4] = TOPO_L3;
	world_topo(&world);
	l3_6(world_ip6(3, 2), world_ip6(4, 2));
	assert_punt(run(3), PUNT_NOT_FAST);
}

static void what_was_remembered_is_of_one_ingress_source_and_destination(void **state)
{
	l2(world_station(1), world_station(0));
	assert_tx(run(0), 1);
	assert_tx(run(2), 1); /* the same two, from elsewhere: a station that moved */
	assert_int_equal(path.learn_count, 1);
	l2(world_station(1), world_station(7));
	for (int again = 0; again < 2; again++) { /* until the kernel knows it */
		assert_tx(run(0), 1);
		assert_int_equal(path.learn_count, 1);
	}
	l2(world_station(2), world_station(0));
	assert_tx(run(0), 2);
	world.rp_filter = 1;
	world_topo(&world);
	l3(world_ip4(10, 3, 0, 2), world_ip4(10, 0, 0, 2));
	assert_tx(run(3), 0);
	((struct eth *)bytes)->dst = world_mac(5); /* the same addresses, by the wrong port */
	((struct eth *)bytes)->src = world_station(4);
	assert_punt(run(4), PUNT_MARTIAN);
}

static void an_entry_is_hit_by_its_whole_key_only(void **state)
{
	static struct emc emc;
	const struct emc_entry entry = {.key = {1, 2, 3, 4}, .ingress = 5, .stamp = 6};

	emc.stamp = 6;
	for (unsigned words = 1; words <= EMC_WORDS; words *= 2) {
		uint64_t key[EMC_WORDS] = {1, 2, 3, 4};

		assert_true(emc_hit(&emc, &entry, 5, key, words));
		assert_false(emc_hit(&emc, &entry, 4, key, words));
		for (unsigned i = 0; i < EMC_WORDS; i++) {
			key[i]++;
			assert_int_equal(emc_hit(&emc, &entry, 5, key, words), i >= words);
			key[i]--;
		}
	}
}

static void each_of_many_flows_goes_its_own_way(void **state)
{
	/* Many more than the cache has places, so that they fight for them. */
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 3 * EMC_ENTRIES; i++) {
			struct ip_addr to = i & 1 ? world_ip4(10, 4, 0, 2) : world_ip4(10, 0, 0, 2);

			l3(world_ip4(10, 3, (uint8_t)(1 + (i >> 8)), (uint8_t)i), to);
			assert_tx(run(3), i & 1 ? 4 : 0);
			l3_6((struct ip_addr){{0xfd, 0, 0, 3, [12] = (uint8_t)(i >> 8),
					       (uint8_t)i}},
			     i & 2 ? world_ip6(4, 2) : world_ip6(0, 2));
			assert_tx(run(3), i & 2 ? 4 : 0);
		}
	}
}

static void a_remembered_neighbour_is_touched_every_second(void **state)
{
	const struct neigh_key key = {
		.ifindex = 5, .family = IP_V4, .addr = world_ip4(10, 4, 0, 2)};
	struct verdict verdict;

	for (uint32_t now_s = 1; now_s < 4; now_s++) {
		l3(world_ip4(10, 3, 0, 2), world_ip4(10, 4, 0, 2));
		path_begin(&path, &world.tables, now_s);
		forward(&path, topo_port(path.topo, 3), &frame, 1, &verdict);
		assert_int_equal(neigh_find(world.tables.neigh, &key)->used_s, now_s);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(known_mac_goes_to_its_port_unchanged),
		T(known_source_is_touched_and_not_learnt_again),
		T(new_and_moved_sources_are_learnt),
		T(unknown_unicast_is_flooded_to_all_but_its_port),
		T(the_kernel_floods_when_we_cannot_reach_every_target),
		T(hairpin_is_dropped),
		T(local_and_foreign_members_are_the_kernels),
		T(an_entry_of_an_earlier_interface_is_not_followed),
		T(bridged_frames_over_the_mtu_are_the_kernels_to_drop),
		T(bad_sources_are_the_kernels),
		T(multicast_is_the_kernels),
		T(br_netfilter_judges_bridged_ip_and_trims_padding),
		T(bridged_fragments_are_the_kernels_where_it_reassembles_them),
		T(ipv4_is_routed_with_ttl_checksum_and_macs),
		T(ipv6_is_routed_with_hop_limit_and_macs),
		T(routed_fragments_are_the_kernels_where_it_reassembles_them),
		T(routed_between_the_bridge_and_a_port),
		T(a_neighbour_behind_no_known_port_is_the_kernels),
		T(frames_for_another_mac_are_not_routed),
		T(what_ends_here_is_punted),
		T(what_only_the_kernel_can_answer_is_punted),
		T(other_interfaces_are_the_kernels_and_cacheable),
		T(kernel_routes_are_the_kernels),
		T(packets_over_the_egress_mtu_are_punted_whole),
		T(martians_are_the_kernels_to_judge),
		T(bad_and_optioned_headers_are_the_kernels),
		T(forwarding_switched_off_is_obeyed),
		T(reverse_path_filter_is_obeyed),
		T(multipath_is_stable_per_flow_and_uses_every_hop_by_weight),
		T(partial_checksums_are_finished_on_every_exit),
		T(frames_of_every_length_get_a_verdict),
		T(a_port_that_is_not_there_gives_its_frames_back),
		T(what_was_remembered_ends_with_any_change_of_the_tables),
		T(what_was_remembered_is_of_one_ingress_source_and_destination),
		cmocka_unit_test(an_entry_is_hit_by_its_whole_key_only),
		T(each_of_many_flows_goes_its_own_way),
		T(a_remembered_neighbour_is_touched_every_second),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
