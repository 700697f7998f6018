#!/bin/sh
# ./run sim: seeded worlds with faults, then the deliberate bugs that must be found. With --json the last line is one object.
# usage: tests/sim.sh BIN-DIRECTORY [OPTION...]; --seed and --mutants are handed on as they are
set -u
bin=$1
shift
json=
for argument in "$@"; do
    case $argument in
    --seed) exec "$bin/tutti-simulator" "$@" ;;
    --mutants | --mutant) exec "$bin/tutti-simulator-mutants" --seeds 100000 "$@" ;;
    --json) json=1 ;;
    esac
done
out=$(mktemp)
trap 'rm -f "$out"' EXIT
"$bin/tutti-simulator" "$@" --json >"$out"
code=$?
grep -v '^{' "$out"
line=$(grep '^{' "$out" | tail -n 1)
"$bin/tutti-simulator-mutants" --mutants --seeds 100000 --json >"$out" || code=1
grep -v '^{' "$out"
mutants=$(grep '^{' "$out" | tail -n 1 | tr -d '{}')
[ -z "$json" ] || printf '%s\n' "$line" | sed "s/\"mutants\":0,\"mutants_killed\":0/${mutants:-\"mutants\":0,\"mutants_killed\":0}/"
exit $code
