/* SPDX-License-Identifier: BSD-2-Clause */
/* worker: verdicts carried out on pipes: who gets the frame, what is counted, nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <urcu-qsbr.h>

#include "bpf/shared.h"
#include "io/pipe.h"
#include "run/clock.h"
#include "run/worker.h"
#include "world.h"

#define RING 64u
#define STAGE 32u

static struct world world;
static struct umem *umem;
static struct stats *stats;
static struct worker *worker;
static struct pipe *pipes[WORLD_PORTS];
static struct steer_beat beats[WORLD_PORTS];
static uint8_t bytes[2048];

static int setup(void **state)
{
	const struct xsk_port_conf conf = {
		.queues = 1, .ring_size = RING, .rx_frames = RING, .stage_frames = STAGE};
	struct worker_conf worker_conf = {.tables = &world.tables, .cpu = -1};

	memset(&world, 0, sizeof(world));
	memset(beats, 0, sizeof(beats));
	world_build(&world);
	stats = calloc(1, sizeof(*stats));
	assert_int_equal(umem_create(&umem, 1024), 0);
	worker_conf.umem = umem;
	worker_conf.stats = stats;
	assert_int_equal(worker_create(&worker, &worker_conf), 0);
	for (unsigned slot = 0; slot < WORLD_PORTS; slot++) {
		assert_int_equal(pipe_create(&pipes[slot], umem, &conf), 0);
		assert_int_equal(
			worker_add_queue(worker, slot, pipe_xsk(pipes[slot]), &beats[slot]), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	struct frame_census census;

	/* Whatever a test did, no frame is lost and none was quarantined. */
	umem_census(umem);
	assert_int_equal(umem_census_read(umem, &census), 0);
	assert_int_equal(census.lost, 0);
	assert_int_equal(census.quarantined, 0);
	worker_destroy(worker);
	for (unsigned slot = 0; slot < WORLD_PORTS; slot++) {
		pipe_destroy(pipes[slot]);
	}
	umem_destroy(umem);
	free(stats);
	world_destroy(&world);
	return 0;
}

static const struct stats_port_worker *count(unsigned slot)
{
	return &stats->port[slot].worker[0];
}

static void inject(unsigned slot, struct mac dst, struct mac src)
{
	unsigned len = world_udp4(bytes, dst, src, world_ip4(10, 0, 0, 2), world_ip4(10, 0, 0, 3),
				  18);

	assert_int_equal(pipe_inject(pipes[slot], bytes, len), 0);
}

/* Take one frame off a port's TX ring and complete it; its first MAC byte... whole frame out. */
static const uint8_t *sent(unsigned slot, uint32_t *len)
{
	uint64_t addr;

	if (!pipe_transmit(pipes[slot], &addr, len)) {
		return NULL;
	}
	assert_int_equal(pipe_complete(pipes[slot], addr), 0);
	return (const uint8_t *)umem_base(umem) + addr;
}

static void a_frame_crosses_by_its_address_and_is_counted_on_both_sides(void **state)
{
	uint32_t len;
	const uint8_t *out;

	inject(0, world_station(1), world_station(0));
	assert_int_equal(worker_burst(worker), 1);
	out = sent(1, &len);
	assert_non_null(out);
	assert_int_equal(len, ETH_SIZE + IPV4_SIZE + 8 + 18);
	assert_memory_equal(out, bytes, len);
	assert_int_equal(count(0)->rx_packets, 1);
	assert_int_equal(count(0)->rx_bytes, len);
	assert_int_equal(count(1)->tx_packets, 1);
	assert_int_equal(count(1)->tx_bytes, len);
	assert_int_equal(worker_burst(worker), 0); /* takes the completion */
}

static void a_single_frame_does_not_wait_for_a_batch(void **state)
{
	uint32_t len;

	for (int i = 0; i < 10; i++) {
		inject(0, world_station(1), world_station(0));
		worker_burst(worker);
		assert_non_null(sent(1, &len));
	}
}

static void a_flood_reaches_every_target_once_with_one_frame(void **state)
{
	struct frame_census census;
	uint64_t first, second;
	uint32_t len;

	inject(1, world_station(7), world_station(1));
	worker_burst(worker);
	assert_int_equal(pipe_transmit(pipes[0], &first, &len), 1);
	assert_int_equal(pipe_transmit(pipes[2], &second, &len), 1);
	assert_int_equal(first, second);
	assert_int_equal(count(1)->flooded, 1);
	pipe_complete(pipes[0], first);
	worker_burst(worker);
	assert_int_equal(umem_census_read(umem, &census), 0);
	assert_int_equal(census.role[FRAME_KERNEL_TX], 1); /* the other still has it */
	pipe_complete(pipes[2], second);
	worker_burst(worker);
	assert_int_equal(umem_census_read(umem, &census), 0);
	assert_int_equal(census.role[FRAME_KERNEL_TX], 0);
	assert_int_equal(sent(1, &len), NULL);
	assert_int_equal(sent(3, &len), NULL);
}

