"""Past memory: files of gt.build, grad, predict and train, and reading them."""

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
import unittest
import unittest.mock
import warnings

import h5py
import numpy as np

import gramtile as gt
from gramtile._progress import ProgressLine
from support import EVERYTHING, FolderTest, golden_cases, images, promised

NET = gt.Sequential(gt.Conv2d(3, var_weight=1.7, var_bias=0.3), gt.ReLU(), gt.Dense(var_weight=1.1))


def labels(seed, count):
    return np.random.default_rng(seed).integers(0, 3, count)


class BuildTest(FolderTest):
    def test_the_file_is_the_commands(self):
        x, z = images(1, 40, dtype=np.uint8), images(2, 11, dtype=np.uint8)
        for name, array in [("x", x), ("z", z), ("y", labels(3, 40))]:
            np.save(self.dir / f"{name}.npy", array)
        net = gt.Network(EVERYTHING)
        (self.dir / "net.json").write_text(net.to_json())
        self.command("kernel-build", "--network", "net.json", "--train", "x.npy", "--train-labels", "y.npy", "--test",
                     "z.npy", "--tile", 16, "--quiet", "--out", "theirs.h5")
        from_arrays = gt.build(net, train=(x, labels(3, 40)), test=z, out=self.dir / "arrays.h5", tile=16)
        from_sources = gt.build(net, train=(self.dir / "x.npy", self.dir / "y.npy"), test=str(self.dir / "z.npy"),
                                out=self.dir / "sources.h5", tile=16)
        with gt.open(self.dir / "theirs.h5") as theirs:
            for ours in (from_arrays, from_sources):
                self.assertEqual(ours.keys(), theirs.keys())
                for name in ("Kxx", "Kxtx", "Kt_diag", "tile_hash", "train_labels", "tiles"):
                    np.testing.assert_array_equal(ours[name][...], theirs[name][...], name)
                self.assertEqual(ours.attributes["fingerprint"], theirs.attributes["fingerprint"])
                np.testing.assert_array_equal(ours.Kxx[...], net(x))
                np.testing.assert_array_equal(ours.labels(), labels(3, 40))
                self.assertIsNone(ours.labels("test"))
                self.assertTrue(all(finding.passed for finding in ours.verify()))

    def test_golden_values_through_files(self):
        for number, case in enumerate(golden_cases()):
            net = gt.Network(case.network)
            for dtype in ("float32", "float64"):
                with self.subTest(case=case.name, dtype=dtype):
                    room = promised(dtype)
                    given = {"train": case.x} if case.z is None else {"train": case.z, "test": case.x}
                    name = "Kxx" if case.z is None else "Kxtx"
                    with gt.build(net, **given, dtype=dtype, out=self.dir / f"k{number}{dtype}.h5") as f:
                        self.assertTrue((np.abs(f[name][...] - case.k) <= room["kernel"] * np.abs(case.k)).all())
                    names = [p.name for p in net.trainable_parameters]
                    with gt.grad(net, **given, upstream=case.upstream, dtype=dtype,
                                 out=self.dir / f"g{number}{dtype}.h5") as f:
                        error = np.abs(f.gradient[...] - case.by_parameter(names)[1])
                        self.assertTrue((error <= case.gradient_room(names, dtype)).all())

    def test_gradients_and_jacobians_are_those_of_arrays(self):
        x, z, rng = images(1, 20), images(2, 6), np.random.default_rng(3)
        square, u, v = rng.normal(size=(20, 20)), rng.normal(size=(6, 2)), rng.normal(size=(20, 2))
        np.save(self.dir / "square.npy", square)
        for number, (upstream, test, ours) in enumerate([
                (square, None, NET.gradient(x, square)), (self.dir / "square.npy", None, NET.gradient(x, square)),
                (lambda r, c: square[r, c], None, NET.gradient(x, square)), ((u, v), z, NET.gradient(z, x, (u, v)))]):
            with gt.grad(NET, train=x, test=test, upstream=upstream, dtype="float64",
                         out=self.dir / f"g{number}.h5") as f:
                np.testing.assert_array_equal(f.gradient[...], ours.by_value)
        with gt.grad(NET, train=x, jacobian=True, with_kernel=True, dtype="float64", out=self.dir / "j.h5") as f:
            np.testing.assert_array_equal(f.dKxx[...], NET.jacobian(x))
            np.testing.assert_array_equal(f.Kxx[...], NET(x))

    def test_what_is_in_the_way_is_told_as_the_commands_tell_it(self):
        x, out = images(1, 8), self.dir / "k.h5"
        gt.build(NET, train=x, out=out).close()
        with self.assertRaisesRegex(gt.CannotCreateError, "exists") as caught:
            gt.build(NET, train=x, out=out)
        self.assertIsInstance(caught.exception, OSError)
        gt.build(NET, train=x, out=out, resume=True).close()
        gt.build(NET, train=images(2, 8), out=out, overwrite=True).close()
        for call, error in [
                (lambda: gt.build(NET, train="nothing.npy", out=self.dir / "a.h5"), (OSError, ValueError)),
                (lambda: gt.build(NET, train=x, out=self.dir / "none" / "a.h5"), OSError),
                (lambda: gt.build(NET, train=x, out=self.dir / "a.h5", memory="100KiB"), gt.UsageError),
                (lambda: gt.build(NET, train=(x, np.arange(7)), out=self.dir / "a.h5"), ValueError),
                (lambda: gt.build(NET, train=x, out=self.dir / "a.h5", resume=True, overwrite=True), ValueError),
                (lambda: gt.build(NET, train=x, out=self.dir / "a.h5", only="test"), ValueError),
                (lambda: gt.grad(NET, train=x, out=self.dir / "a.h5"), ValueError),
                (lambda: gt.build("convnet-gp", train=x, out=self.dir / "a.h5"), gt.NetworkError)]:
            with self.assertRaises(error):
                call()
        self.assertEqual(sorted(p.name for p in self.dir.iterdir()), ["k.h5"])

    def test_progress_is_told_to_functions_and_terminals(self):
        told = []
        gt.build(NET, train=images(1, 60), out=self.dir / "k.h5", tile=16, progress=lambda *a: told.append(a)).close()
        self.assertEqual(told[-1], (60 * 61 / 2, 60 * 61 / 2))
        self.assertEqual(told, sorted(told))
        with self.assertRaises(ZeroDivisionError):
            gt.build(NET, train=images(1, 60), out=self.dir / "l.h5", tile=16, progress=lambda *a: 1 / 0)
        gt.build(NET, train=images(1, 60), out=self.dir / "l.h5", tile=16, resume=True).close()


