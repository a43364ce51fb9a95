/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_net: what the tests of switch/io on real interfaces share: a program that redirects
 * everything, packet sockets on the far ends, and a loop that forwards by address between two
 * ports.
 */
#ifndef SHUNT_TESTS_IO_NET_H
#define SHUNT_TESTS_IO_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>

#include "io/xsk.h"
#include "io_ledger.h"

#define NET_MAGIC 0x73687564u /* in the payload: a frame of ours */
#define NET_HEADER 42u        /* Ethernet, IPv4, UDP */
#define NET_QUEUES 2u

struct net_port {
	struct xsk_port *port;
	unsigned ifindex;
	uint32_t flags; /* XDP_FLAGS_* it is attached with */
	uint64_t received[NET_QUEUES];
};

static inline int64_t net_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

/* Attach `return bpf_redirect_map(&map, ctx->rx_queue_index, XDP_PASS)` and fill the map. */
static inline void net_attach(struct net_port *p, uint32_t flags)
{
	int map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "test_xsks", 4, 4, NET_QUEUES, NULL);
	const struct bpf_insn code[] = {
		{.code = BPF_LDX | BPF_MEM | BPF_W,
		 .dst_reg = 2,
		 .src_reg = 1,
		 .off = offsetof(struct xdp_md, rx_queue_index)},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int prog;

	assert_true(map >= 0);
	prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "test_redirect", "BSD", code,
			     sizeof(code) / sizeof(code[0]), NULL);
	assert_true(prog >= 0);
	for (unsigned q = 0; q < xsk_port_queues(p->port); q++) {
		int fd = xsk_fd(xsk_port_queue(p->port, q));

		assert_int_equal(bpf_map_update_elem(map, &q, &fd, 0), 0);
	}
	assert_int_equal(bpf_xdp_attach((int)p->ifindex, prog, flags, NULL), 0);
	p->flags = flags;
	close(prog);
	close(map);
}

/* What a worker and the control thread do when a port goes; the frames are back at the end. */
static inline void net_close(struct net_port *p)
{
	if (p->port == NULL) {
		return;
	}
	bpf_xdp_detach((int)p->ifindex, p->flags, NULL);
	for (unsigned q = 0; q < xsk_port_queues(p->port); q++) {
		xsk_detach(xsk_port_queue(p->port, q));
	}
	xsk_port_close(p->port);
	xsk_port_reap(p->port);
	xsk_port_free(p->port);
	p->port = NULL;
}

/* One turn of a worker: everything received at `from` leaves by the same queue of `to`. */
static inline unsigned net_turn(struct umem *umem, struct net_port *from, struct net_port *to)
{
	unsigned total = 0;

	for (unsigned q = 0; q < xsk_port_queues(from->port); q++) {
		struct xsk *in = xsk_port_queue(from->port, q);
		struct xsk *out = xsk_port_queue(to->port, q % xsk_port_queues(to->port));
		struct xsk_frame frames[SHUNT_BURST];
		unsigned count;

		xsk_complete(out);
		xsk_refill(in);
		count = xsk_receive(in, frames, SHUNT_BURST);
		for (unsigned i = 0; i < count; i++) {
			xsk_stage(out, &frames[i]);
			xsk_release(umem, frames[i].id);
		}
		xsk_flush(out);
		from->received[q] += count;
		total += count;
	}
	umem_census(umem);
	return total;
}

static inline int net_packet_socket(const char *ifname)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(ifname),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
	int size = 8 << 20;

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

