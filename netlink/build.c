/* SPDX-License-Identifier: BSD-2-Clause */
/* The topo: what was judged, in the form that the workers read. */
#include "netlink/mirror_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if.h>
#include <linux/if_bridge.h>

/* Interfaces. ------------------------------------------------------------------------------- */

static uint32_t flags_of(const struct mirror *mirror, const struct link *link)
{
	const struct link *bridge = link_bridge(mirror, link);
	uint32_t flags = link_up(link) ? TOPO_UP : 0;

	flags |= link->forwarding4 ? TOPO_FORWARD4 : 0;
	flags |= link->has_addr4 ? 0 : TOPO_NO_ADDR4;
	/* ip6_rcv_core() drops where IPv6 is switched off. */
	if ((mirror->forwarding6 || link->force_forwarding6) && link->nl.inet6 &&
	    !link->nl.inet6_disabled) {
		flags |= TOPO_FORWARD6;
	}
	if (bridge != NULL ? guard_bridge_fragments(mirror->guard)
			   : guard_fragments(mirror->guard)) {
		flags |= TOPO_FRAGMENTS;
	}
	if (link->nl.bridge.present && guard_bridge_netfilter(mirror->guard)) {
		flags |= TOPO_BR_NF;
	}
	if (bridge != NULL && link->nl.port.present) {
		/* br_fdb_update(): "some users want to always flood". */
		flags |= link->nl.port.learning && bridge->nl.bridge.ageing_s != 0 ? TOPO_LEARNING
										   : 0;
		flags |= link->nl.port.hairpin ? TOPO_HAIRPIN : 0;
		flags |= link->nl.port.isolated ? TOPO_ISOLATED : 0;
		flags |= link->nl.port.locked ? TOPO_LOCKED : 0;
	}
	return flags;
}

/* Where its frames leave, and what may be done there. */
static void put_place(const struct mirror *mirror, const struct topo *topo, const struct link *link,
		      struct topo_if *iface)
{
	const struct mirror_slot *port;
	struct place place;
	bool bound = true;

	if (!judge_place(mirror, link, &place)) {
		return;
	}
	if (place.slot != TOPO_NONE) {
		port = &mirror->slot[place.slot];
		iface->slot = (int16_t)place.slot;
		bound = port->bound;
		if (port->ifindex == link->ifindex) {
			iface->kind = TOPO_PORT;
			iface->flags |= port->partial ? TOPO_PARTIAL : 0;
		}
	} else if (place.bridge != link) {
		const struct topo_if *over = topo_if(topo, place.bridge->ifindex);

		iface->over = over != NULL ? over->bridge : TOPO_NONE;
	}
	if (iface->kind == TOPO_OTHER && !link->nl.bridge.present) {
		iface->kind = link->nl.vlan.present ? TOPO_VLAN : TOPO_MACVLAN;
		iface->lower = link->nl.lower;
		iface->tag_count = (uint8_t)place.tag_count;
		memcpy(iface->tag, place.tag, sizeof(iface->tag));
	}
	iface->flags |= bound && link->l2 ? TOPO_L2 : 0;
	iface->flags |= bound && link->l3 ? TOPO_L3 : 0;
	iface->flags |= link->nl.macvlan.mode == NL_MACVLAN_SIBLINGS ? TOPO_IN_ONLY : 0;
}

static int add_link(const struct mirror *mirror, struct topo *topo, const struct link *link)
{
	struct topo_if iface = {.ifindex = link->ifindex,
				.kind = TOPO_OTHER,
				.slot = TOPO_NONE,
				.bridge = TOPO_NONE,
				.over = TOPO_NONE,
				.member = TOPO_NONE,
				.flags = flags_of(mirror, link),
				.mac = link->nl.mac,
				.mtu = link->nl.mtu,
				.mtu6 = link->nl.mtu6};

	memcpy(iface.name, link->nl.name, sizeof(iface.name));
	iface.rp_filter = (uint8_t)(link->rp_filter > mirror->rp_filter_all
					    ? link->rp_filter
					    : mirror->rp_filter_all);
	if (iface.mtu6 == 0 || iface.mtu6 > iface.mtu) {
		iface.mtu6 = iface.mtu;
	}
	iface.vrf = link_vrf(mirror, link) != NULL ? link->nl.master : 0;
	put_place(mirror, topo, link, &iface);
	return topo_add_if(topo, &iface);
}

