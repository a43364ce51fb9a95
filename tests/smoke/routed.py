# SPDX-License-Identifier: BSD-2-Clause
"""Routed frames: what came out, where, how often, and by which way."""
import time

from wire import (MODE, addr4, addr6, check_routed, collect, cross, eth, ethertype, expect_way,
                  frame_token, gateway_mac, host_mac, hosts, ip4, ip6, port_mac, pseudo,
                  routed_frames, run, same, settle, sh, test, token, udp)

ADDRESS = {4: addr4, 6: addr6}
TESTNET = {4: "10.99.%d.7", 6: "fd99:%x::7"}


def both():
    return ((4, addr4), (6, addr6))


def answer(a, frames, kind, code, way, count=1):
    """Send frames that go nowhere; the ICMP errors that come back to host a."""
    for h in hosts.values():
        h.read()
    before = settle("p%d" % a) if MODE != "kernel" else None
    hosts[a].send(frames)
    got = collect({frame_token(f) for f in frames}, {a: count}, grace=0.2)
    for n in hosts:
        same(len(got[n]), count if n == a else 0, "frames back at h%d (%r)" % (n, got[n][:3]))
    for packet in got[a]:
        same(packet.icmp()[:2], (kind, code), "ICMP type and code")
        same(packet.l4_ok(), True, "ICMP checksum right")
    if before:
        expect_way("p%d" % a, before, way, len(frames))
    return got[a]


@test
def forwarded():
    """between two plain ports by XSK: MACs, TTL, checksums, payload"""
    for _, addr in both():
        sent = routed_frames(5, addr(5), addr(6), 200)
        check_routed(cross(5, sent, {6: 200})[6], sent, 6)


@test
def bridge_and_port():
    """between the bridge's own address and a plain port, both ways, by XSK"""
    for _, addr in both():
        sent = routed_frames(1, addr(1), addr(5), 100)
        check_routed(cross(1, sent, {5: 100})[5], sent, 5)
        sent = routed_frames(5, addr(5), addr(2), 100)
        check_routed(cross(5, sent, {2: 100})[2], sent, 2)


@test
def checksum_every_ttl():
    """the IPv4 header checksum is right for every TTL and many identifications"""
    sent = []
    for ttl in range(2, 256, 2):
        sent += routed_frames(5, addr4(5), addr4(6), 1, ttl=ttl, ident=(ttl * 517) & 0xFFFF)
    check_routed(cross(5, sent, {6: len(sent)})[6], sent, 6)


@test
def hop_limits():
    """hop limits from 2 to 255"""
    sent = []
    for ttl in (2, 3, 127, 128, 255):
        sent += routed_frames(5, addr6(5), addr6(6), 1, ttl=ttl)
    check_routed(cross(5, sent, {6: len(sent)})[6], sent, 6)


@test
def padding():
    """padding behind the IP packet is trimmed"""
    for _, addr in both():
        sent = [f + b"padding" * 3 for f in routed_frames(5, addr(5), addr(6), 10)]
        check_routed(cross(5, sent, {6: 10})[6], sent, 6)


@test
def partial():
    """a checksum that the sender left unfinished is right after routing"""
    for _, addr in both():
        sent = []
        for _ in range(10):
            payload = token() + b"odd length!"
            part = pseudo(addr(5), addr(6), 17, 8 + len(payload))
            packet = (ip4 if "." in addr(5) else ip6)(
                addr(5), addr(6), udp(addr(5), addr(6), payload, checksum=part))
            sent.append(eth(port_mac(5), host_mac(5), ethertype(addr(5)), packet))
        start = 34 if "." in addr(5) else 54
        got = cross(5, sent, {6: 10}, send=lambda f: hosts[5].send_partial(f, start, 6))
        for packet in got[6]:
            same(packet.l4_ok(), True, "UDP checksum right")
            same(packet.sum_ok, True, "IP checksum right")
            if MODE != "kernel":
                same(packet.partial, False, "checksum finished")


