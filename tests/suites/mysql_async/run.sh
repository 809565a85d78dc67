#!/usr/bin/env bash
# The tests of Rust's mysql_async, the version that tests/clients/rust has: plain, over TLS, and compressed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"
manifest=$here/../../clients/rust/Cargo.toml
version=$(sed -n '/^name = "mysql_async"/{n;s/version = "\(.*\)"/\1/p}' "${manifest%toml}lock")
source=$SEALWIRE_CACHE/suite-mysql_async-$version

case ${1:-} in
--install)
    [ ! -e "$source/complete" ] || exit 0
    rm -rf "$source"
    mkdir -p "$source"
    found=$(cargo metadata --format-version 1 --locked --manifest-path "$manifest" |
        grep -o '"manifest_path":"[^"]*/mysql_async-[^"]*/Cargo.toml"' | head -n 1 | cut -d '"' -f 4)
    cp -r "$(dirname "$found")/." "$source"
    say "building the tests of mysql_async $version in $source"
    (cd "$source" && cargo test --quiet --locked --lib --no-run --no-default-features \
        --features default-rustls,binlog) >&2
    touch "$source/complete"
    ;;
--version) echo "mysql_async $version" ;;
# Its tests of the binary log ask for what is not in one yet, and MySQL for its own checks of GTIDs.
--options) ;;
*)
    export DATABASE_URL="mysql://root@$SUITE_HOST:$SUITE_PORT/$SUITE_SCHEMA?prefer_socket=false"
    binary=$(ls -t "$source"/target/debug/deps/mysql_async-* | grep -v '\.d$' | head -n 1)
    status=0
    run() { # NAME: the tests once
        "$binary" --test-threads=1 2>&1 | tee /dev/stderr |
            sed -n "s/^test \(.*\) \.\.\. ok$/ok\t$1 \1/p; s/^test \(.*\) \.\.\. FAILED$/fail\t$1 \1/p
                s/^test \(.*\) \.\.\. ignored.*/skip\t$1 \1/p" >>"$SUITE_OUTCOMES" || status=1
    }
    run plain
    SSL=1 run tls
    COMPRESS=1 run compressed
    exit "$status"
    ;;
esac
