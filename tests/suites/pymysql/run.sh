#!/usr/bin/env bash
# The tests of PyMySQL, with what it took over of MySQLdb's. The source of 0.10.1 carries them; later ones do not.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"
version=0.10.1
source=$SEALWIRE_CACHE/suite-pymysql-$version
python=$SEALWIRE_CACHE/suites-pymysql-$version

case ${1:-} in
--install)
    python_environment "suites-pymysql-$version" pytest==8.4.2 cryptography setuptools
    python_source "suites-pymysql-$version" "suite-pymysql-$version" "PyMySQL==$version"
    ;;
--version) echo "PyMySQL $version" ;;
--options) ;;
*)
    cp -r "$source/." .
    cat >pymysql/tests/databases.json <<JSON
[{"host": "$SUITE_HOST", "port": $SUITE_PORT, "user": "root", "passwd": "", "db": "$SUITE_SCHEMA",
  "use_unicode": true, "local_infile": true},
 {"host": "$SUITE_HOST", "port": $SUITE_PORT, "user": "root", "passwd": "", "db": "$SUITE_OTHER_SCHEMA"}]
JSON
    export PYTHONPATH=.:$here/..
    exec "$python/bin/python" -m pytest -p outcomes pymysql/tests
    ;;
esac
