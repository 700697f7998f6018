# SPDX-License-Identifier: Apache-2.0
"""The system under chaos: three Kafka nodes, Redis, orchestrators, workers, and a proxy on every
link between a process of ours and a server, so that any one of them can be cut."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

from facts import Stop
from harness.base import SANITIZER_MARKS, clean_env, no_core, program, until
from harness.servers import KAFKA_SH, KafkaMissing, Redis
from plan import BROKERS, ORCHESTRATORS, WORKERS

PREFIX = "tutti"
PARTITIONS, TASK_PARTITIONS = 8, 6
SESSION = "4s"
LEASE = "3s"
SAMPLE_S = 0.1


def wall_ms():
    return int(time.time() * 1000)


class Piped:
    """A helper program that answers lines and lives as long as its standard input."""

    def __init__(self, argv, log):
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=log, text=True, env=clean_env())

    def line(self):
        text = self.popen.stdout.readline().strip()
        assert text, f"{self.popen.args[0]} ended"
        return text

    def ask(self, text):
        self.popen.stdin.write(text + "\n")
        self.popen.stdin.flush()
        answer = self.line()
        assert answer != "error", f"{self.popen.args[0]}: {text}"
        return answer

    def close(self):
        self.popen.stdin.close()
        self.popen.wait(10)


class RedisServer(Redis):
    """Redis on a port, with AOF everysec, that can lose its last seconds as a crash of the machine
    would do it: what was appended in them is cut off the file before it starts again."""

    def __init__(self, directory):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.dir, self.popen = pathlib.Path(directory), None
        self.dir.mkdir()
        self.sizes, self.over = [], threading.Event()
        self.start()
        threading.Thread(target=self.sample, daemon=True).start()

    def launch(self):
        log = open(self.dir / "log", "ab")
        self.popen = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir",
             str(self.dir), "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
             "--maxmemory-policy", "noeviction"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_env())

    def start(self):
        self.launch()
        until(self.answers, 60, "redis-server answers")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 5)

    def answers(self):
        try:
            return self.command("PING") == "PONG"
        except (OSError, RuntimeError):
            return False

    def command(self, *words):
        with self.connect() as s:
            parts = [str(w).encode() for w in words]
            s.sendall(b"*%d\r\n" % len(parts) +
                      b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            with s.makefile("rb") as f:
                return self._reply(f)

    def tail(self):
        """The file that is appended to."""
        files = self.dir.glob("appendonlydir/*.incr.aof")
        return max(files, key=lambda p: int(p.name.split(".")[-3]), default=None)

    def sample(self):
        while not self.over.wait(SAMPLE_S):
            try:
                path = self.tail()
                self.sizes.append((time.monotonic(), path, path.stat().st_size))
            except (OSError, AttributeError):
                continue
            if len(self.sizes) > 2000:
                del self.sizes[:1000]

    def crash(self, seconds):
        """kill -9, and what was written in the last seconds is gone."""
        self.popen.kill()
        self.popen.wait()
        path, then = self.tail(), time.monotonic() - seconds
        known = [size for at, p, size in self.sizes if p == path and at <= then]
        size = path.stat().st_size
        os.truncate(path, min(known[-1] if known else 0, size))
        self.sizes.clear()
        return size - path.stat().st_size

    def end(self):
        self.popen.terminate()
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def close(self):
        self.over.set()
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.end()


class Server:
    """An orchestrator or a worker, through all its lives."""

    def __init__(self, cluster, name, argv, env):
        self.cluster, self.name, self.argv, self.env = cluster, name, argv, env
        self.life, self.popen, self.stopped_ms = 0, None, 0
        self.expected_to_end = False

    @property
    def full_name(self):
        return f"{self.name}-{self.life}"

    def start(self):
        self.life += 1
        self.expected_to_end = False
        log = open(self.cluster.dir / f"{self.full_name}.log", "ab")
        argv, env = self.argv(self.full_name), {**self.env, "TUTTI_SECRET_WORKER": self.full_name}
        self.popen = subprocess.Popen([program(argv[0]), *argv[1:]], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=log, env=clean_env(env),
                                      preexec_fn=no_core)
        log.close()

    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def send(self, number):
        if self.running():
            self.popen.send_signal(number)

    def kill(self):
        self.expected_to_end = True
        self.send(signal.SIGKILL)
        self.popen.wait()

    def stop(self):
        self.stopped_ms = wall_ms()
        self.send(signal.SIGSTOP)

    def go_on(self):
        if not self.stopped_ms:
            return
        self.send(signal.SIGCONT)
        self.cluster.stops.append(Stop(self.full_name, self.stopped_ms, wall_ms()))
        self.stopped_ms = 0

    def end(self, seconds=15):
        self.expected_to_end = True
        self.go_on()
        self.send(signal.SIGTERM)
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()


class Cluster:
    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.stops, self.servers, self.redis = [], {}, None
        self.log = open(self.dir / "helpers.log", "ab")
        self.helpers, self.kafka_starts = [], []

    # --- beginning ---

    def start(self):
        self.proxy = self.help([program("tutti-chaos-proxy")])
        ledger = pathlib.Path(__file__).with_name("ledger.py")
        self.ledger = self.help([sys.executable, str(ledger), str(self.dir / "ledger.jsonl")])
        self.ledger_ports = [int(p) for p in self.ledger.line().split()]
        self.redis = RedisServer(self.dir / "redis")
        self.start_kafka()
        for name in ORCHESTRATORS + WORKERS:
            self.proxy.ask(f"target {name}.redis {self.redis.port}")
        for name in ORCHESTRATORS:
            self.add(name, self.orchestrator_argv, {})
        for name in WORKERS:
            self.add(name, self.worker_argv, {})
        for name in ORCHESTRATORS:
            self.servers[name].start()
        until(lambda: self.count("o", "partition.running") >= PARTITIONS, 90, "all have owners")
        for name in WORKERS:
            self.servers[name].start()
        until(lambda: self.count("w", "worker.started") >= len(WORKERS), 60, "the workers")

    def help(self, argv):
        self.helpers.append(Piped(argv, self.log))
        return self.helpers[-1]

    def start_kafka(self):
        self.ports = {}
        for name in ORCHESTRATORS + WORKERS:
            self.ports[name, "redis"] = self.proxy.ask(f"link {name}.redis")
            for n in BROKERS:
                self.ports[name, n] = self.proxy.ask(f"link {name}.kafka{n}")
        extra = [f"{name.upper()}={','.join(self.ports[name, n] for n in BROKERS)}"
                 for name in ORCHESTRATORS + WORKERS]
        done = subprocess.run([str(KAFKA_SH), "start3", str(self.dir / "kafka"), *extra],
                              capture_output=True, text=True)
        if done.returncode == 3:
            raise KafkaMissing(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        self.brokers = done.stdout.strip().splitlines()[-1]
        for n in BROKERS:
            for line in (self.dir / "kafka" / n / "listeners").read_text().splitlines():
                name, port = line.split()
                self.proxy.ask(f"target {name.lower()}.kafka{n} {port}")

    def add(self, name, argv, env):
        brokers = ",".join(f"127.0.0.1:{self.ports[name, n]}" for n in BROKERS)
        self.servers[name] = Server(self, name, argv, {
            "TUTTI_KAFKA_BROKERS": brokers, "TUTTI_REDIS_HOST": "127.0.0.1",
            "TUTTI_REDIS_PORT": self.ports[name, "redis"], "TUTTI_PREFIX": PREFIX, **env})

    @staticmethod
    def orchestrator_argv(name):
        return ["tutti-orchestrator", "--name", name, "--partitions", str(PARTITIONS),
                "--tasks-partitions", str(TASK_PARTITIONS), "--kafka-session-timeout", SESSION,
                "--kafka-message-timeout", "8s", "--snapshot-interval", "12s"]

    def worker_argv(self, name):
        first, second = self.ledger_ports
        tool = program("tutti-chaos-tool")
        shell = {"command": tool, "args": [str(first), name]}
        http = {"headers": {"worker": name}}
        handlers = {"tool": {"http": {"url": f"http://127.0.0.1:{first}/tool", **http}},
                    "odd-tool": {"http": {"url": f"http://127.0.0.1:{second}/odd", **http}},
                    "program": {"exec": shell}}
        return ["tutti-worker", "--name", name, "--partitions", str(TASK_PARTITIONS),
                "--queues", "default,second", "--kafka-session-timeout", SESSION,
                "--kafka-message-timeout", "8s", "--lease", LEASE, "--commit", "500ms",
                # The odd tool fails half of the time by design: few permits would starve its callers.
                "--drain", "3s", "--breaker-open", "2s", "--breaker-permits", "10",
                "--http-allow-private", json.dumps([f"127.0.0.1:{first}"]),
                "--handlers", json.dumps(handlers), "--commands", json.dumps({"tool": shell})]

    def tutti(self, *args):
        """The command line tool, without a proxy between."""
        env = {"TUTTI_KAFKA_BROKERS": self.brokers, "TUTTI_REDIS_HOST": "127.0.0.1",
               "TUTTI_REDIS_PORT": str(self.redis.port), "TUTTI_PREFIX": PREFIX}
        done = subprocess.run([program("tutti"), *args], env=clean_env(env), text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == 0, f"tutti {args}: {done.stderr}"
        return done.stdout

    def deploy(self):
        """Deploys every workflow; their hashes by name."""
        hashes = {}
        for path in sorted(pathlib.Path(__file__).parent.glob("workflows/*.yaml")):
            shown = json.loads(self.tutti("deploy", "--json", str(path)))
            hashes[shown["workflow"]] = shown["sha256"]
        return hashes

    def count(self, kind, event):
        """How often the processes of a kind have logged an event."""
        return sum(path.read_text(errors="replace").count(f'"{event}"')
                   for path in self.dir.glob(f"{kind}*.log"))

    def insane(self):
        """Lives with a failed assertion or the word of a sanitizer, whoever ended them."""
        found = []
        for path in sorted(self.dir.glob("*.log")):
            text = path.read_text(errors="replace")
            found += [f"{path.stem}: {mark}" for mark in SANITIZER_MARKS if mark in text]
        return found

    # --- what can be done to it ---

    def broker_pid(self, n):
        return int((self.dir / "kafka" / n / "pid").read_text())

    def broker_signal(self, n, number):
        os.kill(self.broker_pid(n), number)

    def broker_start(self, n):
        """Begins to start it; brokers_answer tells when it is there."""
        self.kafka_starts.append(subprocess.Popen(
            [str(KAFKA_SH), "start", str(self.dir / "kafka" / n)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=self.log))

    def brokers_answer(self, seconds):
        for popen in self.kafka_starts:
            assert popen.wait(seconds) == 0, "a Kafka node does not come back"
        self.kafka_starts.clear()

    def live_runs(self):
        """Runs that Redis has as not ended."""
        found = set()
        for p in range(PARTITIONS):
            found.update(self.redis.command("ZRANGE", f"{PREFIX}:tm:{{{p}}}", 0, -1))
        return found

    # --- end ---

    def end_servers(self):
        for server in self.servers.values():
            if server.running():
                server.end()

    def close(self):
        for server in self.servers.values():
            if server.running():
                server.kill()
        for helper in self.helpers:
            helper.close()
        if self.redis:
            self.redis.close()
        for n in BROKERS:  # their data are read already: no orderly end is worth the wait
            try:
                self.broker_signal(n, signal.SIGKILL)
            except (OSError, ValueError):
                continue
        self.log.close()
