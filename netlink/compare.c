// SPDX-License-Identifier: BSD-2-Clause
#include "netlink/compare.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if.h>
#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

/* Entries in a slice: a millisecond (rib_agrees() asks for every length of an IPv6 prefix). */
#define SLICE_ROUTES 100
#define SLICE_ENTRIES 1000

/* Keys. ------------------------------------------------------------------------------------- */

enum key_kind { KEY_LINK = 1, KEY_RULE, KEY_LOCAL, KEY_NEIGH, KEY_FDB, KEY_GROUP, KEY_ROUTE };

static uint64_t key_of(enum key_kind kind, uint32_t number, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t key = 14695981039346656037u ^ kind;

	key = (key * 1099511628211u) ^ number;
	for (size_t i = 0; i < size; i++) {
		key = (key * 1099511628211u) ^ bytes[i];
	}
	return key != 0 ? key : 1;
}

static uint64_t local_key(unsigned family, const struct ip_addr *addr)
{
	return key_of(KEY_LOCAL, family, addr, sizeof(*addr));
}

static uint64_t route_key(const struct rib_key *key)
{
	return key_of(KEY_ROUTE, (uint32_t)key->family << 8 | key->len, &key->prefix,
		      sizeof(key->prefix));
}

static uint64_t neigh_key(const void *data, size_t size)
{
	struct nl_neigh nl;

	if (decode_neigh(data, size, &nl) != 0) {
		return 0;
	}
	return nl.family == AF_BRIDGE ? key_of(KEY_FDB, nl.master, &nl.mac, sizeof(nl.mac))
				      : key_of(KEY_NEIGH, nl.ifindex, &nl.dst, sizeof(nl.dst));
}

/* Of a bridge's messages: whose it is comes second in both headers. */
static uint32_t header_ifindex(const void *data, size_t size)
{
	struct br_port_msg header = {0};

	_Static_assert(offsetof(struct br_vlan_msg, ifindex) ==
			       offsetof(struct br_port_msg, ifindex),
		       "alike");
	memcpy(&header, data, size < sizeof(header) ? size : sizeof(header));
	return header.ifindex;
}

uint64_t compare_key(const struct nlmsghdr *message, struct nl_route *scratch)
{
	const void *data = mnl_nlmsg_get_payload(message);
	size_t size = mnl_nlmsg_get_payload_len(message);
	struct nl_addr addr;
	struct nl_link link;
	struct nl_conf conf;

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return decode_link(data, size, &link) == 0 ? key_of(KEY_LINK, link.ifindex, NULL, 0)
							   : 0;
	case RTM_NEWNETCONF:
	case RTM_DELNETCONF:
		return decode_conf(data, size, &conf) == 0 ? key_of(KEY_LINK, conf.ifindex, NULL, 0)
							   : 0;
	case RTM_NEWRULE:
	case RTM_DELRULE:
		return key_of(KEY_RULE, 0, NULL, 0);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return decode_addr(data, size, &addr) == 0 ? local_key(addr.family, &addr.addr) : 0;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return neigh_key(data, size);
	case RTM_NEWVLAN:
	case RTM_DELVLAN:
		return key_of(KEY_LINK, header_ifindex(data, size), NULL, 0);
	case RTM_NEWMDB:
	case RTM_DELMDB:
		return key_of(KEY_GROUP, header_ifindex(data, size), NULL, 0);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return decode_route(data, size, scratch) == 0 ? route_key(&scratch->route.key) : 0;
	default:
		return 0;
	}
}

/* Telling. ---------------------------------------------------------------------------------- */

static const char *name_of(const struct mirror *mirror, uint32_t ifindex)
{
	const struct link *link = link_find(mirror, ifindex);

	return link != NULL && link->nl.name[0] != '\0' ? link->nl.name : "?";
}

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t size, const char *format,
						      ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

#define ADD(text, ...) add(text, sizeof(text), __VA_ARGS__)

