/* SPDX-License-Identifier: BSD-2-Clause */
/* VLANs through forward(): every verdict, and the bytes of what is sent or given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <urcu-qsbr.h>

#include "path/forward.h"
#include "vlan_world.h"

#define TAGS_MAX 3u

/* Ends a list of tags. */
#define END 0u

struct tags {
	uint32_t tag[TAGS_MAX + 1];
};

#define NO_TAGS ((struct tags){{END}})
#define TAGS(...) ((struct tags){{__VA_ARGS__, END}})

static struct vlan_world world;
static uint8_t chunk[2048], *bytes = chunk + 256;
static struct xsk_frame frame;
static struct path path;
static struct ip_addr from, to;

static unsigned tag_count(const struct tags *tags)
{
	unsigned count = 0;

	while (tags->tag[count]) {
		count++;
	}
	return count;
}

static void fill(struct tags tags, struct mac dst, struct mac src)
{
	memset(chunk, 0xee, sizeof(chunk));
	frame = (struct xsk_frame){.data = bytes};
	frame.len = vlan_frame(bytes, tags.tag, tag_count(&tags), dst, src, from, to);
}

/*
 * By `slot`, from `src` to `dst` with `tags`.  Twice by one path, so that what it remembered is
 * asked too; what is not sent must be as it came.
 */
static struct verdict run(unsigned slot, struct tags tags, struct mac dst, struct mac src)
{
	struct verdict verdict[2];
	uint8_t before[128];
	struct xsk_frame arrived;

	for (int i = 0; i < 2; i++) {
		fill(tags, dst, src);
		arrived = frame;
		memcpy(before, frame.data, frame.len);
		if (i == 0) {
			memset(&path, 0, sizeof(path));
		}
		path_begin(&path, &world.w.tables, 1);
		forward(&path, topo_port(path.topo, slot), &frame, 1, &verdict[i]);
		if (verdict[i].kind == VERDICT_PUNT || verdict[i].kind == VERDICT_DROP) {
			assert_ptr_equal(frame.data, arrived.data);
			assert_int_equal(frame.len, arrived.len);
			assert_memory_equal(frame.data, before, arrived.len);
		}
	}
	assert_int_equal(verdict[0].kind, verdict[1].kind);
	assert_int_equal(verdict[0].reason, verdict[1].reason);
	assert_int_equal(verdict[0].slot, verdict[1].slot);
	return verdict[0];
}

static void assert_frame(const struct xsk_frame *got, struct tags tags, struct mac dst,
			 struct mac src)
{
	uint8_t wanted[128];
	unsigned len = vlan_frame(wanted, tags.tag, tag_count(&tags), dst, src, from, to);

	assert_int_equal(got->len, len);
	assert_memory_equal(got->data, wanted, len);
}

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

/* Station `src` behind `in` to station `dst`: comes out of `out` as `want`. */
static void bridged(unsigned in, struct tags tags, unsigned src, unsigned dst, unsigned out,
		    struct tags want)
{
	struct verdict verdict = run(in, tags, world_station(dst), world_station(src));

	assert_int_equal(verdict.kind, VERDICT_TX);
	assert_int_equal(verdict.slot, out);
	assert_frame(&frame, want, world_station(dst), world_station(src));
	assert_int_equal(path.learn_count, 0);
}

static int setup(void **state)
{
	vlan_build(&world);
	from = world_ip4(10, 0, 0, 2);
	to = world_ip4(10, 0, 0, 3);
	return 0;
}

static int teardown(void **state)
{
	world_destroy(&world.w);
	return 0;
}

/* Bridged ------------------------------------------------------------------------------------ */

static void access_and_trunk_ports_push_and_pop(void **state)
{
	bridged(1, NO_TAGS, 1, 0, 0, TAGS(Q(10)));
	bridged(0, TAGS(Q(10)), 0, 1, 1, NO_TAGS);
	bridged(0, TAGS(Q(10)), 0, 3, 3, TAGS(Q(10)));
	bridged(0, TAGS(Q(20)), 0, 2, 2, NO_TAGS);
	bridged(2, NO_TAGS, 2, 3, 3, TAGS(Q(20)));
	bridged(1, TAGS(Q(10)), 1, 0, 0, TAGS(Q(10))); /* tagged by its own hand */
}

