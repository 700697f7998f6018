# SPDX-License-Identifier: Apache-2.0
"""map and loop through a whole installation, with a killed orchestrator amid them."""
import pytest

from conftest import worker_args
from harness.base import until


class Echo:
    """An endpoint that answers with what it was sent, once it is open."""

    def __init__(self, fake, path):
        self.open = fake.gate()
        self.url = fake.on(path, self.answer)

    def answer(self, call):
        self.open.wait(60)
        return {"path": call.path}


def documents(url):
    """Each document is extracted, then reviewed twice; a bad one fails and is part of the output."""
    return {"limits": {"max_parallel": 3}, "steps": [
        {"name": "docs", "type": "map", "over": "${input.docs}", "as": "doc", "on_item_error": "collect", "steps": [
            {"name": "check", "type": "fail", "if": "doc == 'bad'", "error": {"type": "bad_request", "message": "a bad one"}},
            {"name": "extract", "type": "http", "url": f"{url}/${{doc}}", "retry": {"initial": "10ms"}},
            {"name": "review", "type": "loop", "until": "index == 1", "max_iterations": 3, "steps": [
                {"name": "read", "type": "http", "url": f"{url}/${{doc}}-${{index}}", "retry": {"initial": "10ms"}}]}],
         "reduce": [{"name": "count", "type": "transform", "value": {"all": "${results}", "n": "${size(results)}"}}]}]}


def said(output):
    return output["body"]["path"].rsplit("/", 1)[1]


def test_a_map_goes_on_where_a_killed_orchestrator_left_it(installation, fake):
    echo = Echo(fake, "/echo")
    inst = installation()
    first = inst.orchestrator(wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(first)
    run = inst.start(documents(echo.url), {"docs": ["a", "bad", "c", "d", "e"]})
    until(lambda: fake.count("/echo/") == 3, 20, "three calls")
    shown = inst.status(run)
    live = {s["path"]: s["status"] for s in shown["steps"] if "[" in s["path"]}
    assert live["docs[0]/extract"] == "issued" and live["docs[3]/review"] == "pending"
    docs = next(s for s in shown["steps"] if s["path"] == "docs")
    assert docs["items"]["total"] == 5 and docs["items"]["failed"] == 1 and docs["items"]["active"] == 3
    assert docs["items"]["failures"][0]["error"]["message"] == "a bad one"
    first.kill()
    echo.open.set()
    inst.orchestrator()
    done = inst.finish(run, 60)
    assert done["status"] == "completed", done
    output = done["output"]
    assert output["n"] == 5 and output["all"][1]["error"]["step"] == "docs[1]/check"
    assert [said(o) for o in output["all"] if "error" not in o] == ["a-1", "c-1", "d-1", "e-1"]
    assert set(inst.check_once(run).values()) == {1}
    inst.check_topics()


@pytest.mark.slow
def test_a_run_with_thousands_of_fields_is_taken_over(installation):
    """More than an owner reads by one script."""
    inst = installation()
    first = inst.orchestrator(wait=False)
    worker = inst.worker()
    inst.wait_running(first)
    definition = {"steps": [
        {"name": "m", "type": "map", "over": "${input}", "steps": [{"name": "a", "type": "task", "uses": "noop", "input": "${item}"}]},
        {"name": "last", "type": "task", "uses": "noop", "input": "${size(steps.m.output)}"}]}
    run = inst.start(definition, list(range(3000)))

    def completed():
        return next(s for s in inst.status(run)["steps"] if s["path"] == "m").get("items", {}).get("completed", 0)
    until(lambda: completed() > 2300, 60, "most of the items")
    first.kill()
    inst.orchestrator()
    assert worker.running()
    done = inst.finish(run, 60)
    assert done["status"] == "completed" and done["output"] == 3000
