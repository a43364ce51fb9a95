// SPDX-License-Identifier: BSD-2-Clause
#include "table/neigh.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <stdlib.h>

#include "table/hash.h"

/* NUD_VALID of net/neighbour.h: neigh_connected_output() or neigh_resolve_output() would send. */
#define NUD_USABLE (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_NOARP | NUD_PERMANENT)

struct item {
	struct hash_node node; /* tag: the generation it was set in */
	struct neigh_entry entry;
	struct rcu_head rcu;
};

struct neigh {
	struct hash hash;
	size_t limit;
	uint32_t generation;
	bool partial, lost; /* some did not fit; since the resync began */
};

/* A key is compared as three integers. */
struct key_words {
	uint64_t interface, high, low;
};

_Static_assert(sizeof(struct neigh_key) == sizeof(struct key_words), "neigh_key has padding");

/* One load each: a copy of the whole is made by way of the stack, and waits for it. */
static inline struct key_words key_load(const struct neigh_key *key)
{
	struct key_words words;

	memcpy(&words.interface, key, sizeof(words.interface));
	memcpy(&words.high, &key->addr.b[0], sizeof(words.high));
	memcpy(&words.low, &key->addr.b[8], sizeof(words.low));
	return words;
}

/* One multiplication: the interface is folded into the address's low half, so only as many keys as
 * there are interfaces can be made to meet. */
static inline uint32_t key_hash(const struct neigh *neigh, struct key_words key)
{
	return (uint32_t)hash_mix(key.high ^ neigh->hash.seed[0],
				  key.low ^ key.interface ^ neigh->hash.seed[1]);
}

static inline struct item *item_find(const struct neigh *neigh, struct key_words key,
				     uint32_t value)
{
	const struct hash_buckets *buckets = hash_buckets(&neigh->hash);
	struct hash_node *node = hash_first(buckets, value);

	for (; node; node = hash_next(buckets, node)) {
		struct item *item = caa_container_of(node, struct item, node);
		struct key_words have = key_load(&item->entry.key);

		if (have.high == key.high && have.low == key.low &&
		    have.interface == key.interface) {
			return item;
		}
	}
	return NULL;
}

static void item_free(struct rcu_head *head)
{
	free(caa_container_of(head, struct item, rcu));
}

static void item_remove(struct neigh *neigh, struct item *item)
{
	hash_remove(&neigh->hash, &item->node);
	call_rcu(&item->rcu, item_free);
}

int neigh_create(struct neigh **out, size_t limit)
{
	struct neigh *neigh = calloc(1, sizeof(*neigh));
	int err;

	if (!neigh) {
		return -ENOMEM;
	}
	err = hash_init(&neigh->hash);
	if (err) {
		free(neigh);
		return err;
	}
	neigh->limit = limit;
	*out = neigh;
	return 0;
}

static void node_free(struct hash_node *node, void *arg)
{
	free(caa_container_of(node, struct item, node));
}

void neigh_destroy(struct neigh *neigh)
{
	if (!neigh) {
		return;
	}
	hash_each(&neigh->hash, node_free, NULL);
	hash_fini(&neigh->hash);
	free(neigh);
}

int neigh_set(struct neigh *neigh, const struct neigh_key *key, const struct mac *lladdr,
	      uint16_t nud)
{
	const struct mac mac = lladdr ? *lladdr : (struct mac){0};
	const bool usable = lladdr && (nud & NUD_USABLE);
	struct key_words words = key_load(key);
	uint32_t value = key_hash(neigh, words);
	struct item *old = item_find(neigh, words, value), *item;

	if (old && old->entry.nud == nud && old->entry.usable == usable &&
	    mac_equal(&old->entry.lladdr, &mac)) {
		old->node.tag = neigh->generation;
		return 0;
	}
	if (!old && neigh->hash.count >= neigh->limit) {
		neigh->partial = neigh->lost = true;
		return -ENOSPC;
	}
	item = calloc(1, sizeof(*item));
	if (!item) {
		return -ENOMEM;
	}
	item->node.tag = neigh->generation;
	item->entry = (struct neigh_entry){
		.key = *key, .lladdr = mac, .nud = nud, .usable = usable};
	if (!old) {
		hash_insert(&neigh->hash, &item->node, value);
		return 0;
	}
	item->entry.used_s = __atomic_load_n(&old->entry.used_s, __ATOMIC_RELAXED);
	hash_replace(&neigh->hash, &old->node, &item->node);
	call_rcu(&old->rcu, item_free);
	return 0;
}

int neigh_delete(struct neigh *neigh, const struct neigh_key *key)
{
	struct key_words words = key_load(key);
	struct item *item = item_find(neigh, words, key_hash(neigh, words));

	if (!item) {
		return -ENOENT;
	}
	item_remove(neigh, item);
	return 0;
}

void neigh_resync_begin(struct neigh *neigh)
{
	neigh->generation++;
	neigh->lost = false;
}

static void sweep_one(struct hash_node *node, void *arg)
{
	struct neigh *neigh = arg;

	if (node->tag != neigh->generation) {
		item_remove(neigh, caa_container_of(node, struct item, node));
	}
}

bool neigh_resync_sweep(struct neigh *neigh, size_t *cursor, size_t budget)
{
	if (hash_walk(&neigh->hash, cursor, budget, sweep_one, neigh)) {
		return true;
	}
	neigh->partial = neigh->lost;
	return false;
}

bool neigh_partial(const struct neigh *neigh)
{
	return neigh->partial;
}

bool neigh_full(const struct neigh *neigh)
{
	return neigh->hash.count >= neigh->limit;
}

uint64_t neigh_version(const struct neigh *neigh)
{
	return hash_version(&neigh->hash);
}

size_t neigh_count(const struct neigh *neigh)
{
	return neigh->hash.count;
}

struct each {
	void (*fn)(const struct neigh_entry *entry, void *arg);
	void *arg;
};

static void each_one(struct hash_node *node, void *arg)
{
	const struct each *each = arg;

	each->fn(&caa_container_of(node, struct item, node)->entry, each->arg);
}

bool neigh_walk(struct neigh *neigh, size_t *cursor, size_t budget,
		void (*fn)(const struct neigh_entry *entry, void *arg), void *arg)
{
	struct each each = {fn, arg};

	return hash_walk(&neigh->hash, cursor, budget, each_one, &each);
}

void neigh_each(struct neigh *neigh, void (*fn)(const struct neigh_entry *entry, void *arg),
		void *arg)
{
	size_t cursor = 0;

	neigh_walk(neigh, &cursor, SIZE_MAX, fn, arg);
}

const struct neigh_entry *neigh_find(const struct neigh *neigh, const struct neigh_key *key)
{
	struct key_words words = key_load(key);
	const struct item *item = item_find(neigh, words, key_hash(neigh, words));

	return item ? &item->entry : NULL;
}
