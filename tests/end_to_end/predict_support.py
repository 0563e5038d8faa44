"""What the tests of kernel-predict share: kernels of random images, and everything that it writes by SciPy."""

import re

import h5py
import numpy as np

from support import CommandTest

# Kernels here have conditions of 10² to 10⁴, so that two ways in float64 agree to 1e4 · 2e-16 · (a few tens) < 1e-9
# relative to the largest entry, as is asked for.
TOLERANCE = 1e-9


def agree(actual, expected):
    """The largest difference, of the largest entry."""
    return np.max(np.abs(np.asarray(actual) - expected)) / np.max(np.abs(expected))


def by_scipy(kernel_file, targets, jitter):
    """Everything that kernel-predict writes, by SciPy."""
    import scipy.linalg
    with h5py.File(kernel_file) as f:
        read = {name: f[name][...].astype(np.float64) for name in ("Kxx", "Kxvx", "Kxtx", "Kv_diag", "Kt_diag") if name in f}
    read = {name: a[0] if a.ndim == (2 if "diag" in name else 3) else a for name, a in read.items()}
    k = read["Kxx"] + jitter * np.eye(len(read["Kxx"]))
    factor = scipy.linalg.cho_factor(k, lower=True)
    a = scipy.linalg.cho_solve(factor, targets)
    inverse = scipy.linalg.cho_solve(factor, np.eye(len(k)))
    log_determinant = 2 * np.sum(np.log(np.diag(factor[0])))
    outputs, n = targets.shape[1], len(k)
    result = {"coefficients": a, "loo_variance": 1 / np.diag(inverse),
              "loo_mean": targets - a / np.diag(inverse)[:, None], "log_determinant": log_determinant,
              "log_marginal_likelihood": -0.5 * (np.sum(targets * a) + outputs * (log_determinant + n * np.log(2 * np.pi))),
              "condition": np.linalg.norm(k, 1) * np.linalg.norm(inverse, 1)}
    for name, rows, diagonal in (("validation", "Kxvx", "Kv_diag"), ("test", "Kxtx", "Kt_diag")):
        if rows not in read:
            continue
        result[name + "_mean"] = read[rows] @ a
        if diagonal in read:
            solved = scipy.linalg.cho_solve(factor, read[rows].T)
            result[name + "_variance"] = read[diagonal] - np.sum(read[rows].T * solved, axis=0)
    return result


def one_hot(labels):
    classes = np.unique(labels)
    return classes, np.where(np.asarray(labels)[:, None] == classes, 1.0, -1.0)


class PredictCase(CommandTest):
    """90 images to train, 11 to validate, 17 to test, of a small network; labels of ten classes."""

    def setUp(self):
        super().setUp()
        self.network()
        self.images("train.npy", 90, seed=1)
        self.images("validation.npy", 11, seed=2)
        self.images("test.npy", 17, seed=3)
        self.labels = np.random.default_rng(4).integers(0, 10, 90)
        self.test_labels = np.random.default_rng(5).integers(0, 10, 17)
        np.save(self.dir / "y.npy", self.labels)
        np.save(self.dir / "yt.npy", self.test_labels)

    def build(self, *more, out="K.h5", train="train.npy", labels=True, dtype="float64"):
        given = ["--train-labels", "y.npy", "--test-labels", "yt.npy"] if labels else []
        self.run_command("kernel-build", "--network", "net.json", "--train", train, "--validation", "validation.npy",
                         "--test", "test.npy", "--out", out, "--dtype", dtype, *given, *more)

    def predict(self, *more, out="P.h5", kernels="K.h5", **keywords):
        return self.run_command("kernel-predict", "--kernels", kernels, "--out", out, *more, **keywords)

    def check_numbers(self, out, expected):
        found = {}
        with h5py.File(self.dir / out) as f:
            for name, value in expected.items():
                with self.subTest(name):
                    if name == "condition":
                        self.assertLessEqual(f.attrs["condition_estimate"], value * (1 + TOLERANCE))
                        self.assertGreater(f.attrs["condition_estimate"], value / 3)
                        continue
                    found[name] = agree(f.attrs[name] if np.isscalar(value) else f[name][...], value)
                    self.assertLess(found[name], TOLERANCE)
        print(f"{out}: off SciPy's by " + ", ".join(f"{name} {error:.1e}" for name, error in found.items()))

    def least_memory(self, *more):
        line = self.assert_fails(2, ["--memory"], "kernel-predict", "--kernels", "K.h5", "--out", "L.h5", "--memory", "1MiB", *more)
        return re.search(r"--memory (\d+MiB)\)", line).group(1)

    def large(self):
        """1,300 images: three block columns of the factor."""
        self.images("train.npy", 1300, seed=1)
        np.save(self.dir / "y.npy", np.random.default_rng(4).integers(0, 10, 1300))
        self.build()
