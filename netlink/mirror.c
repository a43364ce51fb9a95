/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/mirror.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <linux/rtnetlink.h>

#include "netlink/mirror_int.h"
#include "netlink/verify.h"

/* Room for a burst of some ten thousand route changes while a dump is read; each takes about a
 * kilobyte of kernel memory.  More than that is an overrun and a resync. */
#define LISTEN_SIZE (32u << 20)
#define ASK_SIZE (1u << 20)
/* Datagrams applied in one mirror_read(): a millisecond or two. */
#define LISTEN_BUDGET 128
#define FULL_RETRY_MS 10000

uint64_t mirror_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void mirror_work(struct mirror *mirror, unsigned which, bool more)
{
	unsigned work = more ? mirror->work | which : mirror->work & ~which;
	struct epoll_event event = {.events = work != 0 ? EPOLLIN : 0,
				    .data.u32 = MIRROR_SOURCE_WORK};

	if ((work != 0) != (mirror->work != 0)) {
		epoll_ctl(mirror->epoll_fd, EPOLL_CTL_MOD, mirror->work_fd, &event);
	}
	mirror->work = work;
}

void mirror_full(struct mirror *mirror, const char *table)
{
	unsigned i = 0;

	while (i < FULL_TABLES && mirror->full_told[i] != NULL) {
		if (strcmp(mirror->full_told[i], table) == 0) {
			return;
		}
		i++;
	}
	if (i < FULL_TABLES) {
		mirror->full_told[i] = table;
		fprintf(stderr,
			"mirror: %s table is full; what does not fit is left to the kernel\n",
			table);
	}
}

/* One message, of a dump or a notification. */
void mirror_message(const struct nlmsghdr *message, void *arg)
{
	struct mirror *mirror = arg;

	mirror->stats.messages++;
	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		links_message(mirror, message);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		links_address(mirror, message);
		break;
	case RTM_NEWNETCONF:
	case RTM_DELNETCONF:
		links_conf(mirror, message);
		break;
	case RTM_NEWVLAN:
	case RTM_DELVLAN:
		vlans_message(mirror, message);
		break;
	case RTM_NEWMDB:
	case RTM_DELMDB:
	case RTM_GETMDB: /* so a dump calls them */
		groups_message(mirror, message);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		routes_message(mirror, message);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		routes_neighbour(mirror, message);
		break;
	case RTM_NEWRULE:
	case RTM_DELRULE:
		if (mirror->sync.running == SYNC_RULE4 || mirror->sync.running == SYNC_RULE6) {
			rules_message(mirror, message);
		} else {
			/* Few and rare: read them all again. */
			sync_want(mirror, SYNC_BIT(SYNC_RULE4) | SYNC_BIT(SYNC_RULE6));
		}
		break;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		nexthops_message(mirror, message);
		break;
	case RTM_NEWNEXTHOPBUCKET:
	case RTM_DELNEXTHOPBUCKET:
		nexthops_bucket(mirror, message);
		break;
	}
}

/* Tell the owner of the ports what became of them; it may call back. */
static void tell_ports(struct mirror *mirror)
{
	for (unsigned slot = 0; slot < mirror->slot_count; slot++) {
		struct mirror_slot *port = &mirror->slot[slot];
		struct mirror_port status = port->now;

		if (!port->told || memcmp(&status, &port->last, sizeof(status)) != 0) {
			port->told = true;
			port->last = status;
			if (mirror->ops.port != NULL) {
				mirror->ops.port(mirror->arg, slot, &status);
			}
		}
	}
}

/* The end of a batch: publish what changed, then say so. */
static void settle(struct mirror *mirror)
{
	const struct tables *tables = mirror->tables;
	/* What did not fit comes when the kernel has fewer: no hurry. */
	bool again = mirror_now_ms() - mirror->sync.ended_ms > FULL_RETRY_MS;

	for (unsigned i = IP_V4; i < IP_FAMILIES; i++) {
		if (rib_doubts(tables->rib, i) > 0 || (again && rib_has_room(tables->rib, i))) {
			sync_want(mirror, SYNC_BIT(i == IP_V4 ? SYNC_ROUTE4 : SYNC_ROUTE6));
		}
	}
	if (again && fdb_partial(tables->fdb) && !fdb_full(tables->fdb)) {
		sync_want(mirror, SYNC_BIT(SYNC_FDB));
	}
	if (again && neigh_partial(tables->neigh) && !neigh_full(tables->neigh)) {
		sync_want(mirror, SYNC_BIT(SYNC_NEIGH));
	}
	mirror->dirty |= mirror->tables_version != rib_tables_version(mirror->tables->rib);
	if (mirror->dirty) {
		judge_publish(mirror);
	}
	groups_settle(mirror);
	if (mirror->opened) {
		tell_ports(mirror);
	}
}

