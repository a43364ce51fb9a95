/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes at all through every decoder: nothing is read past their end. The first byte chooses
 * the decoder. */
#include <stdlib.h>
#include <string.h>

#include "netlink/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

union decoded {
	struct nl_link link;
	struct nl_addr addr;
	struct nl_neigh neigh;
	struct nl_rule rule;
	struct nl_conf conf;
	struct nl_qdisc qdisc;
	struct nl_chain chain;
	struct nl_hook hook;
	uint32_t word;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	union decoded out;
	static struct nl_route route;
	uint8_t *copy;

	if (size < 1) {
		return 0;
	}
	/* A copy of its own, aligned as a netlink buffer is, so that ASan knows where it ends. */
	size--;
	copy = malloc(size);
	memcpy(copy, data + 1, size);
	switch (data[0] % 11) {
	case 0:
		decode_link(copy, size, &out.link);
		break;
	case 1:
		decode_addr(copy, size, &out.addr);
		break;
	case 2:
		decode_neigh(copy, size, &out.neigh);
		break;
	case 3:
		if (decode_route(copy, size, &route) == 0 &&
		    (route.route.count > NEXTHOP_HOPS_MAX ||
		     route.route.key.len > ip_bits(route.route.key.family))) {
			abort();
		}
		break;
	case 4:
		decode_rule(copy, size, &out.rule);
		break;
	case 5:
		decode_conf(copy, size, &out.conf);
		break;
	case 6:
		decode_qdisc(copy, size, &out.qdisc);
		break;
	case 7:
		decode_chain(copy, size, &out.chain);
		break;
	case 8:
		decode_hook(copy, size, &out.hook);
		break;
	case 9:
		decode_generation(copy, size, &out.word);
		break;
	case 10:
		decode_spdinfo(copy, size, &out.word);
		break;
	}
	free(copy);
	return 0;
}
