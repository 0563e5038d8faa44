"""MNIST's test images, where the checkout stands beside them (as tests/end_to_end/support.py finds them)."""

import gzip
import os
import unittest

import numpy as np

from support import LARGE_GOLDEN_DIR

FOLDER = LARGE_GOLDEN_DIR.parent / "data" / "mnist"


def needs_mnist(test):
    """Skips the test, and says so, where the images are not there; in CI they are, or it fails."""
    there = (FOLDER / "t10k-images-idx3-ubyte.gz").exists()
    if os.environ.get("CI") and not there:
        raise AssertionError(f"MNIST is not in {FOLDER}")
    return unittest.skipUnless(there, f"skipped: MNIST's images are not in {FOLDER}")(test)


def images(num_images):
    """[N, 1, 28, 28] of uint8."""
    data = gzip.decompress((FOLDER / "t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(data, np.uint8, num_images * 784, offset=16).reshape(-1, 1, 28, 28).copy()


def labels(num_images):
    """[N], 0 to 9."""
    data = gzip.decompress((FOLDER / "t10k-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(data, np.uint8, num_images, offset=8).astype(np.int64)
