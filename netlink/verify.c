// SPDX-License-Identifier: BSD-2-Clause
#include "netlink/verify.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "netlink/compare.h"

/* Datagrams in a slice: half a millisecond; changes wait meanwhile, and nothing waits for this. */
#define DUMP_SLICE 1
#define READ_SIZE (1u << 20)
/* Between the two readings: what is polled, and not notified, has been looked at. */
#define PAUSE_MS 300
#define NO_LIMIT (SIZE_MAX / 4)

/* A set of keys, none of them 0. */
struct keys {
	uint64_t *key;
	size_t count, room;
};

enum state { IDLE, WAITING, READING, COMPARING };

struct verify {
	uint32_t id;
	enum state state;
	unsigned pass;
	uint64_t started_ms, from_ms; /* the verification; when this pass may begin */
	uint32_t generation;          /* of the live mirror's dumps when the pass began */
	enum sync_kind kind;          /* being read */
	struct mirror *fresh;         /* the second mirror */
	struct tables tables;         /* its tables */
	struct compare compare;
	struct keys touched;  /* by notifications since the pass began */
	struct keys suspects; /* what the first pass found */
	struct mirror_difference *difference;
	struct mirror_verdict verdict;
	struct nl_route route; /* scratch */
	bool reaping;          /* a thread frees the former second mirror */
	bool reaped;           /* and is done */
	pthread_t reaper;
};

/* Keys. ------------------------------------------------------------------------------------- */

static size_t keys_place(const struct keys *keys, uint64_t key)
{
	size_t at = (size_t)(key ^ key >> 29) & (keys->room - 1);

	while (keys->key[at] != 0 && keys->key[at] != key) {
		at = (at + 1) & (keys->room - 1);
	}
	return at;
}

static bool keys_have(const struct keys *keys, uint64_t key)
{
	return keys->count > 0 && keys->key[keys_place(keys, key)] != 0;
}

static int keys_add(struct keys *keys, uint64_t key)
{
	if (keys->count * 2 >= keys->room) {
		struct keys bigger = {.room = keys->room != 0 ? keys->room * 2 : 1024};

		bigger.key = calloc(bigger.room, sizeof(*bigger.key));
		if (bigger.key == NULL) {
			return -ENOMEM;
		}
		for (size_t i = 0; i < keys->room; i++) {
			if (keys->key[i] != 0) {
				bigger.key[keys_place(&bigger, keys->key[i])] = keys->key[i];
				bigger.count++;
			}
		}
		free(keys->key);
		*keys = bigger;
	}
	if (!keys_have(keys, key)) {
		keys->key[keys_place(keys, key)] = key;
		keys->count++;
	}
	return 0;
}

static void keys_clear(struct keys *keys)
{
	free(keys->key);
	*keys = (struct keys){0};
}

/* The second mirror. ------------------------------------------------------------------------ */

static int fresh_open(struct verify *verify, const struct mirror *live)
{
	const struct tables_limits limits = {
		.fdb = NO_LIMIT, .neigh = NO_LIMIT, .routes = NO_LIMIT};
	struct mirror *fresh = calloc(1, sizeof(*fresh));
	int error;

	if (fresh == NULL) {
		return -ENOMEM;
	}
	error = tables_create(&verify->tables, &limits);
	if (error != 0) {
		free(fresh);
		return error;
	}
	fresh->tables = &verify->tables;
	fresh->epoll_fd = fresh->timer_fd = fresh->work_fd = -1;
	fresh->sync.running = SYNC_NONE;
	fresh->slot_count = live->slot_count;
	for (unsigned slot = 0; slot < live->slot_count; slot++) {
		memcpy(fresh->slot[slot].name, live->slot[slot].name, SHUNT_IFNAME_SIZE);
	}
	error = nlsock_open(&fresh->ask, NETLINK_ROUTE, READ_SIZE);
	if (error != 0) {
		tables_destroy(&verify->tables);
		free(fresh);
		return error;
	}
	verify->fresh = fresh;
	return 0;
}

