# SPDX-License-Identifier: Apache-2.0
"""What starts runs: keys, trigger topics; and what keeps installations apart."""
import json
import secrets

import pytest

from conftest import worker_args
from harness.base import until

ECHO = [{"name": "s", "type": "task", "uses": "noop", "input": "${input}"}]


def trigger(steady, topic, **more):
    """Deploys a workflow of its own that listens to the topic; its name."""
    name = "w" + secrets.token_hex(4)
    path = steady.write({"workflow": name, "steps": ECHO,
                         "triggers": [{"topic": steady.triggers[topic], **more}]})
    done = steady.tutti("deploy", path)
    assert done.code == 0, done
    steady.orchestrators[0].wait_for(
        lambda: any(name in x["msg"] for x in steady.orchestrators[0].events("definition.known")),
        10, f"{name} is known")
    steady.orchestrators[0].wait_event("trigger.topics", 10)
    return name


def results(steady, name):
    return [r.json() for r in steady.topics.of("results", ce_workflow=name)]


def outputs(steady, name, count, seconds=20):
    """The outputs of that many runs, and no more."""
    until(lambda: len(results(steady, name)) >= count, seconds, f"{count} runs of {name}")
    found = results(steady, name)
    assert len(found) == count, found
    return [r["output"] for r in found]


def test_the_same_key_twice_is_one_run(steady):
    path = steady.write({"steps": ECHO})
    first = steady.tutti("start", path, "--key", "k1", "--json", "--input-json", "1")
    second = steady.tutti("start", path, "--key", "k1", "--json", "--input-json", "2")
    assert first.code == second.code == 0, (first, second)
    assert second.json()["run_id"] == first.json()["run_id"]
    assert (first.json()["existed"], second.json()["existed"]) == (False, True)
    run = first.json()["run_id"]
    assert steady.finish(run)["output"] == 1
    other = steady.tutti("start", path, "--key", "k2", "--json", "--input-json", "3").json()
    assert other["run_id"] != run and steady.finish(other["run_id"])["output"] == 3
    assert len(results(steady, other["workflow"])) == 2


def test_a_finished_run_still_answers_for_its_key(steady):
    path = steady.write({"steps": ECHO})
    run = steady.start(path, {}, "--key", "again")
    steady.finish(run)
    done = steady.tutti("start", path, "--key", "again")
    assert done.code == 0 and done.out.strip() == run and "already" in done.err, done


def test_a_record_of_plain_json_starts_a_run(steady):
    name = trigger(steady, "plain", filter='event.data.kind == "a"', input={
        "n": "${event.data.n}", "key": "${event.key}", "topic": "${event.topic}"})
    steady.topics.send(steady.triggers["plain"], {"kind": "b", "n": 1})
    steady.topics.send(steady.triggers["plain"], {"kind": "a", "n": 2}, key="k")
    assert outputs(steady, name, 1) == [{"n": 2, "key": "k",
                                         "topic": steady.triggers["plain"]}]


def test_a_crowd_of_starts_with_one_key_is_one_run_and_holds_nothing_up(steady):
    """Queued starts share a key that the first one's commit lets go; none may wait for it."""
    name = trigger(steady, "plain", filter='event.data.kind == "crowd"', key="${event.data.id}",
                   input={"id": "${event.data.id}"})
    for number in range(60):
        steady.topics.send(steady.triggers["plain"], {"kind": "crowd", "id": "one"})
        steady.topics.send(steady.triggers["plain"], {"kind": "crowd", "id": f"other {number % 7}"})
    ended = outputs(steady, name, 8)
    assert sorted(o["id"] for o in ended) == ["one"] + [f"other {n}" for n in range(7)]


def test_cloudevents_start_runs_in_binary_and_in_structured_mode(steady):
    name = trigger(steady, "orders", filter='event.type == "order.paid" && event.data.amount > 0',
                   key="${event.data.id}", input={"id": "${event.data.id}",
                                                  "from": "${event.source}"})
    topic = steady.triggers["orders"]
    binary = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/shop", "ce_type": "order.paid",
              "content-type": "application/json"}
    steady.topics.send(topic, {"id": "b1", "amount": 5}, headers=binary)
    steady.topics.send(topic, {"id": "b2", "amount": 0}, headers=binary)
    steady.topics.send(topic, {"specversion": "1.0", "id": "2", "source": "/shop/s",
                               "type": "order.paid", "data": {"id": "s1", "amount": 1}},
                       headers={"content-type": "application/cloudevents+json; charset=utf-8"})
    steady.topics.send(topic, {"id": "b1", "amount": 5}, headers=binary)  # the same order again
    found = outputs(steady, name, 2)
    assert sorted(found, key=str) == [{"id": "b1", "from": "/shop"},
                                      {"id": "s1", "from": "/shop/s"}]
    done = steady.tutti("list", "--workflow", name, "--json")
    assert done.code == 0, done
    assert len(done.json()["runs"]) == 2, done


