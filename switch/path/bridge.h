/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bridge: a frame that came in by a member of a kernel bridge (IEEE 802.1D 7.7; kernel
 * br_handle_frame_finish()).
 *
 * Source check, then: the bridge's own MAC is routed, a known MAC is sent to its port, an unknown
 * one is flooded here if every target is a fast port and by the kernel if not.
 */
#ifndef SHUNT_PATH_BRIDGE_H
#define SHUNT_PATH_BRIDGE_H

#include "path/forward.h"

/* `dst` and `src` are the frame's, as mac_word() gives them: unicast both. */
struct verdict bridge(struct path *path, const struct topo_if *in, const struct topo_bridge *br,
		      struct xsk_frame *frame, uint64_t dst, uint64_t src);

/* The port behind which `dst` is on the bridge, for a frame of `len` bytes that was routed to it:
 * VERDICT_TX, or VERDICT_PUNT. */
struct verdict bridge_egress(const struct path *path, const struct topo_bridge *bridge,
			     const struct mac *dst, unsigned len);

#endif
