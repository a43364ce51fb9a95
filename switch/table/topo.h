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
#include "table/rules.h"

enum topo_kind {
	TOPO_OTHER,   /* any interface that is none of those below */
	TOPO_PORT,    /* one of the configured ports */
	TOPO_BRIDGE,  /* a kernel bridge */
	TOPO_VLAN,    /* a VLAN device (eth1.100, br0.100) */
	TOPO_MACVLAN, /* a macvlan, as VRRP makes them; also on a VLAN device */
};

enum {
	TOPO_UP = 1u << 0,       /* IFF_UP, and IFF_RUNNING (carrier) */
	TOPO_L2 = 1u << 1,       /* bridge member: frames may be bridged here by us */
	TOPO_L3 = 1u << 2,       /* frames may be routed here by us, in or out */
	TOPO_LEARNING = 1u << 3, /* bridge member: learning on */
	TOPO_FORWARD4 = 1u << 4, /* net.ipv4.conf.X.forwarding */
	TOPO_FORWARD6 = 1u << 5, /* net.ipv6.conf.all.forwarding (ip6_forward() asks only that) */
	TOPO_PARTIAL = 1u << 6,  /* frames may carry unfinished L4 checksums (veth, tun, virtio) */
	TOPO_BR_NF = 1u << 7,    /* bridge: br_netfilter validates bridged IP headers */
	/* Fragments that come in here are the kernel's, which may reassemble them before it looks
	 * where they go (conntrack).  Bridge, or member of none: those that are routed.  Bridge
	 * member: all, bridged ones too. */
	TOPO_FRAGMENTS = 1u << 8,
	TOPO_HAS_VLANS = 1u << 9,     /* VLAN devices sit on it; topo_add_if() sees to this one */
	TOPO_HAS_MACVLANS = 1u << 10, /* macvlans do; so */
	TOPO_HAIRPIN = 1u << 11,      /* bridge member: frames may go back where they came from */
	TOPO_ISOLATED = 1u << 12,     /* bridge member: no frames to others that are isolated */
	TOPO_LOCKED = 1u << 13,       /* bridge member: a source must be known, here, not locked */
	TOPO_NO_ADDR4 = 1u << 14,     /* has no IPv4 address */
	/* Frames may be routed in by it, not out: a macvlan in mode bridge, whose siblings, unseen
	 * in other namespaces, get what is sent to them without a wire (macvlan_queue_xmit()). */
	TOPO_IN_ONLY = 1u << 15,
};

#define TOPO_NONE (-1)
#define TOPO_TAGS_MAX 2u
#define TOPO_MEMBERS_MAX 64u /* a set of members is one 64-bit word */
#define TOPO_VIDS 4096u      /* IEEE 802.1Q 9.6 */

struct topo_tag {
	uint16_t tpid_be; /* ETH_P_8021Q or ETH_P_8021AD */
	uint16_t tci_be;  /* of an interface: its VID */
};

struct topo_if {
	uint32_t ifindex;
	uint8_t kind;      /* enum topo_kind */
	uint8_t rp_filter; /* the larger of conf.all and conf.X: 0 off, 1 strict, 2 loose */
	uint8_t tag_count;
	int8_t member;  /* which member of its bridge: the bit in the sets below; or TOPO_NONE */
	uint32_t flags; /* TOPO_* */
	/* Of the port at the bottom that its frames leave by: a port's own; that of a VLAN device
	 * or macvlan above a port; else TOPO_NONE. */
	int16_t slot;
	int16_t bridge; /* the bridge it is, or is a member of; or TOPO_NONE */
	int16_t over;   /* the bridge that a VLAN device or macvlan sits on; or TOPO_NONE */
	/* Between its frames and the wire of `slot`, or the inside of bridge `over`; outermost
	 * first, so a VLAN device's own is the last. */
	struct topo_tag tag[TOPO_TAGS_MAX];
	uint32_t lower; /* VLAN device, macvlan: ifindex of the device it sits on; else 0 */
	uint32_t vrf;   /* ifindex of the VRF it is enslaved to; 0 none */
	struct mac mac;
	uint32_t mtu;  /* IPv4 and L2 MTU, bytes */
	uint32_t mtu6; /* IPv6 MTU of the interface, <= mtu */
	char name[SHUNT_IFNAME_SIZE];
};

