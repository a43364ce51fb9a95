// SPDX-License-Identifier: BSD-2-Clause
#include "path/egress.h"

#include "path/bridge.h"

struct verdict egress(const struct path *path, const struct topo_if *out, const struct mac *dst,
		      unsigned size, struct emc_entry *way)
{
	int over = out->kind == TOPO_BRIDGE ? out->bridge : out->over;

	way->macs = (struct macs){.dst = *dst, .src = out->mac};
	/* macvlan_queue_xmit(): to another macvlan beside it, not to the wire */
	if (out->kind == TOPO_MACVLAN && topo_macvlan_on(path->topo, out->lower, mac_word(dst))) {
		return verdict_punt(PUNT_NOT_FAST);
	}
	if (over != TOPO_NONE) {
		return bridge_egress(path, topo_bridge(path->topo, over), out, size, way);
	}
	if (out->slot == TOPO_NONE) {
		return verdict_punt(PUNT_NOT_FAST);
	}
	way->slot = (uint8_t)out->slot;
	way->form = form_of_if(0, out);
	return verdict_tx(out->slot);
}
