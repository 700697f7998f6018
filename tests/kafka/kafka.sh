#!/bin/sh
# A real Apache Kafka (one KRaft node, JVM) for tests and benches, from Maven artifacts.
#   kafka.sh fetch         jars into the cache, once a machine
#   kafka.sh start DIR     starts a broker with its data in DIR on free ports; prints host:port when it answers
#   kafka.sh stop DIR      stops the broker of DIR
#   kafka.sh pid DIR       its process id
# exit 3: the artifacts cannot be fetched (no way to the Maven registry).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${TUTTI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tutti}
jars=$cache/kafka-3.9.1

fetch() {
    [ -d "$jars" ] && return 0
    mkdir -p "$cache"
    part=$(mktemp -d "$cache/kafka.XXXXXX")
    if ! mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
            -DoutputDirectory="$part/jars" >"$part/log" 2>&1; then
        tail -n 5 "$part/log" >&2
        rm -rf "$part"
        echo "kafka.sh: the Kafka artifacts cannot be fetched" >&2
        exit 3
    fi
    mv "$part/jars" "$jars" 2>/dev/null || [ -d "$jars" ] # another clone may have been faster
    rm -rf "$part"
}

free_ports() {
    python3 - <<'P'
import socket
s = [socket.socket() for _ in range(2)]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])
P
}

alive() { [ -f "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null; }

start() {
    dir=$1
    fetch
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    if [ ! -f "$dir/node.properties" ]; then
        # shellcheck disable=SC2046
        set -- $(free_ports)
        sed -e "s|@PORT@|$1|g" -e "s|@CONTROLLER@|$2|g" -e "s|@DIR@|$dir|g" "$here/node.properties" >"$dir/node.properties"
        echo "127.0.0.1:$1" >"$dir/brokers"
        # 16 bytes in base64; Kafka's form has - and _ for + and /, but an id that begins with - is taken for an option
        id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=\n')
        # shellcheck disable=SC2086
        java $java_options -cp "$jars/*" kafka.tools.StorageTool format -t "$id" -c "$dir/node.properties" >"$dir/format.log" 2>&1 ||
            { tail -n 20 "$dir/format.log" >&2; exit 1; }
    fi
    # shellcheck disable=SC2086
    nohup java $java_options -cp "$jars/*" kafka.Kafka "$dir/node.properties" >"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    port=$(sed 's/.*://' "$dir/brokers")
    tries=0
    until python3 -c "import socket,sys; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null; do
        alive "$dir" || { tail -n 20 "$dir/log" >&2; echo "kafka.sh: the broker died" >&2; exit 1; }
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { echo "kafka.sh: no answer after 60 s" >&2; exit 1; }
        sleep 0.1
    done
    cat "$dir/brokers"
}

stop() {
    alive "$1" || return 0
    pid=$(cat "$1/pid")
    kill "$pid" 2>/dev/null || true
    tries=0
    while kill -0 "$pid" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { kill -9 "$pid" 2>/dev/null || true; break; }
        sleep 0.1
    done
}

java_options="-Xms192m -Xmx384m -XX:+UseSerialGC -Xshare:auto -Djava.awt.headless=true -Dlog4j.configuration=file:$here/log4j.properties"
case ${1:-} in
fetch) fetch ;;
start) start "$2" ;;
stop) stop "$2" ;;
pid) cat "$2/pid" ;;
*) sed -n '2,7s/^# //p' "$0"; exit 2 ;;
esac
