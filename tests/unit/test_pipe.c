/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket's code over plain memory: what a kernel does well, late, wrongly, or never. */
#include <errno.h>
#include <stdlib.h>

#include "io/pipe.h"
#include "io/xsk_private.h"
#include "io_ledger.h"

#define FRAMES 512u
#define RING 32u
#define STAGE 16u
#define CAP (RING + SHUNT_BURST + STAGE) /* TX ring, a burst, and those that may wait */
#define PIPES 3

struct world {
	struct umem *umem;
	struct pipe *pipe[PIPES];
	struct xsk *xsk[PIPES];
};

static const struct xsk_port_conf conf = {
	.queues = 1,
	.mode = XSK_COPY,
	.ring_size = RING,
	.rx_frames = RING,
	.stage_frames = STAGE,
};

static int open_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_int_equal(umem_create(&w->umem, FRAMES), 0);
	for (int i = 0; i < PIPES; i++) {
		assert_int_equal(pipe_create(&w->pipe[i], w->umem, &conf), 0);
		w->xsk[i] = pipe_xsk(w->pipe[i]);
	}
	*state = w;
	return 0;
}

static int close_world(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < PIPES; i++) {
		pipe_destroy(w->pipe[i]);
	}
	assert_int_equal(ledger_census(w->umem).role[FRAME_POOL], FRAMES);
	ledger_check(w->umem);
	umem_destroy(w->umem);
	free(w);
	return 0;
}

/* One frame in hand, received on pipe 0, `tag` its first bytes. */
static struct xsk_frame receive(struct world *w, uint32_t tag)
{
	struct xsk_frame frame;
	uint8_t bytes[64] = {0};

	memcpy(bytes, &tag, sizeof(tag));
	xsk_refill(w->xsk[0]);
	assert_int_equal(pipe_inject(w->pipe[0], bytes, sizeof(bytes)), 0);
	assert_int_equal(xsk_receive(w->xsk[0], &frame, 1), 1);
	assert_int_equal(frame.len, sizeof(bytes));
	assert_memory_equal(frame.data, bytes, sizeof(bytes));
	return frame;
}

/* Receive one and send it by `mask` of pipes. */
static struct xsk_frame forward(struct world *w, uint32_t tag, unsigned mask)
{
	struct xsk_frame frame = receive(w, tag);

	for (int i = 0; i < PIPES; i++) {
		if (mask & 1u << i) {
			assert_int_equal(xsk_stage(w->xsk[i], &frame), 0);
		}
	}
	xsk_release(w->umem, frame.id);
	return frame;
}

static uint64_t role(struct world *w, enum frame_role which)
{
	return ledger_census(w->umem).role[which];
}

static void the_journey_of_a_frame_moves_its_role(void **state)
{
	struct world *w = *state;
	struct xsk_frame frame;
	uint64_t addr;
	uint32_t len;

	assert_int_equal(xsk_refill(w->xsk[0]), 0);
	assert_int_equal(role(w, FRAME_KERNEL_RX), RING);
	ledger_check(w->umem);
	frame = forward(w, 1, 1u << 1);
	assert_int_equal(role(w, FRAME_PENDING), 1);
	ledger_check(w->umem);
	assert_int_equal(xsk_staged(w->xsk[1]), 1);
	assert_int_equal(xsk_flush(w->xsk[1]), 0);
	assert_int_equal(role(w, FRAME_KERNEL_TX), 1);
	assert_int_equal(role(w, FRAME_PENDING), 0);
	ledger_check(w->umem);
	assert_int_equal(pipe_transmit(w->pipe[1], &addr, &len), 1);
	assert_int_equal(addr, ((uint64_t)frame.id << FRAME_SHIFT) + FRAME_HEADROOM);
	assert_int_equal(len, 64);
	assert_int_equal(xsk_complete(w->xsk[1]), 0); /* late */
	assert_int_equal(role(w, FRAME_KERNEL_TX), 1);
	assert_int_equal(pipe_complete(w->pipe[1], addr), 0);
	assert_int_equal(xsk_complete(w->xsk[1]), 1);
	assert_int_equal(role(w, FRAME_KERNEL_TX), 0);
	assert_int_equal(xsk_tx_outstanding(w->xsk[1]), 0);
	ledger_check(w->umem);
}

