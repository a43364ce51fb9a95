// SPDX-License-Identifier: BSD-2-Clause
/* One port: its driver, mode, queues, offloads, sizes, and who else depends on it. */
#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "netlink/ethtool.h"

#define TAG_SIZE 4u
#define ETHERNET_SIZE 14u

static void look_at_state(struct doctor *doctor, const struct doctor_port *port)
{
	const struct stats_port *stats = port->port;
	uint32_t state = __atomic_load_n(&stats->state, __ATOMIC_RELAXED);

	if (state == PORT_FAST) {
		doctor_say(
			doctor, stats->reason[0] ? FINDING_NOTE : FINDING_OK, "state", port->name,
			stats->reason[0] ? "fast but for this part, which the kernel does" : NULL,
			"fast, %s%s%s", stats->mode[0] ? stats->mode : "not bound",
			stats->reason[0] ? ": " : "", stats->reason);
	} else if (state == PORT_STALE) {
		doctor_say(doctor, FINDING_FIX, "state", port->name,
			   "the kernel forwards meanwhile; look at the machine's load and the log",
			   "the worker does not answer");
	} else if (state == PORT_DROP) {
		finding_command(
			doctor_say(doctor, FINDING_FIX, "state", port->name,
				   "on_failure \"drop\" keeps its frames from being forwarded",
				   "nobody forwards: %s", stats->reason),
			"shuntd --release -c /etc/shunt/shunt.lua");
	} else if (port->ifindex == 0) {
		finding_command(doctor_say(doctor, FINDING_FIX, "state", port->name,
					   "it is taken as soon as an interface of this name comes",
					   "there is no such interface"),
				"ip link");
	} else if (state == PORT_DOWN) {
		finding_command(doctor_say(doctor, FINDING_NOTE, "state", port->name, NULL,
					   "down: %s", stats->reason),
				"ip link set %s up", port->name);
	} else {
		doctor_say(doctor, FINDING_NOTE, "state", port->name,
			   "everything it receives is forwarded by the kernel", "kernel: %s",
			   stats->reason);
	}
}

static void look_at_mode(struct doctor *doctor, const struct doctor_port *port,
			 const struct ethtool_info *driver)
{
	const char *mode = port->port ? port->port->mode : "";
	const char *name = driver->driver[0] ? driver->driver : "unknown";

	if (driver->xdp_known && !driver->xdp_basic) {
		doctor_say(doctor, port->generic_wanted ? FINDING_OK : FINDING_NOTE, "xdp",
			   port->name,
			   "generic mode: an skb is made for each frame and its bytes are copied",
			   "driver %s has no native XDP", name);
	} else if (!strcmp(mode, "zerocopy")) {
		doctor_say(doctor, FINDING_OK, "xdp", port->name, NULL, "driver %s, zero-copy",
			   name);
	} else if (!strcmp(mode, "generic")) {
		doctor_say(doctor, port->generic_wanted ? FINDING_OK : FINDING_NOTE, "xdp",
			   port->name, "slower than native XDP, which this driver has or may have",
			   port->generic_wanted ? "driver %s, generic as configured"
						: "driver %s, but bound in generic mode",
			   name);
	} else if (driver->xdp_known && !driver->xdp_zerocopy) {
		doctor_say(doctor, FINDING_NOTE, "xdp", port->name,
			   "each frame is copied once in and once out by the kernel; nothing to "
			   "mend, but "
			   "by another NIC or a newer kernel",
			   "driver %s has no zero-copy", name);
	} else if (driver->xdp_known && mode[0]) {
		doctor_say(doctor, FINDING_NOTE, "xdp", port->name,
			   "zero-copy was refused at bind or not asked for (mode = \"copy\"); the "
			   "log says "
			   "which",
			   "driver %s has zero-copy, but it is bound in copy mode", name);
	} else if (!driver->xdp_known) {
		doctor_say(doctor, FINDING_NOTE, "xdp", port->name, NULL,
			   "driver %s; this kernel does not tell what its XDP can do", name);
	}
}