@test
def udp_no_checksum():
    """a UDP checksum of zero stays zero"""
    sent = [eth(port_mac(5), host_mac(5), 0x0800, ip4(
        addr4(5), addr4(6), udp(addr4(5), addr4(6), token(), checksum=0))) for _ in range(5)]
    check_routed(cross(5, sent, {6: 5})[6], sent, 6)


@test
def longest_prefix():
    """the longest prefix wins, also while a covering route is replaced or removed"""
    for family, via in ((4, "via 10.0.%d.77"), (6, "via fd00:%d::77")):
        ip = "ip -%d route " % family
        wide, narrow, exact = (("10.99.0.0/16", "10.99.1.0/24", "10.99.1.7/32") if family == 4 else
                               ("fd99::/32", "fd99:0:1::/48", "fd99:0:1::7/128"))
        target = "10.99.1.7" if family == 4 else "fd99:0:1::7"
        near = "10.99.1.8" if family == 4 else "fd99:0:1::8"
        far = "10.99.2.7" if family == 4 else "fd99:0:2::7"
        bridge = "via 10.0.0.102" if family == 4 else "via fd00::102"

        def goes(address, b):
            sent = routed_frames(1, ADDRESS[family](1), address)
            check_routed(cross(1, sent, {b: 5})[b], sent, b)

        def do(command):
            sh(ip + command)
            time.sleep(0.15)

        do("add %s %s" % (wide, via % 5))
        goes(target, 5)
        do("add %s %s" % (exact, via % 6))
        do("add %s %s" % (narrow, via % 5))
        goes(target, 6)
        goes(near, 5)
        do("replace %s %s" % (wide, via % 6))
        goes(near, 5)
        goes(far, 6)
        do("del " + exact)
        goes(target, 5)
        do("del " + narrow)
        goes(target, 6)
        do("del " + wide)
        do("add %s %s" % (wide, bridge))
        sent = routed_frames(5, ADDRESS[family](5), target)
        check_routed(cross(5, sent, {2: 5})[2], sent, 2)
        do("del " + wide)


@test
def default_route():
    """a default route catches the rest; a metric decides between two"""
    for family, via, address in ((4, "10.0.%d.77", "198.51.100.9"), (6, "fd00:%d::77", "2001:db8::9")):
        ip = "ip -%d route " % family
        sh(ip + "add default via %s metric 200" % (via % 5))
        sh(ip + "add default via %s metric 100" % (via % 6))
        time.sleep(0.15)
        sent = routed_frames(1, ADDRESS[family](1), address)
        check_routed(cross(1, sent, {6: 5})[6], sent, 6)
        sh(ip + "del default via %s metric 100" % (via % 6))
        time.sleep(0.15)
        sent = routed_frames(1, ADDRESS[family](1), address)
        check_routed(cross(1, sent, {5: 5})[5], sent, 5)
        sh(ip + "del default via %s metric 200" % (via % 5))


@test
def multipath():
    """two next hops share the destinations, each flow keeps to one, nothing is doubled"""
    for family, net, hop, one in ((4, "10.98.0.0/16", "10.0.%d.77", "10.98.0.%d"),
                                  (6, "fd98::/32", "fd00:%d::77", "fd98::%x")):
        sh("ip -%d route add %s nexthop via %s nexthop via %s" % (family, net, hop % 5, hop % 6))
        time.sleep(0.15)
        addr = ADDRESS[family]
        sent = []
        for n in range(1, 65):
            sent += routed_frames(1, addr(1), one % n, 2)
        for h in hosts.values():
            h.read()
        before = settle("p1") if MODE != "kernel" else None
        hosts[1].send(sent)
        got = collect({frame_token(f) for f in sent}, {5: 129, 6: 129}, patience=0.7)
        same(len(got[5]) + len(got[6]), 128, "frames at h5 and h6")
        flows = [{p.ip_dst for p in got[n]} for n in (5, 6)]
        same(flows[0] & flows[1], set(), "flows that took both paths")
        same(len(flows[0]) >= 12 and len(flows[1]) >= 12, True,
             "both paths are used (%d and %d flows)" % (len(flows[0]), len(flows[1])))
        if before:
            expect_way("p1", before, "fast", 128)
        sh("ip -%d route del %s" % (family, net))


