# SPDX-License-Identifier: Apache-2.0
"""`tutti test`: the test cases of workflows, played on the engine. No server is needed."""
import json
import time

import pytest
import yaml

from harness.base import ROOT, SLOW
from harness.installation import run_program

SUITES = sorted((ROOT / "examples").glob("*.test.yaml"))
ASK = {"name": "ask", "type": "llm", "prompt": "hi ${input.x}", "retry": {"max_attempts": 2, "initial": "1s"}}
GET = {"name": "get", "type": "http", "url": "https://x.example.com/"}
SAME = {"name": "same", "type": "task", "uses": "noop"}


class Files:
    """A workflow and its cases in a directory."""

    def __init__(self, path, steps, **more):
        self.workflow, self.suite = path / "w.yaml", path / "w.test.yaml"
        self.write(self.workflow, {"workflow": "w", "version": "1.0.0", "steps": steps, **more})

    @staticmethod
    def write(path, value):
        path.write_text(value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False))

    def test(self, *cases, args=(), **more):
        self.write(self.suite, {**more, "cases": [{"name": f"case {i}", **c} for i, c in enumerate(cases)]})
        return run_program("tutti", "test", self.workflow, *args, seconds=60)

    def problems(self, *cases, **more):
        """What the cases are found guilty of, a list of messages each."""
        done = self.test(*cases, args=["--json"], **more)
        assert done.err == "", done
        return [[p["message"] for p in c["problems"]] for c in json.loads(done.out)["files"][0]["cases"]]


@pytest.fixture
def ask(tmp_path):
    return Files(tmp_path, [ASK])


def test_the_examples_are_green_in_under_a_second():
    begin = time.monotonic()
    done = run_program("tutti", "test", ROOT / "examples", "--coverage")
    seconds = time.monotonic() - begin
    assert done.code == 0 and done.err == "" and " 0 failed" in done.out, done
    assert seconds < 1 * SLOW, f"{seconds:.2f} s"
    assert "never" not in done.out, "a step of an example that no case runs"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_every_example_has_tests(path):
    if not path.name.endswith(".test.yaml"):
        assert path.with_suffix(".test.yaml") in SUITES


@pytest.mark.parametrize("path", SUITES, ids=lambda p: p.name)
def test_the_files_of_cases_fit_the_schema_for_editors(path):
    done = run_program("tutti", "schema", "check", ROOT / "schemas/workflow-test.schema.json", path)
    assert (done.code, done.out, done.err) == (0, "", ""), done


def test_the_example_of_the_page_is_green(tmp_path):
    page = (ROOT / "docs/testing-workflows.md").read_text()
    example = page[page.index("```yaml\n") + 8:]
    path = tmp_path / "page.test.yaml"
    path.write_text(f"workflow: {ROOT}/examples/investor_summary.yaml\n" + example[:example.index("```")])
    done = run_program("tutti", "test", path)
    assert done.code == 0 and "2 passed, 0 failed" in done.out, done
    assert run_program("tutti", "fmt", "--check", path).code == 0


def test_a_case_that_holds_is_ok_and_one_that_does_not_is_shown_with_its_line(ask):
    mocks = {"ask": {"output": {"a": [1, {"b": "x"}], "c": 1}}}
    done = ask.test({"mocks": mocks, "input": {"x": 1}, "expect": {"output": {"a": [1, {"b": "x"}], "c": 1.0}}},
                    {"mocks": mocks, "input": {"x": 1}, "expect": {"output": {"a": [1, {"b": "y"}], "d": 2}}})
    assert done.code == 1 and done.out.endswith("1 passed, 1 failed\n"), done
    assert "ok      case 0" in done.out and "FAILED  case 1 (line " in done.out
    line = ask.suite.read_text().splitlines().index("    output:", 20) + 2
    for text in ('output.a[1].b: expected "y", got "x"', "output.d: expected 2, got nothing",
                 "output.c: expected nothing, got 1"):
        assert f"line {line}: {text}" in done.out, (text, done.out, line)


