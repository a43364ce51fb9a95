/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* drop: what somebody else's tc program may do to all frames. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int drop(struct __sk_buff *skb)
{
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
