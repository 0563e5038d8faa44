"""The PyTorch front: golden values and the network's bits, gradients against autograd through the plain recursion and
against differences, parameters and their names, what is refused."""

import copy
import doctest
import io
import math
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest
import warnings

import numpy as np

import gramtile as gt
from support import EVERYTHING, UPSTREAM_ROUNDING, WithinTest, golden_cases, images, promised

try:
    import torch
    import torch.nn.utils.stateless
    from torch.utils.data import DataLoader, Dataset
except ImportError:
    raise unittest.SkipTest("skipped: no torch")

import gramtile.torch as gt_torch
import plain_torch

TYPES = {"float32": torch.float32, "float64": torch.float64}

#: EVERYTHING without its erf, made small: plain autograd and gradcheck go through it in no time.
SHARED = gt.Sequential(
    gt.Conv2d(3, var_weight=2 * gt.Parameter("w", 1.3), var_bias=gt.Parameter("b", 0.4, trainable=False)), gt.ReLU(),
    gt.Mixture([[], [gt.Conv2d(3, var_weight=0.8, var_bias=0.2), gt.LeakyReLU(0.3)]], logits=[0.3, -0.5]),
    gt.Dense(var_weight=gt.Parameter("w", 1.3)))


def tensors(seed, num_images, shape=(2, 8, 8), dtype=torch.float64):
    return torch.from_numpy(images(seed, num_images, shape)).to(dtype)


def load_tests(_, tests, __):
    tests.addTests(doctest.DocTestSuite(gt_torch))
    return tests


class GoldenTest(WithinTest):
    def test_golden_values_and_gradients(self):
        for case in golden_cases():
            net = gt.Network(case.network)
            names = [p.name for p in net.trainable_parameters]
            for name, dtype in TYPES.items():
                with self.subTest(case=case.name, dtype=name):
                    given = [torch.from_numpy(a).to(torch.float64) for a in (case.x, case.z) if a is not None]
                    values = torch.tensor(net.values, requires_grad=True)
                    k = gt_torch.kernel(net, values, *given, dtype=dtype)
                    self.assertEqual(k.dtype, dtype)
                    self.within(k.detach().numpy(), case.k, promised(name)["kernel"] * np.abs(case.k))
                    k.backward(torch.from_numpy(case.upstream).to(dtype))
                    self.within(values.grad.numpy(), case.by_parameter(names)[1],
                                case.gradient_room(names, name, UPSTREAM_ROUNDING[name]))


class BitsTest(unittest.TestCase):
    """An untrained module's K is that of the network, whose bits are the commands' (test_numpy.py)."""

    def test_k_and_its_diagonal_have_the_networks_bits(self):
        # Values of which exp(log v) is not v.
        odd = [v for v in np.random.default_rng(1).uniform(50, 200, 100) if math.exp(np.log(v)) != v][:3]
        self.assertEqual(len(odd), 3)
        for net in (gt.Network(EVERYTHING),
                    gt.Network(gt.Sequential(gt.Conv2d(3, var_weight=odd[0], var_bias=odd[1]), gt.ReLU(),
                                             gt.Dense(odd[2])))):
            module = gt_torch.Module(net)
            self.assertEqual(module.network(), net.with_values(net.values))
            for dtype in (torch.uint8, torch.float32, torch.float64):
                x = torch.from_numpy(images(1, 9, dtype=np.uint8)) if dtype == torch.uint8 else tensors(1, 9, dtype=dtype)
                z = x[2:5] // 2
                with self.subTest(dtype=dtype):
                    np.testing.assert_array_equal(module(x).detach().numpy(), net(x.numpy()))
                    np.testing.assert_array_equal(module(x, z).detach().numpy(), net(x.numpy(), z.numpy()))
                    np.testing.assert_array_equal(module.diag(x).detach().numpy(), net.diag(x.numpy()))
                    self.assertEqual(module(x).dtype, torch.float64 if dtype == torch.float64 else torch.float32)
        self.assertEqual(gt_torch.Module(EVERYTHING, dtype=torch.float64)(x.float()).dtype, torch.float64)

    def test_any_strides_and_orders_of_axes_are_read(self):
        module, x = gt_torch.Module(EVERYTHING), tensors(2, 6)
        expected = module(x)
        for view in (x.to(memory_format=torch.channels_last), x.transpose(0, 3).contiguous().transpose(0, 3)):
            self.assertTrue(torch.equal(module(view), expected))
        last = gt_torch.Module(EVERYTHING, channels_last=True)
        self.assertTrue(torch.equal(last(x.permute(0, 2, 3, 1)), expected))


