/* SPDX-License-Identifier: BSD-2-Clause */
/* limits: the sizes that more than one room must agree on. */

/* With switch/ on the include path, <limits.h> finds this file: hand on to the C library's. Before
 * the guard, because the compiler's own limits.h comes by here a second time on its way there. */
#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Winclude-next-absolute-path"
#endif
#include_next <limits.h>
#ifdef __clang__
#pragma clang diagnostic pop
#endif

#ifndef SHUNT_LIMITS_H
#define SHUNT_LIMITS_H

#define SHUNT_PORTS_MAX 64u   /* a flood's target set is one 64-bit word */
#define SHUNT_QUEUES_MAX 64u  /* queues of one port that are bound */
#define SHUNT_WORKERS_MAX 16u /* sets of counters in the stats segment */
#define SHUNT_IFNAME_SIZE 16u /* IFNAMSIZ */
#define SHUNT_BURST 64u       /* frames taken from an RX ring at once */

#endif
