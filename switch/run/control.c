// SPDX-License-Identifier: BSD-2-Clause
#include "run/control.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 32
#define LINE_MAX_SIZE 4096u
#define EVENTS_MAX 16     /* taken in one control_read(): bounded work between two frames' timers */
#define SEND_SLICE 262144 /* bytes sent to one client before the others have their turn */
#define IDLE_S 10 /* a client that moved nothing for so long may lose its place to another */

struct client {
	int fd; /* -1: place is free */
	char line[LINE_MAX_SIZE];
	size_t got;
	char *answer; /* NULL until the line was whole */
	size_t size, sent;
	time_t active_s;
};

struct control {
	int epoll, listener;
	const struct control_object *objects;
	void *arg;
	struct sockaddr_un address;
	dev_t dev; /* of our socket file: at the end only that is removed */
	ino_t ino;
	struct client client[CLIENTS_MAX];
};

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

/* Does anyone listen behind the socket file? A dead daemon's refuses. */
static bool control_answers(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answers;

	if (fd < 0) {
		return false;
	}
	answers = !connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
		  errno == EAGAIN; /* its backlog is full */
	close(fd);
	return answers;
}

static int control_listen(struct control *control)
{
	const struct sockaddr *address = (const struct sockaddr *)&control->address;
	const char *path = control->address.sun_path;
	int fd, err;
	struct stat st;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	if (bind(fd, address, sizeof(control->address))) {
		if (errno != EADDRINUSE || control_answers(&control->address)) {
			goto fail;
		}
		if (unlink(path) || bind(fd, address, sizeof(control->address))) {
			goto fail;
		}
	}
	/* Before listen() nobody can connect, so the mode is never wrong for a moment. */
	if (chmod(path, 0660) || stat(path, &st) || listen(fd, CLIENTS_MAX)) {
		err = -errno;
		unlink(path);
		close(fd);
		return err;
	}
	control->dev = st.st_dev;
	control->ino = st.st_ino;
	control->listener = fd;
	return 0;

fail:
	err = -errno;
	close(fd);
	return err;
}

int control_open(struct control **out, const char *rundir, const struct control_object *objects,
		 void *arg)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct control *control;
	int length, err;

	if (mkdir(rundir, 0755) && errno != EEXIST) {
		return -errno;
	}
	control = calloc(1, sizeof(*control));
	if (!control) {
		return -ENOMEM;
	}
	control->objects = objects;
	control->arg = arg;
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		control->client[i].fd = -1;
	}
	control->address.sun_family = AF_UNIX;
	length = snprintf(control->address.sun_path, sizeof(control->address.sun_path),
			  "%s/control.sock", rundir);
	if (length >= (int)sizeof(control->address.sun_path)) {
		err = -ENAMETOOLONG;
		goto free;
	}
	control->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (control->epoll < 0) {
		err = -errno;
		goto free;
	}
	err = control_listen(control);
	if (err) {
		goto close;
	}
	if (epoll_ctl(control->epoll, EPOLL_CTL_ADD, control->listener, &event)) {
		err = -errno;
		unlink(control->address.sun_path);
		close(control->listener);
		goto close;
	}
	*out = control;
	return 0;

close:
	close(control->epoll);
free:
	free(control);
	return err;
}

/* Closing the descriptor takes it out of the epoll set. */
static void client_close(struct client *client)
{
	close(client->fd);
	free(client->answer);
	client->fd = -1;
	client->answer = NULL;
	client->got = client->size = client->sent = 0;
}

void control_close(struct control *control)
{
	struct stat st;

	if (!control) {
		return;
	}
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (control->client[i].fd >= 0) {
			client_close(&control->client[i]);
		}
	}
	/* The name may be a successor's by now. */
	if (!stat(control->address.sun_path, &st) && st.st_dev == control->dev &&
	    st.st_ino == control->ino) {
		unlink(control->address.sun_path);
	}
	close(control->listener);
	close(control->epoll);
	free(control);
}

int control_fd(const struct control *control)
{
	return control->epoll;
}

/* A free place; else that of a client that has not moved for a while, so that 32 stuck ones do not
 * lock everybody out. */
static struct client *client_place(struct control *control)
{
	struct client *idlest = NULL;

	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &control->client[i];

		if (client->fd < 0) {
			return client;
		}
		if (!idlest || client->active_s < idlest->active_s) {
			idlest = client;
		}
	}
	if (now_s() - idlest->active_s < IDLE_S) {
		return NULL;
	}
	client_close(idlest);
	return idlest;
}