class GradientTest(unittest.TestCase):
    def setUp(self):
        self.x, self.z = tensors(3, 4, (1, 6, 6)), tensors(4, 3, (1, 6, 6))

    def test_gradients_are_those_of_autograd_through_the_plain_recursion(self):
        for net, shape in ((gt.Network(SHARED), (1, 6, 6)), (gt.Network(EVERYTHING), (2, 8, 8))):
            x, z = tensors(5, 7, shape), tensors(6, 5, shape)
            for given in ((x,), (x, z)):
                upstream = tensors(7, 1, (1, len(given[0]), len(given[-1])))[0, 0]
                results = []
                for kernel in (plain_torch.kernel, gt_torch.kernel):
                    values = torch.tensor(net.values, requires_grad=True)
                    k = kernel(net, values, *given)
                    results.append((k.detach(), torch.autograd.grad((k * upstream).sum(), values)[0]))
                (plain_k, plain), (k, ours) = results
                self.assertLess(float((k - plain_k).abs().max() / plain_k.abs().max()), 1e-13)
                self.assertLess(float((ours - plain).abs().max() / plain.abs().max()), 1e-9)

    def test_gradcheck_of_k_of_one_set_and_of_two(self):
        for layers in (SHARED, gt.Sequential(gt.Conv2d(3, var_bias=0.3), gt.Erf(), gt.Dense(1.7, 0.2))):
            module = gt_torch.Module(layers)
            parameters = list(module.parameters())
            self.assertTrue(torch.autograd.gradcheck(lambda *_: module(self.x), parameters))
            self.assertTrue(torch.autograd.gradcheck(lambda *_: module(self.x, self.z), parameters))
            self.assertTrue(torch.autograd.gradcheck(lambda *_: module.diag(self.x), parameters))

    def test_gradcheck_by_values(self):
        net = gt.Network(SHARED)
        values = torch.tensor(net.values, requires_grad=True)
        for function in (lambda v: gt_torch.kernel(net, v, self.x), lambda v: gt_torch.kernel(net, v, self.x, self.z),
                         lambda v: gt_torch.diagonal(net, v, self.x)):
            self.assertTrue(torch.autograd.gradcheck(function, values))

    def test_only_what_requires_a_gradient_gets_one(self):
        module = gt_torch.Module(SHARED)
        module.parameter("w").requires_grad_(False)
        self.assertTrue(torch.autograd.gradcheck(lambda *_: module(self.x), [
            p for p in module.parameters() if p.requires_grad]))
        module(self.x).sum().backward()
        self.assertIsNone(module.log_w.grad)
        self.assertIsNotNone(module.conv1.log_var_weight.grad)
        for p in module.parameters():
            p.requires_grad_(False)
        self.assertFalse(module(self.x).requires_grad)

    def test_a_gradient_is_differentiated_once(self):
        module = gt_torch.Module(SHARED)
        loss = module(self.x).square().sum()
        grads = torch.autograd.grad(loss, list(module.parameters()), create_graph=True)
        with self.assertRaisesRegex(RuntimeError, "once_differentiable"):
            sum(g.sum() for g in grads).backward()

    def test_images_changed_between_the_passes_are_noticed(self):
        module, x = gt_torch.Module(SHARED), self.x.clone()
        k = module(x)
        x += 1
        with self.assertRaisesRegex(RuntimeError, "modified by an inplace operation"):
            k.sum().backward()

    def test_values_of_0_do_not_move(self):
        # A bias of 0 has an infinite derivative by its value, and none by its logarithm.
        net = gt.Network(gt.Sequential(gt.Conv2d(3, var_weight=0.9, var_bias=0.2), gt.ReLU(), gt.Dense(0.0, 0.5)))
        module = gt_torch.Module(net)
        self.assertEqual([n for n, _ in module.named_parameters()],
                         ["conv0.log_var_weight", "conv0.log_var_bias", "dense0.log_var_bias"])
        with torch.no_grad():
            module.conv0.log_var_bias.fill_(-math.inf)
        self.assertEqual(module.network().values.tolist(), [0.9, 0.0, 0.5])
        module(self.x).sum().backward()
        self.assertEqual(float(module.conv0.log_var_bias.grad), 0)
        self.assertEqual(float(module.dense0.log_var_bias.grad), 0.5 * 16)

    def test_training_goes_down(self):
        module, x = gt_torch.Module(SHARED), self.x
        optimiser = torch.optim.Adam(module.parameters(), lr=0.1)
        target, losses = torch.eye(4, dtype=torch.float64), []
        for _ in range(20):
            optimiser.zero_grad()
            loss = (module(x) - target).square().mean()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        self.assertLess(losses[-1], losses[0] / 2)
        self.assertTrue(torch.equal(module(x).detach(), torch.from_numpy(module.network()(x.numpy()))))


