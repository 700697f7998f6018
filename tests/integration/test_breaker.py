# SPDX-License-Identifier: Apache-2.0
"""The circuit breaker of a dependency that fails, seen from a workflow."""
import pytest

from conftest import worker_args


@pytest.fixture
def guarded(installation, fake, shared_redis):
    inst = installation(redis=shared_redis)
    inst.orchestrator(wait=False)
    inst.worker(*worker_args(fake), "--breaker-calls-min", "4", "--breaker-open", "2s",
                "--breaker-permits", "1")
    inst.wait_running(inst.orchestrators[0])
    return inst


def test_a_dependency_that_fails_is_left_alone_until_it_has_had_time(guarded, fake):
    healthy = []
    fake.on("/dep", lambda c: {} if healthy else (500, {}, b"broken"))
    once = guarded.write({"steps": [{"name": "s", "type": "http", "url": f"{fake.url}/dep",
                                     "retry": {"max_attempts": 1}}]})
    worker = guarded.workers[0]
    for _ in range(12):
        error = guarded.run(once)["error"]
        if error["type"] == "unreachable":
            break
        assert error["type"] == "tool_error"
    assert error["type"] == "unreachable", "the breaker stayed closed"
    assert worker.events("breaker.state")
    calls = fake.count("/dep")
    assert calls >= 4
    # Open: refused without a call. (A probe after 2 s is the only exception.)
    refused = guarded.run(once)["error"]
    assert fake.count("/dep") <= calls + 1
    assert refused["type"] in ("unreachable", "tool_error")
    healthy.append(True)
    patient = guarded.write({"steps": [{"name": "s", "type": "http", "url": f"{fake.url}/dep",
                                        "retry": {"max_attempts": 20, "initial": "300ms",
                                                  "backoff": "fixed"}}]})
    assert guarded.run(patient)["status"] == "completed"
    before = fake.count("/dep")
    assert [guarded.run(once)["status"] for _ in range(2)] == ["completed"] * 2
    assert fake.count("/dep") == before + 2
