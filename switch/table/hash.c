// SPDX-License-Identifier: BSD-2-Clause
#include "table/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define BUCKETS_MIN 64u
#define BUCKETS_MAX (1u << 26)
#define VISITS 16u /* looking at a bucket costs little beside a node */

static struct hash_buckets *buckets_create(struct hash *hash, size_t count, uint32_t side)
{
	struct hash_buckets *buckets = calloc(1, sizeof(*buckets) +
							 count * sizeof(buckets->bucket[0]));

	if (buckets) {
		buckets->owner = hash;
		buckets->mask = (uint32_t)count - 1;
		buckets->side = side;
	}
	return buckets;
}

/* On liburcu's thread: no reader is in the former array. */
static void buckets_free(struct rcu_head *head)
{
	struct hash_buckets *buckets = caa_container_of(head, struct hash_buckets, rcu);

	__atomic_store_n(&buckets->owner->growing, false, __ATOMIC_RELEASE);
	free(buckets);
}

int hash_init(struct hash *hash)
{
	*hash = (struct hash){0};
	if (getrandom(hash->seed, sizeof(hash->seed), 0) != sizeof(hash->seed)) {
		return -errno;
	}
	hash->buckets = buckets_create(hash, BUCKETS_MIN, 0);
	return hash->buckets ? 0 : -ENOMEM;
}

void hash_fini(struct hash *hash)
{
	if (__atomic_load_n(&hash->growing, __ATOMIC_ACQUIRE)) {
		rcu_barrier();
	}
	free(hash->buckets);
	hash->buckets = NULL;
}

static void hash_grow(struct hash *hash)
{
	struct hash_buckets *old = hash->buckets, *fresh;
	size_t count = ((size_t)old->mask + 1) * 2;

	/* The nodes' other pointers still belong to the readers of the array before this one. */
	if (__atomic_load_n(&hash->growing, __ATOMIC_ACQUIRE)) {
		return;
	}
	/* One period may have put off several doublings. */
	while (count < hash->count) {
		count *= 2;
	}
	if (count > BUCKETS_MAX) {
		return;
	}
	fresh = buckets_create(hash, count, !old->side);
	if (!fresh) {
		return;
	}
	for (uint32_t i = 0; i <= old->mask; i++) {
		for (struct hash_node *node = old->bucket[i]; node; node = node->next[old->side]) {
			struct hash_node **bucket = &fresh->bucket[node->hash & fresh->mask];

			node->next[fresh->side] = *bucket;
			*bucket = node;
		}
	}
	__atomic_store_n(&hash->growing, true, __ATOMIC_RELAXED);
	__atomic_store_n(&hash->buckets, fresh, __ATOMIC_RELEASE);
	call_rcu(&old->rcu, buckets_free);
}

void hash_changed(struct hash *hash)
{
	__atomic_store_n(&hash->version, hash->version + 1, __ATOMIC_RELEASE);
}

void hash_insert(struct hash *hash, struct hash_node *node, uint32_t value)
{
	struct hash_buckets *buckets;
	struct hash_node **bucket;

	hash->count++;
	if (hash->count > hash->buckets->mask) {
		hash_grow(hash);
	}
	buckets = hash->buckets;
	bucket = &buckets->bucket[value & buckets->mask];
	node->hash = value;
	node->next[buckets->side] = *bucket;
	node->next[!buckets->side] = NULL;
	__atomic_store_n(bucket, node, __ATOMIC_RELEASE);
	hash_changed(hash);
}

/* The pointer that leads to the node. */
static struct hash_node **hash_link(struct hash *hash, const struct hash_node *node)
{
	struct hash_buckets *buckets = hash->buckets;
	struct hash_node **link = &buckets->bucket[node->hash & buckets->mask];

	while (*link != node) {
		link = &(*link)->next[buckets->side];
	}
	return link;
}

void hash_remove(struct hash *hash, struct hash_node *node)
{
	struct hash_node **link = hash_link(hash, node);

	/* The node keeps its own next: a reader that stands on it walks on. */
	__atomic_store_n(link, node->next[hash->buckets->side], __ATOMIC_RELEASE);
	hash_changed(hash);
	hash->count--;
}

void hash_replace(struct hash *hash, struct hash_node *old, struct hash_node *fresh)
{
	struct hash_node **link = hash_link(hash, old);
	uint32_t side = hash->buckets->side;

	fresh->hash = old->hash;
	fresh->next[side] = old->next[side];
	fresh->next[!side] = NULL;
	__atomic_store_n(link, fresh, __ATOMIC_RELEASE);
	hash_changed(hash);
}

bool hash_walk(struct hash *hash, size_t *cursor, size_t budget,
	       void (*fn)(struct hash_node *node, void *arg), void *arg)
{
	struct hash_buckets *buckets = hash->buckets;
	size_t done = 0, most = budget < SIZE_MAX / VISITS ? budget * VISITS : SIZE_MAX;

	/* An array twice as long has the nodes of bucket i in i and further up: none is behind the
	 * cursor that was before it. */
	for (; *cursor <= buckets->mask && done < most; ++*cursor) {
		struct hash_node *node = buckets->bucket[*cursor], *next;

		for (done++; node; node = next, done += VISITS) {
			next = node->next[buckets->side];
			fn(node, arg);
		}
	}
	return *cursor <= buckets->mask;
}

void hash_each(struct hash *hash, void (*fn)(struct hash_node *node, void *arg), void *arg)
{
	size_t cursor = 0;

	hash_walk(hash, &cursor, SIZE_MAX, fn, arg);
}
