/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * decode: rtnetlink and nfnetlink messages to plain structs.
 *
 * What:    pure functions from the bytes after the nlmsghdr to a value.  No tables, no system
 *          calls.
 * Callers: netlink/mirror and netlink/guard; tests and the fuzzer.
 * Thread:  any.
 * Owner:   the caller's struct is filled; nothing points into the message.
 * Refuses: anything whose lengths do not add up (-EBADMSG, the struct is then not to be used).
 *          What it can read but not judge is not refused but said: `odd`, `harmless`, `action`.
 */
#ifndef SHUNT_NETLINK_DECODE_H
#define SHUNT_NETLINK_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limits.h"
#include "table/rib.h"

/* A bridge port's or a bridge's attributes, as far as the fast path depends on them: see the tables
 * in decode_bridge.c for each one that there is. */
struct nl_bridge_port {
	bool present;
	uint8_t state; /* BR_STATE_* */
	bool learning, flood, hairpin, isolated, locked;
	bool answers; /* ARP and neighbour discovery may be answered or held back for this port */
	bool to_unicast; /* a group's frames leave as unicast */
	uint16_t odd;    /* first IFLA_BRPORT_* that forwards in a way not implemented; 0 none */
};

struct nl_bridge {
	bool present;
	bool vlan_filtering;
	bool stp;           /* it, or a daemon for it, speaks STP */
	uint16_t proto_be;  /* of its VLAN tags */
	uint32_t ageing_s;  /* rounded up; 0: it does not learn */
	uint32_t refresh_s; /* an entry that is not refreshed may be gone after this; 0 never */
	bool snooping, vlan_snooping;
	bool router;      /* all that is multicast is for the machine too */
	bool igmp3, mld2; /* groups may be joined for single sources */
	bool querier;     /* its own is switched on */
	bool known[2];    /* a querier of the family (IPv4, IPv6) is there, its own or another */
	uint32_t other_ms[2]; /* for how long the other one is believed; 0 there is none */
	uint32_t response_ms; /* how long hosts may take to answer it */
	uint16_t odd;         /* first IFLA_BR_* not implemented and not at its default; 0 none */
	uint32_t odd_options; /* of IFLA_BR_MULTI_BOOLOPT: those bits */
};

struct nl_vlan_device {
	bool present;
	uint16_t proto_be, id;
	bool maps_egress; /* the priority of what is sent comes from a map */
};

enum nl_macvlan_mode { NL_MACVLAN_ALONE = 1, NL_MACVLAN_SIBLINGS, NL_MACVLAN_STRANGE };

struct nl_macvlan {
	uint8_t mode; /* enum nl_macvlan_mode; 0 neither a macvlan nor a macvtap */
};

struct nl_link {
	uint32_t ifindex, flags, mtu, mtu6; /* mtu, mtu6: 0 when the message did not say */
	uint32_t master, lower;             /* ifindexes, 0 none; lower only in this namespace */
	uint32_t promiscuity;
	bool allmulti; /* all multicast is taken, or the kernel is too old (before 6.0) to tell */
	bool inet6;    /* the message told of IPv6 here; then: */
	bool inet6_disabled;
	uint16_t type;  /* ARPHRD_* */
	uint8_t family; /* AF_UNSPEC, AF_BRIDGE, AF_INET6: which view of the link */
	bool partial;   /* an event that describes nothing (wireless) */
	struct mac mac;
	char name[SHUNT_IFNAME_SIZE];
	char kind[16];
	struct nl_bridge bridge;
	struct nl_bridge_port port;
	struct nl_vlan_device vlan;
	uint32_t vrf_table; /* of a VRF; 0 none */
	struct nl_macvlan macvlan;
};

/* VLANs first..last of a bridge's VLAN database, all alike. */
struct nl_vlan {
	uint32_t ifindex; /* of the port, or of the bridge itself */
	uint16_t first, last;
	bool pvid, untagged;
	uint8_t state; /* BR_STATE_* */
	bool answers;  /* as in nl_bridge_port */
};

/* A multicast group on one port of a bridge. */
struct nl_group {
	uint32_t bridge;
	uint32_t ifindex; /* of the port, or of the bridge: the machine itself has joined */
	uint16_t vlan;
	uint16_t proto_be; /* ETH_P_IP, ETH_P_IPV6, or 0: `group` is a MAC */
	bool has_source, has_mode;
	bool include; /* has_mode: nothing but its listed sources, which have groups of their own */
	bool blocked;
	struct ip_addr group, source;
};

/* A port behind which there are multicast routers. */
struct nl_router {
	uint32_t bridge;
	uint32_t ifindex; /* 0: the machine itself */
	uint16_t vlan;    /* 0 all: snooping is not per VLAN */
	bool timed;       /* a dump, which tells the families; a notification does not */
	bool family[2];   /* IPv4, IPv6 */
};

struct nl_addr {
	uint32_t ifindex;
	enum ip_family family;
	struct ip_addr addr;
};

struct nl_neigh {
	uint32_t ifindex, master, flags;
	uint16_t state; /* NUD_* */
	uint16_t vlan;
	uint8_t family; /* AF_* */
	bool has_mac, has_dst;
	bool locked; /* NTF_EXT_LOCKED: seen on a locked port, not let through */
	struct mac mac;
	struct ip_addr dst;
};

struct nl_route {
	struct rib_route route;              /* action decided; hops as the message had them */
	uint8_t hop_flags[NEXTHOP_HOPS_MAX]; /* RTNH_F_* */
	uint32_t table;                      /* RT_TABLE_* */
	uint32_t expires_ms;                 /* when the kernel takes it away, from now; 0 not */
	uint8_t protocol;                    /* RTPROT_* */
	bool cloned, source_specific;
};

