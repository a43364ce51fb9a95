/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker: the thread that moves frames.
 *
 * What:    takes a burst off each RX ring, asks path/forward for a verdict on each frame, carries
 *          it out, publishes each TX ring once, gives completed frames back, refills, quiesces.
 *          Polls while there is work and some 50 us longer, then sleeps in poll().
 * Callers: shuntd and run/port on the control thread, by commands; tests and benchmarks drive
 *          worker_burst() themselves, without a thread.
 * Thread:  as said at each call.  Commands and events are queues between control and worker.
 * Owner:   the worker owns the ledger (io/umem) and every xsk between worker_add() and its event.
 * Full:    a full egress: see io/xsk.h; no frames left for the copies of a flood: the ports that
 *          need that form count tx_full; a full event queue: the learn event is lost, the next
 *          frame of that station sends it again (there is always room for the other events).
 * Refuses: more commands in flight than the queue holds (-EAGAIN).
 *
 * Hang: steer notes when a queue's first unanswered frame was redirected (bpf/shared.h).  When the
 * worker comes to a queue that waited longer than STEER_STALE_NS the kernel has long forwarded
 * newer frames, so what is on the RX ring is thrown away as stale and the queue rests for a second.
 */
#ifndef SHUNT_RUN_WORKER_H
#define SHUNT_RUN_WORKER_H

#include "io/xsk.h"
#include "path/forward.h"
#include "run/stats.h"

struct punt;
struct steer_beat;
struct worker;

#define WORKER_QUEUES_MAX 256u /* of all ports together; who adds more loses them */

struct worker_conf {
	struct tables *tables;
	struct umem *umem;
	struct stats *stats;
	struct punt *punt; /* NULL: punted frames are counted and freed (benchmarks) */
	unsigned id;       /* which set of counters */
	int cpu;           /* core to run on, -1 any */
};

enum worker_event_kind {
	WORKER_LEARN,   /* ifindex, vlan, mac: seen as a source where the FDB does not have it */
	WORKER_ADDED,   /* slot: its queues are filled, frames may come */
	WORKER_DRAINED, /* slot: nothing of the port is touched any more; sockets may be closed */
	WORKER_REAPED,  /* port: its frames are out of limbo; it may be freed */
};

struct worker_event {
	uint8_t kind; /* enum worker_event_kind */
	uint8_t slot;
	uint16_t vlan;
	uint32_t ifindex; /* the member of a bridge */
	struct mac mac;
	struct xsk_port *port;
};

/* Without a thread; worker_burst() drives it. */
int worker_create(struct worker **out, const struct worker_conf *conf);
/* Stops the thread if there is one. The worker must have let go of all ports. */
void worker_destroy(struct worker *worker);
/* Control: run it on a thread of its own. */
int worker_start(struct worker *worker);

/* Control: commands; 0 or -EAGAIN.  Without a thread they are carried out by worker_burst(). */
/* Take over all queues of `port`; `beats` has a word a queue. WORKER_ADDED follows. */
int worker_add(struct worker *worker, unsigned slot, struct xsk_port *port,
	       struct steer_beat *beats);
/* Let go of the port of a slot: at once when it is gone, else after its TX rings completed or
 * 200 ms, and not before what steer had redirected has arrived. WORKER_DRAINED follows. */
int worker_drain(struct worker *worker, unsigned slot, bool gone);
/* Call xsk_port_reap() on a closed port. WORKER_REAPED follows. */
int worker_reap(struct worker *worker, struct xsk_port *port);
/* Control: an fd that is readable when there are events; then worker_event() until false. */
int worker_event_fd(const struct worker *worker);
bool worker_event(struct worker *worker, struct worker_event *event);

/* Tests and benchmarks: one queue without a port behind it (a pipe). */
int worker_add_queue(struct worker *worker, unsigned slot, struct xsk *xsk,
		     struct steer_beat *beat);
/* Process every queue once. Returns frames received. Worker thread, or the caller's when there is
 * none; the thread must be registered with urcu-qsbr. */
unsigned worker_burst(struct worker *worker);

#endif
