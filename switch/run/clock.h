/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock: the time that workers stamp and steer compares: CLOCK_MONOTONIC_COARSE, in nanoseconds,
 * the same as the kernel's bpf_ktime_get_coarse_ns().  Read from the vDSO: no system call, any
 * thread.
 */
#ifndef SHUNT_RUN_CLOCK_H
#define SHUNT_RUN_CLOCK_H

#include <stdint.h>
#include <time.h>

#define SECOND_NS 1000000000ull

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

static inline uint64_t coarse_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

#endif
