#!/bin/sh
# ./run lint: formatting, the tree's own rules, clang-tidy. A fault of any makes the exit code 1.
set -u
cd "$(dirname "$0")/../.." || exit 1
failed=0
git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror 2>build/format.log || {
    head -n 20 build/format.log
    echo "lint: run ./run fmt"
    failed=1
}
python3 tests/tidy/tidy.py "$@" || failed=1
shellcheck run .ci/run tests/*.sh tests/*/*.sh bench/*.sh || failed=1
[ -f build/clang/compile_commands.json ] || cmake --preset clang >/dev/null
git ls-files 'common/*.c' 'orchestrator/*.c' 'worker/*.c' 'cli/*.c' 'sim/*.c' |
    xargs -P 2 -n 2 clang-tidy --quiet -p build/clang 2>/dev/null || failed=1
exit $failed
