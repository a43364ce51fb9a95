/* SPDX-License-Identifier: BSD-2-Clause */
/* Policy rules, VRFs, and the sysctls that routing depends on. */
#include "netlink/mirror_int.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

/* What is known. ---------------------------------------------------------------------------- */

void rules_begin(struct mirror *mirror)
{
	mirror->sync.rules.count = 0;
	mirror->sync.rules.broken = false;
}

void rules_message(struct mirror *mirror, const struct nlmsghdr *message)
{
	struct rule_list *list = &mirror->sync.rules;
	struct nl_rule *bigger, rule;

	if (decode_rule(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			&rule) != 0) {
		mirror->stats.malformed++;
		list->broken = true;
		return;
	}
	if (list->count == list->room) {
		unsigned room = list->room ? list->room * 2 : 8;

		bigger = list->count < RULES_MAX ? reallocarray(list->rule, room, sizeof(*bigger))
						 : NULL;
		if (bigger == NULL) {
			list->broken = true;
			return;
		}
		list->rule = bigger;
		list->room = room;
	}
	list->rule[list->count++] = rule;
}

void rules_end(struct mirror *mirror, enum ip_family family, bool known)
{
	struct rule_list *fresh = &mirror->sync.rules, *list = &mirror->rules[family], old = *list;

	if (mirror->rules_known[family] == known && list->count == fresh->count &&
	    list->broken == fresh->broken &&
	    (list->count == 0 ||
	     memcmp(list->rule, fresh->rule, list->count * sizeof(list->rule[0])) == 0)) {
		return;
	}
	*list = *fresh;
	*fresh = old; /* its memory is used again */
	mirror->rules_known[family] = known;
	mirror->dirty = true;
}

void rules_free(struct mirror *mirror)
{
	free(mirror->sync.rules.rule);
	free(mirror->rules[IP_V4].rule);
	free(mirror->rules[IP_V6].rule);
}

const struct link *link_vrf(const struct mirror *mirror, const struct link *link)
{
	const struct link *master = link->nl.master != 0 ? link_find(mirror, link->nl.master)
							 : NULL;

	return master != NULL && master->nl.vrf_table != 0 ? master : NULL;
}

static const struct link *link_named(const struct mirror *mirror, const char *name)
{
	for (size_t i = 0; i < mirror->link_count; i++) {
		if (mirror->link[i].nl.ifindex != 0 && strcmp(mirror->link[i].nl.name, name) == 0) {
			return &mirror->link[i];
		}
	}
	return NULL;
}

/* What stands against routing. --------------------------------------------------------------- */

/* Could packets that come in by the interface meet the rule's selectors? */
static bool concerns(const struct mirror *mirror, const struct nl_rule *rule,
		     const struct link *link)
{
	const struct link *vrf = link_vrf(mirror, link);

	if (rule->invert) {
		return true;
	}
	if (rule->oif[0] != '\0' || (rule->l3mdev && vrf == NULL)) {
		return false; /* what is forwarded has no egress yet; is in no VRF */
	}
	return rule->iif[0] == '\0' || strcmp(rule->iif, link->nl.name) == 0 ||
	       (vrf != NULL && strcmp(rule->iif, vrf->nl.name) == 0);
}

/* Kernels differ in whether a VRF's device is what its members' packets come in by: before 5.19,
 * until fib_rule_iif_match() of 6.15, and since. */
static bool names_vrf(const struct mirror *mirror, const struct nl_rule *rule)
{
	const struct link *link = rule->iif[0] != '\0' ? link_named(mirror, rule->iif) : NULL;

	return link != NULL && link->nl.vrf_table != 0;
}

bool rules_obstacle(const struct mirror *mirror, const struct link *link, char *reason, size_t size)
{
	if (mirror->accepts_redirects && link->forwarding4 && link->accepts_redirects) {
		snprintf(reason, size, "accept_redirects: redirects change routes unseen");
		return true;
	}
	for (unsigned family = IP_V4; family < IP_FAMILIES; family++) {
		const struct rule_list *list = &mirror->rules[family];

		if (list->broken) {
			snprintf(reason, size, "policy rules could not be read");
			return true;
		}
		for (unsigned i = 0; i < list->count; i++) {
			const struct nl_rule *rule = &list->rule[i];

			if (rule->odd != 0 && concerns(mirror, rule, link)) {
				snprintf(reason, size, "policy rule %u not understood: %s",
					 rule->priority, decode_rule_selector(rule->odd));
				return true;
			}
			if (concerns(mirror, rule, link) && names_vrf(mirror, rule)) {
				snprintf(reason, size,
					 "policy rule %u not understood: iif is a VRF",
					 rule->priority);
				return true;
			}
		}
	}
	return false;
}

