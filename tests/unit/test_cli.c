/* SPDX-License-Identifier: BSD-2-Clause */
/* The built shunt command against a fake daemon: stats segment and control socket, no switch. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "run/control.h"
#include "run/stats.h"

#define OUTPUT_SIZE (32u << 20)
#define MANY_ROUTES 100000

static char shunt[256], rundir[64];
static int shunt_fd; /* whoever runs it need not see the build directory */
static char *out;
static char err[4096];
static pid_t daemon_pid;

/* The fake daemon ---------------------------------------------------------------------------- */

static int answer_refresh(FILE *to, const char *args, char error[128], void *arg)
{
	struct stats *stats = arg;

	/* What the program counted appears only now: the command must ask before it looks. */
	stats->port[0].steer.passed[STEER_PASS_MULTICAST] = 30;
	stats->port[0].steer.passed[STEER_PASS_LOCAL] = 3;
	return 0;
}

static int answer_route(FILE *to, const char *args, char error[128], void *arg)
{
	fputs("{\"dst\":\"0.0.0.0/0\",\"family\":\"inet\",\"table\":\"main\",\"metric\":0,"
	      "\"nexthops\":[{\"via\":\"10.0.0.1\",\"dev\":\"eth1\",\"weight\":1}],"
	      "\"action\":\"forward\"}\n",
	      to);
	fputs("{\"dst\":\"10.1.0.0/16\",\"table\":\"main\",\"nexthops\":["
	      "{\"via\":\"10.0.0.2\",\"dev\":\"eth1\",\"weight\":1},"
	      "{\"dev\":\"eth2\",\"weight\":3}],\"action\":\"forward\"}\n",
	      to);
	fputs("{\"dst\":\"10.9.9.9/32\",\"table\":\"local\",\"nexthops\":[],"
	      "\"action\":\"kernel\"}\n",
	      to);
	return 0;
}

static int answer_many(FILE *to, const char *args, char error[128], void *arg)
{
	for (int i = 0; i < MANY_ROUTES; i++) {
		fprintf(to,
			"{\"dst\":\"10.%d.%d.0/24\",\"table\":\"main\",\"nexthops\":[{\"via\":"
			"\"10.0.0.1\",\"dev\":\"eth1\",\"weight\":1}],\"action\":\"forward\"}\n",
			i >> 8, i & 255);
	}
	return 0;
}

static int answer_neigh(FILE *to, const char *args, char error[128], void *arg)
{
	fputs("{\"dst\":\"10.0.0.1\",\"dev\":\"eth1\",\"lladdr\":\"02:00:00:00:00:01\","
	      "\"state\":\"REACHABLE\"}\n"
	      "{\"dst\":\"fe80::1\",\"dev\":\"eth2\",\"state\":\"FAILED\"}\n",
	      to);
	return 0;
}

static int answer_fdb(FILE *to, const char *args, char error[128], void *arg)
{
	fputs("{\"mac\":\"02:00:00:00:00:02\",\"vlan\":0,\"bridge\":\"br0\",\"dev\":\"eth1\","
	      "\"state\":\"dynamic\"}\n"
	      "{\"mac\":\"02:00:00:00:00:03\",\"vlan\":7,\"bridge\":\"br0\",\"dev\":\"eth2\","
	      "\"state\":\"static\"}\n",
	      to);
	return 0;
}

static int answer_mirror(FILE *to, const char *args, char error[128], void *arg)
{
	fputs("{\"state\":\"live\",\"resyncs\":1,\"routes4\":2,\"routes6\":3,\"nexthops\":4,"
	      "\"neighbours\":5,\"fdb\":6,\"lag_ms\":7,\"messages\":99}\n",
	      to);
	return 0;
}

/* Runs for two questions, then has a difference (`plenty`) or none (`strained`). */
static int answer_verify(FILE *to, const char *args, char error[128], bool found)
{
	static unsigned asked;

	if (!*args) {
		asked = 0;
		fputs("{\"id\":3}\n", to);
	} else if (strcmp(args, "3") != 0) {
		return -ENOENT;
	} else if (asked++ < 2) {
		fputs("{\"state\":\"running\"}\n", to);
	} else {
		fprintf(to, "{\"state\":\"done\",\"found\":%u,\"left\":0}\n", found);
		fputs(found ? "{\"kind\":\"route\",\"what\":\"missing\",\"object\":\"10.0.0.0/8\","
			      "\"table\":\"\",\"kernel\":\"dev eth1\"}\n"
			    : "",
		      to);
	}
	return 0;
}

