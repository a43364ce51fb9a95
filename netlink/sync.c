/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dumps.  A kind at a time: mark, read all of it, sweep what was not in it.  The old tables forward
 * meanwhile.  Notifications wait in the listener's queue until the kind is done, then are replayed:
 * those older than the dump lead, in their order, to the state that it showed.
 */
#include "netlink/mirror_int.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <urcu-qsbr.h>

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

/* Changes that call for a scan come in groups; wait for the group. */
#define COALESCE_MS 20
/* Scans take at most this part of the control thread's time: 1 / (1 + SCAN_REST). */
#define SCAN_REST 4
#define RETRY_MS 1000
/* Datagrams (of 32 KiB) of a dump that one slice takes in: some 3,000 routes, a few
 * milliseconds. */
#define SLICE_BUDGET 8
/* Entries that one slice removes: a few milliseconds. */
#define SWEEP_BUDGET 2000

static void arm(struct mirror *mirror)
{
	uint64_t due = mirror->sync.due_ms;
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(due / 1000),
					       .tv_nsec = (long)(due % 1000) * 1000000}};

	timerfd_settime(mirror->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void want_at(struct mirror *mirror, uint32_t kinds, uint64_t due)
{
	struct sync *sync = &mirror->sync;
	uint64_t rested = sync->ended_ms + SCAN_REST * sync->took_ms;

	sync->wanted |= kinds;
	if (due < rested) {
		due = rested;
	}
	if (sync->running == SYNC_NONE && (sync->due_ms == 0 || due < sync->due_ms)) {
		sync->due_ms = due;
		arm(mirror);
	}
}

void sync_want(struct mirror *mirror, uint32_t kinds)
{
	if ((mirror->sync.wanted & kinds) != kinds) {
		want_at(mirror, kinds, mirror_now_ms() + COALESCE_MS);
	}
}

void sync_full(struct mirror *mirror)
{
	mirror->sync.full = true;
	mirror->sync.started_ms = mirror_now_ms();
	want_at(mirror, SYNC_ALL, mirror->sync.started_ms);
}

bool sync_running(const struct mirror *mirror)
{
	return mirror->sync.running != SYNC_NONE;
}

static void make_request(enum sync_kind kind, struct nlreq *request)
{
	static const struct {
		uint16_t type;
		uint8_t family;
		uint8_t header_size;
	} requests[SYNC_KINDS] = {
		[SYNC_LINK] = {RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg)},
		[SYNC_VLAN] = {RTM_GETVLAN, AF_BRIDGE, sizeof(struct br_vlan_msg)},
		[SYNC_CONF4] = {RTM_GETNETCONF, AF_INET, sizeof(struct netconfmsg)},
		[SYNC_CONF6] = {RTM_GETNETCONF, AF_INET6, sizeof(struct netconfmsg)},
		[SYNC_RULE4] = {RTM_GETRULE, AF_INET, sizeof(struct rtmsg)},
		[SYNC_RULE6] = {RTM_GETRULE, AF_INET6, sizeof(struct rtmsg)},
		[SYNC_ADDR] = {RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg)},
		[SYNC_NEIGH] = {RTM_GETNEIGH, AF_UNSPEC, sizeof(struct ndmsg)},
		[SYNC_FDB] = {RTM_GETNEIGH, AF_BRIDGE, sizeof(struct ndmsg)},
		[SYNC_MDB] = {RTM_GETMDB, AF_BRIDGE, sizeof(struct br_port_msg)},
		[SYNC_NEXTHOP] = {RTM_GETNEXTHOP, AF_UNSPEC, sizeof(struct nhmsg)},
		[SYNC_BUCKET] = {RTM_GETNEXTHOPBUCKET, AF_UNSPEC, sizeof(struct nhmsg)},
		[SYNC_ROUTE4] = {RTM_GETROUTE, AF_INET, sizeof(struct rtmsg)},
		[SYNC_ROUTE6] = {RTM_GETROUTE, AF_INET6, sizeof(struct rtmsg)},
	};
	/* The family is the first byte of each of these headers. */
	uint8_t *family = nlreq_init(request, requests[kind].type, 0, requests[kind].header_size);

	*family = requests[kind].family;
	if (kind == SYNC_LINK) {
		mnl_attr_put_u32(&request->header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	}
}

