/* SPDX-License-Identifier: BSD-2-Clause */
#include "run/port.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bpf/steer.h"
#include "netlink/ethtool.h"
#include "run/clock.h"
#include "run/log.h"
#include "run/punt.h"
#include "run/worker.h"

#define RING_SIZE_MAX 2048u /* entries; what a 25 GbE link needs for 100 us of 64-byte frames */
#define RING_SIZE_MIN 256u
#define STAGE_FRAMES 512u /* waiting for a full TX ring, a queue */
#define SLACK_FRAMES 512u /* bursts in hand */
#define MEMORY_SHARE 8u   /* of the machine's memory at most this fraction holds frames */
#define RETRY_NS 2000000000ull
#define CLOSE_MS 1000 /* for the worker to let go of all ports at the end */

struct port {
	const struct config_port *conf;
	unsigned slot;
	struct mirror_port status;
	struct ethtool_info driver;
	bool bound, draining;
	uint32_t ifindex; /* bound to */
	enum xsk_mode mode;
	bool partial, hint;
	struct steer *steer;
	struct xsk_port *sockets;
	struct xsk_port *closed; /* earlier sockets whose frames are in limbo */
	char refusal[96];        /* why not taken, or left to the kernel though taken; "" neither */
	uint64_t retry_at_ns;
};

struct ports {
	struct ports_conf conf;
	unsigned ring_size, count;
	struct port port[SHUNT_PORTS_MAX];
};

static const char *const mode_names[] = {[XSK_AUTO] = "auto",
					 [XSK_ZEROCOPY] = "zerocopy",
					 [XSK_COPY] = "copy",
					 [XSK_GENERIC] = "generic"};

/* Drivers that hand over frames of local stacks with checksums left to hardware. */
static bool driver_leaves_partial(const char *driver)
{
	static const char *const drivers[] = {"veth",         "tun",    "virtio_net", "vmxnet3",
					      "xen_netfront", "vif",    "hv_netvsc",  "netkit",
					      "macvlan",      "ipvlan", "dummy",      "ifb"};

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		if (!strcmp(driver, drivers[i])) {
			return true;
		}
	}
	return false;
}

/* Memory ----------------------------------------------------------------------------------- */

static unsigned queues_of(const struct config_port *conf, const struct ethtool_info *driver)
{
	unsigned queues = driver->rx_queues ? driver->rx_queues : 1;

	if (conf->queues && conf->queues < queues) {
		queues = conf->queues;
	}
	return queues < SHUNT_QUEUES_MAX ? queues : SHUNT_QUEUES_MAX;
}

/*
 * A queue can have ring_size frames with the kernel for receiving, ring_size on its TX ring, and
 * STAGE_FRAMES waiting: with that many for each, none can starve another.
 */
static size_t frames_for(size_t queues, unsigned ring_size)
{
	return PUNT_FRAMES + SLACK_FRAMES + queues * (2 * ring_size + STAGE_FRAMES);
}

struct ports_size ports_size(const struct config *config)
{
	size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	struct ports_size size = {.ring = RING_SIZE_MAX};
	size_t queues = 0;

	for (unsigned i = 0; i < config->port_count; i++) {
		struct ethtool_info driver = {0};

		ethtool_query(config->port[i].name, if_nametoindex(config->port[i].name), &driver);
		queues += queues_of(&config->port[i], &driver);
	}
	while (size.ring > RING_SIZE_MIN &&
	       frames_for(queues, size.ring) * FRAME_SIZE > memory / MEMORY_SHARE) {
		size.ring /= 2;
	}
	size.frames = frames_for(queues, size.ring);
	return size;
}

/* Describing a port to steer and to readers ------------------------------------------------- */

