/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_forward: any bytes as frames, through parse and forward, on pipes.
 *
 * An input is a byte that says what of the maze is worn, and what changes before the same burst
 * comes a second time; and the burst: records of {control, pick, length (2, little endian; the
 * first bit chooses short frames, the second the frame before with another length, the third a VLAN
 * tag)} and that many bytes, or as many as there are, the rest being made up.  The control byte's
 * low bits say by which port the frame comes; its other bits mend the frame (a known MAC, a known
 * address, a right header checksum), so that the way past the first checks need not be found by
 * luck.
 *
 * Every frame is forwarded twice: alone, as a copy that ends where an unmapped page begins, by a
 * path that remembers nothing; and with its burst, in its chunk with the rest of the chunk
 * poisoned.  Both must say and write the same, and what they say must hold against the frame as it
 * came (judge.c). Then the verdict is carried out, and the ledger must balance, with every frame
 * back with the pool or the fill rings.
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
#define AGAIN 0x40u  /* of the length's second byte */
#define TAGGED 0x20u /* likewise */
#define SHORT 96u    /* bytes; the headers end before that */

enum { MEND_ROUTER = 8, MEND_HOST = 16, MEND_HEADER = 32, MEND_ADDRESS = 64, MEND_PARTIAL = 128 };
#define PICK_IPV6 1u   /* of the pick byte: which family the mended header is */
#define PICK_LENGTH 2u /* leave the length that it says */
#define PICK_TCP 4u    /* the unfinished checksum is TCP's, else UDP's */

static struct tables tables;
static struct umem *umem;
static struct pipe *pipes[MAZE_PORTS];
static uint8_t *guard; /* the first byte that cannot be read */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What luck would take long to find: every way of mending, three times the same flow with lengths
 * that do and do not fit, and a change in between. */
static void sweep(void)
{
	for (unsigned control = 0; control < 256; control++) {
		/* A known address or an unfinished checksum in a broken header leads nowhere, nor
		 * does a MAC that nobody has. */
		if ((control & (MEND_ADDRESS | MEND_PARTIAL) && !(control & MEND_HEADER)) ||
		    !(control & (MEND_ROUTER | MEND_HOST))) {
			continue;
		}
		for (unsigned both = 0; both < 512; both++) {
			unsigned pick = both / 2;
			unsigned change = MAZE_LINKS << (control + pick) % 4;
			uint8_t input[1 + RECORD_SIZE + 64 + 2 * RECORD_SIZE];
			const uint8_t first[] = {(uint8_t)(change << 4), (uint8_t)control,
						 (uint8_t)pick, 64, both & 1 ? TAGGED : 0};
			const uint8_t again[] = {0, 0, 1700 & 0xff, AGAIN | 1700 >> 8,
						 0, 0, 65,          AGAIN};

			memset(input, 17, sizeof(input));
			memcpy(input, first, sizeof(first));
			memcpy(input + sizeof(first) + 64, again, sizeof(again));
			snprintf(judge_input, sizeof(judge_input), "(sweep: control %u, pick %u)",
				 control, pick);
			LLVMFuzzerTestOneInput(input, sizeof(input));
		}
	}
	judge_input[0] = '\0';
}

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
	maze_build(&tables);
	require(umem_create(&umem, FRAMES) == 0, "umem");
	for (unsigned slot = 0; slot < MAZE_PORTS; slot++) {
		require(pipe_create(&pipes[slot], umem, &conf) == 0, "pipe");
		xsk_refill(pipe_xsk(pipes[slot]));
	}
	guard = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(guard != MAP_FAILED && mprotect(guard + page, page, PROT_NONE) == 0, "guard page");
	guard += page;
	sweep();
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

