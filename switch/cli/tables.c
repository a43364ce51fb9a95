// SPDX-License-Identifier: BSD-2-Clause
/* tables: what the mirror holds, asked of the daemon: one JSON object a line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define FILTERS_MAX 8

struct filter {
	const char *key, *value;
};

struct listing {
	const struct cli *cli;
	const char *const *keys;   /* what can be filtered by; the first also without its name */
	const char *const *fields; /* of the JSON, in order */
	void (*print)(const struct cli *cli, const json_t *row);
	struct filter filter[FILTERS_MAX];
	unsigned filters;
	unsigned long rows;
	bool broken; /* the daemon sent what is not JSON */
};

static const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

static json_int_t number_of(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

/* "default" is a prefix of both families; a plain address is its host route. */
static bool same_text(const char *wanted, const char *text)
{
	size_t size = strlen(wanted);

	if (!strcasecmp(wanted, text)) {
		return true;
	}
	if (!strcmp(wanted, "default")) {
		return !strcmp(text, "0.0.0.0/0") || !strcmp(text, "::/0");
	}
	return !strncasecmp(wanted, text, size) &&
	       (!strcmp(text + size, "/32") || !strcmp(text + size, "/128"));
}

static bool value_matches(const json_t *value, const char *wanted)
{
	char number[32];

	if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(value));
		return !strcmp(number, wanted);
	}
	return json_is_string(value) && same_text(wanted, json_string_value(value));
}

static bool row_matches(const json_t *row, const struct filter *filter)
{
	const json_t *hops = json_object_get(row, "nexthops"), *hop;
	size_t i;

	if (value_matches(json_object_get(row, filter->key), filter->value)) {
		return true;
	}
	json_array_foreach(hops, i, hop)
	{
		if (value_matches(json_object_get(hop, filter->key), filter->value)) {
			return true;
		}
	}
	return false;
}

/* The fields of the contract and no others, null where the daemon has none. */
static json_t *contract(const json_t *row, const char *const *fields)
{
	static const char *const hop_fields[] = {"via", "dev", "weight", NULL};
	json_t *out = json_object(), *value, *hop;
	size_t i;

	for (; *fields; fields++) {
		value = json_object_get(row, *fields);
		if (json_is_array(value)) {
			json_t *hops = json_array();

			json_array_foreach(value, i, hop)
			{
				json_array_append_new(hops, contract(hop, hop_fields));
			}
			json_put(out, *fields, hops);
		} else {
			json_put(out, *fields, value ? json_incref(value) : json_null());
		}
	}
	return out;
}

/* With -s what else the daemon says follows. */
static json_t *json_of_row(const struct cli *cli, const json_t *row, const char *const *fields)
{
	json_t *out = contract(row, fields);

	if (cli->statistics) {
		json_object_update_missing(out, (json_t *)row);
	}
	return out;
}

static void json_row(const struct listing *listing, const json_t *row)
{
	json_t *out = json_of_row(listing->cli, row, listing->fields);

	fputc(listing->rows ? ',' : '[', stdout);
	json_dumpf(out, stdout, JSON_COMPACT);
	json_decref(out);
}

/* Rows go out as they come: a table may be large. */
static void listing_row(void *arg, const char *line)
{
	struct listing *listing = arg;
	json_t *row = json_loads(line, 0, NULL);
	bool match = json_is_object(row);

	listing->broken |= !match;
	for (unsigned i = 0; match && i < listing->filters; i++) {
		match = row_matches(row, &listing->filter[i]);
	}
	if (match && listing->cli->json) {
		json_row(listing, row);
	} else if (match) {
		listing->print(listing->cli, row);
	}
	listing->rows += match;
	json_decref(row);
}

static const char *known_key(const char *const *keys, const char *word)
{
	for (; *keys; keys++) {
		if (!strcmp(*keys, word)) {
			return *keys;
		}
	}
	return NULL;
}