static void a_dropped_frame_goes_back_to_the_pool(void **state)
{
	struct world *w = *state;
	struct xsk_frame frame = receive(w, 1);
	uint64_t pool = role(w, FRAME_POOL);

	assert_int_equal(ledger_census(w->umem).lost, 1); /* in hand */
	xsk_release(w->umem, frame.id);
	assert_int_equal(role(w, FRAME_POOL), pool + 1);
	ledger_check(w->umem);
}

static void a_staged_frame_never_released_is_lost_in_the_end(void **state)
{
	struct world *w = *state;
	struct xsk_frame frame = receive(w, 1);

	assert_int_equal(xsk_stage(w->xsk[1], &frame), 0);
	xsk_flush(w->xsk[1]);
	pipe_drain(w->pipe[1]);
	assert_int_equal(xsk_complete(w->xsk[1]), 1);
	assert_int_equal(ledger_census(w->umem).lost, 1);
	xsk_release(w->umem, frame.id);
	ledger_check(w->umem);
}

static void a_full_ring_holds_frames_to_the_cap_and_sends_them_in_order(void **state)
{
	struct world *w = *state;
	struct xsk_frame frame;
	uint64_t addr;
	uint32_t len, tag, next = 0;

	for (tag = 0; tag < CAP; tag++) {
		forward(w, tag, 1u << 1);
		xsk_flush(w->xsk[1]);
	}
	assert_int_equal(xsk_tx_outstanding(w->xsk[1]), RING);
	assert_int_equal(xsk_staged(w->xsk[1]), CAP - RING);
	assert_int_equal(role(w, FRAME_PENDING), CAP - RING);
	ledger_check(w->umem);
	frame = receive(w, 999);
	assert_int_equal(xsk_stage(w->xsk[1], &frame), -ENOSPC);
	assert_int_equal(xsk_stage(w->xsk[2], &frame), 0); /* the other port is not concerned */
	xsk_release(w->umem, frame.id);
	assert_int_equal(role(w, FRAME_PENDING), CAP - RING + 1);
	ledger_check(w->umem);

	while (pipe_transmit(w->pipe[1], &addr, &len)) {
		memcpy(&tag, (uint8_t *)umem_base(w->umem) + addr, sizeof(tag));
		assert_int_equal(tag, next++);
		assert_int_equal(pipe_complete(w->pipe[1], addr), 0);
		xsk_complete(w->xsk[1]);
		xsk_flush(w->xsk[1]);
	}
	assert_int_equal(next, CAP);
	ledger_check(w->umem);
}

static void staging_several_bursts_before_a_flush_uses_the_ring(void **state)
{
	struct world *w = *state;
	struct xsk_frame frame;

	for (uint32_t tag = 0; tag < CAP; tag++) {
		forward(w, tag, 1u << 1);
	}
	frame = receive(w, 999);
	assert_int_equal(xsk_stage(w->xsk[1], &frame), -ENOSPC);
	xsk_release(w->umem, frame.id);
	assert_int_equal(pipe_drain(w->pipe[1]), RING);
	ledger_check(w->umem);
}

static void unstaged_frames_are_free_but_for_other_references(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < RING; i++) {
		forward(w, i, 1u << 1);
	}
	xsk_flush(w->xsk[1]);
	forward(w, 1, 1u << 1);
	forward(w, 2, 1u << 1 | 1u << 2);
	xsk_flush(w->xsk[1]);
	assert_int_equal(xsk_unstage(w->xsk[1]), 2);
	assert_int_equal(xsk_staged(w->xsk[1]), 0);
	assert_int_equal(role(w, FRAME_PENDING), 1);
	ledger_check(w->umem);
	assert_int_equal(xsk_unstage(w->xsk[2]), 1);
	assert_int_equal(role(w, FRAME_PENDING), 0);
	assert_int_equal(role(w, FRAME_KERNEL_TX), RING);
	ledger_check(w->umem);
}

