// SPDX-License-Identifier: BSD-2-Clause
#include "table/nexthop.h"

#include <errno.h>
#include <stdlib.h>

#include "table/arena.h"
#include "table/fib.h"
#include "table/grace.h"
#include "table/hash.h"

#define INDEX_END (FIB_VALUE_MAX + 1) /* what a fib entry holds fits below */

/* What readers see of an index. */
struct made {
	struct made *next; /* on a list of retired ones */
	struct nexthop set;
};

/* What an index stands for; the writer's. */
struct item {
	struct hash_node node; /* by content, or by id; not in either: going */
	struct item *next;     /* on a list of retired ones */
	uint32_t index, refs;
	uint32_t id; /* of an object; 0: a set known by its content */
	uint8_t family;
	bool owned;         /* an object that was told: one reference is its own */
	struct made *full;  /* as it was given */
	struct made *shown; /* without the dead hops: the same when there are none */
};

struct device {
	uint32_t ifindex;
	uint8_t family;
};

struct pool {
	struct nexthops nexthops;
	struct arena sets;  /* struct nexthop pointers by index */
	struct arena items; /* struct item pointers by index */
	struct hash hash;   /* by content; the writer's */
	struct hash ids;
	uint32_t fresh; /* first index never used */
	uint32_t idle;  /* first of the free indexes, linked through spare[] */
	struct arena spare;
	size_t bytes;
	uint64_t version;
	struct device *dead; /* devices whose hops are */
	size_t dead_count, dead_room;
	/* Retired: until the running grace period, until the one after. */
	struct item *passing, *waiting;
	struct made *passing_sets, *waiting_sets;
	struct grace grace;
};

_Static_assert(sizeof(struct hop) == 24, "struct hop has padding");

static struct pool *pool_of(const struct nexthops *nexthops)
{
	return caa_container_of((struct nexthops *)nexthops, struct pool, nexthops);
}

static struct item *item_at(const struct pool *pool, uint32_t index)
{
	return ((struct item **)pool->items.base)[index];
}

static void set_store(struct pool *pool, uint32_t index, const struct nexthop *set)
{
	__atomic_store_n((const struct nexthop **)pool->sets.base + index, set, __ATOMIC_RELEASE);
}

static void changed(struct pool *pool)
{
	__atomic_store_n(&pool->version, pool->version + 1, __ATOMIC_RELEASE);
}

/* Sets. ------------------------------------------------------------------------------------- */

static size_t made_size(unsigned count, unsigned buckets)
{
	return sizeof(struct made) + count * (sizeof(struct hop) + sizeof(uint32_t)) + buckets;
}

static void made_free(struct pool *pool, struct made *made)
{
	if (made) {
		pool->bytes -= made_size(made->set.count, made->set.bucket_count);
		free(made);
	}
}

/* Upper bounds as fib_rebalance(), rt6_multipath_rebalance() and nh_hthr_group_rebalance() have
 * them: the share of 2^31 up to and with each hop, rounded to the closest, less one. */
static void set_bounds(struct nexthop *set)
{
	uint32_t *bound = (uint32_t *)nexthop_bounds(set);
	uint64_t sum = 0;

	for (unsigned i = 0; i < set->count; i++) {
		set->weight_total += set->hop[i].weight;
	}
	for (unsigned i = 0; i < set->count; i++) {
		sum += set->hop[i].weight;
		bound[i] = set->weight_total ? (uint32_t)(((sum << 31) + set->weight_total / 2) /
							  set->weight_total) -
						       1
					     : NEXTHOP_NO_BOUND;
	}
}

static struct made *made_new(struct pool *pool, const struct nexthop_spec *spec, bool object)
{
	unsigned count = spec->count;
	unsigned buckets = count ? spec->bucket_count : 0;
	struct made *made = calloc(1, made_size(count, buckets));

	if (!made) {
		return NULL;
	}
	made->set.action = spec->action;
	made->set.count = (uint8_t)count;
	made->set.object = object;
	made->set.mtu = spec->mtu;
	made->set.bucket_count = buckets;
	if (count) {
		memcpy(made->set.hop, spec->hops, count * sizeof(spec->hops[0]));
		set_bounds(&made->set);
	}
	if (buckets) {
		memcpy((uint8_t *)nexthop_buckets(&made->set), spec->buckets, buckets);
	}
	pool->bytes += made_size(count, buckets);
	return made;
}

