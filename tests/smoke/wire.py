# SPDX-License-Identifier: BSD-2-Clause
"""wire: frames by hand: build, send from a host, capture at all hosts, compare, and ask which way.

A test file defines functions with @test and ends with run().  A test calls cross(): it sends frames
from one host, captures at all of them, checks how many came out where, and by the counters of the
ingress port by which way they went:

    fast            taken from an XSK and forwarded
    kernel:REASON   passed in XDP (shared.h STEER_REASONS)
    punt:REASON     taken from an XSK and given back to the kernel (reason.h PUNT_REASONS)
    drop:REASON     taken from an XSK and dropped (reason.h DROP_REASONS)
    kernel          any of the two ways to the kernel: which is shuntd's choice

Several ways may be given with "|".  With MODE=kernel there is no shuntd and no way is asked for.
"""
import ctypes
import errno
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
import traceback

MODE = os.environ["MODE"]
SHUNT = os.environ["SHUNT"]
SLOW = int(os.environ.get("LAB_SLOW", "1"))  # by how much limits of time are longer
HOSTS = (1, 2, 3, 4, 5, 6)
BRIDGED = (1, 2, 3, 4)
ROUTED = (5, 6)
BR0 = "02:00:00:00:02:00"
UNKNOWN = "02:00:00:00:99:99"

# ---- building --------------------------------------------------------------------------------------


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def host_mac(n):
    return "02:00:00:00:00:%02x" % n


def port_mac(n):
    return "02:00:00:00:01:%02x" % n


def addr4(n):
    """A crafted address of host n: its own stack ignores it."""
    return "10.0.0.%d" % (100 + n) if n in BRIDGED else "10.0.%d.77" % n


def addr6(n):
    return "fd00::10%d" % n if n in BRIDGED else "fd00:%d::77" % n


def gateway_mac(n):
    """Where host n sends what is to be routed."""
    return BR0 if n in BRIDGED else port_mac(n)


def fold(data, start=0):
    """The Internet checksum's sum (RFC 1071), not inverted."""
    if len(data) % 2:
        data += b"\0"
    total = start + sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo(src, dst, proto, length):
    family = socket.AF_INET6 if ":" in src else socket.AF_INET
    both = socket.inet_pton(family, src) + socket.inet_pton(family, dst)
    return fold(both + struct.pack("!HH", proto, length))


def eth(dst, src, kind, payload):
    return mac(dst) + mac(src) + struct.pack("!H", kind) + payload


def ip4(src, dst, payload, proto=17, ttl=64, ident=1, flags=0, offset=0, options=b"", tos=0,
        version=4, ihl=None, total=None, checksum=None):
    ihl = 5 + len(options) // 4 if ihl is None else ihl
    total = 20 + len(options) + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH4s4s", version << 4 | ihl, tos, total, ident,
                       flags << 13 | offset >> 3, ttl, proto, 0, socket.inet_aton(src),
                       socket.inet_aton(dst)) + options
    if checksum is None:
        checksum = ~fold(head) & 0xFFFF
    return head[:10] + struct.pack("!H", checksum) + head[12:] + payload


def ip6(src, dst, payload, proto=17, ttl=64, version=6, length=None, flow=0):
    length = len(payload) if length is None else length
    return struct.pack("!IHBB16s16s", version << 28 | flow, length, proto, ttl,
                       socket.inet_pton(socket.AF_INET6, src),
                       socket.inet_pton(socket.AF_INET6, dst)) + payload


def udp(src, dst, payload, sport=4000, dport=9, checksum=None):
    length = 8 + len(payload)
    head = struct.pack("!HHHH", sport, dport, length, 0)
    if checksum is None:
        checksum = ~fold(head + payload, pseudo(src, dst, 17, length)) & 0xFFFF or 0xFFFF
    return head[:6] + struct.pack("!H", checksum) + payload


_serial = 0


def token():
    """Eight bytes that no other frame of this run has."""
    global _serial
    _serial += 1
    return b"T" + struct.pack("!HI", os.getpid() & 0xFFFF, _serial) + b"t"


def datagram(src, dst, payload, **ip):
    """IPv4 or IPv6 with UDP, by the addresses."""
    build = ip6 if ":" in src else ip4
    return build(src, dst, udp(src, dst, payload), **ip)


def ethertype(src):
    return 0x86DD if ":" in src else 0x0800


def routed_frames(a, src, dst, count=5, size=26, **ip):
    """Frames from host a to its gateway, each with a token of its own."""
    return [eth(gateway_mac(a), host_mac(a), ethertype(src),
                datagram(src, dst, token() + b"x" * (size - 8), **ip)) for _ in range(count)]


