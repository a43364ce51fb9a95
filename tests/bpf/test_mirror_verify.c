/* SPDX-License-Identifier: BSD-2-Clause */
/* mirror_verify: a mirror that is broken on purpose is found out, one that is whole is equal, and
 * what changes meanwhile is no difference. */
#include "mirror_lab.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

static const char something[] =
	"ip route add 10.9.0.0/16 via 10.0.1.2; ip -6 route add 2001:db8:9::/48 via 2001:db8:1::2; "
	"ip -6 route append 2001:db8:9::/48 via 2001:db8:4::2; "
	"ip route add 10.10.0.0/16 nexthop via 10.0.1.3 weight 2 nexthop via 10.0.4.3; "
	"ip route add blackhole 10.11.0.0/16; ip route append 10.9.0.0/16 via 10.0.1.7; "
	"ip neigh replace 10.0.1.2 dev a0 lladdr 02:00:00:00:00:12; "
	"ip neigh replace 2001:db8:2::2 dev br0 lladdr 02:00:00:00:00:23; "
	"bridge fdb add 02:00:00:00:00:22 dev b0 master static";

static const struct mirror_verdict *verdict_of(uint32_t id)
{
	const struct mirror_verdict *verdict = NULL;
	uint64_t give_up_ms = now_ms() + 30000;
	int error = -EAGAIN;

	while (error == -EAGAIN && now_ms() < give_up_ms) {
		turn();
		error = mirror_verified(mirror, id, &verdict);
	}
	assert_int_equal(error, 0);
	return verdict;
}

static const struct mirror_verdict *verify(void)
{
	uint32_t id;
	uint64_t give_up_ms = now_ms() + PATIENCE_MS;
	int error = -EBUSY;

	while (error == -EBUSY && now_ms() < give_up_ms) {
		error = mirror_verify(mirror, &id);
		turn();
	}
	assert_int_equal(error, 0);
	return verdict_of(id);
}

static void assert_equal(void)
{
	const struct mirror_verdict *verdict = verify();

	for (unsigned i = 0; i < verdict->shown; i++) {
		fprintf(stderr, "%s %s: %s | %s | %s\n", verdict->difference[i].kind,
			verdict->difference[i].what, verdict->difference[i].object,
			verdict->difference[i].table, verdict->difference[i].kernel);
	}
	assert_int_equal(verdict->error, 0);
	assert_int_equal(verdict->found, 0);
	assert_true(verdict->compared > 20);
}

/* One difference, of this kind; its object begins so. */
static void assert_found(const char *kind, const char *what, const char *object)
{
	const struct mirror_verdict *verdict = verify();

	assert_int_equal(verdict->error, 0);
	for (unsigned i = 0; i < verdict->shown; i++) {
		const struct mirror_difference *difference = &verdict->difference[i];

		if (strcmp(difference->kind, kind) == 0 && strcmp(difference->what, what) == 0 &&
		    strncmp(difference->object, object, strlen(object)) == 0) {
			return;
		}
	}
	fail_msg("%s %s %s is not among the %llu found (%s %s %s)", kind, what, object,
		 (unsigned long long)verdict->found, verdict->difference[0].kind,
		 verdict->difference[0].what, verdict->difference[0].object);
}

static void whole_mirror_is_equal_by_dump_and_by_notification(void **state)
{
	sh("%s", something);
	open_mirror();
	assert_equal();
	close_mirror();
	sh("ip route flush 10.9.0.0/16; ip route del 10.10.0.0/16; ip route del 10.11.0.0/16; "
	   "ip -6 route flush 2001:db8:9::/48; bridge fdb del 02:00:00:00:00:22 dev b0 master");
	open_mirror();
	sh("%s", something);
	sh("ip link set a0 mtu 1400; ip link set c0 nomaster; ip addr add 10.0.3.1/24 dev c0; "
	   "ip link set d0 down; ip link set b0 name port7; ip link add e0 type veth peer name e1; "
	   "sysctl -qw net.ipv4.conf.a0.rp_filter=2; ip link set dev a0 promisc on");
	assert_equal();
	sh("ip link set port7 name b0; ip link set c0 master br0; ip link set d0 up; "
	   "ip link del e0; ip link set dev a0 promisc off; bridge link set dev b0 learning off");
	assert_equal();
}

