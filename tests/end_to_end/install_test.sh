#!/bin/sh
# Claim: an installed tree serves another project through find_package(gramtile), and its commands run.
#   install_test.sh BUILD_DIR SOURCE_DIR
set -eu
build=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
for command in "$build"/bin/*; do
  [ -x "$command" ] && "$work/prefix/bin/$(basename "$command")" --version
done
cmake -S "$source/tests/end_to_end/consumer" -B "$work/consumer" -G Ninja \
  -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release >"$work/configure.log"
cmake --build "$work/consumer" >"$work/build.log" || { cat "$work/build.log"; exit 1; }
"$work/consumer/consumer"
