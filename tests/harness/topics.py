# SPDX-License-Identifier: Apache-2.0
"""Reading and writing topics as any other client would."""
import json
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from .base import SLOW


class Record:
    def __init__(self, message):
        self.topic, self.partition, self.offset = (message.topic(), message.partition(),
                                                   message.offset())
        self.key = (message.key() or b"").decode()
        self.headers = {k: (v or b"").decode() for k, v in message.headers() or []}
        self.value = message.value()

    def json(self):
        return json.loads(self.value) if self.value else None


class Topics:
    """All records of all topics of a prefix, in the order of each partition; read on demand."""

    def __init__(self, brokers, prefix):
        self.brokers, self.prefix = brokers, prefix
        self.consumer = Consumer({
            "bootstrap.servers": brokers, "group.id": f"{prefix}-tests", "log_level": 0,
            "enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 10,
            "auto.offset.reset": "earliest"})
        self.producer = Producer({"bootstrap.servers": brokers, "log_level": 0, "linger.ms": 0})
        self.next = {}
        self.records = []

    def names(self):
        return self.consumer.list_topics(timeout=10 * SLOW).topics

    def _partitions(self):
        return [(name, p) for name, topic in self.names().items()
                if name.startswith(self.prefix + ".") for p in topic.partitions]

    def read(self):
        """Reads up to what is there now; returns what is new."""
        left = set(self._partitions())  # whose ends are not reached
        new = []
        # From numbers: who asks for the beginning waits for half a second. What is cut is passed over.
        self.consumer.assign([TopicPartition(n, p, self.next.get((n, p), 0)) for n, p in left])
        deadline = time.monotonic() + 20 * SLOW
        while left:
            assert time.monotonic() < deadline, f"cannot read {left}"
            message = self.consumer.poll(0.5)
            if message is None:
                continue
            where = message.topic(), message.partition()
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                left.discard(where)
                continue
            new.append(Record(message))
            self.next[where] = message.offset() + 1
        self.consumer.unassign()
        self.records += new
        return new

    def of(self, topic, **headers):
        """Records of <prefix>.<topic>; task_id stands for the header task-id."""
        self.read()
        return self.seen(topic, **headers)

    def seen(self, topic, **headers):
        """The same of what has been read already."""
        wanted = {k if k.startswith("ce_") else k.replace("_", "-"): v for k, v in headers.items()}
        return [r for r in self.records if r.topic == f"{self.prefix}.{topic}"
                and all(r.headers.get(k) == v for k, v in wanted.items())]

    def send(self, topic, value, key=None, headers=None, partition=None, timestamp_ms=None):
        """Writes one record and waits for its acknowledgement; topic is the whole name."""
        failed = []
        value = value if isinstance(value, (bytes, type(None))) else json.dumps(value).encode()
        where = {} if partition is None else {"partition": partition}
        if timestamp_ms is not None:
            where["timestamp"] = timestamp_ms
        self.producer.produce(topic, value=value, key=key, headers=headers or {}, **where,
                              on_delivery=lambda e, _: failed.append(e) if e else None)
        assert self.producer.flush(20 * SLOW) == 0 and not failed, failed

    def close(self):
        self.consumer.close()
