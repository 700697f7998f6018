# SPDX-License-Identifier: Apache-2.0
"""The oracle finds each kind of violation in facts that hold one, and none in good ones."""
import pytest

from check import DEADLINE_MS, DURABLE_MS, WAKE_MS, Check
from facts import Call, Event, Facts, Result, Start, Stop, Task

T0 = 1_000_000


class World:
    """Facts of runs that went well, to be spoilt."""

    def __init__(self):
        self.facts = Facts([], [], [], [], [], [], [])
        self.offset = 0

    def event(self, run, type_, ms, **more):
        self.offset += 1
        self.facts.events.append(Event(0, self.offset, ms, type_, run, **more))

    def call(self, run, path, begin, worker="w1-1", **more):
        more = {"end": begin + 10, "status": 200, "heard": True, **more}
        self.facts.calls.append(Call(run, path, worker, begin, **more))

    def task(self, run, path, attempt, digest="same"):
        self.facts.tasks.append(Task("tasks.default", 0, len(self.facts.tasks), T0, run, path,
                                     attempt, f"{run}/{path}/{attempt}", "gen", digest))

    def result(self, run, status="completed", output=None, ms=T0 + 100, id_=None, digest="same"):
        self.facts.results.append(Result(0, len(self.facts.results), ms, id_ or f"{run}/{status}",
                                         run, status, output, digest))

    def start(self, run, workflow="chaos-flaky", **more):
        self.facts.starts.append(Start(run, workflow, n=1, **more))
        self.event(run, "run.start", T0)

    def whole(self, run="r1", **more):
        """A run of two steps that completed."""
        self.start(run, **more)
        for number, path in enumerate("ab"):
            at = T0 + 20 * number
            self.task(run, path, 1)
            self.call(run, path, at)
            self.event(run, "task.completed", at + 15, path=path, attempt=1)
        self.result(run, output={"n": 3})
        return self

    def check(self):
        return Check(self.facts).check()

    def found(self):
        return {o.kind for o in self.check().violations()}


@pytest.fixture
def world():
    return World()


def test_runs_that_went_well_are_no_violation(world):
    world.whole("r1").whole("r2")
    check = world.check()
    assert check.violations() == []
    numbers = check.summary()
    assert numbers["runs"] == numbers["ended"] == numbers["results"] == 2
    assert numbers["calls"] == 4 and numbers["repeated_calls"] == 0


def test_a_run_without_a_result_that_redis_does_not_know_is_lost(world):
    world.whole("r1").start("r2")
    assert world.found() == {"lost"}
    assert world.check().summary()["ended"] == 1


def test_a_start_that_was_acknowledged_and_is_not_in_the_log_is_lost(world):
    world.whole("r1")
    world.facts.starts.append(Start("r2", "chaos-flaky", n=1))
    assert world.found() == {"lost"}


def test_a_run_that_goes_on_for_ever_is_stuck(world):
    world.whole("r1").start("r2")
    world.facts.live.add("r2")
    assert world.found() == {"stuck"}


def test_a_result_that_is_written_twice_is_a_duplicate(world):
    world.whole()
    world.result("r1", output={"n": 3})
    world.result("r1", output={"n": 3})
    check = world.check()
    assert {o.kind for o in check.violations()} == {"duplicates"}
    assert check.summary()["duplicates"] == 2


def test_two_ends_of_a_run_are_wrong(world):
    world.whole()
    world.result("r1", status="failed", digest="other")
    assert world.found() == {"duplicates", "wrong"}


def test_an_end_that_cannot_be_is_wrong(world):
    world.start("r1")
    world.result("r1", status="failed")
    assert world.found() == {"wrong"}


def test_a_run_may_end_as_cancelled_only_if_it_was_cancelled(world):
    world.start("r1", cancelled=True)
    world.result("r1", status="cancelled")
    assert world.found() == set()
    world.start("r2")
    world.result("r2", status="cancelled")
    assert world.found() == {"wrong"}


def test_another_output_than_the_steps_make_is_wrong(world):
    world.start("r1")
    world.result("r1", output={"n": 4})
    assert world.found() == {"wrong"}


def test_a_result_of_no_run_is_wrong(world):
    world.whole()
    world.result("r9", output={"n": 3})
    assert world.found() == {"wrong"}


def test_a_key_is_one_run_the_first_in_the_log(world):
    world.whole("r1", key="k").start("r2", key="k")
    world.start("r3", key="k")
    check = world.check()
    assert check.violations() == [] and check.summary()["runs"] == 1


def test_a_second_run_of_a_key_is_wrong(world):
    world.whole("r1", key="k").whole("r2", key="k")
    assert world.found() == {"wrong"}


def test_another_run_of_a_key_than_the_first_is_wrong_and_the_first_is_lost(world):
    world.start("r1", key="k")
    world.whole("r2", key="k")
    assert world.found() == {"wrong", "lost"}


def test_the_same_key_of_another_workflow_is_another_run(world):
    world.whole("r1", key="k")
    world.start("r2", key="k", workflow="chaos-exec")
    assert world.found() == {"lost"}


def test_a_start_that_is_written_twice_is_one_run(world):
    world.whole("r1", twice=True)
    world.event("r1", "run.start", T0 + 1)
    check = world.check()
    assert check.violations() == [] and check.summary()["runs"] == 1


