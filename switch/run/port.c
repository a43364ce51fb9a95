/* SPDX-License-Identifier: BSD-2-Clause */
#include "run/port.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "run/clock.h"
#include "run/log.h"
#include "run/offload.h"
#include "run/port_int.h"
#include "run/punt.h"
#include "run/worker.h"

#define RETRY_NS 2000000000ull
/* After an interface came up its carrier, its bridge port's state and its routes are announced one
 * by one.  The kernel forwards already; taking it, in which nothing else is followed, can wait. */
#define CALM_NS 100000000ull
#define CLOSE_MS 1000     /* for the worker to let go of all ports at the end */
#define SETTLE_MS 1000    /* for the worker to have them all at the start */
#define TICKS_PER_LOOK 10 /* one port a second is asked whether ethtool changed it without a word */
/* A closed zero-copy socket's frames may be written by the NIC until a work item of the kernel's
 * has run under the rtnl lock (xp_release_deferred()).  Nothing says when; another bind proves
 * it. */
#define LIMBO_NS 5000000000ull

/* Describing a port to steer and to readers ------------------------------------------------- */

static void configure_steer(struct ports *ports, struct port *port)
{
	const struct mirror_port *status = &port->status;
	struct steer_port description = {.slot = port->slot,
					 .max_len = FRAME_ROOM,
					 .bridge = status->bridge,
					 .vlan_proto = status->vlan_proto_be,
					 .pvid = status->pvid};

	if (port->stage == STAGE_BOUND && status->fast && !port->refusal[0]) {
		description.flags |= STEER_PORT_ON;
	}
	if (status->bridged && status->l2) {
		description.flags |= STEER_PORT_BRIDGED;
	}
	if (status->l3) {
		description.flags |= STEER_PORT_ROUTED;
	}
	if (status->tagged) {
		description.flags |= STEER_PORT_TAGGED;
	}
	if (status->tagged_l2) {
		description.flags |= STEER_PORT_BRIDGED_TAGGED;
	}
	if (status->arp) {
		description.flags |= STEER_PORT_ARP;
	}
	if (port->partial) {
		description.flags |= STEER_PORT_PARTIAL;
	}
	if (ports->conf.config->drop) {
		description.flags |= STEER_PORT_DROP;
	}
	if (port->mode == XSK_GENERIC) {
		description.flags |= STEER_PORT_GENERIC;
	}
	memcpy(description.router_mac, status->router_mac.b, MAC_SIZE);
	memcpy(description.port_mac, status->mac.b, MAC_SIZE);
	steer_configure(port->steer, &description);
}

static bool is_stale(const struct port *port)
{
	const struct steer_beat *beats = steer_beats(port->steer);
	uint64_t now_ns = coarse_ns();

	for (unsigned i = 0; i < xsk_port_queues(port->sockets); i++) {
		uint64_t asked_ns = __atomic_load_n(&beats[i].asked_ns, __ATOMIC_RELAXED);
		uint64_t answered_ns = __atomic_load_n(&beats[i].answered_ns, __ATOMIC_RELAXED);

		if (__atomic_load_n(&beats[i].hold_until_ns, __ATOMIC_RELAXED) > now_ns ||
		    (asked_ns > answered_ns && now_ns > asked_ns + STEER_STALE_NS)) {
			return true;
		}
	}
	return false;
}

static enum port_state state_of(const struct port *port, const char **reason)
{
	*reason = port->status.reason;
	if (!port->status.present) {
		*reason = "no such interface";
		return PORT_DOWN;
	}
	if (!port->status.up || !port->status.running) {
		*reason = port->status.up ? "no carrier" : "link down";
		return PORT_DOWN;
	}
	if (!port->status.fast) {
		return PORT_KERNEL;
	}
	if (port->stage != STAGE_BOUND || port->refusal[0]) {
		*reason = port->refusal[0] ? port->refusal : "being taken";
		return PORT_KERNEL;
	}
	if (is_stale(port)) {
		*reason = "worker did not answer for 500 ms";
		return PORT_STALE;
	}
	return PORT_FAST;
}

static void publish(struct ports *ports, struct port *port)
{
	struct stats_port *stats = &ports->conf.stats->port[port->slot];
	const char *reason;

	stats->state = state_of(port, &reason);
	stats->ifindex = port->status.present ? port->status.ifindex : 0;
	stats->queues = port->sockets ? xsk_port_queues(port->sockets) : 0;
	snprintf(stats->reason, sizeof(stats->reason), "%s", reason);
	snprintf(stats->mode, sizeof(stats->mode), "%s",
		 port->sockets ? port_mode_names[port->mode] : "");
}