static void a_completion_never_given_back_stays_with_the_kernel(void **state)
{
	struct world *w = *state;
	uint64_t addr, kept;
	uint32_t len;

	for (uint32_t round = 0; round < 10 * RING; round++) {
		forward(w, round, 1u << 1);
		xsk_flush(w->xsk[1]);
		assert_int_equal(pipe_transmit(w->pipe[1], &addr, &len), 1);
		if (round == 0) {
			kept = addr;
			continue;
		}
		assert_int_equal(pipe_complete(w->pipe[1], addr), 0);
		assert_int_equal(xsk_complete(w->xsk[1]), 1);
	}
	assert_int_equal(role(w, FRAME_KERNEL_TX), 1);
	assert_int_equal(xsk_tx_outstanding(w->xsk[1]), 1);
	assert_int_equal(w->umem->entry[kept >> FRAME_SHIFT].role, FRAME_KERNEL_TX);
	ledger_check(w->umem);
}

static void duplicate_and_foreign_completions_are_quarantined(void **state)
{
	struct world *w = *state;
	struct xsk_frame frame = forward(w, 1, 1u << 1);
	struct xsk_frame other = forward(w, 2, 1u << 2);
	uint64_t addr = (uint64_t)frame.id << FRAME_SHIFT;
	uint64_t pool;

	xsk_flush(w->xsk[1]);
	xsk_flush(w->xsk[2]);
	pool = role(w, FRAME_POOL);
	pipe_complete(w->pipe[1], addr);
	pipe_complete(w->pipe[1], addr);                              /* twice */
	pipe_complete(w->pipe[1], (uint64_t)other.id << FRAME_SHIFT); /* out, but not here */
	pipe_complete(w->pipe[1], (uint64_t)FRAMES << FRAME_SHIFT);   /* past the end */
	pipe_complete(w->pipe[1], UINT64_MAX);
	pipe_complete(w->pipe[1], 511ull << FRAME_SHIFT); /* in the pool */
	assert_int_equal(xsk_complete(w->xsk[1]), 1);
	assert_int_equal(ledger_census(w->umem).quarantined, 5);
	assert_int_equal(role(w, FRAME_POOL), pool + 1);
	assert_int_equal(role(w, FRAME_KERNEL_TX), 1);
	ledger_check(w->umem);
	pipe_complete(w->pipe[0], addr); /* nothing at all is out there */
	assert_int_equal(xsk_complete(w->xsk[0]), 0);
	assert_int_equal(ledger_census(w->umem).quarantined, 6);
	ledger_check(w->umem);
}

static void a_completion_matches_whatever_its_low_bits(void **state)
{
	struct world *w = *state;
	static const uint64_t low[] = {0, 1, FRAME_HEADROOM, FRAME_HEADROOM + 2, FRAME_SIZE - 1};

	for (unsigned i = 0; i < sizeof(low) / sizeof(low[0]); i++) {
		struct xsk_frame frame = forward(w, i, 1u << 1);

		xsk_flush(w->xsk[1]);
		pipe_complete(w->pipe[1], ((uint64_t)frame.id << FRAME_SHIFT) + low[i]);
		assert_int_equal(xsk_complete(w->xsk[1]), 1);
	}
	assert_int_equal(ledger_census(w->umem).quarantined, 0);
	ledger_check(w->umem);
}

