/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/netfilter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_hook.h>
#include <linux/netlink.h>

#include "netlink/decode.h"
#include "netlink/sock.h"

/* linux/netfilter_bridge.h cannot be included here: it wants INT_MIN of the C library's limits.h,
 * and gets ours. */
#define NF_BR_LOCAL_IN 1
#define NF_BR_LOCAL_OUT 3
#define NF_BR_BROUTING 5

/* Chains that may turn out to do nothing; with more of them the rest is taken to do something. */
#define IDLE_CHAINS 32u

struct netfilter {
	struct nlsock *ask, *listen;
	bool hooks_absent;
	bool generation_known;
	uint32_t generation;
	unsigned wait; /* polls until nftables is asked for again */
	unsigned idle_count;
	struct nl_chain idle[IDLE_CHAINS];
};

/* nftables. --------------------------------------------------------------------------------- */

static const char *family_name(uint8_t family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_BRIDGE:
		return "bridge";
	case NFPROTO_NETDEV:
		return "netdev";
	default:
		return "arp";
	}
}

const char *netfilter_hook(uint8_t family, int hook)
{
	static const char *const inet[] = {"prerouting", "input",       "forward",
					   "output",     "postrouting", "ingress"};
	static const char *const device[] = {"ingress", "egress"};

	if (family == NFPROTO_NETDEV) {
		return hook >= 0 && hook < 2 ? device[hook] : "an unknown hook";
	}
	if (family == NFPROTO_BRIDGE && hook == NF_BR_BROUTING) {
		return "brouting";
	}
	return hook >= 0 && hook < 6 ? inet[hook] : "an unknown hook";
}

/* "nftables chain inet filter forward" */
static void chain_says(char *reason, const char *what, const struct nl_chain *chain, const char *at,
		       const char *of)
{
	find(reason, "nftables %s %s %.20s %.20s (%s)%s%s", what, family_name(chain->family),
	     chain->table, chain->name, at, of[0] != '\0' ? " on " : "", of);
}

static void chain_devices(struct netfilter_view *view, const char *what,
			  const struct nl_chain *chain, const char *at)
{
	unsigned count = chain->device_count;

	if (count > NL_CHAIN_DEVICES || view->device_count + count > NETFILTER_DEVICES) {
		view->every_device = true;
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		struct netfilter_device *device = &view->device[view->device_count++];

		memcpy(device->name, chain->device[i], sizeof(device->name));
		device->prefix = chain->device_prefix[i];
		chain_says(device->why, what, chain, at, chain->device[i]);
	}
}

/* Does a chain hook what forwarded or bridged frames pass? */
static bool chain_concerns(const struct nl_chain *chain)
{
	switch (chain->family) {
	case NFPROTO_ARP: /* input and output only */
		return false;
	case NFPROTO_NETDEV:
	case NFPROTO_BRIDGE:
		return chain->hook >= 0;
	default:
		return chain->hook >= 0 && chain->hook != NF_INET_LOCAL_IN &&
		       chain->hook != NF_INET_LOCAL_OUT;
	}
}

static void chain_found(struct netfilter_view *view, const struct nl_chain *chain)
{
	const char *at = netfilter_hook(chain->family, chain->hook);
	char *reason = view->chains.routing;

	if (chain->family == NFPROTO_NETDEV || chain->device_count > 0) {
		chain_devices(view, "chain", chain, at);
		return;
	}
	if (chain->family == NFPROTO_BRIDGE) {
		reason = chain->hook == NF_BR_LOCAL_IN || chain->hook == NF_BR_LOCAL_OUT
				 ? view->chains.bridge_routing
				 : view->chains.bridging;
	}
	chain_says(reason, "chain", chain, at, "");
}

/* A dump of nftables. */
struct nft_dump {
	struct netfilter *netfilter;
	struct netfilter_view *view;
	bool any;
};

static void unreadable(struct netfilter_view *view, const char *what)
{
	find(view->chains.routing, "nftables cannot be read: %s", what);
	find(view->chains.bridging, "nftables cannot be read: %s", what);
}

