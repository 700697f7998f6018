# SPDX-License-Identifier: Apache-2.0
"""What starts runs: keys, trigger topics; and what keeps installations apart."""
import json
import secrets

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
