/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>

#include "netlink/decode.h"
#include "netlink/netfilter.h"
#include "netlink/sock.h"

/* Newer than the headers this builds with (6.1): tcx of 6.6. */
#define TCX_INGRESS 46
#define TCX_EGRESS 47

#define MODULES_POLLS 10u /* /proc/modules is slow to make */

/* All that was found; guard_poll() compares two of these. */
struct view {
	struct netfilter_view netfilter;
	struct findings tables, others;
	bool call_iptables, call_ip6tables, call_arptables, arp_tables;
	char device[GUARD_DEVICES][GUARD_REASON]; /* by watched device: qdisc or tcx */
};

struct guard {
	struct netfilter *netfilter;
	struct nlsock *xfrm; /* NULL: not in this kernel */
	struct nlsock *route;
	bool bypass;
	unsigned xfrm_wait, modules_wait;
	struct guard_device watched[GUARD_DEVICES];
	unsigned watched_count;
	bool watch_overflow;
	char qdisc[GUARD_DEVICES][GUARD_REASON];
	struct view now;
	struct findings sum;
	char chain_device[GUARD_DEVICES][GUARD_REASON];
};

/* What is read from files. ------------------------------------------------------------------ */

/* The start of a file; "" when it is not there. */
static void read_file(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = 0;

	if (fd >= 0) {
		length = read(fd, to, size - 1);
		close(fd);
	}
	to[length > 0 ? length : 0] = '\0';
}

static bool read_flag(const char *path)
{
	char text[16];

	read_file(path, text, sizeof(text));
	return atoi(text) != 0;
}

/* Counting an old-style table's rules would need its blob; that it is loaded at all is taken as
 * a firewall: who uses none of them does not load one. */
static void look_at_table_names(const char *path, const char *tool, char *reason)
{
	char names[128];

	read_file(path, names, sizeof(names));
	names[strcspn(names, "\n")] = '\0';
	if (names[0] != '\0') {
		find(reason, "%s table %.30s is loaded", tool, names);
	}
}

static void look_at_ebtables(struct guard *guard, struct findings *found)
{
	char line[256];
	FILE *modules;

	if (guard->modules_wait > 0) {
		guard->modules_wait--;
		memcpy(found->bridging, guard->now.tables.bridging, sizeof(found->bridging));
		return;
	}
	guard->modules_wait = MODULES_POLLS;
	modules = fopen("/proc/modules", "re");
	while (modules != NULL && fgets(line, sizeof(line), modules) != NULL) {
		line[strcspn(line, " ")] = '\0';
		if (strcmp(line, "ebtable_filter") == 0 || strcmp(line, "ebtable_nat") == 0 ||
		    strcmp(line, "ebtable_broute") == 0) {
			find(found->bridging, "ebtables: %s is loaded", line);
		}
	}
	if (modules != NULL) {
		fclose(modules);
	}
}

static void look_at_files(struct guard *guard, struct view *view)
{
	char arp[GUARD_REASON] = "";

	view->call_iptables = read_flag("/proc/sys/net/bridge/bridge-nf-call-iptables");
	view->call_ip6tables = read_flag("/proc/sys/net/bridge/bridge-nf-call-ip6tables");
	view->call_arptables = read_flag("/proc/sys/net/bridge/bridge-nf-call-arptables");
	if (!guard->bypass) {
		look_at_table_names("/proc/thread-self/net/ip_tables_names", "iptables",
				    view->tables.routing);
		look_at_table_names("/proc/thread-self/net/ip6_tables_names", "ip6tables",
				    view->tables.routing);
		look_at_table_names("/proc/thread-self/net/arp_tables_names", "arptables", arp);
		view->arp_tables = arp[0] != '\0';
		look_at_ebtables(guard, &view->tables);
	}
	if (read_flag("/proc/sys/net/ipv4/ip_forward_use_pmtu")) {
		find(view->others.routing, "ip_forward_use_pmtu is set");
	}
}

/* IPsec, tcx, qdiscs. ----------------------------------------------------------------------- */

static void on_spdinfo(const struct nlmsghdr *message, void *arg)
{
	decode_spdinfo(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message), arg);
}

static bool absent(int error)
{
	return error == -EINVAL || error == -EOPNOTSUPP || error == -EPROTONOSUPPORT ||
	       error == -ENOENT;
}

