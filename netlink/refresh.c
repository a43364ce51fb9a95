/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel cannot see because frames did not pass it: MACs first seen in the fast path, and
 * which MACs and neighbours are in use.  NTF_USE is made for that: br_fdb_update() and
 * neigh_event_send() do what a frame would have done.
 */
#include "netlink/mirror_int.h"

#include <string.h>
#include <sys/socket.h>

#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

/* A station that falls silent is gone this much later than with the kernel alone; and at most a
 * quarter of the shortest ageing time. */
#define FDB_REFRESH_S 8
#define FDB_PART 32u /* entries more than its share that a tick looks at */
/* All neighbours are looked at in so many ticks, 5 s: as long as the kernel waits in DELAY before
 * it probes.  Thousands that went stale together are then probed one after the other, and go stale
 * so the next time. */
#define NEIGH_TICKS 50
#define NEIGH_PART 64u /* more than its share that a tick looks at */
#define NEIGH_USED_S 2 /* used so recently counts as in use, as does: since it was last looked at */
#define LEARN_AGAIN_MS 100 /* a worker that repeats itself while the kernel's answer is under way */
#define LEARN_PER_SECOND 10000u
#define LEARN_BURST 1000u

/* Requests gathered for one sendmsg(). */
struct batch {
	struct mirror *mirror;
	size_t size;
	uint32_t now_s, since_s;
	char bytes[16384] __attribute__((aligned(8)));
};

#define REQUEST_SIZE 128u /* more than any request here */

static void batch_init(struct batch *batch, struct mirror *mirror)
{
	batch->mirror = mirror;
	batch->size = 0; /* the bytes are written before they are sent */
}

static void batch_send(struct batch *batch)
{
	if (batch->size > 0) {
		/* A request that is lost is made again the next time. */
		nlsock_tell(batch->mirror->tell, batch->bytes, batch->size);
		batch->size = 0;
	}
}

static struct nlmsghdr *batch_use(struct batch *batch, uint8_t family, uint32_t ifindex,
				  uint16_t state, uint8_t flags)
{
	struct nlmsghdr *message;
	struct ndmsg *header;

	if (batch->size + REQUEST_SIZE > sizeof(batch->bytes)) {
		batch_send(batch);
	}
	message = mnl_nlmsg_put_header(batch->bytes + batch->size);
	message->nlmsg_type = RTM_NEWNEIGH;
	message->nlmsg_flags = NLM_F_REQUEST;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ndm_family = family;
	header->ndm_ifindex = (int)ifindex;
	header->ndm_state = state;
	header->ndm_flags = (uint8_t)(NTF_USE | flags);
	return message;
}

static void batch_mac(struct batch *batch, uint32_t ifindex, const struct mac *mac, uint16_t vlan)
{
	struct nlmsghdr *message = batch_use(batch, AF_BRIDGE, ifindex, NUD_REACHABLE, NTF_MASTER);

	mnl_attr_put(message, NDA_LLADDR, MAC_SIZE, mac->b);
	if (vlan != 0) {
		mnl_attr_put_u16(message, NDA_VLAN, vlan);
	}
	/* br_fdb_add() without NLM_F_CREATE makes entries all the same for NTF_USE, but the checks
	 * before it (rtnl_fdb_add()) want it. */
	message->nlmsg_flags |= NLM_F_CREATE;
	batch->size += NLMSG_ALIGN(message->nlmsg_len);
}

void refresh_forget(struct mirror *mirror, uint32_t ifindex, const struct mac *mac, uint16_t vlan)
{
	struct nlmsghdr *message;
	struct batch batch;

	batch_init(&batch, mirror);
	message = batch_use(&batch, AF_BRIDGE, ifindex, 0, NTF_MASTER);
	message->nlmsg_type = RTM_DELNEIGH;
	mnl_attr_put(message, NDA_LLADDR, MAC_SIZE, mac->b);
	mnl_attr_put_u16(message, NDA_VLAN, vlan);
	batch.size += NLMSG_ALIGN(message->nlmsg_len);
	batch_send(&batch);
}

static void refresh_mac(const struct fdb_entry *entry, void *arg)
{
	struct batch *batch = arg;
	uint32_t used_s = __atomic_load_n(&entry->used_s, __ATOMIC_RELAXED);

	if ((entry->state == FDB_DYNAMIC || entry->state == FDB_STICKY) && used_s != 0 &&
	    (int32_t)(used_s - batch->since_s) >= 0) {
		batch_mac(batch, entry->ifindex, &entry->key.mac, entry->key.vlan);
	}
}

static void refresh_neighbour(const struct neigh_entry *entry, void *arg)
{
	struct batch *batch = arg;
	uint32_t used_s = __atomic_load_n(&entry->used_s, __ATOMIC_RELAXED);
	struct nlmsghdr *message;

	/* In DELAY and PROBE the kernel is at it already; REACHABLE is fresh. */
	if (entry->nud != NUD_STALE || used_s == 0 || (int32_t)(used_s - batch->since_s) < 0) {
		return;
	}
	message = batch_use(batch, entry->key.family == IP_V4 ? AF_INET : AF_INET6,
			    entry->key.ifindex, 0, 0);
	mnl_attr_put(message, NDA_DST, ip_bits(entry->key.family) / 8, entry->key.addr.b);
	batch->size += NLMSG_ALIGN(message->nlmsg_len);
}

