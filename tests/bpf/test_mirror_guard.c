/* SPDX-License-Identifier: BSD-2-Clause */
/* guard: what must not be bypassed takes its ports off, says why, and gives them back. */
/* Alone: its BPF program on netfilter is an obstacle to every daemon on the machine. */
#include "mirror_lab.h"

#include <errno.h>
#include <sys/syscall.h>

#include <linux/bpf.h>

struct obstacle {
	const char *put, *take, *reason;
	bool a_off;   /* the routed port */
	bool b_off;   /* bridging on b0 */
	bool b_no_l3; /* routing by br0 */
};

#define CHAIN(family, name, hook, rest) \
	"nft 'add table " family " f; add chain " family " f " name " { " hook " ; }" rest "'"

static const struct obstacle obstacles[] = {
	{CHAIN("inet", "c", "type filter hook forward priority 0", "; add rule inet f c counter"),
	 "nft delete table inet f", "nftables chain inet f c (forward)", true, false, true},
	{CHAIN("ip", "c", "type filter hook forward priority 0; policy drop", ""),
	 "nft delete table ip f", "nftables chain ip f c (forward)", true, false, true},
	{CHAIN("ip6", "c", "type filter hook prerouting priority -300",
	       "; add rule ip6 f c counter"),
	 "nft delete table ip6 f", "nftables chain ip6 f c (prerouting)", true, false, true},
	{CHAIN("ip", "c", "type nat hook postrouting priority 100", "; add rule ip f c masquerade"),
	 "nft delete table ip f", "nftables chain ip f c (postrouting)", true, false, true},
	{CHAIN("bridge", "c", "type filter hook forward priority 0",
	       "; add rule bridge f c counter"),
	 "nft delete table bridge f", "nftables chain bridge f c (forward)", false, true, true},
	{CHAIN("bridge", "c", "type filter hook input priority 0", "; add rule bridge f c counter"),
	 "nft delete table bridge f", "nftables chain bridge f c (input)", false, false, true},
	{CHAIN("netdev", "c", "type filter hook ingress device a0 priority 0",
	       "; add rule netdev f c counter"),
	 "nft delete table netdev f", "nftables chain netdev f c (ingress) on a0", true, false,
	 false},
	{CHAIN("netdev", "c", "type filter hook egress device a0 priority 0; policy drop", ""),
	 "nft delete table netdev f", "nftables chain netdev f c (egress) on a0", true, false,
	 false},
	{CHAIN("inet", "c", "type filter hook ingress device a0 priority 0",
	       "; add rule inet f c counter"),
	 "nft delete table inet f", "nftables chain inet f c (ingress) on a0", true, false, false},
	{"sysctl -qw net.bridge.bridge-nf-call-iptables=1;" CHAIN(
		 "ip", "c", "type filter hook forward priority 0; policy drop", ""),
	 "nft delete table ip f; sysctl -qw net.bridge.bridge-nf-call-iptables=0",
	 "nftables chain ip f c (forward)", true, true, true},
	{"ip link set br0 type bridge nf_call_iptables 1",
	 "ip link set br0 type bridge nf_call_iptables 0", "nf_call_iptables", false, true, true},
	{"iptables-legacy -A FORWARD -p tcp -j DROP", "iptables-legacy -F FORWARD",
	 "iptables table filter has rules in FORWARD", true, false, true},
	{"iptables-legacy -P FORWARD DROP", "iptables-legacy -P FORWARD ACCEPT",
	 "iptables table filter does not accept in FORWARD", true, false, true},
	{"iptables-legacy -N u; iptables-legacy -t raw -A PREROUTING -j ACCEPT",
	 "iptables-legacy -X u; iptables-legacy -t raw -F",
	 "iptables table raw has rules in PREROUTING", true, false, true},
	{"ip6tables-legacy -t mangle -A POSTROUTING -j ACCEPT", "ip6tables-legacy -t mangle -F",
	 "ip6tables table mangle has rules in POSTROUTING", true, false, true},
	{"ip6tables-legacy -P FORWARD DROP", "ip6tables-legacy -P FORWARD ACCEPT",
	 "ip6tables table filter does not accept in FORWARD", true, false, true},
	{"sysctl -qw net.bridge.bridge-nf-call-iptables=1; iptables-legacy -A FORWARD -j ACCEPT",
	 "iptables-legacy -F FORWARD; sysctl -qw net.bridge.bridge-nf-call-iptables=0",
	 "iptables table filter has rules in FORWARD", true, true, true},
	{"sysctl -qw net.bridge.bridge-nf-call-arptables=1; arptables-legacy -L >/dev/null",
	 "sysctl -qw net.bridge.bridge-nf-call-arptables=0", "arptables table is loaded", false,
	 true, true},
	{"ip rule add pref 100 from 10.1.1.1 fwmark 1 lookup 100", "ip rule del pref 100",
	 "policy rule 100 not understood: fwmark", true, false, true},
	{"ip -6 rule add pref 101 iif a0 ipproto tcp lookup 100", "ip -6 rule del pref 101",
	 "policy rule 101 not understood: ipproto", true, false, false},
	{"ip rule add pref 102 iif br0 dport 53 lookup 100", "ip rule del pref 102",
	 "policy rule 102 not understood: dport", false, false, true},
	{"tc qdisc add dev a0 clsact; tc filter add dev a0 ingress matchall action ok 2>/dev/null "
	 "|| "
	 "tc filter add dev a0 ingress u32 match u32 0 0",
	 "tc qdisc del dev a0 clsact", " on the ingress of a0", true, false, false},
	{"tc qdisc add dev a0 clsact; tc filter add dev a0 egress u32 match u32 0 0",
	 "tc filter del dev a0 egress", "tc filter (u32) on the egress of a0", true, false, false},
	{"tc qdisc add dev b0 ingress; tc filter add dev b0 ingress u32 match u32 0 0",
	 "tc qdisc del dev b0 ingress", "tc filter (u32) on the ingress of b0", false, true, true},
	{"tc qdisc replace dev a0 root tbf rate 1mbit burst 10k latency 50ms",
	 "tc qdisc del dev a0 root", "qdisc tbf on a0", true, false, false},
	{"tc qdisc replace dev a0 root handle 1: mq; tc qdisc replace dev a0 parent 1:2 handle 5: "
	 "htb",
	 "tc qdisc del dev a0 root", "qdisc htb on a0", true, false, false},
	{"ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir fwd action allow",
	 "ip xfrm policy flush", "IPsec policy fwd from 10.1.0.0/16 to 10.2.0.0/16", true, false,
	 true},
	{"ip xfrm policy add dst fd00::/16 dir out action block", "ip xfrm policy flush",
	 "IPsec policy out from ::/0 to fd00::/16", true, false, true},
	{"ip xfrm policy setdefault fwd block", "ip xfrm policy setdefault fwd accept",
	 "IPsec default policy fwd block", true, false, true},
	{"sysctl -qw net.ipv4.ip_forward_use_pmtu=1", "sysctl -qw net.ipv4.ip_forward_use_pmtu=0",
	 "ip_forward_use_pmtu is set", true, false, true},
	{"ip link set b0 type bridge_slave vlan_tunnel on",
	 "ip link set b0 type bridge_slave vlan_tunnel off",
	 "bridge port flag vlan_tunnel (29) is set", false, true, true},
	{"ip link set br0 type bridge stp_state 1; ip link set b1 down; ip link set b1 up",
	 "ip link set br0 type bridge stp_state 0; ip link set b1 down; ip link set b1 up",
	 "bridge br0 has it in state", false, true, true},
	{"tc qdisc add dev br0 clsact; tc filter add dev br0 egress u32 match u32 0 0",
	 "tc qdisc del dev br0 clsact", "tc filter (u32) on the egress of br0", false, false, true},
};

