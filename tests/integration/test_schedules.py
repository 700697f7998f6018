# SPDX-License-Identifier: Apache-2.0
"""Schedules: what is fired, what is made up for, and what people do to them."""
import datetime
import hashlib
import json
import secrets
import time

import pytest

from harness.base import until

ECHO = [{"name": "s", "type": "transform", "value": "${input}"}]
MINUTE = datetime.timedelta(minutes=1)


def schedules(one, workflow):
    done = one.tutti("schedule", "list", "--json")
    assert done.code == 0, done
    return [s for s in done.json()["schedules"] if s["workflow"] == workflow]


def deploy(one, name, triggers, version="1.0.0", **more):
    path = one.write({"workflow": name, "version": version, "steps": ECHO, "triggers": triggers,
                      **more})
    done = one.tutti("deploy", path)
    assert done.code == 0, done


def deploy_past(one, record, version, minutes):
    """A definition once more as another version that is not paused, deployed some minutes ago by the
    clock of the log."""
    canonical = json.loads(record.value)
    canonical["version"] = version
    del canonical["triggers"][0]["paused"]
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    sha = hashlib.sha256(text.encode()).hexdigest()
    one.topics.send(f"{one.prefix}.definitions", text.encode(),
                    key=f"{canonical['workflow']}@{version}/{sha}",
                    timestamp_ms=int((time.time() - 60 * minutes) * 1000))


def outputs(one, name):
    return [r.json().get("output") or r.json()["error"]["message"]
            for r in one.topics.of("results", ce_workflow=name)]


def when(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_runs_of_a_schedule_by_hand(steady):
    """A paused schedule fires nothing; it can be triggered, filled for the past, resumed and paused."""
    name = "s" + secrets.token_hex(4)
    deploy(steady, name, [{"schedule": "*/10 * * * *", "name": "ten", "timezone": "Europe/Oslo",
                           "paused": True}])
    shown = schedules(steady, name)
    assert [(s["id"], s["paused"], s["last"], s["next"]) for s in shown] == [
        (f"{name}/ten", True, None, None)]
    done = steady.tutti("schedule", "trigger", name, "--json")
    assert done.code == 0, done
    run = steady.finish(done.json()["runs"][0]["run_id"])
    assert run["output"] == {"schedule": f"{name}/ten",
                             "scheduled_at": done.json()["runs"][0]["scheduled_at"]}
    span = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-03-01T00:20:00Z", "--json"]
    first = steady.tutti("schedule", "backfill", f"{name}/ten", *span)
    again = steady.tutti("schedule", "backfill", f"{name}/ten", *span)
    assert first.code == again.code == 0 and first.json() == again.json(), (first, again)
    runs = first.json()["runs"]
    assert [r["scheduled_at"][11:16] for r in runs] == ["00:00", "00:10", "00:20"]
    for r in runs:
        assert steady.finish(r["run_id"])["output"]["scheduled_at"] == r["scheduled_at"]
    begun = [steady.history(r["run_id"])[-1]["offset"] for r in runs]
    assert begun == sorted(begun), "one after the other"
    assert len(outputs(steady, name)) == 4, "a time is one run"
    done = steady.tutti("schedule", "resume", name, "--json")
    assert done.code == 0 and not done.json()["paused"], done
    assert when(done.json()["last"]) < when(done.json()["next"]), done
    assert when(done.json()["next"]).minute % 10 == 0
    done = steady.tutti("schedule", "pause", name)
    assert done.code == 0 and "next paused" in done.out, done
    deploy(steady, name, [], version="2.0.0")
    assert schedules(steady, name) == [], "the new version has none"


def test_what_is_asked_wrongly_of_schedules_is_refused(steady):
    name = "s" + secrets.token_hex(4)
    deploy(steady, name, [{"schedule": "@daily"}, {"schedule": "@hourly"}])
    for args, words in [(["pause", name], "2 schedules"), (["pause", f"{name}/9"], "no schedule"),
                        (["list", "x"], "no name"), (["pause"], "wants a schedule"),
                        (["backfill", f"{name}/1"], "--from"),
                        (["backfill", f"{name}/1", "--from", "now", "--to", "now"], "wants a time"),
                        (["backfill", f"{name}/2", "--from", "2020-01-01T00:00:00Z", "--to",
                          "2021-01-01T00:00:00Z"], "more than 1000")]:
        done = steady.tutti("schedule", *args)
        assert done.code != 0 and words in done.err, done
    assert outputs(steady, name) == []


@pytest.mark.slow
def test_missed_times_are_made_up_for_once_each_also_by_an_owner_that_is_killed(
        installation, redis):
    """Workflows were deployed eight minutes ago, and nobody was there."""
    inst = installation()
    first = inst.orchestrator("--snapshot-interval", "1s", wait=False)
    inst.wait_running(first)
    minute = {"schedule": "* * * * *", "overlap": "queue"}
    for name, trigger in (("all", minute | {"catch_up": "all"}),
                          ("last", minute | {"catch_up": "last"}),
                          ("few", minute | {"catch_up": "all", "max_catch_up": 2}),
                          ("none", minute | {"catch_up": "none"}),
                          ("bad", minute | {"catch_up": "last",
                                            "input": "${int(event.schedule)}"})):
        deploy(inst, name, [trigger | {"paused": True}])
    deployed = inst.topics.of("definitions")
    inst.kill(first)
    began = datetime.datetime.now(datetime.timezone.utc)
    for record in deployed:
        deploy_past(inst, record, "2.0.0", 8)
    second = inst.orchestrator(wait=False)
    until(lambda: len(outputs(inst, "all")) >= 2, 60, "the first missed times")
    inst.kill(second)  # between an append and its commit, maybe
    inst.orchestrator()
    until(lambda: len(outputs(inst, "all")) >= 8, 60, "all missed times")
    redis.command("FLUSHALL")  # what was fired is in the log

    def known():  # for a moment there is no installation in Redis
        done = inst.tutti("schedule", "list", "--json")
        return done.code == 0 and all(s["last"] for s in done.json()["schedules"]
                                      if s["workflow"] == "all")
    until(known, 60, "the ledger is back")
    until(lambda: outputs(inst, "bad") and outputs(inst, "last") and len(outputs(inst, "few")) > 1,
          60, "the other schedules")
    times = [when(o["scheduled_at"]) for o in outputs(inst, "all")]
    wanted = [times[0] + n * MINUTE for n in range(len(times))]
    assert times == wanted, "every minute, once, in order"
    assert -8 * MINUTE <= times[0] - began <= -7 * MINUTE + datetime.timedelta(seconds=1), times[0]
    assert when(schedules(inst, "all")[0]["last"]) >= times[-1]
    passed = int((datetime.datetime.now(datetime.timezone.utc) - times[0]) / MINUTE) - 7
    assert "int" in outputs(inst, "bad")[0] and "bad/1" in outputs(inst, "bad")[0]
    assert 1 <= len(outputs(inst, "last")) <= 1 + passed
    assert 2 <= len(outputs(inst, "few")) <= 2 + passed
    assert len(outputs(inst, "none")) <= 1 + passed