static void priority_is_kept_from_tag_to_tag(void **state)
{
	bridged(0, TAGS(Q(0xb00a)), 0, 3, 3, TAGS(Q(0xb00a)));
	bridged(0, TAGS(Q(0xb00a)), 0, 1, 1, NO_TAGS);
	/* a priority tag is in the PVID, and its priority stays */
	bridged(1, TAGS(Q(0xa000)), 1, 0, 0, TAGS(Q(0xa00a)));
	bridged(1, TAGS(Q(0xa000)), 1, 4, 4, TAGS(Q(300)));
}

static void what_is_inside_the_tag_is_payload(void **state)
{
	bridged(0, TAGS(Q(10), Q(77)), 0, 1, 1, TAGS(Q(77)));
	bridged(1, TAGS(Q(0), AD(5), Q(6)), 1, 3, 3, TAGS(Q(10), AD(5), Q(6)));
	bridged(0, TAGS(Q(10), Q(20)), 0, 3, 3, TAGS(Q(10), Q(20)));
}

static void a_tag_of_another_protocol_is_payload_in_the_pvid(void **state)
{
	bridged(1, TAGS(AD(55)), 1, 3, 3, TAGS(Q(10), AD(55)));
	bridged(1, TAGS(AD(55)), 1, 4, 4, TAGS(Q(300), AD(55)));
	assert_drop(run(3, TAGS(AD(10)), world_station(0), world_station(3)), DROP_VLAN);
	world.proto = TPID_8021AD;
	vlan_topo(&world);
	bridged(1, TAGS(Q(55)), 1, 3, 3, TAGS(AD(10), Q(55)));
	bridged(0, TAGS(AD(0x300a), Q(55)), 0, 1, 1, TAGS(Q(55)));
	assert_drop(run(3, TAGS(Q(10)), world_station(0), world_station(3)), DROP_VLAN);
}

static void a_vlan_device_as_a_member_puts_its_tag_around(void **state)
{
	bridged(1, NO_TAGS, 1, 4, 4, TAGS(Q(300)));
	bridged(4, TAGS(Q(300)), 4, 1, 1, NO_TAGS);
	bridged(4, TAGS(Q(0x712c)), 4, 0, 0, TAGS(Q(10))); /* the device's priority is lost */
	bridged(4, TAGS(Q(300), Q(0xf00a)), 4, 0, 0, TAGS(Q(0xf00a)));
	world.vlan[1].untagged &= ~0x10ull;
	vlan_topo(&world);
	bridged(1, NO_TAGS, 1, 4, 4, TAGS(Q(300), Q(10)));
	assert_punt(run(4, TAGS(Q(301)), world_station(1), world_station(4)), PUNT_TAGS);
	world.without[IF_P4_300] = TOPO_UP;
	vlan_topo(&world);
	assert_punt(run(4, TAGS(Q(300)), world_station(1), world_station(4)), PUNT_FORWARDING);
	assert_punt(run(1, NO_TAGS, world_station(4), world_station(1)), PUNT_NOT_FAST);
}

static void vlans_are_kept_apart(void **state)
{
	/* 20 is not on p1; untagged means nothing on p3; 77 is nowhere */
	assert_drop(run(1, TAGS(Q(20)), world_station(2), world_station(1)), DROP_VLAN);
	assert_drop(run(3, NO_TAGS, world_station(0), world_station(3)), DROP_VLAN);
	assert_drop(run(3, TAGS(Q(0x2000)), world_station(0), world_station(3)), DROP_VLAN);
	assert_drop(run(0, TAGS(Q(77)), world_station(1), world_station(0)), DROP_VLAN);
	assert_drop(run(0, TAGS(Q(4095)), world_station(1), world_station(0)), DROP_VLAN);
	assert_int_equal(path.learn_count, 0);
	/* station 2 is known in 20 only */
	assert_int_equal(run(1, NO_TAGS, world_station(2), world_station(1)).kind, VERDICT_FLOOD);
	/* and one that is known where its VLAN is not any more */
	vlan_fdb(&world, IF_BR1, 10, world_station(2), 3, FDB_STATIC);
	assert_drop(run(1, NO_TAGS, world_station(2), world_station(1)), DROP_VLAN);
}

static void a_mac_may_be_elsewhere_in_another_vlan(void **state)
{
	vlan_fdb(&world, IF_BR1, 20, world_station(1), 4, FDB_DYNAMIC);
	bridged(0, TAGS(Q(10)), 0, 1, 1, NO_TAGS);
	bridged(0, TAGS(Q(20)), 0, 1, 3, TAGS(Q(20)));
}

