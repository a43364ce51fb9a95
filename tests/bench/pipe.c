// SPDX-License-Identifier: BSD-2-Clause
/*
 * pipe: what a forwarded frame costs in user space, without a kernel.
 *
 *   pipe CASE [--partial] [--bursts N] [--entries N] [--flows N] [--size BYTES]
 *
 * CASE is bridged, routed4, routed6, bridged-tagged or bridged-untagging.  Two ports are pipes
 * (io/pipe.h); bursts of 64 frames are put on the first one's RX ring, worker_burst() forwards
 * them, the second one's TX ring is emptied and completed.  Only worker_burst() is timed; under
 * callgrind --toggle-collect=worker_burst only it is counted.  Prints one line of JSON; exits 1
 * when a frame did not come out at the other end.
 *
 * --entries: MACs or routes in the tables; --flows: how many of them the frames are for; --partial:
 * the ports may carry unfinished checksums, as veth does and most NICs do not.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu-qsbr.h>

#include "io/pipe.h"
#include "path/frame.h"
#include "run/stats.h"
#include "run/worker.h"

#define FRAMES 8192u
#define RING 2048u
#define STAGE 256u
#define PORT 1u    /* ifindex of slot 0; slot 1 follows */
#define BRIDGE 10u /* ifindex */
#define VLAN 100u
#define SOURCES 16u /* stations that send */
#define WARM_BURSTS 64u
#define FLOWS_MAX 4096u

/* The last two: between trunk ports of a bridge that filters VLANs, and from one to an access
 * port. */
enum kind { BRIDGED, ROUTED4, ROUTED6, BRIDGED_TAGGED, BRIDGED_UNTAGGING, KINDS };

static const char *const kind_names[KINDS] = {"bridged", "routed4", "routed6", "bridged-tagged",
					      "bridged-untagging"};

struct options {
	enum kind kind;
	bool partial;
	unsigned bursts, entries, flows, size;
};

struct world {
	struct tables tables;
	struct umem *umem;
	struct stats *stats;
	struct worker *worker;
	struct pipe *pipe[2];
	uint8_t *frames; /* flows * size bytes */
};

static void must(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "pipe: %s: %s\n", what, strerror(-result));
		exit(1);
	}
}

static bool is_bridged(const struct options *options)
{
	return options->kind == BRIDGED || options->kind >= BRIDGED_TAGGED;
}

/* The VLAN of the frames; 0 without tags. */
static uint16_t vlan_of(const struct options *options)
{
	return options->kind >= BRIDGED_TAGGED ? VLAN : 0;
}

static void *zeroed(size_t size)
{
	/* counters are cache-line aligned */
	void *p = aligned_alloc(64, (size + 63) & ~(size_t)63);

	must(p ? 0 : -ENOMEM, "memory");
	return memset(p, 0, size);
}

/* The world: addresses. --------------------------------------------------------------------- */

static struct mac make_mac(uint8_t kind, uint32_t number)
{
	return (struct mac){{0x02, kind, (uint8_t)(number >> 24), (uint8_t)(number >> 16),
			     (uint8_t)(number >> 8), (uint8_t)number}};
}

static struct mac port_mac(unsigned slot)
{
	return make_mac(1, slot);
}

static struct mac station_mac(unsigned slot, uint32_t number)
{
	return make_mac((uint8_t)(2 + slot), number);
}

/* 10.SLOT.0.HOST, or 2001:db8:0:SLOT::HOST */
static struct ip_addr host_addr(enum ip_family family, unsigned slot, unsigned host)
{
	if (family == IP_V4) {
		return (struct ip_addr){{10, (uint8_t)slot, 0, (uint8_t)host}};
	}
	return (struct ip_addr){
		{0x20, 0x01, 0x0d, 0xb8, [7] = (uint8_t)slot, [15] = (uint8_t)host}};
}

/* Prefix number i of 24 bits from 20.0.0.0, of 48 bits from 2a00::. */
static struct ip_addr far_addr(enum ip_family family, uint32_t i, unsigned host)
{
	if (family == IP_V4) {
		uint32_t addr = htonl((20u << 24) + (i << 8) + host);
		struct ip_addr out = {{0}};

		memcpy(out.b, &addr, sizeof(addr));
		return out;
	}
	return (struct ip_addr){{0x2a, 0x00, (uint8_t)(i >> 24), (uint8_t)(i >> 16),
				 (uint8_t)(i >> 8), (uint8_t)i, [15] = (uint8_t)host}};
}

/* The world: tables. ------------------------------------------------------------------------ */

