#!/usr/bin/env bash
# The leak oracle: statements of other people's, rewritten onto protected tables, through the proxy and on an
# unprotected twin. Reports how many were equal, refused, different and leaked; fails if the last two are not 0.
#
#   tests/canary/run.sh [--corpus FOLDER] [--limit N] [--only mysql] ...     see canary.py --help
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/support/provision.sh
need_command python3 python3 python3-venv
venv="$SEALWIRE_CACHE/canary"
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import pymysql, mysql.connector' 2>/dev/null; then
    python3 -m venv "$venv" >/dev/null 2>&1 || { install_packages python3 python3-venv; python3 -m venv "$venv"; }
    "$venv/bin/pip" install --quiet pymysql cryptography mysql-connector-python
fi
cargo build --locked --bins
if [ -n "${SEALWIRE_TEST_SERVERS:-}" ]; then
    exec "$venv/bin/python" tests/canary/canary.py "$@"
fi
exec tests/support/servers.sh run "$venv/bin/python" tests/canary/canary.py "$@"
