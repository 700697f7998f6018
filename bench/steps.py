#!/usr/bin/env python3
"""Durable steps per second against the raw limit of the same broker, in one run.

Real Apache Kafka (one node, acks=all, idempotent, 16 partitions of events), real Redis (deploy/redis.conf: AOF everysec), one orchestrator, one
worker.
Runs of five noop steps with a 512-byte input at 1, 200 and 4,000 runs in flight, then again at 4,000 with 10,000 further runs waiting;
then the raw limit: two hops through the same broker with the same client settings and as many messages in flight. The last
line with --json is one object.
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
    tasks, results = bench.count("tutti.tasks.default"), bench.count("tutti.results")
    before = {name: p.cpu_s() for name, p in bench.servers.items()}
    out = bench.drive(level, seconds)
    cpu = {name: p.cpu_s() - before[name] for name, p in bench.servers.items()}
    tasks, results = bench.count("tutti.tasks.default") - tasks, bench.count("tutti.results") - results
    if tasks != STEPS * out["runs"] or results != out["runs"]:
        raise Failed(f"{out['runs']} runs made {tasks} tasks and {results} results; {STEPS} and 1 a run are right")
    out["cpu_us_per_step"] = {name: round(s * 1e6 / (STEPS * out["runs"]), 1) for name, s in cpu.items()}
    bench.say(f"  {level:>5} in flight: {out['runs_per_s'] * STEPS:>9.0f} steps/s   run p50 {out['run_p50_ms']:>9.2f} ms   "
             f"p99 {out['run_p99_ms']:>9.2f} ms   cpu us/step {out['cpu_us_per_step']}")
    return out


def raw(bench, level, seconds):
    drive = bench.tool(bench.bin / "bench-raw", "drive", bench.brokers, "raw.there", "raw.back", str(level), str(seconds))
    out = json.loads(drive.splitlines()[-1])
    bench.say(f"  {level:>5} in flight: {out['per_s']:>9.0f} round trips/s   p50 {out['p50_ms']:>9.3f} ms")
    return out


def quiet(bench):
    """Finished runs beyond the byte cap are still leaving; what is measured is an installation with nothing to do."""
    seen = [bench.count("tutti.events")]

    def settled():
        time.sleep(3)
        seen.append(bench.count("tutti.events"))
        return seen[-1] == seen[-2]
    bench.until("nothing is left to do", settled, 300)


def idle(bench, seconds):
    before = {name: p.cpu_s() for name, p in bench.servers.items()}
    time.sleep(seconds)
    return {name: round((p.cpu_s() - before[name]) * 100 / seconds, 2) for name, p in bench.servers.items()}


def measure(bench):
    seconds = 4 if bench.options.quick else 12
    if not bench.options.quick:
        bench.say("warming up (a JVM compiles what it runs often, for half a minute)")
        for level, warm in ((LEVELS[-1], 20), (LEVELS[0], 3)):
            bench.drive(level, warm)
    bench.say("durable steps (Kafka acks=all, Redis AOF everysec, leases on):")
    levels = {level: phase(bench, level, seconds) for level in LEVELS}
    bench.start_waiting(10000)
    bench.say("with 10,000 further runs waiting:")
    crowded = phase(bench, LEVELS[-1], seconds)
    rss = {name: round(p.peak_mb(), 1) for name, p in bench.servers.items()}
    bench.say("raw limit (two hops, same settings, same broker):")
    bench.tool(bench.bin / "bench-raw", "topics", bench.brokers, "raw.there", "raw.back")
    echo = subprocess.Popen([bench.bin / "bench-raw", "echo", bench.brokers, "raw.there", "raw.back"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, env=bench.env)
    bench.children.append(echo)
    echo.stdout.readline()
    raws = {level: raw(bench, level, seconds) for level in LEVELS}
    echo.terminate()
    echo.wait()
    bench.children.remove(echo)
    quiet(bench)
    idling = idle(bench, 5 if bench.options.quick else 20)
    bench.say(f"idle, % of a core: {idling}")
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
    }


if __name__ == "__main__":
    sys.exit(run(__doc__, measure))
