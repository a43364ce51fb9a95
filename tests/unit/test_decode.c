/* SPDX-License-Identifier: BSD-2-Clause */
/* decode: messages built here, decoded whole, then cut at every length before a faulting page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_hook.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>

#include <libmnl/libmnl.h>

#include "netlink/decode.h"

static char buffer[4096] __attribute__((aligned(8)));
static struct nlmsghdr *message;

static void *begin(size_t header_size)
{
	memset(buffer, 0, sizeof(buffer));
	message = mnl_nlmsg_put_header(buffer);
	return mnl_nlmsg_put_extra_header(message, header_size);
}

/* One member per decoder, so that all can be called alike. */
union decoded {
	struct nl_link link;
	struct nl_addr addr;
	struct nl_neigh neigh;
	struct nl_route route;
	struct nl_rule rule;
	struct nl_conf conf;
	struct nl_qdisc qdisc;
	struct nl_chain chain;
	struct nl_hook hook;
	struct nl_policy policy;
	uint32_t word;
	char kind[16];
};

#define DECODER(name, member)                                                   \
	static int do_##name(const void *data, size_t size, union decoded *out) \
	{                                                                       \
		return decode_##name(data, size, &out->member);                 \
	}
DECODER(link, link)
DECODER(addr, addr)
DECODER(neigh, neigh)
DECODER(route, route)
DECODER(rule, rule)
DECODER(conf, conf)
DECODER(qdisc, qdisc)
DECODER(chain, chain)
DECODER(hook, hook)
DECODER(generation, word)
DECODER(spdinfo, word)
DECODER(flowtable, chain)
DECODER(policy, policy)
DECODER(link_xdp, word)

static int do_filter_kind(const void *data, size_t size, union decoded *out)
{
	return decode_filter_kind(data, size, out->kind, sizeof(out->kind));
}

typedef int (*decoder)(const void *data, size_t size, union decoded *out);

/* Decode the message built last into *out, then every shorter piece of it, each ending where the
 * mapping ends: reading one byte too many is a SIGSEGV. */
static void decode(decoder fn, union decoded *out)
{
	static union decoded scratch;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = mnl_nlmsg_get_payload_len(message);
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);

	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
	for (size_t cut = 0; cut <= size; cut++) {
		char *at = pages + page - cut;

		memcpy(at, mnl_nlmsg_get_payload(message), cut);
		fn(at, cut, &scratch);
	}
	assert_int_equal(munmap(pages, 2 * page), 0);
	assert_int_equal(fn(mnl_nlmsg_get_payload(message), size, out), 0);
	assert_int_equal(fn(mnl_nlmsg_get_payload(message), 0, &scratch), -EBADMSG);
}

static union decoded out;

/* Links. ------------------------------------------------------------------------------------ */

static const uint8_t MAC[6] = {2, 0, 0, 0, 0, 7};

static void begin_link(uint8_t family)
{
	struct ifinfomsg *header = begin(sizeof(*header));

	header->ifi_family = family;
	header->ifi_index = 7;
	header->ifi_type = ARPHRD_ETHER;
	header->ifi_flags = IFF_UP | IFF_RUNNING;
	mnl_attr_put_strz(message, IFLA_IFNAME, "eth7");
	mnl_attr_put(message, IFLA_ADDRESS, 6, MAC);
	mnl_attr_put_u32(message, IFLA_MTU, 1500);
}

