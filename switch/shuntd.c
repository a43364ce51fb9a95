/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shuntd: builds everything in order, runs, tears down in reverse.
 *
 * The main thread is the control thread: netlink, timers, the control socket.  Frames are the
 * worker's (run/worker) and the punt thread's (run/punt).
 */
#include <cap-ng.h>
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <urcu-qsbr.h>

#include "bpf/steer.h"
#include "config.h"
#include "netlink/features.h"
#include "netlink/mirror.h"
#include "run/answer.h"
#include "run/clock.h"
#include "run/log.h"
#include "run/notify.h"
#include "run/offload.h"
#include "run/port.h"
#include "run/punt.h"
#include "run/urgent.h"
#include "run/worker.h"

#define CONFIG_PATH "/etc/shunt/shunt.lua"
#define RUNDIR "/run/shunt"
#define TICK_NS 100000000l /* conditions that do not notify are polled this often */
#define CONTROL_NICE (-5)  /* a starved mirror would forward by old routes */

struct daemon {
	struct config *config;
	const char *rundir;
	struct tables tables;
	struct control *control;
	struct stats *stats;
	struct umem *umem;
	struct ports_size size;
	struct steer_shared *steer;
	struct punt *punt;
	struct worker *worker;
	struct mirror *mirror;
	struct offload *offload;
	struct ports *ports;
	struct answer_sources sources;
	struct mirror_port
		status[SHUNT_PORTS_MAX]; /* what the mirror said before there were ports */
	int epoll, timer, signals;
	bool registered;
};

/* The mirror's callbacks --------------------------------------------------------------------- */

static void on_port(void *arg, unsigned slot, const struct mirror_port *status)
{
	struct daemon *d = arg;

	d->status[slot] = *status;
	if (d->ports) {
		ports_update(d->ports, slot, status);
	}
}

static void on_local(void *arg, enum ip_family family, const struct ip_addr *addr, bool added)
{
	struct daemon *d = arg;
	int err = added ? steer_local_add(d->steer, family, addr)
			: steer_local_delete(d->steer, family, addr);

	if (err && added) {
		log_line("a local address did not fit into the steering table (%s): frames for it "
			 "take "
			 "the slower way",
			 strerror(-err));
	}
}

/* A set of steer's that does not take one more, said once: the frames concerned go a slower way. */
static void set_result(const char *what, int err)
{
	static bool told;

	if (err && err != -ENOENT && !told) {
		told = true;
		log_line("steering set of %s: %s; frames for what is not in it take the slower way",
			 what, strerror(-err));
	}
}

static void on_router_mac(void *arg, unsigned slot, uint16_t vid, const struct mac *mac, bool added)
{
	struct daemon *d = arg;

	set_result("MACs", steer_mac_set(d->steer, slot, vid, mac, added));
}

static void on_elsewhere(void *arg, uint32_t bridge, uint16_t vid, const struct mac *mac,
			 bool added)
{
	struct daemon *d = arg;

	set_result("stations", steer_elsewhere_set(d->steer, bridge, vid, mac, added));
}

static void on_group(void *arg, const struct steer_group_key *group, bool added)
{
	struct daemon *d = arg;

	set_result("groups", steer_group_set(d->steer, group, added));
}

/* Start, in order ----------------------------------------------------------------------------- */

static int fail(const char *what, int err)
{
	log_line("%s: %s", what, strerror(-err));
	return err;
}

static int check_machine(void)
{
	int fd;

	capng_get_caps_process();
	if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) ||
	    (!capng_have_capability(CAPNG_EFFECTIVE, CAP_BPF) &&
	     !capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN))) {
		log_line("must be root (CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF): start it with "
			 "sudo or as a "
			 "service");
		return -EPERM;
	}
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		log_line("no AF_XDP sockets here (%s): the kernel needs CONFIG_XDP_SOCKETS, the "
			 "user "
			 "CAP_NET_RAW",
			 strerror(errno));
		return -errno;
	}
	close(fd);
	return 0;
}

