/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/ethtool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "limits.h"

/* The "netdev" family is newer (6.3, metadata 6.8) than the headers this builds with. */
enum {
	NETDEV_CMD_GET = 1,
	NETDEV_ATTR_IFINDEX = 1,
	NETDEV_ATTR_XDP_FEATURES = 3,
	NETDEV_ATTR_XDP_RX_METADATA = 5,
	NETDEV_ATTR_MAX = 16,
};

#define XDP_ACT_BASIC 1u
#define XDP_ACT_REDIRECT 2u
#define XDP_ACT_XSK_ZEROCOPY 8u
#define XDP_RX_METADATA_VLAN_TAG 4u

/* NETIF_F_HW_VLAN_CTAG_RX as the kernel names it. */
#define VLAN_STRIP "rx-vlan-hw-parse"

static int on_channels(struct nl_msg *message, void *arg)
{
	struct nlattr *attrs[ETHTOOL_A_CHANNELS_MAX + 1];
	struct ethtool_info *out = arg;

	if (genlmsg_parse(nlmsg_hdr(message), 0, attrs, ETHTOOL_A_CHANNELS_MAX, NULL) < 0) {
		return NL_SKIP;
	}
	out->rx_queues = 0;
	if (attrs[ETHTOOL_A_CHANNELS_RX_COUNT] != NULL) {
		out->rx_queues += nla_get_u32(attrs[ETHTOOL_A_CHANNELS_RX_COUNT]);
	}
	if (attrs[ETHTOOL_A_CHANNELS_COMBINED_COUNT] != NULL) {
		out->rx_queues += nla_get_u32(attrs[ETHTOOL_A_CHANNELS_COMBINED_COUNT]);
	}
	return NL_OK;
}

/* A list of the bits that are set, by name (the answer has no mask: ETHTOOL_A_BITSET_NOMASK). */
static bool bitset_has(struct nlattr *bitset, const char *name)
{
	struct nlattr *attrs[ETHTOOL_A_BITSET_MAX + 1];
	struct nlattr *bit;
	int left;

	if (nla_parse_nested(attrs, ETHTOOL_A_BITSET_MAX, bitset, NULL) < 0 ||
	    attrs[ETHTOOL_A_BITSET_BITS] == NULL) {
		return false;
	}
	nla_for_each_nested(bit, attrs[ETHTOOL_A_BITSET_BITS], left)
	{
		struct nlattr *parts[ETHTOOL_A_BITSET_BIT_MAX + 1];

		if (nla_parse_nested(parts, ETHTOOL_A_BITSET_BIT_MAX, bit, NULL) == 0 &&
		    parts[ETHTOOL_A_BITSET_BIT_NAME] != NULL &&
		    nla_strcmp(parts[ETHTOOL_A_BITSET_BIT_NAME], name) == 0) {
			return true;
		}
	}
	return false;
}

static int on_features(struct nl_msg *message, void *arg)
{
	struct nlattr *attrs[ETHTOOL_A_FEATURES_MAX + 1];
	struct ethtool_info *out = arg;

	if (genlmsg_parse(nlmsg_hdr(message), 0, attrs, ETHTOOL_A_FEATURES_MAX, NULL) == 0 &&
	    attrs[ETHTOOL_A_FEATURES_ACTIVE] != NULL) {
		out->rx_vlan_strip = bitset_has(attrs[ETHTOOL_A_FEATURES_ACTIVE], VLAN_STRIP);
	}
	return NL_OK;
}

/* A u64 that newer kernels may send shorter (NLA_UINT). */
static uint64_t get_uint(struct nlattr *attr)
{
	return nla_len(attr) >= 8 ? nla_get_u64(attr) : nla_len(attr) >= 4 ? nla_get_u32(attr) : 0;
}

static int on_netdev(struct nl_msg *message, void *arg)
{
	struct nlattr *attrs[NETDEV_ATTR_MAX + 1];
	struct ethtool_info *out = arg;
	uint64_t features;

	if (genlmsg_parse(nlmsg_hdr(message), 0, attrs, NETDEV_ATTR_MAX, NULL) < 0 ||
	    attrs[NETDEV_ATTR_XDP_FEATURES] == NULL) {
		return NL_SKIP;
	}
	features = get_uint(attrs[NETDEV_ATTR_XDP_FEATURES]);
	out->xdp_known = true;
	out->xdp_basic = (features & XDP_ACT_BASIC) != 0;
	out->xdp_redirect = (features & XDP_ACT_REDIRECT) != 0;
	out->xdp_zerocopy = (features & XDP_ACT_XSK_ZEROCOPY) != 0;
	if (attrs[NETDEV_ATTR_XDP_RX_METADATA] != NULL) {
		out->vlan_hint = (get_uint(attrs[NETDEV_ATTR_XDP_RX_METADATA]) &
				  XDP_RX_METADATA_VLAN_TAG) != 0;
	}
	return NL_OK;
}

/* Ask `family` with `command` and hand the answer to `fn`. What it lacks stays unknown. */
static void ask(struct nl_sock *sock, const char *family, uint8_t command, uint32_t ifindex,
		nl_recvmsg_msg_cb_t fn, struct ethtool_info *out)
{
	int id = genl_ctrl_resolve(sock, family);
	struct nl_msg *message = nlmsg_alloc();
	struct nlattr *header;

	if (id < 0 || message == NULL ||
	    genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, id, 0, 0, command, 1) == NULL) {
		goto done;
	}
	if (command == NETDEV_CMD_GET) {
		nla_put_u32(message, NETDEV_ATTR_IFINDEX, ifindex);
	} else {
		/* The header is the first attribute of every ethtool request. */
		header = nla_nest_start(message, ETHTOOL_A_CHANNELS_HEADER);
		if (header == NULL) {
			goto done;
		}
		nla_put_u32(message, ETHTOOL_A_HEADER_DEV_INDEX, ifindex);
		nla_nest_end(message, header);
	}
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, fn, out);
	if (nl_send_auto(sock, message) >= 0) {
		nl_recvmsgs_default(sock); /* one datagram: the answer, or an error */
	}
done:
	nlmsg_free(message);
}

static int query_driver(const char *ifname, struct ethtool_info *out)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (void *)&driver};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0) {
		return -errno;
	}
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	if (ioctl(fd, SIOCETHTOOL, &request) == 0) {
		snprintf(out->driver, sizeof(out->driver), "%s", driver.driver);
	} else if (errno != EOPNOTSUPP) {
		error = -errno;
	}
	close(fd);
	return error;
}

int ethtool_query(const char *ifname, uint32_t ifindex, struct ethtool_info *out)
{
	struct nl_sock *sock;
	int error;

	memset(out, 0, sizeof(*out));
	error = query_driver(ifname, out);
	if (error != 0) {
		return error;
	}
	sock = nl_socket_alloc();
	if (sock == NULL) {
		return -ENOMEM;
	}
	/* With acks an answer is two datagrams, an error one. */
	nl_socket_disable_auto_ack(sock);
	if (genl_connect(sock) == 0) {
		ask(sock, "ethtool", ETHTOOL_MSG_CHANNELS_GET, ifindex, on_channels, out);
		ask(sock, "ethtool", ETHTOOL_MSG_FEATURES_GET, ifindex, on_features, out);
		ask(sock, "netdev", NETDEV_CMD_GET, ifindex, on_netdev, out);
	}
	nl_socket_free(sock);
	return 0;
}
