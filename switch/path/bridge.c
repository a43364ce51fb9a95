// SPDX-License-Identifier: BSD-2-Clause
#include "path/bridge.h"

#include "path/parse.h"

/* Kernel is_skb_forwardable(): the header, and the room of a tag is granted to every frame. */
#define FORWARDABLE_SLACK (ETH_SIZE + 4u)

/* What a frame is to every member that it may leave by. */
struct crossing {
	const struct topo_if *in; /* NULL: the bridge's own interface */
	const struct topo_bridge *br;
	const struct topo_vlan *vlan;
	uint16_t vid;
	unsigned tag;   /* for members that are not untagged; 0 where tags pass through */
	uint32_t inner; /* form of what is inside that tag and has to be put on too */
	unsigned size;  /* bytes, as skb->len has them */
};

static inline bool has(uint64_t members, const struct topo_if *member)
{
	return members >> member->member & 1;
}

static bool fits(const struct topo_if *out, unsigned size)
{
	return size <= out->mtu + FORWARDABLE_SLACK;
}

static bool is_fast_member(const struct topo_if *out, const struct topo_bridge *br)
{
	return out && out->bridge == br->self->bridge && out->kind != TOPO_BRIDGE &&
	       out->slot != TOPO_NONE && (out->flags & (TOPO_UP | TOPO_L2)) == (TOPO_UP | TOPO_L2);
}

/* The members that should_deliver() would not deliver to. */
static uint64_t closed(const struct crossing *cross)
{
	const struct topo_bridge *br = cross->br;
	uint64_t itself;

	if (!cross->in) {
		return 0;
	}
	itself = 1ull << cross->in->member;
	return (itself & ~br->hairpin) | (itself & br->isolated ? br->isolated : 0);
}

/* How a member gets it (br_handle_vlan(), and its own way down). */
static uint32_t member_form(const struct crossing *cross, const struct topo_if *out)
{
	uint32_t form = cross->inner;

	if (cross->tag && !has(cross->vlan->untagged, out)) {
		form = form_around(form, cross->tag);
	}
	return form_of_if(form, out);
}

static bool is_ip(const struct xsk_frame *frame)
{
	unsigned type = frame_ethertype(frame);

	return type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6;
}

/* Egress ------------------------------------------------------------------------------------ */

/* To the member of an FDB entry: TX, with the form. */
static struct verdict to_entry(const struct path *path, const struct crossing *cross,
			       const struct fdb_entry *entry, const struct topo_if **out,
			       uint32_t *form)
{
	if (entry->state == FDB_LOCAL) {
		return verdict_punt(PUNT_LOCAL);
	}
	*out = topo_if(path->topo, entry->ifindex);
	if (!is_fast_member(*out, cross->br)) {
		return verdict_punt(PUNT_NOT_FAST);
	}
	if (has(closed(cross), *out)) {
		return verdict_drop(*out == cross->in ? DROP_SAME_PORT : DROP_ISOLATED);
	}
	if (!has(cross->vlan->egress, *out)) {
		return cross->br->filtering ? verdict_drop(DROP_VLAN) : verdict_punt(PUNT_NOT_FAST);
	}
	if (!fits(*out, cross->size)) {
		return verdict_punt(PUNT_TOO_BIG);
	}
	*form = member_form(cross, *out);
	return *form == FORM_TOO_MANY ? verdict_punt(PUNT_TAGS) : verdict_tx((*out)->slot);
}

/* One more of a frame's targets. False when there are too many forms. */
static bool add_target(struct flood *flood, int slot, uint32_t form)
{
	unsigned i = 0;

	while (i < flood->count && flood->group[i].form != form) {
		i++;
	}
	if (form == FORM_TOO_MANY || i == FLOOD_FORMS_MAX) {
		return false;
	}
	if (i == flood->count) {
		flood->count++;
		flood->group[i].form = form;
		flood->group[i].slots = 0;
	}
	flood->group[i].slots |= 1ull << slot;
	return true;
}

