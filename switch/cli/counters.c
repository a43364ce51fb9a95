// SPDX-License-Identifier: BSD-2-Clause
/* counters: drops, frames and workers, out of the stats segment. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"

#define ANY_CPU UINT32_MAX /* a worker that is bound to none */
#define REASON_ENTRY(id, name, meaning) {name, meaning},

const struct reason pass_reasons[STEER_REASON_COUNT] = {STEER_REASONS(REASON_ENTRY)};
const struct reason punt_reasons[PUNT_REASON_COUNT] = {PUNT_REASONS(REASON_ENTRY)};
const struct reason drop_reasons[DROP_REASON_COUNT + 1] = {DROP_REASONS(REASON_ENTRY){
	ON_FAILURE, "no daemon, or a hung one, and on_failure is \"drop\""}};

unsigned worker_count(const struct stats *stats)
{
	return stats->workers < SHUNT_WORKERS_MAX ? stats->workers : SHUNT_WORKERS_MAX;
}

const char *port_name(char name[SHUNT_IFNAME_SIZE], const struct stats_port *port)
{
	memcpy(name, port->ifname, SHUNT_IFNAME_SIZE);
	name[SHUNT_IFNAME_SIZE - 1] = '\0';
	return name[0] ? name : NULL;
}

void port_sum(struct port_sums *sums, const struct stats_port *port, unsigned workers)
{
	memset(sums, 0, sizeof(*sums));
	for (unsigned i = 0; i < workers; i++) {
		const struct stats_port_worker *own = &port->worker[i];

		sums->rx_packets += stats_get(&own->rx_packets);
		sums->rx_bytes += stats_get(&own->rx_bytes);
		sums->tx_packets += stats_get(&own->tx_packets);
		sums->tx_bytes += stats_get(&own->tx_bytes);
		sums->flooded += stats_get(&own->flooded);
		sums->learns += stats_get(&own->learns);
		for (unsigned r = 0; r < PUNT_REASON_COUNT; r++) {
			sums->punt[r] += stats_get(&own->punted[r]);
		}
		for (unsigned r = 0; r < DROP_REASON_COUNT; r++) {
			sums->drop[r] += stats_get(&own->drops[r]);
		}
	}
	for (unsigned r = 0; r < STEER_REASON_COUNT; r++) {
		sums->pass[r] = stats_get((const uint64_t *)&port->steer.passed[r]);
		sums->passed += sums->pass[r];
	}
	sums->drop[DROP_PUNT_POLICED] += stats_get(&port->punt_policed);
	sums->drop[DROP_PUNT_FAILED] += stats_get(&port->punt_failed);
	sums->drop[DROP_REASON_COUNT] = stats_get((const uint64_t *)&port->steer.dropped);
	for (unsigned r = 0; r < PUNT_REASON_COUNT; r++) {
		sums->punted += sums->punt[r];
	}
	for (unsigned r = 0; r <= DROP_REASON_COUNT; r++) {
		sums->dropped += sums->drop[r];
	}
}

/* drops ------------------------------------------------------------------------------------- */

struct drops_filter {
	bool all;
	const char *reason, *dev;
};

static int drops_arguments(struct drops_filter *filter, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "all")) {
			filter->all = true;
		} else if (!strcmp(argv[i], "dev") && i + 1 < argc) {
			filter->dev = argv[++i];
		} else if (!filter->reason && strcmp(argv[i], "dev") != 0) {
			filter->reason = argv[i];
		} else {
			complain("drops: did not expect '%s': expected [all] [REASON] [dev NAME]",
				 argv[i]);
			return CLI_USAGE;
		}
	}
	for (unsigned r = 0; filter->reason && r <= DROP_REASON_COUNT; r++) {
		if (!strcmp(filter->reason, drop_reasons[r].name)) {
			return CLI_DONE;
		}
	}
	if (filter->reason) {
		complain("drops: there is no reason '%s': see shunt drops show all",
			 filter->reason);
		return CLI_USAGE;
	}
	return CLI_DONE;
}