static void bad_rx_descriptors_are_quarantined(void **state)
{
	struct world *w = *state;
	struct xsk_frame frames[SHUNT_BURST];
	uint64_t good, bad;
	frame_id mine;

	xsk_refill(w->xsk[0]);
	xsk_refill(w->xsk[1]);
	assert_int_equal(umem_take(w->umem, &mine, 1), 1);
	assert_int_equal(pipe_inject(w->pipe[0], "good", 4), 0);
	/* Chunks are taken in order, so 1 and 2 are on fill ring 0, RING + 1 on fill ring 1. */
	bad = 2ull << FRAME_SHIFT;
	pipe_inject_desc(w->pipe[0], bad + FRAME_HEADROOM, FRAME_ROOM + 1);
	pipe_inject_desc(w->pipe[0], bad + FRAME_SIZE - 1, 2);
	pipe_inject_desc(w->pipe[0], bad, UINT32_MAX);
	pipe_inject_desc(w->pipe[0], (uint64_t)(RING + 1) << FRAME_SHIFT, 64);
	pipe_inject_desc(w->pipe[0], (uint64_t)(FRAMES - 1) << FRAME_SHIFT, 64);
	pipe_inject_desc(w->pipe[0], (uint64_t)mine << FRAME_SHIFT, 64);
	pipe_inject_desc(w->pipe[0], (uint64_t)FRAMES << FRAME_SHIFT, 64);
	pipe_inject_desc(w->pipe[0], UINT64_MAX, 64);
	good = 1ull << FRAME_SHIFT;
	pipe_inject_desc(w->pipe[0], good + FRAME_HEADROOM, FRAME_ROOM); /* the longest there is */
	pipe_inject_desc(w->pipe[0], good + FRAME_HEADROOM, 64);         /* the same again */
	assert_int_equal(xsk_receive(w->xsk[0], frames, SHUNT_BURST), 2);
	assert_memory_equal(frames[0].data, "good", 4);
	assert_int_equal(frames[1].id, 1);
	assert_int_equal(frames[1].len, FRAME_ROOM);
	assert_int_equal(ledger_census(w->umem).quarantined, 9);
	xsk_release(w->umem, frames[0].id);
	xsk_release(w->umem, frames[1].id);
	umem_give(w->umem, &mine, 1);
	ledger_check(w->umem);
}

static void a_flood_is_free_at_its_last_completion(void **state)
{
	struct world *w = *state;
	uint64_t addr[PIPES];
	uint32_t len;
	uint64_t pool;

	xsk_refill(w->xsk[0]);
	pool = role(w, FRAME_POOL);
	forward(w, 1, 7);
	assert_int_equal(role(w, FRAME_PENDING), 1);
	ledger_check(w->umem);
	xsk_flush(w->xsk[0]);
	assert_int_equal(role(w, FRAME_KERNEL_TX), 1); /* on one ring, staged for two more */
	assert_int_equal(role(w, FRAME_PENDING), 0);
	ledger_check(w->umem);
	/* The first completion is back before the last is sent. */
	assert_int_equal(pipe_transmit(w->pipe[0], &addr[0], &len), 1);
	pipe_complete(w->pipe[0], addr[0]);
	xsk_complete(w->xsk[0]);
	assert_int_equal(role(w, FRAME_PENDING), 1);
	ledger_check(w->umem);
	xsk_flush(w->xsk[1]);
	xsk_flush(w->xsk[2]);
	ledger_check(w->umem);
	for (int i = 1; i < PIPES; i++) {
		assert_int_equal(role(w, FRAME_POOL), pool);
		assert_int_equal(role(w, FRAME_KERNEL_TX), 1);
		assert_int_equal(pipe_transmit(w->pipe[i], &addr[i], &len), 1);
		assert_int_equal(addr[i], addr[0]); /* the same bytes, not a copy */
		pipe_complete(w->pipe[i], addr[i]);
		xsk_complete(w->xsk[i]);
		ledger_check(w->umem);
	}
	xsk_refill(w->xsk[0]);
	assert_int_equal(role(w, FRAME_POOL), pool);
	assert_int_equal(role(w, FRAME_KERNEL_TX), 0);
}

