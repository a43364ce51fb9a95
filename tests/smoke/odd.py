# SPDX-License-Identifier: BSD-2-Clause
"""Odd networks: what comes out is what comes out of the kernel, and the fast path is not left for it."""
import time
from contextlib import contextmanager

from wire import (BR0, MODE, ROUTED, Counters, addr4, addr6, bridged_frames, check_routed, collect, cross,
                  datagram, eth, ethertype, expect_way, frame_token, gateway_mac, host_mac, hosts, plug, port_mac,
                  routed_frames, run, same, settle, sh, test, token, wait_state, wait_until)

SOON = 0.2  # seconds a notification may take, or a sysctl that is polled
QUIET = "".join(" net.ipv4.conf.%s.send_redirects=0" % dev for dev in ("all", "default", "br0", "p6"))
FAR = {4: "203.0.113.9", 6: "fd00:feed::9"}
OWN = {4: addr4, 6: addr6}


sh("sysctl -qw" + QUIET)


def settled(*commands):
    for command in commands:
        sh(command)
    time.sleep(SOON)


def neighbours(*ports):
    """Those of the lab: a port that goes down, or whose MAC changes, forgets them."""
    for n in ports:
        for address in (addr4(n), addr6(n)):
            sh("ip neigh replace %s lladdr %s dev p%d nud permanent" % (address, host_mac(n), n))


@contextmanager
def with_mac(n, mac):
    """Port n with another MAC."""
    def change(to):
        sh("ip link set p%d address %s" % (n, to))
        if n in ROUTED:
            neighbours(n)
        time.sleep(SOON)
        wait_state("p%d" % n, "fast")

    try:
        change(mac)
        yield
    finally:
        change(port_mac(n))


@contextmanager
def while_so(undo, *commands):
    """Run commands, and what takes them back, whatever happens."""
    try:
        settled(*commands)
        yield
    finally:
        settled(*undo)


def frames_to(a, dst_mac, src_mac, src, dst, count=3):
    return [eth(dst_mac, src_mac, ethertype(src), datagram(src, dst, token() + b"odd")) for _ in range(count)]


# ---- one MAC twice ---------------------------------------------------------------------------------------


@test
def ports_with_one_mac():
    """two routed ports with one MAC: each routes what comes by it"""
    with with_mac(6, port_mac(5)):
        for addr in (addr4, addr6):
            sent = routed_frames(5, addr(5), addr(6), 3)
            check_routed(cross(5, sent, {6: 3})[6], sent, 6, port_mac(5))
            sent = frames_to(6, port_mac(5), host_mac(6), addr(6), addr(5))
            check_routed(cross(6, sent, {5: 3})[5], sent, 5)
        # The MAC that p6 had is nobody's now.
        cross(6, frames_to(6, port_mac(6), host_mac(6), addr4(6), addr4(5)), {}, way="kernel:not_ours", patience=0.3)


@test
def members_with_one_mac():
    """two members of a bridge with one MAC, or the bridge's: frames for it go up, all others across"""
    with with_mac(2, port_mac(3)):
        cross(1, bridged_frames(1, 2), {2: 5})
        # Going up they are the machine's where the port they came by has the MAC, and nobody's otherwise.
        for a, out in ((1, {}), (2, {4: 3}), (3, {4: 3})):
            cross(a, bridged_frames(a, 4, 3, dst=port_mac(3)), out, way="kernel", patience=0.3)
    with with_mac(2, BR0):
        for a in (1, 2):
            sent = routed_frames(a, addr4(a), addr4(5), 3)
            check_routed(cross(a, sent, {5: 3})[5], sent, 5)
        cross(1, bridged_frames(1, 2), {2: 5})


@test
def routed_and_bridged_with_one_mac():
    """a routed port with the bridge's MAC: either routes what is for it"""
    with with_mac(5, BR0):
        sent = frames_to(5, BR0, host_mac(5), addr4(5), addr4(1))
        check_routed(cross(5, sent, {1: 3})[1], sent, 1)
        sent = routed_frames(1, addr4(1), addr4(5), 3)
        check_routed(cross(1, sent, {5: 3})[5], sent, 5, BR0)


@test
def bridged_host_with_our_mac():
    """a host with the MAC of a port of the bridge, or the bridge's: it can send, and what is for it goes up"""
    for mac, out in ((port_mac(3), {}), (BR0, {2: 3})):
        cross(2, bridged_frames(2, 1, 3, src=mac), {1: 3}, way="kernel")
        cross(1, bridged_frames(1, 2, 3, dst=mac), out, way="kernel", patience=0.3)
        cross(2, bridged_frames(2, 1, 3), {1: 3})