static void assert_free(void)
{
	EVENTUALLY(told[A].fast && told[A].reason[0] == '\0');
	EVENTUALLY(told[B].fast && told[B].l3 && told[B].reason[0] == '\0');
	EVENTUALLY(iface("br0")->flags & TOPO_L3);
}

static void obstacle_takes_its_ports_off_with_a_reason_and_gives_them_back(void **state)
{
	uint64_t worst = 0;

	open_mirror();
	for (size_t i = 0; i < sizeof(obstacles) / sizeof(obstacles[0]); i++) {
		const struct obstacle *obstacle = &obstacles[i];
		uint64_t start, took;

		assert_free();
		sh("%s", obstacle->put);
		start = now_ms();
		EVENTUALLY(told[A].fast == !obstacle->a_off && told[B].fast == !obstacle->b_off &&
			   told[B].l3 == !obstacle->b_no_l3);
		took = now_ms() - start;
		worst = took > worst ? took : worst;
		settle_for(150); /* and no more than these */
		assert_int_equal(told[A].fast, !obstacle->a_off);
		assert_int_equal(told[B].fast, !obstacle->b_off);
		assert_int_equal(told[B].l3, !obstacle->b_no_l3);
		assert_int_equal((iface("b0")->flags & TOPO_L2) != 0, !obstacle->b_off);
		if (strstr(told[obstacle->a_off ? A : B].reason, obstacle->reason) == NULL) {
			fail_msg("not '%s': a0 '%s', b0 '%s'", obstacle->reason, told[A].reason,
				 told[B].reason);
		}
		if (obstacle->b_off && obstacle->reason[0] == 'b') {
			assert_false(flood_ours() && flood_slots() & 1u << B);
		}
		if (obstacle->b_no_l3 && !obstacle->b_off) {
			assert_false(iface("br0")->flags & TOPO_L3);
		}
		sh("%s", obstacle->take);
	}
	assert_free();
	print_message("slowest obstacle was seen after %llu ms\n", (unsigned long long)worst);
}

