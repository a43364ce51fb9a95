/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * punt: gives frames back to the kernel as if their port had just received them.
 *
 * What:    a multi-queue TAP (shunt0), queue i for port i; a classifier a port on its ingress hands
 *          what comes out of queue i to port i's ingress (bpf/punt, netlink/tc).  A thread of its
 *          own takes frames from the worker's queue, polices them by token bucket (per port and
 *          class), writes them, and gives the frames back by another queue.
 * Callers: shuntd creates and connects ports (control); the worker pushes and pops.
 * Thread:  as named at each call.
 * Owner:   a frame on the way is the punt thread's (role punt) until it comes back on `done`.
 * Full:    punt_push() refuses; the worker counts punt_full.
 * Refuses: no TUN in the kernel (-ENODEV), no permission (-EPERM).
 */
#ifndef SHUNT_RUN_PUNT_H
#define SHUNT_RUN_PUNT_H

#include "io/xsk.h"
#include "path/reason.h"
#include "run/stats.h"
#include "table/addr.h"

/* Frames that may be with the punt thread at once. */
#define PUNT_FRAMES 1024u

struct steer_shared;
struct punt;

struct punt_frame {
	frame_id id;
	uint32_t len;
	uint8_t *data;
	uint64_t
		taken_ns; /* when the worker took it, CLOCK_MONOTONIC_COARSE; too old is not sent */
	uint8_t slot;     /* port it came in by */
	uint8_t reason;   /* enum punt_reason */
	uint8_t elsewhere; /* its destination leaves by no port of ours: tell the verdict cache */
};

/* Create the TAP with `ports` queues and start the thread. 0 or -errno. */
int punt_create(struct punt **out, struct steer_shared *shared, struct stats *stats,
		unsigned ports);
void punt_destroy(struct punt *punt);
/* Control: frames of `slot` go to interface `ifindex` with `mac` from now on (0: nowhere). */
int punt_connect(struct punt *punt, unsigned slot, uint32_t ifindex, const struct mac *mac);

/* Worker. */
bool punt_push(struct punt *punt, const struct punt_frame *frame);
void punt_kick(struct punt *punt); /* once after a burst's pushes */
bool punt_done(struct punt *punt, frame_id *id);

#endif
