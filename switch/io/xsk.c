/* SPDX-License-Identifier: BSD-2-Clause */
/* The worker's side of a socket: ring work only. What talks to the kernel is in xsk_port.c. */
#include "io/xsk_private.h"

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

static inline uint32_t staged(const struct xsk *xsk)
{
	return (uint32_t)(xsk->stage_tail - xsk->stage);
}

unsigned xsk_receive(struct xsk *xsk, struct xsk_frame *frames, unsigned max)
{
	struct umem *umem = xsk->umem;
	union frame_entry *entry = umem->entry;
	const uint64_t ours = frame_word(FRAME_KERNEL_RX, xsk->id, 0, 0);
	const size_t limit = umem->frames;
	uint8_t *base = xsk->base;
	struct xsk_frame *next = frames;
	const struct xdp_desc *slots = xsk->rx.v.area.slots;
	const uint32_t mask = xsk->rx.v.mask;
	uint32_t index, count, good;

	if (xsk->detached) {
		return 0;
	}
	count = ring_peek(&xsk->rx, max, &index);
	if (count == 0) {
		return 0;
	}
	for (uint32_t end = index + count; index != end; index++) {
		uint64_t addr = slots[index & mask].addr;
		uint64_t len = slots[index & mask].len;
		uint64_t id = addr >> FRAME_SHIFT;

		/* The order matters: id is checked before it is used. */
		if (unlikely(id >= limit || entry[id].word != ours ||
			     (addr & (FRAME_SIZE - 1)) + len > FRAME_SIZE)) {
			umem->quarantined++;
			continue;
		}
		entry[id].word = WORD_HELD;
		next->id = (frame_id)id;
		next->len = (uint32_t)len;
		next->data = base + addr;
		next++;
	}
	ring_release(&xsk->rx);
	good = (uint32_t)(next - frames);
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
	union frame_entry *entry = umem->entry;
	uint64_t *out = xsk->out;
	struct xdp_desc *slots = xsk->tx.v.area.slots;
	const uint32_t mask = xsk->tx.v.mask;
	const struct xdp_desc *desc = xsk->stage;
	uint32_t index, count, left;

	count = ring_reserve(&xsk->tx, staged(xsk), &index);
	if (count == 0) {
		return;
	}
	for (uint32_t end = index + count; index != end; index++, desc++) {
		uint64_t id = desc->addr >> FRAME_SHIFT;

		frame_assert(!out_test(xsk, id));
		slots[index & mask] = *desc;
		out[id / 64] |= 1ull << (id % 64);
		frame_submit(umem, &entry[id]);
	}
	ring_submit(&xsk->tx);
	xsk->tx_held += count;
	umem->staged -= count;
	umem->on_ring += count;
	/* Something is left only when the ring is full. */
	left = staged(xsk) - count;
	if (left > 0) {
		memmove(xsk->stage, desc, left * sizeof(*desc));
	}
	xsk->stage_tail = xsk->stage + left;
}

/* Several bursts may have been staged before a flush: full is only full when the ring is too. */
static __attribute__((noinline)) bool make_room(struct xsk *xsk)
{
	if (!xsk->detached) {
		submit_stage(xsk);
	}
	return xsk->stage_tail != xsk->stage_end;
}

/* False: no room. */
static inline bool stage_push(struct xsk *xsk, const struct xsk_frame *frame)
{
	struct xdp_desc *desc;

	if (unlikely(xsk->stage_tail == xsk->stage_end) && !make_room(xsk)) {
		return false;
	}
	desc = xsk->stage_tail;
	desc->addr = (uint64_t)(frame->data - xsk->base);
	desc->len = frame->len;
	desc->options = 0; /* those of a received descriptor are no business of the sender's */
	frame_assert(desc->addr >> FRAME_SHIFT == frame->id &&
		     desc->len <= FRAME_SIZE - (desc->addr & (FRAME_SIZE - 1)));
	xsk->stage_tail = desc + 1;
	return true;
}

int xsk_stage(struct xsk *xsk, const struct xsk_frame *frame)
{
	if (!stage_push(xsk, frame)) {
		return -ENOSPC;
	}
	frame_stage(xsk->umem, frame->id);
	return 0;
}

int xsk_send(struct xsk *xsk, const struct xsk_frame *frame)
{
	if (!stage_push(xsk, frame)) {
		return -ENOSPC;
	}
	frame_send(xsk->umem, frame->id);
	return 0;
}

void xsk_release(struct umem *umem, frame_id id)
{
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
	if (xsk->stage_tail != xsk->stage) {
		submit_stage(xsk);
	}
	if (xsk->tx_held > 0) {
		uint32_t unconsumed = ring_unconsumed(&xsk->tx);

		if (unconsumed > 0 && ring_need_wakeup(&xsk->tx)) {
			kick(xsk, unconsumed);
		}
	}
	return staged(xsk);
}

unsigned xsk_unstage(struct xsk *xsk)
{
	unsigned count = staged(xsk);

	for (unsigned i = 0; i < count; i++) {
		frame_unstage(xsk->umem, (frame_id)(xsk->stage[i].addr >> FRAME_SHIFT));
	}
	xsk->stage_tail = xsk->stage;
	return count;
}

