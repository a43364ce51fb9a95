// SPDX-License-Identifier: BSD-2-Clause
#include "lua/verbs.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A value that is one of a few words. */
struct word {
	const char *name;
	int value;
};

static const struct word modes[] = {{"auto", CONFIG_AUTO},
				    {"zerocopy", CONFIG_ZEROCOPY},
				    {"copy", CONFIG_COPY},
				    {"generic", CONFIG_GENERIC},
				    {NULL, 0}};
static const struct word failures[] = {{"kernel", false}, {"drop", true}, {NULL, 0}};
static const struct word hooks[] = {{"kernel", false}, {"bypass", true}, {NULL, 0}};
static const char *const port_keys[] = {"mode", "queues", "optional", NULL};
static const char *const limit_keys[] = {"routes", "neighbours", "fdb", NULL};

#define LIMIT_MAX 10000000 /* entries; a table's numbers go further, machines do not */

static int verb_port(lua_State *lua);
static int verb_workers(lua_State *lua);
static int verb_on_failure(lua_State *lua);
static int verb_netfilter(lua_State *lua);
static int verb_limits(lua_State *lua);

static const struct luaL_Reg verb_table[] = {
	{"port", verb_port},           {"workers", verb_workers}, {"on_failure", verb_on_failure},
	{"netfilter", verb_netfilter}, {"limits", verb_limits},   {NULL, NULL}};

/* A slip of the finger: one letter too many, missing, wrong or swapped is 1, a missing or surplus
 * end its length; 3 is anything worse. */
static unsigned slips(const char *a, const char *b)
{
	unsigned best, other;

	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (!*a || !*b) {
		best = (unsigned)(strlen(a) + strlen(b));
		return best < 3 ? best : 3;
	}
	if (a[0] == b[1] && a[1] == b[0] && a[1]) {
		return !strcmp(a + 2, b + 2) ? 1 : 3;
	}
	best = strcmp(a + 1, b + 1) ? 3 : 1;
	other = strcmp(a + 1, b) ? 3 : 1;
	best = other < best ? other : best;
	other = strcmp(a, b + 1) ? 3 : 1;
	return other < best ? other : best;
}

static void suggest(luaL_Buffer *text, const char *word, const char *name, bool *done)
{
	if (!*done && slips(word, name) < 3) {
		luaL_addstring(text, " (did you mean '");
		luaL_addstring(text, name);
		luaL_addstring(text, "'?)");
		*done = true;
	}
}

static struct verbs *verbs_of(lua_State *lua)
{
	return lua_touserdata(lua, lua_upvalueindex(1));
}

int verbs_line(lua_State *lua)
{
	lua_Debug ar;

	for (int level = 0; lua_getstack(lua, level, &ar); level++) {
		lua_getinfo(lua, "l", &ar);
		if (ar.currentline > 0) {
			return ar.currentline;
		}
	}
	return 0;
}

static void check_arguments(lua_State *lua, const char *verb)
{
	if (lua_gettop(lua) != 1) {
		luaL_error(lua, "%s: expected one value, got %d", verb, lua_gettop(lua));
	}
}

/* What is at `index`, as a message shows it. */
static const char *shown(lua_State *lua, int index)
{
	switch (lua_type(lua, index)) {
	case LUA_TSTRING:
		return lua_pushfstring(lua, "\"%s\"", lua_tostring(lua, index));
	case LUA_TNUMBER:
		lua_pushvalue(lua, index);
		return lua_tostring(lua, -1);
	case LUA_TNIL:
		return "nothing";
	default:
		return lua_pushfstring(lua, "a %s", luaL_typename(lua, index));
	}
}