static void a_flood_flushed_before_its_release_is_counted_once(void **state)
{
	struct world *w = *state;
	struct xsk_frame frame = receive(w, 1);

	for (int i = 0; i < PIPES; i++) {
		xsk_stage(w->xsk[i], &frame);
		xsk_flush(w->xsk[i]);
	}
	pipe_drain(w->pipe[1]);
	xsk_complete(w->xsk[1]);
	xsk_release(w->umem, frame.id);
	assert_int_equal(role(w, FRAME_KERNEL_TX), 1);
	ledger_check(w->umem);
}

static void a_flood_outlives_a_pipe_that_closes_half_way(void **state)
{
	struct world *w = *state;
	struct xsk_frame frame[8];

	for (uint32_t i = 0; i < 8; i++) {
		frame[i] = forward(w, i, 7);
	}
	xsk_flush(w->xsk[1]);
	xsk_flush(w->xsk[2]);
	ledger_check(w->umem);
	/* Pipe 1 has all eight on its ring, pipe 0 has them staged only. */
	xsk_detach(w->xsk[1]);
	assert_int_equal(role(w, FRAME_KERNEL_TX), 8);
	ledger_check(w->umem);
	assert_int_equal(pipe_drain(w->pipe[2]), 8);
	xsk_complete(w->xsk[2]);
	ledger_check(w->umem);
	assert_int_equal(role(w, FRAME_PENDING), 8);
	xsk_flush(w->xsk[0]);
	pipe_drain(w->pipe[0]);
	xsk_complete(w->xsk[0]);
	/* Nobody but the closed pipe has them now. */
	assert_int_equal(role(w, FRAME_LIMBO), 8);
	assert_int_equal(w->umem->entry[frame[0].id].role, FRAME_LIMBO);
	ledger_check(w->umem);
	pipe_destroy(w->pipe[1]);
	w->pipe[1] = NULL;
	assert_int_equal(role(w, FRAME_LIMBO), 0);
	ledger_check(w->umem);
}

static void a_detached_pipe_is_silent_and_its_frames_wait_in_limbo(void **state)
{
	struct world *w = *state;
	struct xsk_frame frame;
	uint64_t pool;
	uint32_t producer;

	xsk_refill(w->xsk[0]);
	xsk_refill(w->xsk[1]);
	for (uint32_t i = 0; i < RING + 3; i++) {
		forward(w, i, 1u << 1);
	}
	xsk_flush(w->xsk[1]);
	xsk_refill(w->xsk[0]);
	pipe_inject(w->pipe[1], "unread", 6);
	pool = role(w, FRAME_POOL);
	xsk_detach(w->xsk[1]);
	/* RX ring and fill ring, and what is on the TX ring; the three staged are free. */
	assert_int_equal(role(w, FRAME_LIMBO), 2 * RING);
	assert_int_equal(role(w, FRAME_POOL), pool + 3);
	ledger_check(w->umem);

	producer = w->xsk[1]->fill.v.head;
	pipe_drain(w->pipe[1]);
	assert_int_equal(xsk_complete(w->xsk[1]), 0);
	assert_int_equal(xsk_receive(w->xsk[1], &frame, 1), 0);
	assert_false(xsk_rx_ready(w->xsk[1]));
	assert_int_equal(xsk_refill(w->xsk[1]), 0);
	assert_int_equal(w->xsk[1]->fill.v.head, producer);
	frame = receive(w, 1);
	assert_int_equal(xsk_stage(w->xsk[1], &frame), -ENOSPC);
	xsk_release(w->umem, frame.id);
	assert_int_equal(xsk_flush(w->xsk[1]), 0);
	assert_int_equal(xsk_unstage(w->xsk[1]), 0);
	xsk_detach(w->xsk[1]); /* a second time is nothing */
	assert_int_equal(role(w, FRAME_LIMBO), 2 * RING);
	ledger_check(w->umem);

	xsk_reap(w->xsk[1]);
	assert_int_equal(role(w, FRAME_LIMBO), 0);
	ledger_check(w->umem);
}

