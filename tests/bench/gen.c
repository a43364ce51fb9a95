// SPDX-License-Identifier: BSD-2-Clause
/*
 * gen: send frames from one namespace, count them in another, and say what that cost.
 *
 *   gen --src NS:IF --dst NS:IF --dmac MAC --saddr IP --daddr IP [options]
 *
 * Prints one line of JSON: seconds measured, frames sent and received in them, the CPU time of the
 * generator and the watched processes, and the busy seconds of each core.  NS is a name in
 * /run/netns.  The window starts after --warm, so that what is measured is the steady state.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/bench/gen.h"
#include "tests/bench/gen.skel.h"

#define FRAME_MAX 3400u /* BPF_PROG_TEST_RUN: one page less headroom and skb_shared_info */
#define BATCH 64u       /* frames the kernel runs between two flushes; NAPI's budget too */
#define CPUS_SHOWN 16
#define WATCH_MAX 16

struct place {
	char ns[64];
	char ifname[IF_NAMESIZE];
};

struct options {
	struct place src, dst;
	char slow_if[IF_NAMESIZE]; /* in src's namespace; sends and receives the slow stream */
	struct gen_stream fast, slow;
	__u32 size; /* bytes without FCS */
	double warm, seconds;
	__u32 cpu;
	bool floor;
	char watch[WATCH_MAX][64]; /* /proc directories of processes */
	unsigned watched;
};

struct sample {
	double at;
	double ran;    /* seconds of CPU of the sender and the watched processes */
	double waited; /* seconds the sender was ready and another had its core */
	__u64 fast_sent, slow_sent, held, fast_received, slow_received;
	unsigned cpus;
	double busy[CPUS_SHOWN]; /* seconds since boot */
};

struct sender {
	int prog_fd;
	unsigned size;
	pid_t tid;
	bool stop;
	int error;
};

static void die(const char *what, int error)
{
	fprintf(stderr, "gen: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static void enter(const char *ns)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) {
		die(path, errno);
	}
	close(fd);
}

static unsigned index_of(const char *ifname)
{
	unsigned ifindex = if_nametoindex(ifname);

	if (!ifindex) {
		die(ifname, errno);
	}
	return ifindex;
}

static void mac_of(const char *ifname, __u8 mac[6])
{
	struct ifreq req = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memccpy(req.ifr_name, ifname, 0, sizeof(req.ifr_name) - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &req) < 0) {
		die(ifname, errno);
	}
	close(fd);
	memcpy(mac, req.ifr_hwaddr.sa_data, 6);
}

/* The headers that stay the same, and the checksums' constant part. ------------------------- */

static __u32 words(const void *data, size_t size)
{
	const __u8 *p = data;
	__u32 sum = 0;

	for (size_t i = 0; i < size; i++) {
		sum += i % 2 ? p[i] : (__u32)p[i] << 8;
	}
	return sum;
}

static void template(struct gen_stream *stream, __u8 *frame, unsigned size)
{
	struct ethhdr *eth = (void *)frame;
	struct iphdr *ip = (void *)(frame + sizeof(*eth));
	struct udphdr *udp = (void *)(ip + 1);
	unsigned udp_size = size - sizeof(*eth) - sizeof(*ip);

	memset(frame, 0, size);
	eth->h_proto = htons(ETH_P_IP);
	*ip = (struct iphdr){.version = 4,
			     .ihl = 5,
			     .ttl = 64,
			     .protocol = IPPROTO_UDP,
			     .tot_len = htons(size - sizeof(*eth))};
	udp->dest = htons(GEN_DPORT);
	udp->len = htons(udp_size);
	stream->ip_sum = words(ip, sizeof(*ip));
	stream->udp_sum = words(udp, udp_size) + IPPROTO_UDP + udp_size;
}

/* Sending. ---------------------------------------------------------------------------------- */

static void wake(int sig)
{
}

static void *send_frames(void *arg)
{
	struct sender *sender = arg;
	__u8 frame[FRAME_MAX];
	struct gen_stream unused;

	__atomic_store_n(&sender->tid, gettid(), __ATOMIC_RELAXED);
	template(&unused, frame, sender->size);
	while (!__atomic_load_n(&sender->stop, __ATOMIC_RELAXED)) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sender->size,
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .repeat = 1 << 30,
			    .batch_size = BATCH);
		int error = bpf_prog_test_run_opts(sender->prog_fd, &opts);

		if (error && error != -EINTR) {
			__atomic_store_n(&sender->error, error, __ATOMIC_RELAXED);
			pause(); /* stay, so that there is something to read the time of */
		}
	}
	return NULL;
}

