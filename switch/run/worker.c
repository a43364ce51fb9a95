/* SPDX-License-Identifier: BSD-2-Clause */
#include "run/worker.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <urcu-qsbr.h>

#include "bpf/shared.h"
#include "path/frame.h"
#include "run/clock.h"
#include "run/punt.h"
#include "run/robust.h"
#include "run/spsc.h"
#include "run/urgent.h"
#include "run/wake.h"

#define COMMANDS_MAX 256u     /* a few a port */
#define EVENTS_MAX 4096u      /* a burst of new stations; more are seen again */
#define EVENTS_KEPT 256u      /* of these for what is said once only: a few a port */
#define IDLE_SPIN_NS 50000u   /* polled this long without work before sleeping */
#define SLEEP_MS 100          /* longest sleep: completions and beats are owed that often */
#define SLEEP_STAGED_MS 1     /* with frames waiting for a full TX ring */
#define DRAIN_NS 200000000ull /* for TX rings to complete before a port is let go */
/* What steer redirected last arrives at the end of the driver's poll (xsk_map_flush()): not let go
 * before; by the coarse clock, which may be a tick behind. */
#define SETTLE_NS 10000000ull
#define LEARN_AGAIN_NS 100000000ull /* the same learn event is not sent more often */
#define LEARN_CACHE 256u            /* direct mapped */
#define NICE (-10)                  /* above ordinary processes (the box's daemons) */

enum command_kind { COMMAND_ADD, COMMAND_DRAIN, COMMAND_REAP };

struct command {
	uint8_t kind; /* enum command_kind */
	uint8_t slot;
	bool gone;
	struct xsk_port *port;
	struct steer_beat *beats;
};

struct queue {
	struct xsk *xsk;
	struct steer_beat *beat;
	uint8_t slot, number; /* the port, and which of its queues */
};

/* What the worker knows of a port slot. */
struct slot {
	struct stats_port_worker *stats;
	unsigned queue_count;
	unsigned tx_count;                 /* the first of them can send */
	struct xsk *xsk[SHUNT_QUEUES_MAX]; /* by queue number */
	bool draining, gone;
	uint64_t settle_until_ns, drain_until_ns;
};

struct learnt {
	struct learn what;
	uint64_t at_ns;
};

struct worker {
	struct worker_conf conf;
	struct path path;
	uint64_t now_ns, last_ns; /* coarse: this round, the one before */
	uint64_t punted;          /* this round */
	bool stopped;             /* this round comes long after the one before */
	unsigned queue_count;
	struct queue queue[WORKER_QUEUES_MAX];
	struct steer_beat no_beat; /* of queues that have no steer (pipes): never asked */
	struct slot slot[SHUNT_PORTS_MAX];
	unsigned draining; /* slots that are */
	struct learnt learnt[LEARN_CACHE];
	struct robust robust; /* tid 0: no thread, nobody to die */
	struct spsc commands, events;
	struct wake command_wake, event_wake;
	bool event_sent; /* this round */
	bool running, started;
	pthread_t thread;
};

static struct stats_port_worker *counters(struct worker *w, unsigned slot)
{
	return w->slot[slot].stats;
}

/* Events ----------------------------------------------------------------------------------- */

static void send_event(struct worker *w, const struct worker_event *event)
{
	if (spsc_push(&w->events, event)) {
		w->event_sent = true;
	}
}

static void learn(struct worker *w, unsigned slot, const struct learn *what)
{
	const struct mac *mac = &what->mac;
	uint32_t hash = (uint32_t)(mac->b[3] << 16 | mac->b[4] << 8 | mac->b[5]) * 2654435761u;
	struct learnt *learnt = &w->learnt[hash >> 24];
	struct worker_event event = {.kind = WORKER_LEARN,
				     .slot = (uint8_t)slot,
				     .vlan = what->vlan,
				     .ifindex = what->ifindex,
				     .mac = *mac};

	if (learnt->what.ifindex == what->ifindex && learnt->what.vlan == what->vlan &&
	    mac_equal(&learnt->what.mac, mac) && w->now_ns - learnt->at_ns < LEARN_AGAIN_NS) {
		return;
	}
	*learnt = (struct learnt){.what = *what, .at_ns = w->now_ns};
	stats_add(&counters(w, slot)->learns, 1);
	if (spsc_room(&w->events) > EVENTS_KEPT) {
		send_event(w, &event);
	}
}

