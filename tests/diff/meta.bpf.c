/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * meta: a frame with the mark leaves with its outer VLAN tag beside it (the skb's metadata) instead
 * of in it, as a VLAN device on the peer would send it.  tc egress of a test host.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MARK 0x7461

SEC("tc")
int meta(struct __sk_buff *skb)
{
	__be16 tag[2]; /* protocol and TCI */

	if (skb->mark != MARK || bpf_skb_load_bytes(skb, 12, tag, sizeof(tag))) {
		return TC_ACT_OK;
	}
	if (tag[0] == bpf_htons(0x8100) || tag[0] == bpf_htons(0x88a8)) {
		bpf_skb_vlan_pop(skb);
		bpf_skb_vlan_push(skb, tag[0], bpf_ntohs(tag[1]));
	}
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
