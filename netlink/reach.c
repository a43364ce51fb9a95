/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What steer is told beside its description of a port: more MACs whose frames are routed, and the
 * stations of bridges that only the kernel can reach.
 *
 * Both are sets: what is wanted is worked out anew when the topo was, and the difference is told.
 */
#include "netlink/mirror_int.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* MACs. ------------------------------------------------------------------------------------- */

/* Zeroed before it is filled: compared whole. */
struct reach_mac {
	uint32_t slot;
	uint16_t vid; /* of the outermost tag, 0 none */
	struct mac mac;
};

struct macs {
	struct reach_mac *at;
	size_t count, room;
	bool failed;
};

/* Unless the port's description says it already. */
static void want_mac(const struct mirror *mirror, struct macs *macs, int slot, uint16_t vid,
		     const struct mac *mac)
{
	struct reach_mac *bigger;

	if (mac_equal(mac, &mirror->slot[slot].now.router_mac)) {
		return;
	}
	if (macs->count == macs->room) {
		macs->room = macs->room ? macs->room * 2 : 64;
		bigger = reallocarray(macs->at, macs->room, sizeof(*bigger));
		if (bigger == NULL) {
			macs->failed = true;
			macs->room = macs->count;
			return;
		}
		macs->at = bigger;
	}
	memset(&macs->at[macs->count], 0, sizeof(macs->at[0]));
	macs->at[macs->count].slot = (uint32_t)slot;
	macs->at[macs->count].vid = vid;
	macs->at[macs->count++].mac = *mac;
}

static uint16_t outer_vid(const struct topo_if *iface)
{
	return iface->tag_count > 0 ? ntohs(iface->tag[0].tci_be) % TOPO_VIDS : 0;
}

/* `mac` takes frames that come up from a bridge behind `tag` (NULL: behind none): from each member
 * with what is outermost there. */
static void want_above_bridge(const struct mirror *mirror, struct macs *macs,
			      const struct topo_bridge *bridge, const struct topo_tag *tag,
			      const struct mac *mac)
{
	uint16_t vid = tag != NULL ? ntohs(tag->tci_be) % TOPO_VIDS : 0;

	if (bridge->filtering && (tag == NULL || tag->tpid_be != bridge->proto_be)) {
		vid = bridge->pvid_self;
	}
	for (unsigned i = 0; i < bridge->member_count; i++) {
		const struct topo_if *member = bridge->member[i];

		if (member->slot == TOPO_NONE) {
			continue;
		}
		if (member->tag_count > 0) {
			want_mac(mirror, macs, member->slot, outer_vid(member), mac);
			continue;
		}
		want_mac(mirror, macs, member->slot, vid, mac);
		if (bridge->filtering && bridge->pvid[i] == vid) {
			want_mac(mirror, macs, member->slot, 0, mac);
		}
	}
}

static void want_of(const struct mirror *mirror, struct macs *macs, const struct topo *topo,
		    const struct topo_if *iface)
{
	const struct topo_bridge *bridge = topo_bridge(topo, iface->bridge);
	const struct topo_if *port;

	if (iface->kind == TOPO_VLAN && iface->slot != TOPO_NONE && iface->flags & TOPO_L2 &&
	    bridge != NULL && bridge->self->flags & TOPO_L3) {
		want_mac(mirror, macs, iface->slot, outer_vid(iface), &bridge->self->mac);
	}
	if ((iface->kind != TOPO_VLAN && iface->kind != TOPO_MACVLAN) ||
	    !(iface->flags & TOPO_L3)) {
		return;
	}
	if (iface->over != TOPO_NONE) {
		want_above_bridge(mirror, macs, topo_bridge(topo, iface->over),
				  iface->tag_count > 0 ? &iface->tag[0] : NULL, &iface->mac);
	} else if (iface->slot != TOPO_NONE) {
		want_mac(mirror, macs, iface->slot, outer_vid(iface), &iface->mac);
		port = topo_port(topo, (unsigned)iface->slot);
		if (iface->kind == TOPO_VLAN && port != NULL) {
			/* eth_type_trans() at the port has called it ours. */
			want_mac(mirror, macs, iface->slot, outer_vid(iface), &port->mac);
		}
	}
}

static int compare_macs(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct reach_mac));
}

static void tell_mac(const struct mirror *mirror, const struct reach_mac *mac, bool added)
{
	if (mirror->ops.router_mac != NULL) {
		mirror->ops.router_mac(mirror->arg, mac->slot, mac->vid, &mac->mac, added);
	}
}

/* Both sorted; equal ones may be there more than once. */
static void tell_difference(const struct mirror *mirror, const struct macs *old,
			    const struct macs *new)
{
	size_t i = 0, j = 0;

	while (i < old->count || j < new->count) {
		int order = i == old->count   ? 1
			    : j == new->count ? -1
					      : compare_macs(&old->at[i], &new->at[j]);

		if (order < 0) {
			tell_mac(mirror, &old->at[i++], false);
		} else if (order > 0) {
			tell_mac(mirror, &new->at[j++], true);
		} else {
			i++;
			j++;
		}
	}
}