static int answer_different(FILE *to, const char *args, char error[128], void *arg)
{
	return answer_verify(to, args, error, true);
}

static int answer_equal(FILE *to, const char *args, char error[128], void *arg)
{
	return answer_verify(to, args, error, false);
}

static int answer_fail(FILE *to, const char *args, char error[128], void *arg)
{
	snprintf(error, 128, "no table today");
	return -EIO;
}

static const struct control_object plenty[] = {{.name = "refresh", .answer = answer_refresh},
					       {.name = "route", .answer = answer_route},
					       {.name = "neigh", .answer = answer_neigh},
					       {.name = "fdb", .answer = answer_fdb},
					       {.name = "mirror", .answer = answer_mirror},
					       {.name = "verify", .answer = answer_different},
					       {.name = NULL}};
static const struct control_object strained[] = {{.name = "route", .answer = answer_many},
						 {.name = "neigh", .answer = answer_fail},
						 {.name = "verify", .answer = answer_equal},
						 {.name = NULL}};

static void fill(struct stats *stats)
{
	struct stats_port *port = &stats->port[0];

	stats->workers = 1;
	stats->worker[0] = (struct stats_worker){
		.bursts = 5, .rx = 100, .tx = 90, .handed = 0, .cpu = 1, .busy_ns = 1000};
	stats->census = (struct frame_census){
		.total = 4096,
		.role = {1000, 2000, 0, 96, 500, 400, 100},
		.quarantined = 2,
	};
	strcpy(port->ifname, "eth1");
	strcpy(port->mode, "copy");
	port->ifindex = 11;
	port->state = PORT_FAST;
	port->queues = 2;
	port->steer.redirected = 101;
	port->steer.dropped = 4;
	port->punt_policed = 5;
	port->worker[0] = (struct stats_port_worker){
		.rx_packets = 100, .rx_bytes = 6400, .tx_packets = 90, .tx_bytes = 5760};
	port->worker[0].punted[PUNT_NO_NEIGH] = 2;
	port->worker[0].punted[PUNT_TTL] = 1;
	port->worker[0].drops[DROP_TX_FULL] = 7;
	port->worker[0].drops[DROP_PUNT_POLICED] = 1;
	strcpy(stats->port[1].ifname, "eth2");
	strcpy(stats->port[1].reason, "no such interface");
	stats->port[1].state = PORT_DOWN;
}

static void daemon_run(const struct control_object *objects, int ready)
{
	struct control *control;
	struct stats *stats;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (stats_create(&stats, rundir)) {
		_exit(1);
	}
	fill(stats);
	if (control_open(&control, rundir, objects, stats)) {
		_exit(1);
	}
	if (write(ready, "r", 1) != 1) {
		_exit(1);
	}
	for (;;) {
		struct pollfd poll_fd = {.fd = control_fd(control), .events = POLLIN};

		poll(&poll_fd, 1, -1);
		control_read(control);
	}
}

static void daemon_start(const struct control_object *objects)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	daemon_pid = fork();
	assert_true(daemon_pid >= 0);
	if (!daemon_pid) {
		close(ready[0]);
		daemon_run(objects, ready[1]);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

/* As kill -9 does: socket and segment stay behind as files. */
static void daemon_kill(void)
{
	if (daemon_pid > 0) {
		kill(daemon_pid, SIGKILL);
		waitpid(daemon_pid, NULL, 0);
	}
	daemon_pid = 0;
}

static void forget_files(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/stats", rundir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/control.sock", rundir);
	unlink(path);
	rmdir(rundir);
}

static int with_daemon(void **state)
{
	daemon_start(plenty);
	return 0;
}

static int with_strained_daemon(void **state)
{
	daemon_start(strained);
	return 0;
}

static int end_daemon(void **state)
{
	daemon_kill();
	forget_files();
	return 0;
}

/* The command -------------------------------------------------------------------------------- */

static void read_all(FILE *from, char *to, size_t size)
{
	rewind(from);
	to[fread(to, 1, size - 1, from)] = '\0';
	fclose(from);
}