STEP = """
import torch, gramtile as gt
from support import peak_growth
x = torch.rand(400, 1, 28, 28)
layers = [layer for _ in range({depth}) for layer in (gt.Conv2d(3, var_weight=2.0), gt.ReLU())]
module = gt.torch.Module(gt.Sequential(*layers, gt.Dense()), memory={bound})
module(x[:2]).sum().backward()  # threads, torch's own buffers
print(peak_growth(lambda: module(x).square().sum().backward()))
"""


class MemoryTest(unittest.TestCase):
    def test_a_step_holds_k_and_its_derivative_and_the_bound_whatever_the_depth(self):
        # In a process of its own: what others have returned to the allocator would hide what this takes.
        bound, matrix = 48 << 20, 400 * 400 * 4
        path = os.pathsep.join([str(pathlib.Path(gt.__file__).parents[1]), str(pathlib.Path(__file__).parent)])
        for depth in (2, 30):
            child = subprocess.run([sys.executable, "-c", STEP.format(depth=depth, bound=bound)], check=True,
                                   env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE)
            grown = int(child.stdout)
            print(f"depth {depth}: a step adds {grown >> 20} MiB; one map of every pair has {784 * matrix >> 20}")
            # K, its square, both matrices' derivatives, and 8 MiB for what torch and the allocator keep.
            self.assertLess(grown, bound + 4 * matrix + (8 << 20))
            self.assertGreater(grown, matrix)


