/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * gen: the benchmark's source and sink.
 *
 * gen_send is run by BPF_PROG_TEST_RUN with live frames.  The kernel recycles the pages, headers as
 * the forwarder left them, so every field that a forwarder changes is written anew for each frame.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "gen.h"

/* A stream that fell behind by more than this does not catch up in one burst. */
#define LAG_MAX_NS 1000000ull

const volatile struct gen_stream fast; /* sent whenever the other has nothing due */
const volatile struct gen_stream
	slow; /* beside it, paced: frames for the slow path, another port */

__u64 fast_sent, slow_sent, held; /* held: runs with nothing due */
static __u64 fast_due_ns, slow_due_ns;

struct {
	__u64 fast, slow;
	__u64 pad[6]; /* a cache line a core */
} received[GEN_CPUS_MAX];

struct headers {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
} __attribute__((packed));

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

static __always_inline __u32 pick(__u64 count, __u32 of)
{
	/* Knuth's multiplicative hash: spreads consecutive numbers, costs two multiplications */
	return of <= 1 ? 0 : ((__u64)((__u32)count * 2654435761u) * of) >> 32;
}

/* Fill in a frame of the stream. */
static __always_inline void build(struct headers *h, const volatile struct gen_stream *s,
				  __u64 count)
{
	__u32 daddr = s->daddr + (pick(count, s->daddrs) << s->dshift);
	__u32 low = ((__u32)s->dmac[4] << 8 | s->dmac[5]) + pick(count, s->dmacs);
	__u16 sport = GEN_SPORT + (s->flows <= 1 ? 0 : count % s->flows);
	__u32 addresses = (s->saddr >> 16) + (s->saddr & 0xffff) + (daddr >> 16) + (daddr & 0xffff);
	__u16 sum;

	for (int i = 0; i < 4; i++) {
		h->eth.h_dest[i] = s->dmac[i];
	}
	h->eth.h_dest[4] = low >> 8;
	h->eth.h_dest[5] = low;
	for (int i = 0; i < ETH_ALEN; i++) {
		h->eth.h_source[i] = s->smac[i];
	}
	h->ip.ttl = 64;
	h->ip.saddr = bpf_htonl(s->saddr);
	h->ip.daddr = bpf_htonl(daddr);
	h->ip.check = bpf_htons(fold(s->ip_sum + addresses));
	h->udp.source = bpf_htons(sport);
	sum = fold(s->udp_sum + addresses + sport);
	h->udp.check = bpf_htons(sum ? sum : 0xffff); /* RFC 768: 0 means none */
}

/* Is a frame of a paced stream due? */
static __always_inline int due(__u64 *due_ns, __u32 gap_ns, __u64 now)
{
	if (now < *due_ns) {
		return 0;
	}
	*due_ns = now - *due_ns > LAG_MAX_NS ? now : *due_ns + gap_ns;
	return 1;
}

SEC("xdp")
int gen_send(struct xdp_md *ctx)
{
	struct headers *h = (void *)(long)ctx->data;
	__u64 now = fast.gap_ns || slow.ifindex ? bpf_ktime_get_ns() : 0;

	if ((void *)(h + 1) > (void *)(long)ctx->data_end) {
		return XDP_ABORTED;
	}
	if (slow.ifindex && due(&slow_due_ns, slow.gap_ns, now)) {
		build(h, &slow, slow_sent++);
		return bpf_redirect(slow.ifindex, 0);
	}
	if (!fast.ifindex || (fast.gap_ns && !due(&fast_due_ns, fast.gap_ns, now))) {
		held++;
		return XDP_DROP;
	}
	build(h, &fast, fast_sent++);
	return bpf_redirect(fast.ifindex, 0);
}

/* Count what our generator sent, and end it here; the rest (ARP above all: without its answers the
 * neighbour entry would expire in mid-run) goes up the stack. */
SEC("tc")
int gen_sink(struct __sk_buff *skb)
{
	if (skb->protocol != bpf_htons(ETH_P_IP)) {
		return TC_ACT_OK;
	}
	received[bpf_get_smp_processor_id() & (GEN_CPUS_MAX - 1)].fast++;
	return TC_ACT_SHOT;
}

/* The same where the slow stream comes back. */
SEC("tc")
int gen_sink_slow(struct __sk_buff *skb)
{
	if (skb->protocol != bpf_htons(ETH_P_IP)) {
		return TC_ACT_OK;
	}
	received[bpf_get_smp_processor_id() & (GEN_CPUS_MAX - 1)].slow++;
	return TC_ACT_SHOT;
}

/* The floor: what generator and one veth cost with nobody behind it. */
SEC("xdp")
int gen_floor(struct xdp_md *ctx)
{
	received[bpf_get_smp_processor_id() & (GEN_CPUS_MAX - 1)].fast++;
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
