#!/bin/sh
# ./run test: everything, from the tree's own rules to kill -9 on real servers. Servers are started and stopped by the tests.
# The last line is "N passed, N failed".
# Tests with servers wait for most of their time: they run in lanes beside each other, each with servers of its own, and what
# computes runs beside them, behind them in the queue for a core. At the end come chaos and the benches, with the fuzzing
# in what they leave of the machine.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
mkdir -p build
log=$root/build/test.log
part=$log.part     # what the running suite prints; each lane has a file of its own
counts=$log.counts # a line "PASSED FAILED" a suite
: >"$log"
: >"$counts"
say() { printf '%s\n' "$*" | tee -a "$log"; }

# tell NAME PASSED FAILED: one suite is over
tell() {
    echo "$2 $3" >>"$counts"
    say "$(printf '%-34s %5d passed, %d failed   (%d s)' "$1" "$2" "$3" $(($(date +%s) - started)))"
}

begin() { started=$(date +%s); }

# lane NAME NICE: what this shell runs from now on runs beside others and leaves the cores to those that are less nice; Ctrl-C
# ends it (a shell's background jobs ignore it).
prefix=
lanes=
lane() {
    part=$log.part.$1
    prefix="nice -n $2 env --default-signal=INT"
}

# The end of all lanes that were begun.
together() {
    for pid in $lanes; do wait "$pid" || tell "a lane" 0 1; done
    lanes=
}

# built PRESET [TARGET...]
built() {
    begin
    if $prefix ./run build "$@" >"$part" 2>&1; then
        tell "build ($1)" 1 0
    else
        tail -n 60 "$part"
        tell "build ($1)" 0 1
        return 1
    fi
}

# one NAME COMMAND...: a suite that is one test
one() {
    name=$1
    shift
    begin
    if $prefix "$@" >"$part" 2>&1; then
        tell "$name" 1 0
    else
        tail -n 40 "$part"
        tell "$name" 0 1
    fi
    cat "$part" >>"$log"
}

# optional NAME COMMAND...: one that a machine may lack the means for: exit code 3 is a loud line and no failure
optional() {
    name=$1
    shift
    begin
    "$@" >"$part" 2>&1
    code=$?
    cat "$part" >>"$log"
    case $code in
    0) tell "$name" 1 0 ;;
    3) say "!!! $name: NOT run: $(tail -n 1 "$part")" ;;
    *)
        tail -n 40 "$part"
        tell "$name" 0 1
        ;;
    esac
}

# units PRESET: every Criterion program; a crash, a leak or a sanitizer's word is a failure of its own
units() {
    begin
    ok=0
    bad=0
    for program in "build/$1"/bin/test_*; do
        $prefix timeout 300 "$program" --jobs 2 --timeout 120 >"$part" 2>&1
        code=$?
        cat "$part" >>"$log"
        line=$(sed 's/\x1b\[[0-9;]*m//g' "$part" | grep -a 'Synthesis: Tested' | tail -n 1)
        p=$(echo "$line" | sed -n 's/.*Passing: \([0-9]*\).*/\1/p')
        f=$(echo "$line" | sed -n 's/.*Failing: \([0-9]*\).*/\1/p')
        c=$(echo "$line" | sed -n 's/.*Crashing: \([0-9]*\).*/\1/p')
        wrong=$((${f:-0} + ${c:-0}))
        # Criterion does not count what LeakSanitizer says when a test's process ends
        if grep -aq 'Sanitizer: \|runtime error:' "$part" && [ $wrong = 0 ]; then wrong=1; fi
        if { [ $code != 0 ] || [ -z "$line" ]; } && [ $wrong = 0 ]; then wrong=1; fi
        [ $wrong = 0 ] || { say "--- $program"; grep -av '^\[.*RUN' "$part" | tail -n 30; }
        ok=$((ok + ${p:-0}))
        bad=$((bad + wrong))
    done
    tell "unit tests ($1)" $ok $bad
}

