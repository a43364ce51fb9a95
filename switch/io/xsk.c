/* SPDX-License-Identifier: BSD-2-Clause */
/* The worker's side of a socket: ring work only. What talks to the kernel is in xsk_port.c. */
#include "io/xsk_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Before 6.17 a copy-mode send takes 32 descriptors (TX_BATCH_SIZE in net/xdp/xsk.c). */
#define SEND_BATCH 32u

static inline bool out_test(const struct xsk *xsk, uint64_t id)
{
	return (xsk->out[id / 64] >> (id % 64) & 1) != 0;
}

static inline void out_flip(struct xsk *xsk, uint64_t id)
{
	xsk->out[id / 64] ^= 1ull << (id % 64);
}

unsigned xsk_receive(struct xsk *xsk, struct xsk_frame *frames, unsigned max)
{
	struct umem *umem = xsk->umem;
	const uint64_t ours = frame_word(FRAME_KERNEL_RX, xsk->id, 0, 0);
	uint32_t index, count, good = 0;

	if (xsk->detached) {
		return 0;
	}
	count = ring_peek(&xsk->rx, max, &index);
	if (count == 0) {
		return 0;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct xdp_desc *desc = ring_desc(&xsk->rx.v, index + i);
		uint64_t addr = desc->addr;
		uint32_t len = desc->len;
		uint64_t id = addr >> FRAME_SHIFT;

		/* The order matters: id is checked before it is used. */
		if (unlikely(id >= umem->frames || umem->entry[id].word != ours ||
			     len > FRAME_SIZE - (addr & (FRAME_SIZE - 1)))) {
			umem->quarantined++;
			continue;
		}
		umem->entry[id].word = frame_word(FRAME_WORKER, UMEM_SOCKET_NONE, 0, 0);
		frames[good].id = (frame_id)id;
		frames[good].len = len;
		frames[good].data = xsk->base + addr;
		good++;
	}
	ring_release(&xsk->rx);
	xsk->rx_held -= good;
	umem->kernel_rx -= good;
	return good;
}

bool xsk_rx_ready(const struct xsk *xsk)
{
	return !xsk->detached && ring_ready(&xsk->rx);
}

/* Move what fits from the stage to the TX ring and publish it once. */
static void submit_stage(struct xsk *xsk)
{
	struct umem *umem = xsk->umem;
	uint32_t staged = xsk->stage_tail - xsk->stage_head;
	uint32_t index, count;

	count = ring_reserve(&xsk->tx, staged, &index);
	if (count == 0) {
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct xdp_desc *desc = &xsk->stage[(xsk->stage_head + i) & xsk->stage_mask];
		frame_id id = (frame_id)(desc->addr >> FRAME_SHIFT);

		assert(!out_test(xsk, id));
		*ring_desc(&xsk->tx.v, index + i) = *desc;
		out_flip(xsk, id);
		frame_submit(umem, id);
	}
	ring_submit(&xsk->tx);
	xsk->stage_head += count;
	xsk->tx_held += count;
	umem->staged -= count;
	umem->on_ring += count;
}

int xsk_stage(struct xsk *xsk, const struct xsk_frame *frame)
{
	uint64_t addr = (uint64_t)(frame->data - xsk->base);

	if (unlikely(xsk->stage_tail - xsk->stage_head >= xsk->stage_max)) {
		if (xsk->detached) {
			return -ENOSPC;
		}
		/* Several bursts may have been staged before a flush: full is only full when the
		 * ring is. */
		submit_stage(xsk);
		if (xsk->stage_tail - xsk->stage_head >= xsk->stage_max) {
			return -ENOSPC;
		}
	}
	assert(addr >> FRAME_SHIFT == frame->id &&
	       frame->len <= FRAME_SIZE - (addr & (FRAME_SIZE - 1)));
	/* options 0: those of a received descriptor are no business of the sender's */
	xsk->stage[xsk->stage_tail++ & xsk->stage_mask] = (struct xdp_desc){.addr = addr,
									    .len = frame->len};
	frame_stage(xsk->umem, frame->id);
	return 0;
}

