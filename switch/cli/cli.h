/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cli: what the files of the `shunt` command share.
 *
 * What:    counters are read from the stats segment, tables are asked for over the control socket.
 *          Data goes to stdout, messages to stderr; a function that returns int returns the exit
 *          code.
 * Callers: main.c runs one object's function and ends.
 * Thread:  the only one. Owner: nothing outlives the process.
 * Refuses: what it does not know, with exit code 2 and what there is.
 */
#ifndef SHUNT_CLI_CLI_H
#define SHUNT_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "run/stats.h"

enum { CLI_DONE, CLI_FAILED, CLI_USAGE };

struct cli {
	const char *rundir;
	bool json, statistics, brief, color;
};

/* main.c: the objects, each with what comes after its name (the verb taken off). */
struct cli_object {
	const char *name;
	const char *arguments; /* for the usage line */
	const char *help;
	int (*show)(const struct cli *cli, int argc, char **argv);
};

int port_show(const struct cli *cli, int argc, char **argv);
int drops_show(const struct cli *cli, int argc, char **argv);
int frames_show(const struct cli *cli, int argc, char **argv);
int worker_show(const struct cli *cli, int argc, char **argv);
int route_show(const struct cli *cli, int argc, char **argv);
int neigh_show(const struct cli *cli, int argc, char **argv);
int fdb_show(const struct cli *cli, int argc, char **argv);
int doctor_show(const struct cli *cli, int argc, char **argv);
int mirror_show(const struct cli *cli, int argc, char **argv);
int verify_show(const struct cli *cli, int argc, char **argv); /* shunt mirror --verify */

/* "shunt: ..." on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ask.c ------------------------------------------------------------------------------------- */
/* Send a question; `row` gets each line of the answer (no newline). Complains itself. */
int ask(const struct cli *cli, const char *question, void (*row)(void *arg, const char *line),
	void *arg);
/* The counters, brought up to date if the daemon answers soon. NULL after a complaint. */
const struct stats *ask_stats(const struct cli *cli);
/* The same without a complaint: 0 or -errno. */
int ask_stats_quietly(const struct cli *cli, const struct stats **out);

/* format.c ---------------------------------------------------------------------------------- */
enum color { COLOR_NAME, COLOR_ADDRESS, COLOR_MAC, COLOR_GOOD, COLOR_ODD, COLOR_BAD };

/* Print `text`, in colour if wanted, followed by spaces up to `width` (0: none). */
void print_color(const struct cli *cli, enum color color, const char *text, int width);
/* A string for JSON, of bytes that need not be UTF-8. */
json_t *json_text(const char *text);
void json_put(json_t *object, const char *key, json_t *value);
void json_count(json_t *object, const char *key, uint64_t count);
/* Print a value on one line and release it. */
int json_print(json_t *value);

/* counters.c -------------------------------------------------------------------------------- */
#define ON_FAILURE "on_failure" /* steer's own drops, beside those of path/reason.h */

/* The sums of a port over workers and what else counts its frames. */
struct port_sums {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, flooded, learns;
	uint64_t passed, punted, dropped; /* totals of the three below */
	uint64_t pass[STEER_REASON_COUNT];
	uint64_t punt[PUNT_REASON_COUNT];
	uint64_t drop[DROP_REASON_COUNT + 1]; /* the last is ON_FAILURE */
};

struct reason {
	const char *name, *meaning;
};

extern const struct reason pass_reasons[STEER_REASON_COUNT];
extern const struct reason punt_reasons[PUNT_REASON_COUNT];
extern const struct reason drop_reasons[DROP_REASON_COUNT + 1];

void port_sum(struct port_sums *sums, const struct stats_port *port, unsigned workers);
/* Workers with counters, never more than there is room for. */
unsigned worker_count(const struct stats *stats);
/* The name of a slot in use, else NULL. */
const char *port_name(char name[SHUNT_IFNAME_SIZE], const struct stats_port *port);

#endif
