# SPDX-License-Identifier: Apache-2.0
"""The life of a run beyond its way through the steps: what people tell it while it goes on, how it
goes on after its end, and what other runs are made of it; one by one, and in bulk."""
import json
import secrets

import pytest

from harness.base import until
from harness.servers import chat


@pytest.fixture
def flaky(steady):
    """A model that fails as long as flaky.broken, and counts its calls."""
    class Flaky:
        broken, calls = True, 0
        name = "default"

        def answer(self, call):
            self.calls += 1
            if self.broken:
                return 401, {"error": {"message": "no entry", "code": "invalid_api_key"}}
            return chat("fine " + call.json()["messages"][-1]["content"])
    one = Flaky()
    steady.fake.on("/model/default", one.answer)
    return one


THREE = """
    workflow: NAME
    steps:
      - {name: a, type: task, uses: noop, input: "${input.n + 1}"}
      - {name: b, type: llm, model: default, prompt: "p${steps.a.output}", retry: {max_attempts: 1}}
      - {name: c, type: task, uses: noop, input: "${steps.b.output}"}
    """


def three(steady):
    name = "life" + secrets.token_hex(4)
    return steady.write(THREE.replace("NAME", name)), name


def told(steady, *args):
    done = steady.tutti(*args, "--json")
    assert done.code == 0, done
    return done.json()


def refused(steady, says, *args, code=1):
    done = steady.tutti(*args)
    assert done.code == code and says in done.err, done


def attempts(state):
    return {s["path"]: s["attempts"] for s in state["steps"] if s.get("type") != "set"}


# --- a run that goes on ---

def test_a_paused_run_begins_nothing_until_it_is_resumed(steady):
    run = steady.start("""
        steps: [{name: w, type: wait, signal: go}, {name: a, type: task, uses: noop, input: 1}]""")
    steady.wait_step(run, "w", "waiting")
    assert told(steady, "pause", run)["status"] == "paused"
    steady.tutti("signal", run, "go", "--json-data", "5")
    refused(steady, "has not ended", "retry", run)
    assert told(steady, "resume", run)["status"] in ("running", "completed")
    assert steady.finish(run)["output"] == 1
    refused(steady, "has ended already", "pause", run)


def test_steps_are_skipped_and_variables_set(steady):
    run = steady.start("""
        steps:
          - {name: s, type: set, vars: {v: 0}}
          - {name: w, type: wait, signal: never}
          - {name: x, type: wait, signal: go}
        output: {w: "${steps.w.output}", v: "${vars.v}", x: "${steps.x.output}"}
        """)
    steady.wait_step(run, "w", "waiting")
    told(steady, "set", run, 'v={"deep": [1]}')
    told(steady, "skip", run, "w", "--output", '"instead"')
    steady.wait_step(run, "x", "waiting")
    told(steady, "signal", run, "go", "--json-data", '{"n": 3}')
    assert steady.finish(run)["output"] == {"w": "instead", "v": {"deep": [1]}, "x": {"n": 3}}
    refused(steady, "is not NAME=JSON", "set", run, "v", code=2)


def test_people_answer_and_are_asked_again(steady):
    run = steady.start("""
        steps:
          - {name: ask, type: human_approval, approvers: [ann], show: {sum: 5}, editable: [sum]}
        """)
    steady.wait_step(run, "ask", "waiting")
    told(steady, "answer", run, "ask", "reject", "--as", "ann", "--comment", "too much")
    assert steady.finish(run)["error"]["message"] == "too much"
    told(steady, "retry", run)
    steady.wait_step(run, "ask", "waiting")
    listed = [r for r in told(steady, "list", "--limit", "10000")["runs"] if r["id"] == run]
    assert [r["status"] for r in listed] == ["waiting_approval"]  # not among those that ended any more
    told(steady, "answer", run, "ask", "approve", "--as", "ann", "--values", '{"sum": 4}')
    until(lambda: steady.status(run)["status"] == "completed", 20, "it completes")
    assert steady.status(run)["output"]["values"] == {"sum": 4}