static bool is_dead(const struct pool *pool, uint8_t family, uint32_t ifindex)
{
	for (size_t i = 0; i < pool->dead_count; i++) {
		if (pool->dead[i].ifindex == ifindex && pool->dead[i].family == family) {
			return true;
		}
	}
	return false;
}

/* The set without its dead hops: itself when there are none; the kernel's when all are, since it
 * may then go on to a shorter prefix. */
static struct made *made_alive(struct pool *pool, const struct item *item)
{
	struct hop alive[NEXTHOP_HOPS_MAX];
	const struct nexthop *full = &item->full->set;
	struct nexthop_spec spec = {
		.action = full->action, .hops = alive, .mtu = full->mtu, .family = item->family};

	for (unsigned i = 0; i < full->count; i++) {
		if (item->id || full->action != NEXTHOP_FORWARD ||
		    !is_dead(pool, item->family, full->hop[i].ifindex)) {
			alive[spec.count++] = full->hop[i];
		}
	}
	if (spec.count == full->count) {
		return item->full;
	}
	if (!spec.count) {
		spec.action = NEXTHOP_KERNEL;
	}
	return made_new(pool, &spec, false);
}

/* Retired items and sets whose readers have gone: free them, and start waiting for the next. */
static void reclaim(struct pool *pool)
{
	if ((!pool->passing && !pool->waiting && !pool->passing_sets && !pool->waiting_sets) ||
	    grace_running(&pool->grace)) {
		return;
	}
	for (struct item *item = pool->passing, *next; item; item = next) {
		next = item->next;
		set_store(pool, item->index, NULL);
		((struct item **)pool->items.base)[item->index] = NULL;
		((uint32_t *)pool->spare.base)[item->index] = pool->idle;
		pool->idle = item->index;
		if (item->shown != item->full) {
			made_free(pool, item->shown);
		}
		made_free(pool, item->full);
		pool->bytes -= sizeof(*item);
		free(item);
	}
	for (struct made *made = pool->passing_sets, *next; made; made = next) {
		next = made->next;
		made_free(pool, made);
	}
	pool->passing = pool->waiting;
	pool->passing_sets = pool->waiting_sets;
	pool->waiting = NULL;
	pool->waiting_sets = NULL;
	if (pool->passing || pool->passing_sets) {
		grace_start(&pool->grace);
	}
}

static void made_retire(struct pool *pool, struct made *made)
{
	made->next = pool->waiting_sets;
	pool->waiting_sets = made;
}

/* Show the item's index as `full`, without what is dead. False: no memory, all is as it was. */
static bool item_show(struct pool *pool, struct item *item, struct made *full)
{
	struct made *old_full = item->full, *old_shown = item->shown, *shown;

	item->full = full;
	shown = made_alive(pool, item);
	if (!shown) {
		item->full = old_full;
		return false;
	}
	item->shown = shown;
	set_store(pool, item->index, &shown->set);
	if (old_shown && old_shown != old_full && old_shown != shown) {
		made_retire(pool, old_shown);
	}
	if (old_full && old_full != full) {
		made_retire(pool, old_full);
	}
	changed(pool);
	reclaim(pool);
	return true;
}

/* Items. ------------------------------------------------------------------------------------ */

static int index_take(struct pool *pool, uint32_t *out)
{
	uint32_t index = pool->idle;
	int err;

	if (index) {
		pool->idle = ((uint32_t *)pool->spare.base)[index];
		*out = index;
		return 0;
	}
	index = pool->fresh;
	if (index >= INDEX_END) {
		return -ENOSPC;
	}
	err = arena_grow(&pool->sets, (index + 1) * sizeof(struct nexthop *));
	err = err ? err : arena_grow(&pool->items, (index + 1) * sizeof(struct item *));
	err = err ? err : arena_grow(&pool->spare, (index + 1) * sizeof(uint32_t));
	if (!err) {
		pool->fresh++;
		*out = index;
	}
	return err;
}