/* The interface that is taken, or was last --------------------------------------------------- */

/* Is it the one that now has the port's name? */
static bool is_same(const struct port *port)
{
	return port->status.present && port->status.ifindex == port->ifindex;
}

/* Taken in a mode that is not the first choice. */
static bool is_fallback(const struct port *port)
{
	return port->mode == XSK_GENERIC && port->conf->mode == CONFIG_AUTO;
}

/* Is an interface in this namespace, by whatever name? */
static bool is_here(uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	return if_indextoname(ifindex, name) != NULL;
}

/* Frames of closed sockets go back to the pool once the kernel cannot touch them any more. */
static void settle_closed(struct ports *ports, struct port *port)
{
	if (port->closed &&
	    (coarse_ns() >= port->closed_until_ns || !is_here(port->closed_ifindex)) &&
	    !worker_reap(ports->conf.worker, port->closed)) {
		port->closed = NULL;
	}
}

/* Taking ------------------------------------------------------------------------------------ */

static void take(struct ports *ports, struct port *port)
{
	int err = port_take(ports, port);

	if (!err) {
		err = worker_add(ports->conf.worker, port->slot, port->sockets,
				 steer_beats(port->steer));
	}
	if (err) {
		xsk_port_free(port->sockets);
		port->sockets = NULL;
		port_explain(port, err);
		port->retry_at_ns = coarse_ns() + RETRY_NS;
		return;
	}
	port->ifindex = port->status.ifindex;
	port->stage = STAGE_JOINING;
	port_object(ports, port);
	if (port->closed) {
		port->closed_until_ns = 0; /* bound again: the kernel has let go */
		settle_closed(ports, port);
	}
	log_line("%s: %s mode, %u queue%s, driver %s%s%s", port->conf->name,
		 port_mode_names[port->mode], port->plan.queues, port->plan.queues == 1 ? "" : "s",
		 port->driver.driver[0] ? port->driver.driver : "unknown",
		 port->refusal[0] ? "; left to the kernel: " : "", port->refusal);
	configure_steer(ports, port);
}

/* Whether frames may come is said to the tables and to steer. */
static void describe(struct ports *ports, struct port *port)
{
	mirror_set_bound(ports->conf.mirror, port->slot,
			 port->stage == STAGE_BOUND && !port->refusal[0]);
	configure_steer(ports, port);
}

/* The worker has filled its rings: not before this may frames come. */
static void joined(struct ports *ports, struct port *port)
{
	if (port->stage != STAGE_JOINING) {
		return; /* lost again meanwhile */
	}
	port->stage = STAGE_BOUND;
	mirror_set_partial(ports->conf.mirror, port->slot, port->partial);
	describe(ports, port);
	/* Frames that found this port not yet fast said so; no longer true. */
	steer_verdict_flush(ports->conf.steer, coarse_ns());
}

/* Giving back ------------------------------------------------------------------------------- */

/* Steer lets everything pass from here on.  What is not a port of ours any more is never left
 * closed: a program attached by netlink goes along to another namespace, out of our reach. */
static void let_pass(struct ports *ports, struct port *port)
{
	const struct steer_port nobody = {.slot = port->slot, .max_len = FRAME_ROOM};

	if (!is_same(port)) {
		steer_configure(port->steer, &nobody);
	}
	if (!ports->conf.config->drop || !is_same(port)) {
		steer_detach(port->steer);
		port->attached = false;
	}
}

static void close_steer(struct ports *ports, struct port *port)
{
	let_pass(ports, port);
	steer_close(port->steer);
	port->steer = NULL;
}

/* Frames go to the kernel from here on; the rest when the worker has let go.  `anew`: only to bind
 * again, steer stays attached. */
static void release(struct ports *ports, struct port *port, bool anew)
{
	bool gone = !is_same(port) && !is_here(port->ifindex);

	if (port->stage == STAGE_DRAINING) {
		return;
	}
	port->stage = STAGE_DRAINING;
	port->anew = anew;
	configure_steer(ports, port); /* no redirects, also when it is attached again */
	if (!anew) {
		let_pass(ports, port);
	}
	mirror_set_bound(ports->conf.mirror, port->slot, false);
	if (gone) {
		punt_connect(ports->conf.punt, port->slot, 0, NULL);
	}
	worker_drain(ports->conf.worker, port->slot, gone);
}

