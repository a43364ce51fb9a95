// SPDX-License-Identifier: BSD-2-Clause
/* doctor: looks at the machine, the kernel, the ports and the configuration. */
#include "cli/doctor.h"

#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/offload.h"

#define CONFIG_PATH "/etc/shunt/shunt.lua"

static const char *const levels[] = {
	[FINDING_OK] = "OK", [FINDING_NOTE] = "NOTE", [FINDING_FIX] = "FIX"};

/* Findings ---------------------------------------------------------------------------------- */

struct finding *doctor_say(struct doctor *doctor, enum finding_level level, const char *check,
			   const char *subject, const char *means, const char *format, ...)
{
	static struct finding lost;
	struct finding *finding;
	va_list args;

	if (doctor->count == doctor->room) {
		size_t room = doctor->room ? doctor->room * 2 : 64;
		struct finding *more = reallocarray(doctor->finding, room, sizeof(*more));

		if (!more) {
			return &lost;
		}
		doctor->finding = more;
		doctor->room = room;
	}
	finding = &doctor->finding[doctor->count++];
	*finding = (struct finding){.level = level, .check = check, .means = means};
	snprintf(finding->subject, sizeof(finding->subject), "%s", subject);
	va_start(args, format);
	vsnprintf(finding->text, sizeof(finding->text), format, args);
	va_end(args);
	return finding;
}

void finding_command(struct finding *finding, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(finding->command, sizeof(finding->command), format, args);
	va_end(args);
}

static void read_line(char *line, size_t size, const char *format, va_list args)
{
	char path[256];
	FILE *file;

	line[0] = '\0';
	vsnprintf(path, sizeof(path), format, args);
	file = fopen(path, "re");
	if (!file) {
		return;
	}
	if (!fgets(line, (int)size, file)) {
		line[0] = '\0';
	}
	line[strcspn(line, "\n")] = '\0';
	fclose(file);
}

void doctor_line(char *line, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	read_line(line, size, format, args);
	va_end(args);
}

long doctor_number(long otherwise, const char *format, ...)
{
	char line[64], *end;
	va_list args;
	long number;

	va_start(args, format);
	read_line(line, sizeof(line), format, args);
	va_end(args);
	number = strtol(line, &end, 0);
	return end == line ? otherwise : number;
}

/* The daemon and the configuration ------------------------------------------------------------ */

static void look_at_daemon(struct doctor *doctor, int err)
{
	struct finding *finding;

	if (!err) {
		doctor_say(doctor, FINDING_OK, "daemon", "daemon", NULL, "shuntd %s runs, pid %u",
			   doctor->stats->version, doctor->stats->pid);
		return;
	}
	finding = doctor_say(doctor, err == -ENOENT ? FINDING_NOTE : FINDING_FIX, "daemon",
			     "daemon",
			     "the kernel forwards; what follows is what a daemon would find",
			     err == -EPROTO ? "the shuntd at %s is of another version"
			     : err == -EACCES || err == -EPERM ? "no permission to look at %s"
							       : "no shuntd is running at %s",
			     doctor->cli->rundir);
	finding_command(finding, err == -EPROTO   ? "systemctl restart shuntd"
				 : err == -ENOENT ? "systemctl start shuntd"
						  : "sudo shunt doctor");
}

/* What a daemon has switched off, or one that was killed has left so. */
static void look_at_restore(struct doctor *doctor)
{
	struct offload_entry entries[OFFLOAD_MAX];
	bool alive;
	int count = offload_list(doctor->cli->rundir, entries, OFFLOAD_MAX, &alive);

	for (int i = 0; i < count && i < (int)OFFLOAD_MAX; i++) {
		const char *feature = ethtool_feature_name(entries[i].feature);
		struct finding *finding;

		if (alive) {
			doctor_say(doctor, FINDING_OK, "restore", entries[i].ifname, NULL,
				   "%s is off for as long as shuntd has it", feature);
			continue;
		}
		finding = doctor_say(doctor, FINDING_FIX, "restore", entries[i].ifname,
				     "the next start takes this over, and gives it back in the end",
				     "%s was left off by a daemon that is gone", feature);
		finding_command(finding, "ethtool -K %s %s on", entries[i].ifname, feature);
	}
}

static void look_at_config(struct doctor *doctor, const char *path, int err, const char *error)
{
	if (err == -ENOENT && doctor->stats && !strcmp(path, CONFIG_PATH)) {
		return; /* the daemon was given another */
	}
	if (err) {
		struct finding *finding = doctor_say(
			doctor, err == -ENOENT ? FINDING_NOTE : FINDING_FIX, "config", "config",
			"a daemon does not start with it; one that runs keeps what it has", "%s",
			error);

		finding_command(finding, "shuntd --check -c %s", path);
	} else if (doctor->config->port_count == 0) {
		doctor_say(doctor, FINDING_NOTE, "config", "config",
			   "shuntd has nothing to forward on", "%s names no port", path);
	} else {
		doctor_say(doctor, FINDING_OK, "config", "config", NULL, "%s: %u ports", path,
			   doctor->config->port_count);
	}
}