static void on_chain(const struct nlmsghdr *message, void *arg)
{
	struct nft_dump *dump = arg;
	struct netfilter *netfilter = dump->netfilter;
	struct nl_chain chain;

	if (decode_chain(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			 &chain) != 0) {
		unreadable(dump->view, "a chain");
	} else if (chain_concerns(&chain)) {
		if (chain.idle && netfilter->idle_count < IDLE_CHAINS) {
			netfilter->idle[netfilter->idle_count++] = chain;
		} else {
			chain_found(dump->view, &chain);
		}
	}
}

static void on_flowtable(const struct nlmsghdr *message, void *arg)
{
	const struct nft_dump *dump = arg;
	struct nl_chain flowtable;

	if (decode_flowtable(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			     &flowtable) != 0) {
		unreadable(dump->view, "a flowtable");
		return;
	}
	chain_devices(dump->view, "flowtable", &flowtable, "ingress");
}

/*
 * A ct, nat, masquerade, redirect, tproxy or flow expression in any chain, base or not, and a ct
 * object in none, switch conntrack or defragmentation on for the whole namespace when they are made
 * (nf_ct_netns_get(), nf_defrag_ipv4_enable()).  New kernels have ever more of them, so a table is
 * enough.
 */
static void on_table(const struct nlmsghdr *message, void *arg)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	const struct nft_dump *dump = arg;
	struct netfilter_view *view = dump->view;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header)) {
		return;
	}
	switch (header->nfgen_family) {
	case NFPROTO_BRIDGE: /* its ct is that of IP as well */
		view->bridge_tables = true;
		view->ip_tables = true;
		return;
	case NFPROTO_ARP:
	case NFPROTO_NETDEV: /* no ct in them: nf_ct_netns_do_get() */
		return;
	default:
		view->ip_tables = true;
	}
}

static void clear_tables(void *arg)
{
	const struct nft_dump *dump = arg;

	dump->view->ip_tables = dump->view->bridge_tables = false;
}

static void clear_chains(void *arg)
{
	const struct nft_dump *dump = arg;
	struct netfilter_view *view = dump->view;

	memset(&view->chains, 0, sizeof(view->chains));
	memset(view->device, 0, sizeof(view->device));
	view->device_count = 0;
	view->every_device = false;
	dump->netfilter->idle_count = 0;
}

static void nft_request(struct nlreq *request, uint8_t subsystem, uint8_t message, uint8_t family)
{
	struct nfgenmsg *header = nlreq_init(request, (uint16_t)(subsystem << 8 | message), 0,
					     sizeof(*header));

	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
}

static void on_generation(const struct nlmsghdr *message, void *arg)
{
	decode_generation(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message), arg);
}

static void on_rule(const struct nlmsghdr *message, void *arg)
{
	struct nft_dump *dump = arg;

	dump->any = true;
}

/*
 * A chain that counts no rule (nft_chain.use) may count so while somebody takes its last one away,
 * and keep it after all when that fails: only its rules, of which there are few, say that there are
 * none.  No other chain can jump to one with a hook.
 */
static int look_at_idle(struct nft_dump *dump)
{
	struct netfilter *netfilter = dump->netfilter;

	for (unsigned i = 0; i < netfilter->idle_count; i++) {
		const struct nl_chain *chain = &netfilter->idle[i];
		struct nlreq request;
		int error;

		nft_request(&request, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE, chain->family);
		mnl_attr_put_strz(&request.header, NFTA_RULE_TABLE, chain->table);
		mnl_attr_put_strz(&request.header, NFTA_RULE_CHAIN, chain->name);
		dump->any = false;
		error = nlsock_dump(netfilter->ask, &request, on_rule, NULL, dump);
		if (error != 0 && error != -ENOENT) {
			return error;
		}
		if (dump->any) {
			chain_found(dump->view, chain);
		}
	}
	return 0;
}

