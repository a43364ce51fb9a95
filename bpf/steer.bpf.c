// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * steer: the XDP program that gives the fast path the frames it may have, and the kernel the rest.
 *
 * shunt_steer() at the end is the whole decision in order.  A function returns STEER_FAST or the
 * reason (enum steer_reason) why the frame is the kernel's.  What cannot be read in the linear part
 * of a frame is the kernel's too.
 *
 * Packet fields are read as words through plain pointers: UAPI's packed structs would make the
 * compiler read bytes.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "shared.h"
#include "steer_frame.bpf.h"

#define IP_FRAGMENT_OFFSET 0x1fff
#define IPV6_NEXTHDR_FRAGMENT 44
#define ICMPV6_NEIGHBOUR_SOLICITATION 135  /* RFC 4861, 4.3 */
#define ICMPV6_NEIGHBOUR_ADVERTISEMENT 136 /* 4.4 */
#define PORT_WORDS 8                       /* struct steer_port */

static __always_inline __u64 coarse_now(struct steer_cpu *cpu)
{
	__u64 jiffies = bpf_jiffies64();

	if (cpu->jiffies != jiffies || cpu->now_ns == 0) {
		cpu->now_ns = bpf_ktime_get_coarse_ns();
		cpu->jiffies = jiffies;
	}
	return cpu->now_ns;
}

/* Copy the port's description; false when it may have been overwritten meanwhile. */
static __always_inline int read_port(struct steer_port *out)
{
	volatile struct steer_description *from;
	volatile __u32 *words;
	__u32 zero = 0, generation;

	_Static_assert(sizeof(*out) == PORT_WORDS * sizeof(__u32), "copied as words");
	from = bpf_map_lookup_elem(&description, &zero);
	if (!from) {
		return 0;
	}
	generation = from->generation;
	words = (volatile __u32 *)&from->port[generation % STEER_COPIES];
#pragma unroll
	for (int i = 0; i < PORT_WORDS; i++) {
		((__u32 *)out)[i] = words[i];
	}
	return from->generation - generation < STEER_COPIES - 1;
}

static __always_inline const volatile struct steer_common *shared_words(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&common, &zero);
}

/* A group that the fast path replicates?  The kernel looks it up by IP destination, whatever the
 * MAC (br_mdb_entry_skb_get()).  What IGMP and MLD say is the kernel's. */
static __always_inline int judge_group(const struct frame *frame, const struct steer_port *port)
{
	const volatile struct steer_common *all = shared_words();
	struct steer_group_key key = {0};

	if (!all || !all->groups || !port->bridge) {
		return STEER_PASS_MULTICAST;
	}
	if (word(frame->data) == 0xffffffff && half(frame->data + 4) == 0xffff) {
		return STEER_PASS_MULTICAST;
	}
	key.bridge = port->bridge;
	key.vid = bridge_vid(frame, port);
	if (frame->type == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = frame->data + frame->l3;

		if ((void *)(ip + 1) > frame->end || ip->protocol == IPPROTO_IGMP) {
			return STEER_PASS_MULTICAST;
		}
		key.family = STEER_GROUP_IPV4;
		key.addr[0] = ip->daddr;
	} else if (frame->type == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = frame->data + frame->l3;

		if ((void *)(ip + 1) > frame->end || ip->nexthdr == IPPROTO_HOPOPTS ||
		    ip->nexthdr == IPPROTO_ICMPV6) {
			return STEER_PASS_MULTICAST;
		}
		key.family = STEER_GROUP_IPV6;
		__builtin_memcpy(key.addr, &ip->daddr, sizeof(key.addr));
	} else {
		key.family = STEER_GROUP_MAC;
		key.addr[0] = word(frame->data);
		*(__u16 *)&key.addr[1] = half(frame->data + 4);
	}
	return bpf_map_lookup_elem(&groups, &key) ? STEER_FAST : STEER_PASS_MULTICAST;
}