static int probe_ports(const struct config *config)
{
	char error[256];

	for (unsigned i = 0; i < config->port_count; i++) {
		int err = ports_probe(&config->port[i], error, sizeof(error));

		if (err) {
			log_line("%s", error);
			return err;
		}
	}
	return 0;
}

static int open_rundir(struct daemon *d)
{
	int err = 0;

	if (mkdir(d->rundir, 0750) && errno != EEXIST) {
		log_line("cannot make %s: %s", d->rundir, strerror(errno));
		return -errno;
	}
	/* One that was killed answers until its memory is released: try again for 1 s. */
	for (int tries = 0; tries < 20; tries++) {
		err = control_open(&d->control, d->rundir, answer_objects, &d->sources);
		if (err != -EADDRINUSE) {
			break;
		}
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
	if (err == -EADDRINUSE) {
		log_line("another shuntd runs at %s: stop it, or give this one its own with -r",
			 d->rundir);
		return err;
	}
	if (err) {
		return fail("control socket", err);
	}
	err = stats_create(&d->stats, d->rundir);
	if (err) {
		return fail("stats segment", err);
	}
	ports_announce(d->config, d->stats);
	return 0;
}

static unsigned port_names(const struct config *config, const char **names)
{
	for (unsigned i = 0; i < config->port_count; i++) {
		names[i] = config->port[i].name;
	}
	return config->port_count;
}

static int open_offload(struct daemon *d)
{
	const char *names[SHUNT_PORTS_MAX];

	return offload_open(&d->offload, d->rundir, names, port_names(d->config, names));
}

static int open_mirror(struct daemon *d)
{
	const struct mirror_ops ops = {.port = on_port,
				       .local = on_local,
				       .router_mac = on_router_mac,
				       .elsewhere = on_elsewhere,
				       .group = on_group};
	const char *names[SHUNT_PORTS_MAX];
	const struct mirror_conf conf = {
		.ports = names,
		.port_count = port_names(d->config, names),
		.netfilter_bypass = d->config->netfilter_bypass,
	};

	return mirror_open(&d->mirror, &d->tables, &conf, &ops, d);
}

static int open_ports(struct daemon *d)
{
	const struct ports_conf conf = {
		.config = d->config,
		.umem = d->umem,
		.stats = d->stats,
		.steer = d->steer,
		.punt = d->punt,
		.worker = d->worker,
		.mirror = d->mirror,
		.offload = d->offload,
		.size = d->size,
	};
	int err = ports_create(&d->ports, &conf);

	if (err) {
		return err;
	}
	d->sources = (struct answer_sources){
		.tables = &d->tables, .mirror = d->mirror, .ports = d->ports};
	for (unsigned i = 0; i < d->config->port_count; i++) {
		err = ports_start(d->ports, i, &d->status[i]);
		if (err) {
			return err;
		}
	}
	ports_settle(d->ports);
	return 0;
}

static int open_worker(struct daemon *d)
{
	const struct worker_conf conf = {
		.tables = &d->tables,
		.umem = d->umem,
		.stats = d->stats,
		.punt = d->punt,
		.cpu = d->config->worker_cpu,
	};
	int err = worker_create(&d->worker, &conf);

	return err ? err : worker_start(d->worker);
}

static int watch(const struct daemon *d, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_loop(struct daemon *d)
{
	const struct itimerspec tick = {.it_interval.tv_nsec = TICK_NS,
					.it_value.tv_nsec = TICK_NS};
	sigset_t signals;
	int err;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	d->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	d->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->epoll < 0 || d->timer < 0 || d->signals < 0 ||
	    timerfd_settime(d->timer, 0, &tick, NULL)) {
		return -errno;
	}
	err = watch(d, d->timer);
	err = err ? err : watch(d, d->signals);
	err = err ? err : watch(d, mirror_fd(d->mirror));
	err = err ? err : watch(d, control_fd(d->control));
	if (!err && ports_fd(d->ports) >= 0) {
		err = watch(d, ports_fd(d->ports));
	}
	return err ? err : watch(d, worker_event_fd(d->worker));
}

static int start(struct daemon *d)
{
	int err = check_machine();

	err = err ? err : probe_ports(d->config);
	err = err ? err : open_rundir(d);
	if (err) {
		return err;
	}
	rcu_register_thread();
	d->registered = true;
	err = tables_create(&d->tables, &(struct tables_limits){
						.fdb = d->config->limit_fdb,
						.neigh = d->config->limit_neighbours,
						.routes = d->config->limit_routes,
					});
	if (err) {
		return fail("tables", err);
	}
	err = open_offload(d);
	if (err) {
		return fail("RUNDIR/restore", err);
	}
	d->size = ports_size(d->config);
	err = umem_create(&d->umem, d->size.frames);
	if (err) {
		return fail("memory for frames", err);
	}
	err = steer_shared_create(&d->steer);
	if (err) {
		return fail("BPF maps", err);
	}
	err = punt_create(&d->punt, d->steer, d->stats, d->config->port_count);
	if (err) {
		return fail("punt interface (needs the tun module)", err);
	}
	urgent(CONTROL_NICE); /* from here on: a full table takes seconds to read */
	err = open_mirror(d);
	if (err) {
		return fail("netlink", err);
	}
	err = open_worker(d);
	if (err) {
		return fail("worker thread", err);
	}
	err = open_ports(d);
	if (err) {
		return err == -EBUSY ? err : fail("ports", err); /* it was said which, and why */
	}
	err = open_loop(d);
	return err ? fail("event loop", err) : 0;
}

/* Run ------------------------------------------------------------------------------------------ */

static void tick(struct daemon *d)
{
	uint64_t expired;
	ssize_t n = read(d->timer, &expired, sizeof(expired));

	(void)n;
	mirror_tick(d->mirror, (uint32_t)(coarse_ns() / SECOND_NS));
	ports_tick(d->ports);
}

/* What will not be because of this kernel, once. */
static void say_missing(void)
{
	unsigned missing;

	if (features_missing(&missing)) {
		return;
	}
	for (unsigned i = 0; i < FEATURES; i++) {
		if (missing & 1u << i) {
			log_line("this kernel has no %s: %s", feature_name(i), feature_means(i));
		}
	}
}

/* The census lives in the region; readers have only the segment. */
static void copy_census(struct daemon *d)
{
	struct frame_census census;

	if (umem_census_read(d->umem, &census)) {
		return;
	}
	__atomic_store_n(&d->stats->census_seq, d->stats->census_seq + 1, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	d->stats->census = census;
	__atomic_store_n(&d->stats->census_seq, d->stats->census_seq + 1, __ATOMIC_RELEASE);
}

static void worker_events(struct daemon *d)
{
	struct worker_event event;

	while (worker_event(d->worker, &event)) {
		if (event.kind == WORKER_LEARN) {
			mirror_learn(d->mirror, event.ifindex, &event.mac, event.vlan);
		} else {
			ports_event(d->ports, &event);
		}
	}
}

/* SIGHUP asks most daemons to read their configuration again, and would end this one: a surprise
 * for everyone's traffic. True when it is time to stop. */
static bool told_to_stop(const struct daemon *d)
{
	struct signalfd_siginfo signal;

	if (read(d->signals, &signal, sizeof(signal)) != sizeof(signal)) {
		return false;
	}
	if (signal.ssi_signo != SIGHUP) {
		return true;
	}
	log_line("SIGHUP changes nothing: the configuration is read at the start, restart to apply "
		 "it");
	return false;
}

static void run(struct daemon *d)
{
	struct epoll_event events[8];

	for (;;) {
		int n;

		rcu_thread_offline();
		n = epoll_wait(d->epoll, events, 8, ports_pending(d->ports) ? 0 : -1);
		rcu_thread_online();
		if (n == 0) {
			ports_take(d->ports);
		}
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == d->signals && told_to_stop(d)) {
				return;
			}
			if (fd == d->timer) {
				tick(d);
			} else if (fd == mirror_fd(d->mirror)) {
				mirror_read(d->mirror);
			} else if (fd == control_fd(d->control)) {
				copy_census(d);
				control_read(d->control);
			} else if (fd == ports_fd(d->ports)) {
				ports_read(d->ports);
			} else if (fd != d->signals) {
				worker_events(d);
			}
		}
		copy_census(d);
	}
}