/* To several members; `refused` when one of them cannot have it from us. */
static struct verdict to_all(struct path *path, const struct crossing *cross,
			     const struct arrival *a, uint64_t targets, enum punt_reason refused)
{
	struct flood *flood = &path->flood[path->flood_count];

	flood->count = 0;
	flood->rewrite = a->moved;
	flood->tci_be = a->tci_be;
	memcpy(&flood->macs.dst, &a->dst, MAC_SIZE);
	memcpy(&flood->macs.src, &a->src, MAC_SIZE);
	for (uint64_t left = targets; left; left &= left - 1) {
		const struct topo_if *out = cross->br->member[__builtin_ctzll(left)];

		if (!is_fast_member(out, cross->br) || !fits(out, cross->size) ||
		    !add_target(flood, out->slot, member_form(cross, out))) {
			return verdict_punt(refused);
		}
	}
	return (struct verdict){.kind = VERDICT_FLOOD, .slot = (uint8_t)path->flood_count++};
}

static struct verdict flood(struct path *path, const struct crossing *cross,
			    const struct arrival *a)
{
	uint64_t targets = cross->vlan->flood & ~closed(cross);

	if (!cross->vlan->flood_ours || fdb_partial(path->tables->fdb)) {
		return verdict_punt(PUNT_FLOOD);
	}
	if (!targets) {
		return verdict_drop(DROP_FLOOD_NONE);
	}
	return to_all(path, cross, a, targets, PUNT_FLOOD);
}

/* Groups ------------------------------------------------------------------------------------ */

/* The group and source of an IP packet whose header is in order, as br_mdb_entry_skb_get() takes
 * them; false where the kernel looks closer: reports, queries, and groups that all of a link is in
 * (224.0.0.0/24, RFC 5771 4; ff01::/16 and ff02::/16, RFC 4291 2.7). */
static bool read_group(const struct xsk_frame *inner, struct mdb_key *key)
{
	const struct ipv4 *ip4 = (const struct ipv4 *)(inner->data + ETH_SIZE);
	const struct ipv6 *ip6 = (const struct ipv6 *)(inner->data + ETH_SIZE);
	unsigned type = frame_ethertype(inner), size;

	if (type == ETHERTYPE_IPV4) {
		key->family = IP_V4;
		if (parse_ipv4(inner, &size) != PARSE_OK || ip4->proto == PROTO_IGMP ||
		    (ip4->dst[0] == 224 && !ip4->dst[1] && !ip4->dst[2])) {
			return false;
		}
		memcpy(key->group.b, ip4->dst, sizeof(ip4->dst));
		memcpy(key->source.b, ip4->src, sizeof(ip4->src));
		return true;
	}
	key->family = IP_V6;
	/* ipv6_mc_check_ip6hdr() drops what has no payload */
	if (parse_ipv6(inner, &size) != PARSE_OK || size == IPV6_SIZE || (ip6->dst[1] & 0xf) <= 2) {
		return false;
	}
	memcpy(key->group.b, ip6->dst, sizeof(ip6->dst));
	memcpy(key->source.b, ip6->src, sizeof(ip6->src));
	return true;
}

/* Who listens to what the frame is for; NULL: ask the kernel. */
static const struct mdb_entry *group_of(const struct path *path, const struct crossing *cross,
					const struct xsk_frame *frame, const struct arrival *a)
{
	struct mdb_key key = {.bridge = cross->br->ifindex, .vlan = cross->vid, .family = MDB_L2};
	const struct mdb_entry *entry;
	struct xsk_frame inner = *frame;

	if (!cross->br->filtering && a->tag) {
		tag_take_off(&inner);
	}
	if (is_tag(frame_eth(&inner)->type_be)) {
		return NULL;
	}
	if (!is_ip(&inner)) {
		memcpy(key.group.b, &a->dst, MAC_SIZE);
		return mdb_find(path->mdb, &key);
	}
	if (!read_group(&inner, &key)) {
		return NULL;
	}
	entry = mdb_find(path->mdb, &key);
	if (!entry) {
		key.source = (struct ip_addr){{0}};
		entry = mdb_find(path->mdb, &key);
	}
	return entry;
}