/* Words separated by one space. Returns the exit code; `out` and `err` have what was printed. */
static int run(const char *words)
{
	char line[256], *argv[20] = {shunt};
	FILE *to = tmpfile(), *errors = tmpfile();
	int argc = 1, status;
	pid_t pid;

	snprintf(line, sizeof(line), "%s", words);
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
		argv[argc++] = word;
	}
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(fileno(to), STDOUT_FILENO);
		dup2(fileno(errors), STDERR_FILENO);
		fexecve(shunt_fd, argv, environ);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	read_all(to, out, OUTPUT_SIZE);
	read_all(errors, err, sizeof(err));
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void prints(const char *words, const char *expected)
{
	int code = run(words);

	if (code || err[0] || strcmp(out, expected)) {
		fail_msg("%s: exit %d, stderr: %s, stdout:\n%s\nexpected:\n%s", words, code, err,
			 out, expected);
	}
}

static json_t *json_of(const char *words)
{
	json_error_t error;
	json_t *value;

	if (run(words) || err[0]) {
		fail_msg("%s: %s", words, err);
	}
	value = json_loads(out, JSON_REJECT_DUPLICATES, &error);
	if (!value) {
		fail_msg("%s: %s in %s", words, error.text, out);
	}
	return value;
}

static void json_is(const char *words, const char *expected)
{
	json_t *got = json_of(words), *wanted = json_loads(expected, 0, NULL);

	assert_non_null(wanted);
	if (!json_equal(got, wanted)) {
		fail_msg("%s: got %s, expected %s", words, out, expected);
	}
	json_decref(got);
	json_decref(wanted);
}

static void fails(const char *words, int code, const char *message)
{
	int got = run(words);

	if (got != code || strcmp(err, message) || out[0]) {
		fail_msg("%s: exit %d, stderr:\n%s\nexpected:\n%s", words, got, err, message);
	}
}

/* Tests -------------------------------------------------------------------------------------- */

#define ETH1_JSON                                                                          \
	"{\"ifname\":\"eth1\",\"ifindex\":11,\"state\":\"fast\",\"reason\":\"\","          \
	"\"mode\":\"copy\",\"queues\":2,\"rx\":{\"packets\":100,\"bytes\":6400},"          \
	"\"tx\":{\"packets\":90,\"bytes\":5760},\"kernel\":{\"packets\":33},\"punted\":3," \
	"\"drops\":{\"tx_full\":7,\"punt_policed\":6,\"on_failure\":4}}"
#define ETH2_JSON                                                                                 \
	"{\"ifname\":\"eth2\",\"ifindex\":0,\"state\":\"down\",\"reason\":\"no such interface\"," \
	"\"mode\":\"\",\"queues\":0,\"rx\":{\"packets\":0,\"bytes\":0},"                          \
	"\"tx\":{\"packets\":0,\"bytes\":0},\"kernel\":{\"packets\":0},\"punted\":0,\"drops\":{}}"

static void port_json_is_the_contract(void **state)
{
	json_is("-j port", "[" ETH1_JSON "," ETH2_JSON "]");
	json_is("-j port show eth2", "[" ETH2_JSON "]");
	json_is("-j port eth1", "[" ETH1_JSON "]");
	json_is("-j p sh dev eth1", "[" ETH1_JSON "]");
}

static void port_statistics_add_reasons(void **state)
{
	json_t *rows = json_of("-j -s port eth1"), *row = json_array_get(rows, 0);
	json_t *passed = json_object_get(row, "passed");

	assert_int_equal(json_object_size(passed), 2);
	assert_int_equal(json_integer_value(json_object_get(passed, "multicast")), 30);
	assert_int_equal(json_integer_value(json_object_get(row, "redirected")), 101);
	json_decref(rows);
}

static void port_text_has_the_numbers(void **state)
{
	prints("port", "0: eth1: state fast mode copy queues 2 ifindex 11\n"
		       "    rx 100 packets 6400 bytes  tx 90 packets 5760 bytes\n"
		       "    kernel 33  punted 3  drops 17\n"
		       "1: eth2: state down mode none queues 0 ifindex 0\n"
		       "    reason: no such interface\n"
		       "    rx 0 packets 0 bytes  tx 0 packets 0 bytes\n"
		       "    kernel 0  punted 0  drops 0\n");
	prints("-br port eth2", "eth2            down   -         rx 0            tx 0            "
				"kernel 0          punted 0        drops 0  no such interface\n");
	assert_int_equal(run("-s port eth1"), 0);
	assert_non_null(strstr(out, "        multicast              30  broadcast or multicast"));
	assert_non_null(strstr(out, "        no_neigh                2  next hop not resolved"));
	assert_non_null(strstr(out, "        punt_policed            6  over the punt rate"));
	assert_null(strstr(out, "stale"));
}

