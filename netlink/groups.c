/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multicast on bridges: who is in which group, behind which ports there are routers, and whether
 * anybody asks for reports, without which the kernel floods whatever it knows.
 *
 * A group is in the table only while the kernel would deliver by it (br_handle_frame_finish()) and
 * nothing else of the bridge makes it its own.
 */
#include "netlink/mirror_int.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if.h>
#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <linux/rtnetlink.h>

#include "bpf/shared.h"

/* How long hosts were given to answer the first query, at least, whatever is set now: RFC 2236 8.3,
 * RFC 3810 9.3.  Another querier's is not told. */
#define RESPONSE_MS 10000u
#define QUERIER_SLACK_MS 200u /* two ticks */

_Static_assert((int)IP_V4 == STEER_GROUP_IPV4 && (int)IP_V6 == STEER_GROUP_IPV6 &&
		       (int)MDB_L2 == STEER_GROUP_MAC,
	       "a family is one");

struct membership {
	uint32_t ifindex;
	uint32_t generation;
	bool blocked, include;
};

struct group {
	struct group *next;
	struct mdb_key key;
	bool host; /* the machine itself */
	uint32_t host_generation;
	bool fast; /* in the table, for the fast path */
	unsigned count, room;
	struct membership *member;
};

/* The store. -------------------------------------------------------------------------------- */

/* Those of one group address are in one bucket, whatever their source. */
static struct group **bucket_of(struct mirror *mirror, const struct mdb_key *key)
{
	uint32_t hash = 2166136261u ^ key->bridge ^ (uint32_t)key->vlan << 12;

	for (unsigned i = 0; i < sizeof(key->group.b); i++) {
		hash = (hash ^ key->group.b[i]) * 16777619u;
	}
	return &mirror->groups.bucket[(hash ^ hash >> 16) % GROUP_BUCKETS];
}

static bool same_group(const struct mdb_key *a, const struct mdb_key *b)
{
	return a->bridge == b->bridge && a->vlan == b->vlan && a->family == b->family &&
	       ip_equal(&a->group, &b->group);
}

static struct group **group_place(struct mirror *mirror, const struct mdb_key *key)
{
	struct group **at = bucket_of(mirror, key);

	while (*at != NULL &&
	       (!same_group(&(*at)->key, key) || !ip_equal(&(*at)->key.source, &key->source))) {
		at = &(*at)->next;
	}
	return at;
}

static struct membership *member_of(const struct group *group, uint32_t ifindex)
{
	for (unsigned i = 0; i < group->count; i++) {
		if (group->member[i].ifindex == ifindex) {
			return &group->member[i];
		}
	}
	return NULL;
}

static struct membership *member_get(struct group *group, uint32_t ifindex)
{
	struct membership *member = member_of(group, ifindex), *bigger;

	if (member != NULL) {
		return member;
	}
	if (group->count == group->room) {
		bigger = reallocarray(group->member, group->room + 8, sizeof(*bigger));
		if (bigger == NULL) {
			return NULL;
		}
		group->member = bigger;
		group->room += 8;
	}
	member = &group->member[group->count++];
	*member = (struct membership){.ifindex = ifindex};
	return member;
}

static void member_delete(struct group *group, uint32_t ifindex)
{
	struct membership *member = member_of(group, ifindex);

	if (member != NULL) {
		*member = group->member[--group->count];
	}
}

/* What is made of it. ----------------------------------------------------------------------- */

/* Does the kernel deliver by its groups, and not to the machine as well? */
static bool bridge_delivers(const struct mirror *mirror, const struct link *bridge,
			    const struct mdb_key *key)
{
	const struct nl_bridge *nl = &bridge->nl.bridge;

	if (!nl->present || !nl->snooping || nl->vlan_snooping || nl->router ||
	    bridge->mcast_router || bridge->nl.allmulti || bridge->nl.promiscuity != 0 ||
	    bridge->nl.flags & (IFF_PROMISC | IFF_ALLMULTI) ||
	    nl->vlan_filtering != (key->vlan != 0)) {
		return false;
	}
	return key->family == MDB_L2 || bridge->querier[key->family].effective;
}

/* br_mdb_entry_skb_get(): does it look for sources? */
static bool has_sources(const struct link *bridge, unsigned family)
{
	return family == IP_V4   ? bridge->nl.bridge.igmp3
	       : family == IP_V6 ? bridge->nl.bridge.mld2
				 : false;
}

