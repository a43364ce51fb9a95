/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * egress: out by an interface of any kind: a port, a VLAN device, a macvlan, a bridge, or a VLAN
 * device or macvlan on a bridge (the kernel's dev_queue_xmit() and what it calls on the way down:
 * vlan_dev_hard_start_xmit(), macvlan_start_xmit(), br_dev_xmit()).
 *
 * Callers: path/route: the first two when it looks a way up, the last for each frame.
 * Thread:  a worker, under RCU.
 * Refuses: what it is not sure of is punted: see egress().
 */
#ifndef SHUNT_PATH_EGRESS_H
#define SHUNT_PATH_EGRESS_H

#include "path/forward.h"
#include "path/tags.h"

/* May packets be routed out by it here at all? Not by a member of a bridge, though the kernel
 * could. */
static inline bool egress_is_fast(const struct topo_if *out)
{
	return out && (out->flags & (TOPO_UP | TOPO_L3 | TOPO_IN_ONLY)) == (TOPO_UP | TOPO_L3) &&
	       (out->kind == TOPO_BRIDGE || out->bridge == TOPO_NONE);
}

/*
 * An IP packet of `size` bytes, no longer than out's MTU, to `dst` by `out`, for which
 * egress_is_fast() holds.  TX: `slot`, `form`, `dst`, `src` of `way` are filled, and `max` (bytes
 * of a packet) is lowered to what the port behind it takes.  PUNT: behind a bridge the MAC is not
 * known, the VLAN is not there, or its port is not fast.
 */
struct verdict egress(const struct path *path, const struct topo_if *out, const struct mac *dst,
		      unsigned size, struct emc_entry *way);

/* Make a frame whose IP packet is `size` bytes long one that goes that way: padding of the ingress
 * link stays behind. */
static inline void egress_write(struct xsk_frame *frame, const struct emc_entry *way, unsigned size)
{
	struct eth *eth = (struct eth *)frame->data;

	frame->len = ETH_SIZE + size;
	if (__builtin_expect(way->form != 0, 0)) {
		tags_put(frame, way->form, 0, &way->macs);
		return;
	}
	eth->dst = way->macs.dst;
	eth->src = way->macs.src;
}

#endif
