/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench: steer under BPF_PROG_TEST_RUN: frames to give it, and that one counter moved.
 *
 * The socket in the map is not bound: the tests assert the decision, not the delivery. A
 * device-bound program refuses BPF_PROG_TEST_RUN; test_steer_attach sends it real frames.
 */
#ifndef SHUNT_TESTS_BPF_BENCH_H
#define SHUNT_TESTS_BPF_BENCH_H

#include <errno.h>
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

#define BOTH (STEER_PORT_ON | STEER_PORT_BRIDGED | STEER_PORT_ROUTED)
#define ROUTED (STEER_PORT_ON | STEER_PORT_ROUTED)
#define BRIDGED (STEER_PORT_ON | STEER_PORT_BRIDGED)
#define PARTIAL (BOTH | STEER_PORT_PARTIAL)

/* Offsets in the frame. */
/* clang-format off */
enum {
	TYPE = 12, SRC_MAC = 6,
	IHL4 = 14, LEN4 = 16, FRAG4 = 20, TTL4 = 22, PROTO4 = 23, SRC4 = 26, DST4 = 30, L4_4 = 34,
	VER6 = 14, LEN6 = 18, NEXT6 = 20, HOPS6 = 21, SRC6 = 22, DST6 = 38, L4_6 = 54,
};
/* clang-format on */

static inline uint64_t now_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &at);
	return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static inline void put_ipv4(uint8_t *ip)
{
	/* clang-format off */
	static const uint8_t header[] = {
		0x45, 0, 0, FRAME_LEN - ETH_HLEN, 0, 7, 0, 0, 64, 6, 0, 0,
		192, 0, 2, 1, 198, 51, 100, 9,
	};
	/* clang-format on */

	memcpy(ip, header, sizeof(header));
}

static inline void put_ipv6(uint8_t *ip)
{
	/* clang-format off */
	static const uint8_t header[] = {
		0x60, 0, 0, 0, 0, FRAME_LEN - ETH_HLEN - 40, 6, 64,
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9,
	};
	/* clang-format on */

	memcpy(ip, header, sizeof(header));
}

static inline void build(struct packet *packet, enum base base)
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

static inline struct ip_addr addr4(uint8_t last)
{
	return (struct ip_addr){{198, 51, 100, last}};
}

static inline struct ip_addr addr6(uint8_t last)
{
	return (struct ip_addr){{0x20, 0x01, 0x0d, 0xb8, [15] = last}};
}

static inline void describe(struct bench *bench, uint32_t flags)
{
	bench->port = (struct steer_port){.flags = flags, .slot = SLOT, .max_len = MAX_LEN};
	memcpy(bench->port.router_mac, router.b, MAC_SIZE);
	memcpy(bench->port.port_mac, own.b, MAC_SIZE);
	assert_int_equal(steer_configure(bench->steer, &bench->port), 0);
}

/* .200 is local, .201 has a verdict that lasts. */
static inline int bench_setup(struct bench *bench, bool drop)
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
		assert_int_equal(steer_verdict_pass(bench->shared, SLOT, family, &addr, now_ns(),
						    now_ns() + 60000000000ull),
				 0);
	}
	bench->xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(bench->xsk >= 0);
	assert_int_equal(steer_set_socket(bench->steer, 0, bench->xsk), 0);
	return 0;
}

static inline void bench_teardown(struct bench *bench)
{
	if (bench->xsk >= 0) {
		close(bench->xsk);
	}
	steer_close(bench->steer);
	steer_shared_destroy(bench->shared);
}

static inline uint32_t run(const struct bench *bench, const struct packet *packet)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet->byte,
		    .data_size_in = (uint32_t)packet->len, .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(steer_prog_fd(bench->steer), &opts), 0);
	return opts.retval;
}

/* Send it and check that it was decided so, and that one counter moved, by one. */
static inline void expect(const struct bench *bench, const struct packet *packet, int reason)
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

static inline void expect_dropped(const struct bench *bench, const struct packet *packet)
{
	struct steer_counters before, after;

	assert_int_equal(steer_counters(bench->steer, &before), 0);
	assert_int_equal(run(bench, packet), XDP_DROP);
	assert_int_equal(steer_counters(bench->steer, &after), 0);
	before.dropped++;
	assert_memory_equal(&after, &before, sizeof(before));
}
/* The shared map that the tracing program writes, by name through the program. */
static inline int bench_notes(const struct bench *bench)
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

static inline void bench_note(int fd, uint64_t what)
{
	uint64_t values[1024]; /* a CPU's value takes 8 bytes here */
	uint32_t zero = 0;

	assert_true(libbpf_num_possible_cpus() <= 1024);
	for (int i = 0; i < 1024; i++) {
		values[i] = what;
	}
	assert_int_equal(bpf_map_update_elem(fd, &zero, values, BPF_ANY), 0);
}

static inline int state_setup(void **state)
{
	*state = malloc(sizeof(struct bench));
	assert_non_null(*state);
	return bench_setup(*state, false);
}

static inline int state_setup_drop(void **state)
{
	*state = malloc(sizeof(struct bench));
	assert_non_null(*state);
	return bench_setup(*state, true);
}

static inline int state_teardown(void **state)
{
	bench_teardown(*state);
	free(*state);
	return 0;
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

static inline void need_root(const char *test)
{
	if (geteuid() != 0) {
		fprintf(stderr, "%s: loading BPF programs needs root\n", test);
		exit(1);
	}
}

#endif
