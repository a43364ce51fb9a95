# SPDX-License-Identifier: BSD-2-Clause
"""A firewall is never bypassed, and one that does nothing costs nothing.

Each obstacle drops frames.  While a stream runs, the command that makes it is given; from its return
is measured until the port says `kernel`, and until the last frame was sent that came out all the same.
"""
import ctypes
import os
import socket
import statistics
import struct
import threading
import time

from wire import (MODE, SLOW, Stream, addr4, addr6, bridged_frames, check_routed, cross, eth, ip4,
                  gateway_mac, host_mac, port_state, routed_frames, run, same, sh, test, token, udp,
                  wait_state)

GUEST = SLOW > 1
BOUND = 2.0 if GUEST else 0.2  # seconds; in a guest to ask for the state alone takes the most of one
TRIES = 3  # the best counts: what a busy machine adds is not the daemon's
DROP = os.environ["DROP_BPF"]

NFT = "nft add table {0} lab && nft 'add chain {0} lab fw {{ {1}; }}' && nft add rule {0} lab fw {2}"
GONE = "nft delete table {0} lab"


def nft(family, chain, rule="udp dport 9 drop"):
    return NFT.format(family, chain, rule), GONE.format(family)


def legacy(table, chain, tool="iptables-legacy"):
    rule = "%s -t %s %%s %s -p udp --dport 9 -j DROP" % (tool, table, chain)
    return rule % "-A", rule % "-D"


def clsact(dev, side):
    return ("tc qdisc add dev %s clsact && tc filter add dev %s %s bpf da obj %s sec tc" %
            (dev, dev, side, DROP), "tc qdisc del dev %s clsact" % dev)


