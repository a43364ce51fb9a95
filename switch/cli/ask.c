// SPDX-License-Identifier: BSD-2-Clause
/* ask: the client's side of run/control.h, and the way to the counters. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

#define REFRESH_MS 200       /* counters as of the daemon's last look do as well */
#define ANSWER_MS 5000       /* silence after which the daemon counts as stuck */
#define CHUNK_SIZE 65536u    /* bytes read at once */
#define LINE_SIZE (1u << 20) /* longest line of an answer that is believed */

struct question {
	int fd;
	int wait_ms; /* for each step */
	void (*row)(void *arg, const char *line);
	void *arg;
	bool done;       /* the last line came */
	char error[256]; /* what it said, if not "." */
	char *buffer;
	size_t used, size;
};

static void no_daemon(const struct cli *cli)
{
	bool usual = !strcmp(cli->rundir, "/run/shunt");

	complain("no shuntd is running at %s (start it with: shuntd -c /etc/shunt/shunt.lua%s%s)",
		 cli->rundir, usual ? "" : " -r ", usual ? "" : cli->rundir);
}

static int explain(const struct cli *cli, int err)
{
	switch (-err) {
	case ENOENT:
	case ECONNREFUSED:
	case ENOTDIR:
		no_daemon(cli);
		break;
	case EACCES:
	case EPERM:
		complain("no permission for %s: only root and the group of its files may look",
			 cli->rundir);
		break;
	case EPROTO:
		complain("the shuntd at %s is not of this version (%s): restart it, or use the "
			 "shunt "
			 "that came with it",
			 cli->rundir, SHUNT_VERSION);
		break;
	case ETIMEDOUT:
		complain("the shuntd at %s does not answer: it is stopped or stuck", cli->rundir);
		break;
	case ECONNRESET:
		complain("the shuntd at %s closed the connection before its answer was whole",
			 cli->rundir);
		break;
	default:
		complain("cannot ask the shuntd at %s: %s", cli->rundir, strerror(-err));
	}
	return CLI_FAILED;
}

static int question_wait(const struct question *question, short events)
{
	struct pollfd poll_fd = {.fd = question->fd, .events = events};
	int n;

	do {
		n = poll(&poll_fd, 1, question->wait_ms);
	} while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : n ? -errno : -ETIMEDOUT;
}

static int question_connect(struct question *question, const struct cli *cli)
{
	const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int length;

	length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock",
			  cli->rundir);
	if (length >= (int)sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	question->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (question->fd < 0) {
		return -errno;
	}
	/* EAGAIN: the backlog is full, and there is nothing to poll for. */
	for (int waited = 0; waited <= question->wait_ms; waited += 10) {
		if (!connect(question->fd, (struct sockaddr *)&address, sizeof(address))) {
			return 0;
		}
		if (errno != EAGAIN) {
			return -errno;
		}
		nanosleep(&moment, NULL);
	}
	return -ETIMEDOUT;
}

static int question_send(struct question *question, const char *text)
{
	char line[512];
	int length = snprintf(line, sizeof(line), "%s\n", text);
	ssize_t n;

	n = send(question->fd, line, (size_t)length, MSG_NOSIGNAL);
	return n == length ? 0 : n < 0 ? -errno : -EIO;
}

static void question_line(struct question *question, const char *line)
{
	if (!strcmp(line, ".")) {
		question->done = true;
	} else if (line[0] == '!') {
		question->done = true;
		snprintf(question->error, sizeof(question->error), "%s", line + 1);
	} else if (question->row) {
		question->row(question->arg, line);
	}
}

/* Hand on the whole lines in the buffer, keep the rest. */
static void question_lines(struct question *question)
{
	char *line = question->buffer, *last = question->buffer + question->used, *end;

	while (!question->done && (end = memchr(line, '\n', (size_t)(last - line)))) {
		*end = '\0';
		question_line(question, line);
		line = end + 1;
	}
	question->used = (size_t)(last - line);
	memmove(question->buffer, line, question->used);
}

static int question_room(struct question *question)
{
	size_t size = question->size ? question->size * 2 : CHUNK_SIZE;
	char *grown;

	if (question->used < question->size) {
		return 0;
	}
	if (size > LINE_SIZE) {
		return -EPROTO;
	}
	grown = realloc(question->buffer, size);
	if (!grown) {
		return -ENOMEM;
	}
	question->buffer = grown;
	question->size = size;
	return 0;
}

static int question_read(struct question *question)
{
	while (!question->done) {
		int err = question_room(question);
		ssize_t n;

		if (!err) {
			err = question_wait(question, POLLIN);
		}
		if (err) {
			return err;
		}
		n = recv(question->fd, question->buffer + question->used,
			 question->size - question->used, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			continue;
		}
		if (n <= 0) {
			return n ? -errno : -ECONNRESET;
		}
		question->used += (size_t)n;
		question_lines(question);
	}
	return 0;
}

static int question_ask(struct question *question, const struct cli *cli, const char *text)
{
	int err;

	question->fd = -1;
	err = question_connect(question, cli);
	if (!err) {
		err = question_send(question, text);
	}
	if (!err) {
		err = question_read(question);
	}
	if (question->fd >= 0) {
		close(question->fd);
	}
	free(question->buffer);
	return err;
}

int ask(const struct cli *cli, const char *text, void (*row)(void *arg, const char *line),
	void *arg)
{
	struct question question = {.wait_ms = ANSWER_MS, .row = row, .arg = arg};
	int err = question_ask(&question, cli, text);

	if (err) {
		return explain(cli, err);
	}
	if (question.error[0]) {
		complain("shuntd: %s", question.error);
		return CLI_FAILED;
	}
	return CLI_DONE;
}

int ask_stats_quietly(const struct cli *cli, const struct stats **out)
{
	struct question question = {.wait_ms = REFRESH_MS};
	int err = question_ask(&question, cli, "refresh");

	/* The file outlives a daemon that was killed; the socket does not answer then. Any other
	 * failure (busy, stopped, no right to ask) leaves counters that are a little older. */
	if (err == -ENOENT || err == -ECONNREFUSED) {
		return err;
	}
	return stats_open(out, cli->rundir);
}

const struct stats *ask_stats(const struct cli *cli)
{
	const struct stats *stats;
	int err = ask_stats_quietly(cli, &stats);

	if (err) {
		explain(cli, err);
		return NULL;
	}
	return stats;
}
