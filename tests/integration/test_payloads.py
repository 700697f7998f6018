# SPDX-License-Identifier: Apache-2.0
"""Payloads that are too large for a message, by way of a payload store in a directory."""
import hashlib
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

import pytest

from conftest import worker_args
from harness.base import ROOT, clean_env, until
from harness.installation import Installation, run_program

CLAIM = re.compile(r'\{"\$blob":"[0-9a-f]{64}","size":[0-9]+\}')
MB = 1_000_000


# What is no matter of the broker is tested on one.
one_broker = pytest.mark.parametrize("backend", ["mock"], indirect=True)


class Store:
    """A directory store, as its files show it."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.env = {"TUTTI_PAYLOADS_STORE": f"dir:{path}", "TUTTI_PAYLOADS_INLINE_MAX": "32KiB"}

    def objects(self, run):
        return sorted(p for p in self.path.glob(f"run/*/{run}/*") if not p.name.startswith("."))

    def of(self, claim):
        """The content that a claim check of some run names."""
        name = json.loads(claim)["$blob"] if isinstance(claim, str) else claim["$blob"]
        found, = set(self.path.glob(f"run/*/*/{name}"))
        data = found.read_bytes()
        assert hashlib.sha256(data).hexdigest() == name
        return data


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "payloads")


def http(fake, path, size):
    """A step that is answered by so many bytes."""
    url = fake.on(path, lambda c: {"text": "x" * size, "n": 7})
    return f"{{name: big, type: http, url: \"{url}\"}}"


def largest(one):
    """The largest value that is in Kafka."""
    one.topics.read()
    return max(len(r.value or b"") for r in one.topics.records)


def in_redis(one):
    """The bytes of the largest field of any run."""
    size = 0
    for key in one.redis.command("KEYS", f"{one.prefix}:run:*"):
        fields = one.redis.command("HGETALL", key)
        size = max([size, *(len(f) for f in fields)])
    return size


def start_up(one, fake, store):
    """It gets a payload store."""
    one.fake, one.store = fake, store
    one.env.update(store.env)
    one.orchestrator(wait=False)
    one.worker(*worker_args(fake), wait=False, queues=("default",))
    one.wait_running(one.orchestrators[0])
    return one


@pytest.fixture
def lit(installation, fake, store):
    """An installation with a payload store, to be disturbed."""
    return start_up(installation(), fake, store)


@pytest.fixture(scope="session")
def calm_one(session_broker, shared_redis, shared_fake, workspace):
    one = Installation(session_broker, shared_redis,
                       directory=workspace / f"payloads-{session_broker.name}",
                       queues=("default", "python"))
    yield start_up(one, shared_fake, Store(one.directory / "payloads"))
    one.close()


@pytest.fixture
def calm(calm_one):
    """One for all tests that only start runs."""
    yield calm_one
    for process in calm_one.processes:
        assert process.running(), f"{process.name} ended\n{process.tail()}"


def test_five_megabytes_go_from_step_to_step_and_into_the_result(calm):
    run = calm.start(f"""
        steps:
          - {http(calm.fake, "/big", 5 * MB)}
          - {{name: copy, type: task, uses: noop, input: "${{steps.big.output.body}}"}}
          - {{name: count, type: transform, value: "${{steps.copy.output.text.size()}}"}}
          - {{name: shout, type: exec, command: upper, stdin: {{text: "${{steps.copy.output.text}}"}}}}
        output: {{text: "${{steps.shout.output}}", count: "${{steps.count.output}}"}}
        """)
    state = calm.finish(run, 60)
    assert state["status"] == "completed", state
    result, = until(lambda: calm.results(run), 10, "the result")
    value = result.json()
    claim, url = value["output"], value["payload_url"]
    assert url == f"dir:{calm.store.path}/run/{run[:2]}/{run}/{claim['$blob']}"
    assert json.loads(calm.store.of(claim)) == {"text": "X" * (5 * MB), "count": 5 * MB}
    assert state["output"]["count"] == 5 * MB, "the command line reads it"
    blind = calm.tutti("status", run, "--json", env={"TUTTI_PAYLOADS_STORE": "none"})
    assert blind.json()["output"] == claim
    assert largest(calm) < 40_000 and in_redis(calm) < 40_000
    calm.check_once(run)


@one_broker
def test_the_items_of_a_large_list_are_mapped(calm):
    """100 items of 40 kB each: the list, every output and their list are too large for a message."""
    url = calm.fake.on("/list", lambda c: [{"n": i, "pad": "p" * 40_000} for i in range(100)])
    run = calm.start(f"""
        steps:
          - {{name: list, type: http, url: "{url}"}}
          - name: each
            type: map
            over: "${{steps.list.output.body}}"
            max_concurrent: 20
            steps: [{{name: same, type: task, uses: noop, input: "${{item}}"}}]
          - {{name: some, type: transform, value: "${{steps.each.output.filter(i, i.n >= 90).size()}}"}}
          - {{name: last, type: transform, value: "${{steps.each.output[99].pad.size()}}"}}
        output: ["${{steps.some.output}}", "${{steps.last.output}}"]
        """)
    state = calm.finish(run, 90)
    assert state["output"] == [10, 40_000], state
    assert largest(calm) < 40_000 and in_redis(calm) < 40_000
    assert len(calm.store.objects(run)) >= 101


def test_a_run_that_ended_goes_on_with_its_large_payloads(calm):
    """Of a run that has ended they are not read, until it is retried, or another is made of it."""
    closed = [True]
    door = calm.fake.on("/door", lambda c: (401, {}) if closed[0] else {"open": True})
    url = calm.fake.on("/half", lambda c: {"text": "y" * MB, "n": 5})
    path = calm.write(f"""
        workflow: goes-on
        steps:
          - {{name: big, type: http, url: "{url}"}}
          - {{name: door, type: http, url: "{door}", retry: {{max_attempts: 1}}}}
          - {{name: count, type: transform, value: "${{[size(steps.big.output.body.text), size(input.text)]}}"}}
        """)
    run = calm.start(path, {"text": "z" * MB})
    assert calm.finish(run, 60)["status"] == "failed"
    closed[0] = False
    counts = [MB, MB]
    for words in ("fork", run), ("restart", run), ("retry", run):
        done = calm.tutti(*words, "--json")
        assert done.code == 0, done
        made = done.json().get("run_id", run)
        state = until(lambda: (s := calm.status(made))["status"] == "completed" and s, 30, f"{words[0]} completes")
        assert state["output"] == counts, words
    assert largest(calm) < 40_000 and in_redis(calm) < 40_000
    blind = calm.tutti("fork", run, env={"TUTTI_PAYLOADS_STORE": "none"})
    assert blind.code != 0 and "payloads.store" in blind.err


@one_broker
def test_an_input_that_is_too_large_for_a_message_is_put_by_the_command_line(calm):
    deployed = calm.tutti("deploy", calm.write("""
        workflow: child
        steps: [{name: same, type: task, uses: noop, input: "${input.again}"}]
        """))
    assert deployed.code == 0, deployed
    run = calm.start("""
        steps:
          - {name: kept, type: task, uses: noop, input: "${input}"}
          - name: child
            type: workflow
            workflow: child
            input: {again: "${steps.kept.output.text}"}
        output: "${steps.child.output.size()}"
        """, {"text": "y" * MB})
    state = calm.finish(run, 60)
    assert state["output"] == MB, state
    assert largest(calm) < 40_000
    shown = calm.tutti("status", run)
    assert shown.code == 0 and len(shown.out) < 20_000
    refused = calm.tutti("start", calm.write("steps: [{name: a, type: task, uses: noop}]"), "--input",
                        "-", stdin=json.dumps("z" * 17 * MB))
    assert refused.code != 0 and "payloads.max" in refused.err


@one_broker
def test_a_worker_of_another_make_reads_and_writes_claim_checks(calm):
    script = ROOT / "tests/e2e/foreign_worker.py"
    other = subprocess.Popen([sys.executable, str(script), calm.broker.brokers, calm.prefix,
                              "python", str(calm.store.path)], env=clean_env())
    try:
        run = calm.start("""
            steps: [{name: loud, type: task, uses: shout, queue: python, input: "${input}"}]
            output: ["${steps.loud.output.text.size()}", "${steps.loud.output.text.startsWith('YY')}"]
            """, {"text": "y" * MB})
        assert calm.finish(run, 40)["output"] == [MB, True]
    finally:
        other.terminate()
        assert other.wait(20) == 0
    assert largest(calm) < 40_000


@one_broker
def test_without_a_store_a_large_output_fails_as_before(steady):
    url = steady.fake.on("/large", lambda c: {"text": "x" * 950_000})
    state = steady.run({"steps": [{"name": "big", "type": "http", "url": url,
                                "retry": {"max_attempts": 1}}]})
    assert state["status"] == "failed" and state["error"]["type"] == "invalid_output"
    assert "900000" in state["error"]["message"]


@one_broker
def test_what_looks_like_a_claim_check_is_the_users_own(calm):
    """Through a task, a step's output, the state in Redis and the result."""
    mine = {"$blob": "0" * 64, "size": 5}
    run = calm.start({"steps": [
        {"name": "a", "type": "transform", "value": mine},
        {"name": "b", "type": "task", "uses": "noop", "input": "${steps.a.output}"},
        {"name": "wait", "type": "wait", "signal": "go"}],
        "output": {"same": "${steps.a.output == steps.b.output}", "it": "${steps.b.output}"}})
    calm.wait_step(run, "wait", "waiting")
    calm.kill(calm.orchestrators.pop())  # the state is read from Redis
    calm.orchestrator()
    assert calm.tutti("signal", run, "go").code == 0
    assert calm.finish(run)["output"] == {"same": True, "it": mine}


