// SPDX-License-Identifier: BSD-2-Clause
/*
 * steer on a veth: who may attach, what stays when a process dies, and what real frames look like
 * to it (tags beside the frame, several frames in one).  Frames come from the peer; a socket that
 * is not bound stands for the worker's, the counters tell what was decided.
 */
#include "lab.h"

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/virtio_net.h>
#include <signal.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/steer.h"

#define TAG 7
#define FRAME_LEN 60u

static struct steer_shared *shared;
static uint32_t port;
static const struct mac src = {{2, 0, 0, 0, 0, 0x55}}, station = {{2, 0, 0, 0, 0, 0x66}};

static struct steer *open_steer(bool generic, bool drop, bool hint)
{
	struct steer_conf conf = {
		.ifindex = port, .queues = 1, .generic = generic, .drop = drop, .vlan_hint = hint};
	struct steer *steer = NULL;
	int ret = steer_open(&steer, shared, &conf);

	if (ret) {
		fail_msg("steer_open: %s: %s", strerror(-ret), steer_error());
	}
	return steer;
}

/* Program id on the port, by mode. */
static uint32_t attached(bool generic)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	assert_int_equal(bpf_xdp_query((int)port, 0, &query), 0);
	return generic ? query.skb_prog_id : query.drv_prog_id;
}

static uint32_t prog_id(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	return info.id;
}

