# SPDX-License-Identifier: Apache-2.0
"""`tutti simulate`: a user's workflow under simulated faults. No server is needed: nothing outside is called."""
import json
import os
import re
import shutil

import pytest
import yaml

from harness.base import ROOT, program
from harness.installation import run_program

# These run to their end on answers that simulate makes up; those below branch on what their tools say.
PLAIN = [ROOT / "examples" / f"{name}.yaml" for name in
         ("exec_tool", "fan_out", "hello", "http_tool", "investor_summary", "order_trigger")]
BRANCHING = {
    "content_moderation": {"content_id": "p-1", "text": "Hello."},
    "csv_pipeline": {"file": "customers.csv"},
    "customer_service": {"message": "Where is it?", "order_id": "o-1", "email": "a@example.org"},
    "e_commerce_order": {"order_id": "o-1", "email": "a@example.org", "items": [{"sku": "tea", "count": 2}]},
    "financial_transaction": {"id": "x-1", "source": "acc-1", "target": "acc-2", "amount": 10000.01,
                              "email": "a@example.org"},
    "hybrid_search": {"query": "refund", "wanted": 1},
    "map_reduce": {"file": "articles.csv"},
    "support_router": {"question": "Where is my parcel?", "order_id": "o-1", "email": "a@example.org"},
    "urgent_ticket": {"id": "t-1", "text": "The shop is down"},
}
BROKEN = sorted((ROOT / "tests/data/broken").glob("*.yaml"))
INPUT = json.dumps({"name": "Ada", "text": "a b c", "item": "tea", "ticket": 3, "document": "a report",
                    "order_id": "o-1", "amount": 2000, "source": "/partners/x"})
ENDS = ("completed", "failed", "cancelled", "rolled_back", "unfinished")
ANSWERS = {"exec_tool": {"count": {"output": {"words": 312}}}}


def simulate(*args, **more):
    return run_program("tutti", "simulate", *args, seconds=120, **more)


def numbers(*args, code=0):
    done = simulate(*args, "--json")
    assert done.code == code and done.err == "", done
    return json.loads(done.out.splitlines()[-1])


def write(path, value):
    path.write_text(yaml.safe_dump(value))
    return path


def workflow(tmp_path, *steps, **more):
    return write(tmp_path / "w.yaml", {"workflow": "mine", "version": "1.0.0", "steps": list(steps), **more})


@pytest.mark.parametrize("path", PLAIN, ids=lambda p: p.stem)
def test_an_example_survives_many_faults(path, tmp_path):
    mocks = write(tmp_path / "mocks.yaml", ANSWERS.get(path.stem, {}))
    said = numbers(path, "--input", INPUT, "--mocks", mocks, "--faults", "many", "--seeds", "40")
    assert said["violations"] == 0 and said["found"] == []
    assert said["seeds"] == 40 and said["runs"] <= 200 and said["faults"] > 200
    assert said["completed"] > 150, said["failures"]
    assert sum(said[end] for end in ENDS) == said["runs"]
    assert all("simulated fault" in f["message"] for f in said["failures"]), said["failures"]


def test_every_example_is_simulated():
    names = {p.stem for p in (ROOT / "examples").glob("*.yaml") if not p.stem.endswith(".test")}
    assert names == {p.stem for p in PLAIN} | set(BRANCHING)


@pytest.mark.parametrize("name", BRANCHING)
def test_an_example_that_branches_keeps_every_promise(name):
    said = numbers(ROOT / f"examples/{name}.yaml", "--input", json.dumps(BRANCHING[name]), "--faults", "many", "--seeds", "40")
    assert said["violations"] == 0 and said["found"] == []
    assert said["seeds"] == 40 and said["runs"] <= 200 and said["faults"] > 200
    assert sum(said[end] for end in ENDS) == said["runs"]


@pytest.mark.parametrize("path", PLAIN, ids=lambda p: p.stem)
def test_without_faults_every_run_completes_and_no_call_is_made_twice(path, tmp_path):
    mocks = write(tmp_path / "mocks.yaml", ANSWERS.get(path.stem, {}))
    said = numbers(path, "--input", INPUT, "--mocks", mocks, "--faults", "none", "--seeds", "20", "--runs", "7")
    assert (said["runs"], said["completed"], said["faults"]) == (140, 140, 0)
    assert (said["repeated_calls"], said["retried_calls"], said["faults_by_kind"]) == (0, 0, {})