/* For the workers. -------------------------------------------------------------------------- */

static void put_rule(const struct mirror *mirror, const struct nl_rule *from, struct rule *rule)
{
	const struct rib *rib = mirror->tables->rib;
	enum ip_family family = from->family == AF_INET ? IP_V4 : IP_V6;
	const struct link *iif = from->iif[0] != '\0' ? link_named(mirror, from->iif) : NULL;

	*rule = (struct rule){.action = RULE_KERNEL,
			      .src_len = from->src_len,
			      .dst_len = from->dst_len,
			      .invert = from->invert,
			      .l3mdev = from->l3mdev,
			      .suppress = from->suppress,
			      .iif = iif != NULL ? iif->ifindex : 0,
			      .priority = from->priority,
			      .table = from->table,
			      .src = from->src,
			      .dst = from->dst};
	/* What is forwarded has no egress to be selected by when it is looked up. */
	rule->never = from->oif[0] != '\0' || (from->iif[0] != '\0' && iif == NULL);
	if (from->odd != 0) {
		return;
	}
	switch (from->action) {
	case FR_ACT_TO_TBL:
		rule->action = RULE_TABLE;
		if (!from->l3mdev && rib_table_unknown(rib, family, from->table)) {
			rule->action = RULE_KERNEL;
		}
		rule->fib = rib_fib(rib, family, from->table);
		break;
	case FR_ACT_GOTO:
		rule->action = RULE_JUMP;
		break;
	case FR_ACT_NOP:
		rule->action = RULE_NOP;
		break;
	}
}

/* The first rule with the priority; none: the jump is not taken (fib_nl_newrule(), unresolved). */
static void put_target(const struct rule_list *list, unsigned at, struct rule *rule)
{
	for (unsigned i = at + 1; i < list->count; i++) {
		if (list->rule[i].priority == list->rule[at].target) {
			rule->jump = (uint16_t)i;
			return;
		}
	}
	rule->action = RULE_NOP;
}

static bool is_plain(const struct rule *rule)
{
	return rule->action == RULE_TABLE && rule->src_len == 0 && rule->dst_len == 0 &&
	       !rule->invert && !rule->l3mdev && !rule->never && rule->iif == 0 &&
	       rule->suppress < 0;
}

/* The three that every namespace starts with (fib_default_rules_init()). */
static bool is_default(const struct rules *rules)
{
	static const struct {
		uint32_t priority, table;
	} defaults[] = {{0, RIB_LOCAL}, {32766, RIB_MAIN}, {32767, RIB_DEFAULT}};

	for (unsigned i = 0; i < 3; i++) {
		if (rules->count != 3 || !rules->plain ||
		    rules->rule[i].priority != defaults[i].priority ||
		    rules->rule[i].table != defaults[i].table) {
			return false;
		}
	}
	return true;
}

static void put_vrfs(const struct mirror *mirror, struct routing *routing)
{
	const struct rib *rib = mirror->tables->rib;
	unsigned count = 0;

	for (size_t i = 0; i < mirror->link_count && count < routing->vrf_count; i++) {
		const struct link *link = &mirror->link[i];
		struct rules_vrf *vrf = &routing->vrf[count];

		if (link->nl.ifindex == 0 || link->nl.vrf_table == 0) {
			continue;
		}
		vrf->ifindex = link->ifindex;
		vrf->table = link->nl.vrf_table;
		for (unsigned family = IP_V4; family < IP_FAMILIES; family++) {
			vrf->fib[family] = rib_fib(rib, family, vrf->table);
			vrf->unknown[family] = rib_table_unknown(rib, family, vrf->table);
		}
		count++;
	}
}

void rules_addresses(struct mirror *mirror)
{
	for (size_t i = 0; i < mirror->link_count; i++) {
		mirror->link[i].has_addr4 = false;
	}
	for (unsigned i = 0; i < LOCAL_BUCKETS; i++) {
		for (const struct local *at = mirror->local[i]; at != NULL; at = at->next) {
			struct link *link = at->source == SYNC_ADDR && at->family == IP_V4
						    ? link_find(mirror, at->ifindex)
						    : NULL;

			if (link != NULL) {
				link->has_addr4 = true;
			}
		}
	}
}

