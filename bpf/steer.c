// SPDX-License-Identifier: BSD-2-Clause
#include "bpf/steer.h"

#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/log.h"
#include "bpf/steer.skel.h"
#include "bpf/steer_hint.skel.h"
#include "bpf/watch.skel.h"
#include "limits.h"

#define STEER_NAME "shunt_steer" /* the program's name in the kernel: how we know our own */

/* Since 6.3; the flag is UAPI, the headers built against may be older. */
#ifndef BPF_F_XDP_DEV_BOUND_ONLY
#define BPF_F_XDP_DEV_BOUND_ONLY (1U << 6)
#endif

/* The maps that all ports' programs use together. */
enum {
	SHARED_LOCAL4,
	SHARED_LOCAL6,
	SHARED_VERDICT4,
	SHARED_VERDICT6,
	SHARED_MACS,
	SHARED_ELSEWHERE,
	SHARED_GROUPS,
	SHARED_COMMON,
	SHARED_NOTES,
	SHARED_MAPS
};

static const char *const shared_names[SHARED_MAPS] = {
	"local4",    "local6", "verdict4", "verdict6", "macs",
	"elsewhere", "groups", "common",   "notes",
};

struct steer_shared {
	struct bpf_object *object; /* no program, only the maps */
	int fd[SHARED_MAPS];
	struct steer_common *common; /* mapped, a page */
	struct watch_bpf *watch;
};

struct steer {
	struct bpf_object *object;
	int prog_fd, xsks_fd, cpus_fd;
	int link_fd;      /* stance "kernel", attached; else -1 */
	bool attached;    /* stance "drop", attached by us */
	uint32_t program; /* the ID of what prog_fd is */
	struct steer_conf conf;
	struct steer_beat *beats;              /* mapped */
	struct steer_description *description; /* mapped */
};

/* Map the values of an array map. */
static void *steer_map(int fd, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

static struct bpf_object *steer_object(bool hint)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "steer");
	const void *bytes;
	size_t size;

	bytes = hint ? steer_hint_bpf__elf_bytes(&size) : steer_bpf__elf_bytes(&size);
	return bpf_object__open_mem(bytes, size, &opts);
}

static int shared_load(struct steer_shared *shared)
{
	struct bpf_program *prog;
	struct bpf_map *map;
	int ret;

	shared->object = steer_object(false);
	if (!shared->object) {
		return -errno;
	}
	bpf_object__for_each_program(prog, shared->object)
	{
		bpf_program__set_autoload(prog, false);
	}
	bpf_object__for_each_map(map, shared->object)
	{
		bpf_map__set_autocreate(map, false);
	}
	for (int i = 0; i < SHARED_MAPS; i++) {
		map = bpf_object__find_map_by_name(shared->object, shared_names[i]);
		if (!map) {
			return -ENOENT;
		}
		bpf_map__set_autocreate(map, true);
	}
	ret = bpf_object__load(shared->object);
	if (ret) {
		return ret;
	}
	for (int i = 0; i < SHARED_MAPS; i++) {
		shared->fd[i] = bpf_object__find_map_fd_by_name(shared->object, shared_names[i]);
	}
	shared->common = steer_map(shared->fd[SHARED_COMMON], sizeof(*shared->common));
	return shared->common ? 0 : -errno;
}

int steer_shared_create(struct steer_shared **out)
{
	struct steer_shared *shared;
	int ret;

	bpf_log_capture();
	bpf_log_clear();
	shared = calloc(1, sizeof(*shared));
	if (!shared) {
		return -ENOMEM;
	}
	ret = shared_load(shared);
	if (ret) {
		steer_shared_destroy(shared);
		return ret;
	}
	*out = shared;
	return 0;
}

void steer_shared_destroy(struct steer_shared *shared)
{
	if (!shared) {
		return;
	}
	watch_bpf__destroy(shared->watch);
	if (shared->common) {
		munmap(shared->common, sizeof(*shared->common));
	}
	bpf_object__close(shared->object);
	free(shared);
}