static __always_inline int judge_ethernet(const struct frame *frame, const struct steer_port *port)
{
	const __u8 *src = frame->data + ETH_ALEN;

	if (src[0] & 1 || (word(src) == 0 && half(src + 4) == 0)) {
		return STEER_PASS_BAD_SOURCE;
	}
	if (*(const __u8 *)frame->data & 1) {
		return judge_group(frame, port);
	}
	return STEER_FAST;
}

/* NULL: there are none. */
static __always_inline const volatile struct steer_common *verdicts_live(__u64 now)
{
	const volatile struct steer_common *all = shared_words();

	return all && now < all->verdict_end_ns ? all : 0;
}

/* 0/8, 127/8 and 240/4, which includes limited broadcast: ip_route_input_slow() calls them martian
 * on either side. `addr` in host order. */
static __always_inline int martian4(__u32 addr)
{
	__u32 net = addr >> 24;

	return net == 0 || net == 127 || net >= 240;
}

/* A frame for us with IPv4 inside: may it be routed? */
static __always_inline int judge_ipv4(const struct frame *frame, const struct steer_port *port,
				      struct steer_cpu *cpu)
{
	const struct iphdr *ip = frame->data + frame->l3;
	struct steer_verdict4_key key;
	const volatile struct steer_common *live;
	struct steer_verdict *verdict;
	__u32 src, dst, daddr, total;
	__u64 now;

	if ((void *)(ip + 1) > frame->end) {
		return STEER_PASS_SHORT;
	}
	total = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl < 5 || total < ip->ihl * 4u ||
	    total > frame->len - frame->l3) {
		return STEER_PASS_SHORT;
	}
	daddr = ip->daddr;
	src = bpf_ntohl(ip->saddr);
	dst = bpf_ntohl(daddr);
	if (martian4(dst) || martian4(src) || (src >> 28) == 0xe) {
		return STEER_PASS_MARTIAN;
	}
	if ((dst >> 28) == 0xe) {
		return STEER_PASS_LINK_LOCAL;
	}
	if (bpf_map_lookup_elem(&local4, &daddr)) {
		return STEER_PASS_LOCAL;
	}
	if (ip->ihl > 5) {
		return STEER_PASS_OPTIONS;
	}
	if (ip->ttl <= 1) {
		return STEER_PASS_TTL;
	}
	now = coarse_now(cpu);
	live = verdicts_live(now);
	if (live) {
		key.slot = port->slot;
		key.addr = daddr;
		verdict = bpf_map_lookup_elem(&verdict4, &key);
		if (verdict && now < verdict->until_ns &&
		    verdict->made_ns > live->verdict_since_ns) {
			return STEER_PASS_VERDICT;
		}
	}
	return STEER_FAST;
}

/* ::, ::1 and ::ffff:0:0/96: ip6_rcv_core() drops them, or they cannot be there. */
static __always_inline int martian6(const struct in6_addr *addr)
{
	const __u32 *w = addr->s6_addr32;

	if (w[0] || w[1]) {
		return 0;
	}
	return w[2] == bpf_htonl(0xffff) || (w[2] == 0 && (w[3] == 0 || w[3] == bpf_htonl(1)));
}

static __always_inline int link_local6(const struct in6_addr *addr)
{
	return (addr->s6_addr16[0] & bpf_htons(0xffc0)) == bpf_htons(0xfe80);
}

/* A frame for us with IPv6 inside: may it be routed? */
static __always_inline int judge_ipv6(const struct frame *frame, const struct steer_port *port,
				      struct steer_cpu *cpu)
{
	const struct ipv6hdr *ip = frame->data + frame->l3;
	struct steer_verdict6_key key;
	const volatile struct steer_common *live;
	struct steer_verdict *verdict;
	struct in6_addr dst;
	__u64 now;

