// SPDX-License-Identifier: BSD-2-Clause
#include "table/topo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#define SLOTS_MIN 64u /* of the hash; a power of two */

/* Open addressing, at most half full; ifindex 0 does not exist and marks an empty slot. */
struct slot {
	uint32_t ifindex;
	struct topo_if *iface;
};

/* VLAN devices and macvlans, by what they sit on and which of its frames they take: a MAC, or (over
 * any MAC) a tag.  Built like the other. */
struct upper {
	uint32_t lower; /* 0 marks an empty one */
	uint64_t takes;
	const struct topo_if *iface;
};

#define UPPER_TAG (1ull << 63)

struct topo {
	struct routing *routing;
	struct topo_if *port[SHUNT_PORTS_MAX];
	struct upper *upper;
	uint32_t upper_mask;
	size_t upper_count;
	size_t orphans; /* uppers that were added before what they sit on */
	struct slot *slot;
	uint32_t mask;
	struct topo_if **iface; /* in the order they were added */
	size_t iface_count, iface_room;
	struct topo_bridge *bridge;
	size_t bridge_count, bridge_room;
	struct rcu_head rcu;
};

static inline struct slot *slot_find(struct slot *slot, uint32_t mask, uint32_t ifindex)
{
	/* Knuth's multiplicative hash: ifindexes are small and dense. */
	uint32_t i = ifindex * 2654435769u;

	i ^= i >> 16;
	while (slot[i & mask].ifindex && slot[i & mask].ifindex != ifindex) {
		i++;
	}
	return &slot[i & mask];
}

static struct topo_if *iface_find(const struct topo *topo, uint32_t ifindex)
{
	return slot_find(topo->slot, topo->mask, ifindex)->iface;
}

/* Room for one more in an array: its pointer, moved perhaps, or NULL. */
static void *room_for_one(void *array, size_t count, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 16;
	void *fresh;

	if (count < *room) {
		return array;
	}
	fresh = reallocarray(array, more, size);
	if (fresh) {
		*room = more;
	}
	return fresh;
}

static int slots_grow(struct topo *topo)
{
	uint32_t mask = topo->mask * 2 + 1;
	struct slot *fresh;

	if ((topo->iface_count + 1) * 2 <= (size_t)topo->mask + 1) {
		return 0;
	}
	fresh = calloc((size_t)mask + 1, sizeof(*fresh));
	if (!fresh) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < topo->iface_count; i++) {
		struct topo_if *iface = topo->iface[i];

		*slot_find(fresh, mask, iface->ifindex) = (struct slot){iface->ifindex, iface};
	}
	free(topo->slot);
	topo->slot = fresh;
	topo->mask = mask;
	return 0;
}

static inline struct upper *upper_find(struct upper *upper, uint32_t mask, uint32_t lower,
				       uint64_t takes)
{
	/* Multiply-shift, as the exact-match cache has it. */
	uint32_t i = (uint32_t)(((takes ^ (uint64_t)lower << 17) * 0x9e3779b97f4a7c15ull) >> 32);

	while (upper[i & mask].lower &&
	       (upper[i & mask].lower != lower || upper[i & mask].takes != takes)) {
		i++;
	}
	return &upper[i & mask];
}

static int uppers_grow(struct topo *topo)
{
	uint32_t mask = topo->upper_mask * 2 + 1;
	struct upper *fresh;

	if ((topo->upper_count + 1) * 2 <= (size_t)topo->upper_mask + 1) {
		return 0;
	}
	fresh = calloc((size_t)mask + 1, sizeof(*fresh));
	if (!fresh) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i <= topo->upper_mask; i++) {
		const struct upper *upper = &topo->upper[i];

		if (upper->lower) {
			*upper_find(fresh, mask, upper->lower, upper->takes) = *upper;
		}
	}
	free(topo->upper);
	topo->upper = fresh;
	topo->upper_mask = mask;
	return 0;
}

static uint64_t takes_tag(uint16_t tpid_be, uint16_t vid)
{
	return UPPER_TAG | (uint64_t)tpid_be << 16 | vid;
}

static inline bool is_upper(const struct topo_if *iface)
{
	return iface->lower &&
	       ((iface->kind == TOPO_VLAN && iface->tag_count) || iface->kind == TOPO_MACVLAN);
}

/* The flag that an upper gives to what it sits on. */
static uint32_t upper_flag(const struct topo_if *upper)
{
	return upper->kind == TOPO_VLAN ? TOPO_HAS_VLANS : TOPO_HAS_MACVLANS;
}

