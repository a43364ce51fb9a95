/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * above: from a port, or a bridge, to what sits on it (kernel __netif_receive_skb_core()).
 *
 * A VLAN device takes the frames with its tag and takes that off, then a bridge takes what its
 * member got, or a macvlan what has its MAC; what is left over is for the interface itself, and is
 * routed.
 *
 * Callers: path/forward for frames with a tag or for a macvlan; path/bridge for those that go up
 *          through the bridge's own interface.
 * Thread:  a worker, under RCU.
 * Refuses: tags that no device takes and stacks deeper than ABOVE_MAX: punted.  Whoever punts looks
 *          at the frame from its old place again.
 */
#ifndef SHUNT_PATH_ABOVE_H
#define SHUNT_PATH_ABOVE_H

#include "path/forward.h"

#define ABOVE_MAX 4u /* devices on top of each other; the kernel stacks up to 8 */

/* A frame on its way up. */
struct arrival {
	uint64_t dst, src; /* as mac_word() gives them */
	unsigned tag;      /* the outermost (path/tags.h), 0 none known of */
	uint16_t tci_be;   /* its control information */
	bool on;           /* it is in the bytes still; else it was taken off, or never was there */
	bool moved;        /* tags were taken off: its MACs are not before its type any more */
	bool host;         /* its destination is the MAC of an interface it came through */
	bool bridged;      /* it came through a bridge: not into a second one here */
	unsigned size;     /* what a bridge measures against an MTU; bytes */
};

struct verdict above(struct path *path, const struct topo_if *in, struct xsk_frame *frame,
		     const struct arrival *arrival);

#endif