/* Measuring. -------------------------------------------------------------------------------- */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* What is not idle or waiting for a disk is busy; stolen time is nobody's. */
static void read_cpus(struct sample *sample)
{
	double tick = sysconf(_SC_CLK_TCK);
	FILE *file = fopen("/proc/stat", "re");
	char line[512];

	if (!file) {
		die("/proc/stat", errno);
	}
	while (fgets(line, sizeof(line), file) && !strncmp(line, "cpu", 3)) {
		unsigned long long user, nice, system, idle, iowait, irq, softirq;
		unsigned cpu;

		if (sscanf(line, "cpu%u %llu %llu %llu %llu %llu %llu %llu", &cpu, &user, &nice,
			   &system, &idle, &iowait, &irq, &softirq) == 8 &&
		    cpu < CPUS_SHOWN) {
			sample->busy[cpu] = (user + nice + system + irq + softirq) / tick;
			sample->cpus = cpu + 1;
		}
	}
	fclose(file);
}

/* A thread's time on a core, and ready without one, by the scheduler's clock: in it is what
 * softirqs took while it ran. */
static void read_thread(const char *dir, const char *tid, double *ran, double *waited)
{
	unsigned long long ran_ns = 0, waited_ns = 0;
	char path[192];
	FILE *file;

	snprintf(path, sizeof(path), "%s/task/%s/schedstat", dir, tid);
	file = fopen(path, "re");
	if (file && fscanf(file, "%llu %llu", &ran_ns, &waited_ns) == 2) {
		*ran += ran_ns / 1e9;
		*waited += waited_ns / 1e9;
	}
	if (file) {
		fclose(file);
	}
}

static void read_process(const char *proc, double *ran)
{
	char path[96];
	double waited = 0;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/task", proc);
	dir = opendir(path);
	if (!dir) {
		die(path, errno);
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.') {
			read_thread(proc, entry->d_name, ran, &waited);
		}
	}
	closedir(dir);
}

static void take_sample(const struct options *options, const struct gen_bpf *skel,
			const struct sender *sender, struct sample *sample)
{
	char tid[16];

	memset(sample, 0, sizeof(*sample));
	snprintf(tid, sizeof(tid), "%d", __atomic_load_n(&sender->tid, __ATOMIC_RELAXED));
	read_thread("/proc/self", tid, &sample->ran, &sample->waited);
	for (unsigned i = 0; i < options->watched; i++) {
		read_process(options->watch[i], &sample->ran);
	}
	sample->at = now();
	sample->fast_sent = *(volatile __u64 *)&skel->bss->fast_sent;
	sample->slow_sent = *(volatile __u64 *)&skel->bss->slow_sent;
	sample->held = *(volatile __u64 *)&skel->bss->held;
	for (int i = 0; i < GEN_CPUS_MAX; i++) {
		sample->fast_received += *(volatile __u64 *)&skel->bss->received[i].fast;
		sample->slow_received += *(volatile __u64 *)&skel->bss->received[i].slow;
	}
	read_cpus(sample);
}

static void sleep_s(double seconds)
{
	struct timespec ts = {seconds, (seconds - (long)seconds) * 1e9};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR) {
	}
}

static void print(const struct sample *a, const struct sample *b)
{
	printf("{\"seconds\": %.6f, \"sent\": %llu, \"received\": %llu, \"slow_sent\": %llu, "
	       "\"slow_received\": %llu, \"held\": %llu, \"waited\": %.3f, \"ran\": %.4f, "
	       "\"busy\": [",
	       b->at - a->at, b->fast_sent - a->fast_sent, b->fast_received - a->fast_received,
	       b->slow_sent - a->slow_sent, b->slow_received - a->slow_received, b->held - a->held,
	       b->waited - a->waited, b->ran - a->ran);
	for (unsigned i = 0; i < b->cpus; i++) {
		printf("%s%.2f", i ? ", " : "", b->busy[i] - a->busy[i]);
	}
	printf("]}\n");
}

