/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * punt: the classifier that makes a frame written to the TAP arrive as if a port had received it.
 *
 * What:    one small tc program a port (bpf/punt.bpf.c): matches the TAP queue of the port, sets
 *          PACKET_HOST where the destination MAC is the port's, so that the filter's mirred action
 *          may redirect it to the port's ingress.  netlink/tc puts it in place.
 * Callers: run/punt, on the control thread.
 * Owner:   punt_prog owns its program; the filter holds a reference of its own.
 */
#ifndef SHUNT_BPF_PUNT_H
#define SHUNT_BPF_PUNT_H

#include "table/addr.h"

struct punt_prog;

/* Load the program for TAP queue `slot`. 0 or -errno. */
int punt_prog_open(struct punt_prog **out, unsigned slot);
void punt_prog_close(struct punt_prog *prog);
int punt_prog_fd(const struct punt_prog *prog);
/* The port's MAC; may change at any time. */
void punt_prog_set_mac(struct punt_prog *prog, const struct mac *mac);

#endif