static void control_accept(struct control *control)
{
	for (unsigned i = 0; i < EVENTS_MAX; i++) {
		int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct epoll_event event = {.events = EPOLLIN};
		struct client *client;

		if (fd < 0) {
			return;
		}
		client = client_place(control);
		event.data.ptr = client;
		if (!client || epoll_ctl(control->epoll, EPOLL_CTL_ADD, fd, &event)) {
			close(fd);
			continue;
		}
		client->fd = fd;
		client->active_s = now_s();
	}
}

static bool client_is_root(const struct client *client)
{
	struct ucred who;
	socklen_t size = sizeof(who);

	return !getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &who, &size) &&
	       (who.uid == 0 || who.uid == geteuid());
}

static int control_dispatch(const struct control *control, FILE *out, struct client *client,
			    char error[128])
{
	char *line = client->line, *args = line + strcspn(line, " ");
	const struct control_object *object;

	if (*args) {
		*args++ = '\0';
	}
	for (object = control->objects; object->name; object++) {
		if (!strcmp(object->name, line) && object->root && !client_is_root(client)) {
			snprintf(error, 128, "only root may ask for %.100s", line);
			return -EPERM;
		}
		if (!strcmp(object->name, line)) {
			return object->answer(out, args, error, control->arg);
		}
	}
	snprintf(error, 128, "unknown object: %.100s", line);
	return -ENOENT;
}

/* "." after a whole answer; of a failed one only the message is sent. */
static int client_answer(const struct control *control, struct client *client, bool too_long)
{
	char error[128] = "";
	FILE *out;
	int err;

	out = open_memstream(&client->answer, &client->size);
	if (!out) {
		return -ENOMEM;
	}
	if (too_long) {
		snprintf(error, sizeof(error), "line too long: at most %u bytes", LINE_MAX_SIZE);
		err = -E2BIG;
	} else {
		err = control_dispatch(control, out, client, error);
	}
	if (err) {
		if (!error[0]) {
			snprintf(error, sizeof(error), "%s", strerror(-err));
		}
		for (char *c = error; *c; c++) {
			*c = *c == '\n' ? ' ' : *c;
		}
		rewind(out);
		fprintf(out, "!%s\n", error);
	} else {
		fputs(".\n", out);
	}
	err = ferror(out);
	return fclose(out) || err || !client->answer ? -ENOMEM : 0;
}

/* True while the client still owes us its line. */
static bool client_read(struct control *control, struct client *client)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
	size_t room = sizeof(client->line) - client->got;
	ssize_t n = recv(client->fd, client->line + client->got, room, 0);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return true;
	}
	if (n <= 0) {
		client_close(client);
		return true;
	}
	client->got += (size_t)n;
	end = memchr(client->line, '\n', client->got);
	if (!end && client->got < sizeof(client->line)) {
		return true;
	}
	if (end) {
		*end = '\0';
	}
	if (client_answer(control, client, !end) ||
	    epoll_ctl(control->epoll, EPOLL_CTL_MOD, client->fd, &event)) {
		client_close(client);
		return true;
	}
	return false;
}

static void client_write(struct client *client)
{
	size_t left = client->size - client->sent;
	ssize_t n;

	n = send(client->fd, client->answer + client->sent, left < SEND_SLICE ? left : SEND_SLICE,
		 MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n < 0 || (size_t)n == left) {
		client_close(client);
		return;
	}
	client->sent += (size_t)n;
}

void control_read(struct control *control)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(control->epoll, events, EVENTS_MAX, 0);
	bool knock = false;

	for (int i = 0; i < count; i++) {
		struct client *client = events[i].data.ptr;

		if (!client) {
			knock = true; /* after the clients: accepting may reuse a place */
			continue;
		}
		client->active_s = now_s();
		if (client->answer || !client_read(control, client)) {
			client_write(client);
		}
	}
	if (knock) {
		control_accept(control);
	}
}

/* Bytes of the well-formed UTF-8 sequence (RFC 3629) at `s`, 0 when it is not one. */
static unsigned utf8_sequence(const unsigned char *s)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned size = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t code = size == 1 ? s[0] : s[0] & (0x7fu >> size);

	if (s[0] >= 0xf8) {
		return 0;
	}
	for (unsigned i = 1; i < size; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
		code = code << 6 | (s[i] & 0x3f);
	}
	if (size && (code < least[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))) {
		return 0;
	}
	return size;
}

/* An interface name may hold any byte but '/', ':' and space: what is not UTF-8 becomes U+FFFD. */
void control_json_string(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	fputc('"', out);
	while (*s) {
		unsigned size = utf8_sequence(s);

		if (!size) {
			fputs("\\ufffd", out);
			s++;
			continue;
		}
		if (*s == '"' || *s == '\\') {
			fprintf(out, "\\%c", *s);
		} else if (*s < 0x20) {
			fprintf(out, "\\u%04x", *s);
		} else {
			fwrite(s, 1, size, out);
		}
		s += size;
	}
	fputc('"', out);
}
