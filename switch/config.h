/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config: the configuration as one immutable value.
 *
 * What:    what /etc/shunt/shunt.lua says, checked.  lua/host runs the file and fills it in.
 * Callers: shuntd (load once at start, --check).
 * Thread:  control.
 * Owner:   config_free() by whoever loaded it.
 * Refuses: anything it does not know, with "FILE:LINE: what was expected".
 */
#ifndef SHUNT_CONFIG_H
#define SHUNT_CONFIG_H

#include <stdbool.h>

#include "limits.h"

enum config_mode { CONFIG_AUTO, CONFIG_ZEROCOPY, CONFIG_COPY, CONFIG_GENERIC };

struct config_port {
	char name[SHUNT_IFNAME_SIZE];
	enum config_mode mode;
	unsigned queues; /* 0: all */
	bool optional;   /* need not be there at the start */
};

struct config {
	struct config_port port[SHUNT_PORTS_MAX];
	unsigned port_count;
	int worker_cpu;        /* core of the one worker; -1: wherever the scheduler puts it */
	bool drop;             /* on_failure "drop" */
	bool netfilter_bypass; /* netfilter "bypass" */
	/* limits { ... }: entries; what is over them is left to the kernel */
	unsigned limit_routes, limit_neighbours, limit_fdb;
};

/* 0 and *out; or -errno with a one-line message (no newline) in `error`: file, line, what was
 * expected. -ENOENT and -EACCES name the file. */
int config_load(struct config **out, const char *path, char *error, unsigned error_size);
void config_free(struct config *config);

#endif
