// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <urcu-qsbr.h>

#include <cmocka.h>

#include "table/fib.h"

struct world {
	struct fib *fib;
	enum ip_family family;
};

static int setup(void **state, enum ip_family family)
{
	struct world *world = calloc(1, sizeof(*world));

	world->family = family;
	*state = world;
	return fib_create(&world->fib, family);
}

static int setup4(void **state)
{
	return setup(state, IP_V4);
}

static int setup6(void **state)
{
	return setup(state, IP_V6);
}

static int teardown(void **state)
{
	struct world *world = *state;

	fib_destroy(world->fib);
	free(world);
	return 0;
}

static struct ip_addr ip4(unsigned a, unsigned b, unsigned c, unsigned d)
{
	return (struct ip_addr){{(uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d}};
}

static void put(struct world *world, struct ip_addr addr, unsigned len, uint32_t value)
{
	assert_int_equal(fib_insert(world->fib, &addr, len, value), 0);
}

static void del(struct world *world, struct ip_addr addr, unsigned len, unsigned cover_len,
		uint32_t cover)
{
	assert_int_equal(fib_delete(world->fib, &addr, len, cover_len, cover), 0);
}

static uint32_t look(struct world *world, struct ip_addr addr)
{
	return fib_lookup(world->fib, addr.b);
}

static void test_empty_matches_nothing(void **state)
{
	struct world *world = *state;

	assert_int_equal(look(world, ip4(0, 0, 0, 0)), 0);
	assert_int_equal(look(world, ip4(255, 255, 255, 255)), 0);
}

static void test_default_route_beneath_and_above(void **state)
{
	struct world *world = *state;

	put(world, ip4(10, 1, 2, 0), 24, 5);
	put(world, ip4(0, 0, 0, 0), 0, 1);
	assert_int_equal(look(world, ip4(10, 1, 2, 3)), 5);
	assert_int_equal(look(world, ip4(10, 1, 3, 3)), 1);
	assert_int_equal(look(world, ip4(255, 255, 255, 255)), 1);
	put(world, ip4(0, 0, 0, 0), 0, 2);
	assert_int_equal(look(world, ip4(10, 1, 2, 3)), 5);
	assert_int_equal(look(world, ip4(10, 1, 3, 3)), 2);
	del(world, ip4(0, 0, 0, 0), 0, 0, 0);
	assert_int_equal(look(world, ip4(10, 1, 2, 3)), 5);
	assert_int_equal(look(world, ip4(10, 1, 3, 3)), 0);
	assert_int_equal(look(world, ip4(0, 0, 0, 0)), 0);
}

static void test_lengths_around_the_node_boundaries(void **state)
{
	static const unsigned lens[] = {1, 8, 15, 16, 17, 23, 24, 25, 31, 32};
	struct world *world = *state;
	struct ip_addr addr = ip4(172, 31, 255, 255);

	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		unsigned bit = lens[i] - 1;
		struct ip_addr other = addr;

		other.b[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
		put(world, addr, lens[i], 100 + i);
		assert_int_equal(look(world, addr), 100 + i);
		assert_int_not_equal(look(world, other), 100 + i);
		/* Its last bit other: what the shorter one says. */
		assert_int_equal(look(world, other), i ? 99 + i : 0);
	}
	for (unsigned i = sizeof(lens) / sizeof(lens[0]); i-- > 0;) {
		assert_int_equal(look(world, addr), 100 + i);
		del(world, addr, lens[i], i ? lens[i - 1] : 0, i ? 99 + i : 0);
	}
	assert_int_equal(look(world, addr), 0);
}

static void test_replace_changes_only_its_own(void **state)
{
	struct world *world = *state;

	put(world, ip4(10, 0, 0, 0), 8, 1);
	put(world, ip4(10, 1, 0, 0), 18, 2);
	put(world, ip4(10, 1, 1, 1), 32, 3);
	put(world, ip4(10, 1, 0, 0), 18, 4);
	assert_int_equal(look(world, ip4(10, 1, 1, 1)), 3);
	assert_int_equal(look(world, ip4(10, 1, 63, 255)), 4);
	assert_int_equal(look(world, ip4(10, 1, 64, 0)), 1);
}

static void test_delete_while_covered_gives_the_cover(void **state)
{
	struct world *world = *state;

	put(world, ip4(10, 0, 0, 0), 8, 1);
	put(world, ip4(10, 1, 0, 0), 17, 2);
	put(world, ip4(10, 1, 1, 0), 24, 3);
	del(world, ip4(10, 1, 0, 0), 17, 8, 1);
	assert_int_equal(look(world, ip4(10, 1, 1, 9)), 3);
	assert_int_equal(look(world, ip4(10, 1, 2, 9)), 1);
	del(world, ip4(10, 1, 1, 0), 24, 8, 1);
	assert_int_equal(look(world, ip4(10, 1, 1, 9)), 1);
	del(world, ip4(10, 0, 0, 0), 8, 0, 0);
	assert_int_equal(look(world, ip4(10, 1, 1, 9)), 0);
}

static void test_host_bits_are_ignored(void **state)
{
	struct world *world = *state;

	put(world, ip4(192, 168, 7, 77), 22, 9);
	assert_int_equal(look(world, ip4(192, 168, 4, 0)), 9);
	assert_int_equal(look(world, ip4(192, 168, 7, 255)), 9);
	assert_int_equal(look(world, ip4(192, 168, 8, 0)), 0);
	del(world, ip4(192, 168, 5, 5), 22, 0, 0);
	assert_int_equal(look(world, ip4(192, 168, 4, 0)), 0);
}

static void test_ipv6_host_route_through_every_node(void **state)
{
	struct world *world = *state;
	struct ip_addr host = {{0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
	struct ip_addr near = host;
	size_t before = fib_memory(world->fib);

	near.b[15] ^= 1;
	put(world, (struct ip_addr){{0}}, 0, 1);
	put(world, host, 128, 2);
	assert_int_equal(look(world, host), 2);
	assert_int_equal(look(world, near), 1);
	put(world, host, 127, 3);
	assert_int_equal(look(world, near), 3);
	assert_true(fib_memory(world->fib) >= before + 3 * 1024 + 22 * 64);
	del(world, host, 127, 0, 1);
	del(world, host, 128, 0, 1);
	assert_int_equal(look(world, host), 1);
	assert_int_equal(fib_memory(world->fib), before);
}

static void test_ipv6_prefix_without_near_ones_takes_no_nodes_below_bit_40(void **state)
{
	struct world *world = *state;
	struct ip_addr host = {{0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
	struct ip_addr near = host, far = host;
	size_t before = fib_memory(world->fib), alone;

	near.b[15] ^= 1;
	far.b[5] ^= 0x10;
	put(world, host, 32, 1);
	put(world, host, 128, 2);
	alone = fib_memory(world->fib);
	assert_true(alone <= before + 3 * 1088 + 68);
	assert_int_equal(look(world, host), 2);
	assert_int_equal(look(world, near), 1);
	/* What covers it changes, at a level above and at its own. */
	put(world, host, 33, 3);
	assert_int_equal(look(world, near), 3);
	put(world, host, 39, 4);
	assert_int_equal(look(world, near), 4);
	assert_int_equal(look(world, host), 2);
	put(world, host, 128, 5);
	assert_int_equal(look(world, host), 5);
	assert_int_equal(fib_memory(world->fib), alone);
	/* One that is not there, though the way leads past. */
	del(world, near, 128, 39, 4);
	assert_int_equal(look(world, host), 5);
	assert_int_equal(look(world, near), 4);
	/* A second one: nodes only as far as they differ. */
	put(world, far, 64, 6);
	assert_int_equal(look(world, host), 5);
	assert_int_equal(look(world, near), 4);
	assert_int_equal(look(world, far), 6);
	assert_true(fib_memory(world->fib) <= alone + 1088 + 68);
	del(world, host, 128, 39, 4);
	assert_int_equal(look(world, host), 4);
	del(world, far, 64, 39, 4);
	assert_int_equal(look(world, far), 4);
	del(world, host, 39, 33, 3);
	del(world, host, 33, 32, 1);
	del(world, host, 32, 0, 0);
	assert_int_equal(look(world, host), 0);
	assert_int_equal(fib_memory(world->fib), before);
}

static void test_refuses_what_it_cannot_hold(void **state)
{
	struct world *world = *state;
	struct ip_addr addr = ip4(1, 2, 3, 4);

	assert_int_equal(fib_insert(world->fib, &addr, 33, 1), -EINVAL);
	assert_int_equal(fib_insert(world->fib, &addr, 32, 0), -EINVAL);
	assert_int_equal(fib_insert(world->fib, &addr, 32, FIB_VALUE_MAX + 1), -EINVAL);
	assert_int_equal(fib_insert(world->fib, &addr, 32, FIB_VALUE_MAX), 0);
	assert_int_equal(look(world, addr), FIB_VALUE_MAX);
	assert_int_equal(fib_delete(world->fib, &addr, 33, 0, 0), -EINVAL);
}

static void test_closed_answers_the_same_wherever_it_is(void **state)
{
	struct world *world = *state;
	struct ip_addr near = ip4(10, 1, 1, 200), far = ip4(10, 2, 1, 1);

	put(world, ip4(10, 0, 0, 0), 8, 2);
	put(world, ip4(10, 1, 1, 0), 25, 3);
	fib_close(world->fib, &near, 24, 7);
	assert_true(fib_closed(world->fib, &near));
	assert_false(fib_closed(world->fib, &far));
	assert_int_equal(look(world, ip4(10, 1, 1, 1)), 7);
	assert_int_equal(look(world, near), 7);
	assert_int_equal(look(world, far), 2);
	/* Across its border. */
	put(world, ip4(10, 0, 0, 0), 8, 5);
	put(world, ip4(10, 1, 0, 0), 16, 6);
	assert_int_equal(look(world, near), 7);
	assert_int_equal(look(world, far), 5);
	/* All of it; again what is closed. */
	fib_close(world->fib, &near, 0, 8);
	assert_int_equal(look(world, ip4(99, 1, 1, 1)), 8);
	assert_int_equal(look(world, near), 7);
	put(world, ip4(10, 1, 1, 0), 25, 4);
	assert_int_equal(look(world, ip4(10, 1, 1, 1)), 7);
	fib_open(world->fib);
	assert_false(fib_closed(world->fib, &near));
	assert_int_equal(look(world, near), 6);
	assert_int_equal(look(world, far), 5);
	del(world, ip4(10, 1, 0, 0), 16, 8, 5);
	del(world, ip4(10, 0, 0, 0), 8, 0, 0);
	assert_int_equal(look(world, near), 0);
	assert_int_equal(look(world, ip4(10, 1, 1, 1)), 4);
	assert_int_equal(look(world, ip4(99, 1, 1, 1)), 0);
}

/* Against a naive table. -------------------------------------------------------------------- */

#define NAIVE_MAX 400u

struct naive {
	struct {
		struct ip_addr addr;
		unsigned len;
		uint32_t value; /* 0: not in use */
	} entry[NAIVE_MAX];
};

static bool covers(const struct ip_addr *prefix, unsigned len, const struct ip_addr *addr)
{
	unsigned bytes = len / 8, bits = len % 8;

	return memcmp(prefix->b, addr->b, bytes) == 0 &&
	       (!bits || (prefix->b[bytes] ^ addr->b[bytes]) >> (8 - bits) == 0);
}

/* The longest match shorter than `below`. */
static uint32_t naive_find(const struct naive *naive, const struct ip_addr *addr, unsigned below,
			   unsigned *len)
{
	uint32_t value = 0;

	*len = 0;
	for (unsigned i = 0; i < NAIVE_MAX; i++) {
		if (naive->entry[i].value && naive->entry[i].len < below &&
		    (!value || naive->entry[i].len >= *len) &&
		    covers(&naive->entry[i].addr, naive->entry[i].len, addr)) {
			*len = naive->entry[i].len;
			value = naive->entry[i].value;
		}
	}
	return value;
}

/* Few distinct bytes, so that prefixes nest and meet. */
static struct ip_addr random_addr(enum ip_family family, unsigned *seed)
{
	static const uint8_t bytes[] = {0x00, 0x0a, 0x0b, 0x7f, 0x80, 0xff};
	struct ip_addr addr = {{0}};

	for (unsigned i = 0; i < ip_bits(family) / 8; i++) {
		addr.b[i] = i < 2 ? (uint8_t)(rand_r(seed) % 2) : bytes[(unsigned)rand_r(seed) % 6];
	}
	return addr;
}

/* As one that is there, but for a bit. */
static struct ip_addr near_one(enum ip_family family, const struct naive *naive, unsigned *seed)
{
	struct ip_addr addr = naive->entry[(unsigned)rand_r(seed) % NAIVE_MAX].addr;
	unsigned bit = (unsigned)rand_r(seed) % ip_bits(family);

	addr.b[bit / 8] ^= (uint8_t)(1u << (7 - bit % 8));
	return addr;
}

static void change_one(struct world *world, struct naive *naive, unsigned *seed)
{
	struct ip_addr addr = rand_r(seed) % 2 ? random_addr(world->family, seed)
					       : near_one(world->family, naive, seed);
	unsigned len = (unsigned)rand_r(seed) % (ip_bits(world->family) + 1), slot = NAIVE_MAX;
	unsigned cover_len;
	uint32_t value;

	for (unsigned i = 0; i < NAIVE_MAX && slot == NAIVE_MAX; i++) {
		if (naive->entry[i].value && naive->entry[i].len == len &&
		    covers(&addr, len, &naive->entry[i].addr)) {
			slot = i;
		}
	}
	if (slot == NAIVE_MAX) {
		slot = (unsigned)rand_r(seed) % NAIVE_MAX;
	}
	if (naive->entry[slot].value && rand_r(seed) % 4) {
		addr = naive->entry[slot].addr;
		len = naive->entry[slot].len;
		naive->entry[slot].value = 0;
		value = naive_find(naive, &addr, len, &cover_len);
		del(world, addr, len, cover_len, value);
	} else if (!naive->entry[slot].value || naive->entry[slot].len == len) {
		if (naive->entry[slot].value) {
			addr = naive->entry[slot].addr;
		}
		naive->entry[slot].addr = addr;
		naive->entry[slot].len = len;
		naive->entry[slot].value = 1 + (unsigned)rand_r(seed) % FIB_VALUE_MAX;
		put(world, addr, len, naive->entry[slot].value);
	}
}

static void test_agrees_with_a_naive_table(void **state)
{
	struct world *world = *state;
	struct naive *naive = calloc(1, sizeof(*naive));
	unsigned seed = (unsigned)time(NULL), len;
	size_t before = fib_memory(world->fib);

	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < 10000; round++) {
		change_one(world, naive, &seed);
		for (unsigned i = 0; i < 8; i++) {
			struct ip_addr addr = random_addr(world->family, &seed);

			if (i % 2) {
				/* Random ones seldom meet a long prefix. */
				addr = near_one(world->family, naive, &seed);
			}
			assert_int_equal(look(world, addr), naive_find(naive, &addr, 129, &len));
		}
		rcu_quiescent_state();
	}
	for (unsigned i = 0; i < NAIVE_MAX; i++) {
		if (naive->entry[i].value) {
			uint32_t value;

			naive->entry[i].value = 0;
			value = naive_find(naive, &naive->entry[i].addr, naive->entry[i].len, &len);
			del(world, naive->entry[i].addr, naive->entry[i].len, len, value);
		}
	}
	/* Every node came back. */
	assert_int_equal(fib_memory(world->fib), before);
	free(naive);
}

/* Under readers. ---------------------------------------------------------------------------- */

/* An IPv4 address, or an IPv6 one that has these bytes where there are tails. */
static struct ip_addr deep(enum ip_family family, unsigned a, unsigned b, unsigned c, unsigned d)
{
	struct ip_addr addr = ip4(a, b, c, d);

	if (family == IP_V6) {
		memcpy(addr.b + 5, ip4(a, b, c, d).b, 4);
		memcpy(addr.b, (uint8_t[]){0x20, 1, 0xd, 0xb8, 7}, 5);
	}
	return addr;
}

struct reader {
	struct fib *fib;
	enum ip_family family;
	bool stop;
	unsigned long looks, wrong;
};

/* 10.1.2.3 is covered by 10/8 -> 1 or by a longer prefix -> 2 at any time. */
static void *reader_main(void *arg)
{
	struct reader *reader = arg;
	struct ip_addr addr = deep(reader->family, 10, 1, 2, 3);

	rcu_register_thread();
	while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED)) {
		for (unsigned i = 0; i < 64; i++) {
			uint32_t value = fib_lookup(reader->fib, addr.b);

			reader->wrong += value != 1 && value != 2;
			reader->looks++;
		}
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void test_reader_never_sees_a_hole(void **state)
{
	struct world *world = *state;
	struct reader reader = {.fib = world->fib, .family = world->family};
	enum ip_family family = world->family;
	unsigned seed = 1, flaps = 0, above = family == IP_V6 ? 40 : 0;
	pthread_t thread;
	time_t end = time(NULL) + 2;

	put(world, deep(family, 10, 0, 0, 0), above + 8, 1);
	assert_int_equal(pthread_create(&thread, NULL, reader_main, &reader), 0);
	while (time(NULL) < end) {
		unsigned len = above + 9 + (unsigned)rand_r(&seed) % 24;
		unsigned other = 4 + flaps % 100;
		/* How many bits it has in common with the one that is read. */
		unsigned same = above + (unsigned)__builtin_clz(other ^ 3);
		struct ip_addr beside = deep(family, 10, 1, 2, other);

		put(world, deep(family, 10, 1, 2, 3), len, 2);
		/* Others make and fill nodes, so that one reused too early holds something else. */
		put(world, deep(family, 77, flaps & 255, 3, 3), above + 32, 3);
		put(world, beside, above + 32, 4);
		del(world, beside, above + 32, len <= same ? len : above + 8, len <= same ? 2 : 1);
		del(world, deep(family, 10, 1, 2, 3), len, above + 8, 1);
		del(world, deep(family, 77, (flaps + 128) & 255, 3, 3), above + 32, 0, 0);
		flaps++;
		rcu_quiescent_state();
	}
	__atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
	/* The reader may wait for nobody, nor we for a grace period: but join is a wait. */
	rcu_thread_offline();
	pthread_join(thread, NULL);
	rcu_thread_online();
	assert_true(flaps > 100);
	assert_true(reader.looks > 1000);
	assert_int_equal(reader.wrong, 0);
}

static void test_node_is_not_reused_before_its_reader_moved_on(void **state)
{
	struct world *world = *state;
	struct ip_addr addr = ip4(10, 1, 2, 3);
	const uint32_t *words = world->fib->words, *node;

	put(world, addr, 24, 5);
	node = &words[(size_t)(words[10 << 8 | 1] & ~FIB_CHILD) * 16];
	assert_int_equal(node[2] & FIB_VALUE_MAX, 5);
	/* We are the reader: no quiescent state from here on. */
	del(world, addr, 24, 0, 0);
	for (unsigned i = 0; i < 1000; i++) {
		put(world, ip4(20, i & 255, 2, 3), 24, 6);
		del(world, ip4(20, i & 255, 2, 3), 24, 0, 0);
	}
	assert_int_equal(node[2] & FIB_VALUE_MAX, 0);
	for (unsigned i = 0; i < 256; i++) {
		assert_int_not_equal(node[i] & FIB_VALUE_MAX, 6);
	}
	/* Afterwards it is: memory does not grow for ever. */
	rcu_barrier();
	put(world, ip4(30, 1, 2, 3), 24, 7);
	rcu_barrier();
	for (unsigned i = 0; i < 1100; i++) {
		put(world, ip4(40 + i / 256, i & 255, 2, 3), 24, 7);
	}
	assert_int_equal(node[2] & FIB_VALUE_MAX, 7);
}

int main(void)
{
#define TEST4(name) cmocka_unit_test_setup_teardown(name, setup4, teardown)
#define TEST6(name) cmocka_unit_test_setup_teardown(name, setup6, teardown)
	const struct CMUnitTest tests[] = {
		TEST4(test_empty_matches_nothing),
		TEST4(test_default_route_beneath_and_above),
		TEST4(test_lengths_around_the_node_boundaries),
		TEST4(test_replace_changes_only_its_own),
		TEST4(test_delete_while_covered_gives_the_cover),
		TEST4(test_host_bits_are_ignored),
		TEST6(test_ipv6_host_route_through_every_node),
		TEST6(test_ipv6_prefix_without_near_ones_takes_no_nodes_below_bit_40),
		TEST4(test_refuses_what_it_cannot_hold),
		TEST4(test_closed_answers_the_same_wherever_it_is),
		TEST4(test_agrees_with_a_naive_table),
		TEST6(test_agrees_with_a_naive_table),
		TEST4(test_reader_never_sees_a_hole),
		TEST6(test_reader_never_sees_a_hole),
		TEST4(test_node_is_not_reused_before_its_reader_moved_on),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