static void drops_row(json_t *rows, const struct reason *reason, uint64_t count, const char *dev)
{
	json_t *row;

	if (!rows) {
		printf("%-13s %12" PRIu64 "  %-15s  %s\n", reason->name, count, dev,
		       reason->meaning);
		return;
	}
	row = json_object();
	json_put(row, "reason", json_string(reason->name));
	json_count(row, "packets", count);
	json_put(row, "dev", json_text(dev));
	json_put(row, "meaning", json_string(reason->meaning));
	json_array_append_new(rows, row);
}

static void drops_port(json_t *rows, const struct stats *stats, unsigned slot,
		       const struct drops_filter *filter)
{
	char name[SHUNT_IFNAME_SIZE];
	struct port_sums sums;

	if (!port_name(name, &stats->port[slot]) || (filter->dev && strcmp(filter->dev, name))) {
		return;
	}
	port_sum(&sums, &stats->port[slot], worker_count(stats));
	for (unsigned r = 0; r <= DROP_REASON_COUNT; r++) {
		if (filter->reason && strcmp(filter->reason, drop_reasons[r].name)) {
			continue;
		}
		if (sums.drop[r] || filter->all) {
			drops_row(rows, &drop_reasons[r], sums.drop[r], name);
		}
	}
}

int drops_show(const struct cli *cli, int argc, char **argv)
{
	struct drops_filter filter = {.all = cli->statistics};
	const struct stats *stats;
	json_t *rows = NULL;
	int code;

	code = drops_arguments(&filter, argc, argv);
	if (code) {
		return code;
	}
	stats = ask_stats(cli);
	if (!stats) {
		return CLI_FAILED;
	}
	if (cli->json) {
		rows = json_array();
	} else if (!cli->brief) {
		printf("%-13s %12s  %-15s  %s\n", "REASON", "PACKETS", "DEV", "MEANING");
	}
	for (unsigned slot = 0; slot < SHUNT_PORTS_MAX; slot++) {
		drops_port(rows, stats, slot, &filter);
	}
	stats_close(stats);
	return rows ? json_print(rows) : CLI_DONE;
}

/* frames ------------------------------------------------------------------------------------ */

static const char *const role_names[FRAME_ROLES] = {
	[FRAME_POOL] = "pool",     [FRAME_KERNEL_RX] = "kernel_rx",
	[FRAME_WORKER] = "worker", [FRAME_KERNEL_TX] = "kernel_tx",
	[FRAME_PUNT] = "punt",     [FRAME_PENDING] = "pending",
	[FRAME_LIMBO] = "limbo",
};

/* Seqlock: a copy is whole when the sequence was even and did not move meanwhile. */
static int census_read(struct frame_census *out, const struct stats *stats)
{
	const struct timespec moment = {.tv_nsec = 100 * 1000};

	for (unsigned i = 0; i < 1000; i++) {
		uint64_t before = __atomic_load_n(&stats->census_seq, __ATOMIC_ACQUIRE);

		memcpy(out, &stats->census, sizeof(*out));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(before & 1) &&
		    before == __atomic_load_n(&stats->census_seq, __ATOMIC_RELAXED)) {
			return CLI_DONE;
		}
		nanosleep(&moment, NULL);
	}
	complain("the worker was stopped while it wrote its census: no consistent numbers");
	return CLI_FAILED;
}

static int frames_json(const struct cli *cli, const struct frame_census *census)
{
	json_t *row = json_object();

	json_count(row, "total", census->total);
	for (unsigned role = 0; role < FRAME_ROLES; role++) {
		json_count(row, role_names[role], census->role[role]);
	}
	json_put(row, "lost", json_integer(census->lost));
	if (cli->statistics) {
		json_count(row, "quarantined", census->quarantined);
	}
	return json_print(row);
}

