# SPDX-License-Identifier: Apache-2.0
"""What is wrong is said clearly, at once, and with the right exit code."""
import json
import re
import resource
import signal
import time

import pytest

from harness.base import ROOT, Process, clean_env, program
from harness.installation import run_program
from harness.servers import Redis, free_port

BROKEN = sorted((ROOT / "tests/data/broken").glob("*.yaml"))
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
HELLO = ROOT / "examples/hello.yaml"
GONE = "0123456789abcdef-0123456789abcdef01234567"


def tutti(*args, **more):
    return run_program("tutti", *args, **more)


@pytest.mark.parametrize("path", BROKEN, ids=lambda p: p.stem)
def test_a_broken_file_is_refused_with_the_place(path):
    done = tutti("validate", path)
    assert done.code == 2 and not done.out, done
    lines = done.err.splitlines()
    assert lines, "no word about what is wrong"
    # each fault is a line, the line of the file, and a ^ below the column
    for fault, source, caret in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        assert re.match(rf"{re.escape(str(path))}:\d+:\d+: \S", fault), fault
        assert source.startswith("    ") and caret.strip() == "^" and len(caret) <= len(source) + 1, (source, caret)


def test_every_broken_file_at_once_is_refused_too():
    done = tutti("validate", *BROKEN)
    assert done.code == 2
    assert all(str(path) + ":" in done.err for path in BROKEN)


def test_the_examples_are_valid_and_nothing_is_said():
    assert len(EXAMPLES) >= 5
    for strict in ((), ("--strict",)):
        done = tutti("validate", *strict, *EXAMPLES, ROOT / "tests/data/workflows/everything.yaml")
        assert (done.code, done.out, done.err) == (0, "", "")


def test_a_warning_is_told_with_its_place_and_fails_only_where_it_is_asked_to(tmp_path):
    path = tmp_path / "w.yaml"
    path.write_text("workflow: w\nversion: 1.0.0\nsteps:\n  - name: a\n    type: task\n    if: 1 > 2\n")
    told = f"{path}:6:9: %sthis condition reads nothing: it is always false\n        if: 1 > 2\n            ^\n"
    done = tutti("validate", path)
    assert (done.code, done.out, done.err) == (0, "", told % "warning: "), done
    done = tutti("validate", "--strict", path)
    assert (done.code, done.out, done.err) == (2, "", told % ""), done
    one = tutti("validate", "--json", path).json()
    assert one["valid"] and one["files"][0]["valid"] and "faults" not in one["files"][0], one
    warning, = one["files"][0]["warnings"]
    assert (warning["severity"], warning["line"], warning["column"], warning["pointer"]) == ("warning", 6, 9, "/steps/0/if")
    strict = tutti("validate", "--json", "--strict", path)
    fault, = strict.json()["files"][0]["faults"]
    assert strict.code == 2 and not strict.json()["valid"] and fault == warning | {"severity": "error"}, strict


def test_a_file_that_is_not_there_is_not_found():
    done = tutti("validate", "no-such.yaml")
    assert done.code == 3 and "no-such.yaml" in done.err, done


def test_the_input_must_fit_the_schema(steady):
    for value, word in (({"nme": 1}, "name"), ({"name": 7}, "name"), ({"name": ""}, "name")):
        done = steady.tutti("start", HELLO, "--input-json", json.dumps(value))
        assert done.code == 2 and word in done.err and "schema" in done.err, done
    done = steady.tutti("start", HELLO, "--input-json", "{")
    assert done.code == 2 and "JSON" in done.err or "line 1" in done.err, done


def test_a_payload_of_10_mb_is_refused_and_the_limit_is_named(steady, tmp_path):
    path = tmp_path / "big.json"
    path.write_text(json.dumps({"name": "x" * 10_000_000}))
    done = steady.tutti("start", HELLO, "--input", path, "--json")
    assert done.code == 2, done
    text = done.err + done.out
    assert "900000" in text and "limit" in text, done


def test_a_value_that_grows_over_the_limit_fails_the_run_and_names_it(steady):
    state = steady.run({"steps": [
        {"name": "a", "type": "set", "vars": {"t": "${input + input}"}},
        {"name": "b", "type": "set", "vars": {"t": "${vars.t + vars.t}"}}]}, "x" * 400_000)
    assert state["status"] == "failed", state["status"]
    assert "900000" in state["error"]["message"], state["error"]


@pytest.mark.parametrize("command", [("start", HELLO, "--input-json", '{"name": "x"}'),
                                     ("status", GONE), ("list",), ("deploy", HELLO)])
def test_servers_that_cannot_be_reached_are_named(command):
    port = free_port()
    begin = time.monotonic()
    done = tutti(*command, "--connect-timeout", "1s", "--kafka-brokers", f"127.0.0.1:{port}",
                 "--redis-port", str(port))
    assert done.code == 4 and f"127.0.0.1:{port}" in done.err, done
    assert "--kafka-brokers" in done.err or "--redis-host" in done.err, done
    assert time.monotonic() - begin < 15


def test_a_wrong_password_is_called_one(mock):
    redis = Redis("--requirepass", "right")
    try:
        env = {"TUTTI_REDIS_HOST": redis.socket, "TUTTI_KAFKA_BROKERS": mock.brokers}
        for given in ({"TUTTI_REDIS_PASSWORD": "wrong"}, {}):
            done = tutti("status", GONE, env={**env, **given})
            assert done.code == 4 and re.search("password|credentials|AUTH", done.err), done
            assert "wrong" not in done.err or "WRONGPASS" in done.err
        done = tutti("status", GONE, env={**env, "TUTTI_REDIS_PASSWORD": "right"})
        assert done.code == 3, done
    finally:
        redis.close()