def bridged_frames(a, b, count=5, size=26, dst=None, src=None):
    return [eth(dst or host_mac(b), src or host_mac(a), 0x0800,
                datagram(addr4(a), addr4(b), token() + b"x" * (size - 8))) for _ in range(count)]


def frame_token(frame):
    at = frame.find(b"T" + struct.pack("!H", os.getpid() & 0xFFFF))
    return frame[at:at + 8] if at >= 0 else None


# ---- reading ---------------------------------------------------------------------------------------


class Packet:
    """What a captured frame says; the sums are verified, not believed."""

    def __init__(self, frame, vlan=None, partial=False, tpid=0x8100):
        self.frame, self.vlan, self.partial = frame, vlan, partial
        # As it was on the wire: the kernel took the outermost tag off before it gave us the frame.
        self.wire = frame
        if vlan is not None:
            self.wire = frame[:12] + struct.pack("!HH", tpid, vlan) + frame[12:]
        self.dst, self.src = frame[:6].hex(":"), frame[6:12].hex(":")
        self.type = struct.unpack_from("!H", frame, 12)[0]
        self.version = {0x0800: 4, 0x86DD: 6}.get(self.type, 0)
        self.ip = frame[14:]
        if self.version == 4:
            ihl = (self.ip[0] & 15) * 4
            self.ttl, self.proto = self.ip[8], self.ip[9]
            self.total = struct.unpack_from("!H", self.ip, 2)[0]
            self.ip_src, self.ip_dst = (socket.inet_ntoa(self.ip[i:i + 4]) for i in (12, 16))
            self.sum_ok = fold(self.ip[:ihl]) == 0xFFFF
            self.fragment = struct.unpack_from("!H", self.ip, 6)[0] & 0x3FFF
            self.l4 = self.ip[ihl:self.total]
        elif self.version == 6:
            self.proto, self.ttl = self.ip[6], self.ip[7]
            self.total = 40 + struct.unpack_from("!H", self.ip, 4)[0]
            self.ip_src, self.ip_dst = (socket.inet_ntop(socket.AF_INET6, self.ip[i:i + 16])
                                        for i in (8, 24))
            self.sum_ok, self.fragment = True, 0
            self.l4 = self.ip[40:self.total]

    def l4_ok(self):
        """Is the UDP, TCP or ICMP checksum the right one?"""
        if self.partial:
            return True
        if self.proto == 1:
            return fold(self.l4) == 0xFFFF
        if self.proto == 17 and self.l4[6:8] == b"\0\0":
            return True
        return fold(self.l4, pseudo(self.ip_src, self.ip_dst, self.proto, len(self.l4))) == 0xFFFF

    def icmp(self):
        """(type, code, the word after the checksum) or None."""
        if self.version and (self.version, self.proto) in ((4, 1), (6, 58)):
            kind, code, _, word = struct.unpack_from("!BBHI", self.l4)
            return kind, code, word
        return None

    def __repr__(self):
        text = "%s > %s %04x" % (self.src, self.dst, self.type)
        if self.version:
            text += " %s > %s proto %d ttl %d len %d" % (self.ip_src, self.ip_dst, self.proto,
                                                        self.ttl, self.total)
            if self.icmp():
                text += " icmp %d/%d %d" % self.icmp()
        return text


# ---- hosts -----------------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_OUTGOING = 263, 8, 15, 4
TP_STATUS_CSUMNOTREADY, TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1 << 3, 1 << 4, 1 << 6
SO_RCVBUFFORCE = 33


def in_namespace(name, call):
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/" + name, os.O_RDONLY)
    try:
        if _libc.setns(there, 0):
            raise OSError(ctypes.get_errno(), "setns " + name)
        return call()
    finally:
        _libc.setns(here, 0)
        os.close(here)
        os.close(there)


def raw_socket(interface, vnet=False):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    if vnet:
        s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    s.bind((interface, 3))
    s.setblocking(False)
    return s