def test_a_partial_match_ignores_what_is_not_named(ask):
    mocks = {"ask": {"output": {"a": {"b": 1, "c": 2}, "l": [{"x": 1, "y": 2}]}}}
    case = {"mocks": mocks, "input": {"x": 1}}
    good, bad = ({**case, "expect": {"output_has": {"a": {"b": n}, "l": [{"y": 2}]}}} for n in (1, 2))
    short = {**case, "expect": {"output_has": {"l": []}}}
    assert ask.problems(good, bad, short) == [[], ["output.a.b: expected 2, got 1"],
                                              ['output.l: expected [], got [{"x":1,"y":2}]']]


def test_a_step_without_a_mock_fails_the_case_and_shows_the_mock_to_write(tmp_path):
    files = Files(tmp_path, [{**ASK, "output_schema": {"type": "object", "required": ["n"],
                                                       "properties": {"n": {"type": "integer", "minimum": 3}}}}])
    [[text]] = files.problems({"input": {"x": 1}})
    head, example = text.split("such as\n")
    assert head.startswith("step ask (llm) was called and has no mock.")
    done = files.test({"input": {"x": 1}, "mocks": yaml.safe_load(example)})
    assert done.code == 0, done


def test_noop_gives_its_input_back_and_can_be_mocked(tmp_path):
    files = Files(tmp_path, [SAME])
    assert files.problems({"input": {"a": 1}, "expect": {"output": {"a": 1}}},
                          {"mocks": {"same": {"output": 7}}, "expect": {"output": 7}}) == [[], []]


def test_attempts_have_answers_of_their_own_and_time_is_virtual(ask):
    later = {"error": {"type": "rate_limited", "message": "later", "retry_after_ms": 3600000}}
    case = {"input": {"x": 1}, "mocks": {"ask": [later, {"output": "at last", "after": "2h"}]}}
    begin = time.monotonic()
    wanted = {"output": "at last", "calls": {"ask": 2}, "steps": {"ask": {"attempts": 2, "status": "completed"}},
              "duration": {"min": "3h", "max": "3h"}}
    slow = {"limits": {"timeout": "1d"}, "defaults": {"timeout": "3h"}}
    ask.write(ask.workflow, {**yaml.safe_load(ask.workflow.read_text()), **slow})
    assert ask.problems({**case, "expect": wanted}) == [[]]
    assert time.monotonic() - begin < 5 * SLOW
    [[text]] = ask.problems({**case, "expect": {**wanted, "duration": "1h"}})
    assert text == 'duration: expected "1h", got 10800000ms'


def test_a_call_that_takes_longer_than_its_timeout_is_cut_off(tmp_path):
    files = Files(tmp_path, [{**GET, "timeout": "10s", "retry": {"max_attempts": 1}}])
    case = {"mocks": {"get": {"output": {}, "after": "11s"}}}
    assert files.problems({**case, "expect": {"error": {"type": "timeout", "message": "10000 ms"}, "duration": "10s"}},
                          {"mocks": {"get": {"output": {}, "after": "10s"}}}) == [[], []]


def test_a_mock_sees_what_the_task_got(ask):
    output = {"said": "${input.messages[0].content}", "try": "${attempt}", "call": "${call}", "where": "${path}",
              "literal": "$${x}"}
    wanted = {"said": "hi 1", "try": 1, "call": 1, "where": "ask", "literal": "${x}"}
    unknown = {"input": {"x": 1}, "mocks": {"ask": {"output": "${inputs.x}"}}}
    good, bad = ask.problems({"input": {"x": 1}, "mocks": {"ask": {"output": output}}, "expect": {"output": wanted}}, unknown)
    assert good == [] and "the mock of ask" in bad[0] and "inputs is unknown" in bad[0]


def test_what_a_step_got_and_gave_is_expected_by_name(tmp_path):
    files = Files(tmp_path, [GET, {**SAME, "input": {"n": "${steps.get.output.n}"}}])
    case = {"mocks": {"get": {"output": {"n": 5}}}}
    steps = {"get": {"input_has": {"url": "https://x.example.com/"}, "output": {"n": 5}}, "same": {"input": {"n": 6}}}
    assert files.problems({**case, "expect": {"steps": steps}}) == [["steps.same.input.n: expected 6, got 5"]]


