/* SPDX-License-Identifier: BSD-2-Clause */
/* Interfaces, what netconf says of them, and the machine's own addresses. */
#include "netlink/mirror_int.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/rtnetlink.h>

/* The store. -------------------------------------------------------------------------------- */

/* Index of the first link whose ifindex is not smaller. */
static size_t link_position(const struct mirror *mirror, uint32_t ifindex)
{
	size_t low = 0, high = mirror->link_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (mirror->link[middle].ifindex < ifindex) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

struct link *link_find(const struct mirror *mirror, uint32_t ifindex)
{
	size_t at = link_position(mirror, ifindex);

	return at < mirror->link_count && mirror->link[at].ifindex == ifindex ? &mirror->link[at]
									      : NULL;
}

/* Find or add; NULL without memory: the interface is then unknown, and what leads there the
 * kernel's. */
static struct link *link_get(struct mirror *mirror, uint32_t ifindex)
{
	size_t at = link_position(mirror, ifindex);

	if (at < mirror->link_count && mirror->link[at].ifindex == ifindex) {
		return &mirror->link[at];
	}
	if (mirror->link_count == mirror->link_room) {
		size_t room = mirror->link_room ? mirror->link_room * 2 : 64;
		struct link *bigger = realloc(mirror->link, room * sizeof(*bigger));

		if (bigger == NULL) {
			mirror_full(mirror, "interface");
			return NULL;
		}
		mirror->link = bigger;
		mirror->link_room = room;
	}
	memmove(&mirror->link[at + 1], &mirror->link[at],
		(mirror->link_count - at) * sizeof(mirror->link[0]));
	mirror->link_count++;
	mirror->link[at] = (struct link){.ifindex = ifindex};
	return &mirror->link[at];
}

static bool is_down(uint32_t ifindex, void *arg)
{
	const struct link *link = link_find(arg, ifindex);

	return link != NULL && !(link->nl.flags & IFF_UP);
}

/* Routes and hops die and revive silently with their device: fib_sync_down_dev(), fib_sync_up(),
 * fib6_ifdown(), rt6_sync_up().  `gone`: for good. */
static void link_hops(struct mirror *mirror, const struct link *link, bool gone)
{
	struct rib *rib = mirror->tables->rib;
	bool up = (link->nl.flags & IFF_UP) != 0;
	bool carrier = (link->nl.flags & (IFF_RUNNING | IFF_LOWER_UP)) != 0;

	if (link->nl.ifindex == 0) {
		return; /* only netconf spoke of it */
	}
	if (!up && rib_device_flush(rib, link->ifindex, is_down, mirror) && gone) {
		sync_want(mirror, SYNC_ROUTES);
	}
	rib_device(rib, IP_V4, link->ifindex,
		   !gone && (!up ||
			     (!carrier && (mirror->ignore_linkdown_all || link->ignore_linkdown))));
	rib_device(rib, IP_V6, link->ifindex,
		   !gone && (!up || (!carrier && link->ignore_linkdown6)));
	if (!up || !carrier) {
		nexthops_lost(mirror, link->ifindex);
	}
	if (mirror->dead_hops) {
		mirror->dead_hops = false;
		sync_want(mirror, SYNC_BIT(SYNC_ROUTE4));
	}
}

static void link_remove(struct mirror *mirror, struct link *link)
{
	size_t at = (size_t)(link - mirror->link);

	/* Its IPv4 routes went without a word, others that have a hop by it too
	 * (fib_sync_down_dev()), and hops of IPv6 ones. */
	link->nl.flags = 0;
	link_hops(mirror, link, true);
	free(link->vlans);
	if (link->nl.bridge.present) {
		sync_want(mirror, SYNC_BIT(SYNC_MDB));
	}
	mirror->link_count--;
	memmove(link, link + 1, (mirror->link_count - at) * sizeof(*link));
	mirror->dirty = true;
}

int link_slot(const struct mirror *mirror, uint32_t ifindex)
{
	const struct link *link = link_find(mirror, ifindex);

	for (unsigned slot = 0; link != NULL && slot < mirror->slot_count; slot++) {
		if (strcmp(link->nl.name, mirror->slot[slot].name) == 0) {
			return (int)slot;
		}
	}
	return TOPO_NONE;
}

/* Links. ------------------------------------------------------------------------------------ */

/* AF_BRIDGE: the same link as its bridge sees it. */
static void bridge_view(struct mirror *mirror, const struct nl_link *nl, bool deleted)
{
	struct link *link = link_find(mirror, nl->ifindex);

	if (link == NULL || (!deleted && !nl->port.present)) {
		return;
	}
	if (deleted) {
		link->nl.port = (struct nl_bridge_port){0};
	} else if (link->nl.master == nl->master) {
		link->nl.port = nl->port;
	}
	mirror->dirty = true;
}

static void inet6_view(struct mirror *mirror, const struct nl_link *nl)
{
	struct link *link = link_find(mirror, nl->ifindex);

	if (link != NULL && nl->inet6) {
		link->nl.inet6 = true;
		link->nl.inet6_disabled = nl->inet6_disabled;
		link->nl.mtu6 = nl->mtu6;
		mirror->dirty = true;
	}
}

/* One that is not known any more may have been a VRF. */
static bool is_vrf(const struct mirror *mirror, uint32_t ifindex)
{
	const struct link *link = ifindex != 0 ? link_find(mirror, ifindex) : NULL;

	return ifindex != 0 && (link == NULL || link->nl.vrf_table != 0);
}

static void link_update(struct mirror *mirror, const struct nl_link *nl)
{
	struct link *link = link_get(mirror, nl->ifindex);
	struct nl_link old;

	if (link == NULL) {
		return;
	}
	old = link->nl;
	link->nl = *nl;
	link->generation = mirror->sync.generation;
	if (memcmp(&old, nl, sizeof(old)) == 0) {
		return;
	}
	mirror->dirty = true;
	if ((old.flags ^ nl->flags) & (IFF_UP | IFF_RUNNING | IFF_LOWER_UP) || old.ifindex == 0) {
		link_hops(mirror, link, false);
	}
	if (old.ifindex == 0) {
		return;
	}
	if (strcmp(old.name, nl->name) != 0 ||
	    old.bridge.vlan_filtering != nl->bridge.vlan_filtering) {
		sync_want(mirror, SYNC_BIT(SYNC_FDB));
	}
	/* Into a VRF or out of it: all IPv4 routes by the interface went without a word, those of
	 * its addresses too (fib_netdev_event(), NETDEV_CHANGEUPPER). */
	if (old.master != nl->master &&
	    (is_vrf(mirror, old.master) || is_vrf(mirror, nl->master))) {
		sync_want(mirror, SYNC_BIT(SYNC_ROUTE4));
	}
}

void links_message(struct mirror *mirror, const struct nlmsghdr *message)
{
	bool deleted = message->nlmsg_type == RTM_DELLINK;
	struct nl_link nl;

	if (decode_link(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message), &nl) !=
	    0) {
		mirror->stats.malformed++;
		return;
	}
	if (nl.family == AF_BRIDGE) {
		bridge_view(mirror, &nl, deleted);
	} else if (nl.family == AF_INET6) {
		inet6_view(mirror, &nl);
	} else if (nl.family == AF_UNSPEC && deleted) {
		struct link *link = link_find(mirror, nl.ifindex);

		if (link != NULL) {
			link_remove(mirror, link);
		}
	} else if (nl.family == AF_UNSPEC && !nl.partial) {
		link_update(mirror, &nl);
	}
}

