#!/usr/bin/env python3
"""Durable steps per second against the raw limit of the same broker, in one run.

Real Apache Kafka (one node, acks=all, idempotent, 16 partitions of events), real Redis (deploy/redis.conf: AOF everysec), one orchestrator, one
worker.
First the raw limit: two hops through that broker with the same client settings, 1, 200 and 4,000 messages of 512 bytes in flight. Then what
an installation costs that has nothing to do. Then runs of five noop steps with a 512-byte input, as many in flight, and again at 4,000
with 10,000 further runs waiting; and at last what these cost while they wait: beside them the hundreds of thousands of finished runs, which
the load left behind, are looked at for their snapshots. The last line with --json is one object.
"""
import json
import subprocess
import sys
import time

from installation import ROOT, Failed, run

STEPS = 5
LEVELS = (1, 200, 4000)


def phase(bench, level, seconds):
    """One level of load: figures of the driver, CPU by process, and the check that each run was five tasks and one result."""
    page_us = bench.recycle()
    tasks, results = bench.count("tutti.tasks.default"), bench.count("tutti.results")
    before = {name: p.cpu_s() for name, p in bench.servers.items()}
    out = bench.drive(level, seconds)
    cpu = {name: p.cpu_s() - before[name] for name, p in bench.servers.items()}
    tasks, results = bench.count("tutti.tasks.default") - tasks, bench.count("tutti.results") - results
    if tasks != STEPS * out["runs"] or results != out["runs"]:
        raise Failed(f"{out['runs']} runs made {tasks} tasks and {results} results; {STEPS} and 1 a run are right")
    out["cpu_us_per_step"] = {name: round(s * 1e6 / (STEPS * out["runs"]), 1) for name, s in cpu.items()}
    bench.say(f"  {level:>5} in flight: {out['runs_per_s'] * STEPS:>9.0f} steps/s   run p50 {out['run_p50_ms']:>9.2f} ms   "
             f"p99 {out['run_p99_ms']:>9.2f} ms   cpu us/step {out['cpu_us_per_step']}   fresh page {page_us:.1f} us")
    return out


def raw(bench, level, seconds):
    page_us = bench.recycle()
    drive = bench.tool(bench.bin / "bench-raw", "drive", bench.brokers, "raw.there", "raw.back", str(level), str(seconds))
    out = json.loads(drive.splitlines()[-1])
    bench.say(f"  {level:>5} in flight: {out['per_s']:>9.0f} round trips/s   p50 {out['p50_ms']:>9.3f} ms   fresh page {page_us:.1f} us")
    return out


def quiet(bench):
    """Finished runs beyond the byte cap are still leaving; what is measured is an installation with nothing to do."""
    def settled():
        events, redis = bench.count("tutti.events"), bench.servers["redis"].cpu_s()
        time.sleep(3)
        return bench.count("tutti.events") == events and bench.servers["redis"].cpu_s() - redis < 0.05
    bench.until("nothing is left to do", settled, 300)


def idle(bench, seconds):
    before = {name: p.cpu_s() for name, p in bench.servers.items()}
    time.sleep(seconds)
    return {name: round((p.cpu_s() - before[name]) * 100 / seconds, 2) for name, p in bench.servers.items()}


def raw_limit(bench, seconds):
    """Before the installation has had anything to do: what it leaves to be done costs both cores for minutes."""
    bench.tool(bench.bin / "bench-raw", "topics", bench.brokers, "raw.there", "raw.back")
    echo = subprocess.Popen([bench.bin / "bench-raw", "echo", bench.brokers, "raw.there", "raw.back"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, env=bench.env)
    bench.children.append(echo)
    echo.stdout.readline()
    if not bench.options.quick:
        bench.say("warming up (a JVM compiles what it runs often, for half a minute)")
        for level, warm in ((LEVELS[-1], 15), (LEVELS[0], 3)):
            bench.tool(bench.bin / "bench-raw", "drive", bench.brokers, "raw.there", "raw.back", str(level), str(warm))
    bench.say("raw limit (two hops, same settings, same broker):")
    raws = {level: raw(bench, level, seconds) for level in LEVELS}
    echo.terminate()
    echo.wait()
    bench.children.remove(echo)
    return raws


def measure(bench):
    seconds = 4 if bench.options.quick else 12
    raws = raw_limit(bench, seconds)
    quiet(bench)
    idling = idle(bench, 5 if bench.options.quick else 20)
    bench.say(f"idle, % of a core: {idling}")
    if not bench.options.quick:
        bench.say("warming up")
        for level, warm in ((LEVELS[-1], 15), (LEVELS[0], 3)):
            bench.drive(level, warm)
    bench.say("durable steps (Kafka acks=all, Redis AOF everysec, leases on):")
    levels = {level: phase(bench, level, seconds) for level in LEVELS}
    bench.start_waiting(10000)
    bench.say("with 10,000 further runs waiting:")
    crowded = phase(bench, LEVELS[-1], seconds)
    rss = {name: round(p.peak_mb(), 1) for name, p in bench.servers.items()}
    quiet(bench)
    waiting = idle(bench, 5 if bench.options.quick else 20)
    bench.say(f"waiting, % of a core: {waiting}")
    top, steps = levels[LEVELS[-1]], levels[LEVELS[-1]]["runs_per_s"] * STEPS
    step_p50 = levels[1]["run_p50_ms"] / STEPS
    return {
        "steps_per_s": round(steps),
        "runs_per_s": round(top["runs_per_s"], 1),
        "raw_per_s": round(raws[LEVELS[-1]]["per_s"]),
        "ratio": round(steps / raws[LEVELS[-1]]["per_s"], 3),
        "step_p50_ms": round(step_p50, 3),
        "raw_p50_ms": raws[1]["p50_ms"],
        "latency_ratio": round(step_p50 / raws[1]["p50_ms"], 2),
        "steps_per_s_200": round(levels[200]["runs_per_s"] * STEPS),
        "steps_per_s_waiting": round(crowded["runs_per_s"] * STEPS),
        "cpu_us_per_step": top["cpu_us_per_step"],
        "rss_mb": rss,
        "idle_cpu_percent": idling,
        "waiting_cpu_percent": waiting,
    }


if __name__ == "__main__":
    sys.exit(run(__doc__, measure))
