/* SPDX-License-Identifier: BSD-2-Clause */
/* Features switched off for as long as a daemon has a port: recorded, restored, taken over. */
#include <sys/stat.h>
#include <sys/un.h>

#include "lab.h"
#include "run/offload.h"

#define DIR "/tmp/offload"

static const char *const none[1] = {NULL};
static const char *const ports[] = {"a0"};
static uint32_t a0;
static struct mac mac;

/* A directory and an interface with a feature that can be switched. */
static int setup(void **state)
{
	(void)state;
	lab_run("rm -rf " DIR " && mkdir " DIR);
	lab_run("ip link add a0 type veth peer name b0");
	a0 = lab_ifindex("a0");
	mac = lab_mac("a0");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_run("ip link del a0 2>/dev/null || ip link del a1 2>/dev/null || true");
	return 0;
}

static struct offload *opened(const char *const *names, unsigned count)
{
	struct offload *offload;

	assert_int_equal(offload_open(&offload, DIR, names, count), 0);
	return offload;
}

static void switch_off(struct offload *offload)
{
	assert_int_equal(offload_switch_off(offload, "a0", a0, &mac, ETHTOOL_RX_VLAN), 0);
	assert_int_equal(ethtool_feature_get(a0, ETHTOOL_RX_VLAN), 0);
}

/* What a reader without a daemon sees. */
static int listed(struct offload_entry *first)
{
	struct offload_entry entries[4];
	bool alive = true;
	int count = offload_list(DIR, entries, 4, &alive);

	assert_false(alive);
	if (count > 0 && first) {
		*first = entries[0];
	}
	return count;
}

static void an_ordinary_end_restores_and_leaves_no_record(void **state)
{
	struct offload *offload = opened(ports, 1);
	struct offload_entry entry;

	(void)state;
	assert_int_equal(listed(NULL), 0);
	switch_off(offload);
	assert_int_equal(listed(&entry), 1);
	assert_string_equal(entry.ifname, "a0");
	assert_int_equal(entry.ifindex, a0);
	assert_memory_equal(&entry.mac, &mac, sizeof(mac));
	assert_int_equal(entry.feature, ETHTOOL_RX_VLAN);
	offload_close(offload);
	assert_int_equal(ethtool_feature_get(a0, ETHTOOL_RX_VLAN), 1);
	assert_int_equal(access(DIR "/restore", F_OK), -1);
}

static void switched_off_twice_is_recorded_once(void **state)
{
	struct offload *offload = opened(ports, 1);

	(void)state;
	switch_off(offload);
	switch_off(offload); /* found off the second time: what counts is the first */
	assert_int_equal(listed(NULL), 1);
	offload_restore(offload, a0);
	assert_int_equal(ethtool_feature_get(a0, ETHTOOL_RX_VLAN), 1);
	assert_int_equal(listed(NULL), 0);
	offload_close(offload);
}

/* The record is all that a killed daemon leaves. */
static void die_with_it_off(void)
{
	struct offload *offload = opened(ports, 1);

	switch_off(offload);
	free(offload);
}

static void the_next_daemon_takes_over_and_restores_at_its_end(void **state)
{
	struct offload *offload;

	(void)state;
	die_with_it_off();
	offload = opened(ports, 1);
	assert_int_equal(ethtool_feature_get(a0, ETHTOOL_RX_VLAN), 0);
	assert_int_equal(listed(NULL), 1);
	offload_close(offload);
	assert_int_equal(ethtool_feature_get(a0, ETHTOOL_RX_VLAN), 1);
}

static void the_next_daemon_restores_at_once_what_is_no_port_of_its(void **state)
{
	struct offload *offload;

	(void)state;
	die_with_it_off();
	offload = opened(none, 0);
	assert_int_equal(ethtool_feature_get(a0, ETHTOOL_RX_VLAN), 1);
	assert_int_equal(listed(NULL), 0);
	offload_close(offload);
}

static void an_interface_is_known_by_another_name(void **state)
{
	(void)state;
	die_with_it_off();
	lab_run("ip link set a0 name a1");
	offload_close(opened(ports, 1));
	assert_int_equal(ethtool_feature_get(a0, ETHTOOL_RX_VLAN), 1);
}