class Host:
    def __init__(self, n):
        self.n = n
        self.reopen()

    def reopen(self):
        """The sockets, also after the cable was plugged again."""
        self.sock = in_namespace("h%d" % self.n, lambda: raw_socket("eth0"))
        self.vnet = in_namespace("h%d" % self.n, lambda: raw_socket("eth0", vnet=True))

    def send(self, frames):
        global _last_sent
        for frame in frames:
            self.sock.send(frame)
        _last_sent = time.monotonic()

    def send_partial(self, frames, csum_start, csum_offset):
        """As a local stack does with offloads on: the checksum is left to the device."""
        global _last_sent
        for frame in frames:
            self.vnet.send(struct.pack("=BBHHHH", 1, 0, 0, 0, csum_start, csum_offset) + frame)
        _last_sent = time.monotonic()

    def read(self):
        """Everything received by now."""
        out = []
        while True:
            try:
                data, aux, _, address = self.sock.recvmsg(1 << 17, 256)
            except BlockingIOError:
                return out
            except OSError as error:  # the link went down; said once
                if error.errno not in (errno.ENETDOWN, errno.ENXIO):
                    raise
                continue
            if address[2] == PACKET_OUTGOING or len(data) < 14:
                continue
            vlan, partial, tpid = None, False, 0x8100
            for level, what, value in aux:
                if level == SOL_PACKET and what == PACKET_AUXDATA:
                    status, _, _, _, _, tci, kind = struct.unpack("IIIHHHH", value[:20])
                    partial = bool(status & TP_STATUS_CSUMNOTREADY)
                    vlan = tci if status & TP_STATUS_VLAN_VALID else None
                    tpid = kind if status & TP_STATUS_VLAN_TPID_VALID else tpid
            out.append(Packet(data, vlan, partial, tpid))


hosts = {}
_last_sent = time.monotonic()  # by anyone: the lab has greeted when a file starts


def plug(n):
    """The cable of host n, as lab.sh has it, after `ip link del`."""
    if n in BRIDGED:
        there = ("addr add 10.0.0.{n}/24 dev eth0", "addr add fd00::{n}/64 dev eth0 nodad",
                 "route add default via 10.0.0.254", "-6 route add default via fd00::fe")
        here = ("link set p{n} master br0",)
    else:
        there = ("addr add 10.0.{n}.1/24 dev eth0", "addr add fd00:{n}::1/64 dev eth0 nodad",
                 "route add default via 10.0.{n}.254", "-6 route add default via fd00:{n}::fe")
        here = ("addr add 10.0.{n}.254/24 dev p{n}", "addr add fd00:{n}::fe/64 dev p{n} nodad",
                "neigh replace 10.0.{n}.77 lladdr {mac} dev p{n} nud permanent",
                "neigh replace fd00:{n}::77 lladdr {mac} dev p{n} nud permanent")
    lines = ("link add name p{n} address {port} numtxqueues 2 numrxqueues 2 type veth peer name eth0"
             " address {mac} numtxqueues 2 numrxqueues 2 netns h{n}", "link set p{n} up") + here
    fields = {"n": n, "mac": host_mac(n), "port": port_mac(n)}
    for line in lines[:1] + ("-n h{n} link set eth0 up",) + lines[1:]:
        sh("ip " + line.format(**fields))
    for line in there:
        sh("ip -n h%d " % n + line.format(**fields))
    if n in hosts:
        hosts[n].reopen()


def open_hosts():
    for n in HOSTS:
        hosts[n] = Host(n)


def sh(command, check=True):
    """A command in the switch; its standard output."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError("%s: %s" % (command, done.stderr.strip()))
    return done.stdout


# ---- counters --------------------------------------------------------------------------------------


class Counters:
    """A port's counters, or the difference of two."""

    def __init__(self, port=None):
        if port is None:
            return
        entry = next(p for p in shunt("-s", "port") if p["ifname"] == port)
        self.rx = entry["rx"]["packets"]
        self.kernel, self.passed = entry["kernel"]["packets"], entry["passed"]
        self.punted, self.punts = entry["punted"], entry["punts"]
        self.drops, self.flooded = entry["drops"], entry["flooded"]

    def minus(self, before):
        out = Counters()
        for name in ("rx", "kernel", "punted", "flooded"):
            setattr(out, name, getattr(self, name) - getattr(before, name))
        for name in ("passed", "punts", "drops"):
            new, old = getattr(self, name), getattr(before, name)
            setattr(out, name, {k: v - old.get(k, 0) for k, v in new.items() if v != old.get(k, 0)})
        return out

    def __repr__(self):
        return "rx %d, kernel %d %r, punted %d %r, drops %r, flooded %d" % (
            self.rx, self.kernel, self.passed, self.punted, self.punts, self.drops, self.flooded)

    def went(self, way, count):
        """Did `count` frames go this way, and none another?  The hosts' own ARP and ND are no matter."""
        noise = (r for r in ("multicast", "link_local", "non_ip") if way != "kernel:" + r)
        kernel = self.kernel - sum(self.passed.get(r, 0) for r in noise)
        forwarded = self.rx - self.punted - sum(self.drops.values())
        kind, _, reason = way.partition(":")
        if kind == "fast":
            return forwarded >= count and self.punted == 0 and not self.drops and \
                kernel * 100 <= count
        if kind == "kernel" and not reason:
            return forwarded == 0 and not self.drops and self.kernel + self.punted >= count
        if kind == "kernel":
            return self.rx == 0 and self.passed.get(reason, 0) >= count
        if kind == "punt":
            return forwarded == 0 and self.punts.get(reason, 0) >= count
        if kind == "drop":
            return forwarded == 0 and self.drops.get(reason, 0) >= count
        raise ValueError(way)


