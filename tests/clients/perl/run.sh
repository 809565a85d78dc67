#!/usr/bin/env bash
# Perl's DBI: DBD::mysql and DBD::MariaDB, each with emulated and with server-side prepares.
#   run.sh --drivers | --install | --version DRIVER | DRIVER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"

case ${1:?} in
--drivers) echo mysql mysql-prepared mariadb mariadb-prepared ;;
--install) perl -MDBD::mysql -MDBD::MariaDB -e1 2>/dev/null || install_packages libdbd-mysql-perl libdbd-mariadb-perl ;;
--version)
    case ${2:?} in
    mysql*) perl -MDBD::mysql -e 'print "DBD::mysql $DBD::mysql::VERSION\n"' ;;
    *) perl -MDBD::MariaDB -e 'print "DBD::MariaDB $DBD::MariaDB::VERSION\n"' ;;
    esac
    ;;
*) exec perl "$here/client.pl" "$1" ;;
esac
