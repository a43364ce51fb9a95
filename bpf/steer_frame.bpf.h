/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * steer_frame: what the XDP program knows of a frame, and its VLAN tags, in it and beside it. For
 * steer.bpf.c only.
 */
#ifndef SHUNT_BPF_STEER_FRAME_H
#define SHUNT_BPF_STEER_FRAME_H

#include "steer_maps.bpf.h"

#define STEER_FAST (-1)
#define VLAN_TAG_SIZE 4
#define VLAN_VID 0x0fff

#ifdef STEER_VLAN_HINT
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md *ctx, __be16 *vlan_proto,
					__u16 *vlan_tci) __ksym;
#endif

struct frame {
	void *data;   /* an Ethernet header is there */
	void *end;    /* of the linear part */
	__u32 len;    /* of all of it */
	__u32 l3;     /* offset of what is behind the Ethernet header and the tags in the frame */
	__u16 type;   /* EtherType behind the tags, network order */
	__u16 proto;  /* of the outermost tag, network order; 0 there is none */
	__u16 tci;    /* of that tag, host order */
	__u16 beside; /* that tag is not in the frame */
};

static __always_inline __u32 word(const void *at)
{
	return *(const __u32 *)at;
}

static __always_inline __u16 half(const void *at)
{
	return *(const __u16 *)at;
}

static __always_inline int mac_equal(const void *a, const void *b)
{
	return word(a) == word(b) && half(a + 4) == half(b + 4);
}

static __always_inline int is_tag(__u16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* A VLAN tag that is not in the frame, or several frames in one. */
static __always_inline int judge_metadata(struct xdp_md *ctx, struct frame *frame,
					  const struct steer_port *port)
{
#ifdef STEER_VLAN_HINT
	__be16 proto = 0;
	__u16 tci = 0;
	int ret;

	ret = bpf_xdp_metadata_rx_vlan_tag(ctx, &proto, &tci);
	if (ret == 0) {
		frame->beside = 1;
		frame->proto = proto;
		frame->tci = tci;
	} else if (ret != -ENODATA) {
		return STEER_PASS_VLAN; /* a driver that cannot tell */
	}
#endif
	if (port->flags & STEER_PORT_GENERIC) {
		__u32 zero = 0;
		__u64 *note, noted;

		note = bpf_map_lookup_elem(&notes, &zero);
		if (!note) {
			return STEER_PASS_VLAN;
		}
		noted = *note;
		*note = 0;
		if (!(noted & STEER_NOTE_SEEN)) {
			return STEER_PASS_VLAN;
		}
		if (noted & STEER_NOTE_SEVERAL) {
			return STEER_PASS_PARTIAL;
		}
		if (noted & STEER_NOTE_TAGGED) {
			frame->beside = 1;
			frame->proto = noted >> STEER_NOTE_PROTO_SHIFT;
			frame->tci = noted >> STEER_NOTE_TCI_SHIFT;
		}
	}
	return STEER_FAST;
}

/* Step over a tag that is in the frame. */
static __always_inline int skip_tag(struct frame *frame)
{
	const void *tag = frame->data + frame->l3;

	if (tag + VLAN_TAG_SIZE > frame->end) {
		return STEER_PASS_SHORT;
	}
	if (!frame->proto) {
		frame->proto = frame->type;
		frame->tci = bpf_ntohs(half(tag));
	}
	frame->type = half(tag + 2);
	frame->l3 += VLAN_TAG_SIZE;
	return STEER_FAST;
}

/* Kernel skb_vlan_untag() drops a frame with less than two bytes behind a tag that is in it, but
 * not with the tag beside it; and a tag that we put on is in the frame. */
static __always_inline int judge_size(const struct frame *frame)
{
	return frame->data + frame->l3 + 2 > frame->end ? STEER_PASS_SHORT : STEER_FAST;
}

/* Up to two tags, beside the frame and in it, are understood where the port's are at all. */
static __always_inline int judge_tags(struct frame *frame, const struct steer_port *port)
{
	if (!frame->beside && !is_tag(frame->type)) {
		return judge_size(frame);
	}
	if (!(port->flags & STEER_PORT_TAGGED)) {
		return STEER_PASS_VLAN;
	}
	if (is_tag(frame->type) && skip_tag(frame) != STEER_FAST) {
		return STEER_PASS_SHORT;
	}
	if (!frame->beside && is_tag(frame->type) && skip_tag(frame) != STEER_FAST) {
		return STEER_PASS_SHORT;
	}
	return is_tag(frame->type) ? STEER_PASS_VLAN : judge_size(frame);
}

/* The VLAN that the port's bridge has the frame in (kernel __allowed_ingress()). */
static __always_inline __u16 bridge_vid(const struct frame *frame, const struct steer_port *port)
{
	if (!port->vlan_proto) {
		return 0;
	}
	if (frame->proto == port->vlan_proto && frame->tci & VLAN_VID) {
		return frame->tci & VLAN_VID;
	}
	return port->pvid;
}

/* The tag that is beside the frame into it: AF_XDP shows only the frame. */
static __always_inline int put_back(struct xdp_md *ctx, const struct frame *frame)
{
	__u32 macs[3];
	void *data;

	if (bpf_xdp_adjust_head(ctx, -VLAN_TAG_SIZE)) {
		return 0;
	}
	data = (void *)(long)ctx->data;
	if (data + VLAN_TAG_SIZE + ETH_HLEN > (void *)(long)ctx->data_end) {
		return 0;
	}
	__builtin_memcpy(macs, data + VLAN_TAG_SIZE, sizeof(macs));
	__builtin_memcpy(data, macs, sizeof(macs));
	*(__u16 *)(data + 2 * ETH_ALEN) = frame->proto;
	*(__u16 *)(data + 2 * ETH_ALEN + 2) = bpf_htons(frame->tci);
	return 1;
}

#endif