/* Verdicts --------------------------------------------------------------------------------- */

/* Where the frames of a burst go, kept for as long as it is the same port: a run of frames for one
 * port looks it up once, and counts once. */
struct egress {
	struct xsk *xsk; /* NULL: the port is gone */
	struct stats_port_worker *stats;
	unsigned slot;
	uint64_t packets, bytes; /* not yet counted */
};

#define EGRESS_NONE SHUNT_PORTS_MAX

static void egress_count(struct egress *e)
{
	if (e->packets) {
		stats_add(&e->stats->tx_packets, e->packets);
		stats_add(&e->stats->tx_bytes, e->bytes);
	}
}

/* The queue number is the ingress queue's, as far as there are. */
static void egress_turn(struct worker *w, struct egress *e, unsigned slot, unsigned number)
{
	const struct slot *to = &w->slot[slot];

	egress_count(e);
	*e = (struct egress){.stats = to->stats, .slot = slot};
	if (to->tx_count && !to->gone) {
		e->xsk = to->xsk[number < to->tx_count ? number : number % to->tx_count];
	}
}

/* Why it cannot be staged for the egress. */
static void refuse(struct egress *e)
{
	stats_add(&e->stats->drops[e->xsk ? DROP_TX_FULL : DROP_TX_GONE], 1);
}

/* One group of a flood's ports gets the frame; nobody when there was none to copy it to. */
static void spread(struct worker *w, struct egress *e, const struct queue *q, uint64_t slots,
		   const struct xsk_frame *frame)
{
	for (uint64_t left = slots; left; left &= left - 1) {
		egress_turn(w, e, (unsigned)__builtin_ctzll(left), q->number);
		if (!e->xsk || !frame || xsk_stage(e->xsk, frame)) {
			refuse(e);
		} else {
			e->packets++;
			e->bytes += frame->len;
		}
	}
}

/* Frames on a TX ring are read-only, and staging may fill one: all copies come first. */
static void flood(struct worker *w, struct egress *e, const struct queue *q,
		  struct xsk_frame *frame, const struct flood *flood)
{
	struct xsk_frame copy[FLOOD_FORMS_MAX];
	frame_id id[FLOOD_FORMS_MAX];
	unsigned want = flood->count - 1, copies;

	stats_add(&counters(w, q->slot)->flooded, 1);
	copies = want ? (unsigned)umem_take(w->conf.umem, id, want) : 0;
	for (unsigned i = 0; i < copies; i++) {
		copy[i] = (struct xsk_frame){.id = id[i],
					     .len = frame->len,
					     .data = umem_frame(umem_base(w->conf.umem), id[i]) +
						     FRAME_HEADROOM};
		memcpy(copy[i].data, frame->data, frame->len);
		forward_form(flood, i + 1, &copy[i]);
	}
	forward_form(flood, 0, frame);
	spread(w, e, q, flood->group[0].slots, frame);
	for (unsigned i = 0; i < want; i++) {
		spread(w, e, q, flood->group[i + 1].slots, i < copies ? &copy[i] : NULL);
	}
	for (unsigned i = 0; i < copies; i++) {
		xsk_release(w->conf.umem, id[i]);
	}
}

/* True when the frame is the punt thread's now. */
static bool punt(struct worker *w, unsigned slot, const struct xsk_frame *frame,
		 const struct verdict *verdict)
{
	struct stats_port_worker *stats = counters(w, slot);
	struct punt_frame punted = {
		.id = frame->id,
		.len = frame->len,
		.data = frame->data,
		.taken_ns = w->now_ns,
		.slot = (uint8_t)slot,
		.reason = verdict->reason,
		.elsewhere = verdict->elsewhere,
	};

	stats_add(&stats->punted[verdict->reason], 1);
	if (!w->conf.punt) {
		return false;
	}
	/* The ledger first: once pushed, the frame may be back before we look again. */
	umem_punt(w->conf.umem, frame->id);
	if (!punt_push(w->conf.punt, &punted)) {
		umem_punted(w->conf.umem, frame->id);
		stats_add(&stats->drops[DROP_PUNT_FULL], 1);
		return true;
	}
	w->punted++;
	return true;
}