class ProgressTest(FolderTest):
    CODE = ("import numpy as np, gramtile as gt\n"
            "net = gt.Sequential(gt.Conv2d(3), gt.ReLU(), gt.Dense())\n"
            "gt.build(net, train=np.ones((60, 8, 8)), tile=16, out='k.h5', overwrite=True, progress={progress})")

    def printed(self, progress, terminal):
        """What the call prints on stderr."""
        reader, writer = pty.openpty() if terminal else os.pipe()
        done = subprocess.run([sys.executable, "-c", self.CODE.format(progress=progress)], cwd=self.dir, stderr=writer)
        os.close(writer)
        text = b""
        with contextlib.suppress(OSError):  # a terminal whose other side is closed
            while part := os.read(reader, 4096):
                text += part
        os.close(reader)
        self.assertEqual(done.returncode, 0, text)
        return text.decode()

    def test_a_line_is_drawn_where_somebody_looks(self):
        for progress, terminal in ((None, True), (True, True), (True, False)):
            text = self.printed(progress, terminal)
            self.assertRegex(text, r"\rk\.h5: 100% \|█{24}\| 1\.83k/1\.83k pairs \[00:00<")
            self.assertRegex(text, r"\r +\r$")  # and taken away
        for progress, terminal in ((None, False), (False, True)):
            self.assertEqual(self.printed(progress, terminal), "")

    def test_the_line_says_how_far_and_how_long(self):
        line = ProgressLine("k.h5", "pairs")
        with contextlib.redirect_stderr(io.StringIO()) as err, \
                unittest.mock.patch("time.monotonic", side_effect=[0, 10, 3700]):
            line(0, 4e6)
            line(1e6, 4e6)
            line(2.5e6, 4e6, "a note")
            line.close()
        shown = err.getvalue().split("\r")
        self.assertEqual(shown[1], "k.h5:   0% |                        | 0/4M pairs [00:00<?]")
        self.assertEqual(shown[2].rstrip(),
                         "k.h5:  25% |██████                  | 1M/4M pairs [00:10<00:30, 100k pairs/s]")
        self.assertEqual(shown[3].rstrip(), "k.h5:  62% |███████████████         | 2.5M/4M pairs [1:01:40<37:00, "
                         "676 pairs/s] a note")


