/* SPDX-License-Identifier: BSD-2-Clause */
/* The one message with enough in it for a file of its own: a link.  What it says of bridges is in
 * decode_bridge.c. */
#include "netlink/decode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_vlan.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>

#include "netlink/nlattr.h"

/* Devices on top of another. ------------------------------------------------------------------ */

static void decode_vlan_device(const struct nlattr *nest, struct nl_vlan_device *out)
{
	const struct nlattr *attr, *inner;

	*out = (struct nl_vlan_device){.present = true, .proto_be = htons(ETH_P_8021Q)};
	mnl_attr_for_each_nested(attr, nest)
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_VLAN_ID:
			out->id = attr_u16(attr);
			break;
		case IFLA_VLAN_PROTOCOL:
			out->proto_be = attr_u16(attr);
			break;
		case IFLA_VLAN_EGRESS_QOS:
			mnl_attr_for_each_nested(inner, attr)
			{
				struct ifla_vlan_qos_mapping map = {0};

				attr_get(inner, &map, sizeof(map));
				out->maps_egress |= map.to != 0;
			}
			break;
		default:
			/* The flags: how its state follows the one below, what a capture of it
			 * sees, and protocols that the kernel speaks.  The ingress map: a priority
			 * that only the machine's queues look at. */
			break;
		}
	}
}

/* MACVLAN_MODE_SOURCE and _PASSTHRU take frames that are not for its MAC; in mode BRIDGE what is
 * sent to a sibling does not leave by the device below. */
static void decode_macvlan(const struct nlattr *nest, struct nl_macvlan *out)
{
	const struct nlattr *attr;

	out->mode = NL_MACVLAN_STRANGE;
	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) != IFLA_MACVLAN_MODE) {
			continue;
		}
		switch (attr_u32(attr)) {
		case MACVLAN_MODE_PRIVATE:
		case MACVLAN_MODE_VEPA:
			out->mode = NL_MACVLAN_ALONE;
			break;
		case MACVLAN_MODE_BRIDGE:
			out->mode = NL_MACVLAN_SIBLINGS;
			break;
		}
	}
}

static void decode_vrf(const struct nlattr *nest, struct nl_link *out)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == IFLA_VRF_TABLE) {
			out->vrf_table = attr_u32(attr);
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
	} else if (data != NULL && strcmp(out->kind, "vrf") == 0) {
		decode_vrf(data, out);
	} else if (data != NULL && strcmp(out->kind, "vlan") == 0) {
		decode_vlan_device(data, &out->vlan);
	} else if (data != NULL &&
		   (strcmp(out->kind, "macvlan") == 0 || strcmp(out->kind, "macvtap") == 0)) {
		decode_macvlan(data, &out->macvlan);
	}
	if (slave != NULL && strcmp(slave_kind, "bridge") == 0) {
		decode_bridge_port(slave, &out->port);
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
	case IFLA_ALLMULTI:
		out->allmulti = attr_u32(attr) != 0;
		break;
	case IFLA_WIRELESS:
		out->partial = true;
		break;
	case IFLA_LINKINFO:
		decode_linkinfo(attr, out);
		break;
	case IFLA_PROTINFO:
		if (out->family == AF_BRIDGE) {
			decode_bridge_port(attr, &out->port);
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
	out->allmulti = true;
	attr_each(attr, data, size, sizeof(header))
	{
		decode_link_attr(attr, out, &foreign);
	}
	if (foreign) {
		out->lower = 0; /* an ifindex of another namespace */
	}
	return 0;
}