/* What is not sent. True when the frame is still ours. */
static bool carry_out(struct worker *w, struct egress *e, const struct queue *q,
		      struct xsk_frame *frame, const struct verdict *verdict)
{
	if (verdict->kind == VERDICT_FLOOD) {
		flood(w, e, q, frame, &w->path.flood[verdict->slot]);
	} else if (verdict->kind == VERDICT_DROP) {
		stats_add(&counters(w, q->slot)->drops[verdict->reason], 1);
	} else {
		return !punt(w, q->slot, frame, verdict);
	}
	return true;
}

static void carry_out_all(struct worker *w, const struct queue *q, struct xsk_frame *frames,
			  const struct verdict *verdicts, unsigned count)
{
	struct egress egress = {.slot = EGRESS_NONE};

	for (unsigned i = 0; i < count; i++) {
		if (verdicts[i].kind != VERDICT_TX) {
			if (carry_out(w, &egress, q, &frames[i], &verdicts[i])) {
				xsk_release(w->conf.umem, frames[i].id);
			}
			continue;
		}
		if (egress.slot != verdicts[i].slot) {
			egress_turn(w, &egress, verdicts[i].slot, q->number);
		}
		if (!egress.xsk || xsk_send(egress.xsk, &frames[i])) {
			refuse(&egress);
			xsk_release(w->conf.umem, frames[i].id);
		} else {
			egress.packets++;
			egress.bytes += frames[i].len;
		}
	}
	egress_count(&egress);
	for (unsigned i = 0; i < w->path.learn_count; i++) {
		learn(w, q->slot, &w->path.learn[i]);
	}
}

/* Queues ----------------------------------------------------------------------------------- */

/*
 * Did steer give this queue up since the worker was last here? (bpf/shared.h, struct steer_beat)
 * The beat does not tell when the first frame came within the same tick of the clock as the last
 * answer; so after a stop whatever waits is old, on every queue.
 */
static bool is_stale(const struct worker *w, const struct queue *q)
{
	uint64_t asked_ns = __atomic_load_n(&q->beat->asked_ns, __ATOMIC_RELAXED);

	return (asked_ns > q->beat->answered_ns && w->now_ns > asked_ns + STEER_STALE_NS) ||
	       (w->stopped && xsk_rx_ready(q->xsk));
}

static void answer(struct queue *q, uint64_t now_ns)
{
	__atomic_store_n(&q->beat->answered_ns, now_ns, __ATOMIC_RELEASE);
}

static void discard_stale(struct worker *w, struct queue *q)
{
	struct xsk_frame frames[SHUNT_BURST];
	uint64_t count = 0;
	unsigned n;

	/* Rest first: no new frame is redirected while the old ones are thrown away. */
	__atomic_store_n(&q->beat->hold_until_ns, w->now_ns + STEER_CLEAN_NS, __ATOMIC_RELEASE);
	while ((n = xsk_receive(q->xsk, frames, SHUNT_BURST))) {
		for (unsigned i = 0; i < n; i++) {
			xsk_release(w->conf.umem, frames[i].id);
		}
		count += n;
	}
	stats_add(&counters(w, q->slot)->drops[DROP_STALE], count);
}

