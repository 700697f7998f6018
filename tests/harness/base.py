# SPDX-License-Identifier: Apache-2.0
"""Waiting with a deadline, and processes that log JSON lines."""
import json
import os
import pathlib
import resource
import signal
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TUTTI_BIN", ROOT / "build/release/bin")).resolve()
# Sanitizer builds and busy machines need longer; every deadline is multiplied by this.
SLOW = float(os.environ.get("TUTTI_TEST_SLOW", "1"))
POLL_SECONDS = 0.02
SANITIZER_MARKS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                   "WARNING: ThreadSanitizer", "assertion failed")


def until(condition, seconds, what="the condition"):
    """Returns the first true value of condition(); fails after the deadline."""
    tick, end = threading.Event(), time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"{what}: not within {seconds * SLOW:g} s")
        tick.wait(POLL_SECONDS)


def holds_for(condition, seconds, what="the condition"):
    """Fails if condition() becomes false before the time is over."""
    tick, end = threading.Event(), time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), what
        tick.wait(POLL_SECONDS)


def program(name):
    path = BIN / name
    assert path.exists(), f"{path} is not built (TUTTI_BIN says where the programs are)"
    return str(path)


def clean_env(extra=None):
    """The environment without anything that would configure tutti or a model."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TUTTI_", "OPENAI_"))}
    env["PATH"] = f"{BIN}:{env.get('PATH', '')}"
    env.update(extra or {})
    return env


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Process:
    """A program whose stderr is lines of JSON; they are kept, and copied to a file."""

    def __init__(self, name, args, env, directory):
        self.name, self.args, self.env = name, list(args), env
        self.path = pathlib.Path(directory) / f"{name}.log"
        self.lines, self.text = [], []
        self.changed = threading.Condition()
        self.popen = subprocess.Popen(self.args, env=env, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                      preexec_fn=no_core)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def pid(self):
        return self.popen.pid

    def _read(self):
        with self.path.open("ab") as copy:
            for raw in self.popen.stderr:
                copy.write(raw)
                copy.flush()
                text = raw.decode("utf-8", "replace").rstrip("\n")
                try:
                    line = json.loads(text)
                except ValueError:
                    line = None
                with self.changed:
                    (self.lines if isinstance(line, dict) else self.text).append(line or text)
                    self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def events(self, event, **fields):
        with self.changed:
            return [x for x in self.lines if x.get("event") == event
                    and all(x.get(k) == v for k, v in fields.items())]

    def wait_for(self, condition, seconds, what):
        """condition() is looked at again after every line."""
        end = time.monotonic() + seconds * SLOW
        with self.changed:
            while not (value := condition()):
                left = end - time.monotonic()
                alive = self.popen.poll() is None or self.reader.is_alive()
                if left <= 0 or not alive:
                    why = "not within its time" if alive else f"it ended ({self.popen.poll()})"
                    raise AssertionError(f"{self.name}: {what}: {why}\n{self.tail()}")
                self.changed.wait(min(left, 0.25))
            return value

    def wait_event(self, event, seconds=10, count=1, **fields):
        return self.wait_for(lambda: (f := self.events(event, **fields)) and len(f) >= count and f,
                             seconds, f"{count} x {event}")

    def tail(self, count=25):
        try:
            return "\n".join(self.path.read_text(errors="replace").splitlines()[-count:])
        except OSError:
            return ""

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def kill(self):
        """kill -9."""
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def wait(self, seconds=10):
        code = self.popen.wait(seconds * SLOW)
        self.reader.join(5)
        return code

    def stop(self, seconds=15):
        """SIGTERM; the exit code. A program that does not end is a fault."""
        if self.running():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} does not end after SIGTERM\n{self.tail()}") from None

    def check_sane(self):
        text = self.path.read_text(errors="replace") if self.path.exists() else ""
        for mark in SANITIZER_MARKS:
            assert mark not in text, f"{self.name}: {mark}\n{text[text.index(mark):][:4000]}"