static void link_says_name_mac_mtus_and_flags(void **state)
{
	int32_t conf[DEVCONF_DISABLE_IPV6 + 3] = {0};
	struct nlattr *spec, *inet6;

	begin_link(AF_UNSPEC);
	conf[DEVCONF_MTU6] = 1400;
	spec = mnl_attr_nest_start(message, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(message, AF_INET6);
	mnl_attr_put(message, IFLA_INET6_CONF, sizeof(conf), conf);
	mnl_attr_nest_end(message, inet6);
	mnl_attr_nest_end(message, spec);
	decode(do_link, &out);
	assert_int_equal(out.link.ifindex, 7);
	assert_string_equal(out.link.name, "eth7");
	assert_memory_equal(out.link.mac.b, MAC, 6);
	assert_int_equal(out.link.mtu, 1500);
	assert_int_equal(out.link.mtu6, 1400);
	assert_true(out.link.inet6);
	assert_false(out.link.inet6_disabled);
	assert_int_equal(out.link.flags, IFF_UP | IFF_RUNNING);
	assert_false(out.link.port.present);
	assert_false(out.link.bridge.present);
}

static void link_below_another_namespace_has_no_lower(void **state)
{
	begin_link(AF_UNSPEC);
	mnl_attr_put_u32(message, IFLA_LINK, 9);
	decode(do_link, &out);
	assert_int_equal(out.link.lower, 9);
	mnl_attr_put_u32(message, IFLA_LINK_NETNSID, 0);
	decode(do_link, &out);
	assert_int_equal(out.link.lower, 0);
}

/* Addresses, neighbours. -------------------------------------------------------------------- */

static void address_of_a_point_to_point_link_is_the_local_one(void **state)
{
	static const uint8_t ours[4] = {10, 0, 0, 1}, peers[4] = {10, 0, 0, 2};
	struct ifaddrmsg *header = begin(sizeof(*header));

	header->ifa_family = AF_INET;
	header->ifa_index = 4;
	mnl_attr_put(message, IFA_LOCAL, 4, ours);
	mnl_attr_put(message, IFA_ADDRESS, 4, peers);
	decode(do_addr, &out);
	assert_int_equal(out.addr.family, IP_V4);
	assert_int_equal(out.addr.ifindex, 4);
	assert_memory_equal(out.addr.addr.b, ours, 4);
}

static void neighbour_needs_a_six_byte_mac(void **state)
{
	static const uint8_t dst[16] = {0x20, 1, 0xd, 0xb8};
	struct ndmsg *header = begin(sizeof(*header));

	header->ndm_family = AF_INET6;
	header->ndm_ifindex = 5;
	header->ndm_state = NUD_STALE;
	mnl_attr_put(message, NDA_DST, 16, dst);
	mnl_attr_put(message, NDA_LLADDR, 6, MAC);
	decode(do_neigh, &out);
	assert_true(out.neigh.has_mac && out.neigh.has_dst);
	assert_int_equal(out.neigh.state, NUD_STALE);
	assert_memory_equal(out.neigh.dst.b, dst, 16);
	begin(sizeof(*header));
	header->ndm_family = AF_BRIDGE;
	header->ndm_ifindex = 5;
	mnl_attr_put(message, NDA_LLADDR, 4, MAC);
	mnl_attr_put_u16(message, NDA_VLAN, 12);
	mnl_attr_put_u32(message, NDA_MASTER, 3);
	decode(do_neigh, &out);
	assert_false(out.neigh.has_mac);
	assert_int_equal(out.neigh.vlan, 12);
	assert_int_equal(out.neigh.master, 3);
}

/* Routes. ----------------------------------------------------------------------------------- */

static struct rtmsg *begin_route(uint8_t type)
{
	static const uint8_t prefix[4] = {10, 9, 255, 0};
	struct rtmsg *header = begin(sizeof(*header));

	header->rtm_family = AF_INET;
	header->rtm_dst_len = 22;
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_type = type;
	mnl_attr_put(message, RTA_DST, 4, prefix);
	return header;
}

static void put_gateway(void)
{
	static const uint8_t gateway[4] = {10, 0, 0, 1};

	mnl_attr_put_u32(message, RTA_OIF, 3);
	mnl_attr_put(message, RTA_GATEWAY, 4, gateway);
}

static void plain_route_is_forwarded(void **state)
{
	const struct rib_route *route = &out.route.route;

	begin_route(RTN_UNICAST);
	put_gateway();
	mnl_attr_put_u32(message, RTA_PRIORITY, 77);
	mnl_attr_put_u32(message, RTA_FLOW, 5);
	decode(do_route, &out);
	assert_int_equal(route->action, NEXTHOP_FORWARD);
	assert_int_equal(route->key.len, 22);
	assert_int_equal(route->key.metric, 77);
	assert_int_equal(route->key.table, RIB_MAIN);
	assert_memory_equal(route->key.prefix.b, ((uint8_t[16]){10, 9, 252}), 16);
	assert_int_equal(route->count, 1);
	assert_int_equal(route->hop[0].ifindex, 3);
	assert_int_equal(route->hop[0].weight, 1);
	assert_true(route->hop[0].has_via);
	assert_memory_equal(route->hop[0].via.b, ((uint8_t[16]){10, 0, 0, 1}), 16);
	assert_int_not_equal(route->origin, 0);
}

static uint8_t route_action_with(uint8_t type, uint8_t tos, uint16_t attribute, size_t size,
				 const void *value)
{
	begin_route(type)->rtm_tos = tos;
	put_gateway();
	if (attribute != 0) {
		mnl_attr_put(message, attribute, size, value);
	}
	decode(do_route, &out);
	return out.route.route.action;
}

static void route_that_is_not_plain_is_the_kernels(void **state)
{
	struct rta_cacheinfo expires = {.rta_expires = 100}, never = {0};
	uint32_t word = 1;
	uint16_t nest_lock[4] = {8, RTAX_LOCK, 1u << RTAX_MTU, 0};
	uint16_t nest_mtu[4] = {8, RTAX_MTU, 1400, 0}, nest_hops[4] = {8, RTAX_HOPLIMIT, 3, 0};

	assert_int_equal(route_action_with(RTN_UNICAST, 0, 0, 0, NULL), NEXTHOP_FORWARD);
	assert_int_equal(route_action_with(RTN_BLACKHOLE, 0, 0, 0, NULL), NEXTHOP_KERNEL);
	assert_int_equal(route_action_with(RTN_UNREACHABLE, 0, 0, 0, NULL), NEXTHOP_KERNEL);
	assert_int_equal(route_action_with(RTN_THROW, 0, 0, 0, NULL), NEXTHOP_THROW);
	assert_int_equal(route_action_with(RTN_LOCAL, 0, 0, 0, NULL), NEXTHOP_LOCAL);
	assert_int_equal(route_action_with(RTN_BROADCAST, 0, 0, 0, NULL), NEXTHOP_LOCAL);
	assert_int_equal(route_action_with(RTN_UNICAST, 8, 0, 0, NULL), NEXTHOP_KERNEL);
	assert_int_equal(route_action_with(RTN_UNICAST, 0, RTA_ENCAP_TYPE, 2, &word),
			 NEXTHOP_KERNEL);
	assert_int_equal(route_action_with(RTN_UNICAST, 0, 77, 4, &word), NEXTHOP_KERNEL);
	assert_int_equal(route_action_with(RTN_UNICAST, 0, RTA_METRICS, 8, nest_lock),
			 NEXTHOP_KERNEL);
	assert_int_equal(route_action_with(RTN_UNICAST, 0, RTA_METRICS, 8, nest_mtu),
			 NEXTHOP_FORWARD);
	assert_int_equal(out.route.route.mtu, 1400);
	assert_int_equal(route_action_with(RTN_UNICAST, 0, RTA_METRICS, 8, nest_hops),
			 NEXTHOP_FORWARD);
	assert_int_equal(
		route_action_with(RTN_UNICAST, 0, RTA_CACHEINFO, sizeof(expires), &expires),
		NEXTHOP_FORWARD);
	assert_int_equal(out.route.expires_ms, 1000);
	expires.rta_expires = -1; /* over, and not collected yet */
	assert_int_equal(
		route_action_with(RTN_UNICAST, 0, RTA_CACHEINFO, sizeof(expires), &expires),
		NEXTHOP_KERNEL);
	assert_int_equal(route_action_with(RTN_UNICAST, 0, RTA_CACHEINFO, sizeof(never), &never),
			 NEXTHOP_FORWARD);
	begin_route(RTN_UNICAST);
	decode(do_route, &out);
	assert_int_equal(out.route.route.action, NEXTHOP_KERNEL); /* no way out */
}

static void put_hop(uint32_t ifindex, uint8_t hops, uint8_t flags, uint16_t attribute, size_t size,
		    const void *value)
{
	struct rtnexthop *hop = mnl_nlmsg_get_payload_tail(message);
	size_t length = sizeof(*hop) + (attribute ? MNL_ATTR_HDRLEN + size : 0);

	memset(hop, 0, MNL_ALIGN(length));
	hop->rtnh_len = (uint16_t)length;
	hop->rtnh_ifindex = (int)ifindex;
	hop->rtnh_hops = hops;
	hop->rtnh_flags = flags;
	if (attribute != 0) {
		struct nlattr *attr = (struct nlattr *)(hop + 1);

		attr->nla_type = attribute;
		attr->nla_len = (uint16_t)(MNL_ATTR_HDRLEN + size);
		memcpy(attr + 1, value, size);
	}
	message->nlmsg_len += MNL_ALIGN(length);
}

static void multipath_has_its_hops_weights_and_families(void **state)
{
	static const uint8_t gateway[4] = {10, 0, 0, 1};
	uint8_t via[18] = {AF_INET6, 0, 0xfe, 0x80};
	const struct rib_route *route = &out.route.route;
	struct nlattr *nest;

	begin_route(RTN_UNICAST);
	nest = mnl_attr_nest_start(message, RTA_MULTIPATH);
	put_hop(3, 0, 0, RTA_GATEWAY, 4, gateway);
	put_hop(4, 2, RTNH_F_DEAD, RTA_VIA, 18, via);
	put_hop(5, 255, 0, 0, 0, NULL);
	mnl_attr_nest_end(message, nest);
	decode(do_route, &out);
	assert_int_equal(route->action, NEXTHOP_FORWARD);
	assert_int_equal(route->count, 3);
	assert_int_equal(route->hop[1].ifindex, 4);
	assert_int_equal(route->hop[1].weight, 3);
	assert_int_equal(route->hop[1].via_family, IP_V6);
	assert_int_equal(route->hop[1].via.b[0], 0xfe);
	assert_int_equal(out.route.hop_flags[1], RTNH_F_DEAD);
	assert_int_equal(route->hop[2].weight, 256);
	assert_false(route->hop[2].has_via);
}

static void more_hops_than_fit_or_an_encap_in_one_is_the_kernels(void **state)
{
	uint16_t type = 1;
	struct nlattr *nest;

	begin_route(RTN_UNICAST);
	nest = mnl_attr_nest_start(message, RTA_MULTIPATH);
	for (unsigned i = 0; i < NEXTHOP_HOPS_MAX + 1; i++) {
		put_hop(3 + i, 0, 0, 0, 0, NULL);
	}
	mnl_attr_nest_end(message, nest);
	decode(do_route, &out);
	assert_int_equal(out.route.route.action, NEXTHOP_KERNEL);
	assert_int_equal(out.route.route.count, NEXTHOP_HOPS_MAX);
	begin_route(RTN_UNICAST);
	nest = mnl_attr_nest_start(message, RTA_MULTIPATH);
	put_hop(3, 0, 0, RTA_ENCAP_TYPE, 2, &type);
	mnl_attr_nest_end(message, nest);
	decode(do_route, &out);
	assert_int_equal(out.route.route.action, NEXTHOP_KERNEL);
}

static void prefix_longer_than_the_family_is_refused(void **state)
{
	static struct nl_route route;

	begin_route(RTN_UNICAST)->rtm_dst_len = 33;
	assert_int_equal(decode_route(mnl_nlmsg_get_payload(message),
				      mnl_nlmsg_get_payload_len(message), &route),
			 -EBADMSG);
}

/* Rules, netconf, qdiscs, netfilter, IPsec. ------------------------------------------------- */

static void rule_with_a_selector_not_understood_is_odd(void **state)
{
	static const uint16_t odd[] = {FRA_TUN_ID,
				       FRA_UID_RANGE,
				       FRA_IP_PROTO,
				       FRA_SPORT_RANGE,
				       FRA_DPORT_RANGE,
				       25,
				       26,
				       30,
				       99};
	struct fib_rule_hdr *header;

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		header = begin(sizeof(*header));
		header->family = AF_INET6;
		mnl_attr_put_u64(message, odd[i], 1);
		decode(do_rule, &out);
		assert_int_equal(out.rule.odd, odd[i]);
		assert_non_null(decode_rule_selector(odd[i]));
	}
	for (int marked = 0; marked < 2; marked++) {
		header = begin(sizeof(*header));
		header->family = AF_INET;
		header->action = FR_ACT_TO_TBL;
		mnl_attr_put_u32(message, FRA_TABLE, RT_TABLE_MAIN);
		mnl_attr_put_u32(message, FRA_PRIORITY, 32766);
		mnl_attr_put_u32(message, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
		if (marked) {
			mnl_attr_put_u32(message, FRA_FWMARK, 1);
		}
		decode(do_rule, &out);
		assert_int_equal(out.rule.priority, 32766);
		assert_int_equal(out.rule.table, RT_TABLE_MAIN);
		assert_int_equal(out.rule.odd, marked ? FRA_FWMARK : 0);
		assert_int_equal(out.rule.suppress, -1);
	}
}

static void rule_is_read_whole(void **state)
{
	struct fib_rule_hdr *header = begin(sizeof(*header));

	header->family = AF_INET;
	header->action = FR_ACT_TO_TBL;
	header->flags = FIB_RULE_INVERT;
	header->src_len = 24;
	mnl_attr_put_u32(message, FRA_TABLE, 100000);
	mnl_attr_put_u32(message, FRA_SUPPRESS_PREFIXLEN, 0);
	mnl_attr_put_u32(message, FRA_FWMASK, 255);
	mnl_attr_put(message, FRA_SRC, 4, (uint8_t[]){10, 1, 2, 0});
	mnl_attr_put_strz(message, FRA_IIFNAME, "eth1");
	mnl_attr_put_strz(message, FRA_OIFNAME, "eth2");
	decode(do_rule, &out);
	assert_int_equal(out.rule.table, 100000);
	assert_int_equal(out.rule.suppress, 0);
	assert_true(out.rule.invert);
	assert_int_equal(out.rule.src_len, 24);
	assert_int_equal(out.rule.src.b[2], 2);
	assert_string_equal(out.rule.iif, "eth1");
	assert_string_equal(out.rule.oif, "eth2");
	assert_int_equal(out.rule.odd, 0);
	header = begin(sizeof(*header));
	header->family = AF_INET;
	header->src_len = 33;
	assert_int_equal(decode_rule(mnl_nlmsg_get_payload(message),
				     mnl_nlmsg_get_payload_len(message), &out.rule),
			 -EBADMSG);
}

static void netconf_says_only_what_it_says(void **state)
{
	struct netconfmsg *header = begin(sizeof(*header));

	header->ncm_family = AF_INET;
	mnl_attr_put_u32(message, NETCONFA_IFINDEX, (uint32_t)NETCONFA_IFINDEX_ALL);
	mnl_attr_put_u32(message, NETCONFA_RP_FILTER, 2);
	decode(do_conf, &out);
	assert_int_equal(out.conf.ifindex, NL_CONF_ALL);
	assert_int_equal(out.conf.rp_filter, 2);
	assert_int_equal(out.conf.forwarding, -1);
}

static void qdisc_says_its_kind_and_place(void **state)
{
	struct tcmsg *header = begin(sizeof(*header));

	header->tcm_ifindex = 8;
	header->tcm_parent = TC_H_ROOT;
	mnl_attr_put_strz(message, TCA_KIND, "htb");
	decode(do_qdisc, &out);
	assert_int_equal(out.qdisc.ifindex, 8);
	assert_int_equal(out.qdisc.parent, TC_H_ROOT);
	assert_string_equal(out.qdisc.kind, "htb");
	decode(do_filter_kind, &out);
	assert_string_equal(out.kind, "htb");
}

/* sch_fq holds every flow to its maximum rate, be it forwarded or not. */
static void fq_with_a_maximum_rate_limits(void **state)
{
	static const uint32_t rates[] = {UINT32_MAX, 125000};

	for (int i = 0; i < 2; i++) {
		struct tcmsg *header = begin(sizeof(*header));
		struct nlattr *options;

		header->tcm_ifindex = 8;
		mnl_attr_put_strz(message, TCA_KIND, "fq");
		options = mnl_attr_nest_start(message, TCA_OPTIONS);
		mnl_attr_put_u32(message, TCA_FQ_PLIMIT, 100);
		mnl_attr_put_u32(message, TCA_FQ_FLOW_MAX_RATE, rates[i]);
		mnl_attr_nest_end(message, options);
		decode(do_qdisc, &out);
		assert_int_equal(out.qdisc.limits, i == 1);
	}
}

static void chain_is_idle_when_it_accepts_and_counts_no_rule(void **state)
{
	static const struct {
		uint32_t policy, use;
		bool idle;
	} cases[] = {{NF_ACCEPT, 0, true}, {NF_ACCEPT, 1, false}, {NF_DROP, 0, false}};

	for (int i = 0; i < 3; i++) {
		begin(sizeof(struct nfgenmsg));
		mnl_attr_put_u32(message, NFTA_CHAIN_POLICY, htonl(cases[i].policy));
		decode(do_chain, &out);
		assert_false(out.chain.idle);
		mnl_attr_put_u32(message, NFTA_CHAIN_USE, htonl(cases[i].use));
		decode(do_chain, &out);
		assert_int_equal(out.chain.idle, cases[i].idle);
	}
}

static void flowtable_lists_its_devices(void **state)
{
	struct nlattr *hook, *devices;

	begin(sizeof(struct nfgenmsg));
	mnl_attr_put_strz(message, NFTA_FLOWTABLE_TABLE, "t");
	mnl_attr_put_strz(message, NFTA_FLOWTABLE_NAME, "ft");
	hook = mnl_attr_nest_start(message, NFTA_FLOWTABLE_HOOK);
	devices = mnl_attr_nest_start(message, NFTA_FLOWTABLE_HOOK_DEVS);
	mnl_attr_put_strz(message, NFTA_DEVICE_NAME, "eth1");
	mnl_attr_put_strz(message, NFTA_DEVICE_NAME, "eth2");
	mnl_attr_nest_end(message, devices);
	mnl_attr_nest_end(message, hook);
	decode(do_flowtable, &out);
	assert_string_equal(out.chain.name, "ft");
	assert_int_equal(out.chain.device_count, 2);
	assert_string_equal(out.chain.device[1], "eth2");
}

static void chain_lists_its_devices_and_prefixes(void **state)
{
	struct nfgenmsg *header = begin(sizeof(*header));
	struct nlattr *hook, *devices;

	header->nfgen_family = NFPROTO_NETDEV;
	mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, "t");
	mnl_attr_put_strz(message, NFTA_CHAIN_NAME, "c");
	decode(do_chain, &out);
	assert_int_equal(out.chain.hook, -1);
	hook = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(message, NFTA_HOOK_HOOKNUM, htonl(1));
	mnl_attr_put_strz(message, NFTA_HOOK_DEV, "eth1");
	devices = mnl_attr_nest_start(message, NFTA_HOOK_DEVS);
	mnl_attr_put_strz(message, NFTA_DEVICE_NAME, "eth1");
	mnl_attr_put_strz(message, 2, "wan");
	mnl_attr_nest_end(message, devices);
	mnl_attr_nest_end(message, hook);
	decode(do_chain, &out);
	assert_int_equal(out.chain.hook, 1);
	assert_int_equal(out.chain.device_count, 2);
	assert_string_equal(out.chain.device[0], "eth1");
	assert_false(out.chain.device_prefix[0]);
	assert_string_equal(out.chain.device[1], "wan");
	assert_true(out.chain.device_prefix[1]);
}

