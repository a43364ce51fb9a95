# SPDX-License-Identifier: BSD-2-Clause
"""Bridged frames: what came out, where, how often, and by which way."""
import time

from wire import (BR0, MODE, UNKNOWN, addr4, addr6, bridged_frames, cross, datagram, eth,
                  host_mac, hosts, ip4, pseudo, run, same, sh, shunt, test, token, udp, wait_until)

STATION = "02:00:00:00:77:01"


def unchanged(packets, sent):
    for packet, frame in zip(packets, sent):
        same(packet.frame, frame, "the frame as sent")


def fdb_has(station, port):
    end = time.monotonic() + 2
    while time.monotonic() < end:
        for line in sh("bridge fdb show br br0").splitlines():
            if line.startswith(station + " dev %s " % port):
                return
        time.sleep(0.02)
    raise AssertionError("the kernel's FDB does not have %s on %s" % (station, port))


@test
def unicast():
    """known unicast crosses by XSK, byte for byte"""
    sent = bridged_frames(1, 2, 200)
    got = cross(1, sent, {2: 200})
    unchanged(got[2], sent)


@test
def unicast6():
    """known IPv6 unicast crosses by XSK"""
    sent = [eth(host_mac(3), host_mac(2), 0x86DD, datagram(addr6(2), addr6(3), token()))
            for _ in range(50)]
    unchanged(cross(2, sent, {3: 50})[3], sent)


@test
def other_ethertype():
    """a frame that is not IP is bridged like any other"""
    sent = [eth(host_mac(3), host_mac(1), 0x88B5, token() + b"hello" * 10) for _ in range(5)]
    unchanged(cross(1, sent, {3: 5}, way="fast|kernel")[3], sent)


@test
def rings():
    """MRP and CFM, whatever their MAC, are the kernel's, which may speak them"""
    for kind in (0x88E3, 0x8902):
        for dst in (host_mac(2), "01:80:c2:00:00:35", "01:15:4e:00:00:01"):
            sent = [eth(dst, host_mac(1), kind, token() + b"r" * 40) for _ in range(3)]
            out = {2: 3} if dst == host_mac(2) else {2: 3, 3: 3, 4: 3}
            same([p.frame for p in cross(1, sent, out, way="kernel:ring")[2]], sent, "frames")


@test
def sizes():
    """from the shortest to a full frame, nothing is cut or padded"""
    for size in (8, 18, 64, 509, 1024, 1471, 1472):
        sent = bridged_frames(1, 2, 3, size=size)
        unchanged(cross(1, sent, {2: 3})[2], sent)


@test
def ip_is_not_judged():
    """TTL 1 and IP options do not matter to a bridge"""
    for odd, way in (({"ttl": 1}, "fast"), ({"options": b"\x94\4\0\0"}, "fast|kernel")):
        sent = [eth(host_mac(2), host_mac(1), 0x0800,
                    datagram(addr4(1), addr4(2), token(), **odd)) for _ in range(5)]
        unchanged(cross(1, sent, {2: 5}, way=way)[2], sent)


@test
def br_netfilter():
    """a bad IP header crosses, unless br_netfilter is on: then the kernel drops it"""
    sent = [eth(host_mac(2), host_mac(1), 0x0800, datagram(addr4(1), addr4(2), token(), **wrong))
            for wrong in ({"checksum": 0x1234}, {"version": 5}, {"total": 1000})]
    sh("modprobe -q br_netfilter || :")  # built in where there are no modules
    sh("sysctl -q net.bridge.bridge-nf-call-iptables=1")
    time.sleep(0.3)
    cross(1, sent, {}, way="kernel", patience=0.3)
    cross(1, bridged_frames(1, 2, 5), {2: 5})
    sh("sysctl -q net.bridge.bridge-nf-call-iptables=0")
    time.sleep(0.3)
    unchanged(cross(1, sent, {2: 3}, way="fast|kernel")[2], sent)


@test
def partial():
    """a checksum that the sender left unfinished is right at the receiver"""
    sent = []
    for _ in range(10):
        payload = token() + b"partial checksum"
        part = pseudo(addr4(1), addr4(2), 17, 8 + len(payload))
        sent.append(eth(host_mac(2), host_mac(1), 0x0800, ip4(
            addr4(1), addr4(2), udp(addr4(1), addr4(2), payload, checksum=part))))
    got = cross(1, sent, {2: 10}, send=lambda f: hosts[1].send_partial(f, 34, 6))
    for packet, frame in zip(got[2], sent):
        same(packet.l4_ok(), True, "UDP checksum right")
        same(packet.frame[:40] + packet.frame[42:], frame[:40] + frame[42:], "all but the checksum")
        if MODE != "kernel":
            same(packet.partial, False, "checksum finished")


@test
def flood():
    """unknown unicast reaches every other member exactly once, identical, by one frame"""
    sent = bridged_frames(1, 2, 20, dst=UNKNOWN)
    got = cross(1, sent, {2: 20, 3: 20, 4: 20})
    for n in (2, 3, 4):
        unchanged(got[n], sent)