static void add_ip(char *text, size_t size, unsigned family, const struct ip_addr *addr)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family == IP_V4 ? AF_INET : AF_INET6, addr->b, ip, sizeof(ip));
	add(text, size, "%s", ip);
}

#define ADD_IP(text, family, addr) add_ip(text, sizeof(text), family, addr)

/* `here` and `there` are what `from` and `to` have; no `there`: nothing. */
static void tell(struct compare *compare, const char *kind, uint64_t key, const char *object,
		 const char *here, const char *there)
{
	const char *table = compare->live ? here : there, *kernel = compare->live ? there : here;
	struct mirror_difference difference = {
		.kind = kind,
		.what = table == NULL    ? "missing"
			: kernel == NULL ? "extra"
					 : "different",
	};

	snprintf(difference.object, sizeof(difference.object), "%s", object);
	snprintf(difference.table, sizeof(difference.table), "%s", table ? table : "");
	snprintf(difference.kernel, sizeof(difference.kernel), "%s", kernel ? kernel : "");
	compare->differs(compare->arg, key, &difference);
}

/* Links. ------------------------------------------------------------------------------------ */

/* As far as the mirror is told of it: the count of promiscuity changes silently, the first end of a
 * veth pair is announced before it has a peer (veth_newlink()), and the bridge's own view of a port
 * says the same as the link's. */
static struct nl_link link_told(const struct link *link)
{
	struct nl_link nl = link->nl;

	nl.promiscuity = nl.promiscuity != 0;
	nl.family = 0;
	/* Nor who asks for multicast reports: groups_poll(). */
	nl.allmulti = false;
	memset(nl.bridge.known, 0, sizeof(nl.bridge.known));
	memset(nl.bridge.other_ms, 0, sizeof(nl.bridge.other_ms));
	if (strcmp(nl.kind, "veth") == 0) {
		nl.lower = 0;
	}
	return nl;
}

static uint8_t vlan_told(const struct link *link, unsigned vid)
{
	return link->vlans != NULL ? link->vlans->of[vid] & ~VLAN_SEEN : 0;
}

static void describe_link(const struct mirror *mirror, const struct link *link, char *text,
			  size_t size)
{
	const struct nl_link *nl = &link->nl;
	unsigned vlans = 0;

	text[0] = '\0';
	add(text, size, "%s%s%s%s mtu %u/%u mac %02x:%02x:%02x:%02x:%02x:%02x", nl->name,
	    nl->flags & IFF_UP ? " up" : " down", nl->flags & IFF_RUNNING ? " running" : "",
	    nl->promiscuity ? " promisc" : "", nl->mtu, nl->mtu6, nl->mac.b[0], nl->mac.b[1],
	    nl->mac.b[2], nl->mac.b[3], nl->mac.b[4], nl->mac.b[5]);
	if (nl->master != 0) {
		add(text, size, " master %s state %u odd %u%s%s", name_of(mirror, nl->master),
		    nl->port.state, nl->port.odd, nl->port.learning ? " learning" : "",
		    nl->port.flood ? " flood" : "");
	}
	if (nl->bridge.present) {
		add(text, size, " bridge ageing %u odd %u%s", nl->bridge.ageing_s, nl->bridge.odd,
		    nl->bridge.vlan_filtering ? " vlan_filtering" : "");
	}
	for (unsigned vid = 1; link->vlans != NULL && vid < TOPO_VIDS; vid++) {
		vlans += vlan_told(link, vid) != 0;
	}
	if (vlans != 0) {
		add(text, size, " vlans %u pvid %u", vlans, link->vlans->pvid);
	}
	add(text, size, " flags %#x lower %u%s", nl->flags, nl->lower,
	    nl->inet6 && !nl->inet6_disabled ? " inet6" : "");
	add(text, size, " forwarding %d rp_filter %d ignore_linkdown %d", link->forwarding4,
	    link->rp_filter, link->ignore_linkdown);
}