/* Somebody else's program: passes everything. */
static int stranger(enum bpf_prog_type type)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(type, "stranger", "GPL", insns, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

static int clean(void **state)
{
	bpf_xdp_detach((int)port, XDP_FLAGS_DRV_MODE, NULL);
	bpf_xdp_detach((int)port, XDP_FLAGS_SKB_MODE, NULL);
	assert_int_equal(attached(false), 0);
	assert_int_equal(attached(true), 0);
	return 0;
}

static void a_link_goes_with_its_steer(void **state)
{
	for (int generic = 0; generic < 2; generic++) {
		struct steer *steer = open_steer(generic, false, false);

		assert_int_equal(steer_attach(steer), 0);
		assert_int_equal(attached(generic), prog_id(steer_prog_fd(steer)));
		assert_int_equal(attached(!generic), 0);
		assert_int_equal(steer_occupied(port), 0);
		steer_detach(steer);
		assert_int_equal(attached(generic), 0);
		assert_int_equal(steer_attach(steer), 0);
		assert_int_not_equal(attached(generic), 0);
		steer_close(steer);
		assert_int_equal(attached(generic), 0);
	}
}

static void anothers_program_is_never_touched(void **state)
{
	int fd = stranger(BPF_PROG_TYPE_XDP);

	for (int theirs = 0; theirs < 2; theirs++) {
		uint32_t mode = theirs ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;

		assert_int_equal(bpf_xdp_attach((int)port, fd, mode, NULL), 0);
		assert_int_equal(steer_occupied(port), 1);
		for (int variant = 0; variant < 4; variant++) {
			struct steer *steer = open_steer(variant & 1, variant & 2, false);

			assert_int_equal(steer_attach(steer), -EBUSY);
			steer_detach(steer);
			steer_close(steer);
			assert_int_equal(attached(theirs), prog_id(fd));
		}
		assert_int_equal(steer_release(port), 0);
		assert_int_equal(attached(theirs), prog_id(fd));
		assert_int_equal(bpf_xdp_detach((int)port, mode, NULL), 0);
	}
	close(fd);
}

static void a_living_daemons_link_is_busy(void **state)
{
	struct steer *first = open_steer(false, false, false), *second;

	assert_int_equal(steer_attach(first), 0);
	for (int variant = 0; variant < 4; variant++) {
		second = open_steer(variant & 1, variant & 2, false);
		assert_int_equal(steer_attach(second), -EBUSY);
		steer_close(second);
	}
	assert_int_equal(steer_release(port), -EBUSY);
	assert_int_equal(attached(false), prog_id(steer_prog_fd(first)));
	steer_close(first);
}

/* A child attaches and is killed with -9. */
static void killed_child(bool generic, bool drop)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct steer *steer = open_steer(generic, drop, false);

		if (steer_attach(steer) != 0 || write(ready[1], "", 1) != 1) {
			_exit(1);
		}
		for (;;) {
			pause();
		}
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_int_not_equal(attached(generic), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void kill_9_takes_the_link_away(void **state)
{
	killed_child(false, false);
	assert_int_equal(attached(false), 0);
	killed_child(true, false);
	assert_int_equal(attached(true), 0);
}

static void kill_9_leaves_a_drop_port_closed(void **state)
{
	for (int generic = 0; generic < 2; generic++) {
		killed_child(generic, true);
		assert_int_not_equal(attached(generic), 0);
		assert_int_equal(steer_occupied(port), 0); /* it is ours */
		assert_int_equal(steer_release(port), 0);
		assert_int_equal(attached(generic), 0);
	}
}

static void a_restart_replaces_what_drop_left(void **state)
{
	for (int variant = 0; variant < 8; variant++) {
		bool left_generic = variant & 1, generic = variant & 2, drop = variant & 4;
		struct steer *steer;

		killed_child(left_generic, true);
		steer = open_steer(generic, drop, false);
		assert_int_equal(steer_attach(steer), 0);
		assert_int_equal(attached(generic), prog_id(steer_prog_fd(steer)));
		assert_int_equal(attached(!generic), 0);
		steer_close(steer);
		assert_int_equal(attached(generic) != 0, drop);
		assert_int_equal(steer_release(port), 0);
	}
}

static void detaching_a_drop_port_opens_it(void **state)
{
	struct steer *steer = open_steer(false, true, false);

	assert_int_equal(steer_attach(steer), 0);
	steer_detach(steer);
	assert_int_equal(attached(false), 0);
	steer_close(steer);
}

static void refusals_have_a_reason(void **state)
{
	struct steer_conf conf = {.ifindex = 1, .queues = 1, .vlan_hint = true};
	struct steer *steer = NULL;

	/* lo has no driver with the kfunc */
	assert_int_equal(steer_open(&steer, shared, &conf), -EOPNOTSUPP);
	assert_null(steer);
	assert_string_not_equal(steer_error(), "");
	conf.generic = true;
	assert_int_equal(steer_open(&steer, shared, &conf), -EINVAL);
	conf.vlan_hint = conf.generic = false;
	assert_int_equal(steer_open(&steer, shared, &conf), 0);
	assert_int_equal(steer_attach(steer), -EOPNOTSUPP); /* nor native XDP */
	steer_close(steer);
	conf.ifindex = 0x7ffffff0;
	assert_int_equal(steer_open(&steer, shared, &conf), 0);
	assert_int_equal(steer_attach(steer), -ENODEV);
	steer_close(steer);
}

/* A port under traffic: its steer, its socket, the peer's packet socket. */
struct traffic {
	struct steer *steer;
	int xsk, peer;
};

static void traffic_start(struct traffic *traffic, bool generic, bool hint)
{
	struct steer_port as = {.flags = STEER_PORT_ON | STEER_PORT_BRIDGED | STEER_PORT_ROUTED,
				.max_len = 65535};

	as.flags |= generic ? STEER_PORT_GENERIC : 0;
	memcpy(as.router_mac, lab_mac("port").b, MAC_SIZE);
	memcpy(as.port_mac, lab_mac("port").b, MAC_SIZE);
	traffic->steer = open_steer(generic, false, hint);
	traffic->xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_int_equal(steer_set_socket(traffic->steer, 0, traffic->xsk), 0);
	assert_int_equal(steer_configure(traffic->steer, &as), 0);
	assert_int_equal(steer_attach(traffic->steer), 0);
	traffic->peer = lab_packet("peer");
}

static void traffic_stop(struct traffic *traffic)
{
	close(traffic->peer);
	close(traffic->xsk);
	steer_close(traffic->steer);
}

static uint64_t total(const struct steer_counters *counters)
{
	uint64_t sum = counters->redirected + counters->dropped;

	for (int i = 0; i < STEER_REASON_COUNT; i++) {
		sum += counters->passed[i];
	}
	return sum;
}

/* Send from the peer; the one counter that must move by one. `reason` -1: redirected. */
static void expect(const struct traffic *traffic, const void *frame, size_t size, int reason)
{
	struct steer_counters before, after;

	assert_int_equal(steer_counters(traffic->steer, &before), 0);
	lab_send(traffic->peer, frame, size);
	for (int wait = 0; wait < LAB_WAIT_MS; wait++) {
		assert_int_equal(steer_counters(traffic->steer, &after), 0);
		if (total(&after) != total(&before)) {
			break;
		}
		usleep(1000);
	}
	assert_int_equal(total(&after), total(&before) + 1);
	if (reason < 0) {
		assert_int_equal(after.redirected, before.redirected + 1);
	} else {
		for (int i = 0; i < STEER_REASON_COUNT; i++) {
			assert_int_equal(after.passed[i], before.passed[i] + (i == reason));
		}
	}
}

/* The peer pushes a tag beside each frame it sends, as a VLAN device on it would. */
static void push_tags(bool on)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 0x0081},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = TAG},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_vlan_push},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)lab_ifindex("peer"),
		    .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1);

	if (!on) {
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		assert_int_equal(bpf_tc_hook_destroy(&hook), 0);
		return;
	}
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	opts.prog_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "push", "GPL", insns, 5, NULL);
	assert_true(opts.prog_fd >= 0);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	close(opts.prog_fd);
}

