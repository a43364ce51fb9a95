/* SPDX-License-Identifier: BSD-2-Clause */
#include "grammar.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#define MESSAGE_MAX 2048u
#define ATTR_MAX 512u /* room kept for one attribute */
#define LINKS 8u

struct writer {
	struct nlmsghdr *message;
	struct feed *feed;
};

/* Small values, and now and then an extreme one. */
static uint32_t number(struct feed *feed, uint32_t below)
{
	uint8_t byte = feed_byte(feed);

	if (byte == 0xff) {
		return UINT32_MAX - feed_byte(feed) % 2;
	}
	return byte % below;
}

static uint32_t ifindex(struct feed *feed)
{
	return number(feed, LINKS) + 1;
}

bool grammar_address(unsigned index, bool v6, uint8_t addr[16])
{
	static const uint8_t v4[][4] = {{10, 0, 0, 1},   {10, 0, 0, 77},      {10, 0, 1, 1},
					{10, 128, 0, 1}, {10, 255, 255, 255}, {192, 0, 2, 1},
					{0, 0, 0, 0},    {255, 255, 255, 255}};
	static const uint8_t last[] = {0, 1, 2, 0x7f, 0x80, 0xff};

	memset(addr, 0, 16);
	if (!v6) {
		memcpy(addr, v4[index % 8], 4);
		return index < 8;
	}
	addr[0] = 0x20;
	addr[1] = 0x01;
	addr[7] = (uint8_t)(index / 6 % 2);
	addr[15] = last[index % 6];
	return index < 12;
}

static bool room(const struct writer *writer)
{
	return writer->message->nlmsg_len + ATTR_MAX < MESSAGE_MAX;
}

static void put(struct writer *writer, uint16_t type, const void *data, size_t size)
{
	if (room(writer)) {
		mnl_attr_put(writer->message, type, size, data);
	}
}

static void put_u32(struct writer *writer, uint16_t type, uint32_t value)
{
	put(writer, type, &value, sizeof(value));
}

static void put_u8(struct writer *writer, uint16_t type, uint8_t value)
{
	put(writer, type, &value, sizeof(value));
}

static void put_ip(struct writer *writer, uint16_t type, bool v6)
{
	uint8_t addr[16];

	grammar_address(feed_byte(writer->feed), v6, addr);
	put(writer, type, addr, v6 ? 16 : 4);
}

static void put_mac(struct writer *writer, uint16_t type)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, feed_byte(writer->feed) % 16};

	put(writer, type, mac, sizeof(mac));
}

/* Any type, any content. */
static void put_any(struct writer *writer)
{
	uint8_t bytes[16];
	uint16_t type = feed_byte(writer->feed) % 80;
	size_t size = feed_byte(writer->feed) % (sizeof(bytes) + 1);

	for (size_t i = 0; i < size; i++) {
		bytes[i] = feed_byte(writer->feed);
	}
	put(writer, type, bytes, size);
}

/* A nest filled by `fill`. */
static void put_nest(struct writer *writer, uint16_t type, void (*fill)(struct writer *writer))
{
	struct nlattr *nest;

	if (room(writer)) {
		nest = mnl_attr_nest_start(writer->message, type);
		fill(writer);
		mnl_attr_nest_end(writer->message, nest);
	}
}

static void fill_any(struct writer *writer)
{
	for (unsigned count = feed_byte(writer->feed) % 5; count > 0; count--) {
		put_any(writer);
	}
}

static void put_deep(struct writer *writer)
{
	struct nlattr *nest[100];
	unsigned depth = 0;

	for (; depth < 100 && room(writer); depth++) {
		nest[depth] = mnl_attr_nest_start(writer->message, feed_byte(writer->feed) % 32);
	}
	while (depth-- > 0) {
		mnl_attr_nest_end(writer->message, nest[depth]);
	}
}

/* Links. ------------------------------------------------------------------------------------ */

static void fill_linkinfo(struct writer *writer)
{
	static const char *const kinds[] = {"bridge",  "veth",  "vlan",   "vrf",
					    "macvlan", "vxlan", "macsec", "ipvlan"};
	const char *kind = kinds[feed_byte(writer->feed) % 8];

	put(writer, IFLA_INFO_KIND, kind, strlen(kind) + 1);
	if (feed_byte(writer->feed) % 2) {
		put_nest(writer, IFLA_INFO_DATA, fill_any);
	}
	if (feed_byte(writer->feed) % 2) {
		put(writer, IFLA_INFO_SLAVE_KIND, "bridge", 7);
		put_nest(writer, IFLA_INFO_SLAVE_DATA, fill_any);
	}
}

