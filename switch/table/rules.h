/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rules: which routing table a packet is looked up in: the kernel's policy rules (`ip rule`), and
 * how one of several paths is chosen.
 *
 * What:    the rules of both families in their order, with the look-up tables they name, the VRFs'
 *          tables, and the sysctls of multipath, as one immutable value.  rules_lookup() does what
 *          fib_rules_lookup() does, for a forwarded packet without a mark.
 * Callers: netlink/rules builds it; switch/path reads it through the topo it is part of.
 * Thread:  built by the control thread; read under RCU.
 * Owner:   topo_set_routing() takes it; the fibs are the rib's, which keeps them as long as it
 *          lives.
 * Full:    routing_create() returns NULL without memory: the old topo stays in force.
 * Refuses: to judge by what it does not know: RULE_KERNEL, and what follows is the kernel's.
 */
#ifndef SHUNT_TABLE_RULES_H
#define SHUNT_TABLE_RULES_H

#include "table/fib.h"
#include "table/nexthop.h"

enum rule_action {
	RULE_TABLE,  /* look up in `fib` (that of the packet's VRF when `l3mdev`) */
	RULE_KERNEL, /* blackhole, prohibit, unreachable; or a selector that is not understood */
	RULE_JUMP,   /* go on at rule `jump` */
	RULE_NOP,
};

struct rule {
	uint8_t action; /* enum rule_action */
	uint8_t src_len, dst_len;
	bool invert, l3mdev;
	bool never; /* selectors that no forwarded packet has (oif, an interface gone) */
	/* a route found by a prefix no longer than this does not count; -1 none */
	int16_t suppress;
	uint16_t jump;
	uint32_t iif; /* 0 any */
	uint32_t priority;
	uint32_t table; /* the kernel's number of it */
	struct ip_addr src, dst;
	const struct fib *fib; /* NULL: the table has no routes */
};

struct rules {
	bool plain; /* every rule is but a look-up in a table: most systems */
	unsigned count;
	struct rule *rule;
};

/* A VRF's device, and its table. */
struct rules_vrf {
	uint32_t ifindex, table;
	const struct fib *fib[IP_FAMILIES]; /* NULL: no routes */
	bool unknown[IP_FAMILIES];          /* its routes could not be kept: the kernel's */
};

/* net.ipvX.fib_multipath_*. */
struct multipath {
	uint8_t policy[IP_FAMILIES];
	uint32_t fields[IP_FAMILIES];
	uint32_t seed;   /* fib_multipath_hash_seed; 0: the kernel's is not known */
	bool use_neigh;  /* IPv4 hops are chosen by their neighbours' state: the kernel's */
	bool reachable6; /* so are IPv6 ones (all.forwarding is off) */
};

struct routing {
	struct rules rules[IP_FAMILIES];
	unsigned vrf_count;
	struct rules_vrf *vrf;
	struct multipath multipath;
	/* The kernel validates sources by a look-up even where rp_filter is off
	 * (fib4_has_custom_rules()). */
	bool custom;
};

struct rules_packet {
	uint8_t family; /* enum ip_family */
	uint32_t iif;   /* the ingress; the VRF's device for IPv6 (vrf_ip6_rcv()) */
	uint32_t vrf;   /* that of the ingress; 0 none */
	const uint8_t *src, *dst;
};

/* `rules[family]` and `vrf` have room for so many, zeroed. NULL: no memory. */
struct routing *routing_create(unsigned rules4, unsigned rules6, unsigned vrfs);
void routing_destroy(struct routing *routing);

/* Reader: what the packet's destination leads to: NULL no route, one of NEXTHOP_KERNEL when only
 * the kernel can tell. */
const struct nexthop *rules_lookup(const struct routing *routing, const struct nexthops *nexthops,
				   const struct rules_packet *packet);

#endif
