/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_forward: any bytes as frames, through parse and forward, on pipes.
 *
 * An input is a byte that chooses the maze, and a burst: records of {control, pick, length (2,
 * little endian; the first bit chooses short frames)} and that many bytes, or as many as there are,
 * the rest being made up.  The control byte's low bits say by which port the frame comes; its other
 * bits mend the frame (a known MAC, a known address, a right header checksum), so that the way past
 * the first checks need not be found by luck.
 *
 * Every frame is forwarded twice: as a copy that ends where an unmapped page begins, and in its
 * chunk with the rest of the chunk poisoned.  Both must say and write the same, and what they say
 * must hold against the frame as it came (judge.c).  Then the verdict is carried out, and the
 * ledger must balance, with every frame back with the pool or the fill rings.
 */
#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <urcu-qsbr.h>

#include "io/pipe.h"
#include "judge.h"
#include "maze.h"
#include "path/forward.h"
#include "path/frame.h"

#define RING 64u
#define STAGE 8u
#define FRAMES (MAZE_PORTS * RING + SHUNT_BURST)
#define RECORD_SIZE 4u
#define SHORT 96u /* bytes; the headers end before that */

enum { MEND_ROUTER = 8, MEND_HOST = 16, MEND_HEADER = 32, MEND_ADDRESS = 64, MEND_PARTIAL = 128 };
#define PICK_IPV6 1u   /* of the pick byte: which family the mended header is */
#define PICK_LENGTH 2u /* leave the length that it says */
#define PICK_TCP 4u    /* the unfinished checksum is TCP's, else UDP's */

static struct tables tables[2]; /* whole and worn */
static struct umem *umem;
static struct pipe *pipes[MAZE_PORTS];
static uint8_t *guard; /* the first byte that cannot be read */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct xsk_port_conf conf = {.ifname = "pipe",
					   .queues = 1,
					   .mode = XSK_COPY,
					   .ring_size = RING,
					   .rx_frames = RING,
					   .stage_frames = STAGE};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	rcu_register_thread();
	maze_build(&tables[0], false);
	maze_build(&tables[1], true);
	require(umem_create(&umem, FRAMES) == 0, "umem");
	for (unsigned slot = 0; slot < MAZE_PORTS; slot++) {
		require(pipe_create(&pipes[slot], umem, &conf) == 0, "pipe");
		xsk_refill(pipe_xsk(pipes[slot]));
	}
	guard = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(guard != MAP_FAILED && mprotect(guard + page, page, PROT_NONE) == 0, "guard page");
	guard += page;
	return 0;
}

static void mend_ipv4(uint8_t *ip, unsigned size, uint8_t control, uint8_t pick)
{
	struct ipv4 *header = (struct ipv4 *)ip;

	if (size < IPV4_SIZE) {
		return;
	}
	if (control & MEND_ADDRESS) {
		const uint8_t src[4] = {10, pick % MAZE_NETS, 0, 2};
		const uint8_t dst[4] = {10, pick >> 3, 0, (pick >> 2) % 6};

		memcpy(header->src, src, 4);
		memcpy(header->dst, dst, 4);
	}
	if (control & MEND_PARTIAL) {
		header->proto = pick & PICK_TCP ? PROTO_TCP : PROTO_UDP;
	}
	if (control & MEND_HEADER) {
		header->version_ihl = 0x45;
		if (!(pick & PICK_LENGTH)) {
			header->length_be = htons((uint16_t)size);
		}
		header->check = 0;
		header->check = htons((uint16_t)~sum16(0, ip, IPV4_SIZE));
	}
}

