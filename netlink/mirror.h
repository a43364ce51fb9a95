/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mirror: keeps the tables equal to the kernel's configuration.
 *
 * What:    dumps links, addresses, neighbours, bridge FDB, routes, rules and netconf, then follows
 *          their notifications; scans, marks and sweeps again when the kernel says it lost some
 *          (ENOBUFS) or a change is not notified (IPv4 routes on link down).  Decides for each
 *          configured port whether we may bridge and route on it, and if not, why.
 * Callers: shuntd's event loop.
 * Thread:  control only; the tables' one writer.
 * Owner:   the caller's tables are written; the mirror owns its sockets.
 * Full:    a table at its limit: the object's destinations go to the kernel, the mirror says so
 *          once.
 * Refuses: never the process's end: a message it cannot read is counted and skipped.
 *
 * Sure, or kernel: what is not understood (a bridge option, a rule's selector, a
 * netfilter or tc hook that could touch forwarded frames, ...) takes TOPO_L2 and/or TOPO_L3 from
 * the interfaces it concerns and leaves the reason in struct mirror_port.
 */
#ifndef SHUNT_NETLINK_MIRROR_H
#define SHUNT_NETLINK_MIRROR_H

#include "limits.h"
#include "table/tables.h"

enum mirror_state { MIRROR_DUMP, MIRROR_LIVE, MIRROR_RESYNC };

/* What the mirror knows of a configured port. */
struct mirror_port {
	bool present;
	uint32_t ifindex; /* changes when the interface was unplugged and came back */
	bool up;          /* IFF_UP (administratively) */
	bool running;     /* carrier */
	bool fast;        /* we may bridge (a bridge member) or route (not a member) here */
	bool bridged;     /* member of a bridge */
	char reason[96];  /* why not fast; or what part of it the kernel keeps; "" none */
	struct mac mac;
	struct mac router_mac; /* the MAC whose frames are "for us": own, or the bridge's */
	uint32_t mtu;
	bool l2, l3;    /* as TOPO_L2 and TOPO_L3 */
	bool tagged;    /* VLAN tags are understood here */
	bool tagged_l2; /* a VLAN device on it is a bridge member that we bridge by */
	bool arp;       /* ARP and ND to one MAC are the kernel's: it may answer for others */
	uint16_t pvid;  /* VLAN of untagged frames on its bridge, 0 none */
	uint16_t vlan_proto_be; /* of its bridge; 0: that does not filter VLANs, or there is none */
	uint32_t bridge;        /* ifindex of its bridge, 0 none */
	bool stp;               /* which speaks STP */
};

struct steer_group_key; /* bpf/shared.h */

struct mirror_ops {
	/* The port changed; called after the tables were written, once per batch of messages. */
	void (*port)(void *arg, unsigned slot, const struct mirror_port *port);
	/* A local address came or went (any interface, tentative ones too). */
	void (*local)(void *arg, enum ip_family family, const struct ip_addr *addr, bool added);
	/* Sets of steer's (bpf/steer.h says what is in them). */
	void (*router_mac)(void *arg, unsigned slot, uint16_t vid, const struct mac *mac,
			   bool added);
	void (*elsewhere)(void *arg, uint32_t bridge, uint16_t vid, const struct mac *mac,
			  bool added);
	void (*group)(void *arg, const struct steer_group_key *group, bool added);
};

struct mirror_conf {
	const char *const *ports; /* interface names by slot */
	unsigned port_count;
	const bool *partial;   /* by slot, may be NULL until mirror_set_partial() */
	bool netfilter_bypass; /* netfilter "bypass": hooks do not make a port `kernel` */
};

struct mirror_stats {
	enum mirror_state state;
	uint64_t resyncs, messages, malformed, overruns;
	uint64_t lag_ms; /* age of the oldest message not yet applied, or of the running resync */
	size_t routes4, routes6, nexthops, neighbours, fdb;
};

struct mirror;

/* Open, subscribe, dump everything once (blocking), calling ops as it goes. 0 or -errno. */
int mirror_open(struct mirror **out, struct tables *tables, const struct mirror_conf *conf,
		const struct mirror_ops *ops, void *arg);
void mirror_close(struct mirror *mirror);
/* For the event loop: readable -> mirror_read(). An epoll fd that covers all its sockets. */
int mirror_fd(const struct mirror *mirror);
/* Apply what has come, bounded work per call; runs a resync in slices. */
void mirror_read(struct mirror *mirror);
/* Call every 100 ms: polls what does not notify (netfilter hooks, tcx, ...), refreshes neighbours
 * and FDB entries that the fast path uses (NTF_USE). `now_s`: the coarse second workers stamp. */
void mirror_tick(struct mirror *mirror, uint32_t now_s);
/* The checksums of frames from this port may be unfinished (known once the driver is). */
void mirror_set_partial(struct mirror *mirror, unsigned slot, bool partial);
/* A port is neither TOPO_L2 nor TOPO_L3, no flood target and no egress, until it is bound; one that
 * comes back as another interface is not bound any more.  Never calls ops. */
void mirror_set_bound(struct mirror *mirror, unsigned slot, bool bound);
/* A worker saw `mac` as a source in `vlan` on a member of a bridge: tell the kernel's bridge
 * (NTF_USE). */
void mirror_learn(struct mirror *mirror, uint32_t ifindex, const struct mac *mac, uint16_t vlan);
void mirror_stats(const struct mirror *mirror, struct mirror_stats *out);

/* Is it equal to the kernel?  Compared with a fresh reading of everything, in slices, while the
 * event loop turns; a difference that is only a change on its way is none.  Costs the memory of a
 * second set of tables while it lasts. */
struct mirror_difference {
	const char *kind; /* "link", "address", "rule", "conf", "neighbour", "fdb", "route" */
	const char *what; /* "missing": the kernel alone has it; "extra": the tables alone;
			   * "different" */
	char object[96];
	char table[160], kernel[160]; /* what each says of it, "" nothing */
};

struct mirror_verdict {
	int error; /* not 0: it could not be compared; -EAGAIN: the kernel did not hold still */
	uint64_t compared, found, left; /* left to the kernel because a table is at its limit */
	uint64_t took_ms;
	unsigned passes;
	unsigned shown; /* of `found` */
	const struct mirror_difference *difference;
};

/* Start. 0, -EBUSY: one runs already, -ENOMEM. */
int mirror_verify(struct mirror *mirror, uint32_t *id);
/* 0: done, the verdict holds until the next start. -EAGAIN not yet; -ENOENT it is another's. */
int mirror_verified(const struct mirror *mirror, uint32_t id, const struct mirror_verdict **out);

#endif
