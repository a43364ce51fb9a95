/* SPDX-License-Identifier: BSD-2-Clause */
#include "path/multipath.h"

#include <linux/neighbour.h>

/* Kernel include/net/neighbour.h. */
#define NUD_VALID (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

/* FIB_MULTIPATH_HASH_FIELD_*, include/net/ip_fib.h; those of the inner header 6 bits up. */
enum {
	FIELD_SRC_IP = 1u << 0,
	FIELD_DST_IP = 1u << 1,
	FIELD_IP_PROTO = 1u << 2,
	FIELD_FLOWLABEL = 1u << 3,
	FIELD_SRC_PORT = 1u << 4,
	FIELD_DST_PORT = 1u << 5,
};
#define FIELDS_OUTER 0x03fu
#define FIELDS_INNER 0xfc0u
#define FIELDS_SHIFT 6u

/* Where the seed cannot be known: any number, the same after a restart. */
#define SEED_OF_OURS 0x5eedf00du

/* What is hashed: the kernel's struct flow_keys from `basic` on. */
struct keys {
	uint16_t n_proto;
	uint8_t proto, pad;
	uint32_t flow_label;
	uint32_t vlan[4], keyid;
	uint16_t sport, dport;
	uint32_t icmp;
	union {
		uint32_t v4[2];
		uint8_t v6[2][16];
	};
	uint32_t end; /* struct flow_keys ends at a multiple of 8 */
};

_Static_assert(sizeof(struct keys) == 72, "struct flow_keys less its control part");
#define KEYS_SIZE4 (sizeof(struct keys) - 24u)

/* What skb_flow_dissect_flow_keys() would find. */
struct flow {
	enum ip_family family; /* of the addresses */
	const uint8_t *src, *dst;
	uint8_t proto;
	bool inner; /* went into a tunnel, or stopped before one */
	uint32_t flow_label;
	uint16_t sport, dport;
};

/* SipHash-2-4 (Aumasson & Bernstein, 2012). -------------------------------------------------- */

