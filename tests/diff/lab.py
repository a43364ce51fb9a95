# SPDX-License-Identifier: BSD-2-Clause
"""lab: a switch and its hosts for the differential test, twice: one forwarded by the kernel alone.

A Lab has two network namespaces: the switch, with the ports p1..p8, and one that holds the hosts'
ends e1..e8, which have no addresses and never say anything of themselves.  What a host sends and
hears goes through raw sockets here, in this process.  Hosts answer ARP and neighbour solicitations
of their switch by a rule that both labs share (Responder).

Both labs are made by the same commands in the same order, so that names, MACs, interface indexes and
link-local addresses are the same.
"""
import collections
import json
import os
import select
import socket
import struct
import subprocess
import time

import wire

HOSTS = range(1, 9)
SWITCH_MACS = b"\x02\0\0\0"  # every MAC of the switch begins so, and no host's
META_MARK = 0x7461           # meta.bpf.c
SO_MARK, PACKET_IGNORE_OUTGOING, PACKET_VNET_HDR = 36, 23, 15
NETLINK_ROUTE, RTM_GETLINK, RTM_GETNEIGH, NLMSG_DONE, NLMSG_ERROR = 0, 18, 30, 3, 2
RTM_GETADDR, IFA_F_TENTATIVE, OPER_UNKNOWN, OPER_UP = 22, 0x40, b"\0", b"\6"
NUD_INCOMPLETE, NUD_PERMANENT, NUD_NOARP = 0x01, 0x80, 0x40

# What the kernel does by its own clock, or limits by it, is switched off: both labs answer every
# error, keep neighbours, and hold fragments until the lab is gone.
SYSCTLS = """
net.ipv4.icmp_ratelimit=0
net.ipv4.icmp_ratemask=0
net.ipv4.icmp_msgs_per_sec=1000000
net.ipv4.icmp_msgs_burst=1000000
net.ipv4.ipfrag_time=3600
net.ipv4.fib_multipath_hash_seed=1234567
net.ipv4.ip_forward=1
net.ipv4.conf.all.rp_filter=0
net.ipv4.conf.default.rp_filter=0
net.ipv4.conf.all.send_redirects=0
net.ipv4.conf.default.send_redirects=0
net.ipv6.icmp.ratelimit=0
net.ipv6.ip6frag_time=3600
net.ipv6.auto_flowlabels=0
net.ipv6.conf.all.accept_dad=0
net.ipv6.conf.default.accept_dad=0
net.ipv6.conf.default.router_solicitations=0
net.ipv6.conf.default.accept_ra=0
net.ipv6.conf.all.forwarding=1
"""


# By interface: in a namespace of its own the kernel shows no default to set.  An answer may be a
# second late: so long may commands take, and nobody is listening meanwhile.
NEIGHBOURS = """for d in /proc/sys/net/ipv[46]/neigh/*; do
	echo 36000000 >$d/base_reachable_time_ms; echo 36000 >$d/delay_first_probe_time
	echo 36000 >$d/gc_stale_time; echo 3 >$d/mcast_solicit; echo 1 >$d/ucast_solicit
	echo 400 >$d/retrans_time_ms; echo 0 >$d/proxy_delay; echo 0 >$d/locktime
done
"""


def host_mac(host, number=0):
    return "06:00:00:00:%02x:%02x" % (host, number)


def port_mac(host):
    return "02:00:00:00:01:%02x" % host


