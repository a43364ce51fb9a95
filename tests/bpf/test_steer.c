// SPDX-License-Identifier: BSD-2-Clause
/*
 * steer under BPF_PROG_TEST_RUN: what goes where, and that each frame is counted once, as what it
 * was.  The socket in the map is not bound: the test asserts the decision, not the delivery.
 * (A device-bound program refuses BPF_PROG_TEST_RUN; test_steer_attach sends it real frames.)
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include "bpf/steer.h"

#define MAX_LEN 1792u
#define FRAME_LEN 98u /* of the rows' frames */
#define SLOT 3u

static const struct mac router = {{0x02, 0, 0, 0, 0, 0x01}};
static const struct mac own = {{0x02, 0, 0, 0, 0, 0x02}};
static const struct mac station = {{0x02, 0, 0, 0, 0, 0x33}};
static const struct mac other = {{0x02, 0, 0, 0, 0, 0x44}};

struct bench {
	struct steer_shared *shared;
	struct steer *steer;
	int xsk;
	struct steer_port port;
};

struct packet {
	uint8_t byte[8192];
	size_t len;
};

/* What a row starts from: to whom (R the router's MAC, B another station's), and what is inside. */
enum base { R4, R6, B4, B6, B_ARP };

#define PASSES(reason) STEER_PASS_##reason
#define REDIRECTED (-1)

struct patch {
	uint16_t offset;
	uint8_t value;
};

struct row {
	const char *name;
	uint32_t flags;
	enum base base;
	int expect;
	struct patch patch[7]; /* {0, 0} is none: no row sets byte 0 to 0 */
};

#define BOTH (STEER_PORT_ON | STEER_PORT_BRIDGED | STEER_PORT_ROUTED)
#define ROUTED (STEER_PORT_ON | STEER_PORT_ROUTED)
#define BRIDGED (STEER_PORT_ON | STEER_PORT_BRIDGED)
#define PARTIAL (BOTH | STEER_PORT_PARTIAL)

/* One row a line. */
/* clang-format off */
/* Offsets in the frame. */
enum {
	TYPE = 12, SRC_MAC = 6,
	IHL4 = 14, LEN4 = 16, FRAG4 = 20, TTL4 = 22, PROTO4 = 23, SRC4 = 26, DST4 = 30, L4_4 = 34,
	VER6 = 14, LEN6 = 18, NEXT6 = 20, HOPS6 = 21, SRC6 = 22, DST6 = 38, L4_6 = 54,
};

