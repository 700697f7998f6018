# SPDX-License-Identifier: Apache-2.0
"""The client that starts runs.

A start is written to `events` as any client would write it. Some have keys, and keys come again;
some are written twice, as a client does that did not hear the first answer; some are cancelled."""
import json
import threading
import time

from confluent_kafka import Producer

NEVER = 7 * 24 * 3600 * 1000  # ms: a start must not be given up, or nobody knows whether it is in


class Starter(threading.Thread):
    """Starts runs at a steady rate until it is told to stop, whatever state the system is in."""

    def __init__(self, brokers, prefix, hashes, mix, rate, file):
        super().__init__(daemon=True)
        self.topic, self.hashes, self.mix, self.rate = f"{prefix}.events", hashes, mix, rate
        self.over = threading.Event()
        self.starts, self.acked, self.refused, self.later = [], 0, [], []
        self.file = file
        self.producer = Producer({
            "bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 20,
            "message.timeout.ms": NEVER, "partitioner": "murmur2_random", "log_level": 0,
            "reconnect.backoff.max.ms": 500, "queue.buffering.max.messages": 1000000})

    def run(self):
        begin, due = time.monotonic(), 0
        while not self.over.wait(0.1):
            now = time.monotonic()
            due = (now - begin) * self.rate
            while len(self.starts) < due:
                self.start_one(now)
            while self.later and self.later[0][0] <= now:
                self.cancel(self.later.pop(0)[1])
            self.producer.poll(0)
            self.file.flush()
        for _, run in self.later:
            self.cancel(run)

    def start_one(self, now):
        start, value, cancel = self.mix.draw()
        headers = {"v": "1", "type": "run.start", "run-id": start.run,
                   "definition": self.hashes[start.workflow], "workflow": start.workflow,
                   "version": "1.0.0", **({"key": start.key} if start.key else {})}
        self.starts.append(start)
        self.file.write(json.dumps({**start.__dict__, "ms": int(time.time() * 1000)}) + "\n")
        for _ in range(2 if start.twice else 1):
            self.send(start.run, headers, json.dumps(value))
        if cancel is not None:
            self.later.append((now + cancel, start.run))
            self.later.sort()

    def cancel(self, run):
        self.send(run, {"v": "1", "type": "run.cancel", "run-id": run}, '{"reason": "chaos"}')

    def send(self, run, headers, value):
        self.producer.produce(self.topic, key=run[:16], value=value, headers=headers,
                              on_delivery=self.delivered)

    def delivered(self, error, message):
        if error:
            self.refused.append(str(error))
        else:
            self.acked += 1

    def stop(self):
        self.over.set()
        self.join()

    def flush(self, seconds):
        """How many records are still not in the log."""
        return self.producer.flush(seconds)
