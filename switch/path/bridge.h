/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bridge: a frame that came in by a member of a kernel bridge (IEEE 802.1Q 8.6; kernel
 * br_handle_frame_finish()).
 *
 * VLAN and source check, then: what is for the bridge's own interface goes up to it, a known MAC is
 * sent to its member, an unknown one is flooded here if every target is fast and by the kernel if
 * not.
 */
#ifndef SHUNT_PATH_BRIDGE_H
#define SHUNT_PATH_BRIDGE_H

#include "path/above.h"

/* Once a burst: may nothing of a frame but its MACs matter here? */
static inline bool bridge_is_plain(const struct topo_if *in, const struct topo_bridge *br)
{
	return (in->flags & (TOPO_L2 | TOPO_FRAGMENTS)) == TOPO_L2 &&
	       !(br->self->flags & TOPO_BR_NF);
}

/* A frame with no tag that came in by a port which is a member. `src` is unicast. */
struct verdict bridge(struct path *path, const struct topo_if *in, const struct topo_bridge *br,
		      bool plain, struct xsk_frame *frame, uint64_t dst, uint64_t src);
/* A frame with a tag that came in by a plain port which has no VLAN devices: the port it was sent
 * to, as the one like it before; or -1: nothing was done to it, ask bridge_tagged(). */
int bridge_again(struct path *path, const struct topo_if *in, const struct topo_bridge *br,
		 struct xsk_frame *frame);
/* Any, by a member of any kind. */
struct verdict bridge_tagged(struct path *path, const struct topo_if *in,
			     const struct topo_bridge *br, struct xsk_frame *frame,
			     const struct arrival *arrival);

/* For egress(): by the bridge's own interface, or by one that sits on it (br_dev_xmit()). */
struct verdict bridge_egress(const struct path *path, const struct topo_bridge *br,
			     const struct topo_if *out, unsigned size, struct emc_entry *way);

#endif
