// SPDX-License-Identifier: BSD-2-Clause
#include "bpf/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

static __thread char last[256];

/* The first warning is the cause; what follows ("failed to load object") only repeats it. */
static int keep(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level != LIBBPF_WARN || last[0] != '\0') {
		return 0;
	}
	vsnprintf(last, sizeof(last), format, args);
	last[strcspn(last, "\n")] = '\0';
	return 0;
}

void bpf_log_capture(void)
{
	libbpf_set_print(keep);
}

void bpf_log_clear(void)
{
	last[0] = '\0';
}

const char *bpf_log_last(void)
{
	return last;
}