/* A member that gets the group's frames; false when that is the kernel's to do. */
static bool add_target(const struct mirror *mirror, uint32_t ifindex, uint32_t *targets,
		       unsigned *count)
{
	const struct link *link = link_find(mirror, ifindex);

	if (link == NULL || !link->nl.port.present) {
		return false;
	}
	if (link->nl.port.state != BR_STATE_FORWARDING) {
		return true; /* should_deliver() */
	}
	for (unsigned i = 0; i < *count; i++) {
		if (targets[i] == ifindex) {
			return true;
		}
	}
	if (!link->l2 || link->nl.port.to_unicast || *count == TOPO_MEMBERS_MAX) {
		return false;
	}
	targets[(*count)++] = ifindex;
	return true;
}

/* br_multicast_flood(). False: the kernel's. */
static bool find_targets(const struct mirror *mirror, const struct group *group,
			 const struct link *bridge, uint32_t *targets, unsigned *count)
{
	static const struct ip_addr any;
	bool by_mode = ip_equal(&group->key.source, &any) && has_sources(bridge, group->key.family);
	/* br_multicast_get_first_rport_node() goes by the EtherType: IPv6, or the other. */
	unsigned family = group->key.family == IP_V6 ? IP_V6 : IP_V4;
	bool sure = !group->host;

	*count = 0;
	for (unsigned i = 0; sure && i < group->count; i++) {
		const struct membership *member = &group->member[i];

		if (!member->blocked && !(by_mode && member->include)) {
			sure = add_target(mirror, member->ifindex, targets, count);
		}
	}
	for (unsigned i = 0; sure && i < mirror->groups.router_count; i++) {
		const struct nl_router *router = &mirror->groups.router[i];

		if (router->bridge == group->key.bridge && router->family[family]) {
			sure = add_target(mirror, router->ifindex, targets, count);
		}
	}
	return sure;
}

/* Steer passes a group unless one of its entries, whatever the source, is fast. */
static void tell_group(struct mirror *mirror, struct group *group, bool fast)
{
	struct steer_group_key key = {
		.bridge = group->key.bridge, .vid = group->key.vlan, .family = group->key.family};
	bool others = false;

	if (group->fast == fast) {
		return;
	}
	for (struct group *at = *bucket_of(mirror, &group->key); at != NULL; at = at->next) {
		others |= at != group && at->fast && same_group(&at->key, &group->key);
	}
	group->fast = fast;
	if (!others && mirror->ops.group != NULL) {
		memcpy(key.addr, group->key.group.b, sizeof(key.addr));
		mirror->ops.group(mirror->arg, &key, fast);
	}
}

static void settle_group(struct mirror *mirror, struct group *group)
{
	const struct link *bridge = link_find(mirror, group->key.bridge);
	struct mdb *mdb = mirror->tables->mdb;
	uint32_t targets[TOPO_MEMBERS_MAX];
	static const struct ip_addr any;
	unsigned count = 0;
	bool sure;

	if (bridge == NULL || !bridge_delivers(mirror, bridge, &group->key) ||
	    (!ip_equal(&group->key.source, &any) && !has_sources(bridge, group->key.family)) ||
	    (group->count == 0 && !group->host)) {
		mdb_delete(mdb, &group->key);
		tell_group(mirror, group, false);
		return;
	}
	/* One that is the kernel's has to be there: it comes before the one for any source. */
	sure = find_targets(mirror, group, bridge, targets, &count);
	if (mdb_set(mdb, &group->key, targets, sure ? count : 0, !sure) != 0) {
		mdb_delete(mdb, &group->key);
		mirror_full(mirror, "multicast group");
		mirror->groups.partial = true;
	}
	tell_group(mirror, group, sure && !mirror->groups.partial);
}

static void settle_all(struct mirror *mirror)
{
	mirror->groups.dirty = false;
	for (unsigned i = 0; i < GROUP_BUCKETS; i++) {
		for (struct group *at = mirror->groups.bucket[i]; at != NULL; at = at->next) {
			settle_group(mirror, at);
		}
	}
}