static void a_frame_two_closed_pipes_have_waits_for_both(void **state)
{
	struct world *w = *state;

	forward(w, 1, 6);
	xsk_flush(w->xsk[1]);
	xsk_flush(w->xsk[2]);
	xsk_detach(w->xsk[1]);
	xsk_detach(w->xsk[2]);
	assert_int_equal(role(w, FRAME_LIMBO), 1);
	ledger_check(w->umem);
	xsk_reap(w->xsk[1]);
	assert_int_equal(role(w, FRAME_LIMBO), 1);
	ledger_check(w->umem);
	xsk_reap(w->xsk[2]);
	assert_int_equal(role(w, FRAME_LIMBO), 0);
	ledger_check(w->umem);
}

static void a_reaped_frame_still_on_another_ring_is_not_freed(void **state)
{
	struct world *w = *state;

	forward(w, 1, 6);
	xsk_flush(w->xsk[1]);
	xsk_flush(w->xsk[2]);
	xsk_detach(w->xsk[1]);
	xsk_reap(w->xsk[1]);
	assert_int_equal(role(w, FRAME_KERNEL_TX), 1);
	ledger_check(w->umem);
	pipe_drain(w->pipe[2]);
	assert_int_equal(xsk_complete(w->xsk[2]), 1);
	assert_int_equal(role(w, FRAME_KERNEL_TX), 0);
	ledger_check(w->umem);
}

static void the_kernel_is_woken_only_when_it_asks(void **state)
{
	struct world *w = *state;

	forward(w, 1, 1u << 1);
	xsk_flush(w->xsk[1]);
	xsk_refill(w->xsk[1]);
	assert_int_equal(pipe_wakeups(w->pipe[1]), 0);

	pipe_need_wakeup(w->pipe[1], false, true);
	xsk_flush(w->xsk[1]); /* nothing new, but the ring is not empty */
	assert_int_equal(pipe_wakeups(w->pipe[1]), 1);
	pipe_drain(w->pipe[1]);
	xsk_flush(w->xsk[1]); /* sent, only not completed */
	assert_int_equal(pipe_wakeups(w->pipe[1]), 1);
	xsk_complete(w->xsk[1]);
	xsk_refill(w->xsk[1]);
	assert_int_equal(pipe_wakeups(w->pipe[1]), 1);

	pipe_need_wakeup(w->pipe[1], true, false);
	xsk_refill(w->xsk[1]); /* nothing to fill, but the driver may have missed the last */
	assert_int_equal(pipe_wakeups(w->pipe[1]), 2);
	forward(w, 1, 1u << 1);
	xsk_flush(w->xsk[1]);
	assert_int_equal(pipe_wakeups(w->pipe[1]), 2);
}

/* A kernel that takes `taken` descriptors a call and says `answer`. */
static unsigned calls;
static unsigned taken;
static int answer;

static int slow_wake(struct xsk *xsk)
{
	struct pipe *pipe = (struct pipe *)xsk; /* an xsk is a pipe's first member */
	uint64_t addr;
	uint32_t len;

	calls++;
	for (unsigned i = 0; i < taken && pipe_transmit(pipe, &addr, &len); i++) {
		pipe_complete(pipe, addr);
	}
	return answer;
}

static void a_send_that_takes_part_is_repeated_until_it_takes_none(void **state)
{
	struct world *w = *state;

	w->xsk[1]->wake_tx = slow_wake;
	pipe_need_wakeup(w->pipe[1], false, true);
	answer = -EAGAIN; /* says either */
	for (unsigned i = 0; i < RING; i++) {
		forward(w, i, 1u << 1);
	}
	taken = 0;
	calls = 0;
	xsk_flush(w->xsk[1]);
	assert_int_equal(calls, 1);
	taken = 20;
	xsk_flush(w->xsk[1]);
	assert_int_equal(calls, 3); /* 20 and 12 */
	assert_int_equal(xsk_complete(w->xsk[1]), RING);
	ledger_check(w->umem);
}