static struct rib_route route_to(uint8_t net)
{
	struct rib_route route = {.key = {.family = IP_V4, .table = RIB_MAIN, .len = 16},
				  .type = RTN_UNICAST,
				  .action = NEXTHOP_FORWARD,
				  .count = 1,
				  .origin = 77};

	route.key.prefix = (struct ip_addr){{10, net}};
	route.hop[0] = (struct hop){.ifindex = if_nametoindex("a0"), .weight = 1};
	return route;
}

static void broken_routes_are_found(void **state)
{
	struct rib_route route = route_to(77);

	sh("%s", something);
	open_mirror();
	rib_set(tables.rib, &route, RIB_BESIDE);
	assert_found("route", "extra", "10.77.0.0/16 table 254 metric 0");
	rib_delete(tables.rib, &route, false);
	assert_equal();
	route = route_to(10);
	rib_set(tables.rib, &route, RIB_REPLACE);
	assert_found("route", "missing", "10.10.0.0/16");
	assert_found("route", "extra", "10.10.0.0/16");
	rib_delete(tables.rib, &route, false);
	assert_found("route", "missing", "10.10.0.0/16");
	/* The look-up table alone is wrong. */
	fib_insert((struct fib *)rib_fib(tables.rib, IP_V4, RIB_MAIN), &(struct ip_addr){{10, 11}},
		   16, 1 + (unsigned)nexthops_count(rib_nexthops(tables.rib)) / 2);
	assert_found("route", "different", "10.11.0.0/16");
}

static void broken_neighbours_macs_and_links_are_found(void **state)
{
	struct neigh_key key = {.family = IP_V4, .addr = {{10, 0, 1, 2}}};
	const struct mac mac = {{2, 0, 0, 0, 0, 0x99}};
	struct fdb_key fdb_key = {.mac = {{2, 0, 0, 0, 0, 0x22}}};

	sh("%s", something);
	open_mirror();
	key.ifindex = if_nametoindex("a0");
	fdb_key.bridge = if_nametoindex("br0");
	neigh_set(tables.neigh, &key, &mac, NUD_STALE);
	assert_found("neighbour", "different", "10.0.1.2 dev a0");
	neigh_delete(tables.neigh, &key);
	assert_found("neighbour", "missing", "10.0.1.2 dev a0");
	fdb_set(tables.fdb, &fdb_key, if_nametoindex("c0"), C, FDB_STATIC);
	assert_found("fdb", "different", "02:00:00:00:00:22 vlan 0 bridge br0");
	fdb_delete(tables.fdb, &fdb_key);
	assert_found("fdb", "missing", "02:00:00:00:00:22");
	fdb_key.mac.b[5] = 0x23;
	fdb_set(tables.fdb, &fdb_key, if_nametoindex("c0"), C, FDB_DYNAMIC);
	assert_found("fdb", "extra", "02:00:00:00:00:23");
}

static void changes_meanwhile_are_no_differences(void **state)
{
	const struct mirror_verdict *verdict;
	uint32_t id;

	open_mirror();
	sh("(for i in $(seq 600); do echo route replace 10.9.$((i %% 3)).0/24 via 10.0.1.$((i %% 5 "
	   "+ 2)); "
	   "echo route replace 10.8.0.0/16 via 10.0.4.$((i %% 7 + 2)); "
	   "echo neigh replace 10.0.1.9 dev a0 lladdr 02:00:00:00:00:$((i %% 80 + 10)); done) "
	   "> /tmp/changes.$$; (for i in 1 2 3 4 5 6 7 8 9; do ip -batch /tmp/changes.$$; done; "
	   "rm /tmp/changes.$$) & exit 0");
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(mirror_verify(mirror, &id), 0);
		assert_int_equal(mirror_verify(mirror, &id), -EBUSY);
		verdict = verdict_of(id);
		assert_int_equal(verdict->error, 0);
		assert_int_equal(verdict->found, 0);
		assert_int_equal(mirror_verified(mirror, id + 1, &verdict), -ENOENT);
		settle_for(100);
	}
	assert_equal();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab, unlab)
	const struct CMUnitTest tests[] = {
		TEST(whole_mirror_is_equal_by_dump_and_by_notification),
		TEST(broken_routes_are_found),
		TEST(broken_neighbours_macs_and_links_are_found),
		TEST(changes_meanwhile_are_no_differences),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "test_mirror_verify: must be root\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