static bool same_vlans(const struct link *one, const struct link *two)
{
	for (unsigned vid = 1; vid < TOPO_VIDS; vid++) {
		if (vlan_told(one, vid) != vlan_told(two, vid)) {
			return false;
		}
	}
	return (one->vlans != NULL ? one->vlans->pvid : 0) ==
	       (two->vlans != NULL ? two->vlans->pvid : 0);
}

static bool links_walk(struct compare *compare)
{
	for (size_t i = 0; i < compare->from->link_count; i++) {
		const struct link *link = &compare->from->link[i], *other;
		struct nl_link one = link_told(link), two;
		char here[160], there[160];

		compare->compared++;
		other = link_find(compare->to, link->ifindex);
		if (other != NULL) {
			two = link_told(other);
		}
		if (other != NULL &&
		    (!compare->live ||
		     (memcmp(&one, &two, sizeof(one)) == 0 && same_vlans(link, other) &&
		      link->forwarding4 == other->forwarding4 &&
		      link->rp_filter == other->rp_filter &&
		      link->ignore_linkdown == other->ignore_linkdown))) {
			continue;
		}
		describe_link(compare->from, link, here, sizeof(here));
		if (other != NULL) {
			describe_link(compare->to, other, there, sizeof(there));
		}
		tell(compare, "link", key_of(KEY_LINK, link->ifindex, NULL, 0), one.name, here,
		     other != NULL ? there : NULL);
	}
	return false;
}

/* Rules and what holds for all interfaces. -------------------------------------------------- */

static bool rules_walk(struct compare *compare)
{
	const struct mirror *from = compare->from, *to = compare->to;
	const uint64_t key = key_of(KEY_RULE, 0, NULL, 0);

	if (!compare->live) {
		return false;
	}
	for (unsigned family = IP_V4; family < IP_FAMILIES; family++) {
		const struct rule_list *one = &from->rules[family], *two = &to->rules[family];
		char here[96], there[96];

		compare->compared++;
		if (one->count != two->count || one->broken != two->broken ||
		    (one->count != 0 &&
		     memcmp(one->rule, two->rule, one->count * sizeof(one->rule[0])) != 0) ||
		    from->rules_known[family] != to->rules_known[family]) {
			snprintf(here, sizeof(here), "%u rules", one->count);
			snprintf(there, sizeof(there), "%u rules%s", two->count,
				 one->count == two->count ? ", others" : "");
			tell(compare, "rule", key, family == IP_V4 ? "inet" : "inet6", here, there);
		}
	}
	if (from->rp_filter_all != to->rp_filter_all || from->forwarding6 != to->forwarding6 ||
	    from->ignore_linkdown_all != to->ignore_linkdown_all) {
		char here[96], there[96];

		snprintf(here, sizeof(here), "rp_filter %d ignore_linkdown %d forwarding6 %u",
			 from->rp_filter_all, from->ignore_linkdown_all, from->forwarding6);
		snprintf(there, sizeof(there), "rp_filter %d ignore_linkdown %d forwarding6 %u",
			 to->rp_filter_all, to->ignore_linkdown_all, to->forwarding6);
		tell(compare, "conf", key_of(KEY_LINK, NL_CONF_ALL, NULL, 0), "all", here, there);
	}
	return false;
}

/* Local addresses. -------------------------------------------------------------------------- */

static bool locals_walk(struct compare *compare)
{
	for (unsigned i = 0; i < LOCAL_BUCKETS; i++) {
		const struct local *at = compare->from->local[i], *other;

		for (; at != NULL; at = at->next) {
			char object[96] = "";

			compare->compared++;
			for (other = compare->to->local[i]; other != NULL; other = other->next) {
				if (other->family == at->family && other->source == at->source &&
				    other->ifindex == at->ifindex &&
				    ip_equal(&other->addr, &at->addr)) {
					break;
				}
			}
			if (other == NULL) {
				ADD_IP(object, at->family, &at->addr);
				ADD(object, " dev %s", name_of(compare->from, at->ifindex));
				tell(compare, "address", local_key(at->family, &at->addr), object,
				     at->source == SYNC_ADDR ? "address" : "local route", NULL);
			}
		}
	}
	return false;
}

