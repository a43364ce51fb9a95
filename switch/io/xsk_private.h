/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xsk_private: what a socket is made of, for xsk.c (the rings), xsk_port.c (the kernel) and pipe.c
 * (plain memory instead of the kernel).
 */
#ifndef SHUNT_IO_XSK_PRIVATE_H
#define SHUNT_IO_XSK_PRIVATE_H

#include "io/ring.h"
#include "io/umem_private.h"
#include "io/xsk.h"

struct xsk {
	struct ring_consumer rx;
	struct ring_producer tx;
	struct ring_producer fill;
	struct ring_consumer comp;
	struct umem *umem;
	uint8_t *base;
	uint64_t *out; /* bit a frame: on our TX ring, not completed; once detached: in limbo */
	/* Waiting for the TX ring: descriptors ready to be copied, the oldest first. */
	struct xdp_desc *stage;
	struct xdp_desc *stage_tail; /* one past the last */
	struct xdp_desc *stage_end;  /* full; == stage once detached */
	uint32_t rx_target;          /* frames to keep with the kernel */
	uint32_t rx_held;            /* frames the kernel has for receiving */
	uint32_t tx_held;            /* bits set in `out` */
	uint16_t id;
	bool detached;
	bool zerocopy;
	int fd;
	/* Wake the kernel. wake_tx: 0, or -errno of the send. */
	int (*wake_tx)(struct xsk *xsk);
	void (*wake_rx)(struct xsk *xsk);
};

/* Allocate what is ours and take an id; the rings are the caller's to set. 0, -EINVAL, -ENOMEM. */
int xsk_init(struct xsk *xsk, struct umem *umem, const struct xsk_port_conf *conf);
/* After xsk_reap(). Legal on a zeroed xsk. */
void xsk_fini(struct xsk *xsk);
/* limbo -> pool. Detaches first if nobody did (start-up that failed). */
void xsk_reap(struct xsk *xsk);

#endif
