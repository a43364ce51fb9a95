# SPDX-License-Identifier: BSD-2-Clause
"""extras: what a frame rate does not show: the user-space share, start-up, punts, idling, latency."""
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

import forwarders
from lab import MAC, MANY, ROUTES_FIRST, Failed, Lab, dotted, output, sh
from report import spread, verdict

PIPE = f"{forwarders.BUILD}/tests/bench/pipe"
PUNT_RATE = 50_000


# The data path without a kernel ------------------------------------------------------------------

def pipe_instructions(case):
    """Instructions a frame in the worker's burst, by callgrind."""
    with tempfile.NamedTemporaryFile(dir="/run") as file:
        done = subprocess.run(["valgrind", "-q", "--tool=callgrind", "--toggle-collect=counted*",
                               f"--callgrind-out-file={file.name}", PIPE, *case, "--bursts", "500"],
                              text=True, capture_output=True, check=False)
        if done.returncode:
            raise Failed(f"{' '.join(case)}: {done.stderr.strip()[-300:]}")
        with open(file.name, encoding="utf-8") as out:
            total = re.search(r"^(?:summary|totals): (\d+)", out.read(), re.M)
    if not int(total[1]):
        raise Failed("callgrind counted nothing: is counted() of pipe.c still a function?")
    return int(total[1]) / json.loads(done.stdout.splitlines()[-1])["frames"]


def section_pipe(results, out, rounds, seconds, gen):
    targets = {"bridged": 250, "routed4": 350}
    rows = []
    out.line()
    out.line(f"{'user space, bursts of 64':32}{'ns a frame':>24}{'instructions':>14}")
    for case in ("bridged", "routed4", "routed6"):
        for partial in ([], ["--partial"]):
            words = [case, *partial]
            runs = []
            for _ in range(rounds):
                done = subprocess.run([PIPE, *words], text=True, capture_output=True, check=False)
                if done.returncode:
                    raise Failed(f"{' '.join(words)}: {done.stdout}{done.stderr}")
                runs.append(json.loads(done.stdout)["ns_median"])
            row = {"case": case, "partial": bool(partial), "ns": runs, "instructions": None}
            if shutil.which("valgrind"):
                row["instructions"] = pipe_instructions(words)
            rows.append(row)
            label = case + (", checksums looked at" if partial else "")
            count = row["instructions"]
            out.line(f"{label:32}{spread(runs, '{:.1f}'):>24}"
                     + (f"{count:>14.0f}{verdict(count, targets.get(case), least=False)}"
                        if count else "  not installed: apt install valgrind"))
    results["pipe"] = rows


# Start-up ----------------------------------------------------------------------------------------

def start_once(gen, routes):
    """Seconds from the process's start to ports fast, and to the first frame sent by AF_XDP.  The
    host sends all the time, to the last route of all."""
    with Lab(gen, "routed", routes) as lab:
        lab.ping()
        lab.start(["ping", "-qi", "0.002", dotted(ROUTES_FIRST + (routes - 1 << 8) + 1)], ns="src")
        process, started = forwarders.shuntd_start(lab, ["A", "B"]), time.monotonic()
        ready = None
        while True:
            ports = forwarders.shunt("port") or []  # not answered before the first dump is through
            now = time.monotonic() - started
            if now > 30 or process.poll() is not None:
                raise Failed(f"no frame sent by AF_XDP in {now:.0f} s: {output(process)}")
            if ready is None and ports and all(port["state"] == "fast" for port in ports):
                ready = now
            if any(port["ifname"] == "B" and port["tx"]["packets"] for port in ports):
                return ready, now
            time.sleep(0.005)


def section_start(results, out, rounds, seconds, gen):
    rows = {}
    out.line()
    for routes in (1, MANY):
        runs = [start_once(gen, routes) for _ in range(rounds)]
        first = [run[1] for run in runs]
        rows[routes] = runs
        out.line(f"start to ports fast, {routes} route{'s' * (routes > 1)}:".ljust(54)
                 + f"{spread([run[0] for run in runs])} s")
        out.line("  to the first frame sent by AF_XDP:".ljust(54)
                 + f"{spread(first)} s{verdict(statistics.median(first), 1.0, least=False)}")
    results["start"] = rows


# Punts -------------------------------------------------------------------------------------------

SLOW_GAP = 10 ** 9 // PUNT_RATE
SLOW = ["--slow-if", "gC", "--slow-dmac", MAC["C"], "--slow-saddr", "10.3.0.2",
        "--slow-daddr", "30.0.0.1", "--slow-gap", str(SLOW_GAP)]


