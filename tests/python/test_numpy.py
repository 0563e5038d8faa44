"""The NumPy front: golden values, the commands' bits, no copies, what is refused."""

import gc
import unittest

import h5py
import numpy as np

import gramtile as gt
from support import EVERYTHING, FolderTest, WithinTest, golden_cases, images, promised

TYPES = ("float32", "float64")


class GoldenTest(WithinTest):
    def test_golden_values(self):
        cases = golden_cases()
        self.assertGreaterEqual(len(cases), 2)
        for case in cases:
            net = gt.Network(case.network)
            names = [p.name for p in net.trainable_parameters]
            exact_jacobian, exact_gradient = case.by_parameter(names)
            scales = np.abs(exact_jacobian).max((1, 2))
            for dtype in TYPES:
                with self.subTest(case=case.name, dtype=dtype):
                    given, room = (case.x,) if case.z is None else (case.x, case.z), promised(dtype)
                    k = net(*given, dtype=dtype)
                    self.assertEqual(k.dtype, np.dtype(dtype))
                    self.within(k, case.k, room["kernel"] * np.abs(case.k))
                    self.within(net.jacobian(*given, dtype=dtype), exact_jacobian,
                                room["jacobian"] * scales[:, None, None])
                    self.within(net.gradient(*given, case.upstream, dtype=dtype).by_value, exact_gradient,
                                case.gradient_room(names, dtype))


class CommandsTest(FolderTest):
    """Bits of kernel-build and kernel-grad."""

    def setUp(self):
        super().setUp()
        self.net = gt.Network(EVERYTHING)
        (self.dir / "net.json").write_text(self.net.to_json())

    def build(self, x, z, dtype):
        np.save(self.dir / "x.npy", x)
        np.save(self.dir / "z.npy", z)
        self.command("kernel-build", "--network", "net.json", "--train", "x.npy", "--test", "z.npy", "--dtype", dtype,
                     "--out", "k.h5", "--quiet", "--overwrite")
        with h5py.File(self.dir / "k.h5") as file:
            return file["Kxx"][...], file["Kxtx"][...], file["Kt_diag"][...]

    def test_k_has_the_bits_of_kernel_build(self):
        for kind in (np.uint8, np.float32, np.float64):
            x, z = images(1, 21, dtype=kind), images(2, 9, dtype=kind)
            for dtype in TYPES:
                with self.subTest(kind=kind, dtype=dtype):
                    kxx, kxtx, kt_diag = self.build(x, z, dtype)
                    np.testing.assert_array_equal(self.net(x, dtype=dtype), kxx)
                    if kind == np.uint8:  # one command looks at both sets for negative pixels
                        np.testing.assert_array_equal(self.net(z, x, dtype=dtype), kxtx)
                        np.testing.assert_array_equal(self.net.diag(z, dtype=dtype), kt_diag)

    def test_gradients_and_jacobians_have_the_bits_of_kernel_grad(self):
        x, z = images(1, 13, dtype=np.float32), images(2, 5, dtype=np.float32)
        rng = np.random.default_rng(3)
        arrays = {"x": x, "z": z, "square": rng.normal(size=(13, 13)), "cross": rng.normal(size=(5, 13)),
                  "u": rng.normal(size=(13, 2)), "v": rng.normal(size=(13, 2))}
        for name, array in arrays.items():
            np.save(self.dir / f"{name}.npy", array)
        for dtype in TYPES:
            grad = ["kernel-grad", "--network", "net.json", "--train", "x.npy", "--dtype", dtype, "--quiet",
                    "--overwrite", "--out", "g.h5"]
            for options, ours in [
                    (["--upstream", "square.npy"], lambda: self.net.gradient(x, arrays["square"], dtype=dtype)),
                    (["--upstream-factors", "u.npy", "v.npy"],
                     lambda: self.net.gradient(x, (arrays["u"], arrays["v"]), dtype=dtype)),
                    (["--test", "z.npy", "--upstream", "cross.npy"],
                     lambda: self.net.gradient(z, x, arrays["cross"], dtype=dtype)),
                    (["--upstream", "square.npy"],
                     lambda: self.net.gradient(x, lambda rows, columns: arrays["square"][rows, columns],
                                               dtype=dtype))]:
                with self.subTest(options=options, dtype=dtype):
                    self.command(*grad, *options)
                    with h5py.File(self.dir / "g.h5") as file:
                        np.testing.assert_array_equal(ours().by_value, file["gradient"][...])
            self.command(*grad, "--jacobian")
            with h5py.File(self.dir / "g.h5") as file:
                np.testing.assert_array_equal(self.net.jacobian(x, dtype=dtype), file["dKxx"][...])