static void link_message(struct writer *writer)
{
	static const char *const names[] = {"p0", "p1", "p2", "br0", "br1", "x5", "x6", "p0.7"};
	static const uint8_t families[] = {AF_UNSPEC, AF_UNSPEC, AF_UNSPEC, AF_BRIDGE, AF_INET6};
	struct feed *feed = writer->feed;
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(writer->message, sizeof(*header));
	uint8_t what = feed_byte(feed);
	uint32_t index = ifindex(feed);
	const char *name = names[(what & 0x80 ? feed_byte(feed) : index - 1) % LINKS];

	header->ifi_family = families[feed_byte(feed) % 5];
	header->ifi_index = (int)index;
	header->ifi_type = what & 1 ? ARPHRD_ETHER : feed_byte(feed);
	header->ifi_flags = feed_byte(feed) | (what & 2 ? 0x10041 : 0);
	put(writer, IFLA_IFNAME, name, strlen(name) + 1);
	put_mac(writer, IFLA_ADDRESS);
	put_u32(writer, IFLA_MTU, number(feed, 250) * 40);
	if (what & 4) {
		put_u32(writer, IFLA_MASTER, ifindex(feed));
	}
	if (what & 8) {
		put_u32(writer, IFLA_LINK, ifindex(feed));
	}
	if (what & 16) {
		put_nest(writer, IFLA_LINKINFO, fill_linkinfo);
	}
	if (what & 32) {
		put_nest(writer, feed_byte(feed) % 2 ? IFLA_AF_SPEC : IFLA_PROTINFO, fill_any);
	}
	if (what & 64) {
		put_any(writer);
	}
}

static void address_message(struct writer *writer)
{
	struct ifaddrmsg *header = mnl_nlmsg_put_extra_header(writer->message, sizeof(*header));
	bool v6 = feed_byte(writer->feed) % 2;

	header->ifa_family = v6 ? AF_INET6 : AF_INET;
	header->ifa_prefixlen = feed_byte(writer->feed);
	header->ifa_index = ifindex(writer->feed);
	put_ip(writer, IFA_ADDRESS, v6);
	if (feed_byte(writer->feed) % 2) {
		put_ip(writer, IFA_LOCAL, v6);
	}
	fill_any(writer);
}

static void conf_message(struct writer *writer)
{
	struct netconfmsg *header = mnl_nlmsg_put_extra_header(writer->message, sizeof(*header));
	uint8_t what = feed_byte(writer->feed);

	header->ncm_family = what & 1 ? AF_INET6 : AF_INET;
	put_u32(writer, NETCONFA_IFINDEX, what & 2 ? UINT32_MAX : ifindex(writer->feed));
	for (uint16_t type = NETCONFA_FORWARDING; type < NETCONFA_FORWARDING + 9; type++) {
		put_u32(writer, type, number(writer->feed, 3));
	}
}

/* Routes. ----------------------------------------------------------------------------------- */

static void put_gateway(struct writer *writer, bool v6)
{
	uint8_t via[18] = {0};

	if (feed_byte(writer->feed) % 4) {
		put_ip(writer, RTA_GATEWAY, v6);
	} else {
		*(uint16_t *)(void *)via = v6 ? AF_INET : AF_INET6;
		grammar_address(feed_byte(writer->feed), !v6, via + 2);
		put(writer, RTA_VIA, via, v6 ? 6 : 18);
	}
}

static void put_multipath(struct writer *writer, bool v6)
{
	struct nlattr *nest = mnl_attr_nest_start(writer->message, RTA_MULTIPATH);
	unsigned count = feed_byte(writer->feed) % 80;

	for (; count > 0 && room(writer); count--) {
		struct rtnexthop *hop = mnl_nlmsg_get_payload_tail(writer->message);
		uint32_t before = writer->message->nlmsg_len;

		memset(hop, 0, sizeof(*hop));
		hop->rtnh_ifindex = (int)ifindex(writer->feed);
		hop->rtnh_flags = feed_byte(writer->feed) & feed_byte(writer->feed);
		hop->rtnh_hops = feed_byte(writer->feed);
		writer->message->nlmsg_len += sizeof(*hop);
		if (count % 4 != 0) {
			put_gateway(writer, v6);
		}
		hop->rtnh_len = (uint16_t)(writer->message->nlmsg_len - before);
	}
	mnl_attr_nest_end(writer->message, nest);
}

