#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ledger: the world outside of the system, which remembers every call that reached it.

    ledger.py FILE

An HTTP server on two ports of 127.0.0.1 (printed as one line), so that one of them can be slow or
broken without the circuit breaker of the other. Every call is written to FILE when it arrives and
again when it is answered. A call is told by its Idempotency-Key, which is <run>/<path>, and by the
header `worker`, which names the process that made it. What the tool does stands in the body:

    n            the answer is {"n": n + 1}
    ms           it takes so long
    slow_first   the first call of a step takes so many ms more
    fail, status the first `fail` calls of a step are answered with that status

It lives as long as its standard input.
"""
import asyncio
import json
import re
import sys
import time

REASONS = {200: "OK", 400: "Bad Request", 429: "Too Many Requests", 500: "Internal Server Error",
           503: "Service Unavailable"}


def parse_key(key):
    """Run and path of a key. A step that had a definite answer gets keys with a number behind."""
    run, _, path = key.partition("/")
    return run, re.sub(r"/\d+$", "", path)


class Book:
    """What is written down, and how often a step was called."""

    def __init__(self, file):
        self.file, self.calls, self.last = file, {}, 0

    def begin(self, headers, source, ms):
        run, path = parse_key(headers.get("idempotency-key", ""))
        self.last += 1
        count = self.calls[run, path] = self.calls.get((run, path), 0) + 1
        attempt = headers.get("tutti-attempt")
        self.write({"begin": self.last, "ms": ms, "run": run, "path": path, "via": source,
                    "attempt": int(attempt) if attempt else None,
                    "worker": headers.get("worker", "")})
        return self.last, count

    def end(self, number, status, heard):
        self.write({"end": number, "ms": now(), "status": status, "heard": heard})

    def write(self, line):
        self.file.write(json.dumps(line) + "\n")


def now():
    return int(time.time() * 1000)


class Connection(asyncio.Protocol):
    def __init__(self, book, connections):
        self.book, self.connections = book, connections
        self.data, self.came, self.busy = b"", 0, False

    def connection_made(self, transport):
        self.transport = transport
        self.connections.add(self)

    def connection_lost(self, _):
        self.connections.discard(self)

    def data_received(self, data):
        if not self.data:
            self.came = now()
        self.data += data
        if not self.busy:
            self.next()

    def next(self):
        """The next whole request, if there is one."""
        head, found, rest = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in
                   (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        body, self.data = rest[:length], rest[length:]
        self.busy = True
        source = lines[0].split(" ")[1].strip("/")
        number, count = self.book.begin(headers, source, self.came)
        order = json.loads(body or b"{}")
        wait = order.get("ms", 0) + (order.get("slow_first", 0) if count == 1 else 0)
        failed = count <= order.get("fail", 0)
        answer = (order.get("status", 500), {"no": count}) if failed else \
            (200, {"n": order.get("n", 0) + 1})
        close = headers.get("connection", "").lower() == "close"
        if wait:
            asyncio.get_running_loop().call_later(wait / 1000, self.answer, number, answer, close)
        else:
            self.answer(number, answer, close)

    def answer(self, number, answer, close):
        status, value = answer
        heard = not self.transport.is_closing()
        self.book.end(number, status, heard)
        if not heard:
            return
        body = json.dumps(value).encode()
        retry = "retry-after: 0\r\n" if status == 503 else ""
        self.transport.write((f"HTTP/1.1 {status} {REASONS.get(status, 'No')}\r\n{retry}"
                              f"content-type: application/json\r\n"
                              f"content-length: {len(body)}\r\n\r\n").encode() + body)
        if close:
            self.transport.close()
        self.busy = False
        self.came = now()
        if self.data:
            self.next()


async def main(path):
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    with open(path, "w", buffering=1 << 16) as file:
        book, connections = Book(file), set()
        servers = [await loop.create_server(lambda: Connection(book, connections), "127.0.0.1", 0,
                                            backlog=512) for _ in range(2)]
        print(*[s.sockets[0].getsockname()[1] for s in servers], flush=True)
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        flusher = asyncio.create_task(flush(file))
        await reader.read()
        flusher.cancel()
        for server in servers:
            server.close()


async def flush(file):
    while True:
        await asyncio.sleep(0.5)
        file.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
