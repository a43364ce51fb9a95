/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netfilter: the netfilter hooks that a forwarded frame would pass, for guard.
 *
 * What:    nftables base chains and flowtables (notified), and every other hook where the kernel
 *          can list them; where it cannot, whether there may be conntrack.  A chain without rules
 *          whose policy is to accept does nothing.
 * Callers: netlink/guard.
 * Thread:  control.
 * Owner:   its sockets; the caller's view is filled.
 * Full:    more devices in chains than NETFILTER_DEVICES: `every_device`.
 * Refuses: to call what it cannot read harmless: an error is a finding.
 */
#ifndef SHUNT_NETLINK_NETFILTER_H
#define SHUNT_NETLINK_NETFILTER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "limits.h"
#include "netlink/guard.h"

/* How many polls (100 ms each) a facility that was not there is left alone: asking makes the kernel
 * run modprobe. */
#define ABSENT_POLLS 50u

/* What one source found, "" nothing.  Zeroed before filling: compared with memcmp. */
struct findings {
	char routing[GUARD_REASON], bridging[GUARD_REASON], bridge_routing[GUARD_REASON];
};

/* The first finding stands: one reason is enough. */
__attribute__((format(printf, 2, 3))) static inline void find(char *reason, const char *format, ...)
{
	va_list args;

	if (reason[0] == '\0') {
		va_start(args, format);
		vsnprintf(reason, GUARD_REASON, format, args);
		va_end(args);
	}
}

#define NETFILTER_DEVICES 64u

struct netfilter_device {
	char name[SHUNT_IFNAME_SIZE];
	bool prefix; /* of names */
	char why[GUARD_REASON];
};

struct netfilter_view {
	struct findings chains, hooks;
	unsigned device_count;
	struct netfilter_device device[NETFILTER_DEVICES];
	bool every_device;
	bool hooks_unseen;             /* the kernel cannot list them */
	bool ip_defrag, bridge_defrag; /* fragments are reassembled that are routed; bridged */
	/* nftables has any that can hold a ct expression or object: for IP, for bridged frames. */
	bool ip_tables, bridge_tables;
};

struct netfilter;

/* 0, also when the kernel has no netfilter netlink (*out is NULL then, which all take); -errno. */
int netfilter_open(struct netfilter **out);
void netfilter_close(struct netfilter *netfilter);
/* Readable when nftables notified, then netfilter_notified(); -1 never. */
int netfilter_fd(const struct netfilter *netfilter);
/* Take the notifications, if any: the next look is at everything. */
void netfilter_notified(struct netfilter *netfilter);
/* Bring the view, which was zero or filled by the last call, up to date. */
void netfilter_look(struct netfilter *netfilter, struct netfilter_view *view);

/* The name of a hook of a family (NFPROTO_*), for people. */
const char *netfilter_hook(uint8_t family, int hook);

#endif
