"""The library and the commands give the same bits, for the same images, type and instruction set."""

import os
import pathlib
import subprocess

import h5py
import numpy as np

from support import BIN, CommandTest, main

PROGRAM = pathlib.Path(os.environ.get("GRAMTILE_LIBRARY_CALL", BIN.parent / "tests" / "end_to_end" / "library_call"))
N, M, SHAPE = 70, 21, (3, 10, 10)

# Relus between convolutions, behind a sum, before a whole-map window: every relu of a float32 run over
# pixels that are not negative reads its table.
NETWORK = """{"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.1}, {"type": "relu"},
  {"type": "sum", "branches": [[], [{"type": "conv2d", "kernel_size": 5, "var_weight": 0.6}, {"type": "relu"}]]},
  {"type": "conv2d", "kernel_size": 2, "stride": 2, "padding": 0, "var_weight": 1.3}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 5, "padding": 0, "var_weight": 1.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 1, "var_weight": 1.1}]}"""


class LibraryTest(CommandTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(7)
        self.network(NETWORK)
        self.x, self.y = (rng.integers(0, 256, (n, *SHAPE), dtype=np.uint8) for n in (N, M))
        np.save(self.dir / "x.npy", self.x)
        np.save(self.dir / "y.npy", self.y)
        with h5py.File(self.dir / "u.h5", "w") as f:
            f["square"] = rng.standard_normal((N, N))
            f["cross"] = rng.standard_normal((M, N))

    def upstream(self, name):
        with h5py.File(self.dir / "u.h5") as f:
            return f[name][...]

    def by_library(self, dtype, layout, rows, columns, upstream):
        images = np.concatenate([rows, columns]) if columns is not None else rows
        if layout == "last":
            images = np.moveaxis(images, 1, 3)
        arguments = [PROGRAM, "net.json", dtype, layout, len(rows), 0 if columns is None else len(columns), *SHAPE]
        result = subprocess.run([str(a) for a in arguments], cwd=self.dir, stdout=subprocess.PIPE, check=True,
                                input=np.ascontiguousarray(images).tobytes() + upstream.tobytes())
        size = upstream.size * np.dtype(dtype).itemsize
        k = np.frombuffer(result.stdout[:size], dtype=dtype).reshape(upstream.shape)
        return k, np.frombuffer(result.stdout[size:], dtype=np.float64)

    def by_commands(self, dtype, upstream, *test):
        common = ["--network", "net.json", "--train", "x.npy", *test, "--dtype", dtype, "--quiet", "--overwrite"]
        self.run_command("kernel-build", *common, "--out", "k.h5")
        self.run_command("kernel-grad", *common, "--upstream", f"u.h5:/{upstream}", "--out", "g.h5")
        with h5py.File(self.dir / "k.h5") as k, h5py.File(self.dir / "g.h5") as g:
            return k["Kxtx" if test else "Kxx"][...], g["gradient"][...]

    def check(self, dtype, name, rows, columns, *test):
        k, gradient = self.by_commands(dtype, name, *test)
        self.assertEqual(k.dtype, np.dtype(dtype))
        for layout in ("first", "last"):
            own_k, own_gradient = self.by_library(dtype, layout, rows, columns, self.upstream(name))
            self.assertEqual(own_k.tobytes(), k.tobytes())
            self.assertEqual(own_gradient.tobytes(), gradient.tobytes())

    def test_a_symmetric_matrix_and_its_gradient(self):
        for dtype in ("float32", "float64"):
            self.check(dtype, "square", self.x, None)

    def test_a_cross_matrix_and_its_gradient(self):
        for dtype in ("float32", "float64"):
            self.check(dtype, "cross", self.y, self.x, "--test", "y.npy")


if __name__ == "__main__":
    main()
