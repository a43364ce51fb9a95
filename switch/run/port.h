/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port: the life of the configured ports: taken, lost, found again, given back.
 *
 * What:    for each port: which driver, which XDP mode, load and attach steer, bind all queues,
 *          tell the worker; and all that in reverse.  Follows what the mirror says of the
 *          interface.
 * Callers: shuntd.
 * Thread:  control.
 * Owner:   ports own their steer and sockets; the worker has the queues between worker_add() and
 *          WORKER_DRAINED, and nothing here waits for it but ports_close(), with a deadline.
 * Full:    -
 * Refuses: at start: a missing interface, one that another XDP program has, no AF_XDP.  Later the
 *          same conditions leave the port to the kernel, with the reason, and are tried again.
 */
#ifndef SHUNT_RUN_PORT_H
#define SHUNT_RUN_PORT_H

#include "config.h"
#include "netlink/mirror.h"
#include "run/stats.h"

struct ports;
struct punt;
struct steer_shared;
struct worker;
struct worker_event;

struct ports_conf {
	const struct config *config;
	struct umem *umem;
	struct stats *stats;
	struct steer_shared *steer;
	struct punt *punt;
	struct worker *worker;
	struct mirror *mirror;
	unsigned ring_size; /* of ports_size() */
};

/* What the ports of a configuration need, all queues counted, within a share of the machine's
 * memory. */
struct ports_size {
	size_t frames; /* of the region */
	unsigned ring; /* entries of each ring */
};

struct ports_size ports_size(const struct config *config);

/* Name the ports in the stats segment: readers see them from the start. */
void ports_announce(const struct config *config, struct stats *stats);

int ports_create(struct ports **out, const struct ports_conf *conf);
/* Give all back: detach (the kernel forwards from here on), drain, close. */
void ports_close(struct ports *ports);

/* May this port be taken at all?  For start-up: 0, or -errno and a line that says what and what to
 * do. */
int ports_probe(const struct config_port *port, char *error, unsigned error_size);

/* The mirror's word on a port (struct mirror_ops.port). */
void ports_update(struct ports *ports, unsigned slot, const struct mirror_port *status);
/* At start-up, for each port once: as ports_update(), but -EBUSY, logged, when somebody else has
 * it: who configured it should hear, not find it left to the kernel. */
int ports_start(struct ports *ports, unsigned slot, const struct mirror_port *status);
/* Events of the worker other than learning. */
void ports_event(struct ports *ports, const struct worker_event *event);
/* Every 100 ms: what is to be tried again, and the counters of steer. */
void ports_tick(struct ports *ports);
/* Bring the stats segment up to date now (a reader asked). */
void ports_refresh(struct ports *ports);

#endif
