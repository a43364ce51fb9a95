# SPDX-License-Identifier: BSD-2-Clause
"""What only the kernel does: tunnels that end here, multicast routing, proxies, balancers, MPLS."""
import socket
import struct
import time

from wire import (MODE, SLOW, Packet, addr4, addr6, bridged_frames, check_routed, cross, datagram, eth,
                  gateway_mac, host_mac, hosts, ip4, port_mac, routed_frames, run, same, settle, sh,
                  test, token, udp, wait_state)

HERE = "10.0.5.254"
TRANSIT = {50: "ESP", 51: "AH", 47: "GRE", 4: "IPIP", 41: "IPv6 in IPv4", 115: "L2TP", 137: "MPLS"}


def missing(what, command):
    """True, and said, when this kernel does not have it."""
    if not sh("%s >/dev/null 2>&1 || echo no" % command):
        return False
    print("  --    this kernel has no " + what, flush=True)
    return True


def from5(payload, kind=0x0800):
    return eth(gateway_mac(5), host_mac(5), kind, payload)


@test
def transit():
    """ESP, AH and tunnels between others are forwarded as any packet"""
    # From a virtual device what is inside may lack a checksum: then they are passed in XDP.
    for protocol in TRANSIT:
        sent = [from5(ip4(addr4(5), addr4(6), token() + b"e" * 40, proto=protocol)) for _ in range(3)]
        check_routed(cross(5, sent, {6: 3}, way="fast|kernel:partial")[6], sent, 6)


@test
def end_here():
    """ESP, AH and tunnels to one of our own addresses are the kernel's"""
    for protocol in TRANSIT:
        frames = [from5(ip4(addr4(5), HERE, token() + b"e" * 40, proto=protocol)) for _ in range(3)]
        cross(5, frames, {}, way="kernel:local", patience=0.3, errors=False)


@test
def vxlan():
    """VXLAN: what comes out of the tunnel is routed, what goes into it leaves by the port"""
    inner_mac = "02:00:00:00:77:00"
    sh("ip link add vx7 address %s type vxlan id 7 local 10.0.6.254 remote 10.0.6.77 dstport 4789 "
       "noudpcsum && ip addr add 10.7.0.254/24 dev vx7 && ip link set vx7 up && "
       "ip neigh replace 10.7.0.1 lladdr 02:00:00:00:77:01 dev vx7 nud permanent" % inner_mac)
    try:
        time.sleep(0.3 * SLOW)
        sent = []
        for _ in range(3):
            inner = eth(inner_mac, "02:00:00:00:77:01", 0x0800,
                        datagram("10.7.0.1", addr4(5), token() + b"v" * 20))
            sent.append(eth(port_mac(6), host_mac(6), 0x0800, ip4("10.0.6.77", "10.0.6.254", udp(
                "10.0.6.77", "10.0.6.254", struct.pack("!II", 8 << 24, 7 << 8) + inner, dport=4789))))
        got = cross(6, sent, {5: 3}, way="kernel:local")[5]
        check_routed(got, [frame[14 + 20 + 8 + 8:] for frame in sent], 5)
        sent = routed_frames(5, addr4(5), "10.7.0.1", 3)
        got = cross(5, sent, {6: 3}, way="punt:not_fast|kernel:verdict|kernel")[6]
        for packet, frame in zip(got, sent):
            same(packet.l4[2:4], struct.pack("!H", 4789), "port of the tunnel")
            same(Packet(packet.l4[16:]).ttl, Packet(frame).ttl - 1, "TTL inside")
    finally:
        sh("ip link del vx7")
        time.sleep(0.2)


@test
def mpls():
    """MPLS frames are bridged by their MAC; those for a router are the kernel's"""
    label = struct.pack("!I", 100 << 12 | 1 << 8 | 64)
    sent = [eth(host_mac(2), host_mac(1), 0x8847, label + datagram(addr4(1), addr4(2), token()))
            for _ in range(3)]
    same([p.frame for p in cross(1, sent, {2: 3}, way="fast|kernel")[2]], sent, "frames")
    for switch in ("0", "1"):
        sh("test ! -e /proc/sys/net/mpls/conf/p5/input || sysctl -q net.mpls.conf.p5.input=" + switch)
        cross(5, [from5(label + datagram(addr4(5), addr4(6), token()), 0x8847) for _ in range(3)], {},
              way="kernel", patience=0.3)


