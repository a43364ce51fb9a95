/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* gen: what the generator's two sides agree on.  Plain fixed-width types; included by BPF and C. */
#ifndef SHUNT_BENCH_GEN_H
#define SHUNT_BENCH_GEN_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define GEN_CPUS_MAX 64 /* cores the sink counts apart; a power of two */

/* One stream of frames.  Addresses in host order: the program does arithmetic on them. */
struct gen_stream {
	__u32 ifindex; /* 0: stream not in use */
	__u32 gap_ns;  /* time between frames; 0: as fast as it goes */
	__u8 dmac[6];
	__u8 smac[6];
	__u32 dmacs; /* destination MACs: dmac and those that follow it in the last two bytes */
	__u32 saddr;
	__u32 daddr;
	__u32 daddrs; /* destination addresses: daddr + (0..daddrs-1 << dshift), random order */
	__u32 dshift;
	__u32 flows;   /* UDP source ports */
	__u32 ip_sum;  /* ones' complement sum of the IPv4 header's words that never change */
	__u32 udp_sum; /* the same for pseudo-header, UDP header, payload, but addresses and port */
};

#define GEN_SPORT 1024u
#define GEN_DPORT 9u /* discard */

#endif
