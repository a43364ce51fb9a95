/* SPDX-License-Identifier: BSD-2-Clause */
#include "path/bridge.h"

#include "path/parse.h"
#include "path/route.h"

/* Kernel is_skb_forwardable(): the header, and the room of a tag is granted to every frame. */
#define FORWARDABLE_SLACK (ETH_SIZE + 4u)

static bool fits(const struct topo_if *out, unsigned len)
{
	return len <= out->mtu + FORWARDABLE_SLACK;
}

static inline const struct topo_if *fast_member(const struct path *path, int slot, int bridge)
{
	const struct topo_if *out = slot < 0 ? NULL : topo_port(path->topo, (unsigned)slot);

	if (!out || out->bridge != bridge ||
	    (out->flags & (TOPO_UP | TOPO_L2)) != (TOPO_UP | TOPO_L2)) {
		return NULL;
	}
	return out;
}

/* To the port of an FDB entry. */
static inline struct verdict to_entry(const struct path *path, const struct fdb_entry *entry,
				      int bridge, unsigned len)
{
	const struct topo_if *out;

	if (entry->state == FDB_LOCAL) {
		return verdict_punt(PUNT_LOCAL);
	}
	out = fast_member(path, entry->slot, bridge);
	if (!out || out->ifindex != entry->ifindex) {
		return verdict_punt(PUNT_NOT_FAST);
	}
	if (!fits(out, len)) {
		return verdict_punt(PUNT_TOO_BIG);
	}
	return verdict_tx(out->slot);
}

uint64_t forward_flood_slots(const struct path *path, const struct topo_if *in)
{
	const struct topo_bridge *br = topo_bridge(path->topo, in->bridge);
	const struct topo_vlan *vlan = topo_bridge_vlan(br, 0);
	uint64_t slots = 0;

	for (uint64_t left = vlan->flood & ~(1ull << in->member); left; left &= left - 1) {
		slots |= 1ull << br->member[__builtin_ctzll(left)]->slot;
	}
	return slots;
}

static struct verdict flood(const struct path *path, const struct topo_bridge *br,
			    const struct topo_if *in, unsigned len)
{
	const struct topo_vlan *vlan = topo_bridge_vlan(br, 0);
	uint64_t slots;

	if (!vlan || !vlan->flood_ours) {
		return verdict_punt(PUNT_FLOOD);
	}
	slots = forward_flood_slots(path, in);
	if (!slots) {
		return verdict_drop(DROP_FLOOD_NONE);
	}
	for (uint64_t left = slots; left; left &= left - 1) {
		const struct topo_if *out = fast_member(path, __builtin_ctzll(left), in->bridge);

		if (!out || !fits(out, len)) {
			return verdict_punt(PUNT_FLOOD);
		}
	}
	return (struct verdict){.kind = VERDICT_FLOOD};
}

/*
 * br_netfilter, where it is switched on, judges the IP header of bridged frames and trims padding
 * (kernel br_validate_ipv4(), br_validate_ipv6()).  False: leave the frame to it.
 */
static bool netfilter_agrees(struct xsk_frame *frame)
{
	unsigned type = frame_ethertype(frame), size;

	if (type == ETHERTYPE_IPV4 ? parse_ipv4(frame, &size) : parse_ipv6(frame, &size)) {
		return false;
	}
	frame->len = ETH_SIZE + size;
	return true;
}

static bool is_ip(const struct xsk_frame *frame)
{
	unsigned type = frame_ethertype(frame);

	return type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6;
}

/* The source side of br_handle_frame_finish(): false when the frame is the kernel's to judge. */
static inline bool learn(struct path *path, const struct topo_if *in, const struct topo_bridge *br,
			 const struct eth *eth, uint64_t src)
{
	const struct fdb_entry *source = fdb_find_word(path->fdb, br->ifindex, 0, src);

	if (source && source->state == FDB_LOCAL) {
		return false;
	}
	if (!(in->flags & TOPO_LEARNING)) {
		return true;
	}
	if (source && source->ifindex == in->ifindex) {
		fdb_touch(source, path->now_s);
	} else {
		path->learn[path->learn_count++] = eth->src;
	}
	return true;
}

/*
 * With nothing remembered of such a frame: learn, find its way, and remember that.  Not when it is
 * routed, which has a memory of its own, nor when the source is not learnt: it shall be reported
 * again.
 */
static __attribute__((noinline)) struct verdict
look_up(struct path *path, const struct topo_if *in, const struct topo_bridge *br,
	struct xsk_frame *frame, const uint64_t key[2], struct emc_entry *seen)
{
	const struct fdb_entry *entry;
	unsigned learnt = path->learn_count, max;
	struct verdict verdict;

	if (!learn(path, in, br, frame_eth(frame), key[1])) {
		return verdict_punt(PUNT_BAD_SOURCE);
	}
	if (key[0] == mac_word(&br->self->mac)) {
		return route(path, br->self, frame);
	}
	entry = fdb_find_word(path->fdb, br->ifindex, 0, key[0]);
	if (!entry) {
		return flood(path, br, in, frame->len);
	}
	if (entry->slot == in->slot && entry->state != FDB_LOCAL) {
		return verdict_drop(DROP_SAME_PORT);
	}
	verdict = to_entry(path, entry, in->bridge, frame->len);
	if (verdict.kind == VERDICT_TX && path->learn_count == learnt) {
		max = topo_port(path->topo, verdict.slot)->mtu + FORWARDABLE_SLACK;
		*seen = (struct emc_entry){.key = {key[0], key[1]},
					   .ingress = emc_ingress(EMC_BRIDGED, in->ifindex),
					   .stamp = path->emc.stamp,
					   .max = max < UINT16_MAX ? (uint16_t)max : UINT16_MAX,
					   .slot = verdict.slot};
	}
	return verdict;
}

struct verdict bridge(struct path *path, const struct topo_if *in, const struct topo_bridge *br,
		      struct xsk_frame *frame, uint64_t dst, uint64_t src)
{
	const uint64_t key[2] = {dst, src}, ingress = emc_ingress(EMC_BRIDGED, in->ifindex);
	struct emc_entry *seen = emc_place(&path->emc, ingress, key, 2);

	if (!(in->flags & TOPO_L2)) {
		return verdict_punt(PUNT_FORWARDING);
	}
	if (in->flags & TOPO_FRAGMENTS && parse_is_fragment(frame)) {
		return verdict_punt(PUNT_FRAGMENT);
	}
	if ((br->self->flags & TOPO_BR_NF) && is_ip(frame) && !netfilter_agrees(frame)) {
		return verdict_punt(PUNT_BAD_IP);
	}
	if (emc_hit(&path->emc, seen, ingress, key, 2) && frame->len <= seen->max) {
		return verdict_tx(seen->slot);
	}
	return look_up(path, in, br, frame, key, seen);
}

struct verdict bridge_egress(const struct path *path, const struct topo_bridge *br,
			     const struct mac *dst, unsigned len)
{
	const struct fdb_entry *entry = fdb_find_word(path->fdb, br->ifindex, 0, mac_word(dst));

	if (!entry) {
		return verdict_punt(PUNT_FLOOD);
	}
	return to_entry(path, entry, br->self->bridge, len);
}
