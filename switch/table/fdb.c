// SPDX-License-Identifier: BSD-2-Clause
#include "table/fdb.h"

#include <errno.h>
#include <stdlib.h>

#include "table/hash.h"

struct item {
	struct hash_node node; /* tag: the generation it was set in */
	struct fdb_entry entry;
	struct rcu_head rcu;
};

struct fdb {
	struct hash hash;
	size_t limit;
	uint32_t generation;
	bool partial; /* read by the readers */
	bool lost;    /* one did not fit since the resync began */
};

/* A key is compared as two integers. */
struct key_words {
	uint64_t vlan_mac;
	uint32_t bridge;
};

_Static_assert(sizeof(struct fdb_key) == 12, "fdb_key has padding");

static inline struct key_words key_load(const struct fdb_key *key)
{
	struct key_words words = {.bridge = key->bridge};

	memcpy(&words.vlan_mac, &key->vlan, sizeof(words.vlan_mac));
	return words;
}

static inline uint32_t key_hash(const struct fdb *fdb, struct key_words key)
{
	return (uint32_t)hash_mix(key.vlan_mac ^ fdb->hash.seed[0], key.bridge ^ fdb->hash.seed[1]);
}

static inline struct item *item_find(const struct fdb *fdb, struct key_words key, uint32_t value)
{
	const struct hash_buckets *buckets = hash_buckets(&fdb->hash);
	struct hash_node *node = hash_first(buckets, value);

	for (; node; node = hash_next(buckets, node)) {
		struct item *item = caa_container_of(node, struct item, node);
		struct key_words have = key_load(&item->entry.key);

		if (have.vlan_mac == key.vlan_mac && have.bridge == key.bridge) {
			return item;
		}
	}
	return NULL;
}

static void item_free(struct rcu_head *head)
{
	free(caa_container_of(head, struct item, rcu));
}

static void item_remove(struct fdb *fdb, struct item *item)
{
	hash_remove(&fdb->hash, &item->node);
	call_rcu(&item->rcu, item_free);
}

int fdb_create(struct fdb **out, size_t limit)
{
	struct fdb *fdb = calloc(1, sizeof(*fdb));
	int err;

	if (!fdb) {
		return -ENOMEM;
	}
	err = hash_init(&fdb->hash);
	if (err) {
		free(fdb);
		return err;
	}
	fdb->limit = limit;
	*out = fdb;
	return 0;
}

static void node_free(struct hash_node *node, void *arg)
{
	free(caa_container_of(node, struct item, node));
}

void fdb_destroy(struct fdb *fdb)
{
	if (!fdb) {
		return;
	}
	hash_each(&fdb->hash, node_free, NULL);
	hash_fini(&fdb->hash);
	free(fdb);
}

/* Before the readers look at the table again they have seen it. */
static void set_partial(struct fdb *fdb, bool partial)
{
	if (fdb->partial != partial) {
		__atomic_store_n(&fdb->partial, partial, __ATOMIC_RELEASE);
		hash_changed(&fdb->hash);
	}
}

static int no_room(struct fdb *fdb, int error)
{
	fdb->lost = true;
	set_partial(fdb, true);
	return error;
}

int fdb_set(struct fdb *fdb, const struct fdb_key *key, uint32_t ifindex, int16_t slot,
	    enum fdb_state state)
{
	uint32_t value = key_hash(fdb, key_load(key));
	struct item *old = item_find(fdb, key_load(key), value), *item;

	if (old && old->entry.ifindex == ifindex && old->entry.slot == slot &&
	    old->entry.state == state) {
		old->node.tag = fdb->generation;
		return 0;
	}
	if (!old && fdb->hash.count >= fdb->limit) {
		return no_room(fdb, -ENOSPC);
	}
	item = calloc(1, sizeof(*item));
	if (!item) {
		return no_room(fdb, -ENOMEM);
	}
	item->node.tag = fdb->generation;
	item->entry = (struct fdb_entry){
		.key = *key, .ifindex = ifindex, .slot = slot, .state = (uint8_t)state};
	if (!old) {
		hash_insert(&fdb->hash, &item->node, value);
		return 0;
	}
	/* "Seen as a source" holds for the place it was seen at. */
	if (old->entry.ifindex == ifindex) {
		item->entry.used_s = __atomic_load_n(&old->entry.used_s, __ATOMIC_RELAXED);
	}
	hash_replace(&fdb->hash, &old->node, &item->node);
	call_rcu(&old->rcu, item_free);
	return 0;
}

int fdb_delete(struct fdb *fdb, const struct fdb_key *key)
{
	struct key_words words = key_load(key);
	struct item *item = item_find(fdb, words, key_hash(fdb, words));

	if (!item) {
		return -ENOENT;
	}
	item_remove(fdb, item);
	return 0;
}

void fdb_resync_begin(struct fdb *fdb)
{
	fdb->generation++;
	fdb->lost = false;
}

static void sweep_one(struct hash_node *node, void *arg)
{
	struct fdb *fdb = arg;

	if (node->tag != fdb->generation) {
		item_remove(fdb, caa_container_of(node, struct item, node));
	}
}

bool fdb_resync_sweep(struct fdb *fdb, size_t *cursor, size_t budget)
{
	if (hash_walk(&fdb->hash, cursor, budget, sweep_one, fdb)) {
		return true;
	}
	set_partial(fdb, fdb->lost);
	return false;
}

bool fdb_partial(const struct fdb *fdb)
{
	return __atomic_load_n(&fdb->partial, __ATOMIC_ACQUIRE);
}

bool fdb_full(const struct fdb *fdb)
{
	return fdb->hash.count >= fdb->limit;
}

uint64_t fdb_version(const struct fdb *fdb)
{
	return hash_version(&fdb->hash);
}

size_t fdb_count(const struct fdb *fdb)
{
	return fdb->hash.count;
}

struct each {
	void (*fn)(const struct fdb_entry *entry, void *arg);
	void *arg;
};

static void each_one(struct hash_node *node, void *arg)
{
	const struct each *each = arg;

	each->fn(&caa_container_of(node, struct item, node)->entry, each->arg);
}

bool fdb_walk(struct fdb *fdb, size_t *cursor, size_t budget,
	      void (*fn)(const struct fdb_entry *entry, void *arg), void *arg)
{
	struct each each = {fn, arg};

	return hash_walk(&fdb->hash, cursor, budget, each_one, &each);
}

void fdb_each(struct fdb *fdb, void (*fn)(const struct fdb_entry *entry, void *arg), void *arg)
{
	size_t cursor = 0;

	fdb_walk(fdb, &cursor, SIZE_MAX, fn, arg);
}

const struct fdb_entry *fdb_find(const struct fdb *fdb, const struct fdb_key *key)
{
	struct key_words words = key_load(key);
	const struct item *item = item_find(fdb, words, key_hash(fdb, words));

	return item ? &item->entry : NULL;
}

const struct fdb_entry *fdb_find_word(const struct fdb *fdb, uint32_t bridge, uint16_t vlan,
				      uint64_t mac)
{
	/* As key_load() would find them in memory: the VLAN's two bytes first. */
	struct key_words words = {.vlan_mac = mac << 16 | vlan, .bridge = bridge};
	const struct item *item;

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "mac_word() is little-endian");
	item = item_find(fdb, words, key_hash(fdb, words));
	return item ? &item->entry : NULL;
}