def test_the_same_seeds_say_the_same_byte_for_byte():
    path = ROOT / "examples/investor_summary.yaml"
    first, again = (simulate(path, "--input", INPUT, "--seeds", "50") for _ in range(2))
    assert first.code == 0 and first.out == again.out and first.err == again.err
    traced, once_more = (simulate(path, "--input", INPUT, "--seed", "4", "--trace") for _ in range(2))
    assert traced.out == once_more.out and traced.err == once_more.err
    assert re.search(r"has ended: completed", traced.err) and "calls the tool for" in traced.err
    assert "1 seed of 5 runs" in traced.out


def test_the_summary_says_what_was_counted():
    path = ROOT / "examples/investor_summary.yaml"
    words = simulate(path, "--input", INPUT, "--seeds", "50", "--faults", "many").out
    said = numbers(path, "--input", INPUT, "--seeds", "50", "--faults", "many")
    assert words.startswith("investor-summary@1.0.0: 50 seeds of 5 runs, faults many\n")
    assert re.search(rf"runs +{said['runs']}: {said['completed']} completed, {said['failed']} failed", words)
    assert re.search(rf"calls +{said['calls']}: {said['retried_calls']} again", words)
    assert re.search(rf"faults +{said['faults']}: ", words)
    assert re.search(r"violations +0\n", words)
    assert sum(said["faults_by_kind"].values()) == said["faults"]
    assert said["repeated_calls"] > 0, "workers die while they call"


def test_a_step_that_fails_as_mocked_fails_the_runs_and_says_why(tmp_path):
    path = workflow(tmp_path, {"name": "ask", "type": "task", "uses": "x"})
    mocks = write(tmp_path / "m.yaml", {"ask": {"error": {"type": "refused", "message": "not today"}}})
    said = numbers(path, "--mocks", mocks, "--seeds", "10", "--faults", "none")
    assert (said["runs"], said["failed"], said["violations"]) == (50, 50, 0)
    assert said["failures"] == [{"status": "failed", "type": "refused", "step": "ask", "count": 50, "message": "not today", "seed": 1}]
    words = simulate(path, "--mocks", mocks, "--seeds", "10", "--faults", "none")
    assert words.code == 0 and re.search(r"failed +50  refused at ask: not today", words.out), words


def test_successive_attempts_have_answers_of_their_own(tmp_path):
    path = workflow(tmp_path, {"name": "ask", "type": "llm", "prompt": "hi", "retry": {"max_attempts": 3, "initial": "1s"}},
                    output={"said": "${steps.ask.output}"})
    twice = [{"error": {"type": "overloaded"}}, {"error": {"type": "rate_limited"}}, {"output": "at last"}]
    mocks = write(tmp_path / "m.yaml", {"ask": twice})
    said = numbers(path, "--mocks", mocks, "--seeds", "10", "--faults", "none")
    assert (said["completed"], said["calls"], said["retried_calls"], said["repeated_calls"]) == (50, 150, 100, 0)
    write(mocks, {"ask": [{"error": {"type": "overloaded", "retryable": False}}, {"output": "at last"}]})
    said = numbers(path, "--mocks", mocks, "--seeds", "10", "--faults", "none")
    assert (said["failed"], said["calls"]) == (50, 50)


def test_a_mock_may_be_made_of_what_the_task_got(tmp_path):
    path = workflow(tmp_path, {"name": "ask", "type": "task", "uses": "x", "input": {"n": 20}},
                    {"name": "check", "type": "conditional", "cases": [{"when": "steps.ask.output.m == 21", "steps": []}],
                     "else": [{"name": "wrong", "type": "task", "uses": "y"}]})
    mocks = write(tmp_path / "m.yaml", {"ask": {"output": {"m": "${input.n + 1}"}}, "wrong": {"error": {"type": "refused"}}})
    said = numbers(path, "--mocks", mocks, "--seeds", "5", "--faults", "none")
    assert (said["completed"], said["calls"]) == (25, 25)
    write(mocks, {"ask": {"output": {"m": "${inputs.n}"}}})
    said = numbers(path, "--mocks", mocks, "--seeds", "1", "--faults", "none")
    assert said["failed"] == 5 and "inputs is unknown" in said["failures"][0]["message"]


def test_an_answer_that_an_expression_misses_is_named_and_a_mock_helps(tmp_path):
    path = workflow(tmp_path, {"name": "ask", "type": "exec", "command": "x"}, output={"n": "${steps.ask.output.n}"})
    done = simulate(path, "--seeds", "5", "--faults", "none")
    assert done.code == 0 and "25 failed" in done.out and "expression" in done.out and "--mocks" in done.out, done
    mocks = write(tmp_path / "m.yaml", {"ask": {"output": {"n": 1}}})
    assert numbers(path, "--mocks", mocks, "--seeds", "5", "--faults", "none")["completed"] == 25