	if ((void *)(ip + 1) > frame->end) {
		return STEER_PASS_SHORT;
	}
	if (ip->version != 6 || sizeof(*ip) + bpf_ntohs(ip->payload_len) > frame->len - frame->l3) {
		return STEER_PASS_SHORT;
	}
	if (ip->saddr.s6_addr[0] == 0xff || martian6(&ip->saddr) || martian6(&ip->daddr)) {
		return STEER_PASS_MARTIAN;
	}
	if (ip->daddr.s6_addr[0] == 0xff || link_local6(&ip->saddr) || link_local6(&ip->daddr)) {
		return STEER_PASS_LINK_LOCAL;
	}
	dst = ip->daddr;
	if (bpf_map_lookup_elem(&local6, &dst)) {
		return STEER_PASS_LOCAL;
	}
	if (ip->nexthdr == IPPROTO_HOPOPTS || ip->nexthdr == IPPROTO_ROUTING) {
		return STEER_PASS_OPTIONS;
	}
	if (ip->hop_limit <= 1) {
		return STEER_PASS_TTL;
	}
	now = coarse_now(cpu);
	live = verdicts_live(now);
	if (live) {
		key.slot = port->slot;
		__builtin_memcpy(key.addr, &dst, sizeof(key.addr));
		verdict = bpf_map_lookup_elem(&verdict6, &key);
		if (verdict && now < verdict->until_ns &&
		    verdict->made_ns > live->verdict_since_ns) {
			return STEER_PASS_VERDICT;
		}
	}
	return STEER_FAST;
}

/* Is it for the routing of this machine, by its MAC? */
static __always_inline int routed_mac(const struct frame *frame, const struct steer_port *port)
{
	const volatile struct steer_common *all;
	struct steer_mac_key key = {0};

	if (mac_equal(frame->data, port->router_mac)) {
		return 1;
	}
	all = shared_words();
	if (!all || !all->macs) {
		return 0;
	}
	key.slot = port->slot;
	key.vid = frame->proto ? frame->tci & VLAN_VID : 0;
	__builtin_memcpy(key.mac, frame->data, sizeof(key.mac));
	return bpf_map_lookup_elem(&macs, &key) != 0;
}

/* ARP, or neighbour solicitation or advertisement: to one MAC, since others were passed before. */
static __always_inline int finds_neighbours(const struct frame *frame)
{
	const struct ipv6hdr *ip = frame->data + frame->l3;
	const __u8 *icmp = (const __u8 *)(ip + 1);

	if (frame->type == bpf_htons(ETH_P_ARP)) {
		return 1;
	}
	return frame->type == bpf_htons(ETH_P_IPV6) && (void *)(icmp + 1) <= frame->end &&
	       ip->nexthdr == IPPROTO_ICMPV6 &&
	       (icmp[0] == ICMPV6_NEIGHBOUR_SOLICITATION ||
		icmp[0] == ICMPV6_NEIGHBOUR_ADVERTISEMENT);
}

/* To be bridged: unless its destination is known and out of our reach. */
static __always_inline int judge_bridged(const struct frame *frame, const struct steer_port *port)
{
	const volatile struct steer_common *all = shared_words();
	struct steer_elsewhere_key key = {0};

	if (port->flags & STEER_PORT_ARP && finds_neighbours(frame)) {
		return STEER_PASS_NEIGHBOUR;
	}
	if (!all || !all->elsewhere || !port->bridge) {
		return STEER_FAST;
	}
	key.bridge = port->bridge;
	key.vid = bridge_vid(frame, port);
	__builtin_memcpy(key.mac, frame->data, sizeof(key.mac));
	return bpf_map_lookup_elem(&elsewhere, &key) ? STEER_PASS_ELSEWHERE : STEER_FAST;
}

