// SPDX-License-Identifier: BSD-2-Clause
/*
 * floor: send 64-byte frames from one copy-mode socket and do nothing else, until SIGTERM.
 *
 *   floor IFNAME DESTINATION-MAC
 *
 * No receive, no look-up, the same few frames again and again: what is left is what sending costs a
 * forwarder of one thread here, in the kernel and in switch/io.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "io/xsk.h"
#include "limits.h"

#define FRAMES 8192u    /* a port's share */
#define RING_SIZE 2048u /* as shuntd's ports */
#define FRAME_LEN 60u   /* 64 with FCS */

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	stop = 1;
}

/* One burst: as many frames as are free, sent with one call. */
static void send_burst(struct umem *umem, struct xsk *xsk, const uint8_t *bytes)
{
	uint8_t *base = umem_base(umem);
	frame_id ids[SHUNT_BURST];
	size_t count = umem_take(umem, ids, SHUNT_BURST);

	for (size_t i = 0; i < count; i++) {
		struct xsk_frame frame = {.id = ids[i], .len = FRAME_LEN};

		frame.data = umem_frame(base, ids[i]) + FRAME_HEADROOM;
		memcpy(frame.data, bytes, FRAME_LEN);
		if (xsk_send(xsk, &frame) < 0) {
			xsk_release(umem, ids[i]);
		}
	}
	xsk_flush(xsk);
	xsk_complete(xsk);
}

int main(int argc, char **argv)
{
	struct xsk_port_conf conf = {.queues = 1,
				     .mode = XSK_COPY,
				     .ring_size = RING_SIZE,
				     .rx_frames = SHUNT_BURST,
				     .stage_frames = SHUNT_BURST};
	/* from a station of its own; IPv4 is what the sink counts */
	uint8_t bytes[FRAME_LEN] = {[6] = 2, [11] = 0xf, [12] = 8, [14] = 0x45};
	struct sigaction action = {.sa_handler = on_term};
	struct xsk_port *port;
	struct umem *umem;
	int err;

	if (argc != 3 || sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &bytes[0], &bytes[1],
				&bytes[2], &bytes[3], &bytes[4], &bytes[5]) != 6) {
		fputs("usage: floor IFNAME DESTINATION-MAC\n", stderr);
		return 2;
	}
	conf.ifname = argv[1];
	sigaction(SIGTERM, &action, NULL);
	err = umem_create(&umem, FRAMES);
	if (err < 0) {
		fprintf(stderr, "floor: frames: %s\n", strerror(-err));
		return 1;
	}
	err = xsk_port_open(&port, umem, &conf);
	if (err < 0) {
		fprintf(stderr, "floor: %s: %s\n", argv[1], strerror(-err));
		umem_destroy(umem);
		return 1;
	}
	while (!stop) {
		send_burst(umem, xsk_port_queue(port, 0), bytes);
	}
	xsk_port_close(port);
	xsk_port_reap(port);
	xsk_port_free(port);
	umem_destroy(umem);
	return 0;
}