static void what_is_remembered_is_of_one_tag(void **state)
{
	static const struct tags tags[] = {
		{{Q(10), END}}, {{Q(20), END}}, {{Q(0x600a), END}}, {{AD(10), END}}, {{END}}};
	struct verdict verdict[5];

	memset(&path, 0, sizeof(path));
	path_begin(&path, &world.w.tables, 1);
	for (int again = 0; again < 2; again++) {
		for (int i = 0; i < 5; i++) {
			fill(tags[i], world_station(3), world_station(0));
			forward(&path, topo_port(path.topo, 0), &frame, 1, &verdict[i]);
			if (i < 3) {
				assert_int_equal(verdict[i].kind, VERDICT_TX);
				assert_frame(&frame, tags[i], world_station(3), world_station(0));
			} else {
				assert_int_equal(verdict[i].kind, VERDICT_DROP); /* no flood in 1 */
			}
		}
	}
}

static void sources_are_learnt_in_their_vlan(void **state)
{
	run(0, TAGS(Q(20)), world_station(2), world_station(1));
	assert_int_equal(path.learn_count, 1);
	assert_int_equal(path.learn[0].ifindex, 1);
	assert_int_equal(path.learn[0].vlan, 20);
	run(4, TAGS(Q(300)), world_station(1), world_station(9));
	assert_int_equal(path.learn_count, 1);
	assert_int_equal(path.learn[0].ifindex, IF_P4_300);
	assert_int_equal(path.learn[0].vlan, 10);
	assert_int_equal(path.learn[0].mac.b[5], 9);
	run(1, NO_TAGS, world_station(0), world_station(9));
	assert_int_equal(path.learn[0].vlan, 10);
	/* one that sticks where it is */
	vlan_fdb(&world, IF_BR1, 10, world_station(9), 4, FDB_STICKY);
	bridged(1, NO_TAGS, 9, 0, 0, TAGS(Q(10)));
}

static void a_vlans_state_lets_learn_or_nothing(void **state)
{
	world.vlan[1].ingress &= ~2ull;
	vlan_topo(&world);
	assert_drop(run(1, NO_TAGS, world_station(0), world_station(9)), DROP_VLAN);
	assert_int_equal(path.learn_count, 1);
	world.vlan[1].learn &= ~2ull;
	vlan_topo(&world);
	assert_drop(run(1, NO_TAGS, world_station(0), world_station(9)), DROP_VLAN);
	assert_int_equal(path.learn_count, 0);
	world.vlan[1].egress &= ~2ull;
	vlan_topo(&world);
	assert_drop(run(0, TAGS(Q(10)), world_station(1), world_station(0)), DROP_VLAN);
}

static void hairpin_isolated_and_locked_are_obeyed(void **state)
{
	vlan_fdb(&world, IF_BR1, 10, world_station(9), 1, FDB_DYNAMIC);
	assert_drop(run(0, TAGS(Q(10)), world_station(9), world_station(0)), DROP_SAME_PORT);
	world.with[1] = TOPO_HAIRPIN;
	world.with[2] = world.with[4] = TOPO_ISOLATED;
	vlan_topo(&world);
	bridged(0, TAGS(Q(0x600a)), 0, 9, 0, TAGS(Q(0x600a)));
	assert_drop(run(1, NO_TAGS, world_station(3), world_station(1)), DROP_ISOLATED);
	bridged(1, NO_TAGS, 1, 0, 0, TAGS(Q(10)));
	bridged(0, TAGS(Q(10)), 0, 1, 1, NO_TAGS);
	world.with[1] = TOPO_LOCKED;
	vlan_topo(&world);
	bridged(0, TAGS(Q(10)), 0, 1, 1, NO_TAGS);
	assert_punt(run(0, TAGS(Q(10)), world_station(1), world_station(8)), PUNT_LOCKED);
	assert_punt(run(0, TAGS(Q(10)), world_station(1), world_station(3)), PUNT_LOCKED);
	vlan_fdb(&world, IF_BR1, 10, world_station(9), 1, FDB_LOCKED);
	assert_punt(run(0, TAGS(Q(10)), world_station(1), world_station(9)), PUNT_LOCKED);
	assert_int_equal(path.learn_count, 0);
	bridged(1, NO_TAGS, 1, 9, 0, TAGS(Q(10))); /* as a destination it may be had */
}

/* The form in which a flood reaches a port, and that it does so once. */
static void assert_flooded(struct verdict verdict, unsigned slot, struct tags tags, struct mac dst,
			   struct mac src)
{
	static uint8_t copy_chunk[2048];
	const struct flood *flood = &path.flood[verdict.slot];
	unsigned found = 0;

