#!/usr/bin/env python3
"""Time and memory of an item of a map, among 1,000, 10,000 and 100,000 of them.

Real Apache Kafka (one node, acks=all, idempotent), real Redis (deploy/redis.conf: AOF everysec), one orchestrator, one worker. The items are
numbers, each a noop task of its own. One run after the other, each as soon as the one before it is over, and the time is that from a run's start
to its result: the median. The memory is the most that the orchestrator has held so far. The last line with --json is one object.
"""
import json
import sys

from installation import ROOT, Failed, run

SIZES = (1000, 10000, 100000)
SECONDS = 12


def items(bench, n):
    path = bench.dir / f"{n}.json"
    path.write_text(json.dumps(list(range(n))))
    return path


def check(bench, n, path):
    """One run, looked at: its outputs are those of its items."""
    done = json.loads(bench.tool(bench.bin / "tutti", "start", "bench-map", "--input", path, "--wait", "--json", timeout=900))
    if done["output"] != list(range(n)):
        raise Failed(f"the outputs of {n} items are not those of the items")


def level(bench, n, seconds):
    """Runs of n items for that long: microseconds an item."""
    path = items(bench, n)
    check(bench, n, path)
    tasks, before = bench.count("tutti.tasks.default"), {name: p.cpu_s() for name, p in bench.servers.items()}
    out = bench.drive(1, seconds, "map.yaml", path)
    cpu = {name: round((p.cpu_s() - before[name]) * 1e6 / n / out["runs"], 1) for name, p in bench.servers.items()}
    tasks = bench.count("tutti.tasks.default") - tasks
    if tasks != n * out["runs"]:
        raise Failed(f"{out['runs']} runs of {n} items made {tasks} tasks")
    result = {"n": n, "us_per_item": round(out["run_p50_ms"] * 1e3 / n, 1), "rss_mb": round(bench.servers["orchestrator"].peak_mb(), 1)}
    bench.say(f"  {n:>7} items: {result['us_per_item']:>7.1f} us an item   {out['runs']} runs   cpu us {cpu}   "
              f"orchestrator {result['rss_mb']:.1f} MB")
    return result


def measure(bench):
    bench.tool(bench.bin / "tutti", "deploy", ROOT / "bench/map.yaml")
    quick = bench.options.quick
    if not quick:
        bench.say("warming up")
        bench.drive(1, 15, "map.yaml", items(bench, 10000))
    bench.say("a map whose items are noop tasks:")
    return {"items": [level(bench, n, 2 if quick else SECONDS) for n in SIZES[: 2 if quick else 3]]}


if __name__ == "__main__":
    sys.exit(run(__doc__, measure))