static void configure_steer(struct ports *ports, struct port *port)
{
	const struct mirror_port *status = &port->status;
	struct steer_port description = {.slot = port->slot,
					 .max_len = FRAME_ROOM,
					 .bridge = status->bridge,
					 .vlan_proto = status->vlan_proto_be,
					 .pvid = status->pvid};

	if (status->fast && !port->refusal[0]) {
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
	if (!port->bound || port->refusal[0]) {
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
	stats->queues = port->bound ? xsk_port_queues(port->sockets) : 0;
	snprintf(stats->reason, sizeof(stats->reason), "%s", reason);
	snprintf(stats->mode, sizeof(stats->mode), "%s", port->bound ? mode_names[port->mode] : "");
}

_Static_assert((int)CONFIG_ZEROCOPY == (int)XSK_ZEROCOPY && (int)CONFIG_COPY == (int)XSK_COPY &&
		       (int)CONFIG_GENERIC == (int)XSK_GENERIC,
	       "a configured mode is a socket's mode");

/* Taking ------------------------------------------------------------------------------------ */

/* One mode, all or nothing. */
static int take_as(struct ports *ports, struct port *port, enum xsk_mode mode)
{
	struct steer_conf steer_conf = {
		.ifindex = port->status.ifindex,
		.slot = port->slot,
		.queues = queues_of(port->conf, &port->driver),
		.generic = mode == XSK_GENERIC,
		.drop = ports->conf.config->drop,
		.vlan_hint = mode != XSK_GENERIC && port->driver.vlan_hint,
	};
	const struct xsk_port_conf xsk_conf = {
		.ifname = port->conf->name,
		.queues = steer_conf.queues,
		.mode = mode,
		.ring_size = ports->ring_size,
		.rx_frames = ports->ring_size,
		.stage_frames = STAGE_FRAMES,
	};
	int err = steer_open(&port->steer, ports->conf.steer, &steer_conf);

	if (err && steer_conf.vlan_hint) {
		steer_conf.vlan_hint = false;
		err = steer_open(&port->steer, ports->conf.steer, &steer_conf);
	}
	if (err) {
		return err;
	}
	port->hint = steer_conf.vlan_hint;
	port->mode = mode;
	err = xsk_port_open(&port->sockets, ports->conf.umem, &xsk_conf);
	if (err) {
		goto close_steer;
	}
	for (unsigned i = 0; !err && i < xsk_conf.queues; i++) {
		err = steer_set_socket(port->steer, i, xsk_fd(xsk_port_queue(port->sockets, i)));
	}
	if (!err) {
		err = steer_attach(port->steer);
	}
	if (!err) {
		return 0;
	}
	xsk_port_close(port->sockets);
	xsk_port_free(port->sockets);
	port->sockets = NULL;
close_steer:
	steer_close(port->steer);
	port->steer = NULL;
	return err;
}

/* Could a VLAN tag be beside a frame where neither steer nor the worker sees it? */
static void refuse_hidden_tags(struct ports *ports, struct port *port)
{
	bool strips = port->driver.rx_vlan_strip || !strcmp(port->driver.driver, "veth");

	if (port->mode == XSK_GENERIC) {
		if (steer_watch_skb(ports->conf.steer)) {
			snprintf(port->refusal, sizeof(port->refusal),
				 "generic mode: this kernel does not show VLAN tags to XDP");
		}
	} else if (strips && !port->hint) {
		snprintf(port->refusal, sizeof(port->refusal),
			 "%.15s hides VLAN tags from XDP: try ethtool -K %s rxvlan off",
			 port->driver.driver, port->conf->name);
	}
}

static const char busy[] = "another shuntd, XDP program or AF_XDP socket has it: stop that";

static void explain(struct port *port, int err)
{
	char text[sizeof(port->refusal)];

	if (err == -EBUSY) {
		snprintf(text, sizeof(text), "%s", busy);
	} else if (err == -EOPNOTSUPP && port->conf->mode != CONFIG_AUTO) {
		snprintf(text, sizeof(text), "%s mode cannot be had here: try mode = \"auto\"",
			 mode_names[(int)port->conf->mode]);
	} else if (err == -ENETDOWN) {
		snprintf(text, sizeof(text), "link down");
	} else {
		snprintf(text, sizeof(text), "cannot be taken: %.60s", strerror(-err));
	}
	if (strcmp(text, port->refusal)) {
		memcpy(port->refusal, text, sizeof(text));
		log_line("%s: left to the kernel: %s", port->conf->name, text);
	}
}

static void take(struct ports *ports, struct port *port)
{
	static const enum xsk_mode order[] = {XSK_ZEROCOPY, XSK_COPY, XSK_GENERIC};
	int err = -EOPNOTSUPP;

	memset(&port->driver, 0, sizeof(port->driver));
	ethtool_query(port->conf->name, port->status.ifindex, &port->driver);
	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		enum xsk_mode mode = order[i];

		if (port->conf->mode != CONFIG_AUTO && (int)port->conf->mode != (int)mode) {
			continue;
		}
		if (mode == XSK_ZEROCOPY && port->conf->mode == CONFIG_AUTO &&
		    port->driver.xdp_known && !port->driver.xdp_zerocopy) {
			continue;
		}
		err = take_as(ports, port, mode);
		if (!err || err == -EBUSY || err == -ENETDOWN) {
			break;
		}
	}
	if (err) {
		explain(port, err);
		port->retry_at_ns = coarse_ns() + RETRY_NS;
		return;
	}
	port->refusal[0] = '\0';
	refuse_hidden_tags(ports, port);
	port->bound = true;
	port->ifindex = port->status.ifindex;
	port->partial = driver_leaves_partial(port->driver.driver);
	if (punt_connect(ports->conf.punt, port->slot, port->ifindex, &port->status.mac)) {
		snprintf(port->refusal, sizeof(port->refusal), "frames cannot be punted to it");
	}
	if (port->closed) {
		worker_reap(ports->conf.worker, port->closed);
		port->closed = NULL;
	}
	log_line("%s: %s mode, %u queue%s, driver %s%s%s", port->conf->name, mode_names[port->mode],
		 xsk_port_queues(port->sockets), xsk_port_queues(port->sockets) == 1 ? "" : "s",
		 port->driver.driver[0] ? port->driver.driver : "unknown",
		 port->refusal[0] ? "; left to the kernel: " : "", port->refusal);
	worker_add(ports->conf.worker, port->slot, port->sockets, steer_beats(port->steer));
	mirror_set_partial(ports->conf.mirror, port->slot, port->partial);
	mirror_set_bound(ports->conf.mirror, port->slot, !port->refusal[0]);
	configure_steer(ports, port);
	/* Frames that found this port not yet fast said so; no longer true. */
	steer_verdict_flush(ports->conf.steer, coarse_ns());
}

/* Giving back ------------------------------------------------------------------------------- */

static bool interface_gone(const struct port *port)
{
	return !port->status.present || port->status.ifindex != port->ifindex;
}

/* Frames go to the kernel from here on; the rest when the worker has let go. */
static void release(struct ports *ports, struct port *port)
{
	bool gone = interface_gone(port);

	if (port->draining) {
		return;
	}
	port->draining = true;
	if (!ports->conf.config->drop || gone) {
		steer_detach(port->steer);
	}
	mirror_set_bound(ports->conf.mirror, port->slot, false);
	punt_connect(ports->conf.punt, port->slot, 0, NULL);
	worker_drain(ports->conf.worker, port->slot, gone);
}

static void consider(struct ports *ports, struct port *port)
{
	if (port->bound && interface_gone(port)) {
		release(ports, port);
	} else if (port->bound && !port->draining) {
		punt_connect(ports->conf.punt, port->slot, port->ifindex, &port->status.mac);
		configure_steer(ports, port);
	} else if (!port->bound && port->status.present && port->status.up &&
		   coarse_ns() >= port->retry_at_ns) {
		take(ports, port);
	}
	publish(ports, port);
}

static void drained(struct ports *ports, struct port *port)
{
	if (!port->draining) {
		return;
	}
	xsk_port_close(port->sockets);
	steer_close(port->steer);
	if (interface_gone(port)) {
		worker_reap(ports->conf.worker, port->sockets);
	} else {
		port->closed = port->sockets;
	}
	port->steer = NULL;
	port->sockets = NULL;
	port->bound = port->draining = false;
	port->retry_at_ns = 0;
	port->refusal[0] = '\0';
	log_line("%s: given back", port->conf->name);
}

/* Public ------------------------------------------------------------------------------------ */

int ports_probe(const struct config_port *conf, char *error, unsigned error_size)
{
	uint32_t ifindex = if_nametoindex(conf->name);
	struct ethtool_info driver = {0};
	int occupied;

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
	ports->ring_size = conf->ring_size;
	for (unsigned slot = 0; slot < ports->count; slot++) {
		struct port *port = &ports->port[slot];

		port->slot = slot;
		port->conf = &conf->config->port[slot];
	}
	*out = ports;
	return 0;
}

void ports_update(struct ports *ports, unsigned slot, const struct mirror_port *status)
{
	struct port *port = &ports->port[slot];

	if (status->present && (!port->status.present || !port->status.up) && status->up) {
		port->retry_at_ns = 0;
	}
	port->status = *status;
	consider(ports, port);
}

int ports_start(struct ports *ports, unsigned slot, const struct mirror_port *status)
{
	ports_update(ports, slot, status);
	return ports->port[slot].bound || strcmp(ports->port[slot].refusal, busy) ? 0 : -EBUSY;
}

void ports_event(struct ports *ports, const struct worker_event *event)
{
	if (event->kind == WORKER_DRAINED) {
		drained(ports, &ports->port[event->slot]);
		consider(ports, &ports->port[event->slot]);
	} else if (event->kind == WORKER_REAPED) {
		xsk_port_free(event->port);
	}
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
	for (unsigned slot = 0; slot < ports->count; slot++) {
		struct port *port = &ports->port[slot];

		if (!port->bound) {
			consider(ports, port);
		}
	}
	ports_refresh(ports);
}

void ports_close(struct ports *ports)
{
	struct pollfd pfd;
	struct worker_event event;
	unsigned left = 0;

	if (!ports) {
		return;
	}
	for (unsigned slot = 0; slot < ports->count; slot++) {
		if (ports->port[slot].bound) {
			release(ports, &ports->port[slot]);
			left++;
		}
	}
	pfd = (struct pollfd){.fd = worker_event_fd(ports->conf.worker), .events = POLLIN};
	while (left) {
		while (worker_event(ports->conf.worker, &event)) {
			left -= event.kind == WORKER_DRAINED;
			if (event.kind == WORKER_DRAINED) {
				drained(ports, &ports->port[event.slot]);
			} else if (event.kind == WORKER_REAPED) {
				xsk_port_free(event.port);
			}
		}
		if (left && poll(&pfd, 1, CLOSE_MS) <= 0) {
			log_line("the worker does not let go of %u port%s: closing all the same",
				 left, left == 1 ? "" : "s");
			break;
		}
	}
	for (unsigned slot = 0; slot < ports->count; slot++) {
		struct port *port = &ports->port[slot];

		xsk_port_free(port->closed);
		if (port->bound) { /* the worker hangs: the process's end closes the rest */
			steer_close(port->steer);
		}
	}
	free(ports);
}
