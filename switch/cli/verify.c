// SPDX-License-Identifier: BSD-2-Clause
/* verify: `shunt mirror --verify`: starts a comparison in the daemon, waits for it, shows the
 * result. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"

#define ASK_AGAIN_MS 50

struct verdict {
	json_t *head; /* the first line of the answer */
	json_t *differences;
	bool broken;
};

static void take_line(void *arg, const char *line)
{
	struct verdict *verdict = arg;
	json_t *row = json_loads(line, 0, NULL);

	if (!row) {
		verdict->broken = true;
	} else if (!verdict->head) {
		verdict->head = row;
	} else {
		json_array_append_new(verdict->differences, row);
	}
}

static const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

static long long number_of(const json_t *row, const char *key)
{
	return (long long)json_integer_value(json_object_get(row, key));
}

static void print_difference(const struct cli *cli, const json_t *row)
{
	const char *table = text_of(row, "table"), *kernel = text_of(row, "kernel");

	printf("%s %s: ", text_of(row, "kind"), text_of(row, "what"));
	print_color(cli, COLOR_NAME, text_of(row, "object"), 0);
	if (table[0]) {
		fputs(" table: ", stdout);
		print_color(cli, COLOR_BAD, table, 0);
	}
	if (kernel[0]) {
		fputs(" kernel: ", stdout);
		print_color(cli, COLOR_GOOD, kernel, 0);
	}
	putchar('\n');
}

static int print_verdict(const struct cli *cli, const struct verdict *verdict)
{
	long long found = number_of(verdict->head, "found");
	long long left = number_of(verdict->head, "left");
	const json_t *row;
	size_t i;

	if (cli->json) {
		json_print(json_incref(verdict->differences));
		return found ? CLI_FAILED : CLI_DONE;
	}
	json_array_foreach(verdict->differences, i, row)
	{
		print_difference(cli, row);
	}
	if (found > (long long)i) {
		printf("and %lld more\n", found - (long long)i);
	}
	if (found == 0) {
		fputs("equal", stdout);
		if (left) {
			printf(" but for %lld left to the kernel, since a table is at its limit",
			       left);
		}
		if (cli->statistics) {
			printf(" compared %lld passes %lld took %lld ms",
			       number_of(verdict->head, "compared"),
			       number_of(verdict->head, "passes"),
			       number_of(verdict->head, "took_ms"));
		}
		putchar('\n');
	}
	return found ? CLI_FAILED : CLI_DONE;
}

/* Ask until it is done. */
static int wait_for(const struct cli *cli, struct verdict *verdict)
{
	const struct timespec moment = {.tv_nsec = ASK_AGAIN_MS * 1000 * 1000};
	char question[64];
	int code;

	code = ask(cli, "verify", take_line, verdict);
	snprintf(question, sizeof(question), "verify %lld", number_of(verdict->head, "id"));
	while (!code && !verdict->broken) {
		json_decref(verdict->head);
		verdict->head = NULL;
		code = ask(cli, question, take_line, verdict);
		if (strcmp(text_of(verdict->head, "state"), "running") != 0) {
			break;
		}
		nanosleep(&moment, NULL);
	}
	return code;
}

int verify_show(const struct cli *cli, int argc, char **argv)
{
	struct verdict verdict = {0};
	int code;

	if (argc) {
		complain("mirror --verify: did not expect '%s'", argv[0]);
		return CLI_USAGE;
	}
	verdict.differences = json_array();
	code = wait_for(cli, &verdict);
	if (!code && (verdict.broken || !json_is_object(verdict.head))) {
		complain("shuntd sent what this shunt does not understand: another version?");
		code = CLI_FAILED;
	}
	if (!code) {
		code = print_verdict(cli, &verdict);
	}
	json_decref(verdict.head);
	json_decref(verdict.differences);
	return code;
}
