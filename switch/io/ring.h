/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring: the two sides of a single-producer single-consumer ring shared with the kernel.
 *
 * What:    views of the memory that AF_XDP maps (net/xdp/xsk_queue.h): two free-running 32-bit
 *          indexes, a flags word, a power-of-two array of slots.  A view belongs to one side: a
 *          producer reserves, writes, submits; a consumer peeks, reads, releases.
 * Callers: io/xsk (our side of all four), io/pipe (the kernel's side, over plain memory).
 * Thread:  each view is used by one thread only; the first to use it becomes its owner, and other
 *          ones are caught by an assertion (unless NDEBUG; SHUNT_DEBUG wins over NDEBUG).
 * Owner:   a view owns nothing; the memory must outlive it.
 * Full:    ring_reserve() and ring_peek() return fewer than asked for, 0 at worst.
 * Refuses: sizes that are not a power of two (-EINVAL).  An index of the other side that is out of
 *          range (more than `size` entries between the two) gives 0 entries, never a wild access.
 *
 * Order:   what is written to slots before ring_submit() is seen by a consumer that peeked them,
 * and what a consumer read before ring_release() was read before a producer writes it again:
 *          release when publishing the own index, acquire when reading the other's.
 */
#ifndef SHUNT_IO_RING_H
#define SHUNT_IO_RING_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/if_xdp.h>

#if defined(SHUNT_DEBUG) || !defined(NDEBUG)
#define RING_CHECKED 1
#include <stdio.h>
#include <stdlib.h>
#else
#define RING_CHECKED 0
#endif

/* The shared memory of one ring. `flags` may be NULL (rx and completion have no use for it). */
struct ring_area {
	uint32_t *producer;
	uint32_t *consumer;
	uint32_t *flags;
	void *slots; /* struct xdp_desc (rx, tx) or uint64_t (fill, completion) */
	uint32_t size;
};

struct ring_view {
	uint32_t head;   /* own index: reserved or peeked up to here */
	uint32_t theirs; /* the other side's index as last read */
	uint32_t mask;
	uint32_t size;
	struct ring_area area;
	pthread_t owner;
	bool owned;
};

/* Two types, so that the sides cannot be mixed. */
struct ring_producer {
	struct ring_view v;
};

struct ring_consumer {
	struct ring_view v;
};

static inline void ring_check_owner(struct ring_view *v)
{
#if RING_CHECKED
	if (__builtin_expect(!v->owned, 0)) {
		v->owned = true;
		v->owner = pthread_self();
	} else if (__builtin_expect(!pthread_equal(v->owner, pthread_self()), 0)) {
		fputs("ring: used by two threads\n", stderr);
		abort();
	}
#else
	(void)v;
#endif
}

static inline int ring_view_init(struct ring_view *v, const struct ring_area *area)
{
	if (area->size == 0 || (area->size & (area->size - 1)) != 0) {
		return -EINVAL;
	}
	*v = (struct ring_view){.mask = area->size - 1, .size = area->size, .area = *area};
	return 0;
}

/* Both indexes are taken over as they stand. */
static inline int ring_producer_init(struct ring_producer *r, const struct ring_area *area)
{
	int err = ring_view_init(&r->v, area);

	if (err == 0) {
		/* relaxed: our own index */
		r->v.head = __atomic_load_n(area->producer, __ATOMIC_RELAXED);
		/* acquire: slots before it were read by the consumer */
		r->v.theirs = __atomic_load_n(area->consumer, __ATOMIC_ACQUIRE);
	}
	return err;
}

static inline int ring_consumer_init(struct ring_consumer *r, const struct ring_area *area)
{
	int err = ring_view_init(&r->v, area);

	if (err == 0) {
		/* relaxed: our own index */
		r->v.head = __atomic_load_n(area->consumer, __ATOMIC_RELAXED);
		/* acquire: slots before it were written by the producer */
		r->v.theirs = __atomic_load_n(area->producer, __ATOMIC_ACQUIRE);
	}
	return err;
}

/* Producer. --------------------------------------------------------------------------------- */

/* Entries between the consumer as last read and what is reserved; 0 room when out of range. */
static inline uint32_t ring_room(const struct ring_view *v)
{
	uint32_t used = v->head - v->theirs;

	return used <= v->size ? v->size - used : 0;
}

/* Reserve up to `want` slots from *index on: returns how many. The consumer's index is read again
 * only when what is known of it does not suffice. */
static inline uint32_t ring_reserve(struct ring_producer *r, uint32_t want, uint32_t *index)
{
	struct ring_view *v = &r->v;
	uint32_t room;

	ring_check_owner(v);
	room = ring_room(v);
	if (room < want) {
		/* acquire: pairs with the consumer's release; slots before it may be written */
		v->theirs = __atomic_load_n(v->area.consumer, __ATOMIC_ACQUIRE);
		room = ring_room(v);
	}
	if (want > room) {
		want = room;
	}
	*index = v->head;
	v->head += want;
	return want;
}

/* Publish all that is reserved. */
static inline void ring_submit(struct ring_producer *r)
{
	ring_check_owner(&r->v);
	/* release: the slots are written before the consumer sees the index */
	__atomic_store_n(r->v.area.producer, r->v.head, __ATOMIC_RELEASE);
}

/* Published entries that the consumer has not taken yet, read anew. */
static inline uint32_t ring_unconsumed(struct ring_producer *r)
{
	struct ring_view *v = &r->v;

	ring_check_owner(v);
	/* acquire: as in ring_reserve(), which will rely on it */
	v->theirs = __atomic_load_n(v->area.consumer, __ATOMIC_ACQUIRE);
	return v->head - v->theirs;
}

/* Does the consumer want to be told (XDP_USE_NEED_WAKEUP)? */
static inline bool ring_need_wakeup(const struct ring_producer *r)
{
	/* seq_cst: the index just submitted is visible before the flag is read; otherwise the
	 * consumer could find the ring empty and raise the flag between the two, and neither would
	 * act */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* relaxed: a flag, nothing is read because of it */
	return (__atomic_load_n(r->v.area.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) != 0;
}

/* Consumer. --------------------------------------------------------------------------------- */

static inline uint32_t ring_available(const struct ring_view *v)
{
	uint32_t avail = v->theirs - v->head;

	return avail <= v->size ? avail : 0;
}

/* Take up to `max` entries from *index on: returns how many. The producer's index is read again
 * only when what is known of it does not suffice. */
static inline uint32_t ring_peek(struct ring_consumer *r, uint32_t max, uint32_t *index)
{
	struct ring_view *v = &r->v;
	uint32_t avail;

	ring_check_owner(v);
	avail = ring_available(v);
	if (avail < max) {
		/* acquire: pairs with the producer's release; slots before it may be read */
		v->theirs = __atomic_load_n(v->area.producer, __ATOMIC_ACQUIRE);
		avail = ring_available(v);
	}
	if (max > avail) {
		max = avail;
	}
	*index = v->head;
	v->head += max;
	return max;
}

/* Give back all that was peeked. */
static inline void ring_release(struct ring_consumer *r)
{
	ring_check_owner(&r->v);
	/* release: the slots are read before the producer sees the index and writes them again */
	__atomic_store_n(r->v.area.consumer, r->v.head, __ATOMIC_RELEASE);
}

/* Is there an entry to peek? Takes nothing. */
static inline bool ring_ready(const struct ring_consumer *r)
{
	/* relaxed: only a hint; ring_peek() reads it with acquire */
	return __atomic_load_n(r->v.area.producer, __ATOMIC_RELAXED) != r->v.head;
}

/* Slots. ------------------------------------------------------------------------------------ */

static inline struct xdp_desc *ring_desc(const struct ring_view *v, uint32_t index)
{
	return &((struct xdp_desc *)v->area.slots)[index & v->mask];
}

static inline uint64_t *ring_addr(const struct ring_view *v, uint32_t index)
{
	return &((uint64_t *)v->area.slots)[index & v->mask];
}

#endif
