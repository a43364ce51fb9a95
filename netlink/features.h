/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * features: what this kernel can be asked for over netlink, and what follows where it cannot.
 *
 * Callers: shuntd, once at its start; switch/cli/doctor.
 * Thread:  any; one socket for the time of the call.
 * Refuses: to call a thing missing when the answer was any other error than "no such thing", or
 *          when what would have it is not loaded.
 */
#ifndef SHUNT_NETLINK_FEATURES_H
#define SHUNT_NETLINK_FEATURES_H

enum feature {
	FEATURE_IPV6,
	FEATURE_RULES,        /* CONFIG_IP_MULTIPLE_TABLES */
	FEATURE_NEXTHOPS,     /* next-hop objects (5.3) */
	FEATURE_VRFS,         /* CONFIG_NET_VRF */
	FEATURE_BRIDGE_VLANS, /* VLANs of bridges (5.6), CONFIG_BRIDGE_VLAN_FILTERING */
	FEATURE_BRIDGE_MDB,   /* multicast snooping, CONFIG_BRIDGE_IGMP_SNOOPING */
	FEATURE_HOOK_LIST,    /* the list of netfilter hooks (5.14): precise about firewalls */
	FEATURES
};

/* Bit a feature, set when it is missing.  0 or -errno. */
int features_missing(unsigned *out);

/* "next-hop objects"; and what it means that they are missing, one line. */
const char *feature_name(enum feature feature);
const char *feature_means(enum feature feature);

#endif