void sync_mark(struct mirror *mirror, enum sync_kind kind)
{
	mirror->sync.generation++;
	switch (kind) {
	case SYNC_RULE4:
	case SYNC_RULE6:
		rules_begin(mirror);
		break;
	case SYNC_VLAN:
		vlans_mark(mirror);
		break;
	case SYNC_MDB:
		groups_mark(mirror);
		break;
	case SYNC_NEIGH:
		neigh_resync_begin(mirror->tables->neigh);
		break;
	case SYNC_FDB:
		fdb_resync_begin(mirror->tables->fdb);
		break;
	case SYNC_ROUTE4:
		rib_resync_begin(mirror->tables->rib, IP_V4);
		break;
	case SYNC_ROUTE6:
		rib_resync_begin(mirror->tables->rib, IP_V6);
		break;
	default:
		break;
	}
}

bool sync_sweep(struct mirror *mirror, enum sync_kind kind, bool known)
{
	size_t *cursor = &mirror->sync.cursor;
	enum ip_family family = kind == SYNC_ROUTE6 || kind == SYNC_RULE6 ? IP_V6 : IP_V4;

	switch (kind) {
	case SYNC_LINK:
		links_sweep(mirror);
		break;
	case SYNC_VLAN:
		vlans_sweep(mirror);
		break;
	case SYNC_MDB:
		groups_sweep(mirror);
		break;
	case SYNC_RULE4:
	case SYNC_RULE6:
		rules_end(mirror, family, known);
		break;
	case SYNC_ADDR:
		local_sweep(mirror, kind);
		break;
	case SYNC_NEIGH:
		return neigh_resync_sweep(mirror->tables->neigh, cursor, SWEEP_BUDGET);
	case SYNC_FDB:
		if (fdb_resync_sweep(mirror->tables->fdb, cursor, SWEEP_BUDGET)) {
			return true;
		}
		reach_sweep(mirror);
		break;
	case SYNC_NEXTHOP:
		nexthops_sweep(mirror);
		break;
	case SYNC_BUCKET:
		nexthops_buckets_end(mirror);
		break;
	case SYNC_ROUTE4:
	case SYNC_ROUTE6:
		if (rib_resync_sweep(mirror->tables->rib, family, cursor, SWEEP_BUDGET)) {
			return true;
		}
		local_sweep(mirror, kind);
		break;
	default:
		break;
	}
	return false;
}

/* Notifications are left alone while a dump is read: do not wake for them. */
static void listen_while(struct mirror *mirror, bool on)
{
	struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.u32 = MIRROR_SOURCE_LISTEN};

	epoll_ctl(mirror->epoll_fd, EPOLL_CTL_MOD, nlsock_fd(mirror->listen), &event);
}

static int start(struct mirror *mirror, enum sync_kind kind)
{
	struct nlreq request;

	sync_mark(mirror, kind);
	make_request(kind, &request);
	return nlsock_dump_start(mirror->ask, &request);
}

/* The kernel has none of these. */
static bool is_absent(int result)
{
	return result == -EOPNOTSUPP || result == -EAFNOSUPPORT || result == -ENOENT;
}

/* A dump ended with `result` (1 well). */
static void finish(struct mirror *mirror, int result)
{
	struct sync *sync = &mirror->sync;
	enum sync_kind kind = sync->running;

	if (result == -EINTR && ++sync->tries < NLSOCK_TRIES) {
		result = start(mirror, kind);
		if (result == 0) {
			return;
		}
	}
	if (result == 1 || is_absent(result)) {
		sync->sweeping = true;
		sync->known = result == 1;
		sync->cursor = 0;
		return;
	}
	/* Not a picture to sweep by: what is there stays until it can be read whole. */
	sync->running = SYNC_NONE;
	sync->failed = true;
	sync->wanted |= SYNC_BIT(kind);
}

