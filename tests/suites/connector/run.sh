#!/usr/bin/env bash
# The tests of mysql-connector-python, pure Python and C extension: its unittests.py.
# The source of 9.5.0 carries them; later ones on PyPI do not.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"
version=9.5.0
source=$SEALWIRE_CACHE/suite-connector-$version
python=$SEALWIRE_CACHE/suites-connector-$version

case ${1:-} in
--install)
    python_environment "suites-connector-$version" "mysql-connector-python==$version" setuptools
    python_source "suites-connector-$version" "suite-connector-$version" "mysql-connector-python==$version"
    ;;
--version) echo "mysql-connector-python $version" ;;
# What unittests.py gives the servers that it starts itself, and what its tests of connection attributes look into.
--options) echo --sql-mode= --default-time-zone=+00:00 --performance-schema=ON ;;
*)
    cp -r "$source/." .
    cp "$SUITE_TLS/ca.pem" tests/data/ssl/tests_CA_cert.pem
    cp "$SUITE_TLS/client.pem" tests/data/ssl/tests_client_cert.pem
    cp "$SUITE_TLS/client-key.pem" tests/data/ssl/tests_client_key.pem
    exec "$python/bin/python" "$here/suite.py" --use-external-server --skip-install --verbosity 2 \
        --host "$SUITE_HOST" --port "$SUITE_PORT" --user root
    ;;
esac