	for (unsigned i = 0; i < flood->count; i++) {
		struct xsk_frame copy = {.len = frame.len, .data = copy_chunk + 256};

		if (!(flood->group[i].slots >> slot & 1)) {
			continue;
		}
		memcpy(copy.data, frame.data, frame.len);
		forward_form(flood, i, &copy);
		assert_frame(&copy, tags, dst, src);
		found++;
	}
	assert_int_equal(found, 1);
}

static uint64_t flooded_to(struct verdict verdict)
{
	uint64_t slots = 0;

	assert_int_equal(verdict.kind, VERDICT_FLOOD);
	for (unsigned i = 0; i < path.flood[verdict.slot].count; i++) {
		slots |= path.flood[verdict.slot].group[i].slots;
	}
	return slots;
}

static void a_flood_has_every_ports_form(void **state)
{
	const struct mac dst = world_station(8), src = world_station(1);
	struct verdict verdict = run(1, NO_TAGS, dst, src);

	assert_int_equal(flooded_to(verdict), 1 << 0 | 1 << 3 | 1 << 4);
	assert_int_equal(path.flood[verdict.slot].count, 2);
	assert_flooded(verdict, 0, TAGS(Q(10)), dst, src);
	assert_flooded(verdict, 3, TAGS(Q(10)), dst, src);
	assert_flooded(verdict, 4, TAGS(Q(300)), dst, src);
	verdict = run(0, TAGS(Q(0x500a)), dst, world_station(0));
	assert_int_equal(flooded_to(verdict), 1 << 1 | 1 << 3 | 1 << 4);
	assert_flooded(verdict, 1, NO_TAGS, dst, world_station(0));
	assert_flooded(verdict, 3, TAGS(Q(0x500a)), dst, world_station(0));
	assert_flooded(verdict, 4, TAGS(Q(300)), dst, world_station(0));
	world.with[1] = TOPO_HAIRPIN;
	world.with[2] = world.with[4] = TOPO_ISOLATED;
	vlan_topo(&world);
	assert_int_equal(flooded_to(run(1, NO_TAGS, dst, src)), 1 << 0 | 1 << 4);
	assert_int_equal(flooded_to(run(0, TAGS(Q(10)), dst, world_station(0))),
			 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4);
}

static void a_flood_that_is_not_ours_alone_is_the_kernels(void **state)
{
	world.kernel_floods = true;
	vlan_topo(&world);
	assert_punt(run(1, NO_TAGS, world_station(8), world_station(1)), PUNT_FLOOD);
	world.kernel_floods = false;
	world.without[4] = TOPO_L2;
	vlan_topo(&world);
	assert_punt(run(1, NO_TAGS, world_station(8), world_station(1)), PUNT_FLOOD);
	world.vlan[2].flood = 1;
	vlan_topo(&world);
	assert_drop(run(0, TAGS(Q(20)), world_station(8), world_station(0)), DROP_FLOOD_NONE);
}

static void tags_pass_a_bridge_that_does_not_filter(void **state)
{
	bridged(6, NO_TAGS, 6, 7, 7, NO_TAGS);
	bridged(6, TAGS(Q(0xe123)), 6, 7, 7, TAGS(Q(0xe123)));
	bridged(6, TAGS(AD(1), Q(2), Q(3)), 6, 7, 7, TAGS(AD(1), Q(2), Q(3)));
	bridged(7, TAGS(Q(0)), 7, 6, 6, TAGS(Q(0)));
	assert_int_equal(flooded_to(run(6, TAGS(Q(4)), world_station(1), world_station(6))),
			 1 << 7);
	assert_flooded((struct verdict){.slot = 0}, 7, TAGS(Q(4)), world_station(1),
		       world_station(6));
}

static void the_outermost_tag_does_not_count_for_the_mtu(void **state)
{
	static const struct tags in[] = {{{END}}, {{Q(10), END}}, {{Q(10), Q(5), END}}};
	static const unsigned longest[] = {1518, 1522, 1522}, slot[] = {1, 0, 0};
	struct verdict verdict;

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned over = 0; over < 2; over++) {
			fill(in[i], world_station(3), world_station(slot[i]));
			frame.len = longest[i] + over;
			path_begin(&path, &world.w.tables, 1);
			forward(&path, topo_port(path.topo, slot[i]), &frame, 1, &verdict);
			assert_int_equal(verdict.kind, over ? VERDICT_PUNT : VERDICT_TX);
			assert_int_equal(verdict.reason, over ? PUNT_TOO_BIG : 0);
		}
	}
}

