/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/ethtool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* As netdev_features_strings[] has them. */
static const char *const feature_names[ETHTOOL_FEATURES] = {
	[ETHTOOL_RX_VLAN] = "rx-vlan-hw-parse",
	[ETHTOOL_RX_STAG] = "rx-vlan-stag-hw-parse",
	[ETHTOOL_LRO] = "rx-lro",
	[ETHTOOL_GRO_HW] = "rx-gro-hw",
};

struct ethtool_watch {
	struct nl_sock *sock;
	void (*changed)(void *arg, uint32_t ifindex, bool rings); /* while it is being read */
	void *arg;
};

static int on_channels(struct nl_msg *message, void *arg)
{
	struct nlattr *attrs[ETHTOOL_A_CHANNELS_MAX + 1];
	struct ethtool_info *out = arg;
	uint32_t combined = 0;

	if (genlmsg_parse(nlmsg_hdr(message), 0, attrs, ETHTOOL_A_CHANNELS_MAX, NULL) < 0) {
		return NL_SKIP;
	}
	if (attrs[ETHTOOL_A_CHANNELS_COMBINED_COUNT] != NULL) {
		combined = nla_get_u32(attrs[ETHTOOL_A_CHANNELS_COMBINED_COUNT]);
	}
	out->rx_queues = out->tx_queues = combined;
	if (attrs[ETHTOOL_A_CHANNELS_RX_COUNT] != NULL) {
		out->rx_queues += nla_get_u32(attrs[ETHTOOL_A_CHANNELS_RX_COUNT]);
	}
	if (attrs[ETHTOOL_A_CHANNELS_TX_COUNT] != NULL) {
		out->tx_queues += nla_get_u32(attrs[ETHTOOL_A_CHANNELS_TX_COUNT]);
	}
	return NL_OK;
}

/* Which of our features are set in a bitset: without a mask it is a list of these, else of all that
 * there are, and the set ones are marked. */
static uint32_t bitset_features(struct nlattr *bitset)
{
	struct nlattr *attrs[ETHTOOL_A_BITSET_MAX + 1];
	uint32_t found = 0;
	struct nlattr *bit;
	int left;

	if (bitset == NULL || nla_parse_nested(attrs, ETHTOOL_A_BITSET_MAX, bitset, NULL) < 0 ||
	    attrs[ETHTOOL_A_BITSET_BITS] == NULL) {
		return 0;
	}
	nla_for_each_nested(bit, attrs[ETHTOOL_A_BITSET_BITS], left)
	{
		struct nlattr *parts[ETHTOOL_A_BITSET_BIT_MAX + 1];
		const char *name;

		if (nla_parse_nested(parts, ETHTOOL_A_BITSET_BIT_MAX, bit, NULL) < 0 ||
		    parts[ETHTOOL_A_BITSET_BIT_NAME] == NULL) {
			continue;
		}
		if (attrs[ETHTOOL_A_BITSET_NOMASK] == NULL &&
		    parts[ETHTOOL_A_BITSET_BIT_VALUE] == NULL) {
			continue;
		}
		name = nla_get_string(parts[ETHTOOL_A_BITSET_BIT_NAME]);
		for (unsigned i = 0; i < ETHTOOL_FEATURES; i++) {
			found |= strcmp(name, feature_names[i]) == 0 ? 1u << i : 0;
		}
	}
	return found;
}