/* There is room. */
static void upper_add(struct topo *topo, const struct topo_if *iface)
{
	const struct topo_tag *tag = &iface->tag[iface->tag_count - (iface->kind == TOPO_VLAN)];
	uint64_t takes = iface->kind == TOPO_VLAN
				 ? takes_tag(tag->tpid_be, ntohs(tag->tci_be) % TOPO_VIDS)
				 : mac_word(&iface->mac);
	struct upper *upper = upper_find(topo->upper, topo->upper_mask, iface->lower, takes);
	struct topo_if *lower = iface_find(topo, iface->lower);

	if (!upper->lower) {
		*upper = (struct upper){iface->lower, takes, iface};
		topo->upper_count++;
	}
	if (lower) {
		lower->flags |= upper_flag(iface);
	} else {
		topo->orphans++;
	}
}

/* It came later than those that sit on it. */
static void adopt(struct topo *topo, struct topo_if *iface)
{
	for (size_t i = 0; topo->orphans && i < topo->iface_count; i++) {
		if (is_upper(topo->iface[i]) && topo->iface[i]->lower == iface->ifindex) {
			iface->flags |= upper_flag(topo->iface[i]);
			topo->orphans--;
		}
	}
}

struct topo *topo_create(void)
{
	struct topo *topo = calloc(1, sizeof(*topo));

	if (!topo) {
		return NULL;
	}
	topo->slot = calloc(SLOTS_MIN, sizeof(*topo->slot));
	topo->upper = calloc(SLOTS_MIN, sizeof(*topo->upper));
	if (!topo->slot || !topo->upper) {
		topo_destroy(topo);
		return NULL;
	}
	topo->mask = SLOTS_MIN - 1;
	topo->upper_mask = SLOTS_MIN - 1;
	return topo;
}

static void bridge_free(struct topo_bridge *bridge)
{
	for (unsigned vid = 0; vid < (bridge->filtering ? TOPO_VIDS : 1); vid++) {
		free(bridge->vlan[vid]);
	}
	free(bridge->vlan);
}

void topo_destroy(struct topo *topo)
{
	if (!topo) {
		return;
	}
	for (size_t i = 0; i < topo->iface_count; i++) {
		free(topo->iface[i]);
	}
	for (size_t i = 0; i < topo->bridge_count; i++) {
		bridge_free(&topo->bridge[i]);
	}
	free(topo->iface);
	free(topo->bridge);
	free(topo->slot);
	free(topo->upper);
	routing_destroy(topo->routing);
	free(topo);
}

static void topo_free(struct rcu_head *head)
{
	topo_destroy(caa_container_of(head, struct topo, rcu));
}

void topo_retire(struct topo *topo)
{
	call_rcu(&topo->rcu, topo_free);
}

int topo_add_if(struct topo *topo, const struct topo_if *iface)
{
	struct topo_if **list, *copy;

	if (iface->ifindex == 0) {
		return -EINVAL;
	}
	if (iface->slot < TOPO_NONE || iface->slot >= (int)SHUNT_PORTS_MAX ||
	    (iface->kind == TOPO_PORT && iface->slot == TOPO_NONE) ||
	    iface->tag_count > TOPO_TAGS_MAX) {
		return -ERANGE;
	}
	if (iface_find(topo, iface->ifindex) ||
	    (iface->kind == TOPO_PORT && topo->port[iface->slot])) {
		return -EEXIST;
	}
	list = room_for_one(topo->iface, topo->iface_count, &topo->iface_room, sizeof(*list));
	if (!list) {
		return -ENOMEM;
	}
	topo->iface = list;
	if (slots_grow(topo) || uppers_grow(topo)) {
		return -ENOMEM;
	}
	copy = malloc(sizeof(*copy));
	if (!copy) {
		return -ENOMEM;
	}
	*copy = *iface;
	copy->bridge = copy->member = TOPO_NONE;
	if (copy->kind != TOPO_VLAN && copy->kind != TOPO_MACVLAN) {
		copy->over = TOPO_NONE;
	}
	copy->flags &= (uint32_t) ~(TOPO_HAS_VLANS | TOPO_HAS_MACVLANS);
	topo->iface[topo->iface_count++] = copy;
	*slot_find(topo->slot, topo->mask, copy->ifindex) = (struct slot){copy->ifindex, copy};
	if (copy->kind == TOPO_PORT) {
		topo->port[copy->slot] = copy;
	}
	if (is_upper(copy)) {
		upper_add(topo, copy);
	}
	adopt(topo, copy);
	return 0;
}

