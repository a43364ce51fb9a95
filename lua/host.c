// SPDX-License-Identifier: BSD-2-Clause
#include "lua/host.h"

#include <ctype.h>
#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lua/verbs.h"

#define MEMORY_MAX (64u << 20)              /* bytes */
#define STEPS_MAX 100000000u                /* VM instructions */
#define TIME_MAX_NS (2000ull * 1000 * 1000) /* of this thread's CPU time */
#define HOOK_STEPS 100                      /* one may copy a million values: look often */
#define BIG_ALLOCATION 4096u                /* bytes; C functions that work long ask for more */
#define LIST_MAX 65536                      /* items that a table function may walk over */

/* The chunk's name inside Lua, which shortens long ones; put back into each message at the end. */
#define CHUNK "\1"

enum stop { STOP_NONE, STOP_STEPS, STOP_TIME };

struct host {
	struct verbs verbs;
	const char *source;
	size_t size;
	lua_State *lua;
	size_t used; /* bytes */
	unsigned steps;
	uint64_t deadline_ns;
	enum stop stop;
	int refused_line; /* where memory was last refused */
};

/* What is left of the libraries.  Out are: everything that reaches outside or compiles (load,
 * dofile, require, print, io, os, debug, package); coroutines and xpcall, whose message handler
 * would run with the count hook off; string patterns, rep and table.move as Lua has them, which can
 * work in C for ever, where no hook runs. */
static const char *const base_names[] = {"assert",   "error",  "getmetatable", "ipairs", "next",
					 "pairs",    "pcall",  "rawequal",     "rawget", "rawlen",
					 "rawset",   "select", "tonumber",     "type",   "tostring",
					 "_VERSION", NULL};
static const char *const string_names[] = {"byte",    "char", "format", "len", "lower",
					   "reverse", "sub",  "upper",  NULL};
static const char *const table_names[] = {"concat", "insert", "remove", "sort", "unpack", NULL};

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct host *host_of(lua_State *lua)
{
	return *(struct host **)lua_getextraspace(lua);
}

/* Once a limit is passed every further instruction fails, so that pcall() cannot hide it. */
static void host_hook(lua_State *lua, lua_Debug *ar)
{
	struct host *host = host_of(lua);

	host->steps += HOOK_STEPS;
	if (host->stop == STOP_NONE && host->steps >= STEPS_MAX) {
		host->stop = STOP_STEPS;
	}
	if (host->stop == STOP_NONE && cpu_ns() >= host->deadline_ns) {
		host->stop = STOP_TIME;
	}
	if (host->stop == STOP_NONE) {
		return;
	}
	lua_sethook(lua, host_hook, LUA_MASKCOUNT, 1);
	lua_getinfo(lua, "Sl", ar);
	if (host->stop == STOP_STEPS) {
		lua_pushfstring(lua, "%s:%d: stopped after %d million steps: an endless loop?",
				ar->short_src, ar->currentline, (int)(STEPS_MAX / 1000000));
	} else {
		lua_pushfstring(lua, "%s:%d: stopped after %d s: an endless loop?", ar->short_src,
				ar->currentline, (int)(TIME_MAX_NS / 1000000000u));
	}
	lua_error(lua);
}

static bool host_may_grow(struct host *host, size_t more, size_t size)
{
	if (more > MEMORY_MAX - host->used) {
		return false;
	}
	if (size < BIG_ALLOCATION || !host->deadline_ns || cpu_ns() < host->deadline_ns) {
		return true;
	}
	host->stop = STOP_TIME;
	lua_sethook(host->lua, host_hook, LUA_MASKCOUNT, 1);
	return false;
}

/* lua_Alloc: shrinking and freeing never fail. */
static void *host_alloc(void *arg, void *old, size_t old_size, size_t size)
{
	struct host *host = arg;
	size_t before = old ? old_size : 0;
	void *fresh;

	if (!size) {
		free(old);
		host->used -= before;
		return NULL;
	}
	if (size > before && !host_may_grow(host, size - before, size)) {
		host->refused_line = host->lua ? verbs_line(host->lua) : 0;
		return NULL;
	}
	fresh = realloc(old, size);
	if (fresh) {
		host->used += size - before;
	}
	return fresh;
}

