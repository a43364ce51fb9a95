/* SPDX-License-Identifier: BSD-2-Clause */
/* The VLANs of bridges and of their members. */
#include "netlink/mirror_int.h"

#include <stdlib.h>

#include <linux/rtnetlink.h>

struct change {
	struct mirror *mirror;
	struct link *link;
	bool deleted;
};

static void delete_vlan(struct change *change, uint16_t vid)
{
	struct link_vlans *vlans = change->link->vlans;

	if (vlans == NULL || vlans->of[vid] == 0) {
		return;
	}
	vlans->of[vid] = 0;
	if (vlans->pvid == vid) {
		vlans->pvid = 0;
	}
	change->mirror->dirty = true;
}

static void set_vlan(struct change *change, uint16_t vid, const struct nl_vlan *nl)
{
	struct link_vlans *vlans = change->link->vlans;
	uint8_t is = (uint8_t)(VLAN_THERE | (nl->state & VLAN_STATE) |
			       (nl->untagged ? VLAN_UNTAGGED : 0) |
			       (nl->answers ? VLAN_ANSWERS : 0));
	uint16_t pvid = nl->pvid ? vid : vlans->pvid == vid ? 0 : vlans->pvid;

	/* The one that was the PVID before is not told of again: there is one at a time. */
	if ((vlans->of[vid] & ~VLAN_SEEN) != is || vlans->pvid != pvid) {
		change->mirror->dirty = true;
	}
	vlans->pvid = pvid;
	vlans->of[vid] = is | VLAN_SEEN;
}

static void on_vlan(const struct nl_vlan *nl, void *arg)
{
	struct change *change = arg;
	struct link *link = link_find(change->mirror, nl->ifindex);

	change->link = link;
	if (link == NULL) {
		return; /* it is announced first; this is of one that has just gone */
	}
	if (link->vlans == NULL && !change->deleted) {
		link->vlans = calloc(1, sizeof(*link->vlans));
		if (link->vlans == NULL) {
			/* In no VLAN, so that it is the kernel's. */
			mirror_full(change->mirror, "VLAN");
			return;
		}
	}
	for (unsigned vid = nl->first; vid <= nl->last; vid++) {
		if (change->deleted) {
			delete_vlan(change, (uint16_t)vid);
		} else {
			set_vlan(change, (uint16_t)vid, nl);
		}
	}
}

void vlans_message(struct mirror *mirror, const struct nlmsghdr *message)
{
	struct change change = {.mirror = mirror, .deleted = message->nlmsg_type == RTM_DELVLAN};

	if (decode_vlans(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			 on_vlan, &change) != 0) {
		mirror->stats.malformed++;
	}
}

void vlans_mark(struct mirror *mirror)
{
	for (size_t i = 0; i < mirror->link_count; i++) {
		struct link_vlans *vlans = mirror->link[i].vlans;

		for (unsigned vid = 1; vlans != NULL && vid < TOPO_VIDS; vid++) {
			vlans->of[vid] &= (uint8_t)~VLAN_SEEN;
		}
	}
}

void vlans_sweep(struct mirror *mirror)
{
	for (size_t i = 0; i < mirror->link_count; i++) {
		struct change change = {.mirror = mirror, .link = &mirror->link[i]};
		struct link_vlans *vlans = change.link->vlans;

		for (unsigned vid = 1; vlans != NULL && vid < TOPO_VIDS; vid++) {
			if (!(vlans->of[vid] & VLAN_SEEN)) {
				delete_vlan(&change, (uint16_t)vid);
			}
		}
	}
}