@test
def mpls_swap():
    """MPLS: a labelled frame is switched by the kernel's label table, and popped"""
    if missing("MPLS routing", "modprobe mpls_router; sysctl net.mpls.platform_labels"):
        return
    sh("sysctl -q net.mpls.platform_labels=1000 net.mpls.conf.p5.input=1 && "
       "ip -f mpls route add 100 via inet 10.0.6.77 dev p6")
    try:
        label = struct.pack("!I", 100 << 12 | 1 << 8 | 64)
        sent = [from5(label + datagram(addr4(5), addr4(6), token()), 0x8847) for _ in range(3)]
        same(len(cross(5, sent, {6: 3}, way="kernel")[6]), 3, "frames")
        sh("ip route add 10.8.0.0/24 encap mpls 200 via 10.0.6.77")
        time.sleep(0.2 * SLOW)
        got = cross(5, routed_frames(5, addr4(5), "10.8.0.1", 3), {6: 3}, way="kernel")[6]
        same({p.type for p in got}, {0x8847}, "ethertype of what an encapsulating route sends")
    finally:
        sh("ip route del 10.8.0.0/24; ip -f mpls route del 100; sysctl -q net.mpls.conf.p5.input=0", False)


@test
def mroute():
    """multicast is routed by the kernel, and the unicast beside it stays fast"""
    MRT_INIT, MRT_DONE, MRT_ADD_VIF, MRT_ADD_MFC, USE_IFINDEX = 200, 201, 202, 204, 8
    router = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
    router.setsockopt(0, MRT_INIT, 1)
    try:
        for vif, port in enumerate(("p5", "p6")):
            router.setsockopt(0, MRT_ADD_VIF, struct.pack(
                "=HBBIi4s", vif, USE_IFINDEX, 1, 0, socket.if_nametoindex(port), b"\0" * 4))
        router.setsockopt(0, MRT_ADD_MFC, struct.pack(
            "=4s4sH32s2xIIIi", socket.inet_aton(addr4(5)), socket.inet_aton("239.7.7.7"), 0,
            b"\0\1" + b"\0" * 30, 0, 0, 0, 0))
        sent = [eth("01:00:5e:07:07:07", host_mac(5), 0x0800,
                    datagram(addr4(5), "239.7.7.7", token() + b"m" * 20)) for _ in range(3)]
        got = cross(5, sent, {6: 3}, way="kernel:multicast")[6]
        same({(p.src, p.ttl) for p in got}, {(port_mac(6), 63)}, "source and TTL")
        sent = routed_frames(5, addr4(5), addr4(6), 3)
        check_routed(cross(5, sent, {6: 3})[6], sent, 6)
    finally:
        router.setsockopt(0, MRT_DONE, 1)
        router.close()


@test
def tproxy():
    """a transparent proxy gets what is for others, and all of it"""
    IP_TRANSPARENT = 19
    proxy = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    proxy.setsockopt(0, IP_TRANSPARENT, 1)
    proxy.bind(("0.0.0.0", 5000))
    proxy.settimeout(2 * SLOW)
    sh("nft add table ip lab && nft add chain ip lab pre '{ type filter hook prerouting priority -150; }'"
       " && nft add rule ip lab pre udp dport 9 tproxy to :5000 meta mark set 1 accept && "
       "ip rule add fwmark 1 lookup 100 && ip route add local default dev lo table 100")
    try:
        wait_state("p5", "kernel")
        cross(5, routed_frames(5, addr4(5), addr4(6), 5), {}, way="kernel", patience=0.3)
        for _ in range(5):
            same(proxy.recvfrom(2048)[1][0], addr4(5), "address that the proxy sees")
    finally:
        sh("ip rule del fwmark 1 lookup 100; ip route flush table 100; nft delete table ip lab")
        proxy.close()
    wait_state("p5", "fast")