@one_broker
def test_a_worker_that_is_killed_between_put_and_publish_loses_nothing(installation, fake, store):
    """The broker is stopped for a moment."""
    one = installation()
    one.env.update(store.env)
    one.orchestrator()
    args = [*worker_args(fake), "--lease", "2s"]
    first = one.worker(*args)
    calls = []

    def answer(call):
        calls.append(call)
        if len(calls) == 1:
            one.broker.pause()
        return {"text": "x" * MB}
    url = fake.on("/once", answer)
    run = one.start({"steps": [{"name": "big", "type": "http", "url": url,
                                "retry": {"max_attempts": 3, "initial": "10ms"}}],
                     "output": "${steps.big.output.body.text.size()}"})
    until(lambda: store.objects(run), 20, "the object is there")
    one.kill(first)
    one.broker.resume()
    one.worker(*args)
    state = one.finish(run, 60)
    assert state["status"] == "completed" and state["output"] == MB, state
    assert len(calls) == 2 and len(store.objects(run)) >= 1
    one.check_once(run)


def test_a_wiped_redis_is_filled_again_from_the_log_and_the_store(lit, fake, store):
    run = lit.start(f"""
        steps:
          - {http(fake, "/big", MB)}
          - {{name: wait, type: wait, signal: go}}
          - {{name: after, type: task, uses: noop, input: "${{steps.big.output.body.text}}"}}
        output: "${{steps.after.output.size()}}"
        """)
    lit.wait_step(run, "wait", "waiting")
    orchestrator = lit.orchestrators[0]
    before = len(orchestrator.events("partition.running"))
    lit.redis.command("FLUSHALL")
    orchestrator.wait_for(lambda: len(orchestrator.events("partition.running")) >= before + 4, 40,
                          "has rebuilt its partitions")
    lit.wait_step(run, "wait", "waiting")
    assert lit.tutti("signal", run, "go").code == 0
    assert lit.finish(run, 40)["output"] == MB
    lit.check_once(run)


