/* SPDX-License-Identifier: BSD-2-Clause */
/* mdb: groups by bridge, VLAN, group and source; replaced whole, swept by generation. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#include <cmocka.h>

#include "table/mdb.h"

static int setup(void **state)
{
	return mdb_create((struct mdb **)state);
}

static int teardown(void **state)
{
	mdb_destroy(*state);
	return 0;
}

static struct mdb_key key(uint32_t n)
{
	return (struct mdb_key){.bridge = 10,
				.vlan = (uint16_t)(n % 3),
				.family = IP_V4,
				.group = {{239, 1, (uint8_t)(n >> 8), (uint8_t)n}}};
}

static void each_part_of_the_key_counts(void **state)
{
	const uint32_t one = 1;
	struct mdb_key base = key(7), other[5] = {base, base, base, base, base};

	other[0].bridge++;
	other[1].vlan++;
	other[2].family = MDB_L2;
	other[3].group.b[15] = 1;
	other[4].source.b[0] = 10;
	assert_int_equal(mdb_set(*state, &base, &one, 1, false), 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_null(mdb_find(*state, &other[i]));
		assert_int_equal(mdb_delete(*state, &other[i]), -ENOENT);
		assert_int_equal(mdb_set(*state, &other[i], &one, 1, true), 0);
	}
	assert_int_equal(mdb_count(*state), 6);
	assert_false(mdb_find(*state, &base)->kernel);
	assert_int_equal(mdb_delete(*state, &base), 0);
	assert_null(mdb_find(*state, &base));
	assert_true(mdb_find(*state, &other[4])->kernel);
}

static void a_change_replaces_the_entry_and_the_reader_keeps_the_old_one(void **state)
{
	uint32_t members[TOPO_MEMBERS_MAX + 1] = {1, 2, 3};
	const struct mdb_entry *before;
	struct mdb_key group = key(1);

	assert_int_equal(mdb_set(*state, &group, members, 2, false), 0);
	before = mdb_find(*state, &group);
	assert_int_equal(mdb_set(*state, &group, members, 2, false), 0);
	assert_ptr_equal(mdb_find(*state, &group), before);
	assert_int_equal(mdb_set(*state, &group, members, 3, false), 0);
	assert_int_equal(before->count, 2); /* ASan sees it when it was freed */
	assert_int_equal(mdb_find(*state, &group)->count, 3);
	assert_int_equal(mdb_find(*state, &group)->ifindex[2], 3);
	members[2] = 4;
	assert_int_equal(mdb_set(*state, &group, members, 3, false), 0);
	assert_int_equal(mdb_find(*state, &group)->ifindex[2], 4);
	assert_int_equal(mdb_set(*state, &group, NULL, 0, true), 0);
	assert_int_equal(mdb_find(*state, &group)->count, 0);
	assert_int_equal(mdb_set(*state, &group, members, TOPO_MEMBERS_MAX + 1, false), -E2BIG);
	assert_int_equal(mdb_count(*state), 1);
}

static void count_gone(const struct mdb_entry *entry, void *arg)
{
	*(unsigned *)arg += entry->ifindex[0] == 1 ? 1 : 1000;
}

static void a_resync_removes_what_was_not_set_again(void **state)
{
	const uint32_t one = 1, two = 2;
	unsigned gone = 0;
	struct mdb_key group;

	for (uint32_t i = 0; i < 1000; i++) {
		group = key(i);
		assert_int_equal(mdb_set(*state, &group, i % 2 ? &one : &two, 1, false), 0);
	}
	mdb_resync_begin(*state);
	for (uint32_t i = 0; i < 1000; i += 2) {
		group = key(i);
		assert_int_equal(mdb_set(*state, &group, &two, 1, false), 0);
	}
	mdb_resync_sweep(*state, count_gone, &gone);
	assert_int_equal(gone, 500);
	assert_int_equal(mdb_count(*state), 500);
	for (uint32_t i = 0; i < 1000; i++) {
		group = key(i);
		assert_int_equal(mdb_find(*state, &group) == NULL, i % 2);
	}
	gone = 0;
	mdb_each(*state, count_gone, &gone);
	assert_int_equal(gone, 500 * 1000);
}

static void the_limit_refuses_new_groups_only(void **state)
{
	const uint32_t one = 1, two = 2;
	struct mdb_key group = {.bridge = 1};

	for (uint32_t i = 0; i < MDB_LIMIT; i++) {
		memcpy(group.group.b, &i, sizeof(i));
		assert_int_equal(mdb_set(*state, &group, &one, 1, false), 0);
	}
	assert_int_equal(mdb_set(*state, &group, &two, 1, false), 0);
	group.bridge = 2;
	assert_int_equal(mdb_set(*state, &group, &two, 1, false), -ENOSPC);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_part_of_the_key_counts),
		TEST(a_change_replaces_the_entry_and_the_reader_keeps_the_old_one),
		TEST(a_resync_removes_what_was_not_set_again),
		TEST(the_limit_refuses_new_groups_only),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
