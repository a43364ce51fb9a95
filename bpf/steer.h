/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steer: user side of the XDP program that decides which frames the fast path gets.
 *
 * What:    loads bpf/steer.bpf.c once a port, attaches it, fills its maps, reads its counters.
 * Callers: shuntd and switch/io/port on the control thread; the worker only through
 *          `struct steer_beat` words (mapped memory); the punt thread through steer_verdict_*().
 * Owner:   steer_shared owns the maps common to all ports; a steer owns its program, its own maps
 *          and its link.  Destroying a steer (or dying) detaches it, unless its stance is "drop".
 * Refuses: see steer_attach().
 *
 * A "drop" program that outlives its daemon keeps its maps: it goes by the last description and the
 * last local addresses it was told, passes only what is for them (and ARP, neighbour solicitations
 * and link control), and drops the rest.
 */
#ifndef SHUNT_BPF_STEER_H
#define SHUNT_BPF_STEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared.h"
#include "table/addr.h"

struct steer_shared; /* local addresses, verdict cache: one for all ports */
struct steer;        /* one port's program */

int steer_shared_create(struct steer_shared **out);
void steer_shared_destroy(struct steer_shared *shared);

/* Local addresses (of any interface): frames for them are the kernel's. -ENOSPC when full. */
int steer_local_add(struct steer_shared *shared, enum ip_family family, const struct ip_addr *addr);
int steer_local_delete(struct steer_shared *shared, enum ip_family family,
		       const struct ip_addr *addr);
/*
 * What follows adds to (`there`) or takes from a set. 0; -ENOSPC full: the frames concerned go a
 * slower way (elsewhere) or stay the kernel's; -ENOENT was not there. Control.
 */
/* Behind the outermost tag `vid` (0: untagged) `mac` is, besides router_mac, for this machine's
 * routing. */
int steer_mac_set(struct steer_shared *shared, unsigned slot, uint16_t vid, const struct mac *mac,
		  bool there);
/* On this bridge `mac` is behind a member that only the kernel can reach: passed in XDP. */
int steer_elsewhere_set(struct steer_shared *shared, uint32_t bridge, uint16_t vid,
			const struct mac *mac, bool there);
/* A multicast group that the fast path replicates; all others are passed. */
int steer_group_set(struct steer_shared *shared, const struct steer_group_key *group, bool there);
/* Verdict cache: from port `slot`, `addr` leaves by an interface that is not a port: pass it in XDP
 * until `until_ns`; the frame this was seen of was looked at at `made_ns` (CLOCK_MONOTONIC_COARSE).
 * Any one thread (a bpf map update). */
int steer_verdict_pass(struct steer_shared *shared, unsigned slot, enum ip_family family,
		       const struct ip_addr *addr, uint64_t made_ns, uint64_t until_ns);
/* Ports have changed: what was made of frames looked at until `now_ns` counts no more. Control. */
void steer_verdict_flush(struct steer_shared *shared, uint64_t now_ns);

struct steer_conf {
	uint32_t ifindex;
	unsigned slot;
	unsigned queues;
	bool generic;   /* XDP_FLAGS_SKB_MODE, else native */
	bool drop;      /* on_failure "drop": attached by netlink, stays when the process goes */
	bool vlan_hint; /* load device-bound with the VLAN tag kfunc (native only) */
};

/* Load for one interface, attach nothing yet. 0; -EOPNOTSUPP (this variant does not load here);
 * -EPERM; -ENOMEM; steer_error() explains. */
int steer_open(struct steer **out, struct steer_shared *shared, const struct steer_conf *conf);
/* What libbpf or the kernel said of this thread's last failed load or attach, one line; "" nothing.
 * Valid until the next call. */
const char *steer_error(void);
/* Attach. -EBUSY another XDP program is there; -EOPNOTSUPP driver has no native XDP; -EINVAL... A
 * program that an earlier daemon's "drop" left behind is replaced: atomically when this one is
 * "drop" too and in the same mode.  Describe the port first: until then a "drop" port drops. */
int steer_attach(struct steer *steer);
/* Detach (also a "drop" port, on purpose) without closing: frames go to the kernel from here on. */
void steer_detach(struct steer *steer);
/* Has somebody taken the program off since, or put another in its place?  `on_interface` answers
 * which one the interface has (0 none, -errno not known), asked only where nothing else tells: of a
 * "drop" port. Then detach: nothing is left to be done there. */
bool steer_displaced(const struct steer *steer,
		     int (*on_interface)(void *arg, uint32_t ifindex, uint32_t *program),
		     void *arg);
void steer_close(struct steer *steer);
/* The program, for tests and benchmarks (BPF_PROG_TEST_RUN). */
int steer_prog_fd(const struct steer *steer);
/* Put a queue's socket in the map: from then on frames can be redirected to it. */
int steer_set_socket(struct steer *steer, unsigned queue, int xsk_fd);
/* Describe the port: MACs, what is fast, limits. Takes effect for the next frame, whole (a frame
 * sees the old or the new description). */
int steer_configure(struct steer *steer, const struct steer_port *port);
/* The words the worker stamps, SHUNT_QUEUES_MAX of them, mapped, valid until steer_close(). */
struct steer_beat *steer_beats(struct steer *steer);
/* Sum of the per-CPU counters. */
int steer_counters(const struct steer *steer, struct steer_counters *out);
/* Is some other XDP program on the interface (not ours)? 0 no, 1 yes, -errno. */
int steer_occupied(uint32_t ifindex);
/* Take a "drop" program left behind by an earlier daemon off the interface (shuntd --release). 0
 * also when there is none of ours, whose program is never touched; -EBUSY held by a living
 * daemon. */
int steer_release(uint32_t ifindex);

/* Generic mode sees neither a VLAN tag that is beside the frame nor that a frame is several
 * (GSO): a tracing program on netif_receive_skb tells steer.  0 when it is in place (started once,
 * kept by `shared`), -errno when this kernel cannot: generic ports must then stay with the
 * kernel. */
int steer_watch_skb(struct steer_shared *shared);

#endif
