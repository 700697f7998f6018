#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzz targets: first all that was ever found, then new inputs for a while.

usage: fuzz.py [--seconds N] [--jobs N] [--seed N] [--planted | --seeds] [TARGET...]

  --seconds N   of each target (default 30)
  --jobs N      targets at once (default 2)
  --planted     the bug that is planted for each target (planted.py) must be found within its seconds
  --seed N      of libFuzzer's random numbers: the same ones give the same inputs (default: drawn; 1 for --planted)
  --seeds       makes tests/fuzz/corpus anew: to the seeds that people wrote (*.seed) come the few inputs of the old
                corpus and of all that was found that reach most of what is left

New inputs that reach new code are kept in build/fuzzing/TARGET/corpus and used again. The last line is
"N passed, N failed".
"""
import argparse
import concurrent.futures
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/fuzz"
BIN = ROOT / "build/fuzz/bin"
WORK = ROOT / "build/fuzzing"
MINIMIZE_S = 20
SEEDS_MAX = 40
SEED_BYTES_MAX = 2500
# A unit that runs for 20 s on a busy machine has no end.
LIMITS = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=1500", "-malloc_limit_mb=512"]

printing = threading.Lock()


def say(text):
    with printing:
        print(text, flush=True)


def shown(path):
    return os.path.relpath(path, ROOT)


def files(directory):
    return sorted(p for p in directory.iterdir() if p.is_file()) if directory.is_dir() else []


class Target:
    def __init__(self, name, seconds, seed):
        self.name, self.seconds, self.seed = name, seconds, seed
        self.program = BIN / f"fuzz_{name}"
        self.corpus, self.regressions = HERE / "corpus" / name, HERE / "regressions" / name
        self.work = WORK / name
        self.environment = dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1", ASAN_OPTIONS="detect_leaks=1")

    def execute(self, arguments, seconds):
        """Exit code and output; a program that outlives its time is a failure too."""
        try:
            done = subprocess.run([self.program, *arguments], cwd=self.work, env=self.environment, timeout=seconds,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            return done.returncode, done.stdout.decode(errors="replace")
        except subprocess.TimeoutExpired as late:
            return -1, (late.stdout or b"").decode(errors="replace") + f"\nnot done after {seconds} s\n"

    def replay(self, inputs):
        """The first input that fails, or None. One process for all of them, then one for each."""
        if not inputs or self.execute([*LIMITS, *inputs], 300)[0] == 0:
            return None, ""
        for path in inputs:
            code, output = self.execute([*LIMITS, path], 60)
            if code != 0:
                return path, output
        return inputs[0], "fails only together with the others"

    def fuzz(self, new, *more):
        """Exit code, output, and what the libFuzzer says of itself."""
        crashes = self.work / "crashes"
        for directory in (new, crashes):
            directory.mkdir(parents=True, exist_ok=True)
        before = set(files(crashes))
        code, output = self.execute([*LIMITS, f"-max_total_time={self.seconds}", "-print_final_stats=1",
                                     f"-dict={HERE / 'dict' / self.name}.dict", f"-artifact_prefix={crashes}/", new,
                                     *[arg for arg in more if isinstance(arg, str) or arg.is_dir()]],
                                    self.seconds + 120)
        with open(self.work / "log", "w") as log:
            log.write(output)
        return code, output, sorted(set(files(crashes)) - before)

    def minimized(self, crash):
        """A smaller input that fails as well, or the same one."""
        small = crash.with_name("min-" + crash.name)
        self.execute([*LIMITS, "-minimize_crash=1", f"-max_total_time={MINIMIZE_S}", f"-exact_artifact_path={small}", crash],
                     MINIMIZE_S + 60)
        return small if small.is_file() else crash

    def failed(self, path, output):
        told = [line for line in output.splitlines()
                if re.search(r"ERROR: |runtime error:|\.[ch]:\d+: |SUMMARY|not done after", line)]
        say(f"--- {self.name}: " + ("\n    ".join(told[:8]) or output[-600:]))
        say(f"    reproducer: {shown(path)}\n    replay:     {shown(self.program)} {shown(path)}")

    def run(self):
        bad, output = self.replay(files(self.regressions))
        if bad:
            self.failed(bad, output)
            return False
        # 0: libFuzzer draws one
        code, output, crashes = self.fuzz(self.work / "corpus", f"-seed={self.seed or 0}", self.corpus, self.regressions)
        numbers = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", output)}
        edges = re.findall(r"cov: (\d+)", output)
        say(f"{self.name:<12} {numbers.get('number_of_executed_units', 0):>9} executions "
            f"{numbers.get('average_exec_per_sec', 0):>7}/s {int(edges[-1]) if edges else 0:>6} edges "
            f"{numbers.get('new_units_added', 0):>5} new   {len(crashes) or int(code != 0)} crashes")
        if crashes:
            self.failed(self.minimized(crashes[0]), output)
        elif code != 0:
            self.failed(self.work / "log", output)
        return code == 0

    def run_planted(self):
        """No input of the tree reaches the planted bug; fuzzing does, and the program without the bug does not fail there."""
        sound, self.program = self.program, BIN / f"planted_{self.name}"
        bad, output = self.replay(files(self.corpus) + files(self.regressions))
        if bad:
            say(f"{self.name:<12} {shown(bad)} reaches the planted bug, or fails by itself: plant another one")
            return False
        new = pathlib.Path(tempfile.mkdtemp(prefix="planted-", dir=self.work))
        begun = time.monotonic()
        try:
            _, output, crashes = self.fuzz(new, f"-seed={self.seed or 1}", self.corpus)
        finally:
            shutil.rmtree(new)
        took = time.monotonic() - begun
        self.program = sound
        bad, why = self.replay(crashes)
        if bad:
            say(f"{self.name:<12} what was found is no planted bug")
            self.failed(bad, why)
            return False
        for crash in crashes:
            crash.unlink()
        runs = re.findall(r"stat::number_of_executed_units:\s+(\d+)", output) or re.findall(r"^#(\d+)", output, re.M)
        kind = re.findall(r"ERROR: \w+: ([\w-]+)|(runtime error: .*)|\.c:\d+: .*?: (.*)", output)
        what = next((text for text in kind[0] if text), "") if kind else ""
        say(f"{self.name:<12} planted bug {'found' if crashes else 'NOT found'} after {took:4.1f} s, "
            f"{(runs or ['?'])[-1]:>7} executions   {what[:90]}")
        return bool(crashes)

    def make_seeds(self):
        """Greedy set cover over the edges that libFuzzer's merge notes for each input."""
        control, nowhere = self.work / "merge", self.work / "merged"
        nowhere.mkdir(exist_ok=True)
        self.execute([*LIMITS, "-merge=1", f"-merge_control_file={control}", nowhere, self.corpus, self.work / "corpus"], 900)
        lines = control.read_text().splitlines()
        names = lines[2:2 + int(lines[0])]
        edges = {}
        for line in lines[2 + len(names):]:
            kind, index, *covered = line.split()
            if kind == "COV":
                edges[names[int(index)]] = set(covered)
        shutil.rmtree(nowhere)
        control.unlink()
        kept, seen = [], set()
        for name in [name for name in edges if name.endswith(".seed")]:
            seen |= edges.pop(name)
        while edges and len(kept) < SEEDS_MAX:
            best = max(edges, key=lambda name: (len(edges[name] - seen), -os.path.getsize(name)))
            gain = edges.pop(best) - seen
            if not gain:
                break
            text = pathlib.Path(best).read_bytes()
            if len(text) > SEED_BYTES_MAX or self.execute([*LIMITS, best], 60)[0] != 0:
                continue
            kept.append(text)
            seen |= gain
        for old in files(self.corpus):
            if old.suffix != ".seed":
                old.unlink()
        for text in kept:
            (self.corpus / hashlib.sha1(text).hexdigest()[:12]).write_bytes(text)
        say(f"{self.name:<12} {len(kept)} seeds, {len(seen)} edges")
        return bool(kept)


