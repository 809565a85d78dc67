#!/usr/bin/env bash
# The servers that the end-to-end tests talk to: MariaDB 10.11 and 11.8, MySQL 9.7 and the KMS emulator,
# each on a free loopback port and a temporary folder.
#
#   servers.sh run COMMAND...    start all, run the command with SEALWIRE_TEST_SERVERS set, stop all
#   servers.sh start DIR         start all in DIR and leave them running; DIR/servers.json says where
#   servers.sh stop DIR          stop what was started in DIR and remove it
#   servers.sh fetch             only download what is missing
#
# SEALWIRE_TEST_ONLY="mariadb118 moto" starts these alone; SEALWIRE_TEST_OPTIONS="--lower-case-table-names=1" are further
# options of the databases. What servers.json holds is documented in mod.rs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/provision.sh"

DATABASES='mariadb mariadb118 mysql'
wanted() { case " ${SEALWIRE_TEST_ONLY:-$DATABASES moto} " in *" $1 "*) ;; *) return 1 ;; esac; }

# A certificate authority, a server certificate for 127.0.0.1 and localhost, and a client certificate.
make_certificates() {
    need_command openssl openssl
    mkdir -p "$1"
    (
        cd "$1"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
            -subj '/CN=Sealwire test authority' -keyout ca-key.pem -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout server-key.pem -out server.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 \
            -extfile server.ext -out server.pem
        openssl req -newkey rsa:2048 -nodes -subj '/CN=sealwire' -keyout client-key.pem -out client.csr
        # An extension makes it X.509 v3: rustls takes no v1 certificates.
        printf 'extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n' >client.ext
        openssl x509 -req -in client.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 \
            -extfile client.ext -out client.pem
    ) >/dev/null 2>&1 || die "openssl could not make the test certificates"
}

# Options of both servers: everything that could keep a value is on (general log, binary log with
# statements), everything that costs time and proves nothing is off. No status tells of statements that a busy
# machine made slow.
common_options() {
    local dir=$1 port=$2
    printf '%s\n' --no-defaults --datadir="$dir/data" --socket="$dir/sock" --port="$port" \
        --bind-address=127.0.0.1 --pid-file="$dir/server-pid" --log-error="$dir/error.log" \
        --init-file="$dir/init.sql" --secure-file-priv= --local-infile=1 --skip-name-resolve \
        --general-log=1 --general-log-file="$dir/general.log" --log-bin="$dir/binlog/log" --server-id=1 \
        --sync-binlog=0 --innodb-flush-log-at-trx-commit=2 --innodb-buffer-pool-size=64M \
        --max-connections=500 --max-connect-errors=1000000 --max-allowed-packet=64M --performance-schema=OFF \
        --long-query-time=86400 \
        --ssl-ca="$dir/../tls/ca.pem" --ssl-cert="$dir/../tls/server.pem" --ssl-key="$dir/../tls/server-key.pem"
    [ "$(id -u)" != 0 ] || echo --user=root
    further_options
}
further_options() { [ -z "${SEALWIRE_TEST_OPTIONS:-}" ] || tr ' ' '\n' <<<"$SEALWIRE_TEST_OPTIONS"; }

# start_server NAME DIR EXTRA_OPTION...: by the function that NAME's program is run with.
start_server() {
    local program=$1 dir=$2 attempt port
    shift 2
    local options
    for attempt in 1 2 3; do
        port=$(free_port)
        mapfile -t options < <(common_options "$dir" "$port")
        # The server's output goes to its log: a pipe of the caller's must not stay open for it.
        (exec </dev/null 9>&-; "$program" "${options[@]}" "$@") >>"$dir/output.log" 2>&1 &
        echo $! >"$dir/pid"
        if wait_for 60 "$(cat "$dir/pid")" "$program" server_is_ready "$dir" "$port"; then
            echo "$port" >"$dir/port"
            return
        fi
        end_processes "$(cat "$dir/pid")"
    done
    tail -n 30 "$dir/error.log" "$dir/output.log" >&2
    die "$program does not start"
}
server_is_ready() { grep -q 'ready for connections' "$1/error.log" && (exec 3<>"/dev/tcp/127.0.0.1/$2"); }

