/* SPDX-License-Identifier: BSD-2-Clause */
#include "judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maze.h"

#define ETH 14u

char judge_input[64];

void require(bool truth, const char *what)
{
	if (!truth) {
		fprintf(stderr, "fuzz: %s %s\n", what, judge_input);
		abort();
	}
}

uint16_t sum16(uint32_t sum, const uint8_t *bytes, unsigned size)
{
	for (unsigned i = 0; i < size; i++) {
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	}
	while (sum >> 16) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Bytes of VLAN tags before the type. */
static unsigned tag_bytes(const uint8_t *frame, unsigned len)
{
	unsigned size = 0;

	while (len >= ETH + size + 4 &&
	       (get16(frame + 12 + size) == 0x8100 || get16(frame + 12 + size) == 0x88a8)) {
		size += 4;
	}
	return size;
}

bool find_l4(struct l4 *l4, const uint8_t *frame, unsigned len)
{
	unsigned header, total, tags = tag_bytes(frame, len);
	const uint8_t *ip = frame + tags + ETH;

	frame += tags;
	len -= tags;
	if (len < ETH + 20) {
		return false;
	}
	if (get16(frame + 12) == 0x0800) {
		header = (ip[0] & 15) * 4u;
		total = get16(ip + 2);
		l4->proto = ip[9];
		l4->addresses = ip + 12;
		l4->addresses_size = 8;
		if (header < 20 || get16(ip + 6) & 0x3fff) {
			return false;
		}
	} else if (get16(frame + 12) == 0x86dd && len >= ETH + 40) {
		header = 40;
		total = 40 + get16(ip + 4);
		l4->proto = ip[6];
		l4->addresses = ip + 8;
		l4->addresses_size = 32;
	} else {
		return false;
	}
	if (total < header || total > len - ETH) {
		return false;
	}
	l4->start = ip + header;
	l4->size = total - header;
	l4->check_offset = tags + ETH + header + (l4->proto == 6 ? 16 : 6);
	return (l4->proto == 6 && l4->size >= 20) || (l4->proto == 17 && l4->size >= 8);
}

uint16_t pseudo_sum(const struct l4 *l4)
{
	return sum16(l4->proto + l4->size, l4->addresses, l4->addresses_size);
}

/* May `after` differ from `before` where it does?  Only in an L4 checksum that held the
 * pseudo-header's sum and is right now; `skip` says which bytes routing may have changed
 * besides. */
static void judge_bytes(unsigned slot, const struct xsk_frame *before,
			const struct xsk_frame *after, const bool skip[FRAME_ROOM])
{
	bool partial = slot >= 4 && slot <= 6;
	struct l4 old, new;
	unsigned check = 0;

	if (partial && find_l4(&old, before->data, before->len) &&
	    get16(before->data + old.check_offset) == pseudo_sum(&old)) {
		check = old.check_offset;
	}
	for (unsigned i = 0; i < after->len; i++) {
		require(skip[i] || (check && (i == check || i == check + 1)) ||
				before->data[i] == after->data[i],
			"a byte was changed that is nobody's to change");
	}
	if (check && check + 2 <= after->len) {
		require(find_l4(&new, after->data, after->len), "the segment was cut");
		require(sum16(pseudo_sum(&new), new.start, new.size) == 0xffff,
			"a finished checksum is wrong");
	}
}

static bool is_host(const uint8_t *mac)
{
	for (unsigned net = 0; net < MAZE_NETS; net++) {
		for (unsigned host = 2; host < 5; host++) {
			struct mac known = maze_host_mac(net, host);

			if (maze_resolved(host) && !memcmp(mac, known.b, 6)) {
				return true;
			}
		}
	}
	return false;
}

/* RFC 791 3.1, RFC 8200 4.5. */
static bool is_fragment(const uint8_t *frame, unsigned len)
{
	const uint8_t *ip = frame + ETH, *end = frame + len;
	unsigned next;

	if (get16(frame + 12) == 0x0800) {
		return len >= ETH + 20 && get16(ip + 6) & 0x3fff;
	}
	if (get16(frame + 12) != 0x86dd || len < ETH + 40) {
		return false;
	}
	next = ip[6];
	ip += 40;
	while ((next == 0 || next == 43 || next == 51 || next == 60) && ip + 8 <= end) {
		unsigned size = next == 51 ? 4 * (2u + ip[1]) : 8 * (1u + ip[1]);

		next = *ip;
		ip += size;
	}
	return next == 44;
}

static void judge_routed4(const uint8_t *old, const uint8_t *new, unsigned len, unsigned mtu,
			  bool skip[FRAME_ROOM])
{
	unsigned total = get16(old + 2);

	require(len >= 20 && old[0] == 0x45, "routed: not a plain IPv4 header");
	require(total >= 20 && total <= len && total <= mtu, "routed: IPv4 length");
	require(sum16(0, old, 20) == 0xffff, "routed: came with a wrong header checksum");
	require(sum16(0, new, 20) == 0xffff, "routed: goes with a wrong header checksum");
	require(old[8] >= 2 && new[8] == old[8] - 1, "routed: TTL");
	require(old[16] != 0 && old[16] != 127 && old[16] < 224, "routed to a martian");
	require(old[12] != 0 && old[12] != 127 && old[12] < 224, "routed from a martian");
	require(!(old[16] == 10 && old[17] < MAZE_NETS && old[18] == 0 && old[19] == 1),
		"routed, though it is for an address of ours");
	require(!(old[16] == 10 && old[17] == 20 && maze_worn() & MAZE_ROUTES),
		"routed by a route that is the kernel's now");
	require(!(old[16] == 10 && (old[17] == 21 || old[17] == 22 || old[17] == 24)),
		"routed where only the kernel may");
	skip[ETH + 8] = skip[ETH + 10] = skip[ETH + 11] = true;
}

static void judge_routed6(const uint8_t *old, const uint8_t *new, unsigned len, unsigned mtu,
			  bool skip[FRAME_ROOM])
{
	static const uint8_t zeros[15], documentation[5] = {0x20, 0x01, 0x0d, 0xb8, 0};
	bool documented = !memcmp(old + 24, documentation, 5);

	require(len >= 40 && old[0] >> 4 == 6, "routed: not IPv6");
	require(40 + get16(old + 4) <= len && 40 + get16(old + 4) <= mtu, "routed: IPv6 length");
	require(old[6] != 0 && old[6] != 43, "routed: a header for routers");
	require(old[7] >= 2 && new[7] == old[7] - 1, "routed: hop limit");
	require(old[8] != 0xff && old[24] != 0xff, "routed: multicast");
	require(memcmp(old + 8, zeros, 15) && memcmp(old + 24, zeros, 15), "routed: :: or ::1");
	require(get16(old + 8) >> 6 != 0xfe80 >> 6 && get16(old + 24) >> 6 != 0xfe80 >> 6,
		"routed: link-local");
	require(!(documented && old[29] < MAZE_NETS && !memcmp(old + 30, zeros, 9) && old[39] == 1),
		"routed, though it is for an address of ours");
	require(!(documented && old[29] == 20 && maze_worn() & MAZE_ROUTES),
		"routed by a route that is the kernel's now");
	require(!(documented && (old[29] == 21 || old[29] == 22 || old[29] == 24)),
		"routed where only the kernel may");
	skip[ETH + 7] = true;
}

static void judge_routed(unsigned slot, const struct xsk_frame *before,
			 const struct xsk_frame *after, unsigned out)
{
	const uint8_t *old = before->data, *new = after->data;
	struct mac mac = maze_router_mac(out);
	bool skip[FRAME_ROOM] = {false};
	bool v4 = get16(old + 12) == 0x0800;
	unsigned mtu = out == 4 ? 1280 : 1500;

	memset(skip, true, 12);
	require(is_host(new), "routed to a MAC that is no neighbour's");
	require(!memcmp(new + 6, mac.b, 6), "routed with another's source MAC");
	require(slot != 7 && out != 7, "routed on a bridge that may not");
	require(maze_bridge_of(slot) < 0 || maze_bridge_of(slot) != maze_bridge_of(out),
		"routed back out of its bridge");
	if (v4) {
		judge_routed4(old + ETH, new + ETH, before->len - ETH, mtu, skip);
		require(after->len == ETH + get16(old + ETH + 2), "routed: length");
	} else {
		require(get16(old + 12) == 0x86dd, "routed: neither IPv4 nor IPv6");
		judge_routed6(old + ETH, new + ETH, before->len - ETH, mtu, skip);
		require(after->len == ETH + 40 + get16(old + ETH + 4), "routed: length");
	}
	judge_bytes(slot, before, after, skip);
}

static void judge_bridged(unsigned slot, const struct xsk_frame *before, uint64_t slots)
{
	int bridge = maze_bridge_of(slot);

	require(bridge >= 0, "bridged from a port that is no member");
	require(!(before->data[0] & 1) && !(before->data[6] & 1), "bridged: multicast MAC");
	require(memcmp(before->data + 6, "\0\0\0\0\0\0", 6), "bridged: source MAC is zero");
	for (unsigned out = 0; out < MAZE_PORTS; out++) {
		struct mac ours = maze_port_mac(out);

		require(!(slots >> out & 1) || maze_bridge_of(out) == bridge,
			"bridged to a port that is no member");
		require(maze_bridge_of(out) != bridge || memcmp(before->data, ours.b, 6),
			"bridged, though it is for a MAC of ours");
	}
}

/* What may not be done where the links are worn. */
static void judge_worn(unsigned slot, const struct xsk_frame *before, uint64_t slots, bool routed)
{
	/* Ports whose routed fragments are the kernel's; whose bridged ones are too. */
	const uint64_t routed_whole = 0xd7, bridged_whole = 0x40;
	bool v4 = get16(before->data + 12) == 0x0800;

	require(!((routed ? routed_whole : bridged_whole) >> slot & 1) ||
			!is_fragment(before->data, before->len),
		"a fragment was sent that the kernel would hold");
	require(slot != 2 && !(slots >> 2 & 1), "sent although the port is down");
	require(routed || slot != 5, "bridged in where only the kernel may");
	require(!(slots >> 5 & 1), "bridged out where only the kernel may");
	require(!routed || slot != 3 || !v4, "routed though IPv4 forwarding is off");
	require(!routed || slot != 4 || v4, "routed though IPv6 forwarding is off");
}

/* What is routed may come with priority tags alone (VID 0): nothing in the maze takes another. */
static struct xsk_frame without_priority(const struct xsk_frame *frame, uint8_t *bytes)
{
	unsigned tags = tag_bytes(frame->data, frame->len);

	for (unsigned i = 0; i < tags; i += 4) {
		require(!(get16(frame->data + ETH + i) & 0xfff),
			"routed out of a VLAN of nobody's");
	}
	memcpy(bytes, frame->data, 12);
	memcpy(bytes + 12, frame->data + 12 + tags, frame->len - 12 - tags);
	return (struct xsk_frame){frame->id, frame->len - tags, bytes};
}

void judge(unsigned slot, const struct xsk_frame *before, const struct xsk_frame *after,
	   const struct verdict *verdict, uint64_t flood_slots, bool learnt)
{
	static const bool no_skip[FRAME_ROOM];
	struct mac router = maze_router_mac(slot), src = {{0}};
	uint64_t slots = verdict->kind == VERDICT_TX ? 1ull << (verdict->slot & 63) : flood_slots;

	require(verdict->kind <= VERDICT_FLOOD, "no such verdict");
	require(after->id == before->id && after->len <= before->len, "the frame grew or changed");
	require((before->len < ETH) ==
			(verdict->kind == VERDICT_DROP && verdict->reason == DROP_SHORT),
		"short");
	if (before->len >= ETH) {
		memcpy(src.b, before->data + 6, sizeof(src.b));
	}
	if (verdict->kind == VERDICT_DROP) {
		require(verdict->reason == DROP_SHORT || verdict->reason == DROP_SAME_PORT ||
				verdict->reason == DROP_FLOOD_NONE,
			"dropped for a reason that is not forward()'s");
		require(verdict->reason == DROP_SHORT || maze_bridge_of(slot) >= 0,
			"a routed frame was dropped");
	} else if (verdict->kind == VERDICT_PUNT) {
		require(verdict->reason < PUNT_REASON_COUNT, "no such punt reason");
		require(!verdict->elsewhere || verdict->reason == PUNT_NOT_FAST,
			"cacheable, but not for leaving elsewhere");
	} else {
		require(slots && !(slots >> MAZE_PORTS), "sent to no port of ours");
		bool routed = !memcmp(before->data, router.b, 6);
		uint8_t bytes[FRAME_ROOM];
		struct xsk_frame whole = routed ? without_priority(before, bytes) : *before;
		bool known = maze_bridge_of(slot) < 0 || maze_host_slot(&src) == (int)slot;

		require(known == !learnt, "learn");
		require(!(slots >> slot & 1), "sent back");
		if (maze_worn() & MAZE_LINKS) {
			judge_worn(slot, &whole, slots, routed);
		}
		if (routed) {
			require(verdict->kind == VERDICT_TX, "flooded, though it is for our MAC");
			judge_routed(slot, &whole, after, verdict->slot);
			return;
		}
		judge_bridged(slot, before, slots);
	}
	/* br_netfilter cuts what follows the IP packet; nobody else shortens a frame. */
	require(after->len == before->len || maze_bridge_of(slot) == 1, "the frame was cut");
	judge_bytes(slot, before, after, no_skip);
}