/* Neighbours and MACs. ---------------------------------------------------------------------- */

/* Not every change among these is notified (neigh_event_send(), neigh_timer_handler()). */
static const char *nud_class(uint16_t nud)
{
	return nud & (NUD_PERMANENT | NUD_NOARP)                           ? "fixed"
	       : nud & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE) ? "valid"
									   : "unresolved";
}

static void describe_neigh(const struct neigh_entry *entry, char *text, size_t size)
{
	const uint8_t *b = entry->lladdr.b;

	snprintf(text, size, "%02x:%02x:%02x:%02x:%02x:%02x %s", b[0], b[1], b[2], b[3], b[4], b[5],
		 nud_class(entry->nud));
}

/* The kernel makes these without a word (ndisc_constructor(), neigh_event_send()); where
 * there is no such neighbour here their frames are the kernel's either way. */
static bool neigh_silent(const struct neigh_entry *entry)
{
	return entry->nud & NUD_NOARP || !entry->usable;
}

static void neigh_one(const struct neigh_entry *entry, void *arg)
{
	struct compare *compare = arg;
	const struct neigh_entry *other = neigh_find(compare->to->tables->neigh, &entry->key);
	char object[96] = "", here[40], there[40];

	compare->compared++;
	describe_neigh(entry, here, sizeof(here));
	if (other != NULL) {
		describe_neigh(other, there, sizeof(there));
		if (!compare->live || strcmp(here, there) == 0) {
			return;
		}
	} else if (!compare->live && neigh_silent(entry)) {
		return;
	} else if (!compare->live && neigh_partial(compare->to->tables->neigh)) {
		compare->left++;
		return;
	}
	ADD_IP(object, entry->key.family, &entry->key.addr);
	ADD(object, " dev %s", name_of(compare->from, entry->key.ifindex));
	tell(compare, "neighbour",
	     key_of(KEY_NEIGH, entry->key.ifindex, &entry->key.addr, sizeof(entry->key.addr)),
	     object, here, other != NULL ? there : NULL);
}

static bool neighs_walk(struct compare *compare)
{
	return neigh_walk(compare->from->tables->neigh, &compare->cursor, SLICE_ENTRIES, neigh_one,
			  compare);
}

static void describe_mac(const struct mirror *mirror, const struct fdb_entry *entry, char *text,
			 size_t size)
{
	static const char *const states[] = {
		[FDB_DYNAMIC] = "dynamic", [FDB_STATIC] = "static", [FDB_LOCAL] = "local",
		[FDB_STICKY] = "sticky",   [FDB_LOCKED] = "locked",
	};

	snprintf(text, size, "dev %s slot %d %s", name_of(mirror, entry->ifindex), entry->slot,
		 states[entry->state]);
}

static void fdb_one(const struct fdb_entry *entry, void *arg)
{
	struct compare *compare = arg;
	const struct fdb_entry *other = fdb_find(compare->to->tables->fdb, &entry->key);
	const uint8_t *b = entry->key.mac.b;
	char object[96], here[64], there[64];

	compare->compared++;
	if (other != NULL &&
	    (!compare->live || (other->ifindex == entry->ifindex && other->slot == entry->slot &&
				other->state == entry->state))) {
		return;
	}
	if (other == NULL && !compare->live && fdb_partial(compare->to->tables->fdb)) {
		compare->left++;
		return;
	}
	snprintf(object, sizeof(object), "%02x:%02x:%02x:%02x:%02x:%02x vlan %u bridge %s", b[0],
		 b[1], b[2], b[3], b[4], b[5], entry->key.vlan,
		 name_of(compare->from, entry->key.bridge));
	describe_mac(compare->from, entry, here, sizeof(here));
	if (other != NULL) {
		describe_mac(compare->to, other, there, sizeof(there));
	}
	tell(compare, "fdb",
	     key_of(KEY_FDB, entry->key.bridge, &entry->key.mac, sizeof(entry->key.mac)), object,
	     here, other != NULL ? there : NULL);
}

