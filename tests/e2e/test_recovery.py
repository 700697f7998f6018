# SPDX-License-Identifier: Apache-2.0
"""What is left when Redis is wiped, the log is short, a topic was made anew or an event is poison:
every run ends, ended ones stay ended, and what cannot be right is refused."""
import json

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from conftest import worker_args
from harness.base import until
from test_kill import Slow, http_steps

pytestmark = pytest.mark.slow
SNAPSHOTS = ["--snapshot-interval", "1s"]


def floors(inst, redis):
    """The floor of each partition, -1 where there is none."""
    return [int(redis.command("HGET", f"{inst.prefix}:p:{{{p}}}", "floor") or -1)
            for p in range(inst.partitions)]


def partition_of(inst, run):
    return inst.topics.of("events", run_id=run)[0].partition


def offset_of(inst, run, **headers):
    return inst.topics.of("events", run_id=run, **headers)[-1].offset


def wait_snapshot(inst, redis, run):
    """Until the run's last event lies below the floor, so that its snapshot is needed."""
    p = partition_of(inst, run)
    last = inst.topics.of("events", run_id=run)[-1].offset
    until(lambda: floors(inst, redis)[p] > last, 30, "a floor above the run's events")


def stored(inst, redis, run):
    p = partition_of(inst, run)
    flat = redis.command("HGETALL", f"{inst.prefix}:run:{{{p}}}:{run}")
    return dict(zip(flat[::2], flat[1::2]))


def wait_ready(inst, fake):
    inst.worker(*worker_args(fake))


