#!/bin/sh
# Installs the Debian 12 packages that Gramtile needs and that are missing; nothing else.
#   apps/install_packages.sh            what the commands are built from
#   apps/install_packages.sh --tests    and what the tests use besides
#   apps/install_packages.sh --bench    and what the benchmarks use besides
# Safe to run twice: with everything present it changes nothing and needs no rights. Otherwise it
# runs apt-get as root or through sudo. docs/dependencies.md says what each package is for.
set -eu

build_packages="build-essential cmake ninja-build pkg-config libhdf5-dev libtbb-dev libxtensor-dev
  libfmt-dev libhwy-dev libcli11-dev nlohmann-json3-dev zlib1g-dev libxxhash-dev
  libopenblas-dev
  python3 python3-dev python3-venv python3-numpy python3-h5py"
test_packages="doctest-dev liblbfgs-dev python3-scipy hdf5-tools clang libclang-rt-dev"

wanted=$build_packages
case "${1-}" in
  "") ;;
  --tests) wanted="$build_packages $test_packages" ;;
  --bench) wanted="$build_packages $test_packages libbenchmark-dev" ;;
  *) echo "usage: apps/install_packages.sh [--tests | --bench]" >&2; exit 2 ;;
esac

is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=""
for package in $wanted; do
  is_installed "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
  echo "packages: all present"
  exit 0
fi
echo "packages: installing$missing"

if [ "$(id -u)" -eq 0 ]; then
  as_root="env"
elif command -v sudo >/dev/null; then
  as_root="sudo env"
else
  echo "install_packages.sh: needs root or sudo to install:$missing" >&2
  exit 1
fi

# The package lists are fetched only when the present ones do not do (a fresh machine, an old list).
install_missing() {
  # shellcheck disable=SC2086  # word splitting is wanted
  $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}
if ! apt-get install -s -qq --no-install-recommends $missing >/dev/null 2>&1 || ! install_missing; then
  echo "packages: fetching the package lists"
  $as_root apt-get update -qq
  install_missing
fi
echo "packages: done"
