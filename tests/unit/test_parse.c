/* SPDX-License-Identifier: BSD-2-Clause */
/* parse and the checksum arithmetic: against a full recomputation, and at the edges of a header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "path/parse.h"

struct sample {
	uint8_t bytes[256];
	struct xsk_frame frame;
};

static uint16_t full_checksum(const void *data, uint32_t size)
{
	return (uint16_t)~checksum_fold(checksum_add(0, data, size));
}

static struct ipv4 *ipv4_of(struct sample *s)
{
	return (struct ipv4 *)(s->bytes + ETH_SIZE);
}

static struct ipv6 *ipv6_of(struct sample *s)
{
	return (struct ipv6 *)(s->bytes + ETH_SIZE);
}

/* An IPv4 frame with `l4_size` bytes of random L4, header checksum right. */
static void make_ipv4(struct sample *s, unsigned proto, unsigned l4_size)
{
	struct eth *eth = (struct eth *)s->bytes;
	struct ipv4 *ip = ipv4_of(s);

	for (size_t i = 0; i < sizeof(s->bytes); i++) {
		s->bytes[i] = (uint8_t)rand();
	}
	eth->type_be = htons(ETHERTYPE_IPV4);
	ip->version_ihl = 0x45;
	ip->length_be = htons((uint16_t)(IPV4_SIZE + l4_size));
	ip->frag_be = 0;
	ip->ttl = (uint8_t)(2 + rand() % 200);
	ip->proto = (uint8_t)proto;
	ip->check = 0;
	ip->check = full_checksum(ip, IPV4_SIZE);
	s->frame = (struct xsk_frame){.data = s->bytes, .len = ETH_SIZE + IPV4_SIZE + l4_size};
}

static void make_ipv6(struct sample *s, unsigned next, unsigned l4_size)
{
	struct eth *eth = (struct eth *)s->bytes;
	struct ipv6 *ip = ipv6_of(s);

	for (size_t i = 0; i < sizeof(s->bytes); i++) {
		s->bytes[i] = (uint8_t)rand();
	}
	eth->type_be = htons(ETHERTYPE_IPV6);
	ip->version_be = htonl(0x60000000);
	ip->length_be = htons((uint16_t)l4_size);
	ip->next = (uint8_t)next;
	s->frame = (struct xsk_frame){.data = s->bytes, .len = ETH_SIZE + IPV6_SIZE + l4_size};
}

/* Put into an L4 header at `offset` what a local stack leaves there: the pseudo-header's sum. */
static uint16_t make_partial(uint8_t *l4, unsigned l4_size, unsigned offset, const uint8_t *addrs,
			     unsigned addrs_size, unsigned proto)
{
	uint16_t sum = checksum_fold(checksum_add(0, addrs, addrs_size) + htons((uint16_t)proto) +
				     htons((uint16_t)l4_size));

	memcpy(l4 + offset, &sum, sizeof(sum));
	return sum;
}

/* Does pseudo-header plus segment sum up, as a receiver checks it? */
static bool verifies(const uint8_t *l4, unsigned l4_size, const uint8_t *addrs, unsigned addrs_size,
		     unsigned proto)
{
	uint64_t sum = checksum_add(0, addrs, addrs_size) + htons((uint16_t)proto) +
		       htons((uint16_t)l4_size);

	return checksum_fold(checksum_add(sum, l4, l4_size)) == 0xffff;
}

static void incremental_checksum_equals_a_full_recompute(void **state)
{
	for (int i = 0; i < 200000; i++) {
		struct sample s;
		struct ipv4 *ip = ipv4_of(&s);
		uint16_t updated;
		uint8_t ttl;

		make_ipv4(&s, PROTO_UDP, 8);
		ttl = ip->ttl;
		assert_int_equal(ipv4_sum(ip), 0xffff);
		ipv4_decrease_ttl(ip);
		assert_int_equal(ip->ttl, ttl - 1);
		updated = ip->check;
		ip->check = 0;
		assert_int_equal(updated, full_checksum(ip, IPV4_SIZE));
	}
}

