/* SPDX-License-Identifier: BSD-2-Clause */
#include "path/forward.h"

#include "path/above.h"
#include "path/bridge.h"
#include "path/parse.h"
#include "path/route.h"

void path_begin(struct path *path, const struct tables *tables, uint32_t now_s)
{
	/* Before the first look-up: see tables_version(). */
	uint64_t version = tables_version(tables) << 32 | now_s;

	if (path->tables != tables) {
		path->tables = tables;
		path->emc.version = ~version; /* what was remembered is of others */
	}
	emc_begin(&path->emc, version);
	path->topo = tables_topo(tables);
	path->fdb = tables->fdb;
	path->mdb = tables->mdb;
	path->neigh = tables->neigh;
	path->nexthops = rib_nexthops(tables->rib);
	path->routing = topo_routing(path->topo);
	path->now_s = now_s;
	path->learn_count = 0;
}

/* A segment inside any number of tags may be unfinished too. */
static void finish_inside(const struct xsk_frame *frame)
{
	struct xsk_frame inside = *frame;

	while (inside.len >= ETH_SIZE + TAG_SIZE && is_tag(frame_eth(&inside)->type_be)) {
		tag_take_off(&inside);
	}
	parse_finish_checksum(&inside);
}

/* To what is above a port: for tags and macvlans. A frame that is not sent is looked at from where
 * it began. */
static __attribute__((noinline)) struct verdict climb(struct path *path, const struct topo_if *in,
						      struct xsk_frame *frame)
{
	const uint64_t dst = mac_word(&frame_eth(frame)->dst),
		       src = mac_word(&frame_eth(frame)->src);
	const struct arrival arrival = {.dst = dst, .src = src, .host = dst == mac_word(&in->mac)};
	const struct xsk_frame arrived = *frame;
	struct verdict verdict;

	if (src & MAC_GROUP || !src) {
		return verdict_punt(PUNT_BAD_SOURCE);
	}
	verdict = above(path, in, frame, &arrival);
	if (verdict.kind == VERDICT_PUNT || verdict.kind == VERDICT_DROP) {
		*frame = arrived;
	}
	return verdict;
}

static __attribute__((noinline)) struct verdict tagged(struct path *path, const struct topo_if *in,
						       const struct topo_bridge *br, bool plain,
						       struct xsk_frame *frame)
{
	int slot = -1;

	if (in->flags & TOPO_PARTIAL) {
		finish_inside(frame);
	}
	if (plain && !(in->flags & TOPO_HAS_VLANS)) {
		slot = bridge_again(path, in, br, frame);
	}
	return slot >= 0 ? verdict_tx(slot) : climb(path, in, frame);
}

/*
 * What steer has decided already is decided here again where it costs a compare: between the frame
 * being redirected and being read here the configuration may have changed.
 */
static inline struct verdict journey(struct path *path, const struct topo_if *in,
				     const struct topo_bridge *br, bool plain,
				     struct xsk_frame *frame)
{
	uint64_t dst, src;

	if (frame->len < ETH_SIZE) {
		return verdict_drop(DROP_SHORT);
	}
	if (is_tag(frame_eth(frame)->type_be)) {
		return tagged(path, in, br, plain, frame);
	}
	if (in->flags & TOPO_PARTIAL) {
		parse_finish_checksum(frame);
	}
	dst = mac_word(&frame_eth(frame)->dst);
	src = mac_word(&frame_eth(frame)->src);
	if (src & MAC_GROUP || !src) {
		return verdict_punt(PUNT_BAD_SOURCE);
	}
	if (br) {
		return bridge(path, in, br, plain, frame, dst, src);
	}
	if (dst != mac_word(&in->mac)) {
		if (dst & MAC_GROUP) {
			return verdict_punt(PUNT_MULTICAST);
		}
		return in->flags & TOPO_HAS_MACVLANS ? climb(path, in, frame)
						     : verdict_punt(PUNT_LOCAL);
	}
	return route(path, in, frame);
}

/* From a port that is not there, or is not up as far as the tables know: the kernel's, in the state
 * every punted frame is in. */
static struct verdict unexpected(const struct topo_if *in, const struct xsk_frame *frame)
{
	if (frame->len < ETH_SIZE) {
		return verdict_drop(DROP_SHORT);
	}
	if (!in || in->flags & TOPO_PARTIAL) {
		finish_inside(frame);
	}
	return verdict_punt(PUNT_FORWARDING);
}

void forward(struct path *path, const struct topo_if *in, struct xsk_frame *frames, unsigned count,
	     struct verdict *verdicts)
{
	const struct topo_bridge *br;
	bool plain;

	path->learn_count = 0;
	path->flood_count = 0;
	if (!in || !(in->flags & TOPO_UP)) {
		for (unsigned i = 0; i < count; i++) {
			verdicts[i] = unexpected(in, &frames[i]);
		}
		return;
	}
	br = in->bridge == TOPO_NONE ? NULL : topo_bridge(path->topo, in->bridge);
	plain = br && bridge_is_plain(in, br);
	for (unsigned i = 0; i < count; i++) {
		verdicts[i] = journey(path, in, br, plain, &frames[i]);
	}
}
