/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forward: the whole journey of a frame.  START HERE.
 *
 * What:    a burst of frames that came in by one port, and exactly one verdict for each: sent,
 *          flooded, punted or dropped.
 * Callers: run/worker; tests, fuzzers.
 * Thread:  a worker, under RCU.
 * Owner:   the caller keeps the frames; their bytes are changed only when the verdict is TX
 *          (rewritten as they shall go out) and where a partial checksum is finished (every exit).
 *          One that is flooded may have lost a tag: forward_form() makes it whole.
 * Refuses: nothing: any bytes at all get a verdict, and none past frame->len is read.
 */
#ifndef SHUNT_PATH_FORWARD_H
#define SHUNT_PATH_FORWARD_H

#include "io/xsk.h"
#include "path/emc.h"
#include "path/reason.h"
#include "table/tables.h"

#define FLOOD_FORMS_MAX 4u /* one as received, three copies; frames that need more are punted */

/* Where a frame goes that goes to several ports: each group of them gets it in the same form. */
struct flood {
	unsigned count;   /* groups */
	bool rewrite;     /* a tag was taken off: no form leaves it as it is */
	uint16_t tci_be;  /* of that tag */
	struct macs macs; /* the frame's own */
	struct {
		uint64_t slots;
		uint32_t form; /* path/tags.h */
	} group[FLOOD_FORMS_MAX];
};

/* A source that the kernel's bridge does not have where it was seen. */
struct learn {
	uint32_t ifindex; /* the bridge's member: a port, or a VLAN device on one */
	uint16_t vlan;
	struct mac mac;
};

/* The tables as one burst sees them, valid until the worker's next quiescent state, and what a
 * worker remembers of the bursts before.  Zeroed before its first use; one worker's own. */
struct path {
	const struct tables *tables;
	const struct topo *topo;
	const struct fdb *fdb;
	const struct mdb *mdb;
	const struct neigh *neigh;
	const struct nexthops *nexthops;
	const struct routing *routing;
	uint32_t now_s; /* coarse seconds, what *_touch() stamps */
	/* Of the last burst. */
	unsigned learn_count, flood_count;
	struct learn learn[SHUNT_BURST];
	struct flood flood[SHUNT_BURST];
	struct emc emc;
};

enum verdict_kind { VERDICT_DROP, VERDICT_PUNT, VERDICT_TX, VERDICT_FLOOD };

/* Four bytes, so that it comes back in a register. */
struct verdict {
	uint8_t kind;      /* enum verdict_kind */
	uint8_t reason;    /* of DROP: enum drop_reason; of PUNT: enum punt_reason */
	uint8_t slot;      /* of TX: egress port; of FLOOD: which of path->flood[] */
	uint8_t elsewhere; /* of PUNT: since its way out is no port of ours; cacheable */
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

/* `in` is the port the frames came in by, NULL when it is not there any more. At most
 * SHUNT_BURST. */
void forward(struct path *path, const struct topo_if *in, struct xsk_frame *frames, unsigned count,
	     struct verdict *verdicts);

/* Of FLOOD: give the frame, or a copy of it as forward() left it, the form of a group.  The frame
 * itself comes last. */
static inline void forward_form(const struct flood *flood, unsigned group, struct xsk_frame *frame)
{
	if (flood->group[group].form || flood->rewrite) {
		tags_put(frame, flood->group[group].form, flood->tci_be, &flood->macs);
	}
}

#endif
