// SPDX-License-Identifier: BSD-2-Clause
#include "table/nexthop.h"

#include <errno.h>
#include <stdlib.h>

#include "table/arena.h"
#include "table/fib.h"
#include "table/grace.h"
#include "table/hash.h"

#define INDEX_END (FIB_VALUE_MAX + 1) /* what a fib entry holds fits below */

struct item {
	struct hash_node node;
	struct item *next; /* on a list of retired ones */
	uint32_t index;
	uint32_t refs;
	struct nexthop set;
};

struct pool {
	struct nexthops nexthops;
	struct arena sets; /* pointers by index */
	struct hash hash;  /* by content; the writer's */
	uint32_t fresh;    /* first index never used */
	uint32_t idle;     /* first of the free indexes, linked through spare[] */
	struct arena spare;
	size_t bytes;
	/* Retired: until the running grace period, until the one after. */
	struct item *passing, *waiting;
	struct grace grace;
};

_Static_assert(sizeof(struct hop) == 24, "struct hop has padding");

static struct pool *pool_of(struct nexthops *nexthops)
{
	return caa_container_of(nexthops, struct pool, nexthops);
}

static struct item *item_at(struct pool *pool, uint32_t index)
{
	const struct nexthop *set = ((const struct nexthop **)pool->sets.base)[index];

	return (struct item *)((char *)(uintptr_t)set - offsetof(struct item, set));
}

static void set_store(struct pool *pool, uint32_t index, const struct nexthop *set)
{
	__atomic_store_n((const struct nexthop **)pool->sets.base + index, set, __ATOMIC_RELEASE);
}

static size_t item_size(unsigned count)
{
	return sizeof(struct item) + count * sizeof(struct hop);
}

/* Retired sets whose readers have gone: free them, and start waiting for the next ones. */
static void reclaim(struct pool *pool)
{
	struct item *item, *next;

	if ((!pool->passing && !pool->waiting) || grace_running(&pool->grace)) {
		return;
	}
	for (item = pool->passing; item; item = next) {
		next = item->next;
		set_store(pool, item->index, NULL);
		((uint32_t *)pool->spare.base)[item->index] = pool->idle;
		pool->idle = item->index;
		pool->bytes -= item_size(item->set.count);
		free(item);
	}
	pool->passing = pool->waiting;
	pool->waiting = NULL;
	if (pool->passing) {
		grace_start(&pool->grace);
	}
}

static int index_take(struct pool *pool, uint32_t *out)
{
	uint32_t index = pool->idle;
	int err;

	if (index) {
		pool->idle = ((uint32_t *)pool->spare.base)[index];
		*out = index;
		return 0;
	}
	index = pool->fresh;
	if (index >= INDEX_END) {
		return -ENOSPC;
	}
	err = arena_grow(&pool->sets, (index + 1) * sizeof(struct nexthop *));
	if (!err) {
		err = arena_grow(&pool->spare, (index + 1) * sizeof(uint32_t));
	}
	if (!err) {
		pool->fresh++;
		*out = index;
	}
	return err;
}

static uint32_t content_hash(const struct pool *pool, enum nexthop_action action,
			     const struct hop *hops, unsigned count)
{
	uint64_t value = hash_mix(pool->hash.seed[0] ^ action, pool->hash.seed[1] ^ count);

	for (unsigned i = 0; i < count; i++) {
		uint64_t w[3];

		memcpy(w, &hops[i], sizeof(w));
		value = hash_mix(value ^ w[0], pool->hash.seed[0] ^ w[1]);
		value = hash_mix(value ^ w[2], pool->hash.seed[1]);
	}
	return (uint32_t)value;
}

static struct item *item_find(struct pool *pool, uint32_t value, enum nexthop_action action,
			      const struct hop *hops, unsigned count)
{
	const struct hash_buckets *buckets = hash_buckets(&pool->hash);
	struct hash_node *node = hash_first(buckets, value);

	for (; node; node = hash_next(buckets, node)) {
		struct item *item = caa_container_of(node, struct item, node);

		if (node->hash == value && item->set.action == action && item->set.count == count &&
		    (!count || memcmp(item->set.hop, hops, count * sizeof(*hops)) == 0)) {
			return item;
		}
	}
	return NULL;
}