def test_a_run_is_terminated(steady):
    run = steady.start("steps: [{name: w, type: wait, signal: never}]")
    steady.wait_step(run, "w", "waiting")
    state = told(steady, "terminate", run, "--reason", "enough")
    assert state["status"] == "cancelled" and "enough" in state["error"]["message"]


# --- a run that had ended ---

def test_a_failed_run_is_retried_and_keeps_what_it_had_done(steady, flaky):
    run = steady.start(three(steady)[0], {"n": 1})
    assert steady.finish(run)["status"] == "failed"
    flaky.broken = False
    told(steady, "retry", run)
    state = until(lambda: (s := steady.status(run))["status"] == "completed" and s, 20, "it completes")
    assert state["output"] == "fine p2" and state["revived"] == 1
    assert attempts(state) == {"a": 1, "b": 2, "c": 1}
    assert "went on 1 time after an end" in steady.tutti("status", run).out
    ends = until(lambda: len(r := steady.results(run)) == 2 and r, 10, "two results")
    assert [r.headers["ce_type"].split(".")[-1] for r in ends] == ["failed", "completed"]
    assert len({r.headers["ce_id"] for r in ends}) == 2
    refused(steady, "it has completed", "retry", run)


def test_items_that_completed_are_kept(steady, flaky):
    run = steady.start("""
        steps:
          - name: m
            type: map
            over: [1, 2, 3]
            max_concurrent: 1
            steps:
              - {name: t, type: task, uses: noop, input: "${item * 10}"}
              - {name: l, type: llm, model: default, prompt: "q${steps.t.output}", if: "item == 2",
                 retry: {max_attempts: 1}}
              - {name: r, type: transform, value: "${steps.t.output + 1}"}
        """)
    assert steady.finish(run)["status"] == "failed"
    flaky.broken, before = False, flaky.calls
    told(steady, "retry", run)
    state = until(lambda: (s := steady.status(run))["status"] == "completed" and s, 20, "it completes")
    assert state["output"] == [11, 21, 31] and flaky.calls == before + 1
    steady.topics.read()
    tasks = [t.headers["path"] for t in steady.topics.seen("tasks.default", run_id=run)]
    assert sorted(t for t in tasks if t.endswith("/t")) == ["m[0]/t", "m[1]/t", "m[2]/t"]


def test_a_run_is_done_again_from_a_step(steady, flaky):
    flaky.broken = False
    run = steady.start(three(steady)[0], {"n": 1})
    steady.finish(run)
    refused(steady, "no step outside of maps", "rerun", run, "--from", "nope", code=3)
    refused(steady, "--from STEP is missing", "rerun", run, code=2)
    told(steady, "rerun", run, "--from", "b")
    state = until(lambda: (s := steady.status(run))["status"] == "completed" and s, 20, "it completes")
    assert attempts(state) == {"a": 1, "b": 2, "c": 2} and flaky.calls == 2


def test_a_fork_takes_over_what_was_done(steady, flaky):
    path, name = three(steady)
    run = steady.start(path, {"n": 1})
    steady.finish(run)
    flaky.broken = False
    fork = told(steady, "fork", run)["run_id"]
    state = steady.finish(fork)
    assert state["output"] == "fine p2" and state["forked_from"] == run
    steps = {s["path"]: s for s in state["steps"]}
    assert steps["a"]["seeded"] and "seeded" not in steps["b"]
    assert f"forked from run {run}" in steady.tutti("status", fork).out
    assert [t["why"] for t in steady.history(fork) if t["path"] == "a"] == ["seeded"]
    assert steady.finish(told(steady, "fork", run, "--outputs", '{"a": 40}')["run_id"])["output"] == "fine p40"
    again = steady.finish(told(steady, "fork", run, "--at", "a", "--input", '{"n": 8}')["run_id"])
    assert again["output"] == "fine p9" and attempts(again)["a"] == 1
    refused(steady, "never came to step c", "fork", run, "--at", "c")
    assert steady.status(run)["status"] == "failed"


