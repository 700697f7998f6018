# SPDX-License-Identifier: Apache-2.0
"""The independent reader: another Kafka client, which reads every topic from its start."""
import hashlib
import json
import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from facts import Call, Event, Result, Task

SAME = ("type", "kind", "uses", "reply-to", "deadline-ms", "marks", "timeout-ms", "idempotency-key",
        "secrets")


def consumer(brokers, group):
    return Consumer({"bootstrap.servers": brokers, "group.id": group, "log_level": 0,
                     "enable.auto.commit": False, "auto.offset.reset": "earliest",
                     "reconnect.backoff.max.ms": 500})


def headers_of(message):
    return {k: (v or b"").decode("utf-8", "replace") for k, v in message.headers() or []}


def event_of(m):
    h = headers_of(m)
    return Event(m.partition(), m.offset(), m.timestamp()[1], h.get("type", ""),
                 h.get("run-id", ""), h.get("path", ""), int(h.get("attempt", 0)),
                 h.get("task-id", ""), h.get("gen", ""), h.get("worker", ""),
                 (m.value() or b"")[:120].decode("utf-8", "replace"))


def task_of(m):
    h = headers_of(m)
    same = json.dumps([h.get(name) for name in SAME]).encode() + (m.value() or b"")
    return Task(m.topic(), m.partition(), m.offset(), m.timestamp()[1], h.get("run-id", ""),
                h.get("path", ""), int(h.get("attempt", 0)), h.get("task-id", ""),
                h.get("gen", ""), hashlib.sha1(same).hexdigest())


def of_no_run(h):
    """An owner's claim."""
    return h.get("ce_type") == "io.tutti.partition.claimed"


def result_of(m):
    h = headers_of(m)
    if of_no_run(h):
        return None
    value = json.loads(m.value())
    return Result(m.partition(), m.offset(), m.timestamp()[1], h.get("ce_id", ""),
                  h.get("ce_subject", ""), value.get("status", ""), value.get("output"),
                  hashlib.sha1(m.value()).hexdigest())


class Reader:
    """All records of the topics of a prefix up to their ends at the moment of reading."""

    def __init__(self, brokers, prefix, seconds=120):
        self.prefix, self.deadline = prefix, time.monotonic() + seconds
        self.consumer = consumer(brokers, f"{prefix}-chaos-reader")
        self.names = [n for n in self.consumer.list_topics(timeout=30).topics
                      if n.startswith(prefix + ".")]

    def read(self, suffix, make):
        ends = {}
        for name in self.names:
            if not (name + ".").startswith(f"{self.prefix}.{suffix}."):
                continue
            for p in self.consumer.list_topics(name, timeout=30).topics[name].partitions:
                low, high = self.consumer.get_watermark_offsets(TopicPartition(name, p), timeout=30)
                if high > low:
                    ends[name, p] = high
        if not ends:
            return []
        self.consumer.assign([TopicPartition(n, p, OFFSET_BEGINNING) for n, p in ends])
        found = []
        while ends:
            assert time.monotonic() < self.deadline, f"cannot read {ends}"
            for message in self.consumer.consume(1000, 0.5):
                if message.error():
                    continue
                made = make(message)
                if made:
                    found.append(made)
                place = message.topic(), message.partition()
                if place in ends and message.offset() + 1 >= ends[place]:
                    del ends[place]
        self.consumer.unassign()
        return found

    def close(self):
        self.consumer.close()


class Watcher(threading.Thread):
    """Counts the runs whose results have come, while they come."""

    def __init__(self, brokers, prefix):
        super().__init__(daemon=True)
        self.ended, self.records, self.over = set(), 0, threading.Event()
        self.consumer = consumer(brokers, f"{prefix}-chaos-watcher")
        name = f"{prefix}.results"
        partitions = self.consumer.list_topics(name, timeout=30).topics[name].partitions
        self.consumer.assign([TopicPartition(name, p, OFFSET_BEGINNING) for p in partitions])

    def run(self):
        while not self.over.is_set():
            for message in self.consumer.consume(500, 0.5):
                h = {} if message.error() else headers_of(message)
                if not h or of_no_run(h):
                    continue
                self.records += 1
                self.ended.add(h.get("ce_subject"))
        self.consumer.close()

    def stop(self):
        self.over.set()
        self.join()


def read_calls(path):
    """The calls of a ledger's file."""
    calls = {}
    for text in path.read_text().splitlines():
        line = json.loads(text)
        if "begin" in line:
            calls[line["begin"]] = Call(line["run"], line["path"], line["worker"], line["ms"],
                                        attempt=line["attempt"], via=line["via"])
        else:
            call = calls[line["end"]]
            calls[line["end"]] = call._replace(end=line["ms"], status=line["status"],
                                               heard=line["heard"])
    return list(calls.values())