void xsk_release(struct umem *umem, frame_id id)
{
	assert(umem->entry[id].role == FRAME_WORKER);
	frame_release(umem, id);
}

/* Have the kernel send what is on the ring.  It may take less than everything a call (copy mode),
 * and its answer does not tell: EAGAIN is "called often enough" as well as "no room"; so go by the
 * ring, and stop when a call took nothing.  Everything left is tried again by the next flush. */
static void kick(struct xsk *xsk, uint32_t unconsumed)
{
	for (uint32_t tries = xsk->tx.v.size / SEND_BATCH + 1; tries > 0; tries--) {
		uint32_t before = unconsumed;
		int err = xsk->wake_tx(xsk);

		if (err == -EBUSY || err == -ENETDOWN || err == -ENOBUFS) {
			/* EBUSY: the device dropped one and completed it; more would follow */
			return;
		}
		unconsumed = ring_unconsumed(&xsk->tx);
		if (unconsumed == 0 || unconsumed == before || !ring_need_wakeup(&xsk->tx)) {
			return;
		}
	}
}

unsigned xsk_flush(struct xsk *xsk)
{
	if (xsk->detached) {
		return 0;
	}
	if (xsk->stage_tail != xsk->stage_head) {
		submit_stage(xsk);
	}
	if (xsk->tx_held > 0) {
		uint32_t unconsumed = ring_unconsumed(&xsk->tx);

		if (unconsumed > 0 && ring_need_wakeup(&xsk->tx)) {
			kick(xsk, unconsumed);
		}
	}
	return xsk->stage_tail - xsk->stage_head;
}

unsigned xsk_unstage(struct xsk *xsk)
{
	unsigned count = xsk->stage_tail - xsk->stage_head;

	for (; xsk->stage_head != xsk->stage_tail; xsk->stage_head++) {
		uint64_t addr = xsk->stage[xsk->stage_head & xsk->stage_mask].addr;

		frame_unstage(xsk->umem, (frame_id)(addr >> FRAME_SHIFT));
	}
	return count;
}

unsigned xsk_complete(struct xsk *xsk)
{
	struct umem *umem = xsk->umem;
	uint32_t index, count, good = 0;

	if (xsk->detached) {
		return 0;
	}
	count = ring_peek(&xsk->comp, xsk->comp.v.size, &index);
	if (count == 0) {
		return 0;
	}
	for (uint32_t i = 0; i < count; i++) {
		/* By chunk: the low bits may differ from those sent. */
		uint64_t id = *ring_addr(&xsk->comp.v, index + i) >> FRAME_SHIFT;

		if (unlikely(id >= umem->frames || !out_test(xsk, id))) {
			umem->quarantined++;
			continue;
		}
		out_flip(xsk, id);
		frame_complete(umem, (frame_id)id);
		good++;
	}
	ring_release(&xsk->comp);
	xsk->tx_held -= good;
	umem->on_ring -= good;
	return good;
}

unsigned xsk_refill(struct xsk *xsk)
{
	struct umem *umem = xsk->umem;
	const uint64_t ours = frame_word(FRAME_KERNEL_RX, xsk->id, 0, 0);
	uint32_t missing, index, count;

	if (xsk->detached) {
		return 0;
	}
	missing = xsk->rx_target - xsk->rx_held;
	count = missing <= umem->pool_count ? missing : (uint32_t)umem->pool_count;
	if (count > 0) {
		count = ring_reserve(&xsk->fill, count, &index);
		for (uint32_t i = 0; i < count; i++) {
			frame_id id = umem->pool[--umem->pool_count];

			umem->entry[id].word = ours;
			*ring_addr(&xsk->fill.v, index + i) = (uint64_t)id << FRAME_SHIFT;
		}
		ring_submit(&xsk->fill);
		xsk->rx_held += count;
		umem->kernel_rx += count;
	}
	/* Asked even when nothing was filled: the flag may have been raised after the last look. */
	if (xsk->rx_held > 0 && ring_need_wakeup(&xsk->fill)) {
		xsk->wake_rx(xsk);
	}
	return missing - count;
}

