/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/umem_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define FRAMES_MAX (1u << 22) /* 8 GiB */
#define HUGE_SIZE (2u << 20)  /* bytes of a huge page */
#define CENSUS_TRIES 1000     /* a writer needs less than a microsecond */

/* Huge pages if there are enough: a mapping of them is reserved whole, so that touching it later
 * cannot fail. */
static int map_region(struct umem *umem, size_t size)
{
	const int prot = PROT_READ | PROT_WRITE;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	size_t huge_size = (size + HUGE_SIZE - 1) & ~(size_t)(HUGE_SIZE - 1);
	void *base = MAP_FAILED;

	if (size >= HUGE_SIZE) {
		base = mmap(NULL, huge_size, prot, flags | MAP_HUGETLB, -1, 0);
	}
	umem->huge = base != MAP_FAILED;
	umem->map_size = umem->huge ? huge_size : size;
	if (!umem->huge) {
		base = mmap(NULL, size, prot, flags, -1, 0);
		if (base == MAP_FAILED) {
			return -ENOMEM;
		}
		madvise(base, size, MADV_HUGEPAGE);
	}
	umem->base = base;
	/* A child must not copy pages the kernel has pinned, and a core needs no packets. */
	madvise(base, umem->map_size, MADV_DONTFORK);
	madvise(base, umem->map_size, MADV_DONTDUMP);
	return 0;
}

int umem_create(struct umem **out, size_t frames)
{
	struct umem *umem;
	int err;

	if (frames == 0 || frames > FRAMES_MAX) {
		return -EINVAL;
	}
	umem = calloc(1, sizeof(*umem));
	if (umem == NULL) {
		return -ENOMEM;
	}
	umem->frames = frames;
	err = map_region(umem, frames << FRAME_SHIFT);
	if (err < 0) {
		goto free_umem;
	}
	umem->entry = malloc(frames * sizeof(*umem->entry));
	umem->pool = malloc(frames * sizeof(*umem->pool));
	if (umem->entry == NULL || umem->pool == NULL) {
		err = -ENOMEM;
		goto unmap;
	}
	/* Chunk 0 is taken first. */
	for (size_t i = 0; i < frames; i++) {
		umem->entry[i].word = WORD_POOL;
		umem->pool[i] = (frame_id)(frames - 1 - i);
	}
	umem->pool_count = frames;
	umem_census(umem);
	*out = umem;
	return 0;

unmap:
	free(umem->pool);
	free(umem->entry);
	munmap(umem->base, umem->map_size);
free_umem:
	free(umem);
	return err;
}

void umem_destroy(struct umem *umem)
{
	if (umem == NULL) {
		return;
	}
	munmap(umem->base, umem->map_size);
	free(umem->pool);
	free(umem->entry);
	free(umem);
}

void *umem_base(const struct umem *umem)
{
	return umem->base;
}

size_t umem_size(const struct umem *umem)
{
	return umem->frames << FRAME_SHIFT;
}

size_t umem_frames(const struct umem *umem)
{
	return umem->frames;
}

bool umem_huge(const struct umem *umem)
{
	return umem->huge;
}

size_t umem_take(struct umem *umem, frame_id *ids, size_t count)
{
	if (count > umem->pool_count) {
		count = umem->pool_count;
	}
	for (size_t i = 0; i < count; i++) {
		ids[i] = umem->pool[--umem->pool_count];
		umem->entry[ids[i]].word = WORD_HELD;
	}
	return count;
}

void umem_give(struct umem *umem, const frame_id *ids, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert(umem->entry[ids[i]].role == FRAME_WORKER);
		frame_settle(umem, ids[i]);
	}
}

void umem_punt(struct umem *umem, frame_id id)
{
	union frame_entry *entry = &umem->entry[id];

	/* The punt thread may write to it (checksums), so no TX ring may have it. */
	assert(entry->word == WORD_HELD);
	entry->role = FRAME_PUNT;
	umem->punt++;
}

void umem_punted(struct umem *umem, frame_id id)
{
	assert(umem->entry[id].role == FRAME_PUNT);
	umem->punt--;
	frame_free(umem, id);
}

static void put(uint64_t *field, uint64_t value)
{
	/* relaxed: ordered by the sequence around it */
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

void umem_census(struct umem *umem)
{
	struct frame_census *census = &umem->census;
	uint64_t kernel_tx = umem->on_ring - umem->shared_ring;
	uint64_t pending = umem->on_ring + umem->staged - umem->shared - kernel_tx;
	uint64_t held = umem->pool_count + umem->kernel_rx + kernel_tx + pending + umem->punt +
			umem->limbo;
	uint64_t seq = umem->seq;

	/* relaxed, then a release fence: odd is visible before any field changes */
	__atomic_store_n(&umem->seq, seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	put(&census->total, umem->frames);
	put(&census->role[FRAME_POOL], umem->pool_count);
	put(&census->role[FRAME_KERNEL_RX], umem->kernel_rx);
	put(&census->role[FRAME_WORKER], 0); /* nothing in hand: what is missing, is lost */
	put(&census->role[FRAME_KERNEL_TX], kernel_tx);
	put(&census->role[FRAME_PUNT], umem->punt);
	put(&census->role[FRAME_PENDING], pending);
	put(&census->role[FRAME_LIMBO], umem->limbo);
	__atomic_store_n(&census->lost, (int64_t)(umem->frames - held), __ATOMIC_RELAXED);
	put(&census->quarantined, umem->quarantined);
	/* release: the fields are written before even is visible */
	__atomic_store_n(&umem->seq, seq + 2, __ATOMIC_RELEASE);
}

int umem_census_read(const struct umem *umem, struct frame_census *out)
{
	const struct frame_census *census = &umem->census;

	for (int i = 0; i < CENSUS_TRIES; i++) {
		/* acquire: the fields are read after it */
		uint64_t seq = __atomic_load_n(&umem->seq, __ATOMIC_ACQUIRE);

		if (seq & 1) {
			continue;
		}
		/* relaxed: ordered by the sequence around them */
		out->total = __atomic_load_n(&census->total, __ATOMIC_RELAXED);
		for (int role = 0; role < FRAME_ROLES; role++) {
			out->role[role] = __atomic_load_n(&census->role[role], __ATOMIC_RELAXED);
		}
		out->lost = __atomic_load_n(&census->lost, __ATOMIC_RELAXED);
		out->quarantined = __atomic_load_n(&census->quarantined, __ATOMIC_RELAXED);
		/* acquire fence: the fields are read before the sequence is read again */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&umem->seq, __ATOMIC_RELAXED) == seq) {
			return 0;
		}
	}
	return -EAGAIN;
}

int umem_socket_get(struct umem *umem)
{
	for (unsigned id = 0; id < UMEM_SOCKETS_MAX; id++) {
		uint64_t bit = 1ull << (id % 64);

		if (!(umem->socket_used[id / 64] & bit)) {
			umem->socket_used[id / 64] |= bit;
			return (int)id + 1;
		}
	}
	return -ENOMEM;
}

void umem_socket_put(struct umem *umem, unsigned id)
{
	umem->socket_used[(id - 1) / 64] &= ~(1ull << ((id - 1) % 64));
}