/* p0 and p2 want VLAN 7 tagged, p1 untagged; p1 sends. */
static void build_vlan(uint64_t untagged)
{
	const struct topo_bridge_conf conf = {
		.ifindex = WORLD_BRIDGE, .filtering = true, .proto_be = htons(TPID_8021Q)};
	const struct topo_vlan vlan = {.vid = 7,
				       .flood_ours = true,
				       .ingress = 7,
				       .learn = 7,
				       .egress = 7,
				       .untagged = untagged,
				       .flood = 7};
	struct topo_if iface = {
		.mtu = 1500, .mtu6 = 1500, .flags = TOPO_UP | TOPO_L2 | TOPO_LEARNING};
	struct topo *topo = topo_create();
	int bridge;

	for (uint32_t slot = 0; slot < 3; slot++) {
		iface.ifindex = slot + 1;
		iface.kind = TOPO_PORT;
		iface.slot = (int16_t)slot;
		assert_int_equal(topo_add_if(topo, &iface), 0);
	}
	iface.ifindex = WORLD_BRIDGE;
	iface.kind = TOPO_BRIDGE;
	iface.slot = TOPO_NONE;
	assert_int_equal(topo_add_if(topo, &iface), 0);
	bridge = topo_add_bridge(topo, &conf);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(topo_join(topo, i + 1, bridge), i);
		topo_set_pvid(topo, bridge, (int)i, 7);
	}
	assert_int_equal(topo_add_vlan(topo, bridge, &vlan), 0);
	tables_publish_topo(&world.tables, topo);
}

static void a_flood_in_two_forms_is_one_copy_more(void **state)
{
	static const uint8_t tag[] = {0x81, 0, 0, 7};
	uint32_t len, plain = ETH_SIZE + IPV4_SIZE + 8 + 18;
	const uint8_t *out;

	build_vlan(1); /* p0 untagged, p2 tagged */
	inject(1, world_station(7), world_station(1));
	worker_burst(worker);
	out = sent(0, &len);
	assert_non_null(out);
	assert_int_equal(len, plain);
	assert_memory_equal(out, bytes, plain);
	out = sent(2, &len);
	assert_non_null(out);
	assert_int_equal(len, plain + 4);
	assert_memory_equal(out, bytes, 12);
	assert_memory_equal(out + 12, tag, 4);
	assert_memory_equal(out + 16, bytes + 12, plain - 12);
	assert_null(sent(1, &len));
	worker_burst(worker);
	assert_int_equal(count(1)->flooded, 1);
	assert_int_equal(count(2)->tx_bytes, plain + 4);
}

static void without_a_frame_for_the_copy_that_form_is_full(void **state)
{
	frame_id taken[1024];
	uint32_t len;
	size_t n;

	build_vlan(1);
	inject(1, world_station(7), world_station(1));
	n = umem_take(umem, taken, 1024);
	worker_burst(worker);
	assert_non_null(sent(0, &len));
	assert_null(sent(2, &len));
	assert_int_equal(count(2)->drops[DROP_TX_FULL], 1);
	assert_int_equal(count(0)->drops[DROP_TX_FULL], 0);
	umem_give(umem, taken, n);
}

static void a_blocked_egress_is_counted_and_harms_nobody_else(void **state)
{
	uint32_t len;

	for (int i = 0; i < 200; i++) {
		inject(0, world_station(1), world_station(0));
		worker_burst(worker);
	}
	/* p1 never sent: its ring and stage are full, the rest is counted */
	assert_int_equal(count(1)->tx_packets + count(1)->drops[DROP_TX_FULL], 200);
	assert_in_range(count(1)->tx_packets, RING + STAGE, RING + STAGE + SHUNT_BURST);
	inject(0, world_station(2), world_station(0));
	worker_burst(worker);
	assert_non_null(sent(2, &len));
	/* It sends again: what waited goes out in order, nothing is lost (teardown looks). */
	for (unsigned i = 0, n = (unsigned)count(1)->tx_packets; i < n; i++) {
		assert_non_null(sent(1, &len));
		worker_burst(worker);
	}
	assert_null(sent(1, &len));
}

