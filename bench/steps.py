#!/usr/bin/env python3
"""Durable steps per second against the raw limit of the same broker, in one run.

Real Apache Kafka (one node, acks=all, idempotent, 16 partitions of events), real Redis (deploy/redis.conf: AOF everysec), one orchestrator, one
worker.
Runs of five noop steps with a 512-byte input at 1, 200 and 4,000 runs in flight, then again at 4,000 with 10,000 further runs waiting;
then the raw limit: two hops through the same broker with the same client settings and as many messages in flight. The last
line with --json is one object.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
STEPS = 5
LEVELS = (1, 200, 4000)


class Failed(Exception):
    pass


class Process:
    """A server of the bench: its CPU seconds and memory from /proc."""

    def __init__(self, name, pid):
        self.name, self.pid = name, pid
        self.hertz = os.sysconf("SC_CLK_TCK")

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / self.hertz

    def peak_mb(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0


class Bench:
    def __init__(self, options):
        self.options = options
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tutti-bench."))
        self.bin = pathlib.Path(options.bin)
        self.children = []
        self.servers = {}

    def say(self, text):
        print(text, file=sys.stderr if self.options.json else sys.stdout, flush=True)

    def spawn(self, name, *argv):
        log = open(self.dir / f"{name}.log", "wb")
        child = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env)
        self.children.append(child)
        self.servers[name] = Process(name, child.pid)
        return child

    def tool(self, *argv, timeout=300):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, env=self.env)
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, argv))}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout.strip()

    def until(self, what, cond, seconds=60):
        end = time.monotonic() + seconds
        while not cond():
            if time.monotonic() > end:
                raise Failed(f"{what}: not within {seconds} s")
            time.sleep(0.05)

    # --- set-up ---

    def start(self):
        self.env = dict(os.environ)
        started = subprocess.run([ROOT / "tests/kafka/kafka.sh", "start", self.dir / "kafka"], capture_output=True, text=True)
        if started.returncode != 0:
            raise Failed(started.stderr.strip())
        self.brokers = started.stdout.strip().splitlines()[-1]
        self.servers["kafka"] = Process("kafka", int((self.dir / "kafka/pid").read_text()))
        socket = self.dir / "redis.sock"
        self.spawn("redis", "redis-server", ROOT / "deploy/redis.conf", "--port", "0", "--unixsocket", str(socket), "--dir", str(self.dir))
        self.until("redis", socket.exists)
        self.env.update(TUTTI_KAFKA_BROKERS=self.brokers, TUTTI_REDIS_HOST=str(socket))
        self.spawn("orchestrator", self.bin / "tutti-orchestrator")
        self.until("the orchestrator", lambda: (self.dir / "orchestrator.log").read_text().count("partition.running") >= 16)
        self.spawn("worker", self.bin / "tutti-worker")
        self.tool(self.bin / "tutti", "deploy", ROOT / "bench/steps.yaml")
        self.tool(self.bin / "tutti", "deploy", ROOT / "bench/waiting.yaml")
        self.tool(self.bin / "tutti", "start", "bench-steps", "--input-json", "1", "--wait")

    def stop(self):
        for child in reversed(self.children):
            child.send_signal(signal.SIGTERM)
        for child in reversed(self.children):
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        subprocess.run([ROOT / "tests/kafka/kafka.sh", "stop", self.dir / "kafka"], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- measuring ---

    def count(self, topic):
        return int(self.tool(self.bin / "bench-steps", self.brokers, "tutti", "--count", topic))

    def phase(self, level, seconds):
        """One level of load: figures of the driver, CPU by process, and the check that each run was five tasks and one result."""
        tasks, results = self.count("tutti.tasks.default"), self.count("tutti.results")
        before = {name: p.cpu_s() for name, p in self.servers.items()}
        out = json.loads(self.tool(self.bin / "bench-steps", self.brokers, "tutti", ROOT / "bench/steps.yaml", str(level), str(seconds)))
        cpu = {name: p.cpu_s() - before[name] for name, p in self.servers.items()}
        tasks, results = self.count("tutti.tasks.default") - tasks, self.count("tutti.results") - results
        if tasks != STEPS * out["runs"] or results != out["runs"]:
            raise Failed(f"{out['runs']} runs made {tasks} tasks and {results} results; {STEPS} and 1 a run are right")
        out["cpu_us_per_step"] = {name: round(s * 1e6 / (STEPS * out["runs"]), 1) for name, s in cpu.items()}
        self.say(f"  {level:>5} in flight: {out['runs_per_s'] * STEPS:>9.0f} steps/s   run p50 {out['run_p50_ms']:>9.2f} ms   "
                 f"p99 {out['run_p99_ms']:>9.2f} ms   cpu us/step {out['cpu_us_per_step']}")
        return out

    def raw(self, level, seconds):
        drive = self.tool(self.bin / "bench-raw", "drive", self.brokers, "raw.there", "raw.back", str(level), str(seconds))
        out = json.loads(drive.splitlines()[-1])
        self.say(f"  {level:>5} in flight: {out['per_s']:>9.0f} round trips/s   p50 {out['p50_ms']:>9.3f} ms")
        return out

    def quiet(self):
        """Finished runs beyond the byte cap are still leaving; what is measured is an installation with nothing to do."""
        seen = [self.count("tutti.events")]

        def settled():
            time.sleep(3)
            seen.append(self.count("tutti.events"))
            return seen[-1] == seen[-2]
        self.until("nothing is left to do", settled, 300)

    def idle(self, seconds):
        before = {name: p.cpu_s() for name, p in self.servers.items()}
        time.sleep(seconds)
        return {name: round((p.cpu_s() - before[name]) * 100 / seconds, 2) for name, p in self.servers.items()}

    def run(self):
        seconds = 4 if self.options.quick else 12
        if not self.options.quick:
            self.say("warming up (a JVM compiles what it runs often, for half a minute)")
            for level, warm in ((LEVELS[-1], 20), (LEVELS[0], 3)):
                self.tool(self.bin / "bench-steps", self.brokers, "tutti", ROOT / "bench/steps.yaml", str(level), str(warm))
        self.say("durable steps (Kafka acks=all, Redis AOF everysec, leases on):")
        levels = {level: self.phase(level, seconds) for level in LEVELS}
        self.tool(self.bin / "bench-steps", self.brokers, "tutti", ROOT / "bench/waiting.yaml", "--start", "10000")
        self.until("the waiting runs", lambda: self.count("tutti.tasks.nobody") >= 10000, 120)
        self.say("with 10,000 further runs waiting:")
        crowded = self.phase(LEVELS[-1], seconds)
        rss = {name: round(p.peak_mb(), 1) for name, p in self.servers.items()}
        self.say("raw limit (two hops, same settings, same broker):")
        self.tool(self.bin / "bench-raw", "topics", self.brokers, "raw.there", "raw.back")
        echo = subprocess.Popen([self.bin / "bench-raw", "echo", self.brokers, "raw.there", "raw.back"], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, env=self.env)
        self.children.append(echo)
        echo.stdout.readline()
        raws = {level: self.raw(level, seconds) for level in LEVELS}
        echo.terminate()
        echo.wait()
        self.children.remove(echo)
        self.quiet()
        idle = self.idle(5 if self.options.quick else 20)
        self.say(f"idle, % of a core: {idle}")
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
            "idle_cpu_percent": idle,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--quick", action="store_true", help="short phases: a smoke test, no figure to quote")
    parser.add_argument("--bin", default=str(ROOT / "build/release/bin"), help="where the programs are")
    bench = Bench(parser.parse_args())
    try:
        bench.start()
        result = bench.run()
    except (Failed, subprocess.TimeoutExpired) as e:
        print(f"bench: {e}", file=sys.stderr)
        for log in sorted(bench.dir.glob("*.log")):
            print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-5:], sep="\n", file=sys.stderr)
        return 1
    finally:
        bench.stop()
    if bench.options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:>20}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
