"""kernel-predict beside SciPy on the same file: coefficients, means, variances, leave-one-out, evidence; in memory and
on disk, any number of threads; kernels that have no factor; labels and targets of every kind; interruptions.
"""

import os
import re
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

from predict_support import TOLERANCE, PredictCase, agree, by_scipy, one_hot
from support import BIN, ROOT, Measured, command, main


class PredictTest(PredictCase):
    def test_everything_is_what_scipy_finds(self):
        for layout in ("plain", "cnn-gp"):
            self.build("--layout", layout, "--tile", "32", out=f"{layout}.h5")
            self.predict("--jitter", "0.01", kernels=f"{layout}.h5", out=f"P{layout}.h5")
            classes, targets = one_hot(self.labels)
            expected = by_scipy(self.dir / f"{layout}.h5", targets, 0.01)
            self.assertIn("test_variance", expected)
            self.check_numbers(f"P{layout}.h5", expected)
            with h5py.File(self.dir / f"P{layout}.h5") as f:
                self.assertEqual(f.attrs["jitter"], 0.01)
                self.assertEqual(list(f.attrs["classes"]), list(classes))
                test_class = classes[expected["test_mean"].argmax(axis=1)]
                self.assertTrue(np.array_equal(f["test_class"], test_class))
                self.assertAlmostEqual(f.attrs["test_accuracy"], np.mean(test_class == self.test_labels))
                loo_class = classes[expected["loo_mean"].argmax(axis=1)]
                self.assertAlmostEqual(f.attrs["loo_accuracy"], np.mean(loo_class == self.labels))
                self.assertNotIn("validation_accuracy", f.attrs)
                self.assertEqual([d.label or d[0].name for d in f["test_mean"].dims], ["/test", "/output"])

    def test_leave_one_out_is_leaving_one_out(self):
        self.images("few.npy", 20, seed=9)
        np.save(self.dir / "few_y.npy", self.labels[:20])
        self.run_command("kernel-build", "--network", "net.json", "--train", "few.npy", "--out", "K.h5", "--dtype", "float64")
        self.predict("--labels", "few_y.npy", "--jitter", "0.1")
        classes, targets = one_hot(self.labels[:20])
        with h5py.File(self.dir / "K.h5") as k, h5py.File(self.dir / "P.h5") as p:
            kernel = k["Kxx"][...]
            for i in range(20):
                rest = np.arange(20) != i
                inverse = np.linalg.inv(kernel[np.ix_(rest, rest)] + 0.1 * np.eye(19))
                row = kernel[i, rest]
                self.assertLess(agree(p["loo_mean"][i], row @ inverse @ targets[rest]), TOLERANCE)
                self.assertLess(agree(p["loo_variance"][i], kernel[i, i] + 0.1 - row @ inverse @ row), TOLERANCE)

    def test_real_targets_of_one_and_several_columns(self):
        self.build()
        rng = np.random.default_rng(8)
        for shape in ((90,), (90, 3)):
            y, yt = rng.standard_normal(shape), rng.standard_normal((17, *shape[1:]))
            with h5py.File(self.dir / "y.h5", "w") as f:
                f["y"], f["yt"] = y, yt
            self.predict("--targets", "y.h5:/y", "--test-targets", "y.h5:/yt", "--jitter", "0.01", "--overwrite")
            expected = by_scipy(self.dir / "K.h5", y.reshape(90, -1), 0.01)
            self.check_numbers("P.h5", expected)
            with h5py.File(self.dir / "P.h5") as f:
                error = np.mean((expected["test_mean"] - yt.reshape(17, -1)) ** 2)
                self.assertLess(abs(f.attrs["test_mean_squared_error"] - error), TOLERANCE * error)
                self.assertIn("loo_mean_squared_error", f.attrs)
                self.assertNotIn("classes", f.attrs)
                self.assertNotIn("test_class", f)

    def test_labels_of_any_kind_of_class(self):
        self.build(labels=False)
        kinds = {"sparse": self.labels * 1000 + 3, "negative": self.labels - 20, "single": np.full(90, 4)}
        for name, labels in kinds.items():
            np.save(self.dir / f"{name}.npy", labels)
            self.predict("--labels", f"{name}.npy", "--jitter", "0.01", out=f"{name}.h5")
            classes, targets = one_hot(labels)
            self.check_numbers(f"{name}.h5", by_scipy(self.dir / "K.h5", targets, 0.01))
            with h5py.File(self.dir / f"{name}.h5") as f:
                self.assertEqual(list(f["output"]), list(classes))
                self.assertNotIn("test_accuracy", f.attrs)

    def test_a_class_that_only_the_test_set_has_is_noted_and_counts_as_wrong(self):
        self.build()
        np.save(self.dir / "other.npy", np.full(17, 77))
        result = self.predict("--test-labels", "other.npy", "--jitter", "0.01")
        self.assertIn("77", result.stderr)
        with h5py.File(self.dir / "P.h5") as f:
            self.assertEqual(f.attrs["test_accuracy"], 0)

    def test_labels_of_a_folder_of_images_and_of_a_range_of_an_array(self):
        subprocess.run(["/usr/bin/python3", str(ROOT / "data" / "make_example.py"), "ex"], cwd=self.dir, check=True,
                       stdout=subprocess.DEVNULL)
        self.run_command("kernel-build", "--network", "convnet-gp", "--train", "ex#10:50", "--out", "K.h5", "--dtype", "float64")
        self.predict("--jitter", "0.01", out="own.h5")
        with h5py.File(self.dir / "K.h5") as f:
            np.save(self.dir / "longer.npy", np.concatenate([f["train_labels"][...], [1, 2, 3]]))
        for labels in ("ex#10:50", "longer.npy#:40"):
            self.predict("--jitter", "0.01", "--labels", labels, "--overwrite")
            with h5py.File(self.dir / "own.h5") as own, h5py.File(self.dir / "P.h5") as given:
                self.assertTrue(np.array_equal(own["coefficients"], given["coefficients"]), labels)
        self.assert_fails(66, ["ex#0:39", "39", "40"], "kernel-predict", "--kernels", "K.h5", "--out", "Q.h5", "--labels", "ex#0:39")

    def test_on_disk_and_any_number_of_threads_give_the_same_bytes(self):
        self.large()
        self.predict("--jitter", "0.01", out="first.h5")
        first = (self.dir / "first.h5").read_bytes()
        for threads in (1, 2, 3):
            self.predict("--jitter", "0.01", "--threads", threads, out=f"m{threads}.h5")
            memory = self.least_memory("--threads", threads)
            plan = self.predict("--threads", threads, "--memory", memory, "--dry-run", out="none.h5")
            self.assertIn("on disk", plan.stdout)
            self.predict("--jitter", "0.01", "--threads", threads, "--memory", memory, out=f"d{threads}.h5")
            for name in (f"m{threads}.h5", f"d{threads}.h5"):
                self.assertEqual((self.dir / name).read_bytes(), first, name)
        self.assertEqual([p.name for p in self.dir.glob("*.work")] + [p.name for p in self.dir.glob("*.journal")], [])
        self.check_numbers("first.h5", by_scipy(self.dir / "K.h5", one_hot(np.load(self.dir / "y.npy"))[1], 0.01))

    def test_memory_stays_within_its_bound_in_memory_and_on_disk(self):
        self.large()
        least = int(self.least_memory("--threads", 2)[:-3])
        measured = Measured(self.dir)
        self.addCleanup(measured.close)
        for memory in (least, least + 4, least + 12, least + 40):
            run = measured.run("kernel-predict", "--kernels", "K.h5", "--out", "P.h5", "--overwrite", "--jitter", "0.01",
                               "--threads", 2, "--memory", f"{memory}MiB")
            self.assertEqual(run.code, 0, run.stderr)
            print(f"--memory {memory}MiB: {run.peak_mib:.0f} MiB")
            self.assertLess(run.peak_mib, memory)

    def test_interrupted_on_disk_it_prints_the_command_that_continues(self):
        self.large()
        self.predict("--jitter", "0.01", out="first.h5")
        memory = self.least_memory("--threads", 1)
        arguments = ["--kernels", "K.h5", "--out", "P.h5", "--jitter", "0.01", "--threads", "1", "--memory", memory]
        interrupted = 0
        for attempt in range(400):  # ever later, until one was interrupted and one came to its end
            run = subprocess.Popen(command("kernel-predict", *arguments, "--resume"), cwd=self.dir, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
            time.sleep(0.01 + 0.005 * attempt)
            run.send_signal((signal.SIGINT, signal.SIGKILL, signal.SIGTERM)[attempt % 3])
            _, err = run.communicate(timeout=60)
            self.assertIn(run.returncode, (0, -signal.SIGKILL, 130, 143, -signal.SIGINT, -signal.SIGTERM), err)
            if run.returncode in (130, 143):
                interrupted += 1
                self.assertIn("--resume", err)
            if run.returncode == 0 and interrupted > 0:
                break
        self.assertGreater(interrupted, 0)
        self.assertEqual((self.dir / "P.h5").read_bytes(), (self.dir / "first.h5").read_bytes())

    def test_twins_are_refused_with_pivot_image_and_a_jitter_that_is_enough(self):
        for dtype in ("float64", "float32"):
            images = np.load(self.dir / "train.npy")
            images[61] = images[7]
            np.save(self.dir / "twins.npy", images)
            self.build("--overwrite", dtype=dtype, train="twins.npy")
            words = ["pivot 61", "image 61 of twins.npy", "--jitter "] + (["float32"] if dtype == "float32" else [])
            line = self.assert_fails(1, words, "kernel-predict", "--kernels", "K.h5", "--out", "T.h5")
            jitter = re.search(r"--jitter (\S+) \(--jitter-relative (\S+)\)", line)
            self.predict("--jitter", jitter.group(1), "--overwrite")
            self.assert_fails(1, ["pivot"], "kernel-predict", "--kernels", "K.h5", "--out", "T.h5", "--jitter",
                              str(float(jitter.group(1)) / 10))
            self.predict("--jitter", "auto", "--overwrite", out="A.h5")
            with h5py.File(self.dir / "A.h5") as f, h5py.File(self.dir / "K.h5") as k:
                mean = np.mean(np.diag(k["Kxx"][...].astype(np.float64)))
                self.assertAlmostEqual(f.attrs["jitter"] / mean / float(jitter.group(2)), 1, places=12)
            self.assertEqual(list(self.dir.glob("T.h5*")), [])

    def test_one_image_equal_images_and_kernels_of_1e16(self):
        np.save(self.dir / "one.npy", np.load(self.dir / "train.npy")[:1])
        np.save(self.dir / "equal.npy", np.repeat(np.load(self.dir / "train.npy")[:1], 9, axis=0))
        np.save(self.dir / "large.npy", np.load(self.dir / "train.npy")[:20].astype(np.float64) * 1e8)
        np.save(self.dir / "scaled.npy", np.load(self.dir / "train.npy")[:20].astype(np.float64)
                * 10.0 ** np.linspace(0, 8, 20)[:, None, None, None])
        for name, count, jitter in (("one", 1, 0), ("equal", 9, 0.5), ("large", 20, 0), ("scaled", 20, 0)):
            y = self.labels[:count]
            np.save(self.dir / "few_y.npy", y)
            self.build(out=f"{name}K.h5", train=f"{name}.npy", labels=False)
            if name == "equal":
                self.assert_fails(1, ["pivot 1", "--jitter"], "kernel-predict", "--kernels", "equalK.h5", "--out", "T.h5",
                                  "--labels", "few_y.npy")
            # Large rows meet coefficients of small ones: 1e8·u of y is what double leaves of a residual there.
            tolerance = 1e-6 if name == "scaled" else 1e-8
            for solver in (["cholesky"], ["cg", "--tolerance", tolerance]):
                self.predict("--labels", "few_y.npy", "--jitter", jitter, "--solver", *solver, kernels=f"{name}K.h5",
                             out=f"{name}_{solver[0]}.h5")
            with h5py.File(self.dir / f"{name}K.h5") as k, h5py.File(self.dir / f"{name}_cholesky.h5") as a, \
                    h5py.File(self.dir / f"{name}_cg.h5") as b:
                kernel, targets = k["Kxx"][...] + jitter * np.eye(count), one_hot(y)[1]
                residual = targets - kernel @ a["coefficients"][...]
                # Higham, thm 10.4: of |K̃|·|a|, of which rounding leaves 4·N·u and a few more.
                bound = 64 * count * 2.0**-53 * np.abs(kernel) @ np.abs(a["coefficients"][...]) + 1e-15
                scale = np.sqrt(np.diag(kernel))  # rows of their own scale: Cholesky does not mind
                self.assertLessEqual(np.max(np.abs(residual) / scale[:, None]), np.max(bound / scale[:, None]), name)
                by_iteration = np.linalg.norm(targets - kernel @ b["coefficients"][...], axis=0)
                self.assertLessEqual(np.max(by_iteration / np.linalg.norm(targets, axis=0)), 1.001 * tolerance, name)

    def test_jitter_auto_adds_nothing_where_nothing_is_needed(self):
        self.build()
        self.predict("--jitter", "auto")
        with h5py.File(self.dir / "P.h5") as f:
            self.assertEqual(f.attrs["jitter"], 0)

    def test_refusals(self):
        self.build(labels=False)
        bad = np.zeros(90)
        bad[5] = np.nan
        np.save(self.dir / "nan.npy", bad)
        np.save(self.dir / "short.npy", np.zeros(89))
        np.save(self.dir / "yt2.npy", np.zeros((17, 2)))
        np.save(self.dir / "ok.npy", np.zeros(90))
        inputs = ["--network", "net.json", "--train", "train.npy", "--test", "test.npy"]
        self.run_command("kernel-build", *inputs, "--out", "s.h5", "--shard", "0/2")
        self.run_command("kernel-build", *inputs, "--out", "t.h5", "--only", "test")
        cases = [
            (2, ["no labels", "--labels"], []),
            (66, ["nan.npy", "entry [5, 0]"], ["--targets", "nan.npy"]),
            (66, ["short.npy", "89", "90"], ["--targets", "short.npy"]),
            (66, ["short.npy", "89", "90"], ["--labels", "short.npy"]),
            (66, ["yt2.npy", "2 columns"], ["--targets", "ok.npy", "--test-targets", "yt2.npy"]),
            (2, ["exclude"], ["--targets", "ok.npy", "--labels", "y.npy"]),
            (2, ["lu", "cholesky", "cg"], ["--labels", "y.npy", "--solver", "lu"]),
            (2, ["--jitter", "much"], ["--labels", "y.npy", "--jitter", "much"]),
            (2, ["--jitter"], ["--labels", "y.npy", "--jitter", "-1"]),
            (2, ["excludes"], ["--labels", "y.npy", "--jitter", "1", "--jitter-relative", "1"]),
            (5, ["none.npy"], ["--labels", "none.npy"]),
        ]
        for code, words, more in cases:
            with self.subTest(more):
                self.assert_fails(code, words, "kernel-predict", "--kernels", "K.h5", "--out", "P.h5", *more)
        for code, words, kernels in ((66, ["share", "kernel-merge"], "s.h5"), (66, ["Kxx"], "t.h5"), (66, [], "y.npy"),
                                     (5, [], "none.h5")):
            with self.subTest(kernels):
                self.assert_fails(code, words, "kernel-predict", "--kernels", kernels, "--out", "P.h5", "--labels", "y.npy")
        self.assert_fails(2, ["input"], "kernel-predict", "--kernels", "K.h5", "--out", "K.h5", "--overwrite", "--labels", "y.npy")
        self.assert_fails(73, ["--overwrite"], "kernel-predict", "--kernels", "K.h5", "--out", "t.h5", "--labels", "y.npy")
        self.assertEqual(list(self.dir.glob("P.h5*")), [])

    def test_an_unfinished_or_changed_kernel_file_is_refused_by_name(self):
        self.build()
        with h5py.File(self.dir / "K.h5") as f:
            offset = int(f["Kxx"].attrs["offset"])
        bytes_of = bytearray((self.dir / "K.h5").read_bytes())
        bytes_of[offset + 8 * 90 + 3] ^= 4
        (self.dir / "bad.h5").write_bytes(bytes_of)
        self.assert_fails(13, ["bad.h5", "Kxx"], "kernel-predict", "--kernels", "bad.h5", "--out", "P.h5")
        self.images("large.npy", 2000, shape=(1, 28, 28))
        run = subprocess.Popen(command("kernel-build", "--network", "convnet-gp", "--train", "large.npy", "--out", "U.h5", "--quiet"),
                               cwd=self.dir)
        while not (self.dir / "U.h5.journal").exists():
            self.assertIsNone(run.poll())
            time.sleep(0.01)
        run.kill()
        run.wait()
        self.assert_fails(14, ["U.h5.partial", "unfinished"], "kernel-predict", "--kernels", "U.h5.partial", "--out", "P.h5")

    def test_the_script_from_download_to_number_agrees_with_scipy(self):
        subprocess.run(["/usr/bin/python3", str(ROOT / "data" / "make_example.py"), "ex"], cwd=self.dir, check=True,
                       stdout=subprocess.DEVNULL)
        images = next((self.dir / "ex").glob("train-images*")).name
        result = subprocess.run([str(ROOT / "docs" / "examples" / "mnist_accuracy.sh")], cwd=self.dir, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "OUT": ".", "TRAIN": "80",
                                     "IMAGES": f"ex/{images}", "LABELS": f"ex/{images.replace('images-idx3', 'labels-idx1')}"})
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertRegex(result.stdout, r"accuracy: kernel-predict 0\.\d+, SciPy 0\.\d+")

    def test_version_says_which_openblas(self):
        self.assertRegex(self.run_command("kernel-predict", "--version").stdout, r"OpenBLAS 0\.\d+")


if __name__ == "__main__":
    main()
