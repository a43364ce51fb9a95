/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pipe: a kernel-free port: an xsk whose rings are plain memory, and the kernel's side of them.
 *
 * What:    the same struct xsk and the same code of xsk.c, driven by a test or a benchmark instead
 *          of by a socket, so that full, empty, late and never can all be had at will.
 * Callers: tests/unit, tests/bench, tests/fuzz, later `shunt replay`.
 * Thread:  the caller's.
 * Owner:   pipe_destroy() frees it; the umem must outlive it.
 */
#ifndef SHUNT_IO_PIPE_H
#define SHUNT_IO_PIPE_H

#include "io/xsk.h"

struct pipe;

/* As xsk_port_open() with `queues` = 1: ring_size a power of two. */
int pipe_create(struct pipe **out, struct umem *umem, const struct xsk_port_conf *conf);
void pipe_destroy(struct pipe *pipe);
struct xsk *pipe_xsk(struct pipe *pipe);

/* The kernel's side. */
/* Receive `len` bytes: a frame off the fill ring is filled and put on the RX ring.
 * 0, -ENOBUFS (fill ring empty), -ENOSPC (RX ring full), -EMSGSIZE. */
int pipe_inject(struct pipe *pipe, const void *data, size_t len);
/* Put a raw descriptor on the RX ring, sane or not. 0 or -ENOSPC. */
int pipe_inject_desc(struct pipe *pipe, uint64_t addr, uint32_t len);
/* Take one frame off the TX ring without completing it: 1 and address, length; 0 none. */
int pipe_transmit(struct pipe *pipe, uint64_t *addr, uint32_t *len);
/* Give an address back on the completion ring. 0 or -ENOSPC. */
int pipe_complete(struct pipe *pipe, uint64_t addr);
/* Transmit and complete everything; returns the count. */
unsigned pipe_drain(struct pipe *pipe);
/* Set the need-wakeup flags the kernel would; count of wake-ups our side did since. */
void pipe_need_wakeup(struct pipe *pipe, bool rx, bool tx);
unsigned pipe_wakeups(const struct pipe *pipe);

#endif
