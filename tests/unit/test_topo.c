// SPDX-License-Identifier: BSD-2-Clause
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#include <cmocka.h>

#include "table/tables.h"

static int setup(void **state)
{
	*state = topo_create();
	return *state ? 0 : -ENOMEM;
}

static int teardown(void **state)
{
	topo_destroy(*state);
	return 0;
}

static int add(struct topo *topo, uint32_t ifindex, enum topo_kind kind, int16_t slot)
{
	struct topo_if iface = {.ifindex = ifindex,
				.kind = (uint8_t)kind,
				.slot = slot,
				.bridge = TOPO_NONE,
				.mtu = ifindex};

	return topo_add_if(topo, &iface);
}

static void test_finds_by_ifindex_and_by_slot(void **state)
{
	for (uint32_t i = 1; i <= 1000; i++) {
		assert_int_equal(add(*state, i * 64, TOPO_OTHER, TOPO_NONE), 0);
	}
	assert_int_equal(add(*state, 7, TOPO_PORT, 63), 0);
	for (uint32_t i = 1; i <= 1000; i++) {
		assert_int_equal(topo_if(*state, i * 64)->mtu, i * 64);
		assert_int_equal(topo_if_at(*state, i - 1)->ifindex, i * 64);
	}
	assert_null(topo_if(*state, 65));
	assert_null(topo_if(*state, 0));
	assert_null(topo_if_at(*state, 1001));
	assert_int_equal(topo_port(*state, 63)->ifindex, 7);
	assert_null(topo_port(*state, 62));
	assert_null(topo_port(*state, 64));
}

static void test_bridge_knows_itself_and_members_know_it(void **state)
{
	int first, second;

	assert_int_equal(add(*state, 10, TOPO_OTHER, TOPO_NONE), 0);
	assert_int_equal(add(*state, 11, TOPO_PORT, 0), 0);
	assert_int_equal(add(*state, 20, TOPO_BRIDGE, TOPO_NONE), 0);
	first = topo_add_bridge(*state, &(struct topo_bridge_conf){.ifindex = 10});
	second = topo_add_bridge(*state, &(struct topo_bridge_conf){.ifindex = 20});
	assert_true(first >= 0 && second >= 0 && first != second);
	/* More interfaces do not move the first. */
	for (uint32_t i = 100; i < 300; i++) {
		assert_int_equal(add(*state, i, TOPO_OTHER, TOPO_NONE), 0);
	}
	assert_int_equal(topo_join(*state, 11, first), 0);
	assert_int_equal(topo_join(*state, 100, first), 1);
	assert_ptr_equal(topo_bridge(*state, first)->self, topo_if(*state, 10));
	assert_int_equal(topo_if(*state, 10)->kind, TOPO_BRIDGE);
	assert_int_equal(topo_if(*state, 20)->bridge, second);
	assert_int_equal(topo_port(*state, 0)->bridge, first);
	assert_int_equal(topo_port(*state, 0)->member, 0);
	assert_int_equal(topo_bridge(*state, first)->member_count, 2);
	assert_ptr_equal(topo_bridge(*state, first)->member[1], topo_if(*state, 100));
	assert_null(topo_bridge(*state, 2));
	assert_null(topo_bridge(*state, TOPO_NONE));
}

static void test_a_vlan_is_found_by_its_number_or_there_is_one(void **state)
{
	struct topo_vlan vlan = {.vid = 10, .egress = 5};
	int filters, plain;

	assert_int_equal(add(*state, 1, TOPO_OTHER, TOPO_NONE), 0);
	assert_int_equal(add(*state, 2, TOPO_OTHER, TOPO_NONE), 0);
	filters = topo_add_bridge(*state,
				  &(struct topo_bridge_conf){.ifindex = 1, .filtering = true});
	plain = topo_add_bridge(*state, &(struct topo_bridge_conf){.ifindex = 2});
	assert_int_equal(topo_add_vlan(*state, filters, &vlan), 0);
	assert_int_equal(topo_add_vlan(*state, filters, &vlan), -EEXIST);
	assert_int_equal(topo_add_vlan(*state, plain, &vlan), -ERANGE);
	vlan.vid = 0;
	assert_int_equal(topo_add_vlan(*state, filters, &vlan), -ERANGE);
	assert_int_equal(topo_add_vlan(*state, plain, &vlan), 0);
	vlan.vid = 4095;
	assert_int_equal(topo_add_vlan(*state, filters, &vlan), -ERANGE);
	assert_int_equal(topo_add_vlan(*state, 2, &vlan), -ERANGE);
	assert_int_equal(topo_bridge_vlan(topo_bridge(*state, filters), 10)->egress, 5);
	assert_null(topo_bridge_vlan(topo_bridge(*state, filters), 11));
	assert_int_equal(topo_bridge_vlan(topo_bridge(*state, plain), 77)->egress, 5);
}

