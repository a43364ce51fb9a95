/* SPDX-License-Identifier: BSD-2-Clause */
#include "path/parse.h"

#include <stddef.h>

#define IPV4_FRAG_MASK 0x3fffu /* more-fragments and the offset, not don't-fragment */

enum parse_result parse_ipv4(const struct xsk_frame *frame, unsigned *size)
{
	const struct ipv4 *ip = (const struct ipv4 *)(frame->data + ETH_SIZE);
	unsigned length;

	if (frame->len < ETH_SIZE + IPV4_SIZE) {
		return PARSE_BAD;
	}
	if (ip->version_ihl != 0x45) {
		return ip->version_ihl > 0x45 && ip->version_ihl <= 0x4f ? PARSE_OPTIONS
									 : PARSE_BAD;
	}
	length = ntohs(ip->length_be);
	if (length < IPV4_SIZE || length > frame->len - ETH_SIZE) {
		return PARSE_BAD;
	}
	if (ipv4_sum(ip) != 0xffff) {
		return PARSE_BAD;
	}
	*size = length;
	return PARSE_OK;
}

enum parse_result parse_ipv6(const struct xsk_frame *frame, unsigned *size)
{
	const struct ipv6 *ip = (const struct ipv6 *)(frame->data + ETH_SIZE);
	unsigned length;

	if (frame->len < ETH_SIZE + IPV6_SIZE || frame->data[ETH_SIZE] >> 4 != 6) {
		return PARSE_BAD;
	}
	length = IPV6_SIZE + ntohs(ip->length_be);
	if (length > frame->len - ETH_SIZE) {
		return PARSE_BAD;
	}
	if (ip->next == PROTO_HOPOPTS || ip->next == PROTO_ROUTING) {
		return PARSE_OPTIONS;
	}
	*size = length;
	return PARSE_OK;
}

/* Kernel find_prev_fhdr(): the fragment header may be behind others. */
static bool is_fragment6(const struct xsk_frame *frame)
{
	unsigned next = ((const struct ipv6 *)(frame->data + ETH_SIZE))->next;
	unsigned at = ETH_SIZE + IPV6_SIZE;

	while (next == PROTO_HOPOPTS || next == PROTO_ROUTING || next == PROTO_DSTOPTS ||
	       next == PROTO_AH) {
		const uint8_t *header = frame->data + at;

		if (frame->len < at + 8) {
			return true;
		}
		/* RFC 8200 4.2 to 4.6 count in 8 bytes, RFC 4302 2.2 in 4. */
		at += next == PROTO_AH ? (header[1] + 2u) * 4 : (header[1] + 1u) * 8;
		next = header[0];
	}
	return next == PROTO_FRAGMENT;
}

bool parse_is_fragment(const struct xsk_frame *frame)
{
	unsigned type = frame_ethertype(frame);

	if (type == ETHERTYPE_IPV4) {
		const struct ipv4 *ip = (const struct ipv4 *)(frame->data + ETH_SIZE);

		return frame->len < ETH_SIZE + IPV4_SIZE || ip->frag_be & htons(IPV4_FRAG_MASK);
	}
	if (type == ETHERTYPE_IPV6) {
		return frame->len < ETH_SIZE + IPV6_SIZE || is_fragment6(frame);
	}
	return false;
}

/* Where in the L4 header the checksum is; 0 for a protocol we do not finish. */
static inline unsigned checksum_offset(unsigned proto, unsigned l4_size)
{
	if (proto == PROTO_TCP && l4_size >= 20) {
		return 16; /* RFC 9293 3.1 */
	}
	if (proto == PROTO_UDP && l4_size >= 8) {
		return 6; /* RFC 768 */
	}
	return 0;
}

/* `addresses` is the sum of both. */
static inline void finish(uint8_t *l4, unsigned l4_size, unsigned proto, uint64_t addresses)
{
	unsigned offset = checksum_offset(proto, l4_size);
	uint16_t field, check;

	if (!offset) {
		return;
	}
	memcpy(&field, l4 + offset, sizeof(field));
	/* UDP without a checksum has 0; a partial one never has. */
	if (!field ||
	    field != checksum_fold(addresses + htons((uint16_t)proto) + htons((uint16_t)l4_size))) {
		return;
	}
	/* The field holds the pseudo-header's sum: summing the segment with it in place covers
	 * both. */
	check = (uint16_t)~checksum_fold(checksum_add(0, l4, l4_size));
	if (!check && proto == PROTO_UDP) {
		check = 0xffff;
	}
	memcpy(l4 + offset, &check, sizeof(check));
}

static inline void finish4(struct xsk_frame *frame)
{
	struct ipv4 *ip = (struct ipv4 *)(frame->data + ETH_SIZE);
	unsigned header, size;

	if (frame->len < ETH_SIZE + IPV4_SIZE) {
		return;
	}
	header = (ip->version_ihl & 0xfu) * 4;
	size = ntohs(ip->length_be);
	if (header < IPV4_SIZE || size < header || size > frame->len - ETH_SIZE ||
	    ip->frag_be & htons(IPV4_FRAG_MASK)) {
		return;
	}
	finish((uint8_t *)ip + header, size - header, ip->proto,
	       (uint64_t)load32(ip->src) + load32(ip->dst));
}

static inline void finish6(struct xsk_frame *frame)
{
	struct ipv6 *ip = (struct ipv6 *)(frame->data + ETH_SIZE);
	unsigned size;

	if (frame->len < ETH_SIZE + IPV6_SIZE) {
		return;
	}
	size = ntohs(ip->length_be);
	if (size <= frame->len - ETH_SIZE - IPV6_SIZE) {
		finish((uint8_t *)ip + IPV6_SIZE, size, ip->next, checksum_add(0, ip->src, 32));
	}
}

void parse_finish_checksum(struct xsk_frame *frame)
{
	unsigned type;

	if (frame->len < ETH_SIZE) {
		return;
	}
	type = frame_ethertype(frame);
	if (type == ETHERTYPE_IPV4) {
		finish4(frame);
	} else if (type == ETHERTYPE_IPV6) {
		finish6(frame);
	}
}