/* A mended frame with a tag between its MACs and its type; half of the time a priority tag. */
static void put_tag(uint8_t *out, const uint8_t *frame, unsigned len, uint8_t pick)
{
	const uint16_t words[2] = {htons(pick & 1 ? 0x8100 : 0x88a8),
				   htons((uint16_t)(pick & 8 ? pick << 8 & 0xf000 : pick << 4))};

	memcpy(out, frame, 12);
	memcpy(out + 12, words, sizeof(words));
	memcpy(out + 12 + sizeof(words), frame + 12, len - 12 - sizeof(words));
}

struct record {
	uint8_t control, pick;
	bool tagged;
	unsigned len; /* of the frame, bytes */
	bool again;   /* the frame before, with another length */
};

static struct record read_record(const uint8_t *data, const struct record *last)
{
	struct record record = {.control = data[0],
				.pick = data[1],
				.len = data[2] | (unsigned)(data[3] & 0x1f) << 8,
				.tagged = data[3] & TAGGED,
				.again = data[3] & AGAIN};

	record.len %= data[3] & 0x80 ? SHORT : FRAME_ROOM + 1;
	if (record.again) {
		record.control = last->control;
		record.pick = last->pick;
		record.tagged = last->tagged;
	}
	return record;
}

/* Put the input's frames on the RX rings; returns how many. */
static unsigned inject(const uint8_t *data, size_t size)
{
	uint8_t frame[FRAME_ROOM], out[FRAME_ROOM];
	struct record record = {0};
	unsigned count = 0;
	bool tagged;

	for (size_t i = 0; i < sizeof(frame); i++) {
		frame[i] = (uint8_t)~i;
	}
	for (; size >= RECORD_SIZE && count < SHUNT_BURST; count++) {
		record = read_record(data, &record);
		data += RECORD_SIZE;
		size -= RECORD_SIZE;
		if (!record.again) {
			size_t given = record.len < size ? record.len : size;

			memcpy(frame, data, given);
			data += given;
			size -= given;
		}
		tagged = record.tagged && record.len >= ETH_SIZE + 4;
		mend(frame, tagged ? record.len - 4 : record.len, record.control, record.pick);
		if (tagged) {
			put_tag(out, frame, record.len, record.pick);
		}
		require(pipe_inject(pipes[record.control % MAZE_PORTS], tagged ? out : frame,
				    record.len) == 0,
			"inject");
	}
	return count;
}

/* A frame as it came, and what a path made of it that saw it alone. */
struct expected {
	struct xsk_frame before, after;
	struct verdict verdict;
	bool learnt;
	uint8_t original[FRAME_ROOM], result[FRAME_ROOM];
};

/* The verdict on a copy whose end is the end of readable memory.  A new second each time: what the
 * path remembers is good for one. */
static void forward_alone(unsigned slot, const struct xsk_frame *frame, struct expected *expected)
{
	static struct path path;
	static uint32_t now_s;
	struct xsk_frame copy = {frame->id, frame->len, guard - frame->len};

	memcpy(expected->original, frame->data, frame->len);
	memcpy(copy.data, frame->data, frame->len);
	expected->before = (struct xsk_frame){frame->id, frame->len, expected->original};
	path_begin(&path, &tables, ++now_s);
	forward(&path, topo_port(path.topo, slot), &copy, 1, &expected->verdict);
	memcpy(expected->result, copy.data, copy.len);
	expected->after = (struct xsk_frame){copy.id, copy.len, expected->result};
	expected->learnt = path.learn_count > 0;
}

/* The verdicts on a burst in place, with what is not the frames' out of bounds. */
static void forward_burst(struct path *path, unsigned slot, struct xsk_frame *frames,
			  unsigned count, struct verdict *verdicts)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t *chunk = umem_frame(umem_base(umem), frames[i].id);
		uint8_t *end = frames[i].data + frames[i].len;

		ASAN_POISON_MEMORY_REGION(chunk, (size_t)(frames[i].data - chunk));
		ASAN_POISON_MEMORY_REGION(end, (size_t)(chunk + FRAME_SIZE - end));
	}
	forward(path, topo_port(path->topo, slot), frames, count, verdicts);
	for (unsigned i = 0; i < count; i++) {
		ASAN_UNPOISON_MEMORY_REGION(umem_frame(umem_base(umem), frames[i].id), FRAME_SIZE);
	}
}