/* Who is it for: routed by us, bridged by us, or the kernel's? */
static __always_inline int judge_destination(const struct frame *frame,
					     const struct steer_port *port, struct steer_cpu *cpu)
{
	if (routed_mac(frame, port)) {
		if (frame->type == bpf_htons(ETH_P_IP)) {
			return port->flags & STEER_PORT_ROUTED ? judge_ipv4(frame, port, cpu)
							       : STEER_PASS_OFF;
		}
		if (frame->type == bpf_htons(ETH_P_IPV6)) {
			return port->flags & STEER_PORT_ROUTED ? judge_ipv6(frame, port, cpu)
							       : STEER_PASS_OFF;
		}
		return STEER_PASS_NON_IP;
	}
	if (frame->proto && port->flags & STEER_PORT_BRIDGED_TAGGED) {
		return STEER_FAST;
	}
	if (!(port->flags & STEER_PORT_BRIDGED)) {
		return STEER_PASS_NOT_OURS;
	}
	if (mac_equal(frame->data, port->port_mac)) {
		return STEER_PASS_LOCAL;
	}
	return judge_bridged(frame, port);
}

static __always_inline int udp_tunnel(__u16 port_be)
{
	switch (port_be) {
#define TUNNEL_CASE(number) case bpf_htons(number):
		STEER_UDP_TUNNELS(TUNNEL_CASE)
#undef TUNNEL_CASE
		return 1;
	default:
		return 0;
	}
}

/* May be redirected: a plain UDP header, or one that this cannot be asked of (later fragment). */
static __always_inline int finishable_udp(const struct frame *frame, const void *udp)
{
	if (udp + 4 > frame->end) {
		return 0;
	}
	return !udp_tunnel(half(udp)) && !udp_tunnel(half(udp + 2));
}

/*
 * Can the worker finish the frame's L4 checksum, should it be unfinished?  It knows TCP, UDP and
 * ICMPv6 behind a plain IP header; ICMP is always complete, ESP and AH cover finished bytes
 * (xfrm_output()), and so does a fragment (ip_do_fragment() calls skb_checksum_help()).  Not SCTP
 * (CRC32c), nor anything with another header inside.
 */
static __always_inline int finishable(const struct frame *frame)
{
	if (frame->type == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = frame->data + frame->l3;

		if ((void *)(ip + 1) > frame->end || ip->ihl < 5) {
			return 0;
		}
		switch (ip->protocol) {
		case IPPROTO_ICMP:
		case IPPROTO_TCP:
		case IPPROTO_ESP:
		case IPPROTO_AH:
			return 1;
		case IPPROTO_UDP:
			return ip->frag_off & bpf_htons(IP_FRAGMENT_OFFSET) ||
			       finishable_udp(frame, (const void *)ip + ip->ihl * 4);
		default:
			return 0;
		}
	}
	if (frame->type == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = frame->data + frame->l3;

		if ((void *)(ip + 1) > frame->end) {
			return 0;
		}
		switch (ip->nexthdr) {
		case IPPROTO_ICMPV6:
		case IPPROTO_TCP:
		case IPPROTO_ESP:
		case IPPROTO_AH:
		case IPV6_NEXTHDR_FRAGMENT:
			return 1;
		case IPPROTO_UDP:
			return finishable_udp(frame, ip + 1);
		default:
			return 0;
		}
	}
	return frame->type == bpf_htons(ETH_P_ARP);
}

/* Is the worker of this queue alive and does it answer?  Its words are stamped after each burst. */
static __always_inline int answers(const volatile struct steer_beat *beat, __u64 now)
{
	__u64 asked = beat->asked_ns, answered = beat->answered_ns;

	if (now < beat->hold_until_ns || beat->owner & STEER_OWNER_DIED) {
		return 0;
	}
	return asked <= answered || now < asked || now - asked <= STEER_STALE_NS;
}