/* Bridges. ---------------------------------------------------------------------------------- */

/* A bridge that is being put together. */
struct making {
	const struct mirror *mirror;
	struct topo *topo;
	const struct link *bridge;
	int index;
	struct topo_vlan *vlan; /* by VID; only number 0 when it does not filter */
	bool *used;
};

/* Is an unknown unicast flooded to a member that is in the VLAN? */
static bool floods(const struct link *link)
{
	return !link->nl.port.present ||
	       (link->nl.port.state == BR_STATE_FORWARDING && link->nl.port.flood);
}

/* `is`: VLAN_*; `number`: among the members, or negative when it is not one of the sets. */
static void put_member(struct making *making, const struct link *link, int number, unsigned vid,
		       uint8_t is)
{
	const struct topo_if *member = topo_if(making->topo, link->ifindex);
	struct topo_vlan *vlan = &making->vlan[vid];
	bool ours = number >= 0 && member->slot != TOPO_NONE && member->flags & TOPO_L2;
	uint64_t bit = ours ? 1ull << number : 0;
	bool forwards = (is & VLAN_STATE) == BR_STATE_FORWARDING;

	making->used[vid] = true;
	vlan->ingress |= forwards ? bit : 0;
	vlan->learn |= forwards || (is & VLAN_STATE) == BR_STATE_LEARNING ? bit : 0;
	if (!forwards) {
		return;
	}
	if (!ours || !link_up(link)) {
		vlan->flood_ours &= !floods(link);
		return;
	}
	vlan->egress |= bit;
	vlan->untagged |= is & VLAN_UNTAGGED ? bit : 0;
	vlan->flood |= floods(link) ? bit : 0;
}

static int put_members(struct making *making)
{
	const struct mirror *mirror = making->mirror;

	for (size_t i = 0; i < mirror->link_count; i++) {
		const struct link *link = &mirror->link[i];
		int number;

		if (link->nl.ifindex == 0 || link->nl.master != making->bridge->ifindex) {
			continue;
		}
		number = topo_join(making->topo, link->ifindex, making->index);
		if (number < 0 && number != -ENOSPC) {
			return number;
		}
		if (!making->bridge->nl.bridge.vlan_filtering) {
			put_member(making, link, number, 0,
				   VLAN_THERE | VLAN_UNTAGGED | BR_STATE_FORWARDING);
			continue;
		}
		if (number >= 0 && link->vlans != NULL) {
			topo_set_pvid(making->topo, making->index, number, link->vlans->pvid);
		}
		for (unsigned vid = 1; link->vlans != NULL && vid < TOPO_VIDS - 1; vid++) {
			if (link->vlans->of[vid] != 0) {
				put_member(making, link, number, vid, link->vlans->of[vid]);
			}
		}
	}
	return 0;
}

static int put_vlans(struct making *making)
{
	const struct link *bridge = making->bridge;
	bool filtering = bridge->nl.bridge.vlan_filtering;
	int error = 0;

	for (unsigned vid = filtering; error == 0 && vid < (filtering ? TOPO_VIDS - 1 : 1); vid++) {
		struct topo_vlan *vlan = &making->vlan[vid];
		uint8_t is = !filtering ? VLAN_THERE | VLAN_UNTAGGED | BR_STATE_FORWARDING
			     : bridge->vlans != NULL ? bridge->vlans->of[vid]
						     : 0;

		/* br_pass_frame_up() -> br_allowed_egress() of the bridge's own VLANs. */
		vlan->self = is & VLAN_THERE && (is & VLAN_STATE) == BR_STATE_FORWARDING;
		vlan->self_untagged = vlan->self && is & VLAN_UNTAGGED;
		if (making->used[vid] || vlan->self || !filtering) {
			error = topo_add_vlan(making->topo, making->index, vlan);
		}
	}
	return error;
}

