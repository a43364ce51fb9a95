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

struct netfilter {
	struct nlsock *ask, *listen;
	bool hooks_absent;
	bool generation_known;
	uint32_t generation;
	unsigned wait; /* polls until nftables is asked for again */
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

static const char *hook_name(uint8_t family, int hook)
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

static void chain_devices(struct netfilter_view *view, const struct nl_chain *chain)
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
		find(device->why, "nftables chain %s/%s/%s hooks %s of %s",
		     family_name(chain->family), chain->table, chain->name,
		     hook_name(chain->family, chain->hook), chain->device[i]);
	}
}

static void on_chain(const struct nlmsghdr *message, void *arg)
{
	struct netfilter_view *view = arg;
	struct nl_chain chain;
	char *reason = NULL;

	if (decode_chain(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			 &chain) != 0) {
		find(view->chains.routing, "nftables chains cannot be read");
		find(view->chains.bridging, "nftables chains cannot be read");
		return;
	}
	if (chain.hook < 0) {
		return;
	}
	switch (chain.family) {
	case NFPROTO_NETDEV:
		chain_devices(view, &chain);
		return;
	case NFPROTO_ARP:
		return; /* input and output only */
	case NFPROTO_BRIDGE:
		reason = chain.hook == NF_BR_LOCAL_IN || chain.hook == NF_BR_LOCAL_OUT
				 ? view->chains.bridge_routing
				 : view->chains.bridging;
		break;
	case NFPROTO_INET:
		if (chain.device_count > 0) {
			chain_devices(view, &chain);
			return;
		}
		reason = view->chains.routing;
		break;
	default:
		reason = view->chains.routing;
	}
	if (chain.family != NFPROTO_BRIDGE &&
	    (chain.hook == NF_INET_LOCAL_IN || chain.hook == NF_INET_LOCAL_OUT)) {
		return;
	}
	find(reason, "nftables chain %s/%s/%s hooks %s", family_name(chain.family), chain.table,
	     chain.name, hook_name(chain.family, chain.hook));
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
	struct netfilter_view *view = arg;

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
	struct netfilter_view *view = arg;

	view->ip_tables = view->bridge_tables = false;
}

static void clear_chains(void *arg)
{
	struct netfilter_view *view = arg;

	memset(&view->chains, 0, sizeof(view->chains));
	memset(view->device, 0, sizeof(view->device));
	view->device_count = 0;
	view->every_device = false;
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

static bool absent(int error)
{
	return error == -EINVAL || error == -EOPNOTSUPP || error == -EPROTONOSUPPORT ||
	       error == -ENOENT;
}

static void look_at_chains(struct netfilter *netfilter, struct netfilter_view *view)
{
	struct nlreq request;
	uint32_t generation = 0;
	int error;

	if (netfilter->wait > 0 && --netfilter->wait > 0) {
		return;
	}
	nft_request(&request, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN, NFPROTO_UNSPEC);
	error = nlsock_ask(netfilter->ask, &request, on_generation, &generation);
	if (absent(error)) {
		netfilter->wait = ABSENT_POLLS;
		netfilter->generation_known = false;
		clear_chains(view);
		clear_tables(view);
		return;
	}
	if (error == 0 && netfilter->generation_known && generation == netfilter->generation) {
		return;
	}
	clear_chains(view);
	clear_tables(view);
	nft_request(&request, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC);
	if (error == 0) {
		error = nlsock_dump(netfilter->ask, &request, on_chain, clear_chains, view);
	}
	nft_request(&request, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE, NFPROTO_UNSPEC);
	if (error == 0) {
		error = nlsock_dump(netfilter->ask, &request, on_table, clear_tables, view);
	}
	netfilter->generation_known = error == 0;
	netfilter->generation = generation;
	if (error != 0) {
		clear_chains(view);
		find(view->chains.routing, "nftables cannot be read: %s", strerror(-error));
		find(view->chains.bridging, "nftables cannot be read: %s", strerror(-error));
	}
}

/* Every other netfilter hook, where the kernel can list them (CONFIG_NETFILTER_NETLINK_HOOK). */

/* Hooks that do nothing to a forwarded frame, or that are looked at by other means. */
static bool hook_harmless(const char *function)
{
	static const char *const known[] = {
		"apparmor_ip_postroute", "apparmor_ipv6_postroute", /* labels the machine's own */
		"ip_sabotage_in", "br_nf_", /* br_netfilter: TOPO_BR_NF and the tables it calls */
	};

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strncmp(function, known[i], strlen(known[i])) == 0) {
			return true;
		}
	}
	return false;
}

struct hook_dump {
	char *reason;
	uint8_t family;
	int hook;
};

static void on_hook(const struct nlmsghdr *message, void *arg)
{
	const struct hook_dump *dump = arg;
	struct nl_hook hook;

	if (decode_hook(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			&hook) == 0 &&
	    (hook.chain || hook_harmless(hook.function))) {
		return; /* a chain is found, and named, by its own dump */
	}
	find(dump->reason, "netfilter hook %.40s at %s %s", hook.function,
	     family_name(dump->family), hook_name(dump->family, dump->hook));
}

static void look_at_hooks(struct netfilter *netfilter, struct findings *found)
{
	static const uint8_t families[] = {NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_BRIDGE};
	static const int hooks[] = {NF_INET_PRE_ROUTING, NF_INET_FORWARD, NF_INET_POST_ROUTING};

	memset(found, 0, sizeof(*found));
	if (netfilter->hooks_absent) {
		return;
	}
	for (unsigned i = 0; i < 9; i++) {
		struct hook_dump dump = {.family = families[i / 3], .hook = hooks[i % 3]};
		uint32_t number = htonl((uint32_t)dump.hook);
		struct nlreq request;
		int error;

		dump.reason = dump.family == NFPROTO_BRIDGE ? found->bridging : found->routing;
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

static void ignore(const struct nlmsghdr *message, void *arg)
{
	(void)message;
	(void)arg;
}

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

void netfilter_look(struct netfilter *netfilter, struct netfilter_view *view)
{
	int got;

	if (netfilter == NULL) {
		return;
	}
	do {
		got = nlsock_listen(netfilter->listen, ignore, NULL);
		if (got >= 0 || got == -ENOBUFS) {
			netfilter->generation_known = false;
			netfilter->wait = 0;
		}
	} while (got >= 0 || got == -ENOBUFS);
	look_at_chains(netfilter, view);
	look_at_hooks(netfilter, &view->hooks);
	view->hooks_unseen = netfilter->hooks_absent;
}