unsigned xsk_tx_outstanding(const struct xsk *xsk)
{
	return xsk->tx_held;
}

unsigned xsk_staged(const struct xsk *xsk)
{
	return xsk->stage_tail - xsk->stage_head;
}

/* One that the kernel may still read (on the TX ring) or write (for receiving), `out` set. */
static void enter_limbo(struct xsk *xsk, frame_id id)
{
	struct umem *umem = xsk->umem;
	union frame_entry *entry = &umem->entry[id];

	entry->limbo++;
	if (entry->role == FRAME_KERNEL_RX) {
		entry->socket = UMEM_SOCKET_NONE;
		entry->role = FRAME_LIMBO;
		umem->limbo++;
		return;
	}
	frame_complete(umem, id);
}

void xsk_detach(struct xsk *xsk)
{
	struct umem *umem = xsk->umem;
	const uint64_t ours = frame_word(FRAME_KERNEL_RX, xsk->id, 0, 0);

	if (xsk->detached) {
		return;
	}
	xsk->detached = true;
	xsk->stage_max = 0;
	xsk_unstage(xsk);
	for (frame_id id = 0; id < umem->frames; id++) {
		bool rx = umem->entry[id].word == ours;

		if (rx) {
			assert(!out_test(xsk, id));
			out_flip(xsk, id);
		}
		if (rx || out_test(xsk, id)) {
			enter_limbo(xsk, id);
		}
	}
	umem->on_ring -= xsk->tx_held;
	umem->kernel_rx -= xsk->rx_held;
	xsk->tx_held = 0;
	xsk->rx_held = 0;
}

void xsk_reap(struct xsk *xsk)
{
	struct umem *umem = xsk->umem;

	xsk_detach(xsk);
	for (frame_id id = 0; id < umem->frames; id++) {
		union frame_entry *entry = &umem->entry[id];

		if (!out_test(xsk, id)) {
			continue;
		}
		out_flip(xsk, id);
		entry->limbo--;
		if (entry->role == FRAME_LIMBO && entry->limbo == 0) {
			umem->limbo--;
			frame_free(umem, id);
		}
	}
}

int xsk_init(struct xsk *xsk, struct umem *umem, const struct xsk_port_conf *conf)
{
	uint32_t stage_max = SHUNT_BURST + conf->stage_frames;
	uint32_t stage_size = SHUNT_BURST;
	int id;

	if (conf->ring_size == 0 || (conf->ring_size & (conf->ring_size - 1)) != 0 ||
	    conf->rx_frames > conf->ring_size || conf->stage_frames > umem->frames) {
		return -EINVAL;
	}
	while (stage_size < stage_max) {
		stage_size *= 2;
	}
	id = umem_socket_get(umem);
	if (id < 0) {
		return id;
	}
	*xsk = (struct xsk){
		.umem = umem,
		.base = umem->base,
		.out = calloc((umem->frames + 63) / 64, sizeof(*xsk->out)),
		.stage = calloc(stage_size, sizeof(*xsk->stage)),
		.stage_mask = stage_size - 1,
		.stage_max = stage_max,
		.rx_target = conf->rx_frames,
		.id = (uint16_t)id,
		.fd = -1,
	};
	if (xsk->out == NULL || xsk->stage == NULL) {
		xsk_fini(xsk);
		return -ENOMEM;
	}
	return 0;
}

void xsk_fini(struct xsk *xsk)
{
	if (xsk->umem == NULL) {
		return;
	}
	umem_socket_put(xsk->umem, xsk->id);
	free(xsk->stage);
	free(xsk->out);
	memset(xsk, 0, sizeof(*xsk));
}
