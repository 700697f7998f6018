# SPDX-License-Identifier: Apache-2.0
"""Task and result messages are public: any Kafka client can be a worker."""
import pathlib
import subprocess
import sys

import pytest

from harness.base import clean_env


@pytest.fixture(scope="module")
def python_worker(shared):
    script = pathlib.Path(__file__).with_name("foreign_worker.py")
    process = subprocess.Popen([sys.executable, str(script), shared.broker.brokers, shared.prefix,
                                "python"], env=clean_env())
    yield process
    process.terminate()
    assert process.wait(20) == 0


def test_a_worker_in_python_completes_a_step(steady, python_worker):
    run = steady.start("""
        steps:
          - {name: make, type: set, vars: {text: "one two three ${input.more}"}}
          - {name: count, type: task, uses: word-count, queue: python, input: {text: "${vars.text}"}}
          - {name: ours, type: task, uses: noop, input: "${steps.count.output.words * 2}"}
        output: {words: "${steps.count.output}", twice: "${steps.ours.output}"}
        """, {"more": "four"})
    state = steady.finish(run, 40)
    assert state["output"] == {"words": {"words": 4, "by": "python"}, "twice": 8}
    assert {r.headers.get("worker") for r in steady.topics.of("events", run_id=run, path="count")} \
        == {"python"}
    steady.check_once(run)


def test_its_refusals_are_typed_errors(steady, python_worker):
    state = steady.run("""
        steps: [{name: count, type: task, uses: word-count, queue: python, input: 3}]
        """, seconds=40)
    assert (state["error"]["type"], state["error"]["message"]) == ("bad_request", "wants {text}")
    assert state["error"]["attempt"] == 1