# Name; (command, command that undoes it); ports; what the reason says; the stream's ends.
ROUTED, BRIDGED = (5, 6), (1, 2)
OBSTACLES = (
    ("nftables inet forward", nft("inet", "type filter hook forward priority 0"),
     ("p5", "p6"), "nftables chain inet lab fw (forward)", ROUTED),
    ("nftables ip prerouting", nft("ip", "type filter hook prerouting priority -300"),
     ("p5", "p6"), "nftables chain ip lab fw (prerouting)", ROUTED),
    ("nftables inet postrouting", nft("inet", "type filter hook postrouting priority 0"),
     ("p5", "p6"), "nftables chain inet lab fw (postrouting)", ROUTED),
    ("nftables forward policy", nft("inet", "type filter hook forward priority 0; policy drop",
                                    "tcp dport 9 accept"),
     ("p5", "p6"), "nftables chain inet lab fw (forward)", ROUTED),
    ("nftables netdev ingress", nft("netdev", "type filter hook ingress device p5 priority 0"),
     ("p5",), "nftables chain netdev lab fw (ingress) on p5", ROUTED),
    ("nftables inet ingress", nft("inet", "type filter hook ingress device p5 priority 0"),
     ("p5",), "nftables chain inet lab fw (ingress) on p5", ROUTED),
    ("nftables netdev egress", nft("netdev", "type filter hook egress device p6 priority 0"),
     ("p6",), "nftables chain netdev lab fw (egress) on p6", ROUTED),
    ("nftables bridge forward", nft("bridge", "type filter hook forward priority 0"),
     ("p1", "p2"), "nftables chain bridge lab fw (forward)", BRIDGED),
    ("nftables bridge prerouting", nft("bridge", "type filter hook prerouting priority 0"),
     ("p1", "p2"), "nftables chain bridge lab fw (prerouting)", BRIDGED),
    ("nftables ingress of a bridge port", nft("netdev", "type filter hook ingress device p1 priority 0"),
     ("p1",), "nftables chain netdev lab fw (ingress) on p1", BRIDGED),
    ("iptables-nft", ("iptables-nft -A FORWARD -p udp --dport 9 -j DROP", "nft delete table ip filter"),
     ("p5", "p6"), "nftables chain ip filter FORWARD (forward)", ROUTED),
    ("ebtables-nft", ("ebtables-nft -A FORWARD -i p1 -j DROP", "nft delete table bridge filter"),
     ("p1", "p2"), "nftables chain bridge filter FORWARD (forward)", BRIDGED),
    ("iptables-legacy FORWARD", legacy("filter", "FORWARD"), ("p5", "p6"),
     "iptables table filter has rules in FORWARD", ROUTED),
    ("iptables-legacy PREROUTING", legacy("raw", "PREROUTING"), ("p5", "p6"),
     "iptables table raw has rules in PREROUTING", ROUTED),
    ("iptables-legacy policy", ("iptables-legacy -P FORWARD DROP", "iptables-legacy -P FORWARD ACCEPT"),
     ("p5", "p6"), "iptables table filter does not accept in FORWARD", ROUTED),
    ("br_netfilter", (nft("ip", "type filter hook forward priority 0")[0] +
                      " && sysctl -q net.bridge.bridge-nf-call-iptables=1",
                      "sysctl -q net.bridge.bridge-nf-call-iptables=0 ; nft delete table ip lab"),
     ("p1", "p2"), "nftables chain ip lab fw (forward)", BRIDGED),
    ("tc filter on ingress", clsact("p5", "ingress"), ("p5",), "tc filter (bpf) on the ingress of p5",
     ROUTED),
    ("tc filter on egress", clsact("p6", "egress"), ("p6",), "tc filter (bpf) on the egress of p6",
     ROUTED),
    ("tc filter on a bridge port", clsact("p1", "ingress"), ("p1",),
     "tc filter (bpf) on the ingress of p1", BRIDGED),
    ("qdisc", ("tc qdisc replace dev p6 root tbf rate 8kbit burst 30 limit 1000 2>/dev/null",
               "tc qdisc del dev p6 root"), ("p6",), "qdisc tbf on p6", ROUTED),
    ("qdisc below mq", ("tc qdisc replace dev p6 root handle 1: mq && for q in 1 2; do tc qdisc replace "
                        "dev p6 parent 1:$q tbf rate 8kbit burst 30 limit 1000 2>/dev/null; done",
                        "tc qdisc del dev p6 root"), ("p6",), "qdisc tbf on p6", ROUTED),
    ("IPsec policy fwd", ("ip xfrm policy add dst 10.0.6.0/24 dir fwd action block",
                          "ip xfrm policy flush"), ("p5", "p6"), "IPsec policy fwd", ROUTED),
    ("IPsec policy out", ("ip xfrm policy add dst 10.0.6.0/24 dir out action block",
                          "ip xfrm policy flush"), ("p5", "p6"), "IPsec policy out", ROUTED),
    ("IPsec default policy", ("ip xfrm policy setdefault fwd block",
                              "ip xfrm policy setdefault fwd accept"),
     ("p5", "p6"), "IPsec default policy fwd block", ROUTED),
)

# What only some kernels have, by a command that says so (and undoes itself).
SOME = (
    ("netem", "tc qdisc add dev lo root netem loss 100% && tc qdisc del dev lo root",
     ("tc qdisc replace dev p6 root netem loss 100%", "tc qdisc del dev p6 root"), ("p6",),
     "qdisc netem on p6", ROUTED),
    ("flower with an action", "tc qdisc add dev lo clsact && tc filter add dev lo ingress protocol ip "
     "flower dst_ip 10.9.9.9 action drop; r=$?; tc qdisc del dev lo clsact; exit $r",
     ("tc qdisc add dev p5 clsact && tc filter add dev p5 ingress protocol ip flower ip_proto udp "
      "dst_port 9 action drop", "tc qdisc del dev p5 clsact"), ("p5",),
     "tc filter (flower) on the ingress of p5", ROUTED),
)


class States(threading.Thread):
    """When ports said that they are the kernel's."""

    def __init__(self, ports):
        super().__init__()
        self.ports, self.seen, self.stop = set(ports), {}, False
        self.start()

    def run(self):
        while MODE != "kernel" and not self.stop and len(self.seen) < len(self.ports):
            for port in self.ports - set(self.seen):
                state, reason = port_state(port)
                if state == "kernel":
                    self.seen[port] = (time.monotonic(), reason)
            time.sleep(0.005)


