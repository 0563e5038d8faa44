#!/bin/sh
# Largest errors are gathered by worst_of(), which sees NaN, never by std::max or std::fmax, which lose it.
# Fails when a source gathers errors otherwise: nan_proof_test.sh FOLDER…
set -eu

# Statements that do, as FILE:LINE: STATEMENT. Statements broken over lines are joined first.
statements() {
  find "$@" -name '*.[ch]pp' -exec awk '
    FNR == 1 { statement = "" }
    { statement = statement " " $0 }
    /[;}{]/ {
      if (statement ~ /= *[*]?std::(ranges::)?f?max(_element)?(<double>)?\([^;]*(abs\(|error|differ|worst|deviation|used)/)
        print FILENAME ":" FNR ":" statement
      statement = ""
    }' {} +
}

sample=$(mktemp -d)
trap 'rm -rf "$sample"' EXIT
printf 'void f() {\n  worst = std::max(\n      worst, std::abs(a - b));\n}\n' >"$sample/bad.cpp"
printf 'void f() {\n  worst = worst_of(worst, std::abs(a - b));\n}\n' >"$sample/good.cpp"
if [ "$(statements "$sample" | grep -c .)" -ne 1 ]; then
  echo "this script does not see what it looks for"
  exit 1
fi

found=$(statements "$@")
if [ -n "$found" ]; then
  printf 'not NaN-proof, use worst_of():\n%s\n' "$found"
  exit 1
fi