static bool fdb_walk_some(struct compare *compare)
{
	return fdb_walk(compare->from->tables->fdb, &compare->cursor, SLICE_ENTRIES, fdb_one,
			compare);
}

/* Multicast groups. ------------------------------------------------------------------------- */

static bool groups_walk(struct compare *compare)
{
	char object[96], here[64], there[64];
	const struct groups_digest *one, *two;
	struct groups_digest digest[2];

	for (size_t i = 0; compare->live && i < compare->from->link_count; i++) {
		const struct link *link = &compare->from->link[i];

		if (!link->nl.bridge.present) {
			continue;
		}
		one = groups_digest(compare->from, link->ifindex, &digest[0]);
		two = groups_digest(compare->to, link->ifindex, &digest[1]);
		compare->compared += one->count;
		if (one->count == two->count && one->sum == two->sum) {
			continue;
		}
		snprintf(object, sizeof(object), "groups of bridge %s", link->nl.name);
		snprintf(here, sizeof(here), "%u memberships, sum %08x", one->count, one->sum);
		snprintf(there, sizeof(there), "%u memberships, sum %08x", two->count, two->sum);
		tell(compare, "group", key_of(KEY_GROUP, link->ifindex, NULL, 0), object, here,
		     there);
	}
	return false;
}

/* Routes. ----------------------------------------------------------------------------------- */

static void describe_route(const struct mirror *mirror, const struct rib_route *route, char *text,
			   size_t size)
{
	static const char *const actions[] = {[NEXTHOP_KERNEL] = "kernel",
					      [NEXTHOP_FORWARD] = "forward",
					      [NEXTHOP_LOCAL] = "local",
					      [NEXTHOP_THROW] = "throw"};

	text[0] = '\0';
	add(text, size, "type %u %s", route->type, actions[route->action]);
	for (unsigned i = 0; i < route->count; i++) {
		const struct hop *hop = &route->hop[i];

		if (hop->has_via) {
			add(text, size, " via ");
			add_ip(text, size, hop->via_family, &hop->via);
		}
		add(text, size, " dev %s weight %u", name_of(mirror, hop->ifindex), hop->weight);
	}
}

static void route_one(const struct rib_route *route, void *arg)
{
	struct compare *compare = arg;
	struct rib *own = compare->from->tables->rib, *other = compare->to->tables->rib;
	const struct rib_key *key = &route->key;
	char object[96] = "", here[160], there[160];
	bool agrees = !compare->live || rib_agrees(own, key);

	compare->compared++;
	if (agrees && rib_has(other, route)) {
		return;
	}
	if (agrees && rib_limited(compare->live ? own : other, key->family) &&
	    (!compare->live || route->action == NEXTHOP_KERNEL)) {
		compare->left++;
		return;
	}
	ADD_IP(object, key->family, &key->prefix);
	ADD(object, "/%u table %u metric %u", key->len, key->table, key->metric);
	if (key->tos != 0) {
		ADD(object, " tos %u", key->tos);
	}
	describe_route(compare->from, route, here, sizeof(here));
	snprintf(there, sizeof(there), "%s", agrees ? "" : "not what its look-up table says");
	tell(compare, "route", route_key(key), object, here, agrees ? NULL : there);
}

static bool routes_walk(struct compare *compare)
{
	return rib_walk(compare->from->tables->rib, &compare->cursor, SLICE_ROUTES, route_one,
			compare);
}

/* All of them. ------------------------------------------------------------------------------ */

bool compare_slice(struct compare *compare)
{
	static bool (*const walks[])(struct compare * compare) = {
		links_walk,    rules_walk,  locals_walk, neighs_walk,
		fdb_walk_some, groups_walk, routes_walk,
	};

	if (!walks[compare->kind](compare)) {
		compare->kind++;
		compare->cursor = 0;
	}
	return compare->kind < sizeof(walks) / sizeof(walks[0]);
}
