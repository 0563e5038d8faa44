#!/bin/sh
# The long form of the campaign of random networks (tests/property/random_networks_test.cpp): K, jacobian
# and gradient against the reference in float32 and float64, on every instruction set that this machine has.
#
#   tests/campaigns/random_networks.sh [NETWORKS [SEED]]
#
# NETWORKS on each instruction set (20000), the same ones, from SEED on (by the clock). Prints the counts
# and largest errors of each of its parts, and what failed as JSON, with the seed that draws it again:
#   GRAMTILE_TARGET=AVX2 GRAMTILE_CAMPAIGN_SEED=… GRAMTILE_CAMPAIGN_NETWORKS=1 \
#     build/release/tests/gramtile_property_tests -tc='random networks*'
# All failures are left in build/test-logs/random_networks.jsonl. Takes about two minutes per instruction
# set on 2 cores; one pair at a time (SCALAR) longer.
set -eu
cd "$(dirname "$0")/../.."
networks=${1:-20000}
seed=${2:-$(date +%s)}
tests=${GRAMTILE_PROPERTY_TESTS:-build/release/tests/gramtile_property_tests}
logs=build/test-logs
mkdir -p "$logs"
export GRAMTILE_CAMPAIGN_FAILURES="$logs/random_networks.jsonl"
rm -f "$GRAMTILE_CAMPAIGN_FAILURES"

parts=$(nproc)
each=$(((networks + parts - 1) / parts))
failed=""
for target in AVX3 AVX2 NEON EMU128 SCALAR; do
  running=""
  part=0
  while [ "$part" -lt "$parts" ]; do
    GRAMTILE_TARGET=$target GRAMTILE_CAMPAIGN_NETWORKS=$each GRAMTILE_CAMPAIGN_SEED=$((seed + part * each)) \
      "$tests" -tc='random networks*' >"$logs/random_networks.$part.log" 2>&1 &
    running="$running $!"
    part=$((part + 1))
  done
  status=0
  for process in $running; do
    wait "$process" || { code=$?; [ "$code" -eq 77 ] || failed="$failed $target"; status=$code; }
  done
  if [ "$status" -eq 77 ]; then
    echo "$target: this machine or build has none"
    continue
  fi
  grep -hvE '^\[doctest\]|^=+$|^$' "$logs"/random_networks.*.log
done
if [ -n "$failed" ]; then
  echo "FAILED on$failed: see $GRAMTILE_CAMPAIGN_FAILURES"
  exit 1
fi
