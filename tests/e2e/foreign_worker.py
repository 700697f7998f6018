# SPDX-License-Identifier: Apache-2.0
"""A worker in Python: nothing but a Kafka client and docs/protocol.md.

    foreign_worker.py BROKERS PREFIX QUEUE

Takes the tasks of a queue, answers each at its reply-to, and commits what is answered. It does one
task at a time and takes no lease, so a crash may repeat a call; a worker that pays for its calls
should be tutti-worker, or pass on the idempotency key.
"""
import json
import signal
import sys

from confluent_kafka import Consumer, Producer

# What a result hands back of its task. (reply-to says where; the rest is the task's own.)
RETURNED = ("v", "run-id", "path", "attempt", "task-id", "gen", "traceparent")


class Refused(Exception):
    """The input is wrong: trying again would not help."""


def word_count(value):
    if not isinstance(value, dict) or "text" not in value:
        raise Refused("wants {text}")
    return {"words": len(value["text"].split()), "by": "python"}


HANDLERS = {"word-count": word_count}


def answer(headers, value):
    """Type and value of the result."""
    try:
        if headers["uses"] not in HANDLERS:
            raise Refused(f"this worker has no handler '{headers['uses']}'")
        return "task.completed", HANDLERS[headers["uses"]](json.loads(value or b"null"))
    except Refused as e:
        return "task.failed", {"type": "bad_request", "message": str(e), "retryable": False}
    except Exception as e:  # a fault of the handler is a result too
        return "task.failed", {"type": "tool_error", "message": str(e), "retryable": True}


def main(brokers, prefix, queue):
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
        kind, result = answer(headers, message.value())
        topic, partition = headers["reply-to"].rsplit("/", 1)
        producer.produce(topic, partition=int(partition), key=headers["run-id"].split("-")[0],
                         value=json.dumps(result),
                         headers=[("type", kind), ("worker", "python")] +
                                 [(h, headers[h]) for h in RETURNED if h in headers])
        producer.flush()  # the answer is in the log before the task is ticked off
        consumer.commit(message, asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
