/* SPDX-License-Identifier: BSD-2-Clause */
/* config: what the file may say, and that each mistake is named by file and line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"

static char path[64];
static char message[512];

static int load(struct config **out, const char *text, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	message[0] = '\0';
	return config_load(out, path, message, sizeof(message));
}

/* The whole message is "FILE:" and `expected`. */
static void refused(const char *text, const char *expected)
{
	struct config *config = NULL;
	char whole[512];

	snprintf(whole, sizeof(whole), "%s:%s", path, expected);
	assert_int_equal(load(&config, text, strlen(text)), -EINVAL);
	assert_null(config);
	assert_string_equal(message, whole);
}

/* The message begins with "FILE:LINE: " and has `part` in it; one line. */
static void refused_with(const char *text, int line, const char *part)
{
	struct config *config = NULL;
	char start[128];

	snprintf(start, sizeof(start), "%s:%d: ", path, line);
	assert_int_equal(load(&config, text, strlen(text)), -EINVAL);
	assert_null(config);
	if (strncmp(message, start, strlen(start)) || !strstr(message, part)) {
		fail_msg("got: %s, expected %s...%s", message, start, part);
	}
	assert_null(strchr(message, '\n'));
}

static struct config *accepted(const char *text)
{
	struct config *config = NULL;

	if (load(&config, text, strlen(text))) {
		fail_msg("refused: %s", message);
	}
	return config;
}

static void a_port_alone_has_defaults(void **state)
{
	struct config *config = accepted("port \"eth1\"\n");

	assert_int_equal(config->port_count, 1);
	assert_string_equal(config->port[0].name, "eth1");
	assert_int_equal(config->port[0].mode, CONFIG_AUTO);
	assert_int_equal(config->port[0].queues, 0);
	assert_int_equal(config->worker_cpu, -1);
	assert_false(config->drop);
	assert_false(config->netfilter_bypass);
	assert_int_equal(config->limit_routes, 2000000);
	assert_int_equal(config->limit_neighbours, 262144);
	assert_int_equal(config->limit_fdb, 262144);
	config_free(config);
}

static void everything_can_be_said(void **state)
{
	struct config *config = accepted("for i = 1, 3 do port(\"eth\" .. i) end\n"
					 "port { \"wan-0.7\", mode = \"zerocopy\", queues = 4 }\n"
					 "port { \"b\", mode = \"copy\", queues = \"all\" }\n"
					 "port { \"c\", mode = \"generic\", optional = true }\n"
					 "workers { 0 }\n"
					 "on_failure \"drop\"\n"
					 "netfilter \"bypass\"\n"
					 "limits { routes = 1000, neighbours = 20, fdb = 3 }\n");

	assert_int_equal(config->port_count, 6);
	assert_string_equal(config->port[2].name, "eth3");
	assert_string_equal(config->port[3].name, "wan-0.7");
	assert_int_equal(config->port[3].mode, CONFIG_ZEROCOPY);
	assert_int_equal(config->port[3].queues, 4);
	assert_int_equal(config->port[4].mode, CONFIG_COPY);
	assert_int_equal(config->port[4].queues, 0);
	assert_int_equal(config->port[5].mode, CONFIG_GENERIC);
	assert_true(config->port[5].optional);
	assert_false(config->port[4].optional);
	assert_int_equal(config->worker_cpu, 0);
	assert_true(config->drop);
	assert_true(config->netfilter_bypass);
	assert_int_equal(config->limit_routes, 1000);
	assert_int_equal(config->limit_neighbours, 20);
	assert_int_equal(config->limit_fdb, 3);
	config_free(config);
}

static void the_plain_words_are_accepted(void **state)
{
	struct config *config = accepted("port \"a\" workers \"auto\" on_failure \"kernel\" "
					 "netfilter \"kernel\"");

	assert_int_equal(config->worker_cpu, -1);
	assert_false(config->drop);
	assert_false(config->netfilter_bypass);
	config_free(config);
	config = accepted("port \"a\" workers(1)");
	assert_int_equal(config->worker_cpu, -1);
	config_free(config);
}