static void punts_and_drops_are_counted_by_reason_on_the_ingress(void **state)
{
	world_fdb(&world, world_station(6), 1, 0, FDB_DYNAMIC);
	inject(0, world_mac(2), world_station(0));
	inject(0, world_station(6), world_station(0)); /* behind the same port */
	assert_int_equal(pipe_inject(pipes[0], bytes, 10), 0);
	worker_burst(worker);
	assert_int_equal(count(0)->punted[PUNT_LOCAL], 1);
	assert_int_equal(count(0)->drops[DROP_SAME_PORT], 1);
	assert_int_equal(count(0)->drops[DROP_SHORT], 1);
	assert_int_equal(count(0)->rx_packets, 3);
}

static void a_new_station_is_reported_once_in_a_while(void **state)
{
	struct mac station = world_station(7);
	struct worker_event event;

	for (int i = 0; i < 5; i++) {
		inject(0, world_station(1), station);
		worker_burst(worker);
	}
	assert_true(worker_event(worker, &event));
	assert_int_equal(event.kind, WORKER_LEARN);
	assert_int_equal(event.slot, 0);
	assert_int_equal(event.ifindex, 1);
	assert_int_equal(event.vlan, 0);
	assert_memory_equal(&event.mac, &station, 6);
	assert_false(worker_event(worker, &event));
	inject(2, world_station(1), station); /* moved */
	worker_burst(worker);
	assert_true(worker_event(worker, &event));
	assert_int_equal(event.slot, 2);
}

static void a_station_is_reported_in_each_of_its_vlans(void **state)
{
	struct worker_event event;

	inject(0, world_station(1), world_station(7));
	worker_burst(worker);
	assert_true(worker_event(worker, &event));
	assert_int_equal(event.vlan, 0);
	build_vlan(7);
	inject(0, world_station(1), world_station(7));
	worker_burst(worker);
	assert_true(worker_event(worker, &event));
	assert_int_equal(event.vlan, 7);
	assert_int_equal(event.ifindex, 1);
}

static void the_reported_source_is_the_one_received_not_the_rewritten(void **state)
{
	struct mac station = world_station(8);
	struct worker_event event;
	unsigned len = world_udp4(bytes, world_mac(WORLD_BRIDGE), station, world_ip4(10, 0, 0, 2),
				  world_ip4(10, 3, 0, 2), 18);

	pipe_inject(pipes[0], bytes, len);
	worker_burst(worker);
	assert_non_null(sent(3, &len));
	assert_true(worker_event(worker, &event));
	assert_memory_equal(&event.mac, &station, 6);
}

static void every_burst_answers_its_queue(void **state)
{
	uint64_t before = coarse_ns();

	beats[0].asked_ns = before;
	inject(0, world_station(1), world_station(0));
	worker_burst(worker);
	assert_true(beats[0].answered_ns >= before);
	assert_int_equal(beats[0].hold_until_ns, 0);
	assert_int_equal(beats[1].answered_ns, 0); /* nobody asked */
	beats[1].asked_ns = before;                /* asked, and the frame was lost on its way */
	worker_burst(worker);
	assert_true(beats[1].answered_ns >= before);
}

static void frames_that_waited_out_a_hang_are_thrown_away(void **state)
{
	uint64_t now = coarse_ns();
	uint32_t len;

	beats[0].asked_ns = now - STEER_STALE_NS - 100000000ull;
	for (int i = 0; i < 40; i++) {
		inject(0, world_station(1), world_station(0));
	}
	inject(2, world_station(1), world_station(2)); /* another queue did not wait */
	worker_burst(worker);
	assert_int_equal(count(0)->drops[DROP_STALE], 40);
	assert_true(beats[0].hold_until_ns >= now + STEER_CLEAN_NS);
	assert_true(beats[0].answered_ns >= now);
	assert_non_null(sent(1, &len));
	assert_null(sent(1, &len));
	inject(0, world_station(1), world_station(0)); /* afterwards it is a queue as any other */
	worker_burst(worker);
	assert_non_null(sent(1, &len));
}

static void frames_that_waited_out_a_stop_are_thrown_away_though_no_beat_tells(void **state)
{
	const struct timespec pause = {.tv_nsec = STEER_STALE_NS + 50000000};
	uint32_t len;

	worker_burst(worker);
	beats[0].asked_ns = beats[0].answered_ns = coarse_ns(); /* within the same tick */
	inject(0, world_station(1), world_station(0));
	nanosleep(&pause, NULL);
	worker_burst(worker);
	assert_null(sent(1, &len));
	assert_int_equal(count(0)->drops[DROP_STALE], 1);
	assert_true(beats[0].hold_until_ns > coarse_ns());
	assert_int_equal(beats[2].hold_until_ns, 0); /* nothing waited there */
}