static void measure(const struct options *options, const struct gen_bpf *skel)
{
	struct sender sender = {.prog_fd = bpf_program__fd(skel->progs.gen_send),
				.size = options->size};
	struct sigaction action = {.sa_handler = wake}; /* no SA_RESTART: it ends the test run */
	struct sample before, after;
	struct timespec poll = {0, 1000000};
	pthread_t thread;
	int error;

	sigaction(SIGUSR1, &action, NULL);
	error = pthread_create(&thread, NULL, send_frames, &sender);
	if (error) {
		die("thread", error);
	}
	sleep_s(options->warm);
	if (__atomic_load_n(&sender.error, __ATOMIC_RELAXED)) {
		die("BPF_PROG_TEST_RUN with live frames", sender.error);
	}
	take_sample(options, skel, &sender, &before);
	sleep_s(options->seconds);
	take_sample(options, skel, &sender, &after);
	__atomic_store_n(&sender.stop, true, __ATOMIC_RELAXED);
	do {
		pthread_kill(thread, SIGUSR1);
		nanosleep(&poll, NULL);
	} while (pthread_tryjoin_np(thread, NULL) != 0);
	if (sender.error) {
		die("BPF_PROG_TEST_RUN with live frames", sender.error);
	}
	print(&before, &after);
}

/* Setting up. ------------------------------------------------------------------------------- */

static void attach_tc(const char *ifname, const struct bpf_program *prog, bool attach)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = index_of(ifname), .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(prog));
	int error;

	if (!attach) {
		hook.attach_point |= BPF_TC_EGRESS; /* both: the clsact itself goes */
		bpf_tc_hook_destroy(&hook);
		return;
	}
	error = bpf_tc_hook_create(&hook);
	if (error && error != -EEXIST) {
		die("clsact", error);
	}
	error = bpf_tc_attach(&hook, &opts);
	if (error) {
		die("tc ingress", error);
	}
}

static void sinks(const struct options *options, const struct gen_bpf *skel, bool attach)
{
	enter(options->dst.ns);
	if (options->floor) {
		int fd = attach ? bpf_program__fd(skel->progs.gen_floor) : -1;
		int error = bpf_xdp_attach(index_of(options->dst.ifname), fd, XDP_FLAGS_DRV_MODE,
					   NULL);

		if (error) {
			die("XDP", error);
		}
	} else {
		attach_tc(options->dst.ifname, skel->progs.gen_sink, attach);
	}
	enter(options->src.ns);
	if (options->slow_if[0]) {
		attach_tc(options->slow_if, skel->progs.gen_sink_slow, attach);
	}
}

static struct gen_bpf *load(struct options *options)
{
	struct gen_bpf *skel = gen_bpf__open();
	__u8 frame[FRAME_MAX];
	int error;

	if (!skel) {
		die("open", errno);
	}
	template(&options->fast, frame, options->size);
	template(&options->slow, frame, options->size);
	enter(options->src.ns);
	options->fast.ifindex = options->fast.daddr ? index_of(options->src.ifname) : 0;
	mac_of(options->src.ifname, options->fast.smac);
	if (options->slow_if[0]) {
		options->slow.ifindex = index_of(options->slow_if);
		mac_of(options->slow_if, options->slow.smac);
	}
	memcpy((void *)&skel->rodata->fast, &options->fast, sizeof(options->fast));
	memcpy((void *)&skel->rodata->slow, &options->slow, sizeof(options->slow));
	error = gen_bpf__load(skel);
	if (error) {
		die("load", error);
	}
	return skel;
}

/* Options. ---------------------------------------------------------------------------------- */

static const char *const usage =
	"usage: gen --src NS:IF --dst NS:IF --dmac MAC --saddr IP --daddr IP\n"
	"  [--dmacs N] [--daddrs N] [--dshift BITS] [--flows N]   how many, how far apart\n"
	"  [--size BYTES] [--gap NS] [--warm S] [--seconds S] [--cpu N]\n"
	"  [--slow-if IF --slow-dmac MAC --slow-saddr IP --slow-daddr IP --slow-gap NS\n"
	"   --slow-daddrs N]\n"
	"  [--watch PROC-DIRECTORY ...]   their CPU time is added to the generator's\n"
	"  [--floor]   --dst is the peer of --src: count and drop there in XDP\n"
	"NS is a name in /run/netns; without --daddr only the slow stream is sent\n";

static void bad(const char *what)
{
	fprintf(stderr, "gen: %s\n%s", what, usage);
	exit(2);
}

static void parse_place(const char *text, void *to)
{
	struct place *place = to;

	if (sscanf(text, "%63[^:]:%15s", place->ns, place->ifname) != 2) {
		bad("NS:IF expected");
	}
}

