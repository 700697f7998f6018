# SPDX-License-Identifier: Apache-2.0
"""kill -9, SIGSTOP and lost Redis data in the middle of runs: each finishes, each step is applied
once, and no call whose result was durable is made again."""
import json
import signal
import threading

import pytest

from conftest import worker_args
from harness.base import until
from harness.servers import chat

pytestmark = pytest.mark.slow
LEASE = ["--lease", "2s"]


class Slow:
    """An endpoint that holds its calls until it is opened, and counts them by step."""

    def __init__(self, fake, path="/slow"):
        self.fake, self.path = fake, path
        self.open = fake.gate()
        self.url = fake.on(path, self.answer)

    def answer(self, call):
        self.open.wait(60)
        return {"said": call.path}

    def count(self, name=""):
        return self.fake.count(f"{self.path}/{name}")


def http_steps(slow, names, **more):
    return {"steps": [{"name": n, "type": "http", "url": f"{slow.url}/{n}",
                       "retry": {"initial": "10ms"}, **more} for n in names]}


def lost(inst, run):
    return inst.topics.of("events", run_id=run, type="task.lost")


def tool_call(kind, slow, fake, tmp_path):
    """A step of that kind which calls slow, and what its worker must know."""
    if kind == "http":
        return {"type": "http", "url": f"{slow.url}/http"}, []
    if kind == "llm":
        fake.on("/model/default", lambda c: slow.open.wait(60) and chat("done"))
        return {"type": "llm", "model": "default", "prompt": "x"}, []
    code = f"import urllib.request as r; r.urlopen('{slow.url}/exec').read(); print(1)"
    commands = {"slow": {"command": "/usr/bin/python3", "args": ["-c", code]}}
    return {"type": "exec", "command": "slow"}, ["--commands", json.dumps(commands)]


@pytest.mark.parametrize("kind", ["http", "llm", "exec"])
def test_a_worker_killed_in_a_call_costs_one_repeated_call_at_most(installation, fake, kind,
                                                                    tmp_path):
    slow = Slow(fake)
    step, more = tool_call(kind, slow, fake, tmp_path)
    inst = installation()
    args = worker_args(fake) + LEASE + more
    inst.orchestrator(wait=False)
    first = inst.worker(*args)
    inst.wait_running(inst.orchestrators[0])
    run = inst.start({"steps": [{"name": "before", "type": "set", "vars": {"a": 1}},
                                {"name": "s", "retry": {"initial": "10ms"}, **step},
                                {"name": "after", "type": "set", "vars": {"a": 2}}]})
    until(lambda: len(fake.calls) == 1, 20, "the first call")
    first.kill()
    inst.worker(*args)
    until(lambda: len(fake.calls) == 2, 40, "the second call")
    slow.open.set()
    assert inst.finish(run)["status"] == "completed"
    assert len(fake.calls) == 2 and len(lost(inst, run)) == 1
    assert inst.step(run, "s")["attempts"] == 2
    inst.check_once(run)


def test_a_worker_killed_between_calls_repeats_none_that_was_finished(installation, fake):
    slow = Slow(fake)
    fake.on("/fast", lambda c: {})
    inst = installation()
    args = worker_args(fake) + LEASE
    inst.orchestrator(wait=False)
    first = inst.worker(*args)
    inst.wait_running(inst.orchestrators[0])
    run = inst.start({"steps": [{"name": "a", "type": "http", "url": f"{fake.url}/fast/a"},
                                {"name": "b", "type": "http", "url": f"{fake.url}/fast/b"},
                                {"name": "c", "type": "http", "url": f"{slow.url}/c",
                                 "retry": {"initial": "10ms"}}]})
    until(lambda: slow.count() == 1, 20, "the slow call")
    first.kill()
    slow.open.set()
    inst.worker(*args)
    assert inst.finish(run, 60)["status"] == "completed"
    assert fake.count("/fast/a") == 1 and fake.count("/fast/b") == 1
    assert slow.count() <= 2
    inst.check_once(run)