@test
def routed_host_with_a_ports_mac():
    """a host with the MAC of the port it is at, or of another: frames are routed to it and from it"""
    for mac in (port_mac(6), port_mac(5), BR0):
        with while_so([], *["ip neigh replace %s lladdr %s dev p6 nud permanent" % (a(6), mac)
                            for a in (addr4, addr6)]):
            for addr in (addr4, addr6):
                got = cross(5, routed_frames(5, addr(5), addr(6), 3), {6: 3})[6]
                same({(p.dst, p.src, p.ttl) for p in got}, {(mac, port_mac(6), 63)}, "MACs and TTL")
                sent = frames_to(6, port_mac(6), mac, addr(6), addr(5))
                check_routed(cross(6, sent, {5: 3})[5], sent, 5)
    neighbours(6)


# ---- one address twice -----------------------------------------------------------------------------------


@test
def address_on_two_ports():
    """an address on two ports is local until neither has it, and its prefix is behind the first"""
    with while_so([], "ip addr add 10.0.5.254/24 dev p6"):
        sent = routed_frames(1, addr4(1), addr4(5), 3)  # two routes alike: the kernel knows which is first
        check_routed(cross(1, sent, {5: 3}, way="punt:route_kernel")[5], sent, 5)
        for a in (5, 6):
            cross(a, routed_frames(a, addr4(a), "10.0.5.254", 3), {}, way="kernel:local", patience=0.3, errors=False)
    with while_so(["ip addr del 10.0.5.254/24 dev p6", "ip addr add 10.0.5.254/24 dev p5"],
                  "ip addr del 10.0.5.254/24 dev p5"):
        for a in (5, 6):
            cross(a, routed_frames(a, addr4(a), "10.0.5.254", 3), {}, way="kernel:local", patience=0.3, errors=False)
        # Its prefix is the other port's now, where nobody answers.
        cross(1, routed_frames(1, addr4(1), addr4(5), 3), {}, way="punt:no_neigh", patience=0.3, errors=False)
    settled("sysctl -qw net.ipv4.conf.p5.rp_filter=0")
    neighbours(5)
    sent = routed_frames(1, addr4(1), addr4(5), 3)
    check_routed(cross(1, sent, {5: 3})[5], sent, 5)
    cross(6, routed_frames(6, addr4(6), "10.0.5.254", 3), {}, way="kernel:local", patience=0.3, errors=False)


@test
def host_with_our_address():
    """a host with an address of ours: IPv4 from it is dropped as martian, IPv6 is forwarded"""
    for a, ours in ((6, "10.0.6.254"), (6, "10.0.0.254"), (5, "10.0.6.254"), (1, "10.0.0.254")):
        b = 1 if a != 1 else 5
        cross(a, routed_frames(a, ours, addr4(b), 3), {}, way="kernel", patience=0.3)
    # ip6_forward() asks of the source only that it is no multicast, loopback or link-local address.
    for a, ours in ((6, "fd00:6::fe"), (5, "fd00:6::fe")):
        sent = routed_frames(a, ours, addr6(1), 3)
        check_routed(cross(a, sent, {1: 3}, way="fast|kernel")[1], sent, 1)


@test
def address_detected_twice():
    """an IPv6 address that duplicate address detection refuses is not ours: its packets are routed to who has it"""
    twice = "fd00:6::d"
    with while_so(["ip addr del %s/64 dev p6" % twice, "sysctl -qw net.ipv6.conf.p6.accept_dad=0",
                   "sysctl -qw net.ipv6.conf.all.accept_dad=0", "ip -n h6 addr del %s/64 dev eth0" % twice],
                  "ip -n h6 addr add %s/64 dev eth0 nodad" % twice, "sysctl -qw net.ipv6.conf.all.accept_dad=1",
                  "sysctl -qw net.ipv6.conf.p6.accept_dad=1", "ip addr add %s/64 dev p6" % twice):
        wait_until("the address is refused", lambda: "dadfailed" in sh("ip -6 addr show dev p6"))
        settled("ip -6 neigh replace %s lladdr %s dev p6 nud permanent" % (twice, host_mac(6)))
        sent = routed_frames(5, addr6(5), twice, 3)
        check_routed(cross(5, sent, {6: 3}, way="fast|kernel", errors=False)[6], sent, 6)


# ---- routes in a circle ----------------------------------------------------------------------------------


