# SPDX-License-Identifier: Apache-2.0
"""The story of a run, for who has to understand what went wrong with it: everything known of it and
the faults around, in the order of time."""
import time

AROUND_MS = 10000


def clock(ms):
    return time.strftime("%H:%M:%S", time.localtime(ms / 1000)) + f".{ms % 1000:03d}"


def tell(facts, run):
    start = next((s for s in facts.starts if s.run == run), None)
    lines = []
    for e in facts.events:
        if e.run == run:
            step = f" step {e.path} attempt {e.attempt} gen {e.gen} of {e.worker}" if e.path else ""
            lines.append((e.ms, f"log       {e.type}{step}  [{e.partition}] @{e.offset}  {e.value}"))
    for t in facts.tasks:
        if t.run == run:
            lines.append((t.ms, f"task      step {t.path} attempt {t.attempt} gen {t.gen}  "
                                f"{t.topic} [{t.partition}] @{t.offset}"))
    for c in facts.calls:
        if c.run == run:
            lines.append((c.begin, f"call      step {c.path} by {c.worker} via {c.via}"))
            if c.end:
                heard = "" if c.heard else ", which nobody heard"
                lines.append((c.end, f"answer    step {c.path} to {c.worker}: {c.status}{heard}"))
    for r in facts.results:
        if r.run == run:
            lines.append((r.ms, f"result    {r.status} id {r.id}  [{r.partition}] @{r.offset}"))
    if lines:
        first, last = min(lines)[0] - AROUND_MS, max(lines)[0] + AROUND_MS
        lines += [(f.ms, f"FAULT     {f.text}") for f in facts.faults if first <= f.ms <= last]
        lines += [(s.begin, f"STOPPED   {s.process} until {clock(s.end)}") for s in facts.stops
                  if first <= s.begin <= last]
        claims = {(e.partition) for e in facts.events if e.run == run}
        lines += [(e.ms, f"claim     of {e.worker} gen {e.gen}  [{e.partition}] @{e.offset}")
                  for e in facts.events
                  if e.type == "owner.claim" and e.partition in claims and first <= e.ms <= last]
    head = f"run {run}: {start}\n" if start else f"run {run}: nobody started it\n"
    return head + "".join(f"{clock(ms)}  {text}\n" for ms, text in sorted(lines))
