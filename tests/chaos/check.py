# SPDX-License-Identifier: Apache-2.0
"""The oracle: what must hold of the facts of a chaos run, and which runs break it.

It reads facts alone (facts.py), so that it is tested on made-up ones (test_check.py).

A run is expected for every start without a key, and for every key once: the first start with it in
the log. Of a run,

    lost                    there is no result of it, and Redis knows of no such run that goes on
    stuck                   there is none, but Redis has it as not ended
    duplicates              its result was written more than once
    wrong                   it ended as it cannot end, with another output than its steps make, its
                            key had ended another run already, or a result is of no run at all
    early                   it timed out before its time
    unequal                 one task id stands for two different tasks
    repeated_after_durable  a call of a step began more than a second after a success of that step
                            had been appended to the log
    stopped_between         the same, but the worker had been stopped (SIGSTOP) between the check of
                            its lease and the call. Counted apart, and no violation

Not violations, but told:

    repeated_calls          calls of a step beyond one for each attempt that was issued
    calls_after_answer      calls of a step of which the tool had answered an earlier one, in time
                            and with success: what a crash before the result was durable may cost
"""
import collections
import dataclasses

from mix import KINDS

DURABLE_MS = 1000  # what an append and the news of it may take
# A worker that wakes up goes on with what it was about to do. A call that begins later than this
# after it woke was decided on after it woke.
WAKE_MS = 1000
DEADLINE_MS = 3000  # limits.timeout of chaos-deadline
QUICK = ("chaos-plain", "chaos-sequence", "chaos-parallel", "chaos-branches")
VIOLATIONS = ("lost", "stuck", "duplicates", "wrong", "early", "unequal", "repeated_after_durable",
              "died", "dead_letters")


@dataclasses.dataclass
class Offence:
    kind: str
    run: str
    text: str


