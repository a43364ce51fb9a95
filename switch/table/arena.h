/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arena: memory that grows and never moves.
 *
 * What:    a large reservation of address space (PROT_NONE, which costs nothing and is not counted
 *          by strict overcommit), made usable from its start in steps.  Readers index from a base
 *          that stays where it is; new memory is zero.
 * Callers: fib (nodes), nexthop (index to pointer).
 * Thread:  one writer; the memory itself is read by anyone.
 * Owner:   arena_destroy() unmaps: no reader may be left.
 * Full:    arena_grow() returns -ENOSPC past the reservation, -ENOMEM.
 */
#ifndef SHUNT_TABLE_ARENA_H
#define SHUNT_TABLE_ARENA_H

#include <stddef.h>

struct arena {
	void *base;
	size_t reserved, usable; /* bytes */
	size_t step;             /* bytes; growth is a multiple of it */
};

/* `step` is a multiple of the page size; one of ARENA_HUGE asks for huge pages. 0 or -ENOMEM. */
int arena_create(struct arena *arena, size_t reserve, size_t step);
void arena_destroy(struct arena *arena);
/* Make the first `size` bytes usable. */
int arena_grow(struct arena *arena, size_t size);

#define ARENA_HUGE (2u << 20) /* bytes: the huge page of x86-64 and of arm64 with 4 KiB pages */

#endif