def circle(family, ttl, count, hops, who):
    """Frames into the circle host 5 - switch - host 6 - switch: at each host as often as the TTL allows,
    then word from where it ended."""
    sent = routed_frames(5, OWN[family](5), FAR[family], count, ttl=ttl)
    for h in hosts.values():
        h.read()
    before = {p: settle(p) for p in ("p5", "p6")} if MODE != "kernel" else {}
    hosts[5].send(sent)
    expected = {n: len(ttls) * count for n, ttls in hops.items()}
    expected[5] += count  # the errors
    got = collect({frame_token(f) for f in sent}, expected, patience=3, grace=0.3)
    for n in hosts:
        errors = [p for p in got[n] if p.icmp()]
        same(sorted({p.ttl for p in got[n] if not p.icmp()}), sorted(hops.get(n, [])), "TTLs at h%d" % n)
        same(len(got[n]) - len(errors), len(hops.get(n, [])) * count, "frames at h%d" % n)
        same({(p.ip_src, p.icmp()[:2]) for p in errors},
             {(who, (11, 0) if family == 4 else (3, 0))} if n == 5 else set(), "errors at h%d" % n)
        same(len(errors), count if n == 5 else 0, "how many errors at h%d" % n)
    for port, counters in before.items():
        taken = {"p5": 5, "p6": 6}[port]
        fast = sum(1 for t in hops[taken] if t > 2) * count  # each goes back by the port it came out of
        wait_until("%s took %d frames fast" % (port, fast),
                   lambda: (d := Counters(port).minus(counters)).rx - d.punted - sum(d.drops.values()) >= fast)


@test
def routes_in_a_circle():
    """routes in a circle: a packet goes round by the fast path until its TTL ends, and who ends it says so"""
    undo, do = [], []
    for n in (5, 6):
        for knob, value in (("ipv4.ip_forward", 1), ("ipv6.conf.all.forwarding", 1),
                            ("ipv4.conf.all.send_redirects", 0), ("ipv4.conf.eth0.send_redirects", 0)):
            do.append("nsenter --net=/run/netns/h%d sysctl -qw net.%s=%d" % (n, knob, value))
            undo.append("nsenter --net=/run/netns/h%d sysctl -qw net.%s=%d" % (n, knob, 1 - value))
    for family, prefix in ((4, "203.0.113.0/24"), (6, "fd00:feed::/32")):
        for n, other in ((5, 6), (6, 5)):
            via = {4: "10.0.%d.1", 6: "fd00:%d::1"}[family] % other
            do += ["ip -%d rule add pref 100 iif p%d table 10%d" % (family, n, n),
                   "ip -%d route add %s via %s table 10%d" % (family, prefix, via, n)]
            undo += ["ip -%d rule del pref 100 iif p%d table 10%d" % (family, n, n),
                     "ip -%d route flush table 10%d" % (family, n)]
    # icmp_send() speaks from the address of the way back, icmp6_send() from that of the way in.
    at5, at6 = {4: "10.0.5.254", 6: "fd00:5::fe"}, {4: "10.0.5.254", 6: "fd00:6::fe"}
    host6 = {4: "10.0.6.1", 6: "fd00:6::1"}
    with while_so(undo, *do):
        for n in (5, 6):  # resolved
            sh("ping -q -c 1 10.0.%d.1 && ping -q -c 1 fd00:%d::1" % (n, n))
        for family in (4, 6):
            circle(family, 21, 3, {6: [20, 16, 12, 8, 4], 5: [18, 14, 10, 6, 2]}, at5[family])
            circle(family, 23, 3, {6: [22, 18, 14, 10, 6, 2], 5: [20, 16, 12, 8, 4]}, at6[family])
            circle(family, 22, 3, {6: [21, 17, 13, 9, 5, 1], 5: [19, 15, 11, 7, 3]}, host6[family])
        circle(4, 253, 20, {6: list(range(252, 0, -4)), 5: list(range(250, 0, -4))}, at5[4])


@test
def two_routers_back_and_forth():
    """two routers that point at each other over one link: the same"""
    with while_so(["ip route del 203.0.113.0/24", "nsenter --net=/run/netns/h6 sysctl -qw net.ipv4.ip_forward=0"],
                  "nsenter --net=/run/netns/h6 sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 "
                  "net.ipv4.conf.eth0.send_redirects=0", "ip route add 203.0.113.0/24 via 10.0.6.1"):
        for ttl, who in ((9, "10.0.5.254"), (10, "10.0.6.1")):
            sent = routed_frames(5, addr4(5), FAR[4], 2, ttl=ttl)
            hops = list(range(ttl - 1, 0, -2))
            for h in hosts.values():
                h.read()
            hosts[5].send(sent)
            got = collect({frame_token(f) for f in sent}, {5: 2, 6: 2 * len(hops)}, grace=0.3)
            same(sorted({p.ttl for p in got[6] if not p.icmp()}, reverse=True), hops, "TTLs at h6")
            same(len([p for p in got[6] if not p.icmp()]), 2 * len(hops), "frames at h6")
            same([(p.ip_src, p.icmp()[:2]) for p in got[5]], [(who, (11, 0))] * 2, "what came back")