/* Is the ARP or neighbour solicitation for one of our addresses? */
static __always_inline int asks_for_us(const struct frame *frame)
{
	if (frame->type == bpf_htons(ETH_P_ARP)) {
		/* RFC 826: ar$tpa of IPv4 over Ethernet */
		const void *target = frame->data + ETH_HLEN + 24;
		__u32 addr;

		if (target + sizeof(addr) > frame->end) {
			return 0;
		}
		addr = word(target);
		return bpf_map_lookup_elem(&local4, &addr) != 0;
	}
	if (frame->type == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = frame->data + ETH_HLEN;
		const __u8 *icmp = (const __u8 *)(ip + 1);
		struct in6_addr addr;

		if ((void *)icmp + 24 > frame->end || ip->nexthdr != IPPROTO_ICMPV6 ||
		    icmp[0] != ICMPV6_NEIGHBOUR_SOLICITATION) {
			return 0;
		}
		__builtin_memcpy(&addr, icmp + 8, sizeof(addr));
		return bpf_map_lookup_elem(&local6, &addr) != 0;
	}
	return 0;
}

static __always_inline int ip_is_local(const struct frame *frame)
{
	if (frame->type == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = frame->data + ETH_HLEN;
		__u32 addr;

		if ((void *)(ip + 1) > frame->end) {
			return 0;
		}
		addr = ip->daddr;
		return bpf_map_lookup_elem(&local4, &addr) != 0;
	}
	if (frame->type == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = frame->data + ETH_HLEN;
		struct in6_addr addr;

		if ((void *)(ip + 1) > frame->end) {
			return 0;
		}
		addr = ip->daddr;
		return bpf_map_lookup_elem(&local6, &addr) != 0;
	}
	return 0;
}

static __always_inline int dhcp(const struct iphdr *ip, const void *end)
{
	const __u8 *udp = (const __u8 *)(ip + 1);

	if ((void *)udp + 4 > end || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
	    ip->frag_off & bpf_htons(IP_FRAGMENT_OFFSET)) {
		return 0;
	}
	return half(udp + 2) == bpf_htons(67) || half(udp + 2) == bpf_htons(68);
}

/* What no router forwards (RFC 5771 4, RFC 4291 2.7, RFC 2131 4.1), and a host lives by: routing
 * protocols, neighbour discovery, router advertisements, DHCP. */
static __always_inline int of_this_link(const struct frame *frame)
{
	if (!(*(const __u8 *)frame->data & 1)) {
		return 0;
	}
	if (frame->type == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = frame->data + ETH_HLEN;

		if ((void *)(ip + 1) > frame->end) {
			return 0;
		}
		return (ip->daddr & bpf_htonl(0xffffff00)) == bpf_htonl(0xe0000000) ||
		       (ip->daddr == bpf_htonl(0xffffffff) && dhcp(ip, frame->end));
	}
	if (frame->type == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = frame->data + ETH_HLEN;

		return (void *)(ip + 1) <= frame->end &&
		       ip->daddr.s6_addr16[0] == bpf_htons(0xff02);
	}
	return 0;
}

/*
 * Stance "drop" with nobody there to forward: only what ends in this machine may reach the kernel,
 * so that it can be logged in to and mended.  Link control (802.1Q table 8-1) is never forwarded.
 * A tag beside the frame does not matter: our MAC and our address end here in any VLAN.  It does
 * for multicast, which the kernel would flood where the port or its VLAN is in a bridge.
 */
static __always_inline int for_this_machine(struct xdp_md *ctx, struct frame *frame,
					    const struct steer_port *port)
{
	if ((port->flags & (STEER_PORT_ROUTED | STEER_PORT_BRIDGED)) == STEER_PORT_ROUTED &&
	    of_this_link(frame) && judge_metadata(ctx, frame, port) == STEER_FAST &&
	    !frame->beside) {
		return 1;
	}
	if (word(frame->data) == bpf_htonl(0x0180c200) &&
	    (half(frame->data + 4) & bpf_htons(0xfff0)) == 0) {
		return 1;
	}
	if (asks_for_us(frame)) {
		return 1;
	}
	if (!mac_equal(frame->data, port->router_mac) && !mac_equal(frame->data, port->port_mac)) {
		return 0;
	}
	return ip_is_local(frame);
}

/* A bridge with an instance of MRP or CFM takes these whatever their MAC (br_add_frame()), others
 * bridge them; which it is the kernel says in special dumps only. */