@test
def nexthop_object():
    """routes by nexthop object: forwarded the same, whoever does it"""
    sh("ip nexthop add id 7 via 10.0.6.77 dev p6 && ip route add 10.97.0.0/16 nhid 7")
    time.sleep(0.15)
    sent = routed_frames(5, addr4(5), "10.97.3.4")
    check_routed(cross(5, sent, {6: 5}, way="fast|kernel")[6], sent, 6)
    sh("ip route del 10.97.0.0/16 && ip nexthop del id 7")


@test
def no_route():
    """no route: the kernel answers unreachable"""
    for back in answer(5, routed_frames(5, addr4(5), "198.51.100.1", 1), 3, 0, "punt:no_route"):
        same(back.ip_src, "10.0.5.254", "who answers")
    answer(5, routed_frames(5, addr6(5), "2001:db8::1", 1), 1, 0, "punt:no_route")


@test
def special_routes():
    """unreachable, prohibit and blackhole routes are the kernel's"""
    way = "punt:route_kernel|punt:no_route"
    sh("ip route add unreachable 10.96.1.0/24 && ip route add prohibit 10.96.2.0/24 &&"
       "ip route add blackhole 10.96.3.0/24 && ip -6 route add prohibit fd96::/64")
    time.sleep(0.15)
    answer(5, routed_frames(5, addr4(5), "10.96.1.1", 1), 3, 1, way)
    answer(5, routed_frames(5, addr4(5), "10.96.2.1", 1), 3, 13, way)
    answer(5, routed_frames(5, addr6(5), "fd96::1", 1), 1, 1, way)
    cross(5, routed_frames(5, addr4(5), "10.96.3.1"), {}, way=way, patience=0.3)
    sh("ip route del 10.96.1.0/24; ip route del 10.96.2.0/24; ip route del 10.96.3.0/24;"
       "ip -6 route del fd96::/64")


@test
def too_big():
    """longer than the egress MTU: the sender is told the MTU, or the kernel fragments"""
    sh("ip link set p6 mtu 1300")
    time.sleep(0.2)
    try:
        sent = routed_frames(5, addr4(5), addr4(6), 1, size=1372, flags=2)
        for back in answer(5, sent, 3, 4, "punt:too_big"):
            same(back.icmp()[2] & 0xFFFF, 1300, "MTU in frag needed")
        sent = routed_frames(5, addr6(5), addr6(6), 1, size=1352)
        for back in answer(5, sent, 2, 0, "punt:too_big"):
            same(back.icmp()[2], 1300, "MTU in packet too big")
        sent = routed_frames(5, addr4(5), addr4(6), 3, size=1272 + 1)
        got = cross(5, sent, {6: 3}, way="punt:too_big")  # the token is in the first fragment
        for packet in got[6]:
            same(packet.fragment, 0x2000, "more fragments follow")
        sent = routed_frames(5, addr4(5), addr4(6), 5, size=1272)
        check_routed(cross(5, sent, {6: 5})[6], sent, 6)
        sent = routed_frames(5, addr6(5), addr6(6), 5, size=1252)
        check_routed(cross(5, sent, {6: 5})[6], sent, 6)
    finally:
        sh("ip link set p6 mtu 1500")
        time.sleep(0.2)


@test
def bridge_mtu():
    """longer than the bridge's MTU on the way to a bridged host"""
    sh("ip link set br0 mtu 1300")
    time.sleep(0.2)
    try:
        sent = routed_frames(5, addr4(5), addr4(1), 1, size=1372, flags=2)
        for back in answer(5, sent, 3, 4, "punt:too_big"):
            same(back.icmp()[2] & 0xFFFF, 1300, "MTU in frag needed")
        sent = routed_frames(5, addr4(5), addr4(1), 5, size=1272)
        check_routed(cross(5, sent, {1: 5})[1], sent, 1)
    finally:
        sh("ip link set br0 mtu 1500")
        time.sleep(0.2)


