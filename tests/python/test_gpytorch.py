"""GPyTorch: the recipe of docs/examples/gpytorch_kernel.py gives the evidence, gradients and predictions of the formulas."""

import importlib.util
import math
import unittest
import warnings

import numpy as np

import gramtile as gt
from support import TESTS, images

try:
    import torch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gpytorch
except ImportError:
    raise unittest.SkipTest("skipped: no gpytorch")

import gramtile.torch as gt_torch

NET = gt.Sequential(gt.Conv2d(3, var_weight=2.0, var_bias=0.1), gt.ReLU(), gt.Dense(1.0, 0.1))


def recipe():
    spec = importlib.util.spec_from_file_location("recipe", TESTS.parent / "docs" / "examples" / "gpytorch_kernel.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class RecipeTest(unittest.TestCase):
    def setUp(self):
        self.recipe = recipe()
        self.x, self.z = (torch.from_numpy(images(seed, n, (1, 8, 8))) for seed, n in ((1, 30), (2, 7)))
        self.y = torch.from_numpy(np.random.default_rng(3).normal(size=30))
        self.likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
        self.likelihood.noise = 0.3
        self.model = self.recipe.Regression(self.x.reshape(30, -1), self.y, self.likelihood, NET, (1, 8, 8)).double()

    def test_the_evidence_and_its_gradients_are_those_of_the_formula(self):
        self.model.train(), self.likelihood.train()
        evidence = gpytorch.mlls.ExactMarginalLogLikelihood(self.likelihood, self.model)
        with gpytorch.settings.fast_computations(log_prob=False):
            value = evidence(self.model(self.x.reshape(30, -1)), self.y)
        value.backward()
        module = gt_torch.Module(NET)
        k = module(self.x) + 0.3 * torch.eye(30, dtype=torch.float64)
        expected = -(self.y @ torch.linalg.solve(k, self.y) + torch.logdet(k) + 30 * math.log(2 * math.pi)) / 2 / 30
        expected.backward()
        # GPyTorch may add 1e-8 to a diagonal of order 1.
        self.assertAlmostEqual(value.item(), expected.item(), delta=1e-6)
        for ours, theirs in zip(module.parameters(), self.model.covar_module.module.parameters()):
            self.assertAlmostEqual(theirs.grad.item(), ours.grad.item(), delta=1e-6)

    def test_predictions_are_those_of_the_formula(self):
        self.model.eval(), self.likelihood.eval()
        with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False):
            prediction = self.model(self.z.reshape(7, -1))
            mean, variance = prediction.mean, prediction.variance
        k = torch.from_numpy(gt.Network(NET)(self.x.numpy())) + 0.3 * torch.eye(30, dtype=torch.float64)
        cross = torch.from_numpy(NET(self.z.numpy(), self.x.numpy()))
        self.assertTrue(torch.allclose(mean, cross @ torch.linalg.solve(k, self.y), atol=1e-6))
        expected = torch.from_numpy(NET.diag(self.z.numpy())) - (cross * torch.linalg.solve(k, cross.T).T).sum(1)
        self.assertTrue(torch.allclose(variance, expected, atol=1e-6))

    def test_training_raises_the_evidence(self):
        losses = self.recipe.fit(self.model, self.likelihood, self.x.reshape(30, -1), self.y, 15)
        self.assertLess(losses[-1], losses[0] - 0.01)

    def test_the_example_runs(self):
        self.recipe.main()


if __name__ == "__main__":
    unittest.main()
