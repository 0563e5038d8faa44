"""kernel-verify accepts what the commands wrote and names what was changed since."""

import os
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

from support import CommandTest, command, main


class VerifyTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.images("train.npy", 40, seed=1)
        self.images("test.npy", 9, seed=2)
        self.inputs = ["--network", "net.json", "--train", "train.npy", "--tile", "16", "--quiet"]

    def build(self, *more):
        self.run_command("kernel-build", *self.inputs, "--test", "test.npy", "--out", "k.h5", *more)

    def test_a_whole_file_passes_with_its_data(self):
        for dtype in ("float32", "float64"):
            self.build("--dtype", dtype, "--overwrite")
            out = self.run_command("kernel-verify", "k.h5", "--train", "train.npy", "--test",
                                   "test.npy", "--samples", "60").stdout
            for check in ("complete", "hashes", "symmetry", "finite", "diagonal", "bound", "samples"):
                self.assertRegex(out, rf"(?m)^{check} +ok")
            self.assertIn("60 entries", out)

    def test_gradients_jacobians_and_shares_pass(self):
        with h5py.File(self.dir / "u.h5", "w") as f:
            f["U"] = np.ones((40, 40))
        for more in (["--upstream", "u.h5:/U"], ["--jacobian", "--with-kernel"]):
            self.run_command("kernel-grad", *self.inputs, *more, "--out", "g.h5", "--overwrite")
            self.run_command("kernel-verify", "g.h5", "--train", "train.npy", "--quiet")
        self.build("--shard", "1/2")
        self.run_command("kernel-verify", "k.h5", "--train", "train.npy", "--test", "test.npy")

    def test_quiet_prints_nothing(self):
        self.build()
        result = self.run_command("kernel-verify", "k.h5", "--quiet")
        self.assertEqual(result.stdout + result.stderr, "")

    def change(self, dataset, index, value):
        with h5py.File(self.dir / "k.h5", "r+") as f:
            f[dataset][index] = value

    def verify_fails(self, code, words, *more):
        result = self.run_command("kernel-verify", "k.h5", *more, code=code)
        self.assertEqual(len(result.stderr.splitlines()), 1)
        for word in words:
            self.assertIn(word, result.stdout + result.stderr)
        return result

    def test_a_changed_entry_is_found_by_its_hash(self):
        self.build()
        with h5py.File(self.dir / "k.h5") as f:
            value = f["Kxtx"][3, 30]
        self.change("Kxtx", (3, 30), np.nextafter(value, np.float32(np.inf), dtype=np.float32))
        self.verify_fails(13, ["hashes", "Kxtx"])

    def test_a_changed_mirror_image_is_found(self):
        self.build()
        self.change("Kxx", (30, 3), 5.0)
        self.verify_fails(13, ["symmetry", "Kxx"])

    def test_an_entry_that_is_not_finite_is_found(self):
        self.build()
        self.change("Kxx", (2, 30), np.nan)
        self.assertRegex(self.verify_fails(13, []).stdout, r"finite +FAILED: Kxx\[2, 30\]")

    def test_an_entry_above_its_bound_is_found(self):
        self.build()
        with h5py.File(self.dir / "k.h5") as f:
            value = f["Kxx"][0, 0] + f["Kxx"][1, 1]
        self.change("Kxx", (0, 1), value)
        self.assertRegex(self.verify_fails(13, []).stdout, r"bound +FAILED: Kxx\[0, 1\]")

    def test_recomputing_finds_a_wrong_entry(self):
        self.build()
        with h5py.File(self.dir / "k.h5") as f:
            values = f["Kxtx"][...]
        self.change("Kxtx", slice(None), values * 0.999)
        out = self.verify_fails(13, [], "--train", "train.npy", "--test", "test.npy", "--samples",
                                "50").stdout
        self.assertRegex(out, r"samples +FAILED: .*1\.0e-03|samples +FAILED: .*9\.\de-04")

    def test_recomputing_does_not_lose_a_nan_among_later_samples(self):
        # 16 entries, each drawn about ten times: the NaN comes early, right entries after it.
        self.images("few.npy", 4, seed=5)
        inputs = ["--network", "net.json", "--train", "few.npy", "--quiet"]
        self.run_command("kernel-grad", *inputs, "--jacobian", "--with-kernel", "--out", "k.h5")
        for dataset, index, check in (("Kxx", (1, 2), "samples"), ("dKxx", (0, 1, 2), "jacobian")):
            with h5py.File(self.dir / "k.h5") as f:
                right = f[dataset][index]
            for wrong in (np.nan, np.inf):
                self.change(dataset, index, wrong)
                out = self.verify_fails(13, [], "--train", "few.npy", "--samples", "160").stdout
                self.assertRegex(out, rf"(?m)^{check} +FAILED: 160 entries .*difference (nan|inf)")
            self.change(dataset, index, right)
        self.run_command("kernel-verify", "k.h5", "--train", "few.npy", "--samples", "160")

    def write_jacobian(self, train, dtype):
        self.run_command("kernel-grad", "--network", "net.json", "--train", train, "--jacobian", "--with-kernel",
                         "--dtype", dtype, "--out", "k.h5", "--overwrite", "--quiet")

    def test_derivatives_that_the_images_do_not_determine_pass_and_wrong_ones_do_not(self):
        # One pixel, one channel: every pair is parallel, and a bias moves the angle (mathematics.md, 7).
        np.save(self.dir / "pixels.npy", np.float32([0.1, 0.3, 0.5, 2, 7, 31]).reshape(-1, 1, 1, 1))
        self.network("""{"layers": [
            {"type": "conv2d", "kernel_size": 1, "var_weight": 1.7}, {"type": "relu"},
            {"type": "conv2d", "kernel_size": 1, "var_weight": 1.1, "var_bias": 1e-9}, {"type": "relu"},
            {"type": "conv2d", "kernel_size": 1, "var_weight": 0.9, "var_bias": 0.2}]}""")
        verify = ["kernel-verify", "k.h5", "--train", "pixels.npy", "--samples", "300"]
        for dtype in ("float32", "float64"):
            self.write_jacobian("pixels.npy", dtype)
            self.run_command(*verify)
            with h5py.File(self.dir / "k.h5") as f:
                names, right = list(f.attrs["parameter_names"]), f["dKxx"][...]
            wrong = right.copy()
            wrong[names.index("conv2.var_weight")] *= 1 + 1e-4
            self.change("dKxx", slice(None), wrong)
            self.assertRegex(self.run_command(*verify, code=13).stdout, r"(?m)^jacobian +FAILED")

    def test_erfs_of_large_variances_pass_and_wrong_entries_do_not(self):
        # Nearly parallel images: what rounding makes of them, an erf of variances of 1e4 magnifies.
        generator = np.random.default_rng(4)
        images = generator.random((1, 1, 6, 6)) + 1e-4 * generator.random((12, 1, 6, 6))
        np.save(self.dir / "near.npy", np.float32(images))
        self.network("""{"layers": [
            {"type": "conv2d", "kernel_size": 3, "var_weight": 2e4, "var_bias": 0.3}, {"type": "erf"},
            {"type": "conv2d", "kernel_size": 3, "var_weight": 1e4}, {"type": "leaky_relu", "negative_slope": -0.4},
            {"type": "conv2d", "kernel_size": 3, "var_weight": 2}, {"type": "erf"},
            {"type": "conv2d", "kernel_size": 6, "padding": 0, "var_bias": 0.1}]}""")
        verify = ["kernel-verify", "k.h5", "--train", "near.npy", "--samples", "200"]
        for dtype in ("float32", "float64"):
            self.write_jacobian("near.npy", dtype)
            self.run_command(*verify)
            with h5py.File(self.dir / "k.h5") as f:
                right = f["Kxx"][...]
            self.change("Kxx", slice(None), right * (1 - 1e-2 * (1 - np.eye(12))))
            self.assertRegex(self.run_command(*verify, code=13).stdout, r"(?m)^samples +FAILED")

    def test_other_data_is_refused(self):
        self.build()
        self.images("other.npy", 40, seed=9)
        self.assert_fails(66, ["other.npy", "train.npy"], "kernel-verify", "k.h5", "--train",
                          "other.npy")

    def test_a_file_of_another_kind_is_refused(self):
        with h5py.File(self.dir / "u.h5", "w") as f:
            f["U"] = np.ones((40, 40))
        self.assert_fails(66, ["u.h5"], "kernel-verify", "u.h5")
        self.assert_fails(66, ["train.npy"], "kernel-verify", "train.npy")
        self.assert_fails(5, ["nowhere.h5", "No such file"], "kernel-verify", "nowhere.h5")

    def test_an_unfinished_run_is_said_to_be_one(self):
        self.images("many.npy", 300, seed=3, shape=(1, 28, 28))
        process = subprocess.Popen(
            command("kernel-build", "--network", "convnet-gp", "--train", "many.npy", "--tile", "16",
                    "--threads", "1", "--dtype", "float64", "--out", "k.h5"),
            cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (self.dir / "k.h5.journal").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=10), 143)
        os.rename(self.dir / "k.h5.partial", self.dir / "k.h5")
        self.verify_fails(13, ["complete", "--resume"])


if __name__ == "__main__":
    main()
