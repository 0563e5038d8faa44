#!/bin/sh
# Clones the last commit, installs the Python package from the clone into a fresh environment, as a user would, and
# runs tests/python against what was installed, then a type checker over its surface.
#   tests/python/run.sh [PYTHON]          default: /usr/bin/python3
# GRAMTILE_PYTHON_EXTRAS: packages for the other fronts' tests (default: torch jax scikit-learn matplotlib gpytorch);
# "none": only NumPy's and the files'. With the default, a test that is skipped is a failure.
set -eu
cd "$(dirname "$0")/../.."
python=${1:-/usr/bin/python3}
extras=${GRAMTILE_PYTHON_EXTRAS-torch jax scikit-learn matplotlib gpytorch}
golden=${GRAMTILE_GOLDEN_DIR:-$PWD/../shared/golden}
data=$PWD/data
# Always the same folder, so that ccache knows what it has compiled before.
folder=$PWD/build/python
rm -rf "$folder"
mkdir -p "$folder"
git clone -q . "$folder/gramtile"
if [ -d "$data/mnist" ]; then ln -s "$data/mnist" "$folder/gramtile/data/mnist"; fi

pip_install() {
  environment=$1
  shift
  "$environment/bin/pip" install -q --disable-pip-version-check "$@"
}

# The fronts' packages, gigabytes, come while the package is built, into an environment of their own, which sees what is
# installed in the package's behind its own. Python compiles what it imports of them.
"$python" -m venv "$folder/venv"
"$python" -m venv "$folder/fronts"
"$folder/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$(
  "$folder/fronts/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/package.pth"
fronts="mypy build"
if [ "$extras" != none ]; then fronts="$fronts $extras"; fi
# shellcheck disable=SC2086  # word splitting is wanted
"$folder/fronts/bin/pip" install -q --disable-pip-version-check --no-compile $fronts >"$folder/fronts.log" 2>&1 &
fetching=$!
trap 'kill "$fetching" 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "pip install . from a clean clone"
start=$(date +%s)
pip_install "$folder/venv" --config-settings=build-dir="$folder/build" "$folder/gramtile"
echo "installed in $(($(date +%s) - start)) s, beside the fetching of: $fronts"
leftovers=$(git -C "$folder/gramtile" status --porcelain --ignored -- . ':!data')
if [ -n "$leftovers" ]; then
  echo "the installation left behind: $leftovers" >&2
  exit 1
fi

wait "$fetching" || { cat "$folder/fronts.log" >&2; exit 1; }
trap - EXIT

# The source distribution holds all that the build takes.
"$folder/fronts/bin/python" -m build --sdist --outdir "$folder/sdist" "$folder/gramtile" >"$folder/sdist.log"
tar -tzf "$folder"/sdist/*.tar.gz | cut -d/ -f2- | sort >"$folder/packed"
git -C "$folder/gramtile" ls-files apps engine io docs CMakeLists.txt pyproject.toml README.md | sort |
  comm -23 - "$folder/packed" >"$folder/missing"
if [ -s "$folder/missing" ]; then
  echo "the source distribution lacks:" >&2
  cat "$folder/missing" >&2
  exit 1
fi

# run_tests PYTHON FILE…: each file in a process of its own: some fork, which is no good beside JAX's threads, and some
# measure memory. Two at a time; those that press Ctrl-C and look at the clock by themselves. Prints what failed, and
# what tests measured.
with_a_clock='test_(manners|torch|post)\.py'
run_tests() {
  interpreter=$1
  shift
  rm -rf "$logs"
  mkdir "$logs"
  status=0
  longest='test_(pages|fronts)\.py'  # begin first
  others=$(printf '%s\n' "$@" | grep -vxE "$with_a_clock" || true)
  { echo "$others" | sed -nE "/^$longest\$/p"; echo "$others" | sed -E "/^$longest\$/d"; } | run_each 2 || status=$?
  printf '%s\n' "$@" | grep -xE "$with_a_clock" | run_each 1 || status=$?
  cat "$logs"/* | grep -v ' \.\.\. ok$'
  if [ "$status" -ne 0 ]; then return "$status"; fi
  if [ "$extras" != none ] && grep skipped "$logs"/*; then
    echo "tests were skipped" >&2
    return 1
  fi
}
# The files named on standard input, so many at a time.
run_each() {
  xargs -r -P "$1" -I FILE sh -c '
    { echo "== FILE"; "$1" -m unittest discover -s . -p FILE -v; } >"$2/FILE" 2>&1' - "$interpreter" "$logs"
}

PATH=$folder/venv/bin:$PATH
unset PYTHONPATH
cd "$folder/gramtile/tests/python"
rm -rf "$folder/gramtile/apps/python"  # nothing of the sources is imported by accident
logs=$folder/logs
export CI=1 GRAMTILE_GOLDEN_DIR="$golden"
run_tests "$folder/fronts/bin/python" test_*.py
(cd "$folder" && "$folder/fronts/bin/mypy" --config-file "$folder/gramtile/pyproject.toml" -p gramtile)

extras=none
echo "with NumPy 1.24"
pip_install "$folder/venv" 'numpy==1.24.*'
run_tests "$folder/venv/bin/python" test_network.py test_numpy.py test_files.py
# Debian's h5py, which shares our copy of HDF5; its interpreter is that of the environment.
if [ "$python" = /usr/bin/python3 ]; then
  echo "with Debian's NumPy and h5py"
  mkdir "$folder/debian"
  ln -s "$("$folder/venv/bin/python" -c 'import gramtile; print(gramtile.__path__[0])')" "$folder/debian/gramtile"
  export PYTHONPATH="$folder/debian"
  run_tests /usr/bin/python3 test_numpy.py test_files.py test_manners.py
fi
