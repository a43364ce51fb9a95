// SPDX-License-Identifier: BSD-2-Clause
/*
 * punt, end to end: a frame written to queue i of the TAP arrives as if port i had received it.
 * Two veth pairs, eth0-host0 and eth1-host1; what the kernel sends for it is seen on the hosts.
 */
#include "lab.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/punt.h"
#include "netlink/tc.h"

#define PORTS 2
#define ROOM 10000u

static const char *const port_name[PORTS] = {"eth0", "eth1"};
static const struct mac station = {{2, 0, 0, 0, 0, 0x77}};
static const struct mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
static const struct mac beyond = {{2, 0, 0, 0, 0, 0x99}};

struct punt {
	int tap[PORTS];
	uint32_t tap_ifindex;
	struct punt_prog *prog[PORTS];
	int port[PORTS], host[PORTS]; /* packet sockets */
};

static int open_queue(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	return fd;
}

/* A port's classifier and filter in place, the MAC told. */
static void set_port(struct punt *punt, unsigned slot)
{
	struct mac mac = lab_mac(port_name[slot]);

	assert_int_equal(punt_prog_open(&punt->prog[slot], slot), 0);
	punt_prog_set_mac(punt->prog[slot], &mac);
	assert_int_equal(tc_punt_filter_set(punt->tap_ifindex, (uint16_t)(slot + 1),
					    punt_prog_fd(punt->prog[slot]),
					    lab_ifindex(port_name[slot])),
			 0);
}

static int setup(void **state)
{
	struct punt *punt = calloc(1, sizeof(*punt));

	assert_non_null(punt);
	for (unsigned i = 0; i < PORTS; i++) {
		lab_run("ip link add eth%u mtu 9000 type veth peer name host%u mtu 9000", i, i);
		lab_run("ip link set host%u up && ip link set eth%u up", i, i);
		lab_run("ip address add 10.0.%u.1/24 dev eth%u", i, i);
		punt->tap[i] = open_queue("shunt0");
	}
	lab_run("ip neighbour add 10.0.0.2 lladdr 02:00:00:00:00:77 dev eth0");
	lab_run("ip neighbour add 10.0.1.2 lladdr 02:00:00:00:00:99 dev eth1");
	lab_run("ip link set shunt0 up");
	punt->tap_ifindex = lab_ifindex("shunt0");
	assert_int_equal(tc_clsact_add(punt->tap_ifindex), 0);
	for (unsigned i = 0; i < PORTS; i++) {
		char host[] = {'h', 'o', 's', 't', (char)('0' + i), 0};

		set_port(punt, i);
		punt->port[i] = lab_packet(port_name[i]);
		punt->host[i] = lab_packet(host);
	}
	*state = punt;
	return 0;
}

static int teardown(void **state)
{
	struct punt *punt = *state;

	for (unsigned i = 0; i < PORTS; i++) {
		close(punt->port[i]);
		close(punt->host[i]);
		punt_prog_close(punt->prog[i]);
		close(punt->tap[i]);
		lab_run("ip link delete eth%u", i);
	}
	punt_prog_close(NULL);
	assert_int_equal(if_nametoindex("shunt0"), 0); /* gone with its last queue */
	free(punt);
	return 0;
}

/* Write to a queue of the TAP, as the punt thread does. */
static void punt_frame(const struct punt *punt, unsigned slot, const void *frame, size_t size)
{
	assert_int_equal(write(punt->tap[slot], frame, size), (ssize_t)size);
}

struct seek {
	uint8_t icmp; /* ICMP type */
	uint16_t id;  /* ICMP echo identifier */
	int pkttype;  /* PACKET_*, -1 any */
};

static bool is_icmp(const uint8_t *frame, size_t size, unsigned char type, const void *arg)
{
	const struct seek *seek = arg;

	return size >= 42 && frame[12] == 0x08 && frame[13] == 0 && frame[23] == 1 &&
	       frame[34] == seek->icmp && memcmp(frame + 38, &seek->id, 2) == 0 &&
	       (seek->pkttype < 0 || seek->pkttype == type);
}

/* Wait for an ICMP message; the frame stays in `frame`. */
static size_t icmp_seen(int fd, uint8_t *frame, uint8_t type, uint16_t id, int pkttype, int ms)
{
	struct seek seek = {type, id, pkttype};

	return lab_wait(fd, frame, ROOM, ms, is_icmp, &seek);
}

static bool is_arp_reply(const uint8_t *frame, size_t size, unsigned char type, const void *arg)
{
	return size >= 42 && frame[12] == 0x08 && frame[13] == 0x06 && frame[21] == 2 &&
	       memcmp(frame, station.b, MAC_SIZE) == 0;
}

static void the_port_is_seen_to_receive_it(void **state)
{
	struct punt *punt = *state;
	uint8_t frame[98], seen[ROOM];

	for (unsigned slot = 0; slot < PORTS; slot++) {
		struct mac own = lab_mac(port_name[slot]);
		uint16_t id = (uint16_t)(100 + slot);

		lab_echo(frame, sizeof(frame), &own, &station, "10.0.0.2", "10.9.9.9", id);
		punt_frame(punt, slot, frame, sizeof(frame));
		assert_int_equal(icmp_seen(punt->port[slot], seen, 8, id, PACKET_HOST, LAB_WAIT_MS),
				 sizeof(frame));
		assert_memory_equal(seen, frame, sizeof(frame));
		assert_int_equal(icmp_seen(punt->port[!slot], seen, 8, id, -1, LAB_QUIET_MS), 0);
	}
}