class ArraysTest(unittest.TestCase):
    def setUp(self):
        self.net = gt.Network(EVERYTHING)

    def test_k_is_symmetric_and_its_diagonal_is_the_diagonal(self):
        x = images(1, 20)
        for dtype in TYPES:
            k = self.net(x, dtype=dtype)
            np.testing.assert_array_equal(k, k.T)
            np.testing.assert_array_equal(self.net.diag(x, dtype=dtype), np.diag(k))
            jacobian = self.net.jacobian(x, dtype=dtype)
            np.testing.assert_array_equal(self.net.diag_jacobian(x, dtype=dtype),
                                          jacobian.diagonal(axis1=1, axis2=2))

    def test_results_are_of_the_images_precision_or_of_what_is_asked(self):
        for kind, expected in [(np.uint8, "float32"), (np.float32, "float32"), (np.float64, "float64")]:
            self.assertEqual(self.net(images(1, 2, dtype=kind)).dtype, expected)
        for dtype in ("float64", np.float64, np.dtype("float64"), float):
            self.assertEqual(self.net(images(1, 2, dtype=np.float32), dtype=dtype).dtype, "float64")
        with self.assertRaisesRegex(ValueError, "float16"):
            self.net(images(1, 2), dtype="float16")

    def test_any_strides_are_read_where_they_are(self):
        big = images(5, 8, (4, 16, 24))
        for view in (big[::2, 1:3, ::2, ::3], big[::-1, :2, 8:, 16:], big[:, ::-2, ::-2, ::-3],
                     np.asfortranarray(big[:, :2, :8, :8]), np.broadcast_to(big[:1, :2, :8, :8], (3, 2, 8, 8))):
            plain = np.ascontiguousarray(view)
            np.testing.assert_array_equal(self.net(view), self.net(plain))
            last = plain.transpose(0, 2, 3, 1)
            np.testing.assert_array_equal(self.net(last, channels_last=True), self.net(plain))
        grey = images(6, 4, (8, 8))
        net = gt.Sequential(gt.Conv2d(3), gt.ReLU(), gt.Dense())
        np.testing.assert_array_equal(net(grey), net(grey[:, None]))
        np.testing.assert_array_equal(net(grey, channels_last=True), net(grey[:, None]))

    def test_arrays_that_cannot_be_written_are_read(self):
        x = images(1, 4)
        x.flags.writeable = False
        self.net(x)

    def test_no_pixel_is_copied(self):
        # 64 MiB of images in a file: a copy as a whole would add as much to the peak.
        from support import peak_growth
        x = np.zeros((16384, 1, 32, 32), np.float32)
        x[:, 0, ::7, ::5] = 1
        net = gt.Sequential(gt.Conv2d(32, padding=0), gt.ReLU(), gt.Dense())
        grown = peak_growth(lambda: net.diag(x, memory="24MiB", threads=1))
        self.assertLess(grown, x.nbytes // 2)

    def test_results_go_where_they_are_wanted(self):
        x, z = images(1, 5), images(2, 4)
        room = np.full((7, 9), -1.0)
        result = self.net(x, z, out=room[1:6, ::2][:, :4])
        np.testing.assert_array_equal(room[1:6, 0:8:2], self.net(x, z))
        self.assertTrue((room[:, 1::2] == -1).all() and (room[0] == -1).all())
        self.assertTrue(np.shares_memory(result, room))
        for bad in (np.empty((5, 5)), np.empty((5, 4), np.float32)):
            with self.assertRaisesRegex(ValueError, "out has shape"):
                self.net(x, z, out=bad)

    def test_the_bits_do_not_depend_on_threads_or_memory(self):
        x = images(1, 70)
        k, gradient = self.net(x), self.net.gradient(x, np.ones((70, 70)))
        for threads in (1, 2, 5):
            np.testing.assert_array_equal(self.net(x, threads=threads, memory="64MiB"), k)
            np.testing.assert_array_equal(self.net.gradient(x, np.ones((70, 70)), threads=threads).by_value,
                                          gradient.by_value)

    def test_upstreams_of_every_form_agree(self):
        x, z = images(1, 9), images(2, 6)
        rng = np.random.default_rng(4)
        u, v = rng.normal(size=(9, 3)), rng.normal(size=(6, 3))
        dense = self.net.gradient(x, z, u @ v.T)
        asked = []

        def tile(rows, columns):
            asked.append((rows.start, rows.stop, columns.start, columns.stop))
            return (u @ v.T)[rows, columns]

        for other in (self.net.gradient(x, z, (u, v)), self.net.gradient(x, z, tile),
                      self.net.gradient(x, z, np.asfortranarray(u @ v.T)), self.net.gradient(x, z, (u @ v.T).tolist())):
            np.testing.assert_allclose(other.by_value, dense.by_value, rtol=1e-12)
        self.assertTrue(asked)
        float32 = (u @ v.T).astype(np.float32)
        np.testing.assert_array_equal(self.net.gradient(x, z, float32).by_value,
                                      self.net.gradient(x, z, float32.astype(float)).by_value)

    def test_gradients_know_logarithms_and_names(self):
        x = images(1, 4)
        g = self.net.gradient(x, np.ones((4, 4)))
        by_log = {p.name: (1.0 if p.kind == "logit" else p.value) * g[p.name] for p in self.net.trainable_parameters}
        np.testing.assert_array_equal(g.by_log, list(by_log.values()))
        self.assertEqual(list(g.to_dict()), [p.name for p in self.net.trainable_parameters])
        self.assertEqual(len(g), 9)
        with self.assertRaises(KeyError):
            g["b"]

    def test_what_is_not_images_is_refused(self):
        for bad, error, words in [
                (images(1, 2).astype(np.float16), TypeError, "float16"), (np.ones((2, 2)), ValueError, "shape"),
                (images(1, 2).astype(">f8"), TypeError, "expected uint8"), (np.ones((2, 8, 8), bool), TypeError, "bool"),
                (images(1, 0), gt.UsageError, "no image"), (images(1, 2) * np.nan, gt.DataError, "image 0"),
                (images(1, 2, (2, 8, 8)) * np.inf, gt.DataError, "not finite"),
                (images(1, 2, dtype=np.float32) * np.float32(1e30), gt.ComputationError, "overflows")]:
            with self.subTest(words=words), self.assertRaisesRegex(error, words):
                self.net(bad)
        for x, z in [(images(1, 2), images(1, 2, (2, 8, 9))), (images(1, 2), images(1, 2, (1, 8, 8)))]:
            with self.assertRaisesRegex(ValueError, "shape"):
                self.net(x, z)

    def test_what_is_not_an_upstream_is_refused(self):
        x = images(1, 3)
        for bad, words in [(np.ones((3, 2)), "shape"), ((np.ones((3, 2)), np.ones((3, 1))), "factors"),
                           ((np.ones((3, 1)),), "1 factors"), (np.full((3, 3), np.nan), "must be finite"),
                           (lambda r, c: np.ones((1, 1)), "function gave")]:
            with self.subTest(words=words), self.assertRaisesRegex(ValueError, words):
                self.net.gradient(x, bad)
        with self.assertRaises(ZeroDivisionError):
            self.net.gradient(x, lambda r, c: 1 / 0)
        with self.assertRaises(TypeError):
            self.net.gradient(x)

    def test_keywords_are_checked(self):
        x = images(1, 3)
        for keywords, words in [({"threads": 0}, "threads"), ({"memory": "lots"}, "lots"), ({"memory": 1000}, "memory")]:
            with self.subTest(keywords=keywords), self.assertRaisesRegex(ValueError, words):
                self.net(x, **keywords)
        with self.assertRaises(TypeError):
            self.net(x, channel_last=True)

    def test_nothing_is_kept(self):
        import sys
        x, upstream = images(1, 3), np.ones((3, 3))
        function = lambda rows, columns: upstream[rows, columns]  # noqa: E731
        before = [sys.getrefcount(thing) for thing in (x, upstream, function)]
        for _ in range(3):
            self.net(x), self.net.gradient(x, upstream), self.net.gradient(x, function)
            with self.assertRaises(ValueError):
                self.net.gradient(x, (upstream, upstream[:, :1]))
        gc.collect()
        self.assertEqual([sys.getrefcount(thing) for thing in (x, upstream, function)], before)


if __name__ == "__main__":
    unittest.main()
