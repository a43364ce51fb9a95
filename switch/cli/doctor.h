/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doctor: what the parts of `shunt doctor` share.
 *
 * What:    each check looks at one thing and says what it found, what that means and the command
 *          that mends it; doctor.c prints.  Nothing is changed without --fix.
 * Callers: switch/cli only.
 * Thread:  the only one. Owner: struct doctor owns the findings.
 * Full:    a finding that finds no memory is not printed.
 */
#ifndef SHUNT_CLI_DOCTOR_H
#define SHUNT_CLI_DOCTOR_H

#include "cli/cli.h"
#include "config.h"

enum finding_level { FINDING_OK, FINDING_NOTE, FINDING_FIX };

struct finding {
	enum finding_level level;
	const char *check; /* its short name, for scripts */
	char subject[32];  /* an interface; machine, kernel, daemon, config */
	char text[256];
	const char *means; /* NULL: the text says it all */
	char command[192]; /* "" none */
	const char *fix;   /* the word to ask the daemon for it with --fix; NULL: not safe to */
	bool fixed;
};

struct doctor {
	const struct cli *cli;
	const struct stats *stats;   /* NULL: no daemon */
	const struct config *config; /* NULL: could not be read */
	struct finding *finding;
	size_t count, room;
};

/* A port as the doctor knows it, with a daemon or without. */
struct doctor_port {
	char name[SHUNT_IFNAME_SIZE];
	uint32_t ifindex;              /* 0: not there */
	const struct stats_port *port; /* NULL: no daemon */
	bool generic_wanted;           /* the configuration says so */
};

/* Add a finding; `means` and the words behind must outlive the doctor. Returns it for what is
 * seldom set, never NULL. */
struct finding *doctor_say(struct doctor *doctor, enum finding_level level, const char *check,
			   const char *subject, const char *means, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
/* The command that mends a finding. */
void finding_command(struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The first line of a file, without its newline, or "". */
void doctor_line(char *line, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A number in a file, or `otherwise`. */
long doctor_number(long otherwise, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* doctor_machine.c */
void doctor_machine(struct doctor *doctor);
/* doctor_port.c */
void doctor_port(struct doctor *doctor, const struct doctor_port *port);

#endif