static void hook_says_its_function(void **state)
{
	begin(sizeof(struct nfgenmsg));
	mnl_attr_put_strz(message, NFNLA_HOOK_FUNCTION_NAME, "ipv4_conntrack_in");
	decode(do_hook, &out);
	assert_string_equal(out.hook.function, "ipv4_conntrack_in");
	assert_false(out.hook.chain);
}

static void generation_and_policy_counts_are_read(void **state)
{
	struct xfrmu_spdinfo info = {.fwdcnt = 2, .outcnt = 1, .incnt = 5, .outscnt = 7};

	begin(sizeof(struct nfgenmsg));
	mnl_attr_put_u32(message, NFTA_GEN_ID, htonl(513));
	decode(do_generation, &out);
	assert_int_equal(out.word, 513);
	begin(sizeof(uint32_t));
	mnl_attr_put(message, XFRMA_SPD_INFO, sizeof(info), &info);
	decode(do_spdinfo, &out);
	assert_int_equal(out.word, 3);
}

static void policy_says_its_direction_and_interface(void **state)
{
	struct xfrm_userpolicy_info *info = begin(sizeof(*info));

	info->dir = XFRM_POLICY_FWD;
	info->sel.family = AF_INET;
	info->sel.prefixlen_s = 16;
	info->sel.saddr.a4 = htonl(0x0a010000);
	decode(do_policy, &out);
	assert_int_equal(out.policy.direction, XFRM_POLICY_FWD);
	assert_int_equal(out.policy.from_bits, 16);
	assert_int_equal(out.policy.from.b[1], 1);
	assert_int_equal(out.policy.if_id, 0);
	mnl_attr_put_u32(message, XFRMA_IF_ID, 7);
	decode(do_policy, &out);
	assert_int_equal(out.policy.if_id, 7);
}