def test_a_malformed_record_goes_to_the_dead_letters_and_the_next_one_starts(steady):
    name = trigger(steady, "odd")
    topic = steady.triggers["odd"]
    steady.malformed.add(b'{"half": ')
    steady.topics.send(topic, b'{"half": ', key="bad", headers={"mine": "kept"}, partition=0)
    steady.topics.send(topic, {"whole": 1}, partition=0)
    assert outputs(steady, name, 1) == [{"whole": 1}]
    dead = steady.topics.of("dlq", **{"dlq-topic": topic})
    assert len(dead) == 1 and dead[0].value == b'{"half": ' and dead[0].key == "bad"
    assert dead[0].headers["mine"] == "kept" and "JSON" in dead[0].headers["dlq-error"]


def test_an_event_that_is_none_goes_to_the_dead_letters_and_holds_nobody_up(steady):
    steady.malformed.add(b"\xff")
    steady.topics.send(f"{steady.prefix}.tasks.default", b"\xff", key="x", partition=0,
                       headers={"v": "1", "type": "task"})
    until(lambda: [r for r in steady.topics.of("dlq") if r.value == b"\xff"], 10, "a dead letter")
    assert steady.run({"steps": ECHO}, 5)["output"] == 5


def test_two_installations_on_the_same_servers_do_not_see_each_other(steady, installation,
                                                                     shared_redis, session_broker):
    other = installation(broker=session_broker, redis=shared_redis)
    other.orchestrator("--threads", "2", wait=False)
    other.worker()
    other.wait_running(other.orchestrators[0])
    assert other.tutti("list", "--json").json()["runs"] == []
    definition = {"workflow": "twin", "steps": ECHO}
    mine, theirs = (i.tutti("start", i.write(definition), "--key", "same", "--json",
                            "--input-json", json.dumps(n)).json()
                    for n, i in enumerate((steady, other)))
    assert not mine["existed"] and not theirs["existed"]
    assert steady.finish(mine["run_id"])["output"] == 0
    assert other.finish(theirs["run_id"])["output"] == 1
    assert steady.tutti("status", theirs["run_id"]).code == 3
    assert other.tutti("status", mine["run_id"]).code == 3
    assert [r["run_id"] if "run_id" in r else r["id"]
            for r in other.tutti("list", "--json").json()["runs"]] == [theirs["run_id"]]
    many = [other.start(other.write({"steps": ECHO}), n) for n in range(4)]  # on both threads
    assert [other.finish(run)["output"] for run in many] == list(range(4))


# --- runs with one key, and policies ---

def slow(one, gate, steps=("a",)):
    """A workflow whose calls wait for the gate: its file."""
    url = one.fake.on(f"/starts/{secrets.token_hex(4)}", lambda c: gate.wait(60) and {})
    return one.write({"steps": [{"name": n, "type": "http", "url": url} for n in steps]})


def start(one, path, policy, key="k", **more):
    done = one.tutti("start", path, "--key", key, "--on-conflict", policy, "--json", **more)
    assert done.code == 0, done
    return done.json()["run_id"]


def wait_status(one, run, status):
    def reached():
        done = one.tutti("status", run, "--json")
        return done.code == 0 and done.json()["status"] == status
    until(reached, 20, f"run {run} is {status}")


