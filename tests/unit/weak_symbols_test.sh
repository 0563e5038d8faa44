#!/bin/sh
# weak_symbols_test.sh FILE OBJECT...
#
# Of the objects, those compiled from FILE (a path ending such as simd/kernels.cpp) hold code for
# several instruction sets. A weak function in them that is not named after one instruction set can be
# taken by the linker for the whole program, and then crashes older processors. (Weak data are the
# same for all of them.) Exits 1 and lists such functions; 2 when no object was compiled from FILE.
set -eu
file=$1
shift
found=no
status=0
for object in "$@"; do
  case $object in *"$file".o) ;; *) continue ;; esac
  found=yes
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
if [ "$found" = no ]; then
  echo "no object of $file" >&2
  exit 2
fi
exit $status
