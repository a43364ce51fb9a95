/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * others: BPF programs that somebody else has put in the way of a frame.
 *
 * What:    tcx programs of an interface; links of programs to netfilter and, as XDP, to an
 *          interface.
 * Callers: netlink/guard, in every poll: none of this is notified.
 * Thread:  control.
 * Owner:   the caller's struct remembers what was seen; nothing is held open.
 * Full:    more links than are remembered: all links are looked at each time.
 * Refuses: nothing; what the kernel does not have is not there.
 */
#ifndef SHUNT_BPF_OTHERS_H
#define SHUNT_BPF_OTHERS_H

#include <stdbool.h>
#include <stdint.h>

/* Is there a tcx program (kernels >= 6.6)? */
bool others_tcx(uint32_t ifindex, bool egress);

#define OTHERS_LINKS 32u

/* Zeroed before the first call, and when the interfaces in question are others. */
struct others_links {
	bool forwarding; /* a program on netfilter sees what is forwarded, */
	int hook;        /* here (NF_INET_*) */
	bool defrag;     /* one, anywhere in netfilter, has fragments reassembled */
	bool xdp;      /* since the last call a link of XDP to one of the interfaces came or went */
	uint32_t last; /* the newest link seen */
	unsigned count;
	struct {
		uint32_t id;
		bool xdp;
	} link[OTHERS_LINKS];
};

/* All links, of any network namespace: that to netfilter (kernels >= 6.4) does not say which it is,
 * and that of XDP but an index.  0; -EPERM without CAP_SYS_ADMIN. */
int others_links(struct others_links *seen, bool (*concerns)(uint32_t ifindex, void *arg),
		 void *arg);

#endif
