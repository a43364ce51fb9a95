/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two zero-copy ports, each wired to a far end: test_zerocopy QUEUES PORT FAR PORT FAR.  Run in a
 * guest by smoke/zerocopy.sh, since it takes a driver that has zero-copy.
 */
#include "io_net.h"

#define FRAMES 4096u
#define RING 512u

static const char *const *name; /* port, far, port, far */
static unsigned queues;

struct world {
	struct umem *umem;
	struct net_port a, b;
	int far_a, far_b;
};

static void open_port(struct world *w, struct net_port *p, const char *ifname)
{
	const struct xsk_port_conf conf = {
		.ifname = ifname,
		.queues = queues,
		.mode = XSK_ZEROCOPY,
		.ring_size = RING,
		.rx_frames = RING,
		.stage_frames = 128,
	};

	p->ifindex = if_nametoindex(ifname);
	assert_int_equal(xsk_port_open(&p->port, w->umem, &conf), 0);
	for (unsigned q = 0; q < queues; q++) {
		assert_true(xsk_zerocopy(xsk_port_queue(p->port, q)));
	}
	net_attach(p, XDP_FLAGS_DRV_MODE);
}

static int open_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_int_equal(umem_create(&w->umem, FRAMES), 0);
	w->far_a = net_packet_socket(name[1]);
	w->far_b = net_packet_socket(name[3]);
	open_port(w, &w->a, name[0]);
	open_port(w, &w->b, name[2]);
	*state = w;
	return 0;
}

static int close_world(void **state)
{
	struct world *w = *state;

	net_close(&w->a);
	net_close(&w->b);
	assert_int_equal(ledger_census(w->umem).role[FRAME_POOL], FRAMES);
	assert_int_equal(ledger_census(w->umem).quarantined, 0);
	ledger_check(w->umem);
	umem_destroy(w->umem);
	close(w->far_a);
	close(w->far_b);
	free(w);
	return 0;
}

static void frames_cross_between_zero_copy_ports_by_address(void **state)
{
	struct world *w = *state;

	net_cross(w->umem, &w->a, &w->b, w->far_a, w->far_b, 60, 2000);
	net_cross(w->umem, &w->b, &w->a, w->far_b, w->far_a, 1514, 1000);
	/* Which queue of several a frame comes by is the other side's choice. */
	assert_true(w->a.received[0] + w->a.received[1] >= 2000);
	assert_true(w->b.received[0] + w->b.received[1] >= 1000);
	net_drain(w->umem, &w->a);
	net_drain(w->umem, &w->b);
	assert_int_equal(ledger_census(w->umem).role[FRAME_KERNEL_TX], 0);
}

static void a_zero_copy_port_comes_and_goes_beside_another(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 3; i++) {
		net_cross(w->umem, &w->a, &w->b, w->far_a, w->far_b, 100, 200);
		net_close(&w->a); /* not drained: what is out there goes through limbo */
		ledger_check(w->umem);
		net_cross(w->umem, &w->b, &w->b, w->far_b, w->far_b, 100, 200);
		open_port(w, &w->a, name[0]);
	}
	net_cross(w->umem, &w->b, &w->a, w->far_b, w->far_a, 100, 200);
}

/* One frame on both ports' TX rings at once: free at the last completion. */
static void a_flooded_frame_is_shared_by_both_rings(void **state)
{
	struct world *w = *state;
	struct xsk *out[2] = {xsk_port_queue(w->a.port, 0), xsk_port_queue(w->b.port, 0)};
	bool seen_a[100] = {false}, seen_b[100] = {false};
	unsigned got_a = 0, got_b = 0;

	net_collect(w->far_a, 100, seen_a, 0);
	net_collect(w->far_b, 100, seen_b, 0);
	for (uint32_t seq = 0; seq < 100; seq++) {
		struct xsk_frame frame = {.len = 100};

		assert_int_equal(umem_take(w->umem, &frame.id, 1), 1);
		frame.data = umem_frame(umem_base(w->umem), frame.id) + FRAME_HEADROOM;
		net_build(frame.data, frame.len, seq);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(xsk_stage(out[i], &frame), 0);
		}
		xsk_release(w->umem, frame.id);
	}
	assert_int_equal(xsk_flush(out[0]), 0);
	ledger_check(w->umem);
	assert_int_equal(xsk_flush(out[1]), 0);
	for (int64_t end = net_now_ms() + 5000; got_a + got_b < 200 && net_now_ms() < end;) {
		for (int i = 0; i < 2; i++) {
			xsk_complete(out[i]);
			xsk_flush(out[i]);
		}
		got_a += net_collect(w->far_a, 100, seen_a, 100);
		got_b += net_collect(w->far_b, 100, seen_b, 100);
		ledger_check(w->umem);
	}
	assert_int_equal(got_a, 100);
	assert_int_equal(got_b, 100);
	net_drain(w->umem, &w->a);
	net_drain(w->umem, &w->b);
	assert_int_equal(ledger_census(w->umem).role[FRAME_KERNEL_TX], 0);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(frames_cross_between_zero_copy_ports_by_address),
		WITH_WORLD(a_flooded_frame_is_shared_by_both_rings),
		WITH_WORLD(a_zero_copy_port_comes_and_goes_beside_another),
	};

	if (argc != 6) {
		fprintf(stderr, "usage: %s QUEUES PORT FAR PORT FAR\n", argv[0]);
		return 2;
	}
	queues = (unsigned)atoi(argv[1]);
	name = (const char *const *)argv + 2;
	return cmocka_run_group_tests_name("zero-copy", tests, NULL, NULL);
}
