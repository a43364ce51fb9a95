/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xdp: which XDP program an interface has.
 *
 * Callers: netlink/guard, run/port.
 * Thread:  control; one question and its answer, which waits for the rtnl lock.
 * Owner:   a socket.
 * Refuses: nothing; of several programs on one interface none is told.
 */
#ifndef SHUNT_NETLINK_XDP_H
#define SHUNT_NETLINK_XDP_H

#include <stdint.h>

struct xdp;

/* 0 or -errno. */
int xdp_open(struct xdp **out);
void xdp_close(struct xdp *xdp);
/* The program's ID, 0 there is none. 0; -ENODEV no such interface; other -errno. */
int xdp_program(struct xdp *xdp, uint32_t ifindex, uint32_t *out);

#endif