/* The members that listen, whatever may be between; false when one of them is not ours to send
 * to. */
static bool listeners(const struct path *path, const struct crossing *cross,
		      const struct xsk_frame *frame, const struct arrival *a, uint64_t *members)
{
	const struct mdb_entry *group = group_of(path, cross, frame, a);

	*members = 0;
	if (!group || group->kernel) {
		return false;
	}
	for (unsigned i = 0; i < group->count; i++) {
		const struct topo_if *out = topo_if(path->topo, group->ifindex[i]);

		if (!is_fast_member(out, cross->br)) {
			return false;
		}
		*members |= 1ull << out->member;
	}
	return true;
}

/* br_multicast_flood() */
static struct verdict to_group(struct path *path, const struct crossing *cross,
			       const struct arrival *a, uint64_t members)
{
	uint64_t targets = members & cross->vlan->egress & ~closed(cross);

	return targets ? to_all(path, cross, a, targets, PUNT_MULTICAST)
		       : verdict_drop(DROP_GROUP_NONE);
}

/* Ingress ----------------------------------------------------------------------------------- */

/*
 * br_netfilter, where it is switched on, judges the IP header of bridged frames and trims padding
 * (kernel br_validate_ipv4(), br_validate_ipv6()); it drops ARP without a whole struct arphdr
 * (br_nf_forward_arp()).  False: leave the frame to it.
 */
static bool netfilter_agrees(struct xsk_frame *frame)
{
	unsigned type = frame_ethertype(frame), size;

	if (!is_ip(frame)) {
		return type != ETHERTYPE_ARP || frame->len >= ETH_SIZE + ARP_SIZE;
	}
	if (type == ETHERTYPE_IPV4 ? parse_ipv4(frame, &size) : parse_ipv6(frame, &size)) {
		return false;
	}
	frame->len = ETH_SIZE + size;
	return true;
}

#define AGREED (-1)

/* What hooks of bridged frames would do before the bridge looks: a punt reason, or AGREED.  `inner`
 * is the frame without its outermost tag: IS_IP() of br_netfilter is false with one. */
static int hooks(const struct topo_if *in, const struct topo_bridge *br, struct xsk_frame *frame,
		 const struct xsk_frame *inner)
{
	if (!(in->flags & TOPO_L2)) {
		return PUNT_FORWARDING;
	}
	if (in->flags & TOPO_FRAGMENTS && parse_is_fragment(inner)) {
		return PUNT_FRAGMENT;
	}
	if ((br->self->flags & TOPO_BR_NF) && !netfilter_agrees(frame)) {
		return PUNT_BAD_IP;
	}
	return AGREED;
}

/* The source side of br_handle_frame_finish(): why the frame is the kernel's to judge, or
 * AGREED. */
static int learn(struct path *path, const struct crossing *cross, uint64_t src)
{
	const struct topo_if *in = cross->in;
	const struct fdb_entry *source = fdb_find_word(path->fdb, cross->br->ifindex, cross->vid,
						       src);
	bool here = source && source->ifindex == in->ifindex;

	if (in->flags & TOPO_LOCKED &&
	    (!here || source->state == FDB_LOCAL || source->state == FDB_LOCKED)) {
		return PUNT_LOCKED;
	}
	if (source && source->state == FDB_LOCAL) {
		return PUNT_BAD_SOURCE;
	}
	if (!(in->flags & TOPO_LEARNING)) {
		return AGREED;
	}
	if (here) {
		fdb_touch(source, path->now_s);
	} else if (!source || source->state != FDB_STICKY) {
		struct learn *learn = &path->learn[path->learn_count++];

		learn->ifindex = in->ifindex;
		learn->vlan = cross->vid;
		memcpy(&learn->mac, &src, MAC_SIZE);
	}
	return AGREED;
}

