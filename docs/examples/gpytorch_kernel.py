"""A network's kernel in GPyTorch: its variances are trained with the likelihood's noise, by GPyTorch's own loop.

    python docs/examples/gpytorch_kernel.py

docs/python.md explains it; tests/python/test_gpytorch.py runs it.
"""
import gpytorch
import numpy as np
import torch

import gramtile as gt
import gramtile.torch


class NetworkKernel(gpytorch.kernels.Kernel):
    """K(x1, x2) of images given as rows [N, C·H·W], as GPyTorch has them."""

    def __init__(self, net, shape):
        super().__init__()
        self.module = gt.torch.Module(net)
        self.shape = shape

    def forward(self, x1, x2, diag=False, **_):
        x1, x2 = (x.detach().reshape(-1, *self.shape) for x in (x1, x2))
        same = x1.shape == x2.shape and torch.equal(x1, x2)
        if diag:
            return self.module.diag(x1) if same else self.module(x1, x2).diagonal()
        return self.module(x1) if same else self.module(x1, x2)


class Regression(gpytorch.models.ExactGP):
    def __init__(self, x, y, likelihood, net, shape):
        super().__init__(x, y, likelihood)
        self.mean_module = gpytorch.means.ConstantMean()
        self.covar_module = NetworkKernel(net, shape)

    def forward(self, x):
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


def fit(model, likelihood, x, y, num_steps):
    """Adam on the marginal likelihood. Returns the loss of every step."""
    model.train(), likelihood.train()
    evidence = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    losses = []
    for _ in range(num_steps):
        optimiser.zero_grad()
        loss = -evidence(model(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def main():
    shape, rng = (1, 8, 8), np.random.default_rng(0)
    x = torch.from_numpy(rng.random((80, 64)))
    y = torch.sin(4 * x.reshape(-1, *shape)[:, 0, :4].mean((1, 2))) * 5  # of the upper half's brightness
    net = gt.Sequential(gt.Conv2d(3, var_weight=2.0, var_bias=0.1), gt.ReLU(), gt.Dense(1.0, 0.1))
    likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
    model = Regression(x[:60], y[:60], likelihood, net, shape)
    losses = fit(model, likelihood, x[:60], y[:60], 30)
    model.eval(), likelihood.eval()
    with torch.no_grad():
        prediction = likelihood(model(x[60:]))
    error = (prediction.mean - y[60:]).square().mean().sqrt().item()
    print(f"loss {losses[0]:.3f} → {losses[-1]:.3f}; root mean square error {error:.3f} of {y.std().item():.3f}")
    print("trained:", dict(zip([p.name for p in net.parameters], model.covar_module.module.network().values.round(3).tolist())))


if __name__ == "__main__":
    main()
