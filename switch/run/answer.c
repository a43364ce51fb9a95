/* SPDX-License-Identifier: BSD-2-Clause */
#include "run/answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>

#include "run/port.h"

#define FDB_MAC_FORMAT "%02x:%02x:%02x:%02x:%02x:%02x"
#define MAC_ARGS(mac) (mac).b[0], (mac).b[1], (mac).b[2], (mac).b[3], (mac).b[4], (mac).b[5]

struct listing {
	FILE *out;
	const struct topo *topo;
};

static const char *dev_name(const struct topo *topo, uint32_t ifindex)
{
	const struct topo_if *iface = topo_if(topo, ifindex);

	return iface ? iface->name : "?";
}

static void print_ip(FILE *out, unsigned family, const struct ip_addr *addr)
{
	char text[INET6_ADDRSTRLEN];

	fputs(inet_ntop(family == IP_V4 ? AF_INET : AF_INET6, addr->b, text, sizeof(text)), out);
}

static void print_dev(FILE *out, const struct topo *topo, uint32_t ifindex)
{
	fputs("\"dev\":", out);
	control_json_string(out, dev_name(topo, ifindex));
}

/* A name where every system has the same, else the number. */
static void print_table(FILE *out, uint32_t table)
{
	static const char *const names[] = {"default", "main", "local"};

	if (table >= RIB_DEFAULT && table <= RIB_LOCAL) {
		fprintf(out, "\"%s\"", names[table - RIB_DEFAULT]);
	} else {
		fprintf(out, "%u", table);
	}
}

/* Destinations are written as iproute2 does: "default", and no length for a host. */
static void print_route(const struct rib_route *route, void *arg)
{
	const struct listing *list = arg;
	const struct rib_key *key = &route->key;
	FILE *out = list->out;

	fputs("{\"dst\":\"", out);
	if (!key->len) {
		fputs("default", out);
	} else {
		print_ip(out, key->family, &key->prefix);
		if (key->len != ip_bits(key->family)) {
			fprintf(out, "/%u", key->len);
		}
	}
	fprintf(out, "\",\"family\":\"%s\",\"table\":", key->family == IP_V4 ? "inet" : "inet6");
	print_table(out, key->table);
	fprintf(out, ",\"metric\":%u,\"nexthops\":[", key->metric);
	for (unsigned i = 0; i < route->count; i++) {
		const struct hop *hop = &route->hop[i];

		fputs(i ? ",{" : "{", out);
		if (hop->has_via) {
			fputs("\"via\":\"", out);
			print_ip(out, hop->via_family, &hop->via);
			fputs("\",", out);
		}
		print_dev(out, list->topo, hop->ifindex);
		fprintf(out, ",\"weight\":%u}", hop->weight);
	}
	fprintf(out, "],\"action\":\"%s\"}\n",
		route->action == NEXTHOP_FORWARD ? "forward" : "kernel");
}

static int answer_route(FILE *out, const char *args, char error[128], void *arg)
{
	const struct answer_sources *from = arg;

	rib_each(from->tables->rib, print_route,
		 &(struct listing){.out = out, .topo = from->tables->topo});
	return 0;
}