int steer_local_add(struct steer_shared *shared, enum ip_family family, const struct ip_addr *addr)
{
	int fd = shared->fd[family == IP_V4 ? SHARED_LOCAL4 : SHARED_LOCAL6];
	uint32_t here = 1;
	int ret = bpf_map_update_elem(fd, addr->b, &here, BPF_ANY);

	return ret == -E2BIG ? -ENOSPC : ret;
}

int steer_local_delete(struct steer_shared *shared, enum ip_family family,
		       const struct ip_addr *addr)
{
	int fd = shared->fd[family == IP_V4 ? SHARED_LOCAL4 : SHARED_LOCAL6];

	return bpf_map_delete_elem(fd, addr->b);
}

int steer_verdict_pass(struct steer_shared *shared, unsigned slot, enum ip_family family,
		       const struct ip_addr *addr, uint64_t made_ns, uint64_t until_ns)
{
	struct steer_verdict verdict = {
		.made_ns = made_ns, .until_ns = until_ns, .action = STEER_VERDICT_PASS};
	struct steer_verdict4_key key4 = {.slot = slot};
	struct steer_verdict6_key key6 = {.slot = slot};
	int ret;

	if (family == IP_V4) {
		memcpy(&key4.addr, addr->b, sizeof(key4.addr));
		ret = bpf_map_update_elem(shared->fd[SHARED_VERDICT4], &key4, &verdict, BPF_ANY);
	} else {
		memcpy(key6.addr, addr->b, sizeof(key6.addr));
		ret = bpf_map_update_elem(shared->fd[SHARED_VERDICT6], &key6, &verdict, BPF_ANY);
	}
	if (ret == 0 &&
	    __atomic_load_n(&shared->common->verdict_end_ns, __ATOMIC_RELAXED) < until_ns) {
		__atomic_store_n(&shared->common->verdict_end_ns, until_ns, __ATOMIC_RELAXED);
	}
	return ret;
}

void steer_verdict_flush(struct steer_shared *shared, uint64_t now_ns)
{
	__atomic_store_n(&shared->common->verdict_since_ns, now_ns, __ATOMIC_RELAXED);
}

/* A set, and its count that steer looks at first. */
static int set_add(struct steer_shared *shared, int map, const void *key, uint32_t *count)
{
	uint32_t here = 1;
	int ret = bpf_map_update_elem(shared->fd[map], key, &here, BPF_NOEXIST);

	if (ret == -EEXIST) {
		return 0;
	}
	if (ret == 0) {
		__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
	}
	return ret == -E2BIG ? -ENOSPC : ret;
}

static int set_delete(struct steer_shared *shared, int map, const void *key, uint32_t *count)
{
	int ret = bpf_map_delete_elem(shared->fd[map], key);

	if (ret == 0) {
		__atomic_fetch_sub(count, 1, __ATOMIC_RELAXED);
	}
	return ret;
}

int steer_mac_set(struct steer_shared *shared, unsigned slot, uint16_t vid, const struct mac *mac,
		  bool there)
{
	struct steer_mac_key key = {.slot = slot, .vid = vid};

	memcpy(key.mac, mac->b, sizeof(key.mac));
	return (there ? set_add : set_delete)(shared, SHARED_MACS, &key, &shared->common->macs);
}

int steer_elsewhere_set(struct steer_shared *shared, uint32_t bridge, uint16_t vid,
			const struct mac *mac, bool there)
{
	struct steer_elsewhere_key key = {.bridge = bridge, .vid = vid};

	memcpy(key.mac, mac->b, sizeof(key.mac));
	return (there ? set_add : set_delete)(shared, SHARED_ELSEWHERE, &key,
					      &shared->common->elsewhere);
}

int steer_group_set(struct steer_shared *shared, const struct steer_group_key *group, bool there)
{
	return (there ? set_add : set_delete)(shared, SHARED_GROUPS, group,
					      &shared->common->groups);
}

