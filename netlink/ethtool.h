/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ethtool: what the driver of an interface says of itself, over generic netlink (libnl-3); the few
 * features that are switched for the fast path's sake; and notice of changes.
 *
 * Callers: switch/run/port (take, follow) and switch/run/offload (switch), control thread.
 * Owner:   the caller's struct is filled.  A family the kernel lacks leaves its fields "unknown".
 * Full:    a watch that lost notifications says that everything may have changed.
 */
#ifndef SHUNT_NETLINK_ETHTOOL_H
#define SHUNT_NETLINK_ETHTOOL_H

#include <stdbool.h>
#include <stdint.h>

/* Features that stand in the fast path's way. */
enum ethtool_feature {
	ETHTOOL_RX_VLAN, /* an 802.1Q tag is stripped into metadata: `ethtool -K DEV rxvlan` */
	ETHTOOL_RX_STAG, /* an 802.1ad tag likewise */
	ETHTOOL_LRO,     /* received frames are merged: drivers then refuse XDP */
	ETHTOOL_GRO_HW,  /* the same as virtio_net and others have it */
	ETHTOOL_FEATURES
};

/* Features that hide a tag from AF_XDP. */
#define ETHTOOL_STRIP (1u << ETHTOOL_RX_VLAN | 1u << ETHTOOL_RX_STAG)

struct ethtool_info {
	char driver[32]; /* ETHTOOL_GDRVINFO; "" unknown */
	unsigned
		rx_queues; /* rx + combined channels that a socket can have; 0 unknown (assume 1) */
	unsigned tx_queues;  /* tx + combined likewise; 0 unknown (assume as many) */
	uint32_t on;         /* bit an ethtool_feature: active */
	uint32_t changeable; /* likewise: can be switched */
	bool rx_vlan_strip;  /* ETHTOOL_RX_VLAN or ETHTOOL_RX_STAG is active */
	bool vlan_hint;      /* netdev family: the driver shows a stripped tag to XDP */
	bool xdp_known;      /* netdev family answered: the next three are facts */
	bool xdp_basic, xdp_redirect, xdp_zerocopy;
};

int ethtool_query(const char *ifname, uint32_t ifindex, struct ethtool_info *out);

/* How many queues RSS spreads flows over; -errno, -EOPNOTSUPP: the driver has no such table. */
int ethtool_rss_queues(const char *ifname);

/* As the kernel names it ("rx-vlan-hw-parse"). */
const char *ethtool_feature_name(enum ethtool_feature feature);
/* ETHTOOL_FEATURES for a name that is none of these. */
enum ethtool_feature ethtool_feature_by_name(const char *name);
/* Is it active? 1, 0 or -errno; -ENODEV no such interface. */
int ethtool_feature_get(uint32_t ifindex, enum ethtool_feature feature);
/* 0 when it is so afterwards; -EOPNOTSUPP the driver keeps it as it is; -ENODEV; -EPERM. */
int ethtool_feature_set(uint32_t ifindex, enum ethtool_feature feature, bool on);

/* Notice of what ethtool changed on any interface of this namespace: channels, rings, features.
 * -EOPNOTSUPP: this kernel does not notify (before 5.6), ask now and then. */
struct ethtool_watch;

int ethtool_watch_open(struct ethtool_watch **out);
void ethtool_watch_close(struct ethtool_watch *watch);
/* Readable: call ethtool_watch_read(), which never waits. */
int ethtool_watch_fd(const struct ethtool_watch *watch);
/* Calls `changed` for each interface; ifindex 0: notifications were lost, any may have changed.
 * `rings`: ethtool had the driver make its rings anew. */
void ethtool_watch_read(struct ethtool_watch *watch,
			void (*changed)(void *arg, uint32_t ifindex, bool rings), void *arg);

#endif
