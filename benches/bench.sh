#!/usr/bin/env bash
# Measures what the proxy costs: point selects on an unprotected table directly, through HAProxy in TCP
# mode and through Sealwire, in interleaved rounds of one run; reads and writes of a protected column;
# processor time a query; memory; what the analysis costs. Reported, never asserted.
#
#   ROUNDS=5 SECONDS_EACH=4 THREADS="1 8" CONNECTIONS=5000 benches/bench.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/support/provision.sh

ulimit -n "$(ulimit -Hn)"
rounds=${ROUNDS:-5} each=${SECONDS_EACH:-4} thread_counts=${THREADS:-1 8} connections=${CONNECTIONS:-5000}
need_command sysbench sysbench
PATH=$PATH:/usr/sbin need_command haproxy haproxy

folder=$(mktemp -d "${TMPDIR:-/tmp}/sealwire-bench.XXXXXX")
started=()
cleanup() {
    end_processes "${started[@]}"
    [ ! -e "$folder/servers" ] || tests/support/servers.sh stop "$folder/servers"
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

provision_mariadb
cargo build --locked --release --quiet
SEALWIRE_TEST_ONLY=mariadb tests/support/servers.sh start "$folder/servers"
database=$(cat "$folder/servers/mariadb/port")
sql() { mariadb_client -h127.0.0.1 -P"$database" -uroot "$@"; }
sql -e "SET GLOBAL general_log = 0; SET GLOBAL max_connections = $((connections + 100));
    CREATE SCHEMA t_bench; CREATE SCHEMA t_sealed;
    CREATE TABLE t_bench.p (id int AUTO_INCREMENT PRIMARY KEY, v varchar(191) NOT NULL);
    CREATE TABLE t_sealed.p LIKE t_bench.p;
    CREATE TABLE t_sealed.big (v longtext)"

# HAProxy as it relays a database: TCP mode, a thread a core, nothing logged.
haproxy_port=$(free_port)
cat >"$folder/haproxy.cfg" <<CONFIG
global
    nbthread $(nproc)
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen mysql
    bind 127.0.0.1:$haproxy_port
    server database 127.0.0.1:$database
CONFIG
PATH=$PATH:/usr/sbin haproxy -f "$folder/haproxy.cfg" >"$folder/haproxy.log" 2>&1 &
haproxy=$!
started+=("$haproxy")
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }
wait_for 20 "$haproxy" HAProxy listens "$haproxy_port" || { cat "$folder/haproxy.log" >&2; exit 1; }

sealwire_port=$(free_port)
cat >"$folder/sealwire.yaml" <<CONFIG
listen: ["127.0.0.1:$sealwire_port"]
backend:
  address: "127.0.0.1:$database"
  tls: { mode: disabled }
  control: { user: sealwire, password: control-secret }
kms: { provider: local, keyring: "$folder/keyring" }
tables:
  t_sealed.p:
    columns:
      v: {}
  t_sealed.big:
    columns:
      v: {}
CONFIG
SEALWIRE_LOG=info target/release/sealwire run -c "$folder/sealwire.yaml" >"$folder/sealwire.log" 2>&1 &
sealwire=$!
started+=("$sealwire")
wait_for 20 "$sealwire" "the proxy" grep -q 'listening on' "$folder/sealwire.log" || {
    cat "$folder/sealwire.log" >&2
    exit 1
}

port_of() { case $1 in direct) echo "$database" ;; haproxy) echo "$haproxy_port" ;; sealwire) echo "$sealwire_port" ;; esac; }
# Processor time of a process so far, in microseconds.
processor_time() { awk -v tick="$(getconf CLK_TCK)" '{ printf "%d", ($14 + $15) * 1000000 / tick }' "/proc/$1/stat"; }

bench() { # SCHEMA PORT THREADS SECONDS SCRIPT ARGUMENT...
    local schema=$1 port=$2 threads=$3 seconds=$4
    shift 4
    sysbench --db-driver=mysql --mysql-host=127.0.0.1 --mysql-port="$port" --mysql-user=app \
        --mysql-password=app-secret --mysql-db="$schema" --mysql-ssl=off --threads="$threads" \
        --time="$seconds" --events=0 --report-interval=0 "$@" run >"$folder/sysbench.log" 2>&1 || {
        tail -n 20 "$folder/sysbench.log" >&2
        exit 1
    }
    sed -n 's/^ *transactions:.*(\([0-9.]*\) per sec.*/\1/p' "$folder/sysbench.log"
}
queries_done() { awk '/total number of events:/ { print $NF }' "$folder/sysbench.log"; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", b ? a / b : 0 }'; }

printf '%s, MariaDB %s, %s rounds of %s s, medians\n' "$(nproc) cores" "$(sql -N -B -e 'SELECT VERSION()')" "$rounds" "$each"

# Rows for the selects.
sql t_bench -e "INSERT INTO p (v) SELECT UUID() FROM seq_1_to_1000"
sysbench --db-driver=mysql --mysql-host=127.0.0.1 --mysql-port="$database" --mysql-user=app --mysql-password=app-secret \
    --mysql-db=t_bench --mysql-ssl=off --table-size=10000 oltp_point_select prepare >/dev/null

printf '\npoint selects on an unprotected table, queries a second\n'
printf '%-10s %-10s %10s %12s %22s\n' threads "" q/s "of direct" "proxy CPU a query, µs"
for threads in $thread_counts; do
    declare -A cpu=() done_=()
    for round in $(seq "$rounds"); do
        for way in direct haproxy sealwire; do
            pid=
            case $way in haproxy) pid=$haproxy ;; sealwire) pid=$sealwire ;; esac
            before=0
            [ -z "$pid" ] || before=$(processor_time "$pid")
            bench t_bench "$(port_of $way)" "$threads" "$each" oltp_point_select --table-size=10000 >>"$folder/$way.$threads"
            [ -z "$pid" ] || cpu[$way]=$((${cpu[$way]:-0} + $(processor_time "$pid") - before))
            done_[$way]=$((${done_[$way]:-0} + $(queries_done)))
        done
    done
    direct=$(median "$folder/direct.$threads")
    for way in direct haproxy sealwire; do
        got=$(median "$folder/$way.$threads")
        printf '%-10s %-10s %10.0f %12s %22s\n' "$threads" $way "$got" "$(ratio "$got" "$direct")" \
            "$([ -z "${cpu[$way]:-}" ] || ratio "${cpu[$way]}" "${done_[$way]}")"
    done
done

printf '\none column, one row a statement, queries a second (%s threads)\n' "${thread_counts##* }"
printf '%-10s %14s %18s %10s\n' "" "plain, direct" "sealed, Sealwire" ratio
for mode in insert select; do
    for round in $(seq "$rounds"); do
        bench t_bench "$database" "${thread_counts##* }" "$each" benches/protected.lua --mode=$mode >>"$folder/plain.$mode"
        bench t_sealed "$sealwire_port" "${thread_counts##* }" "$each" benches/protected.lua --mode=$mode >>"$folder/sealed.$mode"
    done
    plain=$(median "$folder/plain.$mode") sealed=$(median "$folder/sealed.$mode")
    printf '%-10s %14.0f %18.0f %10s\n' $mode "$plain" "$sealed" "$(ratio "$sealed" "$plain")"
done

python3 benches/memory.py "$sealwire" "$sealwire_port" "$database" "$connections"

python3 benches/analyse.py target/release/sealwire
