# SPDX-License-Identifier: Apache-2.0
"""Every kind of step, on the mock cluster and on Apache Kafka."""
import json

import pytest

from harness.base import until
from harness.servers import chat


def model(steady, name, answer):
    return steady.fake.on(f"/model/{name}", answer)


def paths(state):
    return {s["path"].split("/")[-1]: s for s in state["steps"]}


def test_a_workflow_of_every_step_kind_runs_to_its_result(steady):
    base = steady.fake.on("/echo", lambda c: {"got": c.json(), "path": c.path})
    model(steady, "default", lambda c: chat("An answer about " +
                                            c.json()["messages"][-1]["content"]))
    run = steady.start(f"""
        steps:
          - {{name: first, type: task, uses: noop, input: {{n: "${{input.n}}"}}}}
          - {{name: sequel, type: sequential, uses: noop, input: [1, "${{steps.first.output.n}}"]}}
          - {{name: call, type: http, method: POST, url: "{base}/${{input.n}}",
             query: {{q: "a b"}}, body: {{x: "${{steps.first.output.n + 1}}"}}}}
          - {{name: shout, type: exec, command: upper, stdin: {{text: "quiet ${{input.n}}"}}}}
          - {{name: ask, type: llm, model: default, system: Be brief., prompt: "topic ${{input.n}}"}}
          - name: both
            type: parallel
            branches:
              left: [{{name: left, type: task, uses: noop, input: L}}]
              right: [{{name: right, type: task, uses: noop, input: R}}]
          - name: choose
            type: conditional
            cases:
              - when: steps.first.output.n > 100
                steps: [{{name: big, type: set, vars: {{size: big}}}}]
            else: [{{name: small, type: set, vars: {{size: small}}}}]
          - {{name: never, type: task, uses: noop, if: "input.n < 0", input: x}}
          - {{name: all, type: set, vars: {{sum: "${{steps.left.output + steps.right.output}}"}}}}
        output:
          n: "${{steps.sequel.output[1]}}"
          http: "${{steps.call.output.body}}"
          code: "${{steps.call.output.status}}"
          shout: "${{steps.shout.output}}"
          answer: "${{steps.ask.output}}"
          sum: "${{vars.sum}}"
          size: "${{vars.size}}"
        """, {"n": 7})
    state = steady.finish(run)
    assert state["status"] == "completed", state
    assert state["output"] == {
        "n": 7, "http": {"got": {"x": 8}, "path": "/echo/7?q=a%20b"}, "code": 200,
        "shout": "QUIET 7", "answer": "An answer about topic 7", "sum": "LR", "size": "small"}
    assert state["usage"]["tokens_in"] == 7 and state["usage"]["tokens_out"] == 5
    assert state["usage"]["micro_usd"] == 7 + 10
    steps = paths(state)
    assert steps["never"]["status"] == "skipped" and steps["big"]["status"] == "skipped"
    steady.check_once(run)


def test_the_result_of_a_run_is_one_cloudevent(steady):
    run = steady.start({"steps": [{"name": "a", "type": "task", "uses": "noop", "input": 41}],
                        "output": "${steps.a.output + 1}"})
    assert steady.finish(run)["output"] == 42
    results = until(lambda: steady.results(run), 5, "the result")
    assert len(results) == 1 and results[0].json()["output"] == 42
    assert results[0].headers["ce_type"] == "io.tutti.run.completed"
    assert results[0].key == run


def test_a_failed_step_that_may_fail_is_passed_over(steady):
    state = steady.run("""
        steps:
          - {name: bad, type: exec, command: fails, on_error: continue, retry: {max_attempts: 1}}
          - {name: after, type: set, vars: {seen: "${steps.bad.status}", why: "${steps.bad.error.type}"}}
        output: "${vars}"
        """)
    assert state["output"] == {"seen": "failed", "why": "tool_error"}


def test_a_fallback_answers_for_the_step_that_failed(steady):
    state = steady.run("""
        steps:
          - name: bad
            type: exec
            command: fails
            retry: {max_attempts: 1}
            on_error:
              fallback: [{name: plan-b, type: set, vars: {said: "instead of: ${error.message}"}}]
        output: "${vars.said}"
        """)
    assert state["status"] == "completed" and "out of paper" in state["output"]