/* Every entry is looked at once a period, some in each tick. */
static void refresh_fdb(struct mirror *mirror, struct batch *batch)
{
	struct refresh *refresh = &mirror->refresh;
	uint64_t now_ms = mirror_now_ms(), passed_ms = now_ms - refresh->fdb_ms;
	uint32_t period = FDB_REFRESH_S;
	size_t share;

	if (refresh->ageing_s != 0 && refresh->ageing_s / 4 < period) {
		period = refresh->ageing_s >= 4 ? refresh->ageing_s / 4 : 1;
	}
	if (refresh->fdb_ms == 0 || passed_ms > period * 1000) {
		passed_ms = period * 1000;
	}
	refresh->fdb_ms = now_ms;
	batch->since_s = batch->now_s - period;
	share = fdb_count(mirror->tables->fdb) * passed_ms / (period * 1000) + FDB_PART;
	if (!fdb_walk(mirror->tables->fdb, &refresh->fdb_cursor, share, refresh_mac, batch)) {
		refresh->fdb_cursor = 0;
	}
	batch_send(batch);
}

static void refresh_neighbours(struct mirror *mirror, struct batch *batch)
{
	struct refresh *refresh = &mirror->refresh;
	size_t share = neigh_count(mirror->tables->neigh) / NEIGH_TICKS + NEIGH_PART;

	batch->since_s = batch->now_s - NEIGH_USED_S;
	if (refresh->neigh_s != 0 && (int32_t)(refresh->neigh_s - batch->since_s) < 0) {
		batch->since_s = refresh->neigh_s;
	}
	if (!neigh_walk(mirror->tables->neigh, &refresh->neigh_cursor, share, refresh_neighbour,
			batch)) {
		refresh->neigh_cursor = 0;
		refresh->neigh_s = refresh->neigh_next_s;
		refresh->neigh_next_s = batch->now_s;
	}
	batch_send(batch);
}

void refresh_tick(struct mirror *mirror, uint32_t now_s)
{
	struct batch batch;

	batch_init(&batch, mirror);
	batch.now_s = now_s;
	refresh_fdb(mirror, &batch);
	refresh_neighbours(mirror, &batch);
}

/* Did we tell this lately?  A direct-mapped cache: a collision forgets, and we tell it twice. */
static bool told_lately(struct refresh *refresh, uint32_t ifindex, const struct fdb_key *key,
			uint64_t now_ms)
{
	const uint8_t *bytes = (const uint8_t *)key;
	uint32_t hash = 2166136261u;
	unsigned at;

	for (unsigned i = 0; i < sizeof(*key); i++) {
		hash = (hash ^ bytes[i]) * 16777619u;
	}
	at = (hash ^ hash >> 16) % LEARN_CACHE;
	if (refresh->learnt[at].ifindex == ifindex &&
	    memcmp(&refresh->learnt[at].key, key, sizeof(*key)) == 0 &&
	    refresh->learnt[at].at_ms != 0 && now_ms - refresh->learnt[at].at_ms < LEARN_AGAIN_MS) {
		return true;
	}
	refresh->learnt[at].key = *key;
	refresh->learnt[at].ifindex = ifindex;
	refresh->learnt[at].at_ms = now_ms;
	return false;
}

static bool take_token(struct refresh *refresh, uint64_t now_ms)
{
	uint64_t tokens = refresh->learn_tokens +
			  (now_ms - refresh->learn_refill_ms) * LEARN_PER_SECOND / 1000;

	refresh->learn_refill_ms = now_ms;
	refresh->learn_tokens = tokens > LEARN_BURST ? LEARN_BURST : (unsigned)tokens;
	if (refresh->learn_tokens == 0) {
		return false;
	}
	refresh->learn_tokens--;
	return true;
}

/* What NTF_USE does not ask: br_handle_frame_finish() would not get to br_fdb_update(), or that
 * would change nothing. */
static bool may_learn(const struct mirror *mirror, const struct link *link,
		      const struct fdb_key *key)
{
	const struct link *bridge = link_bridge(mirror, link);
	const struct fdb_entry *entry;
	uint8_t is;

	if (bridge == NULL || !link->l2 || !link->nl.port.learning || link->nl.port.locked ||
	    bridge->nl.bridge.ageing_s == 0 ||
	    bridge->nl.bridge.vlan_filtering != (key->vlan != 0)) {
		return false;
	}
	if (key->vlan != 0) {
		is = link->vlans != NULL && key->vlan < TOPO_VIDS ? link->vlans->of[key->vlan] : 0;
		if (!(is & VLAN_THERE) || ((is & VLAN_STATE) != BR_STATE_FORWARDING &&
					   (is & VLAN_STATE) != BR_STATE_LEARNING)) {
			return false;
		}
	}
	entry = fdb_find(mirror->tables->fdb, key);
	/* A bridge's own never moves, nor does a sticky one; or it is known by now. */
	return entry == NULL || (entry->state != FDB_LOCAL && entry->state != FDB_STICKY &&
				 entry->ifindex != link->ifindex);
}

void mirror_learn(struct mirror *mirror, uint32_t ifindex, const struct mac *mac, uint16_t vlan)
{
	static const struct mac zero;
	const struct link *link = link_find(mirror, ifindex);
	struct fdb_key key = {.vlan = vlan, .mac = *mac};
	uint64_t now_ms = mirror_now_ms();
	struct batch batch;

	if (link == NULL || mac->b[0] & 1 || mac_equal(mac, &zero)) {
		return;
	}
	key.bridge = link->nl.master;
	if (may_learn(mirror, link, &key) &&
	    !told_lately(&mirror->refresh, ifindex, &key, now_ms) &&
	    take_token(&mirror->refresh, now_ms)) {
		batch_init(&batch, mirror);
		batch_mac(&batch, ifindex, mac, vlan);
		batch_send(&batch);
	}
}
