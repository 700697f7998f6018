# SPDX-License-Identifier: Apache-2.0
"""The index of runs: what it is made of, what it finds, and that nothing of it is lost for good."""
import json
import secrets
import urllib.error
import urllib.request

import pytest

from harness.base import until

ORDER = {"workflow": "order", "version": "2.0.0",
         "steps": [{"name": "s", "type": "task", "uses": "noop", "input": "${input.n + 1}"}]}


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


def found(install, url, *args):
    done = install.tutti("list", "--json", "--index-url", url, *args)
    assert done.code == 0, done
    return done.json()["runs"]


@pytest.fixture
def index(steady, tmp_path):
    """Starts indexers on one file, of which one may run at a time."""
    started = []

    def start():
        started.append(steady.indexer(tmp_path / "index.db"))
        return started[-1]
    yield start
    for process in started:
        if process in steady.processes:
            steady.kill(process)


@pytest.fixture
def order(steady):
    name = "order" + secrets.token_hex(4)
    return steady.write(ORDER | {"workflow": name}), name


def finished(steady, path, numbers):
    runs = [steady.start(path, {"n": n}) for n in numbers]
    for run in runs:
        steady.finish(run)
    return runs


def test_runs_are_found_by_what_the_topics_say_of_them(steady, index, order):
    path, name = order
    indexer = index()
    good = finished(steady, path, [1, 2, 3])
    bad = steady.start(path, {"n": "no number"})
    steady.finish(bad)
    keyed = steady.start(path, {"n": 4}, "--key", "k-" + name)
    steady.finish(keyed)
    until(lambda: len(found(steady, indexer.url, "--workflow", name, "--status", "completed")) == 4,
          20, "four completed runs are indexed")
    runs = found(steady, indexer.url, "--workflow", name)
    assert [r["id"] for r in runs] == [keyed, bad] + good[::-1]
    assert {r["version"] for r in runs} == {"2.0.0"}
    assert all(r["finished_at"] >= r["started_at"] for r in runs)
    assert [r["id"] for r in found(steady, indexer.url, "--status", "failed", "--workflow", name)] == [bad]
    assert [r["id"] for r in found(steady, indexer.url, "--key", "k-" + name)] == [keyed]
    middle = runs[2]["started_at"]
    assert [r["id"] for r in found(steady, indexer.url, "--workflow", name, "--until", middle)] == \
        [r["id"] for r in runs if r["started_at"] < middle]


def test_pages_follow_one_another(steady, index, order):
    path, name = order
    indexer = index()
    runs = finished(steady, path, range(5))
    until(lambda: len(found(steady, indexer.url, "--workflow", name)) == 5, 20, "five runs")
    seen, cursor = [], None
    while True:
        url = f"{indexer.url}/v1/runs?workflow={name}&limit=2" + (f"&cursor={cursor}" if cursor else "")
        status, page = get(url)
        assert status == 200, page
        seen += [r["id"] for r in page["runs"]]
        cursor = page["next"]
        if not cursor:
            break
    assert seen == runs[::-1]


def test_a_killed_indexer_goes_on_and_a_lost_index_is_made_again(steady, index, order, tmp_path):
    path, name = order
    indexer = index()
    first = finished(steady, path, [1, 2])
    until(lambda: len(found(steady, indexer.url, "--workflow", name, "--status", "completed")) == 2,
          20, "two runs")
    steady.kill(indexer)
    second = finished(steady, path, [3])
    indexer = index()
    wanted = (first + second)[::-1]
    ids = lambda: [r["id"] for r in found(steady, indexer.url, "--workflow", name, "--status", "completed")]  # noqa: E731
    until(lambda: ids() == wanted, 20, "the third run is there too, none is there twice")
    steady.kill(indexer)
    for file in tmp_path.glob("index.db*"):
        file.unlink()
    indexer = index()
    until(lambda: ids() == wanted, 20, "the index is whole again")


def test_what_is_asked_wrongly_is_told(steady, index):
    indexer = index()
    for query, says in [("state=happy", "no state"), ("limit=0", "1 to 500"), ("limit=501", "1 to 500"),
                        ("since=today", "RFC 3339"), ("cursor=x", "cursor"), ("foo=1", "'foo'")]:
        status, body = get(f"{indexer.url}/v1/runs?{query}")
        assert status == 400 and says in body["error"]["message"], (query, body)
    assert get(f"{indexer.url}/v2")[0] == 404
    assert get(f"{indexer.url}/health")[1]["status"] == "ok"
    done = steady.tutti("list", "--index-url", indexer.url, "--since", "today")
    assert done.code == 2 and "RFC 3339" in done.err, done
    done = steady.tutti("list", "--since", "2026-01-01T00:00:00Z")
    assert done.code == 2 and "--index-url" in done.err, done
    steady.kill(indexer)
    done = steady.tutti("list", "--index-url", indexer.url, "--connect-timeout", "2s")
    assert done.code == 4 and "does not answer" in done.err, done


def test_queued_runs_are_initializing_until_they_begin(steady, index):
    gate = steady.fake.gate()
    url = steady.fake.on("/index/" + secrets.token_hex(4), lambda c: gate.wait(60) and {})
    name = "queued" + secrets.token_hex(4)
    path = steady.write({"workflow": name, "steps": [{"name": "a", "type": "http", "url": url}]})
    indexer = index()
    runs = [steady.start(path, {}, "--key", name, "--on-conflict", "queue") for _ in range(2)]

    def states():
        return {r["id"]: r["status"] for r in found(steady, indexer.url, "--workflow", name)}
    until(lambda: states() == {runs[0]: "running", runs[1]: "initializing"}, 20, "one waits")
    gate.set()
    until(lambda: states() == dict.fromkeys(runs, "completed"), 30, "both are completed")
