"""What the benches share: a real Apache Kafka (one node), a real Redis (deploy/redis.conf), one orchestrator and one worker, started
and stopped, and the drivers' answers."""
import argparse
import json
import mmap
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTITIONS = 16
BACKED_MB = 4096  # the memory that a phase may take anew


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


def available_mb():
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) >> 10


def fresh_pages(mb):
    """Microseconds of CPU that a page costs which nobody had."""
    size = mb << 20
    before = time.process_time()
    mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()
    return (time.process_time() - before) * 1e6 / (size / mmap.PAGESIZE)


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
        fresh_pages(min(BACKED_MB, available_mb() // 2))
        started = subprocess.run([ROOT / "tests/kafka/kafka.sh", "start", self.dir / "kafka"], capture_output=True, text=True)
        if started.returncode != 0:
            raise Failed(started.stderr.strip())
        self.brokers = started.stdout.strip().splitlines()[-1]
        self.servers["kafka"] = Process("kafka", int((self.dir / "kafka/pid").read_text()))
        socket = self.dir / "redis.sock"
        self.spawn("redis", "redis-server", ROOT / "deploy/redis.conf", "--port", "0", "--unixsocket", str(socket), "--dir", str(self.dir))
        self.until("redis", socket.exists)
        self.env.update(TUTTI_KAFKA_BROKERS=self.brokers, TUTTI_REDIS_HOST=str(socket))
        self.orchestrator("orchestrator")
        self.spawn("worker", self.bin / "tutti-worker")
        self.tool(self.bin / "tutti", "deploy", ROOT / "bench/steps.yaml")
        self.tool(self.bin / "tutti", "deploy", ROOT / "bench/waiting.yaml")
        self.tool(self.bin / "tutti", "start", "bench-steps", "--input-json", "1", "--wait")

    def events(self, name, event):
        """Lines of a program's log with that event, as objects."""
        lines = (self.dir / f"{name}.log").read_text().splitlines()
        return [e for e in map(json.loads, lines) if e.get("event") == event]

    def orchestrator(self, name):
        """Starts one and waits until it owns all partitions."""
        self.spawn(name, self.bin / "tutti-orchestrator")
        self.until(name, lambda: len(self.events(name, "partition.running")) >= PARTITIONS)

    def count(self, topic):
        return int(self.tool(self.bin / "bench-steps", self.brokers, "tutti", "--count", topic))

    def drive(self, level, seconds, workflow="steps.yaml", *more):
        """Keeps `level` runs in flight for that long; the driver's figures."""
        return json.loads(self.tool(self.bin / "bench-steps", self.brokers, "tutti", ROOT / "bench" / workflow, str(level), str(seconds), *more))

    def start_waiting(self, runs):
        """Runs whose task nobody takes."""
        before = self.count("tutti.tasks.nobody")
        self.tool(self.bin / "bench-steps", self.brokers, "tutti", ROOT / "bench/waiting.yaml", "--start", str(runs))
        self.until("the waiting runs", lambda: self.count("tutti.tasks.nobody") >= before + runs, 300)

    def recycle(self):
        """Before a phase: the pages of what is already on disk go back to the kernel, which hands them out again.

        The host of a virtual machine backs a page when it is first touched, which was measured to take 10 us of CPU instead of 2. The logs
        of a phase at the raw limit are a million pages and more; a machine that has run for a day writes them into memory that it has
        used before, and so does every phase here, the raw limit's too.
        """
        for path in [*self.dir.rglob("*.log"), *self.dir.rglob("*.aof")]:
            try:
                fd = os.open(path, os.O_RDONLY)
            except FileNotFoundError:  # Redis has rewritten its log, Kafka let go of a segment
                continue
            os.fdatasync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
        return fresh_pages(64)

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


def run(description, measure):
    """The frame of a bench: options, servers, the figures of measure(bench) as lines or as one line of JSON."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--quick", action="store_true", help="short phases: a smoke test, no figure to quote")
    parser.add_argument("--bin", default=str(ROOT / "build/release/bin"), help="where the programs are")
    bench = Bench(parser.parse_args())
    try:
        bench.start()
        result = measure(bench)
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