static void build_topo(struct world *world, const struct options *options)
{
	struct topo *topo = topo_create();
	struct topo_if iface = {.flags = TOPO_UP | TOPO_L2 | TOPO_L3 | TOPO_LEARNING |
					 TOPO_FORWARD4 | TOPO_FORWARD6 |
					 (options->partial ? TOPO_PARTIAL : 0),
				.bridge = TOPO_NONE,
				.mtu = 1500,
				.mtu6 = 1500};
	const struct topo_bridge_conf conf = {.ifindex = BRIDGE,
					      .filtering = vlan_of(options) != 0,
					      .proto_be = htons(TPID_8021Q)};
	const struct topo_vlan vlan = {.vid = vlan_of(options),
				       .self = true,
				       .self_untagged = true,
				       .flood_ours = true,
				       .ingress = 3,
				       .learn = 3,
				       .egress = 3,
				       .untagged = options->kind == BRIDGED_TAGGED ? 0 : 3,
				       .flood = 3};
	int bridge;

	must(topo ? 0 : -ENOMEM, "topo");
	for (unsigned slot = 0; slot < 2; slot++) {
		iface.ifindex = PORT + slot;
		iface.kind = TOPO_PORT;
		iface.slot = (int16_t)slot;
		iface.mac = port_mac(slot);
		must(topo_add_if(topo, &iface), "port");
	}
	if (is_bridged(options)) {
		iface.ifindex = BRIDGE;
		iface.kind = TOPO_BRIDGE;
		iface.slot = TOPO_NONE;
		must(topo_add_if(topo, &iface), "bridge");
		bridge = topo_add_bridge(topo, &conf);
		must(bridge, "bridge");
		must(topo_join(topo, PORT, bridge), "member");
		must(topo_join(topo, PORT + 1, bridge), "member");
		must(topo_add_vlan(topo, bridge, &vlan), "vlan");
	}
	tables_publish_topo(&world->tables, topo);
}

static void add_station(struct world *world, const struct options *options, unsigned slot,
			uint32_t number)
{
	struct fdb_key key = {
		.bridge = BRIDGE, .vlan = vlan_of(options), .mac = station_mac(slot, number)};

	must(fdb_set(world->tables.fdb, &key, PORT + slot, (int16_t)slot, FDB_DYNAMIC), "fdb");
}

static void build_bridge(struct world *world, const struct options *options)
{
	for (uint32_t i = 0; i < options->entries; i++) {
		add_station(world, options, 1, i);
	}
	for (uint32_t i = 0; i < SOURCES; i++) {
		add_station(world, options, 0, i);
	}
}

static void add_route(struct world *world, enum ip_family family, enum rib_table table,
		      struct ip_addr prefix, unsigned len, struct hop hop)
{
	static struct rib_route route;
	bool local = table == RIB_LOCAL;

	route.key = (struct rib_key){.family = (uint8_t)family,
				     .table = (uint8_t)table,
				     .len = (uint8_t)len,
				     .prefix = prefix};
	route.type = local ? RTN_LOCAL : RTN_UNICAST;
	route.action = local ? NEXTHOP_LOCAL : NEXTHOP_FORWARD;
	route.count = !local;
	route.hop[0] = hop;
	must(rib_set(world->tables.rib, &route, false), "route");
}

static void build_routes(struct world *world, const struct options *options, enum ip_family family)
{
	unsigned near = family == IP_V4 ? 24 : 64, far = family == IP_V4 ? 24 : 48;
	struct neigh_key key = {
		.ifindex = PORT + 1, .family = family, .addr = host_addr(family, 1, 2)};
	struct hop via = {.ifindex = PORT + 1,
			  .via_family = (uint8_t)family,
			  .has_via = 1,
			  .weight = 1,
			  .via = key.addr};
	struct mac mac = station_mac(1, 0);

	for (unsigned slot = 0; slot < 2; slot++) {
		add_route(world, family, RIB_MAIN, host_addr(family, slot, 0), near,
			  (struct hop){.ifindex = PORT + slot, .weight = 1});
		add_route(world, family, RIB_LOCAL, host_addr(family, slot, 1), ip_bits(family),
			  (struct hop){0});
	}
	for (uint32_t i = 0; i < options->entries; i++) {
		add_route(world, family, RIB_MAIN, far_addr(family, i, 0), far, via);
	}
	must(neigh_set(world->tables.neigh, &key, &mac, NUD_REACHABLE), "neighbour");
}

/* The world: frames. ------------------------------------------------------------------------ */

