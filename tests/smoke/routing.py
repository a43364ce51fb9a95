# SPDX-License-Identifier: BSD-2-Clause
"""Policy rules, next-hop objects, several paths: what `ip route get` says of a packet is where it goes."""
import random
import subprocess
import time

from wire import (MODE, Packet, addr4, addr6, check_routed, cross, eth, ethertype, gateway_mac, host_mac, ip4,
                  ip6, routed_frames, run, same, sh, shunt, test, token, udp, wait_state)

SOON = 0.3  # seconds a notification may take, or a sysctl that is polled
FLOWS = 120


def settled(*commands):
    for command in commands:
        sh(command)
    time.sleep(SOON)


def crosses(a, b, dst, way="fast", src=None, family=4, count=3):
    sent = routed_frames(a, src or (addr4 if family == 4 else addr6)(a), dst, count)
    check_routed(cross(a, sent, {b: count}, way=way)[b], sent, b)


def flow_frame(src, dst, sport, dport):
    build = ip6 if ":" in src else ip4
    return eth(gateway_mac(5), host_mac(5), ethertype(src),
               build(src, dst, udp(src, dst, token() + b"flow", sport, dport)))


def flows(family, hosts_by_gateway):
    """Frames of many flows from host 5, each of which must come out where the kernel says."""
    chosen, frames, where = [], [], {}
    for _ in range(FLOWS):
        src, dst = (("10.0.5.%d" % random.randint(2, 250), "10.95.%d.%d" % (
            random.randint(0, 255), random.randint(0, 255))) if family == 4 else
                    ("fd00:5::%x" % random.randint(0x1000, 0xffff), "fd00:95::%x" % random.randint(1, 0xffff)))
        chosen.append((src, dst, random.randint(10000, 65000), random.randint(10000, 65000)))  # no tunnel's
    asked = "".join("route get %s from %s iif p5 ipproto udp sport %d dport %d\n" % (d, s, sp, dp)
                    for s, d, sp, dp in chosen)
    said = subprocess.run(["ip", "-o", "-batch", "-"], input=asked, text=True, capture_output=True,
                          check=True).stdout.splitlines()
    same(len(said), FLOWS, "answers")
    for flow, line in zip(chosen, said):
        host = hosts_by_gateway[line.split(" via ")[1].split()[0]]
        frames.append(flow_frame(*flow))
        where.setdefault(host, []).append((flow[0], flow[1]))
    got = cross(5, frames, {host: len(of) for host, of in where.items()})
    for host, of in where.items():
        same(sorted((p.ip_src, p.ip_dst) for p in got[host]),
             sorted((Packet(flow_frame(s, d, 1, 1)).ip_src, Packet(flow_frame(s, d, 1, 1)).ip_dst)
                    for s, d in of), "flows at host %d" % host)
    same(len(where), len(set(hosts_by_gateway.values())), "ways used")


@test
def rules():
    """rules by source, destination and ingress, of any table, are obeyed in the fast path"""
    settled("ip route add 10.96.0.0/16 via " + addr4(6),
            "ip route add 10.96.0.0/16 via %s table 100" % addr4(1),
            "ip rule add pref 100 from 10.0.5.128/25 table 100")
    crosses(5, 6, "10.96.0.1")
    crosses(5, 1, "10.96.0.1", src="10.0.5.130")
    settled("ip rule add pref 90 iif p5 to 10.96.7.0/24 table 100")
    crosses(5, 1, "10.96.7.1")
    crosses(5, 6, "10.96.8.1")
    settled("ip rule add pref 80 to 10.96.7.0/24 table main suppress_prefixlength 15")
    crosses(5, 6, "10.96.7.1")
    settled("ip route add throw 10.96.64.0/18 table 100", "ip rule del pref 80")
    crosses(5, 6, "10.96.64.1", src="10.0.5.130")
    if MODE != "kernel":
        same([r["table"] for r in shunt("route") if r["dst"] == "10.96.64.0/18"], [100], "table")
    settled("ip rule add pref 70 to 10.96.9.0/24 prohibit")
    sent = routed_frames(5, addr4(5), "10.96.9.1", 1)
    got = cross(5, sent, {5: 1}, way="punt:route_kernel")
    same(got[5][0].icmp()[:2], (3, 13), "prohibited")
    settled("ip rule del pref 70", "ip rule del pref 90", "ip rule del pref 100",
            "ip route flush table 100", "ip route del 10.96.0.0/16")


@test
def rules_of_ipv6():
    """the same for IPv6"""
    settled("ip -6 route add fd00:96::/48 via " + addr6(6),
            "ip -6 route add default via %s table 100" % addr6(1),
            "ip -6 rule add pref 100 iif p5 to fd00:96:0:1::/64 table 100")
    crosses(5, 6, "fd00:96::1", family=6)
    crosses(5, 1, "fd00:96:0:1::1", family=6)
    settled("ip -6 rule del pref 100", "ip -6 route flush table 100", "ip -6 route del fd00:96::/48")


