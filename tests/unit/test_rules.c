/* SPDX-License-Identifier: BSD-2-Clause */
/* rules: which table a packet is looked up in, VRFs among them, and what ends the search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

#include <cmocka.h>

#include <linux/rtnetlink.h>

#include "table/rib.h"
#include "table/rules.h"

#define VRF 50u

struct lab {
	struct rib *rib;
	struct routing *routing;
	unsigned count;
};

static int setup(void **state)
{
	struct lab *lab = calloc(1, sizeof(*lab));

	*state = lab;
	lab->routing = routing_create(16, 0, 1);
	lab->routing->rules[IP_V4].count = 0;
	lab->routing->vrf_count = 0;
	return rib_create(&lab->rib, 1000);
}

static int teardown(void **state)
{
	struct lab *lab = *state;

	routing_destroy(lab->routing);
	rib_destroy(lab->rib);
	free(lab);
	return 0;
}

/* 10.b.0.0/16 leads to 192.0.2.via, or is of another action. */
static void route(struct lab *lab, uint32_t table, unsigned len, uint8_t b, uint8_t via,
		  enum nexthop_action action)
{
	struct rib_route route = {
		.key = {.family = IP_V4, .table = table, .len = (uint8_t)len, .prefix = {{10, b}}},
		.type = RTN_UNICAST,
		.action = (uint8_t)action,
		.count = action == NEXTHOP_FORWARD};

	route.hop[0] = (struct hop){
		.ifindex = 3, .weight = 1, .has_via = 1, .via = {{192, 0, 2, via}}};
	if (len == 0) {
		memset(&route.key.prefix, 0, sizeof(route.key.prefix));
	}
	assert_int_equal(rib_set(lab->rib, &route, RIB_BESIDE), 0);
}

static struct rule *rule(struct lab *lab, enum rule_action action, uint32_t table)
{
	struct rules *rules = &lab->routing->rules[IP_V4];
	struct rule *rule = &rules->rule[rules->count++];

	*rule = (struct rule){.action = (uint8_t)action,
			      .suppress = -1,
			      .table = table,
			      .fib = rib_fib(lab->rib, IP_V4, table)};
	return rule;
}

/* Where 10.b.0.9 leads from 10.1.0.1 by interface `iif` in `vrf`: the gateway's last byte, -1
 * nowhere, -2 the kernel knows. */
static int leads(const struct lab *lab, uint8_t b, uint32_t iif, uint32_t vrf)
{
	const uint8_t src[4] = {10, 1, 0, 1}, dst[4] = {10, b, 0, 9};
	const struct rules_packet packet = {
		.family = IP_V4, .iif = iif, .vrf = vrf, .src = src, .dst = dst};
	const struct nexthop *set = rules_lookup(lab->routing, rib_nexthops(lab->rib), &packet);

	return !set ? -1 : set->action == NEXTHOP_FORWARD ? set->hop[0].via.b[3] : -2;
}

static void test_first_table_with_a_route_answers(void **state)
{
	struct lab *lab = *state;

	route(lab, 100, 16, 2, 1, NEXTHOP_FORWARD);
	route(lab, RIB_MAIN, 16, 2, 2, NEXTHOP_FORWARD);
	route(lab, RIB_MAIN, 16, 3, 3, NEXTHOP_FORWARD);
	rule(lab, RULE_TABLE, 77); /* no routes at all */
	rule(lab, RULE_TABLE, 100);
	rule(lab, RULE_TABLE, RIB_MAIN);
	for (int plain = 0; plain < 2; plain++) {
		lab->routing->rules[IP_V4].plain = plain;
		assert_int_equal(leads(lab, 2, 1, 0), 1);
		assert_int_equal(leads(lab, 3, 1, 0), 3);
		assert_int_equal(leads(lab, 4, 1, 0), -1);
	}
}

static void test_throw_goes_on_and_unreachable_does_not(void **state)
{
	struct lab *lab = *state;

	route(lab, 100, 16, 2, 0, NEXTHOP_THROW);
	route(lab, 100, 16, 3, 0, NEXTHOP_KERNEL);
	route(lab, RIB_MAIN, 0, 0, 2, NEXTHOP_FORWARD);
	rule(lab, RULE_TABLE, 100)->suppress = 16;
	rule(lab, RULE_TABLE, RIB_MAIN);
	assert_int_equal(leads(lab, 2, 1, 0), 2);
	assert_int_equal(leads(lab, 3, 1, 0), -2); /* an answer, which is not suppressed */
}

static void test_short_prefixes_are_suppressed(void **state)
{
	struct lab *lab = *state;

	route(lab, RIB_MAIN, 0, 0, 1, NEXTHOP_FORWARD);
	route(lab, RIB_MAIN, 16, 2, 2, NEXTHOP_FORWARD);
	route(lab, 100, 0, 0, 3, NEXTHOP_FORWARD);
	rule(lab, RULE_TABLE, RIB_MAIN)->suppress = 0;
	rule(lab, RULE_TABLE, 100);
	assert_int_equal(leads(lab, 2, 1, 0), 2);
	assert_int_equal(leads(lab, 9, 1, 0), 3);
	lab->routing->rules[IP_V4].rule[0].suppress = 15;
	assert_int_equal(leads(lab, 2, 1, 0), 2);
	lab->routing->rules[IP_V4].rule[0].suppress = 16;
	assert_int_equal(leads(lab, 2, 1, 0), 3);
}