# python NAME ARGUMENTS...: a pytest suite
python() {
    name=$1
    shift
    begin
    $prefix build/venv/bin/python -m pytest -q -rs --tb=short --junitxml="$part.xml" "$@" >"$part" 2>&1
    code=$?
    cat "$part" >>"$log"
    p=$(tail -n 1 "$part" | grep -o '[0-9]* passed' | cut -d' ' -f1)
    f=$(tail -n 1 "$part" | grep -o '[0-9]* failed' | cut -d' ' -f1)
    e=$(tail -n 1 "$part" | grep -o '[0-9]* error' | cut -d' ' -f1)
    wrong=$((${f:-0} + ${e:-0}))
    if [ $code != 0 ] && [ $wrong = 0 ]; then wrong=1; fi
    [ $wrong = 0 ] || tail -n 120 "$part"
    grep -a '^SKIPPED' "$part" | sed 's/^/!!! /'
    tell "$name" "${p:-0}" $wrong
}

# fuzzed NAME ARGUMENTS...: each target is a test
fuzzed() {
    name=$1
    shift
    begin
    $prefix ./run fuzz "$@" >"$part" 2>&1
    code=$?
    cat "$part" >>"$log"
    line=$(tail -n 1 "$part" | grep '^[0-9]* passed, [0-9]* failed$')
    p=$(echo "$line" | cut -d' ' -f1)
    f=$(echo "$line" | cut -d' ' -f3)
    wrong=${f:-0}
    if [ $code != 0 ] && [ "$wrong" = 0 ]; then wrong=1; fi
    [ "$wrong" = 0 ] || tail -n 60 "$part"
    tell "$name" "${p:-0}" "$wrong"
}

# The last line, and whether nothing failed.
total() { awk '{ p += $1; f += $2 } END { printf "%d passed, %d failed\n", p, f; exit f > 0 }' "$counts"; }

if ! tests/venv.sh >>"$log" 2>&1; then
    tail -n 20 "$log"
    say "tests: the Python environment could not be made (see above)"
    say "0 passed, 1 failed"
    exit 1
fi
tests/s3/server.sh >>"$log" 2>&1 || say "!!! the S3 server of the tests could not be made: the payload store is NOT tested on S3"
trap 'for pid in $lanes; do kill "$pid" 2>/dev/null; done; exit 130' INT TERM

kafka() {
    lane kafka 0
    TUTTI_BIN=$root/build/release/bin python "end to end, Apache Kafka" tests/integration tests/e2e -k "not mock and not slow"
}
faults() {
    lane faults 0
    TUTTI_BIN=$root/build/release/bin python "kill -9 and lost data, both brokers" tests/integration tests/e2e -k slow
}
mock() {
    lane mock 10
    # The mock cluster's tests run under sanitizers, all others as users run the programs.
    TUTTI_BIN=$root/build/asan/bin python "end to end, ASan, mock cluster" tests/integration tests/e2e -k "mock and not slow"
    built tsan stress-threads && one "threads under TSan" tests/stress.sh
    # As many seeds as fit, then the deliberate bugs, which take a minute at the most.
    one "simulator, 2 minutes" ./run sim --seconds 120 --json
}
computing() {
    # Unit tests go before: some of them are at odds with a mock cluster that is late, and half of their time they wait.
    lane computing 0
    units asan
    lane computing 10
    built fuzz fuzzers
    built clang && one "formatting, rules, clang-tidy" tests/tidy/lint.sh build/release/orchestrator/engine/libtutti_engine.a
}
fuzzing() {
    lane fuzzing 10
    # A minute altogether: each stops at its first crash. The time is for a machine that is busy.
    fuzzed "fuzzing finds planted bugs" --planted --seconds 120
    # Always the same random numbers, so that a change is judged by what it changed; new ground is for ./run fuzz by hand.
    fuzzed "fuzzing, 30 s a target" --seconds 30 --seed 1
}

ends() {
    say "the whole log is in build/test.log"
    total | tee -a "$log"
    total >/dev/null
    exit
}

built release || ends
kafka &
lanes=$!
faults &
lanes="$lanes $!"
if (lane asan 10 && built asan); then
    mock &
    lanes="$lanes $!"
    computing &
    lanes="$lanes $!"
fi
together
fuzzing &
lanes=$!
TUTTI_BIN=$root/build/release/bin python "the chaos test's own tests" tests/chaos
one "chaos, 3 minutes" build/venv/bin/python tests/chaos/chaos.py --minutes 3 --json
one "public conformance data" ./run conformance --json
optional "bench cel (smoke)" python3 bench/cel.py --quick --json
one "bench steps (smoke)" python3 bench/steps.py --quick --json
one "bench rebuild (smoke)" python3 bench/rebuild.py --quick --json
together
ends
