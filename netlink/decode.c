/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/decode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>

#include "netlink/nlattr.h"

#define EXT_LOCKED 2u /* NTF_EXT_LOCKED, newer than those headers */
/* FRA_DSCP, so too; the older way to say it is in the header. */
#define FRA_DSCP_OR_TOS 25

static int family_of(uint8_t af, enum ip_family *out)
{
	if (af != AF_INET && af != AF_INET6) {
		return -EBADMSG;
	}
	*out = af == AF_INET ? IP_V4 : IP_V6;
	return 0;
}

int decode_addr(const void *data, size_t size, struct nl_addr *out)
{
	const struct nlattr *attr;
	struct ifaddrmsg header;
	bool local = false, any = false;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(header)) {
		return -EBADMSG;
	}
	memcpy(&header, data, sizeof(header));
	if (family_of(header.ifa_family, &out->family) != 0) {
		return -EBADMSG;
	}
	out->ifindex = header.ifa_index;
	attr_each(attr, data, size, sizeof(header))
	{
		/* With a peer (point to point) IFA_ADDRESS is the peer's and IFA_LOCAL ours. */
		if (mnl_attr_get_type(attr) == IFA_LOCAL) {
			local = attr_ip(attr, out->family, &out->addr);
			any |= local;
		} else if (mnl_attr_get_type(attr) == IFA_ADDRESS && !local) {
			any |= attr_ip(attr, out->family, &out->addr);
		}
	}
	return any ? 0 : -EBADMSG;
}

static void decode_neigh_attr(const struct nlattr *attr, struct nl_neigh *out)
{
	uint16_t length = mnl_attr_get_payload_len(attr);

	switch (mnl_attr_get_type(attr)) {
	case NDA_DST:
		if (out->family == AF_INET || out->family == AF_INET6) {
			out->has_dst = attr_ip(attr, out->family == AF_INET ? IP_V4 : IP_V6,
					       &out->dst);
		}
		break;
	case NDA_LLADDR:
		out->has_mac = length == MAC_SIZE && attr_get(attr, out->mac.b, MAC_SIZE);
		break;
	case NDA_VLAN:
		out->vlan = attr_u16(attr);
		break;
	case NDA_MASTER:
		out->master = attr_u32(attr);
		break;
	case NDA_FLAGS_EXT:
		out->locked = (attr_u32(attr) & EXT_LOCKED) != 0;
		break;
	}
}

int decode_neigh(const void *data, size_t size, struct nl_neigh *out)
{
	const struct nlattr *attr;
	struct ndmsg header;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(header)) {
		return -EBADMSG;
	}
	memcpy(&header, data, sizeof(header));
	if (header.ndm_ifindex <= 0) {
		return -EBADMSG;
	}
	out->family = header.ndm_family;
	out->ifindex = (uint32_t)header.ndm_ifindex;
	out->state = header.ndm_state;
	out->flags = header.ndm_flags;
	attr_each(attr, data, size, sizeof(header))
	{
		decode_neigh_attr(attr, out);
	}
	return 0;
}

/* Routes. ----------------------------------------------------------------------------------- */

/* RTA_VIA: a gateway of a family of its own. */
static bool decode_via(const struct nlattr *attr, struct hop *hop)
{
	const uint8_t *bytes = mnl_attr_get_payload(attr);
	size_t length = mnl_attr_get_payload_len(attr);
	enum ip_family family;
	uint16_t af;

	if (length < sizeof(af)) {
		return false;
	}
	memcpy(&af, bytes, sizeof(af));
	if ((af != AF_INET && af != AF_INET6) || family_of((uint8_t)af, &family) != 0 ||
	    length < sizeof(af) + ip_bits(family) / 8) {
		return false;
	}
	hop->has_via = 1;
	hop->via_family = (uint8_t)family;
	memset(&hop->via, 0, sizeof(hop->via));
	memcpy(hop->via.b, bytes + sizeof(af), ip_bits(family) / 8);
	return true;
}

static bool decode_gateway(const struct nlattr *attr, enum ip_family family, struct hop *hop)
{
	hop->has_via = 1;
	hop->via_family = (uint8_t)family;
	return attr_ip(attr, family, &hop->via);
}

/*
 * Metrics that only the machine's own connections look at are none of ours.  An MTU is: IPv4
 * forwards by it (ip_dst_mtu_maybe_forward()), IPv6 does not until the packet leaves
 * (__ip6_finish_output()), with the same answer.  A locked one brings path MTUs in, which are the
 * kernel's to know.
 */
