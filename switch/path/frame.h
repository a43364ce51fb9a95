/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame: the bytes of a frame by name, and the checksum arithmetic on them.
 *
 * Pure; any thread.  Multi-byte fields are read and written through memcpy-sized helpers, since
 * nothing promises alignment: the IP header of an Ethernet frame starts at an odd multiple of two.
 */
#ifndef SHUNT_PATH_FRAME_H
#define SHUNT_PATH_FRAME_H

#include <arpa/inet.h>

#include "table/addr.h"

#define ETH_SIZE 14u
#define IPV4_SIZE 20u /* without options: frames with options are the kernel's */
#define IPV6_SIZE 40u
#define ARP_SIZE 8u /* what comes before the addresses */

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu
#define ETHERTYPE_ARP 0x0806u

#define PROTO_ICMP 1u
#define PROTO_IGMP 2u
#define PROTO_TCP 6u
#define PROTO_UDP 17u
#define PROTO_HOPOPTS 0u
#define PROTO_ROUTING 43u
#define PROTO_FRAGMENT 44u
#define PROTO_AH 51u
#define PROTO_ICMPV6 58u
#define PROTO_DSTOPTS 60u

struct eth {
	struct mac dst, src;
	uint16_t type_be;
} __attribute__((packed));

/* RFC 791 3.1 */
struct ipv4 {
	uint8_t version_ihl, tos;
	uint16_t length_be, id_be, frag_be;
	uint8_t ttl, proto;
	uint16_t check;
	uint8_t src[4], dst[4];
} __attribute__((packed));

/* RFC 8200 3 */
struct ipv6 {
	uint32_t version_be;
	uint16_t length_be;
	uint8_t next, hops;
	uint8_t src[16], dst[16];
} __attribute__((packed));

_Static_assert(sizeof(struct eth) == ETH_SIZE, "RFC 894");
_Static_assert(sizeof(struct ipv4) == IPV4_SIZE, "RFC 791");
_Static_assert(sizeof(struct ipv6) == IPV6_SIZE, "RFC 8200");

static inline uint32_t load32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Of a MAC as mac_word() gives it: the group bit is the first byte's lowest. */
#define MAC_GROUP 1u

/* One's complement sum of `size` bytes, added to `sum`; fold with checksum_fold() (RFC 1071). */
static inline uint64_t checksum_add(uint64_t sum, const void *data, uint32_t size)
{
	const uint8_t *p = data;
	uint32_t word;
	uint16_t half;

	for (; size >= sizeof(word); size -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	if (size >= sizeof(half)) {
		memcpy(&half, p, sizeof(half));
		sum += half;
		size -= sizeof(half);
		p += sizeof(half);
	}
	if (size) {
		half = 0;
		memcpy(&half, p, 1);
		sum += half;
	}
	return sum;
}

/* The 16-bit sum (not complemented). */
static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The sum over a header without options: 0xffff when its checksum is right. */
static inline uint16_t ipv4_sum(const struct ipv4 *ip)
{
	const uint8_t *p = (const uint8_t *)ip;

	return checksum_fold((uint64_t)load32(p) + load32(p + 4) + load32(p + 8) + load32(p + 12) +
			     load32(p + 16));
}

/*
 * One hop less, and the checksum with it (RFC 1624, equation 3, for a word that goes down by
 * 0x0100; kernel ip_decrease_ttl()).  The TTL must be over 0.
 */
static inline void ipv4_decrease_ttl(struct ipv4 *ip)
{
	uint32_t check = (uint32_t)ip->check + htons(0x0100);

	ip->check = (uint16_t)(check + (check >= 0xffff));
	ip->ttl--;
}

#endif
