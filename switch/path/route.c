/* SPDX-License-Identifier: BSD-2-Clause */
#include "path/route.h"

#include "path/bridge.h"
#include "path/parse.h"

/* A packet being routed: what both families need to find its way out. */
struct packet {
	enum ip_family family;
	const uint8_t *src, *dst; /* in the frame */
	unsigned addr_size;       /* bytes */
	unsigned size;            /* IP packet, header included, bytes */
};

/* Where it goes. */
struct way {
	const struct topo_if *out; /* L3 egress: a port or a bridge */
	struct mac dst;
	int slot; /* port that carries it */
};

/* Addresses that never are a destination to forward to, or a source (RFC 1812 5.3.7). */
static bool martian4(const struct ipv4 *ip)
{
	uint8_t s = ip->src[0], d = ip->dst[0];

	return s == 0 || s == 127 || s >= 224 || d == 0 || d == 127 || d >= 224;
}

/* ::/64 covers unspecified, loopback and v4-mapped; ff00::/8 multicast; fe80::/10 link-local. */
static bool martian6(const uint8_t a[16])
{
	static const uint8_t zeros[8];

	return a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || !memcmp(a, zeros, 8);
}

/* A stable choice by source and destination (the kernel's policy 0, with a hash of ours: the
 * kernel's seed cannot be read). */
