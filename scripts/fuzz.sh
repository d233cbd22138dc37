#!/usr/bin/env bash
# Runs every fuzz target for some seconds, from the captures of real clients in fuzz/seeds.
#
#   scripts/fuzz.sh [SECONDS] [TARGET]...
#
# The pinned stable toolchain is used: RUSTC_BOOTSTRAP lets it take the sanitizer flag. A finding
# stays in fuzz/artifacts; give the file to the same binary to see it again.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
packages_for c++:g++

seconds=${1:-60}
shift || true
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
    for file in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

cache=${ROBUSTMQ_CACHE:-$HOME/.cache/robustmq}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Zsanitizer=address"
RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags cargo build -q --release --locked \
    --manifest-path fuzz/Cargo.toml --target "$host"

failed=0
# Two at a time: CI has two cores.
run() {
    local target=$1 artifacts=fuzz/artifacts/$1 corpus
    corpus=$(mktemp -d)
    mkdir -p "$artifacts"
    local status=0
    "$CARGO_TARGET_DIR/$host/release/$target" "$corpus" "fuzz/seeds/$target" \
        -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=1024 \
        -malloc_limit_mb=64 -artifact_prefix="$artifacts/" -print_final_stats=1 \
        </dev/null >"$artifacts/log" 2>&1 || status=$?
    rm -rf "$corpus"
    if [ "$status" -ne 0 ]; then
        tail -n 40 "$artifacts/log"
        echo "$target: a finding, see $artifacts"
        return 1
    fi
    sed -n "s/^stat::number_of_executed_units: */$target: nothing found, runs: /p" "$artifacts/log"
}
while [ "${#targets[@]}" -gt 0 ]; do
    pids=()
    for target in "${targets[@]:0:2}"; do
        run "$target" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || failed=$((failed + 1)); done
    targets=("${targets[@]:2}")
done
[ "$failed" -eq 0 ]
