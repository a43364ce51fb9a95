/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * umem_private: the ledger's entries and their moves, inline for xsk.c, pipe.c and the tests.
 *
 * An entry is one 64-bit word, so that the common move (one frame, one socket) is a compare and a
 * store.  `staged`, `ring` and `limbo` are references: sockets that have the frame on their stage,
 *on their TX ring, or had it with the kernel when they were detached.
 *
 * Counting distinct frames.  A container knows how many references it holds, not which of its
 *frames another one holds too.  So the containers are summed, and what floods count more than once
 *is taken off again: `shared` is the sum over frames of (references - 1), `shared_ring` the same of
 *TX-ring references alone.  Both move only when a frame has or had a second reference; unicast
 *never touches them. kernel_tx = on_ring - shared_ring pending   = on_ring + staged - shared -
 *kernel_tx
 */
#ifndef SHUNT_IO_UMEM_PRIVATE_H
#define SHUNT_IO_UMEM_PRIVATE_H

#include <assert.h>

#include "io/umem.h"
#include "limits.h"

#define UMEM_SOCKETS_MAX 8192u /* twice what SHUNT_PORTS_MAX * SHUNT_QUEUES_MAX needs */
#define UMEM_SOCKET_NONE 0u    /* ids start at 1 */

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Checks of our own callers that cost too much for every frame: on in sanitizer builds. */
#if defined(SHUNT_DEBUG) || defined(__SANITIZE_ADDRESS__)
#define SHUNT_FRAME_CHECKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHUNT_FRAME_CHECKS 1
#endif
#endif
#ifdef SHUNT_FRAME_CHECKS
#define frame_assert(x) assert(x)
#else
#define frame_assert(x) ((void)0)
#endif

/* A flood stages a frame once on a socket of each port, so 8 bits hold its references. The fields
 * are ordered so that the words the fast path compares with are small constants. */
union frame_entry {
	struct {
		uint8_t role;  /* enum frame_role */
		uint8_t limbo; /* detached sockets whose kernel side may still touch it */
		uint8_t staged;
		uint8_t ring;
		uint16_t socket; /* in role KERNEL_RX whose; else UMEM_SOCKET_NONE */
		uint16_t pad;
	};
	uint64_t word;
};

_Static_assert(SHUNT_PORTS_MAX <= UINT8_MAX, "references of a flood fit an entry");

/* An entry as a word; constant when its arguments are. */
static inline uint64_t frame_word(enum frame_role role, uint16_t socket, uint8_t staged,
				  uint8_t ring)
{
	return (union frame_entry){{role, 0, staged, ring, socket, 0}}.word;
}

/* The stations of a frame with one destination. */
#define WORD_POOL frame_word(FRAME_POOL, UMEM_SOCKET_NONE, 0, 0)
#define WORD_HELD frame_word(FRAME_WORKER, UMEM_SOCKET_NONE, 0, 0)
#define WORD_STAGED frame_word(FRAME_WORKER, UMEM_SOCKET_NONE, 1, 0)
#define WORD_LEFT frame_word(FRAME_PENDING, UMEM_SOCKET_NONE, 1, 0)
#define WORD_SENT frame_word(FRAME_KERNEL_TX, UMEM_SOCKET_NONE, 0, 1)

struct umem {
	uint8_t *base;
	size_t frames;
	union frame_entry *entry; /* one a frame */
	frame_id *pool;           /* a stack: the last one freed is the warmest */
	size_t pool_count;
	/* What the other containers hold. on_ring and staged count references. */
	uint64_t kernel_rx, on_ring, staged, punt, limbo;
	uint64_t shared, shared_ring;
	uint64_t quarantined;
	/* Published. */
	uint64_t seq; /* odd: being written */
	struct frame_census census;
	/* Control thread only. */
	size_t map_size;
	bool huge;
	uint64_t socket_used[UMEM_SOCKETS_MAX / 64];
};

/* Ids of sockets, control thread. 1..UMEM_SOCKETS_MAX or -ENOMEM. */
int umem_socket_get(struct umem *umem);
void umem_socket_put(struct umem *umem, unsigned id);

/* Nobody refers to the frame any more: to the pool, or to limbo if a closed socket may. */
static inline void frame_free(struct umem *umem, frame_id id)
{
	union frame_entry *entry = &umem->entry[id];

	if (unlikely(entry->limbo > 0)) {
		entry->role = FRAME_LIMBO;
		umem->limbo++;
		return;
	}
	entry->word = WORD_POOL;
	umem->pool[umem->pool_count++] = id;
}

/* The role that follows from the references, for a frame that the worker has let go. */
static inline void frame_settle(struct umem *umem, frame_id id)
{
	union frame_entry *entry = &umem->entry[id];

	if (entry->ring > 0) {
		entry->role = FRAME_KERNEL_TX;
	} else if (entry->staged > 0) {
		entry->role = FRAME_PENDING;
	} else {
		frame_free(umem, id);
	}
}

/* stage: a reference more. */
static inline void frame_stage(struct umem *umem, frame_id id)
{
	union frame_entry *entry = &umem->entry[id];

	umem->staged++;
	if (likely(entry->word == WORD_HELD)) {
		entry->word = WORD_STAGED;
		return;
	}
	frame_assert(entry->role == FRAME_WORKER && entry->staged + entry->ring < UINT8_MAX);
	if (entry->staged + entry->ring > 0) {
		umem->shared++;
	}
	entry->staged++;
}

/* worker -> stage of one socket, and the worker's own hold given up. */
static inline void frame_send(struct umem *umem, frame_id id)
{
	frame_assert(umem->entry[id].word == WORD_HELD);
	umem->staged++;
	umem->entry[id].word = WORD_LEFT;
}

/* stage -> nowhere: a reference less. */
static inline void frame_unstage(struct umem *umem, frame_id id)
{
	union frame_entry *entry = &umem->entry[id];

	entry->staged--;
	umem->staged--;
	if (entry->staged + entry->ring > 0) {
		umem->shared--;
	}
	if (entry->role != FRAME_WORKER) {
		frame_settle(umem, id);
	}
}

/* stage -> TX ring. The caller moves the totals `staged` and `on_ring` by the burst. */
static inline void frame_submit(struct umem *umem, union frame_entry *entry)
{
	if (likely(entry->word == WORD_LEFT)) {
		entry->word = WORD_SENT;
		return;
	}
	if (entry->ring > 0) {
		umem->shared_ring++;
	}
	entry->staged--;
	entry->ring++;
	if (entry->role != FRAME_WORKER) {
		entry->role = FRAME_KERNEL_TX;
	}
}

/* TX ring -> nowhere, whatever else refers to it. The caller moves the total `on_ring` by the
 * burst, and does the common case (WORD_SENT) itself. */
static inline void frame_complete(struct umem *umem, frame_id id)
{
	union frame_entry *entry = &umem->entry[id];

	entry->ring--;
	if (entry->ring > 0) {
		umem->shared_ring--;
	}
	if (entry->staged + entry->ring > 0) {
		umem->shared--;
	}
	if (entry->role != FRAME_WORKER) {
		frame_settle(umem, id);
	}
}

/* The worker lets go of it. */
static inline void frame_release(struct umem *umem, frame_id id)
{
	union frame_entry *entry = &umem->entry[id];

	frame_assert(entry->role == FRAME_WORKER);
	if (likely(entry->word == WORD_STAGED)) {
		entry->word = WORD_LEFT;
		return;
	}
	frame_settle(umem, id);
}

#endif