/* string.rep: Lua's own repeats the empty string 2^63 times when asked to. */
static int safe_rep(lua_State *lua)
{
	size_t size, between_size;
	const char *text = luaL_checklstring(lua, 1, &size);
	lua_Integer count = luaL_checkinteger(lua, 2);
	const char *between = luaL_optlstring(lua, 3, "", &between_size);
	luaL_Buffer out;

	if (count <= 0 || size + between_size == 0) {
		lua_pushliteral(lua, "");
		return 1;
	}
	if ((lua_Unsigned)count > MEMORY_MAX / (size + between_size)) {
		return luaL_error(lua, "string.rep: the result is over the memory limit");
	}
	luaL_buffinitsize(lua, &out, (size_t)count * (size + between_size));
	for (lua_Integer i = 0; i < count; i++) {
		luaL_addlstring(&out, text, size);
		if (i + 1 < count) {
			luaL_addlstring(&out, between, between_size);
		}
	}
	luaL_pushresult(&out);
	return 1;
}

/* A finalizer would run with the count hook off. */
static int safe_setmetatable(lua_State *lua)
{
	luaL_checktype(lua, 1, LUA_TTABLE);
	if (lua_type(lua, 2) == LUA_TTABLE) {
		lua_pushliteral(lua, "__gc");
		if (lua_rawget(lua, 2) != LUA_TNIL) {
			return luaL_error(lua, "setmetatable: __gc is not available here");
		}
		lua_pop(lua, 1);
	}
	lua_pushvalue(lua, lua_upvalueindex(1));
	lua_insert(lua, 1);
	lua_call(lua, lua_gettop(lua) - 1, 1);
	return 1;
}

/* A table function over a plain list of bounded length: with __len or __index, or with the odd
 * length Lua may find in a list with holes, one call could go on for ever. */
static int safe_list(lua_State *lua)
{
	luaL_checktype(lua, 1, LUA_TTABLE);
	if (lua_getmetatable(lua, 1)) {
		return luaL_error(lua, "expected a list without a metatable");
	}
	if (lua_rawlen(lua, 1) > LIST_MAX) {
		return luaL_error(lua, "list too long: expected at most %d items", LIST_MAX);
	}
	lua_pushvalue(lua, lua_upvalueindex(1));
	lua_insert(lua, 1);
	lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
	return lua_gettop(lua);
}

/* A new table with only `names` of the one at the top, which it replaces. */
static void keep(lua_State *lua, const char *const *names, bool list)
{
	lua_newtable(lua);
	for (; *names; names++) {
		lua_getfield(lua, -2, *names);
		if (list) {
			lua_pushcclosure(lua, safe_list, 1);
		}
		lua_setfield(lua, -2, *names);
	}
	lua_remove(lua, -2);
}

static void open_strings(lua_State *lua)
{
	luaL_requiref(lua, LUA_STRLIBNAME, luaopen_string, 0);
	keep(lua, string_names, false);
	lua_pushcfunction(lua, safe_rep);
	lua_setfield(lua, -2, "rep");
	/* ("text"):upper() looks here. */
	lua_pushliteral(lua, "");
	lua_getmetatable(lua, -1);
	lua_pushvalue(lua, -3);
	lua_setfield(lua, -2, "__index");
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	lua_pop(lua, 2);
}