/* It may have become empty. */
static void group_changed(struct mirror *mirror, struct group **at)
{
	struct group *group = *at;

	settle_group(mirror, group);
	if (group->count == 0 && !group->host) {
		*at = group->next;
		mirror->groups.count--;
		free(group->member);
		free(group);
	}
}

/* Messages. --------------------------------------------------------------------------------- */

struct reading {
	struct mirror *mirror;
	bool deleted, dump;
};

static void on_group(const struct nl_group *nl, void *arg)
{
	struct reading *reading = arg;
	struct mirror *mirror = reading->mirror;
	struct mdb_key key = {.bridge = nl->bridge,
			      .vlan = nl->vlan,
			      .family = nl->proto_be == htons(ETH_P_IP)     ? IP_V4
					: nl->proto_be == htons(ETH_P_IPV6) ? IP_V6
									    : MDB_L2,
			      .group = nl->group,
			      .source = nl->source};
	struct group **at = group_place(mirror, &key);
	struct membership *member;

	if (*at == NULL) {
		if (reading->deleted) {
			return;
		}
		*at = calloc(1, sizeof(**at));
		if (*at == NULL) {
			mirror_full(mirror, "multicast group");
			return;
		}
		(*at)->key = key;
		mirror->groups.count++;
	}
	if (nl->ifindex == nl->bridge) {
		(*at)->host = !reading->deleted;
		(*at)->host_generation = mirror->sync.generation;
	} else if (reading->deleted) {
		member_delete(*at, nl->ifindex);
	} else {
		member = member_get(*at, nl->ifindex);
		if (member == NULL) {
			(*at)->host = true; /* the kernel's */
			mirror_full(mirror, "multicast group");
			return;
		}
		member->generation = mirror->sync.generation;
		member->blocked = nl->blocked;
		member->include = nl->has_mode && nl->include;
	}
	if (!reading->dump) {
		group_changed(mirror, at);
	}
}

static void on_router(const struct nl_router *nl, void *arg)
{
	struct reading *reading = arg;
	struct groups *groups = &reading->mirror->groups;
	struct link *bridge = link_find(reading->mirror, nl->bridge);
	struct nl_router *bigger;

	if (!reading->dump && nl->ifindex == 0 && bridge != NULL) {
		bridge->mcast_router = !reading->deleted;
		groups->dirty = true;
	} else if (!reading->dump) {
		sync_want(reading->mirror, SYNC_BIT(SYNC_MDB)); /* which tells the families */
	} else if (nl->vlan == 0) {
		bigger = reallocarray(groups->router, groups->router_count + 1, sizeof(*bigger));
		if (bigger == NULL) {
			groups->partial = true;
			return;
		}
		groups->router = bigger;
		groups->router[groups->router_count++] = *nl;
	}
}

void groups_message(struct mirror *mirror, const struct nlmsghdr *message)
{
	struct reading reading = {.mirror = mirror,
				  .deleted = message->nlmsg_type == RTM_DELMDB,
				  .dump = mirror->sync.running == SYNC_MDB};

	if (decode_mdb(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message), on_group,
		       on_router, &reading) != 0) {
		mirror->stats.malformed++;
	}
}

void groups_mark(struct mirror *mirror)
{
	mirror->groups.router_count = 0;
	mirror->groups.partial = false;
}

void groups_sweep(struct mirror *mirror)
{
	uint32_t generation = mirror->sync.generation;

	for (unsigned i = 0; i < GROUP_BUCKETS; i++) {
		for (struct group **at = &mirror->groups.bucket[i]; *at != NULL;) {
			struct group *group = *at;

			group->host &= group->host_generation == generation;
			for (unsigned m = group->count; m-- > 0;) {
				if (group->member[m].generation != generation) {
					group->member[m] = group->member[--group->count];
				}
			}
			group_changed(mirror, at);
			if (*at == group) {
				at = &group->next;
			}
		}
	}
}

/* What bridges do not notify. ------------------------------------------------------------------ */

static void on_bridge(const struct nlmsghdr *message, void *arg)
{
	struct nl_link nl;

	if (message->nlmsg_type == RTM_NEWLINK &&
	    decode_link(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message), &nl) ==
		    0 &&
	    nl.bridge.present) {
		*(struct nl_link *)arg = nl;
	}
}

/*
 * Groups count from when hosts have had the time to report: br_multicast_querier_exists() waits for
 * a timer that the kernel does not tell, so it is kept here, from when a querier is first seen.
 * One that is gone and back between two looks shows by the time the other one was believed.
 */