static const struct hop *choose(const struct nexthop *nexthop, const struct packet *packet)
{
	const struct hop *hop = nexthop->hop;
	uint64_t hash = 0;
	uint32_t point;

	if (nexthop->count == 1) {
		return hop;
	}
	for (unsigned i = 0; i < packet->addr_size; i += 4) {
		hash = (hash ^ load32(packet->src + i)) * 0x9e3779b97f4a7c15ull;
		hash = (hash ^ load32(packet->dst + i)) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	point = (uint32_t)(((hash >> 32 ^ (hash & 0xffffffff)) * nexthop->weight_total) >> 32);
	while (point >= hop->weight) {
		point -= hop++->weight;
	}
	return hop;
}

/*
 * Reverse path (RFC 3704; kernel fib_validate_source()): may `src` come in by `in`?  False when the
 * kernel would drop it, or when only the kernel can tell.
 */
static bool source_agrees(const struct path *path, const struct topo_if *in,
			  const struct packet *packet)
{
	const struct nexthop *nexthop;
	uint32_t index;

	if (packet->family != IP_V4) {
		return true;
	}
	if (fib_lookup(path->local[IP_V4], packet->src)) {
		return false;
	}
	if (!in->rp_filter) {
		return true;
	}
	index = fib_lookup(path->main[IP_V4], packet->src);
	nexthop = index ? nexthops_at(path->nexthops, index) : NULL;
	if (!nexthop || nexthop->action != NEXTHOP_FORWARD) {
		return false;
	}
	for (unsigned i = 0; i < nexthop->count; i++) {
		if (nexthop->hop[i].ifindex == in->ifindex) {
			return true;
		}
	}
	return in->rp_filter == 2;
}

/* The hop's neighbour, and the port behind which it is. TX when `way` was filled. */
static struct verdict resolve(const struct path *path, const struct hop *hop,
			      const struct packet *packet, struct way *way)
{
	struct neigh_key key = {.ifindex = hop->ifindex, .family = packet->family};
	const struct topo_if *out = way->out;
	const struct neigh_entry *neigh;

	if (hop->has_via) {
		key.family = hop->via_family;
		key.addr = hop->via;
	} else {
		memcpy(key.addr.b, packet->dst, packet->addr_size);
	}
	neigh = neigh_find(path->neigh, &key);
	if (!neigh || !neigh->usable) {
		return verdict_punt(PUNT_NO_NEIGH);
	}
	neigh_touch(neigh, path->now_s);
	way->dst = neigh->lladdr;
	if (out->kind == TOPO_BRIDGE) {
		return bridge_egress(path, topo_bridge(path->topo, out->bridge), &neigh->lladdr,
				     ETH_SIZE + packet->size);
	}
	return verdict_tx(out->slot);
}

/* Local tables, source, route, egress, MTU, neighbour: everything that both families do alike. */
static struct verdict find_way(const struct path *path, const struct topo_if *in,
			       const struct packet *packet, struct way *way)
{
	const struct nexthop *nexthop;
	const struct hop *hop;
	uint32_t index;

	if (fib_lookup(path->local[packet->family], packet->dst)) {
		return verdict_punt(PUNT_LOCAL);
	}
	if (!source_agrees(path, in, packet)) {
		return verdict_punt(PUNT_MARTIAN);
	}
	index = fib_lookup(path->main[packet->family], packet->dst);
	if (!index) {
		return verdict_punt(PUNT_NO_ROUTE);
	}
	nexthop = nexthops_at(path->nexthops, index);
	if (nexthop->action != NEXTHOP_FORWARD) {
		return verdict_punt(PUNT_ROUTE_KERNEL);
	}
	hop = choose(nexthop, packet);
	if (hop->ifindex == in->ifindex) {
		return verdict_punt(PUNT_REDIRECT);
	}
	way->out = topo_if(path->topo, hop->ifindex);
	if (!way->out || (way->out->flags & (TOPO_UP | TOPO_L3)) != (TOPO_UP | TOPO_L3) ||
	    (way->out->kind == TOPO_PORT && way->out->bridge != TOPO_NONE)) {
		struct verdict verdict = verdict_punt(PUNT_NOT_FAST);

		verdict.elsewhere = true;
		return verdict;
	}
	if (packet->size > (packet->family == IP_V4 ? way->out->mtu : way->out->mtu6)) {
		return verdict_punt(PUNT_TOO_BIG);
	}
	return resolve(path, hop, packet, way);
}

static void rewrite_eth(struct xsk_frame *frame, const struct way *way, unsigned size)
{
	struct eth *eth = (struct eth *)frame->data;

	eth->dst = way->dst;
	eth->src = way->out->mac;
	frame->len = ETH_SIZE + size; /* padding of the ingress link stays behind */
}

static struct verdict refused(enum parse_result result)
{
	return verdict_punt(result == PARSE_OPTIONS ? PUNT_OPTIONS : PUNT_BAD_IP);
}

static struct verdict route4(const struct path *path, const struct topo_if *in,
			     struct xsk_frame *frame)
{
	struct ipv4 *ip = (struct ipv4 *)(frame->data + ETH_SIZE);
	struct packet packet = {.family = IP_V4, .src = ip->src, .dst = ip->dst, .addr_size = 4};
	enum parse_result result = parse_ipv4(frame, &packet.size);
	uint16_t old_be, new_be;
	struct verdict verdict;
	struct way way;

	if (result != PARSE_OK) {
		return refused(result);
	}
	if (!(in->flags & TOPO_FORWARD4)) {
		return verdict_punt(PUNT_FORWARDING);
	}
	if (martian4(ip)) {
		return verdict_punt(PUNT_MARTIAN);
	}
	if (ip->ttl <= 1) {
		return verdict_punt(PUNT_TTL);
	}
	verdict = find_way(path, in, &packet, &way);
	if (verdict.kind != VERDICT_TX) {
		return verdict;
	}
	memcpy(&old_be, &ip->ttl, sizeof(old_be)); /* TTL and protocol: one word of the header */
	ip->ttl--;
	memcpy(&new_be, &ip->ttl, sizeof(new_be));
	ip->check = checksum_replace(ip->check, old_be, new_be);
	rewrite_eth(frame, &way, packet.size);
	return verdict;
}

static struct verdict route6(const struct path *path, const struct topo_if *in,
			     struct xsk_frame *frame)
{
	struct ipv6 *ip = (struct ipv6 *)(frame->data + ETH_SIZE);
	struct packet packet = {.family = IP_V6, .src = ip->src, .dst = ip->dst, .addr_size = 16};
	enum parse_result result = parse_ipv6(frame, &packet.size);
	struct verdict verdict;
	struct way way;

	if (result != PARSE_OK) {
		return refused(result);
	}
	if (!(in->flags & TOPO_FORWARD6)) {
		return verdict_punt(PUNT_FORWARDING);
	}
	if (martian6(ip->src) || martian6(ip->dst)) {
		return verdict_punt(PUNT_MARTIAN);
	}
	if (ip->hops <= 1) {
		return verdict_punt(PUNT_TTL);
	}
	verdict = find_way(path, in, &packet, &way);
	if (verdict.kind != VERDICT_TX) {
		return verdict;
	}
	ip->hops--;
	rewrite_eth(frame, &way, packet.size);
	return verdict;
}

struct verdict route(const struct path *path, const struct topo_if *in, struct xsk_frame *frame)
{
	unsigned type = frame_ethertype(frame);

	if (!(in->flags & TOPO_L3) || !(in->flags & TOPO_UP)) {
		return verdict_punt(PUNT_FORWARDING);
	}
	if (type == ETHERTYPE_IPV4) {
		return route4(path, in, frame);
	}
	if (type == ETHERTYPE_IPV6) {
		return route6(path, in, frame);
	}
	return verdict_punt(PUNT_UNSUPPORTED);
}