static void an_unknown_port_is_an_error(void **state)
{
	fails("port eth9", 1, "shunt: there is no port eth9: shunt port lists them\n");
	fails("-j port eth9", 1, "shunt: there is no port eth9: shunt port lists them\n");
	fails("port show eth1 eth2", 2, "shunt: port: did not expect 'eth2': expected [NAME]\n");
}

static void drops_are_listed_by_reason_and_port(void **state)
{
	json_t *rows;

	json_is("-j drops", "[{\"reason\":\"tx_full\",\"packets\":7,\"dev\":\"eth1\",\"meaning\":"
			    "\"egress ring and its waiting room were full\"},"
			    "{\"reason\":\"punt_policed\",\"packets\":6,\"dev\":\"eth1\","
			    "\"meaning\":\"over the punt rate of its class\"},"
			    "{\"reason\":\"on_failure\",\"packets\":4,\"dev\":\"eth1\",\"meaning\":"
			    "\"no daemon, or a hung one, and on_failure is \\\"drop\\\"\"}]");
	rows = json_of("-j drops show all");
	assert_int_equal(json_array_size(rows), 2 * (DROP_REASON_COUNT + 1));
	json_decref(rows);
	json_is("-j -s drops stale dev eth2",
		"[{\"reason\":\"stale\",\"packets\":0,\"dev\":\"eth2\",\"meaning\":\"received "
		"before the worker was stopped or stuck, too old to send\"}]");
	prints("drops tx_full", "REASON             PACKETS  DEV              MEANING\n"
				"tx_full                  7  eth1             egress ring and its "
				"waiting room were full\n");
	fails("drops nonsense", 2,
	      "shunt: drops: there is no reason 'nonsense': see shunt drops show all\n");
}

static void frames_worker_and_version_have_their_fields(void **state)
{
	json_t *rows, *row;

	json_is("-j frames", "{\"total\":4096,\"pool\":1000,\"kernel_rx\":2000,\"worker\":0,"
			     "\"kernel_tx\":96,\"punt\":500,\"pending\":400,\"limbo\":100,"
			     "\"lost\":0}");
	prints("fr", "total 4096  lost 0  quarantined 2\n    pool 1000 kernel_rx 2000 worker 0 "
		     "kernel_tx 96 punt 500 pending 400 limbo 100\n");
	rows = json_of("-j worker 0");
	row = json_array_get(rows, 0);
	assert_int_equal(json_object_size(row), 7);
	assert_int_equal(json_integer_value(json_object_get(row, "cpu")), 1);
	assert_int_equal(json_integer_value(json_object_get(row, "queues")), 2);
	assert_int_equal(json_integer_value(json_object_get(row, "rx")), 100);
	assert_int_equal(json_integer_value(json_object_get(row, "tx")), 90);
	assert_int_equal(json_integer_value(json_object_get(row, "handed")), 0);
	assert_true(json_is_real(json_object_get(row, "busy")));
	json_decref(rows);
	fails("worker 1", 1, "shunt: there is no worker 1\n");
	rows = json_of("-j -s route dev eth2");
	row = json_array_get(json_object_get(json_array_get(rows, 0), "nexthops"), 1);
	assert_true(
		json_is_null(json_object_get(row, "via"))); /* -s adds fields, takes none away */
	json_decref(rows);
	json_is("-j version", "{\"shunt\":\"" SHUNT_VERSION "\",\"daemon\":\"" SHUNT_VERSION "\"}");
}

static void options_may_follow_the_object(void **state)
{
	static const char *const lines[][2] = {{"-s port eth1", "port -s eth1"},
					       {"-j -s drops", "drops -s -j"},
					       {"-br route dev eth2", "route dev eth2 -br"}};

	for (unsigned i = 0; i < 3; i++) {
		char *before;

		assert_int_equal(run(lines[i][0]), 0);
		before = strdup(out);
		prints(lines[i][1], before);
		free(before);
	}
}

