# SPDX-License-Identifier: BSD-2-Clause
"""frames: random frames of every kind for a configuration, in batches.

A frame is a list [host, how, hex, kind]: who sends it, how (lab.send), its bytes, and what it is for.
Each carries a token where it has room for one: T (P when its checksum is left unfinished), six hex
digits, t.

What shuntd learns it learns a moment later than the kernel would.  So a frame whose effect depends on
another one's (a MAC seen for the first time, ARP, ND, IGMP) goes into a batch that is sent frame by
frame, and both labs come to rest between them.
"""
import socket
import struct

import config
from lab import HOSTS, host_mac, port_mac
from wire import eth, fold, ip4, ip6, mac, pseudo, udp

NOBODY = ["06:00:00:00:99:%02x" % n for n in range(6)]  # MACs that never send
TUNNELS = (4789, 6081, 2152, 4754, 1701)
ERRORS_PER_SOURCE = 4  # ip_error() gives each peer five, and one more a second


def tagged(frame, tags):
    """tags: (ethertype, TCI), outermost first"""
    middle = b"".join(struct.pack("!HH", *t) for t in tags)
    return frame[:12] + middle + frame[12:]


class Frames:
    def __init__(self, conf):
        self.conf = conf
        self.rng = conf.rng("frames")
        self.number = 0
        self.senders = set()  # (host, MAC, tags) that have been seen
        self.place = {}       # MAC: host it was last sent from
        self.errors = {}      # source: frames that may be answered by ip_error()
        self.patient = False  # this batch may wait for what does not answer
        self.by_host = {h: [l3 for l3 in conf.l3 if h in l3.members] for h in HOSTS}

    def token(self, letter=b"T"):
        self.number += 1
        return letter + b"%06x" % self.number + b"t"

    def dead(self):
        """The end of an address; of one that does not answer now and then: that takes time."""
        return config.DEAD + self.rng.randrange(4) if self.patient else self.rng.randrange(40, 60)

    # ---- who and where ----

    def tags_of(self, host):
        """The tags that host's frames wear today."""
        rng, role = self.rng, self.conf.role[host]
        filtering = self.conf.filtering.get(role, False)
        draw = rng.random()
        if draw < (0.5 if filtering else 0.9):
            return ()
        if draw < 0.93:
            vlan = rng.choice(config.VLANS + (1,))
        else:
            vlan = rng.choice((0, 0, 5, 110, 4094, 4095))
        kind = 0x88A8 if rng.random() < 0.12 else 0x8100
        tags = ((kind, rng.choice((0, 0, 5)) << 13 | rng.choice((0, 0, 0, 1)) << 12 | vlan),)
        if rng.random() < 0.12:
            tags = ((rng.choice((0x88A8, 0x8100)), rng.choice(config.VLANS)),) + tags
        return tags

    def gateway(self):
        """(host, interface of the router, tags to reach it)"""
        l3 = self.rng.choice(self.conf.l3)
        host = self.rng.choice(l3.members)
        tags = ((0x8100, l3.tag),) if l3.tag else ()
        if not l3.tag and self.rng.random() < 0.03:
            tags = self.tags_of(host)
        return host, l3, tags

    def source_mac(self, host):
        return host_mac(host, self.rng.randrange(4))

    # ---- layer 4 ----

    def size(self):
        rng, draw = self.rng, self.rng.random()
        if draw < 0.6:
            return rng.randrange(8, 80)
        if draw < 0.8:
            return rng.randrange(80, 1300)
        edge = rng.choice((1280, 1400, 1500, 1500, 1700))
        return max(8, edge - rng.choice((20, 28, 40, 48, 60)) + rng.randrange(-3, 4))

    def l4(self, src, dst):
        """(protocol, payload, how, what): `how` has offsets relative to the payload."""
        rng = self.rng
        kind = rng.choice(("udp",) * 8 + ("tcp",) * 5 + ("icmp", "partial", "partial", "partial tcp",
                          "udp bad", "tcp bad", "udp zero", "tunnel", "other", "udp length"))
        how = ""
        token = self.token(b"P" if kind.startswith("partial") else b"T")
        body = token + bytes(rng.choices(range(256), k=4)) * (self.size() // 4)
        if kind == "other":
            return rng.choice((2, 47, 50, 51, 89, 103, 112, 132, 136, 253)), body, how, kind
        if kind == "icmp":
            v6 = ":" in src
            head = struct.pack("!BBHHH", *((128, 0, 0, 7, 1) if v6 else (8, 0, 0, 7, 1)))
            start = pseudo(src, dst, 58, len(head + body)) if v6 else 0
            total = ~fold(head + body, start) & 0xFFFF
            return 58 if v6 else 1, head[:2] + struct.pack("!H", total) + head[4:] + body, how, kind
        sport = rng.choice((4000, 4000, 4001, 4002, rng.randrange(1024, 65536)))
        dport = rng.choice(TUNNELS) if kind == "tunnel" else rng.choice((9, 9, 53, 80, 5001))
        if "tcp" in kind:
            proto, at = 6, 16
            data = struct.pack("!HHIIBBHHH", sport, dport, rng.randrange(1 << 32),
                               rng.randrange(1 << 32), 0x50, rng.choice((2, 16, 24, 4, 17)), 1024, 0,
                               0) + body
        else:
            proto, at = 17, 6
            data = udp(src, dst, body, sport, dport, checksum=0)
            if kind == "udp length":
                wrong = rng.choice((0, 7, 8, len(data) - 1, len(data) + 1, 65535))
                data = data[:4] + struct.pack("!H", wrong) + data[6:]
        partial = pseudo(src, dst, proto, len(data))
        total = ~fold(data, partial) & 0xFFFF or 0xFFFF
        if kind.startswith("partial"):
            total, how = partial, "p:0:%d" % at
        elif kind.endswith("bad"):
            # The value that a local stack's unfinished checksum has would be finished.
            total = next(t for t in iter(lambda: rng.randrange(1, 65536), None)
                         if t not in (total, partial))
        elif kind == "udp zero":
            total = 0
        return proto, data[:at] + struct.pack("!H", total) + data[at + 2:], how, kind

    # ---- layer 3 ----

    def target4(self, host, ingress):
        rng, draw = self.rng, self.rng.random()
        l3 = rng.choice(self.conf.l3)
        if draw < 0.55:
            return l3.host4(rng.choice(l3.members), rng.choice((1, 2, 3))), "routed"
        if draw < 0.80 and self.conf.routes4:
            base, length = rng.choice(self.conf.routes4).split("/")
            value = struct.unpack("!I", socket.inet_aton(base))[0]
            value |= rng.randrange(4) & (1 << 32 - int(length)) - 1
            return socket.inet_ntoa(struct.pack("!I", value)), "static route"
        return rng.choice((
            (l3.own4(), "local"), (ingress.own4(), "local"),
            (l3.host4(rng.choice(l3.members), self.dead()), "no neighbour"),
            (ingress.host4(rng.choice(ingress.members), 4), "same interface"),
            ("10.%d.255.255" % l3.number, "broadcast"), ("10.%d.0.0" % l3.number, "broadcast"),
            ("255.255.255.255", "broadcast"), ("0.0.0.0", "martian"), ("127.0.0.1", "martian"),
            ("224.0.0.5", "multicast"), ("239.1.1.1", "multicast"), ("240.1.2.3", "martian"),
            ("0.1.2.3", "martian"), ("169.254.1.1", "no route"), ("203.0.113.7", "no route"),
            ("192.168.%d.1" % l3.number, "local"), ("192.168.%d.2" % l3.number, "no neighbour")))

    def source4(self, host, ingress, kind):
        rng, draw = self.rng, self.rng.random()
        if kind in ("no route", "static route", "martian", "no neighbour"):
            # ip_error() has a limit by peer.
            for x in range(config.FRUGAL, config.DEAD):
                source = ingress.host4(host, x)
                if self.errors.get(source, 0) < ERRORS_PER_SOURCE:
                    self.errors[source] = self.errors.get(source, 0) + 1
                    return source
            return None
        if draw < 0.86:
            return ingress.host4(host, rng.choice((1, 2, 3)))
        l3 = rng.choice(self.conf.l3)
        return rng.choice((l3.host4(rng.choice(l3.members), 5), "172.16.0.1", l3.own4(), "0.0.0.0",
                           "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.%d.255.255" % l3.number,
                           "240.0.0.1", "203.0.113.9", "0.0.0.5"))

    def edges4(self):
        """Keyword arguments of ip4() that make it something special."""
        rng = self.rng
        return rng.choice((
            {"ttl": 0}, {"ttl": 1}, {"ttl": 2}, {"ttl": 255}, {"ttl": 1}, {"options": b"\1\1\1\0"},
            {"options": b"\x07\x07\x04\0\0\0\0\0"}, {"options": b"\x94\x04\0\0"},
            {"options": b"\x83\x07\x04\x0a\1\1\1\0"}, {"options": b"\x44\x08\x09\0\0\0\0\0"},
            {"options": b"\x99\x63\0\0"}, {"flags": 1}, {"flags": 1, "offset": 64}, {"offset": 64},
            {"flags": 2}, {"flags": 4}, {"flags": 3}, {"version": 5}, {"version": 6}, {"ihl": 4},
            {"ihl": 6}, {"ihl": 15}, {"total": 19}, {"total": 21}, {"total": 60000}, {"tos": 0xB8},
            {"tos": 3}, {"checksum": 0}, {"checksum": rng.randrange(65536)}, {"offset": 65528},
            {"ident": 0}, {"total": 28}))

    def packet4(self, host, ingress):
        dst, kind = self.target4(host, ingress)
        src = self.source4(host, ingress, kind)
        if src is None:
            return None
        proto, payload, how, what = self.l4(src, dst)
        options = {"ident": self.number & 0xFFFF, "ttl": self.rng.choice((64, 64, 63, 128, 3)),
                   "flags": self.rng.choice((0, 2))}
        if self.rng.random() < 0.2:
            options.update(self.edges4())
            what += " edge"
            if how:  # whole packets only: a local stack sends no others so
                proto, payload, how = 253, self.token() + b"edge", ""
        packet = ip4(src, dst, payload, proto, **options)
        return packet, how, "v4 %s, %s" % (kind, what), 20 + len(options.get("options", b""))

    def target6(self, host, ingress):
        rng, draw = self.rng, self.rng.random()
        l3 = rng.choice(self.conf.l3)
        if draw < 0.58:
            return l3.host6(rng.choice(l3.members), rng.choice((1, 2, 3))), "routed"
        if draw < 0.80 and self.conf.routes6:
            base = bytearray(socket.inet_pton(socket.AF_INET6,
                                              rng.choice(self.conf.routes6).split("/")[0]))
            base[15] |= rng.randrange(4)
            return socket.inet_ntop(socket.AF_INET6, bytes(base)), "static route"
        return rng.choice((
            (l3.own6(), "local"), (l3.host6(rng.choice(l3.members), self.dead()), "no neighbour"),
            (ingress.host6(rng.choice(ingress.members), 4), "same interface"),
            ("fe80::1234", "link-local"), ("ff02::1", "multicast"), ("ff0e::5", "multicast"),
            ("::1", "martian"), ("::", "martian"), ("::ffff:10.1.1.1", "martian"),
            ("fd00:%d::" % l3.number, "anycast"), ("2001:db9::1", "no route"),
            ("2002:a00:1::1", "no route"), ("fec0::1", "no route"), ("64:ff9b::1", "no route")))

    def source6(self, host, ingress):
        rng = self.rng
        if rng.random() < 0.88:
            return ingress.host6(host, rng.choice((1, 2, 3)))
        l3 = rng.choice(self.conf.l3)
        return rng.choice((l3.host6(rng.choice(l3.members), 5), l3.own6(), "::", "::1", "ff02::1",
                           "fe80::9", "::ffff:10.1.1.1", "2001:db8::1", "2001:db9::9"))

    def headers6(self, proto, payload):
        """(next header, payload) with extension headers before it."""
        rng = self.rng
        kind = rng.choice(("hop", "alert", "jumbo", "bad option", "routing 0", "routing 2", "srh", "dest",
                           "frag", "first", "last", "none", "ah", "two", "cut"))
        pad = bytes([1, 4, 0, 0, 0, 0])
        if kind == "none":
            return 59, payload
        if kind in ("frag", "first", "last"):
            bits = {"frag": 0, "first": 1, "last": 64}[kind]
            return 44, struct.pack("!BBHI", proto, 0, bits, self.number) + payload
        if kind == "ah":
            return 51, bytes([proto, 4]) + bytes(22) + payload
        if kind in ("routing 0", "routing 2", "srh"):
            number = {"routing 0": 0, "routing 2": 2, "srh": 4}[kind]
            return 43, bytes([proto, 2, number, rng.choice((0, 1)), 0, 0, 0, 0]) + \
                socket.inet_pton(socket.AF_INET6, "2001:db8::77") + payload
        if kind == "cut":
            return 0, bytes([proto, 30]) + pad + payload
        option = {"alert": b"\x05\x02\0\0\1\0", "jumbo": b"\xc2\x04\0\1\0\0",
                  "bad option": rng.choice((b"\x9e\x04\0\0\0\0", b"\x5e\x04\0\0\0\0",
                                            b"\xde\x04\0\0\0\0"))}.get(kind, pad)
        if kind == "two":
            return 0, bytes([60, 0]) + pad + bytes([proto, 0]) + pad + payload
        return 60 if kind == "dest" else 0, bytes([proto, 0]) + option + payload

    def packet6(self, host, ingress):
        rng = self.rng
        dst, kind = self.target6(host, ingress)
        src = self.source6(host, ingress)
        proto, payload, how, what = self.l4(src, dst)
        options = {"ttl": rng.choice((64, 64, 63, 255, 3)), "flow": rng.choice((0, 0, 0x12345, 0xB800000))}
        if not how and rng.random() < 0.2:
            what += " edge"
            if rng.random() < 0.5:
                proto, payload = self.headers6(proto, payload)
            else:
                options.update(rng.choice((
                    {"ttl": 0}, {"ttl": 1}, {"ttl": 2}, {"ttl": 1}, {"version": 4}, {"version": 7},
                    {"length": 0}, {"length": 4}, {"length": len(payload) + 1}, {"length": 65535},
                    {"length": max(0, len(payload) - 3)})))
        packet = ip6(src, dst, payload, proto, **options)
        return packet, how, "v6 %s, %s" % (kind, what), 40

    def routed(self):
        host, ingress, tags = self.gateway()
        v4 = self.rng.random() < 0.6
        made = (self.packet4 if v4 else self.packet6)(host, ingress)
        if made is None:
            return None
        packet, how, kind, offset = made
        dst, draw = ingress.mac, self.rng.random()
        if draw < 0.02:
            dst = self.rng.choice((port_mac(self.rng.choice(list(HOSTS))), "ff:ff:ff:ff:ff:ff",
                                   "01:00:5e:00:00:09", "33:33:00:00:00:09", NOBODY[0],
                                   port_mac(host), self.rng.choice(self.conf.l3).mac))
            kind += ", other MAC"
        src = self.source_mac(host)
        frame = eth(dst, src, 0x0800 if v4 else 0x86DD, packet)
        draw = self.rng.random()
        if not how and draw < 0.06:
            frame += bytes(self.rng.randrange(1, 40))
            kind += ", padded"
        elif not how and draw < 0.09:
            frame = frame[:self.rng.randrange(14, len(frame))]
            kind += ", cut"
        elif not how and draw < 0.10:
            frame = frame[:12] + struct.pack("!H", 0x86DD if v4 else 0x0800) + frame[14:]
            kind += ", ethertype"
        return self.finish(host, src, tags, frame, how, kind, offset)

    def finish(self, host, src, tags, frame, how, kind, offset):
        if how:
            how = "p:%d:%s" % (14 + 4 * len(tags) + offset, how.rsplit(":", 1)[1])
        if tags:
            frame = tagged(frame, tags)
            kind += ", tagged" if len(tags) == 1 else ", two tags"
            if self.rng.random() < 0.4:
                kind, how = kind + " beside", "m" + how
        return [host, how, frame.hex(), kind], (host, src, tags)

    # ---- layer 2 ----

    def payload2(self):
        """(ethertype, bytes)"""
        rng = self.rng
        kind = rng.choice(("ip", "ip", "ip", "ip6", "other", "llc", "arp", "mpls", "short", "long"))
        if kind == "ip":
            packet = ip4("198.51.100.1", "198.51.100.2", udp(
                "198.51.100.1", "198.51.100.2", self.token() + bytes(rng.randrange(200))), ident=7)
            return 0x0800, packet if rng.random() < 0.9 else packet[:rng.randrange(4, 28)]
        if kind == "ip6":
            return 0x86DD, ip6("2001:db8:f::1", "2001:db8:f::2", udp(
                "2001:db8:f::1", "2001:db8:f::2", self.token() + bytes(rng.randrange(200))))
        body = self.token() + bytes(rng.randrange(40, 1200))
        if kind == "llc":
            return len(body) + 3, b"\xaa\xaa\x03" + body
        if kind == "short":
            return rng.choice((0x0800, 0x9999, 0x0806, 0x86DD)), self.token()[:rng.randrange(9)]
        if kind == "long":
            return 0x9999, self.token() + bytes(rng.choice((1490, 1491, 1495, 1496, 1600, 2490)))
        return {"other": rng.choice((0x9999, 0x88CC, 0x8863, 0x8864, 0x88F7, 0x0600)), "arp": 0x0806,
                "mpls": 0x8847}[kind], body

    def bridged(self):
        rng, conf = self.rng, self.conf
        host = rng.choice([h for h in HOSTS if conf.role[h] != "routed"] * 4 + list(HOSTS))
        role = conf.role[host]
        peers = [h for h in (conf.members(role) if role != "routed" else HOSTS) if h != host] or [host]
        draw = rng.random()
        if draw < 0.62:
            dst, kind = host_mac(rng.choice(peers), rng.randrange(4)), "known"
        elif draw < 0.76:
            dst, kind = rng.choice(NOBODY), "unknown"
        elif draw < 0.80 and conf.macs:
            dst, kind = rng.choice(conf.macs), "static"
        elif draw < 0.88:
            dst, kind = rng.choice(("ff:ff:ff:ff:ff:ff", "01:00:5e:01:01:01", "01:00:5e:01:01:03",
                                    "33:33:00:00:00:05", "01:00:0c:cc:cc:cd", "01:80:c2:00:00:21")), \
                "group"
        elif draw < 0.91:
            dst, kind = "01:80:c2:00:00:%02x" % rng.choice((0, 1, 2, 3, 14, 15)), "link-local group"
        elif draw < 0.94:
            dst, kind = host_mac(host, rng.randrange(4)), "same port"
        else:
            dst, kind = rng.choice((port_mac(host), port_mac(rng.choice(list(HOSTS))),
                                    config.BRIDGE_MAC % 0, "00:00:00:00:00:00")), "switch's MAC"
        src = self.source_mac(host)
        if rng.random() < 0.02:
            src = rng.choice(("00:00:00:00:00:00", "01:02:03:04:05:06", "ff:ff:ff:ff:ff:ff",
                              config.BRIDGE_MAC % 0, port_mac(host)))
            kind += ", odd source"
        elif rng.random() < 0.01:
            src = host_mac(rng.choice(list(HOSTS)), rng.randrange(4))  # somebody moved
            kind += ", moved"
        ethertype, payload = self.payload2()
        frame = eth(dst, src, ethertype, payload)
        return self.finish(host, src, self.tags_of(host), frame, "", "L2 " + kind, 0)

    def multicast(self):
        """IP multicast to groups of the MDB and others; in tables of their own."""
        rng, host = self.rng, self.rng.choice([h for h in HOSTS if self.conf.role[h] != "routed"])
        group = rng.choice(self.conf.groups + ["239.1.1.1", "239.9.9.9", "224.0.0.251"])
        number = struct.unpack("!I", socket.inet_aton(group))[0]
        dst = "01:00:5e:" + struct.pack("!I", number & 0x7FFFFF)[1:].hex(":")
        src4 = "10.1.%d.1" % host
        packet = ip4(src4, group, udp(src4, group, self.token() + bytes(rng.randrange(64))),
                     ttl=rng.choice((1, 8)), ident=self.number & 0xFFFF)
        src = self.source_mac(host)
        return self.finish(host, src, self.tags_of(host), eth(dst, src, 0x0800, packet), "",
                           "multicast", 0)

    # ---- what is sent one by one ----

    def arp(self):
        rng = self.rng
        host, l3, tags = self.gateway()
        src = self.source_mac(host)
        mine = l3.host4(host, rng.choice((1, 2, 3, 40)))
        target = rng.choice((l3.own4(), l3.own4(), l3.host4(rng.choice(l3.members), 2), mine,
                             rng.choice(self.conf.l3).own4(), l3.host4(l3.members[0], self.dead()),
                             "172.16.0.1"))
        operation = rng.choice((1, 1, 1, 2, 3))
        # An address keeps the MAC that the responder says.
        owner = host_mac(host, int(mine.rsplit(".", 1)[1]) % 4)
        body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, mac(owner),
                           socket.inet_aton(mine), mac(l3.mac) if operation == 2 else bytes(6),
                           socket.inet_aton(target)) + b"A" + self.token()
        dst = rng.choice(("ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff", l3.mac))
        return self.finish(host, owner, tags, eth(dst, owner, 0x0806, body), "",
                           "ARP %d" % operation, 0)

    def nd(self):
        rng = self.rng
        host, l3, tags = self.gateway()
        x = rng.choice((1, 2, 3, 40))
        owner, mine = host_mac(host, x % 4), l3.host6(host, x)
        target = rng.choice((l3.own6(), l3.own6(), l3.host6(rng.choice(l3.members), 2),
                             l3.host6(l3.members[0], self.dead())))
        kind = rng.choice((135, 135, 136, 133))
        if kind == 135:
            body = bytes(4) + socket.inet_pton(socket.AF_INET6, target) + b"\1\1" + mac(owner)
            to = "ff02::1:ff" + socket.inet_pton(socket.AF_INET6, target)[13:].hex()[:2] + ":" + \
                socket.inet_pton(socket.AF_INET6, target)[14:].hex()
        elif kind == 136:
            body = b"\x60\0\0\0" + socket.inet_pton(socket.AF_INET6, mine) + b"\2\1" + mac(owner)
            to = l3.own6()
        else:
            body, to = bytes(4) + b"\1\1" + mac(owner), "ff02::2"
        head = bytes([kind, 0, 0, 0]) + body
        total = ~fold(head, pseudo(mine, to, 58, len(head))) & 0xFFFF
        packet = ip6(mine, to, head[:2] + struct.pack("!H", total) + head[4:], 58,
                     ttl=rng.choice((255, 255, 255, 64)))
        raw = socket.inet_pton(socket.AF_INET6, to)
        dst = "33:33:" + raw[12:].hex(":") if raw[0] == 0xFF else l3.mac
        return self.finish(host, owner, tags, eth(dst, owner, 0x86DD, packet), "", "ND %d" % kind, 0)

    def igmp(self):
        rng, host = self.rng, self.rng.choice([h for h in HOSTS if self.conf.role[h] != "routed"])
        group = rng.choice(self.conf.groups + ["239.1.1.2", "239.1.1.3"])
        kind = rng.choice((0x16, 0x16, 0x16, 0x17))
        to = "224.0.0.2" if kind == 0x17 else group
        body = struct.pack("!BBH4s", kind, 0, 0, socket.inet_aton(group))
        body = body[:2] + struct.pack("!H", ~fold(body) & 0xFFFF) + body[4:]
        src4, src = "10.1.%d.1" % host, self.source_mac(host)
        number = struct.unpack("!I", socket.inet_aton(to))[0]
        dst = "01:00:5e:" + struct.pack("!I", number & 0x7FFFFF)[1:].hex(":")
        packet = ip4(src4, to, body, 2, ttl=1, options=b"\x94\x04\0\0", ident=self.number & 0xFFFF)
        self.number += 1
        return self.finish(host, src, self.tags_of(host), eth(dst, src, 0x0800, packet), "", "IGMP", 0)

    # ---- batches ----

    def greeting(self):
        """Every MAC says where it is, in each VLAN it may be in."""
        out = []
        for host in HOSTS:
            filtering = self.conf.filtering.get(self.conf.role[host], False)
            for tags in ((),) + tuple(((0x8100, v),) for v in config.VLANS if filtering):
                for number in range(4):
                    source = host_mac(host, number)
                    body = b"greeting" + self.token() + bytes(30)
                    frame = eth("ff:ff:ff:ff:ff:ff", source, 0x9998, body)
                    out.append([host, "", tagged(frame, tags).hex(), "greeting"])
                    self.senders.add((host, source, tags))
                    self.place[source] = host
        return out

    def one(self):
        while True:
            draw = self.rng.random()
            bridges = self.conf.bridge_names
            make = self.routed if draw < 0.5 and self.conf.l3 else self.bridged
            if draw > 0.96 and bridges:
                make = self.multicast
            made = make()
            if made:
                return made

    def serial(self):
        while True:
            kinds = [self.arp, self.nd] if self.conf.l3 else []
            kinds += [self.igmp] if self.conf.bridge_names else []
            return self.rng.choice(kinds)()

    def batches(self, count, size=48):
        """[(frames, one by one?)], `count` frames in all."""
        learners = []
        while count > 0:
            batch = []
            self.patient = self.rng.random() < 0.01
            while len(batch) < min(size, count):
                frame, sender = self.one()
                # Seen there, and not somewhere else meanwhile.
                if sender in self.senders and self.place.get(sender[1]) == sender[0] and \
                        not self.teaches(frame):
                    batch.append(frame)
                else:
                    learners.append((frame, sender))
                    count -= 1
                    if len(learners) >= 8:
                        break
            if batch:
                yield batch, False
                count -= len(batch)
            if len(learners) >= 8 or self.rng.random() < 0.12:
                slow = learners + [self.serial() for _ in range(self.rng.randrange(5))]
                learners = []
                for frame, sender in slow:
                    self.moved(sender)
                if slow:
                    yield [frame for frame, _ in slow], True

    def teaches(self, frame):
        """What a locked port learns of all the same, now and only now (br_handle_local_finish())."""
        return "locked" in self.conf.tags and "link-local group" in frame[3]

    def moved(self, sender):
        """A MAC that moved is not where it was, in any VLAN, until it says so one by one."""
        host, source, _ = sender
        if self.place.get(source, host) != host:
            self.senders = {s for s in self.senders if s[1] != source}
        self.place[source] = host
        self.senders.add(sender)
