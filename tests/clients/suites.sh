#!/usr/bin/env bash
# Drivers' own test suites, each directly and through a proxy: what passes directly must pass through it.
#
#   tests/clients/suites.sh [--server mysql] [SUITE...]      aiomysql connector mysql_async dbd-mariadb
#
# They come from PyPI, crates.io and Debian into the cache. Results: target/suites/SERVER/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/support/provision.sh
home=$SEALWIRE_CACHE/suites
AIOMYSQL=0.3.2 CONNECTOR=26.10.0

tests/clients/python/run.sh --install # the runner itself uses PyMySQL
tests/clients/perl/run.sh --install >/dev/null
mkdir -p "$home"
if [ ! -e "$home/complete" ]; then
    python3 -m venv "$home/venv"
    "$home/venv/bin/pip" install --quiet setuptools setuptools_scm pytest uvloop PyMySQL cryptography \
        'SQLAlchemy==1.3.24' "mysql-connector-python==$CONNECTOR"
    "$home/venv/bin/pip" download --quiet --no-deps --no-binary :all: --dest "$home" \
        "aiomysql==$AIOMYSQL" "mysql-connector-python==$CONNECTOR"
    tar -xzf "$home/aiomysql-$AIOMYSQL.tar.gz" -C "$home"
    tar -xzf "$home/mysql_connector_python-$CONNECTOR.tar.gz" -C "$home"
    curl -sSf "$(debian_mirror)/pool/main/libd/libdbd-mariadb-perl/libdbd-mariadb-perl_1.22.orig.tar.gz" |
        tar -xz -C "$home"
    touch "$home/complete"
fi
# The crate that this one uses, with its tests.
[ -e "$home/mysql_async" ] || cp -r "$(cargo metadata --locked --format-version 1 --filter-platform "$(rustc -vV | sed -n "s/^host: //p")" |
    python3 -c 'import json, os, sys; print(next(os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == "mysql_async"))')" \
    "$home/mysql_async"

cargo build --locked --bins
runner=("$SEALWIRE_CACHE/clients-python/bin/python" tests/clients/suites.py --home "$home" "$@")
if [ -n "${SEALWIRE_TEST_SERVERS:-}" ]; then exec "${runner[@]}"; fi
exec tests/support/servers.sh run "${runner[@]}"