def test_every_type_of_step_runs_and_a_schema_is_answered_with_what_fits(tmp_path):
    schema = {"type": "object", "required": ["n", "f", "tag", "list"], "properties": {
        "n": {"type": "integer", "minimum": 5, "exclusiveMaximum": 7}, "tag": {"enum": ["x", "y"]},
        "f": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
        "list": {"type": "array", "minItems": 3, "items": {"type": "string", "minLength": 12, "maxLength": 12}}}}
    long_name = "a" * 100
    path = workflow(
        tmp_path,
        {"name": long_name, "type": "task", "uses": "first", "queue": "urgent", "output_schema": schema},
        {"name": "both", "type": "parallel", "branches": {
            "left": [{"name": "page", "type": "http", "url": "http://example.com/"}],
            "right": [{"name": "words", "type": "llm", "prompt": "hi", "output_schema": schema},
                      {"name": "run", "type": "exec", "command": "prog", "queue": "other"}]}},
        {"name": "route", "type": "conditional",
         "cases": [{"when": f"steps.{long_name}.output.n > 1 && steps.words.output.list.size() == 3",
                    "steps": [{"name": "yes", "type": "set", "vars": {"n": "${steps.page.output.status}"}}]}],
         "else": [{"name": "no", "type": "task", "uses": "q"}]},
        output="${vars.n}")
    assert numbers(path, "--faults", "none", "--seeds", "20")["completed"] == 100
    said = numbers(path, "--faults", "many", "--seeds", "40")
    assert said["violations"] == 0 and said["completed"] > 150, said


def test_triggers_are_left_out_with_a_note():
    done = simulate(ROOT / "examples/order_trigger.yaml", "--input", INPUT, "--seeds", "3")
    assert done.code == 0 and "triggers are left out" in done.err, done


def test_long_timeouts_and_retries_are_waited_for_in_virtual_time(tmp_path):
    path = workflow(tmp_path, {"name": "ask", "type": "task", "uses": "x", "retry": {
        "max_attempts": 3, "backoff": "fixed", "initial": "2h", "max": "2h"}}, limits={"timeout": "30h"})
    mocks = write(tmp_path / "m.yaml", {"ask": [{"error": {"type": "overloaded"}}, {"output": 1}]})
    said = numbers(path, "--mocks", mocks, "--seeds", "2", "--faults", "none")
    assert said["completed"] == 10 and said["virtual_ms"] > 3_600_000, said


@pytest.mark.parametrize("path", BROKEN[:3], ids=lambda p: p.stem)
def test_a_bad_file_is_refused_as_by_validate(path):
    expected = run_program("tutti", "validate", path)
    done = simulate(path)
    assert (done.code, done.out, done.err) == (2, "", expected.err)


@pytest.mark.parametrize("mocks,words", [
    ("ask: {output: 1", "m.yaml:2:1:"),
    ("[1]", "a mapping"),
    ("nobody: {output: 1}", "no step nobody"),
    ("same: {output: 1}", "no worker is called"),
    ("put: {output: 1}", "no worker is called"),
    ("ask: 5", "wants {output: VALUE}"),
    ("ask: {output: 1, error: {type: refused}}", "wants {output: VALUE}"),
    ("ask: []", "the list is empty"),
    ("\nask: {error: {type: nonsense}}", "m.yaml:2:"),
    ("ask: {error: {type: refused, mesage: x}}", "error has type, message"),
    ("ask: {output: 1}", "output_schema"),
])
def test_mocks_that_cannot_be_are_refused_with_the_place(tmp_path, mocks, words):
    path = workflow(tmp_path, {"name": "ask", "type": "task", "uses": "x", "output_schema": {"type": "string"}},
                    {"name": "same", "type": "task", "uses": "noop"}, {"name": "put", "type": "set", "vars": {"a": 1}})
    file = tmp_path / "m.yaml"
    file.write_text(mocks)
    done = simulate(path, "--mocks", file)
    assert done.code == 2 and done.out == "" and words in done.err and "m.yaml:" in done.err, done