/* Of a flood: where it goes, in whatever form. */
static uint64_t flood_slots(const struct path *path, const struct verdict *verdict)
{
	const struct flood *flood = &path->flood[verdict->slot];
	uint64_t slots = 0;

	for (unsigned i = 0; i < flood->count; i++) {
		slots |= flood->group[i].slots;
	}
	return slots;
}

static void carry_out(const struct path *path, const struct xsk_frame *frame,
		      const struct verdict *verdict)
{
	uint64_t slots = verdict->kind == VERDICT_TX      ? 1ull << verdict->slot
			 : verdict->kind == VERDICT_FLOOD ? flood_slots(path, verdict)
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

static void same(const struct expected *expected, const struct xsk_frame *frame,
		 const struct verdict *verdict)
{
	const struct verdict *other = &expected->verdict;

	require(verdict->kind == other->kind && verdict->reason == other->reason &&
			(verdict->kind == VERDICT_FLOOD || verdict->slot == other->slot) &&
			verdict->elsewhere == other->elsewhere,
		"the same frame got another verdict");
	require(frame->len == expected->after.len &&
			memcmp(frame->data, expected->result, frame->len) == 0,
		"the same frame came out with other bytes");
}

static bool learnt(const struct path *path, const struct expected *expected)
{
	for (unsigned i = 0; i < path->learn_count; i++) {
		if (!memcmp(path->learn[i].mac.b, expected->original + MAC_SIZE, MAC_SIZE)) {
			return true;
		}
	}
	return false;
}

/* Returns the number of frames that had come by this port. */
static unsigned burst(struct path *path, unsigned slot)
{
	static struct expected expected[SHUNT_BURST];
	struct xsk_frame frames[SHUNT_BURST];
	struct verdict verdicts[SHUNT_BURST];
	unsigned count = xsk_receive(pipe_xsk(pipes[slot]), frames, SHUNT_BURST);

	for (unsigned i = 0; i < count; i++) {
		forward_alone(slot, &frames[i], &expected[i]);
	}
	forward_burst(path, slot, frames, count, verdicts);
	for (unsigned i = 0; i < count; i++) {
		uint64_t flood = verdicts[i].kind == VERDICT_FLOOD ? flood_slots(path, &verdicts[i])
								   : 0;

		same(&expected[i], &frames[i], &verdicts[i]);
		require(!expected[i].learnt || learnt(path, &expected[i]), "not learnt in a burst");
		judge(slot, &expected[i].before, &frames[i], &verdicts[i], flood,
		      expected[i].learnt);
		carry_out(path, &frames[i], &verdicts[i]);
	}
	return count;
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

static void bursts(struct path *path, const uint8_t *data, size_t size, uint32_t now_s)
{
	unsigned injected = inject(data, size), received = 0;

	path_begin(path, &tables, now_s);
	for (unsigned slot = 0; slot < MAZE_PORTS; slot++) {
		received += burst(path, slot);
	}
	require(received == injected, "a frame was not received");
	settle();
	rcu_quiescent_state();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct path path;
	static uint32_t now_s;
	unsigned wear, change;

	if (!size) {
		return 0;
	}
	wear = data[0] & MAZE_WEAR;
	change = data[0] >> 4 & MAZE_WEAR;
	/* A new second: what the path remembers of other inputs is good for one. */
	now_s++;
	maze_wear(&tables, wear);
	bursts(&path, data + 1, size - 1, now_s);
	if (change) {
		maze_wear(&tables, wear ^ change);
		bursts(&path, data + 1, size - 1, now_s);
	}
	return 0;
}
