/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sock: a netlink socket that asks, dumps and listens, over libmnl.
 *
 * What:    one socket with its receive buffer.  A dump that the kernel marks as interrupted
 *          (NLM_F_DUMP_INTR) ends in -EINTR: it was not a consistent picture and is to be asked
 *          again.
 * Callers: netlink/ only.
 * Thread:  the caller's, one at a time.
 * Owner:   nlsock_close() frees it.  Messages are valid inside the callback only.
 * Full:    a listener whose receive buffer overflowed answers -ENOBUFS once: something was lost.
 * Refuses: messages not from the kernel, and lengths that do not fit the datagram (skipped).
 */
#ifndef SHUNT_NETLINK_SOCK_H
#define SHUNT_NETLINK_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libmnl/libmnl.h>

/* A request with room for the few attributes that requests here carry. */
struct nlreq {
	union {
		struct nlmsghdr header;
		char bytes[512];
	};
};

struct nlsock;

typedef void (*nlsock_fn)(const struct nlmsghdr *message, void *arg);

/* NETLINK_ROUTE, NETLINK_NETFILTER, ...  `receive_size` bytes of SO_RCVBUFFORCE (or the most the
 * system allows); 0 leaves the default.  0 or -errno (-EPROTONOSUPPORT: not in this kernel). */
int nlsock_open(struct nlsock **out, int protocol, unsigned receive_size);
void nlsock_close(struct nlsock *sock);
int nlsock_fd(const struct nlsock *sock);
/* Subscribe to a group. 0 or -errno (-EINVAL, -ENOENT: the kernel has no such group). */
int nlsock_join(struct nlsock *sock, unsigned group);

/* Begin a request: header, then `extra` zeroed bytes, which are returned. */
void *nlreq_init(struct nlreq *request, uint16_t type, uint16_t flags, size_t extra);

/* Start a dump; at most one runs on a socket. */
int nlsock_dump_start(struct nlsock *sock, struct nlreq *request);
/* One datagram of it, never blocking. 1 it has ended, 0 there is more, -EAGAIN nothing there yet,
 * -EINTR ended and was interrupted, other -errno as the kernel answered. */
int nlsock_dump_step(struct nlsock *sock, nlsock_fn fn, void *arg);
/* The whole dump, waiting for it (seconds at most). An interrupted one is asked again up to
 * NLSOCK_TRIES times, after calling `again` (may be NULL); then -EINTR. */
int nlsock_dump(struct nlsock *sock, struct nlreq *request, nlsock_fn fn, void (*again)(void *arg),
		void *arg);
/* Ask and wait for the one answer (no dump). 0 or -errno as the kernel answered. */
int nlsock_ask(struct nlsock *sock, struct nlreq *request, nlsock_fn fn, void *arg);
#define NLSOCK_TRIES 5

/* One datagram of notifications, never blocking.  Count of messages, -EAGAIN, -ENOBUFS. */
int nlsock_listen(struct nlsock *sock, nlsock_fn fn, void *arg);
/* Take all notifications that wait, unread. True: there were some, or some were lost. */
bool nlsock_drain(struct nlsock *sock);
/* Does an error say that the kernel does not have what was asked for? */
bool nlsock_absent(int error);
/* Send without waiting for an answer; answers (errors) that have come are thrown away. */
int nlsock_tell(struct nlsock *sock, const void *data, size_t size);

#endif