/* UDP, its flow and its bytes given by the sequence number. */
static inline void net_build(uint8_t *frame, size_t len, uint32_t seq)
{
	static const uint8_t header[NET_HEADER] = {
		2, 0, 0, 0,    0, 2,  2,  0, 0, 0,  0, 1, 8, 0,  0x45, 0, 0,
		0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0,    0, 2,
	};
	uint16_t ip_len = htons((uint16_t)(len - ETH_HLEN)),
		 port = htons((uint16_t)(1024 + seq % 61));
	uint32_t magic = NET_MAGIC, sum = 0;

	memcpy(frame, header, sizeof(header));
	memcpy(frame + 16, &ip_len, 2);
	for (int i = 14; i < 34; i += 2) {
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	frame[24] = (uint8_t)(sum >> 8);
	frame[25] = (uint8_t)sum;
	memcpy(frame + 34, &port, 2);
	memcpy(frame + 36, &port, 2);
	ip_len = htons((uint16_t)(len - 34));
	memcpy(frame + 38, &ip_len, 2);
	memcpy(frame + NET_HEADER, &magic, 4);
	memcpy(frame + NET_HEADER + 4, &seq, 4);
	for (size_t i = NET_HEADER + 8; i < len; i++) {
		frame[i] = (uint8_t)(seq + i);
	}
}

/* Take what has come to a far end: every frame of ours must be as it was sent. */
static inline unsigned net_collect(int fd, size_t len, bool *seen, uint32_t total)
{
	uint8_t frame[2048], want[2048];
	unsigned count = 0;
	ssize_t got;

	for (;;) {
		struct sockaddr_ll from;
		socklen_t size = sizeof(from);
		uint32_t magic, seq;

		got = recvfrom(fd, frame, sizeof(frame), 0, (struct sockaddr *)&from, &size);
		if (got < 0) {
			return count;
		}
		if (from.sll_pkttype == PACKET_OUTGOING || got < (ssize_t)NET_HEADER + 8) {
			continue;
		}
		memcpy(&magic, frame + NET_HEADER, 4);
		memcpy(&seq, frame + NET_HEADER + 4, 4);
		if (magic != NET_MAGIC || seq >= total) {
			continue;
		}
		net_build(want, len, seq);
		assert_int_equal(got, len);
		assert_memory_equal(frame, want, len);
		assert_false(seen[seq]); /* no duplicates */
		seen[seq] = true;
		count++;
	}
}

/* A packet socket sends on the queue of the CPU it runs on (packet_pick_tx_queue()). */
static inline void net_use_cpu(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* Send `total` frames at one far end, forward, and see each of them once, whole, at the other. */
static inline void net_cross(struct umem *umem, struct net_port *from, struct net_port *to,
			     int from_fd, int to_fd, size_t len, uint32_t total)
{
	bool *seen = calloc(total, 1);
	uint32_t sent = 0, got = 0, turn = 0;
	int64_t deadline = net_now_ms() + 10000;

	net_collect(to_fd, len, seen, 0); /* what earlier traffic left */
	net_turn(umem, from, to);         /* the fill ring is filled before the first comes */
	while (got < total && net_now_ms() < deadline) {
		net_use_cpu(turn++);
		/* Not more in flight than a far end's own queues hold. */
		for (int i = 0; i < 32 && sent < total && sent - got < 128; i++) {
			uint8_t frame[2048];

			net_build(frame, len, sent);
			if (send(from_fd, frame, len, 0) != (ssize_t)len) {
				break;
			}
			sent++;
		}
		net_turn(umem, from, to);
		got += net_collect(to_fd, len, seen, total);
	}
	free(seen);
	assert_int_equal(got, total);
	ledger_check(umem);
}

/* Until nothing is on a TX ring: every frame comes back. */
static inline void net_drain(struct umem *umem, struct net_port *p)
{
	int64_t deadline = net_now_ms() + 5000;
	unsigned left = 1;

	while (left > 0 && net_now_ms() < deadline) {
		left = 0;
		for (unsigned q = 0; q < xsk_port_queues(p->port); q++) {
			struct xsk *xsk = xsk_port_queue(p->port, q);

			xsk_flush(xsk);
			xsk_complete(xsk);
			left += xsk_staged(xsk) + xsk_tx_outstanding(xsk);
		}
	}
	assert_int_equal(left, 0);
	ledger_check(umem);
}

#endif
