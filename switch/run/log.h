/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log: one line on stderr for whoever reads the journal.  Control and start-up only: nothing that
 * touches a frame logs.
 */
#ifndef SHUNT_RUN_LOG_H
#define SHUNT_RUN_LOG_H

#include <stdio.h>

#define log_line(format, ...) fprintf(stderr, "shuntd: " format "\n", ##__VA_ARGS__)

#endif
