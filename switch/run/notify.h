/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * notify: tells the service manager how we are (the sd_notify protocol, without libsystemd).
 *
 * What:    one datagram a call to the AF_UNIX socket named by $NOTIFY_SOCKET ('@': abstract).
 * Callers: shuntd at start, on state changes and at stop.
 * Thread:  control.
 * Owner:   nothing is kept between calls.
 * Full:    never blocks: a manager that does not read loses the message (-EAGAIN).
 * Refuses: no $NOTIFY_SOCKET is not an error: returns 0, nobody asked.  A path that is neither
 *          absolute nor abstract, or too long: -EINVAL.  A status with a line break would be read
 *          as more assignments: -EINVAL.
 */
#ifndef SHUNT_RUN_NOTIFY_H
#define SHUNT_RUN_NOTIFY_H

/* All: 1 told, 0 nobody asked, -errno. */
int notify_ready(void);
int notify_status(const char *text); /* one line, free text, shown by `systemctl status` */
int notify_stopping(void);

#endif