# Accounts of both servers; the plugin-specific ones follow where they are called from.
accounts() {
    cat <<'SQL'
CREATE USER root@'127.0.0.1';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
CREATE USER sealwire@'%' IDENTIFIED BY 'control-secret';
GRANT ALL ON *.* TO sealwire@'%';
CREATE USER app@'%' IDENTIFIED BY 'app-secret';
GRANT ALL ON `t\_%`.* TO app@'%';
CREATE USER app_empty@'%';
GRANT ALL ON `t\_%`.* TO app_empty@'%';
CREATE USER app_tls@'%' IDENTIFIED BY 'tls-secret' REQUIRE SSL;
GRANT ALL ON `t\_%`.* TO app_tls@'%';
CREATE USER app_x509@'%' IDENTIFIED BY 'x509-secret' REQUIRE X509;
GRANT ALL ON `t\_%`.* TO app_x509@'%';
SQL
}

start_mariadb() { run_mariadb "$1/mariadb" mariadbd "$MARIADB_ROOT"; }
start_mariadb118() { run_mariadb "$1/mariadb118" mariadbd118 "$SEALWIRE_CACHE/mariadb-11.8" parsec; }

# run_mariadb DIR PROGRAM ROOT PLUGIN...: one MariaDB with accounts for ed25519 and the given plugins.
run_mariadb() {
    local dir=$1 program=$2 root=$3
    shift 3
    mkdir -p "$dir/data/mysql" "$dir/binlog"
    local share=$root/usr/share/mysql paths=()
    [ -d "$share" ] || share=$root/usr/share/mariadb
    paths=(--basedir="$root/usr" --lc-messages-dir="$share" --character-sets-dir="$share/charsets"
        --plugin-dir="$root/usr/lib/mysql/plugin" --tmpdir="$dir" --feedback=OFF)
    local user=()
    [ "$(id -u)" != 0 ] || user=(--user=root)
    {
        printf '%s\n' 'CREATE DATABASE IF NOT EXISTS mysql;' 'USE mysql;' 'SET @auth_root_socket = NULL;'
        cat "$share"/m*_system_tables.sql "$share"/m*_system_tables_data.sql \
            "$share"/maria_add_gis_sp_bootstrap.sql "$share"/m*_sys_schema.sql
    } | ("$program" --no-defaults --bootstrap --datadir="$dir/data" "${user[@]}" "${paths[@]}" \
        --log-warnings=0 --max-allowed-packet=8M --innodb-buffer-pool-size=64M) >"$dir/output.log" 2>&1 || {
        cat "$dir/output.log" >&2
        die "$program cannot make its system tables"
    }
    local plugin plugins=()
    {
        echo "DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');"
        echo "FLUSH PRIVILEGES;"
        accounts
        echo "CREATE USER app_native@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('native-secret');"
        for plugin in ed25519 "$@"; do
            echo "CREATE USER app_$plugin@'%' IDENTIFIED VIA $plugin USING PASSWORD('$plugin-secret');"
        done
        printf 'GRANT ALL ON `t\\_%%`.* TO %s@'"'%%'"';\n' app_native app_ed25519 "${@/#/app_}"
    } >"$dir/init.sql"
    for plugin in ed25519 "$@"; do plugins+=(--plugin-load-add="auth_$plugin"); done
    start_server "$program" "$dir" "${paths[@]}" "${plugins[@]}" --innodb-log-file-size=32M \
        --proxy-protocol-networks=127.0.0.1
}