static int steer_load(struct steer *steer, const struct steer_shared *shared)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	struct bpf_program *prog;
	int ret;

	steer->object = steer_object(steer->conf.vlan_hint);
	if (!steer->object) {
		return -errno;
	}
	for (int i = 0; i < SHARED_MAPS; i++) {
		ret = bpf_map__reuse_fd(
			bpf_object__find_map_by_name(steer->object, shared_names[i]),
			shared->fd[i]);
		if (ret) {
			return ret;
		}
	}
	prog = bpf_object__find_program_by_name(steer->object, STEER_NAME);
	if (steer->conf.vlan_hint) {
		/* A kfunc of the driver's can only be called by a program for that device. */
		bpf_program__set_flags(prog, bpf_program__flags(prog) | BPF_F_XDP_DEV_BOUND_ONLY);
		bpf_program__set_ifindex(prog, steer->conf.ifindex);
	}
	ret = bpf_object__load(steer->object);
	if (ret) {
		return ret == -EPERM || ret == -ENOMEM ? ret : -EOPNOTSUPP;
	}
	steer->prog_fd = bpf_program__fd(prog);
	ret = bpf_obj_get_info_by_fd(steer->prog_fd, &info, &size);
	if (ret) {
		return ret;
	}
	steer->program = info.id;
	steer->xsks_fd = bpf_object__find_map_fd_by_name(steer->object, "xsks");
	steer->cpus_fd = bpf_object__find_map_fd_by_name(steer->object, "cpus");
	steer->beats = steer_map(bpf_object__find_map_fd_by_name(steer->object, "beats"),
				 sizeof(*steer->beats) * SHUNT_QUEUES_MAX);
	steer->description = steer_map(
		bpf_object__find_map_fd_by_name(steer->object, "description"),
		sizeof(*steer->description));
	return steer->beats && steer->description ? 0 : -ENOMEM;
}

int steer_open(struct steer **out, struct steer_shared *shared, const struct steer_conf *conf)
{
	struct steer *steer;
	int ret;

	bpf_log_clear();
	if (conf->queues > SHUNT_QUEUES_MAX || (conf->generic && conf->vlan_hint)) {
		return -EINVAL;
	}
	steer = calloc(1, sizeof(*steer));
	if (!steer) {
		return -ENOMEM;
	}
	steer->conf = *conf;
	steer->link_fd = -1;
	ret = steer_load(steer, shared);
	if (ret) {
		steer_close(steer);
		return ret;
	}
	/* Until the caller describes the port: everything to the kernel, or to nobody. */
	steer->description->port[0].flags = conf->drop ? STEER_PORT_DROP : 0;
	*out = steer;
	return 0;
}

const char *steer_error(void)
{
	return bpf_log_last();
}

/* The XDP program in `mode` (XDP_FLAGS_*_MODE) of an interface. */
struct steer_found {
	int fd; /* -1: none */
	bool ours;
	uint32_t mode;
};

static int steer_find_id(uint32_t id, uint32_t mode, struct steer_found *found)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	int ret;

	found->fd = bpf_prog_get_fd_by_id(id);
	if (found->fd < 0) {
		return found->fd;
	}
	ret = bpf_obj_get_info_by_fd(found->fd, &info, &size);
	if (ret) {
		close(found->fd);
		found->fd = -1;
		return ret;
	}
	found->ours = strcmp(info.name, STEER_NAME) == 0;
	found->mode = mode;
	return 0;
}

