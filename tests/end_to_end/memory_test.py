#!/usr/bin/env python3
"""Peak resident memory of whole runs of kernel-grad: the same for any number of images, and below --memory."""

import subprocess
import sys
import unittest

import h5py
import numpy as np

import support

# Maps of 24×24 through four layers: what a run holds is tens of MiB, well above what the libraries take.
NETWORK = """{"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.3}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.3}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 24, "padding": 0, "var_weight": 1.1, "var_bias": 0.2}]}"""
SHAPE = (1, 24, 24)
FEW, MANY = 600, 2000
TILE = 128  # 600 images are 5 blocks: more than a gradient keeps, so everything is there to be held
MEMORY = 256 << 20

# Runs a command and prints its peak; see there why in a process of its own.
MEASURE = support.ROOT / "tests" / "support" / "peak_memory.py"


class Memory(support.CommandTest):
    def setUp(self):
        super().setUp()
        self.network(NETWORK)
        rng = np.random.default_rng(0)
        for count in (FEW, MANY):
            self.images(f"x{count}.npy", count, shape=SHAPE)
            with h5py.File(self.dir / f"up{count}.h5", "w") as f:
                f["U"], f["V"] = rng.standard_normal((2, count, 2))
                f["L"] = rng.standard_normal((count, count), dtype=np.float32)

    def peak(self, count, *options):
        """Bytes at the peak of one run."""
        arguments = support.command("kernel-grad", "--network", "net.json", "--train", f"x{count}.npy",
                                    "--out", "out.h5", "--overwrite", "--quiet", "--tile", TILE,
                                    "--memory", MEMORY, *options)
        done = subprocess.run([sys.executable, "-I", "-S", MEASURE, *arguments], cwd=self.dir,
                              check=True, text=True, stdout=subprocess.PIPE, timeout=300)
        return int(done.stdout.split()[-1])

    def assert_does_not_grow(self, *options):
        """options: with {} for the number of images."""
        for threads in (1, 2):
            # As many runs as threads: in one of them the threads could happen to compute in turns.
            few, many = (max(self.peak(count, "--threads", threads,
                                       *(option.format(count) for option in options))
                             for _ in range(threads)) for count in (FEW, MANY))
            print(f"\n{' '.join(options)}, {threads} threads: {few / 2**20:.1f} MiB for {FEW} images, "
                  f"{many / 2**20:.1f} MiB for {MANY}: {many / few:.3f}", end=" ", flush=True)
            self.assertLessEqual(many, 1.1 * few)
            self.assertLess(many, MEMORY)

    def test_of_a_gradient_by_factors(self):
        self.assert_does_not_grow("--upstream-factors", "up{}.h5:/U", "up{}.h5:/V")

    def test_of_a_gradient_by_a_dataset_with_kernel(self):
        self.assert_does_not_grow("--upstream", "up{}.h5:/L", "--with-kernel")


if __name__ == "__main__":
    support.main()
