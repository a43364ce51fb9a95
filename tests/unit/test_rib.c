// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#include <cmocka.h>

#include "table/rib.h"

#define LIMIT 8u

static int setup(void **state)
{
	return rib_create((struct rib **)state, LIMIT);
}

static int teardown(void **state)
{
	rib_destroy(*state);
	return 0;
}

/* 10.<net>.0.0/<len> via 192.0.2.<via> dev 1; via 0: on link, dev 1. */
static struct rib_route route4(unsigned net, unsigned len, unsigned via)
{
	struct rib_route route = {.key = {.family = IP_V4, .table = RIB_MAIN, .len = (uint8_t)len},
				  .type = 1,
				  .action = NEXTHOP_FORWARD,
				  .count = 1,
				  .origin = 1};

	if (len) {
		route.key.prefix = (struct ip_addr){{10, (uint8_t)net}};
	}
	route.hop[0] = (struct hop){.ifindex = 1, .weight = 1, .has_via = via != 0};
	if (via) {
		route.hop[0].via = (struct ip_addr){{192, 0, 2, (uint8_t)via}};
	}
	return route;
}

/* 2001:db8::/<len> via fe80::<via> dev <dev>. */
static struct rib_route route6(unsigned len, unsigned via, unsigned dev)
{
	struct rib_route route = route4(0, 0, via);

	route.key.family = IP_V6;
	route.key.len = (uint8_t)len;
	route.key.metric = 1024;
	route.key.prefix = (struct ip_addr){{0x20, 1, 0xd, 0xb8}};
	route.hop[0].ifindex = dev;
	route.hop[0].via_family = IP_V6;
	if (via) {
		route.hop[0].via = (struct ip_addr){{0xfe, 0x80, [15] = (uint8_t)via}};
	}
	return route;
}

/* Routes removed, a few at a time. */
static size_t swept(struct rib *rib, enum ip_family family)
{
	size_t before = rib_count(rib, family), cursor = 0;

	while (rib_resync_sweep(rib, family, &cursor, 1)) {
	}
	return before - rib_count(rib, family);
}

static const struct nexthop *look(struct rib *rib, enum ip_family family, struct ip_addr addr)
{
	uint32_t value = fib_lookup(rib_fib(rib, family, RIB_MAIN), addr.b);

	return value ? nexthops_at(rib_nexthops(rib), value) : NULL;
}

/* The gateway's last byte for 10.net.1.1; -1 no route, -2 the kernel's. */
static int via4(struct rib *rib, unsigned net)
{
	const struct nexthop *set = look(rib, IP_V4, (struct ip_addr){{10, (uint8_t)net, 1, 1}});

	return !set ? -1 : set->action == NEXTHOP_FORWARD ? set->hop[0].via.b[3] : -2;
}

static const struct nexthop *set6(struct rib *rib)
{
	return look(rib, IP_V6, (struct ip_addr){{0x20, 1, 0xd, 0xb8, 9}});
}

static void set(struct rib *rib, struct rib_route route, enum rib_how how)
{
	assert_int_equal(rib_set(rib, &route, how), 0);
}

static void del(struct rib *rib, struct rib_route route)
{
	assert_int_equal(rib_delete(rib, &route, route.key.family == IP_V6), 0);
}

static void test_lowest_metric_is_chosen(void **state)
{
	struct rib_route far = route4(1, 16, 7), near = route4(1, 16, 8);

	far.key.metric = 100;
	near.key.metric = 10;
	set(*state, far, RIB_BESIDE);
	set(*state, near, RIB_BESIDE);
	assert_int_equal(via4(*state, 1), 8);
	assert_int_equal(rib_count(*state, IP_V4), 2);
	del(*state, near);
	assert_int_equal(via4(*state, 1), 7);
	del(*state, far);
	assert_int_equal(via4(*state, 1), -1);
	assert_int_equal(rib_delete(*state, &far, false), -ENOENT);
}

static void test_deleting_gives_the_covering_prefix(void **state)
{
	set(*state, route4(0, 0, 1), RIB_BESIDE);
	set(*state, route4(1, 12, 2), RIB_BESIDE);
	set(*state, route4(1, 16, 3), RIB_BESIDE);
	assert_int_equal(via4(*state, 1), 3);
	del(*state, route4(1, 16, 3));
	assert_int_equal(via4(*state, 1), 2);
	del(*state, route4(1, 12, 2));
	assert_int_equal(via4(*state, 1), 1);
}