static void fill_udp(uint8_t *udp, unsigned size, uint64_t pseudo)
{
	uint16_t words[4] = {htons(1024), htons(9), htons((uint16_t)size), 0};

	memset(udp, 0, size);
	memcpy(udp, words, sizeof(words));
	words[3] = (uint16_t)~checksum_fold(checksum_add(pseudo, udp, size));
	memcpy(udp, words, sizeof(words));
}

static void fill_ipv4(uint8_t *data, unsigned size, uint32_t flow, uint32_t entry)
{
	struct ip_addr src = host_addr(IP_V4, 0, 2 + flow % 200), dst = far_addr(IP_V4, entry, 1);
	struct ipv4 *ip = (struct ipv4 *)data;
	unsigned payload = size - IPV4_SIZE;

	*ip = (struct ipv4){.version_ihl = 0x45,
			    .length_be = htons((uint16_t)size),
			    .ttl = 64,
			    .proto = PROTO_UDP};
	memcpy(ip->src, src.b, sizeof(ip->src));
	memcpy(ip->dst, dst.b, sizeof(ip->dst));
	ip->check = (uint16_t)~checksum_fold(checksum_add(0, ip, sizeof(*ip)));
	fill_udp(data + IPV4_SIZE, payload,
		 checksum_add(htons(PROTO_UDP) + (uint64_t)htons((uint16_t)payload), ip->src, 8));
}

static void fill_ipv6(uint8_t *data, unsigned size, uint32_t flow, uint32_t entry)
{
	struct ip_addr src = host_addr(IP_V6, 0, 2 + flow % 200), dst = far_addr(IP_V6, entry, 1);
	struct ipv6 *ip = (struct ipv6 *)data;
	unsigned payload = size - IPV6_SIZE;

	*ip = (struct ipv6){.version_be = htonl(6u << 28),
			    .length_be = htons((uint16_t)payload),
			    .next = PROTO_UDP,
			    .hops = 64};
	memcpy(ip->src, src.b, sizeof(ip->src));
	memcpy(ip->dst, dst.b, sizeof(ip->dst));
	fill_udp(data + IPV6_SIZE, payload,
		 checksum_add(htons(PROTO_UDP) + (uint64_t)htons((uint16_t)payload), ip->src, 32));
}