def test_a_failed_run_says_which_step_and_why(steady):
    state = steady.run("""
        steps:
          - {name: fine, type: set, vars: {a: 1}}
          - {name: bad, type: exec, command: fails, retry: {max_attempts: 2, initial: 10ms}}
          - {name: later, type: set, vars: {a: 2}}
        """)
    assert state["status"] == "failed"
    error = state["error"]
    assert (error["type"], error["step"], error["attempt"]) == ("tool_error", "bad", 2)
    assert "out of paper" in error["message"] and "3" in error["message"]
    assert paths(state)["later"]["status"] in ("pending", "skipped", "cancelled")


def test_a_call_that_fails_is_tried_again_with_backoff_and_one_idempotency_key(steady):
    seen = []

    def flaky(call):
        seen.append(call)
        return (503, {}, b"busy") if len(seen) < 3 else {"ok": True}
    url = steady.fake.on(f"/flaky/{id(seen)}", flaky)
    run = steady.start({"steps": [{"name": "c", "type": "http", "method": "POST", "url": url,
                                   "body": {}, "retry": {"max_attempts": 4, "initial": "20ms",
                                                         "max": "100ms"}}],
                        "output": "${steps.c.output.body}"})
    state = steady.finish(run)
    assert state["output"] == {"ok": True} and len(seen) == 3
    assert paths(state)["c"]["attempts"] == 3
    assert all(c.key for c in seen)
    states = [t["state"] for t in steady.history(run) if t["path"] == "c"]
    assert states.count("backoff") == 2 and states[-1] == "completed"


def test_retry_after_of_a_server_is_waited_for(steady):
    seen = []

    def limited(call):
        seen.append(call)
        return (429, {"retry-after": "1"}, b"slow down") if len(seen) < 2 else {"ok": 1}
    url = steady.fake.on(f"/limited/{id(seen)}", limited)
    run = steady.start({"steps": [{"name": "c", "type": "http", "url": url,
                                   "retry": {"initial": "1ms", "max": "5s"}}]})
    assert steady.finish(run)["status"] == "completed" and len(seen) == 2
    times = [t["time"] for t in steady.history(run) if t["state"] == "issued"]
    from datetime import datetime
    a, b = (datetime.fromisoformat(t.replace("Z", "+00:00")) for t in times)
    assert 0.9 <= (b - a).total_seconds() < 10


def test_a_step_that_takes_too_long_times_out_and_its_program_is_killed(steady):
    state = steady.run({"steps": [{"name": "s", "type": "exec", "command": "stuck",
                                   "timeout": "300ms", "retry": {"max_attempts": 1}}]})
    assert (state["status"], state["error"]["type"]) == ("failed", "timeout")


def test_a_run_that_takes_too_long_times_out(steady):
    state = steady.run({"limits": {"timeout": "1s"},
                        "steps": [{"name": "s", "type": "exec", "command": "stuck"}]})
    assert (state["status"], state["error"]["type"]) == ("failed", "timeout")


def test_a_cancelled_run_ends_at_once_and_its_call_is_aborted(steady):
    gate = steady.fake.gate()
    url = steady.fake.on(f"/held/{id(gate)}", lambda c: gate.wait(30) and {})
    run = steady.start({"steps": [{"name": "s", "type": "http", "url": url},
                                  {"name": "t", "type": "http", "url": url}]})
    until(lambda: steady.fake.count(f"/held/{id(gate)}"), 10, "the call")
    done = steady.tutti("cancel", run, "--reason", "changed my mind")
    assert done.code == 0, done
    state = steady.status(run)
    assert state["status"] == "cancelled"
    steady.workers[0].wait_event("task.cancelled", 30)
    gate.set()
    assert steady.fake.count(f"/held/{id(gate)}") == 1
    assert [r.headers["ce_type"] for r in steady.results(run)] == ["io.tutti.run.cancelled"]
    again = steady.tutti("cancel", run)
    assert again.code == 1 and "ended already" in again.err, again


def test_branches_run_at_the_same_time(steady):
    barrier = []
    gate = steady.fake.gate()

    def meet(call):
        barrier.append(call)
        if len(barrier) == 3:
            gate.set()
        assert gate.wait(20)
        return {}
    url = steady.fake.on(f"/meet/{id(barrier)}", meet)
    branches = {n: [{"name": n, "type": "http", "url": url}] for n in ("a", "b", "c")}
    state = steady.run({"steps": [{"name": "p", "type": "parallel", "branches": branches}]})
    assert state["status"] == "completed"