def main():
    parser = argparse.ArgumentParser(prog="./run fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=30, help="of each target (default 30)")
    parser.add_argument("--jobs", type=int, default=2, help="targets at once (default 2)")
    parser.add_argument("--planted", action="store_true", help="each target's planted bug must be found in its seconds")
    parser.add_argument("--seed", type=int, help="of the random numbers (default: drawn; 1 for --planted)")
    parser.add_argument("--seeds", action="store_true", help="make tests/fuzz/corpus anew from all that was found")
    parser.add_argument("target", nargs="*", help="default: all")
    given = parser.parse_args()
    known = sorted(p.stem.removeprefix("fuzz_") for p in HERE.glob("fuzz_*.c"))
    wrong = [name for name in given.target if name not in known]
    if wrong or given.seconds < 1 or given.jobs < 1:
        parser.error(f"no such target: {wrong[0]}; there are {', '.join(known)}" if wrong else "numbers from 1 are needed")
    targets = [Target(name, given.seconds, given.seed) for name in given.target or known]
    missing = [t for t in targets if not t.program.is_file()]
    if missing:
        parser.error(f"{shown(missing[0].program)} is missing: ./run build fuzz fuzzers")
    for target in targets:
        target.work.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        what = Target.run_planted if given.planted else Target.make_seeds if given.seeds else Target.run
        results = list(pool.map(what, targets))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