/* `what` names the value: "on_failure", or "port \"eth1\": mode". */
static int check_word(lua_State *lua, int index, const char *what, const struct word *words)
{
	const char *expected;
	luaL_Buffer text;

	index = lua_absindex(lua, index);
	if (lua_type(lua, index) == LUA_TSTRING) {
		for (const struct word *word = words; word->name; word++) {
			if (!strcmp(lua_tostring(lua, index), word->name)) {
				return word->value;
			}
		}
	}
	luaL_buffinit(lua, &text);
	for (const struct word *word = words; word->name; word++) {
		const char *before = word == words ? "" : word[1].name ? ", " : " or ";

		luaL_addstring(&text, before);
		luaL_addchar(&text, '"');
		luaL_addstring(&text, word->name);
		luaL_addchar(&text, '"');
	}
	luaL_pushresult(&text);
	expected = lua_tostring(lua, -1);
	return luaL_error(lua, "%s: expected %s, got %s", what, expected, shown(lua, index));
}

static void check_once(lua_State *lua, const char *verb, int *line)
{
	if (*line) {
		luaL_error(lua, "%s is already given at line %d: expected it once", verb, *line);
	}
	*line = verbs_line(lua);
}

/* As dev_valid_name() of the kernel, and no control characters. */
static const char *check_ifname(lua_State *lua, int index)
{
	const char *name;
	size_t size;

	if (lua_type(lua, index) != LUA_TSTRING) {
		luaL_error(lua, "port: expected an interface name, as in port \"eth1\", got %s",
			   shown(lua, index));
	}
	name = lua_tolstring(lua, index, &size);
	if (!size) {
		luaL_error(lua, "port: expected an interface name, got an empty one");
	}
	if (size >= SHUNT_IFNAME_SIZE) {
		luaL_error(lua,
			   "port: interface name \"%s\" is too long: expected at most %d bytes",
			   name, (int)SHUNT_IFNAME_SIZE - 1);
	}
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c <= ' ' || c == 0x7f || c == '/' || c == ':') {
			luaL_error(lua,
				   "port: no interface can be named \"%s\": expected no '/', ':', "
				   "space or control character",
				   name);
		}
	}
	if (!strcmp(name, ".") || !strcmp(name, "..")) {
		luaL_error(lua, "port: no interface can be named \"%s\"", name);
	}
	return name;
}

static void port_queues(lua_State *lua, struct config_port *port)
{
	lua_Integer queues;
	int whole;

	if (lua_type(lua, -1) == LUA_TSTRING && !strcmp(lua_tostring(lua, -1), "all")) {
		port->queues = 0;
		return;
	}
	queues = lua_type(lua, -1) == LUA_TNUMBER ? lua_tointegerx(lua, -1, &whole) : 0;
	if (queues < 1 || queues > SHUNT_QUEUES_MAX) {
		luaL_error(lua,
			   "port \"%s\": queues: expected \"all\" or a number from 1 to %d, got %s",
			   port->name, (int)SHUNT_QUEUES_MAX, shown(lua, -1));
	}
	port->queues = (unsigned)queues;
}

/* The value is at the top, its key below. */
static void port_option(lua_State *lua, struct config_port *port)
{
	const char *key, *what;
	luaL_Buffer text;
	bool done = false;

	if (lua_type(lua, -2) != LUA_TSTRING) {
		luaL_error(lua,
			   "port \"%s\": expected one name and options, got also [%s]: a port "
			   "statement each, please",
			   port->name, shown(lua, -2));
	}
	key = lua_tostring(lua, -2);
	if (!strcmp(key, "mode")) {
		what = lua_pushfstring(lua, "port \"%s\": mode", port->name);
		port->mode = (enum config_mode)check_word(lua, -2, what, modes);
		lua_pop(lua, 1);
	} else if (!strcmp(key, "queues")) {
		port_queues(lua, port);
	} else if (!strcmp(key, "optional")) {
		if (!lua_isboolean(lua, -1)) {
			luaL_error(lua, "port \"%s\": optional: expected true or false, got %s",
				   port->name, shown(lua, -1));
		}
		port->optional = lua_toboolean(lua, -1);
	} else {
		luaL_buffinit(lua, &text);
		for (const char *const *known = port_keys; *known; known++) {
			suggest(&text, key, *known, &done);
		}
		luaL_pushresult(&text);
		luaL_error(lua,
			   "port \"%s\": unknown option '%s'%s: expected mode, queues or optional",
			   port->name, key, lua_tostring(lua, -1));
	}
}