/* Everything that exists, in reverse; what does not exist is NULL. The ports first: from then on
 * the kernel forwards. */
static void stop(struct daemon *d)
{
	ports_close(d->ports);
	offload_close(d->offload);
	worker_destroy(d->worker);
	mirror_close(d->mirror);
	punt_destroy(d->punt);
	steer_shared_destroy(d->steer);
	umem_destroy(d->umem);
	if (d->tables.rib) {
		tables_destroy(&d->tables);
	}
	control_close(d->control);
	stats_destroy(d->stats, d->rundir);
	if (d->registered) {
		rcu_unregister_thread();
	}
	config_free(d->config);
}

static int serve(struct config *config, const char *rundir)
{
	struct daemon d = {.config = config, .rundir = rundir};
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	sigset_t signals;
	int err;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL); /* every thread: they are read by signalfd */
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_MEMLOCK,
		  &unlimited); /* older kernels charge BPF maps to it; no matter if not */
	err = start(&d);
	if (!err) {
		say_missing();
		log_line("ready: %u port%s, %zu frames of %u bytes%s", config->port_count,
			 config->port_count == 1 ? "" : "s", umem_frames(d.umem), FRAME_SIZE,
			 umem_huge(d.umem) ? " on huge pages" : "");
		notify_ready();
		run(&d);
		notify_stopping();
	}
	stop(&d);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What a dead daemon switched off; a living one's is its own business. */