static void build_frames(struct world *world, const struct options *options)
{
	bool v6 = options->kind == ROUTED6;

	world->frames = zeroed((size_t)options->flows * options->size);
	for (uint32_t flow = 0; flow < options->flows; flow++) {
		uint8_t *data = world->frames + (size_t)flow * options->size;
		struct eth *eth = (struct eth *)data;
		unsigned size = options->size;
		/* Spread over the table: what is next in the stream is not next in the table. */
		uint32_t entry = (uint32_t)((uint64_t)(flow * 2654435761u) * options->entries >>
					    32);

		eth->src = station_mac(0, flow % SOURCES);
		eth->dst = is_bridged(options) ? station_mac(1, entry) : port_mac(0);
		eth->type_be = htons(v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
		if (vlan_of(options)) {
			const uint16_t words[3] = {htons(TPID_8021Q), htons(VLAN), eth->type_be};

			memcpy(data + 2 * MAC_SIZE, words, sizeof(words));
			data += TAG_SIZE;
			size -= TAG_SIZE;
		}
		(v6 ? fill_ipv6 : fill_ipv4)(data + ETH_SIZE, size - ETH_SIZE, flow, entry);
	}
}

static void build(struct world *world, const struct options *options)
{
	const struct tables_limits limits = {
		.fdb = options->entries + 1024, .neigh = 1024, .routes = options->entries + 1024};
	const struct xsk_port_conf conf = {.ifname = "pipe",
					   .queues = 1,
					   .mode = XSK_COPY,
					   .ring_size = RING,
					   .rx_frames = RING,
					   .stage_frames = STAGE};
	struct worker_conf worker = {.tables = &world->tables, .cpu = -1};

	memset(world, 0, sizeof(*world));
	world->stats = zeroed(sizeof(*world->stats));
	must(tables_create(&world->tables, &limits), "tables");
	build_topo(world, options);
	if (is_bridged(options)) {
		build_bridge(world, options);
	} else {
		build_routes(world, options, options->kind == ROUTED4 ? IP_V4 : IP_V6);
	}
	build_frames(world, options);
	must(umem_create(&world->umem, FRAMES), "umem");
	worker.umem = world->umem;
	worker.stats = world->stats;
	must(worker_create(&world->worker, &worker), "worker");
	for (unsigned slot = 0; slot < 2; slot++) {
		must(pipe_create(&world->pipe[slot], world->umem, &conf), "pipe");
		must(worker_add_queue(world->worker, slot, pipe_xsk(world->pipe[slot]), NULL),
		     "queue");
	}
}

static void tear_down(struct world *world)
{
	worker_destroy(world->worker);
	pipe_destroy(world->pipe[0]);
	pipe_destroy(world->pipe[1]);
	umem_destroy(world->umem);
	tables_destroy(&world->tables);
	free(world->stats);
	free(world->frames);
}

/* The run. ---------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A function of its own, so that callgrind can tell it by name however the rest is inlined. */
static __attribute__((noinline)) void counted(struct worker *worker)
{
	worker_burst(worker);
}

/* One burst: in, forward, out. Returns nanoseconds in worker_burst(); adds to *sent. */
static uint64_t burst(struct world *world, const struct options *options, uint32_t *flow,
		      uint64_t *sent)
{
	uint64_t started, ended;

	for (unsigned i = 0; i < SHUNT_BURST; i++) {
		const uint8_t *frame = world->frames + (size_t)*flow * options->size;

		must(pipe_inject(world->pipe[0], frame, options->size), "inject");
		*flow = (*flow + 1) % options->flows;
	}
	started = now_ns();
	counted(world->worker);
	ended = now_ns();
	*sent += pipe_drain(world->pipe[1]);
	return ended - started;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int run(struct world *world, const struct options *options)
{
	uint64_t *ns = calloc(options->bursts, sizeof(*ns));
	uint64_t sent = 0, sum = 0, expected;
	uint32_t flow = 0;

	must(ns ? 0 : -ENOMEM, "memory");
	for (unsigned i = 0; i < WARM_BURSTS; i++) {
		burst(world, options, &flow, &sent);
	}
	for (unsigned i = 0; i < options->bursts; i++) {
		ns[i] = burst(world, options, &flow, &sent);
		sum += ns[i];
	}
	qsort(ns, options->bursts, sizeof(*ns), compare);
	expected = (uint64_t)(WARM_BURSTS + options->bursts) * SHUNT_BURST;
	printf("{\"case\": \"%s\", \"partial\": %s, \"frames\": %llu, \"forwarded\": %llu, "
	       "\"ns_mean\": %.2f, \"ns_median\": %.2f}\n",
	       kind_names[options->kind], options->partial ? "true" : "false",
	       (unsigned long long)expected, (unsigned long long)sent,
	       (double)sum / options->bursts / SHUNT_BURST,
	       (double)ns[options->bursts / 2] / SHUNT_BURST);
	free(ns);
	return sent == expected ? 0 : 1;
}

static void usage(void)
{
	fprintf(stderr, "usage: pipe bridged|routed4|routed6|bridged-tagged|bridged-untagging "
			"[--partial] [--bursts N] "
			"[--entries N] [--flows N] [--size BYTES]\n");
	exit(2);
}

static void parse(int argc, char **argv, struct options *options)
{
	enum { PARTIAL = 1, BURSTS, ENTRIES, FLOWS, SIZE };
	static const struct option longs[] = {
		{"partial", 0, NULL, PARTIAL}, {"bursts", 1, NULL, BURSTS},
		{"entries", 1, NULL, ENTRIES}, {"flows", 1, NULL, FLOWS},
		{"size", 1, NULL, SIZE},       {0},
	};
	unsigned *const number[] = {[BURSTS] = &options->bursts,
				    [ENTRIES] = &options->entries,
				    [FLOWS] = &options->flows,
				    [SIZE] = &options->size};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == PARTIAL) {
			options->partial = true;
		} else if (option == '?' || sscanf(optarg, "%u", number[option]) != 1) {
			usage();
		}
	}
	options->kind = KINDS;
	for (unsigned i = 0; i < KINDS && optind < argc; i++) {
		if (!strcmp(argv[optind], kind_names[i])) {
			options->kind = i;
		}
	}
	if (options->kind == KINDS || !options->bursts || !options->entries || !options->flows ||
	    options->flows > FLOWS_MAX || options->size < 62 || options->size > FRAME_ROOM) {
		usage();
	}
}

int main(int argc, char **argv)
{
	/* 62 bytes: the least that holds Ethernet, IPv6 and UDP; the same for all three cases */
	struct options options = {.bursts = 20000, .entries = 1000, .flows = 256, .size = 62};
	struct world world;
	int status;

	parse(argc, argv, &options);
	rcu_register_thread();
	build(&world, &options);
	status = run(&world, &options);
	rcu_unregister_thread();
	tear_down(&world);
	return status;
}
