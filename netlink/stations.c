/* SPDX-License-Identifier: BSD-2-Clause */
/* The bridges' forwarding databases. */
#include "netlink/mirror_int.h"

#include <linux/neighbour.h>

static enum fdb_state state_of(const struct nl_neigh *nl)
{
	if (nl->state & NUD_PERMANENT) {
		return FDB_LOCAL;
	}
	if (nl->locked) {
		return FDB_LOCKED;
	}
	if (nl->flags & NTF_STICKY) {
		return FDB_STICKY;
	}
	return nl->state & NUD_NOARP ? FDB_STATIC : FDB_DYNAMIC;
}

/* Asked to use a MAC in no VLAN, br_fdb_add() makes an entry for each VLAN of the port as well; of
 * a bridge that does not filter a frame would have made none. */
static void unwanted(struct mirror *mirror, const struct nl_neigh *nl)
{
	const struct fdb_key key = {.bridge = nl->master, .mac = nl->mac};
	const struct fdb_entry *used = fdb_find(mirror->tables->fdb, &key);

	if (state_of(nl) == FDB_DYNAMIC && !(nl->flags & NTF_EXT_LEARNED) && used != NULL &&
	    used->state == FDB_DYNAMIC && used->ifindex == nl->ifindex) {
		refresh_forget(mirror, nl->ifindex, &nl->mac, nl->vlan);
	}
}

void stations_entry(struct mirror *mirror, const struct nl_neigh *nl, bool deleted)
{
	const struct link *bridge = link_find(mirror, nl->master);
	struct fdb_key key = {.bridge = nl->master, .vlan = nl->vlan, .mac = nl->mac};

	/* Without a master it is the interface's own filter, not a bridge's. */
	if (nl->master == 0 || !nl->has_mac) {
		return;
	}
	/* Its own addresses are announced before a new bridge is (br_dev_newlink()), when nobody
	 * knows yet whether it filters. */
	if (bridge == NULL || bridge->nl.ifindex == 0) {
		if (!deleted) {
			sync_want(mirror, SYNC_BIT(SYNC_FDB));
		}
		return;
	}
	/* A bridge that does not filter looks only at VLAN 0, one that does never
	 * (br_handle_frame_finish(), __allowed_ingress()). */
	if (bridge->nl.bridge.vlan_filtering != (nl->vlan != 0)) {
		if (nl->vlan != 0 && !deleted) {
			unwanted(mirror, nl);
		}
		return;
	}
	reach_station(mirror, &key, !deleted && reach_is_far(mirror, nl->ifindex, state_of(nl)));
	if (deleted) {
		fdb_delete(mirror->tables->fdb, &key);
	} else if (fdb_set(mirror->tables->fdb, &key, nl->ifindex,
			   (int16_t)link_slot(mirror, nl->ifindex), state_of(nl)) != 0) {
		/* Rather unknown, which floods, than behind the wrong port. */
		fdb_delete(mirror->tables->fdb, &key);
		mirror_full(mirror, "MAC");
	}
}