unsigned xsk_complete(struct xsk *xsk)
{
	struct umem *umem = xsk->umem;
	union frame_entry *entry = umem->entry;
	frame_id *pool = umem->pool + umem->pool_count;
	uint64_t *out = xsk->out;
	const size_t limit = umem->frames;
	const uint64_t *slots = xsk->comp.v.area.slots;
	const uint32_t mask = xsk->comp.v.mask;
	uint32_t index, count, bad = 0;

	if (xsk->detached) {
		return 0;
	}
	count = ring_peek(&xsk->comp, xsk->comp.v.size, &index);
	if (count == 0) {
		return 0;
	}
	for (uint32_t end = index + count; index != end; index++) {
		/* By chunk: the low bits may differ from those sent. */
		uint64_t id = slots[index & mask] >> FRAME_SHIFT;
		uint64_t bit = 1ull << (id % 64);

		if (unlikely(id >= limit || !(out[id / 64] & bit))) {
			bad++;
			continue;
		}
		out[id / 64] ^= bit;
		if (likely(entry[id].word == WORD_SENT)) {
			entry[id].word = WORD_POOL;
			*pool++ = (frame_id)id;
			continue;
		}
		umem->pool_count = (size_t)(pool - umem->pool);
		frame_complete(umem, (frame_id)id);
		pool = umem->pool + umem->pool_count;
	}
	ring_release(&xsk->comp);
	umem->pool_count = (size_t)(pool - umem->pool);
	umem->quarantined += bad;
	xsk->tx_held -= count - bad;
	umem->on_ring -= count - bad;
	return count - bad;
}

/* pool -> fill ring, published once. */
static uint32_t fill(struct xsk *xsk, uint32_t want)
{
	struct umem *umem = xsk->umem;
	union frame_entry *entry = umem->entry;
	const uint64_t ours = frame_word(FRAME_KERNEL_RX, xsk->id, 0, 0);
	const frame_id *pool = umem->pool + umem->pool_count;
	uint64_t *slots = xsk->fill.v.area.slots;
	const uint32_t mask = xsk->fill.v.mask;
	uint32_t index, count;

	count = ring_reserve(&xsk->fill, want, &index);
	for (uint32_t end = index + count; index != end; index++) {
		frame_id id = *--pool;

		entry[id].word = ours;
		slots[index & mask] = (uint64_t)id << FRAME_SHIFT;
	}
	ring_submit(&xsk->fill);
	umem->pool_count -= count;
	umem->kernel_rx += count;
	xsk->rx_held += count;
	return count;
}

unsigned xsk_refill(struct xsk *xsk)
{
	uint32_t missing, want;

	if (xsk->detached) {
		return 0;
	}
	missing = xsk->rx_target - xsk->rx_held;
	want = missing <= xsk->umem->pool_count ? missing : (uint32_t)xsk->umem->pool_count;
	if (want > 0) {
		missing -= fill(xsk, want);
	}
	/* Asked even when nothing was filled: the flag may have been raised after the last look. */
	if (xsk->rx_held > 0 && ring_need_wakeup(&xsk->fill)) {
		xsk->wake_rx(xsk);
	}
	return missing;
}

unsigned xsk_tx_outstanding(const struct xsk *xsk)
{
	return xsk->tx_held;
}

unsigned xsk_staged(const struct xsk *xsk)
{
	return staged(xsk);
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
	xsk_unstage(xsk);
	xsk->stage_end = xsk->stage;
	for (frame_id id = 0; id < umem->frames; id++) {
		bool rx = umem->entry[id].word == ours;

		if (rx) {
			frame_assert(!out_test(xsk, id));
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
		if (entry->role == FRAME_LIMBO) {
			/* back to limbo if another closed socket may touch it */
			umem->limbo--;
			frame_free(umem, id);
		}
	}
}

int xsk_init(struct xsk *xsk, struct umem *umem, const struct xsk_port_conf *conf)
{
	size_t stage_max = SHUNT_BURST + (size_t)conf->stage_frames;
	int id;

	if (conf->ring_size == 0 || (conf->ring_size & (conf->ring_size - 1)) != 0 ||
	    conf->rx_frames > conf->ring_size || conf->stage_frames > umem->frames) {
		return -EINVAL;
	}
	id = umem_socket_get(umem);
	if (id < 0) {
		return id;
	}
	*xsk = (struct xsk){
		.umem = umem,
		.base = umem->base,
		.out = calloc((umem->frames + 63) / 64, sizeof(*xsk->out)),
		.stage = calloc(stage_max, sizeof(*xsk->stage)),
		.rx_target = conf->rx_frames,
		.id = (uint16_t)id,
		.fd = -1,
	};
	if (xsk->out == NULL || xsk->stage == NULL) {
		xsk_fini(xsk);
		return -ENOMEM;
	}
	xsk->stage_tail = xsk->stage;
	xsk->stage_end = xsk->stage + stage_max;
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