static void tables_as_json_have_the_contracts_fields(void **state)
{
	json_is("-j route",
		"[{\"dst\":\"0.0.0.0/0\",\"table\":\"main\",\"nexthops\":[{\"via\":\"10.0.0.1\","
		"\"dev\":\"eth1\",\"weight\":1}],\"action\":\"forward\"},"
		"{\"dst\":\"10.1.0.0/16\",\"table\":\"main\",\"nexthops\":[{\"via\":\"10.0.0.2\","
		"\"dev\":\"eth1\",\"weight\":1},{\"via\":null,\"dev\":\"eth2\",\"weight\":3}],"
		"\"action\":\"forward\"},{\"dst\":\"10.9.9.9/32\",\"table\":\"local\","
		"\"nexthops\":[],\"action\":\"kernel\"}]");
	json_is("-j neigh dev eth2", "[{\"dst\":\"fe80::1\",\"dev\":\"eth2\",\"lladdr\":null,"
				     "\"state\":\"FAILED\"}]");
	json_is("-j fdb show 02:00:00:00:00:03",
		"[{\"mac\":\"02:00:00:00:00:03\",\"vlan\":7,\"bridge\":\"br0\",\"dev\":\"eth2\","
		"\"state\":\"static\"}]");
	json_is("-j mirror", "{\"state\":\"live\",\"resyncs\":1,\"routes4\":2,\"routes6\":3,"
			     "\"nexthops\":4,\"neighbours\":5,\"fdb\":6,\"lag_ms\":7}");
}

static void tables_as_text_read_like_ip(void **state)
{
	prints("route", "0.0.0.0/0 via 10.0.0.1 dev eth1\n"
			"10.1.0.0/16\n"
			"\tnexthop via 10.0.0.2 dev eth1 weight 1\n"
			"\tnexthop dev eth2 weight 3\n"
			"10.9.9.9/32 table local action kernel\n");
	prints("neigh", "10.0.0.1 dev eth1 lladdr 02:00:00:00:00:01 REACHABLE\n"
			"fe80::1 dev eth2 FAILED\n");
	prints("fdb", "02:00:00:00:00:02 dev eth1 bridge br0 dynamic\n"
		      "02:00:00:00:00:03 dev eth2 vlan 7 bridge br0 static\n");
	prints("mirror", "state live lag 7 ms resyncs 1\n"
			 "    routes4 2 routes6 3 nexthops 4 neighbours 5 fdb 6\n");
	prints("-c=always fdb vlan 7", "\033[33m02:00:00:00:00:03\033[0m dev \033[36meth2\033[0m "
				       "vlan 7 bridge \033[36mbr0\033[0m static\n");
	prints("-c fdb vlan 7", "02:00:00:00:00:03 dev eth2 vlan 7 bridge br0 static\n");
}

static void differences_are_printed_and_fail(void **state)
{
	assert_int_equal(run("mirror --verify"), 1);
	assert_string_equal(out, "route missing: 10.0.0.0/8 kernel: dev eth1\n");
	assert_string_equal(err, "");
	assert_int_equal(run("-j mirror --verify"), 1);
	assert_string_equal(out, "[{\"kind\":\"route\",\"what\":\"missing\",\"object\":"
				 "\"10.0.0.0/8\",\"table\":\"\",\"kernel\":\"dev eth1\"}]\n");
	fails("mirror --verify more", 2, "shunt: mirror --verify: did not expect 'more'\n");
}

static void no_difference_is_equal(void **state)
{
	prints("mirror --verify", "equal\n");
	json_is("-j mirror --verify", "[]");
}

static void tables_are_filtered(void **state)
{
	prints("route default", "0.0.0.0/0 via 10.0.0.1 dev eth1\n");
	prints("ro sh 10.9.9.9", "10.9.9.9/32 table local action kernel\n");
	prints("route table local", "10.9.9.9/32 table local action kernel\n");
	prints("-br route dev eth2", "10.1.0.0/16 nexthop via 10.0.0.2 dev eth1 weight 1 nexthop "
				     "dev eth2 weight 3\n");
	prints("route 10.1.0.0/16 table local", "");
	json_is("-j route table nowhere", "[]");
	fails("route table", 2, "shunt: route: expected a value after 'table'\n");
	fails("route default nonsense", 2, "shunt: route: did not expect 'nonsense'\n");
	fails("route action drop", 2,
	      "shunt: route: there is no action 'drop': forward or kernel\n");
}

