/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * grace: "has every reader moved on since?", asked without waiting.
 *
 * What:    one grace period at a time, started and later asked after.  A table keeps what it took
 *          out of its readers' sight on two lists, of the running period and of the next one; so
 *          reclaiming needs no memory of its own and no work on liburcu's thread but one store.
 * Callers: fib, nexthop, hash: a table's one writer.
 * Thread:  the writer's, which is registered with liburcu-qsbr and online (call_rcu() asks for it).
 * Owner:   embedded; grace_settle() before the memory goes.
 */
#ifndef SHUNT_TABLE_GRACE_H
#define SHUNT_TABLE_GRACE_H

#include <stdbool.h>
#include <urcu-qsbr.h>

struct grace {
	struct rcu_head head;
	bool running; /* cleared by liburcu's thread */
};

/* Start a period. Only when none is running. */
void grace_start(struct grace *grace);
/* Wait until no period is running: for destroy functions only. */
void grace_settle(struct grace *grace);

/* A period was started and has not passed yet. */
static inline bool grace_running(const struct grace *grace)
{
	/* acquire: what the readers did before it passed has happened. */
	return __atomic_load_n(&grace->running, __ATOMIC_ACQUIRE);
}

#endif