static void *reap(void *arg)
{
	struct verify *verify = arg;

	tables_destroy(&verify->tables);
	__atomic_store_n(&verify->reaped, true, __ATOMIC_RELEASE);
	return NULL;
}

/* The tables wait for a grace period, which the control thread must not. */
static void fresh_close(struct verify *verify)
{
	if (verify->fresh == NULL) {
		return;
	}
	nlsock_close(verify->fresh->ask);
	groups_close(verify->fresh);
	links_free(verify->fresh);
	rules_free(verify->fresh);
	nexthops_free(verify->fresh);
	free(verify->fresh);
	verify->fresh = NULL;
	verify->reaped = false;
	verify->reaping = pthread_create(&verify->reaper, NULL, reap, verify) == 0;
	if (!verify->reaping) {
		reap(verify);
	}
}

/* The former second mirror is gone. */
static bool is_reaped(struct verify *verify)
{
	if (!verify->reaping) {
		return true;
	}
	if (!__atomic_load_n(&verify->reaped, __ATOMIC_ACQUIRE)) {
		return false;
	}
	pthread_join(verify->reaper, NULL);
	verify->reaping = false;
	return true;
}

/* Running. ---------------------------------------------------------------------------------- */

static void finish(struct mirror *mirror, int error)
{
	struct verify *verify = mirror->verify;

	verify->verdict.error = error;
	verify->verdict.passes = verify->pass + 1;
	verify->verdict.took_ms = mirror_now_ms() - verify->started_ms;
	verify->verdict.difference = verify->difference;
	verify->state = IDLE;
	keys_clear(&verify->touched);
	keys_clear(&verify->suspects);
	mirror_work(mirror, WORK_VERIFY, false);
	fresh_close(verify);
}

/* Begin a pass (or the same again) after a while. */
static void wait_for_pass(struct mirror *mirror, unsigned pass, unsigned ms)
{
	struct verify *verify = mirror->verify;

	fresh_close(verify);
	keys_clear(&verify->touched);
	if (pass == 0) {
		keys_clear(&verify->suspects);
	}
	verify->pass = pass;
	verify->state = WAITING;
	verify->from_ms = mirror_now_ms() + ms;
	verify->verdict.compared = verify->verdict.left = 0;
	mirror_work(mirror, WORK_VERIFY, false);
}

static void differs(void *arg, uint64_t key, const struct mirror_difference *difference)
{
	struct verify *verify = arg;

	if (verify->pass == 0) {
		if (keys_add(&verify->suspects, key) != 0) {
			verify->verdict.error = -ENOMEM;
		}
		return;
	}
	if (!keys_have(&verify->suspects, key) || keys_have(&verify->touched, key)) {
		return;
	}
	if (verify->verdict.shown < VERIFY_SHOWN) {
		verify->difference[verify->verdict.shown++] = *difference;
	}
	verify->verdict.found++;
}

static int start_reading(struct mirror *mirror)
{
	struct verify *verify = mirror->verify;
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = MIRROR_SOURCE_VERIFY};
	int error = fresh_open(verify, mirror);

	if (error == 0 &&
	    epoll_ctl(mirror->epoll_fd, EPOLL_CTL_ADD, nlsock_fd(verify->fresh->ask), &event) < 0) {
		error = -errno;
	}
	if (error != 0) {
		return error;
	}
	verify->generation = mirror->sync.generation;
	verify->state = READING;
	verify->kind = SYNC_LINK;
	sync_begin(verify->fresh, verify->kind);
	return 0;
}

static int read_some(struct verify *verify)
{
	for (int budget = DUMP_SLICE; budget > 0; budget--) {
		int error;

		if (!sync_running(verify->fresh)) {
			if (verify->fresh->sync.failed) {
				return -EIO;
			}
			verify->kind++;
			if (verify->kind == SYNC_KINDS) {
				return 1;
			}
			sync_begin(verify->fresh, verify->kind);
		}
		error = sync_advance(verify->fresh);
		if (error != 0) {
			return error == -EAGAIN ? 0 : error;
		}
	}
	return 0;
}