int nexthops_create(struct nexthops **out)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	int err;

	if (!pool) {
		return -ENOMEM;
	}
	err = hash_init(&pool->hash);
	if (err) {
		goto free_pool;
	}
	err = arena_create(&pool->sets, INDEX_END * sizeof(struct nexthop *), 1u << 16);
	if (err) {
		goto fini_hash;
	}
	err = arena_create(&pool->spare, INDEX_END * sizeof(uint32_t), 1u << 16);
	if (err) {
		goto destroy_sets;
	}
	err = arena_grow(&pool->sets, sizeof(struct nexthop *));
	if (err) {
		goto destroy_spare;
	}
	pool->fresh = 1;
	pool->nexthops.set = pool->sets.base;
	*out = &pool->nexthops;
	return 0;
destroy_spare:
	arena_destroy(&pool->spare);
destroy_sets:
	arena_destroy(&pool->sets);
fini_hash:
	hash_fini(&pool->hash);
free_pool:
	free(pool);
	return err;
}

void nexthops_destroy(struct nexthops *nexthops)
{
	struct pool *pool;

	if (!nexthops) {
		return;
	}
	pool = pool_of(nexthops);
	grace_settle(&pool->grace);
	for (uint32_t index = 1; index < pool->fresh; index++) {
		if (pool->nexthops.set[index]) {
			free(item_at(pool, index));
		}
	}
	hash_fini(&pool->hash);
	arena_destroy(&pool->spare);
	arena_destroy(&pool->sets);
	free(pool);
}

int nexthops_get(struct nexthops *nexthops, enum nexthop_action action, const struct hop *hops,
		 unsigned count)
{
	struct pool *pool = pool_of(nexthops);
	struct item *item;
	uint32_t value;
	int err;

	if (action != NEXTHOP_FORWARD) {
		count = 0;
	} else if (count == 0) {
		return -EINVAL;
	}
	if (count > NEXTHOP_HOPS_MAX) {
		return -E2BIG;
	}
	value = content_hash(pool, action, hops, count);
	item = item_find(pool, value, action, hops, count);
	if (item) {
		item->refs++;
		return (int)item->index;
	}
	reclaim(pool);
	item = calloc(1, item_size(count));
	if (!item) {
		return -ENOMEM;
	}
	err = index_take(pool, &item->index);
	if (err) {
		free(item);
		return err;
	}
	item->refs = 1;
	item->set.action = (uint8_t)action;
	item->set.count = (uint8_t)count;
	for (unsigned i = 0; i < count; i++) {
		item->set.hop[i] = hops[i];
		item->set.weight_total = (uint16_t)(item->set.weight_total + hops[i].weight);
	}
	pool->bytes += item_size(count);
	hash_insert(&pool->hash, &item->node, value);
	set_store(pool, item->index, &item->set);
	return (int)item->index;
}

void nexthops_ref(struct nexthops *nexthops, uint32_t index)
{
	item_at(pool_of(nexthops), index)->refs++;
}

void nexthops_put(struct nexthops *nexthops, uint32_t index)
{
	struct pool *pool = pool_of(nexthops);
	struct item *item = item_at(pool, index);

	if (--item->refs) {
		return;
	}
	/* Readers may have the index from the fib still: the set stays where it is for them. */
	hash_remove(&pool->hash, &item->node);
	item->next = pool->waiting;
	pool->waiting = item;
	reclaim(pool);
}

size_t nexthops_count(const struct nexthops *nexthops)
{
	return caa_container_of(nexthops, const struct pool, nexthops)->hash.count;
}

size_t nexthops_memory(const struct nexthops *nexthops)
{
	const struct pool *pool = caa_container_of(nexthops, const struct pool, nexthops);

	return pool->bytes + pool->fresh * (sizeof(struct nexthop *) + sizeof(uint32_t));
}
