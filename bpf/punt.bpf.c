// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * punt: matches the frames written to one queue of the TAP and makes those for the port's MAC
 * frames for this host.
 *
 * eth_type_trans() compared the destination with the TAP's MAC: what is for the port's is marked
 * PACKET_OTHERHOST, which ip_rcv_core() drops.  Broadcast and multicast are marked right already.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <bpf/bpf_helpers.h>

#include "shared.h"

/* Bytes 0..5 of the word are the MAC: one word, so that a frame sees it whole. */
volatile __u64 port_mac;
const volatile __u32 port_slot;

SEC("tc")
int shunt_punt(struct __sk_buff *skb)
{
	union {
		__u64 word;
		__u8 byte[8];
	} dst = {0};

	/* skb_record_rx_queue() counts from 1, 0 being "none". */
	if (skb->queue_mapping != port_slot + 1) {
		return 0;
	}
	if (bpf_skb_load_bytes(skb, 0, dst.byte, ETH_ALEN) < 0) {
		return 0;
	}
	if (dst.word == port_mac && skb->pkt_type != PACKET_HOST) {
		bpf_skb_change_type(skb, PACKET_HOST);
	}
	return -1; /* a match, with the filter's own class */
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
