#!/bin/sh
# Sets the machine up like apps/quickstart.sh, builds, and passes every test:
#   quickstart  apps/quickstart.sh: what a new user runs
#   release     all tests: unit, property and golden on every instruction set, end to end
#   dev         unit, property and golden tests under the address and undefined-behaviour sanitizers, in the short form:
#               GRAMTILE_SHORT=0 is the long one (docs/development.md)
#   tsan        the scheduler's and the writer's tests under the thread sanitizer, likewise
#   python      `pip install .` of a clean clone in a fresh environment, types, and the package's tests against what
#               was installed. Needs PyPI. GRAMTILE_PYTHON_EXTRAS: packages that the tests of the other fronts take
#               besides (default: torch jax scikit-learn matplotlib gpytorch); "none" leaves their tests out
#   fuzz        every fuzzer for a few seconds (GRAMTILE_FUZZ_SECONDS, 10 by default)
# Names of stages as arguments run those alone: tests/run.sh release
# Safe to run twice. Ends with the ten slowest compilations and the time each stage took, by the clock and of the
# processor; the exit code is 0 when all of them passed.
set -eu
cd "$(dirname "$0")/.."
jobs=$(nproc)
logs=build/test-logs
stages=${*:-quickstart release dev tsan python fuzz}

step() { printf '\n== %s\n' "$1"; }

step "Debian packages"
apps/install_packages.sh --tests
mkdir -p "$logs"

# build PRESET TARGET…: quiet unless it fails.
build() {
  preset=$1
  shift
  { cmake --preset "$preset" -DGRAMTILE_TESTS=ON &&
    cmake --build --preset "$preset" -j "$jobs" --target "$@"; } >"$logs/$preset-build.log" 2>&1 ||
    { tail -60 "$logs/$preset-build.log"; return 1; }
}

# The ten slowest compilations of the builds that ninja's logs tell of, each as it was done last.
slowest_compilations() {
  awk -F'\t' '/^[^#]/ && $4 ~ /\.o$/ { took[FILENAME "\t" $4] = $2 - $1 }
    END { for (object in took) { split(object, part, "\t"); sub("/[.]ninja_log$", "", part[1])
                                 printf "%7.1f s  %s/%s\n", took[object] / 1000, part[1], part[2] } }' \
    "$@" | sort -rn | head -10
}

run_quickstart() {
  apps/quickstart.sh
}

run_release() {
  build release all
  ctest --preset release -j "$jobs" --output-on-failure
}

run_dev() {
  build dev gramtile_unit_tests gramtile_property_tests gramtile_golden_tests
  # Freed memory is kept from use for a while, by default 256 MiB of it, which every fork then has to map again.
  ASAN_OPTIONS=${ASAN_OPTIONS-quarantine_size_mb=8} GRAMTILE_SHORT=${GRAMTILE_SHORT-1} \
    ctest --preset dev -j "$jobs" -L 'unit|property|golden' --output-on-failure
}

run_tsan() {
  build tsan gramtile_thread_tests
  TSAN_OPTIONS=halt_on_error=1 GRAMTILE_SHORT=${GRAMTILE_SHORT-1} \
    ctest --preset tsan -j "$jobs" -L threads --output-on-failure
}

run_python() {
  GRAMTILE_GOLDEN_DIR="${GRAMTILE_GOLDEN_DIR:-$PWD/../shared/golden}" tests/python/run.sh
}

run_fuzz() {
  tests/fuzz/run.sh "${GRAMTILE_FUZZ_SECONDS:-10}"
}

# Processor seconds of all children so far, of what "times" wrote: the shell that waited for them has to call it.
processor_seconds() {
  awk -F'[ms ]' 'NR == 2 { printf "%d", 60 * $1 + $2 + 60 * $4 + $5 }' "$logs/times"
}

report=""
failed=""
for stage in $stages; do
  step "$stage"
  start=$(date +%s)
  times >"$logs/times"
  before=$(processor_seconds)
  # Not "run_… || failed": that would switch set -e off inside.
  set +e
  (set -e; "run_$stage")
  status=$?
  set -e
  seconds=$(($(date +%s) - start))
  times >"$logs/times"
  busy=$(($(processor_seconds) - before))
  if [ "$status" -eq 0 ]; then verdict=passed; else verdict=FAILED; failed="$failed $stage"; fi
  report="$report$(printf '%-10s %-6s %5d s  %5d s' "$stage" "$verdict" "$seconds" "$busy")
"
done

step "Slowest compilations"
slowest_compilations build/*/.ninja_log || true

step "Summary: stage, verdict, time, processor time"
printf '%s' "$report"
if [ -n "$failed" ]; then
  echo "failed:$failed"
  exit 1
fi
echo "all passed"
