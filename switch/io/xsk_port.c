/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control thread's side of xsk.h: a UMEM for a port, a socket for each of its queues.
 *
 * libxdp 1.3.1 fixes the shape: the first socket takes over the fill and completion ring that were
 * given to xsk_umem__create(), the very structs; every later one brings its own.  After a failure
 * the xsk_umem is half used up, so everything goes and each attempt starts anew.
 */
#include "io/xsk_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <xdp/xsk.h>

#ifndef SOL_XDP
#define SOL_XDP 283
#endif
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* Linux 6.17 */
#endif

/* The kernel takes the last socket off a queue some time after its close(). */
#define BUSY_NS (1000ll * 1000 * 1000)
#define BUSY_RETRY_NS (10ll * 1000 * 1000)

/* Copy mode charges an skb's truesize for each frame in flight to the socket. */
#define SEND_TRUESIZE 4096u

struct port_queue {
	struct xsk_socket *socket;
	struct xsk_ring_cons rx, comp;
	struct xsk_ring_prod tx, fill;
};

struct xsk_port {
	struct xsk_umem *kernel_umem;
	struct port_queue *queue;
	struct xsk *xsk;
	unsigned queues, tx_queues;
	bool closed;
};

static int wake_tx(struct xsk *xsk)
{
	return sendto(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? -errno : 0;
}

static void wake_rx(struct xsk *xsk)
{
	/* A receive of nothing: xsk_recvmsg() only wakes the driver. What it answers is no news. */
	(void)!recvfrom(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/* Copy mode goes faster with these; none of them is needed. */
static void tune(int fd, unsigned ring_size)
{
	int budget = (int)ring_size;
	int sndbuf = (int)(ring_size * SEND_TRUESIZE);

	setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf)) < 0) {
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	}
}

static int ask_zerocopy(int fd, bool *zerocopy)
{
	struct xdp_options options = {0};
	socklen_t size = sizeof(options);

	if (getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &size) < 0) {
		return -errno;
	}
	*zerocopy = (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
	return 0;
}

static struct ring_area producer_area(const struct xsk_ring_prod *ring)
{
	return (struct ring_area){ring->producer, ring->consumer, ring->flags, ring->ring,
				  ring->size};
}

static struct ring_area consumer_area(const struct xsk_ring_cons *ring)
{
	return (struct ring_area){ring->producer, ring->consumer, ring->flags, ring->ring,
				  ring->size};
}

/* Our views of the four rings, and what to wake. */
static int connect_rings(struct xsk *xsk, const struct port_queue *queue)
{
	struct ring_area rx = consumer_area(&queue->rx);
	struct ring_area tx = producer_area(&queue->tx);
	struct ring_area fill = producer_area(&queue->fill);
	struct ring_area comp = consumer_area(&queue->comp);

	xsk->fd = xsk_socket__fd(queue->socket);
	xsk->wake_tx = wake_tx;
	xsk->wake_rx = wake_rx;
	if (ring_consumer_init(&xsk->rx, &rx) < 0 || ring_producer_init(&xsk->tx, &tx) < 0 ||
	    ring_producer_init(&xsk->fill, &fill) < 0 ||
	    ring_consumer_init(&xsk->comp, &comp) < 0) {
		return -EINVAL;
	}
	return 0;
}

static int bind_queue(struct xsk_port *port, unsigned index, const struct xsk_port_conf *conf)
{
	struct port_queue *queue = &port->queue[index];
	struct xsk_socket_config config = {
		.rx_size = conf->ring_size,
		.tx_size = conf->ring_size,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_USE_NEED_WAKEUP |
			      (conf->mode == XSK_ZEROCOPY ? XDP_ZEROCOPY : XDP_COPY),
	};
	int fd, err;

	err = xsk_socket__create_shared(&queue->socket, conf->ifname, index, port->kernel_umem,
					&queue->rx, &queue->tx, &queue->fill, &queue->comp,
					&config);
	if (err != 0) {
		queue->socket = NULL;
		return err;
	}
	fd = xsk_socket__fd(queue->socket);
	tune(fd, conf->ring_size);
	err = ask_zerocopy(fd, &port->xsk[index].zerocopy);
	if (err < 0) {
		return err;
	}
	return connect_rings(&port->xsk[index], queue);
}

/* Whatever of the port is there: sockets first, the UMEM they share last. */
static void unbind(struct xsk_port *port)
{
	for (unsigned i = 0; i < port->queues; i++) {
		if (port->queue[i].socket != NULL) {
			xsk_socket__delete(port->queue[i].socket);
		}
		port->xsk[i].fd = -1;
	}
	if (port->kernel_umem != NULL) {
		xsk_umem__delete(port->kernel_umem);
	}
	port->kernel_umem = NULL;
	/* libxdp wants zeroed rings: what it finds in them it may take for mapped. */
	memset(port->queue, 0, port->queues * sizeof(*port->queue));
}