static unsigned receive(struct worker *w, struct queue *q)
{
	const struct topo_if *in = topo_port(w->path.topo, q->slot);
	struct stats_port_worker *stats = counters(w, q->slot);
	struct xsk_frame frames[SHUNT_BURST];
	struct verdict verdicts[SHUNT_BURST];
	uint64_t bytes = 0;
	unsigned n;

	if (is_stale(w, q)) {
		discard_stale(w, q);
	}
	n = xsk_receive(q->xsk, frames, SHUNT_BURST);
	if (n) {
		for (unsigned i = 0; i < n; i++) {
			bytes += frames[i].len;
		}
		forward(&w->path, in, frames, n, verdicts);
		carry_out_all(w, q, frames, verdicts, n);
		stats_add(&stats->rx_packets, n);
		stats_add(&stats->rx_bytes, bytes);
	}
	if (n || __atomic_load_n(&q->beat->asked_ns, __ATOMIC_RELAXED) > q->beat->answered_ns) {
		answer(q, w->now_ns);
	}
	return n;
}

static void drop_staged(struct worker *w)
{
	for (unsigned i = 0; i < w->queue_count; i++) {
		struct queue *q = &w->queue[i];

		stats_add(&counters(w, q->slot)->drops[DROP_STALE], xsk_unstage(q->xsk));
	}
}

static void take_back_punted(struct worker *w)
{
	frame_id id;

	if (w->punted) {
		punt_kick(w->conf.punt);
		w->punted = 0;
	}
	while (w->conf.punt && punt_done(w->conf.punt, &id)) {
		umem_punted(w->conf.umem, id);
	}
}

/* Commands --------------------------------------------------------------------------------- */

static void let_go(struct worker *w, unsigned slot)
{
	struct worker_event event = {.kind = WORKER_DRAINED, .slot = (uint8_t)slot};
	unsigned kept = 0;

	for (unsigned i = 0; i < w->queue_count; i++) {
		if (w->queue[i].slot == slot) {
			unsigned staged = xsk_staged(w->queue[i].xsk);

			stats_add(&counters(w, slot)->drops[DROP_TX_GONE], staged);
			xsk_detach(w->queue[i].xsk);
			if (w->robust.tid) {
				robust_disown(&w->robust, w->queue[i].beat);
			}
		}
	}
	w->slot[slot] = (struct slot){.stats = counters(w, slot)};
	w->draining--;
	for (unsigned i = 0; i < w->queue_count; i++) {
		if (w->queue[i].slot != slot) {
			w->queue[kept++] = w->queue[i];
		}
	}
	w->queue_count = kept;
	send_event(w, &event);
}

/* Is a frame still on its way in or out by the port? */
static bool slot_busy(const struct slot *slot)
{
	for (unsigned i = 0; i < slot->queue_count; i++) {
		const struct xsk *xsk = slot->xsk[i];

		if (xsk_rx_ready(xsk) || xsk_tx_outstanding(xsk) || xsk_staged(xsk)) {
			return true;
		}
	}
	return false;
}

/* Ports that are given back together wait for each other: what one received may leave by
 * another. */
static void go_on_draining(struct worker *w)
{
	bool busy = false;

	for (unsigned slot = 0; slot < SHUNT_PORTS_MAX; slot++) {
		busy |= w->slot[slot].draining && !w->slot[slot].gone && slot_busy(&w->slot[slot]);
	}
	for (unsigned slot = 0; slot < SHUNT_PORTS_MAX; slot++) {
		struct slot *s = &w->slot[slot];

		if (s->draining && ((!busy && w->now_ns > s->settle_until_ns) || s->gone ||
				    w->now_ns > s->drain_until_ns)) {
			let_go(w, slot);
		}
	}
}

int worker_add_queue(struct worker *w, unsigned slot, struct xsk *xsk, struct steer_beat *beat)
{
	struct slot *owner = &w->slot[slot];
	struct queue *q;

	if (w->queue_count == WORKER_QUEUES_MAX || owner->queue_count == SHUNT_QUEUES_MAX) {
		return -ENOSPC;
	}
	q = &w->queue[w->queue_count++];
	*q = (struct queue){.xsk = xsk,
			    .beat = beat ? beat : &w->no_beat,
			    .slot = (uint8_t)slot,
			    .number = (uint8_t)owner->queue_count};
	owner->xsk[owner->queue_count++] = xsk;
	owner->tx_count = owner->queue_count;
	if (w->robust.tid && beat) {
		robust_own(&w->robust, beat);
	}
	xsk_refill(xsk);
	return 0;
}