static void look_at_queues(struct doctor *doctor, const struct doctor_port *port,
			   const struct ethtool_info *driver)
{
	unsigned bound = port->port ? port->port->queues : 0, there = driver->rx_queues;
	unsigned workers = doctor->stats ? doctor->stats->workers : 1;
	int spread = ethtool_rss_queues(port->name);

	if (bound && there > bound) {
		finding_command(doctor_say(doctor, FINDING_FIX, "queues", port->name,
					   "frames on the other queues are forwarded by the kernel",
					   "%u of %u receive queues are bound", bound, there),
				"ethtool -L %s combined %u", port->name, bound);
	} else if (there > workers && !port->generic_wanted) {
		finding_command(doctor_say(doctor, FINDING_NOTE, "queues", port->name,
					   "more queues than workers cost interrupts and rings and "
					   "gain nothing",
					   "%u receive queues for %u worker%s", there, workers,
					   workers == 1 ? "" : "s"),
				"ethtool -L %s combined %u", port->name, workers);
	} else if (there) {
		doctor_say(doctor, FINDING_OK, "queues", port->name, NULL, "%u receive queue%s",
			   there, there == 1 ? "" : "s");
	}
	if (spread > 0 && there > 1 && (unsigned)spread < there) {
		finding_command(doctor_say(doctor, FINDING_NOTE, "rss", port->name,
					   "the others get nothing",
					   "RSS spreads flows over %d of %u queues", spread, there),
				"ethtool -X %s equal %u", port->name, there);
	}
}

static void look_at_offloads(struct doctor *doctor, const struct doctor_port *port,
			     const struct ethtool_info *driver)
{
	static const struct {
		enum ethtool_feature feature;
		const char *flag, *means;
	} offloads[] = {
		{ETHTOOL_LRO, "lro", "received frames are merged; drivers then refuse XDP"},
		{ETHTOOL_GRO_HW, "rx-gro-hw",
		 "received frames are merged by the NIC, which then refuses XDP"},
		{ETHTOOL_RX_VLAN, "rxvlan",
		 "the NIC strips VLAN tags to where AF_XDP cannot see them"},
		{ETHTOOL_RX_STAG, "rx-vlan-stag-hw-parse",
		 "the NIC strips 802.1ad tags to where AF_XDP cannot see them"},
	};
	bool generic = port->port && !strcmp(port->port->mode, "generic");
	bool hurts = false;

	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++) {
		bool tag = offloads[i].feature == ETHTOOL_RX_VLAN ||
			   offloads[i].feature == ETHTOOL_RX_STAG;
		bool can = driver->changeable & 1u << offloads[i].feature;
		struct finding *finding;

		/* A stripped tag is seen with the hint, and beside the skb in generic mode. */
		if (!(driver->on & 1u << offloads[i].feature) ||
		    (tag && (driver->vlan_hint || generic))) {
			continue;
		}
		hurts = true;
		finding = doctor_say(doctor, can ? FINDING_FIX : FINDING_NOTE, "offload",
				     port->name, offloads[i].means, "%s is on%s", offloads[i].flag,
				     can ? "" : ", and the driver cannot switch it off");
		if (can) {
			finding_command(finding, "ethtool -K %s %s off", port->name,
					offloads[i].flag);
			finding->fix = ethtool_feature_name(offloads[i].feature);
		}
	}
	if (!strcmp(driver->driver, "veth") || !strcmp(driver->driver, "tun") ||
	    !strcmp(driver->driver, "virtio_net")) {
		doctor_say(doctor, FINDING_NOTE, "checksums", port->name,
			   "what a local stack sends has unfinished checksums: they are finished "
			   "in software, "
			   "tunnels and SCTP are left to the kernel",
			   "driver %s", driver->driver);
	} else if (!hurts) {
		doctor_say(doctor, FINDING_OK, "offload", port->name, NULL,
			   "no offload stands in the way");
	}
}

static void look_at_sizes(struct doctor *doctor, const struct doctor_port *port)
{
	unsigned mtu = (unsigned)doctor_number(0, "/sys/class/net/%s/mtu", port->name);
	unsigned longest = mtu + ETHERNET_SIZE + TAG_SIZE;
	unsigned flags = (unsigned)doctor_number(0, "/sys/class/net/%s/flags", port->name);
	char master[8];

	if (longest > FRAME_ROOM) {
		finding_command(
			doctor_say(
				doctor, FINDING_NOTE, "mtu", port->name,
				"a frame of memory holds 1792 bytes: longer ones are forwarded by "
				"the kernel, one by one",
				"MTU %u", mtu),
			"ip link set %s mtu 1500", port->name);
	} else if (mtu) {
		doctor_say(doctor, FINDING_OK, "mtu", port->name, NULL, "MTU %u fits a frame of %u",
			   mtu, FRAME_ROOM);
	}
	doctor_line(master, sizeof(master), "/sys/class/net/%s/brport/state", port->name);
	if (flags & IFF_PROMISC && !master[0]) {
		finding_command(
			doctor_say(
				doctor, FINDING_NOTE, "promisc", port->name,
				"the NIC receives everybody's frames; those for others are passed "
				"to the kernel, which drops them",
				"promiscuous mode is on"),
			"ip link set %s promisc off", port->name);
	}
}