def test_an_orchestrator_killed_in_the_middle_of_runs_is_taken_over(installation, fake):
    slow = Slow(fake)
    inst = installation()
    first = inst.orchestrator(wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(first)
    definition = inst.write(http_steps(slow, ["a", "b", "c"]))
    runs = [inst.start(definition) for _ in range(4)]
    until(lambda: slow.count("a") == 4, 20, "the calls")
    first.kill()
    slow.open.set()  # the results come while nobody owns the partitions
    inst.orchestrator()
    for run in runs:
        assert inst.finish(run, 60)["status"] == "completed"
        sent = inst.check_once(run)
        assert set(sent.values()) == {1}, f"a task was sent twice: {sent}"
    assert all(slow.count(n) == 4 for n in "abc")


def test_an_orchestrator_killed_under_load_loses_and_doubles_nothing(installation, fake):
    fake.on("/quick", lambda c: {})
    inst = installation()
    first = inst.orchestrator(wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(first)
    definition = inst.write({"steps": [{"name": f"s{n}", "type": "http",
                                        "url": f"{fake.url}/quick/${{run.id}}/{n}"}
                                       for n in range(6)]})
    runs = []
    starter = threading.Thread(target=lambda: runs.extend(inst.start(definition)
                                                          for _ in range(12)))
    starter.start()
    until(lambda: fake.count("/quick") >= 20, 40, "some calls")
    first.kill()  # anywhere between a produce and its commit
    inst.orchestrator()
    starter.join()
    for run in runs:
        assert inst.finish(run, 60)["status"] == "completed"
        inst.check_once(run)
        assert [fake.count(f"/quick/{run}/{n}") for n in range(6)] == [1] * 6


def test_an_orchestrator_that_was_stopped_and_replaced_does_no_harm(installation, fake):
    slow = Slow(fake)
    inst = installation()
    zombie = inst.orchestrator(wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(zombie)
    definition = inst.write(http_steps(slow, ["a", "b"]))
    runs = [inst.start(definition) for _ in range(4)]
    until(lambda: slow.count("a") == 4, 20, "the calls")
    zombie.signal(signal.SIGSTOP)
    second = inst.orchestrator()
    slow.open.set()
    until(lambda: slow.count("b") >= 1, 20, "progress under the new owner")
    zombie.signal(signal.SIGCONT)
    for run in runs:
        assert inst.finish(run, 60)["status"] == "completed"
    again = inst.start(definition)
    assert inst.finish(again, 60)["status"] == "completed"
    for run in [*runs, again]:
        inst.check_once(run)
    assert slow.count("a") == slow.count("b") == 5
    assert zombie.running() and second.running()


def test_redis_restarted_in_the_middle_of_a_run_is_nobodys_business(installation, fake, redis):
    slow = Slow(fake)
    fake.on("/fast", lambda c: {})
    inst = installation()
    inst.orchestrator(wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(inst.orchestrators[0])
    run = inst.start({"steps": [{"name": "a", "type": "http", "url": f"{fake.url}/fast/a"},
                                {"name": "b", "type": "http", "url": f"{slow.url}/b"},
                                {"name": "c", "type": "http", "url": f"{fake.url}/fast/c"}]})
    until(lambda: slow.count() == 1, 20, "the slow call")
    redis.restart()
    slow.open.set()
    assert inst.finish(run, 60)["status"] == "completed"
    assert [fake.count(p) for p in ("/fast/a", "/slow/b", "/fast/c")] == [1, 1, 1]
    inst.check_once(run)


def test_redis_wiped_in_the_middle_of_a_run_repeats_no_finished_call(installation, fake, redis):
    slow = Slow(fake)
    fake.on("/fast", lambda c: {})
    inst = installation()
    inst.orchestrator(wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(inst.orchestrators[0])
    definition = inst.write({"steps": [
        {"name": "a", "type": "http", "url": f"{fake.url}/fast/a"},
        {"name": "b", "type": "http", "url": f"{slow.url}/b"},
        {"name": "c", "type": "http", "url": f"{fake.url}/fast/c"}]})
    whole = inst.write({"steps": [{"name": "d", "type": "http", "url": f"{fake.url}/fast/d"}]})
    done = inst.start(whole)
    assert inst.finish(done)["status"] == "completed"
    run = inst.start(definition)
    until(lambda: slow.count() == 1, 20, "the slow call")
    redis.command("FLUSHALL")
    slow.open.set()
    assert inst.finish(run, 60)["status"] == "completed"
    assert [fake.count(p) for p in ("/fast/a", "/slow/b", "/fast/c", "/fast/d")] == [1, 1, 1, 1]
    inst.check_once(run)
    assert inst.finish(done)["status"] == "completed"  # rebuilt from the log
    inst.check_once(done)


def test_a_worker_that_is_asked_to_end_finishes_its_call_first(installation, fake):
    slow = Slow(fake)
    inst = installation()
    inst.orchestrator(wait=False)
    worker = inst.worker(*worker_args(fake), "--drain", "30s")
    inst.wait_running(inst.orchestrators[0])
    run = inst.start(http_steps(slow, ["a"]))
    until(lambda: slow.count() == 1, 20, "the call")
    worker.signal(signal.SIGTERM)
    worker.wait_event("worker.stopping")
    slow.open.set()
    assert worker.wait(20) == 0
    assert inst.finish(run)["status"] == "completed" and slow.count() == 1


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_result_that_was_written_and_not_committed_is_not_written_again(installation, fake, redis, end):
    """The successor finds it in `results`."""
    slow = Slow(fake)
    inst = installation()
    inst.orchestrator(wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(inst.orchestrators[0])
    inst.run({"steps": [{"name": "a", "type": "set", "vars": {"a": 1}}]})
    run = inst.start(http_steps(slow, ["a"]))
    until(lambda: slow.count() == 1, 20, "the call")
    redis.command("CLIENT", "PAUSE", "60000", "WRITE")
    slow.open.set()
    until(lambda: inst.results(run), 20, "the result")
    if end == "kill":
        inst.orchestrators[0].kill()
    else:
        inst.orchestrators[0].stop()
    redis.command("CLIENT", "UNPAUSE")
    assert not inst.ended(run), "it was committed after all"
    inst.orchestrator()
    assert inst.finish(run)["status"] == "completed"
    inst.check_once(run)
    claims = inst.topics.of("results", ce_type="io.tutti.partition.claimed")
    assert claims and all(c.offset > inst.results(run)[0].offset for c in claims), "it reads up to its own claim"