static void a_tag_that_is_cut_off_is_the_kernels_to_drop(void **state)
{
	struct verdict verdict;

	for (unsigned len = ETH_SIZE; len < ETH_SIZE + TAG_SIZE + 2; len++) {
		fill(TAGS(Q(10)), world_station(1), world_station(0));
		frame.len = len;
		path_begin(&path, &world.w.tables, 1);
		forward(&path, topo_port(path.topo, 0), &frame, 1, &verdict);
		assert_punt(verdict, PUNT_TAGS);
		assert_int_equal(frame.len, len);
	}
}

/* Routed ------------------------------------------------------------------------------------- */

/* Comes out of `out` with `want`, from the MAC of `mac`, to `station`, one hop older. */
static void routed(unsigned in, struct tags tags, struct mac router, struct ip_addr dst,
		   unsigned out, struct tags want, uint32_t mac, unsigned station)
{
	uint8_t wanted[128];
	struct verdict verdict;
	struct ipv4 *ip;
	unsigned len;

	to = dst;
	verdict = run(in, tags, router, world_station(in));
	assert_int_equal(verdict.kind, VERDICT_TX);
	assert_int_equal(verdict.slot, out);
	len = vlan_frame(wanted, want.tag, tag_count(&want), world_station(station), world_mac(mac),
			 from, to);
	ip = (struct ipv4 *)(wanted + ETH_SIZE + tag_count(&want) * TAG_SIZE);
	ipv4_decrease_ttl(ip);
	assert_int_equal(frame.len, len);
	assert_memory_equal(frame.data, wanted, len);
}

static void routed_in_and_out_by_vlan_devices(void **state)
{
	const struct ip_addr plain = world_ip4(10, 5, 0, 2), v100 = world_ip4(10, 100, 0, 2),
			     stacked = world_ip4(10, 200, 0, 2), ad = world_ip4(10, 7, 0, 2);
	const struct mac p5 = world_mac(IF_P5);

	from = world_ip4(10, 99, 0, 1);
	routed(5, NO_TAGS, p5, v100, 5, TAGS(Q(100)), IF_P5, 5);
	routed(5, TAGS(Q(100)), p5, plain, 5, NO_TAGS, IF_P5, 5);
	routed(5, TAGS(Q(0xc064)), p5, ad, 5, TAGS(AD(7)), IF_P5, 5); /* priority 0 */
	routed(5, TAGS(AD(7)), p5, stacked, 5, TAGS(Q(100), Q(200)), IF_P5_100, 5);
	routed(5, TAGS(Q(100), Q(200)), world_mac(IF_P5_100), plain, 5, NO_TAGS, IF_P5, 5);
	routed(5, TAGS(Q(100), Q(200)), p5, plain, 5, NO_TAGS, IF_P5, 5);
	/* a priority tag on the port, and on what is inside one */
	routed(5, TAGS(Q(0xe000)), p5, v100, 5, TAGS(Q(100)), IF_P5, 5);
	routed(5, TAGS(Q(0), AD(7)), p5, v100, 5, TAGS(Q(100)), IF_P5, 5);
}

static void what_no_device_takes_is_the_kernels(void **state)
{
	const struct mac p5 = world_mac(IF_P5);

	from = world_ip4(10, 99, 0, 1);
	to = world_ip4(10, 100, 0, 2);
	assert_punt(run(5, TAGS(Q(101)), p5, world_station(5)), PUNT_TAGS);
	assert_punt(run(5, TAGS(AD(100)), p5, world_station(5)), PUNT_TAGS);
	assert_punt(run(5, TAGS(Q(100), Q(201)), p5, world_station(5)), PUNT_TAGS);
	assert_punt(run(5, TAGS(Q(100)), world_station(9), world_station(5)), PUNT_LOCAL);
	to = world_ip4(10, 100, 0, 1);
	assert_punt(run(5, TAGS(AD(7)), p5, world_station(5)), PUNT_LOCAL);
	to = world_ip4(10, 7, 0, 2); /* out by where it came from */
	assert_punt(run(5, TAGS(AD(7)), p5, world_station(5)), PUNT_REDIRECT);
	to = world_ip4(10, 5, 0, 2);
	world.without[IF_P5_100] = TOPO_UP;
	vlan_topo(&world);
	assert_punt(run(5, TAGS(Q(100)), p5, world_station(5)), PUNT_FORWARDING);
	world.without[IF_P5_100] = TOPO_L3;
	vlan_topo(&world);
	assert_punt(run(5, TAGS(Q(100)), p5, world_station(5)), PUNT_FORWARDING);
	to = world_ip4(10, 100, 0, 2);
	assert_punt(run(5, TAGS(AD(7)), p5, world_station(5)), PUNT_NOT_FAST);
}

