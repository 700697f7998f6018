#!/usr/bin/env python3
"""Evaluations per second on one core, of ours and of a published engine (cel-go), in turns.

Both evaluate `a.b > 3 && c in ["x","y"]` on parsed inputs that change from one evaluation to the next, with their cost limits on. Each
figure is the median of five turns. The peer comes through the Go module proxy when the bench runs, and is built into build/bench. The last
line with --json is one object.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEER = "cel-go"


def build_peer():
    """The program that runs cel-go; exit code 3 where there is none."""
    go = shutil.which("go")
    program = ROOT / "build" / "bench" / "cel_go"
    if not go:
        why = "Go is not installed"
    elif subprocess.run([go, "build", "-o", str(program), "."], cwd=ROOT / "bench" / "cel_go").returncode != 0:
        why = "it does not build here (see above)"
    else:
        return program
    print(f"bench cel: the peer is cel-go, and {why}: install Go 1.22 or newer and run this again", file=sys.stderr)
    sys.exit(3)


def turn(program, seconds):
    """One measurement on one core; the peer's collector may not use a second one."""
    env = dict(os.environ, GOMAXPROCS="1")
    done = subprocess.run([str(program), str(seconds)], stdout=subprocess.PIPE, env=env, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(prog="./run bench cel")
    parser.add_argument("--json", action="store_true", help="nothing but one line")
    parser.add_argument("--quick", action="store_true", help="turns of a fifth of a second")
    options = parser.parse_args()
    peer, ours = build_peer(), ROOT / "build" / "release" / "bin" / "bench-cel"
    rates = {ours: [], peer: []}
    for number in range(5):
        shares = []
        for program in rates:
            result = turn(program, 0.2 if options.quick else 2)
            rates[program].append(result["evals_per_s"])
            shares.append(result["true_share"])
        if abs(shares[0] - shares[1]) > 0.01:
            sys.exit(f"bench cel: the two disagree: {shares[0]} and {shares[1]} of the results are true")
        if not options.json:
            print(f"turn {number + 1}: ours {rates[ours][-1]:,}/s, {PEER} {rates[peer][-1]:,}/s")
    report = {
        "evals_per_s": statistics.median(rates[ours]),
        "peer": PEER,
        "peer_evals_per_s": statistics.median(rates[peer]),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
