// SPDX-License-Identifier: BSD-2-Clause
/* The machine and its kernel. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "netlink/features.h"
#include "netlink/guard.h"

static void look_at_sockets(struct doctor *doctor)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		close(fd);
		doctor_say(doctor, FINDING_OK, "af_xdp", "kernel", NULL,
			   "AF_XDP sockets can be made");
	} else if (errno == EAFNOSUPPORT) {
		doctor_say(doctor, FINDING_FIX, "af_xdp", "kernel",
			   "shuntd cannot run: it needs a kernel with CONFIG_XDP_SOCKETS",
			   "this kernel has no AF_XDP sockets");
	} else {
		finding_command(doctor_say(doctor, FINDING_NOTE, "af_xdp", "kernel",
					   "AF_XDP needs CAP_NET_RAW: only root can tell more",
					   "no permission to make an AF_XDP socket"),
				"sudo shunt doctor");
	}
}

static void look_at_version(struct doctor *doctor)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	uname(&name);
	sscanf(name.release, "%u.%u", &major, &minor);
	if (major * 1000 + minor >= 6017) {
		doctor_say(doctor, FINDING_OK, "version", "kernel", NULL, "Linux %s", name.release);
	} else {
		doctor_say(
			doctor, FINDING_NOTE, "version", "kernel",
			"before 6.17 a copy-mode socket sends 32 frames a system call; 6.13 is the "
			"first with zero-copy for virtio_net, 6.8 with VLAN hints for veth",
			"Linux %s", name.release);
	}
	if (access("/sys/kernel/btf/vmlinux", R_OK)) {
		doctor_say(
			doctor, FINDING_NOTE, "btf", "kernel",
			"ports in generic mode stay with the kernel: it cannot be asked for tags "
			"beside a frame (CONFIG_DEBUG_INFO_BTF)",
			"there is no /sys/kernel/btf/vmlinux");
	}
}

static void look_at_jit(struct doctor *doctor)
{
	long jit = doctor_number(-1, "/proc/sys/net/core/bpf_jit_enable");
	long harden = doctor_number(-1, "/proc/sys/net/core/bpf_jit_harden");
	struct finding *finding;

	if (jit == 0) {
		finding = doctor_say(doctor, FINDING_FIX, "bpf_jit", "kernel",
				     "the XDP program is interpreted, several times slower",
				     "bpf_jit_enable is 0");
		finding_command(finding, "sysctl -w net.core.bpf_jit_enable=1");
	} else if (jit > 0) {
		doctor_say(doctor, FINDING_OK, "bpf_jit", "kernel", NULL,
			   "BPF programs are compiled");
	}
	if (harden == 2) {
		finding = doctor_say(
			doctor, FINDING_NOTE, "bpf_jit_harden", "kernel",
			"constants are blinded in root's programs too: the XDP program is slower",
			"bpf_jit_harden is 2");
		finding_command(finding, "sysctl -w net.core.bpf_jit_harden=1");
	}
}

static void look_at_features(struct doctor *doctor)
{
	unsigned missing;

	if (features_missing(&missing)) {
		return;
	}
	for (unsigned i = 0; i < FEATURES; i++) {
		if (missing & 1u << i) {
			doctor_say(doctor, FINDING_NOTE, "feature", "kernel", feature_means(i),
				   "missing in this kernel: %s", feature_name(i));
		}
	}
	if (!missing) {
		doctor_say(doctor, FINDING_OK, "feature", "kernel", NULL,
			   "everything that the mirror follows can be asked for");
	}
}

static long meminfo(const char *what)
{
	char line[128], format[64];
	long value = -1;
	FILE *file = fopen("/proc/meminfo", "re");

	if (!file) {
		return -1;
	}
	snprintf(format, sizeof(format), "%s: %%ld", what);
	while (value < 0 && fgets(line, sizeof(line), file)) {
		if (sscanf(line, format, &value) != 1) {
			value = -1;
		}
	}
	fclose(file);
	return value;
}

static void look_at_memory(struct doctor *doctor)
{
	long total = meminfo("HugePages_Total"), size = meminfo("Hugepagesize");
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	struct frame_census census = {0};

	if (doctor->stats) {
		census = doctor->stats->census;
	}
	if (total > 0) {
		doctor_say(doctor, FINDING_OK, "huge_pages", "machine", NULL,
			   "%ld huge pages of %ld KiB", total, size);
	} else if (size > 0) {
		struct finding *finding = doctor_say(doctor, FINDING_NOTE, "huge_pages", "machine",
						     "the frames lie on ordinary pages: more TLB "
						     "misses at high rates; takes effect "
						     "at the next start",
						     "no huge pages are set aside");
		unsigned long kib = census.total ? census.total * (FRAME_SIZE / 1024) : 65536;

		finding_command(finding, "sysctl -w vm.nr_hugepages=%lu",
				(kib + (unsigned long)size - 1) / (unsigned long)size);
	}
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur != RLIM_INFINITY && geteuid() != 0) {
		doctor_say(
			doctor, FINDING_NOTE, "memlock", "machine",
			"shuntd needs CAP_IPC_LOCK or LimitMEMLOCK=infinity, as its unit has them",
			"this user may lock %lu KiB of memory",
			(unsigned long)limit.rlim_cur / 1024);
	}
	if (census.lost || census.quarantined) {
		doctor_say(doctor, FINDING_FIX, "frames", "daemon",
			   "a bug: please report it with `shunt -j frames` and the log",
			   "%lld frames lost track of, %llu quarantined", (long long)census.lost,
			   (unsigned long long)census.quarantined);
	}
}

/* What the guard finds for the whole machine; what it finds on a device is the port's reason. */
static void look_at_firewall(struct doctor *doctor)
{
	static const char means[] = "never bypassed: the kernel forwards what it could touch "
				    "(netfilter \"bypass\" in the "
				    "configuration accepts that it is not run)";
	struct guard *guard;
	const char *why;

	if (guard_open(&guard, false)) {
		return;
	}
	guard_poll(guard);
	why = guard_routing(guard);
	if (why) {
		finding_command(doctor_say(doctor, FINDING_NOTE, "firewall", "machine", means,
					   "routing is left to the kernel: %s", why),
				"nft list ruleset; iptables-save");
	}
	why = guard_bridging(guard);
	if (why) {
		finding_command(doctor_say(doctor, FINDING_NOTE, "firewall", "machine", means,
					   "bridging is left to the kernel: %s", why),
				"nft list ruleset; ebtables-save");
	}
	if (!guard_routing(guard) && !guard_bridging(guard)) {
		doctor_say(doctor, FINDING_OK, "firewall", "machine", NULL,
			   "no firewall hook touches forwarded frames");
	}
	guard_close(guard);
}

void doctor_machine(struct doctor *doctor)
{
	look_at_sockets(doctor);
	look_at_version(doctor);
	look_at_jit(doctor);
	look_at_features(doctor);
	look_at_memory(doctor);
	look_at_firewall(doctor);
}
