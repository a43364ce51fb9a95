/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guard: what must not be bypassed: netfilter, traffic control, BPF on tc, IPsec.
 *
 * What:    looks for everything on the kernel's way of a forwarded frame that the fast path does
 *          not do, and says what it found in a few words each, for all of routing, all of bridging,
 *          or one interface.  What hooks only the machine's own traffic (input, output) is no
 *          obstacle, and neither is what provably does nothing: a chain without rules that accepts,
 *          a qdisc that only orders what waits.
 * Callers: netlink/mirror.
 * Thread:  control.
 * Owner:   its own sockets; the strings it answers live until the next call that can change them.
 * Full:    more interfaces watched, or more devices in nftables chains, than it can list: it then
 *          finds an obstacle on every interface.
 * Refuses: to be sure of what it cannot read: a source that answers with an error is an obstacle;
 *          one that this kernel does not have is none.
 *
 * By source, what is notified (guard_read()) and what is looked at in every guard_poll():
 *
 *   netlink/netfilter  nftables (notified), other hooks, BPF programs on netfilter
 *   netlink/xtables    iptables-legacy and its relatives
 *   netlink/traffic    qdiscs and tc filters (notified)
 *   netlink/ipsec      IPsec policies
 *   bpf/others         tcx programs, BPF links to netfilter and of XDP
 *   here               sysctls, IPVS, XDP programs on what is above a port
 */
#ifndef SHUNT_NETLINK_GUARD_H
#define SHUNT_NETLINK_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "limits.h"

#define GUARD_REASON 80u
#define GUARD_DEVICES 512u /* ports, their bridges, what is stacked above */

struct guard_device {
	uint32_t ifindex;
	bool port; /* the XDP program there is ours */
	char name[SHUNT_IFNAME_SIZE];
};

struct guard;

/* `netfilter_bypass`: netfilter (alone) is accepted as bypassed. 0 or -errno. */
int guard_open(struct guard **out, bool netfilter_bypass);
void guard_close(struct guard *guard);
/* Readable when something notified: then guard_read(). */
int guard_fd(const struct guard *guard);

/* Something notified: look at everything, now or, when it has just been done, with the next poll.
 * True: something changed. */
bool guard_read(struct guard *guard);
/* Look at everything (every 100 ms).  True: something changed. */
bool guard_poll(struct guard *guard);
/* Which interfaces matter; looks at new ones at once.  True: something changed. */
bool guard_watch(struct guard *guard, const struct guard_device *devices, unsigned count);

/* Reasons, NULL for none. */
const char *guard_routing(const struct guard *guard);
const char *guard_bridging(const struct guard *guard);
/* Hooks only on what a bridge hands to IP, or gets from it. */
const char *guard_bridge_routing(const struct guard *guard);
const char *guard_device(const struct guard *guard, uint32_t ifindex);
/* Conntrack may reassemble fragments that are routed; that are bridged.  Not told where the hook
 * that does it is a reason already. */
bool guard_fragments(const struct guard *guard);
bool guard_bridge_fragments(const struct guard *guard);
/* br_netfilter looks at bridged IP frames. */
bool guard_bridge_netfilter(const struct guard *guard);

#endif
