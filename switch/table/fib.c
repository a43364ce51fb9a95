// SPDX-License-Identifier: BSD-2-Clause
#include "table/fib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "table/arena.h"
#include "table/grace.h"

#define ROOT_BITS 16u
#define ROOT_SIZE (1u << ROOT_BITS) /* entries */
#define BIG_BITS 8u
#define SMALL_BITS 4u
#define SMALL_BASE 48u /* address bits above the first small nodes */
#define TAIL_BASE 40u  /* and above the first tails */
#define BIG_SIZE (1u << BIG_BITS)
#define SMALL_SIZE (1u << SMALL_BITS)
#define UNIT SMALL_SIZE /* a node's number is how many times this many entries precede it */
#define UNIT_BYTES (UNIT * sizeof(uint32_t))
#define ROOT_UNITS (ROOT_SIZE / UNIT) /* the root takes the place of the first nodes */
#define UNITS_MAX (1u << 26)          /* 4 GiB, and room in a child word */
#define DEPTH_MAX ((SMALL_BASE - ROOT_BITS) / BIG_BITS + (128u - SMALL_BASE) / SMALL_BITS)
#define BUILD_MAX ((TAIL_BASE - ROOT_BITS) / BIG_BITS + 1) /* and a tail */
#define VALUE_BITS 22u

/*
 * A child word with TAIL leads to a tail, in the place of a small node: an entry for addresses
 * within its prefix and one for others, the 16 bytes of the prefix, and those of its mask.
 */
#define TAIL (1u << 30)
#define TAIL_PREFIX 4 /* words before it */
#define TAIL_MASK 8

/* A list of nodes through `meta`. Node 0 is the root's: no node. */
struct list {
	uint32_t head, tail;
};

struct trie {
	struct fib fib;
	enum ip_family family;
	struct arena arena; /* the words */
	struct arena meta;  /* one uint32_t a unit: a node's own entries, or the next on its list */
	uint32_t *hidden;   /* a root's entries where it is closed */
	uint8_t *closed;    /* which these are, a byte each */
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

/* A child that is no tail. */
static inline bool is_node(uint32_t word)
{
	return (word & (FIB_CHILD | TAIL)) == FIB_CHILD;
}

static inline uint32_t child(uint32_t word)
{
	return word & ~(FIB_CHILD | TAIL);
}

static inline bool node_big(unsigned base)
{
	return base < SMALL_BASE;
}

/* Is what begins there a tail, until there are two of it? */
static inline bool tail_at(unsigned base)
{
	return base >= TAIL_BASE;
}

/* What leads to a node just built, with `base` bits above it, or to a tail. */
static inline uint32_t child_word(uint32_t node, unsigned base)
{
	return FIB_CHILD | (tail_at(base) ? TAIL : 0) | node;
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

/* Tails. ------------------------------------------------------------------------------------ */

/* The 16 bytes of a prefix's mask, and of the prefix without host bits. */
static void prefix_bytes(const struct ip_addr *prefix, unsigned len, uint8_t *bytes, uint8_t *mask)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned bits = len > 8 * i ? len - 8 * i : 0;

		mask[i] = bits < 8 ? (uint8_t)(0xff00u >> bits) : 0xff;
		bytes[i] = prefix->b[i] & mask[i];
	}
}

/* `node`, not visible yet, is to lead to one prefix; other addresses find `inherited`. */
static void tail_write(struct trie *trie, uint32_t node, const struct ip_addr *prefix, unsigned len,
		       uint32_t value, uint32_t inherited)
{
	uint32_t *tail = node_words(trie, node);

	tail[0] = leaf(len, value);
	tail[1] = inherited;
	prefix_bytes(prefix, len, (uint8_t *)(tail + TAIL_PREFIX), (uint8_t *)(tail + TAIL_MASK));
}

