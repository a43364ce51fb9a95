/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tags: VLAN tags (IEEE 802.1Q 9) at the front of a frame: reading, taking off, putting on.
 *
 * Taking a tag off moves nothing: the frame is looked at from 4 bytes further in, where its type
 * and IP header are at the offsets they have without a tag, and the 12 bytes before them are not
 * its MACs any more.  So whoever was looking at the MACs has them in registers by then, putting
 * tags on writes MACs and tags anew, and a frame that goes to the kernel after all is looked at
 * from its old place again, exactly as it arrived.
 *
 * Pure; any thread.  tags_put() writes up to two tags before the frame's start: FRAME_HEADROOM.
 */
#ifndef SHUNT_PATH_TAGS_H
#define SHUNT_PATH_TAGS_H

#include "io/xsk.h"
#include "path/frame.h"
#include "table/topo.h"

#define TAG_SIZE 4u
#define TPID_8021Q 0x8100u
#define TPID_8021AD 0x88a8u

/*
 * A tag to be put on, as 16 bits; 0 is none.  A form is two of them: the outer one in the lower
 * half, the inner one in the upper.  0 is the form without tags.
 */
#define TAG_VID 0x0fffu
#define TAG_AD 0x1000u       /* TPID_8021AD, else TPID_8021Q */
#define TAG_PRIORITY 0x2000u /* with priority and drop eligibility of the tag it came with */
#define TAG_IS 0x8000u       /* there is one */
#define TAG_CUT 0x4000u      /* of a frame that ends in it: the kernel drops that */
#define FORM_TOO_MANY UINT32_MAX

struct macs {
	struct mac dst, src;
};

_Static_assert(sizeof(struct macs) == 12, "as in the frame");

/* The two types that the kernel takes for tags (eth_type_vlan()). */
static inline bool is_tag(uint16_t type_be)
{
	return type_be == htons(TPID_8021Q) || type_be == htons(TPID_8021AD);
}

static inline unsigned tag_of(uint16_t tpid_be, unsigned vid)
{
	return TAG_IS | vid | (tpid_be == htons(TPID_8021AD) ? TAG_AD : 0);
}

static inline uint16_t tag_tpid_be(unsigned tag)
{
	return tag & TAG_AD ? htons(TPID_8021AD) : htons(TPID_8021Q);
}

/* The outermost tag of a frame of ETH_SIZE at least, and its control information; 0 none, TAG_CUT.
 * Kernel skb_vlan_untag() wants the tag and two bytes more. */
static inline unsigned tag_read(const struct xsk_frame *frame, uint16_t *tci_be)
{
	uint16_t type_be;

	memcpy(&type_be, frame->data + 2 * MAC_SIZE, sizeof(type_be));
	if (!is_tag(type_be)) {
		return 0;
	}
	if (frame->len < ETH_SIZE + TAG_SIZE + 2) {
		return TAG_CUT;
	}
	memcpy(tci_be, frame->data + ETH_SIZE, sizeof(*tci_be));
	return tag_of(type_be, ntohs(*tci_be) & TAG_VID);
}

static inline void tag_take_off(struct xsk_frame *frame)
{
	frame->data += TAG_SIZE;
	frame->len -= TAG_SIZE;
}

/* One more tag, around what the form has. */
static inline uint32_t form_around(uint32_t form, unsigned tag)
{
	return form >> 16 ? FORM_TOO_MANY : form << 16 | tag;
}

/* The tags between an interface and the wire, around what the form has. */
static inline uint32_t form_of_if(uint32_t form, const struct topo_if *iface)
{
	for (unsigned i = iface->tag_count; i-- > 0;) {
		const struct topo_tag *tag = &iface->tag[i];

		form = form_around(form, tag_of(tag->tpid_be, ntohs(tag->tci_be) & TAG_VID));
	}
	return form;
}

static inline uint8_t *tag_put(uint8_t *type, unsigned tag, uint16_t tci_be)
{
	uint16_t words[2] = {tag_tpid_be(tag), htons((uint16_t)(tag & TAG_VID))};

	if (tag & TAG_PRIORITY) {
		words[1] |= tci_be & htons((uint16_t)~TAG_VID);
	}
	return memcpy(type - sizeof(words), words, sizeof(words));
}

/* Begin the frame anew before its type: the form's tags, and before them the MACs. */
static inline void tags_put(struct xsk_frame *frame, uint32_t form, uint16_t tci_be,
			    const struct macs *macs)
{
	uint8_t *end = frame->data + frame->len, *at = frame->data + sizeof(*macs);

	if (form >> 16) {
		at = tag_put(at, form >> 16, tci_be);
	}
	if (form) {
		at = tag_put(at, form & 0xffff, tci_be);
	}
	frame->data = memcpy(at - sizeof(*macs), macs, sizeof(*macs));
	frame->len = (uint32_t)(end - frame->data);
}

#endif