class ModuleTest(unittest.TestCase):
    def test_parameters_are_logarithms_shared_once_and_frozen_ones_are_buffers(self):
        module = gt_torch.Module(SHARED)
        expected = {"conv1.log_var_weight": math.log(0.8), "conv1.log_var_bias": math.log(0.2), "log_w": math.log(1.3),
                    "mixture0.logit0": 0.3, "mixture0.logit1": -0.5}
        self.assertEqual({n: p.item() for n, p in module.named_parameters()}, expected)
        self.assertEqual({n: p.item() for n, p in module.named_buffers()}, {"log_b": math.log(0.4)})
        self.assertIs(module.parameter("w"), module.log_w)
        with self.assertRaises(KeyError):
            module.parameter("log_w")

    def test_any_name_of_a_user_can_be_held(self):
        names = ["a.b", "a_b", "forward", "_modules", "conv0", "x.y.z", "ü", " "]
        net = gt.Network({"parameters": {n: i + 1.0 for i, n in enumerate(names)},
                          "layers": [{"type": "conv2d", "kernel_size": 1, "var_weight": n} for n in names]
                          + [{"type": "dense"}]})
        module = gt_torch.Module(net)
        self.assertEqual([round(math.exp(module.parameter(n).item())) for n in names], list(range(1, len(names) + 1)))
        self.assertEqual(len(list(module.parameters())), len(names) + 1)
        self.assertEqual(module.network(), net.with_values(net.values))

    def test_a_state_can_be_saved_and_loaded_with_what_is_frozen(self):
        ours = gt_torch.Module(SHARED)
        with torch.no_grad():
            ours.log_w += 0.5
            ours.log_b += 0.6
            ours.mixture0.logit0 += 1
        file = io.BytesIO()
        torch.save(ours.state_dict(), file)
        file.seek(0)
        fresh = gt_torch.Module(SHARED)
        fresh.load_state_dict(torch.load(file))
        x = tensors(1, 3, (1, 6, 6))
        self.assertTrue(torch.equal(fresh(x), ours(x)))
        changed = fresh.network()
        self.assertAlmostEqual(changed.to_dict()["parameters"]["b"]["value"], 0.4 * math.exp(0.6))
        self.assertAlmostEqual(changed.to_dict()["parameters"]["w"], 1.3 * math.exp(0.5))
        self.assertTrue(torch.equal(torch.from_numpy(changed(x.numpy())), fresh(x)))

    def test_a_module_can_be_copied_pickled_and_be_part_of_another(self):
        module, x = gt_torch.Module(SHARED), tensors(1, 3, (1, 6, 6))
        self.assertTrue(torch.equal(copy.deepcopy(module)(x), module(x)))
        file = io.BytesIO()
        torch.save(torch.nn.ModuleDict({"kernel": module}), file)
        file.seek(0)
        keywords = {} if torch.__version__ < "2" else {"weights_only": False}
        self.assertTrue(torch.equal(torch.load(file, **keywords)["kernel"](x), module(x)))
        module.float()
        self.assertEqual(module(x).dtype, torch.float64)
        self.assertTrue(torch.allclose(module(x), gt_torch.Module(SHARED)(x), rtol=1e-5))

    def test_parametrised_calls_use_the_parameters_that_are_given(self):
        module, x = gt_torch.Module(SHARED), tensors(1, 3, (1, 6, 6))
        state = {n: (p + 0.1).detach().requires_grad_() for n, p in module.named_parameters()}
        functional_call = torch.func.functional_call if hasattr(torch, "func") else (
            torch.nn.utils.stateless.functional_call)
        k = functional_call(module, state, (x,))
        self.assertFalse(torch.equal(k, module(x)))
        k.sum().backward()
        self.assertTrue(all(p.grad is not None for p in state.values()))


