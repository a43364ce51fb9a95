/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer: what the daemon tells the `shunt` command: its tables as JSON, one object a line.
 *
 * Callers: run/control, by the table answer_objects.
 * Thread:  control, the tables' writer: it may walk them.
 * Owner:   `arg` of each handler is a struct answer_sources, the caller's.
 */
#ifndef SHUNT_RUN_ANSWER_H
#define SHUNT_RUN_ANSWER_H

#include "netlink/mirror.h"
#include "run/control.h"

struct ports;

struct answer_sources {
	struct tables *tables;
	struct mirror *mirror;
	struct ports *ports;
};

extern const struct control_object answer_objects[];

#endif
