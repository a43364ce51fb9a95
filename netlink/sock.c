/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink/sock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>

/* The kernel fills at most 32 KiB of a dump into one datagram; a notification of a link with many
 * virtual functions can be longer. */
#define BUFFER_SIZE 65536u
#define ANSWER_TIMEOUT_MS 5000

struct nlsock {
	struct mnl_socket *mnl;
	uint32_t sequence;
	bool interrupted; /* the running dump had NLM_F_DUMP_INTR somewhere */
	char buffer[BUFFER_SIZE] __attribute__((aligned(8)));
};

int nlsock_open(struct nlsock **out, int protocol, unsigned receive_size)
{
	struct nlsock *sock = calloc(1, sizeof(*sock));
	int one = 1, fd, error;

	if (sock == NULL) {
		return -ENOMEM;
	}
	sock->mnl = mnl_socket_open2(protocol, SOCK_CLOEXEC);
	if (sock->mnl == NULL) {
		error = -errno;
		goto free_sock;
	}
	if (mnl_socket_bind(sock->mnl, 0, MNL_SOCKET_AUTOPID) < 0) {
		error = -errno;
		goto close_mnl;
	}
	fd = mnl_socket_get_fd(sock->mnl);
	/* Without strict checking the kernel ignores what it does not know of a dump request and
	 * answers with everything; older kernels do not have it, and then that is what we get. */
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	if (receive_size > 0) {
		int size = (int)receive_size;

		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0) {
			setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		}
	}
	*out = sock;
	return 0;

close_mnl:
	mnl_socket_close(sock->mnl);
free_sock:
	free(sock);
	return error;
}

void nlsock_close(struct nlsock *sock)
{
	if (sock != NULL) {
		mnl_socket_close(sock->mnl);
		free(sock);
	}
}

int nlsock_fd(const struct nlsock *sock)
{
	return mnl_socket_get_fd(sock->mnl);
}

int nlsock_join(struct nlsock *sock, unsigned group)
{
	if (mnl_socket_setsockopt(sock->mnl, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
		return -errno;
	}
	return 0;
}

void *nlreq_init(struct nlreq *request, uint16_t type, uint16_t flags, size_t extra)
{
	memset(request, 0, sizeof(*request));
	mnl_nlmsg_put_header(request->bytes);
	request->header.nlmsg_type = type;
	request->header.nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(&request->header, extra);
}

static int send_request(struct nlsock *sock, struct nlreq *request)
{
	request->header.nlmsg_seq = ++sock->sequence;
	sock->interrupted = false;
	if (mnl_socket_sendto(sock->mnl, &request->header, request->header.nlmsg_len) < 0) {
		return -errno;
	}
	return 0;
}

int nlsock_dump_start(struct nlsock *sock, struct nlreq *request)
{
	request->header.nlmsg_flags |= NLM_F_DUMP;
	return send_request(sock, request);
}

/* One datagram into the buffer: bytes, or -errno. mnl refuses what is not from the kernel. */
static ssize_t receive(struct nlsock *sock)
{
	struct sockaddr_nl from = {0};
	struct iovec iov = {.iov_base = sock->buffer, .iov_len = sizeof(sock->buffer)};
	struct msghdr message = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t size = recvmsg(mnl_socket_get_fd(sock->mnl), &message, MSG_DONTWAIT);

	if (size < 0) {
		return -errno;
	}
	if (from.nl_pid != 0) {
		return 0;
	}
	/* A cut message is a lost message. */
	return message.msg_flags & MSG_TRUNC ? -ENOBUFS : size;
}

/* The error in an NLMSG_ERROR or NLMSG_DONE payload; 0 for success or an ack. */
static int answer_error(const struct nlmsghdr *message)
{
	int error = 0;

	if (mnl_nlmsg_get_payload_len(message) >= sizeof(error)) {
		memcpy(&error, mnl_nlmsg_get_payload(message), sizeof(error));
	}
	return error < 0 ? error : 0;
}

int nlsock_dump_step(struct nlsock *sock, nlsock_fn fn, void *arg)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)sock->buffer;
	ssize_t size = receive(sock);
	int left, error;

	if (size < 0) {
		return (int)size;
	}
	for (left = (int)size; mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left)) {
		if (message->nlmsg_seq != sock->sequence) {
			continue; /* the rest of a dump that was given up */
		}
		if (message->nlmsg_flags & NLM_F_DUMP_INTR) {
			sock->interrupted = true;
		}
		switch (message->nlmsg_type) {
		case NLMSG_NOOP:
		case NLMSG_OVERRUN:
			break;
		case NLMSG_ERROR:
		case NLMSG_DONE:
			error = answer_error(message);
			return error != 0 ? error : sock->interrupted ? -EINTR : 1;
		default:
			fn(message, arg);
			/* The answer to a request that is no dump has no DONE after it. */
			if (!(message->nlmsg_flags & NLM_F_MULTI)) {
				return 1;
			}
		}
	}
	return 0;
}

static int finish(struct nlsock *sock, nlsock_fn fn, void *arg)
{
	struct pollfd wait = {.fd = mnl_socket_get_fd(sock->mnl), .events = POLLIN};

	for (;;) {
		int result = nlsock_dump_step(sock, fn, arg);

		if (result == -EAGAIN) {
			int ready = poll(&wait, 1, ANSWER_TIMEOUT_MS);

			if (ready == 0) {
				return -ETIMEDOUT;
			}
			if (ready < 0 && errno != EINTR) {
				return -errno;
			}
		} else if (result != 0) {
			return result > 0 ? 0 : result;
		}
	}
}

int nlsock_dump(struct nlsock *sock, struct nlreq *request, nlsock_fn fn, void (*again)(void *arg),
		void *arg)
{
	int result = -EINTR;

	for (int try = 0; try < NLSOCK_TRIES && result == -EINTR; try++) {
		if (try > 0 && again != NULL) {
			again(arg);
		}
		result = nlsock_dump_start(sock, request);
		if (result == 0) {
			result = finish(sock, fn, arg);
		}
	}
	return result;
}

int nlsock_ask(struct nlsock *sock, struct nlreq *request, nlsock_fn fn, void *arg)
{
	int error = send_request(sock, request);

	return error != 0 ? error : finish(sock, fn, arg);
}

int nlsock_listen(struct nlsock *sock, nlsock_fn fn, void *arg)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)sock->buffer;
	ssize_t size = receive(sock);
	int left, count = 0;

	if (size < 0) {
		return (int)size;
	}
	for (left = (int)size; mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left)) {
		if (message->nlmsg_type >= NLMSG_MIN_TYPE) {
			fn(message, arg);
			count++;
		}
	}
	return count;
}

static void ignore(const struct nlmsghdr *message, void *arg)
{
	(void)message;
	(void)arg;
}

bool nlsock_drain(struct nlsock *sock)
{
	bool any = false;
	int got;

	do {
		got = nlsock_listen(sock, ignore, NULL);
		any |= got >= 0 || got == -ENOBUFS;
	} while (got >= 0 || got == -ENOBUFS);
	return any;
}

bool nlsock_absent(int error)
{
	return error == -EINVAL || error == -EOPNOTSUPP || error == -EPROTONOSUPPORT ||
	       error == -ENOENT;
}

int nlsock_tell(struct nlsock *sock, const void *data, size_t size)
{
	int error = mnl_socket_sendto(sock->mnl, data, size) < 0 ? -errno : 0;

	/* The kernel answers errors even unasked (a MAC or neighbour that is gone by now). */
	while (receive(sock) >= 0) {
	}
	return error;
}