/* A VLAN of a bridge; sets are of member indexes. */
struct topo_vlan {
	uint16_t vid;
	bool self;          /* the bridge's own interface is in it */
	bool self_untagged; /* ... and gets its frames without tag */
	bool flood_ours;    /* `flood` is every target that the kernel would have: no member that is
			     * not fast, bridge not promiscuous.  Else the kernel floods. */
	uint64_t ingress;   /* in it, in a state that lets frames in */
	uint64_t learn;     /* in it, in a state that lets learn */
	uint64_t egress;    /* frames may leave by it: in it, its states forwarding, fast */
	uint64_t untagged;  /* of those: without tag */
	uint64_t flood;     /* of those: unknown unicast too; the ingress is not taken out */
};

struct topo_bridge {
	uint32_t ifindex;
	const struct topo_if *self; /* the bridge's own interface */
	bool filtering;     /* else its one VLAN is number 0, and tags pass through untouched */
	uint16_t proto_be;  /* TPID of its VLANs */
	uint16_t pvid_self; /* of frames that the bridge's own interface sends; 0 none */
	unsigned member_count;
	uint64_t isolated, hairpin; /* members */
	const struct topo_if *member[TOPO_MEMBERS_MAX];
	uint16_t pvid[TOPO_MEMBERS_MAX]; /* 0 none: untagged frames are dropped */
	struct topo_vlan **vlan;         /* by VID; topo_bridge_vlan() */
};

struct topo; /* opaque; read with the calls below */

/* Builder side, control thread. ------------------------------------------------------------- */
struct topo *topo_create(void);
void topo_destroy(struct topo *topo); /* only one that no reader can have */
/* Free it after a grace period: tables_publish_topo() does this with the former one. */
void topo_retire(struct topo *topo);
/* Copy `*iface` in, but for what topo_add_bridge() and topo_join() set (`bridge`, `member`).
 * 0, -ENOMEM, -EEXIST (ifindex twice, a port's slot twice), -ERANGE (slot, tags), -EINVAL
 * (ifindex 0).  Two VLAN devices with one tag on one device, or two macvlans with one MAC: the
 * first is found. */
int topo_add_if(struct topo *topo, const struct topo_if *iface);

struct topo_bridge_conf {
	uint32_t ifindex;
	bool filtering;
	uint16_t proto_be, pvid_self; /* as in struct topo_bridge */
};

/* Add a bridge after its interface was added; returns its index (>= 0) or -errno (-ENOENT,
 * -EEXIST).  The interface becomes a TOPO_BRIDGE. */
int topo_add_bridge(struct topo *topo, const struct topo_bridge_conf *conf);
/* Make an interface a member; its TOPO_HAIRPIN and TOPO_ISOLATED count.  Returns its index among
 * the members, or -ENOENT, -ERANGE (bridge), -ENOSPC: there are TOPO_MEMBERS_MAX already; it is a
 * member all the same, but without TOPO_L2: the kernel's. */
int topo_join(struct topo *topo, uint32_t ifindex, int bridge);
void topo_set_pvid(struct topo *topo, int bridge, int member, uint16_t pvid);
/* Copy a VLAN in: once number 0 on a bridge that does not filter, 1..4094 on one that does.
 * 0, -ENOMEM, -EEXIST, -ERANGE (bridge, VID). */
int topo_add_vlan(struct topo *topo, int bridge, const struct topo_vlan *vlan);

/* Policy rules and what else routing goes by; the topo takes it. */
void topo_set_routing(struct topo *topo, struct routing *routing);

/* Reader side, under RCU. ------------------------------------------------------------------- */
/* The interface of a port slot (NULL: not there now). O(1). */
const struct topo_if *topo_port(const struct topo *topo, unsigned slot);
/* The interface with an ifindex, or NULL.  One hash. */
const struct topo_if *topo_if(const struct topo *topo, uint32_t ifindex);
const struct topo_bridge *topo_bridge(const struct topo *topo, int index);
/* NULL: not on this bridge. */
static inline const struct topo_vlan *topo_bridge_vlan(const struct topo_bridge *bridge,
						       uint16_t vid)
{
	return bridge->vlan[bridge->filtering ? vid % TOPO_VIDS : 0];
}

/* The VLAN device with this tag on a device, the macvlan with this MAC (as mac_word() gives it); or
 * NULL. One hash. */
const struct topo_if *topo_vlan_on(const struct topo *topo, uint32_t lower, uint16_t tpid_be,
				   uint16_t vid);
const struct topo_if *topo_macvlan_on(const struct topo *topo, uint32_t lower, uint64_t mac);
/* NULL before tables_publish_topo(). */
const struct routing *topo_routing(const struct topo *topo);
/* Iterate all: index from 0 until NULL. */
const struct topo_if *topo_if_at(const struct topo *topo, size_t index);

#endif
