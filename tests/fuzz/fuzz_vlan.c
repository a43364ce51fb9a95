/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_vlan: VLANs through forward(), against a model of the kernel's way.
 *
 * The world is that of vlan_world.h.  An input is 8 bytes that change it (who is untagged,
 * isolated, hairpin, locked; the bridge's protocol; who is in which VLAN), and then records of 4
 * bytes, a frame each: by which port, with up to three tags, from whom, for whom.  The model takes
 * a frame through the devices as the kernel does, with one tag beside the frame and the others in
 * it (__netif_receive_skb_core(), br_handle_frame_finish(), __allowed_ingress(), br_handle_vlan(),
 * vlan_dev_hard_start_xmit()), sharing no code with switch/path, and says what comes out of which
 * port, or that the kernel must say.  Both have to agree, byte for byte, for each frame alone and
 * for the one after it that is the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#include "judge.h"
#include "path/forward.h"
#include "tests/vlan_world.h"

#define TAGS_MAX 5u
#define STATIONS 10u
#define DEPTH_MAX 4u

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vlan_world world;

/* The model ---------------------------------------------------------------------------------- */

/* A frame in the kernel: tags in it, innermost first, and perhaps one more beside it. */
struct skb {
	uint32_t inside[TAGS_MAX], beside; /* Q(), AD(); beside: 0 none */
	unsigned count;
	struct mac dst, src;
	uint8_t to; /* second byte of the IP destination */
	bool routed;
};

enum outcome { OUT_DROP, OUT_KERNEL, OUT_SENT };

struct out {
	enum outcome outcome;
	uint64_t slots;
	struct skb skb[64]; /* by slot: what comes out there */
};

static unsigned vid_of(uint32_t tag)
{
	return tag & 0xfff;
}

static bool same_mac(struct mac a, struct mac b)
{
	return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}

static void push(struct skb *skb)
{
	if (skb->beside) {
		require(skb->count < TAGS_MAX, "the model ran out of tags");
		skb->inside[skb->count++] = skb->beside;
		skb->beside = 0;
	}
}

static void untag(struct skb *skb)
{
	if (!skb->beside && skb->count) {
		skb->beside = skb->inside[--skb->count];
	}
}

static const struct topo_if *device(uint32_t ifindex)
{
	return topo_if(world.w.tables.topo, ifindex);
}

static bool has_flag(uint32_t ifindex, uint32_t flag)
{
	return device(ifindex)->flags & flag;
}

/* The devices as vlan_world.h has them, by hand. */
static uint32_t vlan_on(uint32_t ifindex, uint32_t tag)
{
	static const struct {
		uint32_t lower, tag, ifindex;
	} vlans[] = {{5, Q(300), IF_P4_300},
		     {IF_P5, Q(100), IF_P5_100},
		     {IF_P5_100, Q(200), IF_P5_100_200},
		     {IF_P5, AD(7), IF_P5_AD7},
		     {IF_BR1, Q(10), IF_BR1_10},
		     {IF_BR2, Q(5), IF_BR2_5}};

	for (unsigned i = 0; i < sizeof(vlans) / sizeof(vlans[0]); i++) {
		if (vlans[i].lower == ifindex && vlans[i].tag == (tag & 0xffff0fff)) {
			return vlans[i].ifindex;
		}
	}
	return 0;
}

static int member_of_br1(uint32_t ifindex)
{
	return ifindex >= 1 && ifindex <= 4 ? (int)ifindex - 1 : ifindex == IF_P4_300 ? 4 : -1;
}

static uint32_t br1_member(unsigned member)
{
	return member == 4 ? IF_P4_300 : member + 1;
}

static uint32_t br1_proto(void)
{
	return (uint32_t)(world.proto ? world.proto : TPID_8021Q) << 16;
}

static const struct topo_vlan *br1_vlan(unsigned vid)
{
	return vid == 1    ? &world.vlan[0]
	       : vid == 10 ? &world.vlan[1]
	       : vid == 20 ? &world.vlan[2]
			   : NULL;
}

/* Out of a device that is no bridge. */
static void xmit(struct out *out, uint32_t ifindex, struct skb skb)
{
	const uint32_t lower = ifindex == IF_P4_300       ? 5
			       : ifindex == IF_P5_100_200 ? IF_P5_100
			       : ifindex > 8              ? IF_P5
							  : 0;
	const uint32_t tag = ifindex == IF_P4_300       ? Q(300)
			     : ifindex == IF_P5_100     ? Q(100)
			     : ifindex == IF_P5_100_200 ? Q(200)
			     : ifindex == IF_P5_AD7     ? AD(7)
							: 0;

	if (lower) {
		if (tag) {
			push(&skb);
			skb.beside = tag;
		}
		xmit(out, lower, skb);
		return;
	}
	push(&skb);
	out->outcome = OUT_SENT;
	require(!(out->slots >> (ifindex - 1) & 1), "the model sent to a port twice");
	out->slots |= 1ull << (ifindex - 1);
	out->skb[ifindex - 1] = skb;
}

/* Where a station is: member of br1, or -1. */
static int station_at(unsigned vid, struct mac mac)
{
	static const struct {
		uint16_t vlan, station;
		int member;
	} known[] = {{1, 0, 0},  {10, 0, 0}, {10, 1, 1}, {10, 3, 3},
		     {10, 4, 4}, {20, 0, 0}, {20, 2, 2}, {20, 3, 3}};

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].vlan == vid && same_mac(mac, world_station(known[i].station))) {
			return known[i].member;
		}
	}
	return -1;
}