def test_queued_runs_wait_for_those_before_them_and_can_be_cancelled(steady):
    gate = steady.fake.gate()
    path = slow(steady, gate)
    first, second, third = (start(steady, path, "queue") for _ in range(3))
    wait_status(steady, first, "running")
    wait_status(steady, third, "initializing")
    assert steady.status(third)["waits_for"] == [first, second]
    shown = steady.tutti("status", third)
    assert f"waits for 2 runs with the key k: {first}" in shown.out, shown
    listed = steady.tutti("list", "--status", "initializing", "--json").json()["runs"]
    assert {second, third} <= {r["id"] for r in listed}
    taken = steady.tutti("start", path, "--key", "k", "--json")
    assert taken.code == 0 and taken.json()["run_id"] == first and taken.json()["existed"], taken
    done = steady.tutti("cancel", second, "--reason", "not needed")
    assert done.code == 0, done
    assert steady.status(third)["waits_for"] == [first]
    gate.set()
    assert steady.finish(first)["status"] == "completed"
    assert steady.finish(third)["status"] == "completed"
    moves = [t["state"] for t in steady.history(third) if not t["path"]]
    assert moves == ["initializing", "running", "completed"]
    ended = {r: steady.history(r)[-1]["offset"] for r in (first, third)}
    begun = next(t["offset"] for t in steady.history(third) if t["state"] == "running")
    assert ended[first] < begun < ended[third]
    free = steady.tutti("start", path, "--key", "k", "--json")
    assert free.code == 0 and not free.json()["existed"], free
    assert steady.finish(free.json()["run_id"])["status"] == "completed"


def test_a_replacement_cancels_what_runs_and_what_waits(steady):
    gate = steady.fake.gate()
    path = slow(steady, gate)
    plain = steady.start(path, {}, "--key", "r")
    waits = start(steady, path, "queue", "r")
    wait_status(steady, waits, "initializing")
    new = start(steady, path, "replace", "r")
    for run in (plain, waits):
        ended = steady.finish(run)
        assert ended["status"] == "cancelled" and new in ended["error"]["message"], ended
    wait_status(steady, new, "running")
    beside = start(steady, path, "allow", "r")
    wait_status(steady, beside, "running")
    gate.set()
    assert steady.finish(new)["status"] == steady.finish(beside)["status"] == "completed"


def test_a_queued_run_does_not_wait_for_a_plain_one_that_has_ended(steady):
    path = steady.write({"steps": ECHO})
    plain = steady.start(path, {}, "--key", "ended")
    steady.finish(plain)
    run = start(steady, path, "queue", "ended")
    assert steady.finish(run)["status"] == "completed"
    asked = steady.topics.of("events", run_id=plain, type="key.asked")
    assert len(asked) == 1, "whether it was over is asked once"


def test_a_policy_without_a_key_or_an_unknown_one_is_refused(steady):
    path = steady.write({"steps": ECHO})
    done = steady.tutti("start", path, "--on-conflict", "queue")
    assert done.code != 0 and "--key" in done.err, done
    done = steady.tutti("start", path, "--key", "k", "--on-conflict", "wait")
    assert done.code != 0 and "reject, queue, replace" in done.err.replace("|", ", "), done


def test_a_trigger_queues_runs_with_one_key(steady):
    name = trigger(steady, "plain", filter='event.data.kind == "q"', key="${event.data.id}",
                   on_conflict="queue", input={"n": "${event.data.n}"})
    for n in range(5):
        steady.topics.send(steady.triggers["plain"], {"kind": "q", "id": "one", "n": n},
                           partition=0)
    assert [o["n"] for o in outputs(steady, name, 5)] == list(range(5))


@pytest.mark.slow
def test_queued_runs_survive_a_wiped_redis_and_a_killed_orchestrator(installation, fake, redis):
    """Who waited still waits, and begins when it is its turn."""
    gate = fake.gate()
    inst = installation()
    inst.fake = fake
    first = inst.orchestrator("--snapshot-interval", "1s", wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(first)
    path = slow(inst, gate)
    runs = [start(inst, path, "queue") for _ in range(3)]
    cancelled = start(inst, path, "queue")
    assert inst.tutti("cancel", cancelled).code == 0
    last = inst.topics.of("events", run_id=cancelled)[-1]
    until(lambda: int(redis.command("HGET", f"{inst.prefix}:p:{{{last.partition}}}", "floor")
                      or -1) > last.offset, 30, "a floor above the queue")
    runs.append(start(inst, path, "queue"))  # what the floor has not
    redis.command("FLUSHALL")
    wait_status(inst, runs[3], "initializing")
    assert inst.status(runs[3])["waits_for"] == runs[:3]
    inst.kill(first)
    gate.set()  # the first run's result comes while nobody owns the partition
    inst.orchestrator()
    for run in runs:
        assert inst.finish(run, 60)["status"] == "completed"
        inst.check_once(run)
    assert inst.finish(cancelled)["status"] == "cancelled"
    begun = [next(t["offset"] for t in inst.history(r) if t["state"] == "running") for r in runs]
    assert begun == sorted(begun)
