// SPDX-License-Identifier: BSD-2-Clause
#include "table/fib.h"

#include <errno.h>
#include <stdlib.h>

#include "table/arena.h"
#include "table/grace.h"

#define ROOT_BITS 16u
#define ROOT_SIZE (1u << ROOT_BITS) /* entries */
#define BIG_BITS 8u
#define SMALL_BITS 4u
#define SMALL_BASE 40u /* address bits above the first small nodes */
#define BIG_SIZE (1u << BIG_BITS)
#define SMALL_SIZE (1u << SMALL_BITS)
#define UNIT SMALL_SIZE /* a node's number is how many times this many entries precede it */
#define UNIT_BYTES (UNIT * sizeof(uint32_t))
#define ROOT_UNITS (ROOT_SIZE / UNIT) /* the root takes the place of the first nodes */
#define UNITS_MAX (1u << 26)          /* 4 GiB, and room in a child word */
#define DEPTH_MAX ((SMALL_BASE - ROOT_BITS) / BIG_BITS + (128u - SMALL_BASE) / SMALL_BITS)
#define VALUE_BITS 22u

/* A list of nodes through `meta`. Node 0 is the root's: no node. */
struct list {
	uint32_t head, tail;
};

struct trie {
	struct fib fib;
	enum ip_family family;
	struct arena arena; /* the words */
	struct arena meta;  /* one uint32_t a unit: a node's own entries, or the next on its list */
	uint32_t *closed;   /* a root that answers the same for every address */
	uint32_t next;      /* first unit never used */
	size_t live;        /* units */
	/* Nodes without use, small and big: free, until the running grace period, until the one
	 * after. */
	struct list idle[2], passing[2], waiting[2];
	struct grace grace;
};

static struct trie *trie_of(struct fib *fib)
{
	return caa_container_of(fib, struct trie, fib);
}

static inline uint32_t *node_words(const struct trie *trie, uint32_t node)
{
	return (uint32_t *)trie->arena.base + (size_t)node * UNIT;
}

static inline uint32_t *node_meta(const struct trie *trie, uint32_t node)
{
	return (uint32_t *)trie->meta.base + node;
}

static inline uint32_t leaf(unsigned len, uint32_t value)
{
	return value ? (uint32_t)len << VALUE_BITS | value : 0;
}

static inline unsigned leaf_len(uint32_t word)
{
	return word >> VALUE_BITS;
}

static inline uint32_t child(uint32_t word)
{
	return word & ~FIB_CHILD;
}

static inline bool node_big(unsigned base)
{
	return base < SMALL_BASE;
}

/* Address bits that the entries of a node decide, which has `base` bits above it. */
static inline unsigned node_bits(unsigned base)
{
	return node_big(base) ? BIG_BITS : SMALL_BITS;
}

static inline uint32_t node_units(bool big)
{
	return big ? BIG_SIZE / UNIT : 1;
}

static inline void word_store(uint32_t *at, uint32_t word)
{
	__atomic_store_n(at, word, __ATOMIC_RELEASE);
}

/* Nodes. ------------------------------------------------------------------------------------ */

static void list_push(struct trie *trie, struct list *list, uint32_t node)
{
	*node_meta(trie, node) = list->head;
	if (!list->head) {
		list->tail = node;
	}
	list->head = node;
}

static void list_move(struct trie *trie, struct list *from, struct list *to)
{
	if (from->head) {
		*node_meta(trie, from->tail) = to->head;
		if (!to->head) {
			to->tail = from->tail;
		}
		to->head = from->head;
		*from = (struct list){0};
	}
}

/* Let nodes whose readers have gone be used again, and start waiting for the next ones. */
static void reclaim(struct trie *trie)
{
	if (grace_running(&trie->grace)) {
		return;
	}
	for (unsigned big = 0; big < 2; big++) {
		list_move(trie, &trie->passing[big], &trie->idle[big]);
	}
	if (trie->waiting[0].head || trie->waiting[1].head) {
		for (unsigned big = 0; big < 2; big++) {
			list_move(trie, &trie->waiting[big], &trie->passing[big]);
		}
		grace_start(&trie->grace);
	}
}

/* To the idle ones, when no reader can have seen it, or to the waiting ones. */
static void node_give(struct trie *trie, struct list lists[2], uint32_t node, bool big)
{
	list_push(trie, &lists[big], node);
	trie->live -= node_units(big);
}

static int node_take(struct trie *trie, bool big, uint32_t *out)
{
	uint32_t node = trie->idle[big].head, units = node_units(big);
	int err;

	if (node) {
		trie->idle[big].head = *node_meta(trie, node);
	} else {
		node = trie->next;
		err = node + units > UNITS_MAX
			      ? -ENOSPC
			      : arena_grow(&trie->arena, (size_t)(node + units) * UNIT_BYTES);
		if (!err) {
			err = arena_grow(&trie->meta, (size_t)(node + units) * sizeof(uint32_t));
		}
		if (err) {
			return err;
		}
		trie->next += units;
	}
	*node_meta(trie, node) = 0;
	trie->live += units;
	*out = node;
	return 0;
}