static const struct row rows[] = {
	{"bridged_ipv4_is_redirected", BOTH, B4, REDIRECTED, {{0}}},
	{"bridged_ipv6_is_redirected", BOTH, B6, REDIRECTED, {{0}}},
	{"bridged_non_ip_is_redirected", BOTH, B4, REDIRECTED, {{TYPE, 0x88}, {TYPE + 1, 0xcc}}},
	{"bridged_malformed_ip_is_redirected", BOTH, B4, REDIRECTED, {{IHL4, 0x11}, {LEN4, 0xff}}},
	{"bridged_ttl_1_is_redirected", BOTH, B4, REDIRECTED, {{TTL4, 1}}},
	{"routed_ipv4_is_redirected", ROUTED, R4, REDIRECTED, {{0}}},
	{"routed_ipv6_is_redirected", ROUTED, R6, REDIRECTED, {{0}}},
	{"routed_ttl_2_is_redirected", ROUTED, R4, REDIRECTED, {{TTL4, 2}}},
	{"routed_hop_limit_2_is_redirected", ROUTED, R6, REDIRECTED, {{HOPS6, 2}}},
	{"link_local_ipv4_is_left_to_the_worker", ROUTED, R4, REDIRECTED,
	 {{DST4, 169}, {DST4 + 1, 254}}},
	{"padding_after_ipv4_is_redirected", ROUTED, R4, REDIRECTED, {{LEN4 + 1, 40}}},
	{"port_off_passes", STEER_PORT_BRIDGED | STEER_PORT_ROUTED, R4, PASSES(OFF), {{0}}},
	{"port_off_passes_multicast_as_off", 0, B4, PASSES(OFF), {{0, 0xff}}},
	{"for_us_on_a_port_not_routed_passes_ipv4", BRIDGED, R4, PASSES(OFF), {{0}}},
	{"for_us_on_a_port_not_routed_passes_ipv6", BRIDGED, R6, PASSES(OFF), {{0}}},
	{"vlan_tag_in_frame_passes", BOTH, B4, PASSES(VLAN), {{TYPE, 0x81}, {TYPE + 1, 0x00}}},
	{"service_tag_in_frame_passes", BOTH, R4, PASSES(VLAN), {{TYPE, 0x88}, {TYPE + 1, 0xa8}}},
	{"multicast_mac_passes", BOTH, B4, PASSES(MULTICAST), {{0, 0x01}}},
	{"broadcast_mac_passes", BOTH, B4, PASSES(MULTICAST),
	 {{0, 0xff}, {1, 0xff}, {2, 0xff}, {3, 0xff}, {4, 0xff}, {5, 0xff}}},
	{"link_control_mac_passes", BOTH, B4, PASSES(MULTICAST),
	 {{0, 0x01}, {1, 0x80}, {2, 0xc2}, {5, 0x0e}}},
	{"zero_source_mac_passes", BOTH, B4, PASSES(BAD_SOURCE), {{SRC_MAC, 0}, {SRC_MAC + 5, 0}}},
	{"multicast_source_mac_passes", BOTH, R4, PASSES(BAD_SOURCE), {{SRC_MAC, 0x03}}},
	{"other_mac_on_a_routed_port_passes", ROUTED, B4, PASSES(NOT_OURS), {{0}}},
	{"own_mac_of_a_bridged_port_passes", BOTH, B4, PASSES(LOCAL), {{5, 0x02}}},
	{"non_ip_for_us_passes", BOTH, R4, PASSES(NON_IP), {{TYPE, 0x88}, {TYPE + 1, 0x47}}},
	{"arp_for_us_passes", BOTH, R4, PASSES(NON_IP), {{TYPE, 0x08}, {TYPE + 1, 0x06}}},
	{"ipv4_wrong_version_passes", ROUTED, R4, PASSES(SHORT), {{IHL4, 0x55}}},
	{"ipv4_ihl_4_passes", ROUTED, R4, PASSES(SHORT), {{IHL4, 0x44}}},
	{"ipv4_length_beyond_frame_passes", ROUTED, R4, PASSES(SHORT), {{LEN4 + 1, 85}}},
	{"ipv4_length_below_header_passes", ROUTED, R4, PASSES(SHORT), {{LEN4 + 1, 19}}},
	{"ipv4_to_0_8_passes", ROUTED, R4, PASSES(MARTIAN), {{DST4, 0x00}}},
	{"ipv4_to_127_8_passes", ROUTED, R4, PASSES(MARTIAN), {{DST4, 127}}},
	{"ipv4_to_240_4_passes", ROUTED, R4, PASSES(MARTIAN), {{DST4, 240}}},
	{"ipv4_to_limited_broadcast_passes", ROUTED, R4, PASSES(MARTIAN),
	 {{DST4, 255}, {DST4 + 1, 255}, {DST4 + 2, 255}, {DST4 + 3, 255}}},
	{"ipv4_from_0_8_passes", ROUTED, R4, PASSES(MARTIAN), {{SRC4, 0x00}}},
	{"ipv4_from_127_8_passes", ROUTED, R4, PASSES(MARTIAN), {{SRC4, 127}}},
	{"ipv4_from_multicast_passes", ROUTED, R4, PASSES(MARTIAN), {{SRC4, 224}}},
	{"ipv4_from_240_4_passes", ROUTED, R4, PASSES(MARTIAN), {{SRC4, 250}}},
	{"ipv4_multicast_in_unicast_frame_passes", ROUTED, R4, PASSES(LINK_LOCAL), {{DST4, 239}}},
	{"ipv4_local_passes", ROUTED, R4, PASSES(LOCAL), {{DST4 + 3, 200}}},
	{"ipv4_local_with_ttl_1_is_local", ROUTED, R4, PASSES(LOCAL),
	 {{DST4 + 3, 200}, {TTL4, 1}, {IHL4, 0x46}}},
	{"ipv4_options_pass", ROUTED, R4, PASSES(OPTIONS), {{IHL4, 0x46}}},
	{"ipv4_ttl_1_passes", ROUTED, R4, PASSES(TTL), {{TTL4, 1}}},
	{"ipv4_verdict_passes", ROUTED, R4, PASSES(VERDICT), {{DST4 + 3, 201}}},
	{"ipv6_wrong_version_passes", ROUTED, R6, PASSES(SHORT), {{VER6, 0x40}}},
	{"ipv6_length_beyond_frame_passes", ROUTED, R6, PASSES(SHORT), {{LEN6 + 1, 45}}},
	{"ipv6_from_multicast_passes", ROUTED, R6, PASSES(MARTIAN), {{SRC6, 0xff}}},
	{"ipv6_from_link_local_passes", ROUTED, R6, PASSES(LINK_LOCAL),
	 {{SRC6, 0xfe}, {SRC6 + 1, 0x80}}},
	{"ipv6_to_link_local_passes", ROUTED, R6, PASSES(LINK_LOCAL),
	 {{DST6, 0xfe}, {DST6 + 1, 0xbf}}},
	{"ipv6_to_multicast_passes", ROUTED, R6, PASSES(LINK_LOCAL), {{DST6, 0xff}}},
	{"ipv6_hop_by_hop_passes", ROUTED, R6, PASSES(OPTIONS), {{NEXT6, 0}, {NEXT6, 0}}},
	{"ipv6_routing_header_passes", ROUTED, R6, PASSES(OPTIONS), {{NEXT6, 43}}},
	{"ipv6_hop_limit_1_passes", ROUTED, R6, PASSES(TTL), {{HOPS6, 1}}},
	{"ipv6_local_passes", ROUTED, R6, PASSES(LOCAL), {{DST6 + 15, 200}}},
	{"ipv6_local_with_hop_limit_1_is_local", ROUTED, R6, PASSES(LOCAL),
	 {{DST6 + 15, 200}, {HOPS6, 1}}},
	{"ipv6_verdict_passes", ROUTED, R6, PASSES(VERDICT), {{DST6 + 15, 201}}},
	{"ipv6_to_unspecified_passes", ROUTED, R6, PASSES(MARTIAN),
	 {{DST6, 0}, {DST6 + 1, 0}, {DST6 + 2, 0}, {DST6 + 3, 0}, {DST6 + 15, 0}}},
	{"ipv6_to_loopback_passes", ROUTED, R6, PASSES(MARTIAN),
	 {{DST6, 0}, {DST6 + 1, 0}, {DST6 + 2, 0}, {DST6 + 3, 0}, {DST6 + 15, 1}}},
	{"ipv6_from_unspecified_passes", ROUTED, R6, PASSES(MARTIAN),
	 {{SRC6, 0}, {SRC6 + 1, 0}, {SRC6 + 2, 0}, {SRC6 + 3, 0}, {SRC6 + 15, 0}}},
	{"ipv6_from_loopback_passes", ROUTED, R6, PASSES(MARTIAN),
	 {{SRC6, 0}, {SRC6 + 1, 0}, {SRC6 + 2, 0}, {SRC6 + 3, 0}, {SRC6 + 15, 1}}},
	{"ipv6_from_v4_mapped_passes", ROUTED, R6, PASSES(MARTIAN),
	 {{SRC6, 0}, {SRC6 + 1, 0}, {SRC6 + 2, 0}, {SRC6 + 3, 0}, {SRC6 + 10, 0xff}, {SRC6 + 11, 0xff}}},
	{"partial_tcp_is_redirected", PARTIAL, B4, REDIRECTED, {{PROTO4, 6}}},
	{"partial_udp_is_redirected", PARTIAL, R4, REDIRECTED, {{PROTO4, 17}}},
	{"partial_icmp_is_redirected", PARTIAL, R4, REDIRECTED, {{PROTO4, 1}}},
	{"partial_esp_is_redirected", PARTIAL, R4, REDIRECTED, {{PROTO4, 50}}},
	{"partial_arp_is_redirected", PARTIAL, B_ARP, REDIRECTED, {{0}}},
	{"partial_tcp6_is_redirected", PARTIAL, B6, REDIRECTED, {{NEXT6, 6}}},
	{"partial_udp6_is_redirected", PARTIAL, R6, REDIRECTED, {{NEXT6, 17}}},
	{"partial_icmp6_is_redirected", PARTIAL, R6, REDIRECTED, {{NEXT6, 58}}},
	{"partial_fragment6_is_redirected", PARTIAL, R6, REDIRECTED, {{NEXT6, 44}}},
	{"partial_sctp_passes", PARTIAL, R4, PASSES(PARTIAL), {{PROTO4, 132}}},
	{"partial_gre_passes", PARTIAL, B4, PASSES(PARTIAL), {{PROTO4, 47}}},
	{"partial_ipip_passes", PARTIAL, B4, PASSES(PARTIAL), {{PROTO4, 4}}},
	{"partial_sctp6_passes", PARTIAL, B6, PASSES(PARTIAL), {{NEXT6, 132}}},
	{"partial_destination_options_pass", PARTIAL, R6, PASSES(PARTIAL), {{NEXT6, 60}}},
	{"partial_unknown_ethertype_passes", PARTIAL, B4, PASSES(PARTIAL),
	 {{TYPE, 0x88}, {TYPE + 1, 0x64}}},
	{"partial_vxlan_destination_passes", PARTIAL, B4, PASSES(PARTIAL),
	 {{PROTO4, 17}, {L4_4 + 2, 0x12}, {L4_4 + 3, 0xb5}}},
	{"partial_geneve_source_passes", PARTIAL, R4, PASSES(PARTIAL),
	 {{PROTO4, 17}, {L4_4, 0x17}, {L4_4 + 1, 0xc1}}},
	{"partial_gtp_in_ipv6_passes", PARTIAL, B6, PASSES(PARTIAL),
	 {{NEXT6, 17}, {L4_6 + 2, 0x08}, {L4_6 + 3, 0x68}}},
	{"partial_later_fragment_has_no_ports", PARTIAL, B4, REDIRECTED,
	 {{PROTO4, 17}, {L4_4 + 2, 0x12}, {L4_4 + 3, 0xb5}, {FRAG4 + 1, 0x10}}},
	{"partial_first_fragment_has_ports", PARTIAL, B4, PASSES(PARTIAL),
	 {{PROTO4, 17}, {L4_4 + 2, 0x12}, {L4_4 + 3, 0xb5}, {FRAG4, 0x20}}},
	{"vxlan_from_a_real_nic_is_redirected", BOTH, B4, REDIRECTED,
	 {{PROTO4, 17}, {L4_4 + 2, 0x12}, {L4_4 + 3, 0xb5}}},
};
/* clang-format on */

