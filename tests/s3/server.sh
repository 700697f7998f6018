#!/bin/sh
# Makes the S3-compatible server of the tests, build/s3/versitygw, by Go's ordinary client, and prints its path. It verifies
# signatures. Exit code 3: there is no Go, or the module cannot be fetched; the tests that need it are then skipped.
set -eu
version=v1.8.0
cd "$(dirname "$0")/../.."
mkdir -p build/s3
dir=$PWD/build/s3
if [ "$(cat "$dir/version" 2>/dev/null)" != "$version" ]; then
    command -v go >/dev/null || {
        echo "server.sh: Go is not installed" >&2
        exit 3
    }
    GOBIN=$dir CGO_ENABLED=0 go install "github.com/versity/versitygw/cmd/versitygw@$version" >&2 || exit 3
    echo "$version" >"$dir/version" # last: an interrupted install is done again
fi
echo "$dir/versitygw"
