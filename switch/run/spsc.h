/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spsc: a bounded queue between exactly two threads.
 *
 * What:    fixed-size elements in a ring; the producer owns `head`, the consumer `tail`.
 * Callers: run/worker with run/punt and with shuntd's control thread.
 * Thread:  one producer, one consumer.
 * Owner:   elements are copied in and out.
 * Full:    spsc_push() returns false; nothing waits.
 * Refuses: sizes that are not powers of two (-EINVAL).
 *
 * Memory order: the producer's store of `head` releases the element, the consumer's load acquires
 * it; the same the other way round with `tail` for the element's room.
 */
#ifndef SHUNT_RUN_SPSC_H
#define SHUNT_RUN_SPSC_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct spsc {
	char *element;
	uint32_t element_size, size; /* bytes; elements */
	uint32_t head __attribute__((aligned(64)));
	uint32_t tail __attribute__((aligned(64)));
};

static inline int spsc_init(struct spsc *q, uint32_t size, uint32_t element_size)
{
	if (!size || size & (size - 1)) {
		return -EINVAL;
	}
	*q = (struct spsc){.element_size = element_size, .size = size};
	q->element = calloc(size, element_size);
	return q->element ? 0 : -ENOMEM;
}

static inline void spsc_free(struct spsc *q)
{
	free(q->element);
	q->element = NULL;
}

/* Producer: for how many more is there room? */
static inline uint32_t spsc_room(struct spsc *q)
{
	return q->size - (q->head - __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE));
}

/* Producer. */
static inline bool spsc_push(struct spsc *q, const void *element)
{
	uint32_t tail = __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE);

	if (q->head - tail == q->size) {
		return false;
	}
	memcpy(q->element + (size_t)(q->head & (q->size - 1)) * q->element_size, element,
	       q->element_size);
	__atomic_store_n(&q->head, q->head + 1, __ATOMIC_RELEASE);
	return true;
}

/* Consumer. */
static inline bool spsc_pop(struct spsc *q, void *element)
{
	uint32_t head = __atomic_load_n(&q->head, __ATOMIC_ACQUIRE);

	if (head == q->tail) {
		return false;
	}
	memcpy(element, q->element + (size_t)(q->tail & (q->size - 1)) * q->element_size,
	       q->element_size);
	__atomic_store_n(&q->tail, q->tail + 1, __ATOMIC_RELEASE);
	return true;
}

/* Consumer: anything there? */
static inline bool spsc_ready(struct spsc *q)
{
	return __atomic_load_n(&q->head, __ATOMIC_ACQUIRE) != q->tail;
}

#endif