static void look_at_ports(struct doctor *doctor)
{
	const struct config *config = doctor->config;

	for (unsigned slot = 0; slot < SHUNT_PORTS_MAX; slot++) {
		struct doctor_port port = {0};

		if (doctor->stats) {
			port.port = &doctor->stats->port[slot];
			if (!port_name(port.name, port.port)) {
				continue;
			}
		} else if (config && slot < config->port_count) {
			memcpy(port.name, config->port[slot].name, sizeof(port.name));
		} else {
			continue;
		}
		for (unsigned i = 0; config && i < config->port_count; i++) {
			port.generic_wanted |= !strcmp(config->port[i].name, port.name) &&
					       config->port[i].mode == CONFIG_GENERIC;
		}
		port.ifindex = if_nametoindex(port.name);
		doctor_port(doctor, &port);
	}
}

/* What is done about it ----------------------------------------------------------------------- */

static void no_rows(void *arg, const char *line)
{
}

/* The daemon does it, so that it can undo it when it ends. */
static int fix(struct doctor *doctor)
{
	int result = CLI_DONE;

	for (size_t i = 0; i < doctor->count; i++) {
		struct finding *finding = &doctor->finding[i];
		char question[128];

		if (!finding->fix) {
			continue;
		}
		snprintf(question, sizeof(question), "fix %s %s", finding->fix, finding->subject);
		if (ask(doctor->cli, question, no_rows, NULL) == CLI_DONE) {
			finding->fixed = true;
		} else {
			result = CLI_FAILED;
		}
	}
	return result;
}

/* Output -------------------------------------------------------------------------------------- */

static json_t *finding_json(const struct finding *finding)
{
	json_t *row = json_object();

	json_put(row, "level", json_string(levels[finding->level]));
	json_put(row, "check", json_string(finding->check));
	json_put(row, "subject", json_text(finding->subject));
	json_put(row, "finding", json_text(finding->text));
	json_put(row, "means", finding->means ? json_string(finding->means) : json_null());
	json_put(row, "command", finding->command[0] ? json_text(finding->command) : json_null());
	json_put(row, "fixed", json_boolean(finding->fixed));
	return row;
}

static void finding_text(const struct cli *cli, const struct finding *finding)
{
	static const enum color colors[] = {
		[FINDING_OK] = COLOR_GOOD, [FINDING_NOTE] = COLOR_ODD, [FINDING_FIX] = COLOR_BAD};

	print_color(cli, finding->fixed ? COLOR_GOOD : colors[finding->level],
		    finding->fixed ? "FIXED" : levels[finding->level], 6);
	print_color(cli, COLOR_NAME, finding->subject, 10);
	printf(" %s\n", finding->text);
	if (cli->brief || finding->level == FINDING_OK || finding->fixed) {
		return;
	}
	if (finding->means) {
		printf("%18s%s\n", "", finding->means);
	}
	if (finding->command[0]) {
		printf("%18s# %s\n", "", finding->command);
	}
}

static int print(const struct doctor *doctor)
{
	size_t count[3] = {0};
	json_t *rows;

	if (doctor->cli->json) {
		rows = json_array();
		for (size_t i = 0; i < doctor->count; i++) {
			json_array_append_new(rows, finding_json(&doctor->finding[i]));
		}
		return json_print(rows);
	}
	for (size_t i = 0; i < doctor->count; i++) {
		finding_text(doctor->cli, &doctor->finding[i]);
		count[doctor->finding[i].fixed ? FINDING_OK : doctor->finding[i].level]++;
	}
	printf("%zu OK, %zu NOTE, %zu FIX\n", count[FINDING_OK], count[FINDING_NOTE],
	       count[FINDING_FIX]);
	return CLI_DONE;
}

int doctor_show(const struct cli *cli, int argc, char **argv)
{
	struct doctor doctor = {.cli = cli};
	const char *path = CONFIG_PATH;
	struct config *config = NULL;
	char error[256] = "";
	bool fixing = false;
	int err, result;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--fix")) {
			fixing = true;
		} else if (!strcmp(argv[i], "config") && i + 1 < argc) {
			path = argv[++i];
		} else {
			complain("doctor: did not expect '%s': expected [--fix] [config FILE]",
				 argv[i]);
			return CLI_USAGE;
		}
	}
	err = ask_stats_quietly(cli, &doctor.stats);
	look_at_daemon(&doctor, err);
	look_at_restore(&doctor);
	err = config_load(&config, path, error, sizeof(error));
	doctor.config = config;
	look_at_config(&doctor, path, err, error);
	doctor_machine(&doctor);
	look_at_ports(&doctor);
	result = fixing ? fix(&doctor) : CLI_DONE;
	if (print(&doctor)) {
		result = CLI_FAILED;
	}
	if (doctor.stats) {
		stats_close(doctor.stats);
	}
	config_free(config);
	free(doctor.finding);
	return result;
}
