// SPDX-License-Identifier: BSD-2-Clause
#include "table/mdb.h"

#include <errno.h>
#include <stdlib.h>

#include "table/hash.h"

struct item {
	struct hash_node node; /* tag: the generation it was set in */
	struct rcu_head rcu;
	struct mdb_entry entry;
};

struct mdb {
	struct hash hash;
	uint32_t generation;
};

_Static_assert(sizeof(struct mdb_key) == 40, "mdb_key has padding");

static uint32_t key_hash(const struct mdb *mdb, const struct mdb_key *key)
{
	uint64_t words[5], hash = mdb->hash.seed[0];

	memcpy(words, key, sizeof(words));
	for (unsigned i = 0; i < 5; i++) {
		hash = hash_mix(hash ^ words[i], mdb->hash.seed[1] | 1);
	}
	return (uint32_t)hash;
}

static struct item *item_find(const struct mdb *mdb, const struct mdb_key *key, uint32_t value)
{
	const struct hash_buckets *buckets = hash_buckets(&mdb->hash);
	struct hash_node *node = hash_first(buckets, value);

	for (; node; node = hash_next(buckets, node)) {
		struct item *item = caa_container_of(node, struct item, node);

		if (memcmp(&item->entry.key, key, sizeof(*key)) == 0) {
			return item;
		}
	}
	return NULL;
}

static void item_free(struct rcu_head *head)
{
	free(caa_container_of(head, struct item, rcu));
}

static void item_remove(struct mdb *mdb, struct item *item)
{
	hash_remove(&mdb->hash, &item->node);
	call_rcu(&item->rcu, item_free);
}

int mdb_create(struct mdb **out)
{
	struct mdb *mdb = calloc(1, sizeof(*mdb));
	int err;

	if (!mdb) {
		return -ENOMEM;
	}
	err = hash_init(&mdb->hash);
	if (err) {
		free(mdb);
		return err;
	}
	*out = mdb;
	return 0;
}

static void node_free(struct hash_node *node, void *arg)
{
	free(caa_container_of(node, struct item, node));
}

void mdb_destroy(struct mdb *mdb)
{
	if (!mdb) {
		return;
	}
	hash_each(&mdb->hash, node_free, NULL);
	hash_fini(&mdb->hash);
	free(mdb);
}

int mdb_set(struct mdb *mdb, const struct mdb_key *key, const uint32_t *ifindex, unsigned count,
	    bool kernel)
{
	uint32_t value = key_hash(mdb, key);
	struct item *old = item_find(mdb, key, value), *item;

	if (count > TOPO_MEMBERS_MAX) {
		return -E2BIG;
	}
	if (old && old->entry.kernel == kernel && old->entry.count == count &&
	    (!count || memcmp(old->entry.ifindex, ifindex, count * sizeof(*ifindex)) == 0)) {
		old->node.tag = mdb->generation;
		return 0;
	}
	if (!old && mdb->hash.count >= MDB_LIMIT) {
		return -ENOSPC;
	}
	item = calloc(1, sizeof(*item) + count * sizeof(*ifindex));
	if (!item) {
		return -ENOMEM;
	}
	item->node.tag = mdb->generation;
	item->entry.key = *key;
	item->entry.kernel = kernel;
	item->entry.count = (uint8_t)count;
	for (unsigned i = 0; i < count; i++) {
		item->entry.ifindex[i] = ifindex[i];
	}
	if (!old) {
		hash_insert(&mdb->hash, &item->node, value);
		return 0;
	}
	hash_replace(&mdb->hash, &old->node, &item->node);
	call_rcu(&old->rcu, item_free);
	return 0;
}

int mdb_delete(struct mdb *mdb, const struct mdb_key *key)
{
	struct item *item = item_find(mdb, key, key_hash(mdb, key));

	if (!item) {
		return -ENOENT;
	}
	item_remove(mdb, item);
	return 0;
}

void mdb_resync_begin(struct mdb *mdb)
{
	mdb->generation++;
}

struct each {
	struct mdb *mdb;
	void (*fn)(const struct mdb_entry *entry, void *arg);
	void *arg;
};

static void sweep_one(struct hash_node *node, void *arg)
{
	struct item *item = caa_container_of(node, struct item, node);
	const struct each *each = arg;

	if (node->tag == each->mdb->generation) {
		return;
	}
	if (each->fn) {
		each->fn(&item->entry, each->arg);
	}
	item_remove(each->mdb, item);
}

void mdb_resync_sweep(struct mdb *mdb, void (*gone)(const struct mdb_entry *entry, void *arg),
		      void *arg)
{
	struct each each = {mdb, gone, arg};

	hash_each(&mdb->hash, sweep_one, &each);
}

size_t mdb_count(const struct mdb *mdb)
{
	return mdb->hash.count;
}

static void each_one(struct hash_node *node, void *arg)
{
	const struct each *each = arg;

	each->fn(&caa_container_of(node, struct item, node)->entry, each->arg);
}

void mdb_each(struct mdb *mdb, void (*fn)(const struct mdb_entry *entry, void *arg), void *arg)
{
	struct each each = {mdb, fn, arg};

	hash_each(&mdb->hash, each_one, &each);
}

const struct mdb_entry *mdb_find(const struct mdb *mdb, const struct mdb_key *key)
{
	const struct item *item = item_find(mdb, key, key_hash(mdb, key));

	return item ? &item->entry : NULL;
}