void links_sweep(struct mirror *mirror)
{
	for (size_t i = mirror->link_count; i-- > 0;) {
		struct link *link = &mirror->link[i];

		/* One that only netconf has spoken of so far is about to be announced. */
		if (link->generation != mirror->sync.generation && link->nl.ifindex != 0) {
			link_remove(mirror, link);
		}
	}
}

/* Netconf. ---------------------------------------------------------------------------------- */

static void conf_value(struct mirror *mirror, int *value, int told)
{
	if (told >= 0 && *value != told) {
		*value = told;
		mirror->dirty = true;
	}
}

static void conf6(struct mirror *mirror, const struct nl_conf *conf)
{
	struct link *link;

	if (conf->ifindex == NL_CONF_ALL) {
		if (conf->forwarding >= 0) {
			mirror->dirty |= mirror->forwarding6 != (conf->forwarding != 0);
			mirror->forwarding6 = conf->forwarding != 0;
		}
		return;
	}
	link = link_get(mirror, conf->ifindex);
	if (link != NULL && conf->ignore_linkdown >= 0 &&
	    conf->ignore_linkdown != link->ignore_linkdown6) {
		link->ignore_linkdown6 = conf->ignore_linkdown;
		link_hops(mirror, link, false);
	}
}

void links_conf(struct mirror *mirror, const struct nlmsghdr *message)
{
	struct nl_conf conf;
	struct link *link;

	if (decode_conf(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			&conf) != 0) {
		mirror->stats.malformed++;
		return;
	}
	if (message->nlmsg_type == RTM_DELNETCONF || conf.ifindex == NL_CONF_DEFAULT) {
		return;
	}
	if (conf.family == AF_INET6) {
		conf6(mirror, &conf);
		return;
	}
	if (conf.family != AF_INET) {
		return;
	}
	if (conf.ifindex == NL_CONF_ALL) {
		conf_value(mirror, &mirror->rp_filter_all, conf.rp_filter);
		if (conf.ignore_linkdown >= 0 &&
		    conf.ignore_linkdown != mirror->ignore_linkdown_all) {
			mirror->ignore_linkdown_all = conf.ignore_linkdown;
			for (size_t i = 0; i < mirror->link_count; i++) {
				link_hops(mirror, &mirror->link[i], false);
			}
		}
		return;
	}
	link = link_get(mirror, conf.ifindex);
	if (link != NULL) {
		conf_value(mirror, &link->forwarding4, conf.forwarding);
		conf_value(mirror, &link->rp_filter, conf.rp_filter);
		if (conf.ignore_linkdown >= 0 && conf.ignore_linkdown != link->ignore_linkdown) {
			link->ignore_linkdown = conf.ignore_linkdown;
			link_hops(mirror, link, false);
		}
	}
}

