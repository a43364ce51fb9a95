/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse: what a frame's IP header says, and whether it may be believed.
 *
 * What:    checks an IPv4 or IPv6 header as the kernel's ip_rcv_core() and ip6_rcv_core() do, and
 *          finishes L4 checksums that a local stack left to hardware.
 * Callers: switch/path/bridge, route.
 * Thread:  any; pure but for parse_finish_checksum(), which writes the frame.
 * Refuses: by enum parse_result; never reads past `len`.
 */
#ifndef SHUNT_PATH_PARSE_H
#define SHUNT_PATH_PARSE_H

#include "io/xsk.h"
#include "path/frame.h"

enum parse_result {
	PARSE_OK,
	PARSE_BAD,     /* version, lengths or header checksum wrong */
	PARSE_OPTIONS, /* IPv4 options; IPv6 hop-by-hop or routing header */
};

static inline const struct eth *frame_eth(const struct xsk_frame *frame)
{
	return (const struct eth *)frame->data;
}

/* Host order.  The frame must be ETH_SIZE long at least. */
static inline unsigned frame_ethertype(const struct xsk_frame *frame)
{
	return ntohs(frame_eth(frame)->type_be);
}

/* The header after Ethernet; on PARSE_OK `*size` is the IP packet's length, header included, in
 * bytes: what follows it in the frame is padding. */
enum parse_result parse_ipv4(const struct xsk_frame *frame, unsigned *size);
enum parse_result parse_ipv6(const struct xsk_frame *frame, unsigned *size);

/*
 * Would defragmentation (kernel nf_defrag_ipv4, nf_defrag_ipv6) hold this frame for others, or is
 * it cut off before that can be told?  False when it is not IP; the header need not be right.
 */
bool parse_is_fragment(const struct xsk_frame *frame);

/*
 * A frame from a local stack (veth, tap, virtio) may carry in its TCP or UDP checksum field only
 * the sum of the pseudo-header, the rest being left to hardware (CHECKSUM_PARTIAL, kernel
 * include/linux/skbuff.h).  When the field holds just that, write the finished checksum.  A frame
 * whose right checksum happens to have that value comes out unchanged.  Anything that is not
 * unfragmented TCP or UDP over a plain header is left alone: steer passes what else could be
 * partial.
 */
void parse_finish_checksum(struct xsk_frame *frame);

#endif
