"""kernel-predict --solver cg beside SciPy and beside its own Cholesky factor: residuals that are what they are said to
be, what is not there, stalls, memory, threads, interruptions.

A solution with a residual of R is off by condition · R of its norm at most.
"""

import os
import re
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

from predict_support import PredictCase, agree, by_scipy, one_hot
from support import Measured, command, main

CG = ("--solver", "cg")


class PredictCgTest(PredictCase):
    def residuals(self, out="P.h5", kernels="K.h5"):
        """‖y − K̃·a‖/‖y‖ of every output, by NumPy."""
        with h5py.File(self.dir / out) as p, h5py.File(self.dir / kernels) as k:
            kernel = k["Kxx"][...].astype(np.float64)
            kernel = (kernel[0] if kernel.ndim == 3 else kernel) + p.attrs["jitter"] * np.eye(len(p["train"]))
            targets = one_hot(np.load(self.dir / "y.npy"))[1]
            return np.linalg.norm(targets - kernel @ p["coefficients"][...], axis=0) / np.linalg.norm(targets, axis=0)

    def test_coefficients_and_means_are_scipys_within_what_the_residual_allows(self):
        for layout, dtype in (("plain", "float64"), ("plain", "float32"), ("cnn-gp", "float64")):
            for tolerance in (1e-4, 1e-8, 1e-12):
                self.build("--layout", layout, "--tile", "32", "--overwrite", dtype=dtype)
                self.predict(*CG, "--jitter", "0.01", "--tolerance", tolerance, "--overwrite")
                classes, targets = one_hot(self.labels)
                expected = by_scipy(self.dir / "K.h5", targets, 0.01)
                with h5py.File(self.dir / "P.h5") as f:
                    bound = expected["condition"] * tolerance * np.sqrt(targets.size)
                    self.assertLess(agree(f["coefficients"][...], expected["coefficients"]), bound)
                    self.assertLess(agree(f["test_mean"][...], expected["test_mean"]), bound)
                    self.assertLess(agree(f["validation_mean"][...], expected["validation_mean"]), bound)
                    self.assertEqual(f.attrs["tolerance"], tolerance)
                    largest = np.max(self.residuals())
                    self.assertLessEqual(largest, tolerance * (1 + 1e-3))
                    self.assertAlmostEqual(f.attrs["residual"] / largest, 1, places=2)
                    if tolerance < 1e-4:
                        test_class = classes[expected["test_mean"].argmax(axis=1)]
                        self.assertTrue(np.array_equal(f["test_class"], test_class))
                        self.assertAlmostEqual(f.attrs["test_accuracy"], np.mean(test_class == self.test_labels))

    def test_what_takes_a_factor_is_not_there(self):
        self.build()
        result = self.predict(*CG, "--jitter", "0.01")
        self.assertRegex(result.stdout, r"iterations +\d+, preconditioner of rank 90")
        self.assertNotIn("determinant", result.stdout)
        with h5py.File(self.dir / "P.h5") as f:
            self.assertEqual(set(f), {"coefficients", "output", "train", "test", "test_mean", "test_class", "validation",
                                      "validation_mean", "validation_class"})
            self.assertEqual(f.attrs["solver"], "cg")
            self.assertEqual(f.attrs["preconditioner_rank"], 90)
            for name in ("log_determinant", "log_marginal_likelihood", "condition_estimate", "loo_accuracy"):
                self.assertNotIn(name, f.attrs)

    def test_auto_is_the_factor(self):
        self.build()
        self.predict("--jitter", "0.01", out="auto.h5")
        self.predict("--jitter", "0.01", "--solver", "cholesky", out="cholesky.h5")
        with h5py.File(self.dir / "auto.h5") as a, h5py.File(self.dir / "cholesky.h5") as c:
            self.assertEqual(a.attrs["solver"], "cholesky")
            self.assertEqual(a.attrs["fingerprint"], c.attrs["fingerprint"])
            self.assertTrue(np.array_equal(a["coefficients"], c["coefficients"]))

    def test_any_number_of_threads_gives_the_same_bytes(self):
        self.large()
        for threads in (1, 2, 3):
            self.predict(*CG, "--jitter", "0.01", "--threads", threads, out=f"{threads}.h5")
        first = (self.dir / "1.h5").read_bytes()
        self.assertEqual((self.dir / "2.h5").read_bytes(), first)
        self.assertEqual((self.dir / "3.h5").read_bytes(), first)
        self.assertLessEqual(np.max(self.residuals("1.h5")), 1e-8 * (1 + 1e-3))

    def test_twins_stall_or_are_solved_and_a_stall_leaves_nothing_behind(self):
        images = np.load(self.dir / "train.npy")
        images[61] = images[7]
        np.save(self.dir / "twins.npy", images)
        self.labels[61] = (self.labels[7] + 1) % 10
        np.save(self.dir / "y.npy", self.labels)
        self.build(train="twins.npy")
        line = self.assert_fails(1, ["K.h5", "stalled after", "iterations", "largest residual", "1e-08", "--jitter"],
                                 "kernel-predict", "--kernels", "K.h5", "--out", "P.h5", *CG)
        # Outputs of the two labels want +1 and −1 of the same image: √2 of √90 is out of reach.
        reached = float(re.search(r"largest residual is ([^,]+),", line).group(1))
        self.assertGreaterEqual(reached, np.sqrt(2 / 90) * 0.9)
        self.assertLessEqual(reached, 1)
        self.assertEqual(list(self.dir.glob("P.h5*")), [])
        self.predict(*CG, "--jitter-relative", "1e-3")
        self.assertLessEqual(np.max(self.residuals()), 1e-8 * (1 + 1e-3))
        self.labels[61] = self.labels[7]
        np.save(self.dir / "y.npy", self.labels)
        self.build("--overwrite", train="twins.npy")
        self.predict(*CG, "--overwrite")
        self.assertLessEqual(np.max(self.residuals()), 1e-8 * (1 + 1e-3))

    def test_a_tolerance_out_of_reach_stalls_and_the_one_that_is_named_is_met(self):
        self.build()
        line = self.assert_fails(1, ["stalled", "1e-15"], "kernel-predict", "--kernels", "K.h5", "--out", "P.h5", *CG,
                                 "--tolerance", "1e-15", "--jitter", "1e-4")
        tolerance = re.search(r"--tolerance (\S+)$", line).group(1)
        self.predict(*CG, "--tolerance", tolerance, "--jitter", "1e-4")
        self.assertLessEqual(np.max(self.residuals()), float(tolerance) * 1.1)

    def test_memory_stays_within_its_bound_and_the_plan_says_so(self):
        self.large()
        least = int(self.least_memory("--threads", 2, *CG)[:-3])
        measured = Measured(self.dir)
        self.addCleanup(measured.close)
        for memory in (least, least + 4, least + 40):
            plan = self.predict(*CG, "--threads", 2, "--memory", f"{memory}MiB", "--dry-run", out="none.h5").stdout
            self.assertRegex(plan, r"for every iteration")
            run = measured.run("kernel-predict", "--kernels", "K.h5", "--out", "P.h5", "--overwrite", "--jitter", "0.01",
                               "--threads", 2, "--memory", f"{memory}MiB", *CG)
            self.assertEqual(run.code, 0, run.stderr)
            print(f"--memory {memory}MiB: {run.peak_mib:.0f} MiB")
            self.assertLess(run.peak_mib, memory)
            rank = int(re.search(r"precond. +(\d+) rows", plan).group(1))
            with h5py.File(self.dir / "P.h5") as f:
                self.assertEqual(f.attrs["preconditioner_rank"], rank)

    def test_interrupted_it_leaves_nothing_and_the_printed_command_solves(self):
        self.large()
        arguments = ["--kernels", "K.h5", "--out", "P.h5", *CG, "--tolerance", "1e-13", "--jitter", "1e-3", "--threads", "1"]
        interrupted = 0
        for attempt in range(400):  # ever later, until two were interrupted
            run = subprocess.Popen(command("kernel-predict", *arguments), cwd=self.dir, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
            time.sleep(0.01 + 0.01 * attempt)
            run.send_signal((signal.SIGINT, signal.SIGTERM)[attempt % 2])
            _, err = run.communicate(timeout=60)
            if run.returncode in (130, 143):
                self.assertIn("iterations, of which nothing is kept", err)
                self.assertEqual(list(self.dir.glob("P.h5*")), [])
                interrupted += 1
            if interrupted == 2:
                break
            if os.path.exists(self.dir / "P.h5"):
                os.remove(self.dir / "P.h5")
        self.assertEqual(interrupted, 2)

    def test_refusals(self):
        self.build()
        cases = [
            (["--jitter auto", "factor"], [*CG, "--jitter", "auto"]),
            (["--tolerance", "--solver cg"], ["--tolerance", "1e-8"]),
            (["--tolerance"], [*CG, "--tolerance", "0"]),
            (["--tolerance"], [*CG, "--tolerance", "1"]),
            (["--tolerance"], [*CG, "--tolerance", "nan"]),
            (["--work"], [*CG, "--work", "."]),
        ]
        for words, more in cases:
            with self.subTest(more):
                self.assert_fails(2, words, "kernel-predict", "--kernels", "K.h5", "--out", "P.h5", *more)
        self.predict(*CG, "--jitter", "0.01")
        self.assert_fails(12, ["other inputs or options"], "kernel-predict", "--kernels", "K.h5", "--out", "P.h5", "--jitter", "0.01", *CG,
                          "--tolerance", "1e-4", "--resume")


if __name__ == "__main__":
    main()
