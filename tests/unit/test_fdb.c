// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <urcu-qsbr.h>

#include <cmocka.h>

#include "table/fdb.h"

#define LIMIT 20000u

static int setup(void **state)
{
	return fdb_create((struct fdb **)state, LIMIT);
}

static int teardown(void **state)
{
	fdb_destroy(*state);
	return 0;
}

static struct fdb_key key_of(unsigned n)
{
	return (struct fdb_key){.bridge = 5,
				.mac = {{2, 0, (uint8_t)(n >> 24), (uint8_t)(n >> 16),
					 (uint8_t)(n >> 8), (uint8_t)n}}};
}

static void set(struct fdb *fdb, struct fdb_key key, uint32_t ifindex)
{
	assert_int_equal(fdb_set(fdb, &key, ifindex, (int16_t)ifindex, FDB_DYNAMIC), 0);
}

static const struct fdb_entry *find(struct fdb *fdb, struct fdb_key key)
{
	return fdb_find(fdb, &key);
}

static void test_every_part_of_the_key_counts(void **state)
{
	struct fdb_key bridge = key_of(1), vlan = key_of(1), mac = key_of(1);

	bridge.bridge = 6;
	vlan.vlan = 1;
	mac.mac.b[0] ^= 4;
	set(*state, key_of(1), 3);
	assert_int_equal(find(*state, key_of(1))->ifindex, 3);
	assert_null(find(*state, bridge));
	assert_null(find(*state, vlan));
	assert_null(find(*state, mac));
	set(*state, vlan, 4);
	assert_int_equal(find(*state, key_of(1))->ifindex, 3);
	assert_int_equal(find(*state, vlan)->ifindex, 4);
}

static void test_moved_station_replaces_and_delete_removes(void **state)
{
	struct fdb_key key = key_of(1);

	set(*state, key, 3);
	set(*state, key, 4);
	assert_int_equal(find(*state, key)->ifindex, 4);
	assert_int_equal(fdb_count(*state), 1);
	assert_int_equal(fdb_delete(*state, &key), 0);
	assert_int_equal(fdb_delete(*state, &key), -ENOENT);
	assert_null(find(*state, key));
}

static void test_use_is_carried_over_while_it_stays(void **state)
{
	struct fdb_key key = key_of(1);

	set(*state, key, 3);
	fdb_touch(find(*state, key), 77);
	assert_int_equal(fdb_set(*state, &key, 3, 3, FDB_STATIC), 0);
	assert_int_equal(find(*state, key)->state, FDB_STATIC);
	assert_int_equal(find(*state, key)->used_s, 77);
	set(*state, key, 4);
	assert_int_equal(find(*state, key)->used_s, 0);
}

/* Entries removed, a few at a time. */
static size_t swept(struct fdb *fdb)
{
	size_t before = fdb_count(fdb), cursor = 0;

	while (fdb_resync_sweep(fdb, &cursor, 7)) {
	}
	return before - fdb_count(fdb);
}

static void test_sweep_removes_what_was_not_set_again(void **state)
{
	for (unsigned n = 0; n < 100; n++) {
		set(*state, key_of(n), 3);
	}
	fdb_resync_begin(*state);
	for (unsigned n = 0; n < 100; n += 2) {
		set(*state, key_of(n), n % 4 ? 3 : 4);
	}
	assert_int_equal(swept(*state), 50);
	for (unsigned n = 0; n < 100; n++) {
		assert_int_equal(find(*state, key_of(n)) == NULL, n & 1);
	}
}

static void test_full_table_refuses_new_keys_only(void **state)
{
	struct fdb_key more = key_of(LIMIT);

	for (unsigned n = 0; n < LIMIT; n++) {
		set(*state, key_of(n), 3);
	}
	assert_int_equal(fdb_set(*state, &more, 3, 3, FDB_DYNAMIC), -ENOSPC);
	assert_null(find(*state, more));
	set(*state, key_of(7), 4);
	assert_int_equal(fdb_count(*state), LIMIT);
}

static void delete_odd(const struct fdb_entry *entry, void *arg)
{
	struct fdb_key key = entry->key;

	if (key.mac.b[5] & 1) {
		assert_int_equal(fdb_delete(arg, &key), 0);
	}
}

static void test_each_may_delete_its_entry(void **state)
{
	for (unsigned n = 0; n < 256; n++) {
		set(*state, key_of(n), 3);
	}
	fdb_each(*state, delete_odd, *state);
	assert_int_equal(fdb_count(*state), 128);
}

struct reader {
	struct fdb *fdb;
	bool stop;
	unsigned long looks, missed;
};

static void *reader_main(void *arg)
{
	struct reader *reader = arg;
	struct fdb_key key = key_of(0);

	rcu_register_thread();
	while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED)) {
		for (unsigned i = 0; i < 64; i++) {
			const struct fdb_entry *entry = fdb_find(reader->fdb, &key);

			reader->missed += !entry || (entry->ifindex != 3 && entry->ifindex != 4);
			reader->looks++;
		}
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void test_reader_finds_an_entry_while_others_come_and_go(void **state)
{
	struct reader reader = {.fdb = *state};
	time_t end = time(NULL) + 2;
	pthread_t thread;

	set(*state, key_of(0), 3);
	assert_int_equal(pthread_create(&thread, NULL, reader_main, &reader), 0);
	/* Long enough on a busy machine for the two to have run side by side. */
	while (time(NULL) < end) {
		for (unsigned n = 1; n < 10000; n++) {
			set(*state, key_of(n), 5);
			set(*state, key_of(0), 3 + n % 2);
			rcu_quiescent_state();
		}
		fdb_resync_begin(*state);
		set(*state, key_of(0), 3);
		assert_int_equal(swept(*state), 9999);
	}
	__atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
	rcu_thread_offline();
	pthread_join(thread, NULL);
	rcu_thread_online();
	assert_true(reader.looks > 1000);
	assert_int_equal(reader.missed, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_every_part_of_the_key_counts),
		TEST(test_moved_station_replaces_and_delete_removes),
		TEST(test_use_is_carried_over_while_it_stays),
		TEST(test_sweep_removes_what_was_not_set_again),
		TEST(test_full_table_refuses_new_keys_only),
		TEST(test_each_may_delete_its_entry),
		TEST(test_reader_finds_an_entry_while_others_come_and_go),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_barrier();
	rcu_unregister_thread();
	return failed;
}