def test_unknown_runs_workflows_and_commands_are_said_to_be_so(steady):
    assert steady.tutti("status", GONE).code == 3
    assert steady.tutti("history", GONE).code == 3
    done = steady.tutti("start", "no-such-workflow")
    assert done.code == 3 and "no-such-workflow" in done.err, done
    done = tutti("strat")
    assert done.code == 2 and "start" in done.err, done
    done = tutti("start", "--no-such-flag")
    assert done.code == 2 and "no-such-flag" in done.err, done
    assert steady.tutti("status", "not-an-id").code == 2


def test_changed_content_under_a_deployed_version_is_refused(steady):
    first = {"workflow": "fixed", "version": "1.0.0", "steps": [{"name": "a", "type": "set",
                                                                 "vars": {"x": 1}}]}
    assert steady.tutti("deploy", steady.write(first)).code == 0
    assert steady.tutti("deploy", steady.write(first)).code == 0
    first["steps"][0]["vars"]["x"] = 2
    done = steady.tutti("deploy", steady.write(first))
    assert done.code == 1 and "fixed" in done.err and "1.0.0" in done.err, done


def limited():
    """A disk that is full."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


@pytest.mark.parametrize("command", [("man", "start"), ("completion", "bash"), ("docs", "schema"),
                                     ("help",), ("eval", "1 + 1")])
def test_output_that_cannot_be_written_is_an_error(command, tmp_path):
    import os
    import subprocess
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run([program("tutti"), *command], stdout=out, stderr=subprocess.PIPE,
                              text=True, env=clean_env(), preexec_fn=limited, timeout=30)
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "File too large" in done.stderr, done.stderr
    with open("/dev/full", "wb") as out:
        done = subprocess.run([program("tutti"), *command], stdout=out, stderr=subprocess.PIPE,
                              text=True, env=clean_env(), timeout=30)
    assert done.returncode == 1 and os.strerror(28) in done.stderr, done


def test_an_address_file_that_cannot_be_written_is_an_error(tmp_path):
    path = tmp_path / "missing" / "env"
    done = tutti("dev", "--env-file", path, seconds=60)
    assert done.code == 1 and str(path) in done.err and "No such file" in done.err, done


def start_orchestrator(inst, *args):
    return inst.orchestrator(*args, wait=False)


def test_another_number_of_partitions_is_refused_at_start(steady):
    process = Process("orchestrator-odd", [program("tutti-orchestrator"), "--partitions", "8"],
                      clean_env(steady.env), steady.directory)
    assert process.wait(30) == 1
    text = process.tail()
    assert "partitions" in text and "4" in text and "8" in text, text


def test_a_redis_that_evicts_is_refused_at_start(steady):
    redis = Redis("--maxmemory-policy", "allkeys-lru")
    try:
        process = Process("orchestrator-lru", [program("tutti-orchestrator"), "--partitions", "4"],
                          clean_env({**steady.env, "TUTTI_REDIS_HOST": redis.socket}),
                          steady.directory)
        assert process.wait(30) == 1
        assert "noeviction" in process.tail() and "allkeys-lru" in process.tail()
    finally:
        redis.close()


def test_a_program_whose_servers_are_away_says_so_and_can_be_stopped(tmp_path):
    port = free_port()
    for name in ("orchestrator", "worker"):
        process = Process(name, [program(f"tutti-{name}"), "--kafka-brokers", f"127.0.0.1:{port}",
                                 "--redis-port", str(port)], clean_env(), tmp_path)
        process.wait_event("store.unreachable", 10)
        process.wait_event("kafka.down", 20)
        assert process.running()
        process.signal(signal.SIGTERM)
        process.wait(20)
        process.check_sane()


@pytest.mark.parametrize("args, word", [
    (("--partitions", "0"), "partitions"), (("--partitions", "many"), "partitions"),
    (("--nonsense",), "nonsense"), (("--kafka-session-timeout", "5 weeks"), "session"),
    (("--config", "/no/such/file.yaml"), "/no/such/file.yaml")])
@pytest.mark.parametrize("name", ["tutti-orchestrator", "tutti-worker"])
def test_a_wrong_option_is_named(name, args, word):
    done = run_program(name, *args)
    assert done.code == 2 and word in done.err, done


@pytest.mark.parametrize("flag, value", [
    ("--commands", '{"x": {"command": "relative"}}'), ("--commands", "[1"),
    ("--models", '{"m": {}}'), ("--handlers", '{"h": {"what": {}}}'),
    ("--http-allow-private", '{"a": 1}'), ("--queues", ","), ("--queues", "default,gpu.HIGH"), ("--queues", "a/b")])
def test_wrong_values_in_the_workers_configuration_are_named(steady, flag, value):
    done = run_program("tutti-worker", flag, value, "--group", "none", env=steady.env)
    assert done.code != 0 and flag.strip("-").split("-")[0] in done.err, (flag, done)


def test_a_worker_without_a_queue_says_so():
    done = run_program("tutti-worker", "--queues=")
    assert done.code > 0 and "queues: at least one name is needed" in done.err, done
