/* SPDX-License-Identifier: BSD-2-Clause */
#include "run/urgent.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A turn: the least that the kernel takes (__setparam_fair()).  Kernels before 6.12 ignore it. */
#define TURN_NS 100000u

void urgent(int nice)
{
	struct sched_attr attr = {.size = sizeof(attr),
				  .sched_policy = SCHED_NORMAL,
				  /* The threads that this one starts are ordinary. */
				  .sched_flags = SCHED_FLAG_RESET_ON_FORK,
				  .sched_nice = nice,
				  .sched_runtime = TURN_NS};

	if (syscall(SYS_sched_setattr, 0, &attr, 0) != 0) {
		setpriority(PRIO_PROCESS, 0, nice);
	}
}
