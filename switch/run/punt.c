/* SPDX-License-Identifier: BSD-2-Clause */
#include "run/punt.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "bpf/punt.h"
#include "bpf/steer.h"
#include "netlink/tc.h"
#include "path/frame.h"
#include "run/clock.h"
#include "run/spsc.h"
#include "run/wake.h"

#define TAP_MTU 9216 /* over any frame that is punted */
#define NAP_NS 50000 /* between two looks at the queue while punts come */
#define VERDICT_TTL_NS \
	1500000000ull /* a cached verdict: 1 to 2 s, so that a new route soon counts */

/*
 * The police (RFC 2697's single bucket): what the kernel answers or resolves costs it more than
 * what it only forwards, and an attacker chooses it; so the classes have a bucket each.
 */
enum punt_class { CLASS_TRANSIT, CLASS_ANSWER, CLASS_COUNT };

static const struct {
	uint64_t rate, burst; /* frames a second; frames */
} police[CLASS_COUNT] = {
	[CLASS_TRANSIT] = {200000, 8192},
	[CLASS_ANSWER] = {100000, 4096},
};

struct bucket {
	uint64_t credit; /* in frames * 1e9 */
	uint64_t filled_ns;
};

struct punt_port {
	int fd; /* TAP queue */
	uint32_t ifindex;
	struct punt_prog *prog;
	struct bucket bucket[CLASS_COUNT]; /* punt thread's */
};

struct punt {
	struct spsc todo, done;
	unsigned in_flight; /* the worker's: pushed and not yet back */
	struct wake wake;
	pthread_t thread;
	bool running, started;
	struct steer_shared *shared;
	struct stats *stats;
	uint32_t ifindex;
	unsigned port_count;
	struct punt_port port[SHUNT_PORTS_MAX];
};

static enum punt_class class_of(enum punt_reason reason)
{
	switch (reason) {
	case PUNT_NOT_FAST:
	case PUNT_ROUTE_KERNEL:
	case PUNT_FLOOD:
	case PUNT_FORWARDING:
	case PUNT_OPTIONS:
	case PUNT_UNSUPPORTED:
	case PUNT_LOCAL:
	case PUNT_FRAGMENT:
		return CLASS_TRANSIT;
	default:
		return CLASS_ANSWER;
	}
}

static bool police_allows(struct bucket *bucket, enum punt_class class, uint64_t now_ns)
{
	const uint64_t full = police[class].burst * SECOND_NS;
	uint64_t passed_ns = now_ns - bucket->filled_ns;

	bucket->filled_ns = now_ns;
	bucket->credit = passed_ns > SECOND_NS ? full
					       : bucket->credit + passed_ns * police[class].rate;
	if (bucket->credit > full) {
		bucket->credit = full;
	}
	if (bucket->credit < SECOND_NS) {
		return false;
	}
	bucket->credit -= SECOND_NS;
	return true;
}

static void tell_verdict_cache(struct punt *punt, const struct punt_frame *frame, uint64_t now_ns)
{
	const uint8_t *l3 = frame->data + ETH_SIZE;
	unsigned type = ntohs(((const struct eth *)frame->data)->type_be);
	struct ip_addr addr = {0};

	if (type == ETHERTYPE_IPV4) {
		memcpy(addr.b, ((const struct ipv4 *)l3)->dst, 4);
	} else {
		memcpy(addr.b, ((const struct ipv6 *)l3)->dst, 16);
	}
	steer_verdict_pass(punt->shared, frame->slot, type == ETHERTYPE_IPV4 ? IP_V4 : IP_V6, &addr,
			   frame->taken_ns, now_ns + VERDICT_TTL_NS);
}

static void deliver(struct punt *punt, const struct punt_frame *frame)
{
	struct stats_port *stats = &punt->stats->port[frame->slot];
	struct punt_port *port = &punt->port[frame->slot];
	enum punt_class class = class_of(frame->reason);
	uint64_t now_ns = coarse_ns();

	if (now_ns - frame->taken_ns > STEER_STALE_NS) {
		stats_add(&stats->punt_failed, 1);
	} else if (!police_allows(&port->bucket[class], class, now_ns)) {
		stats_add(&stats->punt_policed, 1);
	} else if (write(port->fd, frame->data, frame->len) != (ssize_t)frame->len) {
		stats_add(&stats->punt_failed, 1);
	} else {
		stats_add(&stats->punt_delivered, 1);
		if (frame->elsewhere) {
			tell_verdict_cache(punt, frame, now_ns);
		}
	}
}