class OpenTest(FolderTest):
    def setUp(self):
        super().setUp()
        self.x, self.z = images(1, 50), images(2, 9)
        self.x[3] = 0
        self.file = gt.build(NET, train=self.x, test=self.z, out=self.dir / "k.h5", tile=16, dtype="float64")
        self.addCleanup(self.file.close)

    def test_blocks_and_tiles_are_the_matrix(self):
        whole = np.full((50, 50), np.nan)
        for rows, columns, block in self.file.blocks():
            whole[rows, columns], whole[columns, rows] = block, block.T
        np.testing.assert_array_equal(whole, NET(self.x))
        cross = np.full((9, 50), np.nan)
        for rows, columns, block in self.file.blocks("Kxtx"):
            cross[rows, columns] = block
        np.testing.assert_array_equal(cross, NET(self.z, self.x))
        self.assertEqual(self.file.matrices, ["Kxx", "Kxtx", "Kt_diag"])
        self.assertEqual(self.file.network.to_dict()["layers"], gt.Network(NET).to_dict()["layers"])
        self.assertEqual(self.file.completeness, 1.0)

    def test_correlations_are_kernels_of_unit_variance(self):
        k, diagonal, z_diagonal = NET(self.x), np.sqrt(NET.diag(self.x)), np.sqrt(NET.diag(self.z))
        r = self.file.normalised()
        np.testing.assert_allclose(r[...], k / np.multiply.outer(diagonal, diagonal), rtol=1e-15)
        np.testing.assert_allclose(np.diagonal(r[...]), 1, rtol=1e-15)
        for index in (np.s_[3:9], np.s_[3:9, ::5], np.s_[4, 7], np.s_[4], np.s_[..., 5], np.s_[-1, 2:4]):
            np.testing.assert_array_equal(r[index], r[...][index])
        cross = self.file.normalised("Kxtx")
        np.testing.assert_allclose(np.asarray(cross), NET(self.z, self.x) / np.multiply.outer(z_diagonal, diagonal),
                                   rtol=1e-15)
        self.assertEqual(cross.shape, (9, 50))
        with self.assertRaises(KeyError):
            self.file.normalised("Kt_diag")

    def test_a_variance_of_zero_has_correlations_of_zero(self):
        black = gt.build(gt.Sequential(gt.Conv2d(3), gt.ReLU(), gt.Dense()), train=self.x, out=self.dir / "b.h5")
        r = black.normalised()[...]
        self.assertTrue((r[3] == 0).all() and (r[:, 3] == 0).all() and r[3, 3] == 0)
        self.assertTrue(np.isfinite(r).all())
        black.close()

    def test_a_changed_number_is_found(self):
        self.file.close()
        path = self.dir / "k.h5"
        with gt.open(path) as f:
            offset = int(f.Kxx.attrs["offset"])
        data = bytearray(path.read_bytes())
        data[offset + 8] ^= 1
        path.write_bytes(data)
        with gt.open(path) as f, self.assertRaisesRegex(gt.PartMissingError, "hashes"):
            f.verify()

    def test_other_files_are_refused(self):
        with h5py.File(self.dir / "other.h5", "w") as f:
            f["x"] = 1
        (self.dir / "text.h5").write_text("no HDF5")
        for name in ("other.h5", "text.h5"):
            with self.assertRaises(gt.DataError):
                gt.open(self.dir / name)
        with self.assertRaises(FileNotFoundError):
            gt.open(self.dir / "none.h5")
        with self.assertRaises(gt.DataError):
            gt.PredictionFile(self.dir / "k.h5")
        with self.assertRaises(AttributeError):
            self.file.Kxvx
        self.assertIn("Kxx", dir(self.file))


