"""`--layout cnn-gp` is read and solved the way cnn-gp's classify_gp.py does it.

What that script does, as facts: it opens the file with h5py, takes `f["Kxx"]`, `f["Kxvx"]`, `f["Kxtx"]`
with a leading axis of models, reads model 0 with `read_direct(A, source_sel=np.s_[0, :, :])` into a float32
array of shape `dset.shape[1:]`, turns it into float64, adds jitter along the flat diagonal and solves with
`scipy.linalg.solve(..., assume_a="pos", lower=False, overwrite_a=True, check_finite=False)`.
"""

import unittest

import h5py
import numpy as np

from support import CommandTest, main


def load_kernel(dataset, model):
    kernel = np.empty(dataset.shape[1:], dtype=np.float32)
    dataset.read_direct(kernel, source_sel=np.s_[model, :, :])
    return kernel.astype(np.float64)


class CnnGpLayoutTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.images("train.npy", 40, seed=1)
        self.images("validation.npy", 11, seed=2)
        self.images("test.npy", 9, seed=3)
        self.inputs = ["--network", "net.json", "--train", "train.npy", "--validation",
                       "validation.npy", "--test", "test.npy", "--tile", "16"]

    def test_matrices_have_a_leading_axis_and_the_same_entries(self):
        self.run_command("kernel-build", *self.inputs, "--out", "plain.h5")
        self.run_command("kernel-build", *self.inputs, "--out", "gp.h5", "--layout", "cnn-gp")
        with h5py.File(self.dir / "plain.h5") as plain, h5py.File(self.dir / "gp.h5") as gp:
            for name, shape in {"Kxx": (1, 40, 40), "Kxvx": (1, 11, 40), "Kxtx": (1, 9, 40)}.items():
                self.assertEqual(gp[name].shape, shape)
                self.assertTrue(np.array_equal(gp[name][0], plain[name][...]))
            for name, shape in {"Kv_diag": (1, 11), "Kt_diag": (1, 9)}.items():
                self.assertEqual(gp[name].shape, shape)
                self.assertTrue(np.array_equal(gp[name][0], plain[name][...]))

    def test_loading_and_solving_as_classify_gp_does(self):
        import scipy.linalg  # takes a second, so only here
        self.run_command("kernel-build", *self.inputs, "--out", "gp.h5", "--layout", "cnn-gp")
        labels = np.arange(40) % 10
        targets = np.where(labels[:, None] == np.arange(10), 1.0, -1.0)
        with h5py.File(self.dir / "gp.h5", "r") as f:
            kxx = load_kernel(f["Kxx"], 0)
            kxx.flat[:: kxx.shape[-1] + 1] += 1e-6
            solution = scipy.linalg.solve(kxx.copy(), targets, overwrite_a=True, overwrite_b=False,
                                          check_finite=False, assume_a="pos", lower=False)
            for name, count in (("Kxvx", 11), ("Kxtx", 9)):
                prediction = (load_kernel(f[name], 0) @ solution).argmax(axis=1)
                self.assertEqual(prediction.shape, (count,))
            # A kernel that is positive definite reproduces the training targets: residual relative to
            # |K| |A| is a few float64 roundings times N.
            residual = np.abs(kxx @ solution - targets).max()
            self.assertLess(residual, 40 * 2.3e-16 * np.abs(kxx).max() * np.abs(solution).sum(0).max())


if __name__ == "__main__":
    main()
