#!/usr/bin/env bash
# Runs every fuzz target, or those named, for SECONDS_EACH seconds (20) from the committed corpus. Inputs that
# reach new code are kept in target/fuzz-corpus; one that fails is left in fuzz/artifacts and ends the run.
#
#   fuzz/run.sh [TARGET…]         SECONDS_EACH=600 fuzz/run.sh analyse
#   fuzz/run.sh minimise          merges what was found into the committed corpus, in its smallest form
#
# libFuzzer's coverage passes are in the stable compiler; the flags are those of cargo-fuzz without a
# sanitizer, as the code has no `unsafe`. With cargo-fuzz on a nightly toolchain, `cargo fuzz run TARGET` works too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
passes="-Cpasses=sancov-module"
for argument in level=4 inline-8bit-counters pc-table trace-compares; do
    passes+=" -Cllvm-args=-sanitizer-coverage-$argument"
done
command -v c++ >/dev/null || { echo "a C++ compiler is needed for libFuzzer: apt-get install g++" >&2; exit 1; }
# A target of its own and a host triple, so that build scripts and ordinary builds go without coverage.
RUSTFLAGS="$passes --cfg fuzzing" cargo build --locked --release --manifest-path fuzz/Cargo.toml \
    --target "$host" --target-dir target/fuzz
binaries=target/fuzz/$host/release

mode=run
[ "${1:-}" != minimise ] || { mode=minimise; shift; }
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml)

# Targets that read SQL begin with the statements of the test corpora.
seed_statements() { # TARGET FOLDER
    local choice=@ number=0 line
    case $1 in analyse | lex) ;; prefilter) choice= ;; *) return 0 ;; esac
    while IFS= read -r line; do
        number=$((number + 1))
        printf '%s%s' "$choice" "$line" >"$2/statement-$number"
    done < <(sed -n 's/^[^#|]*| //p' tests/corpus/accepted.txt tests/corpus/refused.txt | sed 's/{s}/shop/g')
}

# The parser recurses; workers of the proxy have 64 MiB, too.
ulimit -S -s 65536
for target in "${targets[@]}"; do
    corpus=target/fuzz-corpus/$target committed=fuzz/corpus/$target
    mkdir -p "$corpus" "$committed" fuzz/artifacts
    if [ $mode = minimise ]; then
        small=$(mktemp -d)
        "$binaries/$target" -merge=1 -max_len=1024 "$small" "$committed" "$corpus" 2>/dev/null
        rm -rf "$committed" && mkdir "$committed"
        # The smallest ones, so that the corpora stay small.
        ls -Sr "$small" | head -n "${KEEP:-60}" | while read -r name; do mv "$small/$name" "$committed/"; done
        rm -rf "$small"
        printf '%-20s %s inputs\n' "$target" "$(ls "$committed" | wc -l)"
        continue
    fi
    seed_statements "$target" "$corpus"
    log=target/fuzz-corpus/$target.log
    if ! "$binaries/$target" -max_total_time="${SECONDS_EACH:-20}" -timeout=10 -rss_limit_mb=1024 -max_len=4096 \
        -artifact_prefix="fuzz/artifacts/$target-" -print_final_stats=1 \
        "$corpus" "$committed" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        exit 1
    fi
    printf '%-20s %10s runs, %6s MB at most\n' "$target" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")"
done
