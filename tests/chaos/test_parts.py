# SPDX-License-Identifier: Apache-2.0
"""What the chaos test stands on: links that can be cut, a Redis that can lose seconds, a ledger."""
import http.client
import json
import pathlib
import socket
import subprocess
import sys
import threading

import pytest

from cluster import Piped, RedisServer
from harness.base import program, until
from mix import KINDS, Mix
from reader import read_calls, result_of

HERE = pathlib.Path(__file__).resolve().parent


class Echo:
    """Answers every byte with itself."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.heard = self.socket.getsockname()[1], b""
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                one, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(one,), daemon=True).start()

    def serve(self, one):
        with one:
            try:
                while data := one.recv(65536):
                    self.heard += data
                    one.sendall(data)
            except OSError:
                return

    def close(self):
        self.socket.close()


@pytest.fixture
def proxy():
    one = Piped([program("tutti-chaos-proxy")], subprocess.DEVNULL)
    yield one
    one.close()
    assert one.popen.returncode == 0


@pytest.fixture
def echo():
    one = Echo()
    yield one
    one.close()


def say(client, text):
    client.sendall(text)
    got = b""
    while len(got) < len(text):
        data = client.recv(65536)
        assert data, "the link is closed"
        got += data
    return got


def silent(client):
    """Nothing can be read for a while."""
    client.settimeout(0.3)
    try:
        client.recv(1)
        return False
    except socket.timeout:
        return True
    finally:
        client.settimeout(5)


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), 5)
    client.settimeout(5)
    return client


@pytest.fixture
def link(proxy, echo):
    port = int(proxy.ask("link w1.redis"))
    proxy.ask(f"target w1.redis {echo.port}")
    return port


def test_a_link_carries_both_ways_and_much(link):
    with connect(link) as client:
        assert say(client, b"one") == b"one"
        sender = threading.Thread(target=client.sendall, args=(b"x" * 3_000_000,))
        sender.start()
        left = 3_000_000
        while left:
            left -= len(client.recv(min(left, 1 << 16)))
        sender.join()


def test_a_cut_link_resets_what_is_open_and_what_comes(proxy, link):
    with connect(link) as client:
        say(client, b"one")
        proxy.ask("cut w1.redis")
        with pytest.raises(ConnectionError):
            client.sendall(b"two")
            assert client.recv(1), "closed"
            raise ConnectionError
    with pytest.raises(ConnectionError), connect(link) as client:
        say(client, b"three")
    proxy.ask("pass w1.redis")
    with connect(link) as client:
        assert say(client, b"four") == b"four"


def test_a_stalled_link_loses_nothing(proxy, link, echo):
    with connect(link) as client:
        say(client, b"one")
        proxy.ask("stall w1.")
        client.sendall(b"two")
        assert silent(client)
        assert echo.heard == b"one"
        proxy.ask("pass w1.")
        assert client.recv(3) == b"two"


def test_a_muted_link_carries_what_is_asked_and_not_what_is_answered(proxy, link, echo):
    with connect(link) as client:
        say(client, b"one")
        proxy.ask("mute w1.")
        client.sendall(b"two")
        until(lambda: echo.heard == b"onetwo", 5, "what is asked")
        assert silent(client)
        proxy.ask("cut w1.")  # and now the answer is lost for good
        with pytest.raises(ConnectionError):
            assert client.recv(1), "closed"
            raise ConnectionError


def test_a_command_means_the_links_of_its_name_alone(proxy, echo):
    ports = [int(proxy.ask(f"link {name}")) for name in ("w1.kafka1", "w1.kafka2", "w2.kafka1")]
    for name in ("w1.kafka1", "w1.kafka2", "w2.kafka1"):
        proxy.ask(f"target {name} {echo.port}")
    assert proxy.ask("cut w1.kafka") == "2"
    with connect(ports[2]) as client:
        assert say(client, b"one") == b"one"


@pytest.mark.parametrize("command", ["what", "link", "cut nobody", "target w1.redis x",
                                     "target nobody 1", "x" * 400])
def test_a_command_that_is_none_is_refused(proxy, link, command):
    with pytest.raises(AssertionError):
        proxy.ask(command)
    assert proxy.ask("pass w1.redis") == "1"


def test_redis_loses_the_seconds_that_it_is_told_to_lose(tmp_path):
    redis = RedisServer(tmp_path / "r")
    try:
        redis.command("SET", "early", "1")
        until(lambda: redis.sizes and redis.sizes[-1][2] == redis.tail().stat().st_size, 5,
              "a sample")
        kept = redis.sizes[-1][0]
        redis.command("SET", "late", "1")
        until(lambda: redis.sizes[-1][0] > kept + 0.2, 5, "later samples")
        redis.crash(redis.sizes[-1][0] - kept)
        redis.start()
        assert redis.command("EXISTS", "early") == 1
        assert redis.command("EXISTS", "late") == 0
    finally:
        redis.close()


@pytest.fixture
def ledger(tmp_path):
    one = Piped([sys.executable, str(HERE / "ledger.py"), str(tmp_path / "ledger")], None)
    one.path = tmp_path / "ledger"
    one.ports = [int(p) for p in one.line().split()]
    yield one
    if one.popen.poll() is None:
        one.close()


def call(ledger, key, body, port=0, **headers):
    to = http.client.HTTPConnection("127.0.0.1", ledger.ports[port], timeout=5)
    to.request("POST", "/tool", json.dumps(body), {"Idempotency-Key": key, "worker": "w1-1",
                                                   **headers})
    answer = to.getresponse()
    return answer.status, json.loads(answer.read())


def test_the_ledger_notes_who_called_for_what(ledger):
    assert call(ledger, "run/a/b", {"n": 4}, **{"tutti-attempt": "3"}) == (200, {"n": 5})
    assert call(ledger, "run/a/b/1", {"n": 4}, port=1)[0] == 200
    ledger.close()
    first, second = read_calls(ledger.path)
    assert (first.run, first.path, first.attempt, first.worker, first.via) == \
        ("run", "a/b", 3, "w1-1", "tool")
    assert first.status == 200 and first.heard and first.end >= first.begin
    assert (second.run, second.path, second.attempt) == ("run", "a/b", None)


def test_the_ledger_fails_the_first_calls_of_a_step(ledger):
    order = {"n": 1, "fail": 2, "status": 503}
    assert [call(ledger, "run/a", order)[0] for _ in range(3)] == [503, 503, 200]
    assert call(ledger, "run/b", order)[0] == 503


def test_the_ledger_notes_who_does_not_wait_for_the_answer(ledger):
    with socket.create_connection(("127.0.0.1", ledger.ports[0])) as client:
        body = b'{"ms": 1500}'
        client.sendall(b"POST /tool HTTP/1.1\r\nidempotency-key: run/a\r\n"
                       b"content-length: %d\r\n\r\n%s" % (len(body), body))
        until(lambda: '"begin"' in ledger.path.read_text(), 5, "the call")
    until(lambda: '"end"' in ledger.path.read_text(), 5, "the answer")
    ledger.close()
    assert [c.heard for c in read_calls(ledger.path)] == [False]


def test_exec_steps_do_what_the_ledger_says(ledger):
    def tool(value):
        return subprocess.run([program("tutti-chaos-tool"), str(ledger.ports[0]), "w2-1"],
                              input=json.dumps(value), capture_output=True, text=True, timeout=10,
                              env={"TUTTI_IDEMPOTENCY_KEY": "run/x"})
    refused, done = tool({"n": 1, "fail": 1}), tool({"n": 1})
    assert refused.returncode == 3 and "no" in refused.stderr
    assert done.returncode == 0 and json.loads(done.stdout) == {"n": 2}
    ledger.close()
    assert [(c.run, c.path, c.worker, c.via) for c in read_calls(ledger.path)] == \
        [("run", "x", "w2-1", "exec")] * 2


def test_the_mix_has_everything_in_it():
    mix = Mix(1, 80)
    drawn = [mix.draw() for _ in range(5000)]
    starts = [d[0] for d in drawn]
    assert {s.workflow for s in starts} == {f"chaos-{k}" for k in KINDS}
    keys = [(s.workflow, s.key) for s in starts if s.key]
    assert len(set(keys)) < len(keys), "keys come again"
    assert len({(s.workflow, s.key, s.n) for s in starts if s.key}) == len(set(keys)), \
        "with the same input"
    assert any(s.twice for s in starts) and any(d[2] is not None for d in drawn)
    assert len({s.run for s in starts}) == len(starts)
    assert {p.stem for p in (HERE / "workflows").glob("*.yaml")} == set(KINDS)


class Record:
    """As the client hands one over."""

    def __init__(self, value, **headers):
        self.text, self.named = json.dumps(value).encode(), [(k, v.encode()) for k, v in headers.items()]

    partition = offset = lambda self: 0
    timestamp = lambda self: (0, 0)

    def value(self):
        return self.text

    def headers(self):
        return self.named


def test_a_claim_of_an_owner_is_no_result():
    run = Record({"status": "completed", "output": 1}, ce_id="r/completed", ce_subject="r",
                 ce_type="io.tutti.run.completed")
    assert result_of(run).run == "r"
    assert result_of(Record({"partition": 1, "offset": 2}, ce_id="c", ce_subject="tutti.events/1",
                            ce_type="io.tutti.partition.claimed")) is None
