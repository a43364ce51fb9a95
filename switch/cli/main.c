// SPDX-License-Identifier: BSD-2-Clause
/* main: the `shunt` command: START HERE, the table below is the command. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static int version_show(const struct cli *cli, int argc, char **argv);

static const struct cli_object objects[] = {
	{"port", "[NAME]", "ports, their state and where their frames went", port_show},
	{"route", "[PREFIX] [table T] [dev NAME] [via ADDR] [action A]",
	 "routes as mirrored from the kernel", route_show},
	{"neigh", "[ADDR] [dev NAME] [lladdr MAC] [state S]", "neighbours as mirrored", neigh_show},
	{"fdb", "[MAC] [dev NAME] [bridge NAME] [vlan N] [state S]",
	 "bridges' MAC addresses as mirrored", fdb_show},
	{"drops", "[all] [REASON] [dev NAME]", "frames that ended in shunt, and why", drops_show},
	{"frames", "", "where every frame of the memory is now", frames_show},
	{"mirror", "[--verify]", "how far the mirror of the kernel's configuration is; is it equal",
	 mirror_show},
	{"doctor", "[--fix] [config FILE]", "what is wrong with this machine, and what mends it",
	 doctor_show},
	{"worker", "[ID]", "the threads that move frames", worker_show},
	{"version", "", "versions of this command and of the daemon", version_show},
	{NULL, NULL, NULL, NULL},
};

static void usage(FILE *out)
{
	fputs("usage: shunt [-r RUNDIR] [-j] [-s] [-br] [-c] OBJECT [show] [ARGS]\n"
	      "       shunt -h | -V\n\n",
	      out);
	for (const struct cli_object *object = objects; object->name; object++) {
		fprintf(out, "  %-8s %s\n", object->name, object->help);
	}
	fputs("\n  -r DIR  the daemon's run directory (else $SHUNT_RUNDIR, else /run/shunt)\n"
	      "  -j      JSON        -s   more counters\n"
	      "  -br     brief       -c   colours on a terminal (-c=always: anywhere)\n",
	      out);
}

static int version_show(const struct cli *cli, int argc, char **argv)
{
	const struct stats *stats = NULL;
	char daemon[sizeof(stats->version)];
	json_t *row;
	int err;

	if (argc) {
		complain("version: did not expect '%s'", argv[0]);
		return CLI_USAGE;
	}
	err = ask_stats_quietly(cli, &stats);
	if (!err) {
		memcpy(daemon, stats->version, sizeof(daemon));
		daemon[sizeof(daemon) - 1] = '\0';
		stats_close(stats);
	}
	if (cli->json) {
		row = json_object();
		json_put(row, "shunt", json_string(SHUNT_VERSION));
		json_put(row, "daemon", err ? json_null() : json_text(daemon));
		return json_print(row);
	}
	printf("shunt %s\n", SHUNT_VERSION);
	if (!err) {
		printf("shuntd %s\n", daemon);
	} else {
		printf("shuntd: %s at %s\n",
		       err == -EPROTO                    ? "another version"
		       : err == -EACCES || err == -EPERM ? "no permission to look"
							 : "not running",
		       cli->rundir);
	}
	return CLI_DONE;
}

static bool is_prefix(const char *word, const char *name)
{
	return word[0] && !strncmp(word, name, strlen(word));
}

static void list_objects(void)
{
	fputs("objects:", stderr);
	for (const struct cli_object *object = objects; object->name; object++) {
		fprintf(stderr, " %s", object->name);
	}
	fputc('\n', stderr);
}

static const struct cli_object *find_object(const char *word)
{
	const struct cli_object *found = NULL;

	for (const struct cli_object *object = objects; object->name; object++) {
		if (!strcmp(word, object->name)) {
			return object;
		}
		if (is_prefix(word, object->name)) {
			if (found) {
				complain("'%s' may be %s or %s", word, found->name, object->name);
				list_objects();
				return NULL;
			}
			found = object;
		}
	}
	if (!found) {
		complain("there is no object '%s'", word);
		list_objects();
	}
	return found;
}

static bool wants_color(const char *how)
{
	const char *no_color = getenv("NO_COLOR");

	if (!strcmp(how, "always")) {
		return true;
	}
	return strcmp(how, "never") && isatty(STDOUT_FILENO) && !(no_color && no_color[0]);
}

/* One option, without its dashes. Returns the words it took, 0 when it is unknown. */
static int take_option(struct cli *cli, const char *option, const char *value)
{
	if (!strcmp(option, "j") || !strcmp(option, "json")) {
		cli->json = true;
	} else if (!strcmp(option, "s") || !strcmp(option, "stats") ||
		   !strcmp(option, "statistics")) {
		cli->statistics = true;
	} else if (!strcmp(option, "br") || !strcmp(option, "brief")) {
		cli->brief = true;
	} else if (!strcmp(option, "c") || !strcmp(option, "color")) {
		cli->color = wants_color("auto");
	} else if (!strncmp(option, "c=", 2) || !strncmp(option, "color=", 6)) {
		cli->color = wants_color(strchr(option, '=') + 1);
	} else if ((!strcmp(option, "r") || !strcmp(option, "rundir")) && value) {
		cli->rundir = value;
		return 2;
	} else {
		return 0;
	}
	return 1;
}