def sh(command, check=True, stdin=None):
    done = subprocess.run(command, shell=True, input=stdin, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError("%s: %s" % (command, done.stderr.strip() or done.stdout.strip()))
    return done.stdout


class Netlink:
    """Dumps of one namespace."""

    def __init__(self, namespace):
        self.sock = wire.in_namespace(namespace, lambda: socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE))
        self.sock.settimeout(5)

    def dump(self, kind, family, head):
        """[(the fixed part's bytes, {attribute: bytes})]"""
        body = bytes([family]) + bytes(head - 1)
        self.sock.send(struct.pack("=IHHII", 16 + len(body), kind, 0x301, 1, 0) + body)
        out = []
        while True:
            data, at = self.sock.recv(1 << 18), 0
            while at < len(data):
                length, what = struct.unpack_from("=IH", data, at)
                if what in (NLMSG_DONE, NLMSG_ERROR):
                    return out
                end, attributes, a = at + length, {}, at + 16 + head
                while a + 4 <= end:
                    size, name = struct.unpack_from("=HH", data, a)
                    attributes[name & 0x3FFF] = data[a + 4:a + size]
                    a += max(4, size + 3 & ~3)
                out.append((data[at + 16:at + 16 + head], attributes))
                at = end + 3 & ~3

    def fdb(self):
        """{(port's index, VLAN, MAC)} of what bridges have learnt or were given."""
        found = set()
        for head, attributes in self.dump(RTM_GETNEIGH, socket.AF_BRIDGE, 12):
            index, state = struct.unpack_from("=iH", head, 4)
            if 9 in attributes and not state & NUD_PERMANENT:  # NDA_MASTER
                vlan = struct.unpack("=H", attributes.get(5, b"\0\0"))[0]
                found.add((index, vlan, attributes[2].hex(":"), state & NUD_NOARP))
        return found

    def unresolved(self):
        """Is a neighbour being asked for?"""
        for family in (socket.AF_INET, socket.AF_INET6):
            for head, _ in self.dump(RTM_GETNEIGH, family, 12):
                if struct.unpack_from("=H", head, 8)[0] & NUD_INCOMPLETE:
                    return True
        return False

    def sources(self, names):
        """[(interface, address)] of hosts' many addresses that errors go to (config.FRUGAL)."""
        return [(names[index], socket.inet_ntoa(attributes[1])) for index, attributes in
                ((struct.unpack_from("=i", head, 4)[0], attributes)
                 for head, attributes in self.dump(RTM_GETNEIGH, socket.AF_INET, 12))
                if len(attributes.get(1, b"")) == 4 and attributes[1][0] == 10 and
                10 <= attributes[1][3] < 200 and index in names]

    def links(self):
        """{name: (up and running, operational state, carrier)}"""
        out = {}
        for head, attributes in self.dump(RTM_GETLINK, 0, 16):
            name = attributes[3].rstrip(b"\0").decode()
            out[name] = (struct.unpack_from("=I", head, 8)[0] & 0x41, attributes.get(16),
                         attributes.get(33))
        return out

    def busy(self):
        """Has the kernel work put off: a carrier it has not acted on yet (linkwatch), an address that
        is tentative?"""
        for flags, operational, carrier in self.links().values():
            if flags & 1 and carrier == b"\1" and operational not in (OPER_UNKNOWN, OPER_UP):
                return True
        return any(head[2] & IFA_F_TENTATIVE for head, _ in self.dump(RTM_GETADDR, socket.AF_INET6, 8))

    def names(self):
        """{index: name}"""
        return {struct.unpack_from("=i", head, 4)[0]: attributes[3].rstrip(b"\0").decode()
                for head, attributes in self.dump(RTM_GETLINK, 0, 16)}

    def close(self):
        self.sock.close()