static void native_without_the_hint_does_not_see_a_tag(void **state)
{
	struct traffic traffic;
	uint8_t frame[FRAME_LEN];

	/* The danger itself: were this to change, the hint would not be needed on veth. */
	lab_echo(frame, sizeof(frame), &station, &src, "192.0.2.1", "198.51.100.1", 1);
	traffic_start(&traffic, false, false);
	expect(&traffic, frame, sizeof(frame), -1);
	push_tags(true);
	expect(&traffic, frame, sizeof(frame), -1);
	push_tags(false);
	traffic_stop(&traffic);
}

static void the_hint_shows_a_tag_beside_the_frame(void **state)
{
	struct traffic traffic;
	uint8_t frame[FRAME_LEN];

	lab_echo(frame, sizeof(frame), &station, &src, "192.0.2.1", "198.51.100.1", 1);
	traffic_start(&traffic, false, true);
	expect(&traffic, frame, sizeof(frame), -1);
	push_tags(true);
	expect(&traffic, frame, sizeof(frame), STEER_PASS_VLAN);
	push_tags(false);
	expect(&traffic, frame, sizeof(frame), -1);
	traffic_stop(&traffic);
}

/* The device-bound object refuses BPF_PROG_TEST_RUN: the main ways through it, with real frames. */
static void the_hint_variant_decides_as_the_plain_one(void **state)
{
	struct mac own = lab_mac("port"), many = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	struct ip_addr local = {{198, 51, 100, 2}};
	struct traffic traffic;
	uint8_t frame[FRAME_LEN];

	assert_int_equal(steer_local_add(shared, IP_V4, &local), 0);
	traffic_start(&traffic, false, true);
	lab_echo(frame, sizeof(frame), &own, &src, "192.0.2.1", "198.51.100.1", 1);
	expect(&traffic, frame, sizeof(frame), -1);
	frame[22] = 1;
	expect(&traffic, frame, sizeof(frame), STEER_PASS_TTL);
	lab_echo(frame, sizeof(frame), &own, &src, "192.0.2.1", "198.51.100.2", 1);
	expect(&traffic, frame, sizeof(frame), STEER_PASS_LOCAL);
	lab_echo(frame, sizeof(frame), &own, &src, "192.0.2.1", "127.0.0.1", 1);
	expect(&traffic, frame, sizeof(frame), STEER_PASS_MARTIAN);
	lab_echo(frame, sizeof(frame), &many, &src, "192.0.2.1", "198.51.100.1", 1);
	expect(&traffic, frame, sizeof(frame), STEER_PASS_MULTICAST);
	frame[0] = 2;
	close(traffic.xsk);
	expect(&traffic, frame, sizeof(frame), STEER_PASS_NO_SOCKET);
	traffic.xsk = -1;
	traffic_stop(&traffic);
	assert_int_equal(steer_local_delete(shared, IP_V4, &local), 0);
}

