"""kernel-train: what it writes against NumPy, that it goes on after every kind of end, and what it refuses."""

import json
import random
import signal
import subprocess
import time

import h5py
import numpy as np

from predict_support import one_hot
from support import LONG, CommandTest, Measured, command, main

KILLS = 50 if LONG else 8
NOISE = 0.03

NETWORK = {"parameters": {"shared": 1.3, "frozen": {"value": 0.4, "trainable": False}},
           "layers": [{"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": "frozen"}, {"type": "relu"},
                      {"type": "repeat", "times": 2, "layers": [
                          {"type": "conv2d", "kernel_size": 3, "var_weight": "shared", "var_bias": 0.1}, {"type": "relu"}]},
                      {"type": "mixture", "logits": [0.2, -0.1], "branches": [
                          [], [{"type": "conv2d", "kernel_size": 3, "var_weight": 0.9}, {"type": "erf"}]]},
                      {"type": "conv2d", "kernel_size": 12, "padding": 0, "var_weight": 1.1, "var_bias": 0.2}]}
COORDINATES = ["log conv0.var_weight", "log conv1.var_bias", "log conv2.var_bias", "mixture0.logit0", "mixture0.logit1",
               "log conv3.var_weight", "log conv4.var_weight", "log conv4.var_bias", "log shared", "log noise"]


def nlml(k, y):
    n, c = y.shape
    sign, log_determinant = np.linalg.slogdet(k)
    return (np.sum(y * np.linalg.solve(k, y)) + c * log_determinant + c * n * np.log(2 * np.pi)) / (2 * c * n)


def loo(k, y):
    inverse = np.linalg.inv(k)
    return np.mean((inverse @ y / np.diag(inverse)[:, None]) ** 2)


def contents(path):
    """Everything in a file but how long it took."""
    with h5py.File(path) as f:
        attributes = {name: np.asarray(value).tolist() for name, value in f.attrs.items()}
        return attributes, {name: f[name][...].tobytes() for name in f if name != "seconds"}