static void usage_errors_list_what_there_is(void **state)
{
	fails("nonsense", 2,
	      "shunt: there is no object 'nonsense'\n"
	      "objects: port route neigh fdb drops frames mirror doctor worker version\n");
	fails("f", 2,
	      "shunt: 'f' may be fdb or frames\n"
	      "objects: port route neigh fdb drops frames mirror doctor worker version\n");
	fails("-x port", 2, "shunt: did not expect '-x': see shunt -h\n");
	fails("-r", 2, "shunt: expected a directory after '-r'\n");
	fails("port -x", 2, "shunt: did not expect '-x': see shunt -h\n");
	prints("frames --help", "usage: shunt frames [show]\n");
	prints("worker help", "usage: shunt worker [show] [ID]\n");
	assert_int_equal(run(""), 2);
	assert_memory_equal(err, "usage: shunt ", 13);
	assert_int_equal(run("-h"), 0);
	assert_memory_equal(out, "usage: shunt ", 13);
	prints("-V", "shunt " SHUNT_VERSION "\n");
}

static void without_a_daemon_it_says_so(void **state)
{
	char expected[256];

	snprintf(expected, sizeof(expected),
		 "shunt: no shuntd is running at %s (start it with: shuntd -c /etc/shunt/shunt.lua "
		 "-r %s)\n",
		 rundir, rundir);
	fails("port", 1, expected);
	fails("-j route", 1, expected);
	json_is("-j version", "{\"shunt\":\"" SHUNT_VERSION "\",\"daemon\":null}");
	/* What a killed one left behind is not a daemon. */
	daemon_start(plenty);
	daemon_kill();
	fails("port", 1, expected);
	fails("mirror", 1, expected);
	fails("-r /nonexistent frames", 1,
	      "shunt: no shuntd is running at /nonexistent (start it with: shuntd -c "
	      "/etc/shunt/shunt.lua -r /nonexistent)\n");
}