static void frames_staged_before_a_stop_are_not_sent_after_it(void **state)
{
	const struct timespec pause = {.tv_nsec = STEER_STALE_NS + 50000000};
	uint32_t len;
	unsigned waiting = RING + STAGE;

	for (unsigned i = 0; i < waiting; i++) {
		inject(0, world_station(1), world_station(0));
		worker_burst(worker);
	}
	nanosleep(&pause, NULL); /* the ring's RING frames are the kernel's, STAGE still ours */
	worker_burst(worker);
	assert_int_equal(count(1)->drops[DROP_STALE], STAGE);
	for (unsigned i = 0; i < RING; i++) {
		assert_non_null(sent(1, &len));
	}
	worker_burst(worker);
	assert_null(sent(1, &len));
}

static void doze(long ms)
{
	const struct timespec pause = {.tv_nsec = ms * 1000000};

	nanosleep(&pause, NULL);
}

static void a_port_is_let_go_once_what_is_under_way_has_arrived(void **state)
{
	struct worker_event event;
	uint32_t len;

	worker_burst(worker);
	assert_int_equal(worker_drain(worker, 0, false), 0);
	worker_burst(worker);
	assert_false(worker_event(worker, &event)); /* the driver may be in the midst of its poll */
	inject(0, world_station(1), world_station(0));
	worker_burst(worker);
	assert_non_null(sent(1, &len));
	doze(30);
	worker_burst(worker);
	assert_true(worker_event(worker, &event));
	assert_int_equal(event.kind, WORKER_DRAINED);
	assert_int_equal(event.slot, 0);
	inject(1, world_station(0), world_station(1)); /* to it: it is gone */
	worker_burst(worker);
	assert_int_equal(count(0)->drops[DROP_TX_GONE], 1);
}

static void a_port_waits_for_what_it_is_still_sending(void **state)
{
	struct worker_event event;
	uint32_t len;

	inject(0, world_station(1), world_station(0));
	worker_burst(worker);
	assert_int_equal(worker_drain(worker, 1, false), 0);
	worker_burst(worker);
	doze(30);
	worker_burst(worker);
	assert_false(worker_event(worker, &event));
	assert_non_null(sent(1, &len));
	worker_burst(worker);
	worker_burst(worker);
	assert_true(worker_event(worker, &event));
	assert_int_equal(event.kind, WORKER_DRAINED);
}

static void a_port_that_is_gone_is_let_go_at_once(void **state)
{
	struct frame_census census;
	struct worker_event event;

	inject(0, world_station(1), world_station(0));
	worker_burst(worker);
	assert_int_equal(worker_drain(worker, 1, true), 0);
	worker_burst(worker);
	assert_true(worker_event(worker, &event));
	assert_int_equal(event.kind, WORKER_DRAINED);
	assert_int_equal(event.slot, 1);
	assert_int_equal(umem_census_read(umem, &census), 0);
	assert_int_equal(census.role[FRAME_LIMBO], RING + 1); /* its fill ring, and the one sent */
}

static void what_is_said_once_has_room_among_any_number_of_stations(void **state)
{
	struct worker_event event;
	unsigned learnt = 0;
	bool drained = false;

	for (unsigned i = 0; i < 5000; i++) {
		struct mac station = {{2, 9, 0, (uint8_t)(i >> 8), (uint8_t)i, 1}};

		inject(0, world_station(0), station); /* dropped: it is on the same port */
		worker_burst(worker);
	}
	assert_int_equal(worker_drain(worker, 1, true), 0);
	worker_burst(worker);
	while (worker_event(worker, &event)) {
		learnt += event.kind == WORKER_LEARN;
		drained |= event.kind == WORKER_DRAINED;
	}
	assert_true(drained);
	assert_true(learnt > 3000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_frame_crosses_by_its_address_and_is_counted_on_both_sides),
		T(a_single_frame_does_not_wait_for_a_batch),
		T(a_flood_reaches_every_target_once_with_one_frame),
		T(a_flood_in_two_forms_is_one_copy_more),
		T(without_a_frame_for_the_copy_that_form_is_full),
		T(a_blocked_egress_is_counted_and_harms_nobody_else),
		T(punts_and_drops_are_counted_by_reason_on_the_ingress),
		T(a_new_station_is_reported_once_in_a_while),
		T(a_station_is_reported_in_each_of_its_vlans),
		T(the_reported_source_is_the_one_received_not_the_rewritten),
		T(every_burst_answers_its_queue),
		T(frames_that_waited_out_a_hang_are_thrown_away),
		T(frames_that_waited_out_a_stop_are_thrown_away_though_no_beat_tells),
		T(frames_staged_before_a_stop_are_not_sent_after_it),
		T(a_port_is_let_go_once_what_is_under_way_has_arrived),
		T(a_port_waits_for_what_it_is_still_sending),
		T(a_port_that_is_gone_is_let_go_at_once),
		T(what_is_said_once_has_room_among_any_number_of_stations),
	};
	int failed;

	rcu_register_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
