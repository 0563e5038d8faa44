#!/bin/sh
# Clones the last commit, installs the Python package from the clone into a fresh environment, as a user would, and
# runs tests/python against what was installed, then a type checker over its surface.
#   tests/python/run.sh [PYTHON]          default: /usr/bin/python3
# GRAMTILE_PYTHON_EXTRAS: packages for the other fronts' tests (default: torch jax scikit-learn matplotlib gpytorch);
# "none": only NumPy's and the files'. With the default, a test that is skipped is a failure.
set -eu
cd "$(dirname "$0")/../.."
extras=${GRAMTILE_PYTHON_EXTRAS-torch jax scikit-learn matplotlib gpytorch}
golden=${GRAMTILE_GOLDEN_DIR:-$PWD/../shared/golden}
data=$PWD/data
# Always the same folder, so that ccache knows what it has compiled before.
folder=$PWD/build/python
rm -rf "$folder"
mkdir -p "$folder"
git clone -q . "$folder/gramtile"
if [ -d "$data/mnist" ]; then ln -s "$data/mnist" "$folder/gramtile/data/mnist"; fi
"${1:-/usr/bin/python3}" -m venv "$folder/venv"
bin=$folder/venv/bin

echo "pip install . from a clean clone"
start=$(date +%s)
"$bin/pip" install -q --disable-pip-version-check --config-settings=build-dir="$folder/build" "$folder/gramtile"
echo "installed in $(($(date +%s) - start)) s; processor time, behind it that of children:"
times
leftovers=$(git -C "$folder/gramtile" status --porcelain --ignored -- . ':!data')
if [ -n "$leftovers" ]; then
  echo "the installation left behind: $leftovers" >&2
  exit 1
fi

# The source distribution holds all that the build takes.
"$bin/pip" install -q --disable-pip-version-check build
"$bin/python" -m build --sdist --outdir "$folder/sdist" "$folder/gramtile" >"$folder/sdist.log"
tar -tzf "$folder"/sdist/*.tar.gz | cut -d/ -f2- | sort >"$folder/packed"
git -C "$folder/gramtile" ls-files apps engine io docs CMakeLists.txt pyproject.toml README.md | sort |
  comm -23 - "$folder/packed" >"$folder/missing"
if [ -s "$folder/missing" ]; then
  echo "the source distribution lacks:" >&2
  cat "$folder/missing" >&2
  exit 1
fi

# shellcheck disable=SC2086  # word splitting is wanted
if [ "$extras" != none ]; then "$bin/pip" install -q --disable-pip-version-check $extras; fi
"$bin/pip" install -q --disable-pip-version-check mypy

# run_tests PYTHON FILE…: each file in a process of its own: some fork, which is no good beside JAX's threads, and some
# measure memory. Prints what failed, and what tests measured.
run_tests() {
  python=$1
  shift
  status=0
  : >"$log"
  for test in "$@"; do
    echo "== $test" >>"$log"
    "$python" -m unittest discover -s . -p "$test" -v >>"$log" 2>&1 || status=$?
  done
  grep -v ' \.\.\. ok$' "$log"
  if [ "$status" -ne 0 ]; then return "$status"; fi
  if [ "$extras" != none ] && grep skipped "$log"; then
    echo "tests were skipped" >&2
    return 1
  fi
}

PATH=$bin:$PATH
unset PYTHONPATH
cd "$folder/gramtile/tests/python"
rm -rf "$folder/gramtile/apps/python"  # nothing of the sources is imported by accident
log=$folder/tests.log
export CI=1 GRAMTILE_GOLDEN_DIR="$golden"
run_tests "$bin/python" test_*.py
(cd "$folder" && "$bin/mypy" --config-file "$folder/gramtile/pyproject.toml" -p gramtile)

extras=none
echo "with NumPy 1.24"
"$bin/pip" install -q --disable-pip-version-check 'numpy==1.24.*'
run_tests "$bin/python" test_network.py test_numpy.py test_files.py
# Debian's h5py, which shares our copy of HDF5; its interpreter is that of the environment.
if [ "${1:-/usr/bin/python3}" = /usr/bin/python3 ]; then
  echo "with Debian's NumPy and h5py"
  mkdir "$folder/debian"
  ln -s "$("$bin/python" -c 'import gramtile; print(gramtile.__path__[0])')" "$folder/debian/gramtile"
  export PYTHONPATH="$folder/debian"
  run_tests /usr/bin/python3 test_numpy.py test_files.py test_manners.py
fi