/* Insert and delete. ------------------------------------------------------------------------ */

/*
 * Where a prefix is on its way down: the entries of `node` decide the address bits from `base` to
 * `base + bits`.  An entry is a node's own when it is a child or a leaf longer than `base`; a node
 * without any says nothing its parent's entry does not, and is given back.
 */
struct level {
	uint32_t node;
	unsigned base, bits;
	uint32_t index; /* of the prefix (or the first of its entries) */
};

static uint32_t level_index(const struct ip_addr *addr, unsigned base)
{
	if (base == 0) {
		return (uint32_t)addr->b[0] << 8 | addr->b[1];
	}
	return node_big(base) ? addr->b[base / 8] : addr->b[base / 8] >> (base % 8 ? 0 : 4) & 0xf;
}

static void level_down(struct level *level, const struct ip_addr *addr, uint32_t node)
{
	level->base += level->bits;
	level->bits = node_bits(level->base);
	level->node = node;
	level->index = level_index(addr, level->base);
}

static uint32_t *level_word(const struct trie *trie, const struct level *level)
{
	return node_words(trie, level->node) + level->index;
}

/* The first entry of the prefix at the level where it ends, and how many it has. */
static uint32_t level_span(const struct level *level, unsigned len, uint32_t *first)
{
	uint32_t count = 1u << (level->base + level->bits - len);

	*first = level->index & ~(count - 1);
	return count;
}

/* Give `to` to every leaf at and below the entries whose length is within [min, max].  Nodes below
 * these have `base` bits above them. */
static void rewrite(struct trie *trie, uint32_t *words, uint32_t count, unsigned base, unsigned min,
		    unsigned max, uint32_t to)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t word = words[i];

		if (word & FIB_CHILD) {
			rewrite(trie, node_words(trie, child(word)), 1u << node_bits(base),
				base + node_bits(base), min, max, to);
		} else if (leaf_len(word) >= min && leaf_len(word) <= max) {
			word_store(&words[i], to);
		}
	}
}

/* The same for the prefix's entries of one node, keeping count of the node's own entries. */
static void rewrite_level(struct trie *trie, const struct level *level, unsigned len, unsigned min,
			  uint32_t to)
{
	uint32_t first, count = level_span(level, len, &first);
	uint32_t *words = node_words(trie, level->node) + first;

	for (uint32_t i = 0; level->base && i < count; i++) {
		uint32_t word = words[i];

		if (!(word & FIB_CHILD) && leaf_len(word) >= min && leaf_len(word) <= len) {
			*node_meta(trie, level->node) += (leaf_len(to) > level->base) -
							 (leaf_len(word) > level->base);
		}
	}
	rewrite(trie, words, count, level->base + level->bits, min, len, to);
}

/*
 * Build the nodes from below `top` to where the prefix ends, none of them visible yet, and return
 * the child word to publish.  All are taken before one is written: failing changes nothing.
 */
static int build(struct trie *trie, const struct level *top, const struct ip_addr *prefix,
		 unsigned len, uint32_t value, uint32_t *out)
{
	uint32_t node[DEPTH_MAX] = {0}, inherited = *level_word(trie, top);
	unsigned count = 0, base[DEPTH_MAX];
	struct level level = *top;

	for (unsigned at = top->base + top->bits; at < len; at += node_bits(at)) {
		int err = node_take(trie, node_big(at), &node[count]);

		if (err) {
			while (count--) {
				node_give(trie, trie->idle, node[count], node_big(base[count]));
			}
			return err;
		}
		base[count++] = at;
	}
	for (unsigned i = 0; i < count; i++) {
		uint32_t *words = node_words(trie, node[i]);

		level_down(&level, prefix, node[i]);
		for (uint32_t j = 0; j < 1u << level.bits; j++) {
			words[j] = inherited;
		}
		if (i + 1 < count) {
			words[level.index] = FIB_CHILD | node[i + 1];
			*node_meta(trie, node[i]) = 1;
		} else {
			rewrite_level(trie, &level, len, 0, leaf(len, value));
		}
	}
	*out = FIB_CHILD | node[0];
	return 0;
}

static struct level root_level(const struct ip_addr *prefix)
{
	return (struct level){.bits = ROOT_BITS, .index = level_index(prefix, 0)};
}

static void changed(struct fib *fib)
{
	__atomic_store_n(&fib->version, fib->version + 1, __ATOMIC_RELEASE);
}

