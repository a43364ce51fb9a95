/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control: the control socket: questions of the `shunt` command, answered by the control thread.
 *
 * What:    RUNDIR/control.sock (SOCK_STREAM).  A client sends one line, "OBJECT [ARGS]\n", and gets
 *          one JSON object a line, then a last line "." when all is well or "!message"; the
 *          connection is closed after it.  The answer is made at once in memory and sent as the
 *          client reads: a slow client holds nothing up.
 * Callers: shuntd's event loop.
 * Thread:  control.
 * Owner:   clients and their answers are ours; handlers only append to the answer.
 * Full:    more than 32 clients at once are closed unanswered, unless one of the 32 has not moved
 *          for 10 s: it loses its place.
 * Refuses: unknown objects ("!unknown object: X"), lines over 4 KiB.
 */
#ifndef SHUNT_RUN_CONTROL_H
#define SHUNT_RUN_CONTROL_H

#include <stdbool.h>
#include <stdio.h>

struct control;

/* A handler writes JSON lines to `out`; returns 0, or -errno after putting a message in `error`. */
struct control_object {
	const char *name;
	int (*answer)(FILE *out, const char *args, char error[128], void *arg);
	bool root; /* only root, or the daemon's own user, may ask */
};

/* `objects` ends with a NULL name and must outlive the control. 0; -EADDRINUSE when another daemon
 * answers there (a dead one's socket file is replaced). */
int control_open(struct control **out, const char *rundir, const struct control_object *objects,
		 void *arg);
void control_close(struct control *control);
int control_fd(const struct control *control); /* an epoll fd over listener and clients */
void control_read(struct control *control);    /* never blocks */
/* Write `text` as a JSON string, quoted and escaped. */
void control_json_string(FILE *out, const char *text);

#endif