/* The libraries fill a global table that is then thrown away for one with what was kept. */
static void open_libraries(lua_State *lua)
{
	luaL_requiref(lua, LUA_GNAME, luaopen_base, 0);
	lua_getfield(lua, -1, "setmetatable");
	lua_pushcclosure(lua, safe_setmetatable, 1);
	lua_insert(lua, -2);
	keep(lua, base_names, false);
	lua_insert(lua, -2);
	lua_setfield(lua, -2, "setmetatable");
	open_strings(lua);
	lua_setfield(lua, -2, LUA_STRLIBNAME);
	luaL_requiref(lua, LUA_TABLIBNAME, luaopen_table, 0);
	keep(lua, table_names, true);
	lua_setfield(lua, -2, LUA_TABLIBNAME);
	luaL_requiref(lua, LUA_MATHLIBNAME, luaopen_math, 0);
	lua_setfield(lua, -2, LUA_MATHLIBNAME);
	lua_pushvalue(lua, -1);
	lua_setfield(lua, -2, LUA_GNAME);
	lua_rawseti(lua, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}

/* "FILE:1: unexpected symbol near ..." is no help to who never heard that it should be Lua. */
static int not_lua(lua_State *lua)
{
	const char *text = lua_tostring(lua, -1);
	const char *what = text ? strstr(text, ": ") : NULL;

	if (what) {
		lua_pushlstring(lua, text, (size_t)(what - text));
		lua_pushfstring(lua, "%s: not valid Lua%s", lua_tostring(lua, -1), what);
	}
	return lua_error(lua);
}

static int host_body(lua_State *lua)
{
	struct host *host = host_of(lua);

	open_libraries(lua);
	verbs_open(lua, &host->verbs);
	if (luaL_loadbufferx(lua, host->source, host->size, "=" CHUNK, "t") != LUA_OK) {
		return not_lua(lua);
	}
	host->deadline_ns = cpu_ns() + TIME_MAX_NS;
	lua_sethook(lua, host_hook, LUA_MASKCOUNT, HOOK_STEPS);
	lua_call(lua, 0, 0);
	return 0;
}

/* Every message begins with a place: errors thrown with no position get the innermost line. */
static int host_message(lua_State *lua)
{
	const char *text = lua_tostring(lua, 1);

	if (!text) {
		text = lua_pushfstring(lua, "error() with a %s instead of a message",
				       luaL_typename(lua, 1));
	}
	if (strncmp(text, CHUNK ":", strlen(CHUNK ":")) != 0) {
		lua_pushfstring(lua, CHUNK ":%d: %s", verbs_line(lua), text);
	}
	return 1;
}

/* One line, with the file's name for CHUNK. */
static void host_explain(char *error, unsigned size, const char *name, const char *text)
{
	unsigned used = 0;

	for (; *text && used + 1 < size; text++) {
		if (*text == *CHUNK) {
			int n = snprintf(error + used, size - used, "%s", name);

			used = used + (unsigned)n < size ? used + (unsigned)n : size - 1;
		} else {
			error[used++] = *text;
			if (iscntrl((unsigned char)*text)) {
				error[used - 1] = ' ';
			}
		}
	}
	error[used] = '\0';
}

static void host_failed(const struct host *host, int status, const char *name, char *error,
			unsigned size)
{
	const char *text = lua_tostring(host->lua, -1);
	char limit[128];
	int line = host->refused_line > 0 ? host->refused_line : 1;

	if (status == LUA_ERRMEM && host->stop == STOP_TIME) {
		snprintf(limit, sizeof(limit), CHUNK ":%d: stopped after %d s: an endless loop?",
			 line, (int)(TIME_MAX_NS / 1000000000u));
		text = limit;
	} else if (status == LUA_ERRMEM) {
		snprintf(limit, sizeof(limit),
			 CHUNK ":%d: stopped: needs more than %u MiB of memory", line,
			 MEMORY_MAX >> 20);
		text = limit;
	} else if (!text) {
		text = CHUNK ":1: failed without a message";
	}
	host_explain(error, size, name, text);
}

/* Compiled Lua and other binaries never reach the parser. */
static int check_text(const char *source, size_t size, const char *name, char *error,
		      unsigned error_size)
{
	unsigned line = 1;

	if (size && source[0] == LUA_SIGNATURE[0]) {
		snprintf(error, error_size,
			 "%s:1: compiled Lua is not accepted: expected the program's text", name);
		return -EINVAL;
	}
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)source[i];

		line += c == '\n';
		if ((c < ' ' && !isspace(c)) || c == 0x7f) {
			snprintf(error, error_size,
				 "%s:%u: not text (byte 0x%02x): expected a Lua program", name,
				 line, c);
			return -EINVAL;
		}
	}
	return 0;
}

static unsigned count_lines(const char *source, size_t size)
{
	unsigned lines = 1;

	for (size_t i = 0; i + 1 < size; i++) {
		lines += source[i] == '\n';
	}
	return lines;
}

int host_run(struct config *config, const char *source, unsigned long size, const char *name,
	     char *error, unsigned error_size)
{
	struct host host = {.verbs = {.config = config}, .source = source, .size = size};
	int status;

	if (check_text(source, size, name, error, error_size)) {
		return -EINVAL;
	}
	host.lua = lua_newstate(host_alloc, &host);
	if (!host.lua) {
		snprintf(error, error_size, "%s:1: out of memory", name);
		return -ENOMEM;
	}
	*(struct host **)lua_getextraspace(host.lua) = &host;
	lua_pushcfunction(host.lua, host_message);
	lua_pushcfunction(host.lua, host_body);
	status = lua_pcall(host.lua, 0, 0, 1);
	if (status != LUA_OK) {
		host_failed(&host, status, name, error, error_size);
	} else if (!config->port_count) {
		snprintf(error, error_size,
			 "%s:%u: no port by the end of the file: expected at least one, as in "
			 "port \"eth1\"",
			 name, count_lines(source, size));
		status = LUA_ERRRUN;
	}
	lua_close(host.lua);
	return status == LUA_OK ? 0 : -EINVAL;
}