def test_a_wiped_redis_is_filled_from_snapshots(installation, fake, redis):
    """Runs of which nothing lies beyond the floor, live and finished, are as they were, a start key
    still stands for its run, no call is made again and no result is sent again."""
    slow = Slow(fake)
    fake.on("/fast", lambda c: {"n": 1})
    inst = installation()
    inst.orchestrator(*SNAPSHOTS, wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(inst.orchestrators[0])
    done_file = inst.write({"steps": [
        {"name": "a", "type": "http", "url": f"{fake.url}/fast/a"}]})
    live_file = inst.write({"steps": [
        {"name": "a", "type": "http", "url": f"{fake.url}/fast/b"},
        {"name": "b", "type": "http", "url": f"{slow.url}/c"}]})
    done = inst.start(done_file, {"x": 1}, "--key", "k1")
    inst.finish(done)
    live = inst.start(live_file)
    until(lambda: slow.count() == 1, 20, "the slow call")
    for run in (done, live):
        wait_snapshot(inst, redis, run)
    before = {run: stored(inst, redis, run) for run in (done, live)}
    redis.command("FLUSHALL")
    until(lambda: all(stored(inst, redis, run) == before[run] for run in before), 60,
          "the states from before")
    until(lambda: any(not line["msg"].startswith("0 runs")
                      for line in inst.orchestrators[0].events("rebuild.restored")),
          20, "the word that runs were restored from snapshots")
    assert inst.start(done_file, {"x": 1}, "--key", "k1") == done or \
        inst.tutti("status", done).code == 0
    slow.open.set()
    assert inst.finish(live, 60)["status"] == "completed"
    assert fake.count("/fast/a") == fake.count("/fast/b") == 1 and slow.count() == 1
    for run in (done, live):
        inst.check_once(run)  # one result each, wiped or not


def test_revived_runs_and_forks_come_back_after_a_wipe(installation, fake, redis):
    """A run that had ended is live in what is restored and counts no more as finished, whether its
    snapshot is older than the retry or newer; what a fork was given is there, too."""
    slow, broken = Slow(fake), [True]
    fake.on("/flaky", lambda c: (401, {}) if broken[0] else {"n": 1})
    inst = installation()
    inst.orchestrator(*SNAPSHOTS, wait=False)
    inst.worker(*worker_args(fake), "--breaker-calls-min", "600")
    inst.wait_running(inst.orchestrators[0])
    path = inst.write({"steps": [
        {"name": "m", "type": "map", "over": [1, 2], "max_concurrent": 1, "steps": [
            {"name": "t", "type": "http", "url": f"{fake.url}/fine/${{item}}"},
            {"name": "f", "type": "http", "url": f"{fake.url}/flaky", "if": "item == 2",
             "retry": {"max_attempts": 1}}]},
        {"name": "b", "type": "http", "url": f"{slow.url}/b"}]})
    fake.on("/fine", lambda c: {})
    runs = [inst.start(path) for _ in range(2)]
    assert [inst.finish(r)["status"] for r in runs] == ["failed"] * 2
    wait_snapshot(inst, redis, runs[1])
    broken[0] = False
    fork = inst.tutti("fork", runs[0], "--json").json()["run_id"]
    for run in runs:
        assert inst.tutti("retry", run).code == 0
    until(lambda: slow.count() == 3, 20, "three slow calls")
    wait_snapshot(inst, redis, runs[0])
    wait_snapshot(inst, redis, fork)
    before = {run: stored(inst, redis, run) for run in (*runs, fork)}
    redis.command("FLUSHALL")
    until(lambda: all(stored(inst, redis, run) == before[run] for run in before), 60,
          "the states from before")
    for run in before:
        key = f"{inst.prefix}:%s:{{{partition_of(inst, run)}}}"
        assert redis.command("ZSCORE", key % "tm", run) and not redis.command("ZSCORE", key % "fin", run)
        assert int(redis.command("HGET", key % "p", "fin_bytes") or 0) == 0
    slow.open.set()
    for run in before:
        until(lambda run=run: inst.status(run)["status"] == "completed", 60, "it completes")
    assert fake.count("/fine") == 4 and slow.count() == 3, "what had completed was kept"


def test_a_start_key_is_not_free_after_a_wipe(installation, fake, redis):
    fake.on("/fast", lambda c: {})
    inst = installation()
    inst.orchestrator(*SNAPSHOTS, wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(inst.orchestrators[0])
    path = inst.write({"steps": [{"name": "a", "type": "http", "url": f"{fake.url}/fast"}]})
    first = inst.start(path, {}, "--key", "order-1")
    inst.finish(first)
    wait_snapshot(inst, redis, first)
    redis.command("FLUSHALL")
    inst.tutti("start", path, "--key", "order-1", "--json", "--input-json", "{}")
    until(lambda: len(inst.topics.of("events", type="run.start")) == 2, 20, "the second start")
    marker = inst.start(path)
    inst.finish(marker, 60)
    until(lambda: inst.tutti("status", first).code == 0, 30, "the first run is back")
    p = partition_of(inst, first)
    place = offset_of(inst, first, type="run.start")
    until(lambda: int(redis.command("HGET", f"{inst.prefix}:p:{{{p}}}", "off") or 0) > place + 1,
          30, "the partition has gone on")
    assert fake.count("/fast") == 2, "the key started a second run"


def test_a_large_run_that_slept_over_many_floors_comes_back(installation, fake, redis):
    """Its snapshot is older than the floor and in pieces; the owner that wrote it is gone."""
    slow = Slow(fake)
    fake.on("/fast", lambda c: {})
    inst = installation()
    first = inst.orchestrator(*SNAPSHOTS, wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(first)
    path = inst.write({"steps": [{"name": "a", "type": "http", "url": f"{slow.url}/a"},
                                 {"name": "b", "type": "set", "vars": {"n": 1}}]})
    quick = inst.write({"steps": [{"name": "a", "type": "http", "url": f"{fake.url}/fast"}]})
    run = inst.start(path, {"text": "x" * 850_000})
    until(lambda: slow.count() == 1, 20, "the slow call")
    wait_snapshot(inst, redis, run)
    p = partition_of(inst, run)
    written = redis.command("HGET", f"{inst.prefix}:snap:{{{p}}}", run)
    assert written.split()[2] == "2", f"in two pieces: {written}"
    first.stop()
    inst.orchestrator(*SNAPSHOTS)
    for _ in range(2):
        before = floors(inst, redis)[p]

        def moved():
            inst.finish(inst.start(quick))
            return floors(inst, redis)[p] > before
        until(moved, 60, "a later floor")
    assert redis.command("HGET", f"{inst.prefix}:snap:{{{p}}}", run) == written, "not written again"
    state = stored(inst, redis, run)
    redis.command("FLUSHALL")
    until(lambda: stored(inst, redis, run) == state, 60, "the state from before")
    slow.open.set()
    assert inst.finish(run, 60)["status"] == "completed"
    assert slow.count() == 1
    inst.check_once(run)


def test_an_expired_run_leaves_the_topic_and_stays_away_after_a_wipe(installation, fake, redis):
    fake.on("/fast", lambda c: {})
    inst = installation()
    inst.orchestrator(*SNAPSHOTS, wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(inst.orchestrators[0])
    path = inst.write({"retention": "6s", "steps": [
        {"name": "a", "type": "http", "url": f"{fake.url}/fast"}]})
    run = inst.start(path, {}, "--key", "k")
    inst.finish(run)
    wait_snapshot(inst, redis, run)
    until(lambda: any(r.key.startswith(run) and r.value for r in inst.topics.of("snapshots")), 10,
          "its snapshot")
    until(lambda: inst.topics.of("events", run_id=run, type="run.expired"), 30, "its end")
    until(lambda: any(r.key.startswith(run) and r.value is None
                      for r in inst.topics.of("snapshots")), 30, "its tombstone")
    redis.command("FLUSHALL")
    again = inst.start(path, {}, "--key", "k")
    assert again != run and inst.finish(again, 60)["status"] == "completed"
    assert inst.tutti("status", run).code == 3


def write_snapshot(inst, redis, run):
    """What a round writes of a run that has come to rest, before it gets to its floor."""
    p = partition_of(inst, run)
    off = offset_of(inst, run) + 1
    place = f"{inst.prefix}:p:{{{p}}}"
    until(lambda: int(redis.command("HGET", place, "off")) >= off, 20, "the commit")
    fields = [(k.encode(), v.encode()) for k, v in stored(inst, redis, run).items()]
    epoch = redis.command("HGET", place, "epoch")
    inst.topics.send(
        f"{inst.prefix}.snapshots", partition=p, key=f"{run}/{epoch}",
        value=b"".join(b"%d %d\n%s%s" % (len(k), len(v), k, v) for k, v in fields),
        headers={"v": "1", "type": "snapshot", "off": str(off), "chunks": "1"})


def test_a_rebuild_leaves_a_start_key_to_the_run_that_followed_an_expired_one(
        installation, fake, redis):
    """Both have a snapshot, of a round that did not get to its floor; the end of the first is
    replayed."""
    slow = Slow(fake)
    slow.open.set()
    inst = installation()
    inst.orchestrator("--snapshot-interval", "1h", wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(inst.orchestrators[0])
    path = inst.write({"retention": "5s", **http_steps(slow, ["a"])})
    first = inst.start(path, {}, "--key", "k")
    inst.finish(first)
    write_snapshot(inst, redis, first)
    until(lambda: inst.tutti("status", first).code == 3, 30, "the first run's end")
    slow.open.clear()
    second = inst.start(path, {}, "--key", "k")
    assert second != first
    until(lambda: slow.count("a") == 2, 20, "the second run's call")
    write_snapshot(inst, redis, second)
    redis.command("FLUSHALL")
    inst.orchestrators[0].wait_event("rebuild.restored", 30)
    p = partition_of(inst, second)
    place = f"{inst.prefix}:p:{{{p}}}"
    until(lambda: int(redis.command("HGET", place, "off") or 0) > offset_of(inst, second) and
          not redis.command("HEXISTS", place, "rebuild"), 60, "the end of the rebuild")
    assert inst.start(path, {}, "--key", "k") == second, "the key started a third run"
    slow.open.set()
    assert inst.finish(second, 60)["status"] == "completed"


@pytest.mark.parametrize("backend", ["kafka"], indirect=True)
def test_a_log_that_is_cut_below_the_floor_is_not_missed(installation, fake, redis, backend):
    slow = Slow(fake)
    inst = installation()
    inst.orchestrator(*SNAPSHOTS, wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(inst.orchestrators[0])
    run = inst.start(http_steps(slow, ["a", "b"]))
    until(lambda: slow.count() == 1, 20, "the call")
    wait_snapshot(inst, redis, run)
    p = partition_of(inst, run)
    cut = floors(inst, redis)[p]
    admin = AdminClient({"bootstrap.servers": inst.broker.brokers})
    for future in admin.delete_records(
            [TopicPartition(f"{inst.prefix}.events", p, cut)]).values():
        future.result(30)
    redis.command("FLUSHALL")
    slow.open.set()
    assert inst.finish(run, 60)["status"] == "completed"
    assert slow.count("a") == 1 and slow.count("b") == 1
    inst.check_once(run)


@pytest.mark.parametrize("backend", ["kafka"], indirect=True)
def test_a_log_that_is_cut_above_the_floor_halts_its_partition_alone(installation, fake, redis,
                                                                     backend):
    fake.on("/fast", lambda c: {})
    inst = installation()
    first = inst.orchestrator(wait=False)  # no snapshot is made in time
    inst.worker(*worker_args(fake))
    inst.wait_running(first)
    path = inst.write({"steps": [{"name": "a", "type": "http", "url": f"{fake.url}/fast"}]})
    run = inst.start(path)
    inst.finish(run)
    p = partition_of(inst, run)
    admin = AdminClient({"bootstrap.servers": inst.broker.brokers})
    for future in admin.delete_records([TopicPartition(f"{inst.prefix}.events", p, 2)]).values():
        future.result(30)
    redis.command("FLUSHALL")
    line = first.wait_event("partition.halted", 30, partition=p)[0]
    assert "events are lost" in line["msg"] and line["level"] == "error"
    first.wait_event("partition.running", 30, 2 * inst.partitions - 1)  # the others go on
    assert first.running()
    start = int(line["msg"].rsplit(" ", 1)[1])
    redis.command("HSET", f"{inst.prefix}:p:{{{p}}}", "accept_loss", start)
    first.wait_event("rebuild.restored", 40, partition=p)


@pytest.mark.parametrize("backend", ["kafka"], indirect=True)
def test_a_topic_that_was_made_anew_is_refused(installation, fake, redis, backend):
    fake.on("/fast", lambda c: {})
    inst = installation()
    first = inst.orchestrator(wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(first)
    path = inst.write({"steps": [{"name": "a", "type": "http", "url": f"{fake.url}/fast"}]})
    inst.finish(inst.start(path))
    first.stop()
    topic = f"{inst.prefix}.events"
    admin = AdminClient({"bootstrap.servers": inst.broker.brokers})
    for future in admin.delete_topics([topic], operation_timeout=30).values():
        future.result(30)
    until(lambda: topic not in admin.list_topics(timeout=10).topics, 30, "the topic is gone")
    inst.broker.make_topics({topic: inst.partitions})
    inst.topics.next = {k: v for k, v in inst.topics.next.items() if k[0] != topic}
    second = inst.orchestrator(wait=False)
    line = second.wait_event("partition.halted", 40)[0]
    assert "made anew" in line["msg"]
    assert not second.events("partition.running")
    # With as many records as there were before, it is the claim that is missing.
    for p in range(inst.partitions):
        for n in range(40):
            inst.topics.send(topic, None, key="x", headers={}, partition=p)
    inst.malformed.add(None)
    assert second.wait(60) == 1
    assert "is not in the log" in second.events("shard.failed")[0]["msg"]


@pytest.mark.parametrize("backend", ["kafka"], indirect=True)
def test_a_redis_of_another_cluster_is_refused_at_start(installation, redis, backend):
    inst = installation()
    inst.orchestrator().stop()
    assert redis.command("HGET", f"{inst.prefix}:sys", "cluster")
    redis.command("HSET", f"{inst.prefix}:sys", "cluster", "another")
    second = inst.orchestrator(wait=False)
    assert second.wait(30) == 1
    assert "cluster" in second.events("shard.failed")[0]["msg"]


POISON = "orchestrator-poison"


def poison_owner(inst):
    """An orchestrator with a bug; it ends at the poisoned event, and is started again as often as a
    supervisor would."""
    process = inst._start(POISON, ["--partitions", inst.partitions, "--tasks-partitions", 4],
                          None)
    inst.orchestrators.append(process)
    return process


def test_an_event_that_crashes_its_owners_is_quarantined_and_no_other(installation, fake, redis):
    fake.on("/fast", lambda c: {"said": "fine"})
    fake.on("/bad", lambda c: {"said": "poison"})
    inst = installation()
    inst.worker(*worker_args(fake))
    good = inst.write({"steps": [{"name": n, "type": "http", "url": f"{fake.url}/fast/{n}"}
                                 for n in "ab"]})
    bad = inst.write({"steps": [{"name": "a", "type": "http", "url": f"{fake.url}/bad"},
                                {"name": "b", "type": "http", "url": f"{fake.url}/fast/after"}]})
    owner = poison_owner(inst)
    inst.wait_running(owner)
    runs = [inst.start(good) for _ in range(8)]
    sick = inst.start(bad)
    crashes = 0

    def quarantined():
        return inst.topics.of("dlq", dlq_reason="quarantined")

    while not quarantined():
        nonlocal_owner = inst.orchestrators[-1]
        until(lambda: not nonlocal_owner.running() or quarantined(), 60, "an end of the owner")
        if nonlocal_owner.running():
            break
        crashes += 1
        assert crashes < 12, "it never ends"
        poison_owner(inst)
    until(lambda: inst.tutti("status", sick, "--json").code == 0 and
          inst.status(sick)["status"] == "paused", 60, "the run is paused")
    for run in runs:
        assert inst.finish(run, 60)["status"] == "completed"
        inst.check_once(run)
    letters = {(r.headers["dlq-partition"], r.headers["dlq-offset"]) for r in quarantined()}
    assert len(letters) == 1
    assert "crashed its owner" in json.dumps(inst.status(sick)["error"])
    # Wiped: the event does not crash the replay.
    ends = len([p for p in inst.orchestrators if not p.running()])
    redis.command("FLUSHALL")
    until(lambda: inst.tutti("status", sick, "--json").code == 0 and
          inst.status(sick)["status"] == "paused", 60, "the run is paused again")
    assert len([p for p in inst.orchestrators if not p.running()]) == ends
    assert len({(r.headers["dlq-partition"], r.headers["dlq-offset"])
                for r in quarantined()}) == 1


@pytest.mark.parametrize("refuse,allow", [
    (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
], ids=["memory", "readonly"])
def test_a_redis_that_refuses_to_write_holds_everything_up_and_loses_nothing(
        installation, fake, redis, refuse, allow):
    fake.on("/fast", lambda c: {})
    inst = installation()
    first = inst.orchestrator(wait=False)
    inst.worker(*worker_args(fake))
    inst.wait_running(first)
    path = inst.write({"steps": [{"name": n, "type": "http", "url": f"{fake.url}/fast/{n}"}
                                 for n in "abc"]})
    inst.finish(inst.start(path))
    redis.command(*refuse)
    runs = []
    for _ in range(6):
        done = inst.tutti("start", path, "--json", "--input-json", "{}")
        assert done.code == 0, done
        runs.append(done.json()["run_id"])
    first.wait_event("redis.refuses", 20)
    assert first.running()
    redis.command(*allow)
    for run in runs:
        assert inst.finish(run, 40)["status"] == "completed"
        inst.check_once(run)
    first.wait_event("redis.writes", 20)
    assert len(first.events("redis.refuses")) == len(first.events("redis.writes"))


def test_eviction_is_refused_at_every_connect(installation, redis):
    inst = installation()
    first = inst.orchestrator()
    redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert first.wait(30) == 1
    assert "noeviction" in first.events("shard.failed")[0]["msg"]