class TrainTest(CommandTest):
    def setUp(self):
        super().setUp()
        (self.dir / "net.json").write_text(json.dumps(NETWORK))
        self.images("x.npy", 60, seed=1)
        self.images("v.npy", 20, seed=2)
        self.labels = np.random.default_rng(3).integers(0, 4, 60)
        np.save(self.dir / "y.npy", self.labels)
        np.save(self.dir / "w.npy", np.random.default_rng(4).integers(0, 4, 20))

    def arguments(self, objective, *more, out="T.h5", labels=True):
        given = ["--train-labels", "y.npy"] if labels else []
        return ["kernel-train", "--network", "net.json", "--train", "x.npy", *given, "--objective", objective,
                "--out", out, *([] if "--noise" in more else ["--noise", NOISE]),
                *([] if "--dtype" in more else ["--dtype", "float64"]), *more]

    def train(self, objective, *more, **keywords):
        return self.run_command(*self.arguments(objective, *more, **keywords))

    def refuse(self, wanted, *arguments, code=2):
        return self.assert_fails(code, wanted, *arguments)

    def kernel(self, network="net.json", out="K.h5"):
        self.run_command("kernel-build", "--network", network, "--train", "x.npy", "--out", out, "--dtype", "float64",
                         "--overwrite")
        with h5py.File(self.dir / out) as f:
            return f["Kxx"][...]

    def test_the_first_value_is_what_numpy_says_of_the_kernel(self):
        k = self.kernel()
        y = one_hot(self.labels)[1]
        regular = k + NOISE * np.mean(np.diag(k)) * np.eye(60)
        cosine = np.sum(k * (y @ y.T)) / np.linalg.norm(k) / np.linalg.norm(y @ y.T)
        for objective, expected in (("nlml", nlml(regular, y)), ("loo", loo(regular, y)), ("alignment", 1 - cosine)):
            with self.subTest(objective):
                self.train(objective, "--steps", 1, out=objective + ".h5")
                with h5py.File(self.dir / (objective + ".h5")) as f:
                    self.assertAlmostEqual(f["objective"][0], expected, delta=1e-10 * abs(expected))
                    names = [name.decode().rstrip("\0") for name in f["coordinate"][...]]
                    self.assertEqual(names, COORDINATES if objective != "alignment" else COORDINATES[:-1])

    def test_lbfgs_descends_and_the_trained_network_is_what_it_says(self):
        y = one_hot(self.labels)[1]
        for objective, of in (("nlml", nlml), ("loo", loo)):
            with self.subTest(objective):
                out = objective + ".h5"
                self.train(objective, "--steps", 6, "--network-out", "trained.json", "--validation", "v.npy",
                           "--validation-labels", "w.npy", "--validate-every", 2, out=out)
                with h5py.File(self.dir / out) as f:
                    values = f["objective"][...]
                    self.assertTrue(np.all(np.diff(values) < 0), values)
                    np.testing.assert_array_equal(np.isnan(f["validation_error"][...]), [True, False] * 3)
                    self.assertLessEqual(np.max(f["step_length"][...]), 0.5 * (1 + 1e-12))
                    noise = f.attrs["noise"]
                    self.assertEqual(f["noise"][-1], noise)
                    self.assertEqual(json.loads(f.attrs["trained_network"]),
                                     json.loads((self.dir / "trained.json").read_text()))
                k = self.kernel("trained.json")
                end = of(k + noise * np.mean(np.diag(k)) * np.eye(60), y)
                self.assertLess(end, values[-1])
                trained = json.loads((self.dir / "trained.json").read_text())
                self.assertEqual(trained["parameters"]["frozen"], NETWORK["parameters"]["frozen"])
                self.assertNotEqual(trained["parameters"]["shared"], 1.3)

    def test_validation_is_kernel_regression(self):
        self.train("nlml", "--steps", 1, "--validation", "v.npy", "--validation-labels", "w.npy", "--network-out", "t.json",
                   "--fix-noise")
        self.run_command("kernel-build", "--network", "t.json", "--train", "x.npy", "--train-labels", "y.npy", "--test", "v.npy",
                         "--test-labels", "w.npy", "--out", "K.h5", "--dtype", "float64")
        self.run_command("kernel-predict", "--kernels", "K.h5", "--jitter-relative", NOISE, "--out", "P.h5")
        with h5py.File(self.dir / "T.h5") as t, h5py.File(self.dir / "P.h5") as p:
            self.assertAlmostEqual(t["validation_error"][0], 1 - p.attrs["test_accuracy"], delta=1e-12)

    def test_targets_that_are_numbers(self):
        y = np.random.default_rng(7).normal(size=(60, 2))
        np.save(self.dir / "t.npy", y)
        np.save(self.dir / "vt.npy", np.zeros((20, 2)))
        self.train("nlml", "--targets", "t.npy", "--validation", "v.npy", "--validation-targets", "vt.npy", "--steps", 2,
                   labels=False)
        k = self.kernel()
        with h5py.File(self.dir / "T.h5") as f:
            expected = nlml(k + NOISE * np.mean(np.diag(k)) * np.eye(60), y)
            self.assertAlmostEqual(f["objective"][0], expected, delta=1e-10 * abs(expected))
            self.assertGreater(f["validation_error"][-1], 0)

    def test_kernel_flows_stay_between_0_and_1_and_fall(self):
        self.train("kernel-flow", "--batch", 40, "--sub-batch", 20, "--steps", 12, "--seed", 5)
        with h5py.File(self.dir / "T.h5") as f:
            self.assertTrue(np.all((f["objective"][...] >= 0) & (f["objective"][...] <= 1)))
            self.assertEqual(f.attrs["optimizer"], "adam")

    def test_the_same_bits_for_any_threads_and_in_memory_or_on_disk(self):
        self.images("x.npy", 1400, seed=1, shape=(1, 5, 5))
        np.save(self.dir / "y.npy", np.random.default_rng(3).integers(0, 4, 1400))
        (self.dir / "net.json").write_text(json.dumps({"layers": [
            {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.3}, {"type": "relu"},
            {"type": "conv2d", "kernel_size": 5, "padding": 0, "var_weight": 1.1}]}))
        measured, expected = Measured(self.dir), None
        self.addCleanup(measured.close)
        for objective in ("loo", "nlml"):
            for name, more in (("one", ["--threads", 1]), ("two", ["--threads", 2]),
                               ("disk", ["--threads", 2, "--memory", "112MiB"])):
                with self.subTest(objective + name):
                    plan = self.train(objective, "--steps", 2, *more, "--dry-run", "--overwrite").stdout
                    self.assertIn("on disk" if name == "disk" else "in memory", plan)
                    taken = measured.run(*self.arguments(objective, "--steps", 2, *more, "--overwrite"))
                    self.assertEqual(taken.code, 0, taken.stderr)
                    if name == "disk":
                        self.assertLess(taken.peak_mib, 112)
                        print(f"{objective}: peak {taken.peak_mib:.0f} MiB of 112")
                    found = contents(self.dir / "T.h5")
                    found[0].pop("command")
                    expected = found if name == "one" else expected
                    self.assertEqual(found[1], expected[1])
        self.assertEqual([n for n in self.files() if n.startswith(".gramtile")], [])

    def test_an_interrupted_run_goes_on_with_the_same_bytes(self):
        arguments = self.arguments("kernel-flow", "--batch", 50, "--sub-batch", 20, "--steps", 20, "--validation", "v.npy",
                                   "--validation-labels", "w.npy", "--validate-every", 3)
        self.run_command(*arguments)
        expected = contents(self.dir / "T.h5")
        (self.dir / "T.h5").unlink()
        process = subprocess.Popen(command(*arguments), cwd=self.dir, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        while not (self.dir / "T.h5.partial").exists() and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        if process.returncode != 0:  # it may have been quicker
            self.assertEqual(process.returncode, 130, err)
            self.assertIn("--resume", err)
            self.refuse(["--resume"], *arguments, code=14)
            self.run_command(*arguments, "--resume")
        found = contents(self.dir / "T.h5")
        self.assertEqual(found, expected)
        self.assertEqual([n for n in self.files() if n.startswith("T.h5.")], [])
        self.assertIn("complete already", self.run_command(*arguments, "--resume").stdout)

    def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(self):
        arguments = self.arguments("kernel-flow", "--batch", 50, "--sub-batch", 20, "--steps", 20)
        start = time.monotonic()
        self.run_command(*arguments)
        longest = time.monotonic() - start
        expected = contents(self.dir / "T.h5")
        (self.dir / "T.h5").unlink()
        rng, kills, midway = random.Random(11), 0, 0
        while kills < KILLS:
            process = subprocess.Popen(command(*arguments, "--resume"), cwd=self.dir, text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                _, err = process.communicate(timeout=rng.uniform(0, longest))
                self.assertEqual(process.returncode, 0, err)
                self.assertEqual(contents(self.dir / "T.h5"), expected)
                (self.dir / "T.h5").unlink()
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                midway += (self.dir / "T.h5.partial").exists()
        self.run_command(*arguments, "--resume")
        self.assertEqual(contents(self.dir / "T.h5"), expected)
        print(f"{kills} kills, {midway} with steps on disk")
        self.assertGreater(midway, 0)

    def test_a_run_of_other_options_is_not_continued(self):
        arguments = self.arguments("kernel-flow", "--batch", 50, "--sub-batch", 20, "--steps", 200)
        process = subprocess.Popen(command(*arguments), cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (self.dir / "T.h5.partial").exists():
            time.sleep(0.002)
        process.kill()
        process.communicate()
        self.refuse(["seed"], *arguments, "--seed", 1, "--resume", "--quiet", code=12)

    def test_refusals(self):
        base = lambda *more, **keywords: self.arguments("nlml", *more, **keywords)
        self.refuse(["no labels", "--train-labels"], *base(labels=False))
        self.refuse(["kernel-flow", "nlml"], *self.arguments("likelihood"))
        self.refuse(["--sub-batch"], *self.arguments("kernel-flow"))
        self.refuse(["--sub-batch"], *base("--sub-batch", 5))
        self.refuse(["--sub-batch"], *self.arguments("kernel-flow", "--sub-batch", 60))
        self.refuse(["--batch 61", "60"], *base("--batch", 61))
        self.refuse(["lbfgs", "adam"], *base("--batch", 30, "--optimizer", "lbfgs"))
        self.refuse(["--noise"], *base("--noise", 0))
        self.refuse(["--validation-targets"], *base("--validation-targets", "y.npy"))
        self.refuse(["--memory"], *base("--memory", "1MiB"))
        np.save(self.dir / "short.npy", np.zeros(59))
        self.refuse(["59", "60"], *base("--targets", "short.npy", labels=False), code=66)
        np.save(self.dir / "nan.npy", np.full(60, np.nan))
        self.refuse(["[0, 0]", "nan"], *base("--targets", "nan.npy", labels=False), code=66)
        (self.dir / "net.json").write_text(json.dumps({"parameters": {"w": {"value": 1, "trainable": False}}, "layers": [
            {"type": "conv2d", "kernel_size": 12, "padding": 0, "var_weight": "w"}]}))
        self.refuse(["no parameter"], *base())
        self.assertEqual([n for n in self.files() if n.startswith("T.h5")], [])

    def test_a_kernel_that_is_not_positive_definite_is_named(self):
        x = np.load(self.dir / "x.npy")
        x[30:] = x[:30] * np.float32(1 + 1e-6)  # twins, whose K float32 rounds to a matrix with negative eigenvalues
        np.save(self.dir / "x.npy", x)
        self.refuse(["not positive definite", "pivot", "--noise"], *self.arguments("nlml", "--noise", 1e-12, "--fix-noise", "--quiet", "--dtype",
                                                                                              "float32"),
                    code=1)
        self.assertEqual([n for n in self.files() if n.startswith("T.h5")], [])


if __name__ == "__main__":
    main()
