#!/usr/bin/env python3
"""The public conformance suites against our code. The data come through npm when the suites run (docs/conformance.md).

usage: conformance.py [SUITE ...] [--json] [--write]
  --json   nothing but one line, the counts: {"cel": {"passed": N, "failed": N, "left_out": N}, ...}
  --write  brings the generated part of docs/conformance.md up to date; without it a stale one is a failure

A suite is a module with run(data, programs) -> suite.Outcome: data is the node_modules with the packages of
package.json, programs the directory of the built C programs. Add it to SUITES.
"""
import argparse
import json
import sys

import cel
import report
import suite

SUITES = {"cel": cel.run}


def main():
    parser = argparse.ArgumentParser(prog="./run conformance")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    unknown = [name for name in options.suites if name not in SUITES]
    if unknown:
        parser.error(f"there is no suite {unknown[0]}; there are {', '.join(SUITES)}")
    data = suite.fetch()
    counts, failed = {}, False
    for name in options.suites or SUITES:
        outcome = SUITES[name](data, suite.ROOT / "build" / "release" / "bin")
        if options.write:
            report.write(name, outcome)
        elif not report.is_current(name, outcome):
            outcome.wrong("docs/conformance.md", f"its list of {name} is stale: ./run conformance --write")
        counts[name] = outcome.counts()
        failed = failed or bool(outcome.failed)
        if not options.json:
            for line in outcome.failed:
                print(f"{name}: {line}")
    print(json.dumps(counts))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
