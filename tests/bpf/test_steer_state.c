// SPDX-License-Identifier: BSD-2-Clause
/* What steer decides by its state: sockets, beats, verdicts, description, notes, stance "drop". */
#include <sched.h>

#include "bench.h"

#define LONG_NS 10000000000ull /* not over before a busy machine has looked */
#define SHORT_NS 20000000u

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
	beat->hold_until_ns = now_ns() + LONG_NS;
	expect(bench, &packet, PASSES(STALE));
	beat->hold_until_ns = now_ns() + SHORT_NS;
	usleep(2 * SHORT_NS / 1000);
	expect(bench, &packet, REDIRECTED);
}

static void frames_pass_once_the_worker_was_killed(void **state)
{
	struct bench *bench = *state;
	struct steer_beat *beat = &steer_beats(bench->steer)[0];
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, B4);
	beat->owner = 4711;
	expect(bench, &packet, REDIRECTED);
	beat->owner = STEER_OWNER_DIED; /* as the kernel leaves it */
	expect(bench, &packet, PASSES(STALE));
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
	steer_verdict_pass(bench->shared, SLOT, IP_V4, &addr, now_ns(), now_ns() + LONG_NS);
	expect(bench, &packet, PASSES(VERDICT));
	steer_verdict_pass(bench->shared, SLOT, IP_V4, &addr, now_ns(), now_ns() + SHORT_NS);
	usleep(2 * SHORT_NS / 1000);
	expect(bench, &packet, REDIRECTED);
}

static void verdicts_made_before_a_flush_count_no_more(void **state)
{
	struct bench *bench = *state;
	struct ip_addr addr = addr4(202);
	uint64_t now = now_ns();
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, R4);
	packet.byte[DST4 + 3] = 202;
	steer_verdict_pass(bench->shared, SLOT, IP_V4, &addr, now, now + 60000000000ull);
	expect(bench, &packet, PASSES(VERDICT));
	steer_verdict_flush(bench->shared, now);
	expect(bench, &packet, REDIRECTED);
	/* of a frame that was looked at before, though written after */
	steer_verdict_pass(bench->shared, SLOT, IP_V4, &addr, now, now + 60000000000ull);
	expect(bench, &packet, REDIRECTED);
	steer_verdict_pass(bench->shared, SLOT, IP_V4, &addr, now + 1, now + 60000000000ull);
	expect(bench, &packet, PASSES(VERDICT));
}

