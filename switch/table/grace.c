// SPDX-License-Identifier: BSD-2-Clause
#include "table/grace.h"

/* On liburcu's thread. */
static void grace_passed(struct rcu_head *head)
{
	struct grace *grace = caa_container_of(head, struct grace, head);

	__atomic_store_n(&grace->running, false, __ATOMIC_RELEASE);
}

void grace_start(struct grace *grace)
{
	__atomic_store_n(&grace->running, true, __ATOMIC_RELAXED);
	call_rcu(&grace->head, grace_passed);
}

void grace_settle(struct grace *grace)
{
	if (grace_running(grace)) {
		rcu_barrier();
	}
}