@one_broker
def test_a_replay_under_a_smaller_limit_decides_what_the_first_fold_decided(lit):
    run = lit.start("""
        steps:
          - {name: two, type: transform, value: ["${input.text}", "${input.text}"]}
          - {name: wait, type: wait, signal: go}
        output: "${steps.two.output.size()}"
        """, {"text": "x" * 600_000})
    lit.wait_step(run, "wait", "waiting")
    lit.kill(lit.orchestrators[0])
    lit.redis.command("FLUSHALL")
    lit.orchestrator("--payloads-max", "900000")
    lit.wait_step(run, "wait", "waiting")
    assert lit.tutti("signal", run, "go").code == 0
    assert lit.finish(run)["output"] == 2


class Down:
    """The place of a run's objects is in the way of every read and write, until back()."""

    def __init__(self, store, run):
        self.fan = store.path / "run" / run[:2]
        self.gone = store.path / "gone"
        if self.fan.exists():
            self.fan.rename(self.gone)
        self.fan.write_text("in the way")

    def back(self):
        self.fan.unlink()
        if self.gone.exists():
            self.gone.rename(self.fan)


@one_broker
def test_a_store_that_is_down_holds_up_what_needs_it_and_nothing_is_lost(lit, fake, store):
    calls = []

    def answer(call):
        calls.append(call)
        return {"text": "x" * MB}
    url = fake.on("/paid", answer)
    run = lit.start(f"""
        steps:
          - {{name: first, type: wait, signal: go}}
          - {{name: big, type: http, url: "{url}"}}
          - {{name: second, type: wait, signal: further}}
        output: "${{steps.big.output.body.text.size()}}"
        """)
    lit.wait_step(run, "first", "waiting")
    stop = Down(store, run)
    assert lit.tutti("signal", run, "go").code == 0
    lit.workers[0].wait_event("payloads.waits", 20)
    assert lit.step(run, "big")["status"] == "issued"
    stop.back()
    lit.wait_step(run, "second", "waiting", 40)
    assert len(calls) == 1
    # The same for whoever has to read it.
    lit.kill(lit.orchestrators[0])
    stop = Down(store, run)
    orchestrator = lit.orchestrator()
    assert lit.tutti("signal", run, "further").code == 0
    orchestrator.wait_event("payloads.waits", 20)
    stop.back()
    assert lit.finish(run, 40)["output"] == MB
    orchestrator.wait_event("payloads.back", 20)


