#!/usr/bin/env python3
"""The tree's own rules: who includes whom, banned calls, sizes, purity of the engine.

usage: tidy.py [LIBTUTTI_ENGINE.A]     prints FILE:LINE: text for each fault; exit 1 if there is one
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 800
TEST_LINES_MAX = 900  # a table of cases may be long
FUNCTION_LINES_MAX = 70

# What the sources of a directory may include of ours, besides themselves. The longest matching prefix counts.
LAYERS = {
    "common/base": [],
    "common/proto": ["common/base"],
    "common/yaml": ["common/base"],
    "common/schedule": ["common/base"],
    "common/cel": ["common/base", "common/proto"],
    "common/schema": ["common/base"],
    "common/definition": ["common/base", "common/proto", "common/yaml", "common/cel", "common/schema", "common/schedule"],
    "common/mocks": ["common/base", "common/proto", "common/yaml", "common/cel", "common/schema", "common/definition"],
    "common/io": ["common/base", "common/proto", "common/yaml"],
    "orchestrator/engine": ["common/base", "common/proto", "common/cel", "common/schema", "common/definition"],
    "orchestrator": ["common/base", "common/proto", "common/cel", "common/definition", "common/schedule", "common/io", "orchestrator/engine"],
    "orchestrator/index": ["common/base", "common/proto", "common/cel", "common/definition", "common/io", "orchestrator/engine"],
    "worker": ["common/base", "common/proto", "common/schema", "common/io"],
    "cli": ["common/base", "common/proto", "common/yaml", "common/cel", "common/schema", "common/definition", "common/io",
            "common/schedule", "common/mocks", "orchestrator/engine", "cli/trial"],
    "cli/trial": ["common/base", "common/proto", "common/yaml", "common/cel", "common/schema", "common/definition", "common/mocks",
                  "orchestrator/engine"],
    "cli/demo_model": ["common/base"],
    "sim": ["tests/sim", "common/base", "common/proto", "common/yaml", "common/schema", "common/definition", "common/mocks", "common/io", "orchestrator/engine",
            "orchestrator", "worker"],
    "bench": ["common/base", "common/proto", "common/cel", "common/definition", "common/io", "orchestrator/index"],
    "tests/sim/bus": ["sim", "common/base", "common/io"],
    "tests/sim": ["common/base", "common/proto", "common/cel", "common/schema", "common/definition", "common/io", "orchestrator",
                  "orchestrator/engine", "worker"],
}
# Third-party headers and the only places that may name them.
THIRD_PARTY = {
    "librdkafka/": ["common/io/bus", "common/io/kafka_settings", "bench/raw"],
    "hiredis/": ["common/io/store"],
    "curl/": ["common/io/http"],
    "expat.h": ["common/io/blob_xml"],
    "yaml.h": ["common/yaml"],
    "glib.h": ["common/schedule"],
    "microhttpd.h": ["cli/demo_model", "orchestrator/index/api"],
    "sqlite3.h": ["orchestrator/index/db"],
    "pcre2.h": ["common/schema/pattern"],
    "re2/": ["common/cel/regex"],
    "openssl/": ["common/base/hash"],
}
BANNED = re.compile(r"\b(sprintf|vsprintf|strcpy|strcat|stpcpy|gets|strtok|atoi|atol|atof|system|popen|alloca|rand|srand|"
                    r"sleep|usleep|nanosleep|tmpnam|mktemp)\s*\(")
# Symbols that a pure engine cannot need: clocks, files, sockets, processes, randomness, threads, other libraries.
IMPURE = re.compile(r"^(clock_|gettimeofday|time$|localtime|rand|random|getrandom|read$|write$|open|fopen|fread|fwrite|printf|"
                    r"puts|socket|send|recv|connect|fork|exec|pthread_|curl_|rd_kafka_|redis|getenv|sleep|usleep|nanosleep|log_at)")


def sources():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.h"], cwd=ROOT, capture_output=True,
                            text=True, check=True).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).exists()]


def layer_of(name):
    fits = [layer for layer in LAYERS if name.startswith(layer + "/")]
    return max(fits, key=len) if fits else None


def check_includes(name, lines):
    layer = layer_of(name)
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
        if not match:
            continue
        target = match.group(1)
        other = layer_of(target)
        if layer and other and other != layer and other not in LAYERS[layer]:
            yield number, f"{layer} may not include {other} ({target})"
        for prefix, places in THIRD_PARTY.items():
            if target.startswith(prefix) and not name.startswith("tests/") and not any(name.startswith(p) for p in places):
                yield number, f"{target} may be included by {', '.join(places)} only"


def strip_comments(text):
    keep_lines = lambda m: "\n" * m.group(0).count("\n")
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"/\*.*?\*/", keep_lines, text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def check_calls(lines):
    for number, line in enumerate(lines, 1):
        match = BANNED.search(line)
        if match and not line.lstrip().startswith("#"):
            yield number, f"{match.group(1)} is banned (see CONTRIBUTING.md)"


def check_functions(lines):
    """A function begins with { in the first column and ends with } there."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.rstrip() == "}" and start:
            if number - start - 1 > FUNCTION_LINES_MAX:
                yield start, f"a function of {number - start - 1} lines; {FUNCTION_LINES_MAX} are the most"
            start = None


def check_head(name, text):
    if "SPDX-License-Identifier: Apache-2.0" not in text[:200]:
        yield 1, "no SPDX line"
    if name.endswith(".h") and not re.search(r"#ifndef TUTTI_\w+_H\n#define TUTTI_\w+_H", text):
        yield 1, "no include guard of the form TUTTI_..._H"


def check_engine(archive):
    names = subprocess.run(["nm", "-u", archive], capture_output=True, text=True, check=True).stdout.split()
    for name in sorted(set(names)):
        if IMPURE.match(name):
            yield f"the engine needs {name}: it may not touch the world"


def main():
    faults = 0
    for path in sources():
        name = str(path.relative_to(ROOT))
        text = path.read_text()
        raw, code = text.splitlines(), strip_comments(text).splitlines()
        found = list(check_head(name, text)) + list(check_includes(name, raw)) + list(check_calls(code))
        if not name.startswith("tests/"):
            found += check_functions(code)
        most = TEST_LINES_MAX if name.startswith("tests/") else FILE_LINES_MAX
        if len(raw) > most:
            found.append((len(raw), f"{len(raw)} lines; {most} are the most: does it hold two nouns?"))
        for number, fault in found:
            print(f"{name}:{number}: {fault}")
            faults += 1
    for archive in sys.argv[1:]:
        for fault in check_engine(archive):
            print(f"{archive}: {fault}")
            faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