static bool decode_metrics(const struct nlattr *nest, uint32_t *mtu)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (type > RTAX_FASTOPEN_NO_COOKIE ||
		    (type == RTAX_LOCK && attr_u32(attr) & 1u << RTAX_MTU)) {
			return false;
		}
		if (type == RTAX_MTU) {
			*mtu = attr_u32(attr);
		}
	}
	return true;
}

/* The hops of RTA_MULTIPATH. False: something in them is not understood. */
static bool decode_hops(const struct nlattr *nest, enum ip_family family, struct nl_route *out)
{
	const uint8_t *at = mnl_attr_get_payload(nest);
	size_t left = mnl_attr_get_payload_len(nest);
	bool known = true;

	while (left >= sizeof(struct rtnexthop)) {
		const struct nlattr *attr;
		struct rtnexthop header;
		struct hop *hop;
		size_t step;

		memcpy(&header, at, sizeof(header));
		if (header.rtnh_len < sizeof(header) || header.rtnh_len > left ||
		    out->route.count == NEXTHOP_HOPS_MAX) {
			return false;
		}
		hop = &out->route.hop[out->route.count];
		memset(hop, 0, sizeof(*hop));
		hop->ifindex = (uint32_t)header.rtnh_ifindex;
		hop->weight = (uint16_t)(header.rtnh_hops + 1u);
		out->hop_flags[out->route.count++] = header.rtnh_flags;
		attr_each(attr, at, header.rtnh_len, sizeof(header))
		{
			uint16_t type = mnl_attr_get_type(attr);

			if (type == RTA_GATEWAY) {
				known &= decode_gateway(attr, family, hop);
			} else if (type == RTA_VIA) {
				known &= decode_via(attr, hop);
			} else if (type != RTA_FLOW && type != RTA_PAD) {
				known = false;
			}
		}
		step = MNL_ALIGN(header.rtnh_len);
		at += step;
		left = left > step ? left - step : 0;
	}
	return known;
}

/* FNV-1a. */
static uint32_t digest(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++) {
		sum = (sum ^ bytes[i]) * 16777619u;
	}
	return sum;
}

/* What else the kernel tells two routes of one key apart by: fib_find_info(),
 * rt6_duplicate_nexthop(). */
static bool attr_tells_apart(uint16_t type)
{
	return type == RTA_PREFSRC || type == RTA_NH_ID || type == RTA_METRICS || type == RTA_SRC ||
	       type == RTA_FLOW;
}

/* Take one attribute in. False: it may matter and is not understood. */
static bool decode_route_attr(const struct nlattr *attr, enum ip_family family,
			      struct nl_route *out)
{
	struct rib_route *route = &out->route;
	struct rta_cacheinfo cache = {0};

	switch (mnl_attr_get_type(attr)) {
	case RTA_DST:
		return attr_ip(attr, family, &route->key.prefix);
	case RTA_TABLE:
		out->table = attr_u32(attr);
		return true;
	case RTA_PRIORITY:
		route->key.metric = attr_u32(attr);
		return true;
	case RTA_OIF:
		route->hop[0].ifindex = attr_u32(attr);
		return true;
	case RTA_GATEWAY:
		return decode_gateway(attr, family, &route->hop[0]);
	case RTA_VIA:
		return decode_via(attr, &route->hop[0]);
	case RTA_MULTIPATH:
		return decode_hops(attr, family, out);
	case RTA_METRICS:
		return decode_metrics(attr, &route->mtu);
	case RTA_CACHEINFO:
		/* In clock_t (rtnl_put_cacheinfo()); past, but still there: less than 0. */
		if (!attr_get(attr, &cache, sizeof(cache)) || cache.rta_expires < 0) {
			return false;
		}
		out->expires_ms = (uint32_t)cache.rta_expires > UINT32_MAX / 10
					  ? UINT32_MAX
					  : (uint32_t)cache.rta_expires * 10;
		return true;
	case RTA_SRC:
		out->source_specific = true;
		return true;
	case RTA_NH_ID:
		route->object = attr_u32(attr);
		return true;
	case RTA_PREFSRC:
		/* Those that the kernel makes with an address, it says when it takes them away. */
		route->prefsrc = out->protocol != RTPROT_KERNEL;
		return true;
	case RTA_PROTOINFO:
	case RTA_FLOW:
	case RTA_PREF:
	case RTA_PAD:
	case RTA_UID:
		return true;
	default:
		return false;
	}
}