static int on_features(struct nl_msg *message, void *arg)
{
	struct nlattr *attrs[ETHTOOL_A_FEATURES_MAX + 1];
	struct ethtool_info *out = arg;

	if (genlmsg_parse(nlmsg_hdr(message), 0, attrs, ETHTOOL_A_FEATURES_MAX, NULL) == 0) {
		out->on = bitset_features(attrs[ETHTOOL_A_FEATURES_ACTIVE]);
		out->changeable = bitset_features(attrs[ETHTOOL_A_FEATURES_HW]) &
				  ~bitset_features(attrs[ETHTOOL_A_FEATURES_NOCHANGE]);
		out->rx_vlan_strip = (out->on & (1u << ETHTOOL_RX_VLAN | 1u << ETHTOOL_RX_STAG)) !=
				     0;
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

/* A request to `family` about an interface; NULL without memory or such a family. */
static struct nl_msg *request(struct nl_sock *sock, const char *family, uint8_t command,
			      uint32_t ifindex)
{
	int id = genl_ctrl_resolve(sock, family);
	struct nl_msg *message = id < 0 ? NULL : nlmsg_alloc();
	struct nlattr *header;

	if (message == NULL) {
		return NULL;
	}
	if (genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, id, 0, 0, command, 1) == NULL) {
		goto fail;
	}
	if (strcmp(family, "netdev") == 0) {
		nla_put_u32(message, NETDEV_ATTR_IFINDEX, ifindex);
		return message;
	}
	/* The header is the first attribute of every ethtool request. */
	header = nla_nest_start(message, ETHTOOL_A_CHANNELS_HEADER);
	if (header == NULL) {
		goto fail;
	}
	nla_put_u32(message, ETHTOOL_A_HEADER_DEV_INDEX, ifindex);
	nla_nest_end(message, header);
	return message;

fail:
	nlmsg_free(message);
	return NULL;
}

/* Ask `family` with `command` and hand the answer to `fn`; 0 or libnl's error. What the answer
 * lacks stays unknown. */
static int ask(struct nl_sock *sock, const char *family, uint8_t command, uint32_t ifindex,
	       nl_recvmsg_msg_cb_t fn, struct ethtool_info *out)
{
	struct nl_msg *message = request(sock, family, command, ifindex);
	int error;

	if (message == NULL) {
		return -NLE_OPNOTSUPP;
	}
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, fn, out);
	error = nl_send_auto(sock, message);
	if (error >= 0) {
		error = nl_recvmsgs_default(sock); /* one datagram: the answer, or an error */
	}
	nlmsg_free(message);
	return error < 0 ? error : 0;
}

/* A socket that is asked and answers with one datagram. */
static struct nl_sock *asking(void)
{
	struct nl_sock *sock = nl_socket_alloc();

	if (sock == NULL) {
		return NULL;
	}
	/* With acks an answer is two datagrams, an error one. */
	nl_socket_disable_auto_ack(sock);
	if (genl_connect(sock) != 0) {
		nl_socket_free(sock);
		return NULL;
	}
	return sock;
}

static int ethtool_ioctl(const char *ifname, void *command)
{
	struct ifreq request = {.ifr_data = command};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0) {
		return -errno;
	}
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	ret = ioctl(fd, SIOCETHTOOL, &request) ? -errno : 0;
	close(fd);
	return ret;
}

static int query_driver(const char *ifname, struct ethtool_info *out)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	int ret = ethtool_ioctl(ifname, &driver);

	if (ret == 0) {
		snprintf(out->driver, sizeof(out->driver), "%s", driver.driver);
	}
	return ret == -EOPNOTSUPP ? 0 : ret;
}

int ethtool_rss_queues(const char *ifname)
{
	struct ethtool_rxfh_indir size = {.cmd = ETHTOOL_GRXFHINDIR}, *table;
	uint64_t seen = 0;
	int ret = ethtool_ioctl(ifname, &size);

	if (ret != 0 || size.size == 0) {
		return ret != 0 ? ret : -EOPNOTSUPP;
	}
	table = calloc(1, sizeof(*table) + size.size * sizeof(table->ring_index[0]));
	if (table == NULL) {
		return -ENOMEM;
	}
	table->cmd = ETHTOOL_GRXFHINDIR;
	table->size = size.size;
	ret = ethtool_ioctl(ifname, table);
	for (unsigned i = 0; ret == 0 && i < table->size; i++) {
		seen |= 1ull << (table->ring_index[i] % 64);
	}
	free(table);
	return ret != 0 ? ret : __builtin_popcountll(seen);
}

