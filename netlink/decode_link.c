/* SPDX-License-Identifier: BSD-2-Clause */
/* The one message with enough in it for a file of its own: a link, its bridge, its bridge port. */
#include "netlink/decode.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>

#include "netlink/nlattr.h"

/* Newer than the headers this builds with (6.1). */
enum {
	BRPORT_MAB = 40,
	BRPORT_MCAST_N_GROUPS = 41,
	BRPORT_MCAST_MAX_GROUPS = 42,
	BRPORT_NEIGH_VLAN_SUPPRESS = 43,
	BRPORT_BACKUP_NHID = 44,
	BR_FDB_N_LEARNED = IFLA_BR_MCAST_QUERIER_STATE + 1,
	BR_FDB_MAX_LEARNED = IFLA_BR_MCAST_QUERIER_STATE + 2,
};

#define USER_HZ 100u /* of clock_t values in netlink */

/* Attributes of a bridge port that say nothing of where unicast goes: counters, STP's own, and the
 * handling of multicast and broadcast, which the kernel does.  STP's result arrives as the
 * state. */
static bool port_attr_harmless(uint16_t type)
{
	switch (type) {
	case IFLA_BRPORT_PRIORITY:
	case IFLA_BRPORT_COST:
	case IFLA_BRPORT_GUARD:
	case IFLA_BRPORT_PROTECT:
	case IFLA_BRPORT_FAST_LEAVE:
	case IFLA_BRPORT_LEARNING_SYNC:
	case IFLA_BRPORT_ROOT_ID:
	case IFLA_BRPORT_BRIDGE_ID:
	case IFLA_BRPORT_DESIGNATED_PORT:
	case IFLA_BRPORT_DESIGNATED_COST:
	case IFLA_BRPORT_ID:
	case IFLA_BRPORT_NO:
	case IFLA_BRPORT_TOPOLOGY_CHANGE_ACK:
	case IFLA_BRPORT_CONFIG_PENDING:
	case IFLA_BRPORT_MESSAGE_AGE_TIMER:
	case IFLA_BRPORT_FORWARD_DELAY_TIMER:
	case IFLA_BRPORT_HOLD_TIMER:
	case IFLA_BRPORT_FLUSH:
	case IFLA_BRPORT_MULTICAST_ROUTER:
	case IFLA_BRPORT_PAD:
	case IFLA_BRPORT_MCAST_FLOOD:
	case IFLA_BRPORT_MCAST_TO_UCAST:
	case IFLA_BRPORT_BCAST_FLOOD:
	case IFLA_BRPORT_GROUP_FWD_MASK:
	case IFLA_BRPORT_MCAST_EHT_HOSTS_LIMIT:
	case IFLA_BRPORT_MCAST_EHT_HOSTS_CNT:
	case BRPORT_MCAST_N_GROUPS:
	case BRPORT_MCAST_MAX_GROUPS:
		return true;
	default:
		return false;
	}
}

const char *decode_port_flag(uint16_t attribute)
{
	switch (attribute) {
	case IFLA_BRPORT_MODE:
		return "hairpin";
	case IFLA_BRPORT_PROXYARP:
		return "proxy_arp";
	case IFLA_BRPORT_PROXYARP_WIFI:
		return "proxy_arp_wifi";
	case IFLA_BRPORT_VLAN_TUNNEL:
		return "vlan_tunnel";
	case IFLA_BRPORT_NEIGH_SUPPRESS:
		return "neigh_suppress";
	case IFLA_BRPORT_ISOLATED:
		return "isolated";
	case IFLA_BRPORT_BACKUP_PORT:
		return "backup_port";
	case IFLA_BRPORT_MRP_RING_OPEN:
	case IFLA_BRPORT_MRP_IN_OPEN:
		return "mrp";
	case IFLA_BRPORT_LOCKED:
		return "locked";
	case BRPORT_MAB:
		return "mab";
	case BRPORT_NEIGH_VLAN_SUPPRESS:
		return "neigh_vlan_suppress";
	case BRPORT_BACKUP_NHID:
		return "backup_nhid";
	default:
		return "an unknown flag";
	}
}

static void decode_port(const struct nlattr *nest, struct nl_bridge_port *out)
{
	const struct nlattr *attr;

	/* What the kernel's defaults are, should an old one not say. */
	*out = (struct nl_bridge_port){.present = true, .learning = true, .flood = true};
	mnl_attr_for_each_nested(attr, nest)
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (type == IFLA_BRPORT_STATE) {
			out->state = attr_u8(attr);
		} else if (type == IFLA_BRPORT_LEARNING) {
			out->learning = attr_u8(attr) != 0;
		} else if (type == IFLA_BRPORT_UNICAST_FLOOD) {
			out->flood = attr_u8(attr) != 0;
		} else if (!port_attr_harmless(type) && out->odd == 0 && attr_nonzero(attr)) {
			out->odd = type;
		}
	}
}