def once(command, ports, reason, ends):
    """`command`: for the shell, or a function.  Seconds from the command's return to all ports' state, and to the last frame that came out."""
    stream = (Stream.routed if ends == ROUTED else Stream)(*ends)
    returned, states = [], []

    def do():
        command() if callable(command) else sh(command)
        returned.append(time.monotonic())
        states.append(States(ports))

    stream.run(*(6.0, 0.02) if GUEST else (0.9, 0.003), [(0.15, do)])
    states[0].stop = True
    states[0].join()
    since = returned[0] - stream.start
    before = [n for _, n in stream.arrived if stream.sent[n] < stream.marks[0]]
    if len(before) * 10 < 9 * sum(1 for when in stream.sent if when < stream.marks[0]):
        raise AssertionError("only %d frames came out before" % len(before))
    late = [stream.sent[n] - since for _, n in stream.arrived]
    if len(stream.arrived) == len(stream.sent):
        raise AssertionError("nothing is dropped")
    for port in ports if MODE != "kernel" else ():
        if port not in states[0].seen:
            raise AssertionError("%s is %s (%s)" % ((port,) + port_state(port)))
        if reason not in states[0].seen[port][1]:
            raise AssertionError("%s is kernel because '%s', not '%s'" %
                                 (port, states[0].seen[port][1], reason))
    said = max([at - returned[0] for at, _ in states[0].seen.values()] or [0.0])
    return said, max(0.0, max(late))


_said, _effect = [], []


def obeyed(put, take, ports, reason, ends):
    best = None
    for _ in range(TRIES):
        try:
            took = once(put, ports, reason, ends)
        finally:
            take() if callable(take) else sh(take, check=False)
            for port in ports:
                wait_state(port, "fast")
        _said.append(took[0])
        _effect.append(took[1])
        best = min(best or took, took, key=max)
        if max(best) <= BOUND:
            return
    raise AssertionError("in state kernel after %.3f s, the last frame through after %.3f s" % best)


def obstacle(name, commands, ports, reason, ends):
    def case():
        obeyed(*commands, ports, reason, ends)

    case.__doc__ = "obeyed at once, and fast again without it: " + name
    return test(case)


# How the mode of XDP or the kernel could matter is the same for all that are found alike.
for each in OBSTACLES[::8 if GUEST else 4 if MODE == "generic" else 1]:
    obstacle(*each)
for name, probe, *rest in SOME:
    if os.system("( " + probe + " ) 2>/dev/null") == 0:
        obstacle(name, *rest)
    else:
        print("  --    this kernel has no " + name, flush=True)


def bpf(command, *words):
    """The system call; 64-bit words."""
    attr = struct.pack("%dQ" % len(words), *words).ljust(160, b"\0")
    return ctypes.CDLL(None, use_errno=True).syscall(321, command, attr, len(attr))


@test
def tcx():
    """obeyed at once, and fast again without it: a tcx program"""
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0))
    text = ctypes.create_string_buffer(b"GPL")
    program = bpf(5, 3 | 2 << 32, ctypes.addressof(code), ctypes.addressof(text))
    same(program >= 0, True, "program loaded")
    links = []

    def attach():
        links.append(bpf(28, program | socket.if_nametoindex("p5") << 32, 46))  # a link, tcx ingress
        same(links[-1] >= 0, True, "program attached")

    if tuple(int(n) for n in os.uname().release.split(".")[:2]) < (6, 6):
        print("  --    this kernel has no tcx", flush=True)
    else:
        obeyed(attach, lambda: os.close(links.pop()), ("p5",), "tcx program on the ingress of p5",
               ROUTED)
    os.close(program)