/* A policy rule. */
struct nl_rule {
	uint32_t priority, table;
	uint32_t target; /* of FR_ACT_GOTO: a priority */
	uint8_t family;  /* AF_* */
	uint8_t action;  /* FR_ACT_* */
	uint8_t src_len, dst_len;
	bool invert, l3mdev;
	int16_t suppress; /* prefix length, -1 none */
	uint16_t odd;     /* first FRA_* that selects by something not implemented; 0 none */
	struct ip_addr src, dst;
	char iif[SHUNT_IFNAME_SIZE], oif[SHUNT_IFNAME_SIZE]; /* "" any */
};

/* A next-hop object. */
struct nl_nexthop {
	uint32_t id, ifindex;
	uint8_t family; /* AF_* of the gateway */
	bool has_via, blackhole;
	uint16_t odd;        /* first NHA_* that forwards in a way not implemented; 0 none */
	uint16_t group_type; /* NEXTHOP_GRP_TYPE_* */
	unsigned count; /* members; 0: not a group; over NEXTHOP_HOPS_MAX: more than are here */
	uint32_t bucket_count; /* of a resilient group */
	struct ip_addr via;
	struct {
		uint32_t id, weight;
	} member[NEXTHOP_HOPS_MAX];
};

/* A bucket of a resilient group. */
struct nl_bucket {
	uint32_t group, nexthop; /* ids */
	uint16_t index;
};

#define NL_CONF_ALL UINT32_MAX
#define NL_CONF_DEFAULT (UINT32_MAX - 1)

struct nl_conf {
	uint32_t ifindex;                           /* or NL_CONF_ALL, NL_CONF_DEFAULT */
	uint8_t family;                             /* AF_* */
	int forwarding, rp_filter, ignore_linkdown; /* -1 the message did not say */
};

struct nl_qdisc {
	uint32_t ifindex, parent, handle;
	bool limits; /* sch_fq with a maximum rate */
	char kind[16];
};

/* A netfilter base chain, `hook` < 0 for a chain that is not one; or a flowtable (`hook` < 0). */
#define NL_CHAIN_DEVICES 16u
#define NL_NFT_NAME 256u /* bytes: NFT_NAME_MAXLEN */
struct nl_chain {
	uint8_t family; /* NFPROTO_* */
	int hook;
	bool idle;             /* its policy is to accept, and it counts no rule */
	unsigned device_count; /* over NL_CHAIN_DEVICES: more than are listed */
	char table[NL_NFT_NAME], name[NL_NFT_NAME];
	char device[NL_CHAIN_DEVICES][SHUNT_IFNAME_SIZE];
	bool device_prefix[NL_CHAIN_DEVICES]; /* device[] is a prefix of names */
};

/* A netfilter hook as nfnetlink_hook lists it. */
struct nl_hook {
	char function[64];
	bool chain; /* an nftables chain, which NFT_MSG_GETCHAIN names better */
};

/* An IPsec policy. */
struct nl_policy {
	uint8_t family, direction; /* AF_*, XFRM_POLICY_* */
	uint8_t from_bits, to_bits;
	struct ip_addr from, to;
	uint32_t if_id; /* of the xfrm interface that it is for; 0 for all that go by none */
};

int decode_link(const void *data, size_t size, struct nl_link *out);
int decode_addr(const void *data, size_t size, struct nl_addr *out);
int decode_neigh(const void *data, size_t size, struct nl_neigh *out);
int decode_route(const void *data, size_t size, struct nl_route *out);
int decode_nexthop(const void *data, size_t size, struct nl_nexthop *out);
int decode_bucket(const void *data, size_t size, struct nl_bucket *out);
int decode_rule(const void *data, size_t size, struct nl_rule *out);
/* What a rule attribute selects by, for people. */
const char *decode_rule_selector(uint16_t attribute);
int decode_conf(const void *data, size_t size, struct nl_conf *out);
int decode_qdisc(const void *data, size_t size, struct nl_qdisc *out);
/* The XDP program of an interface, 0 none (RTM_NEWLINK). */
int decode_link_xdp(const void *data, size_t size, uint32_t *out);
/* Of a tc filter. */
int decode_filter_kind(const void *data, size_t size, char *kind, size_t kind_size);
int decode_chain(const void *data, size_t size, struct nl_chain *out);
int decode_flowtable(const void *data, size_t size, struct nl_chain *out);
int decode_hook(const void *data, size_t size, struct nl_hook *out);
/* The generation of the nftables rule set (NFT_MSG_NEWGEN). */
int decode_generation(const void *data, size_t size, uint32_t *out);
/* Count of IPsec policies that forwarded packets are held against (XFRM_MSG_NEWSPDINFO). */
int decode_spdinfo(const void *data, size_t size, uint32_t *out);
int decode_policy(const void *data, size_t size, struct nl_policy *out);
/* RTM_NEWVLAN, RTM_DELVLAN: each entry that is not about all ports. */
int decode_vlans(const void *data, size_t size, void (*fn)(const struct nl_vlan *vlan, void *arg),
		 void *arg);
/* RTM_NEWMDB, RTM_DELMDB, RTM_GETMDB (of a dump): groups and routers. */
int decode_mdb(const void *data, size_t size,
	       void (*group)(const struct nl_group *group, void *arg),
	       void (*router)(const struct nl_router *router, void *arg), void *arg);
/* The name of a bridge port's attribute, of a bridge's, for people. */
const char *decode_port_flag(uint16_t attribute);
const char *decode_bridge_option(const struct nl_bridge *bridge);

#endif