/* Opening. ---------------------------------------------------------------------------------- */

static int watch(struct mirror *mirror, int fd, enum mirror_source source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = source};

	return epoll_ctl(mirror->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_sockets(struct mirror *mirror)
{
	static const unsigned groups[] = {
		RTNLGRP_LINK,        RTNLGRP_NEIGH,        RTNLGRP_IPV4_IFADDR,  RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_IFADDR,  RTNLGRP_IPV6_ROUTE,   RTNLGRP_IPV6_RULE,
		RTNLGRP_IPV6_IFINFO, RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF, RTNLGRP_NEXTHOP,
	};
	int error = nlsock_open(&mirror->listen, NETLINK_ROUTE, LISTEN_SIZE);

	/* Subscribed before the dump: what changes meanwhile waits in the queue. */
	for (unsigned i = 0; error == 0 && i < sizeof(groups) / sizeof(groups[0]); i++) {
		error = nlsock_join(mirror->listen, groups[i]);
		if (error == -EINVAL && groups[i] == RTNLGRP_NEXTHOP) {
			error = 0; /* before 5.3 there are none */
		}
	}
	error = error ? error : nlsock_open(&mirror->ask, NETLINK_ROUTE, ASK_SIZE);
	if (error == 0) {
		nlsock_join(mirror->listen, RTNLGRP_MDB); /* a kernel without has no groups */
		/* Since 5.6: without, bridges that filter VLANs are the kernel's. */
		mirror->vlans_told = nlsock_join(mirror->listen, RTNLGRP_BRVLAN) == 0;
	}
	return error ? error : nlsock_open(&mirror->tell, NETLINK_ROUTE, 0);
}

static int open_events(struct mirror *mirror)
{
	int error;

	mirror->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (mirror->epoll_fd < 0) {
		return -errno;
	}
	mirror->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (mirror->timer_fd < 0) {
		return -errno;
	}
	mirror->work_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mirror->work_fd < 0) {
		return -errno;
	}
	error = watch(mirror, mirror->work_fd, MIRROR_SOURCE_WORK);
	mirror->work = ~0u;
	mirror_work(mirror, ~0u, false);
	error = error ? error : watch(mirror, mirror->timer_fd, MIRROR_SOURCE_TIMER);
	error = error ? error : watch(mirror, nlsock_fd(mirror->listen), MIRROR_SOURCE_LISTEN);
	error = error ? error : watch(mirror, nlsock_fd(mirror->ask), MIRROR_SOURCE_ASK);
	return error ? error : watch(mirror, guard_fd(mirror->guard), MIRROR_SOURCE_GUARD);
}

int mirror_open(struct mirror **out, struct tables *tables, const struct mirror_conf *conf,
		const struct mirror_ops *ops, void *arg)
{
	struct mirror *mirror;
	int error;

	if (conf->port_count > SHUNT_PORTS_MAX) {
		return -EINVAL;
	}
	mirror = calloc(1, sizeof(*mirror));
	if (mirror == NULL) {
		return -ENOMEM;
	}
	mirror->epoll_fd = mirror->timer_fd = mirror->work_fd = -1;
	mirror->tables = tables;
	mirror->ops = *ops;
	mirror->arg = arg;
	mirror->sync.running = SYNC_NONE;
	mirror->slot_count = conf->port_count;
	for (unsigned slot = 0; slot < conf->port_count; slot++) {
		snprintf(mirror->slot[slot].name, SHUNT_IFNAME_SIZE, "%s", conf->ports[slot]);
		mirror->slot[slot].partial = conf->partial != NULL && conf->partial[slot];
	}
	error = open_sockets(mirror);
	error = error ? error : guard_open(&mirror->guard, conf->netfilter_bypass);
	error = error ? error : groups_open(mirror);
	error = error ? error : open_events(mirror);
	if (error == 0) {
		rules_poll(mirror);
		routes_tick(mirror);
		sync_full(mirror);
		error = sync_now(mirror);
	}
	if (error != 0) {
		mirror_close(mirror);
		return error;
	}
	mirror->stats.resyncs = 0; /* the first is none */
	mirror->opened = true;
	mirror->dirty = true;
	settle(mirror);
	*out = mirror;
	return 0;
}

