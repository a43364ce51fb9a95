// SPDX-License-Identifier: BSD-2-Clause
#include "table/arena.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

int arena_create(struct arena *arena, size_t reserve, size_t step)
{
	size_t align = step == ARENA_HUGE ? ARENA_HUGE : 0;
	size_t size = (reserve + step - 1) / step * step;
	uint8_t *map = mmap(NULL, size + align, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t head = 0;

	if (map == MAP_FAILED) {
		return -ENOMEM;
	}
	if (align) {
		/* Huge pages need an aligned start: give back what is around it. */
		head = (align - (uintptr_t)map % align) % align;
		if (head) {
			munmap(map, head);
		}
		if (head < align) {
			munmap(map + head + size, align - head);
		}
		madvise(map + head, size, MADV_HUGEPAGE);
	}
	*arena = (struct arena){.base = map + head, .reserved = size, .step = step};
	return 0;
}

void arena_destroy(struct arena *arena)
{
	if (arena->base) {
		munmap(arena->base, arena->reserved);
	}
	*arena = (struct arena){0};
}

int arena_grow(struct arena *arena, size_t size)
{
	size_t more;

	if (size <= arena->usable) {
		return 0;
	}
	if (size > arena->reserved) {
		return -ENOSPC;
	}
	more = (size - arena->usable + arena->step - 1) / arena->step * arena->step;
	if (mprotect((uint8_t *)arena->base + arena->usable, more, PROT_READ | PROT_WRITE)) {
		return -ENOMEM;
	}
	arena->usable += more;
	return 0;
}
