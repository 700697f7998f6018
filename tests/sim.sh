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
trap 'rm -f "$out" "$out.input"' EXIT
"$bin/tutti-simulator" "$@" --json >"$out"
code=$?
grep -v '^{' "$out"
line=$(grep '^{' "$out" | tail -n 1)
"$bin/tutti-simulator-mutants" --mutants --seeds 100000 --json >"$out" || code=1
grep -v '^{' "$out"
mutants=$(grep '^{' "$out" | tail -n 1 | tr -d '{}')
# On a user's workflow the oracles see as much: a few bugs are found, and a seed that found one finds it again.
printf '{"document": "a report"}' >"$out.input"
users() {
    "$bin/tutti-simulator-mutants" --workflow examples/investor_summary.yaml --input "$out.input" --faults many "$@" >"$out"
}
for mutant in NO_FENCE NO_LOST EARLY_COMMIT NO_GENERATION; do
    users --seeds 3000 --mutant $mutant
    seed=$(sed -n 's/^SEED=\([0-9]*\) .*/\1/p' "$out" | head -n 1)
    if [ -n "$seed" ] && ! users --seed "$seed" --mutant $mutant && users --seed "$seed"; then
        printf '%-16s killed on a user'"'"'s workflow by seed %s\n' $mutant "$seed"
    else
        printf '%-16s SURVIVES on a user'"'"'s workflow\n' $mutant
        code=1
    fi
done
[ -z "$json" ] || printf '%s\n' "$line" | sed "s/\"mutants\":0,\"mutants_killed\":0/${mutants:-\"mutants\":0,\"mutants_killed\":0}/"
exit $code
