/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/xtables.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "netlink/again.h"

/* The largest table that is read in every poll: a thousand rules or so, some 0.1 ms. */
#define TABLE_SIZE 262144u
#define MODULES_POLLS 10u /* /proc/modules is slow to make */

enum { IP4, IP6, FAMILIES };

struct xtables {
	int fd[FAMILIES];
	struct again names[FAMILIES], arp_names;
	unsigned modules_wait;
	char ebtables[GUARD_REASON]; /* as of the last look at the modules */
	char *table;                 /* scratch, TABLE_SIZE and a header */
};

/* What differs between the families; the kernel's structs are otherwise the same. */
static const struct family {
	const char *tool;
	int domain, level, info, entries;
	size_t target_offset; /* where an entry says how far its target is */
} families[FAMILIES] = {
	{"iptables", AF_INET, IPPROTO_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES,
	 offsetof(struct ipt_entry, target_offset)},
	{"ip6tables", AF_INET6, IPPROTO_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES,
	 offsetof(struct ip6t_entry, target_offset)},
};

_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "one struct for both");
_Static_assert(offsetof(struct ipt_get_entries, entrytable) ==
		       offsetof(struct ip6t_get_entries, entrytable),
	       "one header for both");

#define ENTRIES offsetof(struct ipt_get_entries, entrytable)

/* The hooks that forwarded packets pass. */
static const struct {
	unsigned hook;
	const char *chain;
} passed[] = {
	{NF_INET_PRE_ROUTING, "PREROUTING"},
	{NF_INET_FORWARD, "FORWARD"},
	{NF_INET_POST_ROUTING, "POSTROUTING"},
};
#define PASSED (sizeof(passed) / sizeof(passed[0]))

/* Is the entry at `at` the end of a chain whose policy is to accept? */
static bool accepts(const struct family *family, const char *entries, uint32_t size, uint32_t at)
{
	struct xt_standard_target target;
	uint16_t offset;

	if (at > size || size - at < family->target_offset + sizeof(offset)) {
		return false;
	}
	memcpy(&offset, entries + at + family->target_offset, sizeof(offset));
	if (size - at < offset + sizeof(target)) {
		return false;
	}
	memcpy(&target, entries + at + offset, sizeof(target));
	return target.target.u.user.name[0] == '\0' && target.verdict == -NF_ACCEPT - 1;
}

static bool fetch(int fd, const struct family *family, const char *name, void *to, socklen_t size,
		  int option)
{
	memset(to, 0, size < ENTRIES ? size : ENTRIES);
	memcpy(to, name, XT_TABLE_MAXNAMELEN);
	if (option == family->entries) {
		uint32_t entries = size - ENTRIES;

		memcpy((char *)to + offsetof(struct ipt_get_entries, size), &entries,
		       sizeof(entries));
	}
	return getsockopt(fd, family->level, option, to, &size) == 0;
}

static void look_at_table(struct xtables *xtables, unsigned which, const char *name,
			  struct xtables_view *view)
{
	const struct family *family = &families[which];
	char *reason = view->found.routing;
	struct ipt_getinfo info;
	unsigned chains;

	if (!fetch(xtables->fd[which], family, name, &info, sizeof(info), family->info)) {
		find(reason, "%s table %s cannot be read: %s", family->tool, name, strerror(errno));
		view->rules = true;
		return;
	}
	/* Each chain has its policy as an entry, and one ends the table. */
	chains = (unsigned)__builtin_popcount(info.valid_hooks);
	view->rules |= info.num_entries > chains + 1;
	for (unsigned i = 0; i < PASSED; i++) {
		unsigned hook = passed[i].hook;

		if ((info.valid_hooks & 1u << hook) &&
		    info.hook_entry[hook] != info.underflow[hook]) {
			find(reason, "%s table %s has rules in %s", family->tool, name,
			     passed[i].chain);
			return;
		}
	}
	if (info.size > TABLE_SIZE) {
		find(reason, "%s table %s is too large to be watched", family->tool, name);
		return;
	}
	/* Changed in between: EAGAIN, and the next poll knows. */
	if (!fetch(xtables->fd[which], family, name, xtables->table, (socklen_t)ENTRIES + info.size,
		   family->entries)) {
		find(reason, "%s table %s cannot be read: %s", family->tool, name, strerror(errno));
		return;
	}
	for (unsigned i = 0; i < PASSED; i++) {
		if ((info.valid_hooks & 1u << passed[i].hook) &&
		    !accepts(family, xtables->table + ENTRIES, info.size,
			     info.underflow[passed[i].hook])) {
			find(reason, "%s table %s does not accept in %s", family->tool, name,
			     passed[i].chain);
		}
	}
}

