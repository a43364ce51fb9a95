/* SPDX-License-Identifier: BSD-2-Clause */
/* From an interface to sockets that the worker may have, or why not. */
#include <errno.h>
#include <stdio.h>

#include "run/log.h"
#include "run/offload.h"
#include "run/port_int.h"
#include "run/punt.h"

const char *const port_mode_names[] = {[XSK_AUTO] = "auto",
				       [XSK_ZEROCOPY] = "zerocopy",
				       [XSK_COPY] = "copy",
				       [XSK_GENERIC] = "generic"};

const char port_busy[] = "another shuntd, XDP program or AF_XDP socket has it: stop that";

_Static_assert((int)CONFIG_ZEROCOPY == (int)XSK_ZEROCOPY && (int)CONFIG_COPY == (int)XSK_COPY &&
		       (int)CONFIG_GENERIC == (int)XSK_GENERIC,
	       "a configured mode is a socket's mode");

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

/* Switch features off that are on and can be; what they were is recorded first. */
static void switch_off(struct ports *ports, struct port *port, uint32_t features)
{
	struct ethtool_info *driver = &port->driver;

	features &= driver->on & driver->changeable;
	for (enum ethtool_feature i = 0; features && i < ETHTOOL_FEATURES; i++) {
		if (features >> i & 1 &&
		    !offload_switch_off(ports->conf.offload, port->conf->name, port->status.ifindex,
					&port->status.mac, i)) {
			log_line("%s: %s switched off", port->conf->name, ethtool_feature_name(i));
			driver->on &= ~(1u << i);
		}
	}
	driver->rx_vlan_strip = (driver->on & ETHTOOL_STRIP) != 0;
}

static int open_steer(struct ports *ports, struct port *port, enum xsk_mode mode)
{
	struct steer_conf conf = {
		.ifindex = port->status.ifindex,
		.slot = port->slot,
		.queues = port->plan.queues,
		.generic = mode == XSK_GENERIC,
		.drop = ports->conf.config->drop,
		.vlan_hint = mode != XSK_GENERIC && port->driver.vlan_hint,
	};
	int err = steer_open(&port->steer, ports->conf.steer, &conf);

	if (err && conf.vlan_hint) {
		conf.vlan_hint = false;
		err = steer_open(&port->steer, ports->conf.steer, &conf);
	}
	if (err) {
		return err;
	}
	port->hint = conf.vlan_hint;
	port->attached = false;
	return 0;
}

bool port_breaks_stp(const struct port *port, enum xsk_mode mode)
{
	return mode == XSK_GENERIC && port->status.stp;
}

/* One mode, all or nothing. */
static int take_as(struct ports *ports, struct port *port, enum xsk_mode mode)
{
	const struct xsk_port_conf conf = {
		.ifname = port->conf->name,
		.queues = port->plan.queues,
		.tx_queues = port->plan.tx_queues,
		.mode = mode,
		.ring_size = port->plan.ring,
		.rx_frames = port->plan.ring,
		.stage_frames = port->plan.stage,
	};
	bool kept = port->steer != NULL;
	int err;

	if (port_breaks_stp(port, mode)) {
		return -EPROTONOSUPPORT;
	}
	err = kept ? 0 : open_steer(ports, port, mode);

	if (err) {
		return err;
	}
	if (!port->hint) {
		switch_off(ports, port, ETHTOOL_STRIP);
	}
	port->mode = mode;
	err = xsk_port_open(&port->sockets, ports->conf.umem, &conf);
	if (err) {
		goto close_steer;
	}
	for (unsigned i = 0; !err && i < conf.queues; i++) {
		err = steer_set_socket(port->steer, i, xsk_fd(xsk_port_queue(port->sockets, i)));
	}
	if (!err && !port->attached) {
		err = steer_attach(port->steer);
	}
	if (!err) {
		port->attached = true;
		return 0;
	}
	xsk_port_close(port->sockets);
	xsk_port_free(port->sockets);
	port->sockets = NULL;
close_steer:
	if (!kept) {
		steer_close(port->steer);
		port->steer = NULL;
	}
	return err;
}

static int take_best(struct ports *ports, struct port *port)
{
	static const enum xsk_mode order[] = {XSK_ZEROCOPY, XSK_COPY, XSK_GENERIC};
	int err = -EOPNOTSUPP;

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
	return err;
}

int port_take(struct ports *ports, struct port *port)
{
	int err;

	memset(&port->driver, 0, sizeof(port->driver));
	ethtool_query(port->conf->name, port->status.ifindex, &port->driver);
	port->plan = port_plan(port->conf, &port->driver, ports->conf.size.ring,
			       ports->conf.size.share[port->slot], ports_queue_room(ports, port));
	if (!port->plan.queues) {
		return -ENOSPC;
	}
	if (port->steer) {
		err = take_as(ports, port, port->mode);
		if (!err || err == -EBUSY) {
			goto taken;
		}
		steer_close(port->steer);
		port->steer = NULL;
	}
	/* Several frames merged into one are not what came: the kernel switches this off where it
	 * forwards (dev_disable_lro()) and where it runs XDP itself, and drivers refuse XDP. */
	switch_off(ports, port, 1u << ETHTOOL_LRO | 1u << ETHTOOL_GRO_HW);
	err = take_best(ports, port);
	if (err) {
		offload_restore(ports->conf.offload, port->status.ifindex);
	}
taken:
	port->partial = driver_leaves_partial(port->driver.driver);
	return err;
}

void port_explain(struct port *port, int err)
{
	const char *detail = steer_error();
	char text[sizeof(port->refusal)];

	if (err == -EBUSY) {
		snprintf(text, sizeof(text), "%s", port_busy);
	} else if (err == -EOPNOTSUPP && port->conf->mode != CONFIG_AUTO) {
		snprintf(text, sizeof(text), "%s mode cannot be had here: try mode = \"auto\"",
			 port_mode_names[(int)port->conf->mode]);
	} else if (err == -EPROTONOSUPPORT) {
		snprintf(text, sizeof(text),
			 "its bridge speaks STP: the kernel loses BPDUs behind generic XDP");
	} else if (err == -ENETDOWN) {
		snprintf(text, sizeof(text), "link down");
	} else if (err == -ENOSPC) {
		snprintf(text, sizeof(text), "cannot be taken: more queues than a worker serves");
	} else {
		snprintf(text, sizeof(text), "cannot be taken: %.40s%s%.32s", strerror(-err),
			 detail[0] ? ": " : "", detail);
	}
	if (strcmp(text, port->refusal)) {
		memcpy(port->refusal, text, sizeof(text));
		log_line("%s: left to the kernel: %s%s%s%s", port->conf->name, text,
			 detail[0] ? " (" : "", detail, detail[0] ? ")" : "");
	}
}

void port_object(struct ports *ports, struct port *port)
{
	bool strips = port->driver.rx_vlan_strip || !strcmp(port->driver.driver, "veth");

	port->refusal[0] = '\0';
	if (punt_connect(ports->conf.punt, port->slot, port->ifindex, &port->status.mac)) {
		snprintf(port->refusal, sizeof(port->refusal), "frames cannot be punted to it");
	} else if (port->mode == XSK_GENERIC) {
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