static int dump_nftables(struct nft_dump *dump)
{
	static const struct {
		uint8_t message;
		nlsock_fn fn;
		void (*again)(void *arg);
	} dumps[] = {
		{NFT_MSG_GETCHAIN, on_chain, clear_chains},
		{NFT_MSG_GETTABLE, on_table, clear_tables},
		{NFT_MSG_GETFLOWTABLE, on_flowtable, NULL}, /* twice does no harm */
	};
	struct nlreq request;
	int error = 0;

	for (unsigned i = 0; i < sizeof(dumps) / sizeof(dumps[0]) && error == 0; i++) {
		nft_request(&request, NFNL_SUBSYS_NFTABLES, dumps[i].message, NFPROTO_UNSPEC);
		error = nlsock_dump(dump->netfilter->ask, &request, dumps[i].fn, dumps[i].again,
				    dump);
		if (dumps[i].message == NFT_MSG_GETFLOWTABLE && nlsock_absent(error)) {
			error = 0; /* before 4.16 */
		}
	}
	return error != 0 ? error : look_at_idle(dump);
}

static void look_at_chains(struct netfilter *netfilter, struct netfilter_view *view)
{
	struct nft_dump dump = {.netfilter = netfilter, .view = view};
	struct nlreq request;
	uint32_t generation = 0;
	int error;

	if (netfilter->wait > 0 && --netfilter->wait > 0) {
		return;
	}
	nft_request(&request, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN, NFPROTO_UNSPEC);
	error = nlsock_ask(netfilter->ask, &request, on_generation, &generation);
	if (nlsock_absent(error)) {
		netfilter->wait = ABSENT_POLLS;
		netfilter->generation_known = false;
		clear_chains(&dump);
		clear_tables(&dump);
		return;
	}
	if (error == 0 && netfilter->generation_known && generation == netfilter->generation) {
		return;
	}
	clear_chains(&dump);
	clear_tables(&dump);
	error = error != 0 ? error : dump_nftables(&dump);
	netfilter->generation_known = error == 0;
	netfilter->generation = generation;
	if (error != 0) {
		clear_chains(&dump);
		unreadable(view, strerror(-error));
	}
}

/* Every other netfilter hook, where the kernel can list them (CONFIG_NETFILTER_NETLINK_HOOK). */

/*
 * Hooks that do nothing to a forwarded frame, or whose doing is looked at by other means.
 *
 * Connection tracking notes and defragments; without a rule it stops nothing.  The fast path keeps
 * no such notes and leaves fragments to the kernel.  NAT without a rule (nf_nat_inet_fn() with a
 * null binding) leaves a packet as it is.
 */
enum { HARMLESS, REASSEMBLES, UNKNOWN };
static int hook_does(const char *function)
{
	static const struct {
		const char *name; /* its beginning */
		int does;
	} known[] = {
		{"apparmor_ip_postroute", HARMLESS},   /* labels the machine's own */
		{"apparmor_ipv6_postroute", HARMLESS}, /* */
		{"ip_sabotage_in", HARMLESS},          /* br_netfilter: TOPO_BR_NF, and the */
		{"br_nf_", HARMLESS},                  /* tables that it calls */
		{"ipt_do_table", HARMLESS},            /* netlink/xtables */
		{"ip6t_do_table", HARMLESS},
		{"iptable_", HARMLESS}, /* the same before 5.16 */
		{"ip6table_", HARMLESS},
		{"nf_nat_", HARMLESS}, /* rules: chains of type nat, and netlink/xtables */
		{"nf_confirm", HARMLESS},
		{"ipv4_confirm", HARMLESS}, /* the same before 6.3 */
		{"ipv6_confirm", HARMLESS},
		{"nf_ct_bridge_post", HARMLESS},
		{"ipv4_conntrack_in", REASSEMBLES},
		{"ipv6_conntrack_in", REASSEMBLES},
		{"ipv4_conntrack_defrag", REASSEMBLES},
		{"ipv6_defrag", REASSEMBLES},
		{"nf_ct_bridge_pre", REASSEMBLES},
	};

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strncmp(function, known[i].name, strlen(known[i].name)) == 0) {
			return known[i].does;
		}
	}
	return UNKNOWN;
}

