/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tag: what a VLAN device does to a frame on its way out: the tag goes beside the frame (the skb's
 * metadata), not into it, where AF_XDP on the veth peer does not see it.  tc egress of a test host.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int tag(struct __sk_buff *skb)
{
	bpf_skb_vlan_push(skb, 0x0081 /* ETH_P_8021Q, network order */, 5);
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