/* A new item with one reference, in neither hash yet. */
static int item_new(struct pool *pool, const struct nexthop_spec *spec, uint32_t id,
		    struct item **out)
{
	struct item *item = calloc(1, sizeof(*item));
	struct made *full;
	int err = -ENOMEM;

	reclaim(pool);
	if (!item) {
		return -ENOMEM;
	}
	item->refs = 1;
	item->id = id;
	item->family = spec->family;
	full = made_new(pool, spec, id != 0);
	if (!full) {
		goto free_item;
	}
	err = index_take(pool, &item->index);
	if (err) {
		goto free_full;
	}
	if (!item_show(pool, item, full)) {
		((uint32_t *)pool->spare.base)[item->index] = pool->idle;
		pool->idle = item->index;
		err = -ENOMEM;
		goto free_full;
	}
	((struct item **)pool->items.base)[item->index] = item;
	pool->bytes += sizeof(*item);
	*out = item;
	return 0;
free_full:
	made_free(pool, full);
free_item:
	free(item);
	return err;
}

static uint32_t content_hash(const struct pool *pool, const struct nexthop_spec *spec)
{
	uint64_t value = hash_mix(pool->hash.seed[0] ^ spec->action ^ (uint64_t)spec->mtu << 32,
				  pool->hash.seed[1] ^ spec->count ^ (uint64_t)spec->family << 32);

	for (unsigned i = 0; i < spec->count; i++) {
		uint64_t w[3];

		memcpy(w, &spec->hops[i], sizeof(w));
		value = hash_mix(value ^ w[0], pool->hash.seed[0] ^ w[1]);
		value = hash_mix(value ^ w[2], pool->hash.seed[1]);
	}
	return (uint32_t)value;
}

static struct item *item_find(struct pool *pool, uint32_t value, const struct nexthop_spec *spec)
{
	const struct hash_buckets *buckets = hash_buckets(&pool->hash);
	struct hash_node *node = hash_first(buckets, value);

	for (; node; node = hash_next(buckets, node)) {
		struct item *item = caa_container_of(node, struct item, node);
		const struct nexthop *set = &item->full->set;

		if (node->hash == value && item->family == spec->family &&
		    set->action == spec->action && set->mtu == spec->mtu &&
		    set->count == spec->count &&
		    (!spec->count ||
		     memcmp(set->hop, spec->hops, spec->count * sizeof(spec->hops[0])) == 0)) {
			return item;
		}
	}
	return NULL;
}

static uint32_t id_hash(const struct pool *pool, uint32_t id)
{
	return (uint32_t)hash_mix(pool->ids.seed[0] ^ id, pool->ids.seed[1]);
}

static struct item *item_of_id(struct pool *pool, uint32_t id)
{
	const struct hash_buckets *buckets = hash_buckets(&pool->ids);
	struct hash_node *node = hash_first(buckets, id_hash(pool, id));

	for (; node; node = hash_next(buckets, node)) {
		struct item *item = caa_container_of(node, struct item, node);

		if (item->id == id) {
			return item;
		}
	}
	return NULL;
}

/* The whole. -------------------------------------------------------------------------------- */

int nexthops_create(struct nexthops **out)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	int err;

	if (!pool) {
		return -ENOMEM;
	}
	err = hash_init(&pool->hash);
	if (err) {
		goto free_pool;
	}
	err = hash_init(&pool->ids);
	if (err) {
		goto fini_hash;
	}
	err = arena_create(&pool->sets, INDEX_END * sizeof(struct nexthop *), 1u << 16);
	if (err) {
		goto fini_ids;
	}
	err = arena_create(&pool->items, INDEX_END * sizeof(struct item *), 1u << 16);
	if (err) {
		goto destroy_sets;
	}
	err = arena_create(&pool->spare, INDEX_END * sizeof(uint32_t), 1u << 16);
	if (err) {
		goto destroy_items;
	}
	err = arena_grow(&pool->sets, sizeof(struct nexthop *));
	if (err) {
		goto destroy_spare;
	}
	pool->fresh = 1;
	pool->nexthops.set = pool->sets.base;
	*out = &pool->nexthops;
	return 0;
