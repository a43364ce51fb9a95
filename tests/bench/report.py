# SPDX-License-Identifier: BSD-2-Clause
"""report: figures to lines of text, and both to files."""
import json
import os
import statistics

# Others on the machine: a run in which generator or forwarder had to wait for its core for more of
# the time than this is taken again, and said when it could not be had better.
WAITED_MAX = 0.03


class Output:
    def __init__(self):
        self.lines = []

    def line(self, text=""):
        self.lines.append(text)
        print(text, flush=True)

    def machine(self, results):
        m = results["machine"]
        self.line(f"{m['cores']} cores, {m['cpu']}, {m['memory_gib']} GiB, Linux {m['kernel']};"
                  f" {results['rounds']} rounds of {results['seconds']} s,"
                  f" frames of {results['size'] + 4} bytes")

    def save(self, directory, results):
        os.makedirs(directory, exist_ok=True)
        with open(f"{directory}/results.txt", "w", encoding="utf-8") as file:
            file.write("\n".join(self.lines) + "\n")
        with open(f"{directory}/results.json", "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
        print(f"\nsaved in {directory}/")


def spread(values, form="{:.2f}"):
    """median (min..max)"""
    if not values:
        return "-"
    return (form + " (" + form + ".." + form + ")").format(
        statistics.median(values), min(values), max(values))


def verdict(value, target, least=True):
    if target is None:
        return ""
    good = value >= target if least else value <= target
    return f"  target {'>=' if least else '<='} {target:g}: {'reached' if good else 'MISSED'}"


def derive(run, alone):
    """Rates and costs of one run.  CPU time is that of generator, forwarder and the kernel's softirq
    threads on all cores.  What the generator and its veth cost is what they cost alone, with nobody
    behind them, for each frame sent, forwarded or not."""
    frames = max(1, run["received"])
    alone_s = alone["ran"] / max(1, alone["received"])
    return {
        "mpps": run["received"] / run["seconds"] / 1e6,
        "offered": run["sent"] / run["seconds"] / 1e6,
        "cpu_ns": run["ran"] / frames * 1e9,
        "own_ns": (run["ran"] - alone_s * run["sent"]) / frames * 1e9,
        "generator_ns": alone_s * 1e9,
        "waited": run["waited"],
        "fast_share": run.get("fast_share"),
        "busy": [busy / run["seconds"] for busy in run["busy"]],
    }


def name_of(case):
    kind, routes, forwarder = case
    label = {"kernel": "kernel bridge" if kind == "bridged" else "kernel routing",
             "testpmd": "testpmd io", "ovs": "OVS afxdp", "floor": "transmit only"}.get(forwarder, forwarder)
    return (kind if kind == "bridged" else f"routed, {routes} route{'s' * (routes > 1)}"), label


def forward(out, cases, runs, said):
    out.line()
    out.line(f"{'':22}{'':16}{'Mpps':>22}  {'CPU ns a frame':>22}  {'less generator':>22}  busy")
    rows = []
    for case in cases:
        kind, label = name_of(case)
        good = [run for run in runs.get(case, []) if run]
        row = {"kind": kind, "forwarder": label, "runs": runs.get(case, []), "said": said.get(case)}
        rows.append(row)
        if not good:
            out.line(f"{kind:22}{label:16}{said.get(case, 'no figure')}")
            continue
        busy = [statistics.median(values) for values in zip(*(run["busy"] for run in good))]
        out.line(f"{kind:22}{label:16}{spread([r['mpps'] for r in good]):>22}  "
                 f"{spread([r['cpu_ns'] for r in good], '{:.0f}'):>22}  "
                 f"{spread([r['own_ns'] for r in good], '{:.0f}'):>22}  "
                 + " ".join(f"{part * 100:.0f}%" for part in busy)
                 + (f"  {len(good)} of {len(runs[case])} runs" if None in runs[case] else ""))
        shares = [run["fast_share"] for run in good if run["fast_share"] is not None]
        if shares and min(shares) < 0.99:
            out.line(f"{'':22}only {min(shares) * 100:.1f} % went through AF_XDP")
    disturbed = sum(run["waited"] > WAITED_MAX for good in runs.values() for run in good if run)
    if disturbed:
        out.line(f"DISTURBED: in {disturbed} runs something else had the generator's or the"
                 " forwarder's core; take these figures again")
    alone = [run["generator_ns"] for good in runs.values() for run in good if run]
    out.line(f"generator and one veth, nobody behind them: {spread(alone, '{:.0f}')} ns a frame")
    return rows


def quotients(above, below):
    return [a["mpps"] / b["mpps"] for a, b in zip(above, below) if a and b and b["mpps"]]


def ratios(out, wanted, runs, floor):
    """`floor` is the case that only sends: for a target missed it says what could be had at all."""
    out.line()
    rows = []
    for what, above, below, target in wanted:
        values = quotients(runs.get(above, []), runs.get(below, []))
        row = {"what": what, "values": values, "target": target}
        rows.append(row)
        if not values:
            continue
        out.line(f"{what:42}{spread(values)}" + verdict(statistics.median(values), target))
        most = quotients(runs.get(floor, []), runs[below])
        if most and target and statistics.median(values) < target:
            row["most"] = most
            out.line("  who only transmits, to the same:".ljust(42) + spread(most)
                     + ("  in no round in reach" if max(most) < target else ""))
    return rows