/* Both ways. False: more. */
static bool compare_some(struct mirror *mirror)
{
	struct verify *verify = mirror->verify;

	if (compare_slice(&verify->compare)) {
		return false;
	}
	verify->verdict.left += verify->compare.left;
	if (!verify->compare.live) {
		return true;
	}
	verify->verdict.compared = verify->compare.compared;
	verify->compare = (struct compare){
		.from = verify->fresh, .to = mirror, .differs = differs, .arg = verify};
	return false;
}

static void go_on(struct mirror *mirror, bool still)
{
	struct verify *verify = mirror->verify;
	int result = 0;

	switch (verify->state) {
	case IDLE:
		return;
	case WAITING:
		if (still && mirror_now_ms() >= verify->from_ms && is_reaped(verify)) {
			result = start_reading(mirror);
		}
		break;
	case READING:
		result = read_some(verify);
		if (result == 1) {
			verify->compare = (struct compare){.from = mirror,
							   .to = verify->fresh,
							   .live = true,
							   .differs = differs,
							   .arg = verify};
			verify->state = COMPARING;
			result = 0;
		}
		break;
	case COMPARING:
		if (verify->generation != mirror->sync.generation) {
			/* The live mirror has read something itself, which is no notification. */
			wait_for_pass(mirror, verify->pass, PAUSE_MS);
		} else if (still && compare_some(mirror)) {
			result = verify->verdict.error;
			if (result == 0 && verify->pass == 0 && verify->suspects.count > 0) {
				wait_for_pass(mirror, 1, PAUSE_MS);
			} else {
				finish(mirror, result);
			}
		}
		break;
	}
	if (result < 0 && verify->state != IDLE) {
		finish(mirror, result);
	}
}

void verify_slice(struct mirror *mirror, bool still)
{
	struct verify *verify = mirror->verify;

	if (verify == NULL) {
		return;
	}
	go_on(mirror, still);
	if (verify->state != IDLE && mirror_now_ms() - verify->started_ms > VERIFY_PATIENCE_MS) {
		finish(mirror, -EAGAIN);
	}
	/* While the kernel does not hold still the tick looks again, and not the next turn. */
	mirror_work(mirror, WORK_VERIFY, verify->state == COMPARING && still);
}

void verify_notified(struct mirror *mirror, const struct nlmsghdr *message)
{
	struct verify *verify = mirror->verify;
	uint64_t key;

	if (verify == NULL || verify->state < READING) {
		return;
	}
	key = compare_key(message, &verify->route);
	if (key != 0 && keys_add(&verify->touched, key) != 0) {
		finish(mirror, -ENOMEM);
	}
}

int mirror_verify(struct mirror *mirror, uint32_t *id)
{
	struct verify *verify = mirror->verify;

	if (verify == NULL) {
		verify = calloc(1, sizeof(*verify));
		if (verify == NULL) {
			return -ENOMEM;
		}
		verify->difference = calloc(VERIFY_SHOWN, sizeof(*verify->difference));
		if (verify->difference == NULL) {
			free(verify);
			return -ENOMEM;
		}
		mirror->verify = verify;
	}
	if (verify->state != IDLE) {
		return -EBUSY;
	}
	verify->id++;
	verify->started_ms = mirror_now_ms();
	verify->verdict = (struct mirror_verdict){0};
	wait_for_pass(mirror, 0, 0);
	*id = verify->id;
	return 0;
}

int mirror_verified(const struct mirror *mirror, uint32_t id, const struct mirror_verdict **out)
{
	const struct verify *verify = mirror->verify;

	if (verify == NULL || verify->id != id) {
		return -ENOENT;
	}
	if (verify->state != IDLE) {
		return -EAGAIN;
	}
	*out = &verify->verdict;
	return 0;
}

void verify_close(struct mirror *mirror)
{
	struct verify *verify = mirror->verify;

	if (verify == NULL) {
		return;
	}
	fresh_close(verify);
	if (verify->reaping) {
		pthread_join(verify->reaper, NULL);
	}
	keys_clear(&verify->touched);
	keys_clear(&verify->suspects);
	free(verify->difference);
	free(verify);
	mirror->verify = NULL;
}
