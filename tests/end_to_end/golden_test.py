"""The commands against exact values: K and its derivatives of every golden file.

Bounds are the project's promise (docs/mathematics.md, §7), K relative to each entry, dK and the gradient
relative to the largest entry of that parameter's dK.
"""

import unittest

import h5py
import numpy as np

from support import PROMISED, CommandTest, golden_files, main, relative_error, worst

K_BOUND = {dtype: promise["kernel"] for dtype, promise in PROMISED.items()}
DK_BOUND = {dtype: promise["jacobian"] for dtype, promise in PROMISED.items()}


def names(values):
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


class GoldenTest(CommandTest):
    def check_all(self, check):
        files = golden_files(self.dir)
        self.assertGreaterEqual(len(files), 2)
        for file in files:
            for dtype in ("float64", "float32"):
                with self.subTest(file=file.name, dtype=dtype), h5py.File(file) as golden:
                    self.network(golden.attrs["network"])
                    check(file, golden, dtype)

    def sources(self, file, golden):
        """Rows of a golden K are X; columns are Z, or X again."""
        if "Z" in golden:
            return ["--train", f"{file}:/Z", "--test", f"{file}:/X"], "Kxtx"
        return ["--train", f"{file}:/X"], "Kxx"

    def test_kernel_build_gives_the_golden_kernels(self):
        def check(file, golden, dtype):
            sources, name = self.sources(file, golden)
            self.run_command("kernel-build", "--network", "net.json", *sources, "--dtype", dtype,
                             "--out", "k.h5", "--overwrite", "--quiet")
            with h5py.File(self.dir / "k.h5") as out:
                error = relative_error(np.float64(out[name][...]), golden["K"][...])
            print(f"{file.name:22} {dtype} K: {error:.1e}")
            self.assertLessEqual(error, K_BOUND[dtype])

        self.check_all(check)

    def test_kernel_grad_gives_the_golden_gradients(self):
        def check(file, golden, dtype):
            sources, _ = self.sources(file, golden)
            self.run_command("kernel-grad", "--network", "net.json", *sources, "--dtype", dtype,
                             "--upstream", f"{file}:/upstream", "--out", "g.h5", "--overwrite", "--quiet")
            scale = {n: np.max(np.abs(d))
                     for n, d in zip(names(golden["dK"].attrs["parameters"]), golden["dK"][...])}
            expected = dict(zip(scale, golden["gradient"][...]))
            with h5py.File(self.dir / "g.h5") as out:
                actual = dict(zip(names(out.attrs["parameter_names"]), out["gradient"][...]))
            self.assertEqual(sorted(actual), sorted(expected))
            error = worst(abs(actual[n] - expected[n]) / scale[n] for n in expected)
            print(f"{file.name:22} {dtype} gradient: {error:.1e}")
            self.assertLessEqual(error, DK_BOUND[dtype])

        self.check_all(check)

    def test_kernel_grad_gives_the_golden_jacobians(self):
        def check(file, golden, dtype):
            sources, name = self.sources(file, golden)
            self.run_command("kernel-grad", "--network", "net.json", *sources, "--dtype", dtype,
                             "--jacobian", "--with-kernel", "--out", "j.h5", "--overwrite", "--quiet")
            expected = dict(zip(names(golden["dK"].attrs["parameters"]), golden["dK"][...]))
            with h5py.File(self.dir / "j.h5") as out:
                actual = dict(zip(names(out.attrs["parameter_names"]), np.float64(out["d" + name][...])))
                kernel = np.float64(out[name][...])
            error = worst(np.max(np.abs(actual[n] - d)) / np.max(np.abs(d)) for n, d in expected.items())
            print(f"{file.name:22} {dtype} dK: {error:.1e}")
            self.assertLessEqual(error, DK_BOUND[dtype])
            self.assertLessEqual(relative_error(kernel, golden["K"][...]), K_BOUND[dtype])

        self.check_all(check)


if __name__ == "__main__":
    main()
