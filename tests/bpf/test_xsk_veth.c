/* SPDX-License-Identifier: BSD-2-Clause */
/* The sockets on real interfaces: multi-queue veth pairs in a network namespace of its own. */
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>

#include <linux/if_xdp.h>

#include "io_net.h"

#define FRAMES 8192u
#define RING 512u

struct world {
	struct umem *umem;
	struct net_port a, b;
	int far_a, far_b; /* packet sockets on the other ends */
};

/* veth ends: in native mode and in generic. */
static uint32_t attach_flags;
static enum xsk_mode mode;

static void run(const char *format, ...)
{
	char command[256];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0) {
		fail_msg("%s", command);
	}
}

static void plug(const char *name)
{
	run("ip link add name %s numtxqueues 2 numrxqueues 2 type veth "
	    "peer name far_%s numtxqueues 2 numrxqueues 2",
	    name, name);
	run("ip link set dev %s up; ip link set dev far_%s up", name, name);
}

static struct xsk_port_conf conf_of(const char *name)
{
	return (struct xsk_port_conf){
		.ifname = name,
		.queues = NET_QUEUES,
		.mode = mode,
		.ring_size = RING,
		.rx_frames = RING,
		.stage_frames = 128,
	};
}

static void open_port(struct world *w, struct net_port *p, const char *name)
{
	struct xsk_port_conf conf = conf_of(name);

	p->ifindex = if_nametoindex(name);
	assert_int_equal(xsk_port_open(&p->port, w->umem, &conf), 0);
	for (unsigned q = 0; q < NET_QUEUES; q++) {
		assert_true(xsk_fd(xsk_port_queue(p->port, q)) >= 0);
		assert_false(xsk_zerocopy(xsk_port_queue(p->port, q)));
	}
	net_attach(p, attach_flags);
}

static int open_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_int_equal(umem_create(&w->umem, FRAMES), 0);
	plug("a");
	plug("b");
	w->far_a = net_packet_socket("far_a");
	w->far_b = net_packet_socket("far_b");
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
	run("ip link del dev a; ip link del dev b");
	free(w);
	return 0;
}

static void frames_cross_between_ports_by_address(void **state)
{
	struct world *w = *state;

	open_port(w, &w->a, "a");
	open_port(w, &w->b, "b");
	net_cross(w->umem, &w->a, &w->b, w->far_a, w->far_b, 60, 5000);
	net_cross(w->umem, &w->b, &w->a, w->far_b, w->far_a, 1514, 2000);
	for (unsigned q = 0; q < NET_QUEUES; q++) {
		/* Without NAPI (generic) a veth records no queue: all comes by the first. */
		if (q == 0 || (mode == XSK_COPY && q < (unsigned)sysconf(_SC_NPROCESSORS_ONLN))) {
			assert_true(w->a.received[q] > 100); /* every queue was used */
			assert_true(w->b.received[q] > 100);
		}
	}
	net_drain(w->umem, &w->a);
	net_drain(w->umem, &w->b);
	assert_int_equal(ledger_census(w->umem).role[FRAME_KERNEL_TX], 0);
}

static void a_full_burst_leaves_with_one_flush(void **state)
{
	struct world *w = *state;
	struct xsk *out;
	frame_id ids[200];

	/* More than the 32 that older kernels take a call; nobody calls again. */
	open_port(w, &w->b, "b");
	out = xsk_port_queue(w->b.port, 0);
	assert_int_equal(umem_take(w->umem, ids, 200), 200);
	for (uint32_t i = 0; i < 200; i++) {
		struct xsk_frame frame = {ids[i], 60, umem_frame(umem_base(w->umem), ids[i])};

		net_build(frame.data, frame.len, i);
		assert_int_equal(xsk_stage(out, &frame), 0);
		xsk_release(w->umem, ids[i]);
	}
	assert_int_equal(xsk_flush(out), 0);
	for (int64_t end = net_now_ms() + 2000; xsk_tx_outstanding(out) > 0;) {
		xsk_complete(out);
		assert_true(net_now_ms() < end);
	}
	ledger_check(w->umem);
}

/* Sends without end, whatever happens to the interface. */
struct blaster {
	pthread_t thread;
	bool stop;
	int fd;
};

static void *blast(void *arg)
{
	struct blaster *b = arg;
	uint8_t frame[200];
	uint32_t seq = 1u << 30; /* not among those that a collector looks for */

	while (!__atomic_load_n(&b->stop, __ATOMIC_RELAXED)) {
		net_build(frame, sizeof(frame), seq++);
		if (send(b->fd, frame, sizeof(frame), 0) < 0) {
			usleep(1000);
		}
	}
	return NULL;
}