static void a_verdict_is_of_one_port_and_address(void **state)
{
	struct bench *bench = *state;
	struct ip_addr addr = addr6(202);
	struct packet packet;

	describe(bench, BOTH);
	build(&packet, R6);
	packet.byte[DST6 + 15] = 202;
	steer_verdict_pass(bench->shared, SLOT + 1, IP_V6, &addr, now_ns(),
			   now_ns() + 60000000000ull);
	expect(bench, &packet, REDIRECTED);
	steer_verdict_pass(bench->shared, SLOT, IP_V6, &addr, now_ns(), now_ns() + 60000000000ull);
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

static void generic_mode_heeds_what_was_noted(void **state)
{
	struct bench *bench = *state;
	struct packet packet;
	int fd = bench_notes(bench);
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0); /* notes are a CPU's */
	describe(bench, BOTH | STEER_PORT_GENERIC);
	build(&packet, B4);
	bench_note(fd, 0);
	expect(bench, &packet, PASSES(VLAN)); /* nothing noted: not sure */
	bench_note(fd, STEER_NOTE_SEEN);
	expect(bench, &packet, REDIRECTED);
	expect(bench, &packet, PASSES(VLAN)); /* a note is of one frame */
	bench_note(fd, STEER_NOTE_SEEN | STEER_NOTE_TAGGED);
	expect(bench, &packet, PASSES(VLAN));
	bench_note(fd, STEER_NOTE_SEEN | STEER_NOTE_SEVERAL);
	expect(bench, &packet, PASSES(PARTIAL));
	describe(bench, BOTH);
	bench_note(fd, STEER_NOTE_SEEN | STEER_NOTE_TAGGED);
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

static void put_udp_broadcast(struct packet *packet, uint8_t port)
{
	build(packet, B4);
	memset(packet->byte, 0xff, MAC_SIZE);
	memset(packet->byte + DST4, 0xff, 4);
	packet->byte[PROTO4] = 17;
	packet->byte[L4_4 + 3] = port;
}

/* A router's own protocols and its lease must outlive the daemon; what a bridge would flood must
 * not pass. */
static void drop_leaves_a_routed_port_what_is_of_its_link(void **state)
{
	static const uint8_t all_routers[] = {224, 0, 0, 5}, elsewhere[] = {224, 0, 1, 5};
	struct bench *bench = *state;
	struct packet packet;

	close(bench->xsk);
	bench->xsk = -1;
	for (int bridged = 0; bridged < 2; bridged++) {
		describe(bench,
			 STEER_PORT_ROUTED | STEER_PORT_DROP | (bridged ? STEER_PORT_BRIDGED : 0));
		build(&packet, B4);
		memcpy(packet.byte, (uint8_t[]){0x01, 0x00, 0x5e, 0, 0, 5}, MAC_SIZE);
		memcpy(packet.byte + DST4, all_routers, 4);
		if (bridged) {
			expect_dropped(bench, &packet);
			put_solicitation(&packet, 77);
			expect_dropped(bench, &packet);
			put_udp_broadcast(&packet, 68);
			expect_dropped(bench, &packet);
			continue;
		}
		expect(bench, &packet, PASSES(LOCAL));
		memcpy(packet.byte + DST4, elsewhere, 4);
		expect_dropped(bench, &packet);
		memcpy(packet.byte + DST4, all_routers, 4);
		packet.byte[0] = 0; /* to one station only */
		expect_dropped(bench, &packet);
		put_solicitation(&packet, 77);
		expect(bench, &packet, PASSES(LOCAL));
		packet.byte[DST6 + 1] = 5; /* of the site */
		expect_dropped(bench, &packet);
		put_udp_broadcast(&packet, 68);
		expect(bench, &packet, PASSES(LOCAL));
		packet.byte[FRAG4 + 1] = 1;
		expect_dropped(bench, &packet);
		put_udp_broadcast(&packet, 69);
		expect_dropped(bench, &packet);
	}
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

	build(&packet, R4);
	expect_dropped(bench, &packet); /* though its socket is there already */
	describe(bench, BOTH | STEER_PORT_DROP);
	expect(bench, &packet, REDIRECTED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_queue_without_socket_passes),
		TEST(the_first_unanswered_redirect_is_noted),
		TEST(a_worker_that_owes_an_answer_for_500_ms_is_stale),
		TEST(an_idle_worker_owes_no_beat),
		TEST(frames_pass_until_the_hold_ends),
		TEST(frames_pass_once_the_worker_was_killed),
		TEST(a_verdict_ends),
		TEST(verdicts_made_before_a_flush_count_no_more),
		TEST(a_verdict_is_of_one_port_and_address),
		TEST(a_bridged_frame_asks_neither_locals_nor_verdicts),
		TEST(a_local_address_comes_and_goes),
		TEST(a_new_description_takes_effect_at_once),
		TEST(generic_mode_heeds_what_was_noted),
		TEST(drop_without_a_daemon_forwards_nothing),
		TEST(drop_with_a_stale_worker_forwards_nothing),
		TEST(drop_leaves_a_routed_port_what_is_of_its_link),
		TEST(drop_with_a_living_worker_is_like_any_port),
		TEST_DROP(drop_not_yet_described_drops),
	};

	need_root("test_steer_state");
	return cmocka_run_group_tests_name("steer_state", tests, NULL, NULL);
}
