# SPDX-License-Identifier: Apache-2.0
"""Clients that nobody here wrote start runs and hear of them: kafkajs with the CloudEvents SDK (tests/clients), and kcat."""
import json
import secrets
import shutil
import subprocess

import pytest

from harness.base import ROOT, clean_env, until

CLIENTS = ROOT / "tests/clients"
ENDED = "io.tutti.run.completed"
MODES = ("binary", "structured", "json")


@pytest.fixture(scope="session")
def node():
    """Runs tests/clients/client.mjs; what it prints."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    if not (CLIENTS / "node_modules/kafkajs").exists():
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=CLIENTS, check=True, timeout=300)

    def run(*args):
        done = subprocess.run(["node", "client.mjs", *args], cwd=CLIENTS, capture_output=True, text=True, timeout=120,
                              env=clean_env({"KAFKAJS_NO_PARTITIONER_WARNING": "1"}))
        assert done.returncode == 0, f"{args}: {done.stdout}\n{done.stderr}"
        return done.stdout
    return run


@pytest.fixture(scope="session")
def kcat():
    if not shutil.which("kcat"):
        pytest.skip("kcat is not installed")

    def run(*args, stdin=""):
        done = subprocess.run(["kcat", *args], input=stdin, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{args}: {done.stdout}\n{done.stderr}"
        return done.stdout
    return run


@pytest.fixture
def shop(steady):
    """A workflow that orders start, by their numbers; its name."""
    name = "w" + secrets.token_hex(4)
    path = steady.write({
        "workflow": name,
        "triggers": [{"topic": steady.triggers["shop"], "key": "${event.data.order}",
                      "filter": f'event.data.shop == "{name}"',
                      "input": {"order": "${event.data.order}", "customer": "${event.key}",
                                "id": "${has(event.id) ? event.id : 'none'}",
                                "subject": "${has(event.subject) ? event.subject : 'none'}"}}],
        "steps": [{"name": "pack", "type": "task", "uses": "noop", "input": "${input}"}]})
    done = steady.tutti("deploy", path)
    assert done.code == 0, done
    owner = steady.orchestrators[0]
    owner.wait_for(lambda: any(name in x["msg"] for x in owner.events("definition.known")), 10, f"{name} is known")
    return name


def results(steady, name):
    return [r.json() for r in steady.topics.of("results", ce_workflow=name)]


@pytest.fixture
def outputs(steady, shop):
    def of(count):
        until(lambda: len(results(steady, shop)) >= count, 30, f"{count} runs of {shop}")
        return {r["output"]["order"]: r["output"] for r in results(steady, shop)}
    return of


def test_the_cloudevents_sdk_starts_runs_in_every_mode_and_reads_what_became_of_them(steady, shop, outputs, node):
    brokers, topic = steady.broker.brokers, steady.triggers["shop"]
    for mode in MODES:
        order = json.dumps({"shop": shop, "order": mode})
        for _ in range(2):  # as a producer that tries again does
            node("produce", brokers, topic, mode, "customer-1", f"id of {mode}", order)
    assert outputs(3) == {
        mode: {"order": mode, "customer": "customer-1", "id": "none" if mode == "json" else f"id of {mode}", "subject": "none"}
        for mode in MODES}
    found = results(steady, shop)
    assert len(found) == 3, "the same order twice is one run"
    one = found[0]
    told = [json.loads(x) for x in node("consume", brokers, f"{steady.prefix}.results", one["run"], ENDED).splitlines()]
    assert [(e["type"], e["source"], e["partitionkey"]) for e in told] == [(ENDED, f"/tutti/{shop}", one["run"])]
    assert told[0]["data"] == one and told[0]["workflow"] == shop
    told = [json.loads(x) for x in node("consume", brokers, f"{steady.prefix}.lifecycle", one["run"], ENDED).splitlines()]
    assert [e["data"]["state"] for e in told] == ["running", "completed"]
    assert [e["type"] for e in told] == ["io.tutti.run." + e["data"]["state"] for e in told]
    assert len({e["id"] for e in told}) == 2 and {e["subject"] for e in told} == {one["run"]}


def test_kcat_starts_a_run_and_reads_its_result(steady, shop, outputs, kcat):
    brokers, topic = steady.broker.brokers, steady.triggers["shop"]
    headers = ["ce_specversion=1.0", "ce_id=1", "ce_source=/shell", "ce_type=order.paid", "content-type=application/json",
               "ce_subject"]  # one without a value
    order = json.dumps({"shop": shop, "order": "17"})
    for _ in range(2):
        kcat("-P", "-b", brokers, "-t", topic, "-k", "customer-1", *(x for h in headers for x in ("-H", h)), stdin=order)
    assert outputs(1) == {"17": {"order": "17", "customer": "customer-1", "id": "1", "subject": "none"}}
    text = kcat("-C", "-b", brokers, "-t", f"{steady.prefix}.results", "-o", "beginning", "-e", "-q", "-f", "%h\t%k\t%s\n")
    mine = [line.split("\t") for line in text.splitlines() if f"ce_workflow={shop}," in line]
    assert len(mine) == 1, mine
    assert f"ce_type={ENDED}," in mine[0][0] and f"ce_source=/tutti/{shop}," in mine[0][0]
    assert json.loads(mine[0][2])["output"]["order"] == "17" and json.loads(mine[0][2])["run"] == mine[0][1]