def test_a_run_is_restarted_on_the_latest_version(steady):
    name = "life" + secrets.token_hex(4)
    first = steady.write({"workflow": name, "version": "1.0.0",
                          "steps": [{"name": "w", "type": "wait", "signal": "never"}]})
    run = steady.start(first, {"n": 6})
    steady.wait_step(run, "w", "waiting")
    second = steady.write({"workflow": name, "version": "2.0.0",
                           "steps": [{"name": "a", "type": "transform", "value": "${input.n}"}]})
    assert steady.tutti("deploy", second).code == 0
    refused(steady, "has not ended", "restart", run)
    made = told(steady, "restart", run, "--cancel")
    assert made["version"] == "2.0.0" and steady.finish(made["run_id"])["output"] == 6
    assert steady.finish(run)["status"] == "cancelled"
    old = told(steady, "restart", run, "--of-version", "1.0.0")["run_id"]
    steady.wait_step(old, "w", "waiting")
    told(steady, "terminate", old)


# --- in bulk ---

def test_many_runs_are_told_at_once(steady, flaky, tmp_path):
    path, name = three(steady)
    runs = [steady.start(path, {"n": n}) for n in range(4)]
    assert {steady.finish(r)["status"] for r in runs} == {"failed"}
    indexer = steady.indexer(tmp_path / "index.db")
    try:
        url = ["--index-url", indexer.url]
        listed = lambda state: [r["id"] for r in told(steady, "list", *url, "--workflow", name, "--status", state)["runs"]]  # noqa: E731
        until(lambda: len(listed("failed")) == 4, 20, "four failed runs are indexed")
        where = ["--where", f"workflow={name} state=failed started>2020-01-01T00:00:00Z"]
        refused(steady, "nobody can be asked", "retry", *where, *url, code=2)
        dry = told(steady, "retry", *where, *url, "--dry-run")
        assert dry["matched"] == dry["sent"] == 4 and listed("failed") == runs[::-1]
        flaky.broken = False
        some = told(steady, "retry", *where, *url, "--limit", "3")
        assert (some["sent"], some["skipped"], some["failed"], some["more"]) == (3, 0, 0, True)
        assert sorted(r["id"] for r in some["runs"]) == sorted(runs[1:])
        until(lambda: len(listed("completed")) == 3, 20, "the index has them as completed")
        assert listed("failed") == runs[:1]
        # The index may be behind: what has ended otherwise meanwhile is skipped.
        done = told(steady, "cancel", "--where", f"workflow={name}", *url)
        assert (done["sent"], done["skipped"]) == (0, 4) and done["runs"][0]["why"] == "it is completed"
        made = told(steady, "restart", "--where", f"workflow={name} state=failed", *url)
        assert made["sent"] == 1 and steady.finish(made["runs"][0]["run_id"])["output"] == "fine p1"
    finally:
        steady.kill(indexer)


def test_without_an_index_the_newest_runs_are_looked_at(steady):
    name = "life" + secrets.token_hex(4)
    path = steady.write({"workflow": name, "steps": [{"name": "w", "type": "wait", "signal": "go"}]})
    runs = [steady.start(path) for _ in range(3)]
    for run in runs:
        steady.wait_step(run, "w", "waiting")
    done = steady.tutti("signal", "--where", f"workflow={name} state=running", "go", "--yes", "--json-data", "7")
    assert done.code == 0 and "3 sent, 0 skipped, 0 failed" in done.out, done
    assert [steady.finish(r)["output"] for r in runs] == [7, 7, 7]
    refused(steady, "needs the index", "cancel", "--where", "attr.region=eu", "--yes", code=2)
    for wrong, says in [("workflow", "is not NAME=VALUE"), ("color=red", "none of workflow="),
                        ("workflow='x", "quote"), ("state=", "value is missing"), ("key=a key=b", "twice")]:
        refused(steady, says, "cancel", "--where", wrong, code=2)
    assert json.loads(steady.tutti("pause", "--where", f"workflow={name}x", "--json").out)["matched"] == 0
