#!/usr/bin/env bash
# The story of Sealwire, told on a private database that lives as long as this script. With ONCE=1 it
# ends by itself; every claim it makes is checked, and a false one makes it fail.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/support/provision.sh

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' blue=$'\e[34m' plain=$'\e[0m'
else
    bold= dim= red= green= blue= plain=
fi
folder=$(mktemp -d "${TMPDIR:-/tmp}/sealwire-demo.XXXXXX")
proxy=
cleanup() {
    [ -z "$proxy" ] || end_processes "$proxy"
    [ ! -e "$folder/servers" ] || tests/support/servers.sh stop "$folder/servers"
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'echo; exit 0' INT TERM HUP

chapter() { printf '\n%s%s%s\n' "$bold$blue" "$*" "$plain"; }
tell() { printf '%s\n' "$*"; }
fail() { printf '%sthe demo expected otherwise: %s%s\n' "$red$bold" "$*" "$plain" >&2; exit 1; }

# through PROXY|DATABASE, by whom, what: the statement is shown, then the client's own output.
client() { mariadb_client --table --default-character-set=utf8mb4 "$@" 2>&1; }
by_proxy() { client -h127.0.0.1 -P"$proxy_port" -ushop -pshop shop -e "$1"; }
by_database() { client -h127.0.0.1 -P"$database_port" -uroot shop -e "$1"; }
show() { # WHERE STATEMENT
    printf '%s%-11s>%s %s\n' "$dim" "$1" "$plain" "$2" | sed 's/xxxx*/xxx…xxx/g'
}
app() { show application "$1"; by_proxy "$1" || fail "this statement succeeds"; }
dba() { show database "$1"; by_database "$1" || fail "this statement succeeds"; }
refused() { # STATEMENT PATTERN: the application is told so
    local said
    show application "$1"
    said=$(by_proxy "$1") && { printf '%s\n' "$said"; fail "this statement is refused"; }
    said=$(sed -n '/^ERROR/,$p' <<<"$said")
    fold -s -w 110 <<<"$said" | sed "s/^/$red/; s/\$/$plain/"
    grep -qE "$2" <<<"$said" || fail "the refusal says $2"
}
value() { mariadb_client -N -B -h127.0.0.1 -P"$database_port" -uroot shop -e "$1"; }

started=$SECONDS
printf '%sSealwire: columns that only your application can read%s\n' "$bold" "$plain"
tell "${dim}building and starting a private MariaDB …$plain"
provision_mariadb
# On a terminal cargo shows how far it is.
if [ -t 2 ]; then cargo build --locked; else cargo build --locked --quiet; fi
SEALWIRE_TEST_ONLY=mariadb tests/support/servers.sh start "$folder/servers"
database_port=$(cat "$folder/servers/mariadb/port")
mariadb_client -h127.0.0.1 -P"$database_port" -uroot <demo/schema.sql

proxy_port=${PORT:-$(free_port)}
export DEMO_PROXY_PORT=$proxy_port DEMO_DATABASE_PORT=$database_port DEMO_FOLDER=$folder
export DEMO_CONTROL_PASSWORD=control-secret
tell "${dim}ready after $((SECONDS - started)) s$plain"

chapter "1. A table as old applications have them, and a server that is not strict"
dba "SHOW CREATE TABLE users\\G"
tell "Two lines of YAML protect email and phone (config/demo.yaml). The table stays as it is. Will it fit?"
show shell "sealwire check -c config/demo.yaml"
target/debug/sealwire check -c config/demo.yaml || fail "the check succeeds"

target/debug/sealwire run -c config/demo.yaml >"$folder/proxy.log" 2>&1 &
proxy=$!
wait_for 20 "$proxy" "the proxy" grep -q 'listening on' "$folder/proxy.log" || {
    cat "$folder/proxy.log" >&2
    exit 1
}

chapter "2. The application works as before: its port is the only thing that changed"
app "INSERT INTO users (name, email, phone) VALUES ('Ada', 'ada@example.org', '+44 20 7946 0001'), ('Linus', 'linus@example.org', NULL)"
app "SELECT id, name, email, phone FROM users"
by_proxy "SELECT email FROM users" | grep -q ada@example.org || fail "the application reads what it wrote"
if php -m 2>/dev/null | grep -q pdo_mysql; then
    show shell "php demo/app.php"
    php demo/app.php "$proxy_port" || fail "the PHP application works"
fi

chapter "3. What the database really holds: stolen dumps, backups and replicas show this"
dba "SELECT id, name, email FROM users"
! by_database "SELECT * FROM users" | grep -q example.org || fail "no address is in the clear"
! grep -rqa ada@example.org "$folder/servers/mariadb" || fail "nothing the server wrote holds an address"
tell "Neither do its data files, its binary log and its general log: ${green}grep finds no address.$plain"

chapter "4. A value too long for the column: where data is lost without notice, and where not"
long="a.very.long.address.$(printf 'x%.0s' $(seq 90))@example.org"
tell "An address of ${#long} characters fits varchar(191). Encrypted, it does not. Who encrypts in the application"
tell "and writes to a server that is not strict loses it, silently:"
blob=$(head -c 189 /dev/zero | tr '\0' 'k' | base64 -w0)
show database "INSERT INTO users (name, note) VALUES ('naive', '<${#blob} characters of ciphertext>')"
by_database "INSERT INTO users (name, note) VALUES ('naive', '$blob'); SELECT CHAR_LENGTH(note) AS stored, 'and never to be decrypted' AS lost FROM users WHERE name = 'naive'"
tell "Sealwire knows the column's width and refuses before a byte is sent; it says what would help:"
refused "INSERT INTO users (name, email) VALUES ('Long', '$long')" '1406'
tell "The same with IGNORE, and in the third row of an insert. Nothing of the statement is executed:"
refused "INSERT IGNORE INTO users (name, email) VALUES ('A', 'a@example.org'), ('B', 'b@example.org'), ('C', '$long')" 'row 3'
dba "SELECT COUNT(*) AS written FROM users WHERE name IN ('Long', 'A', 'B', 'C')"
[ "$(value "SELECT COUNT(*) FROM users WHERE name IN ('Long', 'A', 'B', 'C')")" = 0 ] || fail "nothing was written"

chapter "5. A sealed value opens only in its own table and column"
dba "UPDATE users SET phone = email WHERE name = 'Linus'"
tell "Somebody with access to the database moved a ciphertext. The application does not get to see it as a phone number:"
refused "SELECT name, phone FROM users WHERE name = 'Linus'" 'sealwire|phone'
dba "UPDATE users SET phone = NULL WHERE name = 'Linus'"

chapter "6. What cannot be proven safe is refused, with a reason and a way out"
refused "UPDATE users SET note = email" 'SW-[0-9]+'
refused "SELECT CONCAT(email, ';', name) FROM users" 'SW-[0-9]+'

chapter "Try it yourself"
tell "  through Sealwire   ${bold}mariadb -h127.0.0.1 -P$proxy_port -ushop -pshop shop$plain"
tell "  the database       ${bold}mariadb -h127.0.0.1 -P$database_port -uroot shop$plain"
tell "  as a URL           mysql://shop:shop@127.0.0.1:$proxy_port/shop"
if [ -n "${ONCE:-}" ]; then
    tell "${green}done in $((SECONDS - started)) s$plain"
    exit 0
fi
tell "${dim}Ctrl-C ends the demo and removes everything it made.$plain"
wait "$proxy" || { cat "$folder/proxy.log" >&2; fail "the proxy keeps running"; }