static void an_unknown_verb_is_named_with_a_suggestion(void **state)
{
	refused("\nprot \"eth1\"\n", "2: unknown verb 'prot' (did you mean 'port'?)");
	refused("on_failur \"drop\"", "1: unknown verb 'on_failur' (did you mean 'on_failure'?)");
	refused("worker(1)", "1: unknown verb 'worker' (did you mean 'workers'?)");
	refused("port(eth1)", "1: unknown verb 'eth1': expected port, workers, on_failure, "
			      "netfilter or limits (text goes in quotes)");
}

static void a_wrong_type_says_what_was_expected(void **state)
{
	refused("port(7)", "1: port: expected an interface name, as in port \"eth1\", got 7");
	refused("port()", "1: port: expected one value, got 0");
	refused("port { mode = \"copy\" }",
		"1: port: expected an interface name, as in port \"eth1\", got nothing");
	refused("port { { } }",
		"1: port: expected an interface name, as in port \"eth1\", got a table");
	refused("port { \"a\", \"b\" }", "1: port \"a\": expected one name and options, got also "
					 "[2]: a port statement each, please");
	refused("port { \"a\", mode = \"fast\" }",
		"1: port \"a\": mode: expected \"auto\", \"zerocopy\", \"copy\" or \"generic\", "
		"got \"fast\"");
	refused("port { \"a\", mode = true }",
		"1: port \"a\": mode: expected \"auto\", \"zerocopy\", \"copy\" or \"generic\", "
		"got a boolean");
	refused("on_failure(false)", "1: on_failure: expected \"kernel\" or \"drop\", got a "
				     "boolean");
	refused("limits(7)",
		"1: limits: expected a table, as in limits { routes = 100000 }, got 7");
	refused("limits { route = 7 }",
		"1: limits: unknown table 'route' (did you mean 'routes'?): "
		"expected routes, neighbours or fdb");
	refused("limits { fdb = 0 }",
		"1: limits: fdb: expected a number from 1 to 10000000, got 0");
	refused("limits { routes = \"many\" }",
		"1: limits: routes: expected a number from 1 to 10000000, got \"many\"");
	refused("limits { fdb = 1 }\nlimits { fdb = 2 }",
		"2: limits is already given at line 1: expected it once");
	refused("netfilter \"off\"",
		"1: netfilter: expected \"kernel\" or \"bypass\", got \"off\"");
}

static void optional_must_be_true_or_false(void **state)
{
	refused("port { \"a\", optional = \"yes\" }",
		"1: port \"a\": optional: expected true or false, got \"yes\"");
}

static void queues_must_be_a_number_that_can_be_bound(void **state)
{
	static const char *const bad[] = {"0", "-1", "65", "1.5", "\"4\"", "\"some\"", "{}"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[64];

		snprintf(text, sizeof(text), "\n\nport { \"a\", queues = %s }", bad[i]);
		refused_with(text, 3,
			     "port \"a\": queues: expected \"all\" or a number from 1 to "
			     "64, got ");
	}
}

static void an_unknown_option_is_named_with_a_suggestion(void **state)
{
	refused("port { \"a\", mod = \"copy\" }",
		"1: port \"a\": unknown option 'mod' (did you "
		"mean 'mode'?): expected mode, queues or optional");
	refused("port { \"a\", speed = 1 }",
		"1: port \"a\": unknown option 'speed': expected mode, queues or optional");
}

static void a_name_no_interface_can_have_is_refused(void **state)
{
	refused("port \"\"", "1: port: expected an interface name, got an empty one");
	refused("port \"0123456789abcdef\"", "1: port: interface name \"0123456789abcdef\" is too "
					     "long: expected at most 15 bytes");
	refused_with("port \"a/b\"", 1, "no interface can be named \"a/b\"");
	refused_with("port \"a b\"", 1, "no interface can be named \"a b\"");
	refused_with("port \"a:b\"", 1, "no interface can be named \"a:b\"");
	refused_with("port \"..\"", 1, "no interface can be named \"..\"");
	refused_with("port \"a\\n\"", 1, "no interface can be named");
	refused_with("port \"a\\0b\"", 1, "no interface can be named");
	config_free(accepted("port \"0123456789abcde\""));
}

