#!/usr/bin/env python3
"""Time and memory of an item of a map, among 1,000, 10,000 and 100,000 of them.

Real Apache Kafka (one node, acks=all, idempotent), real Redis (deploy/redis.conf: AOF everysec), one orchestrator, one worker. The items are
numbers, each a noop task of its own; the time is the run's, from its start to its end. The memory is the most that the orchestrator has held so
far. The last line with --json is one object.
"""
import datetime
import json
import sys

from installation import ROOT, Failed, run

SIZES = ((1000, 5), (10000, 3), (100000, 1))  # items, runs of so many


def seconds(shown):
    started, finished = (datetime.datetime.fromisoformat(shown[m].replace("Z", "+00:00")) for m in ("started_at", "finished_at"))
    return (finished - started).total_seconds()


def one_run(bench, n):
    """Seconds that a run with n items takes."""
    path = bench.dir / "input.json"
    path.write_text(json.dumps(list(range(n))))
    tasks = bench.count("tutti.tasks.default")
    done = json.loads(bench.tool(bench.bin / "tutti", "start", "bench-map", "--input", path, "--wait", "--json", timeout=900))
    if done["output"] != list(range(n)):
        raise Failed(f"the outputs of {n} items are not those of the items")
    tasks = bench.count("tutti.tasks.default") - tasks
    if tasks != n:
        raise Failed(f"{n} items made {tasks} tasks")
    return seconds(done)


def measure(bench):
    bench.tool(bench.bin / "tutti", "deploy", ROOT / "bench/map.yaml")
    bench.say("warming up")
    for _ in range(1 if bench.options.quick else 4):
        one_run(bench, 10000)
    bench.say("a map whose items are noop tasks:")
    items = []
    for n, runs in SIZES[: 2 if bench.options.quick else 3]:
        count = 1 if bench.options.quick else runs
        before = {name: p.cpu_s() for name, p in bench.servers.items()}
        best = min(one_run(bench, n) for _ in range(count))
        cpu = {name: round((p.cpu_s() - before[name]) * 1e6 / n / count, 1) for name, p in bench.servers.items()}
        items.append({"n": n, "us_per_item": round(best * 1e6 / n, 1), "rss_mb": round(bench.servers["orchestrator"].peak_mb(), 1)})
        bench.say(f"  {n:>7} items: {items[-1]['us_per_item']:>7.1f} us an item   cpu us {cpu}   orchestrator {items[-1]['rss_mb']:.1f} MB")
    return {"items": items}


if __name__ == "__main__":
    sys.exit(run(__doc__, measure))
