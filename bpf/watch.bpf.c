// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * watch: tells steer in generic mode what an XDP program cannot see of its frame.
 *
 * __netif_receive_skb_core() passes this tracepoint and then runs generic XDP, on the same CPU with
 * nothing in between, so one note a CPU is enough; steer takes it back when it has read it, and a
 * frame without a note is the kernel's.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "shared.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct skb_shared_info {
	unsigned short gso_size;
};

struct sk_buff {
	unsigned char *head;
	unsigned int end; /* an offset on 64-bit kernels */
	__u32 vlan_all;   /* the two below; since 6.2 a tag is there when not zero */
	__u16 vlan_proto, vlan_tci;
};

struct sk_buff___before_6_2 {
	__u8 vlan_present : 1;
};

#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} notes SEC(".maps");

static __always_inline int tagged(struct sk_buff *skb)
{
	if (bpf_core_field_exists(skb->vlan_all)) {
		return skb->vlan_all != 0;
	}
	return BPF_CORE_READ_BITFIELD((struct sk_buff___before_6_2 *)skb, vlan_present) != 0;
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(shunt_watch, struct sk_buff *skb)
{
	struct skb_shared_info *shared;
	__u64 *note, noted = STEER_NOTE_SEEN;
	__u32 zero = 0;

	note = bpf_map_lookup_elem(&notes, &zero);
	if (!note) {
		return 0;
	}
	shared = (struct skb_shared_info *)(skb->head + skb->end);
	if (tagged(skb)) {
		noted |= STEER_NOTE_TAGGED | (__u64)skb->vlan_proto << STEER_NOTE_PROTO_SHIFT |
			 (__u64)skb->vlan_tci << STEER_NOTE_TCI_SHIFT;
	}
	if (BPF_CORE_READ(shared, gso_size)) {
		noted |= STEER_NOTE_SEVERAL;
	}
	*note = noted;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
