#!/usr/bin/env bash
# Builds the fuzz targets and runs each for SECONDS: tests/fuzz/run.sh SECONDS [TARGET…]
# (TARGET: idx_fuzz, gzip_fuzz, npy_fuzz, npz_fuzz, mat5_fuzz, cifar_fuzz, network_fuzz,
# source_spec_fuzz; all by default). Prints one line with the number of runs per target. Fails at the
# end when any target had a finding, which is kept in build/fuzz/findings. Corpora: build/fuzz/corpus.
set -euo pipefail

if [[ $# -lt 1 || ! $1 =~ ^[0-9]+$ ]]; then
  sed -n '2,5s/^# //p' "$0" >&2
  exit 2
fi
seconds=$1
shift
cd "$(dirname "$0")/../.."
build=build/fuzz
targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then
  for source in tests/fuzz/*_fuzz.cpp; do targets+=("$(basename "$source" .cpp)"); done
fi

mkdir -p build
cmake --preset fuzz >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
cmake --build "$build" --target "${targets[@]}" --parallel "$(nproc)" >"$build.log" 2>&1 ||
  { cat "$build.log"; exit 1; }
python3 tests/fuzz/make_seeds.py "$build/seeds"
mkdir -p "$build/findings"

# Inputs of 8 KiB reach everything; a single allocation past 128 MiB, 1 GiB in all or 10 s for one
# input are findings.
limits=(-max_len=8192 -malloc_limit_mb=128 -rss_limit_mb=1024 -timeout=10)
run_target() {
  local target=$1 corpus=$build/corpus/$1 log=$build/$1.log
  local dictionary=() runs coverage
  mkdir -p "$corpus"
  [[ -f tests/fuzz/$target.dict ]] && dictionary=(-dict="tests/fuzz/$target.dict")
  if "$build/tests/fuzz/$target" "${limits[@]}" "${dictionary[@]}" -max_total_time="$seconds" \
    -print_final_stats=1 -artifact_prefix="$build/findings/$target-" "$corpus" \
    "$build/seeds/$target" >"$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
    echo "$target: $runs runs in $seconds s, ${coverage/cov:/edges covered:}, no finding"
  else
    echo "$target: FINDING, see $log and $build/findings" >&2
    grep -m 1 -E 'ERROR|runtime error|terminate' "$log" >&2 || tail -n 5 "$log" >&2
    return 1
  fi
}

# As many side by side as there are processors.
failed=0 running=0
for target in "${targets[@]}"; do
  if [[ $running -ge $(nproc) ]]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
  run_target "$target" &
  running=$((running + 1))
done
while [[ $running -gt 0 ]]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit $failed