static bool bridge_attr_odd(const struct nlattr *attr)
{
	uint16_t type = mnl_attr_get_type(attr);

	switch (type) {
	case IFLA_BR_NF_CALL_IPTABLES:
	case IFLA_BR_NF_CALL_IP6TABLES:
	case IFLA_BR_NF_CALL_ARPTABLES:
	case BR_FDB_MAX_LEARNED:
		return attr_nonzero(attr);
	case IFLA_BR_MULTI_BOOLOPT: {
		struct br_boolopt_multi options = {0};
		const uint32_t harmless = 1u << BR_BOOLOPT_NO_LL_LEARN |
					  1u << BR_BOOLOPT_MCAST_VLAN_SNOOPING |
					  1u << 3 /* MDB_OFFLOAD_FAIL_NOTIFICATION */;

		attr_get(attr, &options, sizeof(options));
		return (options.optval & ~harmless) != 0;
	}
	default:
		return type > BR_FDB_MAX_LEARNED && attr_nonzero(attr);
	}
}

static void decode_bridge(const struct nlattr *nest, struct nl_bridge *out)
{
	const struct nlattr *attr;

	*out = (struct nl_bridge){.present = true};
	mnl_attr_for_each_nested(attr, nest)
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (type == IFLA_BR_VLAN_FILTERING) {
			out->vlan_filtering = attr_u8(attr) != 0;
		} else if (type == IFLA_BR_AGEING_TIME) {
			out->ageing_s = attr_u32(attr) / USER_HZ;
		} else if (out->odd == 0 && bridge_attr_odd(attr)) {
			out->odd = type;
		}
	}
}

static void decode_linkinfo(const struct nlattr *nest, struct nl_link *out)
{
	const struct nlattr *attr, *data = NULL, *slave = NULL;
	char slave_kind[16] = "";

	mnl_attr_for_each_nested(attr, nest)
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_INFO_KIND:
			attr_string(attr, out->kind, sizeof(out->kind));
			break;
		case IFLA_INFO_DATA:
			data = attr;
			break;
		case IFLA_INFO_SLAVE_KIND:
			attr_string(attr, slave_kind, sizeof(slave_kind));
			break;
		case IFLA_INFO_SLAVE_DATA:
			slave = attr;
			break;
		}
	}
	if (data != NULL && strcmp(out->kind, "bridge") == 0) {
		decode_bridge(data, &out->bridge);
	}
	if (slave != NULL && strcmp(slave_kind, "bridge") == 0) {
		decode_port(slave, &out->port);
	}
}

/* IFLA_INET6_CONF: an array of int32 that grows at its end. */
static void decode_inet6(const struct nlattr *nest, struct nl_link *out)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		int32_t conf[DEVCONF_DISABLE_IPV6 + 1];

		if (mnl_attr_get_type(attr) == IFLA_INET6_CONF &&
		    attr_get(attr, conf, sizeof(conf))) {
			out->inet6 = true;
			out->inet6_disabled = conf[DEVCONF_DISABLE_IPV6] != 0;
			out->mtu6 = conf[DEVCONF_MTU6] > 0 ? (uint32_t)conf[DEVCONF_MTU6] : 0;
		}
	}
}

static void decode_link_attr(const struct nlattr *attr, struct nl_link *out, bool *foreign)
{
	const struct nlattr *inner;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		attr_string(attr, out->name, sizeof(out->name));
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(attr) == MAC_SIZE) {
			attr_get(attr, out->mac.b, MAC_SIZE);
		}
		break;
	case IFLA_MTU:
		out->mtu = attr_u32(attr);
		break;
	case IFLA_MASTER:
		out->master = attr_u32(attr);
		break;
	case IFLA_LINK:
		out->lower = attr_u32(attr);
		break;
	case IFLA_LINK_NETNSID:
		*foreign = true;
		break;
	case IFLA_PROMISCUITY:
		out->promiscuity = attr_u32(attr);
		break;
	case IFLA_WIRELESS:
		out->partial = true;
		break;
	case IFLA_LINKINFO:
		decode_linkinfo(attr, out);
		break;
	case IFLA_PROTINFO:
		if (out->family == AF_BRIDGE) {
			decode_port(attr, &out->port);
		} else if (out->family == AF_INET6) {
			decode_inet6(attr, out);
		}
		break;
	case IFLA_AF_SPEC:
		if (out->family != AF_UNSPEC) {
			break;
		}
		mnl_attr_for_each_nested(inner, attr)
		{
			if (mnl_attr_get_type(inner) == AF_INET6) {
				decode_inet6(inner, out);
			}
		}
		break;
	}
}

int decode_link(const void *data, size_t size, struct nl_link *out)
{
	const struct nlattr *attr;
	struct ifinfomsg header;
	bool foreign = false;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(header)) {
		return -EBADMSG;
	}
	memcpy(&header, data, sizeof(header));
	if (header.ifi_index <= 0) {
		return -EBADMSG;
	}
	out->ifindex = (uint32_t)header.ifi_index;
	out->flags = header.ifi_flags;
	out->type = header.ifi_type;
	out->family = header.ifi_family;
	attr_each(attr, data, size, sizeof(header))
	{
		decode_link_attr(attr, out, &foreign);
	}
	if (foreign) {
		out->lower = 0; /* an ifindex of another namespace */
	}
	return 0;
}