class Lab:
    def __init__(self, name, mode, shunt):
        """mode: kernel, native or generic; shunt: paths of the programs, or None."""
        self.name, self.mode, self.shunt = name, mode, shunt
        self.switch, self.cables = "sw" + name, "ho" + name
        self.rundir = "/run/lab/" + name
        self.daemon, self.started, self.port_names = None, False, []
        self.asked = set()                  # neighbours that the switch asked for, by host
        self.heard = collections.Counter()  # frames that could not even be sent
        os.makedirs(self.rundir, exist_ok=True)
        self.build()
        self.netlink, self.cable_netlink = Netlink(self.switch), Netlink(self.cables)
        self.socks, self.meta = {}, {}
        for host in HOSTS:
            self.socks[host] = wire.in_namespace(self.cables, lambda h=host: self.open(h))
            self.meta[host] = wire.in_namespace(self.cables, lambda h=host: self.open(h, META_MARK))

    def build(self):
        sh("ip netns add %s && ip netns add %s" % (self.switch, self.cables))
        # Before there are interfaces, which take theirs from the defaults.  A sysctl that this kernel
        # does not have limits nothing.
        sh("ip netns exec %s sysctl -q -p -" % self.switch, check=False, stdin=SYSCTLS)
        sh("ip netns exec %s sysctl -q net.ipv6.conf.default.disable_ipv6=1 "
           "net.ipv6.conf.all.disable_ipv6=1" % self.cables)
        sh("ip -n %s -batch -" % self.switch, stdin="link set lo up\n" + "\n".join(
            "link add name p%d address %s numtxqueues 2 numrxqueues 2 type veth peer name e%d address %s "
            "numtxqueues 2 numrxqueues 2 netns %s" % (h, port_mac(h), h, host_mac(h), self.cables)
            for h in HOSTS))
        sh("ip -n %s -batch -" % self.cables, stdin="\n".join(
            "link set e%d mtu 9000 up" % h for h in HOSTS))
        for verb in ("qdisc add dev e%d clsact", "filter add dev e%d egress bpf da obj {} sec tc"):
            sh("ip netns exec %s tc -batch -" % self.cables, stdin="\n".join(
                verb.format(os.environ["META_BPF"]) % h for h in HOSTS))

    def open(self, host, mark=0):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        s.setsockopt(wire.SOL_PACKET, PACKET_VNET_HDR, 1)
        if mark:
            s.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
            s.bind(("e%d" % host, 0))
            return s
        s.setsockopt(socket.SOL_SOCKET, wire.SO_RCVBUFFORCE, 8 << 20)
        s.setsockopt(wire.SOL_PACKET, wire.PACKET_AUXDATA, 1)
        s.setsockopt(wire.SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        s.bind(("e%d" % host, 3))
        s.setblocking(False)
        return s

    def configure(self, lines):
        """Run each line in the switch's namespace; [(line, its error)] of those that failed."""
        script = "".join("{ %s\n} 2>&1 >/dev/null || echo '#failed %d'\n" % (line, i)
                         for i, line in enumerate(lines)) + NEIGHBOURS
        out = sh("ip netns exec %s sh -s" % self.switch, stdin=script)
        failed, said = [], ""
        for line in out.splitlines():
            if line.startswith("#failed "):
                failed.append((lines[int(line[8:])], said.strip()))
                said = ""
            else:
                said = line
        return failed

    def forget(self):
        """The kernel has 1024 neighbours of a family for all its namespaces (gc_thresh3), and drops
        what is for one more."""
        sh("ip -n %s -force -batch -" % self.switch, check=False, stdin="".join(
            "neigh del %s dev %s\n" % (address, name)
            for name, address in self.netlink.sources(self.netlink.names())))

    def busy(self):
        return self.netlink.busy() or self.cable_netlink.busy()

    # ---- frames ----

    def send(self, host, how, frame):
        """how: "" or "m" (outer tag beside the frame) or "p:START:OFFSET" (partial checksum), or both."""
        header = bytes(10)
        if "p" in how:
            start, offset = how[how.index("p") + 2:].split(":")
            header = struct.pack("=BBHHHH", 1, 0, 0, 0, int(start), int(offset))
        try:
            (self.meta if "m" in how else self.socks)[host].send(header + frame)
        except OSError as error:
            self.heard[(host, "send failed: %s" % error.strerror, frame)] += 1

    def read(self, host):
        """Frames that came to a host by now: complete, checksums finished, tags inside."""
        out, sock = [], self.socks[host]
        while True:
            try:
                data, aux, _, _ = sock.recvmsg(1 << 17, 128)
            except BlockingIOError:
                return out
            except OSError:  # the link went down; said once
                continue
            frame = bytearray(data[10:])
            if data[0] & 1:  # VIRTIO_NET_HDR_F_NEEDS_CSUM
                start, offset = struct.unpack_from("=HH", data, 6)
                total = ~wire.fold(bytes(frame[start:])) & 0xFFFF or 0xFFFF
                struct.pack_into("!H", frame, start + offset, total)
            for _, kind, value in aux:
                status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", value[:20])
                if kind == wire.PACKET_AUXDATA and status & wire.TP_STATUS_VLAN_VALID:
                    frame[12:12] = struct.pack("!HH", tpid or 0x8100, tci)
            out.append(bytes(frame))

    # ---- the daemon ----

    def start(self, ports, extra):
        """Start shuntd on these ports; returns when each is fast or known to be the kernel's."""
        self.port_names, self.started = ["p%d" % p for p in ports], True
        if self.mode == "kernel":
            return
        form = 'port { "%s", mode = "generic" }' if self.mode == "generic" else 'port "%s"'
        config = self.rundir + "/shunt.lua"
        with open(config, "w", encoding="ascii") as file:
            file.write("\n".join([form % p for p in self.port_names] + extra) + "\n")
        with open(self.rundir + "/log", "w", encoding="utf-8") as log:
            self.daemon = subprocess.Popen(["ip", "netns", "exec", self.switch, self.shunt["shuntd"],
                                            "-c", config, "-r", self.rundir], stdout=log, stderr=log)
        end = time.monotonic() + 20
        while not self.settled():
            if self.daemon.poll() is not None or time.monotonic() > end:
                raise RuntimeError("shuntd did not start: " + self.log())
            time.sleep(0.03)

    def settled(self):
        try:
            return self.ask("mirror")[0]["state"] == "live" and len(self.states()) == len(self.port_names)
        except (OSError, ValueError, IndexError):
            return False

    def states(self):
        """{port: (state, reason)}"""
        if not self.daemon:
            return {}
        return {p["ifname"]: (p["state"], p["reason"]) for p in self.shunt_json("port")}

    def mirrored(self):
        """Does the daemon know what its ports' bridges have learnt?"""
        names = self.netlink.names()
        known = {(f["dev"], f["vlan"], f["mac"]) for f in self.ask("fdb")}
        return all((names.get(index), vlan, mac) in known for index, vlan, mac, _ in self.netlink.fdb()
                   if names.get(index) in self.port_names)

    def log(self):
        with open(self.rundir + "/log", encoding="utf-8", errors="replace") as log:
            return log.read().strip()[-2000:]

    def ask(self, question):
        """What the daemon answers on its control socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(self.rundir + "/control.sock")
            s.send(question.encode() + b"\n")
            data = b""
            while True:
                more = s.recv(1 << 16)
                if not more:
                    break
                data += more
        return [json.loads(line) for line in data.decode().splitlines() if line[:1] in "[{"]

    def shunt_json(self, *arguments):
        done = subprocess.run([self.shunt["shunt"], "-r", self.rundir, "-j", "-s", *arguments],
                              capture_output=True, text=True, timeout=10)
        return json.loads(done.stdout) if done.returncode == 0 else []

    def alive(self):
        return self.daemon is None or self.daemon.poll() is None

    def close(self):
        if self.daemon:
            self.daemon.terminate()
            try:
                self.daemon.wait(5)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
        for sock in [*self.socks.values(), *self.meta.values()]:
            sock.close()
        self.netlink.close()
        self.cable_netlink.close()
        # The cables first: a namespace that goes takes long over devices.
        sh("ip -n %s -batch - ; ip netns del %s; ip netns del %s" % (
            self.cables, self.switch, self.cables), check=False,
           stdin="\n".join("link del e%d" % h for h in HOSTS))


def pump(labs, hear, seconds):
    """Give what the hosts hear to hear(lab, host, frame) until nothing came for `seconds`."""
    places = {s.fileno(): (lab, h, s) for lab in labs for h, s in lab.socks.items()}
    poll = select.poll()
    for fd in places:
        poll.register(fd, select.POLLIN)
    any_came = False
    while True:
        ready = poll.poll(seconds * 1000)
        if not ready:
            return any_came
        any_came = True
        for fd, _ in ready:
            lab, host, _ = places[fd]
            for frame in lab.read(host):
                hear(lab, host, frame)
