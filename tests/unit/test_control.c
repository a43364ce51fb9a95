/* SPDX-License-Identifier: BSD-2-Clause */
/* control: over a real socket in a directory of its own; server and client in one thread. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "run/control.h"

#define BIG_ROWS 200000

static char rundir[64], file[80];
static char last_args[64];

static int answer_echo(FILE *out, const char *args, char error[128], void *arg)
{
	snprintf(last_args, sizeof(last_args), "%s", args);
	fprintf(out, "{\"arg\":%d}\n", *(int *)arg);
	return 0;
}

static int answer_big(FILE *out, const char *args, char error[128], void *arg)
{
	for (int i = 0; i < BIG_ROWS; i++) {
		fprintf(out, "{\"row\":%06d}\n", i);
	}
	return 0;
}

static int answer_fail(FILE *out, const char *args, char error[128], void *arg)
{
	fprintf(out, "{\"half\":1}\n");
	snprintf(error, 128, "it\nbroke");
	return -EIO;
}

static int answer_silent_fail(FILE *out, const char *args, char error[128], void *arg)
{
	return -ENOSPC;
}

static const struct control_object objects[] = {
	{.name = "echo", .answer = answer_echo},
	{.name = "big", .answer = answer_big},
	{.name = "fail", .answer = answer_fail},
	{.name = "silent", .answer = answer_silent_fail},
	{.name = "switch", .answer = answer_echo, .root = true},
	{.name = NULL}};
static int marker = 42;

static int knock(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock", rundir);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool waiting(const struct control *control)
{
	struct pollfd poll_fd = {.fd = control_fd(control), .events = POLLIN};

	return poll(&poll_fd, 1, 0) > 0;
}

static void serve(struct control *control)
{
	for (int i = 0; i < 100 && waiting(control); i++) {
		control_read(control);
	}
}

/* Everything the server sends until it closes. */
static char *drain(struct control *control, int fd)
{
	size_t used = 0, size = 4u << 20;
	char *text = malloc(size);

	assert_non_null(text);
	for (;;) {
		ssize_t n = recv(fd, text + used, size - used - 1, 0);

		if (n > 0) {
			used += (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			assert_true(waiting(control));
			control_read(control);
		} else {
			break;
		}
	}
	text[used] = '\0';
	close(fd);
	return text;
}

static char *ask_line(struct control *control, const char *line)
{
	int fd = knock();

	assert_true(fd >= 0);
	assert_int_equal(send(fd, line, strlen(line), 0), strlen(line));
	return drain(control, fd);
}

static void answered(struct control *control, const char *line, const char *expected)
{
	char *text = ask_line(control, line);

	assert_string_equal(text, expected);
	free(text);
}

static struct control *opened(void)
{
	struct control *control = NULL;

	assert_int_equal(control_open(&control, rundir, objects, &marker), 0);
	return control;
}

static void an_object_answers_and_ends_with_a_dot(void **state)
{
	struct control *control = opened();
	struct stat st;

	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	answered(control, "echo\n", "{\"arg\":42}\n.\n");
	assert_string_equal(last_args, "");
	answered(control, "echo a  b\n", "{\"arg\":42}\n.\n");
	assert_string_equal(last_args, "a  b");
	assert_false(waiting(control));
	control_close(control);
	assert_int_equal(access(file, F_OK), -1);
	control_close(NULL);
}

static void a_failure_is_one_line_without_half_an_answer(void **state)
{
	struct control *control = opened();

	answered(control, "fail\n", "!it broke\n");
	answered(control, "silent\n", "!No space left on device\n");
	control_close(control);
}

/* Who asks is who connected. */
static void what_changes_something_is_for_root(void **state)
{
	struct control *control = opened();
	uid_t root = geteuid();
	char *text;
	int fd;

	answered(control, "switch x\n", "{\"arg\":42}\n.\n");
	if (root) {
		control_close(control);
		return; /* the daemon's own user may, and is the only one here */
	}
	snprintf(file, sizeof(file), "%s/control.sock", rundir);
	assert_int_equal(chmod(rundir, 0755) | chmod(file, 0666), 0);
	assert_int_equal(seteuid(65534), 0);
	fd = knock();
	assert_int_equal(seteuid(root), 0);
	assert_true(fd >= 0);
	last_args[0] = '\0';
	assert_int_equal(send(fd, "switch x\n", 9, 0), 9);
	text = drain(control, fd);
	assert_string_equal(text, "!only root may ask for switch\n");
	assert_string_equal(last_args, "");
	free(text);
	control_close(control);
}

static void an_unknown_object_is_named(void **state)
{
	struct control *control = opened();

	answered(control, "nonsense x\n", "!unknown object: nonsense\n");
	answered(control, "\n", "!unknown object: \n");
	answered(control, "ech\n", "!unknown object: ech\n");
	control_close(control);
}

static void a_line_in_pieces_is_one_line(void **state)
{
	struct control *control = opened();
	int fd = knock();
	char *text;

	for (const char *c = "echo"; *c; c++) {
		assert_int_equal(send(fd, c, 1, 0), 1);
		serve(control);
	}
	assert_int_equal(recv(fd, last_args, 1, 0), -1);
	assert_int_equal(send(fd, "\n", 1, 0), 1);
	text = drain(control, fd);
	assert_string_equal(text, "{\"arg\":42}\n.\n");
	free(text);
	control_close(control);
}

static void a_line_too_long_is_refused(void **state)
{
	struct control *control = opened();
	char line[4097];

	memset(line, 'x', sizeof(line));
	line[4096] = '\0';
	answered(control, line, "!line too long: at most 4096 bytes\n");
	memcpy(line, "echo ", 5);
	line[4095] = '\n';
	answered(control, line, "{\"arg\":42}\n.\n");
	control_close(control);
}

static void a_slow_client_holds_nothing_up(void **state)
{
	struct control *control = opened();
	int slow = knock();
	char *text, last[32];

	assert_int_equal(send(slow, "big\n", 4, 0), 4);
	serve(control);
	/* Its socket is full and nothing is to be done for it. */
	assert_false(waiting(control));
	answered(control, "echo\n", "{\"arg\":42}\n.\n");
	text = drain(control, slow);
	assert_int_equal(strlen(text), BIG_ROWS * strlen("{\"row\":000000}\n") + 2);
	snprintf(last, sizeof(last), "{\"row\":%d}\n.\n", BIG_ROWS - 1);
	assert_string_equal(text + strlen(text) - strlen(last), last);
	free(text);
	control_close(control);
}

static void a_client_that_leaves_is_forgotten(void **state)
{
	struct control *control = opened();

	for (int i = 0; i < 100; i++) {
		int fd = knock();

		assert_true(fd >= 0);
		assert_int_equal(send(fd, "big\n", i % 2 ? 4 : 2, 0), i % 2 ? 4 : 2);
		serve(control);
		close(fd);
		serve(control);
	}
	answered(control, "echo\n", "{\"arg\":42}\n.\n");
	control_close(control);
}

static void more_than_32_at_once_are_closed_unanswered(void **state)
{
	struct control *control = opened();
	int fds[32], late;
	char byte;

	for (int i = 0; i < 32; i++) {
		fds[i] = knock();
		assert_true(fds[i] >= 0);
		serve(control);
	}
	late = knock();
	assert_true(late >= 0);
	serve(control);
	assert_int_equal(recv(late, &byte, 1, 0), 0);
	close(late);
	assert_int_equal(recv(fds[0], &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	close(fds[31]);
	serve(control);
	answered(control, "echo\n", "{\"arg\":42}\n.\n");
	for (int i = 0; i < 31; i++) {
		close(fds[i]);
	}
	control_close(control);
}

static void a_second_daemon_is_eaddrinuse(void **state)
{
	struct control *control = opened(), *second = NULL;

	assert_int_equal(control_open(&second, rundir, objects, &marker), -EADDRINUSE);
	assert_null(second);
	serve(control);
	answered(control, "echo\n", "{\"arg\":42}\n.\n");
	control_close(control);
}

static void a_dead_daemons_socket_is_replaced(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct control *control;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", file);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	close(fd);
	assert_int_equal(access(file, F_OK), 0);
	control = opened();
	answered(control, "echo\n", "{\"arg\":42}\n.\n");
	control_close(control);
}

static void a_successors_socket_is_left_alone(void **state)
{
	struct control *old = opened(), *fresh;

	assert_int_equal(unlink(file), 0);
	fresh = opened();
	control_close(old);
	answered(fresh, "echo\n", "{\"arg\":42}\n.\n");
	control_close(fresh);
}

static void a_directory_that_cannot_be_used_is_an_error(void **state)
{
	struct control *control = NULL;
	char deep[200];

	assert_int_equal(control_open(&control, "/nonexistent/deeper", objects, NULL), -ENOENT);
	snprintf(deep, sizeof(deep), "/tmp/%0150d", 1);
	assert_int_equal(control_open(&control, deep, objects, NULL), -ENAMETOOLONG);
	rmdir(deep);
	assert_null(control);
}

static void strings_are_always_json(void **state)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
		{"", "\"\""},
		{"eth0", "\"eth0\""},
		{"a\"b\\c", "\"a\\\"b\\\\c\""},
		{"\1\n\x1f", "\"\\u0001\\u000a\\u001f\""},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa7",
		 "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa7\""},
		{"\xff\x80x\xc3", "\"\\ufffd\\ufffdx\\ufffd\""},
		{"\xc0\xaf", "\"\\ufffd\\ufffd\""},
		{"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
		{"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		control_json_string(out, cases[i].text);
		fclose(out);
		assert_string_equal(text, cases[i].json);
		free(text);
	}
}

static int remove_rundir(void **state)
{
	return rmdir(rundir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_answers_and_ends_with_a_dot),
		cmocka_unit_test(a_failure_is_one_line_without_half_an_answer),
		cmocka_unit_test(an_unknown_object_is_named),
		cmocka_unit_test(what_changes_something_is_for_root),
		cmocka_unit_test(a_line_in_pieces_is_one_line),
		cmocka_unit_test(a_line_too_long_is_refused),
		cmocka_unit_test(a_slow_client_holds_nothing_up),
		cmocka_unit_test(a_client_that_leaves_is_forgotten),
		cmocka_unit_test(more_than_32_at_once_are_closed_unanswered),
		cmocka_unit_test(a_second_daemon_is_eaddrinuse),
		cmocka_unit_test(a_dead_daemons_socket_is_replaced),
		cmocka_unit_test(a_successors_socket_is_left_alone),
		cmocka_unit_test(a_directory_that_cannot_be_used_is_an_error),
		cmocka_unit_test(strings_are_always_json),
	};

	snprintf(rundir, sizeof(rundir), "/tmp/shunt-test-control-%d", getpid());
	snprintf(file, sizeof(file), "%s/control.sock", rundir);
	return cmocka_run_group_tests(tests, NULL, remove_rundir);
}