static void run_for(struct world *w, int ms, struct net_port *from, struct net_port *to)
{
	for (int64_t end = net_now_ms() + ms; net_now_ms() < end;) {
		net_turn(w->umem, from, to);
		net_turn(w->umem, to, from);
		assert_int_equal(ledger_census(w->umem).lost, 0);
	}
}

static void *unplug(void *arg)
{
	usleep(100 * 1000);
	run("ip link del dev a");
	return NULL;
}

static void a_port_unplugged_under_load_costs_the_other_nothing(void **state)
{
	struct world *w = *state;
	struct blaster blaster_a = {.fd = w->far_a}, blaster_b = {.fd = w->far_b};
	pthread_t unplugger;

	open_port(w, &w->a, "a"); /* the first one */
	open_port(w, &w->b, "b");
	pthread_create(&blaster_a.thread, NULL, blast, &blaster_a);
	pthread_create(&blaster_b.thread, NULL, blast, &blaster_b);
	pthread_create(&unplugger, NULL, unplug, NULL);
	run_for(w, 300, &w->a, &w->b); /* goes on for a while without knowing */
	pthread_join(unplugger, NULL);
	assert_true(w->a.received[0] + w->a.received[1] > 100);
	ledger_check(w->umem);

	for (unsigned q = 0; q < NET_QUEUES; q++) {
		xsk_detach(xsk_port_queue(w->a.port, q));
	}
	assert_true(ledger_census(w->umem).role[FRAME_LIMBO] > 0);
	ledger_check(w->umem);
	run_for(w, 50, &w->b, &w->b);
	xsk_port_close(w->a.port);
	run_for(w, 50, &w->b, &w->b);
	xsk_port_reap(w->a.port);
	assert_int_equal(ledger_census(w->umem).role[FRAME_LIMBO], 0);
	xsk_port_free(w->a.port);
	w->a.port = NULL;
	__atomic_store_n(&blaster_a.stop, true, __ATOMIC_RELAXED);
	__atomic_store_n(&blaster_b.stop, true, __ATOMIC_RELAXED);
	pthread_join(blaster_a.thread, NULL);
	pthread_join(blaster_b.thread, NULL);
	run_for(w, 50, &w->b, &w->b);
	net_drain(w->umem, &w->b);
	net_cross(w->umem, &w->b, &w->b, w->far_b, w->far_b, 100, 1000);

	plug("a");
	close(w->far_a);
	w->far_a = net_packet_socket("far_a");
	open_port(w, &w->a, "a");
	net_cross(w->umem, &w->a, &w->b, w->far_a, w->far_b, 60, 1000);
	net_cross(w->umem, &w->b, &w->a, w->far_b, w->far_a, 60, 1000);
}

static void a_port_closed_and_opened_again_at_once_works(void **state)
{
	struct world *w = *state;

	open_port(w, &w->b, "b");
	for (int i = 0; i < 5; i++) {
		open_port(w, &w->a, "a");
		net_cross(w->umem, &w->a, &w->b, w->far_a, w->far_b, 60, 200);
		net_close(&w->a);
		ledger_check(w->umem);
	}
}

/* A socket of somebody else on one queue. */
static int take_queue(const char *ifname, unsigned queue)
{
	static uint8_t area[64 * 4096] __attribute__((aligned(4096)));
	struct xdp_umem_reg reg = {
		.addr = (uintptr_t)area, .len = sizeof(area), .chunk_size = 4096};
	struct sockaddr_xdp addr = {.sxdp_family = AF_XDP,
				    .sxdp_flags = XDP_COPY,
				    .sxdp_ifindex = if_nametoindex(ifname),
				    .sxdp_queue_id = queue};
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), size = 64, err;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)), 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &size, sizeof(size)), 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &size, sizeof(size)), 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_RX_RING, &size, sizeof(size)), 0);
	for (int64_t end = net_now_ms() + 1000;; usleep(5000)) {
		err = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
		if (err == 0) {
			return fd;
		}
		assert_int_equal(errno, EBUSY);
		assert_true(net_now_ms() < end);
	}
}

static void an_open_that_fails_half_way_leaves_nothing_behind(void **state)
{
	struct world *w = *state;
	struct xsk_port_conf conf = conf_of("a");
	struct xsk_port *port = NULL;
	int other = take_queue("a", 1), first;
	int64_t start = net_now_ms();

	open_port(w, &w->b, "b"); /* it shares the region and must not notice */
	assert_int_equal(xsk_port_open(&port, w->umem, &conf), -EBUSY);
	assert_null(port);
	assert_true(net_now_ms() - start >= 900 && net_now_ms() - start < 3000);
	first = take_queue("a", 0); /* queue 0, that had worked, is free */
	close(first);
	assert_int_equal(xsk_port_open(&port, w->umem, &conf), -EBUSY);
	close(other);
	open_port(w, &w->a, "a");
	net_cross(w->umem, &w->a, &w->b, w->far_a, w->far_b, 60, 500);
	net_cross(w->umem, &w->b, &w->a, w->far_b, w->far_a, 60, 500);
}