static void obey(struct worker *w, const struct command *command)
{
	struct worker_event reaped = {.kind = WORKER_REAPED, .port = command->port};
	struct worker_event added = {.kind = WORKER_ADDED, .slot = command->slot};

	switch ((enum command_kind)command->kind) {
	case COMMAND_ADD:
		for (unsigned i = 0; i < xsk_port_queues(command->port); i++) {
			worker_add_queue(w, command->slot, xsk_port_queue(command->port, i),
					 &command->beats[i]);
		}
		w->slot[command->slot].tx_count = xsk_port_tx_queues(command->port);
		send_event(w, &added);
		break;
	case COMMAND_DRAIN:
		w->draining += !w->slot[command->slot].draining;
		w->slot[command->slot].draining = true;
		w->slot[command->slot].gone = command->gone;
		w->slot[command->slot].settle_until_ns = w->now_ns + SETTLE_NS;
		w->slot[command->slot].drain_until_ns = w->now_ns + DRAIN_NS;
		break;
	case COMMAND_REAP:
		xsk_port_reap(command->port);
		send_event(w, &reaped);
		break;
	}
}

/* The round -------------------------------------------------------------------------------- */

/* Not inlined into its one caller: it is where profiles begin. */
__attribute__((noinline)) unsigned worker_burst(struct worker *w)
{
	struct command command;
	unsigned received = 0;

	w->now_ns = coarse_ns();
	w->stopped = w->last_ns && w->now_ns - w->last_ns > STEER_STALE_NS;
	if (w->stopped) {
		drop_staged(w); /* these are as old */
	}
	while (spsc_pop(&w->commands, &command)) {
		obey(w, &command);
	}
	path_begin(&w->path, w->conf.tables, (uint32_t)(w->now_ns / SECOND_NS));
	for (unsigned i = 0; i < w->queue_count; i++) {
		received += receive(w, &w->queue[i]);
	}
	for (unsigned i = 0; i < w->queue_count; i++) {
		/* Stopped in the middle of this round? Asked as late as can be: once published,
		 * a frame cannot be taken back. */
		if (xsk_staged(w->queue[i].xsk) && coarse_ns() - w->now_ns > STEER_STALE_NS) {
			drop_staged(w);
		}
		xsk_flush(w->queue[i].xsk);
		xsk_complete(w->queue[i].xsk);
		if (!w->slot[w->queue[i].slot].draining) {
			xsk_refill(w->queue[i].xsk);
		}
	}
	take_back_punted(w);
	if (w->draining) {
		go_on_draining(w);
	}
	umem_census(w->conf.umem);
	if (w->event_sent) {
		w->event_sent = false;
		wake_up(&w->event_wake);
	}
	rcu_quiescent_state();
	w->last_ns = w->now_ns;
	if (received) {
		struct stats_worker *stats = &w->conf.stats->worker[w->conf.id];

		stats_add(&stats->bursts, 1);
		stats_add(&stats->rx, received);
	}
	return received;
}

static void sleep_until_work(struct worker *w)
{
	struct pollfd pfds[WORKER_QUEUES_MAX + 1];
	int timeout_ms = w->draining ? SLEEP_STAGED_MS : SLEEP_MS;

	for (unsigned i = 0; i < w->queue_count; i++) {
		pfds[i] = (struct pollfd){.fd = xsk_fd(w->queue[i].xsk), .events = POLLIN};
		if (xsk_staged(w->queue[i].xsk)) {
			timeout_ms = SLEEP_STAGED_MS;
		}
	}
	pfds[w->queue_count] = (struct pollfd){.fd = w->command_wake.fd, .events = POLLIN};
	wake_prepare(&w->command_wake);
	if (!spsc_ready(&w->commands)) {
		rcu_thread_offline();
		poll(pfds, w->queue_count + 1, timeout_ms);
		rcu_thread_online();
	}
	wake_done(&w->command_wake);
	stats_add(&w->conf.stats->worker[w->conf.id].idle_sleeps, 1);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t idle_since_ns = 0;

	pthread_setname_np(pthread_self(), "shunt-worker");
	robust_start(&w->robust);
	urgent(NICE);
	rcu_register_thread();
	while (__atomic_load_n(&w->running, __ATOMIC_ACQUIRE)) {
		if (worker_burst(w)) {
			idle_since_ns = 0;
			continue;
		}
		if (!idle_since_ns) {
			idle_since_ns = clock_ns(CLOCK_MONOTONIC);
		} else if (clock_ns(CLOCK_MONOTONIC) - idle_since_ns > IDLE_SPIN_NS) {
			sleep_until_work(w);
			idle_since_ns = 0;
		}
	}
	rcu_unregister_thread();
	return NULL;
}

