#!/bin/sh
# Makes (or brings up to date) the Python environment of the tests in DIR, build/venv by default,
# from tests/requirements.txt, and prints its python.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/../build/venv}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
if ! cmp -s "$here/requirements.txt" "$dir/requirements.txt"; then
    python3 -m venv "$dir"
    "$dir/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$dir/requirements.txt" # last: an interrupted install is done again
fi
echo "$dir/bin/python"
