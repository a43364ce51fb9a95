/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prefixes: routes as a full BGP table has them, by the million, the same on every machine: for
 * tests and benchmarks.
 */
#ifndef SHUNT_TESTS_PREFIXES_H
#define SHUNT_TESTS_PREFIXES_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

struct prefix {
	uint8_t addr[16];
	unsigned len;
};

static uint64_t seed = 0x5eed5eed5eed5eedull;

/* xorshift64 (Marsaglia): the same on every machine. */
static inline uint64_t dice(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 2685821657736338717ull;
}

/* Parts of a thousand by length, as public route collectors show them. */
struct share {
	uint8_t len;
	uint16_t share;
};

static const struct share shares4[] = {
	{24, 598}, {22, 116}, {23, 104}, {21, 53}, {20, 46}, {19, 26}, {18, 14}, {16, 14}, {17, 9},
	{15, 6},   {14, 5},   {13, 3},   {12, 2},  {11, 1},  {10, 1},  {9, 1},   {8, 1},
};
static const struct share shares6[] = {
	{48, 460}, {32, 130}, {44, 110}, {40, 100}, {36, 50}, {46, 30}, {47, 25},
	{42, 25},  {29, 25},  {45, 15},  {33, 10},  {34, 10}, {28, 5},  {64, 5},
};

static inline unsigned roll_len(const struct share *shares, size_t count)
{
	unsigned at = (unsigned)(dice() >> 33) % 1000;

	for (size_t i = 0; i < count; i++) {
		if (at < shares[i].share) {
			return shares[i].len;
		}
		at -= shares[i].share;
	}
	return shares[0].len;
}

static inline void cut(struct prefix *prefix)
{
	for (unsigned bit = prefix->len; bit < 128; bit++) {
		prefix->addr[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	}
}

/* Anywhere in 1/8 to 223/8, but for what the labs use. */
static inline struct prefix roll4(void)
{
	struct prefix prefix = {.len = roll_len(shares4, sizeof(shares4) / sizeof(shares4[0]))};
	uint32_t addr;

	do {
		addr = (uint32_t)(dice() >> 32);
	} while (addr >> 24 == 0 || addr >> 24 >= 224 || addr >> 24 == 127 || addr >> 24 == 10 ||
		 addr >> 24 == 172 || addr >> 24 == 169);
	addr = htonl(addr);
	memcpy(prefix.addr, &addr, sizeof(addr));
	cut(&prefix);
	return prefix;
}

/* Inside one of some 25,000 allocations of a /32; half of what is longer sits at its start, as
 * numbering plans do. */
static inline struct prefix roll6(void)
{
	static const uint16_t blocks[] = {0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00};
	struct prefix prefix = {.len = roll_len(shares6, sizeof(shares6) / sizeof(shares6[0]))};
	uint64_t allocation = dice() >> 32, rest = dice();
	uint16_t high = htons((uint16_t)(blocks[allocation % 6] + (allocation >> 3) % 8));
	uint16_t low = htons((uint16_t)((allocation >> 6) % 521 * 126));

	/* addr[4] and addr[5] come from bits 8 to 23. */
	if (rest & 1) {
		rest &= ~0xff00ull;
	}
	memcpy(prefix.addr, &high, 2);
	memcpy(prefix.addr + 2, &low, 2);
	for (unsigned i = 0; i < 4; i++) {
		prefix.addr[4 + i] = (uint8_t)(rest >> (8 * i + 8));
	}
	cut(&prefix);
	return prefix;
}

#endif