static void parse_ifname(const char *text, void *to)
{
	if (sscanf(text, "%15s", (char *)to) != 1) {
		bad("interface name expected");
	}
}

static void parse_mac(const char *text, void *to)
{
	__u8 *mac = to;

	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
		   &mac[4], &mac[5]) != 6) {
		bad("MAC expected");
	}
}

static void parse_ip(const char *text, void *to)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, text, &addr) != 1) {
		bad("IPv4 address expected");
	}
	*(__u32 *)to = ntohl(addr.s_addr);
}

static void parse_number(const char *text, void *to)
{
	if (sscanf(text, "%u", (__u32 *)to) != 1) {
		bad("number expected");
	}
}

static void parse_seconds(const char *text, void *to)
{
	if (sscanf(text, "%lf", (double *)to) != 1) {
		bad("seconds expected");
	}
}

static const struct {
	const char *name;
	void (*parse)(const char *text, void *to);
	size_t offset; /* in struct options */
} table[] = {
	{"src", parse_place, offsetof(struct options, src)},
	{"dst", parse_place, offsetof(struct options, dst)},
	{"dmac", parse_mac, offsetof(struct options, fast.dmac)},
	{"saddr", parse_ip, offsetof(struct options, fast.saddr)},
	{"daddr", parse_ip, offsetof(struct options, fast.daddr)},
	{"dmacs", parse_number, offsetof(struct options, fast.dmacs)},
	{"daddrs", parse_number, offsetof(struct options, fast.daddrs)},
	{"dshift", parse_number, offsetof(struct options, fast.dshift)},
	{"flows", parse_number, offsetof(struct options, fast.flows)},
	{"size", parse_number, offsetof(struct options, size)},
	{"gap", parse_number, offsetof(struct options, fast.gap_ns)},
	{"warm", parse_seconds, offsetof(struct options, warm)},
	{"seconds", parse_seconds, offsetof(struct options, seconds)},
	{"cpu", parse_number, offsetof(struct options, cpu)},
	{"slow-if", parse_ifname, offsetof(struct options, slow_if)},
	{"slow-dmac", parse_mac, offsetof(struct options, slow.dmac)},
	{"slow-saddr", parse_ip, offsetof(struct options, slow.saddr)},
	{"slow-daddr", parse_ip, offsetof(struct options, slow.daddr)},
	{"slow-daddrs", parse_number, offsetof(struct options, slow.daddrs)},
	{"slow-gap", parse_number, offsetof(struct options, slow.gap_ns)},
};

#define OPTIONS (sizeof(table) / sizeof(table[0]))

static void parse(int argc, char **argv, struct options *options)
{
	struct option longs[OPTIONS + 3] = {0};
	int option;

	for (unsigned i = 0; i < OPTIONS; i++) {
		longs[i] = (struct option){table[i].name, required_argument, NULL, 1 + i};
	}
	longs[OPTIONS + 1] = (struct option){"watch", required_argument, NULL, 2 + OPTIONS};
	longs[OPTIONS] = (struct option){"floor", no_argument, NULL, 1 + OPTIONS};
	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == '?') {
			bad("unknown option");
		}
		if (option == 1 + OPTIONS) {
			options->floor = true;
			continue;
		}
		if (option == 2 + OPTIONS) {
			if (options->watched == WATCH_MAX ||
			    sscanf(optarg, "%63s", options->watch[options->watched++]) != 1) {
				bad("at most 16 --watch PROC-DIRECTORY expected");
			}
			continue;
		}
		table[option - 1].parse(optarg, (char *)options + table[option - 1].offset);
	}
	if (!options->src.ns[0] || !options->dst.ns[0] || options->size < 60 ||
	    options->size > FRAME_MAX) {
		bad("--src, --dst and a --size of 60 to 3400 expected");
	}
}

int main(int argc, char **argv)
{
	struct options options = {.size = 60, .warm = 0.5, .seconds = 2, .cpu = 0};
	struct gen_bpf *skel;
	cpu_set_t cpus;

	parse(argc, argv, &options);
	CPU_ZERO(&cpus);
	CPU_SET(options.cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0) {
		die("--cpu", errno);
	}
	skel = load(&options);
	sinks(&options, skel, true);
	measure(&options, skel);
	sinks(&options, skel, false);
	gen_bpf__destroy(skel);
	return 0;
}