static void a_send_that_failed_is_left_for_the_next_flush(void **state)
{
	struct world *w = *state;
	static const int answers[] = {-EBUSY, -ENETDOWN, -ENOBUFS};

	w->xsk[1]->wake_tx = slow_wake;
	pipe_need_wakeup(w->pipe[1], false, true);
	taken = 1; /* EBUSY: this one was dropped by the device, and completed */
	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		forward(w, i, 1u << 1);
		forward(w, i, 1u << 1);
		calls = 0;
		answer = answers[i];
		assert_int_equal(xsk_flush(w->xsk[1]), 0);
		assert_int_equal(calls, 1);
		assert_int_equal(xsk_complete(w->xsk[1]), 1);
		assert_int_equal(xsk_tx_outstanding(w->xsk[1]), 1);
		xsk_flush(w->xsk[1]);
		assert_int_equal(calls, 2);
		assert_int_equal(xsk_complete(w->xsk[1]), 1);
	}
	ledger_check(w->umem);
}

static void options_on_the_tx_ring_are_cleared(void **state)
{
	struct world *w = *state;
	struct ring_view *tx = &w->xsk[1]->tx.v;
	uint32_t index;

	for (index = 0; index < RING; index++) {
		ring_desc(tx, index)->options = UINT32_MAX;
	}
	forward(w, 1, 1u << 1);
	xsk_flush(w->xsk[1]);
	assert_int_equal(ring_desc(tx, 0)->options, 0);
	assert_int_equal(ring_desc(tx, 1)->options, UINT32_MAX);
}

static void a_burst_is_published_once(void **state)
{
	struct world *w = *state;
	uint64_t addr;
	uint32_t len;

	for (uint32_t i = 0; i < 10; i++) {
		forward(w, i, 1u << 1);
		assert_int_equal(pipe_transmit(w->pipe[1], &addr, &len), 0);
	}
	xsk_flush(w->xsk[1]);
	assert_int_equal(pipe_drain(w->pipe[1]), 10);
}

static void an_empty_pool_starves_refill_not_the_ledger(void **state)
{
	struct world *w = *state;
	frame_id ids[FRAMES];
	size_t count = umem_take(w->umem, ids, FRAMES - 10);

	assert_int_equal(xsk_refill(w->xsk[0]), RING - 10);
	assert_int_equal(xsk_refill(w->xsk[1]), RING);
	assert_int_equal(pipe_inject(w->pipe[1], "x", 1), -ENOBUFS);
	umem_give(w->umem, ids, count);
	assert_int_equal(xsk_refill(w->xsk[0]), 0);
	assert_int_equal(xsk_refill(w->xsk[1]), 0);
	ledger_check(w->umem);
}

static void pipe_refuses_what_a_port_would(void **state)
{
	struct world *w = *state;
	struct xsk_port_conf bad = conf;
	struct pipe *pipe = NULL;
	uint8_t bytes[FRAME_ROOM + 1] = {0};

	bad.ring_size = 48;
	assert_int_equal(pipe_create(&pipe, w->umem, &bad), -EINVAL);
	bad.ring_size = 0;
	assert_int_equal(pipe_create(&pipe, w->umem, &bad), -EINVAL);
	bad = conf;
	bad.rx_frames = RING + 1;
	assert_int_equal(pipe_create(&pipe, w->umem, &bad), -EINVAL);
	assert_null(pipe);
	xsk_refill(w->xsk[0]);
	assert_int_equal(pipe_inject(w->pipe[0], bytes, FRAME_ROOM + 1), -EMSGSIZE);
	for (uint32_t i = 0; i < RING; i++) {
		assert_int_equal(pipe_inject(w->pipe[0], bytes, FRAME_ROOM), 0);
	}
	assert_int_equal(pipe_inject(w->pipe[0], bytes, 1), -ENOSPC);
	pipe_destroy(NULL);
}