static void port_table(lua_State *lua, struct config_port *port)
{
	lua_rawgeti(lua, 1, 1);
	snprintf(port->name, sizeof(port->name), "%s", check_ifname(lua, -1));
	lua_pop(lua, 1);
	lua_pushnil(lua);
	while (lua_next(lua, 1)) {
		if (!lua_isinteger(lua, -2) || lua_tointeger(lua, -2) != 1) {
			port_option(lua, port);
		}
		lua_pop(lua, 1);
	}
}

static int verb_port(lua_State *lua)
{
	struct verbs *verbs = verbs_of(lua);
	struct config *config = verbs->config;
	struct config_port port = {.mode = CONFIG_AUTO};

	check_arguments(lua, "port");
	if (lua_type(lua, 1) == LUA_TTABLE) {
		port_table(lua, &port);
	} else {
		snprintf(port.name, sizeof(port.name), "%s", check_ifname(lua, 1));
	}
	for (unsigned i = 0; i < config->port_count; i++) {
		if (!strcmp(config->port[i].name, port.name)) {
			return luaL_error(lua,
					  "port \"%s\" is already given at line %d: expected "
					  "each port once",
					  port.name, verbs->port_line[i]);
		}
	}
	if (config->port_count == SHUNT_PORTS_MAX) {
		return luaL_error(lua, "port \"%s\": too many ports: expected at most %d",
				  port.name, (int)SHUNT_PORTS_MAX);
	}
	verbs->port_line[config->port_count] = verbs_line(lua);
	config->port[config->port_count++] = port;
	return 0;
}

static int check_core(lua_State *lua, int index)
{
	long cores = sysconf(_SC_NPROCESSORS_CONF);
	lua_Integer core;
	int whole = 0;

	core = lua_type(lua, index) == LUA_TNUMBER ? lua_tointegerx(lua, index, &whole) : -1;
	if (!whole || core < 0) {
		luaL_error(lua, "workers: expected the number of a core, got %s",
			   shown(lua, index));
	}
	if (core >= cores) {
		luaL_error(lua, "workers: there is no core %d: expected 0 to %d", (int)core,
			   (int)cores - 1);
	}
	return (int)core;
}

static int workers_list(lua_State *lua)
{
	size_t count = 0;

	lua_pushnil(lua);
	while (lua_next(lua, 1)) {
		if (!lua_isinteger(lua, -2)) {
			luaL_error(lua, "workers: expected a list of cores, got the key %s",
				   shown(lua, -2));
		}
		count++;
		lua_pop(lua, 1);
	}
	if (count > 1) {
		luaL_error(lua,
			   "workers: got %d cores: this release has one worker, expected one core",
			   (int)count);
	}
	lua_rawgeti(lua, 1, 1);
	return check_core(lua, -1);
}

static int verb_workers(lua_State *lua)
{
	struct verbs *verbs = verbs_of(lua);
	lua_Integer count;
	int whole = 0, cpu = -1;

	check_arguments(lua, "workers");
	check_once(lua, "workers", &verbs->workers_line);
	switch (lua_type(lua, 1)) {
	case LUA_TTABLE:
		cpu = workers_list(lua);
		break;
	case LUA_TNUMBER:
		count = lua_tointegerx(lua, 1, &whole);
		if (whole && count > 1) {
			return luaL_error(lua,
					  "workers: got %s: this release has one worker, "
					  "expected \"auto\", 1 or { CORE }",
					  shown(lua, 1));
		}
		if (whole && count == 1) {
			break;
		}
		/* fall through */
	default:
		if (lua_type(lua, 1) != LUA_TSTRING || strcmp(lua_tostring(lua, 1), "auto")) {
			return luaL_error(lua, "workers: expected \"auto\", 1 or { CORE }, got %s",
					  shown(lua, 1));
		}
	}
	verbs->config->worker_cpu = cpu;
	return 0;
}