static const char *nud_name(uint16_t nud)
{
	static const struct {
		uint16_t nud;
		const char *name;
	} names[] = {{NUD_INCOMPLETE, "INCOMPLETE"}, {NUD_REACHABLE, "REACHABLE"},
		     {NUD_STALE, "STALE"},           {NUD_DELAY, "DELAY"},
		     {NUD_PROBE, "PROBE"},           {NUD_FAILED, "FAILED"},
		     {NUD_NOARP, "NOARP"},           {NUD_PERMANENT, "PERMANENT"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (nud & names[i].nud) {
			return names[i].name;
		}
	}
	return "NONE";
}

static void print_neigh(const struct neigh_entry *entry, void *arg)
{
	static const struct mac none;
	const struct listing *list = arg;

	fputs("{\"dst\":\"", list->out);
	print_ip(list->out, entry->key.family, &entry->key.addr);
	fputs("\",", list->out);
	print_dev(list->out, list->topo, entry->key.ifindex);
	if (!mac_equal(&entry->lladdr, &none)) {
		fprintf(list->out, ",\"lladdr\":\"" FDB_MAC_FORMAT "\"", MAC_ARGS(entry->lladdr));
	}
	fprintf(list->out, ",\"state\":\"%s\"}\n", nud_name(entry->nud));
}

static int answer_neigh(FILE *out, const char *args, char error[128], void *arg)
{
	const struct answer_sources *from = arg;

	neigh_each(from->tables->neigh, print_neigh,
		   &(struct listing){.out = out, .topo = from->tables->topo});
	return 0;
}

static void print_fdb(const struct fdb_entry *entry, void *arg)
{
	static const char *const states[] = {[FDB_DYNAMIC] = "dynamic",
					     [FDB_STATIC] = "static",
					     [FDB_LOCAL] = "local",
					     [FDB_STICKY] = "static",
					     [FDB_LOCKED] = "dynamic"};
	const struct listing *list = arg;

	fprintf(list->out,
		"{\"mac\":\"" FDB_MAC_FORMAT "\",\"vlan\":%u,\"bridge\":", MAC_ARGS(entry->key.mac),
		entry->key.vlan);
	control_json_string(list->out, dev_name(list->topo, entry->key.bridge));
	fputc(',', list->out);
	print_dev(list->out, list->topo, entry->ifindex);
	fprintf(list->out, ",\"state\":\"%s\"}\n", states[entry->state]);
}

static int answer_fdb(FILE *out, const char *args, char error[128], void *arg)
{
	const struct answer_sources *from = arg;

	fdb_each(from->tables->fdb, print_fdb,
		 &(struct listing){.out = out, .topo = from->tables->topo});
	return 0;
}

static int answer_mirror(FILE *out, const char *args, char error[128], void *arg)
{
	static const char *const states[] = {
		[MIRROR_DUMP] = "dump", [MIRROR_LIVE] = "live", [MIRROR_RESYNC] = "resync"};
	const struct answer_sources *from = arg;
	struct mirror_stats stats;

	mirror_stats(from->mirror, &stats);
	fprintf(out,
		"{\"state\":\"%s\",\"resyncs\":%llu,\"routes4\":%zu,\"routes6\":%zu,"
		"\"nexthops\":%zu,\"neighbours\":%zu,\"fdb\":%zu,\"lag_ms\":%llu,"
		"\"messages\":%llu,\"malformed\":%llu,\"overruns\":%llu,"
		"\"lookup_bytes\":%zu}\n",
		states[stats.state], (unsigned long long)stats.resyncs, stats.routes4,
		stats.routes6, stats.nexthops, stats.neighbours, stats.fdb,
		(unsigned long long)stats.lag_ms, (unsigned long long)stats.messages,
		(unsigned long long)stats.malformed, (unsigned long long)stats.overruns,
		rib_lookup_memory(from->tables->rib));
	return 0;
}

static void print_difference(FILE *out, const struct mirror_difference *difference)
{
	fprintf(out, "{\"kind\":\"%s\",\"what\":\"%s\",\"object\":", difference->kind,
		difference->what);
	control_json_string(out, difference->object);
	fputs(",\"table\":", out);
	control_json_string(out, difference->table);
	fputs(",\"kernel\":", out);
	control_json_string(out, difference->kernel);
	fputs("}\n", out);
}

/* "verify" begins and answers with a number; "verify NUMBER" asks how far it is. */
static int answer_verify(FILE *out, const char *args, char error[128], void *arg)
{
	const struct answer_sources *from = arg;
	const struct mirror_verdict *verdict;
	uint32_t id = (uint32_t)strtoul(args, NULL, 10);
	int err;

	if (!*args) {
		err = mirror_verify(from->mirror, &id);
		if (err == -EBUSY) {
			snprintf(error, 128, "another verification is running");
		} else if (!err) {
			fprintf(out, "{\"id\":%u}\n", id);
		}
		return err;
	}
	err = mirror_verified(from->mirror, id, &verdict);
	if (err == -EAGAIN) {
		fputs("{\"state\":\"running\"}\n", out);
		return 0;
	}
	if (err) {
		snprintf(error, 128, "the verification was replaced by another");
		return err;
	}
	if (verdict->error) {
		snprintf(error, 128, "could not compare: %s",
			 verdict->error == -EAGAIN
				 ? "the kernel's configuration does not hold still"
				 : strerror(-verdict->error));
		return verdict->error;
	}
	fprintf(out,
		"{\"state\":\"done\",\"found\":%llu,\"compared\":%llu,\"left\":%llu,"
		"\"passes\":%u,\"took_ms\":%llu}\n",
		(unsigned long long)verdict->found, (unsigned long long)verdict->compared,
		(unsigned long long)verdict->left, verdict->passes,
		(unsigned long long)verdict->took_ms);
	for (unsigned i = 0; i < verdict->shown; i++) {
		print_difference(out, &verdict->difference[i]);
	}
	return 0;
}

static int answer_version(FILE *out, const char *args, char error[128], void *arg)
{
	fputs("{\"daemon\":\"" SHUNT_VERSION "\"}\n", out);
	return 0;
}

/* Bring the stats segment up to date: whoever asked reads it next. */
static int answer_refresh(FILE *out, const char *args, char error[128], void *arg)
{
	const struct answer_sources *from = arg;

	ports_refresh(from->ports);
	return 0;
}

/* "FEATURE IFNAME": what shunt doctor --fix asks for. */
static int answer_fix(FILE *out, const char *args, char error[128], void *arg)
{
	const struct answer_sources *from = arg;
	enum ethtool_feature feature;
	char name[32], ifname[SHUNT_IFNAME_SIZE];
	int err;

	if (sscanf(args, "%31s %15s", name, ifname) != 2) {
		snprintf(error, 128, "expected: fix FEATURE IFNAME");
		return -EINVAL;
	}
	feature = ethtool_feature_by_name(name);
	err = feature == ETHTOOL_FEATURES ? -EINVAL : ports_fix(from->ports, ifname, feature);
	if (err) {
		snprintf(error, 128, "%s of %s cannot be switched off: %s", name, ifname,
			 strerror(-err));
	}
	return err;
}

const struct control_object answer_objects[] = {
	{.name = "route", .answer = answer_route},
	{.name = "neigh", .answer = answer_neigh},
	{.name = "fdb", .answer = answer_fdb},
	{.name = "mirror", .answer = answer_mirror},
	{.name = "verify", .answer = answer_verify},
	{.name = "version", .answer = answer_version},
	{.name = "refresh", .answer = answer_refresh},
	{.name = "fix", .answer = answer_fix, .root = true},
	{.name = NULL},
};
