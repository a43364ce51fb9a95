# SPDX-License-Identifier: BSD-2-Clause
"""play: a case (configuration, frames, changes, in order) in two labs; and the smallest that differs.

A case is JSON: {"seed", "ports", "extra", "early", "acts"}.  An act is one of
    ["do", [command, ...]]        the same commands in both switches
    ["only", [command, ...]]      in the second switch alone: to see the test fail
    ["send", [frame, ...], bool]  frames.py; true: one by one
"""
import collections
import copy
import os
import time

import lab
from compare import TOKEN, asks, gives_up, normal, said

QUIET = 0.002    # nothing came for so long: what the kernel forwards by itself has come
FORGET = 40      # batches, some 1500 frames
PURGED = 2       # errors a case may lack, see rest()
_count = 0


def patience():
    """As long as a machine this busy may keep shuntd or an answer, in seconds."""
    return 1.0 + min(2.0, os.getloadavg()[0] / 6)


class Difference(Exception):
    """kind: frames, sending, commands, fdb, links or daemon."""

    def __init__(self, kind, text, act, frames=()):
        super().__init__(text)
        self.kind, self.act, self.frames = kind, act, set(frames)
        self.tokens = {t for frame in frames for t in TOKEN.findall(frame)}

    def is_again(self, other):
        """Is it what `other` was, seen once more?  What has a cause is at the same place each time."""
        return self.kind == other.kind and (bool(self.frames & other.frames) or
                                            not self.frames and self.act == other.act)

    def concerns(self, frame):
        """Is this frame, as sent, one of those that differ?"""
        return frame in self.frames or any(t in self.tokens for t in TOKEN.findall(frame))


class Player:
    def __init__(self, case, mode, shunt, responder):
        global _count
        _count += 1
        self.case, self.responder = case, responder
        self.kernel = lab.Lab("a%d" % _count, "kernel", None)
        self.labs = [self.kernel]
        try:
            self.ours = lab.Lab("b%d" % _count, mode, shunt)
            self.labs.append(self.ours)
        except BaseException:
            self.close()
            raise
        self.balance = collections.Counter()  # (host, frame): heard in the kernel's lab - in ours
        self.heard, self.sent, self.act, self.batches, self.purged = 0, 0, 0, 0, 0
        self.refused = []

    def close(self):
        for one in self.labs:
            one.close()

    # ---- hearing ----

    def hear(self, where, host, frame):
        answer = self.responder.answer(host, frame)
        if answer:
            where.send(host, "", answer)
        frame = normal(frame)
        if frame is None:
            return
        key = (host, frame)
        if asks(frame):
            # Who answers will hear what it was asked for, or it was a redirect, which has a limit by
            # peer (ip6_forward()); and asking again is by the clock.
            if answer or key in where.asked:
                return
            where.asked.add(key)
        if where is self.kernel:
            self.heard += 1
            self.balance[key] += 1
        else:
            self.balance[key] -= 1
        if not self.balance[key]:
            del self.balance[key]

    def rest(self):
        """Until both labs have nothing to say, and said the same."""
        end = time.monotonic() + patience()
        while True:
            while lab.pump([self.kernel], self.hear, QUIET):
                pass
            came = lab.pump([self.ours], self.hear, QUIET / 2)
            asking = any(one.netlink.unresolved() for one in self.labs)
            if not self.balance and not asking:
                return
            if came or asking:
                end = max(end, time.monotonic() + patience() / 2)
            if time.monotonic() > end:
                self.forgive()
                if self.balance:
                    self.differ()
                return

    def forgive(self):
        """When a neighbour does not answer, the kernel says so to who sent what waits for it, until that
        makes it ask for the same neighbour once more, to deliver an error of its own: the rest is thrown
        away without a word (neigh_invalidate()).  Which comes first is nobody's promise."""
        late = sum(abs(n) for (_, frame), n in self.balance.items() if gives_up(frame))
        if self.purged + late <= PURGED and all(gives_up(f) or asks(f) for _, f in self.balance):
            self.purged += late
            self.balance.clear()

    def differ(self):
        lines = []
        for (host, frame), count in list(self.balance.items())[:40]:
            lines.append("h%d heard %d more in the %s: %s" % (
                host, abs(count), "kernel's lab" if count > 0 else "lab with shuntd", said(frame)))
            lines.append("    " + frame[:120].hex())
        raise Difference("frames", "\n".join(lines), self.act, [frame for _, frame in self.balance])

    # ---- doing ----

    def send(self, frames, one_by_one):
        for host, how, text, _ in frames:
            frame = bytes.fromhex(text)
            for one in self.labs:
                one.send(host, how, frame)
            self.sent += 1
            if one_by_one:
                self.rest()
                self.learnt()
        self.rest()
        if one_by_one or any(frame[3] == "greeting" for frame in frames):
            self.learnt()
        self.batches += 1
        if self.batches % FORGET == 0:
            for one in self.labs:
                one.forget()
        if self.kernel.heard != self.ours.heard:
            raise Difference("sending", "sending: %r, %r" % (self.kernel.heard, self.ours.heard), self.act)

    def learnt(self):
        """Both bridges have learnt the same; shuntd knows what its own has."""
        end = time.monotonic() + patience()
        while self.kernel.netlink.fdb() != self.ours.netlink.fdb():
            if time.monotonic() > end:
                mine, theirs = (one.netlink.fdb() for one in (self.ours, self.kernel))
                raise Difference("fdb", "bridge fdb (interface, VLAN, MAC, static) kernel only: %r; with shuntd "
                                 "only: %r" % (sorted(theirs - mine), sorted(mine - theirs)), self.act)
            time.sleep(0.002)
        # A notification may be on its way still.  (An entry that is none of its business never comes.)
        end = time.monotonic() + 0.5
        while self.ours.daemon and not self.ours.mirrored() and time.monotonic() < end:
            time.sleep(0.005)

    def do(self, lines):
        answers = [one.configure(lines) for one in self.labs]
        failed = [[line for line, _ in answer if not line.startswith("tc ")] for answer in answers]
        self.refused += answers[0]
        if failed[0] != failed[1]:
            raise Difference("commands", "commands that failed: kernel %r, with shuntd %r" % tuple(answers),
                             self.act)
        following = self.case["acts"][self.act + 1:self.act + 2]
        self.settle(0.06 if following and following[0][0] == "do" else 0.3)

    def settle(self, still):
        """Links have come up, sysctls were looked at (every 100 ms), ports are bound."""
        end, before, since = time.monotonic() + 10, None, time.monotonic()
        while time.monotonic() < end:
            links = [one.netlink.links() for one in self.labs]
            links[1].pop("shunt0", None)
            now = (links, self.ours.states())
            if now != before or links[0] != links[1] or any(one.busy() for one in self.labs):
                before, since = now, time.monotonic()
            if time.monotonic() - since > still:
                return
            lab.pump(self.labs, self.hear, 0.02)
        if links[0] != links[1]:
            raise Difference("links", "links differ: kernel %r, with shuntd %r" % tuple(links),
                             self.act)

    def run(self):
        case = self.case
        ports = case["ports"]
        if case["early"]:
            self.ours.start(ports, case["extra"])
        for self.act, act in enumerate(case["acts"]):
            if act[0] == "do":
                self.do(act[1])
            elif act[0] == "only":
                self.ours.configure(act[1])
                self.settle(0.3)
            else:
                if not case["early"] and not self.ours.started:
                    self.ours.start(ports, case["extra"])
                    self.settle(0.3)
                self.send(act[1], act[2])
            if not self.ours.alive():
                raise Difference("daemon", "shuntd is gone: " + self.ours.log(), self.act)
        self.learnt()


