/* SPDX-License-Identifier: BSD-2-Clause */
/* notify against a listening socket, by a path and in the abstract namespace. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "run/notify.h"

struct manager {
	int fd;
	char name[64];
};

static void manager_open(struct manager *m, bool abstract)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	socklen_t size = offsetof(struct sockaddr_un, sun_path);

	snprintf(m->name, sizeof(m->name), "%sshunt-test-notify-%d", abstract ? "@" : "/tmp/",
		 getpid());
	strcpy(addr.sun_path, m->name);
	size += strlen(m->name);
	if (abstract) {
		addr.sun_path[0] = '\0';
	} else {
		unlink(m->name);
		size += 1;
	}
	m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_true(m->fd >= 0);
	assert_int_equal(bind(m->fd, (struct sockaddr *)&addr, size), 0);
	setenv("NOTIFY_SOCKET", m->name, 1);
}

static void manager_close(struct manager *m)
{
	close(m->fd);
	if (m->name[0] == '/') {
		unlink(m->name);
	}
	unsetenv("NOTIFY_SOCKET");
}

static void expect(struct manager *m, const char *message)
{
	char got[512] = "";
	ssize_t n = recv(m->fd, got, sizeof(got) - 1, 0);

	assert_int_equal(n, strlen(message));
	assert_string_equal(got, message);
}

static void expect_nothing(struct manager *m)
{
	char byte;

	assert_int_equal(recv(m->fd, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static void without_a_socket_nobody_is_told(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_ready(), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_stopping(), 0);
	unsetenv("NOTIFY_SOCKET");
}

static void each_message_arrives(bool abstract)
{
	struct manager m;

	manager_open(&m, abstract);
	assert_int_equal(notify_ready(), 1);
	expect(&m, "READY=1");
	assert_int_equal(notify_status("2 ports, 2 fast"), 1);
	expect(&m, "STATUS=2 ports, 2 fast");
	assert_int_equal(notify_stopping(), 1);
	expect(&m, "STOPPING=1");
	expect_nothing(&m);
	manager_close(&m);
}

static void each_message_arrives_by_a_path(void **state)
{
	each_message_arrives(false);
}

static void each_message_arrives_by_an_abstract_name(void **state)
{
	each_message_arrives(true);
}

static void a_status_cannot_smuggle_a_second_assignment(void **state)
{
	struct manager m;

	manager_open(&m, true);
	assert_int_equal(notify_status("fine\nMAINPID=1"), -EINVAL);
	expect_nothing(&m);
	manager_close(&m);
}

static void a_long_status_is_cut_not_overrun(void **state)
{
	struct manager m;
	char text[2000], got[2000];
	ssize_t n;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	manager_open(&m, true);
	assert_int_equal(notify_status(text), 1);
	n = recv(m.fd, got, sizeof(got), 0);
	assert_in_range(n, 100, 300);
	assert_memory_equal(got, "STATUS=xxx", 10);
	manager_close(&m);
}

static void a_name_that_is_no_address_is_refused(void **state)
{
	char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 2];

	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_ready(), -EINVAL);
	setenv("NOTIFY_SOCKET", "@", 1);
	assert_int_equal(notify_ready(), -EINVAL);
	memset(name, 'x', sizeof(name) - 1);
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_ready(), -EINVAL);
	setenv("NOTIFY_SOCKET", "/nonexistent/shunt-notify", 1);
	assert_int_equal(notify_ready(), -ENOENT);
	unsetenv("NOTIFY_SOCKET");
}

static void a_manager_that_does_not_read_does_not_stop_us(void **state)
{
	struct manager m;
	int result = 1;

	manager_open(&m, true);
	for (int i = 0; i < 100000 && result == 1; i++) {
		result = notify_ready();
	}
	assert_int_equal(result, -EAGAIN);
	manager_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_socket_nobody_is_told),
		cmocka_unit_test(each_message_arrives_by_a_path),
		cmocka_unit_test(each_message_arrives_by_an_abstract_name),
		cmocka_unit_test(a_status_cannot_smuggle_a_second_assignment),
		cmocka_unit_test(a_long_status_is_cut_not_overrun),
		cmocka_unit_test(a_name_that_is_no_address_is_refused),
		cmocka_unit_test(a_manager_that_does_not_read_does_not_stop_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
