/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * umem: the one region all frames live in, and the ledger that says who has each.
 *
 * What:    a region of FRAME_SIZE chunks (huge pages if there are any, ordinary ones otherwise), an
 *          owner entry for each, and the free list.  The region is registered as one kernel UMEM
 *          per port (xsk.c), so an offset is valid in every port's rings.
 * Callers: io/xsk and io/pipe move frames to and from the kernel; run/worker takes and gives.
 * Thread:  create/destroy by control; all else by the one worker that owns the ledger.
 *          umem_census_read() by anyone.
 * Owner:   a frame has one role at a time.  `take` and `give` move it; what is not expected (a
 *          frame the kernel gives back that it did not have) is counted and quarantined: left where
 *          it is.
 * Full:    umem_take() returns fewer frames than asked for.
 * Refuses: a region that cannot be mapped (-ENOMEM), frame counts of 0 or over 2^22 (-EINVAL).
 *
 * The sum over roles never changes.  `lost` is not derived from that sum (which could not fail): it
 * compares the total with what the containers hold: free list, rings as counted at submit and
 * receive, punt ring, limbo. At a burst's end a worker holds nothing, so a frame that was taken and
 * forgotten shows as lost.
 */
#ifndef SHUNT_IO_UMEM_H
#define SHUNT_IO_UMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_SHIFT 11u
#define FRAME_SIZE (1u << FRAME_SHIFT) /* bytes; the smallest chunk XDP_UMEM_REG takes */
#define FRAME_HEADROOM 256u /* XDP_PACKET_HEADROOM: where the kernel puts a frame's start */
#define FRAME_ROOM (FRAME_SIZE - FRAME_HEADROOM) /* 1792: the longest frame a chunk holds */

typedef uint32_t frame_id; /* chunk number: offset >> FRAME_SHIFT */

enum frame_role {
	FRAME_POOL,      /* free list */
	FRAME_KERNEL_RX, /* on a fill ring, in the driver, or on an RX ring not yet read */
	FRAME_WORKER,    /* in the burst being worked on */
	FRAME_KERNEL_TX, /* on at least one TX ring, not yet completed there */
	FRAME_PUNT,      /* with the punt thread */
	FRAME_PENDING,   /* only staged for TX rings that are full */
	FRAME_LIMBO,     /* of a closed socket that may still touch it */
	FRAME_ROLES
};

/* Written by the worker once a burst, for anyone to read. */
struct frame_census {
	uint64_t total;
	uint64_t role[FRAME_ROLES];
	int64_t lost;         /* total minus what the containers hold */
	uint64_t quarantined; /* duplicate or foreign addresses the kernel gave us */
};

struct umem;

/* Map and register nothing yet with the kernel. `frames` chunks, all in the pool. */
int umem_create(struct umem **out, size_t frames);
/* Unmaps. No ring that can touch the region may be left: xsk_close() all first. */
void umem_destroy(struct umem *umem);

void *umem_base(const struct umem *umem);
size_t umem_size(const struct umem *umem); /* bytes */
size_t umem_frames(const struct umem *umem);
bool umem_huge(const struct umem *umem); /* on huge pages */

/* Address of the chunk's first byte. */
static inline uint8_t *umem_frame(uint8_t *base, frame_id id)
{
	return base + ((size_t)id << FRAME_SHIFT);
}

/* Worker: pool -> worker. Returns how many were taken (0..count). */
size_t umem_take(struct umem *umem, frame_id *ids, size_t count);
/* Worker: worker -> pool. */
void umem_give(struct umem *umem, const frame_id *ids, size_t count);
/* Worker: worker -> punt, and back to the pool. */
void umem_punt(struct umem *umem, frame_id id);
void umem_punted(struct umem *umem, frame_id id);
/* Worker: take the census (call when no frame is in hand; cheap, once a burst) ... */
void umem_census(struct umem *umem);
/* ... and anyone's consistent copy of the last one (seqlock; retries, never waits for a stopped
 * writer longer than a bounded number of tries: -EAGAIN). */
int umem_census_read(const struct umem *umem, struct frame_census *out);

#endif