@test
def odd_rule():
    """a rule that selects by what is not understood takes the port it names, and no other"""
    sh("ip rule add pref 100 iif p5 ipproto udp dport 9 table 100")
    try:
        wait_state("p5", "kernel", "dport")
        wait_state("p6", "fast")
        crosses(5, 6, addr4(6), way="kernel")
    finally:
        sh("ip rule del pref 100")
    wait_state("p5", "fast")
    time.sleep(SOON)
    crosses(5, 6, addr4(6))


@test
def several_paths():
    """flows over several paths take the kernel's, by each of its policies"""
    settled("sysctl -qw net.ipv4.fib_multipath_hash_seed=4711",
            "ip route add 10.95.0.0/16 nexthop via %s weight 2 nexthop via %s" % (addr4(6), addr4(1)),
            "ip -6 route add fd00:95::/48 nexthop via %s nexthop via %s" % (addr6(6), addr6(1)))
    # The kernel prefers, for policy 1, a hash that a frame brings along (skb->l4_hash): these do, from
    # the sender's choice of a TX queue, and only what comes in by XDP leaves it behind.
    for policy in (0, 2) if MODE == "kernel" else (0, 1, 2):
        settled("sysctl -qw net.ipv4.fib_multipath_hash_policy=%d net.ipv6.fib_multipath_hash_policy=%d" % (
            policy, policy))
        flows(4, {addr4(6): 6, addr4(1): 1})
        flows(6, {addr6(6): 6, addr6(1): 1})
    settled("sysctl -qw net.ipv4.fib_multipath_hash_policy=3 net.ipv4.fib_multipath_hash_fields=0x12")
    flows(4, {addr4(6): 6, addr4(1): 1})
    settled("ip route del 10.95.0.0/16", "ip -6 route del fd00:95::/48",
            "sysctl -qw net.ipv4.fib_multipath_hash_policy=0 net.ipv6.fib_multipath_hash_policy=0")


@test
def nexthop_objects():
    """routes follow the next-hop object they name, and groups their members"""
    settled("ip nexthop add id 1 via %s dev p6" % addr4(6), "ip nexthop add id 2 via %s dev br0" % addr4(1),
            "ip nexthop add id 10 group 1", "ip route add 10.95.0.0/16 nhid 10")
    crosses(5, 6, "10.95.0.1")
    settled("ip nexthop replace id 10 group 2")
    crosses(5, 1, "10.95.0.1")
    settled("ip nexthop replace id 10 group 1,3/2,2")
    flows(4, {addr4(6): 6, addr4(1): 1})
    settled("ip nexthop add id 20 group 1/2 type resilient buckets 16", "ip route replace 10.95.0.0/16 nhid 20")
    flows(4, {addr4(6): 6, addr4(1): 1})
    settled("ip nexthop del id 20", "ip nexthop del id 10")
    cross(5, routed_frames(5, addr4(5), "10.95.0.1", 1), {5: 1}, way="punt:no_route")
    settled("ip nexthop del id 1", "ip nexthop del id 2")


@test
def route_mtu():
    """a packet longer than its route's MTU is the kernel's to refuse, a shorter one is fast"""
    settled("ip route add 10.97.0.0/16 via %s mtu 1000" % addr4(6))
    crosses(5, 6, "10.97.0.1")
    sent = routed_frames(5, addr4(5), "10.97.0.1", 1, size=1100, flags=2)
    got = cross(5, sent, {5: 1}, way="punt:too_big")
    same(got[5][0].icmp()[:2], (3, 4), "fragmentation needed")
    settled("ip -6 route add fd00:97::/48 via %s mtu 1300" % addr6(6), "ip route del 10.97.0.0/16")
    crosses(5, 6, "fd00:97::1", family=6)
    sent = routed_frames(5, addr6(5), "fd00:97::1", 1, size=1350)
    got = cross(5, sent, {5: 1}, way="punt:too_big")
    same(got[5][0].icmp()[:2], (2, 0), "packet too big")
    settled("ip -6 route del fd00:97::/48")


@test
def dead_path():
    """the paths by a link that goes down are left, and come back with it"""
    settled("ip route add 10.95.0.0/16 nexthop via %s nexthop via %s" % (addr4(6), addr4(1)))
    flows(4, {addr4(6): 6, addr4(1): 1})
    sh("ip link set p6 down")
    wait_state("p6", "down")
    time.sleep(SOON)
    flows(4, {addr4(1): 1})
    sh("ip link set p6 up && ip addr replace fd00:6::fe/64 dev p6 nodad")
    for address in (addr4(6), addr6(6)):
        sh("ip neigh replace %s lladdr %s dev p6 nud permanent" % (address, host_mac(6)))
    wait_state("p6", "fast")
    time.sleep(SOON)
    flows(4, {addr4(6): 6, addr4(1): 1})
    settled("ip route del 10.95.0.0/16")


run()
