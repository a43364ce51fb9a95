/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * others: BPF programs that somebody else has put in the way of a frame.
 *
 * What:    tcx programs of an interface, programs attached to netfilter.
 * Callers: netlink/guard, netlink/netfilter.
 * Thread:  control.
 * Owner:   the caller's struct remembers what was seen; nothing is held open.
 * Full:    more links on netfilter than are remembered: all links are looked at each time.
 * Refuses: nothing; what the kernel does not have is not there.
 */
#ifndef SHUNT_BPF_OTHERS_H
#define SHUNT_BPF_OTHERS_H

#include <stdbool.h>
#include <stdint.h>

/* Is there a tcx program (kernels >= 6.6)? */
bool others_tcx(uint32_t ifindex, bool egress);

#define OTHERS_LINKS 32u

/* Zeroed before the first call. */
struct others_netfilter {
	bool forwarding; /* one sees what is forwarded, */
	int hook;        /* here (NF_INET_*) */
	bool defrag;     /* one, anywhere, has fragments reassembled */
	uint32_t last;   /* the newest link seen */
	unsigned count;
	uint32_t id[OTHERS_LINKS];
};

/* Links to netfilter (kernels >= 6.4), in any network namespace: they do not say which.  0; -EPERM
 * without CAP_SYS_ADMIN. */
int others_netfilter(struct others_netfilter *seen);

#endif