def test_the_way_is_exact_or_a_part_of_it(tmp_path):
    files = Files(tmp_path, [{**SAME, "name": n} for n in ("a", "b", "c")])
    good, short, order, part, gone = files.problems(*({"expect": e} for e in (
        {"path": ["a", "b", "c"]}, {"path": ["a", "b"]}, {"path": ["b", "a", "c"]}, {"path_has": ["a", "c"]},
        {"path_has": ["c", "a"]})))
    assert good == part == []
    assert "expected a, b\n  got      a, b, c" in short[0] and order and "a is missing, or out of order" in gone[0]


def test_errors_are_expected_by_type_and_part_of_the_message(ask):
    case = {"input": {"x": 1}, "mocks": {"ask": {"error": {"type": "refused", "message": "I will not do that"}}}}
    good, kind, words, surprise = ask.problems(*({**case, "expect": e} for e in (
        {"error": {"type": "refused", "message": "not do", "step": "ask"}}, {"error": {"type": "auth"}},
        {"error": {"message": "cannot"}}, {"output": "x"})))
    assert good == []
    assert kind == ['error.type: expected "auth", got "refused"']
    assert words == ['error.message: expected something with "cannot", got "I will not do that"']
    assert surprise[0] == "status: expected completed, got failed (refused at ask: I will not do that)"


def test_expressions_may_hold(ask):
    case = {"input": {"x": 1}, "mocks": {"ask": {"output": "long enough", "after": "2s"}}}
    good, bad = ask.problems({**case, "expect": {"holds": ["size(output) > 5", "steps.ask.attempts == input.x",
                                                           "duration_ms == 2000"]}},
                             {**case, "expect": {"holds": ["output == 'short'", "nothing"]}})
    assert good == [] and bad[0] == "holds: output == 'short': it does not" and "nothing is unknown" in bad[1]


def test_events_come_in_virtual_time(ask):
    case = {"input": {"x": 1}, "mocks": {"ask": {"output": "x", "after": "30s"}}}
    gone = {**case, "events": [{"at": "10s", "cancel": "enough"}],
            "expect": {"status": "cancelled", "error": {"message": "enough"}, "duration": "10s"}}
    late = {**case, "events": [{"at": "1m", "cancel": True}]}
    held = {**case, "events": [{"at": "40m", "resume": True}, {"at": "10s", "pause": "look"}],
            "expect": {"output": "x", "duration": "40m"}}
    assert ask.problems(gone, late, held) == [[], ["the run had ended before this event (cancel)"], []]


REVIEW = {"name": "review", "type": "human_approval", "approvers": ["ann", "bob"], "timeout": "30m"}


def test_people_answer_in_virtual_time(tmp_path):
    files = Files(tmp_path, [{**REVIEW, "show": {"text": "draft"}, "editable": ["text"]}])
    yes = {"at": "5m", "approve": "review", "by": "ann", "comment": "fine", "values": {"text": "better"}}
    assert files.problems(
        {"events": [yes], "expect": {"duration": "5m", "output_has": {"by": ["ann"], "comment": "fine", "values": {"text": "better"}}}},
        {"events": [{"at": "1m", "reject": "review", "by": "bob", "comment": "no"}],
         "expect": {"error": {"type": "rejected", "step": "review"}, "duration": "1m"}},
        {"expect": {"error": {"type": "rejected"}, "duration": "30m"}}) == [[], [], []]


def test_an_answer_that_nobody_asked_for_fails_the_case(tmp_path):
    files = Files(tmp_path, [{**SAME, "name": "before"}, REVIEW])
    stranger, unasked = files.problems({"events": [{"at": "1m", "approve": "review", "by": "eve"}, {"at": "2m", "approve": "review", "by": "ann"}]},
                                       {"events": [{"at": "1m", "approve": "before"}, {"at": "2m", "approve": "review", "by": "ann"}]})
    assert len(stranger) == 1 and "approve had no effect" in stranger[0] and "may not answer" in stranger[0]
    assert len(unasked) == 1 and "nobody was asked by before" in unasked[0]