static bool has_filter(const struct listing *listing, const char *key)
{
	for (unsigned i = 0; i < listing->filters; i++) {
		if (listing->filter[i].key == key) {
			return true;
		}
	}
	return false;
}

static int listing_arguments(struct listing *listing, const char *object, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		struct filter *filter = &listing->filter[listing->filters];
		const char *key = known_key(listing->keys, argv[i]);

		if (listing->filters == FILTERS_MAX) {
			complain("%s: too many words", object);
			return CLI_USAGE;
		}
		if (key && i + 1 == argc) {
			complain("%s: expected a value after '%s'", object, key);
			return CLI_USAGE;
		}
		if (!key && has_filter(listing, listing->keys[0])) {
			complain("%s: did not expect '%s'", object, argv[i]);
			return CLI_USAGE;
		}
		filter->key = key ? key : listing->keys[0];
		filter->value = key ? argv[++i] : argv[i];
		listing->filters++;
	}
	return CLI_DONE;
}

static int listing_show(struct listing *listing, const char *object, int argc, char **argv)
{
	int code = listing_arguments(listing, object, argc, argv);

	if (!code) {
		code = ask(listing->cli, object, listing_row, listing);
	}
	if (code) {
		return code;
	}
	if (listing->cli->json) {
		fputs(listing->rows ? "]\n" : "[]\n", stdout);
	}
	if (listing->broken) {
		complain("shuntd sent what this shunt does not understand: another version?");
		return CLI_FAILED;
	}
	return CLI_DONE;
}

/* route ------------------------------------------------------------------------------------- */

static void hop_print(const struct cli *cli, const json_t *hop, bool weight)
{
	const char *via = text_of(hop, "via");

	if (via[0]) {
		fputs(" via ", stdout);
		print_color(cli, COLOR_ADDRESS, via, 0);
	}
	fputs(" dev ", stdout);
	print_color(cli, COLOR_NAME, text_of(hop, "dev"), 0);
	if (weight) {
		printf(" weight %" JSON_INTEGER_FORMAT, number_of(hop, "weight"));
	}
}

/* As `ip route` prints it; the kernel's part says so. */
static void route_print(const struct cli *cli, const json_t *row)
{
	const json_t *hops = json_object_get(row, "nexthops"), *hop;
	const json_t *table = json_object_get(row, "table");
	bool many = json_array_size(hops) > 1;
	size_t i;

	print_color(cli, COLOR_ADDRESS, text_of(row, "dst"), 0);
	if (!many && json_array_size(hops)) {
		hop_print(cli, json_array_get(hops, 0), false);
	}
	if (json_is_integer(table)) {
		printf(" table %" JSON_INTEGER_FORMAT, json_integer_value(table));
	} else if (strcmp(text_of(row, "table"), "main")) {
		printf(" table %s", text_of(row, "table"));
	}
	if (strcmp(text_of(row, "action"), "forward")) {
		printf(" action %s", text_of(row, "action"));
	}
	for (i = 0; many && i < json_array_size(hops); i++) {
		hop = json_array_get(hops, i);
		fputs(cli->brief ? " nexthop" : "\n\tnexthop", stdout);
		hop_print(cli, hop, true);
	}
	putchar('\n');
}

int route_show(const struct cli *cli, int argc, char **argv)
{
	static const char *const keys[] = {"dst", "table", "dev", "via", "action", NULL};
	static const char *const fields[] = {"dst", "table", "nexthops", "action", NULL};
	struct listing listing = {.cli = cli, .keys = keys, .fields = fields, .print = route_print};

	for (int i = 0; i + 1 < argc; i++) {
		if (!strcmp(argv[i], "action") && strcmp(argv[i + 1], "forward") != 0 &&
		    strcmp(argv[i + 1], "kernel") != 0) {
			complain("route: there is no action '%s': forward or kernel", argv[i + 1]);
			return CLI_USAGE;
		}
	}
	return listing_show(&listing, "route", argc, argv);
}

/* neigh ------------------------------------------------------------------------------------- */