int sync_advance(struct mirror *mirror)
{
	struct sync *sync = &mirror->sync;
	int result;

	if (sync->sweeping) {
		sync->sweeping = sync_sweep(mirror, sync->running, sync->known);
		if (!sync->sweeping) {
			sync->running = SYNC_NONE;
		}
		return 0;
	}
	result = nlsock_dump_step(mirror->ask, mirror_message, mirror);
	if (result == 0 || result == -EAGAIN) {
		return result;
	}
	finish(mirror, result);
	return result == -EPERM || result == -EACCES || result == -ENOMEM ? result : 0;
}

/* Start the next wanted kind. False: none is left. */
static bool next(struct mirror *mirror, uint32_t *left)
{
	struct sync *sync = &mirror->sync;

	while (*left != 0) {
		enum sync_kind kind = (enum sync_kind)__builtin_ctz(*left);

		*left &= ~SYNC_BIT(kind);
		sync->wanted &= ~SYNC_BIT(kind);
		sync_begin(mirror, kind);
		if (sync_running(mirror)) {
			return true;
		}
	}
	return false;
}

void sync_begin(struct mirror *mirror, enum sync_kind kind)
{
	int error;

	mirror->sync.tries = 0;
	mirror->sync.running = kind;
	error = start(mirror, kind);
	if (error != 0) {
		finish(mirror, error);
	}
}

static void end_round(struct mirror *mirror)
{
	struct sync *sync = &mirror->sync;
	uint64_t now = mirror_now_ms();

	sync->took_ms = now - sync->started_ms;
	sync->ended_ms = now;
	sync->due_ms = 0;
	if (sync->full && !sync->failed) {
		sync->full = false;
		mirror->stats.resyncs++;
	}
	if (sync->wanted != 0) {
		want_at(mirror, 0, now + (sync->failed ? RETRY_MS : COALESCE_MS));
	}
	sync->failed = false;
}

int sync_now(struct mirror *mirror)
{
	struct sync *sync = &mirror->sync;
	uint32_t left = sync->wanted;

	while (next(mirror, &left)) {
		struct pollfd wait = {.fd = nlsock_fd(mirror->ask), .events = POLLIN};

		while (sync_running(mirror)) {
			int result = sync_advance(mirror);

			/* Or no hash would grow before the last entry is in. */
			rcu_quiescent_state();
			if (result != 0 && result != -EAGAIN) {
				return result;
			}
			if (result == -EAGAIN && poll(&wait, 1, 5000) == 0) {
				return -ETIMEDOUT;
			}
		}
	}
	end_round(mirror);
	return 0;
}

void sync_slice(struct mirror *mirror)
{
	struct sync *sync = &mirror->sync;
	int budget = SLICE_BUDGET;

	if (!sync_running(mirror)) {
		uint32_t left = sync->wanted;

		if (sync->due_ms == 0 || mirror_now_ms() < sync->due_ms) {
			return;
		}
		if (!sync->full) {
			sync->started_ms = mirror_now_ms();
		}
		if (!next(mirror, &left)) {
			end_round(mirror);
			return;
		}
		listen_while(mirror, false);
	}
	while (sync_running(mirror) && budget-- > 0) {
		bool parts = sync->sweeping;

		if (sync_advance(mirror) == -EAGAIN) {
			return;
		}
		if (parts && sync->sweeping) {
			break; /* a part of a sweep is a slice */
		}
	}
	mirror_work(mirror, WORK_SWEEP, sync->sweeping);
	if (!sync_running(mirror)) {
		listen_while(mirror, true);
		if (sync->wanted == 0 || sync->failed) {
			end_round(mirror);
		} else {
			arm(mirror); /* the next kind, after what has been notified meanwhile */
		}
	}
}