static void mend_ipv6(uint8_t *ip, unsigned size, uint8_t control, uint8_t pick)
{
	struct ipv6 *header = (struct ipv6 *)ip;

	if (size < IPV6_SIZE) {
		return;
	}
	if (control & MEND_ADDRESS) {
		const uint8_t src[16] = {0x20, 0x01, 0x0d, 0xb8, 0, pick % MAZE_NETS, [15] = 2};
		const uint8_t dst[16] = {
			0x20, 0x01, 0x0d, 0xb8, 0, pick >> 3, [15] = (pick >> 2) % 6};

		memcpy(header->src, src, 16);
		memcpy(header->dst, dst, 16);
	}
	if (control & MEND_PARTIAL) {
		header->next = pick & PICK_TCP ? PROTO_TCP : PROTO_UDP;
	}
	if (control & MEND_HEADER) {
		header->version_be = htonl(6u << 28);
		if (!(pick & PICK_LENGTH)) {
			header->length_be = htons((uint16_t)(size - IPV6_SIZE));
		}
	}
}

/* Leave the L4 checksum as a local stack would: the pseudo-header's sum, not complemented. */
static void mend_partial(uint8_t *frame, unsigned len)
{
	struct l4 l4;

	if (find_l4(&l4, frame, len)) {
		uint16_t sum = pseudo_sum(&l4);

		frame[l4.check_offset] = (uint8_t)(sum >> 8);
		frame[l4.check_offset + 1] = (uint8_t)sum;
	}
}

