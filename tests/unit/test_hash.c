// SPDX-License-Identifier: BSD-2-Clause
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#include <cmocka.h>

#include "table/hash.h"

#define STAYING 32u
#define PASSING 20000u

struct item {
	struct hash_node node;
	struct rcu_head rcu;
	uint32_t key;
	uint32_t poison; /* not 0 once freed */
};

static uint32_t key_hash(uint32_t key)
{
	return key * 2654435769u;
}

static struct item *find(const struct hash *hash, uint32_t key)
{
	const struct hash_buckets *buckets = hash_buckets(hash);
	struct hash_node *node = hash_first(buckets, key_hash(key));

	for (; node; node = hash_next(buckets, node)) {
		struct item *item = caa_container_of(node, struct item, node);

		if (item->key == key) {
			return item;
		}
	}
	return NULL;
}

static struct item *add(struct hash *hash, uint32_t key)
{
	struct item *item = calloc(1, sizeof(*item));

	item->key = key;
	hash_insert(hash, &item->node, key_hash(key));
	return item;
}

static void item_free(struct rcu_head *head)
{
	struct item *item = caa_container_of(head, struct item, rcu);

	item->poison = 1;
	free(item);
}

static void drop(struct hash *hash, struct item *item)
{
	hash_remove(hash, &item->node);
	call_rcu(&item->rcu, item_free);
}

static void drop_node(struct hash_node *node, void *arg)
{
	drop(arg, caa_container_of(node, struct item, node));
}

static void finish(struct hash *hash)
{
	hash_each(hash, drop_node, hash);
	assert_int_equal(hash->count, 0);
	hash_fini(hash);
	rcu_barrier();
}

static void test_finds_what_is_in(void **state)
{
	struct hash hash;
	struct item *fresh = calloc(1, sizeof(*fresh)), *old;

	assert_int_equal(hash_init(&hash), 0);
	for (uint32_t key = 0; key < 1000; key++) {
		add(&hash, key);
	}
	for (uint32_t key = 0; key < 1000; key += 2) {
		drop(&hash, find(&hash, key));
	}
	for (uint32_t key = 0; key < 1000; key++) {
		assert_int_equal(find(&hash, key) != NULL, key & 1);
	}
	old = find(&hash, 7);
	fresh->key = 7;
	hash_replace(&hash, &old->node, &fresh->node);
	call_rcu(&old->rcu, item_free);
	assert_ptr_equal(find(&hash, 7), fresh);
	assert_int_equal(hash.count, 500);
	finish(&hash);
}

static void test_growth_waits_for_readers_and_not_for_ever(void **state)
{
	struct hash hash;
	uint32_t mask, key = 0;

	assert_int_equal(hash_init(&hash), 0);
	/* This thread is a reader that does not move on. */
	mask = hash.buckets->mask;
	while (hash.buckets->mask == mask) {
		add(&hash, key++);
	}
	mask = hash.buckets->mask;
	for (unsigned i = 0; i < 4 * mask; i++) {
		add(&hash, key++);
	}
	assert_int_equal(hash.buckets->mask, mask);
	rcu_barrier();
	add(&hash, key++);
	assert_true(hash.buckets->mask >= hash.count - 1);
	for (uint32_t i = 0; i < key; i++) {
		assert_non_null(find(&hash, i));
	}
	finish(&hash);
}

struct reader {
	struct hash *hash;
	bool stop;
	unsigned long looks, missed, freed;
};

static void *reader_main(void *arg)
{
	struct reader *reader = arg;

	rcu_register_thread();
	while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED)) {
		for (uint32_t key = 0; key < STAYING; key++) {
			struct item *item = find(reader->hash, key);

			reader->looks++;
			if (!item) {
				reader->missed++;
			} else {
				reader->freed += item->poison;
			}
		}
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void test_entry_present_throughout_is_always_found(void **state)
{
	struct hash hash;
	struct reader reader = {.hash = &hash};
	struct item *passing = NULL;
	pthread_t thread;
	unsigned growths = 0;
	uint32_t mask;

	for (unsigned round = 0; round < 10; round++) {
		assert_int_equal(hash_init(&hash), 0);
		for (uint32_t key = 0; key < STAYING; key++) {
			add(&hash, key);
		}
		reader.stop = false;
		assert_int_equal(pthread_create(&thread, NULL, reader_main, &reader), 0);
		mask = hash.buckets->mask;
		for (uint32_t i = 0; i < PASSING; i++) {
			struct item *old = find(&hash, i % STAYING);
			struct item *fresh = calloc(1, sizeof(*fresh));

			passing = add(&hash, STAYING + i);
			if (i % 3 == 0) {
				drop(&hash, passing);
			}
			/* Replacing is being present throughout. */
			fresh->key = old->key;
			hash_replace(&hash, &old->node, &fresh->node);
			call_rcu(&old->rcu, item_free);
			rcu_quiescent_state();
			if (i % 100 == 0 && i < 2000) {
				rcu_barrier(); /* let it grow again soon */
			}
			growths += hash.buckets->mask != mask;
			mask = hash.buckets->mask;
		}
		__atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
		rcu_thread_offline();
		pthread_join(thread, NULL);
		rcu_thread_online();
		finish(&hash);
	}
	assert_true(growths >= 10);
	assert_true(reader.looks > 1000);
	assert_int_equal(reader.missed, 0);
	assert_int_equal(reader.freed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_what_is_in),
		cmocka_unit_test(test_growth_waits_for_readers_and_not_for_ever),
		cmocka_unit_test(test_entry_present_throughout_is_always_found),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