static int bind_once(struct xsk_port *port, struct umem *umem, const struct xsk_port_conf *conf)
{
	struct xsk_umem_config config = {
		.fill_size = conf->ring_size,
		.comp_size = conf->ring_size,
		.frame_size = FRAME_SIZE,
		.frame_headroom = 0,
	};
	int err;

	err = xsk_umem__create(&port->kernel_umem, umem_base(umem), umem_size(umem),
			       &port->queue[0].fill, &port->queue[0].comp, &config);
	if (err != 0) {
		port->kernel_umem = NULL;
		return err;
	}
	for (unsigned i = 0; i < port->queues; i++) {
		err = bind_queue(port, i, conf);
		if (err != 0) {
			unbind(port);
			return err;
		}
	}
	return 0;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int bind_port(struct xsk_port *port, struct umem *umem, const struct xsk_port_conf *conf)
{
	const struct timespec pause = {.tv_nsec = BUSY_RETRY_NS};
	int64_t deadline = now_ns() + BUSY_NS;
	int err;

	for (;;) {
		err = bind_once(port, umem, conf);
		if (err != -EBUSY || now_ns() >= deadline) {
			break;
		}
		nanosleep(&pause, NULL);
	}
	/* The configuration was checked before, so a driver's "invalid" means: not this mode
	 * (virtio without a DMA device). ENOTSUPP is the kernel's own and has no name here. */
	if (err == -524 || (err == -EINVAL && conf->mode == XSK_ZEROCOPY)) {
		return -EOPNOTSUPP;
	}
	return err;
}

int xsk_port_open(struct xsk_port **out, struct umem *umem, const struct xsk_port_conf *conf)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct xsk_port *port;
	int err = -ENOMEM;

	if (conf->queues == 0 || conf->queues > SHUNT_QUEUES_MAX || conf->mode == XSK_AUTO) {
		return -EINVAL;
	}
	port = calloc(1, sizeof(*port));
	if (port == NULL) {
		return -ENOMEM;
	}
	port->queues = port->tx_queues = conf->queues;
	if (conf->tx_queues > 0 && conf->tx_queues < conf->queues) {
		port->tx_queues = conf->tx_queues;
	}
	port->queue = calloc(conf->queues, sizeof(*port->queue));
	port->xsk = aligned_alloc(64, (conf->queues * sizeof(*port->xsk) + 63) & ~63ul);
	if (port->queue == NULL || port->xsk == NULL) {
		goto free_port;
	}
	memset(port->xsk, 0, conf->queues * sizeof(*port->xsk));
	for (unsigned i = 0; i < conf->queues; i++) {
		err = xsk_init(&port->xsk[i], umem, conf);
		if (err < 0) {
			goto fini_queues;
		}
	}
	/* Without CAP_IPC_LOCK the region counts against this limit. Where it cannot be raised,
	 * registering says whether it mattered. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	err = bind_port(port, umem, conf);
	if (err < 0) {
		goto fini_queues;
	}
	*out = port;
	return 0;

fini_queues:
	for (unsigned i = 0; i < conf->queues; i++) {
		xsk_fini(&port->xsk[i]);
	}
free_port:
	free(port->xsk);
	free(port->queue);
	free(port);
	return err;
}

void xsk_port_close(struct xsk_port *port)
{
	if (port == NULL || port->closed) {
		return;
	}
	port->closed = true;
	unbind(port);
}

void xsk_port_reap(struct xsk_port *port)
{
	for (unsigned i = 0; i < port->queues; i++) {
		xsk_reap(&port->xsk[i]);
	}
}

void xsk_port_free(struct xsk_port *port)
{
	if (port == NULL) {
		return;
	}
	xsk_port_close(port);
	for (unsigned i = 0; i < port->queues; i++) {
		xsk_fini(&port->xsk[i]);
	}
	free(port->xsk);
	free(port->queue);
	free(port);
}

unsigned xsk_port_queues(const struct xsk_port *port)
{
	return port->queues;
}

unsigned xsk_port_tx_queues(const struct xsk_port *port)
{
	return port->tx_queues;
}

struct xsk *xsk_port_queue(struct xsk_port *port, unsigned queue)
{
	return &port->xsk[queue];
}

int xsk_fd(const struct xsk *xsk)
{
	return xsk->fd;
}

bool xsk_zerocopy(const struct xsk *xsk)
{
	return xsk->zerocopy;
}