static void release_offloads(const char *rundir)
{
	struct offload *offload;
	bool alive;

	if (offload_list(rundir, NULL, 0, &alive) > 0 && !alive &&
	    !offload_open(&offload, rundir, NULL, 0)) {
		offload_close(offload);
	}
}

static int release(const struct config *config, const char *rundir)
{
	int failed = 0;

	release_offloads(rundir);

	for (unsigned i = 0; i < config->port_count; i++) {
		const char *name = config->port[i].name;
		uint32_t ifindex = if_nametoindex(name);
		int err = ifindex ? steer_release(ifindex) : -ENODEV;

		if (err && err != -ENOENT && !(err == -ENODEV && config->port[i].optional)) {
			log_line("%s: %s", name, strerror(-err));
			failed = 1;
		}
	}
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const char usage[] = "Usage: shuntd [-c FILE] [-r RUNDIR]\n"
			    "       shuntd --check [-c FILE]\n"
			    "       shuntd --release [-c FILE]\n"
			    "\n"
			    "  -c, --config FILE   configuration (default " CONFIG_PATH ")\n"
			    "  -r, --rundir DIR    control socket and counters (default " RUNDIR
			    ", or $SHUNT_RUNDIR)\n"
			    "      --check         only check the configuration: exit 0 or 1\n"
			    "      --release       take ports that on_failure \"drop\" left "
			    "blocked back to the kernel\n"
			    "  -h, --help          this\n"
			    "  -V, --version       the version\n";

int main(int argc, char **argv)
{
	enum { OPT_CHECK = 256, OPT_RELEASE };
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"rundir", required_argument, NULL, 'r'},
		{"check", no_argument, NULL, OPT_CHECK},
		{"release", no_argument, NULL, OPT_RELEASE},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	const char *path = CONFIG_PATH, *rundir = getenv("SHUNT_RUNDIR");
	struct config *config;
	char error[512];
	int opt, action = 0;

	while ((opt = getopt_long(argc, argv, "c:r:hV", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			path = optarg;
			break;
		case 'r':
			rundir = optarg;
			break;
		case OPT_CHECK:
		case OPT_RELEASE:
			action = opt;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'V':
			puts("shuntd " SHUNT_VERSION);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "shuntd: unexpected argument '%s'\n%s", argv[optind], usage);
		return 2;
	}
	if (config_load(&config, path, error, sizeof(error))) {
		log_line("%s", error);
		return EXIT_FAILURE;
	}
	rundir = rundir && *rundir ? rundir : RUNDIR;
	if (action) {
		int code = action == OPT_CHECK ? EXIT_SUCCESS : release(config, rundir);

		config_free(config);
		return code;
	}
	return serve(config, rundir);
}
