"""What kernel-grad writes, and what it refuses."""

import unittest

import h5py
import numpy as np

from support import CommandTest, main

N, NT = 45, 17


class GradTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.images("train.npy", N, seed=1)
        self.images("test.npy", NT, seed=2)
        rng = np.random.default_rng(3)
        with h5py.File(self.dir / "u.h5", "w") as f:
            f["square"] = rng.standard_normal((N, N))
            f["cross"] = rng.standard_normal((NT, N))
            f["U"], f["V"], f["W"] = (rng.standard_normal((n, 4)) for n in (N, N, NT))
            f["UV"] = f["U"][...] @ f["V"][...].T
            f["UV32"] = np.float32(f["UV"][...])
            f["nan"] = f["square"][...]
            f["nan"][31, 7] = np.nan
            f["line"] = np.ones(N)
        self.common = ["--network", "net.json", "--train", "train.npy", "--dtype", "float64", "--tile",
                       "16", "--quiet"]

    def grad(self, *more, out="g.h5"):
        self.run_command("kernel-grad", *self.common, *more, "--out", out, "--overwrite")
        with h5py.File(self.dir / out) as f:
            return {name: f[name][...] for name in f} | {"names": list(f.attrs.get("parameter_names", []))}

    def test_the_gradient_is_the_ordered_sum_of_its_tiles_bit_for_bit(self):
        out = self.grad("--upstream", "u.h5:/square")
        self.assertEqual(list(out["parameters"]), [0, 1, 2, 3])
        self.assertEqual(out["names"],
                         ["conv0.var_weight", "conv0.var_bias", "conv1.var_weight", "conv1.var_bias"])
        total = np.zeros(4)
        for part in out["tile_gradient"]:
            total += part
        self.assertTrue(np.array_equal(total, out["gradient"]))
        self.assertEqual(out["tile_gradient"].shape, (6, 4))
        self.assertEqual(out["tiles"].shape, (6, 4))
        self.assertEqual(list(out["tiles"][1]), [0, 16, 16, 32])

    def test_the_gradient_is_the_jacobian_times_the_upstream(self):
        for more, name, upstream in (([], "dKxx", "square"), (["--test", "test.npy"], "dKxtx", "cross")):
            jacobian = self.grad(*more, "--jacobian", "--with-kernel", out="j.h5")[name]
            gradient = self.grad(*more, "--upstream", f"u.h5:/{upstream}")["gradient"]
            with h5py.File(self.dir / "u.h5") as f:
                terms = jacobian * f[upstream][...]
            # Two sums of the same terms in other orders: a few roundings of the absolute sum.
            bound = 1e-14 * np.abs(terms).sum(axis=(1, 2))
            self.assertTrue(np.all(np.abs(terms.sum(axis=(1, 2)) - gradient) <= bound))

    def test_factors_give_the_gradient_of_their_product(self):
        whole = self.grad("--upstream", "u.h5:/UV")["gradient"]
        factors = self.grad("--upstream-factors", "u.h5:/U", "u.h5:/V")["gradient"]
        self.assertLess(np.abs(factors / whole - 1).max(), 1e-11)
        cross = self.grad("--test", "test.npy", "--upstream-factors", "u.h5:/W", "u.h5:/V")["gradient"]
        self.assertTrue(np.all(np.isfinite(cross)))

    def test_the_derivative_by_the_last_bias_is_one(self):
        jacobian = self.grad("--jacobian")["dKxx"]
        self.assertTrue(np.array_equal(jacobian[3], np.ones((N, N))))

    def test_the_kernel_written_along_is_that_of_kernel_build(self):
        self.run_command("kernel-build", *self.common, "--out", "k.h5")
        with h5py.File(self.dir / "k.h5") as f:
            expected = f["Kxx"][...]
        for more in (["--jacobian"], ["--upstream", "u.h5:/square"]):
            self.assertTrue(np.array_equal(self.grad(*more, "--with-kernel")["Kxx"], expected))

    def test_gradients_have_the_same_bits_for_any_number_of_threads(self):
        gradients = [self.grad("--upstream", "u.h5:/square", "--threads", t)["gradient"]
                     for t in (1, 2, 5)]
        self.assertTrue(np.array_equal(gradients[0], gradients[1]))
        self.assertTrue(np.array_equal(gradients[0], gradients[2]))

    def refused(self, code, words, *more):
        before = self.files()
        self.assert_fails(code, words, "kernel-grad", *self.common, *more, "--out", "new.h5")
        self.assertEqual(self.files(), before)

    def test_an_upstream_of_the_wrong_shape_is_refused(self):
        self.refused(66, ["u.h5", "/cross", "17", "45"], "--upstream", "u.h5:/cross")
        self.refused(66, ["u.h5", "/line"], "--upstream", "u.h5:/line")
        self.refused(66, ["u.h5", "/W"], "--upstream-factors", "u.h5:/U", "u.h5:/W")

    def test_an_upstream_that_is_not_finite_is_refused_with_its_first_bad_index(self):
        self.refused(66, ["u.h5", "31", "7"], "--upstream", "u.h5:/nan")

    def test_an_upstream_that_does_not_exist_is_refused(self):
        self.refused(66, ["/missing"], "--upstream", "u.h5:/missing")
        self.refused(2, ["FILE:/DATASET"], "--upstream", "u.h5")

    def test_exactly_one_upstream_is_asked_for(self):
        self.refused(2, ["--jacobian"])
        self.refused(2, ["--jacobian"], "--jacobian", "--upstream", "u.h5:/square")

    def test_a_network_without_parameters_that_can_be_trained(self):
        self.write("fixed.json", '{"parameters": {"w": {"value": 2, "trainable": false}}, "layers": ['
                                 '{"type": "conv2d", "kernel_size": 12, "padding": 0, "var_weight": "w"}]}')
        self.common[1] = "fixed.json"
        self.refused(65, ["fixed.json", "parameter"], "--jacobian")

    def test_a_dry_run_writes_nothing(self):
        before = self.files()
        for more in (["--jacobian"], ["--upstream", "u.h5:/square"]):
            out = self.run_command("kernel-grad", *self.common, *more, "--out", "n.h5", "--dry-run").stdout
            self.assertRegex(out, r"tiles\s+6 of 16")
        self.assertEqual(self.files(), before)


if __name__ == "__main__":
    main()