@pytest.mark.parametrize("after, kinds", [(DEADLINE_MS - 1, {"early"}), (DEADLINE_MS, set())])
def test_a_run_that_timed_out_before_its_time_is_early(world, after, kinds):
    world.start("r1", workflow="chaos-deadline")
    world.result("r1", status="failed", ms=T0 + after)
    assert world.found() == kinds


def test_one_task_id_for_two_tasks_is_found(world):
    world.whole()
    world.task("r1", "a", 1)  # sent again: the same
    assert world.found() == set()
    world.task("r1", "a", 1, digest="other")
    assert world.found() == {"unequal"}


def test_a_call_that_began_in_time_is_repeated_and_no_violation(world):
    world.whole()
    durable = T0 + 15
    world.call("r1", "a", durable + DURABLE_MS)
    numbers = world.check().summary()
    assert world.found() == set()
    assert numbers["repeated_calls"] == numbers["calls_after_answer"] == 1


def test_a_call_after_a_durable_success_is_a_violation(world):
    world.whole()
    world.call("r1", "a", T0 + 15 + DURABLE_MS + 1)
    check = world.check()
    assert {o.kind for o in check.violations()} == {"repeated_after_durable"}
    assert check.summary()["repeated_after_durable"] == 1


def test_the_first_success_of_any_attempt_counts(world):
    world.whole()
    world.task("r1", "a", 2)
    world.event("r1", "task.completed", T0 + 5000, path="a", attempt=2)
    world.call("r1", "a", T0 + 4000)
    assert world.found() == {"repeated_after_durable"}
    assert world.check().summary()["repeated_calls"] == 0


def test_a_failure_in_the_log_forbids_no_further_call(world):
    world.start("r1")
    world.event("r1", "task.failed", T0 + 10, path="a", attempt=1)
    world.task("r1", "a", 1)
    world.task("r1", "a", 2)
    world.call("r1", "a", T0, status=503)
    world.call("r1", "a", T0 + 9000)
    world.event("r1", "task.completed", T0 + 9020, path="a", attempt=2)
    world.result("r1", output={"n": 3})
    check = world.check()
    assert check.violations() == [] and check.summary()["repeated_calls"] == 0


def test_a_success_of_another_step_or_run_forbids_nothing(world):
    world.whole("r1").whole("r2")
    world.facts.events = [e for e in world.facts.events
                          if (e.run, e.path, e.type) != ("r2", "a", "task.completed")]
    world.call("r2", "a", T0 + 9000)
    assert world.found() == set()


class TestStoppedBetween:
    """A worker was stopped between the check of its lease and the call."""
    DURABLE = T0 + 15
    CALL = DURABLE + 5000

    def judge(self, world, begin, end, process="w1-1"):
        world.whole()
        world.call("r1", "a", self.CALL)
        world.facts.stops.append(Stop(process, begin, end))
        check = world.check()
        kinds = {o.kind for o in check.offences} - {"repeated_calls"}
        assert len(kinds) == 1
        return kinds.pop()

    def test_a_stop_that_explains_the_call_is_told_apart(self, world):
        assert self.judge(world, self.DURABLE - 10, self.CALL - 5) == "stopped_between"
        assert world.found() == set()
        assert world.check().summary()["stopped_between"] == 1

    def test_not_a_stop_of_another_process(self, world):
        assert self.judge(world, self.DURABLE - 10, self.CALL - 5, "w1-2") == \
            "repeated_after_durable"

    def test_not_a_stop_that_was_over_long_before_the_call(self, world):
        assert self.judge(world, self.DURABLE - 10, self.CALL - WAKE_MS - 1) == \
            "repeated_after_durable"

    def test_not_a_stop_that_began_after_the_call(self, world):
        assert self.judge(world, self.CALL + 1, self.CALL + 2) == "repeated_after_durable"

    def test_not_a_stop_long_after_the_success(self, world):
        assert self.judge(world, self.DURABLE + DURABLE_MS, self.CALL - 5) == \
            "repeated_after_durable"


def test_more_calls_than_attempts_are_repeated(world):
    world.whole()
    world.call("r1", "a", T0 + 12)
    world.call("r1", "a", T0 + 13)
    assert world.check().summary()["repeated_calls"] == 2
    world.task("r1", "a", 2)
    assert world.check().summary()["repeated_calls"] == 1


def test_a_call_that_was_answered_in_vain_is_not_one_that_was_answered(world):
    world.start("r1")
    world.task("r1", "a", 1)
    world.task("r1", "a", 2)
    world.call("r1", "a", T0, heard=False)
    world.call("r1", "a", T0 + 500)
    world.result("r1", output={"n": 3})
    assert world.check().summary()["calls_after_answer"] == 0


def test_a_process_that_ended_by_itself_is_a_violation(world):
    world.whole()
    world.facts.died.append("w1-1 (exit -11)")
    assert world.found() == {"died"}


def test_dead_letters_are_a_violation(world):
    world.whole()
    world.facts.dead_letters = 3
    check = world.check()
    assert {o.kind for o in check.violations()} == {"dead_letters"}
    assert check.summary()["dead_letters"] == 3


def test_how_long_runs_took_is_told(world):
    for number in range(100):
        world.start(f"r{number}", workflow="chaos-plain")
        world.result(f"r{number}", output={"n": 4}, ms=T0 + number)
    numbers = world.check().summary()
    assert (numbers["run_p50_ms"], numbers["run_p99_ms"]) == (49, 98)
