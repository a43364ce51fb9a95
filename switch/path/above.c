// SPDX-License-Identifier: BSD-2-Clause
#include "path/above.h"

#include "path/bridge.h"
#include "path/route.h"

static bool is_member(const struct topo_if *in)
{
	return in->bridge != TOPO_NONE && in->kind != TOPO_BRIDGE;
}

static void take_off(struct xsk_frame *frame, struct arrival *a)
{
	if (a->on) {
		tag_take_off(frame);
		a->moved = true;
	}
	a->tag = 0;
}

/* The VLAN device that takes it, having taken the tag off; or NULL (vlan_do_receive()). */
static const struct topo_if *vlan_above(const struct path *path, const struct topo_if *in,
					struct xsk_frame *frame, struct arrival *a)
{
	const struct topo_if *vlan = NULL;

	if (a->tag && in->flags & TOPO_HAS_VLANS) {
		vlan = topo_vlan_on(path->topo, in->ifindex, tag_tpid_be(a->tag), a->tag & TAG_VID);
	}
	if (vlan) {
		take_off(frame, a);
		a->host |= a->dst == mac_word(&vlan->mac);
	}
	return vlan;
}

/* With nobody above it. */
static struct verdict deliver(struct path *path, const struct topo_if *in, struct xsk_frame *frame,
			      const struct arrival *a)
{
	if (a->dst & MAC_GROUP) {
		return verdict_punt(PUNT_MULTICAST);
	}
	return a->host ? route(path, in, frame) : verdict_punt(PUNT_LOCAL);
}

struct verdict above(struct path *path, const struct topo_if *in, struct xsk_frame *frame,
		     const struct arrival *arrival)
{
	struct arrival a = *arrival;

	for (unsigned depth = 0; depth < ABOVE_MAX; depth++) {
		const struct topo_if *next;

		if (!a.tag) {
			a.tag = tag_read(frame, &a.tci_be);
			a.on = true;
			if (a.tag == TAG_CUT) {
				break;
			}
		}
		next = vlan_above(path, in, frame, &a);
		if (!next && is_member(in)) {
			return a.bridged ? verdict_punt(PUNT_FORWARDING)
					 : bridge_tagged(path, in,
							 topo_bridge(path->topo, in->bridge), frame,
							 &a);
		}
		if (!next && in->flags & TOPO_HAS_MACVLANS && !a.tag) {
			next = topo_macvlan_on(path->topo, in->ifindex, a.dst);
			a.host |= next != NULL;
		}
		if (!next && a.tag & TAG_VID) {
			break;
		}
		if (!next && a.tag) {
			/* a priority tag means nothing here; what is inside it may */
			take_off(frame, &a);
			next = in;
		}
		if (!next) {
			return deliver(path, in, frame, &a);
		}
		if (!(next->flags & TOPO_UP)) {
			return verdict_punt(PUNT_FORWARDING);
		}
		in = next;
	}
	return verdict_punt(PUNT_TAGS);
}