static void route_message(struct writer *writer)
{
	static const uint8_t lens4[] = {0, 8, 9, 16, 24, 25, 32, 33};
	static const uint8_t lens6[] = {0, 16, 32, 63, 64, 120, 128, 129};
	static const uint8_t tables[] = {RT_TABLE_MAIN, RT_TABLE_MAIN, RT_TABLE_LOCAL,
					 GRAMMAR_TABLE};
	static const uint8_t protocols[] = {RTPROT_KERNEL, RTPROT_STATIC, RTPROT_RA};
	static const uint16_t flags[] = {0, NLM_F_REPLACE, NLM_F_APPEND, NLM_F_CREATE};
	struct feed *feed = writer->feed;
	struct rtmsg *header = mnl_nlmsg_put_extra_header(writer->message, sizeof(*header));
	uint8_t what = feed_byte(feed), shape = feed_byte(feed);
	bool v6 = what & 1;

	writer->message->nlmsg_flags = flags[shape & 3];
	header->rtm_family = v6 ? AF_INET6 : AF_INET;
	header->rtm_dst_len = (v6 ? lens6 : lens4)[shape >> 2 & 7];
	header->rtm_table = tables[shape >> 5 & 3];
	header->rtm_type = what & 2 ? feed_byte(feed) % 14 : RTN_UNICAST;
	header->rtm_protocol = protocols[feed_byte(feed) % 3];
	header->rtm_scope = what & 2 ? feed_byte(feed) : 0;
	header->rtm_tos = what == 0xff ? 8 : 0;
	header->rtm_src_len = what == 0xfe ? 64 : 0;
	header->rtm_flags = what == 0xfd ? RTM_F_CLONED : feed_byte(feed) & feed_byte(feed) & 0x1f;
	if (header->rtm_dst_len > 0) {
		put_ip(writer, RTA_DST, v6);
	}
	put_u32(writer, RTA_TABLE, header->rtm_table);
	put_u32(writer, RTA_PRIORITY, v6 ? 1024 : (what >> 2 & 1) * 100);
	if (what & 8) {
		put_multipath(writer, v6);
	} else if (what & 16) {
		put_u32(writer, RTA_NH_ID, number(feed, 6));
	} else {
		put_u32(writer, RTA_OIF, ifindex(feed));
		if (what & 32) {
			put_gateway(writer, v6);
		}
	}
	if (what & 64) {
		put_nest(writer, RTA_METRICS, fill_any);
	}
	if (what & 128) {
		put_any(writer);
	}
}

static void nexthop_message(struct writer *writer)
{
	struct nhmsg *header = mnl_nlmsg_put_extra_header(writer->message, sizeof(*header));
	uint8_t what = feed_byte(writer->feed);
	struct nexthop_grp group[4] = {0};

	header->nh_family = what & 1 ? AF_INET6 : AF_INET;
	header->nh_protocol = RTPROT_STATIC;
	put_u32(writer, NHA_ID, number(writer->feed, 6));
	if (what & 2) {
		for (unsigned i = 0; i < 4; i++) {
			group[i].id = number(writer->feed, 6);
			group[i].weight = feed_byte(writer->feed);
		}
		put(writer, NHA_GROUP, group, sizeof(group[0]) * (what >> 2 & 3));
	} else {
		put_u32(writer, NHA_OIF, ifindex(writer->feed));
		put_ip(writer, NHA_GATEWAY, what & 1);
	}
	if (what & 16) {
		put(writer, NHA_BLACKHOLE, NULL, 0);
	}
	fill_any(writer);
}

static void rule_message(struct writer *writer)
{
	static const uint8_t tables[] = {RT_TABLE_MAIN, RT_TABLE_LOCAL, RT_TABLE_DEFAULT,
					 GRAMMAR_TABLE};
	struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(writer->message, sizeof(*header));
	uint8_t what = feed_byte(writer->feed);

	header->family = what & 1 ? AF_INET6 : AF_INET;
	header->action = what & 2 ? FR_ACT_TO_TBL : feed_byte(writer->feed);
	header->table = tables[what >> 2 & 3];
	header->dst_len = what & 64 ? feed_byte(writer->feed) : 0;
	header->src_len = what & 128 ? feed_byte(writer->feed) : 0;
	put_u32(writer, FRA_TABLE, header->table);
	put_u32(writer, FRA_PRIORITY, what & 16 ? number(writer->feed, 4) : 32766);
	if (what & 32) {
		fill_any(writer);
	}
}

/* Neighbours, MACs, and what else there is. ------------------------------------------------- */