void mirror_close(struct mirror *mirror)
{
	if (mirror == NULL) {
		return;
	}
	if (mirror->work_fd >= 0) {
		close(mirror->work_fd);
	}
	if (mirror->timer_fd >= 0) {
		close(mirror->timer_fd);
	}
	if (mirror->epoll_fd >= 0) {
		close(mirror->epoll_fd);
	}
	verify_close(mirror);
	guard_close(mirror->guard);
	nlsock_close(mirror->listen);
	nlsock_close(mirror->ask);
	nlsock_close(mirror->tell);
	groups_close(mirror);
	reach_free(mirror);
	links_free(mirror);
	rules_free(mirror);
	nexthops_free(mirror);
	free(mirror);
}

/* Running. ---------------------------------------------------------------------------------- */

int mirror_fd(const struct mirror *mirror)
{
	return mirror->epoll_fd;
}

static void ignore(const struct nlmsghdr *message, void *arg)
{
	(void)message;
	(void)arg;
}

static void notified(const struct nlmsghdr *message, void *arg)
{
	mirror_message(message, arg);
	verify_notified(arg, message);
}

/* True: nothing waits any more. */
static bool listen_budget(struct mirror *mirror)
{
	int got = 0;

	for (int i = 0; i < LISTEN_BUDGET && !sync_running(mirror); i++) {
		got = nlsock_listen(mirror->listen, notified, mirror);
		if (got == -ENOBUFS) {
			/* What is queued is older than what was lost, and must not be applied after
			 * the dump that makes up for it.  The kernel queues nothing new before the
			 * queue is empty (NETLINK_S_CONGESTED). */
			mirror->stats.overruns++;
			do {
				got = nlsock_listen(mirror->listen, ignore, NULL);
			} while (got != -EAGAIN && (got >= 0 || got == -ENOBUFS));
			sync_full(mirror);
		}
		if (got < 0) {
			mirror->behind_ms = 0;
			return true;
		}
	}
	if (mirror->behind_ms == 0) {
		mirror->behind_ms = mirror_now_ms();
	}
	return false;
}

void mirror_read(struct mirror *mirror)
{
	struct epoll_event events[8];
	int count = epoll_wait(mirror->epoll_fd, events, 8, 0);
	bool still = false;

	for (int i = 0; i < count; i++) {
		uint64_t expirations;

		if (events[i].data.u32 == MIRROR_SOURCE_GUARD) {
			mirror->dirty |= guard_read(mirror->guard);
		} else if (events[i].data.u32 == MIRROR_SOURCE_TIMER &&
			   read(mirror->timer_fd, &expirations, sizeof(expirations)) < 0) {
			continue; /* not due after all */
		}
	}
	sync_slice(mirror);
	if (!sync_running(mirror)) {
		still = listen_budget(mirror);
	}
	settle(mirror);
	verify_slice(mirror, still && !sync_running(mirror) && mirror->sync.wanted == 0);
}

void mirror_tick(struct mirror *mirror, uint32_t now_s)
{
	mirror->dirty |= guard_poll(mirror->guard);
	links_poll(mirror);
	groups_poll(mirror);
	rules_poll(mirror);
	refresh_tick(mirror, now_s);
	settle(mirror);
	if (mirror->verify != NULL) {
		mirror_work(mirror, WORK_VERIFY, true); /* look whether it can go on */
	}
}

void mirror_set_partial(struct mirror *mirror, unsigned slot, bool partial)
{
	if (slot < mirror->slot_count && mirror->slot[slot].partial != partial) {
		mirror->slot[slot].partial = partial;
		judge_publish(mirror);
	}
}

void mirror_set_bound(struct mirror *mirror, unsigned slot, bool bound)
{
	if (slot < mirror->slot_count && mirror->slot[slot].bound != bound) {
		mirror->slot[slot].bound = bound;
		judge_publish(mirror);
	}
}

void mirror_stats(const struct mirror *mirror, struct mirror_stats *out)
{
	const struct tables *tables = mirror->tables;
	uint64_t since = mirror->behind_ms;

	*out = mirror->stats;
	out->state = MIRROR_LIVE;
	if (sync_running(mirror) || mirror->sync.full) {
		out->state = mirror->opened ? MIRROR_RESYNC : MIRROR_DUMP;
		if (since == 0 || mirror->sync.started_ms < since) {
			since = mirror->sync.started_ms;
		}
	}
	out->lag_ms = since != 0 ? mirror_now_ms() - since : 0;
	out->routes4 = rib_count(tables->rib, IP_V4);
	out->routes6 = rib_count(tables->rib, IP_V6);
	out->nexthops = nexthops_count(rib_nexthops(tables->rib));
	out->neighbours = neigh_count(tables->neigh);
	out->fdb = fdb_count(tables->fdb);
}