static __always_inline int keeps_rings(const struct frame *frame)
{
	return frame->type == bpf_htons(ETH_P_MRP) || frame->type == bpf_htons(ETH_P_CFM);
}

static __always_inline int judge(struct xdp_md *ctx, struct frame *frame,
				 const struct steer_port *port, struct steer_cpu *cpu)
{
	int reason;

	if (!(port->flags & STEER_PORT_ON)) {
		return STEER_PASS_OFF;
	}
	reason = judge_metadata(ctx, frame, port);
	if (reason != STEER_FAST) {
		return reason;
	}
	if (frame->len + (frame->beside ? VLAN_TAG_SIZE : 0) > port->max_len) {
		return STEER_PASS_TOO_LONG;
	}
	reason = judge_tags(frame, port);
	if (reason != STEER_FAST) {
		return reason;
	}
	if (keeps_rings(frame)) {
		return STEER_PASS_RING;
	}
	reason = judge_ethernet(frame, port);
	if (reason != STEER_FAST) {
		return reason;
	}
	reason = judge_destination(frame, port, cpu);
	if (reason != STEER_FAST) {
		return reason;
	}
	if (port->flags & STEER_PORT_PARTIAL && !finishable(frame)) {
		return STEER_PASS_PARTIAL;
	}
	return STEER_FAST;
}

static __always_inline int pass(struct steer_counters *count, int reason)
{
	__u32 index = reason;

	if (index < STEER_REASON_COUNT) {
		count->passed[index]++;
	}
	return XDP_PASS;
}

SEC("xdp.frags")
int shunt_steer(struct xdp_md *ctx)
{
	__u32 zero = 0, queue = ctx->rx_queue_index;
	struct frame frame = {0};
	struct steer_counters *count;
	struct steer_cpu *cpu;
	volatile struct steer_beat *beat;
	struct steer_port port;
	__u64 now;
	int reason;

	cpu = bpf_map_lookup_elem(&cpus, &zero);
	if (!cpu) {
		return XDP_PASS;
	}
	count = &cpu->counters;
	if (!read_port(&port)) {
		return pass(count, STEER_PASS_OFF);
	}
	frame.data = (void *)(long)ctx->data;
	frame.end = (void *)(long)ctx->data_end;
	if (frame.data + ETH_HLEN > frame.end) {
		return pass(count, STEER_PASS_SHORT);
	}
	frame.len = bpf_xdp_get_buff_len(ctx);
	frame.l3 = ETH_HLEN;
	frame.type = half(frame.data + 2 * ETH_ALEN);
	beat = bpf_map_lookup_elem(&beats, &queue);

	/* A maximum of 0 is a port not yet described. */
	if (port.flags & STEER_PORT_DROP &&
	    (port.max_len == 0 || !beat || !bpf_map_lookup_elem(&xsks, &queue) ||
	     !answers(beat, coarse_now(cpu)))) {
		if (for_this_machine(ctx, &frame, &port)) {
			return pass(count, STEER_PASS_LOCAL);
		}
		count->dropped++;
		return XDP_DROP;
	}

	reason = judge(ctx, &frame, &port, cpu);
	if (reason != STEER_FAST) {
		return pass(count, reason);
	}
	if (!beat || bpf_redirect_map(&xsks, queue, XDP_PASS) != XDP_REDIRECT) {
		return pass(count, STEER_PASS_NO_SOCKET);
	}
	now = coarse_now(cpu);
	if (!answers(beat, now)) {
		return pass(count, STEER_PASS_STALE);
	}
	/* The first that is unanswered. Not written again within a tick of the clock: the line is
	 * the worker's too. */
	if (beat->asked_ns <= beat->answered_ns && beat->asked_ns != now) {
		beat->asked_ns = now;
	}
	if (frame.beside && !put_back(ctx, &frame)) {
		return XDP_ABORTED; /* cannot be: every driver leaves this much room */
	}
	count->redirected++;
	count->redirected_bytes += frame.len;
	return XDP_REDIRECT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
