# SPDX-License-Identifier: Apache-2.0
"""A worker in Python: nothing but a Kafka client and docs/protocol.md.

    foreign_worker.py BROKERS PREFIX QUEUE [DIRECTORY]

Takes the tasks of a queue, answers each at its reply-to, and commits what is answered. It does one
task at a time and takes no lease, so a crash may repeat a call; a worker that pays for its calls
should be tutti-worker, or pass on the idempotency key. DIRECTORY is the installation's payload store,
where it has one: what is too large for a message lies there (docs/payloads.md).
"""
import hashlib
import json
import os
import pathlib
import re
import signal
import sys

from confluent_kafka import Consumer, Producer

# What a result hands back of its task. (reply-to says where; the rest is the task's own.)
RETURNED = ("v", "run-id", "path", "attempt", "task-id", "gen", "traceparent")


CLAIM_CHECK = re.compile(rb'\{"\$blob":"([0-9a-f]{64})","size":([0-9]+)\}')
INLINE_MAX = 32 * 1024


class Store:
    """Payloads in a directory."""

    def __init__(self, path):
        self.path = path

    def place(self, run, name):
        return pathlib.Path(self.path, "run", run[:2], run, name)

    def read(self, run, value):
        """The value, or what its claim check stands for."""
        claim = CLAIM_CHECK.fullmatch(value or b"")
        if not claim:
            return value
        content = self.place(run, claim[1].decode()).read_bytes()
        if hashlib.sha256(content).hexdigest() != claim[1].decode():
            raise OSError(f"payload {claim[1].decode()} is damaged")
        return content

    def write(self, run, value):
        """The value, or its claim check once its content is there."""
        if not self.path or len(value) <= INLINE_MAX:
            return b" " + value if value.startswith(b'{"$blob":') else value
        name = hashlib.sha256(value).hexdigest()
        place = self.place(run, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{name}.{os.getpid()}")
        with part.open("wb") as f:
            f.write(value)
            f.flush()
            os.fsync(f.fileno())
        part.rename(place)
        return b'{"$blob":"%s","size":%d}' % (name.encode(), len(value))


class Refused(Exception):
    """The input is wrong: trying again would not help."""


def word_count(value):
    if not isinstance(value, dict) or "text" not in value:
        raise Refused("wants {text}")
    return {"words": len(value["text"].split()), "by": "python"}


def shout(value):
    return {"text": value["text"].upper()}


HANDLERS = {"word-count": word_count, "shout": shout}


def answer(store, headers, value):
    """Type and value of the result."""
    try:
        if headers["uses"] not in HANDLERS:
            raise Refused(f"this worker has no handler '{headers['uses']}'")
        given = json.loads(store.read(headers["run-id"], value) or b"null")
        return "task.completed", HANDLERS[headers["uses"]](given)
    except Refused as e:
        return "task.failed", {"type": "bad_request", "message": str(e), "retryable": False}
    except Exception as e:  # a fault of the handler is a result too
        return "task.failed", {"type": "tool_error", "message": str(e), "retryable": True}


def main(brokers, prefix, queue, directory=None):
    store = Store(directory)
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": f"{prefix}-python",
                         "auto.offset.reset": "earliest", "enable.auto.commit": False})
    producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 0})
    consumer.subscribe([f"{prefix}.tasks.{queue}"])
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    while going:
        message = consumer.poll(0.1)
        if message is None or message.error():
            continue
        headers = {name: text.decode() for name, text in message.headers() or []}
        kind, result = answer(store, headers, message.value())
        value = store.write(headers["run-id"], json.dumps(result, separators=(",", ":")).encode())
        topic, partition = headers["reply-to"].rsplit("/", 1)
        producer.produce(topic, partition=int(partition), key=headers["run-id"].split("-")[0],
                         value=value,
                         headers=[("type", kind), ("worker", "python")] +
                                 [(h, headers[h]) for h in RETURNED if h in headers])
        producer.flush()  # the answer is in the log before the task is ticked off
        consumer.commit(message, asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
