# SPDX-License-Identifier: BSD-2-Clause
"""selftest: can the differential test fail, and does it when nothing differs?

    - the kernel against the kernel: never a difference
    - a route, a flag or a sysctl in one lab only: a difference
    - shuntd told to bypass netfilter, and a rule that drops: a difference, reduced to the rule and
      frames that it would have dropped
"""
from compare import Responder
from config import L3
from lab import HOSTS, host_mac, port_mac
from play import Reducer, play
from wire import eth, ip4, udp

FRAMES = 16
REDUCE_S = 20  # enough for the frames, and for some of the commands


class Small:
    """A configuration by hand: two hosts bridged, two routed."""

    def __init__(self):
        self.l3 = [L3("br0", 1, "02:00:00:00:02:00", [1, 2]), L3("p3", 2, port_mac(3), [3]),
                   L3("p4", 3, port_mac(4), [4])]


def links():
    lines = ["ip link add name br0 address 02:00:00:00:02:00 type bridge stp_state 0 forward_delay 0 "
             "mcast_snooping 0", "ip link set p1 master br0", "ip link set p2 master br0"]
    return lines + ["ip link set %s up" % name for name in ("br0", "p1", "p2", "p3", "p4")]


def addresses(conf):
    return ["ip addr add %s/16 dev %s" % (l3.own4(), l3.name) for l3 in conf.l3]


def traffic(conf):
    """Bridged between 1 and 2, routed between 3 and 4; source ports 4000 and 4001."""
    greeting, frames = [], []
    for host in HOSTS:
        if host <= 4:
            body = b"greeting" + bytes(40)
            greeting.append([host, "", eth("ff:ff:ff:ff:ff:ff", host_mac(host), 0x9998, body).hex(),
                             "greeting"])
    for number in range(FRAMES):
        token = b"T%06xt" % number
        if number % 2:
            src, dst, host, to = "10.2.3.1", "10.3.4.1", 3, port_mac(3)
        else:
            src, dst, host, to = "10.1.1.1", "10.1.2.1", 1, host_mac(2)
        packet = ip4(src, dst, udp(src, dst, token + bytes(20), 4000 + number % 4 // 2), ident=number)
        frames.append([host, "", eth(to, host_mac(host), 0x0800, packet).hex(), "self-test"])
    return [["send", greeting, False], ["send", frames[:FRAMES // 2], False],
            ["send", frames[FRAMES // 2:], False]]


def case(conf, before=(), only=(), extra=()):
    acts = [["do", links()], ["do", addresses(conf) + list(before)]]
    acts += [["only", list(only)]] if only else []
    return {"seed": "self", "ports": [1, 2, 3, 4], "early": False, "extra": list(extra),
            "acts": acts + traffic(conf)}


DROP = ("nft 'add table inet t; add chain inet t f { type filter hook forward priority 0; }; "
        "add rule inet t f udp sport 4001 drop'")

# (what, mode, case's arguments, must it differ?)
CASES = (
    ("the kernel against the kernel", "kernel", {}, False),
    ("shuntd against the kernel", "native", {}, False),
    ("the same with a firewall", "native", {"before": [DROP]}, False),
    ("a firewall that is bypassed", "native",
     {"before": [DROP], "extra": ['netfilter "bypass"']}, True),
    ("a firewall in one lab only", "kernel", {"only": [DROP]}, True),
    ("a blackhole in one lab only", "kernel", {"only": ["ip route add blackhole 10.3.4.1"]}, True),
    ("another MAC in one lab only", "native",
     {"only": ["ip link set p3 down", "ip link set p3 address 02:00:00:00:01:55",
               "ip link set p3 up"]}, True),
    ("a port isolated in one lab only", "kernel",
     {"only": ["bridge link set dev p1 isolated on", "bridge link set dev p2 isolated on"]}, True),
)


def reduced(conf, shunt, mode, whole, found):
    """The bypassed rule must be found by one frame and one command beyond the lab's own."""
    def fails(smaller):
        return play(smaller, mode, shunt, Responder(conf))[0]

    small = Reducer(fails, REDUCE_S).reduce(whole, found)
    left = [f for a in small["acts"] if a[0] == "send" for f in a[1] if f[3] != "greeting"]
    lines = [line for a in small["acts"] if a[0] == "do" for line in a[1]]
    ports = {bytes.fromhex(f[2])[34:36] for f in left}
    return len(left) == 1 and ports == {(4001).to_bytes(2, "big")} and DROP in lines


def run(shunt):
    conf, failed = Small(), 0
    for what, mode, arguments, must in CASES:
        whole = case(conf, **arguments)
        found, player = play(whole, mode, shunt, Responder(conf))
        right = (found is not None) == must and player.sent > 0 and (must or player.heard >= FRAMES // 2)
        if right and "bypassed" in what:
            right = reduced(conf, shunt, mode, whole, found)
        failed += not right
        print("%s  %s: %s" % ("  ok  " if right else "  FAIL", what,
                             "differs" if found else "the same"), flush=True)
        if not right and found:
            print(found)
    return failed == 0