# ---- a default route through a port that goes away -----------------------------------------------------------


sources = iter(range(100, 200))


def leaves(family, far, out, way):
    """Where frames to far away come out; None: nowhere, and the sender is told."""
    source = OWN[family](5)
    if out is None and family == 4:  # ip_error() allows each five at once, then one a second
        source = "10.0.5.%d" % next(sources)
        sh("ip neigh replace %s lladdr %s dev p5 nud permanent" % (source, host_mac(5)))
    sent = routed_frames(5, source, far, 1 if out is None else 3)
    if out is None:
        got = cross(5, sent, {5: 1}, way=way)[5]
        same({p.icmp()[:2] for p in got}, {(3, 0) if family == 4 else (1, 0)}, "no route")
    else:
        check_routed(cross(5, sent, {out: 3}, way=way)[out], sent, out)


def gone_down():
    sh("ip link set p6 down")
    wait_state("p6", "down")


def gone_for_good():
    sh("ip link del p6")


def gone_elsewhere():
    sh("ip link set p6 netns h4")


def come_back():
    sh("ip link del p6 2>/dev/null; ip -n h4 link del p6 2>/dev/null; ip -n h6 link del eth0 2>/dev/null", check=False)
    wait_until("no p6", lambda: not sh("ip link show p6 2>/dev/null", check=False))
    plug(6)
    wait_state("p6", "fast", seconds=6)
    time.sleep(SOON)


# Each in a table of its own: where frames come out when p6 is gone, and what makes it.
DEFAULTS = {
    "alone": (None, ["ip -{f} route add default via {via6} dev p6 table {t}"]),
    "next-hop object": (None, ["ip -{f} nexthop add id {f}6 via {via6} dev p6",
                               "ip -{f} route add default nhid {f}6 table {t}"]),
    "by metric": (1, ["ip -{f} route add default via {via6} dev p6 metric 10 table {t}",
                      "ip -{f} route add default via {via1} dev br0 metric 20 table {t}"]),
    "several paths": (1, ["ip -{f} route add default table {t} nexthop via {via6} dev p6 weight 200 "
                          "nexthop via {via1} dev br0 weight 1"]),
    "group of objects": (1, ["ip -{f} nexthop add id {f}1 via {via1} dev br0",
                             "ip -{f} nexthop add id {f}8 via {via6} dev p6",
                             "ip nexthop add id {f}7 group {f}8,200/{f}1",
                             "ip -{f} route add default nhid {f}7 table {t}"]),
}


def each_default():
    for table, (name, (after, commands)) in enumerate(DEFAULTS.items(), 201):
        for family, far in ((4, "198.51.%d.9" % table), (6, "fd00:feed:%d::9" % table)):
            yield table, name, after, commands, family, far


def go_away(vanish):
    try:
        for table, _, _, commands, family, far in each_default():
            for command in ["ip -{f} rule add pref {t} to %s table {t}" % far] + commands:
                sh(command.format(f=family, t=table, via6=OWN[family](6), via1=OWN[family](1)))
        time.sleep(SOON)
        for _, name, after, _, family, far in each_default():
            if after is None or name == "by metric":
                leaves(family, far, 6, "fast")
        vanish()
        time.sleep(SOON)
        for _, name, out, _, family, far in each_default():
            # fib_sync_down_dev(): with a device that is unregistered IPv4's several paths go.
            if family == 4 and name == "several paths" and vanish != gone_down:
                out = None
            try:
                leaves(family, far, out, "fast" if out else "punt:no_route")
            except AssertionError as error:
                raise AssertionError("%s, IPv%d: %s" % (name, family, error)) from None
    finally:
        for table, _, _, _, family, _ in each_default():
            sh("ip -%d rule del pref %d; ip -%d route flush table %d" % (family, table, family, table), check=False)
        sh("ip nexthop flush", check=False)
        come_back()


def case(vanish, what):
    def function():
        go_away(vanish)

    function.__doc__ = "a default route through a port that %s: the kernel's other route, or its word" % what
    return test(function)


case(gone_down, "goes down")
case(gone_for_good, "is deleted")
case(gone_elsewhere, "moves to another namespace")

run()
