/* SPDX-License-Identifier: BSD-2-Clause */
#include "run/offload.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "run/log.h"

#define PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path) /* as long as control.sock's */
#define MAC_FORMAT "%02hhx:%02hhx:%02hhx:%02hhx:%02hhx:%02hhx"

struct offload {
	char path[PATH_SIZE], path_new[PATH_SIZE];
	unsigned count;
	struct offload_entry entry[OFFLOAD_MAX];
};

static int path_in(char *path, const char *rundir, const char *name)
{
	int size = snprintf(path, PATH_SIZE, "%s/%s", rundir, name);

	return size < 0 || (size_t)size >= PATH_SIZE ? -ENAMETOOLONG : 0;
}

/* The file. --------------------------------------------------------------------------------- */

/* False: not a line of ours. */
static bool parse(const char *line, struct offload_entry *out)
{
	char feature[32], was[4];
	uint8_t *mac = out->mac.b;

	memset(out, 0, sizeof(*out));
	if (sscanf(line, "%15s %u " MAC_FORMAT " %31s %3s", out->ifname, &out->ifindex, &mac[0],
		   &mac[1], &mac[2], &mac[3], &mac[4], &mac[5], feature, was) != 10) {
		return false;
	}
	out->feature = ethtool_feature_by_name(feature);
	return out->feature != ETHTOOL_FEATURES && out->ifindex != 0 && !strcmp(was, "on");
}

/* How many; -errno, but a file that is not there is empty. */
static int load(const char *path, struct offload_entry *entries, unsigned max)
{
	struct offload_entry entry;
	char line[256];
	unsigned count = 0;
	FILE *file = fopen(path, "re");

	if (!file) {
		return errno == ENOENT ? 0 : -errno;
	}
	while (fgets(line, sizeof(line), file)) {
		if (parse(line, &entry)) {
			if (count < max) {
				entries[count] = entry;
			}
			count++;
		}
	}
	fclose(file);
	return (int)count;
}

static int save(const struct offload *offload)
{
	FILE *file;
	int err = 0;

	if (!offload->count) {
		return unlink(offload->path) && errno != ENOENT ? -errno : 0;
	}
	file = fopen(offload->path_new, "we");
	if (!file) {
		return -errno;
	}
	for (unsigned i = 0; i < offload->count; i++) {
		const struct offload_entry *entry = &offload->entry[i];
		const uint8_t *mac = entry->mac.b;

		fprintf(file, "%s %u " MAC_FORMAT " %s on\n", entry->ifname, entry->ifindex, mac[0],
			mac[1], mac[2], mac[3], mac[4], mac[5],
			ethtool_feature_name(entry->feature));
	}
	if (ferror(file) || fflush(file)) {
		err = -EIO;
	}
	if (fclose(file) && !err) {
		err = -errno;
	}
	if (!err && rename(offload->path_new, offload->path)) {
		err = -errno;
	}
	return err;
}

/* The record. ------------------------------------------------------------------------------- */

static void drop(struct offload *offload, unsigned at)
{
	offload->count--;
	memmove(&offload->entry[at], &offload->entry[at + 1],
		(offload->count - at) * sizeof(offload->entry[0]));
}

/* An ifindex is used again in time; name and address say whether it still is the same interface. */
static bool same_interface(const struct offload_entry *entry)
{
	struct ifreq request = {0};
	int fd, err;

	if (!if_indextoname(entry->ifindex, request.ifr_name)) {
		return false;
	}
	if (!strcmp(request.ifr_name, entry->ifname)) {
		return true;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return false;
	}
	err = ioctl(fd, SIOCGIFHWADDR, &request);
	close(fd);
	return !err && !memcmp(request.ifr_hwaddr.sa_data, entry->mac.b, MAC_SIZE);
}

static void restore(const struct offload_entry *entry)
{
	int err;

	if (!same_interface(entry)) {
		return; /* features go with their interface */
	}
	err = ethtool_feature_set(entry->ifindex, entry->feature, true);
	if (err && err != -ENODEV) {
		log_line("%s: %s could not be switched on again: %s", entry->ifname,
			 ethtool_feature_name(entry->feature), strerror(-err));
	} else if (!err) {
		log_line("%s: %s switched on again", entry->ifname,
			 ethtool_feature_name(entry->feature));
	}
}

