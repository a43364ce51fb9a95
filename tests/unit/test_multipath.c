/* SPDX-License-Identifier: BSD-2-Clause */
/* multipath: what the hash looks at, policy by policy.  That its value is the kernel's is asserted
 * against a kernel (tests/bpf/test_mirror_routing.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "path/multipath.h"

static uint8_t packet[256];

/* A header at `at`; returns where its payload begins. */
static unsigned put4(unsigned at, uint8_t src, uint8_t dst, uint8_t proto)
{
	struct ipv4 *ip = (struct ipv4 *)(packet + at);

	*ip = (struct ipv4){.version_ihl = 0x45, .proto = proto};
	memcpy(ip->src, (uint8_t[]){10, 0, 0, src}, 4);
	memcpy(ip->dst, (uint8_t[]){10, 0, 0, dst}, 4);
	return at + IPV4_SIZE;
}

static unsigned put_ports(unsigned at, uint8_t sport, uint8_t dport)
{
	memcpy(packet + at, (uint8_t[8]){0, sport, 0, dport}, 8);
	return at + 8;
}

static uint32_t hash4(unsigned policy, uint32_t fields, unsigned size)
{
	const struct multipath conf = {.policy = {(uint8_t)policy}, .fields = {fields}, .seed = 1};
	uint32_t hash = 0;

	assert_true(multipath_hash(&conf, IP_V4, packet, size, &hash));
	assert_true(hash < 1u << 31);
	return hash;
}

static void each_policy_sees_its_fields(void **state)
{
	uint32_t one[3], two[3], three[3];
	unsigned size;

	for (unsigned policy = 0; policy < 3; policy++) {
		size = put_ports(put4(0, 1, 2, PROTO_UDP), 7, 8);
		one[policy] = hash4(policy, 0, size);
		size = put_ports(put4(0, 1, 2, PROTO_UDP), 7, 9);
		two[policy] = hash4(policy, 0, size);
		size = put_ports(put4(0, 1, 3, PROTO_UDP), 7, 8);
		three[policy] = hash4(policy, 0, size);
		assert_int_not_equal(one[policy], three[policy]);
	}
	assert_int_equal(one[0], two[0]);
	assert_int_not_equal(one[1], two[1]);
	assert_int_equal(one[2], two[2]);
}

static void both_directions_are_alike(void **state)
{
	unsigned size = put_ports(put4(0, 1, 2, PROTO_TCP), 7, 8);
	uint32_t there = hash4(1, 0, size);

	put_ports(put4(0, 2, 1, PROTO_TCP), 8, 7);
	assert_int_equal(hash4(1, 0, size), there);
}

static void an_error_goes_the_way_of_what_it_is_about(void **state)
{
	unsigned size = put4(0, 1, 2, PROTO_UDP);
	uint32_t flow = hash4(0, 0, size);

	/* From the router 10.0.0.9 about 10.0.0.2 -> 10.0.0.1. */
	size = put4(put_ports(put4(0, 9, 2, PROTO_ICMP), 0, 0), 2, 1, PROTO_UDP);
	packet[IPV4_SIZE] = 11;
	assert_true(multipath_is_error4((const struct ipv4 *)packet, size));
	assert_int_equal(hash4(0, 0, size), flow);
	packet[IPV4_SIZE] = 8; /* an echo request about nothing */
	assert_false(multipath_is_error4((const struct ipv4 *)packet, size));
	assert_int_not_equal(hash4(0, 0, size), flow);
	packet[IPV4_SIZE] = 11;
	assert_int_not_equal(hash4(0, 0, IPV4_SIZE + 8 + 19), flow); /* cut off */
}

static void fragments_have_no_ports(void **state)
{
	unsigned size = put_ports(put4(0, 1, 2, PROTO_UDP), 7, 8);
	uint32_t first;

	((struct ipv4 *)packet)->frag_be = htons(0x2000);
	first = hash4(1, 0, size);
	put_ports(IPV4_SIZE, 1, 1);
	assert_int_equal(hash4(1, 0, size), first);
	((struct ipv4 *)packet)->frag_be = 0;
	assert_int_not_equal(hash4(1, 0, size), first);
}