/* Kernel __allowed_ingress(): the frame's VLAN; NULL when it has none here. */
static const struct topo_vlan *vlan_of(const struct topo_if *in, const struct topo_bridge *br,
				       unsigned tag, uint16_t *vid)
{
	*vid = 0;
	if (br->filtering) {
		*vid = tag & TAG_VID ? tag & TAG_VID : br->pvid[in->member];
		if (!*vid) {
			return NULL;
		}
	}
	return topo_bridge_vlan(br, *vid);
}

/* To the bridge's own interface (br_pass_frame_up()). */
static struct verdict up(struct path *path, const struct crossing *cross, struct xsk_frame *frame,
			 const struct arrival *arrival)
{
	const struct topo_if *self = cross->br->self;
	struct arrival a = *arrival;

	a.host = a.dst == mac_word(&self->mac);
	a.bridged = true;
	if (cross->br->filtering) {
		if (!cross->vlan->self) {
			return verdict_punt(PUNT_LOCAL);
		}
		a.tag = cross->vlan->self_untagged ? 0 : cross->tag;
		a.on = false;
	}
	return above(path, self, frame, &a);
}

/* Is it for the bridge's own interface, or for one on it?  Its MAC is in the FDB as that of the
 * bridge, or of the member it has it from. */
static bool is_for_us(const struct crossing *cross, const struct fdb_entry *entry, uint64_t dst)
{
	return entry && entry->state == FDB_LOCAL &&
	       (dst == mac_word(&cross->br->self->mac) || entry->ifindex == cross->br->ifindex);
}

static void remember(struct path *path, struct emc_entry *seen, uint64_t ingress,
		     const struct arrival *a, const struct topo_if *out, uint32_t form,
		     unsigned reserve)
{
	unsigned max = out->mtu + FORWARDABLE_SLACK - reserve;

	*seen = (struct emc_entry){.key = {a->dst, a->src},
				   .ingress = ingress,
				   .stamp = path->emc.stamp,
				   .max = max < UINT16_MAX ? (uint16_t)max : UINT16_MAX,
				   .slot = (uint8_t)out->slot,
				   .form = form};
}

/* Where it goes, its VLAN and source being in order. TX: `out` and `form` are filled. */
static struct verdict cross_over(struct path *path, const struct crossing *cross,
				 struct xsk_frame *frame, const struct arrival *a,
				 const struct topo_if **out, uint32_t *form)
{
	const struct topo_if *self = cross->br->self;
	const struct fdb_entry *entry;

	/* Without VLANs it always is. */
	if (!cross->br->filtering && a->dst == mac_word(&self->mac)) {
		return up(path, cross, frame, a);
	}
	entry = fdb_find_word(path->fdb, cross->br->ifindex, cross->vid, a->dst);
	if (is_for_us(cross, entry, a->dst)) {
		return up(path, cross, frame, a);
	}
	/* A promiscuous bridge forwards it and takes it too. */
	if (self->flags & TOPO_HAS_MACVLANS && topo_macvlan_on(path->topo, self->ifindex, a->dst)) {
		return verdict_punt(PUNT_LOCAL);
	}
	return entry ? to_entry(path, cross, entry, out, form) : flood(path, cross, a);
}

static struct verdict send_by(struct xsk_frame *frame, const struct arrival *a, int slot,
			      uint32_t form)
{
	if (form || a->moved) {
		struct macs macs;

		memcpy(&macs.dst, &a->dst, MAC_SIZE);
		memcpy(&macs.src, &a->src, MAC_SIZE);
		tags_put(frame, form, a->tci_be, &macs);
	}
	return verdict_tx(slot);
}

/*
 * With nothing remembered of such a frame: learn, find its way, and remember that.  Not when it is
 * routed, which has a memory of its own, nor when the source is not learnt: it shall be reported
 * again.
 */