int fib_insert(struct fib *fib, const struct ip_addr *prefix, unsigned len, uint32_t value)
{
	struct trie *trie = trie_of(fib);
	struct level level = root_level(prefix);
	uint32_t word, fresh;
	int err;

	if (len > ip_bits(trie->family) || value == 0 || value > FIB_VALUE_MAX) {
		return -EINVAL;
	}
	reclaim(trie);
	while (len > level.base + level.bits) {
		word = *level_word(trie, &level);
		if (word & FIB_CHILD) {
			level_down(&level, prefix, child(word));
			continue;
		}
		err = build(trie, &level, prefix, len, value, &fresh);
		if (err) {
			return err;
		}
		if (level.base) {
			*node_meta(trie, level.node) += leaf_len(word) <= level.base;
		}
		word_store(level_word(trie, &level), fresh);
		changed(fib);
		return 0;
	}
	rewrite_level(trie, &level, len, 0, leaf(len, value));
	changed(fib);
	return 0;
}

/* Give back the nodes of a path, lowest first, that have no entry of their own any more. */
static void collapse(struct trie *trie, const struct level *path, unsigned depth)
{
	for (; depth > 0; depth--) {
		const struct level *level = &path[depth], *above = &path[depth - 1];
		uint32_t inherited;

		if (*node_meta(trie, level->node)) {
			return;
		}
		/* All entries are alike: what covers the node, from above. */
		inherited = node_words(trie, level->node)[0];
		word_store(level_word(trie, above), inherited);
		if (above->base) {
			*node_meta(trie, above->node) -= leaf_len(inherited) <= above->base;
		}
		node_give(trie, trie->waiting, level->node, node_big(level->base));
	}
}

int fib_delete(struct fib *fib, const struct ip_addr *prefix, unsigned len, unsigned cover_len,
	       uint32_t cover_value)
{
	struct trie *trie = trie_of(fib);
	struct level path[DEPTH_MAX + 1] = {root_level(prefix)};
	unsigned depth = 0;
	uint32_t word;

	if (len > ip_bits(trie->family) || cover_value > FIB_VALUE_MAX ||
	    (cover_value && cover_len >= len)) {
		return -EINVAL;
	}
	while (len > path[depth].base + path[depth].bits) {
		word = *level_word(trie, &path[depth]);
		if (!(word & FIB_CHILD)) {
			return 0; /* it was not in */
		}
		path[depth + 1] = path[depth];
		level_down(&path[++depth], prefix, child(word));
	}
	rewrite_level(trie, &path[depth], len, len, leaf(cover_len, cover_value));
	collapse(trie, path, depth);
	changed(fib);
	reclaim(trie);
	return 0;
}

/* The whole. -------------------------------------------------------------------------------- */

static int create(struct fib **out, enum ip_family family, size_t step)
{
	struct trie *trie = calloc(1, sizeof(*trie));
	int err = -ENOMEM;

	if (!trie) {
		return -ENOMEM;
	}
	trie->family = family;
	trie->next = ROOT_UNITS;
	trie->closed = calloc(ROOT_SIZE, sizeof(uint32_t));
	if (!trie->closed) {
		goto free_trie;
	}
	err = arena_create(&trie->arena, UNITS_MAX * UNIT_BYTES, step);
	if (err) {
		goto free_closed;
	}
	err = arena_create(&trie->meta, UNITS_MAX * sizeof(uint32_t), 1u << 16);
	if (err) {
		goto free_arena;
	}
	err = arena_grow(&trie->arena, ROOT_SIZE * sizeof(uint32_t));
	if (err) {
		goto free_meta;
	}
	fib_open(&trie->fib);
	*out = &trie->fib;
	return 0;
free_meta:
	arena_destroy(&trie->meta);
free_arena:
	arena_destroy(&trie->arena);
free_closed:
	free(trie->closed);
free_trie:
	free(trie);
	return err;
}

int fib_create(struct fib **out, enum ip_family family)
{
	return create(out, family, ARENA_HUGE);
}

int fib_create_small(struct fib **out, enum ip_family family)
{
	return create(out, family, ROOT_SIZE * sizeof(uint32_t));
}

void fib_destroy(struct fib *fib)
{
	struct trie *trie;

	if (!fib) {
		return;
	}
	trie = trie_of(fib);
	grace_settle(&trie->grace);
	arena_destroy(&trie->meta);
	arena_destroy(&trie->arena);
	free(trie->closed);
	free(trie);
}

void fib_close(struct fib *fib, uint32_t value)
{
	struct trie *trie = trie_of(fib);

	/* A root of leaves: no reader goes on from here into a node. */
	for (uint32_t i = 0; i < ROOT_SIZE; i++) {
		word_store(&trie->closed[i], leaf(0, value));
	}
	__atomic_store_n(&fib->words, trie->closed, __ATOMIC_RELEASE);
	changed(fib);
}

void fib_open(struct fib *fib)
{
	__atomic_store_n(&fib->words, trie_of(fib)->arena.base, __ATOMIC_RELEASE);
	changed(fib);
}

size_t fib_memory(const struct fib *fib)
{
	const struct trie *trie = caa_container_of(fib, const struct trie, fib);

	return (trie->live + ROOT_UNITS) * (UNIT_BYTES + sizeof(uint32_t));
}