@test
def foreign_addresses():
    """what a rule or a route makes local, though no interface has the address, gets to the socket that waits for it"""
    # Early demultiplexing (tcp_v4_early_demux()) goes by what a route once said, and sk_lookup
    # programs choose among sockets: both come after this, and neither makes anything local.
    v4, v6 = (socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6))
    v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    v4.bind(("0.0.0.0", 9))
    v6.bind(("::", 9))
    here = ((v4, 4, addr4(5), addr4(6), "10.98.0.0/16", "10.98.1.2"),
            (v6, 6, addr6(5), addr6(6), "fd00:98::/32", "fd00:98::2"))

    def heard(waiting, source, to):
        time.sleep(0.3 * SLOW)
        cross(5, routed_frames(5, source, to, 3), {}, way="kernel", patience=0.3)
        for _ in range(3):
            same(waiting.recvfrom(2048)[1][0], source, "who sent it")

    try:
        for waiting, family, source, foreign, prefix, inside in here:
            waiting.settimeout(2 * SLOW)
            sh("ip -%d rule add pref 50 iif p5 lookup 100 && ip -%d route add local default dev lo table 100" %
               (family, family))
            heard(waiting, source, foreign)
            sh("ip -%d rule del pref 50" % family)
            time.sleep(0.3 * SLOW)
            sent = routed_frames(5, source, foreign, 3)
            check_routed(cross(5, sent, {6: 3})[6], sent, 6)
            sh("ip -%d route add local %s dev lo" % (family, prefix))
            heard(waiting, source, inside)
    finally:
        for _, family, _, _, prefix, _ in here:
            sh("ip -%d rule del pref 50; ip -%d route flush table 100; ip -%d route del local %s dev lo" %
               (family, family, family, prefix), False)
        v4.close()
        v6.close()


@test
def balancer():
    """an IPVS service makes routed ports the kernel's"""
    if missing("IPVS", "modprobe ip_vs; ipvsadm -L"):
        return
    sh("ipvsadm -A -u 10.0.5.254:9 -s rr && ipvsadm -a -u 10.0.5.254:9 -r 10.0.6.77:9 -m")
    try:
        wait_state("p5", "kernel", "IPVS service" if MODE != "kernel" else "")
        sent = routed_frames(5, addr4(5), HERE, 3)
        same({p.ip_dst for p in cross(5, sent, {6: 3}, way="kernel")[6]}, {addr4(6)}, "real server")
    finally:
        sh("ipvsadm -C")
    wait_state("p5", "fast")


def upper(kind, arguments):
    def case():
        name = kind + "9"
        if missing(kind, "ip link add link lo name %s type %s; modinfo %s" % (name, kind, kind)):
            return
        sh("ip link del %s 2>/dev/null; ip link add link p5 name %s type %s %s && ip link set %s up" %
           (name, name, kind, arguments, name))
        try:
            wait_state("p5", "kernel", kind)
            sent = routed_frames(5, addr4(5), addr4(6), 3)
            cross(5, sent, {6: 3}, way="kernel")
            cross(1, bridged_frames(1, 2, 3), {2: 3})
        finally:
            sh("ip link del " + name)
        wait_state("p5", "fast")

    case.__doc__ = "a port with a device of %s on it is the kernel's" % kind
    return test(case)


upper("macsec", "encrypt on")
upper("ipvlan", "mode l2")


@test
def encrypted():
    """what an IPsec policy of a tunnel is for leaves encrypted, or not at all"""
    key = "0x" + "11" * 20
    if missing("ESP", "ip xfrm state add src 10.0.6.254 dst 10.0.6.77 proto esp spi 7 mode tunnel "
               "aead 'rfc4106(gcm(aes))' %s 128" % key):
        return
    sh("ip xfrm policy add src 0.0.0.0/0 dst 10.9.0.0/16 dir out tmpl src 10.0.6.254 dst 10.0.6.77 "
       "proto esp mode tunnel && ip route add 10.9.0.0/16 via 10.0.6.77")
    try:
        wait_state("p5", "kernel", "IPsec policy out")
        before = settle("p5") if MODE != "kernel" else None
        for host in hosts.values():
            host.read()
        hosts[5].send(routed_frames(5, addr4(5), "10.9.0.1", 3))
        time.sleep(0.5 * SLOW)
        got = [p.proto for p in hosts[6].read() if p.version == 4 and p.proto in (17, 50)]
        same(got, [50, 50, 50], "protocols of what came out")
        same(before is None or settle("p5").rx == before.rx, True, "none was taken")
    finally:
        sh("ip route del 10.9.0.0/16; ip xfrm policy flush; ip xfrm state flush")
    wait_state("p5", "fast")


run()
