/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/features.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include <linux/if_bridge.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_hook.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include "netlink/sock.h"

static void nothing(const struct nlmsghdr *message, void *arg)
{
}

/* Does a dump of `type` answer that there is no such thing? */
static bool missing(struct nlsock *sock, uint16_t type, uint8_t family, size_t header)
{
	struct nlreq request;
	/* The family is the first byte of each of these headers. */
	uint8_t *bytes = nlreq_init(&request, type, 0, header);
	int ret;

	bytes[0] = family;
	ret = nlsock_dump(sock, &request, nothing, NULL, NULL);
	return ret == -EOPNOTSUPP || ret == -EAFNOSUPPORT;
}

static bool hook_list_missing(void)
{
	struct nlsock *sock;
	struct nlreq request;
	struct nfgenmsg *header;
	int ret;

	if (nlsock_open(&sock, NETLINK_NETFILTER, 0) != 0) {
		return true;
	}
	header = nlreq_init(&request, NFNL_SUBSYS_HOOK << 8 | NFNL_MSG_HOOK_GET, 0,
			    sizeof(*header));
	header->nfgen_family = NFPROTO_IPV4;
	mnl_attr_put_u32(&request.header, NFNLA_HOOK_HOOKNUM, htonl(NF_INET_FORWARD));
	ret = nlsock_dump(sock, &request, nothing, NULL, NULL);
	nlsock_close(sock);
	return ret == -EINVAL || ret == -EOPNOTSUPP; /* -ENOENT and the like: it was asked */
}

int features_missing(unsigned *out)
{
	struct nlsock *sock;
	int ret = nlsock_open(&sock, NETLINK_ROUTE, 0);

	if (ret != 0) {
		return ret;
	}
	*out = 0;
	if (missing(sock, RTM_GETNEXTHOP, AF_UNSPEC, sizeof(struct nhmsg))) {
		*out |= 1u << FEATURE_NEXTHOPS;
	}
	if (missing(sock, RTM_GETVLAN, AF_BRIDGE, sizeof(struct br_vlan_msg))) {
		*out |= 1u << FEATURE_BRIDGE_VLANS;
	}
	if (missing(sock, RTM_GETMDB, AF_BRIDGE, sizeof(struct br_port_msg))) {
		*out |= 1u << FEATURE_BRIDGE_MDB;
	}
	nlsock_close(sock);
	if (hook_list_missing()) {
		*out |= 1u << FEATURE_HOOK_LIST;
	}
	return 0;
}
