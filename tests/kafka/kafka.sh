#!/bin/sh
# A real Apache Kafka (KRaft nodes, JVM) for tests and benches, from Maven artifacts.
#   kafka.sh fetch         jars into the cache, once a machine
#   kafka.sh start DIR [lean]
#                          starts a broker with its data in DIR on free ports; prints host:port when it answers. lean: for
#                          tests, which want it to begin soon and to leave the cores to others
#   kafka.sh stop DIR      stops the broker of DIR
#   kafka.sh pid DIR       its process id
#   kafka.sh start3 DIR [NAME=PORT,PORT,PORT]...
#                          three nodes, DIR/1 to DIR/3, that replicate everything; prints their addresses. Each NAME
#                          (capital letters and digits) is a listener more, advertised at these ports: those of proxies
#                          before it. Where it listens itself stands in DIR/<n>/listeners. start, stop and pid take DIR/<n>.
#   kafka.sh stop3 DIR     stops the three
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
    python3 - <<P
import socket
s = [socket.socket() for _ in range(${1:-2})]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])
P
}

alive() { [ -f "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null; }

# 16 bytes in base64; Kafka's form has - and _ for + and /, but an id that begins with - is taken for an option
cluster_id() { head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=\n'; }

# format DIR CLUSTER: makes the data directory that DIR/node.properties names
format() {
    # shellcheck disable=SC2086
    java $java_options -cp "$jars/*" kafka.tools.StorageTool format -t "$2" -c "$1/node.properties" >"$1/format.log" 2>&1 ||
        { tail -n 20 "$1/format.log" >&2; exit 1; }
}

launch() {
    lean=
    [ ! -f "$1/lean" ] || lean=$lean_options
    # shellcheck disable=SC2086
    nohup java $java_options $lean -cp "$jars/*" kafka.Kafka "$1/node.properties" >>"$1/log" 2>&1 </dev/null &
    echo $! >"$1/pid"
}

# answers DIR: waits until the broker of DIR takes connections
answers() {
    port=$(sed 's/.*://' "$1/brokers")
    tries=0
    until python3 -c "import socket,sys; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null; do
        alive "$1" || { tail -n 20 "$1/log" >&2; echo "kafka.sh: the broker died" >&2; exit 1; }
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { echo "kafka.sh: no answer after 60 s" >&2; exit 1; }
        sleep 0.1
    done
}

start() {
    dir=$1
    lean=$2
    fetch
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    if [ ! -f "$dir/node.properties" ]; then
        # shellcheck disable=SC2046
        set -- $(free_ports)
        sed -e "s|@PORT@|$1|g" -e "s|@CONTROLLER@|$2|g" -e "s|@DIR@|$dir|g" "$here/node.properties" >"$dir/node.properties"
        echo "127.0.0.1:$1" >"$dir/brokers"
        [ -z "$lean" ] || : >"$dir/lean"
        format "$dir" "$(cluster_id)"
    fi
    launch "$dir"
    answers "$dir"
    cat "$dir/brokers"
}

# write_node DIR N VOTERS PORTS [NAME=PORT,PORT,PORT]...: the properties of node N of three. PORTS: its own, the controller's, one a NAME
write_node() {
    node=$1/$2
    n=$2
    voters=$3
    ports=$4
    shift 4
    next() { port=${ports%% *}; ports=${ports#* }; }
    mkdir -p "$node"
    : >"$node/listeners"
    : >"$node/lean"
    next
    own=$port
    next
    controller=$port
    listeners=PLAINTEXT://127.0.0.1:$own,CONTROLLER://127.0.0.1:$controller
    advertised=PLAINTEXT://127.0.0.1:$own
    map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
    for extra; do
        next
        name=${extra%%=*}
        listeners=$listeners,$name://127.0.0.1:$port
        advertised=$advertised,$name://127.0.0.1:$(echo "${extra#*=}" | cut -d, -f"$n")
        map=$map,$name:PLAINTEXT
        echo "$name $port" >>"$node/listeners"
    done
    sed -e "s|@PORT@|$own|g" -e "s|@CONTROLLER@|$controller|g" -e "s|@DIR@|$node|g" -e "s|^node.id=.*|node.id=$n|" \
        -e "s|^controller.quorum.voters=.*|controller.quorum.voters=$voters|" -e "s|^listeners=.*|listeners=$listeners|" \
        -e "s|^advertised.listeners=.*|advertised.listeners=$advertised|" -e "s|^listener.security.*|listener.security.protocol.map=$map|" \
        -e 's/replication.factor=1/replication.factor=3/' -e 's/min.isr=1/min.isr=2/' "$here/node.properties" >"$node/node.properties"
    cat "$here/three.properties" >>"$node/node.properties"
    echo "127.0.0.1:$own" >"$node/brokers"
}

start3() {
    dir=$1
    shift
    fetch
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    each=$(($# + 2))
    all=$(free_ports $((3 * each)))
    voters=
    for n in 1 2 3; do voters=$voters,$n@127.0.0.1:$(echo "$all" | cut -d' ' -f$(((n - 1) * each + 2))); done
    for n in 1 2 3; do
        write_node "$dir" $n "${voters#,}" "$(echo "$all" | cut -d' ' -f$(((n - 1) * each + 1))-$((n * each))) " "$@"
    done
    id=$(cluster_id)
    formats=
    for n in 1 2 3; do
        format "$dir/$n" "$id" &
        formats="$formats $!"
    done
    for f in $formats; do wait "$f"; done
    for n in 1 2 3; do launch "$dir/$n"; done
    for n in 1 2 3; do answers "$dir/$n"; done
    cat "$dir"/[123]/brokers | paste -s -d,
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
# Who shares a small machine has little memory, and no second compiler that works while others should.
lean_options="-Xms64m -Xmx256m -XX:TieredStopAtLevel=1"
case ${1:-} in
fetch) fetch ;;
start) start "$2" "${3:-}" ;;
start3)
    shift
    start3 "$@"
    ;;
stop) stop "$2" ;;
stop3) for n in 1 2 3; do stop "$2/$n"; done ;;
pid) cat "$2/pid" ;;
*) sed -n '2,14s/^# //p' "$0"; exit 2 ;;
esac