static void drained(struct ports *ports, struct port *port)
{
	bool zerocopy = port->mode == XSK_ZEROCOPY;

	if (port->stage != STAGE_DRAINING) {
		return;
	}
	xsk_port_close(port->sockets);
	port->closed = port->sockets;
	port->closed_ifindex = port->ifindex;
	port->closed_until_ns = coarse_ns() + (zerocopy ? LIMBO_NS : 0);
	port->sockets = NULL;
	port->stage = STAGE_AWAY;
	port->retry_at_ns = port->displaced ? coarse_ns() + RETRY_NS : 0;
	if (!port->displaced) {
		port->refusal[0] = '\0';
	}
	port->displaced = false;
	if (!port->anew) {
		log_line("%s: given back", port->conf->name);
	}
	/* Loaded once is enough for one interface: what follows a flap need not take long.  But
	 * another mode than the fallback may do now. */
	if (!is_same(port) || (!port->anew && is_fallback(port))) {
		close_steer(ports, port);
	}
	if (!is_same(port)) {
		punt_connect(ports->conf.punt, port->slot, 0, NULL);
	}
	/* One that was moved away may be moved back, and is then as it left. */
	if (!is_same(port) && is_here(port->ifindex)) {
		offload_restore(ports->conf.offload, port->ifindex);
	}
}

/* Following --------------------------------------------------------------------------------- */

static bool may_take(const struct port *port)
{
	/* Another one by this name would use up the frames that are still in limbo. */
	return port->stage == STAGE_AWAY && port->status.present && port->status.up &&
	       coarse_ns() >= port->retry_at_ns &&
	       (!port->closed || port->closed_ifindex == port->status.ifindex);
}

static void consider(struct ports *ports, struct port *port)
{
	switch (port->stage) {
	case STAGE_AWAY:
		settle_closed(ports, port);
		if (port->steer && !is_same(port)) {
			close_steer(ports, port);
		}
		break;
	case STAGE_JOINING:
	case STAGE_BOUND:
		if (!is_same(port) || !port->status.up || port_breaks_stp(port, port->mode)) {
			release(ports, port, false);
		} else {
			port_object(ports, port);
			describe(ports, port);
		}
		break;
	case STAGE_DRAINING:
		break;
	}
	publish(ports, port);
}

/* Did ethtool change what the port goes by? */
static void look_again(struct ports *ports, struct port *port, bool rings)
{
	struct ethtool_info driver;
	struct port_plan plan;

	if ((port->stage != STAGE_BOUND && port->stage != STAGE_JOINING) || !is_same(port) ||
	    ethtool_query(port->conf->name, port->ifindex, &driver)) {
		return;
	}
	plan = port_plan(port->conf, &driver, ports->conf.size.ring,
			 ports->conf.size.share[port->slot], ports_queue_room(ports, port));
	port->driver = driver;
	if (rings) {
		/* Some drivers, vmxnet3 is one, run XDP on new rings only when it is attached
		 * anew. */
		log_line("%s: other rings, binding anew", port->conf->name);
		release(ports, port, false);
		publish(ports, port);
		return;
	}
	if (plan.queues == port->plan.queues && plan.tx_queues == port->plan.tx_queues) {
		consider(ports, port);
		return;
	}
	log_line("%s: %u queue%s now, binding anew", port->conf->name, plan.queues,
		 plan.queues == 1 ? "" : "s");
	release(ports, port, !is_fallback(port));
	publish(ports, port);
}

static int ask_program(void *arg, uint32_t ifindex, uint32_t *program)
{
	return xdp_program(arg, ifindex, program);
}

/* Nothing says it when somebody detaches a link, or takes what netlink attached off. Without steer
 * all frames are the kernel's, or another program's; it is tried again as long as that is so. */
static void notice_displaced(struct ports *ports, struct port *port)
{
	if ((port->stage != STAGE_BOUND && port->stage != STAGE_JOINING) || !is_same(port) ||
	    !is_here(port->ifindex) || !steer_displaced(port->steer, ask_program, ports->xdp)) {
		return;
	}
	snprintf(port->refusal, sizeof(port->refusal),
		 "somebody took its XDP program off, or put another there");
	log_line("%s: left to the kernel: %s", port->conf->name, port->refusal);
	steer_detach(port->steer);
	port->attached = false;
	port->displaced = true;
	release(ports, port, false);
	publish(ports, port);
}