/* What cannot do anything to a forwarded frame leaves it fast. */
static const struct {
	const char *put, *take;
} harmless[] = {
	/* Debian's /etc/nftables.conf as it is installed. */
	{"nft 'add table inet filter; "
	 "add chain inet filter input { type filter hook input priority filter ; }; "
	 "add chain inet filter forward { type filter hook forward priority filter ; }; "
	 "add chain inet filter output { type filter hook output priority filter ; }'",
	 "nft flush ruleset"},
	{"nft 'add table inet f; add chain inet f x; add rule inet f x drop; "
	 "add chain inet f i { type filter hook input priority 0; policy drop; }; "
	 "add rule inet f i ct state established accept; add rule inet f i tcp dport 22 accept; "
	 "add chain inet f o { type filter hook output priority 0; policy drop; }'",
	 "nft flush ruleset"},
	{CHAIN("ip", "c", "type nat hook postrouting priority 100", ""), "nft flush ruleset"},
	{CHAIN("bridge", "c", "type filter hook forward priority 0", ""), "nft flush ruleset"},
	{CHAIN("netdev", "c", "type filter hook ingress device a0 priority 0", ""),
	 "nft flush ruleset"},
	{CHAIN("arp", "c", "type filter hook input priority 0; policy drop", ""),
	 "nft flush ruleset"},
	{"iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT; "
	 "iptables-nft -P INPUT DROP; iptables-nft -P FORWARD ACCEPT; iptables-nft -t nat -L "
	 ">/dev/null",
	 "nft flush ruleset"},
	{"iptables-legacy -L >/dev/null; iptables-legacy -t nat -L >/dev/null; "
	 "iptables-legacy -t mangle -L >/dev/null; ip6tables-legacy -L >/dev/null; "
	 "iptables-legacy -N u; iptables-legacy -A u -j DROP; iptables-legacy -A INPUT -j u; "
	 "iptables-legacy -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT; "
	 "iptables-legacy -P INPUT DROP; iptables-legacy -P OUTPUT DROP",
	 "iptables-legacy -P INPUT ACCEPT; iptables-legacy -P OUTPUT ACCEPT; iptables-legacy -F; "
	 "iptables-legacy -X u"},
	{"tc qdisc add dev a0 clsact; tc qdisc add dev b0 ingress; tc qdisc add dev br0 clsact",
	 "tc qdisc del dev a0 clsact; tc qdisc del dev b0 ingress; tc qdisc del dev br0 clsact"},
	{"tc qdisc replace dev a0 root pfifo limit 100; tc qdisc replace dev b0 root handle 1: mq",
	 "tc qdisc del dev a0 root; tc qdisc del dev b0 root"},
	/* For the machine itself; and for what goes by an xfrm interface. */
	{"ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir in action block; "
	 "ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir fwd if_id 7 action allow",
	 "ip xfrm policy flush"},
	{"ip link add t0 type veth peer name t1; tc qdisc add dev t0 clsact; "
	 "tc filter add dev t0 ingress u32 match u32 0 0",
	 "ip link del t0"},
};