static void link_says_its_xdp_program(void **state)
{
	struct nlattr *xdp;

	begin(sizeof(struct ifinfomsg));
	decode(do_link_xdp, &out);
	assert_int_equal(out.word, 0);
	xdp = mnl_attr_nest_start(message, IFLA_XDP);
	mnl_attr_put_u8(message, IFLA_XDP_ATTACHED, 2);
	mnl_attr_put_u32(message, IFLA_XDP_PROG_ID, 77);
	mnl_attr_nest_end(message, xdp);
	decode(do_link_xdp, &out);
	assert_int_equal(out.word, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_says_name_mac_mtus_and_flags),
		cmocka_unit_test(link_below_another_namespace_has_no_lower),
		cmocka_unit_test(address_of_a_point_to_point_link_is_the_local_one),
		cmocka_unit_test(neighbour_needs_a_six_byte_mac),
		cmocka_unit_test(plain_route_is_forwarded),
		cmocka_unit_test(route_that_is_not_plain_is_the_kernels),
		cmocka_unit_test(multipath_has_its_hops_weights_and_families),
		cmocka_unit_test(more_hops_than_fit_or_an_encap_in_one_is_the_kernels),
		cmocka_unit_test(prefix_longer_than_the_family_is_refused),
		cmocka_unit_test(rule_with_a_selector_not_understood_is_odd),
		cmocka_unit_test(rule_is_read_whole),
		cmocka_unit_test(netconf_says_only_what_it_says),
		cmocka_unit_test(qdisc_says_its_kind_and_place),
		cmocka_unit_test(fq_with_a_maximum_rate_limits),
		cmocka_unit_test(chain_is_idle_when_it_accepts_and_counts_no_rule),
		cmocka_unit_test(flowtable_lists_its_devices),
		cmocka_unit_test(policy_says_its_direction_and_interface),
		cmocka_unit_test(link_says_its_xdp_program),
		cmocka_unit_test(chain_lists_its_devices_and_prefixes),
		cmocka_unit_test(hook_says_its_function),
		cmocka_unit_test(generation_and_policy_counts_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
