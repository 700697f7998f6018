# SPDX-License-Identifier: Apache-2.0
"""Who may answer a step that asks people."""
from harness.base import until

ASK = {"steps": [{"name": "ask", "type": "human_approval", "approvers": ["role:finance", "role:cfo"], "quorum": 2}]}


def test_a_role_is_answered_by_those_who_have_it(steady):
    run = steady.start(ASK)
    until(lambda: steady.status(run)["status"] == "waiting_approval", 20, "it asks")
    done = steady.tutti("answer", run, "ask", "approve", "--as", "eve", "--role", "sales,role:finance")
    assert done.code == 0, done
    assert steady.status(run)["status"] == "waiting_approval"
    done = steady.tutti("answer", run, "ask", "approve", "--as", "zoe", "--role", "cfo")
    assert done.code == 0, done
    assert steady.finish(run)["output"]["by"] == ["eve", "zoe"]


def test_an_answer_that_is_none_is_refused_before_anything_is_sent(steady):
    run = steady.start(ASK)
    until(lambda: steady.status(run)["status"] == "waiting_approval", 20, "it asks")
    for decision, *args in (("approve", "--role", "a,"), ("approve", "--role", "a,,b"), ("approve", "--role", "role:"),
                            ("approve", "--role", "x" * 101), ("approve", "--values", "{"), ("maybe",)):
        done = steady.tutti("answer", run, "ask", decision, "--as", "eve", *args)
        assert done.code == 2 and (args or ["maybe"])[0] in done.err and "assertion" not in done.err, done
    assert not steady.topics.of("events", run_id=run, type="approval")
    assert steady.tutti("cancel", run).code == 0