static __attribute__((noinline)) struct verdict
look_up(struct path *path, const struct topo_if *in, const struct topo_bridge *br,
	struct xsk_frame *frame, const struct arrival *a, struct emc_entry *seen, uint64_t ingress)
{
	/* br_nf_dev_queue_xmit() grants no room for a tag: it cuts or drops IP longer than the
	 * MTU. */
	const unsigned reserve = br->self->flags & TOPO_BR_NF ? TAG_SIZE : 0;
	struct crossing cross = {.in = in, .br = br, .size = a->size + reserve};
	unsigned learnt = path->learn_count;
	const struct topo_if *out = NULL;
	uint64_t members = 0;
	struct verdict verdict;
	uint32_t form = 0;
	int refused;

	cross.vlan = vlan_of(in, br, a->tag, &cross.vid);
	if (!cross.vlan || !has(cross.vlan->ingress | cross.vlan->learn, in)) {
		return br->filtering ? verdict_drop(DROP_VLAN) : verdict_punt(PUNT_FORWARDING);
	}
	if (br->filtering) {
		cross.tag = tag_of(br->proto_be, cross.vid) | (a->tag ? TAG_PRIORITY : 0);
	}
	if (a->dst & MAC_GROUP && !listeners(path, &cross, frame, a, &members)) {
		return verdict_punt(PUNT_MULTICAST);
	}
	/* Learnt first and looked up then, it is where it came from (br_handle_frame_finish());
	 * here what is learnt shows later. */
	if (a->dst == a->src) {
		return verdict_punt(PUNT_BAD_SOURCE);
	}
	refused = learn(path, &cross, a->src);
	if (refused != AGREED) {
		return verdict_punt(refused);
	}
	if (!has(cross.vlan->ingress, in)) {
		return verdict_drop(DROP_VLAN);
	}
	if (a->dst & MAC_GROUP) {
		return to_group(path, &cross, a, members);
	}
	verdict = cross_over(path, &cross, frame, a, &out, &form);
	if (!out || verdict.kind != VERDICT_TX) {
		return verdict;
	}
	if (path->learn_count == learnt) {
		remember(path, seen, ingress, a, out, form, reserve);
	}
	return send_by(frame, a, out->slot, form);
}

/* As look_up(), of a frame with nothing to say about it beside its MACs. */
static __attribute__((noinline)) struct verdict
look_up_plain(struct path *path, const struct topo_if *in, const struct topo_bridge *br,
	      struct xsk_frame *frame, const uint64_t key[2], struct emc_entry *seen)
{
	const struct arrival a = {.dst = key[0], .src = key[1], .size = frame->len};

	return look_up(path, in, br, frame, &a, seen, emc_ingress(EMC_BRIDGED, in->ifindex, 0));
}

struct verdict bridge(struct path *path, const struct topo_if *in, const struct topo_bridge *br,
		      bool plain, struct xsk_frame *frame, uint64_t dst, uint64_t src)
{
	const uint64_t key[2] = {dst, src}, ingress = emc_ingress(EMC_BRIDGED, in->ifindex, 0);
	struct emc_entry *seen = emc_place(&path->emc, ingress, key, 2);
	int refused = plain ? AGREED : hooks(in, br, frame, frame);

	if (refused != AGREED) {
		return verdict_punt(refused);
	}
	if (!emc_hit(&path->emc, seen, ingress, key, 2) || frame->len > seen->max) {
		return look_up_plain(path, in, br, frame, key, seen);
	}
	if (__builtin_expect(seen->form != 0, 0)) {
		const struct macs macs = *(const struct macs *)frame->data;

		tags_put(frame, seen->form, 0, &macs);
	}
	return verdict_tx(seen->slot);
}

int bridge_again(struct path *path, const struct topo_if *in, const struct topo_bridge *br,
		 struct xsk_frame *frame)
{
	const struct macs macs = *(const struct macs *)frame->data;
	const uint64_t key[2] = {mac_word(&macs.dst), mac_word(&macs.src)};
	const struct emc_entry *seen;
	uint64_t ingress;
	uint16_t tci_be = 0;
	unsigned tag = tag_read(frame, &tci_be);