static bool among(const char *ifname, const char *const *names, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (!strcmp(ifname, names[i])) {
			return true;
		}
	}
	return false;
}

int offload_open(struct offload **out, const char *rundir, const char *const *names, unsigned count)
{
	struct offload *offload = calloc(1, sizeof(*offload));
	char name[IF_NAMESIZE];
	int err;

	if (!offload) {
		return -ENOMEM;
	}
	err = path_in(offload->path, rundir, "restore");
	err = err ? err : path_in(offload->path_new, rundir, "restore.new");
	err = err ? err : load(offload->path, offload->entry, OFFLOAD_MAX);
	if (err < 0) {
		free(offload);
		return err;
	}
	offload->count = (unsigned)err < OFFLOAD_MAX ? (unsigned)err : OFFLOAD_MAX;
	for (unsigned i = offload->count; i-- > 0;) {
		const struct offload_entry *entry = &offload->entry[i];

		if (!same_interface(entry) || !if_indextoname(entry->ifindex, name) ||
		    !among(name, names, count)) {
			restore(entry);
			drop(offload, i);
		}
	}
	err = save(offload);
	if (err) {
		free(offload);
		return err;
	}
	*out = offload;
	return 0;
}

void offload_close(struct offload *offload)
{
	if (!offload) {
		return;
	}
	for (unsigned i = 0; i < offload->count; i++) {
		restore(&offload->entry[i]);
	}
	offload->count = 0;
	save(offload);
	free(offload);
}

/* Entries of an interface that had this name and is gone: another one has it now.  So there never
 * are more than names and features. */
static void forget_former(struct offload *offload, const char *ifname, uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	for (unsigned i = offload->count; i-- > 0;) {
		const struct offload_entry *entry = &offload->entry[i];

		if (entry->ifindex != ifindex && !strcmp(entry->ifname, ifname) &&
		    !if_indextoname(entry->ifindex, name)) {
			drop(offload, i);
		}
	}
}

static bool recorded(const struct offload *offload, uint32_t ifindex, enum ethtool_feature feature)
{
	for (unsigned i = 0; i < offload->count; i++) {
		if (offload->entry[i].ifindex == ifindex && offload->entry[i].feature == feature) {
			return true;
		}
	}
	return false;
}

int offload_switch_off(struct offload *offload, const char *ifname, uint32_t ifindex,
		       const struct mac *mac, enum ethtool_feature feature)
{
	bool anew = !recorded(offload, ifindex, feature);
	struct offload_entry *entry;
	int err;

	if (anew) {
		forget_former(offload, ifname, ifindex);
		if (offload->count == OFFLOAD_MAX) {
			return -ENOSPC;
		}
		entry = &offload->entry[offload->count];
		*entry = (struct offload_entry){
			.ifindex = ifindex, .mac = *mac, .feature = feature};
		snprintf(entry->ifname, sizeof(entry->ifname), "%s", ifname);
		offload->count++;
		err = save(offload);
		if (err) {
			offload->count--;
			return err;
		}
	}
	err = ethtool_feature_set(ifindex, feature, false);
	if (err && anew) {
		offload->count--;
		save(offload);
	}
	return err;
}

void offload_restore(struct offload *offload, uint32_t ifindex)
{
	unsigned before = offload->count;

	for (unsigned i = offload->count; i-- > 0;) {
		if (offload->entry[i].ifindex == ifindex) {
			restore(&offload->entry[i]);
			drop(offload, i);
		}
	}
	if (offload->count != before) {
		save(offload);
	}
}

/* Does a daemon listen at this directory's control socket? */
static bool daemon_lives(const char *rundir)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	bool lives;
	int fd;

	if (path_in(address.sun_path, rundir, "control.sock")) {
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return false;
	}
	/* EAGAIN: its backlog is full. EACCES: there is one, and we may not ask. */
	lives = !connect(fd, (const struct sockaddr *)&address, sizeof(address)) ||
		errno == EAGAIN || errno == EACCES;
	close(fd);
	return lives;
}

int offload_list(const char *rundir, struct offload_entry *entries, unsigned max, bool *alive)
{
	char path[PATH_SIZE];
	int err = path_in(path, rundir, "restore");

	*alive = daemon_lives(rundir);
	return err ? err : load(path, entries, max);
}
