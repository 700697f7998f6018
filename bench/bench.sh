#!/bin/sh
# ./run bench steps | rebuild | cel [--json] [--quick]
set -eu
cd "$(dirname "$0")/.."
case ${1:-} in
steps | rebuild | cel)
    name=$1
    shift
    exec python3 "bench/$name.py" "$@"
    ;;
*)
    echo "usage: ./run bench steps | rebuild | cel [--json] [--quick]" >&2
    exit 2
    ;;
esac