static void neigh_message(struct writer *writer)
{
	static const uint8_t families[] = {AF_INET, AF_INET6, AF_BRIDGE, AF_BRIDGE};
	struct ndmsg *header = mnl_nlmsg_put_extra_header(writer->message, sizeof(*header));
	uint8_t what = feed_byte(writer->feed);

	header->ndm_family = families[what & 3];
	header->ndm_ifindex = (int)ifindex(writer->feed);
	header->ndm_state = 1 << (feed_byte(writer->feed) % 8);
	header->ndm_flags = feed_byte(writer->feed) & feed_byte(writer->feed);
	if (header->ndm_family != AF_BRIDGE) {
		put_ip(writer, NDA_DST, header->ndm_family == AF_INET6);
	}
	if (what & 4) {
		put_mac(writer, NDA_LLADDR);
	}
	if (what & 8) {
		put_u32(writer, NDA_MASTER, ifindex(writer->feed));
	}
	if (what & 16) {
		uint16_t vlan = feed_byte(writer->feed) % 4;

		put(writer, NDA_VLAN, &vlan, sizeof(vlan));
	}
	if (what & 32) {
		fill_any(writer);
	}
}

static void other_message(struct writer *writer)
{
	uint8_t *bytes = mnl_nlmsg_put_extra_header(writer->message, 12);

	writer->message->nlmsg_type = 16 + feed_byte(writer->feed) % 112;
	for (unsigned i = 0; i < 12; i++) {
		bytes[i] = feed_byte(writer->feed);
	}
	bytes[0] = feed_byte(writer->feed) % 2 ? AF_BRIDGE : bytes[0];
	fill_any(writer);
	put_nest(writer, feed_byte(writer->feed) % 8, fill_any);
	put_u8(writer, 1, feed_byte(writer->feed));
}

/* Damage it in one of the ways; the length of the whole is right in every case but stays within the
 * buffer: what is longer than its datagram never leaves netlink/sock. */
static void damage(struct writer *writer, uint8_t how)
{
	struct nlmsghdr *message = writer->message;
	uint32_t size = message->nlmsg_len - (uint32_t)sizeof(*message);
	uint8_t *bytes = mnl_nlmsg_get_payload(message);
	unsigned at;

	if (size == 0) {
		return;
	}
	at = (feed_byte(writer->feed) << 8 | feed_byte(writer->feed)) % size;
	switch (how % 8) {
	case 0: /* cut short, anywhere */
		message->nlmsg_len = (uint32_t)sizeof(*message) + at;
		break;
	case 1: /* another length, somewhere */
		bytes[at & ~3u] = feed_byte(writer->feed);
		break;
	case 2:
		bytes[at] = feed_byte(writer->feed);
		break;
	case 3:
		put_deep(writer);
		break;
	}
}

struct nlmsghdr *grammar_message(struct feed *feed)
{
	static const struct {
		uint16_t type;
		void (*make)(struct writer *writer);
	} kinds[] = {
		{RTM_NEWLINK, link_message},       {RTM_NEWADDR, address_message},
		{RTM_NEWROUTE, route_message},     {RTM_NEWROUTE, route_message},
		{RTM_NEWROUTE, route_message},     {RTM_NEWNEIGH, neigh_message},
		{RTM_NEWNEIGH, neigh_message},     {RTM_NEWRULE, rule_message},
		{RTM_NEWNEXTHOP, nexthop_message}, {RTM_NEWNETCONF, conf_message},
		{RTM_NEWLINK, link_message},       {0, other_message},
	};
	static char buffer[MESSAGE_MAX + ATTR_MAX] __attribute__((aligned(8)));
	struct writer writer = {mnl_nlmsg_put_header(buffer), feed};
	uint8_t kind = feed_byte(feed), how = feed_byte(feed);
	struct nlmsghdr *copy;

	writer.message->nlmsg_type = kinds[kind % 12].type;
	kinds[kind % 12].make(&writer);
	/* RTM_DEL* follows RTM_NEW* everywhere. */
	writer.message->nlmsg_type += kind / 12 % 4 == 0;
	if (how < 64) {
		damage(&writer, how);
	}
	copy = malloc(writer.message->nlmsg_len);
	if (copy == NULL) {
		abort();
	}
	memcpy(copy, writer.message, writer.message->nlmsg_len);
	return copy;
}

struct nlmsghdr *grammar_object_gone(unsigned index)
{
	static char buffer[MESSAGE_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = RTM_DELNEXTHOP;
	mnl_nlmsg_put_extra_header(message, sizeof(struct nhmsg));
	mnl_attr_put_u32(message, NHA_ID,
			 index < GRAMMAR_OBJECTS - 2 ? index : 0u - (index % 2 + 1));
	return message;
}
