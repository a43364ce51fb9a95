/* SPDX-License-Identifier: BSD-2-Clause */
/* guard: what must not be bypassed takes its ports off, says why, and gives them back. */
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

static const struct obstacle obstacles[] = {
	{"nft 'add table inet f; add chain inet f c { type filter hook forward priority 0 ; }'",
	 "nft delete table inet f", "nftables chain inet/f/c hooks forward", true, false, true},
	{"nft 'add table ip f; add chain ip f c { type nat hook postrouting priority 100 ; }'",
	 "nft delete table ip f", "nftables chain ip/f/c hooks postrouting", true, false, true},
	{"nft 'add table bridge f; add chain bridge f c { type filter hook forward priority 0 ; }'",
	 "nft delete table bridge f", "nftables chain bridge/f/c hooks forward", false, true, true},
	{"nft 'add table netdev f; add chain netdev f c { type filter hook ingress device a0 "
	 "priority 0 ; }'",
	 "nft delete table netdev f", "nftables chain netdev/f/c hooks ingress of a0", true, false,
	 false},
	{"sysctl -qw net.bridge.bridge-nf-call-iptables=1; nft 'add table ip f; add chain ip f c { "
	 "type filter hook forward priority 0 ; }'",
	 "nft delete table ip f; sysctl -qw net.bridge.bridge-nf-call-iptables=0",
	 "nftables chain ip/f/c hooks forward", true, true, true},
	{"ip rule add pref 100 from 10.1.1.1 lookup 100", "ip rule del pref 100",
	 "policy rule 100 not understood", true, false, true},
	{"ip -6 rule del pref 32766", "ip -6 rule add pref 32766 lookup main",
	 "policy rule for table main is missing", true, false, true},
	{"tc qdisc add dev a0 clsact", "tc qdisc del dev a0 clsact", "tc clsact qdisc on a0", true,
	 false, false},
	{"tc qdisc add dev b0 ingress", "tc qdisc del dev b0 ingress", "tc ingress qdisc on b0",
	 false, true, true},
	{"tc qdisc add dev a0 root tbf rate 1mbit burst 10k latency 50ms",
	 "tc qdisc del dev a0 root", "qdisc tbf on a0", true, false, false},
	{"ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir fwd action allow",
	 "ip xfrm policy flush", "IPsec policy", true, false, true},
	{"sysctl -qw net.ipv4.ip_forward_use_pmtu=1", "sysctl -qw net.ipv4.ip_forward_use_pmtu=0",
	 "ip_forward_use_pmtu is set", true, false, true},
	{"ip link set b0 type bridge_slave vlan_tunnel on",
	 "ip link set b0 type bridge_slave vlan_tunnel off",
	 "bridge port flag vlan_tunnel (29) is set", false, true, true},
	{"ip link set br0 type bridge stp_state 1; ip link set b1 down; ip link set b1 up",
	 "ip link set br0 type bridge stp_state 0; ip link set b1 down; ip link set b1 up",
	 "bridge br0 has it in state", false, true, true},
	{"tc qdisc add dev br0 clsact", "tc qdisc del dev br0 clsact", "tc clsact qdisc on br0",
	 false, false, true},
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
		assert_non_null(strstr(told[obstacle->a_off ? A : B].reason, obstacle->reason));
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

static void hooks_of_the_machines_own_traffic_are_no_obstacle(void **state)
{
	open_mirror();
	sh("nft 'add table inet f; add chain inet f i { type filter hook input priority 0 ; }; add "
	   "chain inet f o { type filter hook output priority 0 ; }; add chain inet f x'; "
	   "ip link add t0 type veth peer name t1; tc qdisc add dev t0 clsact");
	settle_for(400);
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
	EVENTUALLY(!told[A].fast || fragments_kept(true, false, true));
	if (!told[A].fast) { /* the kernel lists its hooks: routing is off as a whole */
		assert_non_null(strstr(told[A].reason, "netfilter hook"));
		assert_true(fragments_kept(false, false, false));
		return;
	}
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
	sh("nft delete table ip f; nft add table bridge f");
	EVENTUALLY(fragments_kept(true, true, true));
	close_mirror();
	open_mirror_with(true);
	settle_for(150);
	assert_true(fragments_kept(false, false, false));
}

static void netfilter_is_bypassed_when_the_configuration_says_so(void **state)
{
	sh("nft 'add table inet f; add chain inet f c { type filter hook forward priority 0 ; }'");
	open_mirror_with(true);
	assert_free();
	sh("tc qdisc add dev a0 clsact");
	EVENTUALLY(!told[A].fast);
}

static void tcx_program_is_an_obstacle(void **state)
{
	/* r0 = TCX_NEXT; exit */
	struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = -1},
				  {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
			       .insns = (uintptr_t)code,
			       .insn_cnt = 2,
			       .license = (uintptr_t) "GPL"};
	union bpf_attr link = {0};
	int program, fd;

	open_mirror();
	assert_free();
	program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	assert_true(program >= 0);
	link.link_create.prog_fd = (uint32_t)program;
	link.link_create.target_fd = if_nametoindex("a0");
	link.link_create.attach_type = 47; /* BPF_TCX_EGRESS */
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link));
	if (fd < 0 && errno == EINVAL) {
		print_message("no tcx before 6.6\n");
		close(program);
		return;
	}
	assert_true(fd >= 0);
	EVENTUALLY(!told[A].fast && strstr(told[A].reason, "tcx program on the egress of a0"));
	close(fd);
	close(program);
	assert_free();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, lab, unlab)
	const struct CMUnitTest tests[] = {
		TEST(obstacle_takes_its_ports_off_with_a_reason_and_gives_them_back),
		TEST(hooks_of_the_machines_own_traffic_are_no_obstacle),
		TEST(fragments_are_the_kernels_where_conntrack_may_be_unseen),
		TEST(netfilter_is_bypassed_when_the_configuration_says_so),
		TEST(tcx_program_is_an_obstacle),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "test_mirror_guard: must be root\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