static void test_tos_makes_the_prefix_the_kernels(void **state)
{
	struct rib_route tos = route4(1, 16, 8);

	/* Whatever its metric: fib_table_lookup() passes over it or not by the packet. */
	tos.key.tos = 0x10;
	tos.key.metric = 50;
	set(*state, route4(1, 16, 7), RIB_BESIDE);
	set(*state, tos, RIB_BESIDE);
	assert_int_equal(via4(*state, 1), -2);
	del(*state, tos);
	assert_int_equal(via4(*state, 1), 7);
}

static void test_replace_takes_the_place(void **state)
{
	set(*state, route4(1, 16, 7), RIB_BESIDE);
	set(*state, route4(1, 16, 8), RIB_REPLACE);
	assert_int_equal(via4(*state, 1), 8);
	assert_int_equal(rib_count(*state, IP_V4), 1);
}

static void test_appended_alias_is_the_kernels_until_it_goes(void **state)
{
	set(*state, route4(1, 16, 7), RIB_BESIDE);
	set(*state, route4(1, 16, 8), RIB_BESIDE);
	assert_int_equal(via4(*state, 1), -2);
	del(*state, route4(1, 16, 7));
	assert_int_equal(via4(*state, 1), 8);
	assert_int_equal(rib_doubts(*state, IP_V4), 0);
}

static void test_replace_among_aliases_is_in_doubt_until_a_resync(void **state)
{
	set(*state, route4(1, 16, 7), RIB_BESIDE);
	set(*state, route4(1, 16, 8), RIB_BESIDE);
	set(*state, route4(1, 16, 9), RIB_REPLACE);
	del(*state, route4(1, 16, 9));
	assert_int_equal(via4(*state, 1), -2);
	assert_true(rib_doubts(*state, IP_V4) > 0);
	rib_resync_begin(*state, IP_V4);
	set(*state, route4(1, 16, 8), RIB_BESIDE);
	swept(*state, IP_V4);
	assert_int_equal(via4(*state, 1), 8);
	assert_int_equal(rib_doubts(*state, IP_V4), 0);
}

static void test_twin_of_unknown_origin_is_not_deleted_twice_over(void **state)
{
	struct rib_route route = route4(1, 16, 7);

	route.origin = 0;
	set(*state, route4(0, 0, 1), RIB_BESIDE);
	set(*state, route, RIB_BESIDE);
	set(*state, route, RIB_BESIDE);
	assert_int_equal(via4(*state, 1), 7);
	del(*state, route);
	assert_int_equal(via4(*state, 1), -2);
	rib_resync_begin(*state, IP_V4);
	set(*state, route4(0, 0, 1), RIB_BESIDE);
	assert_int_equal(swept(*state, IP_V4), 1);
	assert_int_equal(via4(*state, 1), 1);
}

static void test_route_told_twice_is_deleted_once(void **state)
{
	set(*state, route4(1, 16, 7), RIB_BESIDE);
	set(*state, route4(1, 16, 7), RIB_BESIDE);
	del(*state, route4(1, 16, 7));
	assert_int_equal(via4(*state, 1), -1);
	assert_int_equal(rib_count(*state, IP_V4), 0);
}

static void test_ipv6_siblings_merge_and_part(void **state)
{
	set(*state, route6(32, 1, 1), RIB_MERGE);
	set(*state, route6(32, 2, 2), RIB_MERGE);
	set(*state, route6(32, 2, 2), RIB_MERGE);
	assert_int_equal(rib_count(*state, IP_V6), 1);
	assert_int_equal(set6(*state)->count, 2);
	del(*state, route6(32, 1, 1));
	assert_int_equal(set6(*state)->count, 1);
	assert_int_equal(set6(*state)->hop[0].ifindex, 2);
	struct rib_route gone = route6(32, 1, 1);
	assert_int_equal(rib_delete(*state, &gone, true), -ENOENT);
	assert_int_equal(set6(*state)->count, 1);
	del(*state, route6(32, 2, 2));
	assert_null(set6(*state));
}

static void test_ipv6_on_link_twins_are_the_kernels(void **state)
{
	set(*state, route6(32, 0, 1), RIB_BESIDE);
	assert_int_equal(set6(*state)->action, NEXTHOP_FORWARD);
	set(*state, route6(32, 0, 2), RIB_BESIDE);
	assert_int_equal(set6(*state)->action, NEXTHOP_KERNEL);
	del(*state, route6(32, 0, 1));
	assert_int_equal(set6(*state)->action, NEXTHOP_FORWARD);
	set(*state, route6(32, 0, 1), RIB_MERGE);
	assert_int_equal(set6(*state)->action, NEXTHOP_KERNEL);
}

static void test_ipv6_kernel_route_with_hops_is_deleted(void **state)
{
	struct rib_route route = route6(32, 0, 1);

	route.action = NEXTHOP_KERNEL;
	set(*state, route, RIB_BESIDE);
	del(*state, route);
	assert_null(set6(*state));
}