destroy_spare:
	arena_destroy(&pool->spare);
destroy_items:
	arena_destroy(&pool->items);
destroy_sets:
	arena_destroy(&pool->sets);
fini_ids:
	hash_fini(&pool->ids);
fini_hash:
	hash_fini(&pool->hash);
free_pool:
	free(pool);
	return err;
}

void nexthops_destroy(struct nexthops *nexthops)
{
	struct pool *pool;

	if (!nexthops) {
		return;
	}
	pool = pool_of(nexthops);
	grace_settle(&pool->grace);
	for (uint32_t index = 1; index < pool->fresh; index++) {
		struct item *item = item_at(pool, index);

		if (item) {
			if (item->shown != item->full) {
				free(item->shown);
			}
			free(item->full);
			free(item);
		}
	}
	for (struct made *made = pool->passing_sets, *next; made; made = next) {
		next = made->next;
		free(made);
	}
	for (struct made *made = pool->waiting_sets, *next; made; made = next) {
		next = made->next;
		free(made);
	}
	free(pool->dead);
	hash_fini(&pool->ids);
	hash_fini(&pool->hash);
	arena_destroy(&pool->spare);
	arena_destroy(&pool->items);
	arena_destroy(&pool->sets);
	free(pool);
}

/* The spec with what does not matter taken out. */
static int spec_check(struct nexthop_spec *spec)
{
	if (spec->action == NEXTHOP_LOCAL && spec->count == 1) {
		spec->mtu = 0;
	} else if (spec->action != NEXTHOP_FORWARD) {
		*spec = (struct nexthop_spec){.action = spec->action};
	} else if (!spec->count) {
		return -EINVAL;
	}
	return spec->count > NEXTHOP_HOPS_MAX ? -E2BIG : 0;
}

int nexthops_get(struct nexthops *nexthops, const struct nexthop_spec *wanted)
{
	struct pool *pool = pool_of(nexthops);
	struct nexthop_spec spec = *wanted;
	struct item *item;
	uint32_t value;
	int err = spec_check(&spec);

	if (err) {
		return err;
	}
	spec.buckets = NULL;
	spec.bucket_count = 0;
	value = content_hash(pool, &spec);
	item = item_find(pool, value, &spec);
	if (item) {
		item->refs++;
		return (int)item->index;
	}
	err = item_new(pool, &spec, 0, &item);
	if (err) {
		return err;
	}
	hash_insert(&pool->hash, &item->node, value);
	return (int)item->index;
}

int nexthops_object(struct nexthops *nexthops, uint32_t id)
{
	struct pool *pool = pool_of(nexthops);
	struct item *item = item_of_id(pool, id);
	int err;

	if (!id) {
		return -EINVAL;
	}
	if (item) {
		item->refs++;
		return (int)item->index;
	}
	err = item_new(pool, &(struct nexthop_spec){.action = NEXTHOP_KERNEL}, id, &item);
	if (err) {
		return err;
	}
	hash_insert(&pool->ids, &item->node, id_hash(pool, id));
	return (int)item->index;
}

static bool set_same(const struct nexthop *a, const struct nexthop *b)
{
	return a->action == b->action && a->count == b->count &&
	       a->bucket_count == b->bucket_count &&
	       memcmp(a->hop, b->hop, made_size(a->count, a->bucket_count) - sizeof(struct made)) ==
		       0;
}

int nexthops_object_set(struct nexthops *nexthops, uint32_t id, const struct nexthop_spec *wanted)
{
	struct pool *pool = pool_of(nexthops);
	struct nexthop_spec spec = *wanted;
	int index = nexthops_object(nexthops, id), err = spec_check(&spec);
	struct item *item;
	struct made *made;

	if (index < 0) {
		return index;
	}
	item = item_at(pool, (uint32_t)index);
	if (item->owned) {
		item->refs--; /* one is enough */
	}
	item->owned = true;
	if (err) {
		spec = (struct nexthop_spec){.action = NEXTHOP_KERNEL};
	}
	made = made_new(pool, &spec, true);
	if (!made) {
		return -ENOMEM;
	}
	if (set_same(&made->set, &item->full->set)) {
		made_free(pool, made);
		return err;
	}
	item_show(pool, item, made); /* an object's set is shown as it is: nothing is made */
	return err;
}