def test_a_role_is_answered_by_those_who_have_it(tmp_path):
    files = Files(tmp_path, [{**REVIEW, "approvers": ["role:finance"]}])
    yes = {"at": "1m", "approve": "review", "by": "eve"}
    with_role, without = files.problems({"events": [{**yes, "roles": ["sales", "finance"]}]}, {"events": [{**yes, "roles": ["sales"]}]})
    assert with_role == [] and "may not answer" in without[0]


def test_who_waited_when_time_ran_out_is_named(tmp_path):
    files = Files(tmp_path, [{"name": "paid", "type": "wait", "signal": "payment"}], limits={"timeout": "2h"})
    [[status, waiting]] = files.problems({})
    assert "timeout" in status and "paid (wait)" in waiting


def test_signals_reach_their_wait_even_if_they_come_before_it(tmp_path):
    wait = {"name": "paid", "type": "wait", "signal": "payment", "match": "signal.amount > 10", "timeout": "20m"}
    files = Files(tmp_path, [GET, wait], output={"amount": "${steps.paid.output.amount}"})
    mocks = {"get": {"output": {}, "after": "5m"}}
    few, much = ({"at": f"{n}m", "signal": "payment", "data": {"amount": n * 10}} for n in (1, 2))
    assert files.problems({"mocks": mocks, "events": [few, much], "expect": {"output": {"amount": 20}, "duration": "5m"}},
                          {"mocks": mocks, "events": [few], "expect": {"error": {"type": "timeout"}, "duration": "25m"}}) == [[], []]


def test_items_and_iterations_have_paths(tmp_path):
    files = Files(tmp_path, [
        {"name": "docs", "type": "map", "over": "${input.list}", "on_item_error": "collect",
         "steps": [{"name": "read", "type": "task", "uses": "x", "input": {"item": "${item}"}}]},
        {"name": "again", "type": "loop", "until": "steps.ask.output.n >= 2", "max_iterations": 5,
         "steps": [{"name": "ask", "type": "task", "uses": "y", "input": {}}]}])
    mocks = {"read": {"output": "${input.item * 10}", "after": "1s"}, "docs[1]/read": {"error": {"type": "refused"}},
             "ask": {"output": {"n": "${index}", "call": "${call}"}}}
    good = {"output": {"n": 2, "call": 3}, "calls": {"read": 3, "ask": 3, "docs[0]/read": 1}, "duration": "1s",
            "steps": {"docs[0]/read": {"output": 10, "input": {"item": 1}}, "docs[1]/read": {"status": "failed"},
                      "again[1]/ask": {"output_has": {"n": 1}}},
            "path": ["docs[0]/read", "docs[2]/read", "again[0]/ask", "ask", "again[2]/ask"]}
    case = {"input": {"list": [1, 2, 3]}, "mocks": mocks}
    assert files.problems({**case, "expect": good}, {**case, "expect": {"steps": {"read": {"calls": 3}}}}) == \
        [[], ["steps.read: it ran 3 times; name one by its path, such as docs[0]/read"]]


def test_a_router_takes_the_choice_of_its_mock(tmp_path):
    choices = {n: {"description": n, "steps": [{**SAME, "name": f"to-{n}"}]} for n in ("orders", "billing")}
    files = Files(tmp_path, [{"name": "pick", "type": "router", "prompt": "?", "choices": choices}])
    assert files.problems({"mocks": {"pick": {"output": {"choice": "orders"}}}, "expect": {"path": ["to-orders", "pick"]}}) == [[]]