static int verb_on_failure(lua_State *lua)
{
	struct verbs *verbs = verbs_of(lua);

	check_arguments(lua, "on_failure");
	check_once(lua, "on_failure", &verbs->on_failure_line);
	verbs->config->drop = check_word(lua, 1, "on_failure", failures);
	return 0;
}

static int verb_netfilter(lua_State *lua)
{
	struct verbs *verbs = verbs_of(lua);

	check_arguments(lua, "netfilter");
	check_once(lua, "netfilter", &verbs->netfilter_line);
	verbs->config->netfilter_bypass = check_word(lua, 1, "netfilter", hooks);
	return 0;
}

/* Where a limit goes, by its key. */
static unsigned *limit_of(struct config *config, const char *key)
{
	unsigned *const limits[] = {&config->limit_routes, &config->limit_neighbours,
				    &config->limit_fdb};

	for (unsigned i = 0; limit_keys[i]; i++) {
		if (!strcmp(key, limit_keys[i])) {
			return limits[i];
		}
	}
	return NULL;
}

/* The value is at the top, its key below. */
static void limit_option(lua_State *lua, struct config *config)
{
	const char *key = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : "";
	unsigned *limit = limit_of(config, key);
	lua_Integer value;
	luaL_Buffer text;
	bool done = false;
	int whole = 0;

	if (!limit) {
		luaL_buffinit(lua, &text);
		for (const char *const *known = limit_keys; *known; known++) {
			suggest(&text, key, *known, &done);
		}
		luaL_pushresult(&text);
		luaL_error(lua, "limits: unknown table '%s'%s: expected routes, neighbours or fdb",
			   key, lua_tostring(lua, -1));
	}
	value = lua_type(lua, -1) == LUA_TNUMBER ? lua_tointegerx(lua, -1, &whole) : 0;
	if (!whole || value < 1 || value > LIMIT_MAX) {
		luaL_error(lua, "limits: %s: expected a number from 1 to %d, got %s", key,
			   LIMIT_MAX, shown(lua, -1));
	}
	*limit = (unsigned)value;
}

static int verb_limits(lua_State *lua)
{
	struct verbs *verbs = verbs_of(lua);

	check_arguments(lua, "limits");
	check_once(lua, "limits", &verbs->limits_line);
	if (lua_type(lua, 1) != LUA_TTABLE) {
		return luaL_error(lua,
				  "limits: expected a table, as in limits { routes = 100000 }, "
				  "got %s",
				  shown(lua, 1));
	}
	lua_pushnil(lua);
	while (lua_next(lua, 1)) {
		limit_option(lua, verbs->config);
		lua_pop(lua, 1);
	}
	return 0;
}

/* Reading a global that nobody set: most of the time a verb with a slip in it, or a name without
 * its quotes. */
static int unknown_global(lua_State *lua)
{
	luaL_Buffer text;
	bool done = false;
	const char *name;

	if (lua_type(lua, 2) != LUA_TSTRING) {
		lua_pushnil(lua);
		return 1;
	}
	name = lua_tostring(lua, 2);
	luaL_buffinit(lua, &text);
	for (const struct luaL_Reg *verb = verb_table; verb->name; verb++) {
		suggest(&text, name, verb->name, &done);
	}
	if (!done) {
		luaL_addstring(&text, ": expected port, workers, on_failure, netfilter or limits "
				      "(text goes in quotes)");
	}
	luaL_pushresult(&text);
	return luaL_error(lua, "unknown verb '%s'%s", name, lua_tostring(lua, -1));
}

void verbs_open(lua_State *lua, struct verbs *verbs)
{
	lua_pushglobaltable(lua);
	lua_pushlightuserdata(lua, verbs);
	luaL_setfuncs(lua, verb_table, 1);
	lua_createtable(lua, 0, 2);
	lua_pushcfunction(lua, unknown_global);
	lua_setfield(lua, -2, "__index");
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	lua_setmetatable(lua, -2);
	lua_pop(lua, 1);
}