static uint64_t now_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &at);
	return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void put_ipv4(uint8_t *ip)
{
	static const uint8_t header[] = {
		0x45, 0,   0, FRAME_LEN - ETH_HLEN, 0, 7, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198,
		51,   100, 9};

	memcpy(ip, header, sizeof(header));
}

static void put_ipv6(uint8_t *ip)
{
	static const uint8_t header[] = {0x60, 0,    0,    0,    0,    FRAME_LEN - ETH_HLEN - 40,
					 6,    64,   0x20, 0x01, 0x0d, 0xb8,
					 0,    0,    0,    0,    0,    0,
					 0,    0,    0,    0,    0,    1,
					 0x20, 0x01, 0x0d, 0xb8, 0,    0,
					 0,    0,    0,    0,    0,    0,
					 0,    0,    0,    9};

	memcpy(ip, header, sizeof(header));
}

static void build(struct packet *packet, enum base base)
{
	static const uint16_t type[] = {
		[R4] = 0x0800, [B4] = 0x0800, [R6] = 0x86dd, [B6] = 0x86dd, [B_ARP] = 0x0806};
	uint8_t *byte = packet->byte;

	memset(byte, 0, sizeof(packet->byte));
	packet->len = FRAME_LEN;
	memcpy(byte, base == R4 || base == R6 ? router.b : station.b, MAC_SIZE);
	memcpy(byte + SRC_MAC, other.b, MAC_SIZE);
	byte[TYPE] = (uint8_t)(type[base] >> 8);
	byte[TYPE + 1] = (uint8_t)type[base];
	if (type[base] == 0x0800) {
		put_ipv4(byte + ETH_HLEN);
	} else if (type[base] == 0x86dd) {
		put_ipv6(byte + ETH_HLEN);
	}
}