static void look_at_xfrm(struct guard *guard, struct findings *found)
{
	uint32_t count = UINT32_MAX; /* until the kernel says another */
	struct nlreq request;
	int error;

	if (guard->xfrm == NULL) {
		if (guard->xfrm_wait > 0) {
			guard->xfrm_wait--;
			return;
		}
		guard->xfrm_wait = ABSENT_POLLS;
		if (nlsock_open(&guard->xfrm, NETLINK_XFRM, 0) != 0) {
			return;
		}
	}
	*(uint32_t *)nlreq_init(&request, XFRM_MSG_GETSPDINFO, 0, sizeof(uint32_t)) = 0;
	error = nlsock_ask(guard->xfrm, &request, on_spdinfo, &count);
	if (error != 0 && !absent(error)) {
		find(found->routing, "IPsec policies cannot be read: %s", strerror(-error));
	} else if (error == 0 && count != 0) {
		find(found->routing, "IPsec policy");
	}
}

static bool tcx_attached(uint32_t ifindex, uint32_t type)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = ifindex; /* target_ifindex since 6.6 */
	attr.query.attach_type = type;
	/* EINVAL: a kernel without tcx. */
	return syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) == 0 &&
	       attr.query.prog_cnt > 0;
}

static void look_at_devices(struct guard *guard, struct view *view)
{
	for (unsigned i = 0; i < guard->watched_count; i++) {
		const struct guard_device *device = &guard->watched[i];

		memcpy(view->device[i], guard->qdisc[i], GUARD_REASON);
		if (tcx_attached(device->ifindex, TCX_INGRESS)) {
			find(view->device[i], "tcx program on the ingress of %s", device->name);
		}
		if (tcx_attached(device->ifindex, TCX_EGRESS)) {
			find(view->device[i], "tcx program on the egress of %s", device->name);
		}
	}
}

/* Root qdiscs that only order or mark what waits; a fast port's frames never wait there. */
static bool qdisc_harmless(const char *kind)
{
	static const char *const known[] = {"noqueue", "noop",  "mq",    "pfifo_fast", "fq_codel",
					    "fq",      "pfifo", "bfifo", "sfq",        "codel"};

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(kind, known[i]) == 0) {
			return true;
		}
	}
	return false;
}

static void on_qdisc(const struct nlmsghdr *message, void *arg)
{
	struct guard *guard = arg;
	struct nl_qdisc qdisc;

	if (message->nlmsg_type != RTM_NEWQDISC ||
	    decode_qdisc(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
			 &qdisc) != 0) {
		return;
	}
	for (unsigned i = 0; i < guard->watched_count; i++) {
		const struct guard_device *device = &guard->watched[i];

		if (device->ifindex != qdisc.ifindex) {
			continue;
		}
		if (qdisc.parent == TC_H_INGRESS) { /* the same value as TC_H_CLSACT */
			find(guard->qdisc[i], "tc %s qdisc on %s", qdisc.kind, device->name);
		} else if (qdisc.parent == TC_H_ROOT && !qdisc_harmless(qdisc.kind)) {
			find(guard->qdisc[i], "qdisc %s on %s", qdisc.kind, device->name);
		}
	}
}

static void clear_qdiscs(void *arg)
{
	struct guard *guard = arg;

	memset(guard->qdisc, 0, sizeof(guard->qdisc));
}

static void look_at_qdiscs(struct guard *guard)
{
	struct nlreq request;
	int error;

	clear_qdiscs(guard);
	nlreq_init(&request, RTM_GETQDISC, 0, sizeof(struct tcmsg));
	error = nlsock_dump(guard->route, &request, on_qdisc, clear_qdiscs, guard);
	for (unsigned i = 0; error != 0 && !absent(error) && i < guard->watched_count; i++) {
		find(guard->qdisc[i], "qdiscs cannot be read: %s", strerror(-error));
	}
}

/* Putting it together. ---------------------------------------------------------------------- */

static void sum_up(struct guard *guard)
{
	const struct view *now = &guard->now;
	const struct findings *all[] = {&now->netfilter.chains, &now->tables, &now->netfilter.hooks,
					&now->others};
	struct findings *sum = &guard->sum;

	memset(sum, 0, sizeof(*sum));
	for (unsigned i = 0; i < 4; i++) {
		const char *routing = all[i]->routing;

		if (routing[0] != '\0') {
			find(sum->routing, "%s", routing);
			/* br_netfilter takes bridged frames through the IP hooks as well. */
			if (all[i] != &now->others && (now->call_iptables || now->call_ip6tables)) {
				find(sum->bridging, "%s", routing);
			}
		}
		if (all[i]->bridging[0] != '\0') {
			find(sum->bridging, "%s", all[i]->bridging);
		}
		if (all[i]->bridge_routing[0] != '\0') {
			find(sum->bridge_routing, "%s", all[i]->bridge_routing);
		}
	}
	if (now->arp_tables && now->call_arptables) {
		find(sum->bridging, "arptables table is loaded");
	}
	memset(guard->chain_device, 0, sizeof(guard->chain_device));
	for (unsigned i = 0; i < guard->watched_count; i++) {
		const char *name = guard->watched[i].name;

		if (now->netfilter.every_device) {
			find(guard->chain_device[i],
			     "nftables hooks more devices than can be listed");
		}
		for (unsigned j = 0; j < now->netfilter.device_count; j++) {
			const struct netfilter_device *device = &now->netfilter.device[j];

			if (device->prefix ? strncmp(name, device->name, strlen(device->name)) == 0
					   : strcmp(name, device->name) == 0) {
				find(guard->chain_device[i], "%s", device->why);
			}
		}
	}
}

