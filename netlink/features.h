/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * features: what this kernel can be asked for over netlink.
 *
 * Callers: switch/cli/doctor.
 * Thread:  any; one socket for the time of the call.
 * Refuses: to call a thing missing when the answer was any other error than "no such thing".
 */
#ifndef SHUNT_NETLINK_FEATURES_H
#define SHUNT_NETLINK_FEATURES_H

#include <stdbool.h>

enum feature {
	FEATURE_NEXTHOPS,     /* next-hop objects (5.3) */
	FEATURE_BRIDGE_VLANS, /* VLANs of bridges (5.6); told only with a bridge there */
	FEATURE_BRIDGE_MDB,   /* multicast snooping; likewise */
	FEATURE_HOOK_LIST,    /* the list of netfilter hooks (5.14): precise about firewalls */
	FEATURES
};

/* Bit a feature, set when it is missing.  0 or -errno. */
int features_missing(unsigned *out);

#endif