@test
def flood_by_kernel():
    """a member that is not a port: the kernel floods, each member exactly once"""
    sh("ip link add name other type veth peer name otherend && ip link set otherend up &&"
       "ip link set other up && ip link set other master br0")
    try:
        time.sleep(0.3)
        sent = bridged_frames(1, 2, 20, dst=UNKNOWN)
        got = cross(1, sent, {2: 20, 3: 20, 4: 20}, way="punt:flood")
        for n in (2, 3, 4):
            unchanged(got[n], sent)
        cross(1, bridged_frames(1, 2, 20), {2: 20})
    finally:
        sh("ip link del other")
    time.sleep(0.3)
    cross(1, bridged_frames(1, 2, 20, dst=UNKNOWN), {2: 20, 3: 20, 4: 20})


@test
def flood_promiscuous():
    """a promiscuous bridge wants a copy: the kernel floods"""
    sh("ip link set br0 promisc on")
    try:
        time.sleep(0.3)
        cross(1, bridged_frames(1, 2, 10, dst=UNKNOWN), {2: 10, 3: 10, 4: 10}, way="punt:flood")
    finally:
        sh("ip link set br0 promisc off")


@test
def broadcast():
    """broadcast and multicast are the kernel's, each member exactly once"""
    for group in ("ff:ff:ff:ff:ff:ff", "01:00:5e:01:02:03", "33:33:00:00:00:99"):
        sent = bridged_frames(1, 2, 10, dst=group)
        got = cross(1, sent, {2: 10, 3: 10, 4: 10}, way="kernel:multicast")
        for n in (2, 3, 4):
            unchanged(got[n], sent)


@test
def learn():
    """a MAC first seen in the fast path is told to the kernel's bridge"""
    cross(1, bridged_frames(1, 2, 5, src=STATION), {2: 5}, way="fast|kernel")
    fdb_has(STATION, "p1")
    if MODE != "kernel":
        wait_until("shunt fdb has the station", lambda: any(
            entry["mac"] == STATION and entry["dev"] == "p1" for entry in shunt("fdb")))
    cross(3, bridged_frames(3, 1, 20, dst=STATION), {1: 20})


@test
def move():
    """a station that moves is followed"""
    cross(2, bridged_frames(2, 3, 5, src=STATION), {3: 5}, way="fast|kernel")
    fdb_has(STATION, "p2")
    time.sleep(0.2)
    cross(4, bridged_frames(4, 2, 20, dst=STATION), {2: 20})
    cross(1, bridged_frames(1, 3, 5, src=STATION), {3: 5}, way="fast|kernel")
    fdb_has(STATION, "p1")
    time.sleep(0.2)
    cross(4, bridged_frames(4, 1, 20, dst=STATION), {1: 20})


@test
def same_port():
    """a frame for a MAC behind its own port goes nowhere"""
    cross(1, bridged_frames(1, 2, 10, dst=STATION), {}, way="drop:same_port", patience=0.4)


@test
def static_entry():
    """a static FDB entry is obeyed"""
    sh("bridge fdb replace 02:00:00:00:77:02 dev p4 master static")
    time.sleep(0.2)
    cross(1, bridged_frames(1, 4, 20, dst="02:00:00:00:77:02"), {4: 20})
    sh("bridge fdb del 02:00:00:00:77:02 dev p4 master")
    time.sleep(0.2)
    cross(1, bridged_frames(1, 4, 5, dst="02:00:00:00:77:02"), {2: 5, 3: 5, 4: 5})


@test
def flood_off():
    """a port with flood off gets no unknown unicast"""
    sh("bridge link set dev p4 flood off")
    time.sleep(0.3)
    cross(1, bridged_frames(1, 2, 5, dst=UNKNOWN), {2: 5, 3: 5}, way="fast|kernel")
    sh("bridge link set dev p4 flood on")
    time.sleep(0.3)
    cross(1, bridged_frames(1, 2, 5, dst=UNKNOWN), {2: 5, 3: 5, 4: 5}, way="fast|kernel")


@test
def reserved():
    """01-80-C2-00-00-xx is control traffic: the kernel's, which forwards only BPDUs, without STP"""
    for last, out in ((0, {2: 5, 3: 5, 4: 5}), (1, {}), (2, {}), (14, {})):
        sent = bridged_frames(1, 2, 5, dst="01:80:c2:00:00:%02x" % last)
        cross(1, sent, out, way="kernel:multicast", patience=0.3)


@test
def bad_source():
    """a source MAC that is zero or a group goes nowhere"""
    for source in ("00:00:00:00:00:00", "01:00:5e:00:00:05"):
        cross(1, bridged_frames(1, 2, 5, src=source), {}, way="kernel:bad_source", patience=0.3)


@test
def own_source():
    """a frame that claims the bridge's own MAC as its source teaches nothing"""
    cross(1, bridged_frames(1, 2, 5, src=BR0), {2: 5}, way="kernel")
    same(BR0 + " dev p1" in sh("bridge fdb show br br0"), False, "the bridge's MAC behind p1")


run()