static void macvlans_take_their_frames_and_send_with_their_mac(void **state)
{
	const struct ip_addr v30 = world_ip4(10, 30, 0, 2);
	struct hop hop = {.ifindex = IF_MAC_P5, .weight = 1};

	from = world_ip4(10, 99, 0, 1);
	routed(5, NO_TAGS, world_mac(IF_MAC_P5), world_ip4(10, 100, 0, 2), 5, TAGS(Q(100)), IF_P5,
	       5);
	routed(5, TAGS(Q(100)), world_mac(IF_MAC_P5_100), world_ip4(10, 5, 0, 2), 5, NO_TAGS, IF_P5,
	       5);
	assert_punt(run(5, NO_TAGS, world_mac(IF_MAC_P5_100), world_station(5)), PUNT_LOCAL);
	world_route(&world.w, RIB_MAIN, IP_V4, world_ip4(10, 30, 0, 0), 24, NEXTHOP_FORWARD, &hop,
		    1);
	world_neigh(&world.w, IF_MAC_P5, IP_V4, v30, world_station(5), NUD_REACHABLE);
	world_neigh(&world.w, IF_MAC_P5, IP_V4, world_ip4(10, 30, 0, 3), world_mac(IF_MAC_P5),
		    NUD_REACHABLE);
	routed(5, TAGS(Q(100)), world_mac(IF_P5), v30, 5, NO_TAGS, IF_MAC_P5, 5);
	to = world_ip4(10, 30, 0, 3); /* its neighbour is a macvlan beside it */
	assert_punt(run(5, TAGS(Q(100)), world_mac(IF_P5), world_station(5)), PUNT_NOT_FAST);
}

static void the_svi_routes_what_comes_in_its_vlan(void **state)
{
	const struct mac br1 = world_mac(IF_BR1);
	const struct ip_addr v10 = world_ip4(10, 10, 0, 2), v5 = world_ip4(10, 5, 0, 2),
			     self = world_ip4(10, 11, 0, 2);

	from = world_ip4(10, 99, 0, 1);
	routed(1, NO_TAGS, br1, v5, 5, NO_TAGS, IF_P5, 5);
	routed(0, TAGS(Q(0x700a)), br1, v5, 5, NO_TAGS, IF_P5, 5);
	routed(4, TAGS(Q(300)), br1, v5, 5, NO_TAGS, IF_P5, 5);
	/* out by the SVI, behind a trunk and behind an access port; by the bridge itself */
	routed(5, NO_TAGS, world_mac(IF_P5), v10, 3, TAGS(Q(10)), IF_BR1, 3);
	world_neigh(&world.w, IF_BR1_10, IP_V4, v10, world_station(1), NUD_REACHABLE);
	routed(5, TAGS(Q(100)), world_mac(IF_P5), v10, 1, NO_TAGS, IF_BR1, 1);
	world_neigh(&world.w, IF_BR1_10, IP_V4, v10, world_station(4), NUD_REACHABLE);
	routed(5, NO_TAGS, world_mac(IF_P5), v10, 4, TAGS(Q(300)), IF_BR1, 4);
	routed(5, NO_TAGS, world_mac(IF_P5), self, 0, NO_TAGS, IF_BR1, 0);
	/* from one of its interfaces to another */
	routed(1, NO_TAGS, br1, self, 0, NO_TAGS, IF_BR1, 0);
	routed(0, NO_TAGS, br1, v10, 4, TAGS(Q(300)), IF_BR1, 4);
}

static void where_the_bridge_itself_is_not_is_the_kernels(void **state)
{
	const struct mac br1 = world_mac(IF_BR1);

	from = world_ip4(10, 99, 0, 1);
	to = world_ip4(10, 5, 0, 2);
	vlan_fdb(&world, IF_BR1, 20, br1, 3, FDB_LOCAL); /* the MAC of a member in 20 */
	assert_punt(run(2, NO_TAGS, br1, world_station(2)), PUNT_LOCAL);
	vlan_fdb(&world, IF_BR1, 20, world_mac(3), 3, FDB_LOCAL);
	assert_punt(run(2, NO_TAGS, world_mac(3), world_station(2)), PUNT_LOCAL);
	world.vlan[1].self = false;
	vlan_topo(&world);
	assert_punt(run(1, NO_TAGS, br1, world_station(1)), PUNT_LOCAL);
	to = world_ip4(10, 10, 0, 2);
	assert_punt(run(5, NO_TAGS, world_mac(IF_P5), world_station(5)), PUNT_NOT_FAST);
	world.vlan[1].self = true;
	vlan_topo(&world);
	world_neigh(&world.w, IF_BR1_10, IP_V4, to, world_station(8), NUD_REACHABLE);
	assert_punt(run(5, NO_TAGS, world_mac(IF_P5), world_station(5)), PUNT_FLOOD);
	to = world_ip4(10, 5, 0, 2);
	world.without[IF_BR1_10] = TOPO_L3;
	vlan_topo(&world);
	assert_punt(run(1, NO_TAGS, br1, world_station(1)), PUNT_FORWARDING);
}