static void deliver(struct out *out, int from, int to, const struct topo_vlan *vlan, struct skb skb)
{
	const uint32_t ifindex = br1_member((unsigned)to);

	if ((from == to && !has_flag(ifindex, TOPO_HAIRPIN)) || !(vlan->egress >> to & 1) ||
	    (from >= 0 && has_flag(br1_member((unsigned)from), TOPO_ISOLATED) &&
	     has_flag(ifindex, TOPO_ISOLATED))) {
		return;
	}
	if (vlan->untagged >> to & 1) {
		skb.beside = 0;
	}
	xmit(out, ifindex, skb);
}

/* Into br1 with its VLAN beside it, from a member or (-1) from above. */
static void br1_forward(struct out *out, int from, unsigned vid, struct skb skb)
{
	const struct topo_vlan *vlan = br1_vlan(vid);
	int to = station_at(vid, skb.dst);

	if (to >= 0) {
		deliver(out, from, to, vlan, skb);
	} else if (from < 0) {
		out->outcome = OUT_KERNEL;
	} else {
		for (int i = 0; i < 5; i++) {
			if (vlan->flood >> i & 1) {
				deliver(out, from, i, vlan, skb);
			}
		}
	}
}

/* The tag beside it says the VLAN afterwards; 0: nowhere. */
static unsigned allowed(struct skb *skb, unsigned pvid)
{
	unsigned vid = 0;
	bool tagged = skb->beside && (skb->beside & 0xffff0000) == br1_proto();

	if (tagged) {
		vid = vid_of(skb->beside);
	} else {
		push(skb);
	}
	if (!vid) {
		vid = pvid;
		skb->beside = tagged ? skb->beside | pvid : br1_proto() | pvid;
	}
	return br1_vlan(vid) ? vid : 0;
}

/* Out of an interface that is routed by, to the station that is there. */
static void route_out(struct out *out, struct skb skb)
{
	static const struct {
		uint8_t net;
		uint32_t ifindex;
		unsigned station;
	} nets[] = {{10, IF_BR1_10, 3},      {5, IF_P5, 5},     {100, IF_P5_100, 5},
		    {200, IF_P5_100_200, 5}, {7, IF_P5_AD7, 5}, {55, IF_BR2_5, 6},
		    {11, IF_BR1, 0}};
	unsigned i = 0, vid;

	while (nets[i].net != skb.to) {
		i++;
	}
	skb.dst = world_station(nets[i].station);
	skb.src = device(nets[i].ifindex)->mac;
	skb.routed = true;
	switch (nets[i].ifindex) {
	case IF_BR1_10:
		skb.beside = Q(10);
		/* fall through */
	case IF_BR1:
		vid = allowed(&skb, 1);
		if (!vid || !br1_vlan(vid)->self) {
			out->outcome = OUT_KERNEL;
		} else {
			br1_forward(out, -1, vid, skb);
		}
		break;
	case IF_BR2_5:
		skb.beside = Q(5);
		xmit(out, 7, skb);
		break;
	default:
		xmit(out, nets[i].ifindex, skb);
	}
}

static void receive(struct out *out, uint32_t ifindex, struct skb skb, bool host, unsigned depth);

static void br1_input(struct out *out, int member, struct skb skb)
{
	static const uint16_t pvid[] = {1, 10, 20, 0, 10};
	const uint32_t ifindex = br1_member((unsigned)member);
	unsigned vid = allowed(&skb, pvid[member]);
	const struct topo_vlan *vlan = vid ? br1_vlan(vid) : NULL;
	int at;

	if (!vlan || !(vlan->ingress >> member & 1)) {
		return;
	}
	at = station_at(vid, skb.src);
	/* To itself: learnt first, which nobody here can do as quickly. */
	if (same_mac(skb.dst, skb.src) || (has_flag(ifindex, TOPO_LOCKED) && at != member) ||
	    (same_mac(skb.src, world_mac(IF_BR1)) && vid != 20)) {
		out->outcome = OUT_KERNEL;
		return;
	}
	/* In 20 the bridge itself is not: its MAC is one as any other. */
	if (same_mac(skb.dst, world_mac(IF_BR1)) && vid != 20) {
		if (!vlan->self) {
			out->outcome = OUT_KERNEL;
			return;
		}
		if (vlan->self_untagged) {
			skb.beside = 0;
		}
		receive(out, IF_BR1, skb, true, 0);
		return;
	}
	br1_forward(out, member, vid, skb);
}

