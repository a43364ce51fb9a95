/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xsk: one AF_XDP socket: a (port, queue) with its four rings.  START HERE for frame ownership.
 *
 * Who owns a frame at each ring:
 *   fill        ours until xsk_refill() publishes it, then the kernel's        pool -> kernel_rx
 *   rx          the kernel's until xsk_receive() takes it                      kernel_rx -> worker
 *   stage       ours: staged by xsk_stage(), waiting for room in the TX ring   worker -> pending
 *   tx          ours until xsk_flush() publishes it, then the kernel's: READ-ONLY for all
 *                                                                              pending -> kernel_tx
 *   completion  the kernel's until xsk_complete() takes it: one reference less,
 *               at the last the frame is free                                  kernel_tx -> pool
 * One frame may be staged on many sockets (a flood): each stage is a reference, each completion or
 * tx_full gives one back.  A completion is matched by chunk, against this socket's own record of
 * what it has out; one that was not out is counted and quarantined.
 *
 * Callers: shuntd (open, close; control thread), run/worker (everything else; worker thread).
 * Full:    a full TX ring leaves frames on the stage, retried at each xsk_flush(); a full stage
 *          makes xsk_stage() refuse (-ENOSPC), which the caller counts as tx_full.
 * Refuses: see xsk_port_open().
 */
#ifndef SHUNT_IO_XSK_H
#define SHUNT_IO_XSK_H

#include "io/umem.h"
#include "limits.h"

enum xsk_mode { XSK_AUTO, XSK_ZEROCOPY, XSK_COPY, XSK_GENERIC };

/* A received frame, in place. */
struct xsk_frame {
	frame_id id;
	uint32_t len;  /* bytes */
	uint8_t *data; /* first byte, inside chunk `id` */
};

struct xsk; /* opaque but for the inline hot path, which lives in xsk.c */

/* The sockets of one port: one kernel UMEM over the region, one socket a queue. */
struct xsk_port;

struct xsk_port_conf {
	const char *ifname;
	unsigned queues; /* 1..SHUNT_QUEUES_MAX */
	unsigned
		tx_queues; /* the first of them have a TX queue; 0: all.  On others the kernel sends
			     * nothing, for ever (xsk_generic_xmit()) */
	enum xsk_mode mode; /* ZEROCOPY, COPY or GENERIC: not AUTO, the caller falls back */
	unsigned ring_size; /* entries of each of the four rings; a power of two */
	unsigned rx_frames; /* frames kept with the kernel for receiving, a queue; <= ring_size */
	unsigned stage_frames; /* cap of frames waiting for a full TX ring, a queue; a burst in the
				* making (SHUNT_BURST) comes on top */
};

/* Control thread.  Registers the region as a UMEM for this port and binds all its queues; on any
 * failure everything is closed again (libxdp: after a failed first create the xsk_umem must go
 * too). EBUSY is tried again for up to 1 s (teardown in the kernel is deferred).
 * 0; -EINVAL bad configuration; -EOPNOTSUPP mode not available here; -EBUSY queue bound by another
 * process; -ENODEV; -ENETDOWN (some drivers; a veth opens while down); -ENOMEM; -EPERM;
 * -EAFNOSUPPORT no AF_XDP in the kernel. */
int xsk_port_open(struct xsk_port **out, struct umem *umem, const struct xsk_port_conf *conf);
/* Control thread, after the worker has let go (xsk_detach() on every queue). Closes the sockets.
 * The frames stay in limbo until the worker calls xsk_port_reap(). */
void xsk_port_close(struct xsk_port *port);
/* Worker, after xsk_port_close() and once the port was bound again or is gone: limbo -> pool, and
 * the xsk_port itself is ready for xsk_port_free() by the control thread. */
void xsk_port_reap(struct xsk_port *port);
void xsk_port_free(struct xsk_port *port);

unsigned xsk_port_queues(const struct xsk_port *port);
unsigned xsk_port_tx_queues(const struct xsk_port *port); /* those that can send */
struct xsk *xsk_port_queue(struct xsk_port *port, unsigned queue);
int xsk_fd(const struct xsk *xsk);        /* -1 for a pipe */
bool xsk_zerocopy(const struct xsk *xsk); /* asked of the kernel by XDP_OPTIONS */

/* Worker side. ------------------------------------------------------------------------------ */
/* Up to `max` (<= SHUNT_BURST) frames off the RX ring: kernel_rx -> worker. Frames whose descriptor
 * is foreign or out of bounds are quarantined and not returned. */
unsigned xsk_receive(struct xsk *xsk, struct xsk_frame *frames, unsigned max);
/* Is something on the RX ring now? */
bool xsk_rx_ready(const struct xsk *xsk);
/* Stage `frame` for this socket: adds a reference. 0 or -ENOSPC (no reference added). The frame's
 * data and len are as they shall go out; both must lie inside the chunk. Once a socket and
 * frame. */
int xsk_stage(struct xsk *xsk, const struct xsk_frame *frame);
/* xsk_stage() and xsk_release() in one, for a frame that goes to one socket only. On -ENOSPC it is
 * still the worker's. */
int xsk_send(struct xsk *xsk, const struct xsk_frame *frame);
/* The worker is done with a frame it staged zero or more times: frees it when nobody holds it. */
void xsk_release(struct umem *umem, frame_id id);
/* Move the stage onto the TX ring, publish once, and wake the kernel if it asks for it (the only
 * system call here). Returns frames still staged. */
unsigned xsk_flush(struct xsk *xsk);
/* Drop everything staged but not yet on the ring (they got old). Returns how many references. */
unsigned xsk_unstage(struct xsk *xsk);
/* Take completions. Returns how many. */
unsigned xsk_complete(struct xsk *xsk);
/* Top the fill ring up to rx_frames from the pool; wakes the driver if it asks for it. Returns how
 * many are missing still (pool empty). */
unsigned xsk_refill(struct xsk *xsk);
/* Frames on the TX ring not completed, and staged. */
unsigned xsk_tx_outstanding(const struct xsk *xsk);
unsigned xsk_staged(const struct xsk *xsk);
/* Before closing: no refill from now on, stage dropped, whatever the kernel still has counted as
 * limbo. The rings are not touched any more after this. */
void xsk_detach(struct xsk *xsk);

#endif
