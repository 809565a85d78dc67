#!/usr/bin/env bash
# Builds with the FIPS module of AWS-LC, in a folder of its own, and runs the unit tests of what uses it.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/support/provision.sh
need_command cmake cmake
need_command go golang-go
need_command clang clang libclang-dev
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target-fips} CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0
cargo build --locked --features fips
cargo test --locked --lib --features fips -- seal:: keys:: config::tests::a_build_with_the_fips_module
