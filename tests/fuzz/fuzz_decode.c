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
	struct nl_nexthop nexthop;
	struct nl_bucket bucket;
	struct nl_conf conf;
	struct nl_qdisc qdisc;
	struct nl_chain chain;
	struct nl_hook hook;
	struct nl_policy policy;
	uint32_t word;
	char kind[16];
};

static void on_vlan(const struct nl_vlan *vlan, void *arg)
{
	if (vlan->first == 0 || vlan->first > vlan->last || vlan->last > 4094) {
		abort();
	}
}

static void on_group(const struct nl_group *group, void *arg)
{
	*(uint32_t *)arg += group->ifindex;
}

static void on_router(const struct nl_router *router, void *arg)
{
	*(uint32_t *)arg += router->ifindex;
}

static void decode_more(unsigned kind, const uint8_t *copy, size_t size)
{
	union decoded out;

	switch (kind) {
	case 9:
		decode_generation(copy, size, &out.word);
		break;
	case 10:
		decode_spdinfo(copy, size, &out.word);
		break;
	case 11:
		decode_vlans(copy, size, on_vlan, NULL);
		break;
	case 12:
		out.word = 0;
		decode_mdb(copy, size, on_group, on_router, &out.word);
		break;
	case 13:
		decode_filter_kind(copy, size, out.kind, sizeof(out.kind));
		break;
	case 14:
		decode_flowtable(copy, size, &out.chain);
		break;
	case 15:
		decode_policy(copy, size, &out.policy);
		break;
	case 16:
		decode_link_xdp(copy, size, &out.word);
		break;
	}
}

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
	decode_more(data[0] % 17, copy, size);
	switch (data[0] % 17) {
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
		decode_nexthop(copy, size, &out.nexthop);
		decode_bucket(copy, size, &out.bucket);
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
	}
	free(copy);
	return 0;
}
