/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory is mapped once, at the start.  Each port has its share of it for ever: with more queues
 * than it had then its rings are shorter, so that no other port's frames become fewer. */
#include <net/if.h>
#include <unistd.h>

#include "run/port_int.h"
#include "run/punt.h"
#include "run/worker.h"

#define RING_SIZE_MAX 2048u /* entries; what a 25 GbE link needs for 100 us of 64-byte frames */
#define RING_SIZE_MIN 256u
#define RING_SIZE_FLOOR SHUNT_BURST /* of a port whose queues became many */
#define SLACK_FRAMES 512u           /* bursts in hand */
#define MEMORY_SHARE 8u             /* of the machine's memory at most this fraction holds frames */

static unsigned queues_of(const struct config_port *conf, const struct ethtool_info *driver)
{
	unsigned queues = driver->rx_queues ? driver->rx_queues : 1;

	if (conf->queues && conf->queues < queues) {
		queues = conf->queues;
	}
	return queues < SHUNT_QUEUES_MAX ? queues : SHUNT_QUEUES_MAX;
}

/* Frames waiting for a full TX ring. */
static unsigned stage_of(unsigned ring)
{
	return ring / 4 > SHUNT_BURST ? ring / 4 : SHUNT_BURST;
}

/* A queue can have so many with the kernel for receiving, on its TX ring, and waiting for that:
 * with as many for each, none can starve another. */
static size_t frames_of(unsigned queues, unsigned ring)
{
	return (size_t)queues * (2 * ring + stage_of(ring));
}

struct ports_size ports_size(const struct config *config)
{
	size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	struct ports_size size = {.ring = RING_SIZE_MAX};
	unsigned queues[SHUNT_PORTS_MAX], all = 0;

	for (unsigned i = 0; i < config->port_count; i++) {
		struct ethtool_info driver = {0};

		ethtool_query(config->port[i].name, if_nametoindex(config->port[i].name), &driver);
		queues[i] = queues_of(&config->port[i], &driver);
		all += queues[i];
	}
	while (size.ring > RING_SIZE_MIN &&
	       frames_of(all, size.ring) * FRAME_SIZE > memory / MEMORY_SHARE) {
		size.ring /= 2;
	}
	size.frames = PUNT_FRAMES + SLACK_FRAMES;
	for (unsigned i = 0; i < config->port_count; i++) {
		size.share[i] = frames_of(queues[i], size.ring);
		size.frames += size.share[i];
	}
	return size;
}

struct port_plan port_plan(const struct config_port *conf, const struct ethtool_info *driver,
			   unsigned ring, size_t share, unsigned room)
{
	struct port_plan plan = {.queues = queues_of(conf, driver), .ring = ring};

	if (plan.queues > room) {
		plan.queues = room;
	}
	while (plan.ring > RING_SIZE_FLOOR && frames_of(plan.queues, plan.ring) > share) {
		plan.ring /= 2;
	}
	while (plan.queues > 1 && frames_of(plan.queues, plan.ring) > share) {
		plan.queues--;
	}
	plan.stage = stage_of(plan.ring);
	plan.tx_queues = plan.queues;
	if (driver->tx_queues && driver->tx_queues < plan.queues) {
		plan.tx_queues = driver->tx_queues;
	}
	return plan;
}

unsigned ports_queue_room(const struct ports *ports, const struct port *but)
{
	unsigned used = 0;

	for (unsigned slot = 0; slot < ports->count; slot++) {
		const struct port *port = &ports->port[slot];

		used += port != but && port->sockets ? xsk_port_queues(port->sockets) : 0;
	}
	return used < WORKER_QUEUES_MAX ? WORKER_QUEUES_MAX - used : 0;
}
