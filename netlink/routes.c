/* SPDX-License-Identifier: BSD-2-Clause */
/* Routes and neighbours. */
#include "netlink/mirror_int.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

/* Routes. ----------------------------------------------------------------------------------- */

/* A tos that no route has: such a key makes its prefix the kernel's (rib.h). */
#define TOS_SOURCE_SPECIFIC 0xff

/* Take out hops that are dead although their device is up: its last address went
 * (fib_disable_ip()), and when it gets one they are alive again without a word.  Of the others the
 * rib is told by device (links.c). */
static void drop_dead_hops(struct mirror *mirror, struct nl_route *nl)
{
	struct rib_route *route = &nl->route;
	unsigned kept = 0;

	for (unsigned i = 0; i < route->count; i++) {
		const struct link *link = link_find(mirror, route->hop[i].ifindex);

		if (nl->hop_flags[i] & RTNH_F_DEAD && link != NULL && link->nl.flags & IFF_UP) {
			mirror->dead_hops = true;
			continue;
		}
		route->hop[kept++] = route->hop[i];
	}
	if (kept == 0 && route->count > 0 && route->action == NEXTHOP_FORWARD) {
		route->action = NEXTHOP_KERNEL; /* which may fall back to a shorter prefix */
	}
	if (route->action == NEXTHOP_FORWARD) {
		route->count = (uint8_t)kept;
	}
}

/* A route that ends: note when, so that it is asked after then. */
static void note_end(struct mirror *mirror, const struct nl_route *nl)
{
	uint64_t end_ms = mirror_now_ms() + nl->expires_ms;
	struct route_end *ends = mirror->end;
	unsigned at = 0;

	while (at < mirror->end_count &&
	       memcmp(&ends[at].key, &nl->route.key, sizeof(nl->route.key)) != 0) {
		at++;
	}
	if (at == ROUTE_ENDS) {
		return;
	}
	ends[at].key = nl->route.key;
	ends[at].at_ms = end_ms;
	mirror->end_count += at == mirror->end_count;
}

void routes_tick(struct mirror *mirror)
{
	uint64_t now = mirror_now_ms();

	for (unsigned at = mirror->end_count; at-- > 0;) {
		if (now >= mirror->end[at].at_ms) {
			/* Gone, or given more time: until that is read it is the kernel's. */
			rib_doubt(mirror->tables->rib, &mirror->end[at].key);
			mirror->end[at] = mirror->end[--mirror->end_count];
		}
	}
}

static enum rib_how how_to_join(const struct nl_route *nl, uint16_t flags)
{
	const struct rib_route *route = &nl->route;

	if (flags & NLM_F_REPLACE) {
		return RIB_REPLACE;
	}
	if (route->key.family == IP_V4 || nl->protocol == RTPROT_RA || route->object != 0) {
		return RIB_BESIDE;
	}
	/* IPv6: the kernel tells a route with all its siblings; rt6_qualify_for_ecmp() wants a
	 * gateway. */
	for (unsigned i = 0; i < route->count; i++) {
		if (!route->hop[i].has_via) {
			return RIB_BESIDE;
		}
	}
	return route->action == NEXTHOP_FORWARD ? RIB_MERGE : RIB_BESIDE;
}

static void local_route(struct mirror *mirror, const struct rib_route *route, bool deleted)
{
	enum sync_kind source = route->key.family == IP_V4 ? SYNC_ROUTE4 : SYNC_ROUTE6;
	uint32_t ifindex = route->hop[0].ifindex;

	if (route->key.table != RIB_LOCAL || route->key.len != ip_bits(route->key.family) ||
	    (route->type != RTN_LOCAL && route->type != RTN_ANYCAST)) {
		return;
	}
	if (deleted) {
		local_delete(mirror, route->key.family, &route->key.prefix, source, ifindex);
	} else {
		local_set(mirror, route->key.family, &route->key.prefix, source, ifindex);
	}
}

void routes_message(struct mirror *mirror, const struct nlmsghdr *message)
{
	struct nl_route *nl = &mirror->route;
	bool deleted = message->nlmsg_type == RTM_DELROUTE;
	int error;

	/* The notification of another family (multicast routing) is none of ours. */
	if (decode_route(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message), nl) !=
	    0) {
		mirror->stats.malformed++;
		return;
	}
	if (nl->cloned) {
		return;
	}
	if (nl->source_specific) {
		nl->route.key.tos = TOS_SOURCE_SPECIFIC;
		nl->route.action = NEXTHOP_KERNEL;
	}
	local_route(mirror, &nl->route, deleted);
	if (deleted) {
		rib_delete(mirror->tables->rib, &nl->route, nl->route.key.family == IP_V6);
		return;
	}
	if (nl->route.object == 0) {
		drop_dead_hops(mirror, nl);
	}
	if (nl->expires_ms != 0) {
		if (mirror->end_count == ROUTE_ENDS) {
			nl->route.action = NEXTHOP_KERNEL;
		}
		note_end(mirror, nl);
	}
	error = rib_set(mirror->tables->rib, &nl->route, how_to_join(nl, message->nlmsg_flags));
	if (error == -ENOSPC || error == -ENOMEM) {
		mirror_full(mirror, "route");
	} else if (error != 0) {
		mirror->stats.malformed++;
	}
}

/* Neighbours. ------------------------------------------------------------------------------- */

static void ip_neighbour(struct mirror *mirror, const struct nl_neigh *nl, bool deleted)
{
	struct neigh_key key = {.ifindex = nl->ifindex,
				.family = nl->family == AF_INET ? IP_V4 : IP_V6,
				.addr = nl->dst};

	if (!nl->has_dst || nl->flags & NTF_PROXY) {
		return;
	}
	if (deleted) {
		neigh_delete(mirror->tables->neigh, &key);
	} else if (neigh_set(mirror->tables->neigh, &key, nl->has_mac ? &nl->mac : NULL,
			     nl->state) != 0) {
		neigh_delete(mirror->tables->neigh, &key);
		mirror_full(mirror, "neighbour");
	}
}

void routes_neighbour(struct mirror *mirror, const struct nlmsghdr *message)
{
	bool deleted = message->nlmsg_type == RTM_DELNEIGH;
	struct nl_neigh nl;

	if (decode_neigh(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message), &nl) !=
	    0) {
		mirror->stats.malformed++;
	} else if (nl.family == AF_BRIDGE) {
		stations_entry(mirror, &nl, deleted);
	} else if (nl.family == AF_INET || nl.family == AF_INET6) {
		ip_neighbour(mirror, &nl, deleted);
	}
}