static void a_stopped_daemon_still_shows_its_counters(void **state)
{
	struct timespec start, end;
	char expected[160];

	kill(daemon_pid, SIGSTOP);
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(run("-j port eth1"), 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_non_null(strstr(out, "\"rx\":{\"packets\":100,"));
	assert_true(end.tv_sec - start.tv_sec < 3);
	snprintf(expected, sizeof(expected),
		 "shunt: the shuntd at %s does not answer: it is stopped or stuck\n", rundir);
	fails("mirror", 1, expected);
	kill(daemon_pid, SIGCONT);
}

static void another_version_is_explained(void **state)
{
	char path[96], expected[256];

	snprintf(path, sizeof(path), "%s/stats", rundir);
	assert_int_equal(truncate(path, 4096), 0);
	snprintf(expected, sizeof(expected),
		 "shunt: the shuntd at %s is not of this version (" SHUNT_VERSION
		 "): restart it, or use the shunt that came with it\n",
		 rundir);
	fails("port", 1, expected);
}

static void a_missing_permission_is_explained(void **state)
{
	char expected[256];
	int status;
	pid_t pid;

	snprintf(expected, sizeof(expected),
		 "shunt: no permission for %s: only root and the group of its files may look\n",
		 rundir);
	if (geteuid()) {
		assert_int_equal(chmod(rundir, 0), 0);
		fails("port", 1, expected);
		chmod(rundir, 0700);
		return;
	}
	/* Root may look anywhere: somebody else asks. Assertions in a child only end the child. */
	pid = fork();
	if (!pid) {
		if (setgid(65534) || setuid(65534)) {
			_exit(1);
		}
		_exit(run("port") == 1 && !strcmp(err, expected) ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* CPU time of this program and of those it ran: on a busy machine a second is not as long. */
static long cpu_s(void)
{
	struct rusage own, others;

	getrusage(RUSAGE_SELF, &own);
	getrusage(RUSAGE_CHILDREN, &others);
	return own.ru_utime.tv_sec + own.ru_stime.tv_sec + others.ru_utime.tv_sec +
	       others.ru_stime.tv_sec;
}

static void a_large_table_comes_whole_and_soon(void **state)
{
	long start = cpu_s();
	json_t *rows = json_of("-j route");

	assert_int_equal(json_array_size(rows), MANY_ROUTES);
	json_decref(rows);
	assert_int_equal(run("route 10.200.7.0/24"), 0);
	assert_string_equal(out, "10.200.7.0/24 via 10.0.0.1 dev eth1\n");
	assert_true(cpu_s() - start < 30);
}

static void the_daemons_error_is_passed_on(void **state)
{
	fails("neigh", 1, "shunt: shuntd: no table today\n");
	fails("-j neigh", 1, "shunt: shuntd: no table today\n");
	fails("fdb", 1, "shunt: shuntd: unknown object: fdb\n");
	/* No "refresh" there: the counters as they are. */
	json_is("-j port eth2", "[" ETH2_JSON "]");
}

static void a_reader_that_leaves_is_no_error_message(void **state)
{
	char command[400];
	FILE *pipe_file;

	snprintf(command, sizeof(command), "%s route 2>&1 | head -n 1", shunt);
	pipe_file = popen(command, "r");
	assert_non_null(pipe_file);
	out[fread(out, 1, OUTPUT_SIZE - 1, pipe_file)] = '\0';
	pclose(pipe_file);
	assert_string_equal(out, "10.0.0.0/24 via 10.0.0.1 dev eth1\n");
	snprintf(command, sizeof(command), "%s route 2>&1 >/dev/full", shunt);
	pipe_file = popen(command, "r");
	out[fread(out, 1, OUTPUT_SIZE - 1, pipe_file)] = '\0';
	assert_int_equal(WEXITSTATUS(pclose(pipe_file)), 1);
	assert_non_null(strstr(out, "shunt: cannot write"));
}

/* build/shunt beside build/tests/. */
static int find_shunt(void **state)
{
	ssize_t n = readlink("/proc/self/exe", shunt, sizeof(shunt) - 16);
	char *slash;

	if (n <= 0) {
		return -1;
	}
	shunt[n] = '\0';
	for (int i = 0; i < 2; i++) {
		slash = strrchr(shunt, '/');
		*slash = '\0';
	}
	strcat(shunt, "/shunt");
	shunt_fd = open(shunt, O_RDONLY);
	if (shunt_fd < 0) {
		fprintf(stderr, "%s is not built\n", shunt);
		return -1;
	}
	snprintf(rundir, sizeof(rundir), "/tmp/shunt-test-cli-%d", getpid());
	setenv("SHUNT_RUNDIR", rundir, 1);
	unsetenv("NO_COLOR");
	out = malloc(OUTPUT_SIZE);
	return out ? 0 : -1;
}

static int forget_output(void **state)
{
	close(shunt_fd);
	free(out);
	return 0;
}

#define WITH(test, setup) cmocka_unit_test_setup_teardown(test, setup, end_daemon)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(port_json_is_the_contract, with_daemon),
		WITH(port_statistics_add_reasons, with_daemon),
		WITH(port_text_has_the_numbers, with_daemon),
		WITH(an_unknown_port_is_an_error, with_daemon),
		WITH(drops_are_listed_by_reason_and_port, with_daemon),
		WITH(frames_worker_and_version_have_their_fields, with_daemon),
		WITH(options_may_follow_the_object, with_daemon),
		WITH(tables_as_json_have_the_contracts_fields, with_daemon),
		WITH(tables_as_text_read_like_ip, with_daemon),
		WITH(differences_are_printed_and_fail, with_daemon),
		WITH(no_difference_is_equal, with_strained_daemon),
		WITH(tables_are_filtered, with_daemon),
		WITH(usage_errors_list_what_there_is, with_daemon),
		WITH(without_a_daemon_it_says_so, NULL),
		WITH(a_stopped_daemon_still_shows_its_counters, with_daemon),
		WITH(another_version_is_explained, with_daemon),
		WITH(a_missing_permission_is_explained, with_daemon),
		WITH(a_large_table_comes_whole_and_soon, with_strained_daemon),
		WITH(the_daemons_error_is_passed_on, with_strained_daemon),
		WITH(a_reader_that_leaves_is_no_error_message, with_strained_daemon),
	};

	return cmocka_run_group_tests(tests, find_shunt, forget_output);
}