static void look_at_family(struct xtables *xtables, unsigned which, struct xtables_view *view)
{
	const struct family *family = &families[which];
	char names[256], *rest = names, *name;

	again_read(&xtables->names[which], names, sizeof(names));
	while ((name = strsep(&rest, "\n")) != NULL) {
		char padded[XT_TABLE_MAXNAMELEN] = "";

		if (name[0] == '\0') {
			continue;
		}
		strncpy(padded, name, sizeof(padded) - 1);
		if (xtables->fd[which] < 0) {
			xtables->fd[which] = socket(family->domain, SOCK_RAW | SOCK_CLOEXEC,
						    IPPROTO_RAW);
		}
		look_at_table(xtables, which, padded, view); /* without a socket: unreadable */
	}
}

/* Not by asking for its tables, which makes them, and not knowing whose namespace they are in. */
static void look_at_ebtables(struct xtables *xtables)
{
	char line[256];
	FILE *modules;

	if (xtables->modules_wait > 0) {
		xtables->modules_wait--;
		return;
	}
	xtables->modules_wait = MODULES_POLLS;
	xtables->ebtables[0] = '\0';
	modules = fopen("/proc/modules", "re");
	while (modules != NULL && fgets(line, sizeof(line), modules) != NULL) {
		line[strcspn(line, " ")] = '\0';
		if (strcmp(line, "ebtable_filter") == 0 || strcmp(line, "ebtable_nat") == 0 ||
		    strcmp(line, "ebtable_broute") == 0) {
			find(xtables->ebtables, "ebtables: %.30s is loaded", line);
		}
	}
	if (modules != NULL) {
		fclose(modules);
	}
}

int xtables_open(struct xtables **out)
{
	struct xtables *xtables = calloc(1, sizeof(*xtables));

	if (xtables == NULL) {
		return -ENOMEM;
	}
	xtables->fd[IP4] = xtables->fd[IP6] = -1;
	xtables->names[IP4].path = "/proc/thread-self/net/ip_tables_names";
	xtables->names[IP6].path = "/proc/thread-self/net/ip6_tables_names";
	xtables->arp_names.path = "/proc/thread-self/net/arp_tables_names";
	xtables->table = malloc(ENTRIES + TABLE_SIZE);
	if (xtables->table == NULL) {
		xtables_close(xtables);
		return -ENOMEM;
	}
	*out = xtables;
	return 0;
}

void xtables_close(struct xtables *xtables)
{
	if (xtables == NULL) {
		return;
	}
	for (unsigned i = 0; i < FAMILIES; i++) {
		if (xtables->fd[i] >= 0) {
			close(xtables->fd[i]);
		}
		again_close(&xtables->names[i]);
	}
	again_close(&xtables->arp_names);
	free(xtables->table);
	free(xtables);
}

void xtables_look(struct xtables *xtables, bool hooks_unseen, struct xtables_view *view)
{
	char names[64];

	for (unsigned i = 0; i < FAMILIES; i++) {
		look_at_family(xtables, i, view);
	}
	again_read(&xtables->arp_names, names, sizeof(names));
	view->arp = names[0] != '\0';
	if (hooks_unseen) {
		look_at_ebtables(xtables);
		find(view->found.bridging, "%s", xtables->ebtables);
	}
}