int frames_show(const struct cli *cli, int argc, char **argv)
{
	const struct stats *stats;
	struct frame_census census;
	int code;

	if (argc) {
		complain("frames: did not expect '%s'", argv[0]);
		return CLI_USAGE;
	}
	stats = ask_stats(cli);
	if (!stats) {
		return CLI_FAILED;
	}
	code = census_read(&census, stats);
	stats_close(stats);
	if (code) {
		return code;
	}
	if (cli->json) {
		return frames_json(cli, &census);
	}
	printf("total %" PRIu64 "  lost ", census.total);
	if (census.lost) {
		char lost[24];

		snprintf(lost, sizeof(lost), "%" PRId64, census.lost);
		print_color(cli, COLOR_BAD, lost, 0);
	} else {
		print_color(cli, COLOR_GOOD, "0", 0);
	}
	printf("  quarantined %" PRIu64 "%s", census.quarantined, cli->brief ? "" : "\n   ");
	for (unsigned role = 0; role < FRAME_ROLES; role++) {
		printf(" %s %" PRIu64, role_names[role], census.role[role]);
	}
	putchar('\n');
	return CLI_DONE;
}

/* worker ------------------------------------------------------------------------------------ */

static double busy_share(const struct stats *stats, const struct stats_worker *worker)
{
	struct timespec now;
	double lived;

	clock_gettime(CLOCK_MONOTONIC, &now);
	lived = (double)now.tv_sec * 1e9 + (double)now.tv_nsec - (double)stats->started_ns;
	return lived > 0 ? (double)stats_get(&worker->busy_ns) / lived : 0;
}

/* One worker has every bound queue. */
static unsigned queues_bound(const struct stats *stats)
{
	unsigned queues = 0;

	for (unsigned slot = 0; slot < SHUNT_PORTS_MAX; slot++) {
		if (stats->port[slot].ifname[0] && stats->port[slot].mode[0]) {
			queues += stats->port[slot].queues;
		}
	}
	return queues;
}

static void worker_row(const struct cli *cli, json_t *rows, const struct stats *stats, unsigned id)
{
	const struct stats_worker *worker = &stats->worker[id];
	char cpu[16];
	json_t *row;

	if (rows) {
		row = json_object();
		json_count(row, "id", id);
		json_put(row, "cpu",
			 worker->cpu == ANY_CPU ? json_null() : json_integer(worker->cpu));
		json_count(row, "queues", queues_bound(stats));
		json_put(row, "busy", json_real(busy_share(stats, worker)));
		json_count(row, "rx", stats_get(&worker->rx));
		json_count(row, "tx", stats_get(&worker->tx));
		json_count(row, "handed", stats_get(&worker->handed));
		json_array_append_new(rows, row);
		return;
	}
	snprintf(cpu, sizeof(cpu), "%u", worker->cpu);
	printf("worker %u: cpu %s queues %u busy %.1f%% rx %" PRIu64 " tx %" PRIu64
	       " handed %" PRIu64,
	       id, worker->cpu == ANY_CPU ? "any" : cpu, queues_bound(stats),
	       busy_share(stats, worker) * 100, stats_get(&worker->rx), stats_get(&worker->tx),
	       stats_get(&worker->handed));
	if (cli->statistics) {
		printf(" bursts %" PRIu64 " sleeps %" PRIu64, stats_get(&worker->bursts),
		       stats_get(&worker->idle_sleeps));
	}
	putchar('\n');
}

int worker_show(const struct cli *cli, int argc, char **argv)
{
	const struct stats *stats;
	json_t *rows = NULL;
	char *end = NULL;
	long only = -1;

	if (argc == 1) {
		only = strtol(argv[0], &end, 10);
	}
	if (argc > 1 || (argc == 1 && (*end || end == argv[0] || only < 0))) {
		complain("worker: did not expect '%s': expected [ID]", argv[argc - 1]);
		return CLI_USAGE;
	}
	stats = ask_stats(cli);
	if (!stats) {
		return CLI_FAILED;
	}
	if (only >= (long)worker_count(stats)) {
		complain("there is no worker %ld", only);
		stats_close(stats);
		return CLI_FAILED;
	}
	rows = cli->json ? json_array() : NULL;
	for (unsigned id = 0; id < worker_count(stats); id++) {
		if (only < 0 || only == (long)id) {
			worker_row(cli, rows, stats, id);
		}
	}
	stats_close(stats);
	return rows ? json_print(rows) : CLI_DONE;
}