def play(case, mode, shunt, responder):
    """(Difference or None, the Player with its counters, closed)"""
    player, found = Player(case, mode, shunt, responder), None
    try:
        player.run()
    except Difference as difference:
        found = difference
    finally:
        player.counters = player.ours.shunt_json("port") if player.ours.daemon else []
        player.states = player.ours.states()
        player.close()
    return found, player


# ---- the smallest case -------------------------------------------------------------------------------


class Reducer:
    """
    Delta debugging: leaves out what the difference does not need, as long as time allows.  Never the
    greeting: without it MACs would be learnt in the midst of a batch, which each lab may do in its
    own time.
    """

    def __init__(self, fails, seconds):
        self.fails, self.end, self.tries = fails, time.monotonic() + seconds, 0
        self.kind = None

    def differs(self, case):
        if time.monotonic() > self.end:
            return False
        self.tries += 1
        found = self.fails(case)
        return found is not None and found.kind == self.kind

    def least(self, items, build):
        """The smallest list, in order, for which build(list) still differs."""
        size = max(1, len(items) // 2)
        while size >= 1 and items:
            at = 0
            while at < len(items):
                shorter = items[:at] + items[at + size:]
                if self.differs(build(shorter)):
                    items = shorter
                else:
                    at += size
                if time.monotonic() > self.end:
                    return items
            size = size // 2 if size > 1 else 0
        return items

    def reduce(self, case, found):
        case, self.kind = copy.deepcopy(case), found.kind
        case["acts"] = case["acts"][:found.act + 1]
        case = self.only_guilty(case, found)
        case = self.fewer_acts(case)
        case = self.fewer(case, "send")
        case = self.fewer(case, "do")
        case["acts"] = [a for a in case["acts"] if a[1]]
        return case

    def only_guilty(self, case, found):
        """Often the frames that differ are enough; else those of the last batch."""
        def keep(choose):
            out = copy.deepcopy(case)
            for number, act in enumerate(out["acts"]):
                if act[0] == "send":
                    act[1] = [f for f in act[1] if f[3] == "greeting" or choose(number, f)]
            return out

        def guilty(number, frame):
            return found.concerns(bytes.fromhex(frame[2]))

        last = len(case["acts"]) - 1
        for choose in (guilty, lambda n, f: n == last, lambda n, f: n == last or guilty(n, f)):
            shorter = keep(choose)
            if self.differs(shorter):
                return shorter
        return case

    def fewer_acts(self, case):
        greeting = [n for n, a in enumerate(case["acts"]) if a[0] == "send" and
                    any(f[3] == "greeting" for f in a[1])]
        sends = [n for n, a in enumerate(case["acts"]) if a[0] == "send" and a[1] and n not in greeting]

        def build(numbers):
            return dict(case, acts=[a for n, a in enumerate(case["acts"])
                                    if a[0] != "send" or n in numbers or n in greeting])

        return build(self.least(sends, build)) if len(sends) > 1 else case

    def fewer(self, case, kind):
        """Leave out single commands, or frames, of all acts."""
        def stays(thing):
            return isinstance(thing, list) and thing[3] == "greeting"

        places = [(n, i) for n, a in enumerate(case["acts"]) if a[0] == kind
                  for i, thing in enumerate(a[1]) if not stays(thing)]

        def build(some):
            some = set(some)
            return dict(case, acts=[
                [a[0], [x for i, x in enumerate(a[1]) if (n, i) in some or stays(x)], *a[2:]] if a[0] == kind else a
                for n, a in enumerate(case["acts"])])

        return build(self.least(places, build))
