/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topo: the interfaces as one immutable value.
 *
 * What:    links, bridges and what the fast path may do on each, rebuilt whole by the mirror
 *          whenever a link or a condition changes (rare) and swapped in by pointer.
 * Callers: netlink/mirror builds; switch/path reads; shuntd reads `topo_if` to run the ports.
 * Thread:  built and published by the control thread; read under RCU by workers.
 * Owner:   after topo_publish() the tables own it; the old one is freed after a grace period.
 * Full:    allocation failure: topo_add_* returns -ENOMEM, the old value stays in force.
 * Refuses: more than SHUNT_PORTS_MAX ports.
 */
#ifndef SHUNT_TABLE_TOPO_H
#define SHUNT_TABLE_TOPO_H

#include <stddef.h>

#include "limits.h"
#include "table/addr.h"

enum topo_kind {
	TOPO_OTHER,  /* any interface that is neither of the two below */
	TOPO_PORT,   /* one of the configured ports: `slot` is valid */
	TOPO_BRIDGE, /* a kernel bridge: `bridge` is its index in topo->bridge[] */
};

enum {
	TOPO_UP = 1u << 0,       /* IFF_UP, and IFF_RUNNING (carrier) */
	TOPO_L2 = 1u << 1,       /* port: frames may be bridged here by us */
	TOPO_L3 = 1u << 2,       /* port or bridge: frames may be routed here by us, in or out */
	TOPO_LEARNING = 1u << 3, /* bridge port: learning on */
	TOPO_FORWARD4 = 1u << 4, /* net.ipv4.conf.X.forwarding */
	TOPO_FORWARD6 = 1u << 5, /* net.ipv6.conf.all.forwarding (ip6_forward() asks only that) */
	TOPO_PARTIAL = 1u << 6,  /* frames may carry unfinished L4 checksums (veth, tun, virtio) */
	TOPO_BR_NF = 1u << 7,    /* bridge: br_netfilter validates bridged IP headers */
	/* Fragments that come in here are the kernel's, which may reassemble them before it looks
	 * where they go (conntrack).  Bridge, or port of none: those that are routed.  Bridge port:
	 * all, bridged ones too. */
	TOPO_FRAGMENTS = 1u << 8,
};

#define TOPO_NONE (-1)

struct topo_if {
	uint32_t ifindex;
	uint8_t kind;      /* enum topo_kind */
	uint8_t rp_filter; /* the larger of conf.all and conf.X: 0 off, 1 strict, 2 loose */
	uint16_t flags;    /* TOPO_* */
	int16_t slot;      /* port slot, TOPO_NONE when not a port */
	int16_t bridge; /* index in bridge[]: the bridge it is, or is a member of; or TOPO_NONE */
	struct mac mac;
	uint32_t mtu;  /* IPv4 and L2 MTU, bytes */
	uint32_t mtu6; /* IPv6 MTU of the interface, <= mtu */
	char name[SHUNT_IFNAME_SIZE];
};

struct topo_bridge {
	uint32_t ifindex;
	const struct topo_if *self; /* the bridge's own interface */
	/* Ports that an unknown unicast is flooded to, by slot; the ingress port is not taken
	 * out. */
	uint64_t flood_slots;
	/* True when flood_slots is every target the kernel would flood to: no member that is not a
	 * fast port, bridge not promiscuous.  False: the kernel floods. */
	bool flood_ours;
};

struct topo; /* opaque; read with the calls below */

/* Builder side, control thread. ------------------------------------------------------------- */
struct topo *topo_create(void);
void topo_destroy(struct topo *topo); /* only one that no reader can have */
/* Free it after a grace period: tables_publish_topo() does this with the former one. */
void topo_retire(struct topo *topo);
/* Copy `*iface` in.  0, -ENOMEM, -EEXIST (ifindex twice, slot twice), -ERANGE (slot),
 * -EINVAL (ifindex 0). */
int topo_add_if(struct topo *topo, const struct topo_if *iface);
/* Add a bridge after its interface was added; returns its index (>= 0) or -errno (-ENOENT,
 * -EEXIST).  The interface becomes a TOPO_BRIDGE.  The builder then sets members' `bridge` with
 * topo_join(). */
int topo_add_bridge(struct topo *topo, uint32_t bridge_ifindex, uint64_t flood_slots,
		    bool flood_ours);
int topo_join(struct topo *topo, uint32_t ifindex, int bridge);

/* Reader side, under RCU. ------------------------------------------------------------------- */
/* The interface of a port slot (NULL: not there now). O(1). */
const struct topo_if *topo_port(const struct topo *topo, unsigned slot);
/* The interface with an ifindex, or NULL.  One hash. */
const struct topo_if *topo_if(const struct topo *topo, uint32_t ifindex);
const struct topo_bridge *topo_bridge(const struct topo *topo, int index);
/* Iterate all: index from 0 until NULL. */
const struct topo_if *topo_if_at(const struct topo *topo, size_t index);

#endif
