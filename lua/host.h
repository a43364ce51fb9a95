/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host: runs the configuration file in a Lua sandbox.
 *
 * What:    a Lua 5.4 state with text chunks only, no io, os, debug, package or load; the verbs
 *          `port`, `workers`, `on_failure`, `netfilter` fill a struct config.
 *          Limited: 64 MiB of memory, 100 M instructions, 2 s of CPU time.
 * Callers: switch/config.c.
 * Thread:  the caller's. Owner: the state lives inside the call.
 */
#ifndef SHUNT_LUA_HOST_H
#define SHUNT_LUA_HOST_H

#include "config.h"

/* Run `source` (named `name` in messages) and fill `config`. 0, or -EINVAL with a message. */
int host_run(struct config *config, const char *source, unsigned long size, const char *name,
	     char *error, unsigned error_size);

#endif