static void mend(uint8_t *frame, unsigned len, uint8_t control, uint8_t pick)
{
	struct eth *eth = (struct eth *)frame;
	unsigned slot = control % MAZE_PORTS;

	if (len < ETH_SIZE) {
		return;
	}
	if (control & MEND_ROUTER) {
		eth->dst = maze_router_mac(slot);
	} else if (control & MEND_HOST) {
		eth->dst = maze_host_mac(pick % MAZE_NETS, 2 + (pick >> 4) % 4);
	}
	if (control & MEND_HOST) {
		eth->src = maze_host_mac((pick >> 1) % MAZE_NETS, 2 + (pick >> 5) % 4);
	}
	if (control & (MEND_HEADER | MEND_ADDRESS)) {
		eth->type_be = htons(pick & PICK_IPV6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
	}
	if (eth->type_be == htons(ETHERTYPE_IPV4)) {
		mend_ipv4(frame + ETH_SIZE, len - ETH_SIZE, control, pick);
	} else if (eth->type_be == htons(ETHERTYPE_IPV6)) {
		mend_ipv6(frame + ETH_SIZE, len - ETH_SIZE, control, pick);
	}
	if (control & MEND_PARTIAL) {
		mend_partial(frame, len);
	}
}

/* Put the input's frames on the RX rings; returns how many. */
static unsigned inject(const uint8_t *data, size_t size)
{
	uint8_t frame[FRAME_ROOM];
	unsigned count = 0;

	for (; size >= RECORD_SIZE && count < SHUNT_BURST; count++) {
		size_t len = (size_t)(data[2] | (data[3] & 0x7f) << 8), given;
		uint8_t control = data[0], pick = data[1];
		bool shorter = data[3] & 0x80;

		data += RECORD_SIZE;
		size -= RECORD_SIZE;
		len %= shorter ? SHORT : FRAME_ROOM + 1;
		given = len < size ? len : size;
		memcpy(frame, data, given);
		for (size_t i = given; i < len; i++) {
			frame[i] = (uint8_t)(len - i);
		}
		data += given;
		size -= given;
		mend(frame, (unsigned)len, control, pick);
		require(pipe_inject(pipes[control % MAZE_PORTS], frame, len) == 0, "inject");
	}
	return count;
}

/* The verdict on a copy whose end is the end of readable memory. */
static struct verdict forward_guarded(struct path *path, unsigned slot, struct xsk_frame *copy)
{
	uint8_t *place = guard - copy->len;
	struct verdict verdict;

	memcpy(place, copy->data, copy->len);
	copy->data = place;
	forward(path, topo_port(path->topo, slot), copy, 1, &verdict);
	return verdict;
}

/* The verdict on the frame in place, with the rest of its chunk out of bounds. */
static struct verdict forward_poisoned(struct path *path, unsigned slot, struct xsk_frame *frame)
{
	uint8_t *chunk = umem_frame(umem_base(umem), frame->id);
	uint8_t *end = frame->data + frame->len;
	struct verdict verdict;

	ASAN_POISON_MEMORY_REGION(chunk, (size_t)(frame->data - chunk));
	ASAN_POISON_MEMORY_REGION(end, (size_t)(chunk + FRAME_SIZE - end));
	forward(path, topo_port(path->topo, slot), frame, 1, &verdict);
	ASAN_UNPOISON_MEMORY_REGION(chunk, FRAME_SIZE);
	return verdict;
}

static uint64_t flood_slots(const struct path *path, unsigned in)
{
	return forward_flood_slots(path, topo_port(path->topo, in));
}

static void carry_out(const struct path *path, unsigned in, const struct xsk_frame *frame,
		      const struct verdict *verdict)
{
	uint64_t slots = verdict->kind == VERDICT_TX      ? 1ull << verdict->slot
			 : verdict->kind == VERDICT_FLOOD ? flood_slots(path, in)
							  : 0;

	if (verdict->kind == VERDICT_PUNT) {
		umem_punt(umem, frame->id);
		umem_punted(umem, frame->id);
		return;
	}
	for (; slots; slots &= slots - 1) {
		int result = xsk_stage(pipe_xsk(pipes[__builtin_ctzll(slots)]), frame);

		require(result == 0 || result == -ENOSPC, "stage");
	}
	xsk_release(umem, frame->id);
}

static void one(struct path *path, bool worn, unsigned slot, struct xsk_frame *frame)
{
	uint8_t original[FRAME_ROOM];
	struct xsk_frame before = *frame, copy = *frame;
	struct verdict verdict, again;

	memcpy(original, frame->data, frame->len);
	before.data = original;
	again = forward_guarded(path, slot, &copy);
	verdict = forward_poisoned(path, slot, frame);
	require(verdict.kind == again.kind && verdict.reason == again.reason &&
			verdict.slot == again.slot && verdict.elsewhere == again.elsewhere,
		"the same frame got another verdict");
	require(frame->len == copy.len && memcmp(frame->data, copy.data, frame->len) == 0,
		"the same frame came out with other bytes");
	judge(worn, slot, &before, frame, &verdict,
	      verdict.kind == VERDICT_FLOOD ? flood_slots(path, slot) : 0, path->learn_count > 0);
	carry_out(path, slot, frame, &verdict);
}

/* All rings empty, all frames home. */
static void settle(void)
{
	struct frame_census census;
	unsigned left;

	do {
		left = 0;
		for (unsigned slot = 0; slot < MAZE_PORTS; slot++) {
			struct xsk *xsk = pipe_xsk(pipes[slot]);

			left += xsk_flush(xsk);
			pipe_drain(pipes[slot]);
			xsk_complete(xsk);
			left += xsk_tx_outstanding(xsk);
		}
	} while (left);
	for (unsigned slot = 0; slot < MAZE_PORTS; slot++) {
		require(xsk_refill(pipe_xsk(pipes[slot])) == 0,
			"a frame is missing from a fill ring");
	}
	umem_census(umem);
	require(umem_census_read(umem, &census) == 0, "census");
	require(census.lost == 0 && census.quarantined == 0, "the ledger does not balance");
	require(census.role[FRAME_POOL] + census.role[FRAME_KERNEL_RX] == FRAMES,
		"a frame did not come home");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xsk_frame frames[SHUNT_BURST];
	unsigned injected, received = 0;
	static struct path path;
	bool worn;

	if (!size) {
		return 0;
	}
	worn = data[0] & 1;
	injected = inject(data + 1, size - 1);
	path_begin(&path, &tables[worn], 1);
	for (unsigned slot = 0; slot < MAZE_PORTS; slot++) {
		unsigned count = xsk_receive(pipe_xsk(pipes[slot]), frames, SHUNT_BURST);

		for (unsigned i = 0; i < count; i++) {
			one(&path, worn, slot, &frames[i]);
		}
		received += count;
	}
	require(received == injected, "a frame was not received");
	settle();
	rcu_quiescent_state();
	return 0;
}
