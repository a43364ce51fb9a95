# SPDX-License-Identifier: BSD-2-Clause
"""VRFs: where frames come out, and by which way; vrf.sh says what is where."""
import functools
import struct
import subprocess
import time

import wire
from wire import (BR0, MODE, SHUNT, addr4, addr6, check_routed, cross, datagram, eth, host_mac, port_mac,
                  routed_frames, run, same, sh, shunt, token, wait_state)

wire.BRIDGED = (1, 2)  # h3 and h4 are at routed ports here
SOON = 0.5
COUNT = 4


def test(function):
    """Behind each test the mirror is equal to the kernel, entry for entry."""
    @functools.wraps(function)
    def verified():
        function()
        if MODE == "kernel":
            return
        for _ in range(20):
            done = subprocess.run([SHUNT, "mirror", "--verify"], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
            time.sleep(0.2)
        raise AssertionError("the mirror differs: " + done.stdout + done.stderr)
    return wire.test(verified)


def settled(*commands):
    for command in commands:
        sh(command)
    time.sleep(SOON)


def crosses(a, b, dst, way="fast", src=None):
    src = src or (addr6 if ":" in dst else addr4)(a)
    sent = routed_frames(a, src, dst, COUNT)
    check_routed(cross(a, sent, {b: COUNT}, way)[b], sent, b)


def both(a, b, dst4, dst6, way="fast"):
    """IPv4 and IPv6 at once; they may arrive in any order."""
    sent = {4: routed_frames(a, addr4(a), dst4, COUNT), 6: routed_frames(a, addr6(a), dst6, COUNT)}
    got = cross(a, sent[4] + sent[6], {b: 2 * COUNT}, way)[b]
    for version, frames in sent.items():
        packets = [p for p in got if p.version == version]
        same(len(packets), COUNT, "packets of IPv%d" % version)
        check_routed(packets, frames, b)


def refused(a, dst4, dst6=None, codes=((3, 0), (1, 0)), way="punt:no_route"):
    """An ICMP error comes back to the sender, and nothing comes out elsewhere."""
    sent = routed_frames(a, addr4(a), dst4, 1)
    if dst6:
        sent += routed_frames(a, addr6(a), dst6, 1)
    got = cross(a, sent, {a: len(sent)}, way)[a]
    same({p.version: p.icmp()[:2] for p in got}, dict(zip((4, 6), codes[:len(sent)])), "the ICMP errors")


@test
def own_table():
    """members reach each other by their VRF's table, and no member of another"""
    both(1, 5, addr4(5), addr6(5))
    both(5, 1, addr4(1), addr6(1))
    both(6, 3, addr4(3), addr6(3))
    both(3, 6, addr4(6), addr6(6))
    refused(5, addr4(6), addr6(6))
    refused(6, addr4(1), addr6(1))
    refused(4, addr4(5), addr6(5))


@test
def same_prefix():
    """two VRFs with the same net and the same routes: each its own"""
    both(1, 5, "10.50.0.77", "fd00:50::77")
    both(6, 3, "10.50.0.77", "fd00:50::77")
    refused(4, "10.50.0.77")
    settled(*("ip route add vrf %s %s via %s" % (vrf, to, via) for vrf in ("red", "blue") for to, via in (
        ("10.51.0.0/16", "10.50.0.77"), ("fd00:51::/48", "fd00:50::77"))))
    both(1, 5, "10.51.0.1", "fd00:51::1")
    both(6, 3, "10.51.0.1", "fd00:51::1")
    settled("ip route del vrf red 10.51.0.0/16", "ip route del vrf red fd00:51::/48")
    refused(1, "10.51.0.1", "fd00:51::1")
    both(6, 3, "10.51.0.1", "fd00:51::1")


@test
def next_rule():
    """what a VRF's table says nothing of is looked up in the main one, until it has a default"""
    both(5, 4, addr4(4), addr6(4))
    settled("ip route add vrf red unreachable default metric 4278198272",
            "ip -6 route add vrf red unreachable default metric 4278198272")
    refused(5, addr4(4), addr6(4), ((3, 1), (1, 0)), "punt:route_kernel")
    both(6, 4, addr4(4), addr6(4))
    settled("ip route del vrf red unreachable default metric 4278198272",
            "ip -6 route del vrf red unreachable default metric 4278198272")
    both(5, 4, addr4(4), addr6(4))


@test
def local_elsewhere():
    """an address of one VRF may be a station's in another"""
    settled("ip addr add 10.52.0.1/32 dev red", "ip route add vrf blue 10.52.0.0/24 via " + addr4(6))
    crosses(3, 6, "10.52.0.1", "kernel:local")
    crosses(3, 6, "10.52.0.2")
    settled("ip addr del 10.52.0.1/32 dev red")
    crosses(3, 6, "10.52.0.1")
    settled("ip route del vrf blue 10.52.0.0/24")


@test
def leaks():
    """routes lead out of a VRF and into one by the device of their next hop"""
    leaked = [("vrf red", 0, 6, 6), ("", 1, 5, 5), ("vrf red", 2, 4, 4), ("vrf blue", 3, 1, None)]
    lines = []
    for vrf, number, to, port in leaked:
        dev = "p%d" % port if port else "br0"
        lines += ["ip route add %s 10.9.%d.0/24 via %s dev %s" % (vrf, number, addr4(to), dev),
                  "ip route add %s fd00:9:%d::/48 via %s dev %s" % (vrf, number, addr6(to), dev)]
    settled(*lines)
    both(5, 6, "10.9.0.1", "fd00:9:0::1")
    both(1, 6, "10.9.0.1", "fd00:9:0::1")
    both(4, 5, "10.9.1.1", "fd00:9:1::1")
    both(5, 4, "10.9.2.1", "fd00:9:2::1")
    both(6, 1, "10.9.3.1", "fd00:9:3::1")
    refused(6, "10.9.0.1")
    settled(*(line.replace(" add ", " del ") for line in lines))


@test
def by_the_device():
    """a route to a VRF's own device is looked up again there: the kernel's"""
    settled("ip route add vrf red 10.9.4.0/24 dev blue", "ip route add vrf blue 10.9.4.0/24 via " + addr4(6))
    crosses(3, 6, "10.9.4.1")
    crosses(5, 6, "10.9.4.1", "kernel")
    settled("ip route del vrf red 10.9.4.0/24", "ip route del vrf blue 10.9.4.0/24")


@test
def rule_order():
    """rules before and behind that of the VRFs, and those that select by a member"""
    for family, net, via in (("", "10.9.5.0/24", addr4), ("-6 ", "fd00:9:5::/48", addr6)):
        dst = net.replace("0/24", "1").replace("/48", "1")
        lines = ("ip %sroute add %s via %s dev p4 table 200" % (family, net, via(4)),
                 "ip %sroute add vrf red %s via %s" % (family, net, via(1)))
        settled(*lines)
        crosses(5, 1, dst)
        settled("ip %srule add pref 500 to %s table 200" % (family, net))
        crosses(5, 4, dst)
        crosses(6, 4, dst)
        settled("ip %srule add pref 2000 to %s table 200" % (family, net), "ip %srule del pref 500" % family)
        crosses(5, 1, dst)
        crosses(6, 4, dst)
        settled("ip %srule del pref 2000" % family, "ip %srule add pref 400 iif p5 to %s table 200" % (family, net))
        # An IPv6 packet comes in by the VRF (vrf_ip6_rcv()), an IPv4 one by its member.
        crosses(5, 1 if family else 4, dst)
        settled("ip %srule del pref 400" % family, *(line.replace(" add ", " del ") for line in lines))


@test
def rule_by_vrf():
    """a rule that selects by a VRF's device is the kernel's, with the ports of that VRF"""
    settled("ip route add 10.9.6.0/24 via %s dev p4 table 200" % addr4(4),
            "ip rule add pref 400 iif red to 10.9.6.0/24 table 200")
    wait_state("p5", "kernel", "iif is a VRF")
    wait_state("p6", "fast")
    crosses(5, 1, addr4(1), "kernel")
    crosses(6, 3, addr4(3))
    settled("ip rule del pref 400", "ip route del 10.9.6.0/24 table 200")
    wait_state("p5", "fast")
    crosses(5, 1, addr4(1))


@test
def local_rule_last():
    """the local table behind the VRFs', as their documentation wants it"""
    settled("ip rule add pref 32765 table local", "ip rule del pref 0")
    both(5, 1, addr4(1), addr6(1))
    crosses(6, 3, "10.50.0.77")
    settled("ip rule add pref 0 table local", "ip rule del pref 32765")
    both(5, 1, addr4(1), addr6(1))


@test
def reverse_path():
    """sources are validated by the table of the ingress's VRF"""
    settled("sysctl -qw net.ipv4.conf.p5.rp_filter=1")
    crosses(5, 1, addr4(1), src="10.50.0.77")
    cross(5, routed_frames(5, addr4(6), addr4(1), COUNT), {}, "punt:martian", patience=0.3)
    settled("ip route add vrf red %s/32 via %s" % (addr4(6), addr4(5)))
    crosses(5, 1, addr4(1), src=addr4(6))
    settled("ip route del vrf red %s/32" % addr4(6), "sysctl -qw net.ipv4.conf.p5.rp_filter=0")
    crosses(5, 1, addr4(1), src=addr4(6))


def vlan_frames(a, dst_mac, vid, dst):
    frames = [eth(dst_mac, host_mac(a), 0x0800, datagram("10.99.0.1", dst, token() + b"x" * 30))
              for _ in range(COUNT)]
    return [f[:12] + struct.pack("!HH", 0x8100, vid) + f[12:] for f in frames]


def came(got, n, dst, src, vid=None):
    same([(p.dst, p.src, p.ttl, p.vlan, p.sum_ok) for p in got[n]],
         [(host_mac(n), src, 63, vid, True)] * COUNT, "what came out at h%d" % n)
    same({p.ip_dst for p in got[n]}, {dst}, "destinations")


@test
def vlan_devices():
    """VLAN devices of a port and of a bridge are in VRFs of their own"""
    settled("ip link set br0 type bridge vlan_filtering 1", "bridge vlan add dev p1 vid 10",
            "bridge vlan add dev br0 vid 10 self", "ip link add link br0 name br0.10 type vlan id 10",
            "bridge fdb replace %s dev p1 vlan 10 master static" % host_mac(1),
            "bridge fdb replace %s dev p1 vlan 1 master static" % host_mac(1),
            "ip link add link p6 name p6.7 type vlan id 7",
            "ip link set br0.10 master blue up", "ip link set p6.7 master red up",
            "ip addr add 10.10.0.254/24 dev br0.10", "ip addr add 10.7.0.254/24 dev p6.7",
            "ip neigh replace 10.10.0.77 lladdr %s dev br0.10 nud permanent" % host_mac(1),
            "ip neigh replace 10.7.0.77 lladdr %s dev p6.7 nud permanent" % host_mac(6))
    crosses(1, 5, addr4(5))
    came(cross(1, vlan_frames(1, BR0, 10, addr4(3)), {3: COUNT}, "fast"), 3, addr4(3), port_mac(3))
    came(cross(6, vlan_frames(6, port_mac(6), 7, addr4(5)), {5: COUNT}, "fast"), 5, addr4(5), port_mac(5))
    came(cross(6, routed_frames(6, addr4(6), "10.10.0.77", COUNT), {1: COUNT}, "fast"), 1, "10.10.0.77",
         BR0, 10)
    came(cross(1, routed_frames(1, addr4(1), "10.7.0.77", COUNT), {6: COUNT}, "fast"), 6, "10.7.0.77",
         port_mac(6), 7)
    cross(6, vlan_frames(6, port_mac(6), 7, addr4(3)), {}, "punt:no_route", patience=0.3)
    settled("ip link del br0.10", "ip link del p6.7", "ip link set br0 type bridge vlan_filtering 0")
    crosses(1, 5, addr4(5))


def addresses(n):
    """What a port loses by going into a VRF or out of it: it goes down for a moment."""
    return ("ip addr replace fd00:%d::fe/64 dev p%d nodad" % (n, n),
            "ip neigh replace %s lladdr %s dev p%d nud permanent" % (addr4(n), host_mac(n), n),
            "ip neigh replace %s lladdr %s dev p%d nud permanent" % (addr6(n), host_mac(n), n))


@test
def enslave_and_release():
    """a running port goes into a VRF, to another, and out again"""
    settled("ip link set p4 master blue", *addresses(4))
    wait_state("p4", "fast", seconds=10)
    both(4, 6, addr4(6), addr6(6))
    both(6, 4, addr4(4), addr6(4))
    refused(5, addr4(4))
    settled("ip link set p4 master red", *addresses(4))
    wait_state("p4", "fast", seconds=10)
    both(4, 5, addr4(5), addr6(5))
    refused(4, addr4(6))
    refused(6, addr4(4))
    settled("ip link set p4 nomaster", *addresses(4))
    wait_state("p4", "fast", seconds=10)
    refused(4, addr4(5))
    both(6, 4, addr4(4), addr6(4))


@test
def bridge_released():
    """a bridge goes out of its VRF and into it again"""
    again = ("ip addr replace fd00::fe/64 dev br0 nodad",
             "ip neigh replace %s lladdr %s dev br0 nud permanent" % (addr4(1), host_mac(1)),
             "ip neigh replace %s lladdr %s dev br0 nud permanent" % (addr6(1), host_mac(1)))
    settled("ip link set br0 nomaster", *again)
    wait_state("p1", "fast", seconds=10)
    both(1, 4, addr4(4), addr6(4))
    refused(1, addr4(5))
    settled("ip link set br0 master red", *again)
    both(1, 5, addr4(5), addr6(5))


@test
def deleted():
    """a VRF is deleted while running, and comes back with another table"""
    settled("ip link del blue", *addresses(3), *addresses(6))
    for port in ("p3", "p6"):
        wait_state(port, "fast", seconds=10)
    both(6, 3, addr4(3), addr6(3))
    both(3, 4, addr4(4), addr6(4))
    both(5, 6, addr4(6), addr6(6))
    settled("ip link add blue type vrf table 103", "ip link set blue up", "ip link set p3 master blue",
            "ip link set p6 master blue", *addresses(3), *addresses(6),
            "ip route add 10.53.0.0/24 via %s dev p6 table 103" % addr4(6),
            "ip route add 10.53.0.0/24 via %s dev p3 table 102" % addr4(3))
    for port in ("p3", "p6"):
        wait_state(port, "fast", seconds=10)
    both(6, 3, addr4(3), addr6(3))
    crosses(3, 6, "10.53.0.1")
    refused(5, addr4(6))
    if MODE != "kernel":
        same([r["table"] for r in shunt("route") if r["dst"] == "10.53.0.0/24"], [102, 103], "tables")


run()