static void the_kernel_answers_on_the_port(void **state)
{
	struct punt *punt = *state;
	struct mac own = lab_mac("eth0");
	uint8_t frame[98], seen[ROOM];

	lab_echo(frame, sizeof(frame), &own, &station, "10.0.0.2", "10.0.0.1", 7);
	punt_frame(punt, 0, frame, sizeof(frame));
	assert_int_equal(icmp_seen(punt->host[0], seen, 0, 7, -1, LAB_WAIT_MS), sizeof(frame));
	assert_memory_equal(seen, station.b, MAC_SIZE);
	assert_memory_equal(seen + MAC_SIZE, own.b, MAC_SIZE);
}

static void the_kernel_answers_arp_on_the_port(void **state)
{
	static const uint8_t request[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,  0, 0, 0, 0,
					    0x77, 0x08, 0x06, 0,    1,    8,    0,  6, 4, 0, 1,
					    2,    0,    0,    0,    0,    0x77, 10, 0, 0, 2, 0,
					    0,    0,    0,    0,    0,    10,   0,  0, 1};
	struct punt *punt = *state;
	struct mac own = lab_mac("eth0");
	uint8_t seen[ROOM];

	punt_frame(punt, 0, request, sizeof(request));
	assert_int_not_equal(
		lab_wait(punt->host[0], seen, sizeof(seen), LAB_WAIT_MS, is_arp_reply, NULL), 0);
	assert_memory_equal(seen + 22, own.b, MAC_SIZE);
}

/* The MAC makes the difference: without it IP takes the frame for somebody else's. */
static void only_the_ports_mac_is_for_this_host(void **state)
{
	struct punt *punt = *state;
	struct mac own = lab_mac("eth0");
	uint8_t frame[98], seen[ROOM];

	lab_echo(frame, sizeof(frame), &beyond, &station, "10.0.0.2", "10.0.0.1", 8);
	punt_frame(punt, 0, frame, sizeof(frame));
	assert_int_not_equal(icmp_seen(punt->port[0], seen, 8, 8, PACKET_OTHERHOST, LAB_WAIT_MS),
			     0);
	assert_int_equal(icmp_seen(punt->host[0], seen, 0, 8, -1, LAB_QUIET_MS), 0);

	punt_prog_set_mac(punt->prog[0], &beyond); /* may change at any time */
	lab_echo(frame, sizeof(frame), &own, &station, "10.0.0.2", "10.0.0.1", 9);
	punt_frame(punt, 0, frame, sizeof(frame));
	assert_int_not_equal(icmp_seen(punt->port[0], seen, 8, 9, PACKET_OTHERHOST, LAB_WAIT_MS),
			     0);
	punt_prog_set_mac(punt->prog[0], &own);
	punt_frame(punt, 0, frame, sizeof(frame));
	assert_int_not_equal(icmp_seen(punt->host[0], seen, 0, 9, -1, LAB_WAIT_MS), 0);
}

static void broadcast_stays_broadcast(void **state)
{
	struct punt *punt = *state;
	uint8_t frame[98], seen[ROOM];

	lab_echo(frame, sizeof(frame), &broadcast, &station, "10.0.0.2", "10.0.0.255", 10);
	punt_frame(punt, 0, frame, sizeof(frame));
	assert_int_not_equal(icmp_seen(punt->port[0], seen, 8, 10, PACKET_BROADCAST, LAB_WAIT_MS),
			     0);
}

static void the_kernel_routes_it(void **state)
{
	struct punt *punt = *state;
	struct mac in = lab_mac("eth0"), out = lab_mac("eth1");
	uint8_t frame[8900], seen[ROOM];

	lab_run("echo 1 >/proc/sys/net/ipv4/ip_forward");
	for (size_t size = 60; size <= sizeof(frame); size += 4420) {
		lab_echo(frame, size, &in, &station, "10.0.0.2", "10.0.1.2", 11);
		punt_frame(punt, 0, frame, size);
		assert_int_equal(icmp_seen(punt->host[1], seen, 8, 11, -1, LAB_WAIT_MS), size);
		assert_memory_equal(seen, beyond.b, MAC_SIZE);
		assert_memory_equal(seen + MAC_SIZE, out.b, MAC_SIZE);
		assert_int_equal(seen[22], 63);
		assert_memory_equal(seen + 34, frame + 34, size - 34);
	}
	/* And what it cannot route it refuses: time exceeded to the sender, by the port. */
	lab_echo(frame, 98, &in, &station, "10.0.0.2", "10.0.1.2", 12);
	frame[22] = 1;
	memset(frame + 24, 0, 2);
	memcpy(frame + 24, &(uint16_t){lab_checksum(frame + ETH_HLEN, 20)}, 2);
	punt_frame(punt, 0, frame, 98);
	assert_int_not_equal(icmp_seen(punt->host[0], seen, 11, 0, -1, LAB_WAIT_MS), 0);
	assert_memory_equal(seen, station.b, MAC_SIZE);
	lab_run("echo 0 >/proc/sys/net/ipv4/ip_forward");
}