def test_what_was_done_is_undone(tmp_path):
    files = Files(tmp_path, [{**SAME, "name": n, "compensate": [{**SAME, "name": f"un{n}"}]} for n in ("a", "b")] +
                  [{"name": "boom", "type": "fail", "error": "no"}], on_error="rollback")
    assert files.problems({"expect": {"status": "rolled_back", "path": ["a", "b", "unb", "una"]}}) == [[]]
    files = Files(tmp_path, [{**SAME, "name": "a", "compensate": [{**SAME, "name": "una"}]}, GET])
    case = {"mocks": {"get": {"output": {}, "after": "9m"}}}
    end = {"at": "1m", "cancel": "enough"}
    assert files.problems({**case, "events": [end], "expect": {"status": "cancelled", "path": ["a"]}},
                          {**case, "events": [{**end, "compensate": True}], "expect": {"status": "cancelled", "path": ["a", "una"]}}) == [[], []]


def test_a_child_workflow_answers_as_mocked(tmp_path):
    bill = {"name": "bill", "type": "workflow", "workflow": "billing", "input": {"n": "${input.n}"}, "on_error": "continue"}
    mail = {"name": "mail", "type": "workflow", "workflow": "mailing", "wait": False}
    files = Files(tmp_path, [bill, mail], output={"bill": "${steps.bill.output}", "error": "${steps.bill.error}"})
    case = {"input": {"n": 3}}
    good, failed, gone, unmocked = files.problems(
        {**case, "mocks": {"bill": {"output": {"paid": "${input.n * 2}"}, "after": "5m"}},
         "expect": {"output_has": {"bill": {"paid": 6}}, "steps": {"bill": {"input": {"n": 3}, "calls": 1}},
                    "path": ["bill", "mail"], "duration": "5m"}},
        {**case, "mocks": {"bill": {"error": {"type": "refused", "message": "no money"}}},
         "expect": {"output_has": {"error": {"type": "refused"}}, "holds": ["output.error.message.contains('no money')"]}},
        {**case, "mocks": {"bill": {"output": {}, "after": "20m"}}, "events": [{"at": "10m", "cancel": True}],
         "expect": {"status": "cancelled", "duration": "10m"}},
        case)
    assert good == failed == gone == [] and "step bill (workflow) was called and has no mock" in unmocked[0]


def test_usage_counts_against_the_budget(tmp_path):
    files = Files(tmp_path, [ASK, {**ASK, "name": "again"}], limits={"budget": {"usd": 0.5}})
    case = {"input": {"x": 1}, "mocks": {"ask": {"output": 1, "usage": {"usd": 0.5}}, "again": {"output": 2}}}
    assert files.problems({**case, "expect": {"error": {"type": "budget_exceeded"}, "calls": {"again": 0}}}) == [[]]


def test_one_case_alone_by_its_name(ask):
    done = ask.test({"input": {"x": 1}}, {"input": {"x": 1}, "mocks": {"ask": {"output": 1}}}, args=["--case", "case 1"])
    assert done.code == 0 and done.out.endswith("1 passed, 0 failed\n"), done
    done = ask.test({}, args=["--case", "no such"])
    assert done.code == 3 and "no such" in done.err, done


def test_hundreds_of_cases_take_no_time(ask):
    mocks = {"ask": [{"error": {"type": "overloaded"}}, {"output": 1, "after": "5m"}]}
    cases = [{"input": {"x": i}, "mocks": mocks, "expect": {"output": 1}} for i in range(500)]
    ask.test(*cases)
    begin = time.monotonic()
    done = run_program("tutti", "test", ask.suite)
    assert done.code == 0 and done.out.endswith("500 passed, 0 failed\n")
    assert time.monotonic() - begin < 1 * SLOW


def test_the_steps_that_no_case_runs_are_named(tmp_path):
    either = {"name": "either", "type": "conditional", "cases": [{"when": "input.a", "steps": [{**SAME, "name": "yes"}]}],
              "else": [{**SAME, "name": "no"}]}
    files = Files(tmp_path, [either])
    done = files.test({"input": {"a": True}}, args=["--coverage"])
    assert done.code == 0 and "steps   2 of 3; never: no" in done.out, done
    said = json.loads(files.test({"input": {"a": True}}, args=["--coverage", "--json"]).out)
    assert said["files"][0]["coverage"] == {"steps": 3, "covered": 2, "never": ["no"]}
    assert (said["passed"], said["failed"]) == (1, 0)


