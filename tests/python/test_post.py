"""The job that this project began with, done in PyTorch: a convolutional network's 16 variances, trained by the exact gradient
of a loss of K over MNIST's images. It ran out of memory at 175 of them. Here 1,000 are trained on, and the gradients are
those of autograd through the same recursion in plain PyTorch, at the 24 images that it can hold."""

import time
import unittest

try:
    import torch
except ImportError:
    raise unittest.SkipTest("skipped: no torch")

import gramtile as gt
import gramtile.torch as gt_torch
import mnist
import plain_torch
from support import peak_growth

MIB = 2**20


def targets(num_images):
    return 2 * torch.nn.functional.one_hot(torch.from_numpy(mnist.labels(num_images)), 10).double() - 1


def regularised(k):
    """K with a noise of a hundredth of its mean diagonal."""
    k = k.double()
    return k + 0.01 * k.diagonal().mean() * torch.eye(len(k), dtype=k.dtype)


def likelihood(k, y):
    """−log p(Y | X), per number (docs/mathematics.md, 37)."""
    factor = torch.linalg.cholesky(regularised(k))
    fit = (y * torch.cholesky_solve(y, factor)).sum()
    return (fit / 2 + y.shape[1] * factor.diagonal().log().sum()) / y.numel()


def kernel_flow(k, y):
    """ρ (39): what the first half of the images does not keep of the fit."""
    k, half = regularised(k), len(y) // 2

    def fit(k, y):
        return (y * torch.cholesky_solve(y, torch.linalg.cholesky(k))).sum()

    return 1 - fit(k[:half, :half], y[:half]) / fit(k, y)


@mnist.needs_mnist
class PostTest(unittest.TestCase):
    def setUp(self):
        self.net = gt.Network("convnet-gp")
        self.assertEqual(len(self.net.trainable_parameters), 16)

    def test_gradients_are_those_of_plain_autograd_at_24_images(self):
        images, y = torch.from_numpy(mnist.images(24)), targets(24)
        values = torch.tensor(self.net.values, requires_grad=True)
        k = plain_torch.kernel(self.net, values, images.double() / 255)
        jacobian = torch.from_numpy(self.net.jacobian(images.numpy(), dtype="float64"))
        for loss in (likelihood, kernel_flow):
            leaf = k.detach().requires_grad_()
            upstream, = torch.autograd.grad(loss(leaf, y), leaf)
            exact = torch.autograd.grad(k, values, upstream, retain_graph=True)[0]
            # Errors are measured against the sum of what is added, whose terms of both signs cancel.
            size = (upstream * jacobian).abs().sum((1, 2))
            double = torch.tensor(self.net.values, requires_grad=True)
            loss(gt_torch.kernel(self.net, double, images, dtype="float64"), y).backward()
            self.close(f"{loss.__name__}, float64", double.grad, exact, size, 1e-9)
            # In float32 for the same ∂L/∂K: a loss that solves with K makes K's own rounding larger.
            single = torch.tensor(self.net.values, requires_grad=True)
            gt_torch.kernel(self.net, single, images, dtype="float32").backward(upstream.float())
            self.close(f"{loss.__name__}, float32", single.grad, exact, size, 1e-6)

    def close(self, what, found, exact, size, room):
        worst = float(((found - exact).abs() / size).max())
        print(f"{what}: gradients by 16 variances differ from autograd's by {worst:.1e}")
        self.assertLess(worst, room)

    def train(self, loss, num_images, num_steps, bound):
        images, y = torch.from_numpy(mnist.images(num_images)), targets(num_images)
        module = gt_torch.Module(self.net, memory=bound)
        optimiser, losses, seconds = torch.optim.Adam(module.parameters(), lr=0.05), [], []

        def steps():
            for _ in range(num_steps):
                started = time.perf_counter(), time.process_time()
                optimiser.zero_grad()
                value = loss(module(images), y)
                value.backward()
                optimiser.step()
                losses.append(value.item())
                seconds.append((time.perf_counter() - started[0], time.process_time() - started[1]))

        peak = peak_growth(steps)
        wall, processor = (sorted(column)[len(column) // 2] for column in zip(*seconds))
        print(f"{loss.__name__}, {num_images} images, 16 variances: {num_steps} steps of Adam, loss {losses[0]:.5f} → "
              f"{losses[-1]:.5f}, {wall:.2f} s a step ({processor:.2f} s of processors), peak resident memory "
              f"{peak / MIB:.0f} MiB more than before")
        self.assertLess(losses[-1], losses[0])
        return peak, losses

    def test_1000_images_20_steps_of_the_likelihood(self):
        bound = 256 * MIB
        peak, losses = self.train(likelihood, 1000, 20, bound)
        self.assertLess(losses[-1], losses[0] - 0.1)
        # K and ∂L/∂K in float32, and of the loss in float64 at most 16 matrices, besides the engine's bound.
        matrix = 1000 * 1000 * 8
        self.assertLess(peak, bound + matrix + 16 * matrix)

    def test_200_images_20_steps_of_kernel_flow(self):
        self.train(kernel_flow, 200, 20, 256 * MIB)


if __name__ == "__main__":
    unittest.main()