/* Control's side --------------------------------------------------------------------------- */

int worker_create(struct worker **out, const struct worker_conf *conf)
{
	struct worker *w = aligned_alloc(64, (sizeof(*w) + 63) & ~(size_t)63);
	int err;

	if (!w) {
		return -ENOMEM;
	}
	memset(w, 0, sizeof(*w));
	w->conf = *conf;
	for (unsigned slot = 0; slot < SHUNT_PORTS_MAX; slot++) {
		w->slot[slot].stats = &conf->stats->port[slot].worker[conf->id];
	}
	w->command_wake.fd = w->event_wake.fd = -1;
	err = spsc_init(&w->commands, COMMANDS_MAX, sizeof(struct command));
	if (!err) {
		err = spsc_init(&w->events, EVENTS_MAX, sizeof(struct worker_event));
	}
	if (!err) {
		err = wake_init(&w->command_wake);
	}
	if (!err) {
		err = wake_init(&w->event_wake);
	}
	if (err) {
		worker_destroy(w);
		return err;
	}
	wake_prepare(&w->event_wake); /* control sleeps whenever it has read all events */
	w->conf.stats->worker[conf->id].cpu = (uint32_t)conf->cpu;
	w->conf.stats->workers = conf->id + 1;
	*out = w;
	return 0;
}

int worker_start(struct worker *w)
{
	pthread_attr_t attr;
	cpu_set_t cpus;
	int err;

	pthread_attr_init(&attr);
	if (w->conf.cpu >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET(w->conf.cpu, &cpus);
		pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	}
	w->running = true;
	err = -pthread_create(&w->thread, &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	w->started = !err;
	return err;
}

void worker_destroy(struct worker *w)
{
	if (!w) {
		return;
	}
	__atomic_store_n(&w->running, false, __ATOMIC_RELEASE);
	if (w->started) {
		wake_up(&w->command_wake);
		pthread_join(w->thread, NULL);
	}
	wake_free(&w->command_wake);
	wake_free(&w->event_wake);
	spsc_free(&w->commands);
	spsc_free(&w->events);
	free(w);
}

static int command(struct worker *w, const struct command *command)
{
	if (!spsc_push(&w->commands, command)) {
		return -EAGAIN;
	}
	wake_up(&w->command_wake);
	return 0;
}

int worker_add(struct worker *w, unsigned slot, struct xsk_port *port, struct steer_beat *beats)
{
	return command(w, &(struct command){.kind = COMMAND_ADD,
					    .slot = (uint8_t)slot,
					    .port = port,
					    .beats = beats});
}

int worker_drain(struct worker *w, unsigned slot, bool gone)
{
	return command(
		w, &(struct command){.kind = COMMAND_DRAIN, .slot = (uint8_t)slot, .gone = gone});
}

int worker_reap(struct worker *w, struct xsk_port *port)
{
	return command(w, &(struct command){.kind = COMMAND_REAP, .port = port});
}

int worker_event_fd(const struct worker *w)
{
	return w->event_wake.fd;
}

bool worker_event(struct worker *w, struct worker_event *event)
{
	if (spsc_pop(&w->events, event)) {
		return true;
	}
	/* All read: ask to be woken again, then look once more, as wake.h has it. */
	wake_done(&w->event_wake);
	wake_prepare(&w->event_wake);
	return spsc_pop(&w->events, event);
}
