#!/bin/sh
# The orchestrator's threads under ThreadSanitizer: builds nothing, runs build/tsan/bin/stress-threads once.
# Fails on any report, on a run that does not finish, and after 120 s.
set -u
cd "$(dirname "$0")/.." || exit 1
program=build/tsan/bin/stress-threads
if [ ! -x $program ]; then
    echo "stress: $program is missing: ./run build tsan stress-threads" >&2
    exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export TSAN_OPTIONS="suppressions=$PWD/tests/stress/tsan.supp halt_on_error=0 exitcode=66 second_deadlock_stack=1"
timeout -k 5 120 $program >"$log" 2>&1
code=$?
if grep -q 'unexpected memory mapping' "$log"; then
    # newer kernels randomise addresses by more bits than this ThreadSanitizer knows
    timeout -k 5 120 setarch -R $program >"$log" 2>&1
    code=$?
fi
[ $code != 124 ] || echo "stress: not done after 120 s" >>"$log"
if grep -q 'ThreadSanitizer' "$log" && [ $code = 0 ]; then code=66; fi
cat "$log"
exit $code
