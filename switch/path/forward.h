/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forward: the whole journey of a frame.  START HERE.
 *
 * What:    one received frame in, exactly one verdict out: sent, flooded, punted or dropped.
 * Callers: run/worker for each frame of a burst; tests, fuzzers.
 * Thread:  a worker, under RCU.
 * Owner:   the caller keeps the frame; its bytes are changed only when the verdict is TX (rewritten
 *          as it shall go out) and where a partial checksum is finished (every exit).
 * Refuses: nothing: any bytes at all get a verdict, and none past frame->len is read.
 */
#ifndef SHUNT_PATH_FORWARD_H
#define SHUNT_PATH_FORWARD_H

#include "io/xsk.h"
#include "path/reason.h"
#include "table/tables.h"

/* The tables as one burst sees them; valid until the worker's next quiescent state. */
struct path {
	const struct topo *topo;
	const struct fdb *fdb;
	const struct neigh *neigh;
	const struct nexthops *nexthops;
	const struct fib *local[IP_FAMILIES];
	const struct fib *main[IP_FAMILIES];
	uint32_t now_s; /* coarse seconds, what *_touch() stamps */
};

enum verdict_kind { VERDICT_DROP, VERDICT_PUNT, VERDICT_TX, VERDICT_FLOOD };

enum {
	VERDICT_LEARN = 1u << 0,     /* the source MAC is unknown here, or moved */
	VERDICT_ELSEWHERE = 1u << 1, /* punted since its way out is no port of ours: cacheable */
};

struct verdict {
	uint8_t kind;   /* enum verdict_kind */
	uint8_t reason; /* of DROP: enum drop_reason; of PUNT: enum punt_reason */
	uint8_t slot;   /* of TX: egress port */
	uint8_t flags;  /* VERDICT_* */
	uint64_t slots; /* of FLOOD: egress ports, never 0 */
};

static inline struct verdict verdict_drop(enum drop_reason reason)
{
	return (struct verdict){.kind = VERDICT_DROP, .reason = reason};
}

static inline struct verdict verdict_punt(enum punt_reason reason)
{
	return (struct verdict){.kind = VERDICT_PUNT, .reason = reason};
}

static inline struct verdict verdict_tx(int slot)
{
	return (struct verdict){.kind = VERDICT_TX, .slot = (uint8_t)slot};
}

/* Take the tables' current state; call once a burst, after the RCU read side was entered. */
void path_begin(struct path *path, const struct tables *tables, uint32_t now_s);

/* `slot` is the port the frame came in by. */
struct verdict forward(const struct path *path, unsigned slot, struct xsk_frame *frame);

#endif