static struct ip_addr addr4(uint8_t last)
{
	return (struct ip_addr){{198, 51, 100, last}};
}

static struct ip_addr addr6(uint8_t last)
{
	return (struct ip_addr){{0x20, 0x01, 0x0d, 0xb8, [15] = last}};
}

static void describe(struct bench *bench, uint32_t flags)
{
	bench->port = (struct steer_port){.flags = flags, .slot = SLOT, .max_len = MAX_LEN};
	memcpy(bench->port.router_mac, router.b, MAC_SIZE);
	memcpy(bench->port.port_mac, own.b, MAC_SIZE);
	assert_int_equal(steer_configure(bench->steer, &bench->port), 0);
}

/* .200 is local, .201 has a verdict that lasts. */
static int bench_setup(struct bench *bench, bool drop)
{
	struct steer_conf conf = {.ifindex = 1, .slot = SLOT, .queues = 1, .drop = drop};
	struct ip_addr addr;

	memset(bench, 0, sizeof(*bench));
	assert_int_equal(steer_shared_create(&bench->shared), 0);
	if (steer_open(&bench->steer, bench->shared, &conf)) {
		fail_msg("steer does not load: %s", steer_error());
	}
	for (int family = IP_V4; family < IP_FAMILIES; family++) {
		addr = family == IP_V4 ? addr4(200) : addr6(200);
		assert_int_equal(steer_local_add(bench->shared, family, &addr), 0);
		addr = family == IP_V4 ? addr4(201) : addr6(201);
		assert_int_equal(steer_verdict_pass(bench->shared, SLOT, family, &addr,
						    now_ns() + 60000000000ull),
				 0);
	}
	bench->xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(bench->xsk >= 0);
	assert_int_equal(steer_set_socket(bench->steer, 0, bench->xsk), 0);
	return 0;
}

