# SPDX-License-Identifier: BSD-2-Clause
"""Tables at their limit."""
import os
import subprocess
import time

from wire import (MODE, UNKNOWN, addr4, bridged_frames, check_routed, cross, routed_frames, same, sh,
                  shunt, test, wait_until, run)

ROUTES = os.environ["ROUTES"]


def settled(what):
    if MODE != "kernel":
        wait_until(what, lambda: shunt("mirror")["state"] == "live" and shunt("mirror")["lag_ms"] == 0, 10)
        time.sleep(0.3)


def said(table):
    with open("/run/lab/shuntd.log") as log:
        return log.read().count("mirror: %s table is full" % table)


def verify():
    if MODE == "kernel":
        return ""
    done = subprocess.run([os.environ["SHUNT"], "mirror", "--verify"], capture_output=True, text=True, timeout=60)
    same(done.returncode, 0, "shunt mirror --verify: " + done.stdout[:300])
    return done.stdout


def routed_to(dst, way="fast"):
    sent = routed_frames(5, addr4(5), dst, 5)
    check_routed(cross(5, sent, {6: 5}, way=way)[6], sent, 6)


@test
def routes():
    """more routes than fit: those over the limit are the kernel's, the others stay fast"""
    for n in range(110):
        sh("ip route add 10.97.%d.0/24 via 10.0.6.77 proto 99" % n)
    settled("the mirror is live")
    # The first came while there was room.
    for n, way in ((0, "fast"), (109, "punt:route_kernel")):
        routed_to("10.97.%d.9" % n, way)
    routed_to(addr4(6))
    if MODE != "kernel":
        same(said("route"), 1, "times that it was said")
        same("limit" in verify(), True, "verify names the limit")
    sh("ip route flush table main proto 99")
    settled("the mirror is live")
    if MODE != "kernel":
        same(verify(), "equal\n", "verify when there is room again")


@test
def far_more_routes():
    """far more routes than fit: those that cannot even be kept are the kernel's, the others stay fast"""
    for n in range(160):
        sh("ip route add 10.%d.0.0/16 via 10.0.6.77 proto 99" % (n + 90))
    settled("the mirror is live")
    for n, way in ((90, "fast"), (249, "punt:route_kernel")):
        routed_to("10.%d.0.9" % n, way)
    routed_to(addr4(6))
    sh("ip route flush table main proto 99")
    settled("the mirror is live")
    if MODE != "kernel":
        wait_until("there is room again", lambda: verify() == "equal\n", 30)
    routed_to(addr4(6))


@test
def macs():
    """more MACs than fit: unknown unicast is the kernel's, which knows them"""
    sh("%s fdb 200 p4" % ROUTES)
    settled("the mirror is live")
    known = [f["mac"] for f in shunt("fdb")] if MODE != "kernel" else []
    missing = [m for m in ("02:fd:00:00:00:%02x" % n for n in range(200)) if m not in known]
    if MODE != "kernel":
        same(len(missing) >= 140, True, "%d MACs did not fit" % len(missing))
    cross(1, bridged_frames(1, 2, 5, dst=missing[-1]), {4: 5}, way="punt:flood")
    cross(1, bridged_frames(1, 2, 5), {2: 5})
    cross(1, bridged_frames(1, 2, 5, dst=UNKNOWN), {2: 5, 3: 5, 4: 5}, way="punt:flood")
    if MODE != "kernel":
        same(said("MAC"), 1, "times that it was said")
    for n in range(200):
        sh("bridge fdb del 02:fd:00:00:00:%02x dev p4 master" % n)
    if MODE != "kernel":
        wait_until("the flood is ours again", lambda: shunt("fdb") and verify() == "equal\n", 20)
        time.sleep(10.5)  # what did not fit is read again after ten seconds
    cross(1, bridged_frames(1, 2, 5, dst=UNKNOWN), {2: 5, 3: 5, 4: 5})


@test
def neighbours():
    """more neighbours than fit: frames to those over the limit are the kernel's"""
    sh("ip route add 172.16.0.0/16 dev p6")
    sh("%s neigh 200 p6" % ROUTES)
    settled("the mirror is live")
    cross(5, routed_frames(5, addr4(5), "172.16.0.201", 5), {6: 5}, way="punt:no_neigh")
    routed_to(addr4(6))
    if MODE != "kernel":
        same(said("neighbour"), 1, "times that it was said")


run()