def test_a_directory_is_searched_and_its_own_files_found(tmp_path):
    (tmp_path / "deep").mkdir()
    files = Files(tmp_path / "deep", [SAME])
    files.test({})
    done = run_program("tutti", "test", tmp_path)
    assert done.code == 0 and "deep/w.test.yaml" in done.out, done
    (tmp_path / "empty").mkdir()
    done = run_program("tutti", "test", tmp_path / "empty")
    assert done.code == 3 and "no tests" in done.err, done
    files.suite.rename(tmp_path / "deep" / "other.test.yaml")
    done = run_program("tutti", "test", files.workflow)
    assert done.code == 3 and "w.test.yaml beside it" in done.err, done
    Files.write(tmp_path / "deep" / "other.test.yaml", {"workflow": "w.yaml", "cases": [{"name": "x"}]})
    assert run_program("tutti", "test", tmp_path).code == 0


@pytest.mark.parametrize("text,place,words", [
    ("cases: [", ":2:1:", "expected node"),
    ("cases: []", ":1:", "at least one case"),
    ("cases:\n- nmae: x", ":2:3", "nmae is not known"),
    ("cases:\n- input: {}", ":2:3", "needs a name"),
    ("cases:\n- name: x\n- name: x", ":3:3", "line 2 already"),
    ("mocks: {asked: {output: 1}}\ncases: [{name: x}]", ":1:", "no step asked"),
    ("cases:\n- name: x\n  mocks: {ask: {output: 1, error: {type: lost}}}", ":3:", "wants {output"),
    ("cases:\n- name: x\n  mocks: {ask: {error: {type: nope}}}", ":3:", "one of timeout"),
    ("cases:\n- name: x\n  mocks: {ask: {output: '${'}}", ":3:", ""),
    ("cases:\n- name: x\n  mocks: {ask: {output: 1, after: soon}}", ":3:", "a duration"),
    ("cases:\n- name: x\n  events: [{at: 1s}]", ":3:", "exactly one of"),
    ("cases:\n- name: x\n  events: [{at: 1s, cancel: true, by: ann}]", ":3:", "by is not known"),
    ("cases:\n- name: x\n  expect: {ouput: 1}", ":3:", "ouput is not known"),
    ("cases:\n- name: x\n  expect: {status: done}", ":3:", "status is one of"),
    ("cases:\n- name: x\n  expect: {path: [nobody]}", ":3:", "no step nobody"),
    ("cases:\n- name: x\n  expect: {steps: {ask: {outptu: 1}}}", ":3:", "outptu"),
    ("cases:\n- name: x\n  expect: {calls: {ask: many}}", ":3:", "a number"),
    ("cases:\n- name: x\n  expect: {holds: ['1 +']}", ":3:", ""),
    ("cases:\n- name: x\n  expect: {duration: {least: 1s}}", ":3:", "least is not known"),
])
def test_a_file_that_cannot_be_is_refused_with_the_place(ask, text, place, words):
    ask.suite.write_text(text)
    for command in ("test", "validate"):
        done = run_program("tutti", command, ask.suite)
        assert done.code == 2 and f"w.test.yaml{place}" in done.err and words in done.err, done


def test_faults_of_the_workflow_are_told_as_validate_does(ask):
    ask.suite.write_text("cases: [{name: x}]")
    ask.workflow.write_text("workflow: w\nversion: 1.0.0\nsteps: [{name: a, type: nope}]\n")
    done = run_program("tutti", "test", ask.suite)
    assert done.code == 2 and "w.yaml:3:" in done.err and "nope" in done.err, done
    ask.workflow.unlink()
    done = run_program("tutti", "test", ask.suite)
    assert done.code == 3 and "w.yaml" in done.err, done


def test_what_a_file_says_cannot_move_the_cursor(ask):
    done = ask.test({"input": {"x": 1}, "mocks": {"ask": {"output": "\x1b[2J"}}, "expect": {"output": "x"}})
    assert done.code == 1 and "\x1b" not in done.out, done
