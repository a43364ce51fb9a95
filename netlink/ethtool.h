/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ethtool: what the driver of an interface says of itself, over generic netlink (libnl-3).
 *
 * Callers: shuntd when it takes a port, control thread.
 * Owner:   the caller's struct is filled.  A family the kernel lacks leaves its fields "unknown".
 */
#ifndef SHUNT_NETLINK_ETHTOOL_H
#define SHUNT_NETLINK_ETHTOOL_H

#include <stdbool.h>
#include <stdint.h>

struct ethtool_info {
	char driver[32];    /* ETHTOOL_GDRVINFO; "" unknown */
	unsigned rx_queues; /* rx + combined channels; 0 unknown (assume 1) */
	bool rx_vlan_strip; /* rx-vlan-hw-parse is active */
	bool vlan_hint;     /* netdev family: the driver shows a stripped tag to XDP */
	bool xdp_known;     /* netdev family answered: the next three are facts */
	bool xdp_basic, xdp_redirect, xdp_zerocopy;
};

int ethtool_query(const char *ifname, uint32_t ifindex, struct ethtool_info *out);

#endif