static void *punt_main(void *arg)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};
	struct punt *punt = arg;
	struct punt_frame frame;

	pthread_setname_np(pthread_self(), "shunt-punt");
	while (__atomic_load_n(&punt->running, __ATOMIC_ACQUIRE)) {
		struct pollfd pfd = {.fd = punt->wake.fd, .events = POLLIN};

		bool worked = false;

		while (spsc_pop(&punt->todo, &frame)) {
			worked = true;
			deliver(punt, &frame);
			/* Never full: punt_push() admits no more frames than it has room for. */
			spsc_push(&punt->done, &frame.id);
		}
		if (worked) {
			/* More will come: for as long as it does, the worker need not wake us. */
			nanosleep(&nap, NULL);
			continue;
		}
		wake_prepare(&punt->wake);
		if (!spsc_ready(&punt->todo) && __atomic_load_n(&punt->running, __ATOMIC_ACQUIRE)) {
			poll(&pfd, 1, -1);
		}
		wake_done(&punt->wake);
	}
	return NULL;
}

/* One more queue of the TAP; the first creates it, and the kernel picks a free number. */
static int tap_queue(char name[IFNAMSIZ])
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		return errno == ENOENT ? -ENODEV : -errno;
	}
	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	memcpy(name, ifr.ifr_name, IFNAMSIZ);
	return fd;
}

/* IPv6 would announce itself on it; the kernel's own default is to. */
static void tap_silence(const char *name)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = write(fd, "1", 1);

		(void)n; /* noise on an interface of our own, at worst */
		close(fd);
	}
}

static int tap_up(const char *name, uint32_t *ifindex)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0) {
		return -errno;
	}
	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	if (ioctl(fd, SIOCGIFINDEX, &ifr) < 0) {
		goto failed;
	}
	*ifindex = (uint32_t)ifr.ifr_ifindex;
	ifr.ifr_mtu = TAP_MTU;
	if (ioctl(fd, SIOCSIFMTU, &ifr) < 0) {
		goto failed;
	}
	ifr.ifr_flags = IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) == 0) {
		goto out;
	}
failed:
	err = -errno;
out:
	close(fd);
	return err;
}

static int tap_create(struct punt *punt, unsigned ports)
{
	char name[IFNAMSIZ] = "shunt%d";
	int err;

	for (unsigned slot = 0; slot < ports; slot++) {
		int fd = tap_queue(name);

		if (fd < 0) {
			return fd;
		}
		punt->port[punt->port_count++].fd = fd;
	}
	tap_silence(name);
	err = tap_up(name, &punt->ifindex);
	return err ? err : tc_clsact_add(punt->ifindex);
}

int punt_create(struct punt **out, struct steer_shared *shared, struct stats *stats, unsigned ports)
{
	struct punt *punt = calloc(1, sizeof(*punt));
	int err;

	if (!punt) {
		return -ENOMEM;
	}
	punt->shared = shared;
	punt->stats = stats;
	punt->running = true;
	punt->wake.fd = -1;
	err = spsc_init(&punt->todo, PUNT_FRAMES, sizeof(struct punt_frame));
	if (!err) {
		err = spsc_init(&punt->done, PUNT_FRAMES, sizeof(frame_id));
	}
	if (!err) {
		err = wake_init(&punt->wake);
	}
	if (!err) {
		err = tap_create(punt, ports);
	}
	if (!err) {
		err = -pthread_create(&punt->thread, NULL, punt_main, punt);
		punt->started = !err;
	}
	if (err) {
		punt_destroy(punt);
		return err;
	}
	*out = punt;
	return 0;
}

void punt_destroy(struct punt *punt)
{
	if (!punt) {
		return;
	}
	__atomic_store_n(&punt->running, false, __ATOMIC_RELEASE);
	if (punt->started) {
		wake_up(&punt->wake);
		pthread_join(punt->thread, NULL);
	}
	for (unsigned slot = 0; slot < punt->port_count; slot++) {
		punt_prog_close(punt->port[slot].prog);
		close(punt->port[slot].fd);
	}
	wake_free(&punt->wake);
	spsc_free(&punt->todo);
	spsc_free(&punt->done);
	free(punt);
}

int punt_connect(struct punt *punt, unsigned slot, uint32_t ifindex, const struct mac *mac)
{
	struct punt_port *port = &punt->port[slot];
	uint16_t prio = (uint16_t)(slot + 1);
	int err;

	if (!port->prog) {
		err = punt_prog_open(&port->prog, slot);
		if (err) {
			return err;
		}
	}
	if (ifindex) {
		punt_prog_set_mac(port->prog, mac);
	}
	if (ifindex == port->ifindex) {
		return 0;
	}
	err = ifindex ? tc_punt_filter_set(punt->ifindex, prio, punt_prog_fd(port->prog), ifindex)
		      : tc_punt_filter_delete(punt->ifindex, prio);
	if (!err) {
		port->ifindex = ifindex;
	}
	return err;
}

bool punt_push(struct punt *punt, const struct punt_frame *frame)
{
	if (punt->in_flight == PUNT_FRAMES || !spsc_push(&punt->todo, frame)) {
		return false;
	}
	punt->in_flight++;
	return true;
}

void punt_kick(struct punt *punt)
{
	wake_up(&punt->wake);
}

bool punt_done(struct punt *punt, frame_id *id)
{
	if (!spsc_pop(&punt->done, id)) {
		return false;
	}
	punt->in_flight--;
	return true;
}
