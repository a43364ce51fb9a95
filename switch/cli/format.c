// SPDX-License-Identifier: BSD-2-Clause
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

void complain(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("shunt: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void print_color(const struct cli *cli, enum color color, const char *text, int width)
{
	/* The colours of ip(8) on a dark or a light ground alike: cyan, magenta, yellow, ... */
	static const char *const codes[] = {
		[COLOR_NAME] = "36", [COLOR_ADDRESS] = "35", [COLOR_MAC] = "33",
		[COLOR_GOOD] = "32", [COLOR_ODD] = "33",     [COLOR_BAD] = "31",
	};
	int pad = width - (int)strlen(text);

	if (cli->color) {
		printf("\033[%sm%s\033[0m", codes[color], text);
	} else {
		fputs(text, stdout);
	}
	printf("%*s", pad > 0 ? pad : 0, "");
}

json_t *json_text(const char *text)
{
	json_t *value = json_string(text);
	char plain[256];
	size_t i;

	if (value) {
		return value;
	}
	for (i = 0; text[i] && i + 1 < sizeof(plain); i++) {
		plain[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	}
	plain[i] = '\0';
	return json_string(plain);
}

void json_put(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

void json_count(json_t *object, const char *key, uint64_t count)
{
	json_put(object, key, json_integer((json_int_t)count));
}

int json_print(json_t *value)
{
	int failed = json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(4));

	json_decref(value);
	putchar('\n');
	if (failed && !ferror(stdout)) {
		complain("out of memory");
		return CLI_FAILED;
	}
	return CLI_DONE;
}
