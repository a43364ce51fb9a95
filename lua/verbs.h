/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verbs: what a configuration file can say.
 *
 * What:    `port`, `workers`, `on_failure`, `netfilter`, `limits` as Lua globals that fill a struct
 *          config, and an error with a suggestion for any other global that is read.
 * Callers: lua/host.c, inside a protected call: errors are Lua errors.
 * Owner:   `verbs` belongs to the caller and must outlive the Lua state.
 */
#ifndef SHUNT_LUA_VERBS_H
#define SHUNT_LUA_VERBS_H

#include <lua.h>

#include "config.h"

struct verbs {
	struct config *config;
	/* Where each thing was said, for "already at line N"; 0 not yet. */
	int port_line[SHUNT_PORTS_MAX];
	int workers_line, on_failure_line, netfilter_line, limits_line;
};

/* Put the verbs into the global table. */
void verbs_open(lua_State *lua, struct verbs *verbs);
/* The line of the innermost function that has one; 0 when none has. */
int verbs_line(lua_State *lua);

#endif
