/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * robust: how steer learns at once that a worker was killed.
 *
 * What:    a thread's robust futex list (set_robust_list(2); kernel
 *          Documentation/locking/robust-futexes.rst): when the thread ends in whatever way, the
 *          kernel itself walks the list and sets FUTEX_OWNER_DIED in each word that holds its id.
 *          The words lie in the map that steer reads.
 * Callers: run/worker.
 * Thread:  the worker, from robust_start() on; its C library's own list is given up for this one,
 *          so it may not hold robust mutexes.
 * Owner:   a beat must be disowned before its memory goes.
 */
#ifndef SHUNT_RUN_ROBUST_H
#define SHUNT_RUN_ROBUST_H

#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/shared.h"

_Static_assert(STEER_OWNER_DIED == FUTEX_OWNER_DIED, "the kernel's bit");
_Static_assert(sizeof(void *) == sizeof(uint64_t), "robust_next holds a pointer");

struct robust {
	struct robust_list_head head;
	uint32_t tid;
};

/* The calling thread's list from now on, empty. */
static inline void robust_start(struct robust *robust)
{
	robust->head.list.next = &robust->head.list;
	robust->head.list_op_pending = NULL;
	robust->head.futex_offset = (long)offsetof(struct steer_beat, owner) -
				    (long)offsetof(struct steer_beat, robust_next);
	robust->tid = (uint32_t)syscall(SYS_gettid);
	syscall(SYS_set_robust_list, &robust->head, sizeof(robust->head));
}

static inline struct robust_list *robust_node(struct steer_beat *beat)
{
	return (struct robust_list *)&beat->robust_next;
}

static inline void robust_own(struct robust *robust, struct steer_beat *beat)
{
	struct robust_list *node = robust_node(beat);

	__atomic_store_n(&beat->owner, robust->tid, __ATOMIC_RELAXED);
	node->next = robust->head.list.next;
	/* release: the kernel walks what is linked, whenever this thread ends */
	__atomic_store_n(&robust->head.list.next, node, __ATOMIC_RELEASE);
}

static inline void robust_disown(struct robust *robust, struct steer_beat *beat)
{
	struct robust_list *node = robust_node(beat), *at = &robust->head.list;

	for (; at->next != &robust->head.list; at = at->next) {
		if (at->next == node) {
			__atomic_store_n(&at->next, node->next, __ATOMIC_RELEASE);
			break;
		}
	}
	__atomic_store_n(&beat->owner, 0, __ATOMIC_RELAXED);
}

#endif
