#!/bin/sh
# Builds one target with coverage instrumentation on a stable compiler and runs it: run.sh TARGET SECONDS
# New inputs go to a folder under target/; corpus/ is only read.
set -eu
cd "$(dirname "$0")"
target=${1:?target: a name in fuzz_targets}
seconds=${2:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
build=${CARGO_TARGET_DIR:-target}
flags='--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
flags="$flags -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Zsanitizer=address"
# --target keeps the instrumentation out of build scripts.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" CARGO_TARGET_DIR="$build" \
    cargo build --release --target "$host" --bin "$target"
found="$build/found/$target"
mkdir -p "$found"
exec "$build/$host/release/$target" "$found" "corpus/$target" -max_total_time="$seconds" -max_len=2048 \
    -artifact_prefix="$found/"
