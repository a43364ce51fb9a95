# SPDX-License-Identifier: BSD-2-Clause
"""Tags byte by byte; tags.sh says what is where."""
import struct
import time

from wire import BR0, cross, datagram, eth, host_mac, port_mac, run, same, sh, test, token

COUNT = 5
Q, AD = 0x8100, 0x88A8


def tagged(frame, *tags):
    """Tags are (TPID, TCI) or a TCI of 802.1Q; outermost first."""
    words = b"".join(struct.pack("!HH", *(t if isinstance(t, tuple) else (Q, t))) for t in tags)
    return frame[:12] + words + frame[12:]


def plain(dst, src, to="10.99.0.2"):
    return [eth(dst, src, 0x0800, datagram("10.99.0.1", to, token() + b"x" * 30))
            for _ in range(COUNT)]


def wire_same(packets, frames, tags):
    same([p.wire for p in packets], [tagged(f, *tags) for f in frames], "the frames on the wire")


def bridged(a, tags, b, out, way="fast", dst=None, src=None):
    """From host a with tags to b's MAC: comes out at b, tagged like `out`; None: nowhere."""
    frames = plain(dst or host_mac(b), src or host_mac(a))
    got = cross(a, [tagged(f, *tags) for f in frames], {} if out is None else {b: COUNT}, way,
                patience=0.3 if out is None else 1.5)
    if out is not None:
        wire_same(got[b], frames, out)


def flooded(a, tags, outs, way="fast", dst="02:00:00:00:99:99"):
    frames = plain(dst, host_mac(a))
    got = cross(a, [tagged(f, *tags) for f in frames], {n: COUNT for n in outs}, way)
    for n, out in outs.items():
        wire_same(got[n], frames, out)


def routed(a, tags, gateway, to, b, out, source, way="fast"):
    """Comes out at b with `out`, to b's MAC from `source`, one hop older."""
    frames = plain(gateway, host_mac(a), to)
    got = cross(a, [tagged(f, *tags) for f in frames], {b: COUNT}, way)
    for packet, frame in zip(got[b], frames):
        want = tagged(eth(host_mac(b), source, 0x0800, older(frame[14:])), *out)
        same(packet.wire, want, "the frame on the wire")


def older(packet):
    """One hop less, the header checksum with it (RFC 1624)."""
    total = struct.unpack_from("!H", packet, 10)[0] + 0x100
    total = (total & 0xFFFF) + (total >> 16)
    return packet[:8] + bytes([packet[8] - 1]) + packet[9:10] + struct.pack("!H", total) + \
        packet[12:]


@test
def trunk_and_access():
    """a tag is put on, taken off and left"""
    bridged(2, [], 1, [10])
    bridged(1, [10], 2, [])
    bridged(1, [10], 3, [10])
    bridged(1, [20], 4, [])
    bridged(4, [], 3, [20])
    bridged(2, [10], 1, [10])


@test
def priority():
    """priority and drop eligibility are kept from tag to tag, also of a priority tag"""
    bridged(1, [0xB00A], 3, [0xB00A])
    bridged(1, [0xB00A], 2, [])
    bridged(2, [0xA000], 1, [0xA00A])


@test
def inside():
    """what is inside the tag stays as it is"""
    bridged(1, [10, 77], 2, [77])
    bridged(2, [0, (AD, 5)], 3, [10, (AD, 5)])
    bridged(2, [0, (AD, 5), 6], 3, [10, (AD, 5), 6], way="fast|kernel")
    bridged(1, [(Q, 10), (AD, 9)], 3, [(Q, 10), (AD, 9)])


@test
def other_protocol():
    """an 802.1ad tag is payload in the PVID of an 802.1Q bridge"""
    bridged(2, [(AD, 55)], 3, [10, (AD, 55)])
    bridged(3, [(AD, 10)], 1, None, way="drop:vlan|kernel")


@test
def vlan_device_member():
    """a VLAN device as a member puts its tag around"""
    bridged(2, [], 5, [300])
    bridged(5, [300], 2, [])
    bridged(5, [0x712C], 1, [10])
    bridged(5, [300, 0xE00A], 3, [0xE00A])


