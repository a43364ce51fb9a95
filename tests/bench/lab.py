# SPDX-License-Identifier: BSD-2-Clause
"""lab: three namespaces in a row, and the processes that run in them.

    src -- gA === A -- fwd -- B === sB -- dst
           gC === C                            (where a second, slow port is wanted)

Everything lives in the private network, mount and process namespaces that `run` was started in: when
it ends, nothing is left.
"""
import glob
import json
import os
import subprocess
import tempfile
import time

MAC = {
    "gA": "02:00:00:00:00:0a", "A": "02:00:00:00:01:0a",
    "sB": "02:00:00:00:10:00", "B": "02:00:00:00:01:0b",
    "gC": "02:00:00:00:00:0c", "C": "02:00:00:00:01:0c",
}
MANY = 100_000  # routes
ROUTES_FIRST = 20 << 24  # 20.0.0.0: prefixes of 24 bits from here on
LOW_CORE, HIGH_CORE = 0, 1  # generator; forwarder

# The machine's /proc, kept there by `run`: our own shows only processes of our namespace, and frames
# are also handled by the kernel's softirq threads.
OUTER_PROC = "/run/proc"
KSOFTIRQD = []


class Failed(Exception):
    """What went wrong, for the table."""


def sh(command, check=True, **more):
    done = subprocess.run(command, shell=isinstance(command, str), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    if check and done.returncode:
        raise Failed(f"{command}: {done.stdout.strip()[-400:]}")
    return done.stdout


def wait_for(what, test, seconds):
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def find_ksoftirqd():
    for path in glob.glob(f"{OUTER_PROC}/[0-9]*/comm"):
        try:
            with open(path, encoding="utf-8") as file:
                if file.read().startswith("ksoftirqd/"):
                    KSOFTIRQD.append("--watch=" + os.path.dirname(path))
        except OSError:
            pass  # it ended meanwhile


def dotted(number):
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


class Lab:
    """bridged: one subnet, hosts 10.9.0.2 and .3.  routed: 10.1.0.0/24 and 10.2.0.0/24, and `routes`
    prefixes via dst.  ctx manager: ends its processes and removes its namespaces."""

    def __init__(self, gen, kind, routes=1, slow_port=False):
        self.gen, self.kind, self.routes, self.slow_port = gen, kind, routes, slow_port
        self.processes = []

    def __enter__(self):
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            self.end(process)
        for ns in ("src", "fwd", "dst"):
            sh(f"ip netns del {ns}", check=False)

    def _build(self):
        for ns in ("src", "fwd", "dst"):
            sh(f"ip netns add {ns} && ip -n {ns} link set lo up")
            sh(f"ip netns exec {ns} sysctl -qw net.ipv6.conf.default.disable_ipv6=1"
               " net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
        self._pair("src", "gA", "A")
        self._pair("dst", "sB", "B")
        if self.kind == "bridged":
            sh("ip -n src addr add 10.9.0.2/24 dev gA; ip -n dst addr add 10.9.0.3/24 dev sB")
        else:
            self._routed()
        if self.slow_port:
            self._pair("src", "gC", "C")
            sh("ip -n fwd addr add 10.3.0.1/24 dev C; ip -n src addr add 10.3.0.2/24 dev gC")

    def _pair(self, ns, host, port):
        sh(f"ip -n {ns} link add {host} address {MAC[host]} type veth"
           f" peer name {port} address {MAC[port]} netns fwd")
        sh(f"ip -n {ns} link set {host} up; ip -n fwd link set {port} up")
        # Frames redirected into a veth need NAPI at its other end; GRO is what a NIC has too.
        sh(f"ip netns exec fwd ethtool -K {port} gro on")

    def _routed(self):
        sh("ip -n src addr add 10.1.0.2/24 dev gA; ip -n dst addr add 10.2.0.2/24 dev sB")
        sh("ip -n fwd addr add 10.1.0.1/24 dev A; ip -n fwd addr add 10.2.0.1/24 dev B")
        sh("ip netns exec fwd sysctl -qw net.ipv4.ip_forward=1")
        sh("ip -n src route add default via 10.1.0.1; ip -n dst route add default via 10.2.0.1")
        self.add_routes(self.routes)

    def add_routes(self, count):
        batch = "".join(f"route add {dotted(ROUTES_FIRST + (i << 8))}/24 via 10.2.0.2\n"
                        for i in range(count))
        sh("ip -n fwd -batch -", input=batch)

    def bridge(self):
        """The kernel's bridge over A and B; forwards by itself, and is what shuntd mirrors."""
        sh("ip -n fwd link add br0 type bridge && ip -n fwd link set br0 up")
        sh("ip -n fwd link set A master br0 && ip -n fwd link set B master br0")

    def start(self, command, ns="fwd", **more):
        log = tempfile.NamedTemporaryFile(dir="/run", suffix=".log")
        process = subprocess.Popen(["ip", "netns", "exec", ns] + command, stdin=subprocess.PIPE,
                                   stdout=log, stderr=subprocess.STDOUT, **more)
        process.log = log
        self.processes.append(process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdin.close()
        process.log.close()
        self.processes = [p for p in self.processes if p is not process]

    def host(self):
        return "10.9.0.3" if self.kind == "bridged" else "10.2.0.2"

    def ping(self, seconds=10):
        """Both ways, so that every forwarder that learns has learnt."""
        wait_for(f"ping {self.host()}", lambda: " 0% packet loss" in
                 sh(f"ip netns exec src ping -qc1 -W1 {self.host()}", check=False), seconds)

    def stream(self, size=60):
        """The generator's options for this lab's ordinary stream."""
        if self.kind == "bridged":
            return ["--dmac", MAC["sB"], "--saddr", "10.9.0.2", "--daddr", "10.9.0.3",
                    "--size", str(size)]
        return ["--dmac", MAC["A"], "--saddr", "10.1.0.2", "--daddr", dotted(ROUTES_FIRST + 1),
                "--daddrs", str(self.routes), "--dshift", "8", "--size", str(size)]

    def measure(self, options, floor=False):
        """Run the generator; its JSON."""
        place = ["--dst", "fwd:A", "--floor"] if floor else ["--dst", "dst:sB"]
        before, started = self.threads(), time.monotonic()
        watch = [f"--watch=/proc/{process.pid}" for process in self.processes] + KSOFTIRQD
        done = subprocess.run([self.gen, "--src", "src:gA", "--cpu", str(LOW_CORE)] + place +
                              watch + options, text=True, capture_output=True, check=False)
        if done.returncode:
            raise Failed(done.stderr.strip())
        result = json.loads(done.stdout)
        result["waited"] = max([result["waited"] / result["seconds"]] +
                               self.kept_waiting(before, time.monotonic() - started))
        return result

    def threads(self):
        """Run time and time ready without a core, of each thread of ours, in seconds."""
        times = {}
        for process in self.processes:
            for path in glob.glob(f"/proc/{process.pid}/task/*/schedstat"):
                with open(path, encoding="utf-8") as file:
                    times[path] = [int(word) / 1e9 for word in file.read().split()[:2]]
        return times

    def kept_waiting(self, before, seconds):
        """The share of `seconds` for which busy threads of ours had to wait for their core."""
        after = self.threads()
        return [(after[path][1] - before[path][1]) / seconds for path in before if path in after
                and after[path][0] - before[path][0] > seconds / 2]


def output(process):
    """What a process has said so far."""
    with open(process.log.name, encoding="utf-8", errors="replace") as file:
        return file.read().strip()[-600:]