static void odd_and_short_sums_are_right(void **state)
{
	const uint8_t bytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07};
	uint16_t even = htons(0x0102 + 0x0304 + 0x0506);

	assert_int_equal(checksum_fold(checksum_add(0, bytes, 0)), 0);
	assert_int_equal(checksum_fold(checksum_add(0, bytes, 1)), htons(0x0100));
	assert_int_equal(checksum_fold(checksum_add(0, bytes, 6)), even);
	assert_int_equal(checksum_fold(checksum_add(0, bytes, 7)),
			 htons(0x0102 + 0x0304 + 0x0506 + 0x0700));
}

static void good_ipv4_header_is_accepted_and_padding_left_out(void **state)
{
	struct sample s;
	unsigned size = 0;

	make_ipv4(&s, PROTO_TCP, 20);
	s.frame.len += 6;
	assert_int_equal(parse_ipv4(&s.frame, &size), PARSE_OK);
	assert_int_equal(size, IPV4_SIZE + 20);
}

static void bad_ipv4_headers_are_refused(void **state)
{
	struct sample s;
	unsigned size;

	make_ipv4(&s, PROTO_TCP, 20);
	ipv4_of(&s)->check ^= 1;
	assert_int_equal(parse_ipv4(&s.frame, &size), PARSE_BAD);
	make_ipv4(&s, PROTO_TCP, 20);
	ipv4_of(&s)->version_ihl = 0x55;
	assert_int_equal(parse_ipv4(&s.frame, &size), PARSE_BAD);
	ipv4_of(&s)->version_ihl = 0x44;
	assert_int_equal(parse_ipv4(&s.frame, &size), PARSE_BAD);
	ipv4_of(&s)->version_ihl = 0x46;
	assert_int_equal(parse_ipv4(&s.frame, &size), PARSE_OPTIONS);
	make_ipv4(&s, PROTO_TCP, 20);
	s.frame.len--; /* total length beyond the frame */
	assert_int_equal(parse_ipv4(&s.frame, &size), PARSE_BAD);
	s.frame.len = ETH_SIZE + IPV4_SIZE - 1;
	assert_int_equal(parse_ipv4(&s.frame, &size), PARSE_BAD);
	make_ipv4(&s, PROTO_TCP, 20);
	ipv4_of(&s)->length_be = htons(IPV4_SIZE - 1);
	ipv4_of(&s)->check = 0;
	ipv4_of(&s)->check = full_checksum(ipv4_of(&s), IPV4_SIZE);
	assert_int_equal(parse_ipv4(&s.frame, &size), PARSE_BAD);
}

static void ipv6_headers_are_judged(void **state)
{
	struct sample s;
	unsigned size = 0;

	make_ipv6(&s, PROTO_TCP, 20);
	assert_int_equal(parse_ipv6(&s.frame, &size), PARSE_OK);
	assert_int_equal(size, IPV6_SIZE + 20);
	ipv6_of(&s)->next = PROTO_HOPOPTS;
	assert_int_equal(parse_ipv6(&s.frame, &size), PARSE_OPTIONS);
	ipv6_of(&s)->next = PROTO_ROUTING;
	assert_int_equal(parse_ipv6(&s.frame, &size), PARSE_OPTIONS);
	make_ipv6(&s, PROTO_TCP, 20);
	s.frame.len--;
	assert_int_equal(parse_ipv6(&s.frame, &size), PARSE_BAD);
	make_ipv6(&s, PROTO_TCP, 20);
	ipv6_of(&s)->version_be = htonl(0x40000000);
	assert_int_equal(parse_ipv6(&s.frame, &size), PARSE_BAD);
}

static void partial_checksums_are_finished(void **state)
{
	static const struct {
		unsigned proto, offset, least;
	} kinds[] = {{PROTO_TCP, 16, 20}, {PROTO_UDP, 6, 8}};

	for (int i = 0; i < 20000; i++) {
		unsigned kind = (unsigned)i & 1,
			 l4_size = kinds[kind].least + (unsigned)rand() % 90;
		struct sample s;
		uint8_t *l4;

		make_ipv4(&s, kinds[kind].proto, l4_size);
		l4 = s.bytes + ETH_SIZE + IPV4_SIZE;
		make_partial(l4, l4_size, kinds[kind].offset, ipv4_of(&s)->src, 8,
			     kinds[kind].proto);
		parse_finish_checksum(&s.frame);
		assert_true(verifies(l4, l4_size, ipv4_of(&s)->src, 8, kinds[kind].proto));

		make_ipv6(&s, kinds[kind].proto, l4_size);
		l4 = s.bytes + ETH_SIZE + IPV6_SIZE;
		make_partial(l4, l4_size, kinds[kind].offset, ipv6_of(&s)->src, 32,
			     kinds[kind].proto);
		parse_finish_checksum(&s.frame);
		assert_true(verifies(l4, l4_size, ipv6_of(&s)->src, 32, kinds[kind].proto));
	}
}