/* A kernel without rules, or without the family: local, main. */
static void put_none(const struct mirror *mirror, enum ip_family family, struct rules *rules)
{
	for (unsigned i = 0; i < 2; i++) {
		uint32_t table = i == 0 ? RIB_LOCAL : RIB_MAIN;

		rules->rule[i] = (struct rule){.action = RULE_TABLE,
					       .suppress = -1,
					       .table = table,
					       .fib = rib_fib(mirror->tables->rib, family, table)};
	}
}

struct routing *rules_build(const struct mirror *mirror)
{
	struct routing *routing;
	unsigned vrfs = 0, counts[IP_FAMILIES];

	for (unsigned family = IP_V4; family < IP_FAMILIES; family++) {
		counts[family] = mirror->rules_known[family] ? mirror->rules[family].count : 2;
	}
	for (size_t i = 0; i < mirror->link_count; i++) {
		vrfs += mirror->link[i].nl.ifindex != 0 && mirror->link[i].nl.vrf_table != 0;
	}
	routing = routing_create(counts[IP_V4], counts[IP_V6], vrfs);
	for (unsigned family = IP_V4; routing != NULL && family < IP_FAMILIES; family++) {
		const struct rule_list *list = &mirror->rules[family];
		struct rules *rules = &routing->rules[family];

		rules->plain = true;
		if (!mirror->rules_known[family]) {
			put_none(mirror, family, rules);
		}
		for (unsigned i = 0; mirror->rules_known[family] && i < list->count; i++) {
			put_rule(mirror, &list->rule[i], &rules->rule[i]);
			if (rules->rule[i].action == RULE_JUMP) {
				put_target(list, i, &rules->rule[i]);
			}
			rules->plain &= is_plain(&rules->rule[i]);
		}
	}
	if (routing != NULL) {
		put_vrfs(mirror, routing);
		routing->custom = mirror->rules_known[IP_V4] && !is_default(&routing->rules[IP_V4]);
		routing->multipath = mirror->multipath;
		routing->multipath.reachable6 = !mirror->forwarding6;
	}
	return routing;
}

/* Sysctls. ---------------------------------------------------------------------------------- */

/* 0 when it is not there. */
static uint32_t read_sysctl(const char *path)
{
	char text[24] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		return 0;
	}
	if (read(fd, text, sizeof(text) - 1) < 0) {
		text[0] = '\0';
	}
	close(fd);
	return (uint32_t)strtoul(text, NULL, 0);
}

static void poll_redirects(struct mirror *mirror)
{
	bool all = read_sysctl("/proc/sys/net/ipv4/conf/all/accept_redirects") != 0;

	mirror->dirty |= all != mirror->accepts_redirects;
	mirror->accepts_redirects = all;
	/* IN_DEV_RX_REDIRECTS: where packets are forwarded both must say so. */
	for (size_t i = 0; all && i < mirror->link_count; i++) {
		struct link *link = &mirror->link[i];
		char path[96];
		bool on;

		if (link->nl.ifindex == 0 || !link->forwarding4) {
			continue;
		}
		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/accept_redirects",
			 link->nl.name);
		on = read_sysctl(path) != 0;
		mirror->dirty |= on != link->accepts_redirects;
		link->accepts_redirects = on;
	}
}

void rules_poll(struct mirror *mirror)
{
	static const struct {
		const char *policy, *fields;
	} of[IP_FAMILIES] = {{"/proc/sys/net/ipv4/fib_multipath_hash_policy",
			      "/proc/sys/net/ipv4/fib_multipath_hash_fields"},
			     {"/proc/sys/net/ipv6/fib_multipath_hash_policy",
			      "/proc/sys/net/ipv6/fib_multipath_hash_fields"}};
	struct multipath now = {0};

	for (unsigned family = IP_V4; family < IP_FAMILIES; family++) {
		now.policy[family] = (uint8_t)read_sysctl(of[family].policy);
		if (now.policy[family] == 3) {
			now.fields[family] = read_sysctl(of[family].fields);
		}
	}
	now.seed = read_sysctl("/proc/sys/net/ipv4/fib_multipath_hash_seed");
	now.use_neigh = read_sysctl("/proc/sys/net/ipv4/fib_multipath_use_neigh") != 0;
	if (memcmp(&now, &mirror->multipath, sizeof(now)) != 0) {
		mirror->multipath = now;
		mirror->dirty = true;
	}
	poll_redirects(mirror);
}