static void unique(struct macs *macs)
{
	size_t kept = 0;

	qsort(macs->at, macs->count, sizeof(macs->at[0]), compare_macs);
	for (size_t i = 0; i < macs->count; i++) {
		if (kept == 0 || compare_macs(&macs->at[kept - 1], &macs->at[i]) != 0) {
			macs->at[kept++] = macs->at[i];
		}
	}
	macs->count = kept;
}

static void publish_macs(struct mirror *mirror, const struct topo *topo)
{
	struct reach *reach = &mirror->reach;
	struct macs old = {.at = reach->mac, .count = reach->mac_count}, new = {0};
	const struct topo_if *iface;

	for (size_t i = 0; (iface = topo_if_at(topo, i)) != NULL; i++) {
		want_of(mirror, &new, topo, iface);
	}
	if (new.failed) {
		mirror_full(mirror, "interface MAC");
	}
	if (new.count > 0) {
		unique(&new);
	}
	tell_difference(mirror, &old, &new);
	free(old.at);
	reach->mac = new.at;
	reach->mac_count = new.count;
}

/* Stations. --------------------------------------------------------------------------------- */

struct reach_station {
	struct reach_station *next;
	struct fdb_key key;
};

static struct reach_station **station_place(struct mirror *mirror, const struct fdb_key *key)
{
	const uint8_t *bytes = (const uint8_t *)key;
	struct reach_station **at;
	uint32_t hash = 2166136261u;

	for (unsigned i = 0; i < sizeof(*key); i++) {
		hash = (hash ^ bytes[i]) * 16777619u;
	}
	at = &mirror->reach.station[(hash ^ hash >> 16) % REACH_BUCKETS];
	while (*at != NULL && memcmp(&(*at)->key, key, sizeof(*key)) != 0) {
		at = &(*at)->next;
	}
	return at;
}

static void tell_station(struct mirror *mirror, const struct fdb_key *key, bool added)
{
	if (mirror->ops.elsewhere != NULL) {
		mirror->ops.elsewhere(mirror->arg, key->bridge, key->vlan, &key->mac, added);
	}
}

static void drop_station(struct mirror *mirror, struct reach_station **at)
{
	struct reach_station *gone = *at;

	*at = gone->next;
	tell_station(mirror, &gone->key, false);
	free(gone);
}

void reach_station(struct mirror *mirror, const struct fdb_key *key, bool far)
{
	struct reach_station **at = station_place(mirror, key);

	if (*at != NULL && !far) {
		drop_station(mirror, at);
	} else if (*at == NULL && far) {
		*at = calloc(1, sizeof(**at));
		if (*at == NULL) {
			return; /* its frames take the slower way, by the worker */
		}
		(*at)->key = *key;
		tell_station(mirror, key, true);
	}
}

bool reach_is_far(const struct mirror *mirror, uint32_t ifindex, enum fdb_state state)
{
	const struct link *link = link_find(mirror, ifindex);

	return state != FDB_LOCAL && link != NULL && link->far;
}

static void look_at_station(const struct fdb_entry *entry, void *arg)
{
	reach_station(arg, &entry->key, reach_is_far(arg, entry->ifindex, entry->state));
}

/* Members come within reach and go out of it: then all stations are looked at. */
static void publish_stations(struct mirror *mirror, const struct topo *topo)
{
	bool changed = false;

	for (size_t i = 0; i < mirror->link_count; i++) {
		struct link *link = &mirror->link[i];
		const struct topo_if *iface = topo_if(topo, link->ifindex);
		bool far = iface != NULL && iface->kind != TOPO_BRIDGE &&
			   iface->bridge != TOPO_NONE && !link->l2;

		changed |= far != link->far;
		link->far = far;
	}
	if (changed) {
		fdb_each(mirror->tables->fdb, look_at_station, mirror);
	}
}

void reach_sweep(struct mirror *mirror)
{
	for (unsigned i = 0; i < REACH_BUCKETS; i++) {
		for (struct reach_station **at = &mirror->reach.station[i]; *at != NULL;) {
			if (fdb_find(mirror->tables->fdb, &(*at)->key) == NULL) {
				drop_station(mirror, at);
			} else {
				at = &(*at)->next;
			}
		}
	}
}

/* Both. ------------------------------------------------------------------------------------- */

void reach_publish(struct mirror *mirror, const struct topo *topo)
{
	publish_macs(mirror, topo);
	publish_stations(mirror, topo);
}

void reach_free(struct mirror *mirror)
{
	for (unsigned i = 0; i < REACH_BUCKETS; i++) {
		while (mirror->reach.station[i] != NULL) {
			struct reach_station *gone = mirror->reach.station[i];

			mirror->reach.station[i] = gone->next;
			free(gone);
		}
	}
	free(mirror->reach.mac);
}
