/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/pipe.h"

#include <stdlib.h>
#include <string.h>

#include "io/xsk_private.h"

/* The memory of one ring, laid out as the kernel does: each index on a cache line of its own. */
struct pipe_ring {
	uint32_t producer __attribute__((aligned(64)));
	uint32_t consumer __attribute__((aligned(64)));
	uint32_t flags __attribute__((aligned(64)));
	void *slots;
};

struct pipe {
	struct xsk xsk;
	struct pipe_ring ring[4];
	/* The kernel's side of the four. */
	struct ring_producer rx;
	struct ring_consumer tx;
	struct ring_consumer fill;
	struct ring_producer comp;
	unsigned wakeups;
};

enum { RING_RX, RING_TX, RING_FILL, RING_COMP, RING_COUNT };

static int wake_tx(struct xsk *xsk)
{
	((struct pipe *)xsk)->wakeups++;
	return 0;
}

static void wake_rx(struct xsk *xsk)
{
	((struct pipe *)xsk)->wakeups++;
}

static int make_ring(struct pipe *pipe, int which, uint32_t size, struct ring_area *area)
{
	struct pipe_ring *ring = &pipe->ring[which];
	size_t slot = which == RING_RX || which == RING_TX ? sizeof(struct xdp_desc)
							   : sizeof(uint64_t);

	ring->slots = calloc(size, slot);
	if (ring->slots == NULL) {
		return -ENOMEM;
	}
	*area = (struct ring_area){&ring->producer, &ring->consumer, &ring->flags, ring->slots,
				   size};
	return 0;
}

int pipe_create(struct pipe **out, struct umem *umem, const struct xsk_port_conf *conf)
{
	struct pipe *pipe;
	struct ring_area area[RING_COUNT];
	int err;

	pipe = aligned_alloc(64, sizeof(*pipe));
	if (pipe == NULL) {
		return -ENOMEM;
	}
	memset(pipe, 0, sizeof(*pipe));
	err = xsk_init(&pipe->xsk, umem, conf);
	if (err < 0) {
		goto free_pipe;
	}
	pipe->xsk.wake_tx = wake_tx;
	pipe->xsk.wake_rx = wake_rx;
	for (int i = 0; i < RING_COUNT; i++) {
		err = make_ring(pipe, i, conf->ring_size, &area[i]);
		if (err < 0) {
			goto free_rings;
		}
	}
	/* xsk_init() checked the size. */
	ring_consumer_init(&pipe->xsk.rx, &area[RING_RX]);
	ring_producer_init(&pipe->xsk.tx, &area[RING_TX]);
	ring_producer_init(&pipe->xsk.fill, &area[RING_FILL]);
	ring_consumer_init(&pipe->xsk.comp, &area[RING_COMP]);
	ring_producer_init(&pipe->rx, &area[RING_RX]);
	ring_consumer_init(&pipe->tx, &area[RING_TX]);
	ring_consumer_init(&pipe->fill, &area[RING_FILL]);
	ring_producer_init(&pipe->comp, &area[RING_COMP]);
	*out = pipe;
	return 0;

free_rings:
	for (int i = 0; i < RING_COUNT; i++) {
		free(pipe->ring[i].slots);
	}
	xsk_fini(&pipe->xsk);
free_pipe:
	free(pipe);
	return err;
}

void pipe_destroy(struct pipe *pipe)
{
	if (pipe == NULL) {
		return;
	}
	xsk_reap(&pipe->xsk);
	xsk_fini(&pipe->xsk);
	for (int i = 0; i < RING_COUNT; i++) {
		free(pipe->ring[i].slots);
	}
	free(pipe);
}

struct xsk *pipe_xsk(struct pipe *pipe)
{
	return &pipe->xsk;
}

int pipe_inject(struct pipe *pipe, const void *data, size_t len)
{
	uint32_t index;
	uint64_t addr;

	if (len > FRAME_ROOM) {
		return -EMSGSIZE;
	}
	if (ring_unconsumed(&pipe->rx) >= pipe->rx.v.size) {
		return -ENOSPC;
	}
	if (ring_peek(&pipe->fill, 1, &index) == 0) {
		return -ENOBUFS;
	}
	addr = *ring_addr(&pipe->fill.v, index) + FRAME_HEADROOM;
	ring_release(&pipe->fill);
	memcpy(pipe->xsk.base + addr, data, len);
	return pipe_inject_desc(pipe, addr, (uint32_t)len);
}

int pipe_inject_desc(struct pipe *pipe, uint64_t addr, uint32_t len)
{
	uint32_t index;

	if (ring_reserve(&pipe->rx, 1, &index) == 0) {
		return -ENOSPC;
	}
	*ring_desc(&pipe->rx.v, index) = (struct xdp_desc){.addr = addr, .len = len};
	ring_submit(&pipe->rx);
	return 0;
}

int pipe_transmit(struct pipe *pipe, uint64_t *addr, uint32_t *len)
{
	uint32_t index;

	if (ring_peek(&pipe->tx, 1, &index) == 0) {
		return 0;
	}
	*addr = ring_desc(&pipe->tx.v, index)->addr;
	*len = ring_desc(&pipe->tx.v, index)->len;
	ring_release(&pipe->tx);
	return 1;
}

int pipe_complete(struct pipe *pipe, uint64_t addr)
{
	uint32_t index;

	if (ring_reserve(&pipe->comp, 1, &index) == 0) {
		return -ENOSPC;
	}
	*ring_addr(&pipe->comp.v, index) = addr;
	ring_submit(&pipe->comp);
	return 0;
}

unsigned pipe_drain(struct pipe *pipe)
{
	uint32_t from, to, count, room;

	/* A completion ring that is full holds frames back, as the kernel's does. */
	room = pipe->comp.v.size - ring_unconsumed(&pipe->comp);
	count = ring_peek(&pipe->tx, room, &from);
	ring_reserve(&pipe->comp, count, &to);
	for (uint32_t i = 0; i < count; i++) {
		*ring_addr(&pipe->comp.v, to + i) = ring_desc(&pipe->tx.v, from + i)->addr;
	}
	ring_submit(&pipe->comp);
	ring_release(&pipe->tx);
	return count;
}

void pipe_need_wakeup(struct pipe *pipe, bool rx, bool tx)
{
	pipe->ring[RING_FILL].flags = rx ? XDP_RING_NEED_WAKEUP : 0;
	pipe->ring[RING_TX].flags = tx ? XDP_RING_NEED_WAKEUP : 0;
}

unsigned pipe_wakeups(const struct pipe *pipe)
{
	return pipe->wakeups;
}
