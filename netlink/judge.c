/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sure, or kernel: what may be done on each port and on what is stacked above it, or why not.
 *
 * A check writes a reason and says that there is one; the first reason is the one that is shown.
 */
#include "netlink/mirror_int.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_bridge.h>

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

bool link_up(const struct link *link)
{
	return (link->nl.flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

/* The bridge an interface is a member of, or NULL. */
const struct link *link_bridge(const struct mirror *mirror, const struct link *link)
{
	const struct link *master = link->nl.master != 0 ? link_find(mirror, link->nl.master)
							 : NULL;

	return master != NULL && master->nl.bridge.present ? master : NULL;
}

/* The slot of a port that is the interface, or TOPO_NONE. */
static int port_of(const struct mirror *mirror, const struct link *link)
{
	int slot = link_slot(mirror, link->ifindex);

	return slot != TOPO_NONE && mirror->slot[slot].ifindex == link->ifindex ? slot : TOPO_NONE;
}

static bool is_macvlan(const struct link *link)
{
	return link->nl.macvlan.mode != 0 && strcmp(link->nl.kind, "macvlan") == 0;
}

#define NESTED_MAX 8u /* MAX_NEST_DEV, net/core/dev.c */

bool judge_place(const struct mirror *mirror, const struct link *link, struct place *out)
{
	struct topo_tag tag[TOPO_TAGS_MAX];

	*out = (struct place){.slot = TOPO_NONE};
	/* The kernel nests no deeper; what we were told in pieces may go round in a circle. */
	for (unsigned depth = 0; link != NULL; depth++) {
		if (depth > NESTED_MAX) {
			return false;
		}
		out->slot = port_of(mirror, link);
		if (out->slot != TOPO_NONE) {
			break;
		}
		if (link->nl.bridge.present) {
			out->bridge = link;
			break;
		}
		if (link->nl.vlan.present && out->tag_count < TOPO_TAGS_MAX) {
			tag[out->tag_count++] = (struct topo_tag){link->nl.vlan.proto_be,
								  htons(link->nl.vlan.id)};
		} else if (!is_macvlan(link) || out->tag_count > 0) {
			return false; /* frames take a way through it that is not known here */
		}
		link = link_find(mirror, link->nl.lower);
	}
	for (unsigned i = 0; i < out->tag_count; i++) {
		out->tag[i] = tag[out->tag_count - 1 - i];
	}
	return link != NULL;
}

/* Devices that take frames off another before IP sees them there (their rx_handler), by address or
 * by content, and so that steer cannot tell. */
static bool takes_frames(const struct nl_link *upper)
{
	static const char *const kinds[] = {"ipvlan", "ipvtap", "macsec"};

	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (strcmp(upper->kind, kinds[k]) == 0) {
			return true;
		}
	}
	return upper->macvlan.mode == NL_MACVLAN_STRANGE;
}

static void note_takers(struct mirror *mirror)
{
	for (size_t i = 0; i < mirror->link_count; i++) {
		mirror->link[i].taker = 0;
	}
	for (size_t i = 0; i < mirror->link_count; i++) {
		const struct nl_link *upper = &mirror->link[i].nl;
		struct link *lower = upper->lower != 0 ? link_find(mirror, upper->lower) : NULL;

		if (lower != NULL && takes_frames(upper)) {
			lower->taker = upper->ifindex;
		}
	}
}

static bool upper_obstacle(const struct mirror *mirror, const struct link *link, char *reason)
{
	const struct link *taker = link->taker != 0 ? link_find(mirror, link->taker) : NULL;

	return taker != NULL &&
	       because(reason, "%s %s takes its frames", taker->nl.kind, taker->nl.name);
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
	return rules_obstacle(mirror, link, reason, REASON_SIZE) ||
	       upper_obstacle(mirror, link, reason);
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
	if (bridge->nl.master != 0 && link_vrf(mirror, bridge) == NULL) {
		const struct link *master = link_find(mirror, bridge->nl.master);

		return because(reason, "bridge %s is enslaved to %s", bridge->nl.name,
			       master ? master->nl.name : "another interface");
	}
	return routing_obstacle(mirror, bridge, reason);
}

/* What stands against what is stacked above a port: its own tc hooks, and what it does to frames
 * that it sends. */
static bool device_obstacle(const struct mirror *mirror, const struct link *link, char *reason)
{
	const char *why = guard_device(mirror->guard, link->ifindex);

	if (why != NULL) {
		return because(reason, "%s", why);
	}
	if (link->nl.vlan.maps_egress) {
		return because(reason, "%s maps priorities on egress", link->nl.name);
	}
	if (!link_up(link)) {
		return because(reason, "%s is down", link->nl.name);
	}
	return upper_obstacle(mirror, link, reason);
}

/* What stands against frames getting from the port or bridge at the bottom up to an interface, and
 * down again. */
static bool stack_obstacle(const struct mirror *mirror, const struct link *link,
			   const struct place *place, char *reason)
{
	const struct mirror_slot *port = place->slot != TOPO_NONE ? &mirror->slot[place->slot]
								  : NULL;

	for (; link->nl.lower != 0 && link_find(mirror, link->nl.lower) != NULL;
	     link = link_find(mirror, link->nl.lower)) {
		if (device_obstacle(mirror, link, reason)) {
			return true;
		}
		if (port_of(mirror, link) != TOPO_NONE) {
			break;
		}
	}
	if (port != NULL && !port->now.fast) {
		return because(reason, "port %s is not fast", port->name);
	}
	return place->bridge != NULL && bridge_obstacle(mirror, place->bridge, reason);
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
	if (bridge->nl.bridge.vlan_filtering && !mirror->vlans_told) {
		return because(reason,
			       "bridge %s filters VLANs, and this kernel does not tell which",
			       bridge->nl.name);
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
	if (port->state != BR_STATE_FORWARDING) {
		return because(reason, "bridge %s has it in state %s", bridge->nl.name,
			       port->state < 5 ? states[port->state] : "unknown");
	}
	return false;
}

/* What stands against routing on a member of something that is not a bridge. */
static bool master_obstacle(const struct mirror *mirror, const struct link *link, char *reason)
{
	const struct link *master = link_find(mirror, link->nl.master);

	if (link->nl.master == 0 || link_vrf(mirror, link) != NULL) {
		return false;
	}
	return because(reason, "enslaved to %s (%s)",
		       master ? master->nl.name : "another interface",
		       master ? master->nl.kind : "of unknown kind");
}

static void judge_bridged(const struct mirror *mirror, const struct link *link,
			  const struct link *bridge, struct mirror_port *port)
{
	char why[REASON_SIZE];

	port->bridged = true;
	port->bridge = bridge->ifindex;
	port->stp = bridge->nl.bridge.stp;
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
	const struct link *bridge;

	memset(port, 0, sizeof(*port));
	if (slot->ifindex != (link ? link->ifindex : 0)) {
		slot->ifindex = link ? link->ifindex : 0;
		slot->bound = false; /* what was bound was another interface */
	}
	if (link == NULL) {
		because(port->reason, "not present");
		return;
	}
	bridge = link_bridge(mirror, link);
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
	} else {
		port->l3 = port->fast = !master_obstacle(mirror, link, port->reason) &&
					!routing_obstacle(mirror, link, port->reason);
	}
	if (port->fast && !port->running && port->reason[0] == '\0') {
		because(port->reason, "no carrier");
	}
}

/* What is above the ports. -------------------------------------------------------------------- */

/* A part of what a port does is the kernel's: say so where nothing is said yet. */
static void note(struct mirror_port *port, const char *name, const char *why)
{
	if (port->present && port->reason[0] == '\0') {
		because(port->reason, "%s is left to the kernel: %.60s", name, why);
	}
}

/* The same on each port of a bridge, or on the one at the bottom. */
static void note_at(struct mirror *mirror, const struct place *place, const char *name,
		    const char *why)
{
	for (unsigned slot = 0; slot < mirror->slot_count; slot++) {
		if (place->bridge == NULL
			    ? (int)slot == place->slot
			    : mirror->slot[slot].now.bridge == place->bridge->ifindex) {
			note(&mirror->slot[slot].now, name, why);
		}
	}
}

/* A VLAN device or macvlan above a port or a bridge. */
static void judge_upper(struct mirror *mirror, struct link *link)
{
	const struct link *bridge = link_bridge(mirror, link);
	char why[REASON_SIZE] = "its way to a port is not understood";
	struct place place;
	struct mirror_port *port;

	link->l2 = link->l3 = false;
	if (!judge_place(mirror, link, &place)) {
		return;
	}
	port = place.slot != TOPO_NONE ? &mirror->slot[place.slot].now : NULL;
	if (bridge != NULL) {
		/* A bridge above a bridge: nothing of it is ours. */
		link->l2 = port != NULL && link->nl.vlan.present &&
			   !stack_obstacle(mirror, link, &place, why) &&
			   !bridging_obstacle(mirror, link, bridge, why);
		if (link->l2) {
			port->tagged_l2 = true;
			port->l3 |= !bridge_obstacle(mirror, bridge, why);
			return;
		}
	} else {
		link->l3 = !master_obstacle(mirror, link, why) &&
			   !routing_obstacle(mirror, link, why) &&
			   !stack_obstacle(mirror, link, &place, why);
	}
	if (!link->l3) {
		note_at(mirror, &place, link->nl.name, why);
	} else if (port != NULL) {
		port->l3 = true;
	}
}

static void judge_links(struct mirror *mirror)
{
	char why[REASON_SIZE];

	for (size_t i = 0; i < mirror->link_count; i++) {
		struct link *link = &mirror->link[i];
		int slot = link->nl.ifindex != 0 ? port_of(mirror, link) : TOPO_NONE;

		link->l2 = link->l3 = false;
		if (slot != TOPO_NONE) {
			link->l2 = mirror->slot[slot].now.l2;
			link->l3 = mirror->slot[slot].now.l3;
		} else if (link->nl.bridge.present) {
			link->l3 = !bridge_obstacle(mirror, link, why);
		}
	}
	for (size_t i = 0; i < mirror->link_count; i++) {
		struct link *link = &mirror->link[i];

		if (port_of(mirror, link) != TOPO_NONE) {
			continue;
		}
		if (link->nl.vlan.present || is_macvlan(link)) {
			judge_upper(mirror, link);
		}
	}
}

/* Does any member answer ARP for others, or hold it back?  br_do_proxy_suppress_arp() looks at the
 * port it came in by, and at the one behind which the address is. */
static bool bridge_answers(const struct mirror *mirror, const struct link *bridge)
{
	for (size_t i = 0; i < mirror->link_count; i++) {
		const struct nl_link *member = &mirror->link[i].nl;

		if (member->ifindex != 0 && member->master == bridge->ifindex &&
		    member->port.answers) {
			return true;
		}
	}
	return false;
}

/* What steer is to know of a port. */
static void describe_port(const struct mirror *mirror, struct mirror_port *port)
{
	const struct link *link = link_find(mirror, port->ifindex);
	const struct link *bridge = link != NULL ? link_bridge(mirror, link) : NULL;

	if (!port->fast) {
		return;
	}
	for (size_t i = 0; i < mirror->link_count; i++) {
		port->tagged |= mirror->link[i].nl.vlan.present &&
				mirror->link[i].nl.lower == port->ifindex;
	}
	if (bridge == NULL) {
		return;
	}
	port->tagged = true;
	port->arp = bridge_answers(mirror, bridge);
	if (bridge->nl.bridge.vlan_filtering) {
		port->vlan_proto_be = bridge->nl.bridge.proto_be;
		port->pvid = link->vlans != NULL ? link->vlans->pvid : 0;
	}
}

static bool mark(struct mirror *mirror, uint32_t ifindex)
{
	struct link *link = ifindex != 0 ? link_find(mirror, ifindex) : NULL;
	bool news = link != NULL && link->nl.ifindex != 0 && !link->ours;

	if (news) {
		link->ours = true;
	}
	return news;
}

/* Mark what frames of our ports come by: the ports, their masters, and what is stacked above one of
 * those (VLAN devices, macvlans). */
static void mark_ours(struct mirror *mirror, const struct link *const *links)
{
	bool again = true;

	for (size_t i = 0; i < mirror->link_count; i++) {
		mirror->link[i].ours = false;
	}
	for (unsigned slot = 0; slot < mirror->slot_count; slot++) {
		mark(mirror, links[slot] != NULL ? links[slot]->ifindex : 0);
	}
	while (again) {
		again = false;
		for (size_t i = 0; i < mirror->link_count; i++) {
			const struct link *link = &mirror->link[i];
			const struct link *lower;

			if (link->ours) {
				again |= mark(mirror, link->nl.master);
				continue;
			}
			lower = link->nl.lower != 0 ? link_find(mirror, link->nl.lower) : NULL;
			if (lower != NULL && lower->ours) {
				again |= mark(mirror, link->ifindex);
			}
		}
	}
}

/* Name to the guard what frames come by, so that it has looked at it when we ask. */
static void watch_devices(struct mirror *mirror, const struct link *const *links)
{
	struct guard_device devices[GUARD_DEVICES];
	unsigned count = 0;

	memset(devices, 0, sizeof(devices));
	mark_ours(mirror, links);
	for (size_t i = 0; i < mirror->link_count; i++) {
		const struct link *link = &mirror->link[i];

		if (!link->ours) {
			continue;
		}
		if (count < GUARD_DEVICES) {
			devices[count].ifindex = link->ifindex;
			devices[count].port = link_slot(mirror, link->ifindex) != TOPO_NONE;
			memcpy(devices[count].name, link->nl.name, sizeof(devices[count].name));
		}
		count++;
	}
	guard_watch(mirror->guard, devices, count);
}

void judge_publish(struct mirror *mirror)
{
	const struct link *links[SHUNT_PORTS_MAX] = {NULL};
	struct routing *routing;
	struct topo *topo;

	mirror->refresh.ageing_s = 0;
	for (size_t i = 0; i < mirror->link_count; i++) {
		const struct link *link = &mirror->link[i];
		int slot = link->nl.ifindex != 0 ? link_slot(mirror, link->ifindex) : TOPO_NONE;
		uint32_t ageing = link->nl.bridge.refresh_s;

		if (slot != TOPO_NONE) {
			links[slot] = link;
		}
		if (link->nl.bridge.present && ageing != 0 &&
		    (mirror->refresh.ageing_s == 0 || ageing < mirror->refresh.ageing_s)) {
			mirror->refresh.ageing_s = ageing;
		}
	}
	watch_devices(mirror, links);
	note_takers(mirror);
	for (unsigned slot = 0; slot < mirror->slot_count; slot++) {
		judge_port(mirror, &mirror->slot[slot], links[slot]);
	}
	judge_links(mirror);
	for (unsigned slot = 0; slot < mirror->slot_count; slot++) {
		describe_port(mirror, &mirror->slot[slot].now);
	}
	rules_addresses(mirror);
	topo = build_topo(mirror);
	routing = rules_build(mirror);
	if (topo == NULL || routing == NULL) {
		topo_destroy(topo);
		routing_destroy(routing);
		mirror_full(mirror, "interface");
		return; /* still dirty: again with the next batch */
	}
	topo_set_routing(topo, routing);
	mirror->tables_version = rib_tables_version(mirror->tables->rib);
	tables_publish_topo(mirror->tables, topo);
	mirror->dirty = false;
	reach_publish(mirror, topo);
	mirror->groups.dirty = true;
}