static int run_object(const struct cli *cli, const struct cli_object *object, int argc, char **argv)
{
	if (argc &&
	    (!strcmp(argv[0], "help") || !strcmp(argv[0], "-h") || !strcmp(argv[0], "--help"))) {
		printf("usage: shunt %s [show]%s%s\n", object->name,
		       object->arguments[0] ? " " : "", object->arguments);
		return CLI_DONE;
	}
	if (argc && (is_prefix(argv[0], "show") || is_prefix(argv[0], "list"))) {
		argc--;
		argv++;
	}
	return object->show(cli, argc, argv);
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1];
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
	return is_option(word) &&
	       (!strcmp(word + 1 + (word[1] == '-'), a) || !strcmp(word + 1 + (word[1] == '-'), b));
}

/*
 * Options may stand before the object and after it: `shunt -s port` and `shunt port -s`. They are
 * taken out, what is left moves together.  -h, --verify and --fix after the object are its own.
 */
static int take_options(struct cli *cli, int *argc, char **argv)
{
	int kept = 1;

	for (int at = 1; at < *argc;) {
		const char *word = argv[at];
		int taken = 1;

		if (!is_option(word) || is_one_of(word, "h", "help") ||
		    is_one_of(word, "V", "version") || is_one_of(word, "verify", "fix")) {
			argv[kept++] = argv[at];
		} else {
			taken = take_option(cli, word + 1 + (word[1] == '-'),
					    at + 1 < *argc ? argv[at + 1] : NULL);
		}
		if (!taken) {
			complain(is_one_of(word, "r", "rundir")
					 ? "expected a directory after '%s'"
					 : "did not expect '%s': see shunt -h",
				 word);
			return CLI_USAGE;
		}
		at += taken;
	}
	*argc = kept;
	return CLI_DONE;
}

static int run(int argc, char **argv)
{
	const char *rundir = getenv("SHUNT_RUNDIR");
	struct cli cli = {.rundir = rundir && rundir[0] ? rundir : "/run/shunt"};
	const struct cli_object *object;

	if (take_options(&cli, &argc, argv)) {
		return CLI_USAGE;
	}
	if (argc == 1) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (is_one_of(argv[1], "V", "version")) {
		printf("shunt %s\n", SHUNT_VERSION);
		return CLI_DONE;
	}
	if (is_one_of(argv[1], "h", "help") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return CLI_DONE;
	}
	object = find_object(argv[1]);
	return object ? run_object(&cli, object, argc - 2, argv + 2) : CLI_USAGE;
}

int main(int argc, char **argv)
{
	int code;

	/* `shunt route | head` ends when head does, whatever the caller ignores. */
	signal(SIGPIPE, SIG_DFL);
	code = run(argc, argv);
	if (fflush(stdout) || ferror(stdout)) {
		complain("cannot write: %s", strerror(errno));
		return CLI_FAILED;
	}
	return code;
}
