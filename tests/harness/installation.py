# SPDX-License-Identifier: Apache-2.0
"""An installation: orchestrators and workers as real processes under a prefix of their own."""
import itertools
import json
import pathlib
import secrets
import subprocess
import tempfile

import yaml

from . import schemas
from .base import SLOW, Process, clean_env, no_core, program, until
from .topics import Topics

PARTITIONS = 4
ENDED = ("completed", "failed", "cancelled", "rolled_back")


class Result:
    """How a program ended."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def run_program(name, *args, env=None, stdin="", seconds=30, **more):
    kill_at = seconds * SLOW
    more.setdefault("preexec_fn", no_core)
    return Result(subprocess.run([program(name), *map(str, args)], env=clean_env(env), text=True,
                                 input=stdin, capture_output=True, timeout=kill_at, **more))


class Installation:
    def __init__(self, broker, redis, queues=("default",), triggers=(), partitions=PARTITIONS,
                 directory=None):
        self.broker, self.redis, self.partitions = broker, redis, partitions
        self.prefix = "t" + secrets.token_hex(4)
        self.queues = list(queues)
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="ti-", dir="/tmp"))
        self.directory.mkdir(exist_ok=True)
        self.numbers = itertools.count(1)
        self.processes, self.orchestrators, self.workers = [], [], []
        names = {"events": partitions, "results": 2, "lifecycle": 2, "definitions": 1, "dlq": 2,
                 "snapshots": partitions, **{f"tasks.{q}": PARTITIONS for q in queues}}
        if broker.name == "mock":  # it makes no topics on demand with the right partitions
            broker.make_topics({f"{self.prefix}.{n}": c for n, c in names.items()})
        self.triggers = {t: f"{self.prefix}-up.{t}" for t in triggers}
        if triggers:
            broker.make_topics({name: 2 for name in self.triggers.values()})
        self.checked, self.malformed = 0, set()  # values that a test wrote to be refused
        self.topics = Topics(broker.brokers, self.prefix)
        self.env = {"TUTTI_KAFKA_BROKERS": broker.brokers, "TUTTI_REDIS_HOST": redis.socket,
                    "TUTTI_PREFIX": self.prefix, "TUTTI_KAFKA_FETCH_WAIT": broker.fetch_wait,
                    "TUTTI_KAFKA_CREATE_TOPICS": str(broker.name != "mock").lower()}

    # --- processes ---

    def _start(self, kind, args, env):
        name = f"{kind}-{next(self.numbers)}"
        process = Process(name, [program(f"tutti-{kind}"), "--kafka-session-timeout",
                                 self.broker.session_timeout, *map(str, args)],
                          clean_env({**self.env, **(env or {})}), self.directory)
        self.processes.append(process)
        return process

    def orchestrator(self, *args, env=None, wait=True):
        process = self._start("orchestrator", ["--partitions", self.partitions,
                                               "--tasks-partitions", PARTITIONS, *args], env)
        self.orchestrators.append(process)
        if wait:
            self.wait_running(process)
        return process

    def wait_running(self, process, seconds=40, partitions=None):
        """Until it owns that many (default: all) partitions."""
        def owned():
            found = {x.get("partition") for x in process.events("partition.running")}
            return len(found) >= (partitions or self.partitions)
        process.wait_for(owned, seconds, "owns its partitions")

    def worker(self, *args, env=None, wait=True, queues=None):
        """Behind an orchestrator that makes its topic: who is there before it looks for it again
        after ten seconds. One that is started first of all is not held up."""
        tasks = f"{self.prefix}.tasks.default"
        if self.orchestrators and "default" in (queues or self.queues):
            until(lambda: tasks in self.topics.names(), 30, f"the topic {tasks}")
        process = self._start("worker", ["--partitions", PARTITIONS, "--queues",
                                         ",".join(queues or self.queues), "--drain", "1s",
                                         "--commit", "100ms", *args], env)
        self.workers.append(process)
        if wait:
            process.wait_event("worker.started", 30)
        return process

    def indexer(self, path, *args, env=None):
        """process.url is where it answers."""
        process = self._start("indexer", ["--index-listen", "127.0.0.1:0", "--index-path", path,
                                          *args], env)
        process.wait_event("index.listening", 30)
        port = process.events("index.listening")[-1]["msg"].split()[-1]
        process.url = f"http://127.0.0.1:{port}"
        return process

    def kill(self, process):
        """Its end is no surprise."""
        process.kill()
        self.processes.remove(process)

    # --- the command line ---

    def tutti(self, *args, **more):
        more["env"] = {**self.env, **more.pop("env", {})}
        return run_program("tutti", *args, **more)

    def write(self, definition):
        """A definition (YAML text or a value) as a file. Names and versions are made unique."""
        value = yaml.safe_load(definition) if isinstance(definition, str) else dict(definition)
        number = next(self.numbers)
        value.setdefault("workflow", f"w{number}")
        value.setdefault("version", "1.0.0")
        path = self.directory / f"{number}-{value['workflow']}.yaml"
        path.write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
        return path

    def start(self, definition, value=None, *args):
        """Starts a run; its id."""
        path = definition if isinstance(definition, pathlib.Path) else self.write(definition)
        text = json.dumps({} if value is None else value)
        done = self.tutti("start", path, "--json", "--input", "-", *args, stdin=text)
        assert done.code == 0, done
        return done.json()["run_id"]

    def status(self, run):
        done = self.tutti("status", run, "--json")
        assert done.code == 0, done
        value = done.json()
        schemas.check("run", value)
        return value

    def history(self, run):
        done = self.tutti("history", run, "--json")
        assert done.code == 0, done
        value = done.json()
        schemas.check("history", value)
        return value["transitions"]

    def ended(self, run):
        """Whether the run has ended, as its history tells."""
        done = self.tutti("history", run, "--json")
        if done.code != 0:
            return False  # Redis may be away, or may have been wiped a moment ago
        return any(not t["path"] and t["state"] in ENDED for t in done.json()["transitions"])

    def finish(self, run, seconds=30):
        """Waits until the run has ended; its status as JSON."""
        try:
            until(lambda: self.ended(run), seconds, f"run {run} ends")
        except AssertionError as e:
            shown = self.tutti("status", run)
            raise AssertionError(f"{e}\n{shown}\n{self.tails()}") from None
        return self.status(run)

    def run(self, definition, value=None, *args, seconds=30):
        return self.finish(self.start(definition, value, *args), seconds)

    def step(self, run, name):
        return next((s for s in self.status(run)["steps"] if s["path"].split("/")[-1] == name),
                    None)

    def wait_step(self, run, name, state, seconds=20):
        return until(lambda: (s := self.step(run, name)) and s["status"] == state and s, seconds,
                     f"step {name} is {state}")

    def tails(self):
        return "\n".join(f"--- {p.name}\n{p.tail()}" for p in self.processes)

    # --- what must hold of everything ---

    def check_topics(self):
        """Every record since the last check fits its schema."""
        self.topics.read()
        new = self.topics.records[self.checked:]
        self.checked += len(new)
        for record in new:
            if record.value not in self.malformed:
                schemas.check_record(record.topic[len(self.prefix) + 1:], record)

    def check_once(self, run):
        """Each step of the run was applied once, there is one result, and tasks that were sent twice
        were the same."""
        settled = [t["path"] for t in self.history(run)
                   if t["path"] and t["state"] in ("completed", "failed", "skipped", "cancelled")]
        assert len(settled) == len(set(settled)), f"settled more than once: {settled}"
        results = until(lambda: self.results(run), 10, "the result")
        assert len(results) == 1, f"{len(results)} results"
        tasks = {}
        for queue in self.queues:
            for record in self.topics.seen(f"tasks.{queue}", run_id=run):  # older than the result
                tasks.setdefault(record.headers["task-id"], []).append(record)
        for same in tasks.values():
            shapes = {(r.value, tuple(sorted((k, v) for k, v in r.headers.items() if k != "gen")))
                      for r in same}
            assert len(shapes) == 1, f"one task id, {len(shapes)} different tasks: {shapes}"
        return {task: len(same) for task, same in tasks.items()}

    def results(self, run):
        return [r for r in self.topics.of("results") if r.headers["ce_subject"] == run]

    def close(self):
        faults = []
        for process in reversed(self.processes):
            try:
                if process.running():
                    process.stop()
                process.check_sane()
            except AssertionError as e:
                faults.append(str(e))
        try:
            self.check_topics()
        except AssertionError as e:
            faults.append(str(e))
        self.topics.close()
        assert not faults, "\n".join(faults)
