#!/usr/bin/env bash
# Rust's mysql_async and sqlx: a cargo project of its own, outside the workspace.
#   run.sh --drivers | --install | --version DRIVER | DRIVER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"
target=$SEALWIRE_CACHE/clients-rust

case ${1:?} in
--drivers) echo mysql_async sqlx ;;
--install) cargo build --quiet --locked --manifest-path "$here/Cargo.toml" --target-dir "$target" ;;
--version) cargo tree --quiet --locked --manifest-path "$here/Cargo.toml" --depth 1 --prefix none | grep -o "^$2 v[^ ]*" ;;
*) exec "$target/debug/sealwire-client-test" "$1" ;;
esac
