/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * urgent: a thread that is to run as soon as there is something for it, also on a busy machine.
 *
 * What:    priority over ordinary processes, and short turns: EEVDF lets a thread that asks for
 *          short turns interrupt one in the middle of its own (Linux 6.12, PREEMPT_SHORT).
 * Callers: control (main thread), worker.
 * Thread:  the one it is for; threads that it starts later are ordinary ones.
 * Refuses: nothing; where it is not allowed, or not known, the thread runs as any other.
 */
#ifndef SHUNT_RUN_URGENT_H
#define SHUNT_RUN_URGENT_H

/* The calling thread; `nice` as in setpriority(). */
void urgent(int nice);

#endif