def test_an_object_that_is_lost_pauses_its_run_until_it_is_back(lit, fake, store):
    flow = f"""
        steps:
          - {http(fake, "/big", MB)}
          - {{name: wait, type: wait, signal: go}}
          - {{name: after, type: task, uses: noop, input: "${{steps.big.output.body.text}}"}}
        output: "${{steps.after.output.size()}}"
        """
    run = lit.start(flow)
    lit.wait_step(run, "wait", "waiting")
    object_, = store.objects(run)
    lit.kill(lit.orchestrators[0])
    content = object_.read_bytes()
    object_.write_bytes(b"damaged" + content[7:])
    lit.orchestrator()
    assert lit.tutti("signal", run, "go").code == 0
    state = until(lambda: (s := lit.status(run))["status"] == "paused" and s, 20, "it is paused")
    assert object_.name in json.dumps(state), state
    # Others go on; a damaged run can be ended, or mended.
    assert lit.finish(lit.start("""
        steps: [{name: a, type: task, uses: noop, input: 1}]"""))["output"] == 1
    letters = lit.tutti("dlq", "list", "--json").json()
    letter, = [x for x in (letters if isinstance(letters, list) else letters["letters"])]
    assert object_.name in json.dumps(letter), letter
    object_.write_bytes(content)
    name = letter.get("letter") or f"{letter['partition']}/{letter['offset']}"
    done = lit.tutti("dlq", "redrive", name)
    assert done.code == 0, done
    assert lit.finish(run, 40)["output"] == MB


