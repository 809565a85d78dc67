#!/usr/bin/env bash
# Third-party test suites: each runs against a server directly and through the proxy; a test that passes
# directly and does not through the proxy fails the run.
#
#   tests/suites/run.sh [--server mysql] [SUITE...]      all suites on all servers unless named
#
# tests/suites/SUITE/run.sh fetches and runs one suite; runner.py starts the servers and compares. Nothing of
# the suites is kept here: they come from PyPI, crates.io and Debian. Results: target/suites/.
#
# What a suite's run.sh does:
#   --install       fetches it and what it needs into SEALWIRE_CACHE
#   --version       what it is
#   --options       options for the server, each a word
#   without         runs it in the current, empty folder against SUITE_HOST and SUITE_PORT (or SUITE_SOCKET) as root
#                   without a password; SUITE_SCHEMA and SUITE_OTHER_SCHEMA are empty schemas, SUITE_TLS is the folder of
#                   ca.pem, client.pem and client-key.pem. Writes a line for each test to SUITE_OUTCOMES: ok, fail,
#                   error or skip, a tab, the test's name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/support/provision.sh
python_environment suites-runner pymysql cryptography
cargo build --locked --bins
exec "$SEALWIRE_CACHE/suites-runner/bin/python" tests/suites/runner.py "$@"
