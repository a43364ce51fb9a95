# SPDX-License-Identifier: BSD-2-Clause
"""What a fast path is likely to get wrong: which way each kind of frame went, and what came out.

`kernel` as the way leaves open whether steer or the worker said so; where the list of kinds names one
of the two, so does the test.
"""
import struct
import time

from wire import (BR0, MODE, Packet, addr4, addr6, bridged_frames, check_routed, collect, cross, datagram,
                  eth, expect_way, host_mac, hosts, ip4, ip6, port_mac, pseudo, routed_frames, run, same,
                  settle, sh, test, token, udp)

QUIET = 0.3  # seconds to wait for a frame that must not come


def from5(packet, kind=0x0800, dst=None, src=None):
    return eth(dst or port_mac(5), src or host_mac(5), kind, packet)


def v4(src=None, dst=None, **ip):
    return from5(datagram(src or addr4(5), dst or addr4(6), token(), **ip))


def v6(src=None, dst=None, **ip):
    return from5(datagram(src or addr6(5), dst or addr6(6), token(), **ip), 0x86DD)


def udp6(payload):
    return udp(addr6(5), addr6(6), payload)


def nothing(frames, way):
    cross(5, frames, {}, way=way, patience=QUIET)


# ---- MACs ------------------------------------------------------------------------------------------


@test
def foreign_mac():
    """routed port, destination MAC of another: not ours, and nothing comes out"""
    for other in (port_mac(6), port_mac(1), BR0, "02:00:00:00:44:44"):
        frames = [from5(datagram(addr4(5), addr4(6), token()), dst=other) for _ in range(3)]
        frames += [from5(datagram(addr6(5), addr6(6), token()), 0x86DD, dst=other)]
        nothing(frames, "kernel:not_ours")


@test
def member_mac():
    """bridge member, its own MAC as destination: routed by the kernel; another member's: nothing"""
    def frames(member):
        return [eth(member, host_mac(1), 0x0800, datagram(addr4(1), addr4(5), token()))
                for _ in range(3)]

    for packet in cross(1, frames(port_mac(1)), {5: 3}, way="kernel")[5]:
        same((packet.ttl, packet.src, packet.dst), (63, port_mac(5), host_mac(5)), "as routed")
    cross(1, frames(port_mac(2)), {}, way="kernel", patience=QUIET)


@test
def group_mac():
    """L2 multicast or broadcast with a unicast IP destination: never routed"""
    for group in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:09", "33:33:00:00:00:09"):
        nothing([from5(datagram(addr4(5), addr4(6), token()), dst=group) for _ in range(3)],
                "kernel:multicast")


@test
def bad_source_mac():
    """source MAC multicast or zero, on a routed port"""
    for source in ("00:00:00:00:00:00", "01:02:03:04:05:06"):
        # The kernel routes such a frame: it looks at the source MAC on a bridge only.
        frames = [from5(datagram(addr4(5), addr4(6), token()), src=source) for _ in range(3)]
        check_routed(cross(5, frames, {6: 3}, way="kernel:bad_source")[6], frames, 6)


# ---- IPv4 ------------------------------------------------------------------------------------------


@test
def bad_ipv4():
    """IPv4 version, header length, total length or checksum wrong: the kernel drops it"""
    nothing([v4(version=5), v4(version=6), v4(ihl=4), v4(ihl=15), v4(total=19), v4(total=2000),
             v4(checksum=0x0BAD)], "kernel")


@test
def short_ip():
    """a header cut short: the kernel's, and nothing comes out"""
    whole = v4()[:14 + 28]
    frames = [whole[:14 + n] + token() for n in (0, 1, 4, 8)]
    nothing(frames, "kernel")


@test
def ip_options():
    """IPv4 options: the kernel routes, and does what they ask for"""
    frames = [v4(options=b"\x07\x07\x04\0\0\0\0\0") for _ in range(3)]  # record route, one slot
    got = cross(5, frames, {6: 3}, way="kernel:options")
    for packet in got[6]:
        same(packet.ip[22:27], b"\x08\x0a\x00\x06\xfe", "recorded route")
        same((packet.ttl, packet.sum_ok), (63, True), "TTL and checksum")
    alert = [v4(options=b"\x94\x04\0\0") for _ in range(3)]
    check_routed_loose(cross(5, alert, {6: 3}, way="kernel:options")[6])


def check_routed_loose(packets):
    for packet in packets:
        same((packet.ttl, packet.sum_ok, packet.src, packet.dst),
             (63, True, port_mac(6), host_mac(6)), "as routed")


@test
def never_forwarded_destinations():
    """IPv4 destinations 0.0.0.0, 127/8, limited broadcast, multicast: nothing comes out"""
    nothing([v4(dst=d) for d in ("0.0.0.0", "127.0.0.1", "127.9.9.9", "255.255.255.255",
                                "224.0.0.5", "239.1.2.3")], "kernel")


