# SPDX-License-Identifier: Apache-2.0
"""The story of a run, for who has to understand what went wrong with it: everything known of it and
the faults around, in the order of time."""
import collections
import time

AROUND_MS = 10000


def clock(ms):
    return time.strftime("%H:%M:%S", time.localtime(ms / 1000)) + f".{ms % 1000:03d}"


class Stories:
    """Tells of runs; what is known is sorted by run once."""

    def __init__(self, facts):
        self.facts, self.lines, self.partitions = facts, collections.defaultdict(list), {}
        self.starts = {s.run: s for s in facts.starts}
        self.claims = [e for e in facts.events if e.type == "owner.claim"]
        for e in facts.events:
            step = f" step {e.path} attempt {e.attempt} gen {e.gen} of {e.worker}" if e.path else ""
            self.add(e, e.ms, f"log       {e.type}{step}  [{e.partition}] @{e.offset}  {e.value}")
            self.partitions[e.run] = e.partition
        for t in facts.tasks:
            self.add(t, t.ms, f"task      step {t.path} attempt {t.attempt} gen {t.gen}  "
                              f"{t.topic} [{t.partition}] @{t.offset}")
        for c in facts.calls:
            self.add(c, c.begin, f"call      step {c.path} by {c.worker} via {c.via}")
            if c.end:
                heard = "" if c.heard else ", which nobody heard"
                self.add(c, c.end, f"answer    step {c.path} to {c.worker}: {c.status}{heard}")
        for r in facts.results:
            self.add(r, r.ms, f"result    {r.status} id {r.id}  [{r.partition}] @{r.offset}")

    def add(self, record, ms, text):
        self.lines[record.run].append((ms, text))

    def tell(self, run):
        lines = list(self.lines.get(run, ()))
        if lines:
            lines += self.around(run, min(lines)[0] - AROUND_MS, max(lines)[0] + AROUND_MS)
        head = self.starts.get(run, "nobody started it")
        in_order = sorted(lines, key=lambda line: line[0])
        return f"run {run}: {head}\n" + "".join(f"{clock(ms)}  {text}\n" for ms, text in in_order)

    def around(self, run, first, last):
        """What happened to the system meanwhile."""
        found = [(f.ms, f"FAULT     {f.text}") for f in self.facts.faults]
        found += [(s.begin, f"STOPPED   {s.process} until {clock(s.end)}")
                  for s in self.facts.stops]
        found += [(e.ms, f"claim     of {e.worker} gen {e.gen}  [{e.partition}] @{e.offset}")
                  for e in self.claims if e.partition == self.partitions.get(run)]
        return [line for line in found if first <= line[0] <= last]
