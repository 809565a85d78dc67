#!/usr/bin/env bash
# The command lines: mariadb of 10.11 and of 11.8, mysql of 9.7; all from the packages unpacked for the servers.
#   run.sh --drivers | --install | --version DRIVER | DRIVER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"

# program DRIVER ARGUMENT...: in place of this shell.
program() {
    local driver=$1
    shift
    case $driver in
    mariadb) provision_mariadb && mariadb_client "$@" ;;
    mariadb-11.8) run_unpacked mariadb-11.8 usr/bin/mariadb --no-defaults --plugin-dir="$(echo "$SEALWIRE_CACHE"/mariadb-11.8/usr/lib/*/libmariadb3/plugin)" "$@" ;;
    mysql-9.7) run_unpacked mysql-client-9.7 usr/bin/mysql --no-defaults "$@" ;;
    esac
}

case ${1:?} in
--drivers) echo mariadb mariadb-11.8 mysql-9.7 ;;
--install)
    need_command python3 python3
    provision_mariadb
    provision_mariadb118
    unpack_packages sid mysql-client-9.7 mysql-client-core
    ;;
--version) program "$2" --version | sed 's/^.*\/\(mariadb\|mysql\) /\1 /; s/,.*//' ;;
--program) program "${@:2}" ;;
*) exec python3 "$here/client.py" "$1" ;;
esac
