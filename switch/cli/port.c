// SPDX-License-Identifier: BSD-2-Clause
/* port: the ports and where their frames went. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* A port's words out of the segment, whole even if control writes them just now. */
struct port_view {
	char name[SHUNT_IFNAME_SIZE];
	char reason[96];
	char mode[12];
	const char *state;
	enum color color;
	uint32_t ifindex, queues;
	uint64_t redirected, delivered;
	struct port_sums sums;
};

static void port_look(struct port_view *view, const struct stats *stats, unsigned slot)
{
	static const struct {
		const char *name;
		enum color color;
	} states[] = {
		[PORT_DOWN] = {"down", COLOR_BAD},  [PORT_KERNEL] = {"kernel", COLOR_ODD},
		[PORT_FAST] = {"fast", COLOR_GOOD}, [PORT_STALE] = {"stale", COLOR_ODD},
		[PORT_DROP] = {"drop", COLOR_BAD},
	};
	const struct stats_port *port = &stats->port[slot];
	uint32_t state = __atomic_load_n(&port->state, __ATOMIC_RELAXED);

	state = state <= PORT_DROP ? state : PORT_DOWN;
	view->state = states[state].name;
	view->color = states[state].color;
	memcpy(view->reason, port->reason, sizeof(view->reason));
	view->reason[sizeof(view->reason) - 1] = '\0';
	memcpy(view->mode, port->mode, sizeof(view->mode));
	view->mode[sizeof(view->mode) - 1] = '\0';
	view->ifindex = port->ifindex;
	view->queues = port->queues;
	view->redirected = stats_get((const uint64_t *)&port->steer.redirected);
	view->delivered = stats_get(&port->punt_delivered);
	port_sum(&view->sums, port, worker_count(stats));
}

/* {"name": count} of those that are not zero. */
static json_t *reasons_json(const struct reason *reasons, const uint64_t *counts, unsigned count)
{
	json_t *object = json_object();

	for (unsigned r = 0; r < count; r++) {
		if (counts[r]) {
			json_count(object, reasons[r].name, counts[r]);
		}
	}
	return object;
}

static json_t *packets_json(uint64_t packets, uint64_t bytes)
{
	json_t *object = json_object();

	json_count(object, "packets", packets);
	json_count(object, "bytes", bytes);
	return object;
}

static json_t *port_json(const struct cli *cli, const struct port_view *view)
{
	const struct port_sums *sums = &view->sums;
	json_t *row = json_object(), *kernel = json_object();

	json_put(row, "ifname", json_text(view->name));
	json_count(row, "ifindex", view->ifindex);
	json_put(row, "state", json_string(view->state));
	json_put(row, "reason", json_text(view->reason));
	json_put(row, "mode", json_text(view->mode));
	json_count(row, "queues", view->queues);
	json_put(row, "rx", packets_json(sums->rx_packets, sums->rx_bytes));
	json_put(row, "tx", packets_json(sums->tx_packets, sums->tx_bytes));
	json_count(kernel, "packets", sums->passed);
	json_put(row, "kernel", kernel);
	json_count(row, "punted", sums->punted);
	json_put(row, "drops", reasons_json(drop_reasons, sums->drop, DROP_REASON_COUNT + 1));
	if (cli->statistics) {
		json_count(row, "redirected", view->redirected);
		json_put(row, "passed", reasons_json(pass_reasons, sums->pass, STEER_REASON_COUNT));
		json_put(row, "punts", reasons_json(punt_reasons, sums->punt, PUNT_REASON_COUNT));
		json_count(row, "punt_delivered", view->delivered);
		json_count(row, "flooded", sums->flooded);
		json_count(row, "learns", sums->learns);
	}
	return row;
}

static void port_brief(const struct cli *cli, const struct port_view *view)
{
	const struct port_sums *sums = &view->sums;

	print_color(cli, COLOR_NAME, view->name, 16);
	print_color(cli, view->color, view->state, 7);
	printf("%-9s rx %-12" PRIu64 " tx %-12" PRIu64 " kernel %-10" PRIu64 " punted %-8" PRIu64
	       " drops %" PRIu64 "%s%s\n",
	       view->mode[0] ? view->mode : "-", sums->rx_packets, sums->tx_packets, sums->passed,
	       sums->punted, sums->dropped, view->reason[0] ? "  " : "", view->reason);
}