static void a_port_named_twice_names_both_lines(void **state)
{
	refused("port \"a\"\nport \"b\"\n\nport { \"a\", queues = 1 }\n",
		"4: port \"a\" is already given at line 1: expected each port once");
}

static void no_port_at_all_is_an_error(void **state)
{
	refused("", "1: no port by the end of the file: expected at least one, as in port "
		    "\"eth1\"");
	refused("-- nothing\nworkers(1)\n", "2: no port by the end of the file: expected at least "
					    "one, as in port \"eth1\"");
}

static void more_ports_than_there_is_room_for_are_refused(void **state)
{
	refused("for i = 1, 65 do\nport(\"e\" .. i) end",
		"2: port \"e65\": too many ports: expected at most 64");
	config_free(accepted("for i = 1, 64 do port(\"e\" .. i) end"));
}

static void a_setting_given_twice_names_both_lines(void **state)
{
	refused("on_failure \"drop\"\non_failure \"drop\"",
		"2: on_failure is already given at line 1: expected it once");
	refused("workers(1)\n\nworkers(1)",
		"3: workers is already given at line 1: expected it once");
	refused("netfilter \"kernel\" netfilter \"bypass\"",
		"1: netfilter is already given at line 1: expected it once");
}

static void more_than_one_worker_is_refused(void **state)
{
	refused("workers(2)", "1: workers: got 2: this release has one worker, expected \"auto\", "
			      "1 or { CORE }");
	refused("workers { 0, 1 }",
		"1: workers: got 2 cores: this release has one worker, expected one core");
	refused("workers(0)", "1: workers: expected \"auto\", 1 or { CORE }, got 0");
	refused("workers \"many\"", "1: workers: expected \"auto\", 1 or { CORE }, got \"many\"");
	refused("workers { }", "1: workers: expected the number of a core, got nothing");
	refused("workers { cpu = 1 }", "1: workers: expected a list of cores, got the key \"cpu\"");
}

static void a_core_that_does_not_exist_is_refused(void **state)
{
	long cores = sysconf(_SC_NPROCESSORS_CONF);
	char text[64], expected[128];

	snprintf(text, sizeof(text), "workers { %ld }", cores);
	snprintf(expected, sizeof(expected), "1: workers: there is no core %ld: expected 0 to %ld",
		 cores, cores - 1);
	refused(text, expected);
	refused("workers { -1 }", "1: workers: expected the number of a core, got -1");
	refused_with("workers { 1 << 40 }", 1, "there is no core");
}

static void what_is_not_lua_says_so(void **state)
{
	refused_with("ports = eth1 eth2 {", 1, "not valid Lua: ");
	refused_with("{\"ports\": [1]}", 1, "not valid Lua: ");
	refused_with("port \"a\"\nport \"b\n", 2, "not valid Lua: unfinished string");
	refused_with("[port]\nname=eth1\n", 1, "not valid Lua: ");
}

static void bytecode_and_binaries_are_refused(void **state)
{
	static const char binary[] = "port \"a\"\n\0\1\2";
	struct config *config = NULL;
	char expected[128];

	refused_with("\033LuaT", 1, "compiled Lua is not accepted");
	assert_int_equal(load(&config, binary, sizeof(binary) - 1), -EINVAL);
	snprintf(expected, sizeof(expected), "%s:2: not text (byte 0x00): expected a Lua program",
		 path);
	assert_string_equal(message, expected);
}

