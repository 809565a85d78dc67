#!/usr/bin/env bash
# Third-party clients: each does one scenario on plain tables, directly, and on protected ones through the
# proxy; the two transcripts must be equal and what the server stores must be sealed.
#
#   tests/clients/run.sh [--server mysql] [DRIVER...]      all drivers on all servers unless named
#
# tests/clients/LANGUAGE/run.sh installs and runs the drivers of one language; runner.py compares.
# A driver's name is LANGUAGE/DRIVER or either half. Transcripts: target/clients/SERVER/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/support/provision.sh
need_command python3 python3 python3-venv
tests/clients/python/run.sh --install # the runner itself uses PyMySQL
cargo build --locked --bins
runner=("$SEALWIRE_CACHE/clients-python/bin/python" tests/clients/runner.py "$@")
if [ -n "${SEALWIRE_TEST_SERVERS:-}" ]; then exec "${runner[@]}"; fi
CLIENTS_PRUNE=1 exec tests/support/servers.sh run "${runner[@]}"
