"""What grows with the number of tiles, the rank of factors or the size of compressed chunks is charged to
--memory, or refused by name before the work."""

import unittest

import h5py
import numpy as np

from support import CommandTest, Measured, main

ONE_PIXEL = """{"layers": [{"type": "conv2d", "kernel_size": 1, "var_weight": 1.5, "var_bias": 0.1},
  {"type": "relu"}]}"""


class MemoryChargesTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network(ONE_PIXEL)
        self.measured = Measured(self.dir)
        self.addCleanup(self.measured.close)

    def pixels(self, name, count):
        np.save(self.dir / name, np.ones((count, 1, 1, 1), np.uint8))

    def test_a_plan_takes_no_memory_however_many_its_tiles(self):
        self.pixels("x.npy", 1_000_000)
        build = ["kernel-build", "--network", "net.json", "--train", "x.npy", "--out", "k.h5", "--memory",
                 "256MB"]
        result = self.measured.run(*build, "--tile", "1024", "--dry-run")
        print(f"\na plan of 477,753 tiles: {result.peak_mib:.0f} MiB", flush=True)
        self.assertEqual(result.code, 0)
        self.assertLess(result.peak_mib, 256)
        for tile, count in (("256", "7,634,278"), ("1", "500,000,500,000")):
            self.assert_fails(2, ["--memory", "at least", f"{count} tiles", "--tile"], *build, "--tile",
                              tile)

    def test_a_run_of_many_tiles_keeps_to_its_memory(self):
        self.pixels("x.npy", 1200)
        build = ["kernel-build", "--network", "net.json", "--train", "x.npy", "--out", "k.h5", "--memory",
                 "64MiB", "--quiet"]
        result = self.measured.run(*build, "--tile", "2")
        print(f"\na run of 180,300 tiles: {result.peak_mib:.0f} of 64 MiB", flush=True)
        self.assertEqual(result.code, 0)
        self.assertLess(result.peak_mib, 64)

    def test_factors_of_high_rank_and_huge_chunks_are_refused(self):
        self.pixels("y.npy", 1500)
        with h5py.File(self.dir / "f.h5", "w") as f:
            f.create_dataset("U", (1500, 2_000_000), dtype="f4", chunks=(1, 2_000_000))  # never written
            f.create_dataset("G", (1500, 1500), dtype="f8", chunks=(1500, 1500), compression="gzip")
        grad = ["kernel-grad", "--network", "net.json", "--train", "y.npy", "--out", "g.h5", "--memory",
                "64MiB"]
        self.assert_fails(2, ["--memory", "at least", "f.h5:/U"], *grad, "--upstream-factors", "f.h5:/U",
                          "f.h5:/U")
        self.assert_fails(2, ["--memory", "at least", "chunks of f.h5:/G"], *grad, "--upstream", "f.h5:/G")


if __name__ == "__main__":
    main()