static void the_outside_is_out_of_reach(void **state)
{
	static const char *const names[] = {
		"io",     "os",    "debug",  "package",        "require",   "load", "loadfile",
		"dofile", "print", "xpcall", "collectgarbage", "coroutine", "utf8", "loadstring",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char text[64], expected[64];

		snprintf(text, sizeof(text), "local x = %s", names[i]);
		snprintf(expected, sizeof(expected), "unknown verb '%s'", names[i]);
		refused_with(text, 1, expected);
	}
	refused_with("local x = string.dump(port)", 1, "nil value (field 'dump')");
	refused_with("local x = (\"x\"):find(\"x\")", 1, "nil value (method 'find')");
	refused_with("getmetatable(\"\").__index = 1", 1, "attempt to index a boolean");
	refused_with("setmetatable(_G, {})", 1, "cannot change a protected metatable");
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Bounded: the limits are 2 s of CPU, the rest is for sanitizers. */
static void stopped(const char *text, int line)
{
	double start = seconds();

	refused_with(text, line, "stopped");
	if (seconds() - start > 15) {
		fail_msg("took %.1f s: %s", seconds() - start, text);
	}
}

static void endless_loops_stop(void **state)
{
	stopped("port \"a\"\nwhile true do end", 2);
	stopped("\nwhile true do pcall(function()\nwhile true do end end) end", 3);
	stopped("local function f() return f() end\nf()", 1);
	stopped("local t <close> = setmetatable({}, { __close = function()\n"
		"while true do end end })\nerror(\"x\")",
		2);
	stopped("local function f(...)\nwhile true do local a, b = ... end end\n"
		"f(string.byte((\"x\"):rep(300000), 1, -1))",
		2);
}

static void memory_bombs_stop(void **state)
{
	stopped("local t = {}\nfor i = 1, 1e9 do\nt[i] = i end", 3);
	stopped("local s = \"x\"\nwhile true do s = s .. s end", 2);
	stopped("local s = (\"x\"):rep(67000000)", 1);
	stopped("\nwhile true do pcall(string.rep, \"x\", 60000000) end", 2);
	stopped("local t = {}\nfor i = 1, 1e9 do t[i] = function() return t end end", 2);
}

static void a_call_cannot_go_on_for_ever_in_c(void **state)
{
	config_free(accepted("port \"a\" assert(string.rep(\"\", 1 << 62) == \"\")"));
	refused_with("local t = setmetatable({}, { __len = function() return 1 << 60 end })\n"
		     "table.insert(t, 1, 1)",
		     2, "expected a list without a metatable");
	refused_with("local t = setmetatable({}, { __index = table.concat })\n"
		     "table.concat(t, \"\", 1, 1 << 60)",
		     2, "expected a list without a metatable");
	refused_with("local t = {}\nfor i = 1, 70000 do t[i] = 1 end\ntable.insert(t, 1, 1)", 3,
		     "list too long");
	refused_with("setmetatable({}, { __gc = function() while true do end end })", 1,
		     "__gc is not available");
	refused_with("local x = table.move", 1, "no port");
	refused_with("string.rep(\"xx\", 1 << 62)", 1, "over the memory limit");
}

static void ordinary_lua_works(void **state)
{
	struct config *config = accepted(
		"local names = { \"b\", \"a\" }\n"
		"table.insert(names, \"c\") table.sort(names)\n"
		"assert(table.concat(names, \",\") == \"a,b,c\")\n"
		"assert(not pcall(error, \"x\"))\n"
		"lan = (\"x\"):upper():rep(2, \"-\") assert(lan == \"X-X\")\n"
		"assert(select(\"#\", table.unpack(names)) == 3 and table.remove(names) == \"c\")\n"
		"assert(math.max(1, 2) == 2 and string.format(\"%03d\", 7) == \"007\")\n"
		"for _, name in ipairs(names) do port(name) end\n");

	assert_int_equal(config->port_count, 2);
	assert_string_equal(config->port[0].name, "a");
	config_free(config);
}

static void errors_of_the_file_itself_have_a_line(void **state)
{
	refused("\nerror(\"no luck\")", "2: no luck");
	refused("\nerror(\"no luck\", 0)", "2: no luck");
	refused("\nerror({})", "2: error() with a table instead of a message");
	refused("\n\nlocal x = nil + 1", "3: attempt to perform arithmetic on a nil value");
	refused("error(\"two\\nlines\")", "1: two lines");
	refused_with("local function f() f() end\nf()", 1, "stopped: needs more than 64 MiB");
	refused_with("pcall(port, \"a/b\")", 1, "no port");
}

static void files_that_cannot_be_read_are_named(void **state)
{
	struct config *config = NULL;
	char expected[128];

	assert_int_equal(config_load(&config, "/nonexistent/x.lua", message, sizeof(message)),
			 -ENOENT);
	assert_string_equal(message, "/nonexistent/x.lua: No such file or directory");
	assert_int_equal(config_load(&config, "/tmp", message, sizeof(message)), -EINVAL);
	assert_string_equal(message, "/tmp: not a file");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(config_load(&config, path, message, sizeof(message)), -EINVAL);
	snprintf(expected, sizeof(expected), "%s: not a file", path);
	assert_string_equal(message, expected);
	unlink(path);
}

static void a_file_far_too_long_is_refused(void **state)
{
	size_t size = (1u << 20) + 1;
	struct config *config = NULL;
	char *text = malloc(size);

	assert_non_null(text);
	memset(text, ' ', size);
	assert_int_equal(load(&config, text, size), -EFBIG);
	assert_non_null(strstr(message, ": longer than 1 MiB"));
	free(text);
}

static void a_long_path_is_not_shortened(void **state)
{
	char dir[160] = "/tmp/", file[200], expected[256];
	char small[8];
	struct config *config = NULL;

	for (int i = 0; i < 8; i++) {
		strcat(dir, "0123456789abcde");
	}
	snprintf(dir + strlen(dir), 32, "-%d", getpid());
	snprintf(file, sizeof(file), "%s/x", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	fclose(fopen(file, "w"));
	assert_int_equal(config_load(&config, file, message, sizeof(message)), -EINVAL);
	snprintf(expected, sizeof(expected), "%s:1: no port", file);
	assert_memory_equal(message, expected, strlen(expected));
	assert_int_equal(config_load(&config, file, small, sizeof(small)), -EINVAL);
	assert_int_equal(strlen(small), sizeof(small) - 1);
	unlink(file);
	rmdir(dir);
}

static int remove_file(void **state)
{
	unlink(path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_alone_has_defaults),
		cmocka_unit_test(everything_can_be_said),
		cmocka_unit_test(the_plain_words_are_accepted),
		cmocka_unit_test(an_unknown_verb_is_named_with_a_suggestion),
		cmocka_unit_test(a_wrong_type_says_what_was_expected),
		cmocka_unit_test(optional_must_be_true_or_false),
		cmocka_unit_test(queues_must_be_a_number_that_can_be_bound),
		cmocka_unit_test(an_unknown_option_is_named_with_a_suggestion),
		cmocka_unit_test(a_name_no_interface_can_have_is_refused),
		cmocka_unit_test(a_port_named_twice_names_both_lines),
		cmocka_unit_test(no_port_at_all_is_an_error),
		cmocka_unit_test(more_ports_than_there_is_room_for_are_refused),
		cmocka_unit_test(a_setting_given_twice_names_both_lines),
		cmocka_unit_test(more_than_one_worker_is_refused),
		cmocka_unit_test(a_core_that_does_not_exist_is_refused),
		cmocka_unit_test(what_is_not_lua_says_so),
		cmocka_unit_test(bytecode_and_binaries_are_refused),
		cmocka_unit_test(the_outside_is_out_of_reach),
		cmocka_unit_test(endless_loops_stop),
		cmocka_unit_test(memory_bombs_stop),
		cmocka_unit_test(a_call_cannot_go_on_for_ever_in_c),
		cmocka_unit_test(ordinary_lua_works),
		cmocka_unit_test(errors_of_the_file_itself_have_a_line),
		cmocka_unit_test(files_that_cannot_be_read_are_named),
		cmocka_unit_test(a_file_far_too_long_is_refused),
		cmocka_unit_test(a_long_path_is_not_shortened),
	};

	snprintf(path, sizeof(path), "/tmp/shunt-test-config-%d.lua", getpid());
	return cmocka_run_group_tests(tests, NULL, remove_file);
}