/* Look at the interface: 0 with found->fd -1 when there is none. Caller closes the fd. */
static int steer_find(uint32_t ifindex, struct steer_found *found)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	char name[IF_NAMESIZE];
	int ret;

	found->fd = -1;
	found->ours = false;
	if (!if_indextoname(ifindex, name)) {
		return -ENODEV; /* bpf_xdp_query() would say -EINVAL */
	}
	ret = bpf_xdp_query((int)ifindex, 0, &query);
	if (ret) {
		return ret;
	}
	if (query.drv_prog_id) {
		return steer_find_id(query.drv_prog_id, XDP_FLAGS_DRV_MODE, found);
	}
	if (query.skb_prog_id) {
		return steer_find_id(query.skb_prog_id, XDP_FLAGS_SKB_MODE, found);
	}
	if (query.hw_prog_id) {
		return steer_find_id(query.hw_prog_id, XDP_FLAGS_HW_MODE, found);
	}
	return 0;
}

static int steer_detach_fd(uint32_t ifindex, uint32_t mode, int prog_fd)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = prog_fd);

	return bpf_xdp_detach((int)ifindex, mode | XDP_FLAGS_REPLACE, &opts);
}

/* By netlink: stays when the process goes. Replaces our own in the same mode in one step. */
static int steer_attach_drop(struct steer *steer, uint32_t mode, const struct steer_found *found)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	uint32_t flags = mode | XDP_FLAGS_UPDATE_IF_NOEXIST;
	int ret;

	if (found->ours && found->mode == mode) {
		opts.old_prog_fd = found->fd;
		flags = mode | XDP_FLAGS_REPLACE;
	}
	ret = bpf_xdp_attach((int)steer->conf.ifindex, steer->prog_fd, flags, &opts);
	steer->attached = ret == 0;
	return ret;
}

/* By a link: goes with the process. */
static int steer_attach_link(struct steer *steer, uint32_t mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode);
	int fd;

	fd = bpf_link_create(steer->prog_fd, (int)steer->conf.ifindex, BPF_XDP, &opts);
	if (fd < 0) {
		return fd;
	}
	steer->link_fd = fd;
	return 0;
}

int steer_attach(struct steer *steer)
{
	uint32_t mode = steer->conf.generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
	struct steer_found found;
	int ret;

	bpf_log_clear();
	if (steer->link_fd >= 0 || steer->attached) {
		return -EALREADY;
	}
	ret = steer_find(steer->conf.ifindex, &found);
	if (ret) {
		return ret;
	}
	if (found.fd >= 0 && !found.ours) {
		ret = -EBUSY;
		goto out;
	}
	/* What an earlier daemon's "drop" left cannot be replaced by a link, nor across modes. One
	 * that is held by a living daemon's link refuses this (-EBUSY). */
	if (found.fd >= 0 && (!steer->conf.drop || found.mode != mode)) {
		ret = steer_detach_fd(steer->conf.ifindex, found.mode, found.fd);
		if (ret) {
			goto out;
		}
		close(found.fd);
		found.fd = -1;
		found.ours = false;
	}
	ret = steer->conf.drop ? steer_attach_drop(steer, mode, &found)
			       : steer_attach_link(steer, mode);
	if (ret == -EEXIST) {
		ret = -EBUSY; /* a program in the other mode, or on an upper device */
	}
out:
	if (found.fd >= 0) {
		close(found.fd);
	}
	return ret;
}

void steer_detach(struct steer *steer)
{
	if (steer->link_fd >= 0) {
		bpf_link_detach(steer->link_fd); /* now, whoever else may hold the link */
		close(steer->link_fd);
		steer->link_fd = -1;
	}
	if (steer->attached) {
		/* Refused when it is no longer ours that is there: then there is nothing to do. */
		steer_detach_fd(steer->conf.ifindex,
				steer->conf.generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE,
				steer->prog_fd);
		steer->attached = false;
	}
}

/* A link leaves with its interface, or when somebody says so (BPF_LINK_DETACH); its program may be
 * exchanged (BPF_LINK_UPDATE). */
static bool link_displaced(const struct steer *steer)
{
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(steer->link_fd, &info, &size) == 0 &&
	       (info.xdp.ifindex != steer->conf.ifindex || info.prog_id != steer->program);
}

