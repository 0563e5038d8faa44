#!/bin/sh
# Downloads MNIST (11 MB) or CIFAR-10's binary version (162 MB), checks them and puts them into
# FOLDER/mnist or FOLDER/cifar10. Safe to run again: what is there and whole is kept.
#
#   data/download.sh mnist|cifar10 [FOLDER]        FOLDER is data/ by default
#
# GRAMTILE_MNIST_URL and GRAMTILE_CIFAR_URL name other servers that carry the same files.
set -eu

mnist_url=${GRAMTILE_MNIST_URL:-https://ossci-datasets.s3.amazonaws.com/mnist}
cifar_url=${GRAMTILE_CIFAR_URL:-https://www.cs.toronto.edu/~kriz}

usage() {
  sed -n '2,7s/^# \{0,1\}//p' "$0"
  exit 2
}

# is_whole FILE MD5: these sums guard against damage on the way, not against forgery. They are the
# ones that the data sets' own pages and PyTorch's loaders publish.
is_whole() {
  [ -f "$1" ] && [ "$(md5sum <"$1" | cut -d' ' -f1)" = "$2" ]
}

# fetch URL FILE MD5
fetch() {
  if is_whole "$2" "$3"; then
    echo "have     $2"
    return
  fi
  echo "fetching $1"
  curl --fail --location --silent --show-error --retry 3 --output "$2.partial" "$1"
  if ! is_whole "$2.partial" "$3"; then
    echo "download.sh: $1 has another MD5 sum than $3; kept as $2.partial" >&2
    exit 1
  fi
  mv "$2.partial" "$2"
}

mnist() {
  mkdir -p "$1"
  fetch "$mnist_url/train-images-idx3-ubyte.gz" "$1/train-images-idx3-ubyte.gz" \
    f68b3c2dcbeaaa9fbdd348bbdeb94873
  fetch "$mnist_url/train-labels-idx1-ubyte.gz" "$1/train-labels-idx1-ubyte.gz" \
    d53e105ee54ea40749a09fcbcd1e9432
  fetch "$mnist_url/t10k-images-idx3-ubyte.gz" "$1/t10k-images-idx3-ubyte.gz" \
    9fb629c4189551a2d022fa330f9573f3
  fetch "$mnist_url/t10k-labels-idx1-ubyte.gz" "$1/t10k-labels-idx1-ubyte.gz" \
    ec29112dd5afa0611ce80d1b7f02629c
}

cifar10() {
  mkdir -p "$1"
  fetch "$cifar_url/cifar-10-binary.tar.gz" "$1/cifar-10-binary.tar.gz" \
    c32a1d4ab5d03f1284b67883e8d87530
  tar -xzf "$1/cifar-10-binary.tar.gz" -C "$1"
}

[ $# -ge 1 ] && [ $# -le 2 ] || usage
folder=${2:-$(dirname "$0")}
command -v curl >/dev/null || { echo "download.sh: needs curl (apt-get install curl)" >&2; exit 1; }
case $1 in
  mnist) mnist "$folder/mnist" ;;
  cifar10) cifar10 "$folder/cifar10" ;;
  *) usage ;;
esac
echo "ready: --train $folder/$1 --test $folder/$1"