@test
def not_a_member():
    """a VLAN that is not on the port is dropped"""
    bridged(2, [20], 4, None, way="drop:vlan|kernel")
    bridged(3, [], 1, None, way="drop:vlan|kernel")
    bridged(1, [77], 2, None, way="drop:vlan|kernel")


@test
def unknown():
    """an unknown station's frame reaches every port of its VLAN in that port's form"""
    flooded(2, [], {1: [10], 3: [10], 5: [300]}, way="fast|kernel")
    flooded(1, [0x500A], {2: [], 3: [0x500A], 5: [300]}, way="fast|kernel")
    flooded(4, [], {1: [20], 3: [20]}, way="fast|kernel")


@test
def isolated_and_hairpin():
    """isolated and hairpin ports are obeyed"""
    sh("bridge link set dev p2 isolated on; bridge link set dev p3 isolated on;"
       "bridge link set dev p1 hairpin on")
    sh("bridge fdb replace 02:00:00:00:77:02 dev p1 vlan 10 master static")
    time.sleep(0.5)
    bridged(2, [], 3, None, way="drop:isolated|kernel")
    bridged(2, [], 1, [10])
    bridged(1, [0x600A], 1, [0x600A], dst="02:00:00:00:77:02")
    flooded(2, [], {1: [10], 5: [300]}, way="fast|kernel")
    sh("bridge link set dev p2 isolated off; bridge link set dev p3 isolated off;"
       "bridge link set dev p1 hairpin off")
    time.sleep(0.5)
    bridged(2, [], 3, [10])


@test
def routed_by_vlan_devices():
    """VLAN devices on a port: stacked, 802.1ad, priority tags"""
    p6 = port_mac(6)
    routed(6, [100], p6, "10.200.0.2", 6, [100, 200], p6)
    routed(6, [100, 200], p6, "10.7.0.2", 6, [(AD, 7)], p6)
    routed(6, [(AD, 7)], p6, "10.100.0.2", 6, [100], p6)
    routed(6, [0xC064], p6, "10.7.0.2", 6, [(AD, 7)], p6)
    routed(6, [], p6, "10.100.0.2", 6, [100], p6)
    routed(6, [0xE000], p6, "10.100.0.2", 6, [100], p6)


@test
def nobodys():
    """a tag that no device takes is the kernel's to drop"""
    frames = plain(port_mac(6), host_mac(6), "10.100.0.2")
    cross(6, [tagged(f, 101) for f in frames], {}, "kernel", patience=0.3)


@test
def svi():
    """a VLAN device on the bridge routes what comes in its VLAN, and sends into it"""
    routed(2, [], BR0, "10.100.0.2", 6, [100], port_mac(6))
    routed(1, [0x700A], BR0, "10.7.0.2", 6, [(AD, 7)], port_mac(6))
    routed(5, [300], BR0, "10.100.0.2", 6, [100], port_mac(6))
    routed(6, [100], port_mac(6), "10.10.0.2", 3, [10], BR0)
    sh("ip neigh replace 10.10.0.2 lladdr %s dev br0.10 nud permanent" % host_mac(2))
    time.sleep(0.5)
    routed(6, [], port_mac(6), "10.10.0.2", 2, [], BR0)
    sh("ip neigh replace 10.10.0.2 lladdr %s dev br0.10 nud permanent" % host_mac(5))
    time.sleep(0.5)
    routed(6, [], port_mac(6), "10.10.0.2", 5, [300], BR0)


@test
def groups():
    """a group's frames reach those who joined, each in its form"""
    sh("ip link set br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_query_interval 300")
    sh("bridge mdb add dev br0 port p2 grp 239.1.2.3 permanent vid 10")
    sh("bridge mdb add dev br0 port p3 grp 239.1.2.3 permanent vid 10")
    time.sleep(12)  # until a querier counts
    frames = plain("01:00:5e:01:02:03", host_mac(1), "239.1.2.3")
    got = cross(1, [tagged(f, 0x800A) for f in frames], {2: COUNT, 3: COUNT}, "fast|kernel")
    wire_same(got[2], frames, [])
    wire_same(got[3], frames, [0x800A])


run()
