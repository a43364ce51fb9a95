/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats: the counters, as one file in shared memory that anyone in the group may map read-only.
 *
 * What:    RUNDIR/stats. One writer a field: workers their own set, the punt thread its own,
 *          control the rest.  Readers see each 64-bit word whole (relaxed atomics), sums are theirs
 *          to make.
 * Callers: run/worker, run/punt, shuntd (writers); cli (reader).
 * Owner:   shuntd creates and unlinks; a reader's map stays valid after that.
 * Refuses: a reader refuses another magic, version or size (-EPROTO).
 */
#ifndef SHUNT_RUN_STATS_H
#define SHUNT_RUN_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/umem.h"
#include "limits.h"
#include "path/reason.h"
#include "shared.h"

#define STATS_MAGIC 0x73746e7568730001ull /* "\1 shunts", version in the low half */

enum port_state { PORT_DOWN, PORT_KERNEL, PORT_FAST, PORT_STALE, PORT_DROP };

/* Counters of one port, written by one worker. */
struct stats_port_worker {
	uint64_t rx_packets, rx_bytes; /* taken from RX rings */
	uint64_t tx_packets, tx_bytes; /* put on TX rings */
	uint64_t flooded;              /* frames received here that were flooded */
	uint64_t punted[PUNT_REASON_COUNT];
	uint64_t drops[DROP_REASON_COUNT]; /* on the ingress port; tx_*: on the egress */
	uint64_t learns;                   /* learn events sent */
	uint64_t pad[1];
} __attribute__((aligned(64)));

struct stats_port {
	/* control */
	char ifname[SHUNT_IFNAME_SIZE]; /* "" : slot not in use */
	char reason[96];
	char mode[12]; /* zerocopy, copy, generic; "" not bound */
	uint32_t ifindex;
	uint32_t state; /* enum port_state */
	uint32_t queues;
	uint32_t pad;
	struct steer_counters steer; /* as last read from the program */
	/* punt thread: drops[] of PUNT_POLICED and PUNT_FAILED, and what it delivered */
	uint64_t punt_policed, punt_failed, punt_delivered;
	struct stats_port_worker worker[SHUNT_WORKERS_MAX];
};

struct stats_worker {
	uint64_t bursts, idle_sleeps; /* non-empty bursts; times it slept in poll */
	uint64_t rx, tx, handed;
	uint32_t cpu;
	uint32_t pad;
	uint64_t busy_ns; /* time with frames in hand, when measured */
};

struct stats {
	uint64_t magic;
	uint64_t size;       /* sizeof(struct stats) */
	uint64_t started_ns; /* CLOCK_MONOTONIC */
	uint32_t pid, workers;
	char version[32];
	/* a copy of umem's census, same seqlock protocol: odd sequence while being written */
	uint64_t census_seq;
	struct frame_census census;
	struct stats_worker worker[SHUNT_WORKERS_MAX];
	struct stats_port port[SHUNT_PORTS_MAX];
};

/* Add to a counter that only this thread writes: a plain load, an atomic store. */
static inline void stats_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t stats_get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Daemon: create RUNDIR/stats, mode 0640, replacing a dead daemon's; so after control_open(), which
 * finds out whether a living one is there. 0 or -errno. */
int stats_create(struct stats **out, const char *rundir);
void stats_destroy(struct stats *stats, const char *rundir);
/* CLI: map it read-only. 0, -ENOENT (no daemon), -EACCES, -EPROTO (another version). */
int stats_open(const struct stats **out, const char *rundir);
void stats_close(const struct stats *stats);

#endif