def punt_once(gen, seconds):
    """Frames that must go back where they came from, so shuntd gives them to the kernel: beside a
    stream of fast frames, and alone.  A paced generator spins, so what its core did for others shows
    as turns it did not get, against the same pace with nobody behind it; shuntd's punt thread shares
    that core.  At saturation every turn that the other stream loses is one it could have used; at half
    of it what counts is whether frames that were sent arrive."""
    window = ["--seconds", str(seconds)]
    with Lab(gen, "routed", 1, slow_port=True) as lab:
        sh("ip -n fwd route add 30.0.0.0/8 via 10.3.0.2 && ip netns exec fwd sysctl -qw"
           " net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.C.send_redirects=0")
        nobody = lab.measure(lab.stream() + ["--gap", str(SLOW_GAP)] + window, floor=True)
        process = forwarders.shuntd(lab)
        lab.ping()
        sh("ip netns exec src ping -qc1 -W1 10.3.0.1", check=False)
        alone = lab.measure(lab.stream() + window)
        both = lab.measure(lab.stream() + SLOW + window)
        half = ["--gap", str(round(2e9 * alone["seconds"] / max(1, alone["received"])))]
        half_alone = lab.measure(lab.stream() + half + window)
        half_both = lab.measure(lab.stream() + half + SLOW + window)
        before = punted(), thread_seconds(process.pid, "shunt-punt")
        punts = lab.measure(SLOW + window)
        after = punted(), thread_seconds(process.pid, "shunt-punt")
    if after[0] - before[0] < punts["slow_sent"]:
        raise Failed("the slow stream was not punted")
    turns = [run["held"] / run["seconds"] for run in (punts, nobody)]
    rate = punts["slow_received"] / punts["seconds"]
    return {
        "alone_mpps": alone["received"] / alone["seconds"] / 1e6,
        "beside_mpps": both["received"] / both["seconds"] / 1e6,
        "beside_punts": both["slow_received"] / both["seconds"],
        "half_alone": half_alone["received"] / max(1, half_alone["sent"]),
        "half_beside": half_both["received"] / max(1, half_both["sent"]),
        "half_punts": half_both["slow_received"] / max(1, half_both["slow_sent"]),
        "punts": rate,
        "us": (1 - turns[0] / turns[1]) / max(1, rate) * 1e6,
        "thread_us": (after[1] - before[1]) / max(1, after[0] - before[0]) * 1e6,
    }


def punted():
    return sum(port["punted"] for port in forwarders.shunt("port"))


def section_punt(results, out, rounds, seconds, gen):
    runs = [punt_once(gen, seconds) for _ in range(rounds)]
    slower = [(1 - run["beside_mpps"] / run["alone_mpps"]) * 100 for run in runs]
    lost = [(1 - run["half_beside"] / run["half_alone"]) * 100 for run in runs]
    cost = [run["us"] for run in runs]
    out.line()
    out.line("a punt, from the port's receive to the kernel's send:".ljust(54)
             + spread(cost, "{:.1f}") + " us" + verdict(statistics.median(cost), 10, least=False))
    out.line("  of that the punt thread, kernel's forwarding in it:".ljust(54)
             + spread([run["thread_us"] for run in runs], "{:.1f}") + " us")
    out.line(f"{PUNT_RATE // 1000} k punts a second slow another port's frames by:".ljust(54)
             + spread(slower, "{:.1f}") + " %" + verdict(statistics.median(slower), 10, least=False))
    out.line("  punts delivered a second meanwhile, and alone:".ljust(54)
             + spread([run["beside_punts"] for run in runs], "{:.0f}") + ", "
             + spread([run["punts"] for run in runs], "{:.0f}"))
    out.line("  and take of a stream at half of capacity:".ljust(54)
             + spread(lost, "{:.1f}") + " %" + verdict(statistics.median(lost), 10, least=False))
    out.line("  of the punts beside it were delivered:".ljust(54)
             + spread([run["half_punts"] * 100 for run in runs], "{:.1f}") + " %")
    results["punt"] = runs


# Idle and a slow flow ----------------------------------------------------------------------------

def section_idle(results, out, rounds, seconds, gen):
    with Lab(gen, "bridged") as lab:
        process = forwarders.shuntd(lab)
        lab.ping()
        time.sleep(1)
        before = thread_seconds(process.pid)
        time.sleep(5)
        share = (thread_seconds(process.pid) - before) / 5 * 100
    out.line()
    out.line("shuntd with no traffic:".ljust(54) + f"{share:.2f} % of a core"
             + verdict(share, 1, least=False))
    results["idle"] = {"percent_of_core": share}


def thread_seconds(pid, name=None):
    """Run time of all threads, or those of a name, by the scheduler's own clock: ticks are too coarse
    for an idler."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
            if name not in (None, file.read().strip()):
                continue
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="utf-8") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def rtt_once(gen, name, count):
    """Median round trip in microseconds of a flow of one frame every 10 ms."""
    with Lab(gen, "bridged") as lab:
        forwarders.START[name](lab)
        lab.ping()
        said = sh(f"ip netns exec src ping -i 0.01 -c {count} {lab.host()}")
    times = [float(text) * 1000 for text in re.findall(r"time=([\d.]+) ms", said)]
    if len(times) < count * 0.99:
        raise Failed(f"{name}: {len(times)} of {count} pings answered")
    return statistics.median(times)


def section_rtt(results, out, rounds, seconds, gen):
    runs = [[rtt_once(gen, name, 100 * seconds) for name in ("kernel", "shuntd")]
            for _ in range(rounds)]
    more = [shuntd - kernel for kernel, shuntd in runs]
    out.line()
    out.line("a ping every 10 ms, kernel bridge:".ljust(54)
             + spread([run[0] for run in runs], "{:.0f}") + " us")
    out.line("a ping every 10 ms, shuntd bridged:".ljust(54)
             + spread([run[1] for run in runs], "{:.0f}") + " us")
    out.line("difference:".ljust(54) + spread(more, "{:.0f}") + " us"
             + verdict(statistics.median(more), 100, least=False))
    results["rtt"] = {"kernel_us": [run[0] for run in runs], "shuntd_us": [run[1] for run in runs]}
