/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/features.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/if_bridge.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_hook.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include "netlink/sock.h"

/* Of a module with a version, which these are, there when it is built in, too. */
#define BRIDGE_LOADED "/sys/module/bridge"
#define VRF_LOADED "/sys/module/vrf"

static const struct {
	const char *name, *means;
} features[FEATURES] = {
	[FEATURE_IPV6] = {"IPv6", "its packets are bridged, and not routed"},
	[FEATURE_RULES] = {"policy rules", "there is one table of routes"},
	[FEATURE_NEXTHOPS] = {"next-hop objects", "routes that use them cannot be configured"},
	[FEATURE_VRFS] = {"VRFs", "they cannot be configured"},
	[FEATURE_BRIDGE_VLANS] = {"VLANs of bridges",
				  "a bridge with vlan_filtering would be left to the kernel"},
	[FEATURE_BRIDGE_MDB] = {"multicast groups of bridges",
				"multicast is flooded, by the kernel"},
	[FEATURE_HOOK_LIST] =
		{"list of netfilter hooks (CONFIG_NETFILTER_NETLINK_HOOK)",
		 "what iptables and conntrack do cannot be seen exactly: any iptables table turns "
		 "fast routing off, any nftables table leaves fragments to the kernel"},
};

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

/* Is a module at hand that would be loaded when it is wanted? */
static bool installed(const char *file)
{
	char path[128], line[1024];
	struct utsname name;
	bool found = false;
	FILE *modules;

	uname(&name);
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", name.release);
	modules = fopen(path, "re");
	while (modules != NULL && !found && fgets(line, sizeof(line), modules) != NULL) {
		found = strstr(line, file) != NULL;
	}
	if (modules != NULL) {
		fclose(modules);
	}
	return found;
}

int features_missing(unsigned *out)
{
	static const struct {
		enum feature feature;
		uint16_t type;
		uint8_t family;
		uint8_t header;
		const char *needs; /* there, or it cannot be told */
	} questions[] = {
		{FEATURE_IPV6, RTM_GETROUTE, AF_INET6, sizeof(struct rtmsg), NULL},
		{FEATURE_RULES, RTM_GETRULE, AF_INET, sizeof(struct rtmsg), NULL},
		{FEATURE_NEXTHOPS, RTM_GETNEXTHOP, AF_UNSPEC, sizeof(struct nhmsg), NULL},
		{FEATURE_BRIDGE_VLANS, RTM_GETVLAN, AF_BRIDGE, sizeof(struct br_vlan_msg),
		 BRIDGE_LOADED},
		{FEATURE_BRIDGE_MDB, RTM_GETMDB, AF_BRIDGE, sizeof(struct br_port_msg),
		 BRIDGE_LOADED},
	};
	struct nlsock *sock;
	int ret = nlsock_open(&sock, NETLINK_ROUTE, 0);

	if (ret != 0) {
		return ret;
	}
	*out = 0;
	for (unsigned i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		const char *needs = questions[i].needs;

		if ((needs == NULL || access(needs, F_OK) == 0) &&
		    missing(sock, questions[i].type, questions[i].family, questions[i].header)) {
			*out |= 1u << questions[i].feature;
		}
	}
	nlsock_close(sock);
	if (access(VRF_LOADED, F_OK) != 0 && !installed("/vrf.ko")) {
		*out |= 1u << FEATURE_VRFS;
	}
	if (hook_list_missing()) {
		*out |= 1u << FEATURE_HOOK_LIST;
	}
	return 0;
}

const char *feature_name(enum feature feature)
{
	return features[feature].name;
}

const char *feature_means(enum feature feature)
{
	return features[feature].means;
}