/*
 * virtio_net counts among its channels the queues that it sets apart for XDP while a program is on
 * the device (virtnet_xdp_set()).  They receive as any other, but what an XSK sends by them is
 * never sent (virtnet_poll_tx(), is_xdp_raw_buffer_queue()), and binding one there again after the
 * number of queues has changed was seen to end in virtnet_rq_unmap_free_buf(), with the kernel.
 * They are no queues of ours: what they receive is passed.  The others are those that the stack
 * sends by; sysfs counts them.
 */
static void leave_xdp_queues(const char *ifname, struct ethtool_info *out)
{
	unsigned count = 0;
	char path[96];

	if (strcmp(out->driver, "virtio_net") != 0) {
		return;
	}
	do {
		snprintf(path, sizeof(path), "/sys/class/net/%s/queues/tx-%u", ifname, count);
	} while (access(path, F_OK) == 0 && ++count < out->tx_queues);
	if (count > 0 && count < out->rx_queues) {
		out->rx_queues = count;
	}
	if (count > 0) {
		out->tx_queues = count;
	}
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
	sock = asking();
	if (sock == NULL) {
		return -ENOMEM;
	}
	ask(sock, "ethtool", ETHTOOL_MSG_CHANNELS_GET, ifindex, on_channels, out);
	ask(sock, "ethtool", ETHTOOL_MSG_FEATURES_GET, ifindex, on_features, out);
	ask(sock, "netdev", NETDEV_CMD_GET, ifindex, on_netdev, out);
	nl_socket_free(sock);
	leave_xdp_queues(ifname, out);
	return 0;
}

/* Features. --------------------------------------------------------------------------------- */

const char *ethtool_feature_name(enum ethtool_feature feature)
{
	return feature_names[feature];
}

enum ethtool_feature ethtool_feature_by_name(const char *name)
{
	enum ethtool_feature feature = 0;

	while (feature < ETHTOOL_FEATURES && strcmp(feature_names[feature], name) != 0) {
		feature++;
	}
	return feature;
}

static int nl_errno(int error)
{
	switch (-error) {
	case 0:
		return 0;
	case NLE_NODEV:
	case NLE_OBJ_NOTFOUND:
		return -ENODEV;
	case NLE_PERM:
		return -EPERM;
	case NLE_NOMEM:
		return -ENOMEM;
	default:
		return -EOPNOTSUPP;
	}
}

int ethtool_feature_get(uint32_t ifindex, enum ethtool_feature feature)
{
	struct nl_sock *sock = asking();
	struct ethtool_info info = {0};
	int error;

	if (sock == NULL) {
		return -ENOMEM;
	}
	error = ask(sock, "ethtool", ETHTOOL_MSG_FEATURES_GET, ifindex, on_features, &info);
	nl_socket_free(sock);
	return error != 0 ? nl_errno(error) : (int)(info.on >> feature & 1);
}

/* One bit of ETHTOOL_A_FEATURES_WANTED, the others as they are. */
static bool put_feature(struct nl_msg *message, enum ethtool_feature feature, bool on)
{
	struct nlattr *wanted = nla_nest_start(message, ETHTOOL_A_FEATURES_WANTED);
	struct nlattr *bits = nla_nest_start(message, ETHTOOL_A_BITSET_BITS);
	struct nlattr *bit = nla_nest_start(message, ETHTOOL_A_BITSET_BITS_BIT);

	if (wanted == NULL || bits == NULL || bit == NULL ||
	    nla_put_string(message, ETHTOOL_A_BITSET_BIT_NAME, feature_names[feature]) < 0 ||
	    (on && nla_put_flag(message, ETHTOOL_A_BITSET_BIT_VALUE) < 0)) {
		return false;
	}
	nla_nest_end(message, bit);
	nla_nest_end(message, bits);
	nla_nest_end(message, wanted);
	return true;
}

