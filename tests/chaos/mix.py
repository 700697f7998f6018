# SPDX-License-Identifier: Apache-2.0
"""The mix of workflows: what is started, and what must come of it."""
import hashlib
import random
import secrets
import time

from facts import Start

# Weight of a workflow in the mix, what it makes of n, and how its runs may end.
KINDS = {
    "sequence": (22, lambda n: {"n": 2 * n + 4}, ("completed",)),
    "parallel": (14, lambda n: {"n": (n + 1) + (n + 2) + n + 1}, ("completed",)),
    "branches": (14, lambda n: {"n": n + (2, 3, 1)[n % 3]}, ("completed",)),
    "plain": (14, lambda n: {"n": n + 3}, ("completed",)),
    "flaky": (7, lambda n: {"n": n + 2}, ("completed",)),
    "exec": (6, lambda n: {"n": n + 3}, ("completed",)),
    "race": (4, lambda n: {"n": n + 1}, ("completed",)),
    "fallback": (4, lambda n: {"n": n + 1}, ("completed",)),
    "fails": (4, None, ("failed",)),
    "slow": (4, lambda n: {"n": n + 2}, ("completed",)),
    "patient": (3, lambda n: {"n": n + 2}, ("completed",)),
    "timeout": (3, lambda n: {"n": n + 2}, ("completed",)),
    # Its tool takes longer than the run may. Where nobody folds for as long, the result may stand
    # in the log before the timer does, and then the run has rightly completed.
    "deadline": (2, lambda n: {"n": n + 1}, ("failed", "completed")),
}
KEYED = ("sequence", "branches", "slow")


def new_run_id(workflow, key):
    """<r>-<u>: u is unique, r is a hash of the key, or of u where there is none."""
    unique = f"{int(time.time() * 1000):012x}"[-12:] + secrets.token_hex(6)
    text = f"{workflow}\0{key}" if key else unique
    return hashlib.sha256(text.encode()).hexdigest()[:16] + "-" + unique


class Mix:
    """Draws starts from a seed."""

    def __init__(self, seed, ledger_port):
        self.random = random.Random(f"load/{seed}")
        self.url = f"http://127.0.0.1:{ledger_port}"
        self.names = list(KINDS)
        self.weights = [KINDS[k][0] for k in self.names]
        self.keys, self.count = [], 0

    def draw(self):
        """A start, and after how many seconds it is cancelled (None: never)."""
        r = self.random
        self.count += 1
        kind = r.choices(self.names, self.weights)[0]
        n, key = self.count, None
        if kind in KEYED and r.random() < 0.2:
            if self.keys and r.random() < 0.5:
                kind, n, key = r.choice(self.keys[-200:])
            else:
                key = f"key-{self.count}"
                self.keys.append((kind, n, key))
        value = {"n": n, "ledger": self.url}
        if kind == "slow":
            value["ms"] = 1000 + n * 37 % 5000
        cancel = r.uniform(0, 2.5) if r.random() < 0.04 else None
        workflow = f"chaos-{kind}"
        start = Start(run=new_run_id(workflow, key), workflow=workflow, key=key, n=n,
                      cancelled=cancel is not None, twice=r.random() < 0.02)
        return start, value, cancel