@test
def ttl_expires():
    """TTL or hop limit 1: time exceeded comes back, nothing goes on"""
    for back in answer(5, routed_frames(5, addr4(5), addr4(6), 1, ttl=1), 11, 0, "kernel:ttl"):
        same(back.ip_src, "10.0.5.254", "who answers")
    answer(5, routed_frames(5, addr6(5), addr6(6), 1, ttl=1), 3, 0, "kernel:ttl")
    answer(1, routed_frames(1, addr4(1), addr4(6), 1, ttl=1), 11, 0, "kernel:ttl")


@test
def redirect():
    """out of the port it came in by: the kernel forwards and sends the redirect"""
    sh("ip neigh replace 10.0.5.88 lladdr 02:00:00:00:00:05 dev p5 nud permanent")
    sh("sysctl -q net.ipv4.conf.all.send_redirects=1 net.ipv4.conf.p5.send_redirects=1")
    time.sleep(0.2)
    sent = routed_frames(5, addr4(5), "10.0.5.88", 1)
    got = cross(5, sent, {5: 2}, way="punt:redirect")[5]
    back = [p for p in got if p.proto == 17]
    same(len(back), 1, "the datagram comes back out once (%r)" % got)
    check_routed(back, sent, 5)
    same([p.icmp()[:2] for p in got if p.proto == 1], [(5, 1)], "redirect for a host")


@test
def unresolved():
    """a next hop that never answers: the kernel asks, and says host unreachable in the end"""
    sent = routed_frames(5, addr4(5), "10.0.6.99", 1)
    for h in hosts.values():
        h.read()
    before = settle("p5") if MODE != "kernel" else None
    hosts[5].send(sent)
    time.sleep(0.3)
    asked = [p for p in hosts[6].read() if p.type == 0x0806]
    same(len(asked) >= 1, True, "ARP request at h6")
    got = collect({frame_token(sent[0])}, {5: 1}, patience=6)
    same([p.icmp()[:2] for p in got[5]], [(3, 1)], "host unreachable")
    if before:
        expect_way("p5", before, "punt:no_neigh", 1)


@test
def fragments():
    """fragments are forwarded as any frame"""
    sent = []
    for n in range(5):
        part = udp(addr4(5), addr4(6), token() + b"f" * 512, checksum=0)
        sent.append(eth(port_mac(5), host_mac(5), 0x0800,
                        ip4(addr4(5), addr4(6), part[:520], flags=1, ident=900 + n)))
        sent.append(eth(port_mac(5), host_mac(5), 0x0800,
                        ip4(addr4(5), addr4(6), token() + part[:56], offset=520, ident=900 + n)))
    check_routed(cross(5, sent, {6: 10})[6], sent, 6)
    sent = []
    for n in range(5):
        for more, offset in ((1, 0), (0, 520)):
            head = bytes([17, 0]) + (offset | more).to_bytes(2, "big") + n.to_bytes(4, "big")
            sent.append(eth(port_mac(5), host_mac(5), 0x86DD, ip6(
                addr6(5), addr6(6), head + token() + b"g" * 512, proto=44)))
    got = cross(5, sent, {6: 10})[6]
    check_routed(got, sent, 6)


@test
def many_flows():
    """many senders at once: each frame once, each flow in order"""
    sent = []
    for _ in range(4):
        for n in range(50):
            sent += routed_frames(5, "10.0.5.%d" % (100 + n), addr4(6), 1)
    got = cross(5, sent, {6: 200})[6]
    for n in range(50):
        flow = [p for p in got if p.ip_src == "10.0.5.%d" % (100 + n)]
        check_routed(flow, sent[n::50], 6)


run()
