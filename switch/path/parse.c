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

/* Where in the L4 header the checksum is; 0 for a protocol we do not finish. */
static unsigned checksum_offset(unsigned proto, unsigned l4_size)
{
	if (proto == PROTO_TCP && l4_size >= 20) {
		return 16; /* RFC 9293 3.1 */
	}
	if (proto == PROTO_UDP && l4_size >= 8) {
		return 6; /* RFC 768 */
	}
	return 0;
}

static void finish(uint8_t *l4, unsigned l4_size, unsigned proto, const uint8_t *addresses,
		   unsigned addresses_size)
{
	unsigned offset = checksum_offset(proto, l4_size);
	uint64_t pseudo;
	uint16_t field, check;

	if (!offset) {
		return;
	}
	memcpy(&field, l4 + offset, sizeof(field));
	if (!field) {
		return; /* UDP without a checksum; a partial one is never 0 */
	}
	pseudo = checksum_add(0, addresses, addresses_size) + htons((uint16_t)proto) +
		 htons((uint16_t)l4_size);
	if (field != checksum_fold(pseudo)) {
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

void parse_finish_checksum(struct xsk_frame *frame)
{
	unsigned type, size;

	if (frame->len < ETH_SIZE) {
		return;
	}
	type = frame_ethertype(frame);
	if (type == ETHERTYPE_IPV4 && frame->len >= ETH_SIZE + IPV4_SIZE) {
		struct ipv4 *ip = (struct ipv4 *)(frame->data + ETH_SIZE);
		unsigned header = (ip->version_ihl & 0xfu) * 4;

		size = ntohs(ip->length_be);
		if (header < IPV4_SIZE || size < header || size > frame->len - ETH_SIZE ||
		    ntohs(ip->frag_be) & IPV4_FRAG_MASK) {
			return;
		}
		finish((uint8_t *)ip + header, size - header, ip->proto, ip->src, 8);
	} else if (type == ETHERTYPE_IPV6 && frame->len >= ETH_SIZE + IPV6_SIZE) {
		struct ipv6 *ip = (struct ipv6 *)(frame->data + ETH_SIZE);

		size = ntohs(ip->length_be);
		if (size > frame->len - ETH_SIZE - IPV6_SIZE) {
			return;
		}
		finish((uint8_t *)ip + IPV6_SIZE, size, ip->next, ip->src, 32);
	}
}
