/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fib: longest prefix match, IPv4 and IPv6 by the same code.
 *
 * What:    a multibit trie with leaf pushing (Srinivasan & Varghese, "Fast Address Lookups Using
 *          Controlled Prefix Expansion", 1999): a 16-bit root, then strides of 8.  An entry is one
 *          32-bit word that is either a child or a value with the length of the prefix that wrote
 *          it, so a delete needs only the covering prefix, which the caller's rib knows.
 * Callers: table/rib writes; switch/path reads.
 * Thread:  one writer (control); readers under RCU.  A reader sees the old or the new value of a
 *          prefix, never a hole where a covering or replaced prefix stood.
 * Owner:   values are opaque 22-bit numbers (nexthop indexes); the fib owns none of them.
 * Full:    -ENOSPC when the node arena is used up, -ENOMEM: nothing is changed then.
 * Refuses: a prefix length over the family's, a value of 0 or over FIB_VALUE_MAX (-EINVAL).
 */
#ifndef SHUNT_TABLE_FIB_H
#define SHUNT_TABLE_FIB_H

#include <stddef.h>

#include "table/addr.h"

#define FIB_VALUE_MAX ((1u << 22) - 1)

struct fib;

int fib_create(struct fib **out, enum ip_family family);
void fib_destroy(struct fib *fib);
/* Insert or replace prefix/len -> value. Host bits of `prefix` are ignored. */
int fib_insert(struct fib *fib, const struct ip_addr *prefix, unsigned len, uint32_t value);
/* Remove prefix/len; `cover_len`/`cover_value` is the longest shorter prefix that covers it, or
 * value 0 when there is none. -ENOENT is not detected: the caller's rib knows. */
int fib_delete(struct fib *fib, const struct ip_addr *prefix, unsigned len, unsigned cover_len,
	       uint32_t cover_value);
/* Reader: the value, or 0 when nothing matches. `addr_be` are the address's bytes (4 or 16). */
uint32_t fib_lookup(const struct fib *fib, const uint8_t *addr_be);
/* Bytes of memory held by nodes. */
size_t fib_memory(const struct fib *fib);

#endif