static void bench_teardown(struct bench *bench)
{
	if (bench->xsk >= 0) {
		close(bench->xsk);
	}
	steer_close(bench->steer);
	steer_shared_destroy(bench->shared);
}

static uint32_t run(const struct bench *bench, const struct packet *packet)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet->byte,
		    .data_size_in = (uint32_t)packet->len, .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(steer_prog_fd(bench->steer), &opts), 0);
	return opts.retval;
}

/* Send it and check that it was decided so, and that one counter moved, by one. */
static void expect(const struct bench *bench, const struct packet *packet, int reason)
{
	struct steer_counters before, after, want;

	assert_int_equal(steer_counters(bench->steer, &before), 0);
	assert_int_equal(run(bench, packet), reason == REDIRECTED ? XDP_REDIRECT : XDP_PASS);
	assert_int_equal(steer_counters(bench->steer, &after), 0);
	want = before;
	if (reason == REDIRECTED) {
		want.redirected++;
		want.redirected_bytes += packet->len;
	} else {
		want.passed[reason]++;
	}
	for (int i = 0; i < STEER_REASON_COUNT; i++) {
		assert_int_equal(after.passed[i], want.passed[i]);
	}
	assert_memory_equal(&after, &want, sizeof(want));
}

static void expect_dropped(const struct bench *bench, const struct packet *packet)
{
	struct steer_counters before, after;

	assert_int_equal(steer_counters(bench->steer, &before), 0);
	assert_int_equal(run(bench, packet), XDP_DROP);
	assert_int_equal(steer_counters(bench->steer, &after), 0);
	before.dropped++;
	assert_memory_equal(&after, &before, sizeof(before));
}

static void each_row(void **state)
{
	const struct row *row = *state;
	struct bench bench;
	struct packet packet;

	bench_setup(&bench, false);
	describe(&bench, row->flags);
	build(&packet, row->base);
	for (size_t i = 0; i < sizeof(row->patch) / sizeof(row->patch[0]); i++) {
		if (row->patch[i].offset || row->patch[i].value) {
			packet.byte[row->patch[i].offset] = row->patch[i].value;
		}
	}
	expect(&bench, &packet, row->expect);
	bench_teardown(&bench);
}

static int state_setup(void **state)
{
	*state = malloc(sizeof(struct bench));
	assert_non_null(*state);
	return bench_setup(*state, false);
}

static int state_setup_drop(void **state)
{
	*state = malloc(sizeof(struct bench));
	assert_non_null(*state);
	return bench_setup(*state, true);
}

static int state_teardown(void **state)
{
	bench_teardown(*state);
	free(*state);
	return 0;
}

static void frames_longer_than_max_len_pass(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, B4);
	packet.len = MAX_LEN;
	expect(bench, &packet, REDIRECTED);
	packet.len = MAX_LEN + 1;
	expect(bench, &packet, PASSES(TOO_LONG));
	packet.len = 8000; /* in fragments */
	expect(bench, &packet, PASSES(TOO_LONG));
	bench->port.max_len = 8000;
	steer_configure(bench->steer, &bench->port);
	expect(bench, &packet, REDIRECTED);
}

static void truncated_headers_pass_as_short(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe(bench, PARTIAL);
	build(&packet, R4);
	for (packet.len = ETH_HLEN; packet.len < FRAME_LEN; packet.len++) {
		expect(bench, &packet, PASSES(SHORT));
	}
	build(&packet, R6);
	for (packet.len = ETH_HLEN; packet.len < FRAME_LEN; packet.len++) {
		expect(bench, &packet, PASSES(SHORT));
	}
	build(&packet, B4);
	packet.len = ETH_HLEN + 19;
	expect(bench, &packet, PASSES(PARTIAL));
	packet.byte[PROTO4] = 17;
	packet.len = ETH_HLEN + 20 + 3;
	expect(bench, &packet, PASSES(PARTIAL));
}

static void a_queue_without_socket_passes(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, B4);
	close(bench->xsk);
	bench->xsk = -1;
	expect(bench, &packet, PASSES(NO_SOCKET));
	assert_int_equal(steer_beats(bench->steer)[0].asked_ns, 0);
	packet.byte[0] = 1;
	expect(bench, &packet, PASSES(MULTICAST));
}