start_mysql() {
    local dir=$1/mysql
    local root=$SEALWIRE_CACHE/mysql-9.7 user=()
    mkdir -p "$dir/binlog"
    local paths=(--basedir="$root/usr" --lc-messages-dir="$root/usr/share/mysql"
        --character-sets-dir="$root/usr/share/mysql/charsets" --plugin-dir="$root/usr/lib/mysql/plugin"
        --tmpdir="$dir" --mysqlx=OFF)
    [ "$(id -u)" != 0 ] || user=(--user=root)
    local further
    mapfile -t further < <(further_options)
    (mysqld --no-defaults --initialize-insecure --datadir="$dir/data" --secure-file-priv= \
        --innodb-redo-log-capacity=32M "${user[@]}" "${paths[@]}" "${further[@]}") >"$dir/output.log" 2>&1 || {
        cat "$dir/output.log" >&2
        die "mysqld cannot initialise its data folder"
    }
    {
        accounts
        echo "CREATE USER app_sha2@'%' IDENTIFIED WITH caching_sha2_password BY 'sha2-secret';"
        echo "CREATE USER app_sha256@'%' IDENTIFIED WITH sha256_password BY 'sha256-secret';"
        printf 'GRANT ALL ON `t\\_%%`.* TO %s@'"'%%'"';\n' app_sha2 app_sha256
    } >"$dir/init.sql"
    start_server mysqld "$dir" "${paths[@]}" --innodb-redo-log-capacity=32M --binlog-rows-query-log-events=ON
}

start_moto() {
    local dir=$1/moto attempt port
    mkdir -p "$dir"
    for attempt in 1 2 3; do
        port=$(free_port)
        (exec </dev/null 9>&-; exec "$SEALWIRE_CACHE/moto/bin/moto_server" -H 127.0.0.1 -p "$port") \
            >"$dir/output.log" 2>&1 &
        echo $! >"$dir/pid"
        if wait_for 60 "$(cat "$dir/pid")" moto_server listens "$port"; then
            echo "$port" >"$dir/port"
            return
        fi
        end_processes "$(cat "$dir/pid")"
    done
    cat "$dir/output.log" >&2
    die "moto_server does not start"
}
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

describe() {
    local dir=$1 name separator=
    echo '{'
    for name in $DATABASES; do
        [ -e "$dir/$name/port" ] || continue
        printf '%s  "%s": {"host": "127.0.0.1", "port": %s, "socket": "%s", "data": "%s", "general_log": "%s", "binlog": "%s", "error_log": "%s", "tls": "%s"}' \
            "$separator" "$name" "$(cat "$dir/$name/port")" "$dir/$name/sock" "$dir/$name/data" \
            "$dir/$name/general.log" "$dir/$name/binlog" "$dir/$name/error.log" "$dir/tls"
        separator=$',\n'
    done
    if [ -e "$dir/moto/port" ]; then
        printf '%s  "moto": {"endpoint": "http://127.0.0.1:%s"}' "$separator" "$(cat "$dir/moto/port")"
    fi
    printf '\n}\n'
}

fetch() {
    if wanted mariadb; then provision_mariadb; fi
    if wanted mariadb118; then provision_mariadb118; fi
    if wanted mysql; then provision_mysql; fi
    if wanted moto; then provision_moto; fi
}

start() {
    local dir=$1 jobs=() name
    fetch
    mkdir -p "$dir"
    make_certificates "$dir/tls"
    for name in $DATABASES moto; do
        if wanted "$name"; then
            ("start_$name" "$dir") &
            jobs+=($!)
        fi
    done
    local job failed=
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    if [ -n "$failed" ]; then
        stop "$dir"
        exit 1
    fi
    describe "$dir" >"$dir/servers.json"
}

stop() {
    local dir=$1 file pids=()
    # Tests that were killed may have left servers of their own.
    for file in "$dir"/*/pid "$dir"/private-*/*/pid; do
        if [ -e "$file" ]; then pids+=("$(cat "$file")"); fi
    done
    end_processes "${pids[@]}"
    rm -rf "$dir"
}

case ${1:-} in
fetch) fetch ;;
start) start "$(realpath -m "${2:?where to}")" ;;
stop)
    [ -e "${2:?which}/tls/ca.pem" ] || die "$2 holds no servers"
    stop "$(realpath "$2")"
    ;;
run)
    shift
    dir=$(mktemp -d "${TMPDIR:-/tmp}/sealwire-test.XXXXXX")
    child=
    trap 'stop "$dir"' EXIT
    # The command runs in the background so that a signal ends it, and the servers after it, at once.
    trap 'if [ -n "$child" ]; then kill "$child" 2>/dev/null; wait "$child" || true; fi; exit 130' INT TERM HUP
    start "$dir"
    SEALWIRE_TEST_SERVERS=$dir/servers.json "$@" <&0 &
    child=$!
    status=0
    wait "$child" || status=$?
    exit "$status"
    ;;
*) sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