class PredictTest(FolderTest):
    def setUp(self):
        super().setUp()
        self.x, self.z, self.y, self.yz = images(1, 60), images(2, 11), labels(3, 60), labels(4, 11)
        gt.build(NET, train=(self.x, self.y), test=(self.z, self.yz), out=self.dir / "k.h5", dtype="float64").close()

    def test_predictions_are_those_of_numpy(self):
        p = gt.predict(self.dir / "k.h5", out=self.dir / "p.h5", jitter=0.1)
        one_hot = 2.0 * (self.y[:, None] == np.unique(self.y)) - 1
        a = np.linalg.solve(NET(self.x) + 0.1 * np.eye(60), one_hot)
        np.testing.assert_allclose(p.coefficients[...], a, rtol=1e-9, atol=1e-9 * np.abs(a).max())
        mean = NET(self.z, self.x) @ a
        np.testing.assert_allclose(p.test_mean[...], mean, rtol=1e-8, atol=1e-8)
        self.assertEqual(p.score(), np.mean(np.unique(self.y)[mean.argmax(1)] == self.yz))
        self.assertEqual(p.jitter, 0.1)
        self.assertTrue(np.isfinite(p.log_marginal_likelihood) and 0 <= p.score("loo") <= 1)
        with self.assertRaises(KeyError):
            p.score("validation")
        p.close()

    def test_arrays_and_the_command_agree(self):
        targets = np.random.default_rng(5).normal(size=(60, 2))
        np.save(self.dir / "t.npy", targets)
        self.command("kernel-predict", "--kernels", "k.h5", "--targets", "t.npy", "--jitter-relative", 1e-3, "--out",
                     "theirs.h5", "--quiet")
        with gt.predict(self.dir / "k.h5", targets=targets, jitter_relative=1e-3, out=self.dir / "ours.h5") as ours, \
                gt.open(self.dir / "theirs.h5") as theirs:
            for name in theirs.keys():
                np.testing.assert_array_equal(ours[name][...], theirs[name][...], name)
        with gt.predict(self.dir / "k.h5", labels=self.y[::-1], solver="cg", jitter=1.0, tolerance=1e-6,
                        out=self.dir / "cg.h5") as cg:
            self.assertEqual(cg.coefficients.shape, (60, 3))
            with self.assertRaises(KeyError):
                cg.log_marginal_likelihood

    def test_what_cannot_be_solved_is_told(self):
        x = np.concatenate([self.x, self.x[:1]])
        gt.build(NET, train=(x, labels(3, 61)), out=self.dir / "twins.h5").close()
        with self.assertRaisesRegex(gt.ComputationError, "jitter"):
            gt.predict(self.dir / "twins.h5", out=self.dir / "p.h5")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            gt.predict(self.dir / "twins.h5", out=self.dir / "p.h5", jitter="auto").close()
        for keywords in ({"jitter": -1}, {"jitter": "much"}, {"jitter": 1, "jitter_relative": 1},
                         {"solver": "cg", "jitter": "auto"}, {"tolerance": 0.1}, {"solver": "lu"},
                         {"labels": np.ones(60)}, {"targets": np.ones((60, 1, 1))}, {"labels": np.arange(59)}):
            with self.subTest(keywords=keywords), self.assertRaises(ValueError):
                gt.predict(self.dir / "k.h5", out=self.dir / "q.h5", **keywords)


class TrainTest(FolderTest):
    def test_training_is_the_commands_and_goes_on(self):
        x, y = images(1, 40, dtype=np.float32), labels(2, 40)
        for name, array in [("x", x), ("y", y)]:
            np.save(self.dir / f"{name}.npy", array)
        net = gt.Network(NET)
        (self.dir / "net.json").write_text(net.to_json())
        self.command("kernel-train", "--network", "net.json", "--train", "x.npy", "--train-labels", "y.npy",
                     "--objective", "nlml", "--steps", 4, "--quiet", "--out", "theirs.h5", "--network-out", "t.json")
        told = []
        ours = gt.train(net, train=(x, y), objective="nlml", steps=4, out=self.dir / "ours.h5",
                        progress=lambda *a: told.append(a))
        with gt.open(self.dir / "theirs.h5") as theirs:
            for name in ("objective", "point", "gradient", "noise"):
                np.testing.assert_array_equal(ours[name][...], theirs[name][...], name)
        self.assertTrue(ours.complete)
        self.assertEqual(ours.network, gt.Network(self.dir / "t.json"))
        self.assertEqual(ours.start_network, net)
        self.assertEqual(ours.coordinates[-1], "log noise")
        self.assertEqual([a[:2] for a in told], [(s, 4) for s in range(1, 5)])
        self.assertLess(ours.objective[3], ours.objective[0])
        ours.close()

    def test_targets_batches_and_validation(self):
        x, t = images(1, 40), np.random.default_rng(2).normal(size=40)
        with gt.train(NET, train=x, targets=t, validation=images(3, 9), validation_targets=t[:9], steps=3, batch=20,
                      sub_batch=10, objective="kernel-flow", fix_noise=True, out=self.dir / "t.h5",
                      network_out=self.dir / "net.json") as f:
            self.assertEqual(f.objective.shape, (3,))
            self.assertTrue(np.isfinite(f.validation_error[-1]))
            json.loads((self.dir / "net.json").read_text())
        for keywords in ({"objective": "luck"}, {"objective": "nlml", "optimizer": "sgd"}):
            with self.assertRaises(ValueError):
                gt.train(NET, train=x, targets=t, out=self.dir / "u.h5", **keywords)
        with self.assertRaises(ValueError):
            gt.train(NET, train=x, objective="nlml", out=self.dir / "u.h5")


if __name__ == "__main__":
    unittest.main()
