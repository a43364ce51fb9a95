// SPDX-License-Identifier: BSD-2-Clause
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
	first = topo_add_bridge(*state, 10, 1, true);
	second = topo_add_bridge(*state, 20, 0, false);
	assert_true(first >= 0 && second >= 0 && first != second);
	/* More interfaces do not move the first. */
	for (uint32_t i = 100; i < 300; i++) {
		assert_int_equal(add(*state, i, TOPO_OTHER, TOPO_NONE), 0);
	}
	assert_int_equal(topo_join(*state, 11, first), 0);
	assert_ptr_equal(topo_bridge(*state, first)->self, topo_if(*state, 10));
	assert_int_equal(topo_if(*state, 10)->kind, TOPO_BRIDGE);
	assert_int_equal(topo_if(*state, 20)->bridge, second);
	assert_int_equal(topo_port(*state, 0)->bridge, first);
	assert_true(topo_bridge(*state, first)->flood_ours);
	assert_null(topo_bridge(*state, 2));
	assert_null(topo_bridge(*state, TOPO_NONE));
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
	assert_int_equal(topo_add_bridge(*state, 9, 0, false), -ENOENT);
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
		TEST(test_refuses_twins_and_strangers),
		cmocka_unit_test(test_former_topo_is_whole_until_the_reader_moves_on),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