/* Anything in any order, with the slow count after each burst. */
static void random_traffic_keeps_the_ledger_balanced(void **state)
{
	struct world *w = *state;
	unsigned seed = 20;

	for (int burst = 0; burst < 3000; burst++) {
		int from = rand_r(&seed) % PIPES;
		struct xsk_frame frames[SHUNT_BURST];
		unsigned count;

		xsk_refill(w->xsk[from]);
		for (int i = rand_r(&seed) % (int)SHUNT_BURST; i > 0; i--) {
			pipe_inject(w->pipe[from], "burst", 5);
		}
		count = xsk_receive(w->xsk[from], frames, SHUNT_BURST);
		for (unsigned i = 0; i < count; i++) {
			unsigned mask = (unsigned)rand_r(&seed);

			for (int to = 0; to < PIPES; to++) {
				if (mask & 1u << to) {
					xsk_stage(w->xsk[to], &frames[i]);
				}
			}
			xsk_release(w->umem, frames[i].id);
		}
		for (int to = 0; to < PIPES; to++) {
			unsigned what = (unsigned)rand_r(&seed);

			if (what & 1) {
				xsk_flush(w->xsk[to]);
			}
			if (what & 2) {
				pipe_drain(w->pipe[to]);
			}
			if (what & 4) {
				xsk_complete(w->xsk[to]);
			}
			if (what % 100 == 0) {
				xsk_unstage(w->xsk[to]);
			}
			if (what % 200 == 1) {
				/* Closed, and opened again while others hold its frames. */
				xsk_detach(w->xsk[to]);
				ledger_check(w->umem);
				pipe_destroy(w->pipe[to]);
				assert_int_equal(pipe_create(&w->pipe[to], w->umem, &conf), 0);
				w->xsk[to] = pipe_xsk(w->pipe[to]);
			}
		}
		ledger_check(w->umem);
	}
	assert_int_equal(ledger_census(w->umem).quarantined, 0);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(the_journey_of_a_frame_moves_its_role),
		WITH_WORLD(a_dropped_frame_goes_back_to_the_pool),
		WITH_WORLD(a_staged_frame_never_released_is_lost_in_the_end),
		WITH_WORLD(a_full_ring_holds_frames_to_the_cap_and_sends_them_in_order),
		WITH_WORLD(staging_several_bursts_before_a_flush_uses_the_ring),
		WITH_WORLD(unstaged_frames_are_free_but_for_other_references),
		WITH_WORLD(a_completion_never_given_back_stays_with_the_kernel),
		WITH_WORLD(duplicate_and_foreign_completions_are_quarantined),
		WITH_WORLD(a_completion_matches_whatever_its_low_bits),
		WITH_WORLD(bad_rx_descriptors_are_quarantined),
		WITH_WORLD(a_flood_is_free_at_its_last_completion),
		WITH_WORLD(a_flood_flushed_before_its_release_is_counted_once),
		WITH_WORLD(a_flood_outlives_a_pipe_that_closes_half_way),
		WITH_WORLD(a_detached_pipe_is_silent_and_its_frames_wait_in_limbo),
		WITH_WORLD(a_frame_two_closed_pipes_have_waits_for_both),
		WITH_WORLD(a_reaped_frame_still_on_another_ring_is_not_freed),
		WITH_WORLD(the_kernel_is_woken_only_when_it_asks),
		WITH_WORLD(a_send_that_takes_part_is_repeated_until_it_takes_none),
		WITH_WORLD(a_send_that_failed_is_left_for_the_next_flush),
		WITH_WORLD(options_on_the_tx_ring_are_cleared),
		WITH_WORLD(a_burst_is_published_once),
		WITH_WORLD(an_empty_pool_starves_refill_not_the_ledger),
		WITH_WORLD(pipe_refuses_what_a_port_would),
		WITH_WORLD(random_traffic_keeps_the_ledger_balanced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
