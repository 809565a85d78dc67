#!/usr/bin/env bash
# Python's drivers, in a virtual environment: PyMySQL, mysqlclient, mysql-connector-python (pure and C).
#   run.sh --drivers | --install | --version DRIVER | DRIVER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"
venv=$SEALWIRE_CACHE/clients-python
# The C extension of later releases needs a newer OpenSSL than Debian 12 has.
c_venv=$SEALWIRE_CACHE/clients-python-c

[ "${*: -1}" != connector-c ] || venv=$c_venv
case ${1:?} in
--drivers) echo pymysql mysqlclient connector connector-c ;;
--install)
    need_command python3 python3 python3-venv
    "$venv/bin/python" -c 'import pymysql, MySQLdb, mysql.connector, cryptography' 2>/dev/null &&
        "$c_venv/bin/python" -c 'import _mysql_connector' 2>/dev/null && exit
    python3 -m venv "$venv" >/dev/null 2>&1 || { install_packages python3 python3-venv; python3 -m venv "$venv"; }
    # mysqlclient is compiled against MariaDB Connector/C.
    pkg-config --exists libmariadb 2>/dev/null || install_packages libmariadb-dev pkg-config gcc python3-dev
    "$venv/bin/pip" install --quiet 'pymysql==1.2.*' cryptography 'mysqlclient==2.3.*' 'mysql-connector-python==26.10.*'
    python3 -m venv "$c_venv"
    "$c_venv/bin/pip" install --quiet 'mysql-connector-python==8.4.0'
    ;;
--version)
    case ${2:?} in
    pymysql) package=PyMySQL ;;
    mysqlclient) package=mysqlclient ;;
    *) package=mysql-connector-python ;;
    esac
    "$venv/bin/python" -c 'import importlib.metadata as m, sys; print(sys.argv[1], m.version(sys.argv[1]))' "$package"
    ;;
*) exec "$venv/bin/python" "$here/client.py" "$1" ;;
esac