static void neigh_print(const struct cli *cli, const json_t *row)
{
	const char *lladdr = text_of(row, "lladdr");

	print_color(cli, COLOR_ADDRESS, text_of(row, "dst"), 0);
	fputs(" dev ", stdout);
	print_color(cli, COLOR_NAME, text_of(row, "dev"), 0);
	if (lladdr[0]) {
		fputs(" lladdr ", stdout);
		print_color(cli, COLOR_MAC, lladdr, 0);
	}
	printf(" %s\n", text_of(row, "state"));
}

int neigh_show(const struct cli *cli, int argc, char **argv)
{
	static const char *const keys[] = {"dst", "dev", "lladdr", "state", NULL};
	static const char *const fields[] = {"dst", "dev", "lladdr", "state", NULL};
	struct listing listing = {.cli = cli, .keys = keys, .fields = fields, .print = neigh_print};

	return listing_show(&listing, "neigh", argc, argv);
}

/* fdb --------------------------------------------------------------------------------------- */

static void fdb_print(const struct cli *cli, const json_t *row)
{
	json_int_t vlan = number_of(row, "vlan");

	print_color(cli, COLOR_MAC, text_of(row, "mac"), 0);
	fputs(" dev ", stdout);
	print_color(cli, COLOR_NAME, text_of(row, "dev"), 0);
	if (vlan) {
		printf(" vlan %" JSON_INTEGER_FORMAT, vlan);
	}
	fputs(" bridge ", stdout);
	print_color(cli, COLOR_NAME, text_of(row, "bridge"), 0);
	printf(" %s\n", text_of(row, "state"));
}

int fdb_show(const struct cli *cli, int argc, char **argv)
{
	static const char *const keys[] = {"mac", "dev", "bridge", "vlan", "state", NULL};
	static const char *const fields[] = {"mac", "vlan", "bridge", "dev", "state", NULL};
	struct listing listing = {.cli = cli, .keys = keys, .fields = fields, .print = fdb_print};

	return listing_show(&listing, "fdb", argc, argv);
}

/* mirror ------------------------------------------------------------------------------------ */

static void single_row(void *arg, const char *line)
{
	json_t **row = arg;

	json_decref(*row);
	*row = json_loads(line, 0, NULL);
}

int mirror_show(const struct cli *cli, int argc, char **argv)
{
	static const char *const fields[] = {"state",   "resyncs",  "routes4",
					     "routes6", "nexthops", "neighbours",
					     "fdb",     "lag_ms",   NULL};
	json_t *row = NULL;
	const char *state;
	int code;

	if (argc && (!strcmp(argv[0], "--verify") || !strcmp(argv[0], "verify"))) {
		return verify_show(cli, argc - 1, argv + 1);
	}
	if (argc) {
		complain("mirror: did not expect '%s'", argv[0]);
		return CLI_USAGE;
	}
	code = ask(cli, "mirror", single_row, &row);
	if (code) {
		json_decref(row);
		return code;
	}
	if (!json_is_object(row)) {
		json_decref(row);
		complain("shuntd sent what this shunt does not understand: another version?");
		return CLI_FAILED;
	}
	if (cli->json) {
		json_t *out = json_of_row(cli, row, fields);

		json_decref(row);
		return json_print(out);
	}
	state = text_of(row, "state");
	fputs("state ", stdout);
	print_color(cli, strcmp(state, "live") ? COLOR_ODD : COLOR_GOOD, state, 0);
	printf(" lag %" JSON_INTEGER_FORMAT " ms resyncs %" JSON_INTEGER_FORMAT "%s",
	       number_of(row, "lag_ms"), number_of(row, "resyncs"), cli->brief ? "" : "\n   ");
	for (unsigned i = 2; i < 7; i++) { /* the counts */
		printf(" %s %" JSON_INTEGER_FORMAT, fields[i], number_of(row, fields[i]));
	}
	putchar('\n');
	json_decref(row);
	return CLI_DONE;
}