static void test_resync_starts_siblings_anew(void **state)
{
	set(*state, route6(32, 1, 1), RIB_MERGE);
	set(*state, route6(32, 2, 2), RIB_MERGE);
	rib_resync_begin(*state, IP_V6);
	set(*state, route6(32, 3, 3), RIB_MERGE);
	assert_int_equal(swept(*state, IP_V6), 0);
	assert_int_equal(set6(*state)->count, 1);
	assert_int_equal(set6(*state)->hop[0].ifindex, 3);
}

static void test_sweep_removes_what_was_not_told_again(void **state)
{
	set(*state, route4(1, 16, 7), RIB_BESIDE);
	set(*state, route4(2, 16, 8), RIB_BESIDE);
	set(*state, route6(32, 1, 1), RIB_MERGE);
	rib_resync_begin(*state, IP_V4);
	set(*state, route4(2, 16, 8), RIB_BESIDE);
	/* Interrupted, and asked again. */
	rib_resync_begin(*state, IP_V4);
	set(*state, route4(1, 16, 7), RIB_BESIDE);
	assert_int_equal(swept(*state, IP_V4), 1);
	assert_int_equal(via4(*state, 1), 7);
	assert_int_equal(via4(*state, 2), -1);
	assert_int_equal(rib_count(*state, IP_V6), 1);
}

static void test_resync_interrupted_often_still_sweeps(void **state)
{
	for (unsigned times = 1; times < 40; times++) {
		set(*state, route4(1, 16, 7), RIB_BESIDE);
		set(*state, route4(2, 16, 8), RIB_BESIDE);
		for (unsigned i = 0; i < times; i++) {
			rib_resync_begin(*state, IP_V4);
			/* Some of the interrupted dumps had it, of any round. */
			if (i % 3 == 0) {
				set(*state, route4(i % 2 + 1, 16, 7 + i % 2), RIB_BESIDE);
			}
		}
		rib_resync_begin(*state, IP_V4);
		set(*state, route4(1, 16, 7), RIB_BESIDE);
		assert_int_equal(swept(*state, IP_V4), 1);
		assert_int_equal(via4(*state, 1), 7);
		assert_int_equal(via4(*state, 2), -1);
	}
}

static void check_agrees(const struct rib_route *route, void *arg)
{
	struct rib **ribs = arg;

	assert_true(rib_agrees(ribs[0], &route->key));
	assert_true(rib_has(ribs[1], route));
}

static void test_equal_ribs_have_the_same_routes_and_fibs_that_agree(void **state)
{
	struct rib *ribs[2] = {*state};
	struct rib_route longer;
	size_t cursor = 0;

	assert_int_equal(rib_create(&ribs[1], 100), 0);
	for (unsigned i = 0; i < 2; i++) {
		set(ribs[i], route4(0, 0, 1), RIB_BESIDE);
		set(ribs[i], route4(1, 16, 7), RIB_BESIDE);
		longer = route4(1, 24, 8);
		set(ribs[i], longer, RIB_BESIDE);
		set(ribs[i], route6(32, 1, 1), RIB_MERGE);
		set(ribs[i], route6(32, 2, 1), RIB_MERGE);
	}
	while (rib_walk(ribs[0], &cursor, 2, check_agrees, ribs)) {
	}
	assert_true(rib_has(ribs[1], &longer));
	set(ribs[1], route4(1, 24, 9), RIB_REPLACE);
	assert_false(rib_has(ribs[1], &longer));
	/* A look-up table that says something else than the routes is found out. */
	fib_insert((struct fib *)rib_fib(ribs[1], IP_V4, RIB_MAIN), &longer.key.prefix, 24, 1);
	assert_false(rib_agrees(ribs[1], &longer.key));
	rib_destroy(ribs[1]);
}

static void test_over_the_limit_a_prefix_is_the_kernels(void **state)
{
	struct rib_route route = route4(100, 16, 9);

	set(*state, route4(0, 0, 1), RIB_BESIDE);
	for (unsigned i = 1; i < LIMIT; i++) {
		set(*state, route4(i, 16, 2), RIB_BESIDE);
	}
	assert_int_equal(rib_set(*state, &route, RIB_BESIDE), -ENOSPC);
	assert_int_equal(via4(*state, 100), -2);
	assert_int_equal(via4(*state, 101), 1);
	/* A longer one beneath it goes: what is left is not the default. */
	del(*state, route4(1, 16, 2));
	assert_int_equal(via4(*state, 1), 1);
	rib_resync_begin(*state, IP_V4);
	for (unsigned i = 2; i < LIMIT; i++) {
		set(*state, route4(i, 16, 2), RIB_BESIDE);
	}
	set(*state, route, RIB_BESIDE);
	swept(*state, IP_V4);
	assert_int_equal(via4(*state, 100), 9);
}