@pytest.mark.parametrize("command, word", [
    ("flood", "1048576"), ("prose", "not JSON"), ("latin", "not UTF-8")])
def test_output_that_cannot_be_used_is_invalid_output(steady, command, word):
    state = steady.run({"steps": [{"name": "s", "type": "exec", "command": command,
                                   "retry": {"max_attempts": 1}}]})
    assert state["error"]["type"] == "invalid_output" and word in state["error"]["message"], state


def test_an_http_answer_over_the_limit_names_it(steady):
    url = steady.fake.on("/huge", lambda c: b"x" * 2_000_000)
    state = steady.run({"steps": [{"name": "s", "type": "http", "url": url,
                                   "retry": {"max_attempts": 1}}]})
    assert state["error"]["type"] == "invalid_output"
    assert "1048576" in state["error"]["message"], state


def test_unknown_handlers_commands_and_models_are_bad_requests(steady):
    for step in ({"type": "task", "uses": "no-such"}, {"type": "exec", "command": "no-such"},
                 {"type": "llm", "model": "no-such", "prompt": "x"}):
        state = steady.run({"steps": [{"name": "s", **step}]})
        assert state["error"]["type"] == "bad_request", state
        assert "no-such" in state["error"]["message"] and state["error"]["attempt"] == 1


def test_a_private_address_that_is_not_allowed_is_not_called(steady):
    port = steady.fake.port
    state = steady.run({"steps": [{"name": "s", "type": "http",
                                   "url": f"http://localhost:{port}/private"}]})
    assert state["status"] == "failed" and state["error"]["attempt"] == 1, state
    assert "private" in state["error"]["message"] or "loopback" in state["error"]["message"]
    assert steady.fake.count("/private") == 0


@pytest.mark.parametrize("name, answer, kind", [
    ("garbage", lambda c: b"\x00\xff<html>", "provider_error"),
    ("broken", lambda c: (500, {}, {"error": {"message": "it hurts"}}), "provider_error"),
    ("limited", lambda c: (429, {}, {"error": {"message": "slow down", "type": "requests"}}),
     "rate_limited"),
    ("empty", lambda c: b"", "provider_error"),
])
def test_a_model_that_answers_badly_fails_the_step_with_a_typed_error(steady, name, answer, kind):
    model(steady, name, answer)
    state = steady.run({"steps": [{"name": "s", "type": "llm", "model": name, "prompt": "x",
                                   "retry": {"max_attempts": 2, "initial": "10ms"}}]})
    assert state["status"] == "failed" and state["error"]["attempt"] == 2, state
    assert state["error"]["type"] in (kind, "invalid_output"), state["error"]


def test_a_model_that_says_nothing_times_out(steady):
    gate = steady.fake.gate()
    model(steady, "silent", lambda c: gate.wait(30) and b"")
    state = steady.run({"steps": [{"name": "s", "type": "llm", "model": "silent", "prompt": "x",
                                   "timeout": "500ms", "retry": {"max_attempts": 1}}]})
    gate.set()
    assert state["error"]["type"] == "timeout", state


def test_an_answer_that_does_not_fit_its_schema_is_asked_for_again(steady):
    answers = iter(["well, ...", json.dumps({"n": "three"}), json.dumps({"n": 3})])
    model(steady, "prose", lambda c: chat(next(answers)))
    state = steady.run({"steps": [{"name": "s", "type": "llm", "model": "prose", "prompt": "x",
                                   "output_schema": {"type": "object", "required": ["n"],
                                                     "properties": {"n": {"type": "integer"}}},
                                   "retry": {"max_attempts": 4, "initial": "10ms"}}],
                        "output": "${steps.s.output.n}"})
    assert state["output"] == 3, state


def test_a_definition_and_an_input_of_many_languages_come_back_as_they_were(steady):
    text = "₹5,200 crore — \u202e émigré 🦀 \"quoted\"\n\ttab"
    state = steady.run({"steps": [{"name": "s", "type": "task", "uses": "noop",
                                   "input": {"t": "${input.t}", "lit": "naïve ☂"}}]}, {"t": text})
    assert state["output"] == {"t": text, "lit": "naïve ☂"}
