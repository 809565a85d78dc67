#!/usr/bin/env bash
# The tests of aiomysql, each on asyncio and uvloop, over TLS and over a unix socket. The versions are those that its
# requirements name: it does not work with every newer one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"
version=0.3.2
source=$SEALWIRE_CACHE/suite-aiomysql-$version
python=$SEALWIRE_CACHE/suites-aiomysql-$version

case ${1:-} in
--install)
    python_environment "suites-aiomysql-$version" PyMySQL==1.1.2 SQLAlchemy==1.3.24 pytest==8.4.2 uvloop cryptography
    python_source "suites-aiomysql-$version" "suite-aiomysql-$version" "aiomysql==$version"
    ;;
--version) echo "aiomysql $version" ;;
--options) ;;
*)
    cp -r "$source/." .
    cp "$SUITE_TLS/ca.pem" tests/ssl_resources/ssl/ca.pem
    export PYTHONPATH=.:$here/..
    exec "$python/bin/python" -m pytest -p outcomes tests \
        --mysql-address "tls=$SUITE_HOST:$SUITE_PORT" --mysql-unix-socket "socket=$SUITE_SOCKET"
    ;;
esac
