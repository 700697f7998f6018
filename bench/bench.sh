#!/bin/sh
# ./run bench steps | rebuild | map | cel | index [--json] [--quick]
set -eu
cd "$(dirname "$0")/.."
case ${1:-} in
steps | rebuild | map | cel)
    name=$1
    shift
    exec python3 "bench/$name.py" "$@"
    ;;
index)
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    build/release/bin/bench-index "$dir/index.db"
    ;;
*)
    echo "usage: ./run bench steps | rebuild | map | cel | index [--json] [--quick]" >&2
    exit 2
    ;;
esac