bool steer_displaced(const struct steer *steer,
		     int (*on_interface)(void *arg, uint32_t ifindex, uint32_t *program), void *arg)
{
	uint32_t program;

	if (steer->link_fd >= 0) {
		return link_displaced(steer);
	}
	return steer->attached && on_interface(arg, steer->conf.ifindex, &program) == 0 &&
	       program != steer->program;
}

void steer_close(struct steer *steer)
{
	if (!steer) {
		return;
	}
	if (steer->link_fd >= 0) {
		steer_detach(steer);
	}
	if (steer->beats) {
		munmap(steer->beats, sizeof(*steer->beats) * SHUNT_QUEUES_MAX);
	}
	if (steer->description) {
		munmap(steer->description, sizeof(*steer->description));
	}
	bpf_object__close(steer->object);
	free(steer);
}

int steer_prog_fd(const struct steer *steer)
{
	return steer->prog_fd;
}

int steer_set_socket(struct steer *steer, unsigned queue, int xsk_fd)
{
	if (queue >= SHUNT_QUEUES_MAX) {
		return -EINVAL;
	}
	return bpf_map_update_elem(steer->xsks_fd, &queue, &xsk_fd, BPF_ANY);
}

int steer_configure(struct steer *steer, const struct steer_port *port)
{
	struct steer_description *to = steer->description;
	uint32_t next = to->generation + 1;

	to->port[next % STEER_COPIES] = *port;
	__atomic_store_n(&to->generation, next, __ATOMIC_RELEASE);
	return 0;
}

struct steer_beat *steer_beats(struct steer *steer)
{
	return steer->beats;
}

int steer_counters(const struct steer *steer, struct steer_counters *out)
{
	int cpus = libbpf_num_possible_cpus();
	struct steer_cpu *per_cpu;
	uint32_t zero = 0;
	int ret;

	if (cpus < 0) {
		return cpus;
	}
	per_cpu = calloc((size_t)cpus, sizeof(*per_cpu));
	if (!per_cpu) {
		return -ENOMEM;
	}
	ret = bpf_map_lookup_elem(steer->cpus_fd, &zero, per_cpu);
	if (ret == 0) {
		memset(out, 0, sizeof(*out));
		for (int cpu = 0; cpu < cpus; cpu++) {
			const struct steer_counters *one = &per_cpu[cpu].counters;

			out->redirected += one->redirected;
			out->redirected_bytes += one->redirected_bytes;
			out->dropped += one->dropped;
			for (int i = 0; i < STEER_REASON_COUNT; i++) {
				out->passed[i] += one->passed[i];
			}
		}
	}
	free(per_cpu);
	return ret;
}

int steer_occupied(uint32_t ifindex)
{
	struct steer_found found;
	int ret;

	ret = steer_find(ifindex, &found);
	if (ret) {
		return ret;
	}
	if (found.fd < 0) {
		return 0;
	}
	close(found.fd);
	return !found.ours;
}

int steer_release(uint32_t ifindex)
{
	struct steer_found found;
	int ret;

	bpf_log_clear();
	ret = steer_find(ifindex, &found);
	if (ret || found.fd < 0) {
		return ret;
	}
	if (found.ours) {
		ret = steer_detach_fd(ifindex, found.mode, found.fd);
	}
	close(found.fd);
	return ret;
}

int steer_watch_skb(struct steer_shared *shared)
{
	struct watch_bpf *watch;
	int ret;

	if (shared->watch) {
		return 0;
	}
	bpf_log_clear();
	watch = watch_bpf__open();
	if (!watch) {
		return -errno;
	}
	ret = bpf_map__reuse_fd(watch->maps.notes, shared->fd[SHARED_NOTES]);
	if (ret == 0) {
		ret = watch_bpf__load(watch);
	}
	if (ret == 0) {
		ret = watch_bpf__attach(watch);
	}
	if (ret) {
		watch_bpf__destroy(watch);
		return ret;
	}
	shared->watch = watch;
	return 0;
}
