/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_ledger: checks for tests: the census against the owner array, counted the slow way.
 *
 * The census adds up containers; the owner array says what each frame thinks. The two are kept by
 * different code, so a reference too many or too few on either side shows as a difference.
 */
#ifndef SHUNT_TESTS_IO_LEDGER_H
#define SHUNT_TESTS_IO_LEDGER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "io/umem_private.h"

static inline struct frame_census ledger_census(struct umem *umem)
{
	struct frame_census census;

	umem_census(umem);
	assert_int_equal(umem_census_read(umem, &census), 0);
	return census;
}

/* Balanced: nothing lost, and every role as the owner array has it. */
static inline void ledger_check(struct umem *umem)
{
	struct frame_census census = ledger_census(umem);
	uint64_t role[FRAME_ROLES] = {0};
	uint64_t staged = 0, ring = 0, sum = 0;

	for (size_t i = 0; i < umem_frames(umem); i++) {
		role[umem->entry[i].role]++;
		staged += umem->entry[i].staged;
		ring += umem->entry[i].ring;
	}
	assert_int_equal(staged, umem->staged);
	assert_int_equal(ring, umem->on_ring);
	for (int i = 0; i < FRAME_ROLES; i++) {
		assert_int_equal(census.role[i], role[i]);
		sum += census.role[i];
	}
	assert_int_equal(census.lost, 0);
	assert_int_equal(sum, census.total);
	assert_int_equal(census.total, umem_frames(umem));
}

#endif
