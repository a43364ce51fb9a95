/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/guard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/netfilter.h>

#include "bpf/others.h"
#include "netlink/again.h"
#include "netlink/ipsec.h"
#include "netlink/netfilter.h"
#include "netlink/traffic.h"
#include "netlink/xdp.h"
#include "netlink/xtables.h"

/* After a look this many times what it took goes by before notifications bring the next: a storm of
 * them costs at most a fifth of the control thread, and waits for the poll otherwise. */
#define REST 4
#define IPVS_TITLES 3 /* lines of /proc/net/ip_vs before the first service */

/* All that was found; guard_poll() compares two of these. */
struct view {
	struct netfilter_view netfilter;
	struct xtables_view tables;
	struct findings links, others;
	bool links_defrag; /* a BPF program has fragments reassembled */
	bool call_iptables, call_ip6tables, call_arptables;
	char device[GUARD_DEVICES][GUARD_REASON]; /* by watched device */
};

enum { CALL_IPTABLES, CALL_IP6TABLES, CALL_ARPTABLES, USE_PMTU, IPVS, FILES };

static const char *const paths[FILES] = {
	[CALL_IPTABLES] = "/proc/sys/net/bridge/bridge-nf-call-iptables",
	[CALL_IP6TABLES] = "/proc/sys/net/bridge/bridge-nf-call-ip6tables",
	[CALL_ARPTABLES] = "/proc/sys/net/bridge/bridge-nf-call-arptables",
	[USE_PMTU] = "/proc/sys/net/ipv4/ip_forward_use_pmtu",
	[IPVS] = "/proc/thread-self/net/ip_vs",
};