int ethtool_feature_set(uint32_t ifindex, enum ethtool_feature feature, bool on)
{
	struct nl_sock *sock = asking();
	struct nl_msg *message;
	int error = -NLE_NOMEM, now;

	if (sock == NULL) {
		return -ENOMEM;
	}
	message = request(sock, "ethtool", ETHTOOL_MSG_FEATURES_SET, ifindex);
	if (message != NULL && put_feature(message, feature, on)) {
		nl_socket_disable_seq_check(sock); /* it counted the acks there were not */
		nl_socket_enable_auto_ack(sock);
		error = nl_send_sync(sock, message); /* frees it */
		message = NULL;
	}
	nlmsg_free(message);
	nl_socket_free(sock);
	if (error < 0) {
		return nl_errno(error);
	}
	/* Accepted is not done: a driver may keep it (ndo_fix_features). */
	now = ethtool_feature_get(ifindex, feature);
	return now < 0 ? now : now == (int)on ? 0 : -EOPNOTSUPP;
}

/* Watching. --------------------------------------------------------------------------------- */

static int on_notice(struct nl_msg *message, void *arg)
{
	const struct genlmsghdr *header = nlmsg_data(nlmsg_hdr(message));
	struct nlattr *attrs[ETHTOOL_A_CHANNELS_HEADER + 1];
	struct nlattr *parts[ETHTOOL_A_HEADER_MAX + 1];
	struct ethtool_watch *watch = arg;

	if ((header->cmd == ETHTOOL_MSG_CHANNELS_NTF || header->cmd == ETHTOOL_MSG_RINGS_NTF ||
	     header->cmd == ETHTOOL_MSG_FEATURES_NTF) &&
	    genlmsg_parse(nlmsg_hdr(message), 0, attrs, ETHTOOL_A_CHANNELS_HEADER, NULL) == 0 &&
	    attrs[ETHTOOL_A_CHANNELS_HEADER] != NULL &&
	    nla_parse_nested(parts, ETHTOOL_A_HEADER_MAX, attrs[ETHTOOL_A_CHANNELS_HEADER], NULL) ==
		    0 &&
	    parts[ETHTOOL_A_HEADER_DEV_INDEX] != NULL) {
		watch->changed(watch->arg, nla_get_u32(parts[ETHTOOL_A_HEADER_DEV_INDEX]),
			       header->cmd == ETHTOOL_MSG_RINGS_NTF);
	}
	return NL_OK;
}

int ethtool_watch_open(struct ethtool_watch **out)
{
	struct ethtool_watch *watch = calloc(1, sizeof(*watch));
	int error = -EOPNOTSUPP, group;

	if (watch == NULL) {
		return -ENOMEM;
	}
	watch->sock = asking();
	if (watch->sock == NULL) {
		error = -ENOMEM;
		goto fail;
	}
	group = genl_ctrl_resolve_grp(watch->sock, "ethtool", ETHTOOL_MCGRP_MONITOR_NAME);
	if (group < 0 || nl_socket_add_membership(watch->sock, group) < 0 ||
	    nl_socket_set_nonblocking(watch->sock) < 0) {
		goto fail;
	}
	nl_socket_disable_seq_check(watch->sock); /* nobody asked */
	nl_socket_modify_cb(watch->sock, NL_CB_VALID, NL_CB_CUSTOM, on_notice, watch);
	*out = watch;
	return 0;

fail:
	ethtool_watch_close(watch);
	return error;
}

void ethtool_watch_close(struct ethtool_watch *watch)
{
	if (watch != NULL) {
		nl_socket_free(watch->sock);
		free(watch);
	}
}

int ethtool_watch_fd(const struct ethtool_watch *watch)
{
	return nl_socket_get_fd(watch->sock);
}

void ethtool_watch_read(struct ethtool_watch *watch,
			void (*changed)(void *arg, uint32_t ifindex, bool rings), void *arg)
{
	int error;

	watch->changed = changed;
	watch->arg = arg;
	do {
		error = nl_recvmsgs_default(watch->sock);
		if (error == -NLE_NOMEM) { /* ENOBUFS */
			changed(arg, 0, false);
		}
	} while (error == 0 || error == -NLE_NOMEM || error == -NLE_INTR);
}