static void test_past_all_room_what_is_near_is_the_kernels(void **state)
{
	struct rib_route route;
	unsigned i;

	for (i = 0; !rib_closed(*state, IP_V4); i++) {
		assert_true(i < 100);
		route = route4(i, 16, 2);
		rib_set(*state, &route, RIB_BESIDE);
	}
	assert_int_equal(via4(*state, i - 1), -2);
	assert_int_equal(via4(*state, 0), 2);
	assert_int_equal(via4(*state, 200), -1);
	assert_false(rib_closed(*state, IP_V6));
	/* More of these close more; one that would fit there now does not open it. */
	route = route4(150, 24, 2);
	assert_int_equal(rib_set(*state, &route, RIB_BESIDE), -ENOSPC);
	assert_int_equal(via4(*state, 150), -2);
	del(*state, route4(1, 16, 2));
	route = route4(i - 1, 16, 2);
	rib_set(*state, &route, RIB_BESIDE);
	assert_int_equal(via4(*state, i - 1), -2);
	assert_int_equal(via4(*state, 1), -1);
	rib_resync_begin(*state, IP_V4);
	set(*state, route4(0, 16, 2), RIB_BESIDE);
	swept(*state, IP_V4);
	assert_false(rib_closed(*state, IP_V4));
	assert_int_equal(via4(*state, 0), 2);
	assert_int_equal(via4(*state, 200), -1);
}

static void test_refuses_malformed_routes(void **state)
{
	struct rib_route route = route4(1, 33, 7);

	assert_int_equal(rib_set(*state, &route, RIB_BESIDE), -EINVAL);
	route = route4(1, 16, 7);
	route.count = 0;
	assert_int_equal(rib_set(*state, &route, RIB_BESIDE), -EINVAL);
	route = route4(1, 16, 7);
	route.key.table = 0;
	assert_int_equal(rib_set(*state, &route, RIB_BESIDE), -EINVAL);
}

static void count_kernel(const struct rib_route *route, void *arg)
{
	unsigned *seen = arg;

	seen[route->action == NEXTHOP_KERNEL]++;
	assert_int_equal(route->hop[0].ifindex, 1);
	assert_int_equal(route->count, 1);
}

static void test_each_tells_what_is_done_with_the_prefix(void **state)
{
	unsigned seen[2] = {0};

	set(*state, route4(1, 16, 7), RIB_BESIDE);
	set(*state, route4(1, 16, 8), RIB_BESIDE);
	set(*state, route4(2, 16, 8), RIB_BESIDE);
	rib_each(*state, count_kernel, seen);
	assert_int_equal(seen[0], 1);
	assert_int_equal(seen[1], 2);
}

static void test_nexthops_are_given_back(void **state)
{
	size_t before = nexthops_count(rib_nexthops(*state));

	for (unsigned i = 0; i < 4; i++) {
		set(*state, route4(i, 16, i + 1), RIB_BESIDE);
		set(*state, route4(i, 16, i + 11), RIB_REPLACE);
	}
	assert_int_equal(nexthops_count(rib_nexthops(*state)), before + 4);
	for (unsigned i = 0; i < 4; i++) {
		del(*state, route4(i, 16, i + 11));
	}
	assert_int_equal(nexthops_count(rib_nexthops(*state)), before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_lowest_metric_is_chosen),
		TEST(test_deleting_gives_the_covering_prefix),
		TEST(test_tos_makes_the_prefix_the_kernels),
		TEST(test_replace_takes_the_place),
		TEST(test_appended_alias_is_the_kernels_until_it_goes),
		TEST(test_replace_among_aliases_is_in_doubt_until_a_resync),
		TEST(test_twin_of_unknown_origin_is_not_deleted_twice_over),
		TEST(test_route_told_twice_is_deleted_once),
		TEST(test_ipv6_siblings_merge_and_part),
		TEST(test_ipv6_on_link_twins_are_the_kernels),
		TEST(test_ipv6_kernel_route_with_hops_is_deleted),
		TEST(test_resync_starts_siblings_anew),
		TEST(test_sweep_removes_what_was_not_told_again),
		TEST(test_resync_interrupted_often_still_sweeps),
		TEST(test_equal_ribs_have_the_same_routes_and_fibs_that_agree),
		TEST(test_over_the_limit_a_prefix_is_the_kernels),
		TEST(test_past_all_room_what_is_near_is_the_kernels),
		TEST(test_refuses_malformed_routes),
		TEST(test_each_tells_what_is_done_with_the_prefix),
		TEST(test_nexthops_are_given_back),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
