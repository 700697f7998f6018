#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./run chaos: a whole installation under load and under faults from a seeded plan, then the proof
that nothing was lost and nothing done twice. docs/chaos.md says how to read the result."""
import argparse
import json
import pathlib
import pickle
import random
import shutil
import signal
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from check import VIOLATIONS, Check  # noqa: E402
from cluster import PREFIX, Cluster  # noqa: E402
from facts import Facts  # noqa: E402
from faults import Executor  # noqa: E402
from harness.base import ROOT  # noqa: E402
from harness.servers import KafkaMissing  # noqa: E402
from load import Starter  # noqa: E402
from mix import Mix  # noqa: E402
from plan import GAP_S, make_plan  # noqa: E402
from reader import Reader, Watcher, event_of, read_calls, result_of, task_of  # noqa: E402
from story import Stories  # noqa: E402

DIRECTORY = ROOT / "build/chaos"
DRAIN_S = 180  # after everything is healed: a run that has not ended then is stuck
STORIES = 20


def busy_and_all():
    """Jiffies of this machine's processors since it runs: those that worked, and all."""
    numbers = [int(x) for x in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)


class Chaos:
    def __init__(self, options):
        self.options = options
        self.dir = DIRECTORY
        self.began = time.monotonic()
        self.lines, self.cpu_percent = None, 0

    def say(self, text):
        line = f"{time.strftime('%H:%M:%S')} {time.monotonic() - self.began:6.1f}  {text}"
        print(line, file=sys.stderr if self.options.json else sys.stdout, flush=True)
        self.lines.write(line + "\n")
        self.lines.flush()

    def run(self):
        o = self.options
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        self.lines = open(self.dir / "story.txt", "w")
        seconds = o.minutes * 60
        plan = [] if o.no_faults else make_plan(o.seed, seconds, o.gap)
        (self.dir / "plan.json").write_text(json.dumps(
            {"seed": o.seed, "minutes": o.minutes, "rate": o.rate, "gap": o.gap,
             "faults": [f.__dict__ for f in plan]}, indent=1))
        self.say(f"seed {o.seed}: {len(plan)} faults in {o.minutes:g} minutes, "
                 f"{o.rate:g} starts a second")
        cluster = Cluster(self.dir)
        try:
            cluster.start()
            report, bad = self.drive(cluster, plan, seconds)
        finally:
            cluster.close()
        if not bad:  # the servers' data are of use to nobody then
            for name in ("kafka", "redis"):
                shutil.rmtree(self.dir / name, ignore_errors=True)
        return report, bad

    def drive(self, cluster, plan, seconds):
        hashes = cluster.deploy()
        self.say("the installation runs")
        mix = Mix(self.options.seed, cluster.ledger_ports[0])
        executor = Executor(cluster, self.say)
        watcher = Watcher(cluster.brokers, PREFIX)
        watcher.start()
        with open(self.dir / "starts.jsonl", "w") as file:
            starter = Starter(cluster.brokers, PREFIX, hashes, mix, self.options.rate, file)
            before = busy_and_all()
            starter.start()
            executor.run(plan, seconds)
            busy, total = (b - a for a, b in zip(before, busy_and_all()))
            self.cpu_percent = round(100 * busy / total, 1)
            starter.stop()
        self.say(f"{len(starter.starts)} starts, {len(watcher.ended)} runs have ended; healing")
        executor.heal()
        left = starter.flush(60)
        self.drain(starter.starts, watcher, executor)
        watcher.stop()
        cluster.end_servers()
        facts = self.gather(cluster, starter, executor)
        return self.judge(facts, executor, left)

    def drain(self, starts, watcher, executor):
        """Until every run has ended, or for as long as that may take."""
        expected = len({(s.workflow, s.key) if s.key else s.run for s in starts})
        end = time.monotonic() + DRAIN_S
        while len(watcher.ended) < expected and time.monotonic() < end:
            executor.look_after()
            time.sleep(0.2)
        self.say(f"{len(watcher.ended)} of {expected} runs have ended")
        time.sleep(2)  # what is written twice would be written by now

    def gather(self, cluster, starter, executor):
        reader = Reader(cluster.brokers, PREFIX)
        events = reader.read("events", event_of)
        results = reader.read("results", result_of)
        tasks = reader.read("tasks", task_of)
        letters = reader.read("dlq", event_of)
        reader.close()
        live = cluster.live_runs()
        cluster.ledger.close()
        calls = read_calls(self.dir / "ledger.jsonl")
        self.say(f"read {len(events)} events, {len(tasks)} tasks, {len(results)} results, "
                 f"{len(calls)} calls")
        return Facts(starter.starts, events, tasks, results, calls, cluster.stops, executor.done,
                     live, executor.died + cluster.insane(), len(letters))

    def judge(self, facts, executor, left):
        check = Check(facts).check()
        with open(self.dir / "facts.pickle", "wb") as file:
            pickle.dump(facts, file)
        summary = check.summary()
        summary["faults"] = len(executor.done)
        summary["flushalls"] = executor.counts.get("flushall", 0)
        first = ("runs", "ended", "lost", "duplicates", "stuck", "faults", "flushalls",
                 "repeated_calls", "repeated_after_durable")
        report = {name: summary.pop(name) for name in first}
        report.update(summary, cpu_percent=self.cpu_percent, minutes=self.options.minutes,
                      seed=self.options.seed, by_kind=executor.counts)
        bad = check.violations()
        self.tell_stories(facts, check.offences)
        if left:
            self.say(f"{left} starts could not be written")
        return report, bool(bad) or left > 0

    def tell_stories(self, facts, offences):
        """A file for each run that did something odd, some of each kind."""
        stories, told, teller = self.dir / "stories", {}, Stories(facts)
        for offence in offences:
            told.setdefault(offence.kind, []).append(offence)
        for kind, all_of_it in told.items():
            self.say(f"{kind}: {len(all_of_it)}")
            for offence in all_of_it[:STORIES]:
                if kind in VIOLATIONS:
                    self.say(f"    {offence.run} {offence.text}")
                if offence.run:
                    stories.mkdir(exist_ok=True)
                    (stories / f"{kind}-{offence.run}.txt").write_text(
                        f"{kind}: {offence.text}\n{teller.tell(offence.run)}")


def arguments():
    parser = argparse.ArgumentParser(prog="./run chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long faults come (10)")
    parser.add_argument("--seed", type=int, help="of the plan and the load; default: another one")
    parser.add_argument("--rate", type=float, default=40, help="starts a second (40)")
    parser.add_argument("--gap", type=float, default=GAP_S,
                        help=f"seconds from one fault to the next, in the mean ({GAP_S:g})")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--no-faults", action="store_true", help="the load alone")
    parser.add_argument("--plan", action="store_true", help="print the plan of a seed, and end")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1, 1000000)
    return options


def main():
    options = arguments()
    if options.plan:
        print(*make_plan(options.seed, options.minutes * 60, options.gap), sep="\n")
        return 0
    chaos = Chaos(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are ended all the same
    try:
        report, bad = chaos.run()
    except KafkaMissing as e:
        print(f"chaos: Apache Kafka is needed and cannot be fetched: {e}", file=sys.stderr)
        return 3
    except Exception:
        traceback.print_exc()
        print(f"chaos: the harness failed (seed {options.seed}); see {DIRECTORY}", file=sys.stderr)
        return 2
    if bad:
        chaos.say(f"VIOLATIONS: seed {options.seed}; what is known of them is in {DIRECTORY}")
    if options.json:
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(f"{name:>24}: {value}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