def expect_way(port, before, way, count):
    """The XDP program's counters are read a few times a second: wait for them to come."""
    ways = way.split("|")
    end = time.monotonic() + 2.5 * SLOW
    while True:
        delta = Counters(port).minus(before)
        if any(delta.went(w, count) for w in ways):
            return delta
        if time.monotonic() > end:
            raise AssertionError("%d frames into %s should have gone %s; counted: %r" %
                                 (count, port, " or ".join(ways), delta))
        time.sleep(0.03 * SLOW)  # a question is dear in a guest


def settle(port):
    """The port's counters when all sent before is in them, so that a difference is a test's own."""
    time.sleep(max(0.0, _last_sent + 0.12 * SLOW - time.monotonic()))
    return Counters(port)


# ---- the test itself -------------------------------------------------------------------------------


def collect(tokens, expected, patience=1.5, grace=0.08):
    """Packets with one of the tokens, by host: until as many as expected came, and a moment more."""
    got = {n: [] for n in hosts}
    end, enough = time.monotonic() + patience * SLOW, None
    while True:
        now = time.monotonic()
        if enough is None and all(len(got[n]) >= c for n, c in expected.items()):
            enough = now + grace * SLOW
        if now >= (enough or end):
            return got
        select.select([h.sock for h in hosts.values()], [], [], 0.02)
        for n, h in hosts.items():
            got[n] += [p for p in h.read() if frame_token(p.frame) in tokens]


def cross(a, frames, out, way="fast", send=None, patience=1.5, errors=True):
    """Send from host a; `out` says how many come out at each host (others: none), ICMP messages that
    quote them counted, unless `errors` is false.  What came out, by host, in order of arrival."""
    for h in hosts.values():
        h.read()
    port = "p%d" % a
    before = settle(port) if MODE != "kernel" else None
    (send or hosts[a].send)(frames)
    got = collect({frame_token(f) for f in frames}, out, patience)
    delta = expect_way(port, before, way, len(frames)) if before else None
    for n in hosts:
        if not errors:
            got[n] = [p for p in got[n] if not p.icmp()]
        if len(got[n]) != out.get(n, 0):
            raise AssertionError("%d frames came out at h%d, expected %d: %r (counters: %r)" %
                                 (len(got[n]), n, out.get(n, 0), got[n][:6], delta))
    return got


def same(got, expected, what):
    if got != expected:
        raise AssertionError("%s: got %r, expected %r" % (what, got, expected))


def check_routed(packets, sent, b, gateway=None):
    """Came out of port b as RFC 1812 wants it: MACs, TTL - 1, sums right, everything else as sent."""
    for packet, frame in zip(packets, sent):
        before = Packet(frame)
        same(packet.dst, host_mac(b), "destination MAC")
        same(packet.src, gateway or gateway_mac(b), "source MAC")
        same(packet.ttl, before.ttl - 1, "TTL")
        same(packet.sum_ok, True, "IP header checksum right")
        same((packet.ip_src, packet.ip_dst), (before.ip_src, before.ip_dst), "addresses")
        same(packet.l4, before.l4, "L4 header and payload")
        same(len(packet.frame), 14 + before.total, "length (padding is trimmed)")
        if before.version == 4:
            same(packet.ip[:8], before.ip[:8], "IP header up to the TTL")


# ---- a stream of numbered frames -----------------------------------------------------------------------