static void a_finished_udp_checksum_is_never_zero(void **state)
{
	struct sample s;
	uint8_t *l4 = s.bytes + ETH_SIZE + IPV4_SIZE;
	uint16_t word = 0;

	/* Choose the payload such that the sum comes out as 0xffff, whose complement is 0. */
	make_ipv4(&s, PROTO_UDP, 10);
	make_partial(l4, 10, 6, ipv4_of(&s)->src, 8, PROTO_UDP);
	memset(l4 + 8, 0, 2);
	word = (uint16_t)~checksum_fold(checksum_add(0, l4, 10));
	memcpy(l4 + 8, &word, 2);
	parse_finish_checksum(&s.frame);
	memcpy(&word, l4 + 6, 2);
	assert_int_equal(word, 0xffff);
}

static void whole_checksums_stay_untouched(void **state)
{
	struct sample s, before;
	uint16_t zero = 0;

	for (int i = 0; i < 20000; i++) {
		uint16_t field;

		make_ipv4(&s, PROTO_TCP, 40);
		before = s;
		memcpy(&field, s.bytes + ETH_SIZE + IPV4_SIZE + 16, 2);
		parse_finish_checksum(&s.frame);
		if (memcmp(s.bytes, before.bytes, sizeof(s.bytes))) {
			/* one in 65,536 random fields is the pseudo-header's sum */
			assert_int_equal(field,
					 make_partial(before.bytes + ETH_SIZE + IPV4_SIZE, 40, 16,
						      ipv4_of(&before)->src, 8, PROTO_TCP));
		}
	}
	make_ipv4(&s, PROTO_UDP, 20); /* UDP without a checksum */
	memcpy(s.bytes + ETH_SIZE + IPV4_SIZE + 6, &zero, 2);
	before = s;
	parse_finish_checksum(&s.frame);
	assert_memory_equal(s.bytes, before.bytes, sizeof(s.bytes));
}

static void fragments_and_cut_frames_are_not_finished(void **state)
{
	struct sample s, before;
	uint8_t *l4 = s.bytes + ETH_SIZE + IPV4_SIZE;

	make_ipv4(&s, PROTO_TCP, 40);
	make_partial(l4, 40, 16, ipv4_of(&s)->src, 8, PROTO_TCP);
	ipv4_of(&s)->frag_be = htons(0x2000);
	before = s;
	parse_finish_checksum(&s.frame);
	assert_memory_equal(s.bytes, before.bytes, sizeof(s.bytes));

	make_ipv4(&s, PROTO_TCP, 40);
	make_partial(l4, 40, 16, ipv4_of(&s)->src, 8, PROTO_TCP);
	before = s;
	for (s.frame.len = 0; s.frame.len < ETH_SIZE + IPV4_SIZE + 40; s.frame.len++) {
		parse_finish_checksum(&s.frame);
		assert_memory_equal(s.bytes, before.bytes, sizeof(s.bytes));
	}
	make_ipv4(&s, PROTO_TCP, 19); /* no room for a TCP header */
	make_partial(l4, 19, 16, ipv4_of(&s)->src, 8, PROTO_TCP);
	before = s;
	parse_finish_checksum(&s.frame);
	assert_memory_equal(s.bytes, before.bytes, sizeof(s.bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(incremental_checksum_equals_a_full_recompute),
		cmocka_unit_test(odd_and_short_sums_are_right),
		cmocka_unit_test(good_ipv4_header_is_accepted_and_padding_left_out),
		cmocka_unit_test(bad_ipv4_headers_are_refused),
		cmocka_unit_test(ipv6_headers_are_judged),
		cmocka_unit_test(partial_checksums_are_finished),
		cmocka_unit_test(a_finished_udp_checksum_is_never_zero),
		cmocka_unit_test(whole_checksums_stay_untouched),
		cmocka_unit_test(fragments_and_cut_frames_are_not_finished),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