@test
def reserved_destinations():
    """0/8 and 240/4: the kernel's, which forwards them when it has a route"""
    sh("ip route add 240.0.0.0/4 via 10.0.6.77; ip route add 0.0.0.0/8 via 10.0.6.77")
    time.sleep(0.15)
    frames = [v4(dst="240.1.2.3"), v4(dst="0.1.2.3")]
    check_routed(cross(5, frames, {6: 2}, way="kernel")[6], frames, 6)
    sh("ip route del 240.0.0.0/4; ip route del 0.0.0.0/8")


@test
def directed_broadcast():
    """a network's broadcast address: the kernel's, and nothing comes out"""
    nothing([v4(dst="10.0.6.255"), v4(dst="10.0.6.255"), v4(dst="10.0.0.255")], "kernel")


@test
def martian_sources():
    """sources that are never forwarded: zero, loopback, multicast, broadcast, our own"""
    nothing([v4(src=s) for s in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.6.254",
                                "10.0.5.254")], "kernel")


@test
def odd_sources():
    """sources 0/8 and of a network's broadcast pass, as the kernel lets them"""
    frames = [v4(src="0.1.2.3"), v4(src="10.0.6.255")]
    check_routed(cross(5, frames, {6: 2}, way="fast|kernel")[6], frames, 6)


@test
def reverse_path():
    """rp_filter strict: a source that lies behind another port is dropped; without, it passes"""
    spoofed = [v4(src="10.0.0.50") for _ in range(3)]
    check_routed(cross(5, spoofed, {6: 3})[6], spoofed, 6)
    sh("sysctl -q net.ipv4.conf.p5.rp_filter=1")
    time.sleep(0.4)
    try:
        nothing([v4(src="10.0.0.50", dst=addr4(6)) for _ in range(3)], "kernel")
        frames = [v4() for _ in range(5)]
        check_routed(cross(5, frames, {6: 5}, way="fast|kernel")[6], frames, 6)
    finally:
        sh("sysctl -q net.ipv4.conf.p5.rp_filter=0")
        time.sleep(0.4)


@test
def forwarding_off():
    """forwarding switched off on the ingress: nothing is routed"""
    sh("sysctl -q net.ipv4.conf.p5.forwarding=0")
    time.sleep(0.4)
    try:
        nothing([v4() for _ in range(3)], "kernel")
    finally:
        sh("sysctl -q net.ipv4.conf.p5.forwarding=1")
        time.sleep(0.4)
    frames = [v4() for _ in range(5)]
    check_routed(cross(5, frames, {6: 5})[6], frames, 6)


@test
def ttl():
    """TTL and hop limit 0 and 1: the kernel answers time exceeded"""
    for kind, frames in ((11, [v4(ttl=1), v4(ttl=0)]), (3, [v6(ttl=1), v6(ttl=0)])):
        got = cross(5, frames, {5: 2}, way="kernel:ttl")
        for packet in got[5]:
            same(packet.icmp()[:2], (kind, 0), "time exceeded")


@test
def local_addresses():
    """frames for any of our own addresses are the kernel's"""
    frames = [v4(dst="10.0.5.254"), v4(dst="10.0.6.254"), v4(dst="10.0.0.254")]
    got = cross(5, frames, {5: 3}, way="kernel:local")
    for packet in got[5]:
        same(packet.icmp()[:2], (3, 3), "port unreachable, from our own stack")
    frames = [v6(dst="fd00:5::fe"), v6(dst="fd00:6::fe"), v6(dst="fd00::fe")]
    got = cross(5, frames, {5: 3}, way="kernel:local")
    for packet in got[5]:
        same(packet.icmp()[:2], (1, 4), "port unreachable, from our own stack")


# ---- IPv6 ------------------------------------------------------------------------------------------


@test
def bad_ipv6():
    """IPv6 version or length wrong: the kernel drops it"""
    nothing([v6(version=4), v6(length=3000)], "kernel")


@test
def hop_by_hop():
    """IPv6 hop-by-hop and routing headers: the kernel routes them"""
    hop = bytes([17, 0, 1, 4, 0, 0, 0, 0])
    frames = [from5(ip6(addr6(5), addr6(6), hop + udp6(token()), proto=0), 0x86DD) for _ in range(3)]
    check_routed(cross(5, frames, {6: 3}, way="kernel:options")[6], frames, 6)
    routing = bytes([17, 0, 4, 0, 0, 0, 0, 0])
    frames = [from5(ip6(addr6(5), addr6(6), routing + udp6(token()), proto=43), 0x86DD)
              for _ in range(3)]
    check_routed(cross(5, frames, {6: 3}, way="kernel:options")[6], frames, 6)