/* What to do with frames for this route, when every attribute was understood. */
static uint8_t route_action(const struct nl_route *route)
{
	switch (route->route.type) {
	case RTN_LOCAL:
	case RTN_BROADCAST:
	case RTN_ANYCAST:
	case RTN_MULTICAST:
		return NEXTHOP_LOCAL;
	case RTN_UNICAST:
		break;
	case RTN_THROW:
		return NEXTHOP_THROW;
	case RTN_BLACKHOLE: /* maybe of an object, which may become another (fib_dump_info()) */
		if (route->route.object != 0) {
			break;
		}
		return NEXTHOP_KERNEL;
	default: /* blackhole, unreachable, prohibit, throw, nat: the kernel answers or drops */
		return NEXTHOP_KERNEL;
	}
	if (route->route.key.tos != 0) {
		return NEXTHOP_KERNEL;
	}
	/* Where an object leads is told by itself; an MTU of its route's own has no place there. */
	if (route->route.object != 0) {
		return route->route.mtu != 0 ? NEXTHOP_KERNEL : NEXTHOP_FORWARD;
	}
	if (route->route.count == 0) {
		return NEXTHOP_KERNEL;
	}
	for (unsigned i = 0; i < route->route.count; i++) {
		/* A weight of 65536 does not fit. */
		if (route->route.hop[i].ifindex == 0 || route->route.hop[i].weight == 0) {
			return NEXTHOP_KERNEL;
		}
	}
	return NEXTHOP_FORWARD;
}

/* Clear the bits of a prefix past its length, which is in bounds. */
static void mask_prefix(struct ip_addr *prefix, unsigned length)
{
	for (unsigned bit = length; bit < 128; bit++) {
		prefix->b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	}
}

int decode_route(const void *data, size_t size, struct nl_route *out)
{
	const struct nlattr *attr;
	enum ip_family family;
	struct rtmsg header;
	bool known = true;
	uint32_t origin;

	/* The hops are most of the struct and are cleared as they come. */
	memset(&out->route, 0, offsetof(struct rib_route, hop) + sizeof(struct hop));
	out->table = out->expires_ms = 0;
	out->cloned = out->source_specific = false;
	if (size < sizeof(header)) {
		return -EBADMSG;
	}
	memcpy(&header, data, sizeof(header));
	if (family_of(header.rtm_family, &family) != 0 || header.rtm_dst_len > ip_bits(family)) {
		return -EBADMSG;
	}
	out->table = header.rtm_table;
	out->cloned = (header.rtm_flags & RTM_F_CLONED) != 0;
	out->source_specific = header.rtm_src_len != 0;
	out->protocol = header.rtm_protocol;
	out->route.type = header.rtm_type;
	out->route.key.family = (uint8_t)family;
	out->route.key.len = header.rtm_dst_len;
	out->route.key.tos = header.rtm_tos;
	origin = digest(2166136261u, (uint8_t[]){header.rtm_protocol, header.rtm_scope}, 2);
	attr_each(attr, data, size, sizeof(header))
	{
		known &= decode_route_attr(attr, family, out);
		if (attr_tells_apart(mnl_attr_get_type(attr))) {
			origin = digest(origin, attr, mnl_attr_get_len(attr));
		}
	}
	out->route.origin = origin != 0 ? origin : 1;
	if (out->route.count == 0 && out->route.hop[0].ifindex != 0) {
		out->route.count = 1;
		out->route.hop[0].weight = 1;
		out->hop_flags[0] = (uint8_t)header.rtm_flags; /* RTNH_F_* of a single hop */
	}
	mask_prefix(&out->route.key.prefix, header.rtm_dst_len);
	out->route.key.table = out->table != RT_TABLE_UNSPEC ? out->table : RIB_MAIN;
	out->route.action = known ? route_action(out) : NEXTHOP_KERNEL;
	return 0;
}

/* Rules, netconf, qdiscs. ------------------------------------------------------------------- */

/* Take one attribute in; 0, or its type when it selects by something not understood. */
static uint16_t decode_rule_attr(const struct nlattr *attr, enum ip_family family,
				 struct nl_rule *out)
{
	uint16_t type = mnl_attr_get_type(attr);
	uint32_t value = attr_u32(attr);