static int poll_value(const char *name, const char *what)
{
	char path[96], text[16] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", name, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -1;
	}
	if (read(fd, text, sizeof(text) - 1) < 0) {
		text[0] = '\0';
	}
	close(fd);
	return atoi(text);
}

static void poll_link(struct mirror *mirror, struct link *link)
{
	int disabled = poll_value(link->nl.name, "disable_ipv6");
	int mtu = poll_value(link->nl.name, "mtu");
	bool forced = poll_value(link->nl.name, "force_forwarding") > 0;

	if (disabled < 0) {
		return; /* an IPv4 kernel, or the interface has just gone */
	}
	mirror->dirty |= forced != link->force_forwarding6;
	link->force_forwarding6 = forced;
	if (link->nl.inet6 && ((disabled != 0) != link->nl.inet6_disabled ||
			       (mtu > 0 && (uint32_t)mtu != link->nl.mtu6))) {
		link->nl.inet6_disabled = disabled != 0;
		link->nl.mtu6 = mtu > 0 ? (uint32_t)mtu : link->nl.mtu6;
		mirror->dirty = true;
	}
}

void links_poll(struct mirror *mirror)
{
	for (size_t i = 0; i < mirror->link_count; i++) {
		if (mirror->link[i].ours) {
			poll_link(mirror, &mirror->link[i]);
		}
	}
}

/* Local addresses. -------------------------------------------------------------------------- */

static struct local **local_bucket(struct mirror *mirror, const struct ip_addr *addr)
{
	uint32_t hash = 2166136261u;

	for (unsigned i = 0; i < sizeof(addr->b); i++) {
		hash = (hash ^ addr->b[i]) * 16777619u;
	}
	return &mirror->local[hash % LOCAL_BUCKETS];
}

/* Does anyone still (or already) say that the address is ours? */
static bool local_known(const struct local *at, uint8_t family, const struct ip_addr *addr)
{
	for (; at != NULL; at = at->next) {
		if (at->family == family && ip_equal(&at->addr, addr)) {
			return true;
		}
	}
	return false;
}

void local_set(struct mirror *mirror, enum ip_family family, const struct ip_addr *addr,
	       enum sync_kind source, uint32_t ifindex)
{
	struct local **bucket = local_bucket(mirror, addr), *at;
	bool known = local_known(*bucket, (uint8_t)family, addr);

