"""The JAX front: golden values, the network's bits, gradients against NumPy's front and against differences, transforms,
what is refused."""

import doctest
import logging
import unittest

import numpy as np

import gramtile as gt
from support import EVERYTHING, UPSTREAM_ROUNDING, WithinTest, golden_cases, images, promised

try:
    import jax
    import jax.numpy as jnp
    from jax.test_util import check_grads
except ImportError:
    raise unittest.SkipTest("skipped: no jax")

import gramtile.jax as gt_jax

NET = gt.Network(gt.Sequential(
    gt.Conv2d(3, var_weight=2 * gt.Parameter("w", 1.3), var_bias=gt.Parameter("b", 0.4, trainable=False)), gt.ReLU(),
    gt.Mixture([[], [gt.Conv2d(3, var_weight=0.8, var_bias=0.2), gt.LeakyReLU(0.3)]], logits=[0.3, -0.5]),
    gt.Dense(var_weight=gt.Parameter("w", 1.3))))


def setUpModule():
    jax.config.update("jax_enable_x64", True)


def load_tests(_, tests, __):
    tests.addTests(doctest.DocTestSuite(gt_jax))
    return tests


class GoldenTest(WithinTest):
    def test_golden_values_and_gradients(self):
        for case in golden_cases():
            net = gt.Network(case.network)
            names = [p.name for p in net.trainable_parameters]
            for dtype in ("float32", "float64"):
                with self.subTest(case=case.name, dtype=dtype):
                    kernel_fn = gt_jax.kernel_fn(net, dtype=dtype)
                    k, pull_back = jax.vjp(lambda v: kernel_fn(case.x, case.z, values=v), net.values)
                    self.assertEqual(k.dtype, np.dtype(dtype))
                    self.within(k, case.k, promised(dtype)["kernel"] * np.abs(case.k))
                    gradient, = pull_back(jnp.asarray(case.upstream, dtype))
                    self.within(gradient, case.by_parameter(names)[1],
                                case.gradient_room(names, dtype, UPSTREAM_ROUNDING[dtype]))


class KernelTest(unittest.TestCase):
    def test_k_has_the_networks_bits_also_when_compiled(self):
        net = gt.Network(EVERYTHING)
        kernel_fn = gt_jax.kernel_fn(net)
        for dtype in (np.uint8, np.float32, np.float64):
            x, z = images(1, 9, dtype=dtype), images(2, 5, dtype=dtype)
            for function in (kernel_fn, jax.jit(kernel_fn, static_argnames="get")):
                np.testing.assert_array_equal(function(x, None, "nngp"), net(x))
                np.testing.assert_array_equal(function(x, z, get="nngp"), net(x, z))
                np.testing.assert_array_equal(function(jnp.asarray(x), x2=z, values=net.values), net(x, z))
        last = gt_jax.kernel_fn(net, channels_last=True)
        np.testing.assert_array_equal(last(x.transpose(0, 2, 3, 1)), net(x))

    def test_large_arrays_pass_through_a_compiled_function(self):
        # Callbacks of large arrays have been known to hang where there are few cores.
        x = np.abs(images(1, 300, (1, 28, 28), np.float32))
        net = gt.Sequential(gt.Conv2d(3), gt.ReLU(), gt.Dense())
        np.testing.assert_array_equal(jax.jit(gt_jax.kernel_fn(net))(x), net(x))

    def test_without_float64_results_are_rounded(self):
        x = images(1, 4)
        jax.config.update("jax_enable_x64", False)
        try:
            for k in (gt_jax.kernel_fn(EVERYTHING)(x), gt_jax.kernel_fn(EVERYTHING, dtype="float64")(x)):
                self.assertEqual(k.dtype, np.float32)
                np.testing.assert_allclose(k, gt.Network(EVERYTHING)(x), rtol=1e-5)
        finally:
            jax.config.update("jax_enable_x64", True)


class GradientTest(unittest.TestCase):
    def setUp(self):
        self.x, self.z = images(3, 5, (1, 6, 6)), images(4, 3, (1, 6, 6))
        self.kernel_fn = gt_jax.kernel_fn(NET)

    def test_gradients_are_those_of_the_network_with_these_values(self):
        values = NET.values * 1.1
        for z in (None, self.z):
            given = (self.x,) if z is None else (self.x, z)
            upstream = np.random.default_rng(1).normal(size=NET(*given).shape)
            expected = NET.with_values(values).gradient(*given, upstream).by_value

            def loss(v):
                return (self.kernel_fn(self.x, z, values=v) * upstream).sum()

            for function in (jax.grad(loss), jax.jit(jax.grad(loss))):
                np.testing.assert_array_equal(function(values), expected)
            check_grads(loss, (values,), order=1, modes=["rev"])

    def test_vmap_goes_over_values(self):
        values = np.stack([NET.values, NET.values * 1.2])
        ks = jax.vmap(lambda v: self.kernel_fn(self.x, values=v))(values)
        np.testing.assert_array_equal(ks[1], NET.with_values(values[1])(self.x))
        gradients = jax.vmap(jax.grad(lambda v: self.kernel_fn(self.x, values=v).sum()))(values)
        np.testing.assert_array_equal(gradients[1], NET.with_values(values[1]).gradient(self.x, np.ones((5, 5))).by_value)

    def test_what_k_is_not_differentiated_by_is_an_error_and_never_zeros(self):
        for call in (lambda x: self.kernel_fn(x), lambda x: self.kernel_fn(self.x, x),
                     lambda x: self.kernel_fn(x, values=NET.values)):
            with self.assertRaisesRegex(ValueError, "not differentiated by the images"):
                jax.grad(lambda x: call(x).sum())(self.x)
        with self.assertRaises(TypeError):  # forward mode
            jax.jvp(lambda v: self.kernel_fn(self.x, values=v), (NET.values,), (NET.values,))
        with self.assertRaisesRegex(ValueError, "do not support JVP"):  # a second time
            jax.hessian(lambda v: self.kernel_fn(self.x, values=v).sum())(NET.values)

    def test_other_kernels_and_values_are_refused(self):
        logging.disable()  # JAX logs what a callback raises
        self.addCleanup(logging.disable, logging.NOTSET)
        for call, words in [(lambda: self.kernel_fn(self.x, None, "ntk"), "get is 'ntk'"),
                            (lambda: self.kernel_fn(self.x, values=np.ones(2)), "5 trainable"),
                            (lambda: self.kernel_fn(self.x, values=-NET.values), "cannot be -"),
                            (lambda: self.kernel_fn(self.x[0, 0]), "shape")]:
            with self.subTest(words=words), self.assertRaisesRegex(Exception, words):
                call()


if __name__ == "__main__":
    unittest.main()