/* One TCP segment that is three: 54 bytes of headers, 3000 of data, cut at 1000. */
static void send_gso(const struct traffic *traffic, int reason)
{
	struct {
		struct virtio_net_hdr header;
		uint8_t frame[54 + 3000];
	} __attribute__((packed)) gso;
	struct traffic sender = *traffic;
	int one = 1;

	memset(&gso, 0, sizeof(gso));
	gso.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	gso.header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	gso.header.hdr_len = 54;
	gso.header.gso_size = 1000;
	gso.header.csum_start = 34;
	gso.header.csum_offset = 16;
	lab_echo(gso.frame, sizeof(gso.frame), &station, &src, "192.0.2.1", "198.51.100.1", 1);
	gso.frame[23] = 6;
	memset(gso.frame + 34, 0, 20);
	gso.frame[46] = 5 << 4;
	sender.peer = lab_packet("peer");
	assert_int_equal(setsockopt(sender.peer, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)),
			 0);
	expect(&sender, &gso, sizeof(gso), reason);
	close(sender.peer);
}

static void generic_without_the_watch_is_not_sure(void **state)
{
	struct traffic traffic;
	uint8_t frame[FRAME_LEN];

	lab_echo(frame, sizeof(frame), &station, &src, "192.0.2.1", "198.51.100.1", 1);
	traffic_start(&traffic, true, false);
	expect(&traffic, frame, sizeof(frame), STEER_PASS_VLAN);
	traffic_stop(&traffic);
}

static void generic_with_the_watch_sees_tags_and_gso(void **state)
{
	struct traffic traffic;
	uint8_t frame[FRAME_LEN];
	int ret = steer_watch_skb(shared);

	if (ret) {
		fail_msg("steer_watch_skb: %s: %s", strerror(-ret), steer_error());
	}
	assert_int_equal(steer_watch_skb(shared), 0); /* again: nothing to do */
	lab_echo(frame, sizeof(frame), &station, &src, "192.0.2.1", "198.51.100.1", 1);
	traffic_start(&traffic, true, false);
	expect(&traffic, frame, sizeof(frame), -1);
	push_tags(true);
	expect(&traffic, frame, sizeof(frame), STEER_PASS_VLAN);
	push_tags(false);
	expect(&traffic, frame, sizeof(frame), -1);
	send_gso(&traffic, STEER_PASS_PARTIAL);
	expect(&traffic, frame, sizeof(frame), -1);
	traffic_stop(&traffic);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, clean, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_link_goes_with_its_steer),
		TEST(anothers_program_is_never_touched),
		TEST(a_living_daemons_link_is_busy),
		TEST(kill_9_takes_the_link_away),
		TEST(kill_9_leaves_a_drop_port_closed),
		TEST(a_restart_replaces_what_drop_left),
		TEST(detaching_a_drop_port_opens_it),
		TEST(refusals_have_a_reason),
		TEST(native_without_the_hint_does_not_see_a_tag),
		TEST(the_hint_shows_a_tag_beside_the_frame),
		TEST(the_hint_variant_decides_as_the_plain_one),
		TEST(generic_without_the_watch_is_not_sure),
		TEST(generic_with_the_watch_sees_tags_and_gso),
	};
	int failed;

	lab_enter("test_steer_attach");
	lab_run("ip link add port type veth peer name peer");
	lab_run("ip link set port up && ip link set peer up");
	port = if_nametoindex("port");
	if (steer_shared_create(&shared) != 0) {
		fprintf(stderr, "test_steer_attach: maps: %s\n", steer_error());
		return 1;
	}
	failed = cmocka_run_group_tests_name("steer_attach", tests, NULL, NULL);
	steer_shared_destroy(shared);
	return failed;
}
