// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#include <cmocka.h>

#include "table/nexthop.h"

static int setup(void **state)
{
	return nexthops_create((struct nexthops **)state);
}

static int teardown(void **state)
{
	nexthops_destroy(*state);
	return 0;
}

static struct hop hop_of(unsigned n, unsigned weight)
{
	return (struct hop){.ifindex = 3,
			    .has_via = 1,
			    .weight = (uint16_t)weight,
			    .via = {{10, 0, (uint8_t)(n >> 8), (uint8_t)n}}};
}

static int intern(struct nexthops *nexthops, enum nexthop_action action, const struct hop *hops,
		  unsigned count)
{
	return nexthops_get(nexthops, &(struct nexthop_spec){.action = (uint8_t)action,
							     .count = (uint8_t)count,
							     .hops = hops});
}

static uint32_t get(struct nexthops *nexthops, unsigned n)
{
	struct hop hop = hop_of(n, 1);
	int index = intern(nexthops, NEXTHOP_FORWARD, &hop, 1);

	assert_true(index >= 1);
	return (uint32_t)index;
}

static void test_same_content_is_stored_once(void **state)
{
	struct hop hops[2] = {hop_of(1, 3), hop_of(2, 256)};
	int both = intern(*state, NEXTHOP_FORWARD, hops, 2);
	uint32_t one = get(*state, 1);

	assert_true(both >= 1);
	assert_int_equal(intern(*state, NEXTHOP_FORWARD, hops, 2), both);
	assert_int_equal(get(*state, 1), one);
	assert_int_not_equal(one, both);
	assert_int_equal(nexthops_count(*state), 2);
	assert_int_equal(nexthops_at(*state, (uint32_t)both)->weight_total, 259);
	assert_int_equal(nexthops_at(*state, (uint32_t)both)->count, 2);
	hops[1].weight = 255;
	assert_int_not_equal(intern(*state, NEXTHOP_FORWARD, hops, 2), both);
	assert_int_not_equal(intern(*state, NEXTHOP_KERNEL, NULL, 0),
			     intern(*state, NEXTHOP_LOCAL, NULL, 0));
}

static void test_goes_with_its_last_reference(void **state)
{
	uint32_t index = get(*state, 1);

	get(*state, 1);
	nexthops_ref(*state, index);
	nexthops_put(*state, index);
	nexthops_put(*state, index);
	assert_int_equal(nexthops_count(*state), 1);
	nexthops_put(*state, index);
	assert_int_equal(nexthops_count(*state), 0);
}

static void test_index_is_reused_only_after_a_grace_period(void **state)
{
	uint32_t old = get(*state, 1);
	bool reused = false;

	nexthops_put(*state, old);
	/* We are the reader that has the index from a fib: no quiescent state in here. */
	for (unsigned n = 2; n < 500; n++) {
		uint32_t index = get(*state, n);

		assert_int_not_equal(index, old);
		nexthops_put(*state, index);
	}
	assert_int_equal(nexthops_at(*state, old)->hop[0].via.b[3], 1);
	rcu_barrier();
	for (unsigned n = 1000; n < 1004; n++) {
		reused |= get(*state, n) == old;
	}
	assert_true(reused);
}

static void test_indexes_do_not_run_out_under_churn(void **state)
{
	uint32_t highest = 0;

	for (unsigned n = 0; n < 2000; n++) {
		uint32_t index = get(*state, n);

		highest = index > highest ? index : highest;
		nexthops_put(*state, index);
		if (n % 100 == 0) {
			rcu_barrier();
		}
	}
	assert_true(highest < 500);
}

static void test_refuses_too_many_hops_and_none(void **state)
{
	struct hop hops[NEXTHOP_HOPS_MAX + 1];
	int index;

	for (unsigned i = 0; i <= NEXTHOP_HOPS_MAX; i++) {
		hops[i] = hop_of(i, 256);
	}
	assert_int_equal(intern(*state, NEXTHOP_FORWARD, hops, NEXTHOP_HOPS_MAX + 1), -E2BIG);
	assert_int_equal(intern(*state, NEXTHOP_FORWARD, hops, 0), -EINVAL);
	index = intern(*state, NEXTHOP_FORWARD, hops, NEXTHOP_HOPS_MAX);
	assert_true(index >= 1);
	assert_int_equal(nexthops_at(*state, (uint32_t)index)->weight_total, 64 * 256);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_same_content_is_stored_once),
		TEST(test_goes_with_its_last_reference),
		TEST(test_index_is_reused_only_after_a_grace_period),
		TEST(test_indexes_do_not_run_out_under_churn),
		TEST(test_refuses_too_many_hops_and_none),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
