#!/bin/sh
# weak_symbols_test.sh SOURCES COUNT OBJECT...
#
# Of the objects, those compiled from SOURCES (a pattern for the end of a path, such as
# simd/targets/*.cpp) hold code for one instruction set each. A weak function in them that is not named
# after one can be taken by the linker for the whole program, and then crashes older processors. (Weak
# data are the same for all of them.) Exits 1 and lists such functions; 2 unless COUNT objects were
# compiled from SOURCES.
set -eu
sources=$1 count=$2
shift 2
found=0
status=0
for object in "$@"; do
  # shellcheck disable=SC2254  # a pattern
  case $object in */$sources.o) ;; *) continue ;; esac
  found=$((found + 1))
  # W: weak, V and u: data. Highway's namespaces are N_AVX2 and the like, mangled with their length in
  # front.
  all=$(nm "$object" | awk '$(NF - 1) ~ /^[Ww]$/ && $NF !~ /^(DW\.ref\.|__)/ { print $NF }')
  shared=$(printf '%s\n' "$all" | grep -Ev '(^$|[0-9]N_[A-Z0-9_]+)' || true)
  echo "$object: $(printf '%s\n' "$all" | grep -c . || true) weak functions"
  if [ -n "$shared" ]; then
    echo "not bound to one instruction set:"
    printf '%s\n' "$shared" | c++filt | sed 's/^/  /'
    status=1
  fi
done
if [ "$found" -ne "$count" ]; then
  echo "$found objects of $sources, not $count" >&2
  exit 2
fi
exit $status
