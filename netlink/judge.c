/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sure, or kernel: what may be done on each port, or why not, and the topo that says so.
 *
 * Each check answers with a reason or NULL; the first reason is the one that is shown.
 */
#include "netlink/mirror_int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>

#define REASON_SIZE sizeof(((struct mirror_port *)0)->reason)

/* Write a reason; says that there is one. */
__attribute__((format(printf, 2, 3))) static bool because(char *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, REASON_SIZE, format, args);
	va_end(args);
	return true;
}

static bool is_up(const struct link *link)
{
	return (link->nl.flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

static bool rules_obstacle(const struct mirror *mirror, char *reason)
{
	static const char *const names[] = {"local", "main", "default"};

	for (unsigned family = IP_V4; family < IP_FAMILIES; family++) {
		const struct rule_view *view = &mirror->rules[family];

		if (!mirror->rules_known[family]) {
			continue;
		}
		if (view->odd) {
			return because(reason, "policy rule %u not understood", view->odd_priority);
		}
		for (unsigned i = 0; i < 3; i++) {
			if (!view->seen[i]) {
				return because(reason, "policy rule for table %s is missing",
					       names[i]);
			}
		}
	}
	return false;
}

/* Devices that take frames off another before IP sees them there (their rx_handler), by address or
 * by content, and so that steer cannot tell. */
static bool upper_obstacle(const struct mirror *mirror, const struct link *link, char *reason)
{
	static const char *const kinds[] = {"ipvlan", "ipvtap", "macsec"};

	for (size_t i = 0; i < mirror->link_count; i++) {
		const struct nl_link *upper = &mirror->link[i].nl;

		for (unsigned k = 0; upper->lower == link->ifindex && k < 3; k++) {
			if (strcmp(upper->kind, kinds[k]) == 0) {
				return because(reason, "%s %s takes its frames", upper->kind,
					       upper->name);
			}
		}
	}
	return false;
}

/* What stands against routing on an interface, be it a port or a bridge. */
static bool routing_obstacle(const struct mirror *mirror, const struct link *link, char *reason)
{
	const char *why = guard_device(mirror->guard, link->ifindex);

	if (why == NULL) {
		why = guard_routing(mirror->guard);
	}
	if (why != NULL) {
		return because(reason, "%s", why);
	}
	return rules_obstacle(mirror, reason) || upper_obstacle(mirror, link, reason);
}

/* What stands against routing what enters or leaves by a bridge. */
static bool bridge_obstacle(const struct mirror *mirror, const struct link *bridge, char *reason)
{
	const char *why = guard_bridge_routing(mirror->guard);

	if (why == NULL) {
		why = guard_bridging(mirror->guard);
	}
	if (why != NULL) {
		return because(reason, "%s", why);
	}
	if (bridge->nl.master != 0) {
		const struct link *master = link_find(mirror, bridge->nl.master);

		return because(reason, "bridge %s is enslaved to %s", bridge->nl.name,
			       master ? master->nl.name : "another interface");
	}
	if (bridge->nl.bridge.vlan_filtering) {
		return because(reason, "bridge %s filters VLANs", bridge->nl.name);
	}
	return routing_obstacle(mirror, bridge, reason);
}

/* What stands against bridging between a port and the others of its bridge. */
static bool bridging_obstacle(const struct mirror *mirror, const struct link *link,
			      const struct link *bridge, char *reason)
{
	static const char *const states[] = {"disabled", "listening", "learning", "forwarding",
					     "blocking"};
	const struct nl_bridge_port *port = &link->nl.port;
	const char *why = guard_device(mirror->guard, link->ifindex);

	if (why == NULL) {
		why = guard_bridging(mirror->guard);
	}
	if (why != NULL) {
		return because(reason, "%s", why);
	}
	if (bridge->nl.bridge.vlan_filtering) {
		return because(reason, "bridge %s filters VLANs", bridge->nl.name);
	}
	if (bridge->nl.bridge.odd != 0) {
		return because(reason, "bridge %s: %s (%u) is set", bridge->nl.name,
			       decode_bridge_option(&bridge->nl.bridge), bridge->nl.bridge.odd);
	}
	if (!port->present) {
		return because(reason, "bridge %s has not told how it is a port", bridge->nl.name);
	}
	if (port->odd != 0) {
		return because(reason, "bridge port flag %s (%u) is set",
			       decode_port_flag(port->odd), port->odd);
	}
	if (port->hairpin || port->isolated || port->locked || port->answers) {
		uint16_t flag = port->hairpin    ? IFLA_BRPORT_MODE
				: port->isolated ? IFLA_BRPORT_ISOLATED
				: port->locked   ? IFLA_BRPORT_LOCKED
						 : IFLA_BRPORT_NEIGH_SUPPRESS;

		return because(reason, "bridge port flag %s (%u) is set", decode_port_flag(flag),
			       flag);
	}
	if (port->state != BR_STATE_FORWARDING) {
		return because(reason, "bridge %s has it in state %s", bridge->nl.name,
			       port->state < 5 ? states[port->state] : "unknown");
	}
	return false;
}

/* The bridge an interface is a member of, or NULL. */
static const struct link *bridge_of(const struct mirror *mirror, const struct link *link)
{
	const struct link *master = link->nl.master != 0 ? link_find(mirror, link->nl.master)
							 : NULL;

	return master != NULL && master->nl.bridge.present ? master : NULL;
}

static void judge_bridged(const struct mirror *mirror, const struct link *link,
			  const struct link *bridge, struct mirror_port *port)
{
	char why[REASON_SIZE];

	port->bridged = true;
	port->router_mac = bridge->nl.mac;
	port->l2 = !bridging_obstacle(mirror, link, bridge, port->reason);
	port->fast = port->l2;
	if (port->l2) {
		port->l3 = !bridge_obstacle(mirror, bridge, why);
		if (!port->l3) {
			because(port->reason, "routing is left to the kernel: %.64s", why);
		}
	}
}

static void judge_port(struct mirror *mirror, struct mirror_slot *slot, const struct link *link)
{
	struct mirror_port *port = &slot->now;
	const struct link *bridge, *master;

	memset(port, 0, sizeof(*port));
	if (slot->ifindex != (link ? link->ifindex : 0)) {
		slot->ifindex = link ? link->ifindex : 0;
		slot->bound = false; /* what was bound was another interface */
	}
	if (link == NULL) {
		because(port->reason, "not present");
		return;
	}
	bridge = bridge_of(mirror, link);
	port->present = true;
	port->ifindex = link->ifindex;
	port->up = (link->nl.flags & IFF_UP) != 0;
	port->running = (link->nl.flags & IFF_RUNNING) != 0;
	port->mac = port->router_mac = link->nl.mac;
	port->mtu = link->nl.mtu;
	if (!port->up) {
		port->bridged = bridge != NULL;
		because(port->reason, "link down");
	} else if (link->nl.type != ARPHRD_ETHER) {
		because(port->reason, "not an Ethernet interface");
	} else if (bridge != NULL) {
		judge_bridged(mirror, link, bridge, port);
	} else if (link->nl.master != 0) {
		master = link_find(mirror, link->nl.master);
		because(port->reason, "enslaved to %s (%s)",
			master ? master->nl.name : "another interface",
			master ? master->nl.kind : "of unknown kind");
	} else {
		port->l3 = port->fast = !routing_obstacle(mirror, link, port->reason);
	}
	if (port->fast && !port->running && port->reason[0] == '\0') {
		because(port->reason, "no carrier");
	}
}

/* The topo. --------------------------------------------------------------------------------- */

static int add_link(const struct mirror *mirror, struct topo *topo, const struct link *link)
{
	int slot = link_slot(mirror, link->ifindex);
	struct topo_if iface = {.ifindex = link->ifindex,
				.kind = TOPO_OTHER,
				.slot = TOPO_NONE,
				.bridge = TOPO_NONE,
				.mac = link->nl.mac,
				.mtu = link->nl.mtu,
				.mtu6 = link->nl.mtu6};
	char why[REASON_SIZE];

	memcpy(iface.name, link->nl.name, sizeof(iface.name));
	iface.rp_filter = (uint8_t)(link->rp_filter > mirror->rp_filter_all
					    ? link->rp_filter
					    : mirror->rp_filter_all);
	if (iface.mtu6 == 0 || iface.mtu6 > iface.mtu) {
		iface.mtu6 = iface.mtu;
	}
	iface.flags |= is_up(link) ? TOPO_UP : 0;
	iface.flags |= link->forwarding4 ? TOPO_FORWARD4 : 0;
	/* ip6_rcv_core() drops where IPv6 is switched off. */
	if (mirror->forwarding6 && link->nl.inet6 && !link->nl.inet6_disabled) {
		iface.flags |= TOPO_FORWARD6;
	}
	if (bridge_of(mirror, link) != NULL ? guard_bridge_fragments(mirror->guard)
					    : guard_fragments(mirror->guard)) {
		iface.flags |= TOPO_FRAGMENTS;
	}
	if (slot != TOPO_NONE && mirror->slot[slot].ifindex == link->ifindex) {
		const struct mirror_slot *port = &mirror->slot[slot];

		iface.kind = TOPO_PORT;
		iface.slot = (int16_t)slot;
		iface.flags |= port->partial ? TOPO_PARTIAL : 0;
		iface.flags |= port->bound && port->now.l2 ? TOPO_L2 : 0;
		iface.flags |= port->bound && port->now.l3 ? TOPO_L3 : 0;
		iface.flags |= link->nl.port.present && link->nl.port.learning ? TOPO_LEARNING : 0;
	} else if (link->nl.bridge.present) {
		iface.flags |= bridge_obstacle(mirror, link, why) ? 0 : TOPO_L3;
		iface.flags |= guard_bridge_netfilter(mirror->guard) ? TOPO_BR_NF : 0;
	}
	return topo_add_if(topo, &iface);
}

/* May br_flood() send an unknown unicast to a member? */
static bool floods(const struct link *link)
{
	return !link->nl.port.present ||
	       (link->nl.port.state == BR_STATE_FORWARDING && link->nl.port.flood);
}

static bool has_our_port(const struct mirror *mirror, const struct link *bridge)
{
	for (unsigned slot = 0; slot < mirror->slot_count; slot++) {
		const struct link *link = link_find(mirror, mirror->slot[slot].ifindex);

		if (link != NULL && link->nl.master == bridge->ifindex) {
			return true;
		}
	}
	return false;
}

/* The members, and where a frame may go among them. */
static int add_members(const struct mirror *mirror, struct topo *topo, const struct link *bridge,
		       int index)
{
	struct topo_vlan vlan = {.self = true, .self_untagged = true};
	const struct topo_if *member;

	vlan.flood_ours = (bridge->nl.flags & IFF_PROMISC) == 0 && bridge->nl.promiscuity == 0;
	for (size_t i = 0; i < mirror->link_count; i++) {
		const struct link *link = &mirror->link[i];
		bool fast;
		int number;

		if (link->nl.ifindex == 0 || link->nl.master != bridge->ifindex) {
			continue;
		}
		number = topo_join(topo, link->ifindex, index);
		if (number < 0 && number != -ENOSPC) {
			return number;
		}
		member = topo_if(topo, link->ifindex);
		fast = number >= 0 && member->slot != TOPO_NONE && member->flags & TOPO_L2;
		vlan.ingress |= fast ? 1ull << number : 0;
		fast = fast && is_up(link);
		vlan.egress |= fast ? 1ull << number : 0;
		vlan.flood |= fast && floods(link) ? 1ull << number : 0;
		vlan.flood_ours &= fast || !floods(link);
	}
	vlan.learn = vlan.ingress;
	vlan.untagged = vlan.egress;
	return topo_add_vlan(topo, index, &vlan);
}

static int add_bridge(const struct mirror *mirror, struct topo *topo, const struct link *bridge)
{
	const struct topo_bridge_conf conf = {.ifindex = bridge->ifindex};
	int index = topo_add_bridge(topo, &conf);

	return index < 0 ? index : add_members(mirror, topo, bridge, index);
}

static struct topo *build(const struct mirror *mirror)
{
	struct topo *topo = topo_create();
	int error = 0;

	for (size_t i = 0; topo != NULL && error == 0 && i < mirror->link_count; i++) {
		if (mirror->link[i].nl.ifindex != 0) {
			error = add_link(mirror, topo, &mirror->link[i]);
		}
	}
	for (size_t i = 0; topo != NULL && error == 0 && i < mirror->link_count; i++) {
		const struct link *link = &mirror->link[i];

		if (link->nl.bridge.present && has_our_port(mirror, link)) {
			error = add_bridge(mirror, topo, link);
		}
	}
	if (error != 0) {
		topo_destroy(topo);
		return NULL;
	}
	return topo;
}

/* Name the ports and their bridges to the guard, so that it has looked at them when we ask. */
static void watch_devices(struct mirror *mirror, const struct link *const *links)
{
	struct guard_device devices[GUARD_DEVICES];
	unsigned count = 0;

	memset(devices, 0, sizeof(devices));
	for (unsigned slot = 0; slot < mirror->slot_count; slot++) {
		const struct link *pair[2] = {links[slot], NULL};

		if (links[slot] != NULL) {
			pair[1] = bridge_of(mirror, links[slot]);
		}
		for (unsigned i = 0; i < 2 && pair[i] != NULL; i++) {
			bool known = false;

			for (unsigned j = 0; j < count; j++) {
				known |= devices[j].ifindex == pair[i]->ifindex;
			}
			if (!known) {
				devices[count].ifindex = pair[i]->ifindex;
				memcpy(devices[count].name, pair[i]->nl.name,
				       sizeof(devices[count].name));
				count++;
			}
		}
	}
	guard_watch(mirror->guard, devices, count);
}

void judge_publish(struct mirror *mirror)
{
	const struct link *links[SHUNT_PORTS_MAX] = {NULL};
	struct topo *topo;

	mirror->refresh.ageing_s = 0;
	for (size_t i = 0; i < mirror->link_count; i++) {
		const struct link *link = &mirror->link[i];
		int slot = link->nl.ifindex != 0 ? link_slot(mirror, link->ifindex) : TOPO_NONE;
		uint32_t ageing = link->nl.bridge.ageing_s;

		if (slot != TOPO_NONE) {
			links[slot] = link;
		}
		if (link->nl.bridge.present && ageing != 0 &&
		    (mirror->refresh.ageing_s == 0 || ageing < mirror->refresh.ageing_s)) {
			mirror->refresh.ageing_s = ageing;
		}
	}
	watch_devices(mirror, links);
	for (unsigned slot = 0; slot < mirror->slot_count; slot++) {
		judge_port(mirror, &mirror->slot[slot], links[slot]);
	}
	topo = build(mirror);
	if (topo == NULL) {
		mirror_full(mirror, "interface");
		return; /* still dirty: again with the next batch */
	}
	tables_publish_topo(mirror->tables, topo);
	mirror->dirty = false;
}