static void a_vlan_device_on_a_bridge_that_does_not_filter(void **state)
{
	from = world_ip4(10, 99, 0, 1);
	routed(6, TAGS(Q(5)), world_mac(IF_BR2), world_ip4(10, 5, 0, 2), 5, NO_TAGS, IF_P5, 5);
	routed(5, NO_TAGS, world_mac(IF_P5), world_ip4(10, 55, 0, 2), 6, TAGS(Q(5)), IF_BR2, 6);
	assert_punt(run(6, TAGS(Q(6)), world_mac(IF_BR2), world_station(6)), PUNT_TAGS);
	routed(6, TAGS(Q(0)), world_mac(IF_BR2), world_ip4(10, 5, 0, 2), 5, NO_TAGS, IF_P5, 5);
	routed(6, TAGS(Q(0), Q(5)), world_mac(IF_BR2), world_ip4(10, 5, 0, 2), 5, NO_TAGS, IF_P5,
	       5);
}

static void checksums_are_finished_inside_tags(void **state)
{
	struct verdict verdict;
	struct ipv4 *ip = (struct ipv4 *)(bytes + ETH_SIZE + TAG_SIZE);
	uint8_t *l4 = (uint8_t *)(ip + 1);
	uint16_t length = htons(26), partial, pseudo;

	world.with[1] = TOPO_PARTIAL;
	vlan_topo(&world);
	for (unsigned last = 1; last <= 2; last++) {
		fill(TAGS(Q(10)), last == 1 ? world_station(1) : world_mac(7), world_station(0));
		pseudo = checksum_fold(
			checksum_add(htons(PROTO_UDP) + (uint64_t)length, ip->src, 8));
		partial = pseudo;
		memcpy(l4 + 6, &partial, sizeof(partial));
		path_begin(&path, &world.w.tables, 1);
		forward(&path, topo_port(path.topo, 0), &frame, 1, &verdict);
		assert_int_equal(verdict.kind, last == 1 ? VERDICT_TX : VERDICT_FLOOD);
		assert_int_equal(checksum_fold(checksum_add(pseudo, l4, 26)), 0xffff);
	}
}

/* Groups ------------------------------------------------------------------------------------- */

static const struct mac group_mac = {{1, 0, 0x5e, 1, 2, 3}};

static void join(uint16_t vlan, struct ip_addr source, const uint32_t *members, unsigned count,
		 bool kernel)
{
	const struct mdb_key key = {.bridge = IF_BR1,
				    .vlan = vlan,
				    .family = IP_V4,
				    .group = world_ip4(239, 1, 2, 3),
				    .source = source};

	assert_int_equal(mdb_set(world.w.tables.mdb, &key, members, count, kernel), 0);
}

static void a_group_reaches_its_members_in_their_form(void **state)
{
	const uint32_t all[] = {1, 2, 3, IF_P4_300}, trunk[] = {4}, back[] = {1};
	const struct ip_addr any = {{0}};
	struct verdict verdict;

	to = world_ip4(239, 1, 2, 3);
	assert_punt(run(0, TAGS(Q(10)), group_mac, world_station(0)), PUNT_MULTICAST);
	join(10, any, all, 4, false); /* p2 is not in 10 */
	verdict = run(0, TAGS(Q(0x900a)), group_mac, world_station(0));
	assert_int_equal(flooded_to(verdict), 1 << 1 | 1 << 4);
	assert_flooded(verdict, 1, NO_TAGS, group_mac, world_station(0));
	assert_flooded(verdict, 4, TAGS(Q(300)), group_mac, world_station(0));
	assert_punt(run(0, TAGS(Q(20)), group_mac, world_station(0)), PUNT_MULTICAST);
	/* one for the source comes first */
	join(10, from, trunk, 1, false);
	assert_int_equal(flooded_to(run(0, TAGS(Q(10)), group_mac, world_station(0))), 1 << 3);
	/* only where it came from */
	join(10, from, back, 1, false);
	assert_drop(run(0, TAGS(Q(10)), group_mac, world_station(0)), DROP_GROUP_NONE);
	run(0, TAGS(Q(10)), group_mac, world_station(8));
	assert_int_equal(path.learn_count, 1);
}