@one_broker
def test_a_file_that_may_not_grow_so_large_is_said_and_waited_for(installation, fake, store):
    one = installation()
    one.env.update(store.env)
    one.orchestrator()
    worker = one.worker(*worker_args(fake))
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    run = one.start(f"""
        steps: [{http(fake, "/big", MB)}]
        output: "${{steps.big.output.body.text.size()}}"
        """)
    said = worker.wait_event("payloads.waits", 20)
    assert "File too large" in json.dumps(said or worker.events("payloads.waits")), said
    assert not store.objects(run)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE,
                     (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert one.finish(run, 60)["output"] == MB


def age(directory, days=30):
    when = time.time() - days * 86400
    for path in [*directory.iterdir(), directory]:
        os.utime(path, (when, when))


@one_broker
def test_objects_go_when_nobody_can_need_them_any_more(installation, fake, store):
    one = installation()
    one.env.update(store.env)
    orchestrator = one.orchestrator("--payloads-sweep", "1s", "--snapshot-interval", "1s")
    one.worker(*worker_args(fake))
    flow = f"""
        retention: 1s
        steps:
          - {http(fake, "/big", MB)}
          - {{name: wait, type: wait, signal: go, if: "input.stays"}}
        output: "${{steps.big.output.body.text.size()}}"
        """
    def output(run):
        """Of its CloudEvent, for the run itself may have expired before anybody looks."""
        result, = until(lambda: one.results(run), 40, f"the result of {run}")
        return result.json()["output"]

    stays, goes = one.start(flow, {"stays": True}), one.start(flow, {"stays": False})
    young = one.start(flow, {"stays": False})
    assert output(goes) == MB
    one.wait_step(stays, "wait", "waiting")
    assert output(young) == MB
    place = {run: store.path / "run" / run[:2] / run for run in (stays, goes, young)}
    forgotten = store.path / "run" / "ab" / "abcdabcdabcdabcd-00000000000000000000abcd"
    forgotten.mkdir(parents=True)
    (forgotten / ("0" * 64)).write_text("of a start that never came")
    for run in (stays, goes):
        age(place[run])
    age(forgotten)
    until(lambda: not place[goes].exists() and not forgotten.exists(), 40, "the garbage is gone")
    assert store.objects(stays) and store.objects(young)
    assert one.tutti("signal", stays, "go").code == 0
    assert output(stays) == MB
    assert orchestrator.events("payloads.swept")
    until(lambda: not one.redis.command("KEYS", f"{one.prefix}:run:*"), 40, "all have expired")
    # What finished runs hold was counted as it is taken off.
    held = [one.redis.command("HGET", f"{one.prefix}:p:{{{p}}}", "fin_bytes")
            for p in range(one.partitions)]
    assert {int(h or 0) for h in held} == {0}, held


def test_dev_has_a_store_of_its_own_and_leaves_nothing_of_it(tmp_path):
    (tmp_path / "t").mkdir()
    flow, given = tmp_path / "flow.yaml", tmp_path / "in.json"
    flow.write_text("""
workflow: large
version: 1.0.0
steps: [{name: same, type: task, uses: noop, input: "${input.text}"}]
output: "${steps.same.output}"
""")
    given.write_text(json.dumps({"text": "x" * MB}))
    done = run_program("tutti", "dev", "--run", flow, "--input", given,
                       env={"TMPDIR": str(tmp_path / "t")}, seconds=60)
    assert done.code == 0 and "x" * MB in done.out, done.err
    assert not list((tmp_path / "t").iterdir())
