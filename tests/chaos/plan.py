# SPDX-License-Identifier: Apache-2.0
"""The plan of a chaos run: which fault comes when, drawn from a seed. It can be printed and run
again; what the processes make of it is theirs."""
import dataclasses
import random

ORCHESTRATORS = ("o1", "o2")
WORKERS = ("w1", "w2", "w3")
BROKERS = ("1", "2", "3")
GAP_S = 4.6  # from one fault to the next, in the mean
QUIET_BEGIN_S, QUIET_END_S = 4, 6  # without faults, for the load to begin and to be noticed
BROKER_REST_S = 30  # after a broker came back: a JVM needs its time on a busy machine
BROKER_STARTS_S = 10
REDIS_STARTS_S = 1
TRIES = 50

# kind: weight, and the seconds that it lasts (a process that is killed stays away for so long)
KINDS = {
    "kill-orchestrator": (16, 0.5, 3),
    "kill-worker": (20, 0.5, 3),
    "end-orchestrator": (3, 0.5, 2),  # SIGTERM, as in a rolling upgrade
    "end-worker": (3, 0.5, 2),
    "stop-orchestrator": (7, 0.4, 2),
    "freeze-orchestrator": (5, 5, 8),  # longer than its group waits for it
    "stop-worker": (8, 0.4, 2),
    "freeze-worker": (8, 3.5, 8),  # longer than its leases and its session
    "kill-broker": (4, 1, 5),
    "freeze-broker": (4, 1, 7),
    "freeze-brokers": (2, 1, 5),  # two of three: nothing can be written, nothing elected
    "restart-redis": (5, 0.1, 1),
    "crash-redis": (5, 0.1, 1.5),  # loses up to its last second
    "rewind-redis": (3, 0.1, 1.5),  # comes back as it was up to half a minute ago
    "freeze-redis": (4, 0.3, 4),
    "cut": (7, 0.5, 5),
    "stall": (7, 0.5, 7),
    "mute": (7, 0.5, 5),
}
# What may happen at the same moment as a FLUSHALL, in turn.
WIPES = (("kill-worker", "kill-worker"), ("kill-orchestrator",), (),
         ("kill-worker", "kill-orchestrator"), ("freeze-worker",), ("cut",))


@dataclasses.dataclass
class Fault:
    at: float
    kind: str
    target: str = ""
    seconds: float = 0.0  # how long it lasts
    amount: float = 0.0  # seconds that Redis loses

    def who(self):
        """The processes that have it: a link's is the one whose link it is."""
        return self.target.split(".")[0].split(",")

    def __str__(self):
        text = f"{self.at:7.2f} s  {self.kind} {self.target}".rstrip()
        if self.seconds:
            text += f" for {self.seconds:.1f} s"
        return text + (f", loses {self.amount:.1f} s" if self.amount else "")


class Planner:
    def __init__(self, seed, seconds, gap):
        self.random = random.Random(f"plan/{seed}")
        self.seconds, self.gap = seconds, gap
        self.busy = {}  # target -> until when
        self.faults = []
        self.wipes = self.wipe_times()

    def free(self, names, at):
        found = [n for n in names if self.busy.get(n, 0) <= at]
        return self.random.choice(found) if found else None

    def add(self, at, kind):
        """One fault of that kind, if somebody is free to have it."""
        r = self.random
        low, high = KINDS[kind][1:]
        fault = Fault(round(at, 2), kind, seconds=round(r.uniform(low, high), 1))
        rest = 1.0
        if kind.endswith("-orchestrator"):
            fault.target = self.free(ORCHESTRATORS, at)
        elif kind.endswith("-worker"):
            fault.target = self.free(WORKERS, at)
        elif "-broker" in kind:
            fault.target = self.brokers(kind, at)
            rest = BROKER_REST_S + (BROKER_STARTS_S if kind == "kill-broker" else 0)
        elif kind.endswith("-redis"):
            away = at + fault.seconds + REDIS_STARTS_S
            if not any(at <= wipe <= away for wipe in self.wipes):  # it must be there to be wiped
                fault.target = self.free(("redis",), at)
            if kind == "crash-redis":
                fault.amount = round(r.uniform(0.1, 1), 1)
            elif kind == "rewind-redis":
                fault.amount = round(r.uniform(2, 30), 1)
        else:  # a link
            who = self.free(ORCHESTRATORS + WORKERS, at)
            where = r.choice(("kafka", "redis", "redis", "kafka" + r.choice(BROKERS)))
            fault.target = who and f"{who}.{where}"
        if not fault.target:
            return False
        for who in fault.who():
            self.busy[who] = at + fault.seconds + rest
        self.faults.append(fault)
        return True

    def brokers(self, kind, at):
        """One node, or two; none while another one recovers, for that would be two by accident."""
        if any(self.busy.get(b, 0) > at for b in BROKERS):
            return None
        return ",".join(sorted(self.random.sample(BROKERS, 2 if kind.endswith("s") else 1)))

    def wipe(self, at, number):
        self.busy["redis"] = max(self.busy.get("redis", 0), at + 2)
        self.faults.append(Fault(round(at, 2), "flushall", "redis"))
        for kind in WIPES[number % len(WIPES)]:
            self.add(at, kind)

    def wipe_times(self):
        """At least one, and one for every 2.5 minutes, spread over the run."""
        count = max(1, int(self.seconds / 150))
        if self.seconds >= 150:
            count += 1
        usable = self.seconds - QUIET_BEGIN_S - QUIET_END_S
        return [QUIET_BEGIN_S + usable * (i + self.random.uniform(0.35, 0.65)) / count
                for i in range(count)]

    def make(self):
        r, wipes, number = self.random, list(self.wipes), 0
        at, kinds = float(QUIET_BEGIN_S), list(KINDS)
        while at < self.seconds - QUIET_END_S:
            if wipes and wipes[0] <= at:
                self.wipe(wipes.pop(0), number)
                number += 1
                continue
            for _ in range(TRIES):  # who is drawn may still have another fault
                if self.add(at, r.choices(kinds, [KINDS[k][0] for k in kinds])[0]):
                    break
            at += r.uniform(0.4, 1.6) * self.gap
        for rest in wipes:
            self.wipe(rest, number)
            number += 1
        return sorted(self.faults, key=lambda f: f.at)


def make_plan(seed, seconds, gap=GAP_S):
    return Planner(seed, seconds, gap).make()
