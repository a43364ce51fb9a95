/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hash: a chained hash of intrusive nodes, one writer, many readers.
 *
 * What:    each node has two next pointers, and a bucket array says which of them its chains use.
 *          To grow, the writer links every node into a new array by the other pointer and then
 *          publishes that array: a reader walks whole chains of one array or of the other, so an
 *          entry that is in the table throughout is always found.  The pointers left behind are
 *          used for the next growth, which is put off until the readers of the old array are gone:
 *          chains get longer meanwhile, nobody waits.
 * Callers: fdb, neigh (RCU readers); nexthop (its own writer only).
 * Thread:  the writer is one thread registered with liburcu-qsbr, and online; readers are inside
 *          their read side from hash_buckets() to the last use of a node.
 * Owner:   nodes are the caller's; a removed one is freed by call_rcu(), not before.  The bucket
 *          arrays are ours.
 * Full:    no limit. When a bucket array cannot be allocated the table stays as it is, slower.
 *
 * Hashes are keyed with a random seed a table: MACs and addresses are chosen by strangers.
 */
#ifndef SHUNT_TABLE_HASH_H
#define SHUNT_TABLE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu-qsbr.h>

struct hash_node {
	struct hash_node *next[2];
	uint32_t hash;
	uint32_t tag; /* the caller's; read by the writer only */
};

struct hash_buckets {
	struct rcu_head rcu;
	struct hash *owner;
	uint32_t mask;
	uint32_t side; /* which next[] these chains use */
	struct hash_node *bucket[];
};

struct hash {
	struct hash_buckets *buckets; /* RCU */
	size_t count;
	uint64_t version; /* counts every change, stored (release) after it */
	bool growing;     /* readers of the former array may be left; cleared by liburcu's thread */
	uint64_t seed[2];
};

int hash_init(struct hash *hash);  /* 0 or -errno */
void hash_fini(struct hash *hash); /* no reader may be left */
void hash_insert(struct hash *hash, struct hash_node *node, uint32_t value);
void hash_remove(struct hash *hash, struct hash_node *node); /* must be in */
/* `fresh` takes the place of `old`, which has the same hash value: readers see one or the other. */
void hash_replace(struct hash *hash, struct hash_node *old, struct hash_node *fresh);
/* Another version, for a change that is none of the nodes. */
void hash_changed(struct hash *hash);
/* Writer. fn may remove the node it is given, and nothing else. */
void hash_each(struct hash *hash, void (*fn)(struct hash_node *node, void *arg), void *arg);
/* The same in parts: from `*cursor` on (0 at first), some `budget` nodes.  True: there is more.  A
 * node that is in throughout is visited, and twice if the table grew; one that comes meanwhile may
 * be missed. */
bool hash_walk(struct hash *hash, size_t *cursor, size_t budget,
	       void (*fn)(struct hash_node *node, void *arg), void *arg);

/* 64 x 64 -> 128 bits folded: every bit of the key reaches the low bits of the result. */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Reader: what it finds after this is at least as new as the version says. */
static inline uint64_t hash_version(const struct hash *hash)
{
	return __atomic_load_n(&hash->version, __ATOMIC_ACQUIRE);
}

/* Reader: take the array once a search ... */
static inline const struct hash_buckets *hash_buckets(const struct hash *hash)
{
	return __atomic_load_n(&hash->buckets, __ATOMIC_ACQUIRE);
}

/* ... and walk its chain for a hash value: every node with that value, and others. */
static inline struct hash_node *hash_first(const struct hash_buckets *buckets, uint32_t value)
{
	return __atomic_load_n(&buckets->bucket[value & buckets->mask], __ATOMIC_ACQUIRE);
}

static inline struct hash_node *hash_next(const struct hash_buckets *buckets,
					  const struct hash_node *node)
{
	return __atomic_load_n(&node->next[buckets->side], __ATOMIC_ACQUIRE);
}

#endif