static void the_first_unanswered_redirect_is_noted(void **state)
{
	struct bench *bench = *state;
	struct steer_beat *beat = &steer_beats(bench->steer)[0];
	struct packet packet;
	uint64_t asked, from = now_ns();

	describe(bench, BOTH);
	build(&packet, B4);
	expect(bench, &packet, REDIRECTED);
	asked = beat->asked_ns;
	assert_in_range(asked, from, now_ns());
	usleep(30000);
	expect(bench, &packet, REDIRECTED);
	assert_int_equal(beat->asked_ns, asked); /* still the first */
	beat->answered_ns = now_ns();
	usleep(30000);
	expect(bench, &packet, REDIRECTED);
	assert_true(beat->asked_ns > beat->answered_ns); /* the first since the answer */
	beat->asked_ns = 0;
	packet.byte[0] = 1;
	expect(bench, &packet, PASSES(MULTICAST)); /* asks nothing of the worker */
	assert_int_equal(beat->asked_ns, 0);
}

static void a_worker_that_owes_an_answer_for_500_ms_is_stale(void **state)
{
	struct bench *bench = *state;
	struct steer_beat *beat = &steer_beats(bench->steer)[0];
	struct packet packet;
	uint64_t asked;

	describe(bench, BOTH);
	build(&packet, B4);
	beat->answered_ns = 1;
	beat->asked_ns = now_ns() - STEER_STALE_NS + 200000000u;
	expect(bench, &packet, REDIRECTED);
	asked = beat->asked_ns = now_ns() - STEER_STALE_NS - 20000000u;
	expect(bench, &packet, PASSES(STALE));
	assert_int_equal(beat->asked_ns, asked); /* what passes asks nothing */
	packet.byte[0] = 1;
	expect(bench, &packet, PASSES(MULTICAST));
	packet.byte[0] = 2;
	beat->answered_ns = now_ns();
	expect(bench, &packet, REDIRECTED);
}

static void an_idle_worker_owes_no_beat(void **state)
{
	struct bench *bench = *state;
	struct steer_beat *beat = &steer_beats(bench->steer)[0];
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, B4);
	beat->asked_ns = now_ns() - 10000000000u;
	beat->answered_ns = beat->asked_ns; /* answered within the same tick */
	expect(bench, &packet, REDIRECTED);
	assert_true(beat->asked_ns > beat->answered_ns);
}

static void frames_pass_until_the_hold_ends(void **state)
{
	struct bench *bench = *state;
	struct steer_beat *beat = &steer_beats(bench->steer)[0];
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, B4);
	beat->hold_until_ns = now_ns() + 100000000u;
	expect(bench, &packet, PASSES(STALE));
	usleep(130000);
	expect(bench, &packet, REDIRECTED);
}

static void a_verdict_ends(void **state)
{
	struct bench *bench = *state;
	struct ip_addr addr = addr4(202);
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, R4);
	packet.byte[DST4 + 3] = 202;
	expect(bench, &packet, REDIRECTED);
	steer_verdict_pass(bench->shared, SLOT, IP_V4, &addr, now_ns() + 100000000u);
	expect(bench, &packet, PASSES(VERDICT));
	usleep(130000);
	expect(bench, &packet, REDIRECTED);
}

static void a_verdict_is_of_one_port_and_address(void **state)
{
	struct bench *bench = *state;
	struct ip_addr addr = addr6(202);
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, R6);
	packet.byte[DST6 + 15] = 202;
	steer_verdict_pass(bench->shared, SLOT + 1, IP_V6, &addr, now_ns() + 60000000000ull);
	expect(bench, &packet, REDIRECTED);
	steer_verdict_pass(bench->shared, SLOT, IP_V6, &addr, now_ns() + 60000000000ull);
	expect(bench, &packet, PASSES(VERDICT));
	packet.byte[DST6 + 7] = 1;
	expect(bench, &packet, REDIRECTED);
}

static void a_bridged_frame_asks_neither_locals_nor_verdicts(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, B4);
	packet.byte[DST4 + 3] = 200;
	expect(bench, &packet, REDIRECTED);
	packet.byte[DST4 + 3] = 201;
	expect(bench, &packet, REDIRECTED);
}

static void a_local_address_comes_and_goes(void **state)
{
	struct bench *bench = *state;
	struct ip_addr addr = addr6(203);
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, R6);
	packet.byte[DST6 + 15] = 203;
	expect(bench, &packet, REDIRECTED);
	assert_int_equal(steer_local_add(bench->shared, IP_V6, &addr), 0);
	assert_int_equal(steer_local_add(bench->shared, IP_V6, &addr), 0); /* on two interfaces */
	expect(bench, &packet, PASSES(LOCAL));
	assert_int_equal(steer_local_delete(bench->shared, IP_V6, &addr), 0);
	expect(bench, &packet, REDIRECTED);
	assert_int_equal(steer_local_delete(bench->shared, IP_V6, &addr), -ENOENT);
}