@test
def destination_options():
    """IPv6 destination options are the receiver's matter: forwarded as any frame"""
    options = bytes([17, 0, 1, 4, 0, 0, 0, 0])
    frames = [from5(ip6(addr6(5), addr6(6), options + udp6(token()), proto=60), 0x86DD)
              for _ in range(5)]
    check_routed(cross(5, frames, {6: 5}, way="fast|kernel")[6], frames, 6)


@test
def bad_sources6():
    """IPv6 sources multicast, loopback, unspecified: nothing comes out"""
    nothing([v6(src="ff02::1"), v6(src="ff0e::7"), v6(src="::1"), v6(src="::")], "kernel")


@test
def bad_destinations6():
    """IPv6 destinations loopback and multicast go nowhere, the unspecified one has no route"""
    nothing([v6(dst="::1"), v6(dst="ff0e::7")], "kernel")
    got = cross(5, [v6(dst="::")], {5: 1}, way="kernel")
    same(got[5][0].icmp()[:2], (1, 0), "no route")


@test
def link_local():
    """link-local on either side is never routed by us"""
    for frames in ([v6(src="fe80::5"), v6(src="fe80::6")], [v6(dst="fe80::6"), v6(dst="fe80::7")]):
        # The kernel may answer, with an error or a redirect.
        cross(5, frames, {}, way="kernel:link_local", patience=QUIET, errors=False)


@test
def anycast():
    """the subnet-router anycast address is ours"""
    got = cross(5, [v6(dst="fd00:6::"), v6(dst="fd00:5::")], {5: 2}, way="kernel:local")
    for packet in got[5]:
        same(packet.icmp()[:2], (1, 4), "port unreachable, from our own stack")


@test
def tentative():
    """an address still under duplicate detection is not forwarded to a neighbour"""
    sh("sysctl -q net.ipv6.conf.all.accept_dad=1 net.ipv6.conf.p6.accept_dad=1"
       " net.ipv6.conf.p6.dad_transmits=20")
    try:
        sh("ip addr add fd00:6::55/64 dev p6")
        time.sleep(0.2)
        same("tentative" in sh("ip -6 addr show dev p6"), True, "fd00:6::55 is tentative")
        nothing([v6(dst="fd00:6::55") for _ in range(3)], "kernel:local")
    finally:
        sh("ip addr del fd00:6::55/64 dev p6; sysctl -q net.ipv6.conf.all.accept_dad=0"
           " net.ipv6.conf.p6.accept_dad=0 net.ipv6.conf.p6.dad_transmits=1")


# ---- what travels beside the frame ---------------------------------------------------------------------


@test
def too_long():
    """longer than an XSK frame holds: the kernel routes and bridges it"""
    for port in ("p1", "p2", "p5", "p6"):
        sh("ip link set %s mtu 3000; nsenter --net=/run/netns/h%s ip link set eth0 mtu 3000" %
           (port, port[1]))
    time.sleep(0.4)
    try:
        frames = routed_frames(5, addr4(5), addr4(6), 3, size=2500)
        check_routed(cross(5, frames, {6: 3}, way="kernel:too_long")[6], frames, 6)
        frames = bridged_frames(1, 2, 3, size=2500)
        same([p.frame for p in cross(1, frames, {2: 3}, way="kernel:too_long")[2]], frames, "frames")
        # Frames that just fit are fast.
        frames = routed_frames(5, addr4(5), addr4(6), 3, size=1700)
        check_routed(cross(5, frames, {6: 3})[6], frames, 6)
    finally:
        for port in ("p1", "p2", "p5", "p6"):
            sh("nsenter --net=/run/netns/h%s ip link set eth0 mtu 1500; ip link set %s mtu 1500" %
               (port[1], port))
        time.sleep(0.4)


@test
def vlan_beside():
    """a VLAN tag beside the frame is put back into it: bridged with it, never routed without it"""
    tag = "nsenter --net=/run/netns/h%d tc "
    sh((tag % 1) + "qdisc add dev eth0 clsact && " + (tag % 1) +
       "filter add dev eth0 egress bpf da obj $TAG_BPF sec tc")
    try:
        frames = bridged_frames(1, 2, 5)
        got = cross(1, frames, {2: 5}, way="fast")[2]
        for packet in got:
            same(packet.vlan if packet.vlan is not None else packet.frame[12:16].hex(), 5, "VLAN tag")
    finally:
        sh((tag % 1) + "qdisc del dev eth0 clsact")
    sh((tag % 5) + "qdisc add dev eth0 clsact && " + (tag % 5) +
       "filter add dev eth0 egress bpf da obj $TAG_BPF sec tc")
    try:
        nothing([v4() for _ in range(5)], "kernel")
    finally:
        sh((tag % 5) + "qdisc del dev eth0 clsact")


