/* SPDX-License-Identifier: BSD-2-Clause */
#include "path/route.h"

#include "path/egress.h"
#include "path/lookup.h"
#include "path/multipath.h"
#include "path/parse.h"

/* Addresses that never are a destination to forward to, or a source (RFC 1812 5.3.7). */
static bool martian4(const struct packet *packet)
{
	uint8_t s = packet->src[0], d = packet->dst[0];

	return s == 0 || s == 127 || s >= 224 || d == 0 || d == 127 || d >= 224;
}

/* ::/64 covers unspecified, loopback and v4-mapped; ff00::/8 multicast; fe80::/10 link-local. */
static bool martian6(const uint8_t a[16])
{
	static const uint8_t zeros[8];

	return a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || !memcmp(a, zeros, 8);
}

/* The hop's neighbour, and the way to it. TX when `way` was filled. */
static struct verdict resolve(const struct path *path, const struct topo_if *out,
			      const struct lookup *found, const struct packet *packet,
			      struct emc_entry *way)
{
	const struct hop *hop = found->hop;
	struct neigh_key key = {.ifindex = hop->ifindex, .family = packet->family};
	unsigned max = packet->family == IP_V4 ? out->mtu : out->mtu6;
	const struct neigh_entry *neigh;

	max = max < found->mtu ? max : found->mtu;
	if (packet->size > max) {
		return verdict_punt(PUNT_TOO_BIG);
	}
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
	way->max = max < UINT16_MAX ? (uint16_t)max : UINT16_MAX;
	return egress(path, out, &neigh->lladdr, packet->size, way);
}

/* Local tables, source, route, egress, MTU, neighbour: everything that both families do alike. */
static struct verdict find_way(const struct path *path, const struct topo_if *in,
			       const struct packet *packet, struct lookup *found,
			       struct emc_entry *way)
{
	struct verdict verdict = lookup_route(path, in, packet, found);
	const struct hop *hop = found->hop;
	const struct topo_if *out;

	if (verdict.kind != VERDICT_TX) {
		return verdict;
	}
	if (!lookup_source(path, in, hop->ifindex, packet)) {
		return verdict_punt(PUNT_MARTIAN);
	}
	if (hop->ifindex == in->ifindex) {
		return verdict_punt(PUNT_REDIRECT);
	}
	out = topo_if(path->topo, hop->ifindex);
	if (!egress_is_fast(out)) {
		verdict = verdict_punt(PUNT_NOT_FAST);
		verdict.elsewhere = true;
		return verdict;
	}
	return resolve(path, out, found, packet, way);
}

/* With nothing remembered of such a packet: find its way, and remember that if it may be (`keep`).
 * `src` is where its addresses are in the frame, one behind the other. */
static __attribute__((noinline)) struct verdict look_up(struct path *path, const struct topo_if *in,
							enum ip_family family, const uint8_t *src,
							unsigned size, bool keep,
							struct emc_entry *seen)
{
	const unsigned addr_size = family == IP_V4 ? 4 : 16;
	const struct packet packet = {.family = family,
				      .ip = src - (family == IP_V4 ? 12 : 8),
				      .src = src,
				      .dst = src + addr_size,
				      .addr_size = addr_size,
				      .size = size};
	struct lookup found = {0};
	struct emc_entry way = {0};
	struct verdict verdict;

	if (family == IP_V4 ? martian4(&packet) : martian6(packet.src) || martian6(packet.dst)) {
		return verdict_punt(PUNT_MARTIAN);
	}
	verdict = find_way(path, in, &packet, &found, &way);
	if (verdict.kind == VERDICT_TX) {
		memcpy(way.key, src, 2 * addr_size);
		way.ingress = emc_ingress(family == IP_V4 ? EMC_IPV4 : EMC_IPV6, in->ifindex, 0);
		way.stamp = keep && found.by_addresses ? path->emc.stamp : 0;
		*seen = way;
	}
	return verdict;
}

static struct verdict refused(enum parse_result result)
{
	return verdict_punt(result == PARSE_OPTIONS ? PUNT_OPTIONS : PUNT_BAD_IP);
}

static inline struct verdict route4(struct path *path, const struct topo_if *in,
				    struct xsk_frame *frame)
{
	struct ipv4 *ip = (struct ipv4 *)(frame->data + ETH_SIZE);
	const uint64_t ingress = emc_ingress(EMC_IPV4, in->ifindex, 0);
	struct emc_entry *way;
	enum parse_result result;
	struct verdict verdict;
	unsigned size;
	uint64_t key;
	bool error;

	result = parse_ipv4(frame, &size);
	if (result != PARSE_OK) {
		return refused(result);
	}
	if (!(in->flags & TOPO_FORWARD4)) {
		return verdict_punt(PUNT_FORWARDING);
	}
	if (in->flags & TOPO_FRAGMENTS && parse_is_fragment(frame)) {
		return verdict_punt(PUNT_FRAGMENT);
	}
	if (ip->ttl <= 1) {
		return verdict_punt(PUNT_TTL);
	}
	memcpy(&key, ip->src, sizeof(key)); /* and the destination behind it */
	way = emc_place(&path->emc, ingress, &key, 1);
	error = multipath_is_error4(ip, size);
	if (!emc_hit(&path->emc, way, ingress, &key, 1) || size > way->max || error) {
		verdict = look_up(path, in, IP_V4, ip->src, size, !error, way);
		if (verdict.kind != VERDICT_TX) {
			return verdict;
		}
	}
	ipv4_decrease_ttl(ip);
	egress_write(frame, way, size);
	return verdict_tx(way->slot);
}

/* Neighbour discovery (RFC 4861 4): for an address that we are proxy for (kernel ip6_forward(),
 * ip6_forward_proxy_check()) it is ours to answer. */
static inline bool is_discovery(const struct ipv6 *ip, unsigned size)
{
	const uint8_t *type = (const uint8_t *)(ip + 1);

	return __builtin_expect(ip->next == PROTO_ICMPV6 && size > IPV6_SIZE, 0) &&
	       type[0] >= 133 && type[0] <= 137;
}

static inline struct verdict route6(struct path *path, const struct topo_if *in,
				    struct xsk_frame *frame)
{
	struct ipv6 *ip = (struct ipv6 *)(frame->data + ETH_SIZE);
	const uint64_t ingress = emc_ingress(EMC_IPV6, in->ifindex, 0);
	struct emc_entry *way;
	enum parse_result result;
	struct verdict verdict;
	uint64_t key[4];
	unsigned size;

	result = parse_ipv6(frame, &size);
	if (result != PARSE_OK) {
		return refused(result);
	}
	if (!(in->flags & TOPO_FORWARD6)) {
		return verdict_punt(PUNT_FORWARDING);
	}
	if (in->flags & TOPO_FRAGMENTS && parse_is_fragment(frame)) {
		return verdict_punt(PUNT_FRAGMENT);
	}
	if (ip->hops <= 1) {
		return verdict_punt(PUNT_TTL);
	}
	if (is_discovery(ip, size)) {
		return verdict_punt(PUNT_LOCAL);
	}
	memcpy(key, ip->src, sizeof(key));
	way = emc_place(&path->emc, ingress, key, 4);
	if (!emc_hit(&path->emc, way, ingress, key, 4) || size > way->max) {
		verdict = look_up(path, in, IP_V6, ip->src, size, true, way);
		if (verdict.kind != VERDICT_TX) {
			return verdict;
		}
	}
	ip->hops--;
	egress_write(frame, way, size);
	return verdict_tx(way->slot);
}

struct verdict route(struct path *path, const struct topo_if *in, struct xsk_frame *frame)
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