	switch (type) {
	case FRA_PRIORITY:
		out->priority = value;
		return 0;
	case FRA_TABLE:
		out->table = value;
		return 0;
	case FRA_GOTO:
		out->target = value;
		return 0;
	case FRA_SRC:
		return attr_ip(attr, family, &out->src) ? 0 : type;
	case FRA_DST:
		return attr_ip(attr, family, &out->dst) ? 0 : type;
	case FRA_IIFNAME:
		attr_string(attr, out->iif, sizeof(out->iif));
		return 0;
	case FRA_OIFNAME:
		attr_string(attr, out->oif, sizeof(out->oif));
		return 0;
	case FRA_SUPPRESS_PREFIXLEN:
		out->suppress = value > 128 ? -1 : (int16_t)value;
		return value > 128 && value != UINT32_MAX ? type : 0;
	case FRA_SUPPRESS_IFGROUP:
		return value != UINT32_MAX ? type : 0;
	case FRA_L3MDEV:
		out->l3mdev = attr_u8(attr) != 0;
		return 0;
	case FRA_FWMARK:
		return value != 0 ? type : 0;
	case FRA_FWMASK: /* of mark 0, which every frame here has */
	case FRA_FLOW:   /* realms: for accounting */
	case FRA_PROTOCOL:
	case FRA_PAD:
		return 0;
	default:
		return type;
	}
}

int decode_rule(const void *data, size_t size, struct nl_rule *out)
{
	const struct nlattr *attr;
	struct fib_rule_hdr header;
	enum ip_family family;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(header)) {
		return -EBADMSG;
	}
	memcpy(&header, data, sizeof(header));
	if (family_of(header.family, &family) != 0 || header.src_len > ip_bits(family) ||
	    header.dst_len > ip_bits(family)) {
		return -EBADMSG;
	}
	out->family = header.family;
	out->table = header.table;
	out->action = header.action;
	out->src_len = header.src_len;
	out->dst_len = header.dst_len;
	out->invert = (header.flags & FIB_RULE_INVERT) != 0;
	out->suppress = -1;
	out->odd = header.tos != 0 ? FRA_DSCP_OR_TOS : 0;
	attr_each(attr, data, size, sizeof(header))
	{
		uint16_t odd = decode_rule_attr(attr, family, out);

		out->odd = out->odd != 0 ? out->odd : odd;
	}
	return 0;
}

const char *decode_rule_selector(uint16_t attribute)
{
	static const char *const names[] = {
		[FRA_FWMARK] = "fwmark",
		[FRA_SUPPRESS_IFGROUP] = "suppress_ifgroup",
		[FRA_TUN_ID] = "tun_id",
		[FRA_UID_RANGE] = "uidrange",
		[FRA_IP_PROTO] = "ipproto",
		[FRA_SPORT_RANGE] = "sport",
		[FRA_DPORT_RANGE] = "dport",
		[FRA_DSCP_OR_TOS] = "dscp",
		[26] = "flowlabel",
		[27] = "flowlabel",
		[28] = "sport",
		[29] = "dport",
		[30] = "dscp",
	};

	return attribute < sizeof(names) / sizeof(names[0]) && names[attribute] != NULL
		       ? names[attribute]
		       : "a selector unknown here";
}

int decode_conf(const void *data, size_t size, struct nl_conf *out)
{
	const struct nlattr *attr;
	struct netconfmsg header;
	bool named = false;

	*out = (struct nl_conf){.forwarding = -1, .rp_filter = -1, .ignore_linkdown = -1};
	if (size < sizeof(header)) {
		return -EBADMSG;
	}
	memcpy(&header, data, sizeof(header));
	out->family = header.ncm_family;
	attr_each(attr, data, size, sizeof(header))
	{
		switch (mnl_attr_get_type(attr)) {
		case NETCONFA_IFINDEX:
			out->ifindex = attr_u32(attr);
			named = true;
			break;
		case NETCONFA_FORWARDING:
			out->forwarding = attr_u32(attr) != 0;
			break;
		case NETCONFA_RP_FILTER:
			out->rp_filter = (int)(attr_u32(attr) & 0xff);
			break;
		case NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN:
			out->ignore_linkdown = attr_u32(attr) != 0;
			break;
		}
	}
	return named ? 0 : -EBADMSG;
}