class Stream:
    """Numbered frames from one host to another at a steady pace, while things are done to the switch.
    One that the sender's own link does not take counts as sent."""

    def __init__(self, a, b, build=None):
        self.a, self.b = a, b
        self.mark = b"seq%d>%d:" % (a, b)
        self.build = build or (lambda payload: eth(
            host_mac(b), host_mac(a), 0x0800, datagram(addr4(a), addr4(b), payload)))
        self.sent, self.arrived = [], []  # sent[n]: when; arrived: (when, n) in order of arrival
        self.marks, self.heard = [], 0.0

    @classmethod
    def routed(cls, a, b):
        return cls(a, b, lambda payload: eth(gateway_mac(a), host_mac(a), 0x0800,
                                             datagram(addr4(a), addr4(b), payload)))

    def read(self):
        now = time.monotonic() - self.start
        for packet in hosts[self.b].read():
            at = packet.frame.find(self.mark)
            if at >= 0:
                self.heard = now
                number = struct.unpack_from("!I", packet.frame, at + len(self.mark))[0]
                self.arrived.append((now, number))

    def run(self, seconds, interval, events=()):
        """events: (second, function) in order of time; they must not take long.  When they were
        is in `marks`: a busy machine is late."""
        os.setpriority(os.PRIO_PROCESS, 0, -15)
        hosts[self.b].read()
        events, self.start, due = list(events), time.monotonic(), 0.0
        while True:
            now = time.monotonic() - self.start
            if now >= seconds + 0.3 and now >= self.heard + 0.3:
                return self
            while events and now >= events[0][0]:
                self.marks.append(time.monotonic() - self.start)
                events.pop(0)[1]()
            while due <= now and due < seconds:
                self.sent.append(time.monotonic() - self.start)
                number = struct.pack("!I", len(self.sent) - 1)
                try:
                    hosts[self.a].send([self.build(self.mark + number)])
                except OSError as error:
                    if error.errno not in (errno.ENETDOWN, errno.ENOBUFS):
                        raise
                due += interval
            self.read()
            wait = max(0.0, min(due - (time.monotonic() - self.start), interval))
            select.select([hosts[self.b].sock], [], [], wait if due < seconds else 0.02)

    def lost(self, since=0.0, until=1e9):
        """Numbers sent in a span of time that did not arrive."""
        got = {n for _, n in self.arrived}
        return [n for n, when in enumerate(self.sent) if since <= when < until and n not in got]

    def in_order(self, twice_only=False):
        """Nothing twice, nothing older than what was there already."""
        numbers = [n for _, n in self.arrived]
        if len(set(numbers)) != len(numbers):
            raise AssertionError("%d frames came twice" % (len(numbers) - len(set(numbers))))
        if twice_only:
            return
        for before, after in zip(numbers, numbers[1:]):
            if after <= before:
                raise AssertionError("frame %d arrived after frame %d" % (after, before))


# ---- the daemon's word ---------------------------------------------------------------------------------


def shunt(*arguments):
    """What `shunt -j ...` answers."""
    done = subprocess.run([SHUNT, "-j", *arguments], capture_output=True, text=True,
                          timeout=10 * SLOW)
    if done.returncode:
        raise AssertionError("shunt %s: %s" % (" ".join(arguments), done.stderr.strip()))
    return json.loads(done.stdout)


def port_state(port):
    """State and reason; "unknown" when there is no daemon, or it does not know the port yet."""
    try:
        entry = next((p for p in shunt("port") if p["ifname"] == port), None)
    except AssertionError as error:
        return "unknown", str(error)
    return (entry["state"], entry["reason"]) if entry else ("unknown", "")


def wait_until(what, condition, seconds=3.0):
    """How long it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds * SLOW:
            raise AssertionError("not within %.1f s: %s" % (seconds, what))
        time.sleep(0.01)
    return time.monotonic() - start


def wait_state(port, state, reason="", seconds=3.0):
    """Wait for a port's state, the reason of which must contain a word. Nothing in MODE=kernel."""
    if MODE == "kernel":
        time.sleep(0.1)
        return 0.0
    took = wait_until("%s in state %s (it is %s)" % (port, state, port_state(port)),
                      lambda: port_state(port)[0] == state, seconds)
    said = port_state(port)[1]
    if reason not in said:
        raise AssertionError("%s is %s because '%s', which does not say '%s'" %
                             (port, state, said, reason))
    return took


_tests = []


def test(function):
    _tests.append(function)
    return function


def run():
    """Run all tests of the file; exit status 1 when one failed."""
    open_hosts()
    only, failed = os.environ.get("ONLY", ""), 0
    for function in _tests:
        name = (function.__doc__ or function.__name__).split("\n")[0].rstrip(".")
        if only not in name:
            continue
        try:
            function()
            print("  ok    " + name, flush=True)
        except AssertionError as error:
            failed += 1
            print("  FAIL  %s\n        %s" % (name, error), flush=True)
        except Exception:
            failed += 1
            print("  FAIL  %s\n%s" % (name, traceback.format_exc()), flush=True)
    sys.exit(1 if failed else 0)
