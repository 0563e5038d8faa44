"""From PyTorch's autograd to Gramtile, side by side: download, kernel, gradient, training, a number, a picture.

    python docs/examples/from_autograd.py                       # MNIST, downloaded into data/mnist: about ten minutes
    python docs/examples/from_autograd.py build/example 24 80   # another folder; images for autograd, for training

Cells begin with # %%, as Jupyter, VS Code and Spyder know them. Needs torch, scikit-learn and matplotlib.
"""
# %% Data: MNIST's training half, of which the last 1,000 of those taken are for testing
import gzip
import math
import pathlib
import resource
import subprocess
import sys
import time

import matplotlib
import numpy as np
import torch

import gramtile as gt

arguments = sys.argv[1:] if __name__ == "__main__" and not hasattr(sys, "ps1") else []
folder = pathlib.Path(arguments[0] if arguments else "data/mnist")
num_autograd, num_train = (int(a) for a in arguments[1:3]) if len(arguments) > 2 else (48, 2000)
num_test = num_train // 2
if not list(folder.glob("train-images-idx3-ubyte*")):
    subprocess.run(["data/download.sh", "mnist"], check=True)


def read_idx(name, offset):
    path = next(folder.glob(name + "*"))
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=offset).copy())


images = read_idx("train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)  # bytes, as they are
labels = read_idx("train-labels-idx1-ubyte", 8).long()
train, test = slice(0, num_train), slice(num_train, num_train + num_test)
targets = 2 * torch.nn.functional.one_hot(labels, 10).double() - 1


def likelihood(K, targets):
    """−log p(targets | images), per number, with a noise of a hundredth of K's mean diagonal."""
    K = K.double()
    K = K + 0.01 * K.diagonal().mean() * torch.eye(len(K))
    L = torch.linalg.cholesky(K)
    fit = (targets * torch.cholesky_solve(targets, L)).sum() / 2
    return (fit + targets.shape[1] * L.diagonal().log().sum()) / targets.numel()


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# %% As it is with autograd: 7 convolutions of 7×7 with relus, one of 28×28, and a variance for each of their weights and biases
def plain_kernel(images, var_weights, var_biases):
    """K, with every map of every pair of images: [N, N, 28, 28] for each layer, kept for the gradient."""
    x = images / 255
    xy = torch.einsum("nchw,mchw->nmhw", x, x)
    xx = (x * x).sum(1)
    window = torch.full((1, 1, 7, 7), 1 / 49)
    for var_weight, var_bias in zip(var_weights[:-1], var_biases[:-1]):
        xy, xx = (var_weight * torch.nn.functional.conv2d(z.reshape(-1, 1, 28, 28), window, padding=3).reshape(z.shape)
                  + var_bias for z in (xy, xx))
        r2 = xx[:, None] * xx[None]
        d = r2 - xy * xy
        regular = d > 1e-6 * r2  # where two patches are parallel, the formula's parts have no derivative
        s = torch.sqrt(torch.where(regular, d, torch.ones_like(d)))
        angle = torch.atan2(s, torch.where(regular, xy, torch.zeros_like(xy)))
        xy = torch.where(regular, (s + (math.pi - angle) * xy) / (2 * math.pi), xy / 2)
        xx = xx / 2
    return var_weights[-1] * xy.mean((2, 3)) + var_biases[-1]


few, few_targets = images[:num_autograd], targets[:num_autograd]
logs = torch.tensor([math.log(v) for v in [2.79 * 49] * 7 + [2.79 * 784] + [7.86] * 8], requires_grad=True)
before, start = peak_mib(), time.perf_counter()
plain_loss = likelihood(plain_kernel(few.float(), logs[:8].exp(), logs[8:].exp()), few_targets)
plain_loss.backward()
print(f"autograd, {num_autograd} images: loss {plain_loss.item():.5f}, {time.perf_counter() - start:.2f} s, "
      f"{peak_mib() - before:,.0f} MiB")

# %% The same with Gramtile: the network in the field's words, its variances' logarithms as nn.Parameters
net = gt.Sequential(*[layer for _ in range(7) for layer in (
    gt.Conv2d(7, padding="same", var_weight=2.79 * 49, var_bias=7.86), gt.ReLU())],
    gt.Conv2d(28, padding=0, var_weight=2.79 * 784, var_bias=7.86))
kernel = gt.torch.Module(net)
before, start = peak_mib(), time.perf_counter()
loss = likelihood(kernel(few), few_targets)
loss.backward()
print(f"gramtile, {num_autograd} images: loss {loss.item():.5f}, {time.perf_counter() - start:.2f} s, "
      f"{peak_mib() - before:,.0f} MiB more than the peak until here")

# %% They agree: autograd as far as float32 takes it
order = [f"conv{i}.var_weight" for i in range(8)] + [f"conv{i}.var_bias" for i in range(8)]
ours = torch.stack([kernel.parameter(name).grad for name in order])
difference = ((ours - logs.grad).abs().max() / ours.abs().max()).item()
print(f"gradients by {len(order)} variances differ by {difference:.1e} of the largest")

# %% What autograd has no memory for: training, on bytes as they were read. The likelihood first finds the scale of K, which
# predictions do not depend on; docs/training.md tells what further steps and other objectives were found to do
optimiser = torch.optim.Adam(kernel.parameters(), lr=0.05)
before, history = peak_mib(), []
for step in range(10):
    start = time.perf_counter()
    optimiser.zero_grad()
    loss = likelihood(kernel(images[train]), targets[train])
    loss.backward()
    optimiser.step()
    history.append(loss.item())
    print(f"step {step}: loss {history[-1]:.5f}, {time.perf_counter() - start:.2f} s")
print(f"{num_train} images: {peak_mib() - before:,.0f} MiB more than the peak until here")

# %% The trained network predicts, in memory with scikit-learn's manners …
trained = kernel.network()
for name, network in (("as it began", net), ("trained", trained)):
    model = gt.sklearn.KernelClassifier(network, jitter_relative=0.01).fit(images[train].numpy(), labels[train].numpy())
    score = model.score(images[test].numpy(), labels[test].numpy())
    print(f"{name}: {score:.1%} of {num_test} test images are recognised")

# %% … and past memory: K in a file that an interrupted run resumes, and predictions from it
out = pathlib.Path("build")
out.mkdir(exist_ok=True)
with gt.build(trained, train=(images[train].numpy(), labels[train].numpy()),
              test=(images[test].numpy(), labels[test].numpy()), out=out / "trained.h5", overwrite=True) as f:
    with gt.predict(f, out=out / "trained_predicted.h5", jitter_relative=0.01, overwrite=True) as p:
        print(f"from the file: {p.score('test'):.1%}, leave-one-out {p.score('loo'):.1%}")
    matplotlib.use("Agg")
    gt.plot.kernel(f, sort_by="label", normalised=True).figure.savefig(out / "trained.png")
(out / "trained.json").write_text(trained.to_json())
print(f"{out}/trained.json is a network for every command; {out}/trained.png shows its kernel")
