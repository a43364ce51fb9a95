/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fib: longest prefix match, IPv4 and IPv6 by the same code.
 *
 * What:    a multibit trie with leaf pushing (Srinivasan & Varghese, "Fast Address Lookups Using
 *          Controlled Prefix Expansion", 1999): a 16-bit root, strides of 8 as far as bit 48, of 4
 *          from there on.  From bit 40 on IPv6 tables are sparse: there a way down that leads to
 *          one prefix only is a tail, the prefix itself to compare with.  An entry is one 32-bit
 *          word that is a child, a tail, or a value with the length of the prefix that wrote it,
 *          so a delete needs only the covering prefix, which the caller's rib knows.
 * Callers: table/rib writes; switch/path reads.
 * Thread:  one writer (control); readers under RCU.  A reader sees the old or the new value of a
 *          prefix, never a hole where a covering or replaced prefix stood.
 * Owner:   values are opaque 22-bit numbers (nexthop indexes); the fib owns none of them.
 * Full:    -ENOSPC when the node arena is used up, -ENOMEM: nothing is changed then.
 * Refuses: a prefix length over the family's, a value of 0 or over FIB_VALUE_MAX (-EINVAL).
 */
#ifndef SHUNT_TABLE_FIB_H
#define SHUNT_TABLE_FIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "table/addr.h"

#define FIB_VALUE_MAX ((1u << 22) - 1)

/*
 * The part of a fib that readers use; the rest is fib.c's.  words[0..65535] is the root; a child
 * word holds the number of a node, whose 256 or 16 entries start at words[number * 16], or of a
 * tail.
 */
struct fib {
	const uint32_t *words; /* RCU; never NULL */
	uint64_t version;      /* counts every change, stored (release) after it */
};

#define FIB_CHILD (1u << 31) /* otherwise a leaf: prefix length << 22 | value */

int fib_create(struct fib **out, enum ip_family family);
/* The same for one that is not expected to grow large: without huge pages. */
int fib_create_small(struct fib **out, enum ip_family family);
void fib_destroy(struct fib *fib);
/* Insert or replace prefix/len -> value. Host bits of `prefix` are ignored. */
int fib_insert(struct fib *fib, const struct ip_addr *prefix, unsigned len, uint32_t value);
/* Remove prefix/len; `cover_len`/`cover_value` is the longest shorter prefix that covers it, or
 * value 0 when there is none. -ENOENT is not detected: the caller's rib knows. */
int fib_delete(struct fib *fib, const struct ip_addr *prefix, unsigned len, unsigned cover_len,
	       uint32_t cover_value);
/* Every lookup in the /16s that the prefix meets answers `value`, whatever the fib holds there;
 * inserts and deletes go on unseen.  Cannot fail. */
void fib_close(struct fib *fib, const struct ip_addr *prefix, unsigned len, uint32_t value);
bool fib_closed(const struct fib *fib, const struct ip_addr *addr);
/* Answers by what it holds, everywhere. */
void fib_open(struct fib *fib);
/* Bytes of memory held by nodes. */
size_t fib_memory(const struct fib *fib);

/* The length of the prefix that wrote an entry. */
static inline unsigned fib_entry_len(uint32_t entry)
{
	return entry >> 22;
}

/* Where a child below bit 40 leads an IPv6 address: out of line, so that IPv4 does not pay. */
__attribute__((noinline)) uint32_t fib_lookup_deep(const uint32_t *words, uint32_t word,
						   const uint8_t *addr_be);

/* Reader: what fib_lookup() finds, with the length of the prefix that wrote it. */
static inline uint32_t fib_lookup_entry(const struct fib *fib, const uint8_t *addr_be)
{
	/* acquire: pairs with the release that published a node, whose entries were written
	 * before */
	const uint32_t *words = __atomic_load_n(&fib->words, __ATOMIC_ACQUIRE);
	uint32_t at = (uint32_t)addr_be[0] << 8 | addr_be[1];
	uint32_t word = __atomic_load_n(&words[at], __ATOMIC_ACQUIRE);

	/* A child's bits 27..29 are zero, and bits 30 and 31 leave by the shift. */
#pragma GCC unroll 3
	for (unsigned byte = 2; byte < 5 && word & FIB_CHILD; byte++) {
		word = __atomic_load_n(&words[(uint32_t)(word << 4) + addr_be[byte]],
				       __ATOMIC_ACQUIRE);
	}
	return word & FIB_CHILD ? fib_lookup_deep(words, word, addr_be) : word;
}

/* Reader: the value, or 0 when nothing matches. `addr_be` are the address's bytes (4 or 16). */
static inline uint32_t fib_lookup(const struct fib *fib, const uint8_t *addr_be)
{
	return fib_lookup_entry(fib, addr_be) & FIB_VALUE_MAX;
}

#endif