static void *close_later(void *arg)
{
	usleep(300 * 1000);
	close(*(int *)arg);
	return NULL;
}

static void a_queue_that_gets_free_within_a_second_is_waited_for(void **state)
{
	struct world *w = *state;
	int other = take_queue("a", 1);
	pthread_t thread;

	pthread_create(&thread, NULL, close_later, &other);
	open_port(w, &w->a, "a");
	pthread_join(thread, NULL);
}

static void what_cannot_be_opened_says_why(void **state)
{
	struct world *w = *state;
	struct xsk_port_conf good = conf_of("a"), conf;
	struct xsk_port *port = NULL;

	conf = good;
	conf.ifname = "missing";
	assert_int_equal(xsk_port_open(&port, w->umem, &conf), -ENODEV);
	conf = good;
	conf.mode = XSK_ZEROCOPY;
	assert_int_equal(xsk_port_open(&port, w->umem, &conf), -EOPNOTSUPP);
	conf.mode = XSK_AUTO;
	assert_int_equal(xsk_port_open(&port, w->umem, &conf), -EINVAL);
	conf = good;
	conf.ring_size = 500;
	assert_int_equal(xsk_port_open(&port, w->umem, &conf), -EINVAL);
	conf = good;
	conf.queues = 0;
	assert_int_equal(xsk_port_open(&port, w->umem, &conf), -EINVAL);
	conf.queues = 3; /* the device has two */
	assert_int_equal(xsk_port_open(&port, w->umem, &conf), -EINVAL);
	assert_null(port);
	open_port(w, &w->a, "a"); /* none of it is in the way */
	xsk_port_free(NULL);
}

static void a_port_opened_while_down_works_once_it_is_up(void **state)
{
	struct world *w = *state;

	run("ip link set dev a down");
	open_port(w, &w->a, "a");
	open_port(w, &w->b, "b");
	run("ip link set dev a up");
	net_cross(w->umem, &w->a, &w->b, w->far_a, w->far_b, 60, 200);
	net_cross(w->umem, &w->b, &w->a, w->far_b, w->far_a, 60, 200);
}

static void frames_for_a_port_that_is_down_are_not_lost_track_of(void **state)
{
	struct world *w = *state;

	open_port(w, &w->a, "a");
	open_port(w, &w->b, "b");
	net_turn(w->umem, &w->b, &w->a); /* fills the fill ring */
	run("ip link set dev a down");
	for (uint32_t i = 0; i < 300; i++) {
		uint8_t frame[60];

		net_build(frame, sizeof(frame), i);
		send(w->far_b, frame, sizeof(frame), 0);
	}
	run_for(w, 100, &w->b, &w->a); /* ENETDOWN at each flush */
	assert_true(w->b.received[0] + w->b.received[1] >= 300);
	ledger_check(w->umem);
	run("ip link set dev a up");
	run_for(w, 100, &w->b, &w->a);
	net_drain(w->umem, &w->a);
	net_cross(w->umem, &w->b, &w->a, w->far_b, w->far_a, 60, 200);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(frames_cross_between_ports_by_address),
		WITH_WORLD(a_full_burst_leaves_with_one_flush),
		WITH_WORLD(a_port_unplugged_under_load_costs_the_other_nothing),
		WITH_WORLD(a_port_closed_and_opened_again_at_once_works),
		WITH_WORLD(an_open_that_fails_half_way_leaves_nothing_behind),
		WITH_WORLD(a_queue_that_gets_free_within_a_second_is_waited_for),
		WITH_WORLD(what_cannot_be_opened_says_why),
		WITH_WORLD(a_port_opened_while_down_works_once_it_is_up),
		WITH_WORLD(frames_for_a_port_that_is_down_are_not_lost_track_of),
	};
	int failed;

	/* Without root there is nothing to test, which is a failure and not a pass. */
	if (unshare(CLONE_NEWNET) < 0) {
		perror("unshare");
		return 1;
	}
	if (system("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6") != 0) {
		fputs("no disable_ipv6: neighbours may be heard\n", stderr);
	}
	libbpf_set_print(NULL);
	puts("native:");
	attach_flags = XDP_FLAGS_DRV_MODE;
	mode = XSK_COPY;
	failed = cmocka_run_group_tests_name("native", tests, NULL, NULL);
	puts("generic:");
	attach_flags = XDP_FLAGS_SKB_MODE;
	mode = XSK_GENERIC;
	return failed + cmocka_run_group_tests_name("generic", tests, NULL, NULL);
}