static void a_bridge_forwards_and_learns_it(void **state)
{
	struct punt *punt = *state;
	uint8_t frame[98], seen[ROOM];

	lab_run("ip link add br0 type bridge && ip link set br0 up");
	lab_run("ip link set eth0 master br0 && ip link set eth1 master br0");
	lab_echo(frame, sizeof(frame), &beyond, &station, "10.0.0.2", "10.0.1.2", 13);
	punt_frame(punt, 0, frame, sizeof(frame));
	assert_int_equal(icmp_seen(punt->host[1], seen, 8, 13, -1, LAB_WAIT_MS), sizeof(frame));
	assert_memory_equal(seen, frame, sizeof(frame));
	lab_run("bridge fdb show dev eth0 | grep -q '^02:00:00:00:00:77 master br0'");
	lab_run("ip link delete br0");
}

/* Generic XDP on the port has had its turn: a program that drops everything does not see it. */
static void generic_xdp_is_not_run_again(void **state)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP},
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct punt *punt = *state;
	struct mac own = lab_mac("eth0");
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "drop", "GPL", insns, 2, NULL);
	uint8_t frame[98], seen[ROOM];

	assert_true(fd >= 0);
	assert_int_equal(bpf_xdp_attach((int)lab_ifindex("eth0"), fd, XDP_FLAGS_SKB_MODE, NULL), 0);
	lab_echo(frame, sizeof(frame), &own, &station, "10.0.0.2", "10.0.0.1", 14);
	lab_send(punt->host[0], frame, sizeof(frame)); /* the program does drop */
	assert_int_equal(icmp_seen(punt->host[0], seen, 0, 14, -1, LAB_QUIET_MS), 0);
	punt_frame(punt, 0, frame, sizeof(frame));
	assert_int_not_equal(icmp_seen(punt->host[0], seen, 0, 14, -1, LAB_WAIT_MS), 0);
	close(fd);
}

static void a_filter_is_replaced_and_deleted(void **state)
{
	struct punt *punt = *state;
	struct mac own = lab_mac("eth0");
	uint8_t frame[98], seen[ROOM];

	lab_echo(frame, sizeof(frame), &own, &station, "10.0.0.2", "10.9.9.9", 15);
	assert_int_equal(tc_punt_filter_set(punt->tap_ifindex, 1, punt_prog_fd(punt->prog[0]),
					    lab_ifindex("eth1")),
			 0);
	punt_frame(punt, 0, frame, sizeof(frame));
	assert_int_not_equal(icmp_seen(punt->port[1], seen, 8, 15, -1, LAB_WAIT_MS), 0);
	assert_int_equal(icmp_seen(punt->port[0], seen, 8, 15, -1, LAB_QUIET_MS), 0);
	lab_run("test $(tc filter show dev shunt0 ingress | grep -c shunt_punt) = 2");

	assert_int_equal(tc_punt_filter_delete(punt->tap_ifindex, 1), 0);
	punt_frame(punt, 0, frame, sizeof(frame));
	assert_int_equal(icmp_seen(punt->port[0], seen, 8, 15, -1, LAB_QUIET_MS), 0);
	assert_int_equal(icmp_seen(punt->port[1], seen, 8, 15, -1, LAB_QUIET_MS), 0);
	assert_int_equal(tc_punt_filter_delete(punt->tap_ifindex, 1), -ENOENT);
}

static void refusals_are_the_kernels(void **state)
{
	struct punt *punt = *state;
	int fd = punt_prog_fd(punt->prog[0]);

	assert_int_equal(tc_clsact_add(punt->tap_ifindex), -EEXIST);
	assert_int_equal(tc_clsact_add(0x7ffffff0), -ENODEV);
	assert_int_equal(tc_punt_filter_set(punt->tap_ifindex, 0, fd, 1), -EINVAL);
	assert_int_equal(tc_punt_filter_set(punt->tap_ifindex, 9, fd, 0x7ffffff0), -ENODEV);
	assert_int_equal(tc_punt_filter_set(punt->tap_ifindex, 9, -1, 1), -EBADF);
	assert_true(tc_punt_filter_set(0x7ffffff0, 9, fd, 1) < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_port_is_seen_to_receive_it),     TEST(the_kernel_answers_on_the_port),
		TEST(the_kernel_answers_arp_on_the_port), TEST(only_the_ports_mac_is_for_this_host),
		TEST(broadcast_stays_broadcast),          TEST(the_kernel_routes_it),
		TEST(a_bridge_forwards_and_learns_it),    TEST(generic_xdp_is_not_run_again),
		TEST(a_filter_is_replaced_and_deleted),   TEST(refusals_are_the_kernels),
	};

	lab_enter("test_punt");
	lab_run("for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done");
	return cmocka_run_group_tests_name("punt", tests, NULL, NULL);
}
