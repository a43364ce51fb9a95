/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wake: how the producer of a queue wakes a consumer that sleeps, with no system call when it does
 * not.
 *
 * The consumer says that it is about to sleep, looks at its queue once more, and only then waits on
 * the eventfd; the producer publishes, then asks whether anyone sleeps.  Both steps are
 * sequentially consistent, so one of the two sees the other.
 */
#ifndef SHUNT_RUN_WAKE_H
#define SHUNT_RUN_WAKE_H

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct wake {
	int fd;
	uint32_t asleep;
};

static inline int wake_init(struct wake *wake)
{
	wake->asleep = 0;
	wake->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return wake->fd < 0 ? -errno : 0;
}

static inline void wake_free(struct wake *wake)
{
	if (wake->fd >= 0) {
		close(wake->fd);
	}
	wake->fd = -1;
}

/* Producer, after publishing. */
static inline void wake_up(struct wake *wake)
{
	uint64_t one = 1;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&wake->asleep, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&wake->asleep, 0, __ATOMIC_RELAXED)) {
		/* Cannot fail but by overflow, and then it is readable already. */
		ssize_t n = write(wake->fd, &one, sizeof(one));

		(void)n;
	}
}

/* Consumer: before the last look at the queue. */
static inline void wake_prepare(struct wake *wake)
{
	__atomic_store_n(&wake->asleep, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Consumer: awake again (or there was something after all). */
static inline void wake_done(struct wake *wake)
{
	uint64_t count;
	ssize_t n;

	__atomic_store_n(&wake->asleep, 0, __ATOMIC_RELAXED);
	n = read(wake->fd, &count, sizeof(count));
	(void)n;
}

#endif
