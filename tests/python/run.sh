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
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone -q . "$folder/gramtile"
if [ -d "$data/mnist" ]; then ln -s "$data/mnist" "$folder/gramtile/data/mnist"; fi
"${1:-/usr/bin/python3}" -m venv "$folder/venv"
bin=$folder/venv/bin

echo "pip install . from a clean clone"
start=$(date +%s)
"$bin/pip" install -q --disable-pip-version-check "$folder/gramtile"
echo "installed in $(($(date +%s) - start)) s"
# shellcheck disable=SC2086  # word splitting is wanted
if [ "$extras" != none ]; then "$bin/pip" install -q --disable-pip-version-check $extras; fi
"$bin/pip" install -q --disable-pip-version-check mypy

PATH=$bin:$PATH
unset PYTHONPATH
cd "$folder/gramtile/tests/python"
rm -rf "$folder/gramtile/apps/python"  # nothing of the sources is imported by accident
log=$folder/tests.log
status=0
# Each file in a process of its own: some fork, which is no good beside JAX's threads, and some measure memory.
for test in test_*.py; do
  echo "== $test" >>"$log"
  CI=1 GRAMTILE_GOLDEN_DIR=$golden "$bin/python" -m unittest discover -s . -p "$test" -v >>"$log" 2>&1 || status=$?
done
grep -v ' \.\.\. ok$' "$log"  # what failed, and what tests measured
if [ "$status" -ne 0 ]; then exit "$status"; fi
if [ "$extras" != none ] && grep "skipped" "$log"; then
  echo "tests were skipped" >&2
  exit 1
fi
cd "$folder"
"$bin/mypy" --config-file "$folder/gramtile/pyproject.toml" -p gramtile