/* Interrupts on the worker's own core, or all on one. */
static void look_at_interrupts(struct doctor *doctor, const struct doctor_port *port)
{
	char path[64], cpus[64], first[64] = "";
	unsigned count = 0, same = 0;
	struct dirent *entry;
	bool shared = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/net/%s/device/msi_irqs", port->name);
	dir = opendir(path);
	if (!dir) {
		return;
	}
	while ((entry = readdir(dir))) {
		int irq = atoi(entry->d_name);

		if (irq <= 0) {
			continue;
		}
		doctor_line(cpus, sizeof(cpus), "/proc/irq/%d/effective_affinity_list", irq);
		if (!cpus[0]) {
			continue;
		}
		if (!count++) {
			snprintf(first, sizeof(first), "%s", cpus);
		}
		same += !strcmp(first, cpus);
		for (unsigned w = 0; doctor->stats && w < worker_count(doctor->stats); w++) {
			shared |= (int)doctor->stats->worker[w].cpu == atoi(cpus);
		}
	}
	closedir(dir);
	if (count > 1 && same == count) {
		finding_command(doctor_say(doctor, FINDING_NOTE, "irq", port->name,
					   "one core does the NIC's part for all queues",
					   "all %u interrupts are on CPU %s", count, first),
				"systemctl enable --now irqbalance");
	} else if (count && shared) {
		doctor_say(doctor, FINDING_NOTE, "irq", port->name,
			   "they share it: at high rates another core for either is better "
			   "(/proc/irq/N/smp_affinity_list, workers in the configuration)",
			   "an interrupt is on a worker's core");
	} else if (count) {
		doctor_say(doctor, FINDING_OK, "irq", port->name, NULL, "%u interrupts, spread",
			   count);
	}
}

/* Does `ifname` have the address that this session came in by? */
static bool carries_session(const char *ifname)
{
	const char *session = getenv("SSH_CONNECTION"); /* client port server port */
	char client[64], server[64], text[INET6_ADDRSTRLEN];
	struct ifaddrs *list;
	bool found = false;

	if (!session || sscanf(session, "%63s %*s %63s", client, server) != 2 ||
	    getifaddrs(&list)) {
		return false;
	}
	for (struct ifaddrs *at = list; at && !found; at = at->ifa_next) {
		int family = at->ifa_addr ? at->ifa_addr->sa_family : AF_UNSPEC;

		if (strcmp(at->ifa_name, ifname) || (family != AF_INET && family != AF_INET6)) {
			continue;
		}
		inet_ntop(family,
			  family == AF_INET
				  ? (void *)&((struct sockaddr_in *)at->ifa_addr)->sin_addr
				  : (void *)&((struct sockaddr_in6 *)at->ifa_addr)->sin6_addr,
			  text, sizeof(text));
		found = !strcmp(text, server);
	}
	freeifaddrs(list);
	return found;
}

static void look_at_management(struct doctor *doctor, const struct doctor_port *port)
{
	if (carries_session(port->name)) {
		doctor_say(doctor, FINDING_NOTE, "management", port->name,
			   "frames for this machine always pass to the kernel, but a NIC of its "
			   "own for "
			   "management is safer",
			   "this session comes in by this port");
	}
}

void doctor_port(struct doctor *doctor, const struct doctor_port *port)
{
	struct ethtool_info driver;

	if (port->port) {
		look_at_state(doctor, port);
	} else if (!port->ifindex) {
		finding_command(doctor_say(doctor, FINDING_FIX, "state", port->name,
					   "shuntd does not start without it",
					   "there is no such interface"),
				"ip link");
	}
	if (!port->ifindex || ethtool_query(port->name, port->ifindex, &driver)) {
		return;
	}
	look_at_mode(doctor, port, &driver);
	look_at_queues(doctor, port, &driver);
	look_at_offloads(doctor, port, &driver);
	look_at_sizes(doctor, port);
	look_at_interrupts(doctor, port);
	look_at_management(doctor, port);
}