static inline uint64_t rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* Of a multiple of 8 bytes, under a key of twice the same half. */
static uint64_t siphash(const void *data, unsigned size, uint64_t half)
{
	uint64_t v[4] = {half ^ 0x736f6d6570736575ull, half ^ 0x646f72616e646f6dull,
			 half ^ 0x6c7967656e657261ull, half ^ 0x7465646279746573ull};
	uint64_t word;

	for (unsigned i = 0; i <= size; i += 8) {
		word = (uint64_t)size << 56;
		if (i < size) {
			memcpy(&word, (const uint8_t *)data + i, sizeof(word));
		}
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (unsigned i = 0; i < 4; i++) {
		sip_round(v);
	}
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Both directions of a flow alike (__flow_hash_consistentify()). */
static void make_consistent(struct keys *keys, enum ip_family family)
{
	uint8_t address[16];
	uint32_t word;
	uint16_t port;

	if (family == IP_V4 && keys->v4[1] < keys->v4[0]) {
		word = keys->v4[0];
		keys->v4[0] = keys->v4[1];
		keys->v4[1] = word;
	} else if (family == IP_V6 && memcmp(keys->v6[1], keys->v6[0], 16) < 0) {
		memcpy(address, keys->v6[0], 16);
		memcpy(keys->v6[0], keys->v6[1], 16);
		memcpy(keys->v6[1], address, 16);
	}
	if (keys->dport < keys->sport) {
		port = keys->sport;
		keys->sport = keys->dport;
		keys->dport = port;
	}
}

/* Kernel fib_multipath_hash_from_keys(). */
static uint32_t hash_keys(const struct multipath *conf, struct keys *keys, enum ip_family family)
{
	uint64_t seed = conf->seed ? conf->seed : SEED_OF_OURS;
	uint32_t hash;

	make_consistent(keys, family);
	hash = (uint32_t)siphash(keys, family == IP_V4 ? KEYS_SIZE4 : sizeof(*keys),
				 seed << 32 | seed);
	return hash ? hash : 1;
}

/* Kernel jhash_2words() (Jenkins, lookup3) with initval 0. */
static uint32_t jhash2(uint32_t a, uint32_t b)
{
	uint32_t c = 0xdeadbeef + (2u << 2);
#define ROL(x, n) ((x) << (n) | (x) >> (32 - (n)))

	a += c;
	b += c;
	c ^= b;
	c -= ROL(b, 14);
	a ^= c;
	a -= ROL(c, 11);
	b ^= a;
	b -= ROL(a, 25);
	c ^= b;
	c -= ROL(b, 16);
	a ^= c;
	a -= ROL(c, 4);
	b ^= a;
	b -= ROL(a, 14);
	c ^= b;
	c -= ROL(b, 24);
#undef ROL
	return c;
}

/* Looking into packets. ---------------------------------------------------------------------- */

/* What is left of a packet. */
struct bytes {
	const uint8_t *at;
	unsigned left;
};

static bool skip(struct bytes *bytes, unsigned size)
{
	if (bytes->left < size) {
		return false;
	}
	bytes->at += size;
	bytes->left -= size;
	return true;
}

/* The IPv4 header there. False: cut off or wrong. `*last`: nothing behind it is looked at. */
static bool enter4(struct bytes *bytes, struct flow *flow, bool *last)
{
	const struct ipv4 *ip = (const struct ipv4 *)bytes->at;
	unsigned header;

	if (bytes->left < IPV4_SIZE) {
		return false;
	}
	header = (ip->version_ihl & 0xfu) * 4;
	flow->family = IP_V4;
	flow->src = ip->src;
	flow->dst = ip->dst;
	flow->proto = ip->proto;
	*last = (ip->frag_be & htons(0x3fff)) != 0;
	return header >= IPV4_SIZE && skip(bytes, header);
}

/* The IPv6 header and the extension headers behind it. */
static bool enter6(struct bytes *bytes, struct flow *flow, bool *last)
{
	const struct ipv6 *ip = (const struct ipv6 *)bytes->at;

	if (!skip(bytes, IPV6_SIZE)) {
		return false;
	}
	flow->family = IP_V6;
	flow->src = ip->src;
	flow->dst = ip->dst;
	flow->proto = ip->next;
	flow->flow_label = ntohl(ip->version_be) & 0xfffff;
	while (flow->proto == PROTO_HOPOPTS || flow->proto == PROTO_ROUTING ||
	       flow->proto == PROTO_DSTOPTS) {
		if (bytes->left < 8) {
			return false;
		}
		flow->proto = bytes->at[0];
		if (!skip(bytes, (bytes->at[1] + 1u) * 8)) {
			return false;
		}
	}
	*last = flow->proto == PROTO_FRAGMENT;
	if (*last) {
		flow->proto = bytes->left >= 8 ? bytes->at[0] : flow->proto;
		return bytes->left >= 8;
	}
	return true;
}

/* Kernel proto_ports_offset(). */
static void find_ports(const struct bytes *bytes, struct flow *flow)
{
	unsigned at = flow->proto == PROTO_AH ? 4 : 0;

	switch (flow->proto) {
	case PROTO_TCP:
	case PROTO_UDP:
	case 33:  /* DCCP */
	case 50:  /* ESP: its SPI */
	case 132: /* SCTP */
	case 136: /* UDP-Lite */
	case PROTO_AH:
		if (bytes->left >= at + 4) {
			memcpy(&flow->sport, bytes->at + at, sizeof(flow->sport));
			memcpy(&flow->dport, bytes->at + at + 2, sizeof(flow->dport));
		}
		break;
	default:
		break;
	}
}

/* GRE (RFC 2784, 2890) that carries IP: kernel __skb_flow_dissect_gre(). 0: it stays the outermost
 * that is looked at; -1: of another kind, which the kernel knows better. */
static int enter_gre(struct bytes *bytes, enum ip_family *family)
{
	unsigned flags, proto, size = 4;

	if (bytes->left < 4) {
		return -1;
	}
	flags = bytes->at[0] << 8 | bytes->at[1];
	proto = bytes->at[2] << 8 | bytes->at[3];
	if (flags & 0x4000 || (flags & 7) > 1) {
		return 0;
	}
	if (flags & 7 || (proto != ETHERTYPE_IPV4 && proto != ETHERTYPE_IPV6)) {
		return -1;
	}
	size += flags & 0x8000 ? 4 : 0;
	size += flags & 0x2000 ? 4 : 0;
	size += flags & 0x1000 ? 4 : 0;
	*family = proto == ETHERTYPE_IPV4 ? IP_V4 : IP_V6;
	return skip(bytes, size) ? 1 : -1;
}

/* A tunnel's payload: 1 entered, 0 none, -1 only the kernel can tell. */
static int enter_tunnel(struct bytes *bytes, const struct flow *flow, enum ip_family *family)
{
	switch (flow->proto) {
	case 4: /* IP in IP */
		*family = IP_V4;
		return 1;
	case 41:
		*family = IP_V6;
		return 1;
	case 47:
		return enter_gre(bytes, family);
	case 137: /* MPLS in IP */
		return -1;
	default:
		return 0;
	}
}

#define DEPTH_MAX 4 /* tunnels in tunnels; deeper is the kernel's */

/* False: only the kernel can tell. */
static bool dissect(enum ip_family family, const uint8_t *ip, unsigned size, bool into_tunnels,
		    struct flow *flow)
{
	struct bytes bytes = {ip, size};
	bool last = false;

	memset(flow, 0, sizeof(*flow));
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		int tunnel;

		if (!(family == IP_V4 ? enter4 : enter6)(&bytes, flow, &last)) {
			return false;
		}
		tunnel = last ? 0 : enter_tunnel(&bytes, flow, &family);
		if (tunnel < 0) {
			return false;
		}
		if (tunnel) {
			flow->inner = true;
		}
		if (!tunnel || !into_tunnels) {
			if (!last) {
				find_ports(&bytes, flow);
			}
			return true;
		}
		flow->flow_label = 0;
	}
	return false;
}

/* The policies. ------------------------------------------------------------------------------ */

static void keys_addresses(struct keys *keys, enum ip_family family, const uint8_t *src,
			   const uint8_t *dst)
{
	if (family == IP_V4) {
		memcpy(&keys->v4[0], src, 4);
		memcpy(&keys->v4[1], dst, 4);
	} else {
		memcpy(keys->v6[0], src, 16);
		memcpy(keys->v6[1], dst, 16);
	}
}

/* ip_multipath_l3_keys(), ip6_multipath_l3_keys(). */
static uint32_t hash_l3(const struct multipath *conf, enum ip_family family, const uint8_t *ip,
			unsigned size)
{
	struct keys keys = {0};

	if (family == IP_V4) {
		const struct ipv4 *header = (const struct ipv4 *)ip;

		if (multipath_is_error4(header, size) && !(header->frag_be & htons(0x1fff)) &&
		    size >= IPV4_SIZE + 8 + IPV4_SIZE) {
			header = (const struct ipv4 *)(ip + IPV4_SIZE + 8);
		}
		keys_addresses(&keys, IP_V4, header->src, header->dst);
	} else {
		const struct ipv6 *header = (const struct ipv6 *)ip;

		if (header->next == PROTO_ICMPV6 && size >= IPV6_SIZE + 8 + IPV6_SIZE &&
		    ip[IPV6_SIZE] >= 1 && ip[IPV6_SIZE] <= 4) {
			header = (const struct ipv6 *)(ip + IPV6_SIZE + 8);
		}
		keys_addresses(&keys, IP_V6, header->src, header->dst);
		keys.flow_label = header->version_be & htonl(0xfffff);
		keys.proto = header->next;
	}
	return hash_keys(conf, &keys, family);
}

/* Policies 1 (the 5-tuple) and 2 (addresses of the innermost). */
static bool hash_flow(const struct multipath *conf, enum ip_family family, const uint8_t *ip,
		      unsigned size, bool inner, uint32_t *hash)
{
	struct keys keys = {0};
	struct flow flow;

	if (!dissect(family, ip, size, inner, &flow)) {
		return false;
	}
	keys_addresses(&keys, flow.family, flow.src, flow.dst);
	if (!inner) {
		keys.proto = flow.proto;
		keys.sport = flow.sport;
		keys.dport = flow.dport;
	} else if (flow.family == IP_V6) {
		keys.proto = flow.proto;
		keys.flow_label = flow.flow_label;
	}
	*hash = hash_keys(conf, &keys, flow.family);
	return true;
}

static uint32_t hash_fields(const struct multipath *conf, const struct flow *flow, unsigned fields)
{
	static const uint8_t none[16];
	struct keys keys = {0};

	keys_addresses(&keys, flow->family, fields & FIELD_SRC_IP ? flow->src : none,
		       fields & FIELD_DST_IP ? flow->dst : none);
	keys.proto = fields & FIELD_IP_PROTO ? flow->proto : 0;
	keys.sport = fields & FIELD_SRC_PORT ? flow->sport : 0;
	keys.dport = fields & FIELD_DST_PORT ? flow->dport : 0;
	keys.flow_label = flow->family == IP_V6 && fields & FIELD_FLOWLABEL ? flow->flow_label : 0;
	return hash_keys(conf, &keys, flow->family);
}

/* Policy 3: fib_multipath_custom_hash_skb(), rt6_multipath_custom_hash_skb(). */
static bool hash_custom(const struct multipath *conf, enum ip_family family, const uint8_t *ip,
			unsigned size, uint32_t *hash)
{
	uint32_t fields = conf->fields[family], outer = 0, inner = 0;
	struct flow flow = {.inner = true};

	if (fields & FIELDS_OUTER) {
		if (!dissect(family, ip, size, false, &flow)) {
			return false;
		}
		outer = hash_fields(conf, &flow, fields & FIELDS_OUTER);
	}
	if (flow.inner && fields & FIELDS_INNER) {
		if (!dissect(family, ip, size, true, &flow)) {
			return false;
		}
		if (flow.inner) {
			inner = hash_fields(conf, &flow, fields >> FIELDS_SHIFT);
		}
	}
	*hash = jhash2(outer, inner);
	return true;
}

bool multipath_hash(const struct multipath *conf, enum ip_family family, const uint8_t *ip,
		    unsigned size, uint32_t *hash)
{
	bool known = true;

	switch (conf->policy[family]) {
	case 0:
		*hash = hash_l3(conf, family, ip, size);
		break;
	case 1:
	case 2:
		known = hash_flow(conf, family, ip, size, conf->policy[family] == 2, hash);
		break;
	case 3:
		known = hash_custom(conf, family, ip, size, hash);
		break;
	default:
		return false;
	}
	*hash >>= 1;
	return known;
}

/* Kernel nexthop_is_good_nh(): one whose neighbour is known to be unreachable is not. */
static bool is_good(const struct hop *hop, const struct neigh *neigh)
{
	struct neigh_key key = {
		.ifindex = hop->ifindex, .family = hop->via_family, .addr = hop->via};
	const struct neigh_entry *entry = hop->has_via ? neigh_find(neigh, &key) : NULL;

	return !entry || entry->nud & NUD_VALID;
}

const struct hop *multipath_hop(const struct nexthop *set, const struct neigh *neigh, uint32_t hash)
{
	const uint32_t *bound = nexthop_bounds(set);
	const struct hop *first = NULL;

	if (set->bucket_count) {
		/* nexthop_select_path_res() */
		return &set->hop[nexthop_buckets(set)[hash % set->bucket_count]];
	}
	for (unsigned i = 0; i < set->count; i++) {
		const struct hop *hop = &set->hop[i];

		if (set->object && !is_good(hop, neigh)) {
			continue;
		}
		first = first ? first : hop;
		if (hash <= bound[i]) {
			return hop;
		}
	}
	return first ? first : set->hop;
}
