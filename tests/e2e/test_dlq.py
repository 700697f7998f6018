# SPDX-License-Identifier: Apache-2.0
"""`tutti dlq`: what could not be used is listed, shown, sent again, or dropped."""
import itertools

import pytest

from conftest import worker_args
from harness.base import until

numbers = itertools.count(1)


def spoil(inst, partition=0):
    """A record in events that is none of ours; the letter it becomes."""
    value = b"spoiled %d" % next(numbers)
    inst.malformed.add(value)
    inst.topics.send(f"{inst.prefix}.events", value, key="who", partition=partition,
                     headers={"odd": "x", "type": "run.start"})
    return until(lambda: next((r for r in inst.topics.of("dlq") if r.value == value), None), 20,
                 "the letter")


def name(record):
    return f"{record.partition}/{record.offset}"


def dlq(inst, *args):
    done = inst.tutti("dlq", *args, "--json")
    return done


def listed(inst, *args):
    done = dlq(inst, "list", "--limit", 10000, *args)
    assert done.code == 0, done
    return done.json()["letters"]


def test_letters_are_listed_the_newest_first_and_shown_whole(steady):
    first, second = spoil(steady), spoil(steady, 1)
    ours = [x for x in listed(steady) if x["letter"] in (name(first), name(second))]
    assert [x["letter"] for x in ours] == [name(second), name(first)]
    assert ours[0]["topic"] == f"{steady.prefix}.events" and ours[0]["partition"] == 1
    assert ours[0]["reason"] == "malformed" and ours[0]["handled"] is None
    whole = dlq(steady, "show", name(first)).json()
    assert whole["value"] == first.value.decode() and whole["key"] == "who"
    assert whole["headers"]["odd"] == "x" and "dlq-error" in whole["headers"]
    text = steady.tutti("dlq", "list", "--limit", 10000).out
    assert name(first) in text and "malformed" in text


def test_a_redriven_letter_goes_where_it_came_from_as_it_was_and_no_second_time(steady):
    letter = spoil(steady, 2)
    before = len([r for r in steady.topics.of("events") if r.value == letter.value])
    done = dlq(steady, "redrive", name(letter))
    assert done.code == 0 and done.json() == {"redriven": [name(letter)]}, done
    copies = until(lambda: (c := [r for r in steady.topics.of("events")
                                  if r.value == letter.value]) and len(c) > before and c, 10,
                   "the record once more")
    again = copies[-1]
    assert (again.partition, again.key, again.headers) == (2, "who", {"odd": "x",
                                                                      "type": "run.start"})
    assert name(letter) not in [x["letter"] for x in listed(steady)]
    shown = [x for x in listed(steady, "--all") if x["letter"] == name(letter)]
    assert shown[0]["handled"] == "redriven"
    assert dlq(steady, "redrive", name(letter)).code == 1


def test_a_dropped_letter_is_off_the_list(steady):
    letters = [spoil(steady), spoil(steady)]
    names = [name(x) for x in letters]
    done = dlq(steady, "drop", *names)
    assert done.code == 0 and done.json() == {"dropped": names}, done
    assert not {x["letter"] for x in listed(steady)} & set(names)
    assert dlq(steady, "show", names[0]).json()["handled"] == "dropped"
    assert dlq(steady, "drop", names[0]).code == 1


@pytest.mark.parametrize("args,code", [
    (("show", "0/999999"), 3), (("drop", "0/999999"), 3), (("redrive", "0/999999"), 3),
    (("show", "x"), 2), (("show",), 2), (("show", "0/1", "0/2"), 2), (("list", "0/1"), 2),
    (("burn", "0/1"), 2)])
def test_what_dlq_cannot_do_has_an_exit_code(steady, args, code):
    assert dlq(steady, *args).code == code


def test_a_quarantined_event_is_redriven_and_its_run_goes_on(installation, fake):
    """The letter as an owner writes it; here the event itself is harmless."""
    fake.on("/fast", lambda c: {"n": 1})
    inst = installation()
    inst.orchestrator(wait=False)
    inst.wait_running(inst.orchestrators[0])
    run = inst.start({"steps": [{"name": "a", "type": "http", "url": f"{fake.url}/fast/a"},
                                {"name": "b", "type": "http", "url": f"{fake.url}/fast/b"}]})
    task = until(lambda: inst.topics.of("tasks.default", run_id=run), 20, "the task")[0]
    topic, partition = task.headers["reply-to"].split("/")
    headers = {h: task.headers[h] for h in ("run-id", "path", "attempt", "task-id", "gen")}
    inst.topics.send(f"{inst.prefix}.dlq", {"status": 200}, key=run[:16], partition=0, headers={
        "v": "1", "type": "task.completed", **headers, "dlq-topic": topic,
        "dlq-partition": partition, "dlq-offset": "1", "dlq-reason": "quarantined",
        "dlq-error": "crashed"})
    letter = [x for x in listed(inst) if x["reason"] == "quarantined"][0]
    assert letter["run_id"] == run and letter["type"] == "task.completed"
    assert dlq(inst, "redrive", letter["letter"]).code == 0
    events = inst.topics.of("events", run_id=run)
    assert [r.headers["type"] for r in events[-2:]] == ["task.completed", "run.resume"]
    inst.wait_step(run, "a", "completed")
    inst.worker(*worker_args(fake))
    assert inst.finish(run)["status"] == "completed"
    assert inst.step(run, "a")["output"] == {"status": 200}, "the result that was sent again"
