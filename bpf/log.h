/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log: keeps what libbpf would print, for the message of whoever decides.
 *
 * What:    libbpf prints to stderr by default; a load that is only tried (the VLAN hint, native
 *          mode) must not. The last warning of each thread is kept instead.
 * Callers: bpf/ only; others ask steer_error().
 * Thread:  any. Owner: static, one line a thread.
 */
#ifndef SHUNT_BPF_LOG_H
#define SHUNT_BPF_LOG_H

/* Take libbpf's output from here on (once is enough, again is harmless). */
void bpf_log_capture(void);
/* Forget; then what came since. Never NULL. */
void bpf_log_clear(void);
const char *bpf_log_last(void);

#endif