static void ethtool_changed(void *arg, uint32_t ifindex, bool rings)
{
	struct ports *ports = arg;

	for (unsigned slot = 0; slot < ports->count; slot++) {
		struct port *port = &ports->port[slot];

		if (!ifindex || port->ifindex == ifindex) {
			look_again(ports, port, rings);
		}
	}
}

/* Public ------------------------------------------------------------------------------------ */

int ports_probe(const struct config_port *conf, char *error, unsigned error_size)
{
	uint32_t ifindex = if_nametoindex(conf->name);
	struct ethtool_info driver = {0};
	int occupied;

	if (!ifindex && conf->optional) {
		return 0;
	}
	if (!ifindex) {
		snprintf(error, error_size,
			 "no interface %s here: see `ip link`, or take the port out of the "
			 "configuration",
			 conf->name);
		return -ENODEV;
	}
	ethtool_query(conf->name, ifindex, &driver);
	if (!strcmp(conf->name, "lo") || !strcmp(driver.driver, "bridge")) {
		snprintf(error, error_size, "%s is no port: name %s", conf->name,
			 driver.driver[0] ? "the bridge's members"
					  : "interfaces that lead outside");
		return -EINVAL;
	}
	occupied = steer_occupied(ifindex);
	if (occupied > 0) {
		snprintf(error, error_size,
			 "%s has another XDP program: take it off (`ip link set dev %s xdp off`) "
			 "or leave "
			 "the port out",
			 conf->name, conf->name);
		return -EBUSY;
	}
	return occupied;
}

void ports_announce(const struct config *config, struct stats *stats)
{
	for (unsigned slot = 0; slot < config->port_count; slot++) {
		struct stats_port *port = &stats->port[slot];

		port->state = PORT_DOWN;
		snprintf(port->reason, sizeof(port->reason), "shuntd is starting");
		snprintf(port->ifname, sizeof(port->ifname), "%s", config->port[slot].name);
	}
}

int ports_create(struct ports **out, const struct ports_conf *conf)
{
	struct ports *ports = calloc(1, sizeof(*ports));

	if (!ports) {
		return -ENOMEM;
	}
	ports->conf = *conf;
	ports->count = conf->config->port_count;
	for (unsigned slot = 0; slot < ports->count; slot++) {
		struct port *port = &ports->port[slot];

		port->slot = slot;
		port->conf = &conf->config->port[slot];
	}
	if (conf->config->drop) {
		int err = xdp_open(&ports->xdp);

		if (err) {
			free(ports);
			return err;
		}
	}
	if (ethtool_watch_open(&ports->watch)) {
		ports->watch = NULL;
	}
	*out = ports;
	return 0;
}

void ports_update(struct ports *ports, unsigned slot, const struct mirror_port *status)
{
	struct port *port = &ports->port[slot];
	/* A driver that refused XDP for the size of its frames may not any more, or now do. */
	bool other_mode = port->stage == STAGE_BOUND && is_fallback(port) &&
			  port->status.mtu != status->mtu;

	if (status->up && (!port->status.up || port->status.ifindex != status->ifindex)) {
		port->retry_at_ns = coarse_ns() + CALM_NS;
	}
	port->status = *status;
	if (other_mode && is_same(port)) {
		release(ports, port, false);
	}
	consider(ports, port);
}

int ports_start(struct ports *ports, unsigned slot, const struct mirror_port *status)
{
	struct port *port = &ports->port[slot];

	ports_update(ports, slot, status);
	port->retry_at_ns = 0;
	if (may_take(port)) {
		take(ports, port);
		publish(ports, port);
	}
	return port->stage == STAGE_AWAY && !strcmp(port->refusal, port_busy) ? -EBUSY : 0;
}

void ports_event(struct ports *ports, const struct worker_event *event)
{
	if (event->kind == WORKER_ADDED) {
		joined(ports, &ports->port[event->slot]);
		publish(ports, &ports->port[event->slot]);
	} else if (event->kind == WORKER_DRAINED) {
		drained(ports, &ports->port[event->slot]);
		consider(ports, &ports->port[event->slot]);
	} else if (event->kind == WORKER_REAPED) {
		xsk_port_free(event->port);
	}
}