static bool tail_is(const uint32_t *tail, const struct ip_addr *prefix, unsigned len)
{
	uint8_t bytes[16], mask[16];

	prefix_bytes(prefix, len, bytes, mask);
	return leaf_len(tail[0]) == len && !memcmp(tail + TAIL_PREFIX, bytes, sizeof(bytes));
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

/* An entry of a node; of the root, also where readers do not see it. */
static uint32_t *entry_of(const struct trie *trie, uint32_t node, uint32_t index)
{
	return !node && trie->closed[index] ? &trie->hidden[index] : node_words(trie, node) + index;
}

static uint32_t *level_word(const struct trie *trie, const struct level *level)
{
	return entry_of(trie, level->node, level->index);
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

		if (word & TAIL) {
			/* Its own prefix is longer than any that is written from above. */
			rewrite(trie, node_words(trie, child(word)) + 1, 1, base, min, max, to);
		} else if (word & FIB_CHILD) {
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

	for (uint32_t i = first; i < first + count; i++) {
		uint32_t *word = entry_of(trie, level->node, i);

		if (level->base && !(*word & FIB_CHILD) && leaf_len(*word) >= min &&
		    leaf_len(*word) <= len) {
			*node_meta(trie, level->node) += (leaf_len(to) > level->base) -
							 (leaf_len(*word) > level->base);
		}
		rewrite(trie, word, 1, level->base + level->bits, min, len, to);
	}
}

/*
 * Build what leads from below `top` to the prefix, none of it visible yet: big nodes, then the one
 * in which it ends or a tail.  Returns the child word to publish.  All are taken before one is
 * written: failing changes nothing.
 */
static int build(struct trie *trie, const struct level *top, const struct ip_addr *prefix,
		 unsigned len, uint32_t value, uint32_t *out)
{
	uint32_t node[BUILD_MAX] = {0}, inherited = *level_word(trie, top);
	unsigned count = 0, base = top->base + top->bits;
	struct level level = *top;

	for (unsigned at = base; at < len && count < BUILD_MAX; at += BIG_BITS) {
		int err = node_take(trie, !tail_at(at), &node[count]);

		if (err) {
			while (count--) {
				node_give(trie, trie->idle, node[count], true);
			}
			return err;
		}
		count++;
		if (tail_at(at)) {
			break;
		}
	}
	*out = child_word(node[0], base);
	for (unsigned i = 0; i < count; i++, base += BIG_BITS) {
		uint32_t *words = node_words(trie, node[i]);

		if (tail_at(base)) {
			tail_write(trie, node[i], prefix, len, value, inherited);
			break;
		}
		level_down(&level, prefix, node[i]);
		for (uint32_t j = 0; j < BIG_SIZE; j++) {
			words[j] = inherited;
		}
		if (i + 1 < count) {
			words[level.index] = child_word(node[i + 1], base + BIG_BITS);
			*node_meta(trie, node[i]) = 1;
		} else {
			rewrite_level(trie, &level, len, 0, leaf(len, value));
		}
	}
	return 0;
}

/*
 * Put a node where the entry is a tail, with the tail's prefix in it or the tail below it: readers
 * find the same by either.
 */
static int expand(struct trie *trie, const struct level *at)
{
	uint32_t word = *level_word(trie, at), *tail = node_words(trie, child(word)), node;
	unsigned len = leaf_len(tail[0]);
	struct level level = *at;
	struct ip_addr prefix;
	int err = node_take(trie, node_big(at->base + at->bits), &node);

	if (err) {
		return err;
	}
	tail = node_words(trie, child(word));
	memcpy(prefix.b, tail + TAIL_PREFIX, sizeof(prefix.b));
	level_down(&level, &prefix, node);
	for (uint32_t i = 0; i < 1u << level.bits; i++) {
		node_words(trie, node)[i] = tail[1];
	}
	if (len > level.base + level.bits) {
		*level_word(trie, &level) = word;
		*node_meta(trie, node) = 1;
	} else {
		rewrite_level(trie, &level, len, 0, tail[0]);
		node_give(trie, trie->waiting, child(word), false);
	}
	word_store(level_word(trie, at), FIB_CHILD | node);
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
		if (is_node(word)) {
			level_down(&level, prefix, child(word));
			continue;
		}
		if (word & TAIL) {
			uint32_t *tail = node_words(trie, child(word));

			if (tail_is(tail, prefix, len)) {
				word_store(&tail[0], leaf(len, value));
				changed(fib);
				return 0;
			}
			err = expand(trie, &level);
			if (err) {
				return err;
			}
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

/* Give back what the entry leads to: nothing below it differs from `inherited` any more. */
static void cut(struct trie *trie, const struct level *at, uint32_t inherited, bool big)
{
	uint32_t *word = level_word(trie, at), node = child(*word);

	word_store(word, inherited);
	if (at->base) {
		*node_meta(trie, at->node) -= leaf_len(inherited) <= at->base;
	}
	node_give(trie, trie->waiting, node, big);
}

/* The nodes of a path, lowest first, that have no entry of their own any more. */
static void collapse(struct trie *trie, const struct level *path, unsigned depth)
{
	for (; depth > 0 && !*node_meta(trie, path[depth].node); depth--) {
		/* All entries are alike: what covers the node, from above. */
		cut(trie, &path[depth - 1], node_words(trie, path[depth].node)[0],
		    node_big(path[depth].base));
	}
}

int fib_delete(struct fib *fib, const struct ip_addr *prefix, unsigned len, unsigned cover_len,
	       uint32_t cover_value)
{
	struct trie *trie = trie_of(fib);
	struct level path[DEPTH_MAX + 1] = {root_level(prefix)};
	unsigned depth = 0;
	uint32_t word = 0;

	if (len > ip_bits(trie->family) || cover_value > FIB_VALUE_MAX ||
	    (cover_value && cover_len >= len)) {
		return -EINVAL;
	}
	while (len > path[depth].base + path[depth].bits) {
		word = *level_word(trie, &path[depth]);
		if (!is_node(word)) {
			break;
		}
		path[depth + 1] = path[depth];
		level_down(&path[++depth], prefix, child(word));
	}
	if (len <= path[depth].base + path[depth].bits) {
		rewrite_level(trie, &path[depth], len, len, leaf(cover_len, cover_value));
	} else if (word & TAIL && tail_is(node_words(trie, child(word)), prefix, len)) {
		cut(trie, &path[depth], node_words(trie, child(word))[1], false);
	} else {
		return 0; /* it was not in */
	}
	collapse(trie, path, depth);
	changed(fib);
	reclaim(trie);
	return 0;
}

/* Look-up. ---------------------------------------------------------------------------------- */

static inline uint32_t tail_lookup(const uint32_t *tail, const uint8_t *addr_be)
{
	uint64_t addr[2], prefix[2], mask[2];
	bool other;

	memcpy(addr, addr_be, sizeof(addr));
	memcpy(prefix, tail + TAIL_PREFIX, sizeof(prefix));
	memcpy(mask, tail + TAIL_MASK, sizeof(mask));
	other = (((addr[0] ^ prefix[0]) & mask[0]) | ((addr[1] ^ prefix[1]) & mask[1])) != 0;
	return __atomic_load_n(&tail[other], __ATOMIC_RELAXED);
}

/* acquire: as in fib_lookup_entry(). */
uint32_t fib_lookup_deep(const uint32_t *words, uint32_t word, const uint8_t *addr_be)
{
	if (is_node(word)) {
		word = __atomic_load_n(&words[(uint32_t)(word << 4) + addr_be[TAIL_BASE / 8]],
				       __ATOMIC_ACQUIRE);
	}
	for (const uint8_t *byte = addr_be + SMALL_BASE / 8; is_node(word); byte++) {
		word = __atomic_load_n(&words[(uint32_t)(word << 4) | *byte >> 4],
				       __ATOMIC_ACQUIRE);
		if (!is_node(word)) {
			break;
		}
		word = __atomic_load_n(&words[(uint32_t)(word << 4) | (*byte & 0xf)],
				       __ATOMIC_ACQUIRE);
	}
	return word & TAIL ? tail_lookup(&words[(uint32_t)(word << 4)], addr_be) : word;
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
	trie->hidden = calloc(ROOT_SIZE, sizeof(uint32_t));
	trie->closed = calloc(ROOT_SIZE, 1);
	if (!trie->hidden || !trie->closed) {
		goto free_closed;
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
	trie->fib.words = trie->arena.base;
	*out = &trie->fib;
	return 0;
free_meta:
	arena_destroy(&trie->meta);
free_arena:
	arena_destroy(&trie->arena);
free_closed:
	free(trie->closed);
	free(trie->hidden);
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
	free(trie->hidden);
	free(trie);
}

void fib_close(struct fib *fib, const struct ip_addr *prefix, unsigned len, uint32_t value)
{
	struct trie *trie = trie_of(fib);
	struct level root = root_level(prefix);
	uint32_t *words = node_words(trie, root.node);
	uint32_t first, count = level_span(&root, len < ROOT_BITS ? len : ROOT_BITS, &first);

	for (uint32_t i = first; i < first + count; i++) {
		if (!trie->closed[i]) {
			trie->hidden[i] = words[i];
			trie->closed[i] = true;
			word_store(&words[i], leaf(0, value));
		}
	}
	changed(fib);
}

bool fib_closed(const struct fib *fib, const struct ip_addr *addr)
{
	const struct trie *trie = caa_container_of(fib, const struct trie, fib);

	return trie->closed[level_index(addr, 0)];
}

void fib_open(struct fib *fib)
{
	struct trie *trie = trie_of(fib);
	uint32_t *words = node_words(trie, 0);

	for (uint32_t i = 0; i < ROOT_SIZE; i++) {
		if (trie->closed[i]) {
			word_store(&words[i], trie->hidden[i]);
			trie->closed[i] = false;
		}
	}
	changed(fib);
}

size_t fib_memory(const struct fib *fib)
{
	const struct trie *trie = caa_container_of(fib, const struct trie, fib);

	return (trie->live + ROOT_UNITS) * (UNIT_BYTES + sizeof(uint32_t));
}
