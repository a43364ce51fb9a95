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

static void test_bounds_are_the_kernels(void **state)
{
	struct hop hops[3] = {hop_of(1, 3), hop_of(2, 1), hop_of(3, 7)};
	const struct nexthop *set = nexthops_at(*state,
						(uint32_t)intern(*state, NEXTHOP_FORWARD, hops, 3));

	/* DIV_ROUND_CLOSEST_ULL((u64)w << 31, total) - 1 */
	assert_int_equal(nexthop_bounds(set)[0], 585677358);
	assert_int_equal(nexthop_bounds(set)[1], 780903144);
	assert_int_equal(nexthop_bounds(set)[2], 0x7fffffff);
}

static void test_hops_of_a_dead_device_are_not_shown(void **state)
{
	struct hop hops[2] = {hop_of(1, 1), hop_of(2, 1)};
	uint32_t both, one;
	uint64_t version;

	hops[1].ifindex = 4;
	both = (uint32_t)intern(*state, NEXTHOP_FORWARD, hops, 2);
	one = get(*state, 1);
	version = nexthops_version(*state);
	assert_true(nexthops_device(*state, IP_V6, 3, true)); /* of the other family */
	assert_int_equal(nexthops_at(*state, both)->count, 2);
	assert_true(nexthops_device(*state, IP_V4, 3, true));
	assert_true(nexthops_version(*state) > version);
	assert_int_equal(nexthops_at(*state, both)->count, 1);
	assert_int_equal(nexthops_at(*state, both)->hop[0].ifindex, 4);
	assert_int_equal(nexthop_bounds(nexthops_at(*state, both))[0], 0x7fffffff);
	assert_int_equal(nexthops_full(*state, both)->count, 2);
	assert_int_equal(nexthops_at(*state, one)->action, NEXTHOP_KERNEL);
	assert_int_equal(intern(*state, NEXTHOP_FORWARD, hops, 2), both); /* still the same */
	assert_int_equal(nexthops_at(*state, get(*state, 2))->action,
			 NEXTHOP_KERNEL); /* a new one */
	assert_true(nexthops_device(*state, IP_V4, 3, false));
	assert_int_equal(nexthops_at(*state, both)->count, 2);
	assert_int_equal(nexthops_at(*state, one)->action, NEXTHOP_FORWARD);
}

static void test_object_is_swapped_in_place(void **state)
{
	struct hop hops[2] = {hop_of(1, 1), hop_of(2, 1)};
	const uint8_t buckets[4] = {0, 1, 1, 0};
	struct nexthop_spec spec = {.action = NEXTHOP_FORWARD, .count = 1, .hops = hops};
	int index = nexthops_object(*state, 7);

	assert_true(index >= 1);
	assert_int_equal(nexthops_at(*state, (uint32_t)index)->action, NEXTHOP_KERNEL);
	assert_int_equal(nexthops_object_set(*state, 7, &spec), 0);
	assert_int_equal(nexthops_at(*state, (uint32_t)index)->hop[0].via.b[3], 1);
	spec.count = 2;
	spec.buckets = buckets;
	spec.bucket_count = 4;
	assert_int_equal(nexthops_object_set(*state, 7, &spec), 0);
	assert_int_equal(nexthops_at(*state, (uint32_t)index)->bucket_count, 4);
	assert_memory_equal(nexthop_buckets(nexthops_at(*state, (uint32_t)index)), buckets, 4);
	assert_true(nexthops_at(*state, (uint32_t)index)->object);
	nexthops_device(*state, IP_V4, 3, true); /* an object's hops are its own matter */
	assert_int_equal(nexthops_at(*state, (uint32_t)index)->count, 2);
	assert_int_equal(nexthops_object_delete(*state, 7), index);
	assert_int_equal(nexthops_at(*state, (uint32_t)index)->action, NEXTHOP_KERNEL);
	assert_int_equal(nexthops_object_delete(*state, 7), 0);
	nexthops_put(*state, (uint32_t)index);
	assert_int_equal(nexthops_count(*state), 0);
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
		TEST(test_bounds_are_the_kernels),
		TEST(test_hops_of_a_dead_device_are_not_shown),
		TEST(test_object_is_swapped_in_place),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