int topo_add_bridge(struct topo *topo, const struct topo_bridge_conf *conf)
{
	struct topo_if *self = iface_find(topo, conf->ifindex);
	struct topo_bridge *list;
	struct topo_vlan **vlan;

	if (!self) {
		return -ENOENT;
	}
	for (size_t i = 0; i < topo->bridge_count; i++) {
		if (topo->bridge[i].ifindex == conf->ifindex) {
			return -EEXIST;
		}
	}
	if (topo->bridge_count == INT16_MAX) {
		return -ERANGE;
	}
	list = room_for_one(topo->bridge, topo->bridge_count, &topo->bridge_room, sizeof(*list));
	if (!list) {
		return -ENOMEM;
	}
	topo->bridge = list;
	vlan = calloc(conf->filtering ? TOPO_VIDS : 1, sizeof(struct topo_vlan *));
	if (!vlan) {
		return -ENOMEM;
	}
	self->kind = TOPO_BRIDGE;
	self->bridge = (int16_t)topo->bridge_count;
	list[topo->bridge_count] = (struct topo_bridge){.ifindex = conf->ifindex,
							.self = self,
							.filtering = conf->filtering,
							.proto_be = conf->proto_be,
							.pvid_self = conf->pvid_self,
							.vlan = vlan};
	return (int)topo->bridge_count++;
}

int topo_join(struct topo *topo, uint32_t ifindex, int bridge)
{
	struct topo_if *iface = iface_find(topo, ifindex);
	struct topo_bridge *br;

	if (!iface) {
		return -ENOENT;
	}
	if (bridge < 0 || (size_t)bridge >= topo->bridge_count) {
		return -ERANGE;
	}
	br = &topo->bridge[bridge];
	iface->bridge = (int16_t)bridge;
	if (br->member_count == TOPO_MEMBERS_MAX) {
		iface->flags &= (uint32_t)~TOPO_L2;
		return -ENOSPC;
	}
	iface->member = (int8_t)br->member_count;
	br->member[br->member_count] = iface;
	br->isolated |= (uint64_t) !!(iface->flags & TOPO_ISOLATED) << br->member_count;
	br->hairpin |= (uint64_t) !!(iface->flags & TOPO_HAIRPIN) << br->member_count;
	return (int)br->member_count++;
}

void topo_set_pvid(struct topo *topo, int bridge, int member, uint16_t pvid)
{
	topo->bridge[bridge].pvid[member] = pvid;
}

int topo_add_vlan(struct topo *topo, int bridge, const struct topo_vlan *vlan)
{
	struct topo_vlan *copy;
	struct topo_bridge *br;

	if (bridge < 0 || (size_t)bridge >= topo->bridge_count) {
		return -ERANGE;
	}
	br = &topo->bridge[bridge];
	if (br->filtering ? vlan->vid == 0 || vlan->vid >= TOPO_VIDS - 1 : vlan->vid != 0) {
		return -ERANGE;
	}
	if (br->vlan[vlan->vid]) {
		return -EEXIST;
	}
	copy = malloc(sizeof(*copy));
	if (!copy) {
		return -ENOMEM;
	}
	*copy = *vlan;
	br->vlan[vlan->vid] = copy;
	return 0;
}

void topo_set_routing(struct topo *topo, struct routing *routing)
{
	routing_destroy(topo->routing);
	topo->routing = routing;
}

const struct routing *topo_routing(const struct topo *topo)
{
	return topo->routing;
}

const struct topo_if *topo_port(const struct topo *topo, unsigned slot)
{
	return slot < SHUNT_PORTS_MAX ? topo->port[slot] : NULL;
}

const struct topo_if *topo_if(const struct topo *topo, uint32_t ifindex)
{
	return iface_find(topo, ifindex);
}

const struct topo_bridge *topo_bridge(const struct topo *topo, int index)
{
	return (unsigned)index < topo->bridge_count ? &topo->bridge[index] : NULL;
}

const struct topo_if *topo_vlan_on(const struct topo *topo, uint32_t lower, uint16_t tpid_be,
				   uint16_t vid)
{
	return upper_find(topo->upper, topo->upper_mask, lower, takes_tag(tpid_be, vid))->iface;
}

const struct topo_if *topo_macvlan_on(const struct topo *topo, uint32_t lower, uint64_t mac)
{
	return upper_find(topo->upper, topo->upper_mask, lower, mac)->iface;
}

const struct topo_if *topo_if_at(const struct topo *topo, size_t index)
{
	return index < topo->iface_count ? topo->iface[index] : NULL;
}