static void br2_input(struct out *out, uint32_t ifindex, struct skb skb)
{
	if (same_mac(skb.src, world_mac(IF_BR2)) || same_mac(skb.dst, skb.src)) {
		out->outcome = OUT_KERNEL;
	} else if (same_mac(skb.dst, world_mac(IF_BR2))) {
		receive(out, IF_BR2, skb, true, 0);
	} else if (same_mac(skb.dst, world_station(ifindex - 1))) {
		out->outcome = OUT_DROP;
	} else {
		xmit(out, 15 - ifindex, skb); /* p6 to p7 and back, known or not */
	}
}

static void receive(struct out *out, uint32_t ifindex, struct skb skb, bool host, unsigned depth)
{
	uint32_t above;

	untag(&skb);
	above = skb.beside ? vlan_on(ifindex, skb.beside) : 0;
	host = host || same_mac(skb.dst, device(ifindex)->mac);
	if (depth == DEPTH_MAX) {
		out->outcome = OUT_KERNEL;
	} else if (above) {
		skb.beside = 0;
		receive(out, above, skb, host, depth + 1);
	} else if (member_of_br1(ifindex) >= 0) {
		br1_input(out, member_of_br1(ifindex), skb);
	} else if (ifindex == 7 || ifindex == 8) {
		br2_input(out, ifindex, skb);
	} else if (vid_of(skb.beside)) {
		out->outcome = OUT_KERNEL;
	} else if (skb.beside) {
		skb.beside = 0;
		receive(out, ifindex, skb, host, depth + 1);
	} else if (!host) {
		out->outcome = OUT_KERNEL;
	} else {
		route_out(out, skb);
	}
}

/* The frames ----------------------------------------------------------------------------------- */

static struct mac pick_mac(unsigned pick)
{
	static const uint32_t routers[] = {IF_BR1, IF_BR1, IF_BR2, IF_P5, IF_P5, IF_P5_100};

	return pick % 16 < STATIONS ? world_station(pick % 16)
				    : world_mac(routers[pick % 16 - STATIONS]);
}

/* The bytes of a frame as the model has it. */
static unsigned print(const struct skb *skb, uint8_t *out)
{
	uint32_t tags[TAGS_MAX];
	unsigned len;

	for (unsigned i = 0; i < skb->count; i++) {
		tags[i] = skb->inside[skb->count - 1 - i];
	}
	len = vlan_frame(out, tags, skb->count, skb->dst, skb->src, world_ip4(10, 99, 0, 1),
			 world_ip4(10, skb->to, 0, 2));
	if (skb->routed) {
		uint8_t *ip = out + ETH_SIZE + skb->count * TAG_SIZE;
		uint16_t check;

		ip[8]--;
		ip[10] = ip[11] = 0;
		check = (uint16_t)~sum16(0, ip, 20);
		ip[10] = (uint8_t)(check >> 8);
		ip[11] = (uint8_t)check;
	}
	return len;
}

static struct skb read_skb(const uint8_t *record)
{
	static const uint32_t tags[] = {Q(10),     Q(20),  Q(1),    Q(0),     Q(300), Q(100),
					Q(200),    Q(5),   AD(7),   AD(10),   AD(0),  Q(77),
					Q(0xe00a), AD(20), Q(4095), Q(0x2014)};
	static const uint8_t nets[] = {10, 5, 100, 200, 7, 55, 11, 10};
	struct skb skb = {.dst = pick_mac(record[2] & 15),
			  .src = pick_mac(record[2] >> 4),
			  .to = nets[record[0] >> 5]};

	skb.count = record[0] >> 3 & 3;
	for (unsigned i = 0; i < skb.count; i++) {
		unsigned at = i == 0 ? record[1] & 15 : i == 1 ? record[1] >> 4 : record[3] & 15;

		skb.inside[i] = tags[at];
	}
	return skb;
}