static void what_cannot_touch_forwarded_frames_is_no_obstacle(void **state)
{
	open_mirror();
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		sh("%s", harmless[i].put);
		port_calls = 0;
		settle_for(300);
		if (port_calls != 0) {
			fail_msg("%s: a0 '%s', b0 '%s'", harmless[i].put, told[A].reason,
				 told[B].reason);
		}
		assert_free();
		sh("%s", harmless[i].take);
	}
}

/* The last rule goes and a first one comes: noticed in both directions, also in a chain that was
 * seen before. */
static void a_chain_counts_from_its_first_rule_to_its_last(void **state)
{
	open_mirror();
	sh(CHAIN("inet", "c", "type filter hook forward priority 0", ""));
	settle_for(200);
	for (int i = 0; i < 3; i++) {
		assert_free();
		sh("nft add rule inet f c tcp dport 9 drop");
		EVENTUALLY(!told[A].fast && !told[B].l3);
		sh("nft flush chain inet f c");
	}
	assert_free();
	sh("nft 'chain inet f c { policy drop; }'");
	EVENTUALLY(!told[A].fast);
	sh("nft 'chain inet f c { policy accept; }'");
	assert_free();
}

/* Which of the routed port, the bridge port and the bridge leave fragments to the kernel. */
static bool fragments_kept(bool a0, bool b0, bool br0)
{
	return !(iface("a0")->flags & TOPO_FRAGMENTS) == !a0 &&
	       !(iface("b0")->flags & TOPO_FRAGMENTS) == !b0 &&
	       !(iface("br0")->flags & TOPO_FRAGMENTS) == !br0;
}

static void fragments_are_the_kernels_where_conntrack_may_be_unseen(void **state)
{
	static const char input[] = "nft 'add table %s f; add chain %s f i { type filter hook "
				    "input priority 0 ; }; add rule %s f i ct state new accept'";

	open_mirror();
	sh("nft 'add table arp f; add table netdev f'");
	settle_for(300);
	assert_true(fragments_kept(false, false, false));
	sh(input, "inet", "inet", "inet");
	EVENTUALLY(fragments_kept(true, false, true));
	assert_free();
	sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1");
	EVENTUALLY(fragments_kept(true, true, true));
	sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
	EVENTUALLY(fragments_kept(true, false, true));
	sh("nft delete table inet f");
	EVENTUALLY(fragments_kept(false, false, false));
	/* In a chain that nothing leads to, conntrack is on all the same. */
	sh("nft 'add table ip f; add chain ip f i; add rule ip f i ct state new accept'");
	EVENTUALLY(fragments_kept(true, false, true));
	sh("nft delete table ip f; iptables-legacy -A INPUT -m conntrack --ctstate NEW");
	EVENTUALLY(fragments_kept(true, false, true));
	sh("iptables-legacy -F; nft 'add table bridge f; add chain bridge f c; add rule bridge f c "
	   "ct state new' 2>/dev/null || nft add table bridge f");
	EVENTUALLY(iface("b0")->flags & TOPO_FRAGMENTS);
	close_mirror();
	open_mirror_with(true);
	settle_for(150);
	assert_true(fragments_kept(false, false, false));
}

static void netfilter_is_bypassed_when_the_configuration_says_so(void **state)
{
	sh(CHAIN("inet", "c", "type filter hook forward priority 0; policy drop", ""));
	sh("iptables-legacy -P FORWARD DROP");
	open_mirror_with(true);
	assert_free();
	sh("tc qdisc add dev a0 clsact; tc filter add dev a0 egress u32 match u32 0 0");
	EVENTUALLY(!told[A].fast);
}