static void tunnels_are_entered_by_policy_2_alone(void **state)
{
	unsigned size = put4(put4(0, 1, 2, 4), 3, 4, PROTO_UDP), gre;
	uint32_t outer = hash4(1, 0, size), inner = hash4(2, 0, size);

	put4(IPV4_SIZE, 5, 6, PROTO_UDP);
	assert_int_equal(hash4(1, 0, size), outer);
	assert_int_not_equal(hash4(2, 0, size), inner);
	put4(0, 3, 4, PROTO_UDP); /* as it is without the tunnel */
	assert_int_equal(hash4(2, 0, IPV4_SIZE), inner);
	/* GRE with a key. */
	gre = put4(0, 1, 2, 47);
	memcpy(packet + gre, (uint8_t[8]){0x20, 0, 0x08, 0, 9, 9, 9, 9}, 8);
	size = put4(gre + 8, 3, 4, PROTO_UDP);
	assert_int_equal(hash4(2, 0, size), inner);
}

static void what_cannot_be_looked_into_is_the_kernels(void **state)
{
	const struct multipath conf = {.policy = {2, 2}, .seed = 1};
	unsigned size = put4(0, 1, 2, 47);
	uint32_t hash;

	memcpy(packet + size, (uint8_t[4]){0, 0, 0x65, 0x58}, 4); /* Ethernet in GRE */
	assert_false(multipath_hash(&conf, IP_V4, packet, size + 60, &hash));
	put4(0, 1, 2, 4);
	assert_false(multipath_hash(&conf, IP_V4, packet, IPV4_SIZE + 10, &hash));
	assert_false(multipath_hash(&(struct multipath){.policy = {9}}, IP_V4, packet, 40, &hash));
}

static void custom_fields_are_those_of_the_mask(void **state)
{
	unsigned size = put_ports(put4(0, 1, 2, PROTO_UDP), 7, 8);
	uint32_t by_dst = hash4(3, 2, size), by_sport = hash4(3, 16, size);

	put_ports(put4(0, 9, 2, PROTO_TCP), 1, 1);
	assert_int_equal(hash4(3, 2, size), by_dst);
	assert_int_not_equal(hash4(3, 16, size), by_sport);
	put_ports(put4(0, 9, 3, PROTO_TCP), 7, 1);
	assert_int_not_equal(hash4(3, 2, size), by_dst);
	assert_int_equal(hash4(3, 16, size), by_sport);
}

static void the_flow_label_counts_for_ipv6(void **state)
{
	const struct multipath conf = {.seed = 1};
	struct ipv6 *ip = (struct ipv6 *)packet;
	uint32_t one, two;

	memset(packet, 0, sizeof(packet));
	ip->version_be = htonl(0x60012345);
	ip->next = PROTO_UDP;
	assert_true(multipath_hash(&conf, IP_V6, packet, 48, &one));
	ip->version_be = htonl(0x6ff12345); /* traffic class */
	assert_true(multipath_hash(&conf, IP_V6, packet, 48, &two));
	assert_int_equal(one, two);
	ip->version_be = htonl(0x60012346);
	assert_true(multipath_hash(&conf, IP_V6, packet, 48, &two));
	assert_int_not_equal(one, two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_policy_sees_its_fields),
		cmocka_unit_test(both_directions_are_alike),
		cmocka_unit_test(an_error_goes_the_way_of_what_it_is_about),
		cmocka_unit_test(fragments_have_no_ports),
		cmocka_unit_test(tunnels_are_entered_by_policy_2_alone),
		cmocka_unit_test(what_cannot_be_looked_into_is_the_kernels),
		cmocka_unit_test(custom_fields_are_those_of_the_mask),
		cmocka_unit_test(the_flow_label_counts_for_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