static void test_the_65th_member_is_the_kernels(void **state)
{
	int bridge;

	assert_int_equal(add(*state, 1, TOPO_OTHER, TOPO_NONE), 0);
	bridge = topo_add_bridge(*state, &(struct topo_bridge_conf){.ifindex = 1});
	for (uint32_t i = 0; i < 65; i++) {
		struct topo_if iface = {.ifindex = 100 + i,
					.slot = TOPO_NONE,
					.flags = TOPO_L2 | (i == 63 ? TOPO_ISOLATED : 0) |
						 (i == 2 ? TOPO_HAIRPIN : 0)};

		assert_int_equal(topo_add_if(*state, &iface), 0);
		assert_int_equal(topo_join(*state, 100 + i, bridge), i < 64 ? (int)i : -ENOSPC);
	}
	assert_int_equal(topo_if(*state, 164)->bridge, bridge);
	assert_int_equal(topo_if(*state, 164)->member, TOPO_NONE);
	assert_int_equal(topo_if(*state, 164)->flags, 0);
	assert_int_equal(topo_if(*state, 163)->member, 63);
	assert_int_equal(topo_bridge(*state, bridge)->isolated, 1ull << 63);
	assert_int_equal(topo_bridge(*state, bridge)->hairpin, 4);
	topo_set_pvid(*state, bridge, 63, 7);
	assert_int_equal(topo_bridge(*state, bridge)->pvid[63], 7);
}

/* VID i and MAC i on device 1 + i % 7. */
static void add_uppers(struct topo *topo, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++) {
		struct topo_if vlan = {
			.ifindex = 1000 + i,
			.kind = TOPO_VLAN,
			.slot = 3,
			.lower = 1 + i % 7,
			.tag_count = 2,
			.tag = {{htons(0x88a8), htons(1)}, {htons(0x8100), htons((uint16_t)i)}}};
		struct topo_if macvlan = {.ifindex = 10000 + i,
					  .kind = TOPO_MACVLAN,
					  .slot = 3,
					  .lower = 1 + i % 7,
					  .mac = {{2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i}}};

		assert_int_equal(topo_add_if(topo, &vlan), 0);
		assert_int_equal(topo_add_if(topo, &macvlan), 0);
	}
}

static void test_finds_what_sits_on_a_device_whichever_came_first(void **state)
{
	assert_int_equal(add(*state, 1, TOPO_OTHER, TOPO_NONE), 0);
	add_uppers(*state, 1, 1000);
	assert_int_equal(add(*state, 2, TOPO_PORT, 3), 0);
	assert_int_equal(add(*state, 20, TOPO_PORT, 4), 0);
	for (uint32_t i = 1; i <= 1000; i++) {
		struct mac mac = {{2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i}};
		uint32_t lower = 1 + i % 7;
		const struct topo_if *vlan = topo_vlan_on(*state, lower, htons(0x8100),
							  (uint16_t)i);

		assert_ptr_equal(vlan, topo_if(*state, 1000 + i));
		assert_null(topo_vlan_on(*state, lower, htons(0x88a8), (uint16_t)i));
		assert_null(topo_vlan_on(*state, lower + 1, htons(0x8100), (uint16_t)i));
		assert_ptr_equal(topo_macvlan_on(*state, lower, mac_word(&mac)),
				 topo_if(*state, 10000 + i));
		assert_null(topo_macvlan_on(*state, lower + 1, mac_word(&mac)));
	}
	assert_int_equal(topo_if(*state, 1)->flags, TOPO_HAS_VLANS | TOPO_HAS_MACVLANS);
	assert_int_equal(topo_if(*state, 2)->flags, TOPO_HAS_VLANS | TOPO_HAS_MACVLANS);
	assert_int_equal(topo_if(*state, 20)->flags, 0);
	assert_int_equal(topo_port(*state, 3)->ifindex, 2);
}

static void test_refuses_twins_and_strangers(void **state)
{
	assert_int_equal(add(*state, 1, TOPO_PORT, 0), 0);
	assert_int_equal(add(*state, 1, TOPO_OTHER, TOPO_NONE), -EEXIST);
	assert_int_equal(add(*state, 2, TOPO_PORT, 0), -EEXIST);
	assert_int_equal(add(*state, 2, TOPO_PORT, SHUNT_PORTS_MAX), -ERANGE);
	assert_int_equal(add(*state, 2, TOPO_PORT, TOPO_NONE), -ERANGE);
	assert_int_equal(add(*state, 0, TOPO_OTHER, TOPO_NONE), -EINVAL);
	assert_null(topo_if(*state, 2));
	assert_int_equal(topo_add_bridge(*state, &(struct topo_bridge_conf){.ifindex = 9}),
			 -ENOENT);
	assert_int_equal(topo_join(*state, 1, 0), -ERANGE);
	assert_int_equal(topo_join(*state, 9, 0), -ENOENT);
}

static void test_former_topo_is_whole_until_the_reader_moves_on(void **state)
{
	struct tables_limits limits = {16, 16, 16};
	struct tables tables;
	const struct topo *seen;

	assert_int_equal(tables_create(&tables, &limits), 0);
	assert_null(topo_if_at(tables_topo(&tables), 0));
	for (uint32_t i = 1; i <= 10; i++) {
		struct topo *topo = topo_create();

		assert_int_equal(add(topo, i, TOPO_OTHER, TOPO_NONE), 0);
		seen = tables_topo(&tables);
		tables_publish_topo(&tables, topo);
		assert_int_equal(topo_if(tables_topo(&tables), i)->ifindex, i);
		/* ASan sees it when it was freed. */
		assert_null(topo_if(seen, i));
	}
	tables_destroy(&tables);
	assert_null(tables.rib);
	rcu_barrier();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_finds_by_ifindex_and_by_slot),
		TEST(test_bridge_knows_itself_and_members_know_it),
		TEST(test_a_vlan_is_found_by_its_number_or_there_is_one),
		TEST(test_the_65th_member_is_the_kernels),
		TEST(test_finds_what_sits_on_a_device_whichever_came_first),
		TEST(test_refuses_twins_and_strangers),
		cmocka_unit_test(test_former_topo_is_whole_until_the_reader_moves_on),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
