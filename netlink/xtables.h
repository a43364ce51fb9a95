/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xtables: the tables of iptables-legacy, ip6tables-legacy, arptables-legacy and ebtables-legacy.
 *
 * What:    which tables this namespace has, and whether they can do anything to a forwarded frame:
 *          one whose chains on the way of it have no rule and the policy to accept cannot.
 * Callers: netlink/guard, in every poll: nothing of this is notified.
 * Thread:  control.
 * Owner:   two raw sockets, opened when there is a table to ask for.
 * Full:    a table too large to be read ten times a second is taken to do something.
 * Refuses: to ask for a table that is not there: asking makes it.
 */
#ifndef SHUNT_NETLINK_XTABLES_H
#define SHUNT_NETLINK_XTABLES_H

#include <stdbool.h>

#include "netlink/netfilter.h"

struct xtables_view {
	struct findings found;
	bool arp;   /* there is a table of arptables */
	bool rules; /* some table of IP has a rule, of whatever kind */
};

struct xtables;

/* 0 or -ENOMEM. */
int xtables_open(struct xtables **out);
void xtables_close(struct xtables *xtables);
/* Fill the view, which was zeroed.  `hooks_unseen`: the kernel cannot list its hooks, so what can
 * be known of ebtables is whether its modules are loaded. */
void xtables_look(struct xtables *xtables, bool hooks_unseen, struct xtables_view *view);

#endif
