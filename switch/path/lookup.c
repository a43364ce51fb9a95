/* SPDX-License-Identifier: BSD-2-Clause */
#include "path/lookup.h"

#include <limits.h>

#include "path/multipath.h"

/* One of several hops, or NULL: only the kernel knows which. */
static const struct hop *choose(const struct path *path, const struct nexthop *set,
				const struct packet *packet, bool *by_addresses)
{
	const struct multipath *conf = &path->routing->multipath;
	uint32_t hash;

	if (!set->object && (packet->family == IP_V4 ? conf->use_neigh : conf->reachable6)) {
		return NULL;
	}
	if (!multipath_hash(conf, packet->family, packet->ip, packet->size, &hash)) {
		return NULL;
	}
	/* Policy 0 hashes the flow label of IPv6 too; and an ICMP error's neighbour may differ from
	 * that of other packets with its addresses (route4() does not remember by one). */
	*by_addresses = packet->family == IP_V4 && conf->policy[IP_V4] == 0;
	return multipath_hop(set, path->neigh, hash);
}

struct verdict lookup_route(const struct path *path, const struct topo_if *in,
			    const struct packet *packet, struct lookup *found)
{
	/* ip_rcv_finish() keeps the device that the packet came in by, vrf_ip6_rcv() does not. */
	const struct rules_packet asked = {.family = packet->family,
					   .iif = packet->family == IP_V6 && in->vrf ? in->vrf
										     : in->ifindex,
					   .vrf = in->vrf,
					   .src = packet->src,
					   .dst = packet->dst};
	const struct nexthop *set = rules_lookup(path->routing, path->nexthops, &asked);

	if (!set) {
		return verdict_punt(PUNT_NO_ROUTE);
	}
	if (set->action != NEXTHOP_FORWARD) {
		return verdict_punt(set->action == NEXTHOP_LOCAL ? PUNT_LOCAL : PUNT_ROUTE_KERNEL);
	}
	found->hop = set->hop;
	found->by_addresses = true;
	found->mtu = set->mtu ? set->mtu : UINT_MAX;
	if (set->count > 1) {
		found->hop = choose(path, set, packet, &found->by_addresses);
	}
	return found->hop ? verdict_tx(TOPO_NONE) : verdict_punt(PUNT_ROUTE_KERNEL);
}

bool lookup_source(const struct path *path, const struct topo_if *in, uint32_t out,
		   const struct packet *packet)
{
	const struct routing *routing = path->routing;
	/* As if it were on its way back: __fib_validate_source(). */
	const struct rules_packet back = {.family = IP_V4,
					  .iif = out,
					  .vrf = in->vrf,
					  .src = packet->dst,
					  .dst = packet->src};
	const struct nexthop *set;

	if (packet->family != IP_V4) {
		return true;
	}
	if (!in->rp_filter && !routing->custom) {
		/* The first rule's is the local table. */
		return !fib_lookup(routing->rules[IP_V4].rule[0].fib, packet->src);
	}
	set = rules_lookup(routing, path->nexthops, &back);
	if (!set) {
		return !in->rp_filter;
	}
	/* A local source may be accepted (accept_local): that is the kernel's to say. */
	if (set->action != NEXTHOP_FORWARD) {
		return false;
	}
	for (unsigned i = 0; i < set->count; i++) {
		if (set->hop[i].ifindex == in->ifindex) {
			return true;
		}
	}
	/* Without an address of its own the interface has nothing to be loose by (`no_addr`). */
	return !in->rp_filter || (in->rp_filter == 2 && !(in->flags & TOPO_NO_ADDR4));
}
