// SPDX-License-Identifier: BSD-2-Clause
#include "table/topo.h"

#include <errno.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#define SLOTS_MIN 64u /* of the hash; a power of two */

/* Open addressing, at most half full; ifindex 0 does not exist and marks an empty slot. */
struct slot {
	uint32_t ifindex;
	struct topo_if *iface;
};

struct topo {
	struct topo_if *port[SHUNT_PORTS_MAX];
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

struct topo *topo_create(void)
{
	struct topo *topo = calloc(1, sizeof(*topo));

	if (!topo) {
		return NULL;
	}
	topo->slot = calloc(SLOTS_MIN, sizeof(*topo->slot));
	if (!topo->slot) {
		free(topo);
		return NULL;
	}
	topo->mask = SLOTS_MIN - 1;
	return topo;
}

void topo_destroy(struct topo *topo)
{
	if (!topo) {
		return;
	}
	for (size_t i = 0; i < topo->iface_count; i++) {
		free(topo->iface[i]);
	}
	free(topo->iface);
	free(topo->bridge);
	free(topo->slot);
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
	    (iface->kind == TOPO_PORT && iface->slot == TOPO_NONE)) {
		return -ERANGE;
	}
	if (iface_find(topo, iface->ifindex) ||
	    (iface->slot != TOPO_NONE && topo->port[iface->slot])) {
		return -EEXIST;
	}
	list = room_for_one(topo->iface, topo->iface_count, &topo->iface_room, sizeof(*list));
	if (!list) {
		return -ENOMEM;
	}
	topo->iface = list;
	if (slots_grow(topo)) {
		return -ENOMEM;
	}
	copy = malloc(sizeof(*copy));
	if (!copy) {
		return -ENOMEM;
	}
	*copy = *iface;
	topo->iface[topo->iface_count++] = copy;
	*slot_find(topo->slot, topo->mask, copy->ifindex) = (struct slot){copy->ifindex, copy};
	if (copy->slot != TOPO_NONE) {
		topo->port[copy->slot] = copy;
	}
	return 0;
}

int topo_add_bridge(struct topo *topo, uint32_t bridge_ifindex, uint64_t flood_slots,
		    bool flood_ours)
{
	struct topo_if *self = iface_find(topo, bridge_ifindex);
	struct topo_bridge *list;

	if (!self) {
		return -ENOENT;
	}
	for (size_t i = 0; i < topo->bridge_count; i++) {
		if (topo->bridge[i].ifindex == bridge_ifindex) {
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
	self->kind = TOPO_BRIDGE;
	self->bridge = (int16_t)topo->bridge_count;
	list[topo->bridge_count] = (struct topo_bridge){.ifindex = bridge_ifindex,
							.self = self,
							.flood_slots = flood_slots,
							.flood_ours = flood_ours};
	return (int)topo->bridge_count++;
}

int topo_join(struct topo *topo, uint32_t ifindex, int bridge)
{
	struct topo_if *iface = iface_find(topo, ifindex);

	if (!iface) {
		return -ENOENT;
	}
	if (bridge < 0 || (size_t)bridge >= topo->bridge_count) {
		return -ERANGE;
	}
	iface->bridge = (int16_t)bridge;
	return 0;
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

const struct topo_if *topo_if_at(const struct topo *topo, size_t index)
{
	return index < topo->iface_count ? topo->iface[index] : NULL;
}