	if (tag == TAG_CUT || (br->filtering && tag_tpid_be(tag) != br->proto_be)) {
		return -1;
	}
	ingress = emc_ingress(EMC_BRIDGED, in->ifindex, tag);
	seen = emc_place(&path->emc, ingress, key, 2);
	if (!emc_hit(&path->emc, seen, ingress, key, 2) || frame->len - TAG_SIZE > seen->max) {
		return -1;
	}
	if (br->filtering) {
		tag_take_off(frame);
	}
	if (br->filtering || seen->form) {
		tags_put(frame, seen->form, tci_be, &macs);
	}
	return seen->slot;
}

struct verdict bridge_tagged(struct path *path, const struct topo_if *in,
			     const struct topo_bridge *br, struct xsk_frame *frame,
			     const struct arrival *arrival)
{
	const uint64_t key[2] = {arrival->dst, arrival->src};
	struct xsk_frame inner = *frame;
	struct arrival a = *arrival;
	struct emc_entry *seen;
	uint64_t ingress;
	int refused;

	if (a.tag) {
		tag_take_off(&inner);
	}
	refused = hooks(in, br, frame, &inner);
	if (refused != AGREED) {
		return verdict_punt(refused);
	}
	a.size = a.tag ? inner.len : frame->len;
	if (a.tag && br->filtering) {
		if (tag_tpid_be(a.tag) == br->proto_be) {
			*frame = inner;
			a.moved = true;
		} else {
			/* Another protocol's is part of what is inside. */
			a.tag = 0;
			a.size = frame->len;
		}
	}
	ingress = emc_ingress(EMC_BRIDGED, in->ifindex, a.tag);
	seen = emc_place(&path->emc, ingress, key, 2);
	if (emc_hit(&path->emc, seen, ingress, key, 2) && a.size <= seen->max) {
		return send_by(frame, &a, seen->slot, seen->form);
	}
	return look_up(path, in, br, frame, &a, seen, ingress);
}

/* The VLAN of what `out` sends into the bridge; false when it may not, or cannot be told. */
static bool enter_from(const struct topo_if *out, struct crossing *cross)
{
	const struct topo_bridge *br = cross->br;
	unsigned own = 0; /* its tag that the bridge judges it by */

	if (br->filtering) {
		own = out->tag_count && out->tag[0].tpid_be == br->proto_be;
		cross->vid = own ? ntohs(out->tag[0].tci_be) & TAG_VID : 0;
		cross->vid = cross->vid ? cross->vid : br->pvid_self;
		cross->tag = tag_of(br->proto_be, cross->vid);
		if (!cross->vid) {
			return false;
		}
	}
	for (unsigned i = out->tag_count; i-- > own;) {
		const struct topo_tag *tag = &out->tag[i];

		cross->inner = form_around(cross->inner,
					   tag_of(tag->tpid_be, ntohs(tag->tci_be) & TAG_VID));
		/* All but the outermost tag are in skb->len. */
		cross->size += i || br->filtering ? TAG_SIZE : 0;
	}
	cross->vlan = topo_bridge_vlan(br, cross->vid);
	return cross->vlan && (cross->vlan->self || !br->filtering);
}

struct verdict bridge_egress(const struct path *path, const struct topo_bridge *br,
			     const struct topo_if *out, unsigned size, struct emc_entry *way)
{
	struct crossing cross = {.br = br, .size = ETH_SIZE + size};
	const struct fdb_entry *entry;
	const struct topo_if *member;
	struct verdict verdict;
	unsigned max;

	if (!enter_from(out, &cross)) {
		return verdict_punt(PUNT_NOT_FAST);
	}
	entry = fdb_find_word(path->fdb, br->ifindex, cross.vid, mac_word(&way->macs.dst));
	if (!entry) {
		return verdict_punt(PUNT_FLOOD);
	}
	verdict = to_entry(path, &cross, entry, &member, &way->form);
	if (verdict.kind == VERDICT_TX) {
		way->slot = verdict.slot;
		max = member->mtu - (cross.size - ETH_SIZE - size);
		way->max = way->max < max ? way->max : (uint16_t)max;
	}
	return verdict;
}
