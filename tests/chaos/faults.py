# SPDX-License-Identifier: Apache-2.0
"""Does the faults of a plan, and undoes each when its time is over."""
import heapq
import itertools
import signal
import time

from cluster import wall_ms
from facts import Fault as Done
from harness.base import until
from plan import BROKERS

PROCESS_AWAY_S = 60


class Executor:
    """A queue of what is to be done when. say(text) tells what happens."""

    def __init__(self, cluster, say):
        self.cluster, self.say = cluster, say
        self.queue, self.order = [], itertools.count()
        self.done, self.died = [], []
        self.counts = {}

    def at(self, when, action, *args):
        heapq.heappush(self.queue, (when, next(self.order), action, args))

    def run(self, plan, seconds):
        """The plan, from now on, for so many seconds."""
        self.began = time.monotonic()
        for fault in plan:
            self.at(fault.at, self.begin, fault)
        end = self.began + seconds
        while time.monotonic() < end:
            now = time.monotonic() - self.began
            while self.queue and self.queue[0][0] <= now:
                _, _, action, args = heapq.heappop(self.queue)
                action(*args)
                now = time.monotonic() - self.began
            self.look_after()
            time.sleep(0.05)

    def now(self):
        return time.monotonic() - self.began

    def look_after(self):
        """A process that ended and was not made to is a finding; it is started again."""
        for server in self.cluster.servers.values():
            if server.popen.poll() is None or server.expected_to_end:
                continue
            self.died.append(f"{server.full_name} (exit {server.popen.returncode})")
            self.say(f"{server.full_name} ended by itself, exit {server.popen.returncode}")
            server.start()

    def begin(self, fault):
        self.say(str(fault))
        self.done.append(Done(wall_ms(), str(fault), wall_ms() + int(fault.seconds * 1000)))
        self.counts[fault.kind] = self.counts.get(fault.kind, 0) + 1
        verb, _, what = fault.kind.partition("-")
        if fault.kind in ("cut", "stall", "mute"):
            self.cluster.proxy.ask(f"{fault.kind} {fault.target}")
            self.at(self.now() + fault.seconds, self.cluster.proxy.ask, f"pass {fault.target}")
        elif fault.kind == "flushall":
            self.flush_all()
        elif what == "redis":
            self.redis(verb, fault)
        elif what.startswith("broker"):
            for n in fault.who():
                self.broker(verb, n, fault.seconds)
        else:
            self.server(verb, self.cluster.servers[fault.target], fault)

    def server(self, verb, server, fault):
        if verb in ("stop", "freeze"):
            server.stop()
            self.at(self.now() + fault.seconds, server.go_on)
            return
        if verb == "kill":
            server.kill()
        else:
            server.expected_to_end = True
            server.send(signal.SIGTERM)
        self.at(self.now() + fault.seconds, self.start_again, server)

    def start_again(self, server):
        if server.running():  # it was asked to end, and takes its time
            self.at(self.now() + 0.2, self.start_again, server)
        else:
            server.start()

    def broker(self, verb, n, seconds):
        cluster = self.cluster
        if verb == "freeze":
            cluster.broker_signal(n, signal.SIGSTOP)
            self.at(self.now() + seconds, cluster.broker_signal, n, signal.SIGCONT)
        else:
            cluster.broker_signal(n, signal.SIGKILL)
            self.at(self.now() + seconds, cluster.broker_start, n)

    def redis(self, verb, fault):
        redis = self.cluster.redis
        if verb == "freeze":
            redis.popen.send_signal(signal.SIGSTOP)
            self.at(self.now() + fault.seconds, redis.popen.send_signal, signal.SIGCONT)
            return
        if verb == "restart":
            redis.end()
        else:
            lost = redis.crash(fault.amount)
            self.say(f"           redis lost {lost} bytes of its log")
        self.at(self.now() + fault.seconds, redis.launch)

    def flush_all(self):
        if self.cluster.redis.answers():
            self.cluster.redis.command("FLUSHALL")
        else:  # it loads its data, or is not started again yet
            self.at(self.now() + 0.1, self.flush_all)

    def heal(self):
        """Everything works again, whatever was under way. Faults still to come do not come."""
        cluster = self.cluster
        while self.queue:
            _, _, action, args = heapq.heappop(self.queue)
            if action == self.start_again:
                args[0].end()
                args[0].start()
            elif action != self.begin:
                action(*args)
        cluster.proxy.ask("pass o")
        cluster.proxy.ask("pass w")
        for n in BROKERS:
            try:
                cluster.broker_signal(n, signal.SIGCONT)
            except ProcessLookupError:
                cluster.broker_start(n)
        cluster.brokers_answer(PROCESS_AWAY_S)
        until(cluster.redis.answers, PROCESS_AWAY_S, "redis answers")
        self.look_after()
