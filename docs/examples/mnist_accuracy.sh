#!/bin/sh
# From download to number: 8,000 of MNIST's test images to train, 2,000 to test, the network of the
# paper; the accuracy by kernel-predict, and by SciPy from the same file.
#
#   docs/examples/mnist_accuracy.sh        from the root of the clone, the commands on the PATH
#
# IMAGES, LABELS, TRAIN and OUT may be set to take other images, another number or another folder.
set -eu
images=${IMAGES-data/mnist/t10k-images-idx3-ubyte.gz}
labels=${LABELS-data/mnist/t10k-labels-idx1-ubyte.gz}
train=${TRAIN-8000}
out=${OUT-build}
[ -e "$images" ] || data/download.sh mnist

kernel-build --network convnet-gp --train "$images#:$train" --train-labels "$labels" \
             --test "$images#$train:" --test-labels "$labels" --out "$out/mnist.h5" --resume
kernel-predict --kernels "$out/mnist.h5" --jitter auto --out "$out/mnist_predicted.h5" --overwrite
/usr/bin/python3 - "$out/mnist.h5" "$out/mnist_predicted.h5" <<'END'
import sys
import h5py, numpy as np, scipy.linalg
with h5py.File(sys.argv[1]) as f:
    kernel, rows = f["Kxx"][...].astype(np.float64), f["Kxtx"][...].astype(np.float64)
    labels, truth = f["train_labels"][...], f["test_labels"][...]
with h5py.File(sys.argv[2]) as f:
    jitter, accuracy = f.attrs["jitter"], f.attrs["test_accuracy"]
kernel.flat[:: len(kernel) + 1] += jitter
classes = np.unique(labels)
targets = np.where(labels[:, None] == classes, 1.0, -1.0)
outputs = rows @ scipy.linalg.solve(kernel, targets, assume_a="pos", overwrite_a=True)
by_scipy = np.mean(classes[outputs.argmax(axis=1)] == truth)
print(f"accuracy: kernel-predict {accuracy:.4f}, SciPy {by_scipy:.4f}")
sys.exit(int(accuracy != by_scipy))
END