static void a_new_description_takes_effect_at_once(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	build(&packet, B4);
	expect(bench, &packet, PASSES(OFF)); /* not yet described */
	for (int i = 0; i < 20; i++) {       /* more often than there are copies */
		describe(bench, BOTH);
		expect(bench, &packet, REDIRECTED);
		describe(bench, ROUTED);
		expect(bench, &packet, PASSES(NOT_OURS));
		describe(bench, 0);
		expect(bench, &packet, PASSES(OFF));
	}
	describe(bench, ROUTED);
	memcpy(bench->port.router_mac, station.b, MAC_SIZE);
	steer_configure(bench->steer, &bench->port);
	expect(bench, &packet, REDIRECTED); /* routed now */
}

/* The shared map that the tracing program writes, by name through the program. */
static int notes_fd(const struct bench *bench)
{
	struct bpf_prog_info info = {0};
	uint32_t ids[16], size = sizeof(info);
	int fd;

	info.nr_map_ids = 16;
	info.map_ids = (uintptr_t)ids;
	assert_int_equal(bpf_obj_get_info_by_fd(steer_prog_fd(bench->steer), &info, &size), 0);
	for (uint32_t i = 0; i < info.nr_map_ids; i++) {
		struct bpf_map_info map = {0};

		fd = bpf_map_get_fd_by_id(ids[i]);
		size = sizeof(map);
		assert_int_equal(bpf_obj_get_info_by_fd(fd, &map, &size), 0);
		if (strcmp(map.name, "notes") == 0) {
			return fd;
		}
		close(fd);
	}
	fail_msg("steer has no map of notes");
	return -1;
}

static void note(int fd, uint64_t what)
{
	uint64_t values[1024]; /* a CPU's value takes 8 bytes here */
	uint32_t zero = 0;

	assert_true(libbpf_num_possible_cpus() <= 1024);
	for (int i = 0; i < 1024; i++) {
		values[i] = what;
	}
	assert_int_equal(bpf_map_update_elem(fd, &zero, values, BPF_ANY), 0);
}

static void generic_mode_heeds_what_was_noted(void **state)
{
	struct bench *bench = *state;
	struct packet packet;
	int fd = notes_fd(bench);
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0); /* notes are a CPU's */
	describe(bench, BOTH | STEER_PORT_GENERIC);
	build(&packet, B4);
	note(fd, 0);
	expect(bench, &packet, PASSES(VLAN)); /* nothing noted: not sure */
	note(fd, STEER_NOTE_SEEN);
	expect(bench, &packet, REDIRECTED);
	expect(bench, &packet, PASSES(VLAN)); /* a note is of one frame */
	note(fd, STEER_NOTE_SEEN | STEER_NOTE_TAGGED);
	expect(bench, &packet, PASSES(VLAN));
	note(fd, STEER_NOTE_SEEN | STEER_NOTE_SEVERAL);
	expect(bench, &packet, PASSES(PARTIAL));
	describe(bench, BOTH);
	note(fd, STEER_NOTE_SEEN | STEER_NOTE_TAGGED);
	expect(bench, &packet, REDIRECTED); /* native: the note is not about this frame */
	close(fd);
}

static void put_arp(struct packet *packet, uint8_t last)
{
	build(packet, B_ARP);
	memset(packet->byte, 0xff, MAC_SIZE);
	memcpy(packet->byte + ETH_HLEN + 24, addr4(last).b, 4);
}

static void put_solicitation(struct packet *packet, uint8_t last)
{
	build(packet, B6);
	memcpy(packet->byte, (uint8_t[]){0x33, 0x33, 0xff, 0, 0, last}, MAC_SIZE);
	memcpy(packet->byte + DST6, (uint8_t[16]){0xff, 2, [11] = 1, [12] = 0xff, [15] = last}, 16);
	packet->byte[NEXT6] = 58;
	packet->byte[HOPS6] = 255;
	packet->byte[L4_6] = 135;
	memcpy(packet->byte + L4_6 + 8, addr6(last).b, 16);
}

