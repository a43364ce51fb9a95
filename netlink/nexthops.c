/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Next-hop objects.  Routes name them by id, and follow in the rib by themselves; here is only what
 * an object is, so that a group is told again when one of its members changes.
 *
 * A resilient group is mirrored bucket by bucket.  The kernel moves a bucket that it takes for
 * idle; what the fast path sends through one it does not see.
 */
#include "netlink/mirror_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

struct object {
	uint32_t generation;
	struct nl_nexthop nl;
	uint32_t *bucket; /* ids, of a resilient group; 0 not told yet */
};

/* Index of the first object whose id is not smaller. */
static size_t object_position(const struct mirror *mirror, uint32_t id)
{
	size_t low = 0, high = mirror->object_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (mirror->object[middle]->nl.id < id) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static struct object *object_find(const struct mirror *mirror, uint32_t id)
{
	size_t at = object_position(mirror, id);

	return at < mirror->object_count && mirror->object[at]->nl.id == id ? mirror->object[at]
									    : NULL;
}

static struct object *object_add(struct mirror *mirror, uint32_t id)
{
	size_t at = object_position(mirror, id);
	struct object *object = calloc(1, sizeof(*object));

	if (object != NULL && mirror->object_count == mirror->object_room) {
		size_t room = mirror->object_room ? mirror->object_room * 2 : 64;
		struct object **bigger = reallocarray(mirror->object, room, sizeof(*bigger));

		if (bigger == NULL) {
			free(object);
			object = NULL;
		} else {
			mirror->object = bigger;
			mirror->object_room = room;
		}
	}
	if (object == NULL) {
		mirror_full(mirror, "next-hop object");
		return NULL;
	}
	memmove(&mirror->object[at + 1], &mirror->object[at],
		(mirror->object_count - at) * sizeof(mirror->object[0]));
	mirror->object_count++;
	mirror->object[at] = object;
	return object;
}

/* What an object leads to. --------------------------------------------------------------------- */

/* One that is no group, as a hop. */
static bool hop_of(const struct object *object, uint32_t weight, struct hop *hop)
{
	const struct nl_nexthop *nl = object != NULL ? &object->nl : NULL;

	if (nl == NULL || nl->count != 0 || nl->blackhole || nl->odd != 0 || nl->ifindex == 0 ||
	    weight > UINT16_MAX) {
		return false;
	}
	*hop = (struct hop){.ifindex = nl->ifindex,
			    .weight = (uint16_t)weight,
			    .has_via = nl->has_via,
			    .via_family = nl->has_via && nl->family == AF_INET6 ? IP_V6 : IP_V4,
			    .via = nl->via};
	return true;
}

/* Which hop each bucket leads to. NULL: not all are known. */
static uint8_t *buckets_of(const struct object *object)
{
	const struct nl_nexthop *nl = &object->nl;
	uint8_t *buckets = malloc(nl->bucket_count + 1);

	for (uint32_t i = 0; buckets != NULL && i < nl->bucket_count; i++) {
		unsigned member = 0;

		while (member < nl->count && nl->member[member].id != object->bucket[i]) {
			member++;
		}
		if (member == nl->count) {
			free(buckets);
			return NULL;
		}
		buckets[i] = (uint8_t)member;
	}
	return buckets;
}

static void object_tell(struct mirror *mirror, const struct object *object)
{
	const struct nl_nexthop *nl = &object->nl;
	struct hop hops[NEXTHOP_HOPS_MAX];
	struct nexthop_spec spec = {.action = NEXTHOP_FORWARD, .hops = hops};
	uint8_t *buckets = NULL;
	bool known = nl->count <= NEXTHOP_HOPS_MAX;

	if (nl->count == 0) {
		known = hop_of(object, 1, &hops[0]);
		spec.count = 1;
	}
	for (unsigned i = 0; known && i < nl->count; i++) {
		known = hop_of(object_find(mirror, nl->member[i].id), nl->member[i].weight,
			       &hops[spec.count++]);
	}
	if (known && nl->count != 0 && nl->group_type == NEXTHOP_GRP_TYPE_RES) {
		buckets = object->bucket != NULL ? buckets_of(object) : NULL;
		known = buckets != NULL;
		spec.buckets = buckets;
		spec.bucket_count = nl->bucket_count;
	}
	if (!known || nl->odd != 0 || nl->group_type > NEXTHOP_GRP_TYPE_RES) {
		spec = (struct nexthop_spec){.action = NEXTHOP_KERNEL};
	}
	if (rib_object_set(mirror->tables->rib, nl->id, &spec) != 0) {
		mirror_full(mirror, "next hop");
	}
	free(buckets);
}

static bool has_member(const struct nl_nexthop *nl, uint32_t id)
{
	for (unsigned i = 0; i < nl->count && i < NEXTHOP_HOPS_MAX; i++) {
		if (nl->member[i].id == id) {
			return true;
		}
	}
	return false;
}

static void groups_tell(struct mirror *mirror, uint32_t member)
{
	for (size_t i = 0; i < mirror->object_count; i++) {
		if (has_member(&mirror->object[i]->nl, member)) {
			object_tell(mirror, mirror->object[i]);
		}
	}
}

/* Coming and going. ---------------------------------------------------------------------------- */

static void object_remove(struct mirror *mirror, struct object *object)
{
	uint32_t id = object->nl.id;
	size_t at = object_position(mirror, id);

	free(object->bucket);
	free(object);
	mirror->object_count--;
	memmove(&mirror->object[at], &mirror->object[at + 1],
		(mirror->object_count - at) * sizeof(mirror->object[0]));
	rib_object_delete(mirror->tables->rib, id);
	groups_tell(mirror, id);
}

/* nexthop_flush_dev(). */
void nexthops_lost(struct mirror *mirror, uint32_t ifindex)
{
	bool any = false;

	for (size_t i = mirror->object_count; i-- > 0;) {
		struct object *object = mirror->object[i];

		if (object->nl.count == 0 && object->nl.ifindex == ifindex) {
			object_remove(mirror, object);
			any = true;
		}
	}
	if (any) {
		/* Groups they were in are smaller now, or gone: the kernel's until read. */
		sync_want(mirror, SYNC_BIT(SYNC_NEXTHOP));
	}
}

static void object_update(struct mirror *mirror, const struct nl_nexthop *nl)
{
	struct object *object = object_find(mirror, nl->id);
	bool resilient = nl->count != 0 && nl->group_type == NEXTHOP_GRP_TYPE_RES;

	if (object == NULL) {
		object = object_add(mirror, nl->id);
		if (object == NULL) {
			return; /* routes that name it are the kernel's */
		}
	}
	object->generation = mirror->sync.generation;
	if (object->bucket == NULL || !resilient || nl->bucket_count != object->nl.bucket_count) {
		free(object->bucket);
		object->bucket = resilient ? calloc(nl->bucket_count + 1, sizeof(uint32_t)) : NULL;
		if (resilient && mirror->sync.running != SYNC_NEXTHOP) {
			sync_want(mirror, SYNC_BIT(SYNC_BUCKET));
		}
	}
	object->nl = *nl;
	object_tell(mirror, object);
	groups_tell(mirror, nl->id);
}

void nexthops_message(struct mirror *mirror, const struct nlmsghdr *message)
{
	struct nl_nexthop nl;
	struct object *object;

	if (decode_nexthop(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			   &nl) != 0) {
		mirror->stats.malformed++;
	} else if (message->nlmsg_type == RTM_NEWNEXTHOP) {
		object_update(mirror, &nl);
	} else {
		object = object_find(mirror, nl.id);
		if (object != NULL) {
			object_remove(mirror, object);
		}
	}
}

void nexthops_bucket(struct mirror *mirror, const struct nlmsghdr *message)
{
	struct nl_bucket nl;
	struct object *object;

	if (decode_bucket(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			  &nl) != 0) {
		mirror->stats.malformed++;
		return;
	}
	object = object_find(mirror, nl.group);
	if (object == NULL || object->bucket == NULL || nl.index >= object->nl.bucket_count ||
	    object->bucket[nl.index] == nl.nexthop) {
		return;
	}
	object->bucket[nl.index] = nl.nexthop;
	if (mirror->sync.running != SYNC_BUCKET) {
		object_tell(mirror, object);
	}
}

void nexthops_sweep(struct mirror *mirror)
{
	for (size_t i = mirror->object_count; i-- > 0;) {
		struct object *object = mirror->object[i];

		if (object->generation != mirror->sync.generation) {
			object_remove(mirror, object);
		}
	}
	nexthops_buckets_end(mirror);
}

void nexthops_buckets_end(struct mirror *mirror)
{
	for (size_t i = 0; i < mirror->object_count; i++) {
		if (mirror->object[i]->bucket != NULL) {
			object_tell(mirror, mirror->object[i]);
		}
	}
}

void nexthops_free(struct mirror *mirror)
{
	for (size_t i = 0; i < mirror->object_count; i++) {
		free(mirror->object[i]->bucket);
		free(mirror->object[i]);
	}
	free(mirror->object);
}