/* A program that does nothing but return this; -1 when the kernel has none of the type. */
static int program(unsigned type, unsigned attach_type, int verdict)
{
	/* r0 = verdict; exit */
	struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = verdict},
				  {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr load = {.prog_type = type,
			       .insns = (uintptr_t)code,
			       .insn_cnt = 2,
			       .license = (uintptr_t) "GPL",
			       .expected_attach_type = attach_type};

	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
}

static int link_program(int fd, const char *ifname, unsigned attach_type, unsigned flags)
{
	union bpf_attr link = {0};

	link.link_create.prog_fd = (uint32_t)fd;
	link.link_create.target_fd = if_nametoindex(ifname);
	link.link_create.attach_type = attach_type;
	link.link_create.flags = flags;
	return (int)syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link));
}

static void tcx_program_is_an_obstacle(void **state)
{
	int next = program(BPF_PROG_TYPE_SCHED_CLS, 0, -1 /* TCX_NEXT */), link;

	open_mirror();
	assert_free();
	assert_true(next >= 0);
	link = link_program(next, "a0", 47 /* BPF_TCX_EGRESS */, 0);
	if (link < 0 && errno == EINVAL) {
		print_message("no tcx before 6.6\n");
		close(next);
		return;
	}
	assert_true(link >= 0);
	EVENTUALLY(!told[A].fast && strstr(told[A].reason, "tcx program on the egress of a0"));
	close(link);
	close(next);
	assert_free();
}

/* A link does not say whose namespace it is in, so this one is seen by every daemon on the machine:
 * for as long as the test needs. */
static void bpf_program_on_netfilter_is_an_obstacle(void **state)
{
	struct {
		uint32_t prog_fd, target_fd, attach_type, flags;
		uint32_t pf, hooknum;
		int32_t priority;
		uint32_t nf_flags;
	} link = {.attach_type = 45, .pf = 2, .hooknum = 2, .priority = -7}; /* ip, forward */
	/* BPF_PROG_TYPE_NETFILTER, BPF_NETFILTER, NF_ACCEPT */
	int accept = program(32, 45, 1), fd;

	if (accept < 0 && errno == EINVAL) {
		print_message("no BPF programs on netfilter before 6.4\n");
		return;
	}
	assert_true(accept >= 0);
	open_mirror();
	assert_free();
	link.prog_fd = (uint32_t)accept;
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link));
	assert_true(fd >= 0);
	EVENTUALLY(!told[A].fast && told[B].fast && !told[B].l3);
	close(fd);
	assert_non_null(strstr(told[A].reason, "netfilter"));
	assert_free();
	link.hooknum = 1;  /* input */
	link.nf_flags = 1; /* BPF_F_NETFILTER_IP_DEFRAG */
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link));
	assert_true(fd >= 0);
	EVENTUALLY(iface("a0")->flags & TOPO_FRAGMENTS);
	close(fd);
	close(accept);
	assert_free();
	EVENTUALLY(!(iface("a0")->flags & TOPO_FRAGMENTS));
}

static void xdp_program_on_a_bridge_is_an_obstacle_to_routing_by_it(void **state)
{
	int pass = program(BPF_PROG_TYPE_XDP, 0, 2 /* XDP_PASS */), link;

	open_mirror();
	assert_free();
	assert_true(pass >= 0);
	link = link_program(pass, "br0", BPF_XDP, 2 /* XDP_FLAGS_SKB_MODE */);
	assert_true(link >= 0);
	EVENTUALLY(told[B].fast && !told[B].l3 && strstr(told[B].reason, "XDP program"));
	close(link);
	close(pass);
	assert_free();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab, unlab)
	const struct CMUnitTest tests[] = {
		TEST(obstacle_takes_its_ports_off_with_a_reason_and_gives_them_back),
		TEST(what_cannot_touch_forwarded_frames_is_no_obstacle),
		TEST(a_chain_counts_from_its_first_rule_to_its_last),
		TEST(fragments_are_the_kernels_where_conntrack_may_be_unseen),
		TEST(netfilter_is_bypassed_when_the_configuration_says_so),
		TEST(tcx_program_is_an_obstacle),
		TEST(bpf_program_on_netfilter_is_an_obstacle),
		TEST(xdp_program_on_a_bridge_is_an_obstacle_to_routing_by_it),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "test_mirror_guard: must be root\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