	for (at = *bucket; at != NULL; at = at->next) {
		if (at->family == family && at->source == source && at->ifindex == ifindex &&
		    ip_equal(&at->addr, addr)) {
			at->generation = mirror->sync.generation;
			return;
		}
	}
	at = calloc(1, sizeof(*at));
	if (at == NULL) {
		mirror_full(mirror, "address");
		return;
	}
	*at = (struct local){.next = *bucket,
			     .addr = *addr,
			     .ifindex = ifindex,
			     .generation = mirror->sync.generation,
			     .family = (uint8_t)family,
			     .source = (uint8_t)source};
	*bucket = at;
	if (!known && mirror->ops.local != NULL) {
		mirror->ops.local(mirror->arg, family, addr, true);
	}
}

/* Take one out of its bucket's chain. */
static void local_drop(struct mirror *mirror, struct local **at)
{
	struct local *gone = *at;

	*at = gone->next;
	if (!local_known(*local_bucket(mirror, &gone->addr), gone->family, &gone->addr) &&
	    mirror->ops.local != NULL) {
		mirror->ops.local(mirror->arg, gone->family, &gone->addr, false);
	}
	free(gone);
}

void local_delete(struct mirror *mirror, enum ip_family family, const struct ip_addr *addr,
		  enum sync_kind source, uint32_t ifindex)
{
	for (struct local **at = local_bucket(mirror, addr); *at != NULL; at = &(*at)->next) {
		if ((*at)->family == family && (*at)->source == source &&
		    (*at)->ifindex == ifindex && ip_equal(&(*at)->addr, addr)) {
			local_drop(mirror, at);
			return;
		}
	}
}

void local_sweep(struct mirror *mirror, enum sync_kind source)
{
	for (unsigned i = 0; i < LOCAL_BUCKETS; i++) {
		for (struct local **at = &mirror->local[i]; *at != NULL;) {
			if ((*at)->source == source &&
			    (*at)->generation != mirror->sync.generation) {
				local_drop(mirror, at);
			} else {
				at = &(*at)->next;
			}
		}
	}
}

static bool has_address4(const struct mirror *mirror, uint32_t ifindex)
{
	for (unsigned i = 0; i < LOCAL_BUCKETS; i++) {
		for (const struct local *at = mirror->local[i]; at != NULL; at = at->next) {
			if (at->ifindex == ifindex && at->family == IP_V4 &&
			    at->source == SYNC_ADDR) {
				return true;
			}
		}
	}
	return false;
}

void links_address(struct mirror *mirror, const struct nlmsghdr *message)
{
	struct nl_addr addr;

	if (decode_addr(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			&addr) != 0) {
		mirror->stats.malformed++;
		return;
	}
	mirror->dirty |= addr.family == IP_V4; /* who has none at all counts */
	if (message->nlmsg_type == RTM_NEWADDR) {
		local_set(mirror, addr.family, &addr.addr, SYNC_ADDR, addr.ifindex);
		if (mirror->dead_hops && addr.family == IP_V4) {
			mirror->dead_hops = false;
			sync_want(mirror, SYNC_BIT(SYNC_ROUTE4));
		}
		return;
	}
	local_delete(mirror, addr.family, &addr.addr, SYNC_ADDR, addr.ifindex);
	/* fib_sync_down_addr(): routes with this preferred source went silently; fib_disable_ip():
	 * all by the interface did, with its last address. */
	if (addr.family == IP_V4 && (rib_prefsrcs(mirror->tables->rib, IP_V4) != 0 ||
				     !has_address4(mirror, addr.ifindex))) {
		sync_want(mirror, SYNC_BIT(SYNC_ROUTE4));
	}
}

void links_free(struct mirror *mirror)
{
	for (unsigned i = 0; i < LOCAL_BUCKETS; i++) {
		while (mirror->local[i] != NULL) {
			struct local *gone = mirror->local[i];

			mirror->local[i] = gone->next;
			free(gone);
		}
	}
	for (size_t i = 0; i < mirror->link_count; i++) {
		free(mirror->link[i].vlans);
	}
	free(mirror->link);
}