class RefusalsTest(unittest.TestCase):
    def test_images_that_require_a_gradient_are_an_error_and_never_zeros(self):
        module, x = gt_torch.Module(SHARED), tensors(1, 3, (1, 6, 6))
        wanting = x.clone().requires_grad_()
        for call in (lambda: module(wanting), lambda: module(x, wanting), lambda: module.diag(wanting)):
            with self.assertRaisesRegex(ValueError, "require a gradient.*images.detach"):
                call()
        with torch.no_grad():
            self.assertTrue(torch.equal(module(wanting), module(x)))
        if hasattr(torch, "func"):  # transforms do not set requires_grad
            for call in (module, lambda z: module(x, z), module.diag):
                with self.assertRaisesRegex((ValueError, RuntimeError), "not differentiated by the images|gradient"):
                    torch.func.grad(lambda z: call(z).sum())(x)

    def test_what_is_not_images_is_refused(self):
        module = gt_torch.Module(SHARED)
        for bad, error, words in [
                (torch.ones(2, 1, 6, 6, dtype=torch.float16), TypeError, "float16"),
                (torch.ones(2, 1, 6, 6, dtype=torch.bfloat16), TypeError, "bfloat16"),
                (torch.ones(2, 1, 6, 6, dtype=torch.int64), TypeError, "int64"), (np.ones((2, 1, 6, 6)), TypeError, "tensor"),
                (torch.ones(6, 6), ValueError, "shape"), (torch.full((2, 1, 6, 6), math.nan), gt.DataError, "image 0"),
                (torch.ones(0, 1, 6, 6), gt.UsageError, "no image")]:
            with self.subTest(words=words), self.assertRaisesRegex(error, words):
                module(bad)

    def test_values_that_cannot_be_are_refused_by_name(self):
        module, x = gt_torch.Module(SHARED), tensors(1, 2, (1, 6, 6))
        with torch.no_grad():
            module.conv1.log_var_bias.fill_(1000.0)
        with self.assertRaisesRegex(ValueError, "conv1.var_bias cannot be inf"):
            module(x)

    def test_tensors_of_another_device_are_brought_over_with_one_warning(self):
        class Elsewhere:
            """A tensor that says it is on a device, as far as _on_processor() looks."""
            device = torch.device("cuda", 0)

            def to(self, device):
                return ("brought to", device)

        gt_torch._warned_of_device = False
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.assertEqual(gt_torch._on_processor(Elsewhere()), ("brought to", "cpu"))
            gt_torch._on_processor(Elsewhere())
        self.assertEqual([str(w.message) for w in caught],
                         ["tensors are brought over from cuda:0: Gramtile computes on the processor"])

    def test_results_and_gradients_are_where_images_and_parameters_are(self):
        devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
        x = tensors(1, 5, (1, 6, 6))
        for device in devices:
            module = gt_torch.Module(SHARED).to(device)
            k = module(x.to(device))
            self.assertEqual(k.device.type, device)
            self.assertTrue(torch.equal(k.cpu(), gt_torch.Module(SHARED)(x)))
            k.sum().backward()
            self.assertTrue(all(p.grad.device.type == device for p in module.parameters()))


class InterruptTest(unittest.TestCase):
    def setUp(self):
        # Tests that run in the background begin deaf.
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))

    def seconds_to_interrupt(self, call):
        """From Ctrl-C, 0.3 s after the call began, to KeyboardInterrupt."""
        sent = []

        def send():
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(0.3, send)
        timer.start()
        with self.assertRaises(KeyboardInterrupt):
            call()
        return time.monotonic() - sent[0]

    def test_ctrl_c_ends_both_passes_within_a_fifth_of_a_second(self):
        # The backward pass of so many takes seconds on any machine. A busy one may be late: the least of a few counts.
        x = tensors(1, 400, (1, 28, 28), torch.float32).abs()
        module = gt_torch.Module("resnet32-gp")
        k = module(x)
        for name, call in {"backward": lambda: k.sum().backward(retain_graph=True),
                           "forward": lambda: module(torch.cat([x] * 5))}.items():
            times = []
            while len(times) < 5 and not (times and min(times) <= 0.2):
                times.append(self.seconds_to_interrupt(call))
            print(f"Ctrl-C in torch's {name} pass: {min(times):.3f} s")
            self.assertLessEqual(min(times), 0.2)
        self.assertTrue(all(p.grad is None for p in module.parameters()))


class KernelsOfPairs(Dataset):
    """Every item is computed in the loader's worker."""

    def __init__(self, x):
        self.module, self.x = gt_torch.Module(SHARED), x

    def __len__(self):
        return len(self.x) - 1

    def __getitem__(self, i):
        return self.module(self.x[i:i + 2]).detach()


class WorkersTest(unittest.TestCase):
    def test_workers_of_a_loader_compute_also_where_the_parent_has_computed(self):
        x = tensors(1, 9, (1, 6, 6))
        gt_torch.Module(SHARED)(x)  # the parent's threads are there before the fork
        dataset = KernelsOfPairs(x)
        loaded = torch.cat(list(DataLoader(dataset, batch_size=2, num_workers=2, timeout=60)))
        self.assertTrue(torch.equal(loaded, torch.stack([dataset[i] for i in range(len(dataset))])))


if __name__ == "__main__":
    unittest.main()