static void another_interface_with_its_number_is_left_alone(void **state)
{
	(void)state;
	die_with_it_off();
	lab_run("ip link del a0");
	lab_run("ip link add a1 index %u type veth peer name b1", a0);
	lab_run("ethtool -K a1 rxvlan off");
	offload_close(opened(ports, 1));
	assert_int_equal(ethtool_feature_get(a0, ETHTOOL_RX_VLAN), 0);
}

static void an_interface_that_went_is_forgotten(void **state)
{
	struct offload *offload = opened(ports, 1);

	(void)state;
	switch_off(offload);
	lab_run("ip link del a0");
	offload_restore(offload, a0);
	assert_int_equal(listed(NULL), 0);
	offload_close(offload);
}

static void interfaces_that_come_and_go_by_one_name_leave_one_entry(void **state)
{
	struct offload *offload = opened(ports, 1);
	struct offload_entry entry;

	(void)state;
	for (unsigned i = 0; i < OFFLOAD_MAX + 2; i += OFFLOAD_MAX / 4) {
		switch_off(offload);
		lab_run("ip link del a0");
		lab_run("ip link add a0 type veth peer name b0");
		a0 = lab_ifindex("a0");
		mac = lab_mac("a0");
	}
	switch_off(offload);
	assert_int_equal(listed(&entry), 1);
	assert_int_equal(entry.ifindex, a0);
	offload_close(offload);
	assert_int_equal(ethtool_feature_get(a0, ETHTOOL_RX_VLAN), 1);
}

static void what_cannot_be_written_down_is_not_switched(void **state)
{
	struct offload *offload = opened(ports, 1);

	(void)state;
	lab_run("rm -rf " DIR);
	assert_true(offload_switch_off(offload, "a0", a0, &mac, ETHTOOL_RX_VLAN) < 0);
	assert_int_equal(ethtool_feature_get(a0, ETHTOOL_RX_VLAN), 1);
	lab_run("mkdir " DIR);
	/* Nor is what could not be switched written down. */
	assert_int_equal(offload_switch_off(offload, "a0", a0 + 1000, &mac, ETHTOOL_RX_VLAN),
			 -ENODEV);
	assert_int_equal(listed(NULL), 0);
	offload_close(offload);
}

static void lines_that_are_none_of_ours_are_dropped(void **state)
{
	struct offload_entry entry;

	(void)state;
	lab_run("printf 'rubbish\\na0 %u 02:00 rx-vlan-hw-parse on\\n"
		"a0 %u 02:00:00:00:00:01 no-such-feature on\\n"
		"averylongnameindeed 3 02:00:00:00:00:01 rx-lro on\\n"
		"b7 7 02:00:00:00:00:01 rx-lro on\\n' > " DIR "/restore",
		a0, a0);
	assert_int_equal(listed(&entry), 1);
	assert_string_equal(entry.ifname, "b7");
	offload_close(opened(ports, 1));
	assert_int_equal(ethtool_feature_get(a0, ETHTOOL_RX_VLAN), 1);
}

static void a_living_daemon_is_noticed(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = DIR "/control.sock"};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool alive;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(offload_list(DIR, NULL, 0, &alive), 0);
	assert_false(alive); /* a dead one's socket file */
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(offload_list(DIR, NULL, 0, &alive), 0);
	assert_true(alive);
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_ordinary_end_restores_and_leaves_no_record),
		T(switched_off_twice_is_recorded_once),
		T(the_next_daemon_takes_over_and_restores_at_its_end),
		T(the_next_daemon_restores_at_once_what_is_no_port_of_its),
		T(an_interface_is_known_by_another_name),
		T(another_interface_with_its_number_is_left_alone),
		T(an_interface_that_went_is_forgotten),
		T(interfaces_that_come_and_go_by_one_name_leave_one_entry),
		T(what_cannot_be_written_down_is_not_switched),
		T(lines_that_are_none_of_ours_are_dropped),
		T(a_living_daemon_is_noticed),
	};

	lab_enter("test_offload");
	lab_run("mount -t tmpfs offload-lab /tmp");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