def test_what_else_is_wrong_is_said(tmp_path):
    hello = ROOT / "examples/hello.yaml"
    wide = workflow(tmp_path, *({"name": f"s{i}", "type": "set", "vars": {"a": 1}} for i in range(100)))
    for args, code, words in (((hello,), 2, "input schema"), ((hello, "--input-json", "{"), 2, "the input"),
                              ((hello, "--trace"), 2, "--seed"), ((hello, "--faults", "plenty"), 2, "mixed"),
                              ((hello, "--runs", "0"), 2, "--runs"), ((wide, "--runs", "201"), 2, "20000 steps"), (("no-such.yaml",), 3, "no-such.yaml"),
                              ((hello, "--input", INPUT, "--mocks", "no-mocks.yaml"), 3, "no-mocks.yaml")):
        done = simulate(*args)
        assert done.code == code and words in done.err and done.out == "", done
    error = json.loads(simulate(hello, "--json").err)["error"]
    assert (error["command"], error["exit_code"]) == ("simulate", 2)


def test_a_workflow_comes_from_standard_input_too():
    text = (ROOT / "examples/hello.yaml").read_text()
    done = simulate("-", "--input", INPUT, "--seeds", "2", stdin=text)
    assert done.code == 0 and done.out.startswith("hello@1.0.0: 2 seeds"), done


def test_a_missing_simulator_is_said_clearly(tmp_path):
    copy = shutil.copy(program("tutti"), tmp_path / "tutti")
    env = {"PATH": os.defpath}
    done = run_program(copy, "simulate", ROOT / "examples/hello.yaml", "--input", INPUT, env=env)
    assert done.code == 3 and "tutti-simulator" in done.err and "PATH" in done.err and "build" in done.err, done


def asking(tmp_path):
    return workflow(tmp_path, {"name": "book", "type": "task", "uses": "x",
                               "compensate": [{"name": "unbook", "type": "task", "uses": "x"}]},
                    {"name": "review", "type": "human_approval", "approvers": ["ann", "role:lead"], "quorum": 2},
                    {"name": "paid", "type": "wait", "signal": "payment", "match": "signal.amount > 10"},
                    {"name": "sent", "type": "task", "uses": "x", "if": "signal.amount == 20"}, on_error="rollback")


def test_people_say_what_the_mocks_have_for_them(tmp_path):
    mocks = write(tmp_path / "m.yaml", {"review": {"approve": True, "comment": "fine", "after": "2s"},
                                        "paid": {"signal": {"amount": 20}}})
    said = numbers(asking(tmp_path), "--mocks", mocks, "--faults", "none", "--seeds", "20")
    assert (said["completed"], said["calls"]) == (100, 200), said["failures"]
    said = numbers(asking(tmp_path), "--mocks", mocks, "--faults", "many", "--seeds", "40")
    assert said["violations"] == 0 and said["completed"] > 180, said["failures"]


def test_a_run_that_is_rolled_back_has_not_failed(tmp_path):
    mocks = write(tmp_path / "m.yaml", {"review": {"reject": True, "by": "ann", "comment": "no"}})
    said = numbers(asking(tmp_path), "--mocks", mocks, "--faults", "none", "--seeds", "20")
    assert (said["rolled_back"], said["failed"], said["calls"]) == (100, 0, 200), "each booking is undone"
    assert said["failures"] == [{"status": "rolled_back", "type": "rejected", "step": "review", "count": 100,
                                 "message": "no", "seed": 1}]
    words = simulate(asking(tmp_path), "--mocks", mocks, "--faults", "none", "--seeds", "20")
    assert "100 rolled back\n  rolled back    100  rejected at review: no (seed 1)\n" in words.out
    assert words.err == "paid waits for people, and nobody answers: see --mocks and --approve\n"


def test_everybody_approves_if_told_so(tmp_path):
    path = workflow(tmp_path, {"name": "review", "type": "human_approval", "quorum": 3},
                    {"name": "go", "type": "wait", "signal": "go"},
                    {"name": "ask", "type": "task", "uses": "x", "on_error": {"escalate": ["ann"]}})
    mocks = write(tmp_path / "m.yaml", {"ask": {"error": {"type": "refused", "message": "no"}}})
    said = numbers(path, "--mocks", mocks, "--approve", "--faults", "none", "--seeds", "20")
    assert said["completed"] == 100, said["failures"]


@pytest.mark.parametrize("answer, what", [
    ({"approve": True, "bye": "ann"}, ":3:1: 'bye' is not known here"),
    ({"approved": True}, ":1:1: review asks people: approve: true or reject: true is needed"),
    ({"approve": True, "after": "soon"}, ":2:10: after is a duration")])
def test_an_answer_that_cannot_be_is_refused(answer, what, tmp_path):
    mocks = write(tmp_path / "m.yaml", {"review": answer})
    done = simulate(asking(tmp_path), "--mocks", mocks)
    assert done.code == 2 and "m.yaml:" in done.err and what.split(": ", 1)[1] in done.err, done.err