static void reasons_text(const char *title, const struct reason *reasons, const uint64_t *counts,
			 unsigned count, uint64_t total)
{
	printf("    %-8s %12" PRIu64 "\n", title, total);
	for (unsigned r = 0; r < count; r++) {
		if (counts[r]) {
			printf("        %-12s %12" PRIu64 "  %s\n", reasons[r].name, counts[r],
			       reasons[r].meaning);
		}
	}
}

static void port_text(const struct cli *cli, const struct port_view *view, unsigned slot)
{
	const struct port_sums *sums = &view->sums;

	printf("%u: ", slot);
	print_color(cli, COLOR_NAME, view->name, 0);
	fputs(": state ", stdout);
	print_color(cli, view->color, view->state, 0);
	printf(" mode %s queues %u ifindex %u\n", view->mode[0] ? view->mode : "none", view->queues,
	       view->ifindex);
	if (view->reason[0]) {
		printf("    reason: %s\n", view->reason);
	}
	if (!cli->statistics) {
		printf("    rx %" PRIu64 " packets %" PRIu64 " bytes  tx %" PRIu64
		       " packets %" PRIu64 " bytes\n",
		       sums->rx_packets, sums->rx_bytes, sums->tx_packets, sums->tx_bytes);
		printf("    kernel %" PRIu64 "  punted %" PRIu64 "  drops %" PRIu64 "\n",
		       sums->passed, sums->punted, sums->dropped);
		return;
	}
	printf("    %-8s %12s %16s %12s %10s\n", "", "packets", "bytes", "flooded", "learns");
	printf("    %-8s %12" PRIu64 " %16" PRIu64 " %12" PRIu64 " %10" PRIu64 "\n", "rx",
	       sums->rx_packets, sums->rx_bytes, sums->flooded, sums->learns);
	printf("    %-8s %12" PRIu64 " %16" PRIu64 "\n", "tx", sums->tx_packets, sums->tx_bytes);
	reasons_text("kernel", pass_reasons, sums->pass, STEER_REASON_COUNT, sums->passed);
	reasons_text("punted", punt_reasons, sums->punt, PUNT_REASON_COUNT, sums->punted);
	reasons_text("drops", drop_reasons, sums->drop, DROP_REASON_COUNT + 1, sums->dropped);
}

static void port_print(const struct cli *cli, json_t *rows, const struct port_view *view,
		       unsigned slot)
{
	if (rows) {
		json_array_append_new(rows, port_json(cli, view));
	} else if (cli->brief) {
		port_brief(cli, view);
	} else {
		port_text(cli, view, slot);
	}
}

int port_show(const struct cli *cli, int argc, char **argv)
{
	const char *only = NULL;
	const struct stats *stats;
	struct port_view view;
	json_t *rows = NULL;
	bool found = false;

	if (argc && !strcmp(argv[0], "dev")) {
		argc--;
		argv++;
	}
	if (argc > 1) {
		complain("port: did not expect '%s': expected [NAME]", argv[1]);
		return CLI_USAGE;
	}
	only = argc ? argv[0] : NULL;
	stats = ask_stats(cli);
	if (!stats) {
		return CLI_FAILED;
	}
	rows = cli->json ? json_array() : NULL;
	for (unsigned slot = 0; slot < SHUNT_PORTS_MAX; slot++) {
		if (!port_name(view.name, &stats->port[slot]) ||
		    (only && strcmp(only, view.name))) {
			continue;
		}
		port_look(&view, stats, slot);
		port_print(cli, rows, &view, slot);
		found = true;
	}
	stats_close(stats);
	if (only && !found) {
		json_decref(rows);
		complain("there is no port %s: shunt port lists them", only);
		return CLI_FAILED;
	}
	return rows ? json_print(rows) : CLI_DONE;
}
