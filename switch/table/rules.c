/* SPDX-License-Identifier: BSD-2-Clause */
#include "table/rules.h"

#include <stdlib.h>

static const struct nexthop kernels = {.action = NEXTHOP_KERNEL};

struct routing *routing_create(unsigned rules4, unsigned rules6, unsigned vrfs)
{
	struct routing *routing = calloc(1, sizeof(*routing));
	const unsigned counts[IP_FAMILIES] = {rules4, rules6};

	if (!routing) {
		return NULL;
	}
	routing->vrf = calloc(vrfs + 1, sizeof(*routing->vrf));
	routing->vrf_count = vrfs;
	for (unsigned family = IP_V4; family < IP_FAMILIES; family++) {
		struct rules *rules = &routing->rules[family];

		rules->rule = calloc(counts[family] + 1, sizeof(*rules->rule));
		rules->count = counts[family];
	}
	if (!routing->vrf || !routing->rules[IP_V4].rule || !routing->rules[IP_V6].rule) {
		routing_destroy(routing);
		return NULL;
	}
	return routing;
}

void routing_destroy(struct routing *routing)
{
	if (routing) {
		free(routing->rules[IP_V4].rule);
		free(routing->rules[IP_V6].rule);
		free(routing->vrf);
		free(routing);
	}
}

static bool in_prefix(const uint8_t *addr, const struct ip_addr *prefix, unsigned len)
{
	unsigned bytes = len / 8, bits = len % 8;

	return !memcmp(addr, prefix->b, bytes) &&
	       (!bits || !((addr[bytes] ^ prefix->b[bytes]) >> (8 - bits)));
}

/* Kernel fib_rule_match(), with fib4_rule_match() or fib6_rule_match(). */
static bool rule_matches(const struct rule *rule, const struct rules_packet *packet)
{
	bool matches = !rule->never && (!rule->iif || rule->iif == packet->iif) &&
		       (!rule->l3mdev || packet->vrf) &&
		       in_prefix(packet->src, &rule->src, rule->src_len) &&
		       in_prefix(packet->dst, &rule->dst, rule->dst_len);

	return matches != rule->invert;
}

/* The table a rule leads to. False: only the kernel knows it. */
static bool rule_table(const struct routing *routing, const struct rule *rule,
		       const struct rules_packet *packet, const struct fib **fib)
{
	*fib = rule->fib;
	for (unsigned i = 0; rule->l3mdev && i < routing->vrf_count; i++) {
		if (routing->vrf[i].ifindex == packet->vrf) {
			*fib = routing->vrf[i].fib[packet->family];
			return !routing->vrf[i].unknown[packet->family];
		}
	}
	return !rule->l3mdev;
}

/* What a table says of the destination; NULL: nothing, and so the next rule is asked. */
static const struct nexthop *table_lookup(const struct nexthops *nexthops, const struct fib *fib,
					  const uint8_t *dst, int suppress)
{
	const struct nexthop *set;
	uint32_t entry;

	if (!fib) {
		return NULL;
	}
	entry = fib_lookup_entry(fib, dst);
	if (!(entry & FIB_VALUE_MAX)) {
		return NULL;
	}
	set = nexthops_at(nexthops, entry & FIB_VALUE_MAX);
	if (set->action == NEXTHOP_THROW) {
		return NULL;
	}
	/* Only a route that answers well can be suppressed; an unreachable one is an answer. */
	return set->action != NEXTHOP_KERNEL && (int)fib_entry_len(entry) <= suppress ? NULL : set;
}

static const struct nexthop *odd_lookup(const struct routing *routing,
					const struct nexthops *nexthops,
					const struct rules_packet *packet)
{
	const struct rules *rules = &routing->rules[packet->family];

	for (unsigned i = 0; i < rules->count;) {
		const struct rule *rule = &rules->rule[i++];
		const struct nexthop *set = NULL;
		const struct fib *fib;

		if (!rule_matches(rule, packet)) {
			continue;
		}
		if (rule->action == RULE_KERNEL) {
			return &kernels;
		}
		if (rule->action == RULE_JUMP) {
			i = rule->jump > i ? rule->jump : i; /* never back */
		} else if (rule->action == RULE_TABLE) {
			if (!rule_table(routing, rule, packet, &fib)) {
				return &kernels;
			}
			set = table_lookup(nexthops, fib, packet->dst, rule->suppress);
		}
		if (set) {
			return set;
		}
	}
	return NULL;
}

const struct nexthop *rules_lookup(const struct routing *routing, const struct nexthops *nexthops,
				   const struct rules_packet *packet)
{
	const struct rules *rules;

	if (!routing) {
		return &kernels;
	}
	rules = &routing->rules[packet->family];
	if (!rules->plain) {
		return odd_lookup(routing, nexthops, packet);
	}
	for (unsigned i = 0; i < rules->count; i++) {
		const struct nexthop *set = table_lookup(nexthops, rules->rule[i].fib, packet->dst,
							 -1);

		if (set) {
			return set;
		}
	}
	return NULL;
}
