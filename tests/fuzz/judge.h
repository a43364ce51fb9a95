/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * judge: does a verdict hold against the frame it was given for?
 *
 * Written from the RFCs and the rules of the design, byte by byte, sharing no code with
 * switch/path.
 */
#ifndef SHUNT_TESTS_FUZZ_JUDGE_H
#define SHUNT_TESTS_FUZZ_JUDGE_H

#include "path/forward.h"

/* Abort, saying what and for which input, unless `truth`. */
void require(bool truth, const char *what);
extern char judge_input[64];

/* One's complement sum of big-endian 16-bit words, folded (RFC 1071). */
uint16_t sum16(uint32_t sum, const uint8_t *bytes, unsigned size);

/* Where TCP or UDP is, when the frame holds a whole unfragmented segment of it. */
struct l4 {
	const uint8_t *addresses, *start;
	unsigned addresses_size, size, check_offset; /* check_offset from the frame's start */
	uint8_t proto;
};

bool find_l4(struct l4 *l4, const uint8_t *frame, unsigned len);
uint16_t pseudo_sum(const struct l4 *l4);

/* `before` is the frame as it came in by `slot`, `after` as forward() left it. Aborts if wrong. */
void judge(unsigned slot, const struct xsk_frame *before, const struct xsk_frame *after,
	   const struct verdict *verdict, uint64_t flood_slots, bool learnt);

#endif