static int fill_bridge(const struct mirror *mirror, struct topo *topo, const struct link *bridge)
{
	size_t vids = bridge->nl.bridge.vlan_filtering ? TOPO_VIDS : 1;
	struct making making = {.mirror = mirror,
				.topo = topo,
				.bridge = bridge,
				.index = topo_if(topo, bridge->ifindex)->bridge};
	int error = -ENOMEM;

	making.vlan = calloc(vids, sizeof(*making.vlan));
	making.used = calloc(vids, sizeof(*making.used));
	if (making.vlan == NULL || making.used == NULL) {
		goto out;
	}
	for (size_t vid = 0; vid < vids; vid++) {
		making.vlan[vid].vid = (uint16_t)vid;
		/* br_handle_frame_finish(): a promiscuous bridge gets a copy of everything. */
		making.vlan[vid].flood_ours = (bridge->nl.flags & IFF_PROMISC) == 0 &&
					      bridge->nl.promiscuity == 0;
	}
	error = put_members(&making);
	error = error ? error : put_vlans(&making);
out:
	free(making.vlan);
	free(making.used);
	return error;
}

/* Is one of our ports among its members, or under one of them? */
static bool has_our_port(const struct mirror *mirror, const struct link *bridge)
{
	if (!bridge->nl.bridge.present) {
		return false;
	}
	for (size_t i = 0; i < mirror->link_count; i++) {
		const struct link *link = &mirror->link[i];
		struct place place;

		if (link->nl.ifindex != 0 && link->nl.master == bridge->ifindex &&
		    judge_place(mirror, link, &place) && place.slot != TOPO_NONE) {
			return true;
		}
	}
	return false;
}

static int add_bridge(const struct mirror *mirror, struct topo *topo, const struct link *bridge)
{
	const struct topo_bridge_conf conf = {
		.ifindex = bridge->ifindex,
		.filtering = bridge->nl.bridge.vlan_filtering,
		.proto_be = bridge->nl.bridge.proto_be,
		.pvid_self = bridge->vlans != NULL ? bridge->vlans->pvid : 0,
	};
	int index = has_our_port(mirror, bridge) ? topo_add_bridge(topo, &conf) : 0;

	return index < 0 ? index : 0;
}

/* All of it. -------------------------------------------------------------------------------- */

static int build_step(const struct mirror *mirror, struct topo *topo, const struct link *link,
		      unsigned step)
{
	bool stacked = link->nl.vlan.present || link->nl.macvlan.mode != 0;

	switch (step) {
	case 0:
		return stacked ? 0 : add_link(mirror, topo, link);
	case 1:
		return add_bridge(mirror, topo, link);
	case 2: /* they name the bridge that they sit on by its number */
		return stacked ? add_link(mirror, topo, link) : 0;
	default: /* members may be stacked */
		return has_our_port(mirror, link) ? fill_bridge(mirror, topo, link) : 0;
	}
}

struct topo *build_topo(const struct mirror *mirror)
{
	struct topo *topo = topo_create();
	int error = topo != NULL ? 0 : -ENOMEM;

	for (unsigned step = 0; step < 4; step++) {
		for (size_t i = 0; error == 0 && i < mirror->link_count; i++) {
			if (mirror->link[i].nl.ifindex != 0) {
				error = build_step(mirror, topo, &mirror->link[i], step);
			}
		}
	}
	if (error != 0) {
		topo_destroy(topo);
		return NULL;
	}
	return topo;
}
