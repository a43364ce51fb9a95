# SPDX-License-Identifier: BSD-2-Clause
"""forwarders: each way of getting a frame from A to B, started in a lab.

A forwarder is a function of a lab that returns when frames can flow, and raises Failed when they
cannot.  `missing()` says what to install for one that is not there.
"""
import glob
import json
import os
import shutil
import subprocess

from lab import HIGH_CORE, LOW_CORE, MAC, Failed, output, sh, wait_for

BUILD = os.environ.get("B", "build")
PMD = "librte_net_af_xdp.so"
SENDING = 10_000  # frames, of which one may say: it runs


# shuntd ------------------------------------------------------------------------------------------

def shuntd_start(lab, ports, rundir="/run/shunt"):
    config = "/run/shunt.lua"
    with open(config, "w", encoding="utf-8") as file:
        file.writelines(f'port "{port}"\n' for port in ports)
        file.write(f"workers {{ {HIGH_CORE} }}\n")
    shutil.rmtree(rundir, ignore_errors=True)
    os.makedirs(rundir)
    # Its other threads share the generator's core, as they would share any core but the worker's.
    return lab.start(["taskset", "-c", str(LOW_CORE), f"{BUILD}/shuntd", "-c", config,
                      "-r", rundir])


def shunt(*words, rundir="/run/shunt"):
    done = subprocess.run([f"{BUILD}/shunt", "-r", rundir, "-j", *words], text=True,
                          capture_output=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def shuntd_wait(process, ports):
    def fast():
        if process.poll() is not None:
            raise Failed(f"shuntd ended: {output(process)}")
        states = {port["ifname"]: port["state"] for port in shunt("port") or []}
        return all(states.get(port) == "fast" for port in ports)

    wait_for("shuntd's ports fast", fast, 15)


def shuntd(lab):
    if lab.kind == "bridged":
        lab.bridge()
    ports = ["A", "B"] + (["C"] if lab.slow_port else [])
    process = shuntd_start(lab, ports)
    shuntd_wait(process, ports)
    return process


# Peers -------------------------------------------------------------------------------------------

def kernel(lab):
    if lab.kind == "bridged":
        lab.bridge()


def pmd():
    """Files of DPDK's AF_XDP driver; none when it is not installed."""
    return glob.glob(f"/usr/lib/*/{PMD}.*") + glob.glob(f"/usr/lib/*/dpdk/pmds-*/{PMD}.*")


def testpmd(lab):
    vdevs = [word for n, port in enumerate("AB") for word in
             ("--vdev", f"net_af_xdp{n},iface={port},force_copy=1,busy_budget=0")]
    process = lab.start(["dpdk-testpmd", "-l", f"{LOW_CORE},{HIGH_CORE}", "--no-huge", "-m", "1024",
                         "--iova-mode=va", "--no-pci", "--no-telemetry", "-d",
                         os.path.basename(pmd()[0]), *vdevs, "--", "--forward-mode=io",
                         "--nb-cores=1", "--burst=64", "--total-num-mbufs=32768", "-a"])

    def started():
        if process.poll() is not None:
            raise Failed(f"testpmd ended: {output(process)}")
        return all("xdp" in sh(f"ip -n fwd link show {port}") for port in "AB")

    wait_for("testpmd", started, 20)


def ovs(lab):
    env = dict(os.environ, OVS_RUNDIR="/run/ovs", OVS_LOGDIR="/run/ovs", OVS_DBDIR="/run/ovs")
    socket = "unix:/run/ovs/db.sock"
    shutil.rmtree("/run/ovs", ignore_errors=True)
    os.makedirs("/run/ovs")
    sh("ovsdb-tool create /run/ovs/conf.db /usr/share/openvswitch/vswitch.ovsschema")
    lab.start(["ovsdb-server", "--remote=punix:/run/ovs/db.sock", "/run/ovs/conf.db",
               "--pidfile=/run/ovs/db.pid"], env=env)
    wait_for("ovsdb-server", lambda: os.path.exists("/run/ovs/db.sock"), 10)
    vsctl = f"ovs-vsctl --timeout=20 --db={socket}"
    sh(f"{vsctl} --no-wait init -- set Open_vSwitch . other_config:pmd-cpu-mask="
       f"{hex(1 << HIGH_CORE)}")
    lab.start(["ovs-vswitchd", socket, "--disable-system", "--pidfile=/run/ovs/vswitchd.pid",
               "--log-file=/run/ovs/vswitchd.log"], env=env)
    sh(f"{vsctl} add-br ovsbr -- set bridge ovsbr datapath_type=netdev")
    for port in "AB":
        sh(f"{vsctl} add-port ovsbr {port} -- set interface {port} type=afxdp"
           " options:xdp-mode=native")


def floor(lab):
    """Not a forwarder: only the sending half of one.  What arrives at A is dropped there, as it is
    where a ring is full."""
    sh(f"ip -n fwd link set A xdpdrv object {BUILD}/tests/bench/gen.bpf.o program gen_floor")
    process = lab.start(["taskset", "-c", str(HIGH_CORE), f"{BUILD}/tests/bench/floor", "B",
                         MAC["sB"]])

    def started():
        if process.poll() is not None:
            raise Failed(f"floor ended: {output(process)}")
        stats = json.loads(sh("ip -n fwd -j -s link show B"))
        return stats[0]["stats64"]["tx"]["packets"] > SENDING

    wait_for("floor", started, 5)


def missing(name):
    """What to say about a forwarder that cannot be had here; None when it can."""
    if name == "shuntd" and not os.path.exists(f"{BUILD}/shuntd"):
        return "not built: make"
    if name == "testpmd":
        if not shutil.which("dpdk-testpmd"):
            return "not installed: apt install dpdk-dev"
        if not pmd():
            return "not installed: apt install librte-net-af-xdp23"
    if name == "ovs" and not shutil.which("ovs-vswitchd"):
        return "not installed: apt install openvswitch-switch"
    return None


START = {"shuntd": shuntd, "kernel": kernel, "testpmd": testpmd, "ovs": ovs, "floor": floor}
