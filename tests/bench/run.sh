#!/bin/sh
# Builds the preset `bench`, runs every benchmark and prints the tables of docs/performance.md:
#   tests/bench/run.sh                    networks, operations, scaling (minutes)
#   tests/bench/run.sh --long             and whole runs of the commands: speed and memory (half an hour)
#   tests/bench/run.sh memory forum       sections by name: networks operations scaling build memory forum solve
#   tests/bench/run.sh --turns 21 …       more turns than the 9 that medians are taken over (5 at least)
#   tests/bench/run.sh --update …         and put the tables in docs/performance.md
# GRAMTILE_TARGET=AVX2 in the environment forces an instruction set; rates are then also given per
# GFLOP/s of that one's peak. Use a quiet machine. Safe to run twice; everything lies in build/bench.
set -eu
cd "$(dirname "$0")/../.."

if ! [ -f /usr/include/benchmark/benchmark.h ]; then apps/install_packages.sh --bench; fi
log=build/bench/run-build.log
mkdir -p build/bench
{ cmake --preset bench &&
  cmake --build --preset bench -j "${GRAMTILE_JOBS:-$(nproc)}" \
    --target gramtile_bench gramtile_solve_bench kernel-build kernel-grad kernel-predict; } >"$log" 2>&1 ||
  { tail -40 "$log"; exit 1; }
exec /usr/bin/python3 tests/bench/report.py --build build/bench "$@"
