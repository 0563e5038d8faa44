"""What grows with the number of tiles, the rank of factors, the size of compressed chunks or the network is
charged to --memory, or refused by name before the work."""

import json
import subprocess
import time
import unittest

import h5py
import numpy as np

from support import CommandTest, Measured, command, main

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
        # Without --tile one is chosen whose list fits; one that was asked for is refused with what would do.
        result = self.measured.run(*build, "--dry-run")
        self.assertEqual(result.code, 0, result.stderr)
        self.assertIn("477,753 of 1024×1024", result.stdout)
        self.assertLess(result.peak_mib, 244)
        self.assert_fails(2, ["7,634,278 tiles", "with --tile 1024 this is enough"], *build, "--tile", "256")
        self.assert_fails(2, ["3,816,133 tiles", "with --tile 512 this is enough (the same for every share)"],
                          *build, "--shard", "0/2")
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

    def test_a_resumed_run_of_many_tiles_keeps_to_its_memory(self):
        self.pixels("x.npy", 1200)
        build = ["kernel-build", "--network", "net.json", "--train", "x.npy", "--out", "k.h5", "--memory",
                 "64MiB", "--quiet", "--tile", "2"]
        process = subprocess.Popen(command(*build), cwd=self.dir, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (self.dir / "k.h5.journal").exists():
            time.sleep(0.001)
        (self.dir / "k.h5").touch()  # in the way of the last rename: everything is committed then
        self.assertEqual(process.wait(), 73)
        (self.dir / "k.h5").unlink()
        result = self.measured.run(*build, "--resume")
        print(f"\na resumed run of 180,300 tiles, all committed: {result.peak_mib:.0f} of 64 MiB", flush=True)
        self.assertEqual(result.code, 0, result.stderr)
        self.assertLess(result.peak_mib, 64)

    def test_images_in_one_huge_chunk(self):
        images = np.random.default_rng(0).integers(0, 4, (10_240, 1, 64, 64), dtype=np.uint8)
        with h5py.File(self.dir / "x.h5", "w") as f:
            f.create_dataset("X", data=images, chunks=images.shape, compression="gzip", compression_opts=1)
        self.network('{"layers": [{"type": "conv2d", "kernel_size": 64, "padding": 0}]}')
        build = ["kernel-build", "--network", "net.json", "--train", "x.h5#:100", "--out", "k.h5", "--quiet"]
        self.assert_fails(2, ["--memory", "at least", "compressed chunks of x.h5"], *build, "--memory", "64MiB")
        result = self.measured.run(*build, "--memory", "256MiB")
        print(f"\na chunk of 40 MiB: {result.peak_mib:.0f} of 256 MiB", flush=True)
        self.assertEqual(result.code, 0, result.stderr)
        self.assertLess(result.peak_mib, 256)

    def test_a_mixture_of_many_branches(self):
        branches = [[{"type": "conv2d", "kernel_size": 1, "var_weight": 1 + i / 5000}] for i in range(5000)]
        self.write("net.json", json.dumps({"layers": [
            {"type": "conv2d", "kernel_size": 3}, {"type": "relu"},
            {"type": "mixture", "logits": [i / 1000 for i in range(5000)], "branches": branches},
            {"type": "relu"}, {"type": "conv2d", "kernel_size": 6, "padding": 0}]}))
        self.images("x.npy", 10, shape=(1, 6, 6))
        np.save(self.dir / "u.npy", np.ones((10, 10)))
        runs = (["kernel-build"], ["kernel-grad", "--jacobian"], ["kernel-grad", "--upstream", "u.npy"])
        for run in runs:
            run += ["--network", "net.json", "--train", "x.npy", "--out", "k.h5", "--tile", "4", "--threads", "1",
                    "--quiet", "--overwrite"]
            self.assert_fails(2, ["--memory", "at least", "5,005 operations and 10,002 parameters"], *run,
                              "--memory", "64MiB")
            for memory in (128, 256):
                result = self.measured.run(*run, "--memory", f"{memory}MiB")
                print(f"\n5,000 branches, {run[0]}: {result.peak_mib:.0f} of {memory} MiB, exit code "
                      f"{result.code}", end="", flush=True)
                self.assertIn(result.code, (0, 2) if memory < 256 else (0,), result.stderr)
                self.assertLess(result.peak_mib, memory)

    def test_merging_many_shares_takes_the_memory_of_a_few(self):
        """Each share has the labels of all images."""
        self.pixels("x.npy", 200_000)
        self.pixels("y.npy", 8)
        np.save(self.dir / "labels.npy", np.arange(200_000) % 10)
        build = ["kernel-build", "--network", "net.json", "--train", "x.npy", "--test", "y.npy", "--train-labels",
                 "labels.npy", "--only", "test", "--quiet"]
        peaks = {}
        for count in (2, 60):
            names = [f"s{r}of{count}.h5" for r in range(count)]
            for r, name in enumerate(names):
                self.run_command(*build, "--out", name, "--shard", f"{r}/{count}")
            result = self.measured.run("kernel-merge", "--out", "m.h5", "--overwrite", *names)
            self.assertEqual(result.code, 0, result.stderr)
            peaks[count] = result.peak_mib
        print(f"\nmerging shares with 200,000 labels each: {peaks[2]:.0f} MiB for 2, {peaks[60]:.0f} MiB for 60",
              flush=True)
        self.assertLess(peaks[60], 1.2 * peaks[2])

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