void ports_settle(struct ports *ports)
{
	struct pollfd pfd = {.fd = worker_event_fd(ports->conf.worker), .events = POLLIN};
	struct worker_event event;
	unsigned left;

	do {
		left = 0;
		while (worker_event(ports->conf.worker, &event)) {
			ports_event(ports, &event); /* a station is learnt from its next frame */
		}
		for (unsigned slot = 0; slot < ports->count; slot++) {
			left += ports->port[slot].stage == STAGE_JOINING;
		}
	} while (left && poll(&pfd, 1, SETTLE_MS) > 0);
}

bool ports_pending(const struct ports *ports)
{
	bool pending = false;

	for (unsigned slot = 0; slot < ports->count; slot++) {
		pending |= may_take(&ports->port[slot]);
	}
	return pending;
}

void ports_take(struct ports *ports)
{
	for (unsigned slot = 0; slot < ports->count; slot++) {
		struct port *port = &ports->port[slot];

		if (may_take(port)) {
			take(ports, port);
			publish(ports, port);
			return;
		}
	}
}

int ports_fd(const struct ports *ports)
{
	return ports->watch ? ethtool_watch_fd(ports->watch) : -1;
}

void ports_read(struct ports *ports)
{
	ethtool_watch_read(ports->watch, ethtool_changed, ports);
}

int ports_fix(struct ports *ports, const char *ifname, enum ethtool_feature feature)
{
	for (unsigned slot = 0; slot < ports->count; slot++) {
		struct port *port = &ports->port[slot];

		if (!strcmp(port->conf->name, ifname) && port->attached) {
			return offload_switch_off(ports->conf.offload, ifname, port->ifindex,
						  &port->status.mac, feature);
		}
	}
	return -ENODEV;
}

void ports_refresh(struct ports *ports)
{
	for (unsigned slot = 0; slot < ports->count; slot++) {
		struct port *port = &ports->port[slot];

		if (port->steer) {
			steer_counters(port->steer, &ports->conf.stats->port[slot].steer);
		}
		publish(ports, port);
	}
}

void ports_tick(struct ports *ports)
{
	unsigned look = ++ports->ticks / TICKS_PER_LOOK % ports->count;

	for (unsigned slot = 0; slot < ports->count; slot++) {
		struct port *port = &ports->port[slot];

		settle_closed(ports, port);
		notice_displaced(ports, port);
	}
	ports_take(ports);
	if (ports->ticks % TICKS_PER_LOOK == 0) {
		look_again(ports, &ports->port[look], false);
	}
	ports_refresh(ports);
}

static unsigned ports_draining(const struct ports *ports)
{
	unsigned count = 0;

	for (unsigned slot = 0; slot < ports->count; slot++) {
		count += ports->port[slot].stage == STAGE_DRAINING;
	}
	return count;
}

void ports_close(struct ports *ports)
{
	struct worker_event event;
	struct pollfd pfd;
	unsigned left;

	if (!ports) {
		return;
	}
	for (unsigned slot = 0; slot < ports->count; slot++) {
		struct port *port = &ports->port[slot];

		if (port->stage == STAGE_JOINING || port->stage == STAGE_BOUND) {
			release(ports, port, false);
		}
	}
	pfd = (struct pollfd){.fd = worker_event_fd(ports->conf.worker), .events = POLLIN};
	while ((left = ports_draining(ports))) {
		while (worker_event(ports->conf.worker, &event)) {
			if (event.kind == WORKER_DRAINED) {
				drained(ports, &ports->port[event.slot]);
			} else if (event.kind == WORKER_REAPED) {
				xsk_port_free(event.port);
			}
		}
		left = ports_draining(ports);
		if (left && poll(&pfd, 1, CLOSE_MS) <= 0) {
			log_line("the worker does not let go of %u port%s: closing all the same",
				 left, left == 1 ? "" : "s");
			break;
		}
	}
	for (unsigned slot = 0; slot < ports->count; slot++) {
		struct port *port = &ports->port[slot];

		xsk_port_free(port->closed);
		/* Where the worker hangs; the process's end closes the rest. */
		steer_close(port->steer);
	}
	ethtool_watch_close(ports->watch);
	xdp_close(ports->xdp);
	free(ports);
}