struct hook_dump {
	char *reason;
	bool *reassembles;
	uint8_t family;
	int hook;
};

static void on_hook(const struct nlmsghdr *message, void *arg)
{
	const struct hook_dump *dump = arg;
	int does = UNKNOWN;
	struct nl_hook hook;

	if (decode_hook(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			&hook) == 0) {
		does = hook.chain ? HARMLESS : hook_does(hook.function); /* a chain: its own dump */
	}
	if (does == REASSEMBLES) {
		*dump->reassembles = true;
	} else if (does == UNKNOWN) {
		find(dump->reason, "netfilter hook %.40s (%s %s)", hook.function,
		     family_name(dump->family), netfilter_hook(dump->family, dump->hook));
	}
}

static void look_at_hooks(struct netfilter *netfilter, struct netfilter_view *view)
{
	static const uint8_t families[] = {NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_BRIDGE};
	static const int hooks[] = {NF_INET_PRE_ROUTING, NF_INET_FORWARD, NF_INET_POST_ROUTING};

	view->ip_defrag = view->bridge_defrag = false;
	memset(&view->hooks, 0, sizeof(view->hooks));
	if (netfilter->hooks_absent) {
		return;
	}
	for (unsigned i = 0; i < 9; i++) {
		struct hook_dump dump = {.family = families[i / 3], .hook = hooks[i % 3]};
		bool bridge = dump.family == NFPROTO_BRIDGE;
		uint32_t number = htonl((uint32_t)dump.hook);
		struct nlreq request;
		int error;

		dump.reason = bridge ? view->hooks.bridging : view->hooks.routing;
		dump.reassembles = bridge ? &view->bridge_defrag : &view->ip_defrag;
		nft_request(&request, NFNL_SUBSYS_HOOK, NFNL_MSG_HOOK_GET, dump.family);
		mnl_attr_put_u32(&request.header, NFNLA_HOOK_HOOKNUM, number);
		error = nlsock_dump(netfilter->ask, &request, on_hook, NULL, &dump);
		if (error == -EINVAL) {
			netfilter->hooks_absent = true;
			return;
		}
		/* EOPNOTSUPP: the family is not there, so nothing hooks into it. */
		if (error != 0 && error != -EOPNOTSUPP && error != -ENOENT) {
			find(dump.reason, "netfilter hooks cannot be read: %s", strerror(-error));
		}
	}
}

/* Opening, looking. ------------------------------------------------------------------------- */

int netfilter_open(struct netfilter **out)
{
	struct netfilter *netfilter = calloc(1, sizeof(*netfilter));
	int error;

	if (netfilter == NULL) {
		return -ENOMEM;
	}
	error = nlsock_open(&netfilter->ask, NETLINK_NETFILTER, 0);
	if (error == -EPROTONOSUPPORT) {
		free(netfilter);
		*out = NULL;
		return 0;
	}
	error = error ? error : nlsock_open(&netfilter->listen, NETLINK_NETFILTER, 0);
	if (error != 0) {
		netfilter_close(netfilter);
		return error;
	}
	nlsock_join(netfilter->listen, NFNLGRP_NFTABLES); /* without it the polls find out */
	*out = netfilter;
	return 0;
}

void netfilter_close(struct netfilter *netfilter)
{
	if (netfilter != NULL) {
		nlsock_close(netfilter->ask);
		nlsock_close(netfilter->listen);
		free(netfilter);
	}
}

int netfilter_fd(const struct netfilter *netfilter)
{
	return netfilter != NULL ? nlsock_fd(netfilter->listen) : -1;
}

void netfilter_notified(struct netfilter *netfilter)
{
	if (netfilter != NULL && nlsock_drain(netfilter->listen)) {
		netfilter->generation_known = false;
		netfilter->wait = 0;
	}
}

void netfilter_look(struct netfilter *netfilter, struct netfilter_view *view)
{
	if (netfilter == NULL) {
		return;
	}
	netfilter_notified(netfilter);
	look_at_chains(netfilter, view);
	look_at_hooks(netfilter, view);
	view->hooks_unseen = netfilter->hooks_absent;
}
