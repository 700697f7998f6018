#!/bin/sh
# ./run bench steps [--json] [--quick]
set -eu
cd "$(dirname "$0")/.."
case ${1:-} in
steps)
    shift
    exec python3 bench/steps.py "$@"
    ;;
*)
    echo "usage: ./run bench steps [--json] [--quick]" >&2
    exit 2
    ;;
esac