static bool look_at_querier(const struct nl_bridge *nl, struct link_querier *querier,
			    unsigned family, uint64_t now_ms)
{
	uint32_t response_ms = nl->response_ms > RESPONSE_MS ? nl->response_ms : RESPONSE_MS;
	bool effective;

	if (!nl->known[family]) {
		querier->since_ms = 0;
	} else if (querier->since_ms == 0 || (!nl->querier && now_ms >= querier->until_ms)) {
		querier->since_ms = now_ms;
	}
	querier->until_ms = now_ms + nl->other_ms[family];
	effective = querier->since_ms != 0 &&
		    now_ms >= querier->since_ms + response_ms + QUERIER_SLACK_MS;
	if (querier->effective == effective) {
		return false;
	}
	querier->effective = effective;
	return true;
}

static void poll_bridge(struct mirror *mirror, struct link *link, uint64_t now_ms)
{
	struct ifinfomsg *header;
	struct nlreq request;
	struct nl_link nl;

	memset(&nl, 0, sizeof(nl));
	header = nlreq_init(&request, RTM_GETLINK, 0, sizeof(*header));
	header->ifi_index = (int)link->ifindex;
	mnl_attr_put_u32(&request.header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (nlsock_ask(mirror->groups.ask, &request, on_bridge, &nl) != 0 || nl.ifindex == 0) {
		return; /* it has just gone: that is on its way */
	}
	if ((link->nl.promiscuity != 0) != (nl.promiscuity != 0) ||
	    link->nl.allmulti != nl.allmulti) {
		mirror->dirty = true;
	}
	link->nl.promiscuity = nl.promiscuity;
	link->nl.allmulti = nl.allmulti;
	for (unsigned family = IP_V4; family < IP_FAMILIES; family++) {
		mirror->groups.dirty |= look_at_querier(&nl.bridge, &link->querier[family], family,
							now_ms);
	}
}

void groups_poll(struct mirror *mirror)
{
	uint64_t now_ms = mirror_now_ms();

	for (size_t i = 0; i < mirror->link_count; i++) {
		const struct topo_if *iface = topo_if(mirror->tables->topo,
						      mirror->link[i].ifindex);

		/* One that has ports of ours. */
		if (iface != NULL && iface->kind == TOPO_BRIDGE) {
			poll_bridge(mirror, &mirror->link[i], now_ms);
		}
	}
}

/* Comparing. -------------------------------------------------------------------------------- */

static uint32_t fnv(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++) {
		sum = (sum ^ bytes[i]) * 16777619u;
	}
	return sum;
}

const struct groups_digest *groups_digest(const struct mirror *mirror, uint32_t bridge,
					  struct groups_digest *out)
{
	*out = (struct groups_digest){0};
	for (unsigned i = 0; i < GROUP_BUCKETS; i++) {
		for (const struct group *at = mirror->groups.bucket[i]; at != NULL; at = at->next) {
			uint32_t key = fnv(2166136261u, &at->key, sizeof(at->key));

			if (at->key.bridge != bridge) {
				continue;
			}
			out->count += at->host;
			out->sum += at->host ? key : 0;
			for (unsigned m = 0; m < at->count; m++) {
				const struct membership *member = &at->member[m];
				uint32_t words[3] = {member->ifindex, member->blocked,
						     member->include};

				/* A sum, since their order is nobody's. */
				out->count++;
				out->sum += fnv(key, words, sizeof(words));
			}
		}
	}
	return out;
}

/* The whole. -------------------------------------------------------------------------------- */

int groups_open(struct mirror *mirror)
{
	return nlsock_open(&mirror->groups.ask, NETLINK_ROUTE, 0);
}

void groups_settle(struct mirror *mirror)
{
	if (mirror->groups.dirty) {
		settle_all(mirror);
	}
}

void groups_close(struct mirror *mirror)
{
	for (unsigned i = 0; i < GROUP_BUCKETS; i++) {
		while (mirror->groups.bucket[i] != NULL) {
			struct group *gone = mirror->groups.bucket[i];

			mirror->groups.bucket[i] = gone->next;
			free(gone->member);
			free(gone);
		}
	}
	free(mirror->groups.router);
	nlsock_close(mirror->groups.ask);
}
