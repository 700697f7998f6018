# SPDX-License-Identifier: Apache-2.0
"""What is known after a chaos run, from outside of the system: what was started, what the log says,
what the tools saw, and what the harness did. Times are wall clock milliseconds of one machine."""
import dataclasses
from typing import NamedTuple, Optional


@dataclasses.dataclass
class Start:
    run: str
    workflow: str
    key: Optional[str] = None
    n: int = 0
    cancelled: bool = False  # a cancel was sent, at some time
    twice: bool = False  # the start was written twice


class Event(NamedTuple):
    """A record of `events`."""
    partition: int
    offset: int
    ms: int  # append time
    type: str
    run: str = ""
    path: str = ""
    attempt: int = 0
    task: str = ""
    gen: str = ""
    worker: str = ""
    value: str = ""  # the beginning of it, for people


class Task(NamedTuple):
    """A record of `tasks.<queue>`."""
    topic: str
    partition: int
    offset: int
    ms: int
    run: str
    path: str
    attempt: int
    task: str
    gen: str
    digest: str = ""  # of what must be the same whenever it is sent


class Result(NamedTuple):
    """A record of `results`."""
    partition: int
    offset: int
    ms: int
    id: str
    run: str
    status: str
    output: object = None
    digest: str = ""


class Call(NamedTuple):
    """A call in the ledger. end: 0 while it was never answered."""
    run: str
    path: str
    worker: str
    begin: int
    end: int = 0
    status: int = 0
    heard: bool = False  # the caller was still there when the answer went out
    attempt: Optional[int] = None
    via: str = ""


class Stop(NamedTuple):
    """A process did not run between these times (SIGSTOP and SIGCONT)."""
    process: str
    begin: int
    end: int


class Fault(NamedTuple):
    ms: int
    text: str
    end: int = 0


@dataclasses.dataclass
class Facts:
    starts: list
    events: list
    tasks: list
    results: list
    calls: list
    stops: list
    faults: list
    live: set = dataclasses.field(default_factory=set)  # runs that Redis still knows as not ended
    died: list = dataclasses.field(default_factory=list)  # processes that ended by themselves
    dead_letters: int = 0
