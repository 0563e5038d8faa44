#!/bin/sh
# From a clean clone to a first Gram matrix: installs the Debian packages that are missing, builds the
# commands, makes example images (no network needed) and computes their kernel matrix.
# Safe to run twice: what is there is used again. Needs root or sudo only when packages are missing.
set -eu
cd "$(dirname "$0")/.."
jobs=$(nproc)

step() { printf '\n== %s\n' "$1"; }

step "Debian packages"
apps/install_packages.sh

step "Build (cmake --preset release, $jobs at a time)"
cmake --preset release -DGRAMTILE_TESTS=OFF >build.log 2>&1 || { cat build.log; exit 1; }
rm build.log
cmake --build --preset release --target commands -j "$jobs"

step "Example images (data/make_example.py)"
/usr/bin/python3 data/make_example.py build/example

step "Kernel matrix of 500 training and 100 test images"
set -x
build/release/bin/kernel-build --network convnet-gp \
  --train build/example --test build/example --out build/example/K.h5 --overwrite
{ set +x; } 2>/dev/null

cat <<'END'

Done. The matrix is in build/example/K.h5: Kxx [500, 500], Kxtx [100, 500], Kt_diag [100] and the labels.
Look at it with:
  /usr/bin/python3 -c "import h5py; f = h5py.File('build/example/K.h5'); print(f['Kxx'][:3, :3])"
Next: README.md has a tour; build/release/bin/kernel-build --help lists every option.
END