static bool adopt(struct guard *guard, const struct view *view)
{
	if (memcmp(view, &guard->now, sizeof(*view)) == 0) {
		return false;
	}
	memcpy(&guard->now, view, sizeof(*view));
	sum_up(guard);
	return true;
}

int guard_open(struct guard **out, bool netfilter_bypass)
{
	struct guard *guard = calloc(1, sizeof(*guard));
	int error;

	if (guard == NULL) {
		return -ENOMEM;
	}
	guard->bypass = netfilter_bypass;
	error = nlsock_open(&guard->route, NETLINK_ROUTE, 0);
	if (error == 0 && !netfilter_bypass) {
		error = netfilter_open(&guard->netfilter);
	}
	if (error != 0) {
		guard_close(guard);
		return error;
	}
	guard_poll(guard);
	*out = guard;
	return 0;
}

void guard_close(struct guard *guard)
{
	if (guard == NULL) {
		return;
	}
	netfilter_close(guard->netfilter);
	nlsock_close(guard->xfrm);
	nlsock_close(guard->route);
	free(guard);
}

int guard_fd(const struct guard *guard)
{
	return netfilter_fd(guard->netfilter);
}

bool guard_poll(struct guard *guard)
{
	struct view *view = calloc(1, sizeof(*view));
	bool changed;

	if (view == NULL) {
		return false; /* what stands, stands until the next poll */
	}
	memcpy(&view->netfilter, &guard->now.netfilter, sizeof(view->netfilter));
	netfilter_look(guard->netfilter, &view->netfilter);
	look_at_files(guard, view);
	look_at_xfrm(guard, &view->others);
	look_at_devices(guard, view);
	changed = adopt(guard, view);
	free(view);
	return changed;
}

bool guard_watch(struct guard *guard, const struct guard_device *devices, unsigned count)
{
	bool overflow = count > GUARD_DEVICES;

	if (overflow) {
		count = GUARD_DEVICES;
	}
	if (count == guard->watched_count && overflow == guard->watch_overflow &&
	    memcmp(devices, guard->watched, count * sizeof(*devices)) == 0) {
		return false;
	}
	memcpy(guard->watched, devices, count * sizeof(*devices));
	guard->watched_count = count;
	guard->watch_overflow = overflow;
	guard_qdiscs(guard);
	sum_up(guard);
	return true;
}

bool guard_qdiscs(struct guard *guard)
{
	struct view *view = calloc(1, sizeof(*view));
	bool changed;

	if (view == NULL) {
		return false;
	}
	look_at_qdiscs(guard);
	memcpy(view, &guard->now, sizeof(*view));
	memset(view->device, 0, sizeof(view->device));
	look_at_devices(guard, view);
	changed = adopt(guard, view);
	free(view);
	return changed;
}

static const char *or_null(const char *reason)
{
	return reason[0] != '\0' ? reason : NULL;
}

const char *guard_routing(const struct guard *guard)
{
	return or_null(guard->sum.routing);
}

const char *guard_bridging(const struct guard *guard)
{
	return or_null(guard->sum.bridging);
}

const char *guard_bridge_routing(const struct guard *guard)
{
	return or_null(guard->sum.bridge_routing);
}

const char *guard_device(const struct guard *guard, uint32_t ifindex)
{
	for (unsigned i = 0; i < guard->watched_count; i++) {
		if (guard->watched[i].ifindex == ifindex) {
			return or_null(guard->now.device[i]) ? guard->now.device[i]
							     : or_null(guard->chain_device[i]);
		}
	}
	return "more interfaces than can be watched";
}

bool guard_fragments(const struct guard *guard)
{
	const struct netfilter_view *netfilter = &guard->now.netfilter;

	return netfilter->hooks_unseen && netfilter->ip_tables;
}

bool guard_bridge_fragments(const struct guard *guard)
{
	const struct netfilter_view *netfilter = &guard->now.netfilter;

	/* An iptables table needs no word here: with br_netfilter it is a reason not to bridge. */
	return netfilter->hooks_unseen && (netfilter->bridge_tables ||
					   (netfilter->ip_tables && guard_bridge_netfilter(guard)));
}

bool guard_bridge_netfilter(const struct guard *guard)
{
	return guard->now.call_iptables || guard->now.call_ip6tables;
}