@test
def times():
    """how long it took"""
    for what, seconds in (("port in state kernel", _said), ("last frame through", _effect)):
        print("        %s: median %.0f ms, worst %.0f ms of %d" % (
            what, statistics.median(seconds) * 1000, max(seconds) * 1000, len(seconds)), flush=True)


# ---- what does nothing ---------------------------------------------------------------------------------

HARMLESS = (
    ("Debian's sample of nftables.conf", "nft -f - <<'END'\n"
     "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter;\n\t}\n"
     "\tchain forward {\n\t\ttype filter hook forward priority filter;\n\t}\n"
     "\tchain output {\n\t\ttype filter hook output priority filter;\n\t}\n}\nEND",
     "nft delete table inet filter"),
    ("iptables-nft for the machine itself", "iptables-nft -P INPUT DROP && iptables-nft -P FORWARD ACCEPT"
     " && iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT && iptables-nft -A INPUT -i lo -j ACCEPT",
     "nft delete table ip filter"),
    ("iptables-legacy for the machine itself", "iptables-legacy -P INPUT DROP && "
     "iptables-legacy -A INPUT -p tcp --dport 22 -j ACCEPT && ip6tables-legacy -L >/dev/null && "
     "iptables-legacy -t nat -L >/dev/null",
     "iptables-legacy -P INPUT ACCEPT && iptables-legacy -F"),
    ("clsact without a filter", "tc qdisc add dev p5 clsact && tc qdisc add dev p1 ingress",
     "tc qdisc del dev p5 clsact && tc qdisc del dev p1 ingress"),
    ("conntrack for the machine itself", "nft add table inet lab && "
     "nft add chain inet lab in '{ type filter hook input priority 0; policy drop; }' && "
     "nft add rule inet lab in ct state established accept && "
     "nft add rule inet lab in meta l4proto ipv6-icmp accept",
     "nft delete table inet lab"),
)


def fast_everywhere():
    sent = routed_frames(5, addr4(5), addr4(6), 5)
    check_routed(cross(5, sent, {6: 5})[6], sent, 6)
    sent = routed_frames(5, addr6(5), addr6(6), 5)
    check_routed(cross(5, sent, {6: 5})[6], sent, 6)
    cross(1, bridged_frames(1, 2, 5), {2: 5})


def harmless(name, put, take):
    def case():
        sh(put)
        try:
            for _ in range(1 if GUEST else 3):
                time.sleep(0.15 * SLOW)
                fast_everywhere()
        finally:
            sh(take)

    case.__doc__ = "frames stay fast with " + name
    return test(case)


for each in HARMLESS:
    harmless(*each)


def fragment(way, out):
    part = udp(addr4(5), addr4(6), token() + b"f" * 512, checksum=0)
    cross(5, [eth(gateway_mac(5), host_mac(5), 0x0800,
                  ip4(addr4(5), addr4(6), part[:520], flags=1, ident=77))], out, way=way, patience=0.4)


@test
def fragments():
    """fragments are the kernel's while there is connection tracking, by whatever rule, and only then"""
    fragment("fast", {6: 1})
    rules = [(HARMLESS[-1][1], HARMLESS[-1][2]),
             ("iptables-legacy -A INPUT -m conntrack --ctstate NEW", "iptables-legacy -F")]
    for put, take in rules:
        sh(put)
        time.sleep(0.4 * SLOW)
        try:
            fragment("kernel", {})
        finally:
            sh(take)
        time.sleep(0.4 * SLOW)
    fragment("fast", {6: 1})


@test
def ebtables():
    """a table of ebtables-legacy, which once asked for is there for good: bridged ports are the kernel's"""
    if os.system("modinfo ebtable_filter >/dev/null 2>&1"):
        print("  --    this kernel has no ebtables-legacy", flush=True)
        return
    sh("ebtables-legacy -A FORWARD -i p1 -j DROP")
    wait_state("p1", "kernel", "ebt")
    cross(1, bridged_frames(1, 2, 3), {}, way="kernel", patience=0.3)
    sh("ebtables-legacy -F FORWARD")


run()
