#!/usr/bin/env python3
"""How fast an orchestrator fills a wiped Redis again, and how fast one takes over what another left.

The log of a busy installation (runs of five steps, and runs that wait) is rebuilt after a FLUSHALL: events_per_s counts all events of the
log over the time from the wipe until every partition has issued its waiting tasks again, commits included; every state must then be
what it was. takeover_ms is the time of a second orchestrator from the assignment of 16 partitions with 100,000 live runs, whose owner was
killed, to the first commit of the last of them. The last line with --json is one object.
"""
import datetime
import hashlib
import json
import socket
import sys
import time

from installation import PARTITIONS, Failed, run


def apart(flat):
    """A hash's fields; transitions one by one, for which of them were written together is no part of the state."""
    for name, value in zip(flat[::2], flat[1::2]):
        if not name.startswith(b"t:"):
            yield name, value
            continue
        together = json.loads(value)
        for i in range(0, len(together), 3):
            yield b"t:%d" % (int(name[2:]) + i // 3), json.dumps(together[i:i + 3]).encode()


class Redis:
    """As much of a client as reading all keys needs: pipelined commands over a socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb", 1 << 20)

    def send(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(parts))

    def reply(self):
        line = self.file.readline()
        kind, text = line[:1], line[1:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(text))]
        if kind == b"$":
            return None if text == b"-1" else self.file.read(int(text) + 2)[:-2]
        if kind == b"-":
            raise Failed(f"redis: {text.decode()}")
        return int(text) if kind == b":" else text

    def __call__(self, *words):
        self.send(*words)
        return self.reply()

    def hashes(self, pattern):
        """Every hash whose key matches: a digest of its fields by key."""
        found, cursor = {}, b"0"
        while True:
            cursor, keys = self("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            for key in keys:
                self.send("HGETALL", key)
            for key in keys:
                flat = self.reply()
                fields = sorted(apart(flat))
                found[key] = hashlib.sha256(repr(fields).encode()).digest()
            if cursor == b"0":
                return found


def compare(before, after):
    lost, more = before.keys() - after.keys(), after.keys() - before.keys()
    other = [key for key in before.keys() & after.keys() if before[key] != after[key]]
    if lost or more or other:
        raise Failed(f"of {len(before)} states {len(lost)} are gone, {len(other)} differ, {len(more)} are new (such as "
                     f"{sorted(lost | more | set(other))[0].decode()})")


def rest(bench, redis):
    """Until what stands in Redis is the fold of the whole log: outputs leave before their commit."""
    places = [f"tutti:p:{{{p}}}" for p in range(PARTITIONS)]
    bench.until("everything is committed", lambda: sum(int(redis("HGET", key, "off") or 0) for key in places) == bench.count("tutti.events"))


def rebuild(bench, redis, waiting):
    """Events a second from the wipe to the last task that is issued again."""
    rest(bench, redis)
    before = redis.hashes("tutti:run:*")
    issued, events = bench.count("tutti.tasks.nobody"), bench.count("tutti.events")
    start = time.monotonic()
    redis("FLUSHALL")
    bench.until("every waiting task is issued again", lambda: bench.count("tutti.tasks.nobody") >= issued + waiting, 300)
    seconds = time.monotonic() - start
    bench.until("every partition runs", lambda: len(redis("KEYS", "tutti:p:*")) == PARTITIONS and not any(
        redis("HEXISTS", key, "rebuild") for key in redis("KEYS", "tutti:p:*")), 60)
    rest(bench, redis)
    compare(before, redis.hashes("tutti:run:*"))
    bench.say(f"  {events} events, {len(before)} runs: {seconds:.2f} s from the wipe to the last task, all states equal")
    return events / seconds


def moment(line):
    return datetime.datetime.fromisoformat(line["ts"].replace("Z", "+00:00"))


def takeover(bench):
    """Milliseconds from the first assignment to the first commit of the last partition."""
    first = bench.children[-2]
    first.kill()
    first.wait()
    bench.children.remove(first)
    bench.orchestrator("successor")
    assigned = min(map(moment, bench.events("successor", "partition.assigned")))
    running = max(map(moment, bench.events("successor", "partition.running")))
    return (running - assigned).total_seconds() * 1000


def measure(bench):
    quick = bench.options.quick
    redis = Redis(bench.dir / "redis.sock")
    waiting = 500 if quick else 2000
    bench.drive(4000, 3 if quick else 20)
    bench.start_waiting(waiting)
    bench.say("rebuild after FLUSHALL:")
    events_per_s = rebuild(bench, redis, waiting)
    live = 5000 if quick else 100000
    bench.start_waiting(live - waiting)
    bench.say(f"takeover of {PARTITIONS} partitions with {live} live runs:")
    ms = takeover(bench)
    bench.say(f"  {ms:.0f} ms")
    return {"events_per_s": round(events_per_s), "takeover_ms": round(ms)}


if __name__ == "__main__":
    sys.exit(run(__doc__, measure))