/* What a port was sent, against what it should have been. */
static void compare(const struct path *path, const struct verdict *verdict,
		    const struct xsk_frame *frame, const struct out *want)
{
	static uint8_t copy_chunk[2048], wanted[256];
	const struct flood one = {.count = 1, .group[0].slots = 1ull << verdict->slot},
			   *flood = verdict->kind == VERDICT_FLOOD ? &path->flood[verdict->slot]
								   : &one;
	uint64_t slots = 0;

	for (unsigned i = 0; i < flood->count; i++) {
		struct xsk_frame copy = {.len = frame->len, .data = copy_chunk + FRAME_HEADROOM};

		memcpy(copy.data, frame->data, frame->len);
		forward_form(flood, i, &copy);
		require(!(slots & flood->group[i].slots), "one port in two forms");
		slots |= flood->group[i].slots;
		for (unsigned slot = 0; slot < 8; slot++) {
			if (flood->group[i].slots & want->slots & 1ull << slot) {
				unsigned len = print(&want->skb[slot], wanted);

				require(copy.len == len && !memcmp(copy.data, wanted, len),
					"a port got other bytes");
			}
		}
	}
	require(slots == want->slots, "it went to other ports");
}

static void judge_frame(unsigned slot, const struct skb *skb, uint32_t now_s)
{
	static struct out want;
	static struct path path;
	static uint8_t chunk[2048], before[256];
	struct verdict verdict;
	struct xsk_frame frame;

	want = (struct out){.outcome = OUT_DROP};
	receive(&want, slot + 1, *skb, false, 0);
	for (unsigned again = 0; again < 2; again++) {
		frame = (struct xsk_frame){.data = chunk + FRAME_HEADROOM};
		frame.len = print(skb, frame.data);
		memcpy(before, frame.data, frame.len);
		path_begin(&path, &world.w.tables, now_s);
		forward(&path, topo_port(path.topo, slot), &frame, 1, &verdict);
		if (verdict.kind == VERDICT_PUNT || verdict.kind == VERDICT_DROP) {
			require(frame.data == chunk + FRAME_HEADROOM &&
					!memcmp(frame.data, before, frame.len),
				"not as it came");
			/* A route back out of where it came from is the kernel's, whatever the
			 * model. */
			require(want.outcome == (verdict.kind == VERDICT_PUNT ? OUT_KERNEL
									      : OUT_DROP) ||
					(verdict.kind == VERDICT_PUNT &&
					 verdict.reason == PUNT_REDIRECT),
				verdict.kind == VERDICT_PUNT ? "punted" : "dropped");
		} else {
			require(want.outcome == OUT_SENT, "sent");
			compare(&path, &verdict, &frame, &want);
		}
	}
}

static void change_world(const uint8_t *data)
{
	static const uint32_t members[] = {1, 2, 3, 4, IF_P4_300};

	for (unsigned i = 0; i < 5; i++) {
		world.with[members[i]] = (data[0] >> i & 1 ? TOPO_ISOLATED : 0) |
					 (data[1] >> i & 1 ? TOPO_HAIRPIN : 0) |
					 (data[2] >> i & 1 ? TOPO_LOCKED : 0);
	}
	world.proto = data[3] & 1 ? TPID_8021AD : TPID_8021Q;
	for (unsigned i = 0; i < 3; i++) {
		struct topo_vlan *vlan = &world.vlan[i];

		vlan->ingress = vlan->learn = data[4 + i] & 0x1f;
		vlan->egress = vlan->flood = data[4 + i] & 0x1f & ~(data[7] & 0x18u);
		vlan->flood &= ~(data[3] >> 3 & 3u);
		vlan->untagged = vlan->egress & (data[7] ^ (0x0bu << i));
		vlan->self = i < 2 && !(data[4 + i] & 0x80);
		vlan->self_untagged = data[4 + i] & 0x40;
	}
	vlan_topo(&world);
}

/* What luck would take long to find: every pair of tags, for every MAC, in the world as it is
 * built. */
static void sweep(void)
{
	for (unsigned way = 0; way < 32; way++) {
		for (unsigned tags = 0; tags < 256; tags++) {
			for (unsigned dst = 0; dst < 16; dst++) {
				const uint8_t record[4] = {(uint8_t)(way | dst << 5), (uint8_t)tags,
							   (uint8_t)((way & 7) << 4 | dst), 0};
				struct skb skb = read_skb(record);

				judge_frame(way & 7, &skb, 0);
			}
		}
		rcu_quiescent_state();
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	rcu_register_thread();
	vlan_build(&world);
	sweep();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint32_t now_s;

	if (size < 8) {
		return 0;
	}
	change_world(data);
	for (size_t at = 8; at + 4 <= size && at < 8 + 64 * 4; at += 4) {
		struct skb skb = read_skb(data + at);

		judge_frame(data[at] & 7, &skb, ++now_s);
	}
	rcu_quiescent_state();
	return 0;
}