uint32_t nexthops_object_delete(struct nexthops *nexthops, uint32_t id)
{
	struct pool *pool = pool_of(nexthops);
	struct item *item = item_of_id(pool, id);
	uint32_t index;

	if (!item || !item->owned) {
		return 0;
	}
	nexthops_object_set(nexthops, id, &(struct nexthop_spec){.action = NEXTHOP_KERNEL});
	item->owned = false;
	index = item->refs > 1 ? item->index : 0;
	nexthops_put(nexthops, item->index);
	return index;
}

/* Note the device among the dead, or no longer. False: no memory. */
static bool device_note(struct pool *pool, enum ip_family family, uint32_t ifindex, bool dead)
{
	struct device *list = pool->dead;

	for (size_t i = 0; i < pool->dead_count; i++) {
		if (list[i].ifindex == ifindex && list[i].family == family) {
			list[i] = dead ? list[i] : list[--pool->dead_count];
			return true;
		}
	}
	if (dead && pool->dead_count == pool->dead_room) {
		size_t room = pool->dead_room ? pool->dead_room * 2 : 16;

		list = reallocarray(pool->dead, room, sizeof(*list));
		if (!list) {
			return false;
		}
		pool->dead = list;
		pool->dead_room = room;
	}
	if (dead) {
		list[pool->dead_count++] = (struct device){ifindex, (uint8_t)family};
	}
	return true;
}

static bool item_uses(const struct item *item, uint32_t ifindex)
{
	for (unsigned i = 0; i < item->full->set.count; i++) {
		if (item->full->set.hop[i].ifindex == ifindex) {
			return true;
		}
	}
	return false;
}

bool nexthops_use(const struct nexthops *nexthops, uint32_t ifindex)
{
	const struct pool *pool = pool_of(nexthops);

	for (uint32_t index = 1; index < pool->fresh; index++) {
		const struct item *item = item_at(pool, index);

		if (item && item->refs && item_uses(item, ifindex)) {
			return true;
		}
	}
	return false;
}

bool nexthops_device(struct nexthops *nexthops, enum ip_family family, uint32_t ifindex, bool dead)
{
	struct pool *pool = pool_of(nexthops);
	bool done = true;

	if (is_dead(pool, (uint8_t)family, ifindex) == dead) {
		return true;
	}
	if (!device_note(pool, family, ifindex, dead)) {
		return false;
	}
	for (uint32_t index = 1; index < pool->fresh; index++) {
		struct item *item = item_at(pool, index);

		if (item && !item->id && item->refs && item->family == family &&
		    item_uses(item, ifindex)) {
			done &= item_show(pool, item, item->full);
		}
	}
	return done;
}

void nexthops_ref(struct nexthops *nexthops, uint32_t index)
{
	item_at(pool_of(nexthops), index)->refs++;
}

void nexthops_put(struct nexthops *nexthops, uint32_t index)
{
	struct pool *pool = pool_of(nexthops);
	struct item *item = item_at(pool, index);

	if (--item->refs) {
		return;
	}
	/* Readers may have the index from the fib still: the set stays where it is for them. */
	hash_remove(item->id ? &pool->ids : &pool->hash, &item->node);
	item->next = pool->waiting;
	pool->waiting = item;
	reclaim(pool);
}

size_t nexthops_count(const struct nexthops *nexthops)
{
	const struct pool *pool = pool_of(nexthops);

	return pool->hash.count + pool->ids.count;
}

size_t nexthops_memory(const struct nexthops *nexthops)
{
	const struct pool *pool = pool_of(nexthops);

	return pool->bytes + pool->fresh * (2 * sizeof(void *) + sizeof(uint32_t));
}

uint64_t nexthops_version(const struct nexthops *nexthops)
{
	return __atomic_load_n(&pool_of(nexthops)->version, __ATOMIC_ACQUIRE);
}

const struct nexthop *nexthops_full(const struct nexthops *nexthops, uint32_t index)
{
	return &item_at(pool_of(nexthops), index)->full->set;
}