struct guard {
	int epoll_fd;
	struct again file[FILES];
	struct netfilter *netfilter; /* NULL: bypassed, or not in this kernel */
	struct xtables *xtables;     /* NULL: bypassed */
	struct ipsec *ipsec;
	struct traffic *traffic;
	struct xdp *xdp;
	struct others_links links;
	bool devices_stale; /* `slow` is to be made again */
	uint64_t rested_ns; /* when the next look may be for a notification */
	struct guard_device watched[GUARD_DEVICES];
	unsigned watched_count;
	bool watch_overflow;
	char slow[GUARD_DEVICES][GUARD_REASON]; /* by device: what is not looked at each time */
	struct view now, next;                  /* next is scratch */
	struct findings sum;
	char chain_device[GUARD_DEVICES][GUARD_REASON];
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What is read from files. ------------------------------------------------------------------ */

static bool read_flag(struct again *file)
{
	char text[16];

	again_read(file, text, sizeof(text));
	return atoi(text) != 0;
}

/* IPVS hooks netfilter for the first service of a namespace (ip_vs_register_hooks()). */
static void look_at_ipvs(struct again *file, char *reason)
{
	char text[512], *line = text;

	again_read(file, text, sizeof(text));
	for (unsigned i = 0; i < IPVS_TITLES && line != NULL; i++) {
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	if (line != NULL && line[0] != '\0') {
		find(reason, "IPVS service %.24s", line);
	}
}

static void look_at_files(struct guard *guard, struct view *view)
{
	view->call_iptables = read_flag(&guard->file[CALL_IPTABLES]);
	view->call_ip6tables = read_flag(&guard->file[CALL_IP6TABLES]);
	view->call_arptables = read_flag(&guard->file[CALL_ARPTABLES]);
	if (guard->xtables != NULL) {
		xtables_look(guard->xtables, view->netfilter.hooks_unseen, &view->tables);
		look_at_ipvs(&guard->file[IPVS], view->tables.found.routing);
	}
	if (read_flag(&guard->file[USE_PMTU])) {
		find(view->others.routing, "ip_forward_use_pmtu is set");
	}
}

/* Interfaces. ------------------------------------------------------------------------------- */

/* Generic XDP runs once more where a frame arrives at a bridge or a VLAN device; a link to one is
 * not notified. */
static void look_at_xdp(struct guard *guard, const struct guard_device *device, char *reason)
{
	uint32_t program;
	int error = xdp_program(guard->xdp, device->ifindex, &program);

	if (error != 0 && error != -ENODEV) {
		find(reason, "%s cannot be looked at: %s", device->name, strerror(-error));
	} else if (program != 0) {
		find(reason, "XDP program %u on %s", program, device->name);
	}
}

static bool is_watched(uint32_t ifindex, void *arg)
{
	const struct guard *guard = arg;

	for (unsigned i = 0; i < guard->watched_count; i++) {
		if (guard->watched[i].ifindex == ifindex) {
			return !guard->watched[i].port;
		}
	}
	return false;
}

/* BPF links come and go without a word. */
static void look_at_links(struct guard *guard, struct view *view)
{
	int error = others_links(&guard->links, is_watched, guard);

	guard->devices_stale |= guard->links.xdp || error != 0;
	if (guard->netfilter == NULL || !view->netfilter.hooks_unseen) {
		return; /* the list of hooks says it better */
	}
	view->links_defrag = guard->links.defrag;
	if (error != 0) {
		find(view->links.routing, "BPF links cannot be listed: %s", strerror(-error));
	} else if (guard->links.forwarding) {
		find(view->links.routing, "BPF program on netfilter's %s",
		     netfilter_hook(NFPROTO_INET, guard->links.hook));
	}
}

static void look_at_devices(struct guard *guard, struct view *view)
{
	if (guard->devices_stale) {
		guard->devices_stale = traffic_look(guard->traffic, guard->watched,
						    guard->watched_count, guard->slow) != 0;
		for (unsigned i = 0; i < guard->watched_count; i++) {
			if (!guard->watched[i].port) {
				look_at_xdp(guard, &guard->watched[i], guard->slow[i]);
			}
		}
	}
	for (unsigned i = 0; i < guard->watched_count; i++) {
		const struct guard_device *device = &guard->watched[i];
		char *reason = view->device[i];

		memcpy(reason, guard->slow[i], GUARD_REASON);
		if (others_tcx(device->ifindex, false)) {
			find(reason, "tcx program on the ingress of %s", device->name);
		}
		if (others_tcx(device->ifindex, true)) {
			find(reason, "tcx program on the egress of %s", device->name);
		}
	}
}

/* Putting it together. ---------------------------------------------------------------------- */

static void sum_devices(struct guard *guard)
{
	const struct view *now = &guard->now;

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

static void sum_up(struct guard *guard)
{
	const struct view *now = &guard->now;
	const struct findings *all[] = {&now->netfilter.chains, &now->tables.found,
					&now->netfilter.hooks, &now->links, &now->others};
	struct findings *sum = &guard->sum;

	memset(sum, 0, sizeof(*sum));
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
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
	if (now->tables.arp && now->call_arptables) {
		find(sum->bridging, "arptables table is loaded");
	}
	sum_devices(guard);
}

/* Does `next` say something new?  It is `now` then. */
static bool adopt(struct guard *guard)
{
	if (memcmp(&guard->next, &guard->now, sizeof(guard->next)) == 0) {
		return false;
	}
	memcpy(&guard->now, &guard->next, sizeof(guard->now));
	sum_up(guard);
	return true;
}

static int wake_for(const struct guard *guard, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(guard->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_sources(struct guard *guard, bool netfilter_bypass)
{
	int error = xdp_open(&guard->xdp);

	error = error ? error : traffic_open(&guard->traffic);
	error = error ? error : wake_for(guard, traffic_fd(guard->traffic));
	error = error ? error : ipsec_open(&guard->ipsec);
	if (error != 0 || netfilter_bypass) {
		return error;
	}
	error = xtables_open(&guard->xtables);
	error = error ? error : netfilter_open(&guard->netfilter);
	if (error == 0 && netfilter_fd(guard->netfilter) >= 0) {
		error = wake_for(guard, netfilter_fd(guard->netfilter));
	}
	return error;
}

int guard_open(struct guard **out, bool netfilter_bypass)
{
	struct guard *guard = calloc(1, sizeof(*guard));
	int error;

	if (guard == NULL) {
		return -ENOMEM;
	}
	for (unsigned i = 0; i < FILES; i++) {
		guard->file[i].path = paths[i];
	}
	guard->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	error = guard->epoll_fd < 0 ? -errno : open_sources(guard, netfilter_bypass);
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
	xtables_close(guard->xtables);
	ipsec_close(guard->ipsec);
	traffic_close(guard->traffic);
	xdp_close(guard->xdp);
	for (unsigned i = 0; i < FILES; i++) {
		again_close(&guard->file[i]);
	}
	if (guard->epoll_fd >= 0) {
		close(guard->epoll_fd);
	}
	free(guard);
}

int guard_fd(const struct guard *guard)
{
	return guard->epoll_fd;
}

bool guard_read(struct guard *guard)
{
	if (now_ns() >= guard->rested_ns) {
		return guard_poll(guard);
	}
	netfilter_notified(guard->netfilter);
	guard->devices_stale |= traffic_changed(guard->traffic);
	return false;
}

bool guard_poll(struct guard *guard)
{
	uint64_t began_ns = now_ns(), ended_ns;
	struct view *view = &guard->next;
	bool changed;

	memset(view, 0, sizeof(*view));
	/* What was notified is found once, and stands until the next notification. */
	memcpy(&view->netfilter, &guard->now.netfilter, sizeof(view->netfilter));
	netfilter_look(guard->netfilter, &view->netfilter);
	look_at_files(guard, view);
	ipsec_look(guard->ipsec, view->others.routing);
	guard->devices_stale |= traffic_changed(guard->traffic);
	look_at_links(guard, view);
	look_at_devices(guard, view);
	changed = adopt(guard);
	ended_ns = now_ns();
	guard->rested_ns = ended_ns + REST * (ended_ns - began_ns);
	return changed;
}

bool guard_watch(struct guard *guard, const struct guard_device *devices, unsigned count)
{
	bool overflow = count > GUARD_DEVICES;
	struct view *view = &guard->next;

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
	guard->devices_stale = true;
	memset(&guard->links, 0, sizeof(guard->links)); /* of XDP, those of the new ones count */
	memcpy(view, &guard->now, sizeof(*view));
	memset(view->device, 0, sizeof(view->device));
	look_at_devices(guard, view);
	if (!adopt(guard)) {
		sum_up(guard); /* the same findings, but other devices */
	}
	return true;
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

/* Where hooks cannot be listed, conntrack may be wherever there is a rule that could be its. */
static bool ip_conntrack(const struct guard *guard)
{
	const struct netfilter_view *netfilter = &guard->now.netfilter;

	return netfilter->ip_defrag || guard->now.links_defrag ||
	       (netfilter->hooks_unseen && (netfilter->ip_tables || guard->now.tables.rules));
}

bool guard_fragments(const struct guard *guard)
{
	return ip_conntrack(guard);
}

bool guard_bridge_fragments(const struct guard *guard)
{
	const struct netfilter_view *netfilter = &guard->now.netfilter;

	return netfilter->bridge_defrag || (netfilter->hooks_unseen && netfilter->bridge_tables) ||
	       (ip_conntrack(guard) && guard_bridge_netfilter(guard));
}

bool guard_bridge_netfilter(const struct guard *guard)
{
	return guard->now.call_iptables || guard->now.call_ip6tables;
}