static void groups_with_a_member_that_is_not_ours_are_the_kernels(void **state)
{
	const uint32_t gone[] = {2, 77}, one[] = {2};
	const struct ip_addr any = {{0}};

	to = world_ip4(239, 1, 2, 3);
	join(10, any, gone, 2, false);
	assert_punt(run(0, TAGS(Q(10)), group_mac, world_station(0)), PUNT_MULTICAST);
	join(10, any, one, 1, true);
	assert_punt(run(0, TAGS(Q(10)), group_mac, world_station(0)), PUNT_MULTICAST);
	join(10, any, one, 1, false);
	world.without[2] = TOPO_L2;
	vlan_topo(&world);
	assert_punt(run(0, TAGS(Q(10)), group_mac, world_station(0)), PUNT_MULTICAST);
	run(0, TAGS(Q(10)), group_mac, world_station(8));
	assert_int_equal(path.learn_count, 0); /* the kernel's bridge sees it */
}

/* Whatever the table says. */
static void reports_and_link_local_groups_are_the_kernels(void **state)
{
	struct mdb_key key = {.bridge = IF_BR1, .vlan = 10, .family = IP_V4};
	struct ipv4 *ip = (struct ipv4 *)(bytes + ETH_SIZE + TAG_SIZE);
	const uint32_t member = 2;
	struct verdict verdict;

	for (unsigned i = 0; i < 3; i++) {
		key.group = i == 1 ? world_ip4(224, 0, 0, 251) : world_ip4(239, 1, 2, 3);
		assert_int_equal(mdb_set(world.w.tables.mdb, &key, &member, 1, false), 0);
		to = key.group;
		fill(TAGS(Q(10)), group_mac, world_station(0));
		if (i == 2) {
			ip->proto = PROTO_IGMP;
			ip->check = 0;
			ip->check = (uint16_t)~checksum_fold(checksum_add(0, ip, IPV4_SIZE));
		}
		path_begin(&path, &world.w.tables, 1);
		forward(&path, topo_port(path.topo, 0), &frame, 1, &verdict);
		assert_int_equal(verdict.kind, i == 0 ? VERDICT_FLOOD : VERDICT_PUNT);
	}
	to = world_ip4(239, 1, 2, 3);
	fill(TAGS(Q(10)), group_mac, world_station(0));
	ip->check ^= 1;
	forward(&path, topo_port(path.topo, 0), &frame, 1, &verdict);
	assert_punt(verdict, PUNT_MULTICAST);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(access_and_trunk_ports_push_and_pop),
		T(priority_is_kept_from_tag_to_tag),
		T(what_is_inside_the_tag_is_payload),
		T(a_tag_of_another_protocol_is_payload_in_the_pvid),
		T(a_vlan_device_as_a_member_puts_its_tag_around),
		T(vlans_are_kept_apart),
		T(a_mac_may_be_elsewhere_in_another_vlan),
		T(what_is_remembered_is_of_one_tag),
		T(sources_are_learnt_in_their_vlan),
		T(a_vlans_state_lets_learn_or_nothing),
		T(hairpin_isolated_and_locked_are_obeyed),
		T(a_flood_has_every_ports_form),
		T(a_flood_that_is_not_ours_alone_is_the_kernels),
		T(tags_pass_a_bridge_that_does_not_filter),
		T(the_outermost_tag_does_not_count_for_the_mtu),
		T(a_tag_that_is_cut_off_is_the_kernels_to_drop),
		T(routed_in_and_out_by_vlan_devices),
		T(what_no_device_takes_is_the_kernels),
		T(macvlans_take_their_frames_and_send_with_their_mac),
		T(the_svi_routes_what_comes_in_its_vlan),
		T(where_the_bridge_itself_is_not_is_the_kernels),
		T(a_vlan_device_on_a_bridge_that_does_not_filter),
		T(checksums_are_finished_inside_tags),
		T(a_group_reaches_its_members_in_their_form),
		T(groups_with_a_member_that_is_not_ours_are_the_kernels),
		T(reports_and_link_local_groups_are_the_kernels),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
