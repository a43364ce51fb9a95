// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <linux/neighbour.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#include <cmocka.h>

#include "table/neigh.h"

#define LIMIT 1000u

static const struct mac mac_a = {{2, 0, 0, 0, 0, 1}}, mac_b = {{2, 0, 0, 0, 0, 2}};

static int setup(void **state)
{
	return neigh_create((struct neigh **)state, LIMIT);
}

static int teardown(void **state)
{
	neigh_destroy(*state);
	return 0;
}

static struct neigh_key key_of(unsigned n)
{
	return (struct neigh_key){.ifindex = 5,
				  .family = IP_V6,
				  .addr = {{0xfe, 0x80, [14] = (uint8_t)(n >> 8), (uint8_t)n}}};
}

static void set(struct neigh *neigh, struct neigh_key key, const struct mac *mac, uint16_t nud)
{
	assert_int_equal(neigh_set(neigh, &key, mac, nud), 0);
}

static const struct neigh_entry *find(struct neigh *neigh, struct neigh_key key)
{
	return neigh_find(neigh, &key);
}

static void test_every_part_of_the_key_counts(void **state)
{
	struct neigh_key dev = key_of(1), family = key_of(1), high = key_of(1), low = key_of(1);

	dev.ifindex = 6;
	family.family = IP_V4;
	high.addr.b[0] ^= 1;
	low.addr.b[15] ^= 1;
	set(*state, key_of(1), &mac_a, NUD_REACHABLE);
	assert_non_null(find(*state, key_of(1)));
	assert_null(find(*state, dev));
	assert_null(find(*state, family));
	assert_null(find(*state, high));
	assert_null(find(*state, low));
}

static void test_usable_is_what_the_kernel_would_send_to(void **state)
{
	static const struct {
		uint16_t nud;
		bool lladdr, usable;
	} cases[] = {
		{NUD_REACHABLE, true, true},    {NUD_STALE, true, true},
		{NUD_DELAY, true, true},        {NUD_PROBE, true, true},
		{NUD_NOARP, true, true},        {NUD_PERMANENT, true, true},
		{NUD_INCOMPLETE, true, false},  {NUD_FAILED, true, false},
		{NUD_NONE, true, false},        {NUD_NOARP, false, false},
		{NUD_INCOMPLETE, false, false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set(*state, key_of(1), cases[i].lladdr ? &mac_a : NULL, cases[i].nud);
		assert_int_equal(find(*state, key_of(1))->usable, cases[i].usable);
		assert_int_equal(find(*state, key_of(1))->nud, cases[i].nud);
	}
}

static void test_use_is_carried_over(void **state)
{
	struct neigh_key key = key_of(1);

	set(*state, key, &mac_a, NUD_REACHABLE);
	neigh_touch(find(*state, key), 42);
	set(*state, key, &mac_b, NUD_STALE);
	assert_true(mac_equal(&find(*state, key)->lladdr, &mac_b));
	assert_int_equal(find(*state, key)->used_s, 42);
	assert_int_equal(neigh_delete(*state, &key), 0);
	assert_int_equal(neigh_delete(*state, &key), -ENOENT);
}

static void count_one(const struct neigh_entry *entry, void *arg)
{
	++*(unsigned *)arg;
}

/* Entries removed, a few at a time. */
static size_t swept(struct neigh *neigh)
{
	size_t before = neigh_count(neigh), cursor = 0;

	while (neigh_resync_sweep(neigh, &cursor, 7)) {
	}
	return before - neigh_count(neigh);
}

static void test_sweep_and_limit(void **state)
{
	struct neigh_key more = key_of(LIMIT);
	unsigned seen = 0;

	for (unsigned n = 0; n < LIMIT; n++) {
		set(*state, key_of(n), &mac_a, NUD_STALE);
	}
	assert_int_equal(neigh_set(*state, &more, &mac_a, NUD_STALE), -ENOSPC);
	neigh_resync_begin(*state);
	for (unsigned n = 0; n < LIMIT; n += 2) {
		set(*state, key_of(n), &mac_a, n % 4 ? NUD_STALE : NUD_REACHABLE);
	}
	assert_int_equal(swept(*state), LIMIT / 2);
	for (unsigned n = 0; n < LIMIT; n++) {
		assert_int_equal(find(*state, key_of(n)) == NULL, n & 1);
	}
	neigh_each(*state, count_one, &seen);
	assert_int_equal(seen, neigh_count(*state));
}

static void test_replaced_entry_is_whole_until_the_reader_moves_on(void **state)
{
	struct neigh_key key = key_of(1);
	const struct neigh_entry *seen;

	set(*state, key, &mac_a, NUD_REACHABLE);
	seen = find(*state, key);
	/* We are the reader as well: no quiescent state in here.  ASan sees a use after free. */
	for (unsigned i = 0; i < 1000; i++) {
		set(*state, key, i % 2 ? &mac_a : &mac_b, NUD_REACHABLE);
	}
	neigh_delete(*state, &key);
	assert_true(mac_equal(&seen->lladdr, &mac_a));
	assert_int_equal(seen->key.ifindex, 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_every_part_of_the_key_counts),
		TEST(test_usable_is_what_the_kernel_would_send_to),
		TEST(test_use_is_carried_over),
		TEST(test_sweep_and_limit),
		TEST(test_replaced_entry_is_whole_until_the_reader_moves_on),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_barrier();
	rcu_unregister_thread();
	return failed;
}
