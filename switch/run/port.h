/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port: the life of the configured ports: taken, lost, found again, given back.
 *
 * What:    for each port: which driver, which XDP mode, load and attach steer, bind all queues,
 *          tell the worker; and all that in reverse.  Follows what the mirror says of the
 *          interface, and what ethtool does to it.
 * Callers: shuntd.
 * Thread:  control.
 * Owner:   ports own their steer and sockets; the worker has the queues between worker_add() and
 *          WORKER_DRAINED, and nothing here waits for it but ports_close(), with a deadline.
 * Full:    -
 * Refuses: at start: a missing interface (unless it is optional), one that another XDP program has,
 *          no AF_XDP.  Later the same conditions leave the port to the kernel, with the reason, and
 *          are tried again.
 *
 * A port is an interface by name.  What happens to it, and what follows:
 *
 *   gone (deleted, moved to another namespace)   the kernel has closed its sockets: let go at once
 *   renamed away      given back; it is alive: TX completes first, features are restored
 *   another by the name     taken
 *   set down          given back, so that everything may be changed that the kernel refuses while
 *                     AF_XDP sockets are bound (fewer queues, on some drivers ring sizes); and
 *                     nothing waits on a TX ring to come out late
 *   set up            taken
 *   more queues       bound anew: steer stays attached and passes meanwhile (no reset of the NIC)
 *   other rings       given back and taken: some drivers forget XDP for rings made anew
 *   MTU, MAC, master  described anew to steer, punt and the tables; nothing is bound
 *
 * Frames meanwhile are the kernel's.
 */
#ifndef SHUNT_RUN_PORT_H
#define SHUNT_RUN_PORT_H

#include "config.h"
#include "netlink/ethtool.h"
#include "netlink/mirror.h"
#include "run/stats.h"

struct offload;
struct ports;
struct punt;
struct steer_shared;
struct worker;
struct worker_event;

/* What the ports of a configuration need, all queues counted, within a share of the machine's
 * memory. */
struct ports_size {
	size_t frames;                 /* of the region */
	size_t share[SHUNT_PORTS_MAX]; /* of these at most, by slot */
	unsigned ring; /* entries of each ring, as long as queues do not become more */
};

struct ports_conf {
	const struct config *config;
	struct umem *umem;
	struct stats *stats;
	struct steer_shared *steer;
	struct punt *punt;
	struct worker *worker;
	struct mirror *mirror;
	struct offload *offload;
	struct ports_size size;
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
/* At start-up, after the last: wait until the worker has them all, at most 1 s. */
void ports_settle(struct ports *ports);
/* An fd that is readable when ethtool changed something: then ports_read(). -1: there is none, it
 * is looked at every few seconds. */
int ports_fd(const struct ports *ports);
void ports_read(struct ports *ports);
/* Taking a port takes its time (some 30 ms), in which nothing else is followed: for when nothing
 * else is to be done.  Is one to be taken?  Take it; one a call. */
bool ports_pending(const struct ports *ports);
void ports_take(struct ports *ports);
/* Events of the worker other than learning. */
void ports_event(struct ports *ports, const struct worker_event *event);
/* Every 100 ms: what is to be tried again (also ports_take()), and the counters of steer. */
void ports_tick(struct ports *ports);
/* Switch an offload of a port off until it is given back (shunt doctor --fix). 0 or -errno; -ENODEV
 * when no such port is taken. */
int ports_fix(struct ports *ports, const char *ifname, enum ethtool_feature feature);
/* Bring the stats segment up to date now (a reader asked). */
void ports_refresh(struct ports *ports);

#endif
