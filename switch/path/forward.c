/* SPDX-License-Identifier: BSD-2-Clause */
#include "path/forward.h"

#include <urcu-qsbr.h>

#include "path/bridge.h"
#include "path/parse.h"
#include "path/route.h"

void path_begin(struct path *path, const struct tables *tables, uint32_t now_s)
{
	path->topo = rcu_dereference(tables->topo);
	path->fdb = tables->fdb;
	path->neigh = tables->neigh;
	path->nexthops = rib_nexthops(tables->rib);
	for (int family = 0; family < IP_FAMILIES; family++) {
		path->local[family] = rib_fib(tables->rib, family, RIB_LOCAL);
		path->main[family] = rib_fib(tables->rib, family, RIB_MAIN);
	}
	path->now_s = now_s;
}

/*
 * What steer has decided already is decided here again where it costs a compare: between the frame
 * being redirected and being read here the configuration may have changed.
 */
struct verdict forward(const struct path *path, unsigned slot, struct xsk_frame *frame)
{
	const struct topo_if *in = topo_port(path->topo, slot);
	const struct eth *eth = frame_eth(frame);

	if (frame->len < ETH_SIZE) {
		return verdict_drop(DROP_SHORT);
	}
	if (!in || !(in->flags & TOPO_UP)) {
		return verdict_punt(PUNT_FORWARDING);
	}
	if (in->flags & TOPO_PARTIAL) {
		parse_finish_checksum(frame);
	}
	if (mac_is_multicast(&eth->dst)) {
		return verdict_punt(PUNT_FLOOD);
	}
	if (mac_is_multicast(&eth->src) || mac_is_zero(&eth->src)) {
		return verdict_punt(PUNT_BAD_SOURCE);
	}
	if (in->bridge != TOPO_NONE) {
		return bridge(path, in, frame);
	}
	if (!mac_equal(&eth->dst, &in->mac)) {
		return verdict_punt(PUNT_LOCAL);
	}
	return route(path, in, frame);
}