class Check:
    def __init__(self, facts):
        self.facts = facts
        self.counts = collections.Counter()
        self.offences = []
        self.starts = {s.run: s for s in facts.starts}
        self.begun = {}  # append time of a run's first start
        self.results = collections.defaultdict(list)
        for result in facts.results:
            self.results[result.run].append(result)
        self.expected = self.expected_runs()

    def offend(self, kind, run, text, count=1):
        self.counts[kind] += count
        self.offences.append(Offence(kind, run, text))

    def expected_runs(self):
        """The runs that must end: of each key the one whose start stands first in the log."""
        first = {}
        for event in self.facts.events:
            if event.type == "run.start":
                place = event.partition, event.offset
                self.begun.setdefault(event.run, event.ms)
                first[event.run] = min(first.get(event.run, place), place)
        expected, keys = {}, {}
        for run, start in self.starts.items():
            if run not in first:
                self.offend("lost", run, "its start was acknowledged and is not in the log")
            elif not start.key:
                expected[run] = start
            else:
                key = start.workflow, start.key
                if key not in keys or first[run] < first[keys[key]]:
                    keys[key] = run
        expected.update({run: self.starts[run] for run in keys.values()})
        return expected

    def check(self):
        self.check_ends()
        self.check_results()
        self.check_tasks()
        self.check_calls()
        for name in self.facts.died:
            self.offend("died", "", f"{name} ended by itself")
        if self.facts.dead_letters:
            self.offend("dead_letters", "", "records were dead-lettered", self.facts.dead_letters)
        return self

    # --- runs and results ---

    def check_ends(self):
        for run in self.expected:
            if self.results[run]:
                self.counts["ended"] += 1
            elif run in self.facts.live:
                self.offend("stuck", run, "it goes on")
            else:
                self.offend("lost", run, "nothing is known of it")

    def check_results(self):
        for run, results in list(self.results.items()):
            if not results:
                continue
            if len(results) > 1:
                same = len({r.id for r in results}) == 1
                times = sorted(r.ms for r in results)
                text = f"{len(results)} results, {'one id' if same else 'of different ids'}, " \
                       f"the last {times[-1] - times[0]} ms after the first"
                self.offend("duplicates", run, text, len(results) - 1)
            if len({r.digest for r in results}) > 1:
                self.offend("wrong", run, "its results differ")
            if run not in self.starts:
                self.offend("wrong", run, "a result of a run that nobody started")
            elif run not in self.expected:
                self.offend("wrong", run, "a second run of one start key")
            else:
                self.check_end(self.expected[run], results[0])

    def check_end(self, start, result):
        _, makes, ends = KINDS[start.workflow.removeprefix("chaos-")]
        if result.status == "cancelled" and start.cancelled:
            return
        if result.status not in ends:
            self.offend("wrong", start.run, f"it ended as {result.status}, not {' or '.join(ends)}")
        elif result.status == "completed" and result.output != makes(start.n):
            self.offend("wrong", start.run, f"output {result.output}, not {makes(start.n)}")
        elif start.workflow == "chaos-deadline" and result.status == "failed":
            self.check_deadline(start.run, result)

    def check_deadline(self, run, result):
        after = result.ms - self.begun[run]
        if after < DEADLINE_MS:
            self.offend("early", run, f"it timed out after {after} ms")

    # --- tasks ---

    def check_tasks(self):
        digests = collections.defaultdict(set)
        self.attempts = collections.defaultdict(set)
        for task in self.facts.tasks:
            digests[task.task].add((task.run, task.path, task.attempt, task.digest))
            self.attempts[task.run, task.path].add(task.attempt)
        for task, shapes in digests.items():
            if len(shapes) > 1:
                run = sorted(shapes)[0][0]
                self.offend("unequal", run, f"task {task} was sent in {len(shapes)} shapes")

    # --- calls ---

    def check_calls(self):
        durable = {}
        for event in self.facts.events:
            if event.type == "task.completed":
                step = event.run, event.path
                durable[step] = min(durable.get(step, event.ms), event.ms)
        steps = collections.defaultdict(list)
        for call in self.facts.calls:
            steps[call.run, call.path].append(call)
        self.counts["calls"] = len(self.facts.calls)
        for step, calls in steps.items():
            calls.sort(key=lambda c: c.begin)
            more = len(calls) - len(self.attempts[step])
            if more > 0:
                self.offend("repeated_calls", step[0],
                            f"step {step[1]}: {len(calls)} calls, {len(calls) - more} attempts",
                            more)
            answered = min((c.end for c in calls if c.status == 200 and c.heard), default=None)
            if answered is not None:
                self.counts["calls_after_answer"] += sum(c.begin > answered for c in calls)
            for call in calls:
                if step in durable and call.begin > durable[step] + DURABLE_MS:
                    self.judge_late(call, durable[step])

    def judge_late(self, call, durable_ms):
        late = call.begin - durable_ms
        stop = self.stopped_between(call, durable_ms)
        if stop:
            self.offend("stopped_between", call.run,
                        f"step {call.path}: called {late} ms after its success was durable, by "
                        f"{call.worker}, stopped for {stop.end - stop.begin} ms before")
        else:
            self.offend("repeated_after_durable", call.run,
                        f"step {call.path}: {call.worker} called {late} ms after its success was "
                        f"durable")

    def stopped_between(self, call, durable_ms):
        """The stop that explains a late call, if there is one. Three things must hold, or the call
        is held against the system: the process that called is the one that was stopped; it called
        as the first thing after it woke; and when it was stopped the success was not yet durable
        for longer than the news of it may take, so that the check before may well have passed."""
        for stop in self.facts.stops:
            if stop.process == call.worker and stop.begin <= call.begin and \
                    0 <= call.begin - stop.end <= WAKE_MS and \
                    durable_ms > stop.begin - DURABLE_MS:
                return stop
        return None

    # --- the verdict ---

    def latency_ms(self, quantile):
        """From the append of a start to that of the result, of runs whose tools take no time."""
        took = sorted(min(r.ms for r in self.results[run]) - self.begun[run]
                      for run, start in self.expected.items()
                      if start.workflow in QUICK and self.results[run])
        return took[int(quantile * (len(took) - 1))] if took else 0

    def summary(self):
        """The numbers, in the order in which they are told."""
        names = ("ended", "lost", "duplicates", "stuck", "repeated_calls",
                 "repeated_after_durable", "stopped_between", "wrong", "early", "unequal", "died",
                 "dead_letters", "calls", "calls_after_answer")
        return {"runs": len(self.expected), "results": len(self.facts.results),
                **{name: self.counts[name] for name in names},
                "run_p50_ms": self.latency_ms(0.5), "run_p99_ms": self.latency_ms(0.99)}

    def violations(self):
        return [o for o in self.offences if o.kind in VIOLATIONS]
