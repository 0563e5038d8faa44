#!/usr/bin/env python3
"""What training does for MNIST: the test error of kernel regression with 1,500 training images before and after, for
each objective, over several seeds (each with images of its own); beside it the values that the paper set by hand. For
kernel-flow also the mean of ρ over 20 fixed batches, before and after. Prints a table as docs/training.md has it.

    train_mnist.py IMAGES [--start 1|2] [--seeds 5] [--size 1500] [--steps 12] [--flow-steps 100] [--bin build/release/bin]

IMAGES: 10,000 images with labels, as kernel-build takes them."""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

import h5py
import numpy as np

# var_weight of a window, var_weight of the last layer, var_bias. "1": a weight of 1 for each pixel of a window, so that the
# signal grows 24-fold a layer and leaves all biases but the first behind. "2": relus keep the signal as large as it is.
STARTS = {"1": (49.0, 1.0, 1.0), "2": (2.0, 2.0, 0.5)}


def start(window_weight, last_weight, bias, depth=7, kernel=7):
    """convnet-gp with the same variances in every layer."""
    layers = []
    for _ in range(depth):
        layers += [{"type": "conv2d", "kernel_size": kernel, "var_weight": window_weight, "var_bias": bias}, {"type": "relu"}]
    return {"layers": layers + [{"type": "conv2d", "kernel_size": 28, "padding": 0, "var_weight": last_weight, "var_bias": bias}]}


def kernel_flow(kernel, targets, kept, noise):
    """ρ of a batch and the rows of it that are kept (docs/mathematics.md, equation 39)."""
    regular = kernel + noise * np.mean(np.diag(kernel)) * np.eye(len(kernel))
    fit = lambda rows: np.sum(targets[rows] * np.linalg.solve(regular[np.ix_(rows, rows)], targets[rows]))
    return 1 - fit(kept) / fit(np.arange(len(kernel)))


class Experiment:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        (folder / "start.json").write_text(json.dumps(start(*STARTS[arguments.start])))

    def run(self, name, *more):
        command = [self.arguments.bin / name, *map(str, more), "--quiet", "--overwrite"]
        subprocess.run(command, check=True, cwd=self.folder)

    def images(self, first, count):
        return f"{self.arguments.images}#{first}:{first + count}"

    def error(self, network, train, test, noise):
        """Share of the test images that regression gets wrong."""
        self.run("kernel-build", "--network", network, "--train", train, "--test", test, "--out", "K.h5", "--dtype", "float32")
        self.run("kernel-predict", "--kernels", "K.h5", "--jitter-relative", noise, "--out", "P.h5")
        with h5py.File(self.folder / "P.h5") as f:
            return 1 - f.attrs["test_accuracy"]

    def mean_rho(self, network, noise, batches=20):
        """Mean of ρ over batches that are the same in every call."""
        random, size, values = np.random.default_rng(0), self.arguments.batch, []
        for _ in range(batches):
            np.save(self.folder / "batch.npy", random.choice(self.arguments.seeds * self.arguments.size, size, replace=False))
            self.run("kernel-build", "--network", network, "--train", f"{self.arguments.images}#@batch.npy", "--out", "B.h5",
                     "--dtype", "float64")
            with h5py.File(self.folder / "B.h5") as f:
                targets = np.where(f["train_labels"][...][:, None] == np.arange(10), 1.0, -1.0)
                values.append(kernel_flow(f["Kxx"][...], targets, random.choice(size, size // 2, replace=False), noise))
        return statistics.mean(values)

    def train(self, objective, train, seed, *more):
        """Noise, first and last value of the objective, seconds a step; trained.json is the network."""
        self.run("kernel-train", "--network", "start.json", "--train", train, "--objective", objective, "--seed", seed,
                 "--out", "T.h5", "--network-out", "trained.json", *more)
        with h5py.File(self.folder / "T.h5") as f:
            values = f["objective"][...]
            return f.attrs["noise"], values[0], values[-1], f["seconds"][:, 3].mean()


def row(name, errors, values=()):
    percent = [100 * e for e in errors]
    spread = f"{min(percent):.2f} to {max(percent):.2f}"
    change = f"{statistics.mean(v[0] for v in values):.4g} → {statistics.mean(v[1] for v in values):.4g}" if values else ""
    seconds = f"{statistics.mean(v[2] for v in values):.2g}" if values else ""
    print(f"| {name} | {statistics.mean(percent):.2f} % | {spread} | {change} | {seconds} |", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=lambda text: str(pathlib.Path(text).resolve()))
    parser.add_argument("--start", choices=STARTS, default="1")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, default=1500)
    parser.add_argument("--test-size", type=int, default=2500)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--flow-steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=600)
    parser.add_argument("--flow-noise", type=float, default=1e-5)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--bin", type=lambda text: pathlib.Path(text).resolve(), default="build/release/bin")
    parser.add_argument("--objectives", nargs="*", default=["kernel-flow", "loo", "nlml", "alignment"])
    return parser.parse_args()


def run_seeds(experiment, objective, more, sets, test):
    """Trains with each seed's images; prints the row of the table, and for kernel-flow ρ of fixed batches."""
    errors, values, rho = [], [], []
    for seed, train in enumerate(sets):
        noise, *found = experiment.train(objective, train, seed, *more)
        values.append(found)
        errors.append(experiment.error("trained.json", train, test, noise))
        if objective == "kernel-flow" and seed == 0:
            rho = [experiment.mean_rho(network, noise) for network in ("start.json", "trained.json")]
    row(objective, errors, values)
    if rho:
        print(f"ρ, mean of 20 fixed batches: {rho[0]:.4f} → {rho[1]:.4f}", flush=True)


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory() as folder:
        experiment = Experiment(arguments, pathlib.Path(folder))
        test = experiment.images(arguments.seeds * arguments.size, arguments.test_size)
        sets = [experiment.images(seed * arguments.size, arguments.size) for seed in range(arguments.seeds)]
        print("| | error, mean | least to most | objective, mean | seconds a step |\n|---|---|---|---|---|")
        row(f"start {arguments.start}", [experiment.error("start.json", train, test, 1e-3) for train in sets])
        row("the paper's values", [experiment.error("convnet-gp", train, test, 1e-3) for train in sets])
        for objective in arguments.objectives:
            more = ["--steps", arguments.steps]
            if objective == "kernel-flow":
                more = ["--steps", arguments.flow_steps, "--batch", arguments.batch, "--sub-batch", arguments.batch // 2,
                        "--learning-rate", arguments.learning_rate, "--noise", arguments.flow_noise, "--fix-noise"]
            run_seeds(experiment, objective, more, sets, test)


if __name__ == "__main__":
    main()