@test
def vlan_inside():
    """a VLAN tag in the frame: bridged with it, never routed without it"""
    frames = [eth(host_mac(2), host_mac(1), 0x8100,
                  b"\0\5\x08\0" + datagram(addr4(1), addr4(2), token())) for _ in range(5)]
    got = cross(1, frames, {2: 5}, way="kernel:vlan|fast")[2]
    for packet in got:
        same(packet.vlan if packet.vlan is not None else packet.frame[12:16].hex(),
             5 if packet.vlan is not None else "81000005", "VLAN tag")
    frames = [from5(b"\0\5\x08\0" + datagram(addr4(5), addr4(6), token()), 0x8100) for _ in range(5)]
    nothing(frames, "kernel")


@test
def conntrack_fragments():
    """with conntrack active fragments are the kernel's, which waits for all of a datagram"""
    sh("nft add table inet lab && "
       "nft add chain inet lab in '{ type filter hook input priority 0; }' && "
       "nft add rule inet lab in ct state established accept")
    time.sleep(0.4)
    try:
        part = udp(addr4(5), addr4(6), token() + b"f" * 512, checksum=0)
        nothing([from5(ip4(addr4(5), addr4(6), part[:520], flags=1, ident=77))], "kernel")
    finally:
        sh("nft delete table inet lab")
        time.sleep(0.4)


# ---- neighbours --------------------------------------------------------------------------------------


def neighbour(state, address="10.0.6.1"):
    family = 6 if ":" in address else 4
    sh("ip -%d neigh replace %s lladdr %s dev p6 nud %s" % (family, address, host_mac(6), state))
    time.sleep(0.15)


def to_host6(count):
    """To h6's own address, whose stack answers each with port unreachable."""
    return routed_frames(5, addr4(5), "10.0.6.1", count)


@test
def neighbour_states():
    """STALE, DELAY, PROBE, NOARP, PERMANENT neighbours are used"""
    for state in ("stale", "delay", "probe", "noarp", "permanent", "reachable"):
        neighbour(state)
        frames = to_host6(5)
        got = cross(5, frames, {6: 5, 5: 5})[6]
        for packet in got:
            same(packet.dst, host_mac(6), "destination MAC")
    sh("ip neigh del 10.0.6.1 dev p6")


@test
def neighbour_confirmed():
    """a STALE neighbour in use is confirmed with the kernel"""
    neighbour("stale")
    end = time.monotonic() + 8
    while True:
        cross(5, to_host6(2), {6: 2, 5: 2}, way="fast|kernel")
        state = sh("ip neigh show 10.0.6.1 dev p6").split()[-1]
        if state != "STALE":
            break
        same(time.monotonic() < end, True, "the neighbour leaves STALE while it is used")
    same(state in ("DELAY", "PROBE", "REACHABLE"), True, "state " + state)


@test
def neighbour_unusable():
    """an INCOMPLETE or FAILED neighbour, or none: the kernel resolves and delivers"""
    sh("ip neigh replace 10.0.6.1 lladdr %s dev p6 nud stale; ip neigh del 10.0.6.1 dev p6" %
       host_mac(6))
    time.sleep(0.15)
    cross(5, to_host6(1), {6: 1, 5: 1}, way="punt:no_neigh")
    time.sleep(0.2)
    cross(5, to_host6(20), {6: 20, 5: 20})
    sh("ip neigh replace 10.0.6.1 dev p6 nud failed")
    time.sleep(0.15)
    cross(5, to_host6(1), {6: 1, 5: 1}, way="punt:no_neigh")


# ---- the egress that is not ours -------------------------------------------------------------------------


@test
def not_a_port():
    """a route out of an interface that is not a port: the kernel's, in XDP after the first"""
    sh("ip link add name vpn type veth peer name vpnend && ip link set vpn up &&"
       "ip link set vpnend up && ip addr add 10.95.0.1/24 dev vpn &&"
       "ip neigh replace 10.95.0.2 lladdr 02:00:00:00:55:02 dev vpn nud permanent")
    time.sleep(0.3)
    try:
        def frames(n):
            return routed_frames(5, addr4(5), "10.95.0.2", n)

        def seen():
            return int(sh("cat /sys/class/net/vpnend/statistics/rx_packets"))

        before = seen()
        cross(5, frames(1), {}, way="punt:not_fast|kernel:verdict", patience=QUIET)
        cross(5, frames(20), {}, way="kernel", patience=QUIET)
        if MODE != "kernel":
            cross(5, frames(20), {}, way="kernel:verdict|punt:not_fast", patience=QUIET)
        same(seen() - before >= (21 if MODE == "kernel" else 41), True, "frames out of vpn")
    finally:
        sh("ip link del vpn")


run()
