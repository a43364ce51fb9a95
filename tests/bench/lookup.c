// SPDX-License-Identifier: BSD-2-Clause
/*
 * lookup: what a look-up costs in full tables, one after the other as for a burst of frames, at
 * random addresses of random prefixes: the caches hold little of that.  Best and worst of some
 * rounds, in nanoseconds of CPU.
 *
 *   lookup [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <urcu-qsbr.h>

#include "prefixes.h"
#include "table/fib.h"

#define PREFIXES_MAX 1000000u
#define LOOKUPS (1u << 20)

static struct prefix prefixes[PREFIXES_MAX];
static uint8_t asked[LOOKUPS][16];

struct range {
	double least, most;
};

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void fill(struct fib *fib, enum ip_family family, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct ip_addr addr;

		prefixes[i] = family == IP_V4 ? roll4() : roll6();
		memcpy(addr.b, prefixes[i].addr, sizeof(addr.b));
		if (fib_insert(fib, &addr, prefixes[i].len, 1 + i % 32)) {
			fputs("lookup: no memory\n", stderr);
			exit(1);
		}
		rcu_quiescent_state();
	}
	for (unsigned i = 0; i < LOOKUPS; i++) {
		const struct prefix *prefix = &prefixes[dice() % count];

		memcpy(asked[i], prefix->addr, sizeof(asked[i]));
		for (unsigned bit = prefix->len; bit < ip_bits(family); bit++) {
			asked[i][bit / 8] |= dice() >> 63 ? 0x80u >> bit % 8 : 0;
		}
	}
}

static struct range measure(const struct fib *fib, unsigned rounds)
{
	struct range range = {.least = 1e12};

	for (unsigned round = 0; round < rounds; round++) {
		double since = cpu_ns(), each;

		for (unsigned i = 0; i < LOOKUPS; i++) {
			uint32_t value = fib_lookup(fib, asked[i]);

			__asm__ volatile("" : : "r"(value)); /* it is wanted */
		}
		each = (cpu_ns() - since) / LOOKUPS;
		range.least = each < range.least ? each : range.least;
		range.most = each > range.most ? each : range.most;
	}
	return range;
}

int main(int argc, char **argv)
{
	static const struct {
		enum ip_family family;
		unsigned prefixes;
	} tables[] = {{IP_V4, PREFIXES_MAX}, {IP_V6, 200000}};
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 9;

	rcu_register_thread();
	for (unsigned i = 0; i < 2; i++) {
		struct range range;
		struct fib *fib;

		if (fib_create(&fib, tables[i].family)) {
			fputs("lookup: no memory\n", stderr);
			return 1;
		}
		fill(fib, tables[i].family, tables[i].prefixes);
		range = measure(fib, rounds);
		printf("look-up in %u IPv%u prefixes, %.1f MiB: %.0f..%.0f ns\n",
		       tables[i].prefixes, tables[i].family == IP_V4 ? 4 : 6,
		       (double)fib_memory(fib) / (1 << 20), range.least, range.most);
		fib_destroy(fib);
	}
	rcu_unregister_thread();
	return 0;
}