/* Stance "drop", nobody there: what a host must still get, and what must not pass. */
static void assert_only_this_machine_is_reached(struct bench *bench)
{
	struct packet packet;

	build(&packet, B4);
	expect_dropped(bench, &packet);
	build(&packet, R4);
	expect_dropped(bench, &packet);
	packet.byte[TTL4] = 1;
	expect_dropped(bench, &packet);
	packet.byte[DST4 + 3] = 201;
	expect_dropped(bench, &packet);
	packet.byte[DST4 + 3] = 200;
	expect(bench, &packet, PASSES(LOCAL));
	packet.byte[0] = 0x03; /* another MAC, a local address: the bridge would forward it */
	expect_dropped(bench, &packet);
	build(&packet, R6);
	expect_dropped(bench, &packet);
	packet.byte[DST6 + 15] = 200;
	expect(bench, &packet, PASSES(LOCAL));
	put_arp(&packet, 200);
	expect(bench, &packet, PASSES(LOCAL));
	put_arp(&packet, 77);
	expect_dropped(bench, &packet);
	put_solicitation(&packet, 200);
	expect(bench, &packet, PASSES(LOCAL));
	put_solicitation(&packet, 77);
	expect_dropped(bench, &packet);
	build(&packet, B4);
	memcpy(packet.byte, (uint8_t[]){0x01, 0x80, 0xc2, 0, 0, 0x0f}, MAC_SIZE);
	expect(bench, &packet, PASSES(LOCAL));
	packet.byte[5] = 0x10;
	expect_dropped(bench, &packet);
	build(&packet, B4);
	memset(packet.byte, 0xff, MAC_SIZE);
	expect_dropped(bench, &packet);
}

static void drop_without_a_daemon_forwards_nothing(void **state)
{
	struct bench *bench = *state;

	describe(bench, BOTH | STEER_PORT_DROP);
	close(bench->xsk);
	bench->xsk = -1;
	assert_only_this_machine_is_reached(bench);
	describe(bench, STEER_PORT_DROP); /* off does not open it either */
	assert_only_this_machine_is_reached(bench);
}

static void drop_with_a_stale_worker_forwards_nothing(void **state)
{
	struct bench *bench = *state;
	struct steer_beat *beat = &steer_beats(bench->steer)[0];

	describe(bench, BOTH | STEER_PORT_DROP);
	beat->asked_ns = now_ns() - STEER_STALE_NS - 20000000u;
	assert_only_this_machine_is_reached(bench);
	beat->answered_ns = beat->asked_ns;
	beat->hold_until_ns = now_ns() + 60000000000ull;
	assert_only_this_machine_is_reached(bench);
}

static void drop_with_a_living_worker_is_like_any_port(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	describe(bench, BOTH | STEER_PORT_DROP);
	build(&packet, B4);
	expect(bench, &packet, REDIRECTED);
	packet.byte[0] = 1;
	expect(bench, &packet, PASSES(MULTICAST));
	describe(bench, STEER_PORT_DROP);
	expect(bench, &packet, PASSES(OFF));
}

static void drop_not_yet_described_drops(void **state)
{
	struct bench *bench = *state;
	struct packet packet;

	close(bench->xsk);
	bench->xsk = -1;
	build(&packet, R4);
	expect_dropped(bench, &packet);
}

#define TEST(name)                                             \
	{                                                      \
#name, name, state_setup, state_teardown, NULL \
	}
#define TEST_DROP(name)                                             \
	{                                                           \
#name, name, state_setup_drop, state_teardown, NULL \
	}
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int main(void)
{
	static const struct CMUnitTest others[] = {
		TEST(frames_longer_than_max_len_pass),
		TEST(truncated_headers_pass_as_short),
		TEST(a_queue_without_socket_passes),
		TEST(the_first_unanswered_redirect_is_noted),
		TEST(a_worker_that_owes_an_answer_for_500_ms_is_stale),
		TEST(an_idle_worker_owes_no_beat),
		TEST(frames_pass_until_the_hold_ends),
		TEST(a_verdict_ends),
		TEST(a_verdict_is_of_one_port_and_address),
		TEST(a_bridged_frame_asks_neither_locals_nor_verdicts),
		TEST(a_local_address_comes_and_goes),
		TEST(a_new_description_takes_effect_at_once),
		TEST(generic_mode_heeds_what_was_noted),
		TEST(drop_without_a_daemon_forwards_nothing),
		TEST(drop_with_a_stale_worker_forwards_nothing),
		TEST(drop_with_a_living_worker_is_like_any_port),
		TEST_DROP(drop_not_yet_described_drops),
	};
	static struct CMUnitTest tests[COUNT(rows) + COUNT(others)];

	if (geteuid() != 0) {
		fprintf(stderr, "test_steer: loading BPF programs needs root\n");
		return 1;
	}
	for (size_t i = 0; i < COUNT(rows); i++) {
		tests[i] = (struct CMUnitTest){rows[i].name, each_row, NULL, NULL,
					       (void *)&rows[i]};
	}
	memcpy(tests + COUNT(rows), others, sizeof(others));
	return _cmocka_run_group_tests("steer", tests, COUNT(tests), NULL, NULL);
}
