/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * addr: the two addresses everything here is keyed by.
 *
 * Plain values, no ownership, any thread.  Bytes are in network order.
 */
#ifndef SHUNT_TABLE_ADDR_H
#define SHUNT_TABLE_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MAC_SIZE 6u

struct mac {
	uint8_t b[MAC_SIZE];
};

/* An IPv4 address sits in b[0..3] with the rest zero; `family` travels beside it. */
struct ip_addr {
	uint8_t b[16];
};

/* The family of an address, a route or a neighbour.  Not AF_*: these index arrays. */
enum ip_family { IP_V4, IP_V6, IP_FAMILIES };

/* A MAC as a number, first byte lowest: compared and hashed in a register. */
static inline uint64_t mac_word(const struct mac *mac)
{
	uint32_t low;
	uint16_t high;

	memcpy(&low, mac->b, sizeof(low));
	memcpy(&high, mac->b + sizeof(low), sizeof(high));
	return low | (uint64_t)high << 32;
}

static inline bool mac_equal(const struct mac *a, const struct mac *b)
{
	return mac_word(a) == mac_word(b);
}

static inline bool ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* Bits in an address of the family: 32 or 128. */
static inline unsigned ip_bits(enum ip_family family)
{
	return family == IP_V4 ? 32 : 128;
}

#endif
