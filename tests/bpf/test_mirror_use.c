/* SPDX-License-Identifier: BSD-2-Clause */
/* mirror: thousands of neighbours and MACs in use are confirmed and kept, without a burst. */
/* Alone: the kernel's limit of neighbours (gc_thresh3) is one for all namespaces. */
#include "mirror_lab.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <sys/ioctl.h>

#define STATIONS 4000u
#define BUCKET_MS 100u
#define BUCKETS 300u

/* ARP requests that a1 sees, by the time of their coming, which the kernel notes. */
struct wire {
	int fd;
	uint64_t from_ms;
	unsigned seen[BUCKETS], total;
};

/* When the last frame came; now, when none has. */
static uint64_t stamp_ms(const struct wire *wire)
{
	struct timespec stamp;

	if (ioctl(wire->fd, SIOCGSTAMPNS, &stamp) != 0) {
		clock_gettime(CLOCK_REALTIME, &stamp);
	}
	return (uint64_t)stamp.tv_sec * 1000 + (uint64_t)stamp.tv_nsec / 1000000;
}

static void wire_open(struct wire *wire)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_protocol = htons(ETH_P_ARP),
				      .sll_ifindex = (int)if_nametoindex("a1")};
	int size = 16 << 20;

	memset(wire, 0, sizeof(*wire));
	wire->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ARP));
	assert_true(wire->fd >= 0);
	setsockopt(wire->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	assert_int_equal(bind(wire->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	wire->from_ms = stamp_ms(wire); /* from now on it does */
}

/* A neighbour that is asked is heard of once: it does not answer, and is asked again. */
static void wire_read(struct wire *wire)
{
	static bool asked[STATIONS];
	uint8_t frame[128];

	if (wire->total == 0) {
		memset(asked, 0, sizeof(asked));
	}
	while (recv(wire->fd, frame, sizeof(frame), 0) >= 42) {
		unsigned station = (unsigned)frame[40] << 8 | frame[41];
		uint64_t bucket = (stamp_ms(wire) - wire->from_ms) / BUCKET_MS;

		if (frame[38] == 10 && frame[39] == 8 && station < STATIONS && !asked[station]) {
			asked[station] = true;
			wire->seen[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
			wire->total++;
		}
	}
}

static struct neigh_key station_key(unsigned station)
{
	return (struct neigh_key){.ifindex = if_nametoindex("a0"),
				  .family = IP_V4,
				  .addr = {{10, 8, (uint8_t)(station >> 8), (uint8_t)station}}};
}

/* Touches all stations but the first 500 until each was probed; true when there was no burst. */
static bool probed_evenly(void)
{
	unsigned first = BUCKETS, last = 0, most = 0;
	struct wire wire;

	/* Learnt by others they do not count for the kernel's own limit. */
	sh("for i in $(seq 0 %u); do printf 'neigh replace 10.8.%%d.%%d dev a0 lladdr "
	   "02:00:00:08:%%02x:%%02x"
	   " nud stale extern_learn\\n' $((i / 256)) $((i %% 256)) $((i / 256)) $((i %% 256)); "
	   "done | "
	   "ip -batch -",
	   STATIONS - 1);
	open_mirror();
	wire_open(&wire);
	for (uint64_t end = now_ms() + 20000; now_ms() < end && wire.total < STATIONS - 500;) {
		for (unsigned i = 500; i < STATIONS; i++) {
			struct neigh_key key = station_key(i);
			const struct neigh_entry *entry = neigh_find(tables.neigh, &key);

			if (entry != NULL) {
				neigh_touch(entry, now_s());
			}
		}
		turn();
		wire_read(&wire);
	}
	close(wire.fd);
	close_mirror();
	for (unsigned i = 0; i < BUCKETS; i++) {
		if (wire.seen[i] > 0) {
			first = i < first ? i : first;
			last = i;
		}
		most = wire.seen[i] > most ? wire.seen[i] : most;
	}
	print_message("%u probes in %u ms, at most %u in 100 ms\n", wire.total,
		      (last - first + 1) * BUCKET_MS, most);
	/* All that are in use, and none of the others. */
	assert_int_equal(wire.total, STATIONS - 500);
	return last - first + 1 >= 15 && most < 3 * wire.total / (last - first + 1);
}

/* The best of three: on a busy machine what is late comes with what is not. */
static void stale_neighbours_in_use_are_probed_without_a_burst(void **state)
{
	bool evenly = false;

	sh("ip addr add 10.8.255.254/16 dev a0; sysctl -qw "
	   "net.ipv4.neigh.a0.delay_first_probe_time=1; "
	   "sysctl -qw net.ipv4.neigh.a0.ucast_solicit=1 net.ipv4.neigh.a0.mcast_solicit=0");
	for (unsigned i = 0; i < 3 && !evenly; i++) {
		sh("ip neigh flush dev a0");
		evenly = probed_evenly();
	}
	assert_true(evenly);
}

static unsigned bridge_macs(void)
{
	return (unsigned)atoi(out("bridge fdb show br br0 | grep -c '^02:00:00:05'"));
}

static void macs_in_use_stay_and_the_others_go_in_time(void **state)
{
	uint64_t begun_ms, gone_ms = 0;
	struct fdb_key key = {.mac = {{2, 0, 0, 5}}};

	/* 6 s */
	sh("ip link set br0 type bridge ageing_time 600; for i in $(seq 0 %u); do "
	   "printf 'fdb replace 02:00:00:05:%%02x:%%02x dev b0 master dynamic\\n' $((i / 256)) "
	   "$((i %% 256)); done | bridge -batch -; "
	   "bridge fdb replace 02:00:00:06:00:01 dev b0 master static",
	   STATIONS - 1);
	open_mirror();
	begun_ms = now_ms();
	key.bridge = if_nametoindex("br0");
	assert_int_equal(bridge_macs(), STATIONS);
	while (now_ms() - begun_ms < 18000) {
		for (unsigned i = 0; i < STATIONS / 2; i++) {
			const struct fdb_entry *entry;

			key.mac.b[4] = (uint8_t)(i >> 8);
			key.mac.b[5] = (uint8_t)i;
			entry = fdb_find(tables.fdb, &key);
			assert_non_null(entry);
			fdb_touch(entry, now_s());
		}
		turn();
		if (gone_ms == 0 && fdb_count(tables.fdb) < STATIONS / 2 + 100) {
			gone_ms = now_ms() - begun_ms;
		}
	}
	print_message("unused MACs were gone after %llu ms\n", (unsigned long long)gone_ms);
	assert_true(gone_ms != 0 && gone_ms < 16000);
	assert_int_equal(bridge_macs(), STATIONS / 2);
	assert_int_equal(atoi(out("bridge fdb show br br0 | grep -c 02:00:00:06:00:01")), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab, unlab)
	const struct CMUnitTest tests[] = {
		TEST(stale_neighbours_in_use_are_probed_without_a_burst),
		TEST(macs_in_use_stay_and_the_others_go_in_time),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "test_mirror_use: must be root\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
