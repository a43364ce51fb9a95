/* SPDX-License-Identifier: BSD-2-Clause */
/* What ethtool says of a veth, a feature switched, and notice of what others change. */
#include "lab.h"
#include "netlink/ethtool.h"

#define QUEUES "numrxqueues 4 numtxqueues 4"

static void pair(void)
{
	lab_run("ip link add a0 " QUEUES " type veth peer name b0 " QUEUES);
}

static int unpair(void **state)
{
	(void)state;
	lab_run("ip link del a0 2>/dev/null || true");
	return 0;
}

static void queues_are_told_in_both_directions(void **state)
{
	struct ethtool_info info;

	(void)state;
	pair();
	lab_run("ethtool -L a0 rx 3 tx 2");
	assert_int_equal(ethtool_query("a0", lab_ifindex("a0"), &info), 0);
	assert_string_equal(info.driver, "veth");
	assert_int_equal(info.rx_queues, 3);
	assert_int_equal(info.tx_queues, 2);
}

static void a_feature_is_switched_and_switched_back(void **state)
{
	struct ethtool_info info;
	uint32_t ifindex;

	(void)state;
	pair();
	ifindex = lab_ifindex("a0");
	assert_int_equal(ethtool_query("a0", ifindex, &info), 0);
	assert_true(info.rx_vlan_strip);
	assert_true(info.changeable & 1u << ETHTOOL_RX_VLAN);
	assert_int_equal(ethtool_feature_get(ifindex, ETHTOOL_RX_VLAN), 1);
	assert_int_equal(ethtool_feature_set(ifindex, ETHTOOL_RX_VLAN, false), 0);
	assert_int_equal(ethtool_feature_get(ifindex, ETHTOOL_RX_VLAN), 0);
	/* The other is a feature of its own. */
	assert_int_equal(ethtool_feature_get(ifindex, ETHTOOL_RX_STAG), 1);
	assert_int_equal(ethtool_feature_set(ifindex, ETHTOOL_RX_VLAN, true), 0);
	assert_int_equal(ethtool_feature_get(ifindex, ETHTOOL_RX_VLAN), 1);
}

static void what_the_driver_keeps_is_refused(void **state)
{
	struct ethtool_info info;
	uint32_t ifindex;

	(void)state;
	pair();
	ifindex = lab_ifindex("a0");
	assert_int_equal(ethtool_query("a0", ifindex, &info), 0);
	assert_false(info.changeable & 1u << ETHTOOL_LRO);
	assert_int_equal(ethtool_feature_set(ifindex, ETHTOOL_LRO, true), -EOPNOTSUPP);
	assert_int_equal(ethtool_feature_get(ifindex, ETHTOOL_LRO), 0);
	lab_run("ip link del a0");
	assert_int_equal(ethtool_feature_get(ifindex, ETHTOOL_LRO), -ENODEV);
	assert_int_equal(ethtool_feature_set(ifindex, ETHTOOL_LRO, false), -ENODEV);
}

static void names_lead_back_to_features(void **state)
{
	(void)state;
	for (enum ethtool_feature i = 0; i < ETHTOOL_FEATURES; i++) {
		assert_int_equal(ethtool_feature_by_name(ethtool_feature_name(i)), i);
	}
	assert_int_equal(ethtool_feature_by_name("tx-checksumming"), ETHTOOL_FEATURES);
}

static void note(void *arg, uint32_t ifindex, bool rings)
{
	uint32_t *noted = arg;

	noted[0]++;
	noted[1] = ifindex;
}

/* How often `command` is noticed. */
static uint32_t noticed(struct ethtool_watch *watch, const char *command, uint32_t *ifindex)
{
	struct pollfd poller = {.fd = ethtool_watch_fd(watch), .events = POLLIN};
	uint32_t noted[2] = {0};

	lab_run("%s", command);
	poll(&poller, 1, LAB_QUIET_MS);
	ethtool_watch_read(watch, note, noted);
	*ifindex = noted[1];
	return noted[0];
}

static void changes_of_queues_and_features_are_noticed(void **state)
{
	struct ethtool_watch *watch;
	uint32_t ifindex, a0;

	(void)state;
	pair();
	a0 = lab_ifindex("a0");
	assert_int_equal(ethtool_watch_open(&watch), 0);
	assert_int_equal(noticed(watch, "true", &ifindex), 0);
	assert_int_equal(noticed(watch, "ethtool -L a0 rx 2", &ifindex), 1);
	assert_int_equal(ifindex, a0);
	assert_int_equal(noticed(watch, "ethtool -K a0 rxvlan off", &ifindex), 1);
	assert_int_equal(ifindex, a0);
	assert_int_equal(noticed(watch, "ip link set a0 mtu 1400", &ifindex), 0);
	ethtool_watch_close(watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(queues_are_told_in_both_directions, unpair),
		cmocka_unit_test_teardown(a_feature_is_switched_and_switched_back, unpair),
		cmocka_unit_test_teardown(what_the_driver_keeps_is_refused, unpair),
		cmocka_unit_test(names_lead_back_to_features),
		cmocka_unit_test_teardown(changes_of_queues_and_features_are_noticed, unpair),
	};

	lab_enter("test_ethtool");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
