# SPDX-License-Identifier: Apache-2.0
"""Changes of runs' states as CloudEvents: each is told, in order, whatever breaks."""
from conftest import worker_args
from harness.base import until

ASK = {"steps": [{"name": "ask", "type": "human_approval", "approvers": ["ann"]},
                 {"name": "do", "type": "task", "uses": "noop", "input": 1}]}


def told(inst, run):
    return inst.topics.of("lifecycle", ce_subject=run)


def states(records):
    return [r.json()["state"] for r in records]


def ids(records):
    """In the order in which each came first."""
    return list(dict.fromkeys(r.headers["ce_id"] for r in records))


def wait_state(inst, run, state):
    until(lambda: inst.status(run)["status"] == state, 20, f"the run is {state}")


def test_each_change_of_a_runs_state_is_one_cloudevent_in_order(steady, tmp_path):
    run = steady.start(ASK)
    wait_state(steady, run, "waiting_approval")
    for command, state in (("pause", "paused"), ("resume", "waiting_approval")):
        assert steady.tutti(command, run).code == 0
        wait_state(steady, run, state)
    assert steady.tutti("answer", run, "ask", "approve", "--as", "ann").code == 0
    steady.finish(run)
    until(lambda: "completed" in states(told(steady, run)), 10, "its end is told")
    records = told(steady, run)
    assert states(records) == ["running", "waiting_approval", "paused", "running",
                               "waiting_approval", "running", "completed"]
    assert [r.json()["from"] for r in records][:4] == ["initializing", "running",
                                                        "waiting_approval", "paused"]
    assert len(ids(records)) == len(records) and len({r.partition for r in records}) == 1
    sequence = [r.headers["ce_sequence"] for r in records]
    assert sequence == sorted(sequence)
    assert all(r.headers["ce_type"] == "io.tutti.run." + r.json()["state"] for r in records)


def test_an_error_is_told_with_the_state_that_it_led_to(steady):
    run = steady.start({"steps": [{"name": "no", "type": "fail",
                                   "error": {"type": "rejected", "message": "too late"}}]})
    steady.finish(run)
    until(lambda: "failed" in states(told(steady, run)), 10, "its end is told")
    last = told(steady, run)[-1].json()
    assert last["error"]["type"] == "rejected" and last["error"]["message"] == "too late"


def test_the_index_knows_from_it_what_waits_and_what_is_paused(steady, tmp_path):
    run = steady.start(ASK)
    indexer = steady.indexer(tmp_path / "index.db")

    def shown(state):
        done = steady.tutti("list", "--json", "--index-url", indexer.url, "--status", state)
        assert done.code == 0, done
        return run in [r["id"] for r in done.json()["runs"]]
    try:
        until(lambda: shown("waiting_approval"), 20, "it waits for ann")
        assert steady.tutti("pause", run).code == 0
        until(lambda: shown("paused"), 20, "it is paused")
        assert steady.tutti("cancel", run).code == 0
        until(lambda: shown("cancelled"), 20, "it is cancelled")
    finally:
        steady.kill(indexer)


def test_nothing_is_told_where_nobody_asked_for_it(installation, fake):
    inst = installation()
    inst.orchestrator(wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(inst.orchestrators[0])
    assert inst.run({"steps": [{"name": "a", "type": "set", "vars": {"a": 1}}]})["status"] == "completed"
    assert inst.topics.of("lifecycle") == []


def test_what_was_not_committed_is_told_again_under_the_same_id(installation, fake, redis, backend):
    """After a takeover (on Kafka), and after a wipe of Redis besides (on the mock cluster)."""
    gate = fake.gate()
    url = fake.on("/slow", lambda c: gate.wait(60) and {})
    inst = installation()
    inst.orchestrator("--lifecycle", "runs", wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(inst.orchestrators[0])
    run = inst.start({"steps": [{"name": "call", "type": "http", "url": url}, *ASK["steps"]]})
    until(lambda: fake.count("/slow") == 1, 20, "the call")
    inst.wait_step(run, "call", "issued")  # so much is committed
    redis.command("CLIENT", "PAUSE", "60000", "WRITE")
    gate.set()
    until(lambda: "waiting_approval" in states(told(inst, run)), 20, "that it waits for people")
    before = told(inst, run)
    inst.orchestrators[0].stop()  # a killed one is no other to its successor, but stays in the group for long
    redis.command("CLIENT", "UNPAUSE")
    if backend == "mock":
        redis.command("FLUSHALL")
    inst.orchestrator("--lifecycle", "runs")
    wait_state(inst, run, "waiting_approval")
    assert inst.tutti("answer", run, "ask", "approve", "--as", "ann").code == 0
    assert inst.finish(run, 60)["status"] == "completed"
    until(lambda: "completed" in states(told(inst, run)), 20, "its end is told")
    after = told(inst, run)
    first = {r.headers["ce_id"]: r for r in reversed(after)}
    assert states(first[i] for i in ids(after)) == ["running", "waiting_approval", "running", "completed"]
    assert all(first[r.headers["ce_id"]].value == r.value for r in after)
    assert ids(after)[:2] == ids(before)
    again = [r for r in after if r is not first[r.headers["ce_id"]]]
    # What only a wiped Redis knew to be acknowledged is in doubt, too, until Kafka was told, a moment later.
    doubtful = [["waiting_approval"]] + [["running", "waiting_approval"]] * (backend == "mock")
    assert states(again) in doubtful, "only what was in doubt comes again"
