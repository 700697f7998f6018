# SPDX-License-Identifier: Apache-2.0
"""Redis, Kafka (real or embedded) and a programmable HTTP server."""
import http.server
import json
import pathlib
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading

from .base import ROOT, clean_env, no_core, program, until

KAFKA_SH = ROOT / "tests/kafka/kafka.sh"


class Redis:
    """A private redis-server on a Unix socket, with AOF everysec."""

    def __init__(self, *options):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tr-", dir="/tmp"))  # sun_path is short
        self.socket = str(self.dir / "s")
        self.options = options
        self.popen = None
        self.start()

    def start(self):
        self.popen = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", str(self.dir),
             "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
             "--maxmemory-policy", "noeviction", *self.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=clean_env())
        until(self.answers, 10, "redis-server answers")

    def answers(self):
        assert self.popen.poll() is None, "redis-server ended"
        try:
            self.command("PING")
        except RuntimeError as e:
            return "NOAUTH" in str(e)
        except OSError:
            return False
        return True

    def command(self, *words):
        """One command; the reply as text (simple replies and bulk strings), int or None."""
        s = socket.socket(socket.AF_UNIX)
        with s:
            s.settimeout(10)
            s.connect(self.socket)
            parts = [str(w).encode() for w in words]
            s.sendall(b"*%d\r\n" % len(parts) +
                      b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            with s.makefile("rb") as f:
                return self._reply(f)

    def _reply(self, f):
        line = f.readline()
        if not line:
            raise ConnectionError("redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return [self._reply(f) for _ in range(int(rest))]
        if int(rest) < 0:
            return None
        return f.read(int(rest) + 2)[:-2].decode("utf-8", "replace")

    def restart(self):
        """An orderly end and a new start with the same data."""
        self.popen.terminate()
        self.popen.wait(10)
        self.start()

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class MockBroker:
    """librdkafka's mock cluster in a process of its own. It lives as long as its stdin."""
    name = "mock"
    session_timeout = "6s"  # it waits 3 s for further members; less than that never settles
    fetch_wait = "5ms"

    def __init__(self):
        self.popen = subprocess.Popen([program("tutti-mockbroker")], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                      env=clean_env(), preexec_fn=no_core)
        self.brokers = self.popen.stdout.readline().strip()
        assert self.brokers, "the embedded broker does not start"

    def make_topics(self, topics):
        for name, partitions in topics.items():
            self.popen.stdin.write(f"{name}:{partitions}\n")
            self.popen.stdin.flush()
            answer = self.popen.stdout.readline().strip()
            assert answer == f"ok {name}", answer

    def pause(self):
        self.popen.send_signal(signal.SIGSTOP)

    def resume(self):
        self.popen.send_signal(signal.SIGCONT)

    def close(self):
        self.popen.stdin.close()
        self.popen.terminate()
        self.popen.wait(10)


class KafkaMissing(Exception):
    """The artifacts of Apache Kafka cannot be fetched here."""


class Kafka:
    """A real Apache Kafka, one node."""
    name = "kafka"
    session_timeout = "6s"  # the least that the broker allows
    fetch_wait = "100ms"

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="tk-", dir="/tmp")
        done = subprocess.run([str(KAFKA_SH), "start", self.dir, "lean"], capture_output=True,
                              text=True)
        if done.returncode == 3:
            shutil.rmtree(self.dir, ignore_errors=True)
            raise KafkaMissing(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        self.brokers = done.stdout.strip().splitlines()[-1]

    def make_topics(self, topics):
        from confluent_kafka.admin import AdminClient, NewTopic
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        made = admin.create_topics([NewTopic(n, p, 1) for n, p in topics.items()])
        for future in made.values():
            future.result(30)

    def close(self):
        subprocess.run([str(KAFKA_SH), "stop", self.dir], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


class Call:
    """What the server was asked."""

    def __init__(self, handler, body):
        self.method, self.path = handler.command, handler.path
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        self.body = body

    @property
    def key(self):
        return self.headers.get("idempotency-key")

    def json(self):
        return json.loads(self.body or b"null")


def chat(text, tokens=(7, 5)):
    """A chat completion of OpenAI's wire."""
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "fake",
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1],
                      "total_tokens": sum(tokens)}}


class FakeServer:
    """A loopback server. What a path does is set with on(path, behave): behave(call) returns a
    value (200 and JSON), bytes (200 as they are) or (status, headers, body)."""

    def __init__(self):
        self.lock = threading.Lock()
        self.calls, self.behaviours, self.gates = [], {}, []
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                call = Call(self, self.rfile.read(length))
                with fake.lock:
                    fake.calls.append(call)
                    behave = fake.find(call.path)
                status, headers, body = fake.shape(behave(call) if behave else (404, {}, b""))
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:  # the caller was killed, or gave up
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @staticmethod
    def shape(answer):
        if isinstance(answer, tuple):
            status, headers, body = answer
        else:
            status, headers, body = 200, {}, answer
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers = {"content-type": "application/json", **headers}
        return status, headers, body

    def find(self, path):
        fits = [p for p in self.behaviours if path.split("?")[0].startswith(p)]
        return self.behaviours[max(fits, key=len)] if fits else None

    def on(self, path, behave):
        with self.lock:
            self.behaviours[path] = behave
        return self.url + path

    def gate(self):
        """An event that a behaviour may wait for; opened at the end in any case."""
        gate = threading.Event()
        self.gates.append(gate)
        return gate

    def count(self, path):
        return len(self.of(path))

    def of(self, path):
        with self.lock:
            return [c for c in self.calls if c.path.split("?")[0].startswith(path)]

    def close(self):
        for gate in self.gates:
            gate.set()
        self.server.shutdown()
        self.server.server_close()


def free_port():
    """A port on which nobody listens (it may be taken a moment later: for refusals only)."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