static void test_selectors_are_obeyed(void **state)
{
	struct lab *lab = *state;
	struct rule *first;

	route(lab, 100, 0, 0, 1, NEXTHOP_FORWARD);
	route(lab, RIB_MAIN, 0, 0, 2, NEXTHOP_FORWARD);
	first = rule(lab, RULE_TABLE, 100);
	rule(lab, RULE_TABLE, RIB_MAIN);
	first->iif = 7;
	assert_int_equal(leads(lab, 2, 7, 0), 1);
	assert_int_equal(leads(lab, 2, 8, 0), 2);
	first->iif = 0;
	first->dst = (struct ip_addr){{10, 4}};
	first->dst_len = 15; /* 10.4 and 10.5 */
	assert_int_equal(leads(lab, 5, 1, 0), 1);
	assert_int_equal(leads(lab, 6, 1, 0), 2);
	first->invert = true;
	assert_int_equal(leads(lab, 5, 1, 0), 2);
	assert_int_equal(leads(lab, 6, 1, 0), 1);
	first->invert = false;
	first->src = (struct ip_addr){{10, 1, 0, 1}};
	first->src_len = 32;
	assert_int_equal(leads(lab, 5, 1, 0), 1);
	first->src.b[3] = 2;
	assert_int_equal(leads(lab, 5, 1, 0), 2);
	first->src.b[3] = 1;
	first->never = true;
	assert_int_equal(leads(lab, 5, 1, 0), 2);
}

static void test_jumps_go_forward_only(void **state)
{
	struct lab *lab = *state;

	route(lab, 100, 0, 0, 1, NEXTHOP_FORWARD);
	route(lab, RIB_MAIN, 0, 0, 2, NEXTHOP_FORWARD);
	rule(lab, RULE_NOP, 0);
	rule(lab, RULE_JUMP, 0)->jump = 3;
	rule(lab, RULE_TABLE, 100);
	rule(lab, RULE_TABLE, RIB_MAIN);
	assert_int_equal(leads(lab, 2, 1, 0), 2);
	lab->routing->rules[IP_V4].rule[1].jump = 0;
	assert_int_equal(leads(lab, 2, 1, 0), 1);
}

static void test_what_is_not_understood_is_the_kernels(void **state)
{
	struct lab *lab = *state;

	route(lab, RIB_MAIN, 0, 0, 2, NEXTHOP_FORWARD);
	rule(lab, RULE_KERNEL, 0)->iif = 7;
	rule(lab, RULE_TABLE, RIB_MAIN);
	assert_int_equal(leads(lab, 2, 7, 0), -2);
	assert_int_equal(leads(lab, 2, 8, 0), 2);
	routing_destroy(lab->routing);
	lab->routing = NULL;
	assert_int_equal(leads(lab, 2, 8, 0), -2);
}

static void test_vrf_members_are_looked_up_in_its_table(void **state)
{
	struct lab *lab = *state;

	route(lab, 100, 16, 2, 1, NEXTHOP_FORWARD);
	route(lab, RIB_MAIN, 0, 0, 2, NEXTHOP_FORWARD);
	rule(lab, RULE_TABLE, 0)->l3mdev = true;
	rule(lab, RULE_TABLE, RIB_MAIN);
	lab->routing->vrf_count = 1;
	lab->routing->vrf[0] = (struct rules_vrf){
		.ifindex = VRF, .table = 100, .fib = {rib_fib(lab->rib, IP_V4, 100)}};
	assert_int_equal(leads(lab, 2, 1, VRF), 1);
	assert_int_equal(leads(lab, 2, 1, 0), 2);
	assert_int_equal(leads(lab, 3, 1, VRF), 2); /* nothing there: the next rule */
	assert_int_equal(leads(lab, 2, 1, VRF + 1), -2);
	lab->routing->vrf[0].unknown[IP_V4] = true;
	assert_int_equal(leads(lab, 2, 1, VRF), -2);
}

static void test_tables_over_the_limit_are_unknown(void **state)
{
	struct lab *lab = *state;
	struct rib_route route = {.key = {.family = IP_V4, .table = 10000, .len = 8},
				  .type = RTN_BLACKHOLE,
				  .action = NEXTHOP_KERNEL};

	assert_false(rib_table_unknown(lab->rib, IP_V4, 10000));
	for (uint32_t i = 0; i < RIB_TABLES_MAX - 2; i++) {
		route.key.table = 20000 + i;
		assert_int_equal(rib_set(lab->rib, &route, RIB_BESIDE), 0);
	}
	assert_false(rib_table_unknown(lab->rib, IP_V4, 10000));
	route.key.table = 10000;
	assert_int_equal(rib_set(lab->rib, &route, RIB_BESIDE), -28);
	assert_true(rib_table_unknown(lab->rib, IP_V4, 10000));
	assert_false(rib_table_unknown(lab->rib, IP_V4, RIB_MAIN));
	rib_resync_begin(lab->rib, IP_V4);
	assert_false(rib_table_unknown(lab->rib, IP_V4, 10000));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_first_table_with_a_route_answers),
		TEST(test_throw_goes_on_and_unreachable_does_not),
		TEST(test_short_prefixes_are_suppressed),
		TEST(test_selectors_are_obeyed),
		TEST(test_jumps_go_forward_only),
		TEST(test_what_is_not_understood_is_the_kernels),
		TEST(test_vrf_members_are_looked_up_in_its_table),
		TEST(test_tables_over_the_limit_are_unknown),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
