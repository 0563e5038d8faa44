#!/usr/bin/env python3
"""What training does for MNIST: the test error of kernel regression with 1,500 training images before and after, for
each objective, over several seeds (each with images of its own), from a start at 1 everywhere; beside it the values that
the paper set by hand. Prints a table as docs/training.md has it.

    train_mnist.py IMAGES [--seeds 5] [--size 1500] [--steps 12] [--flow-steps 100] [--bin build/release/bin]

IMAGES: 10,000 images with labels, as kernel-build takes them."""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

import h5py


def start(depth=7, kernel=7):
    """convnet-gp with every variance 1: a weight of 1 for each pixel of a window."""
    layers = []
    for _ in range(depth):
        layers += [{"type": "conv2d", "kernel_size": kernel, "var_weight": float(kernel**2), "var_bias": 1.0},
                   {"type": "relu"}]
    return {"layers": layers + [{"type": "conv2d", "kernel_size": 28, "padding": 0, "var_weight": 1.0, "var_bias": 1.0}]}


class Experiment:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        (folder / "start.json").write_text(json.dumps(start()))

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

    def train(self, objective, train, seed, *more):
        """Noise, first and last value of the objective; trained.json is the network."""
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=lambda text: str(pathlib.Path(text).resolve()))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, default=1500)
    parser.add_argument("--test-size", type=int, default=2500)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--flow-steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=600)
    parser.add_argument("--bin", type=lambda text: pathlib.Path(text).resolve(), default="build/release/bin")
    parser.add_argument("--objectives", nargs="+", default=["kernel-flow", "loo", "nlml", "alignment"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        experiment = Experiment(arguments, pathlib.Path(folder))
        test = experiment.images(arguments.seeds * arguments.size, arguments.test_size)
        sets = [experiment.images(seed * arguments.size, arguments.size) for seed in range(arguments.seeds)]
        print("| | error, mean | least to most | objective, mean | seconds a step |\n|---|---|---|---|---|")
        row("start: 1 everywhere", [experiment.error("start.json", train, test, 1e-3) for train in sets])
        row("the paper's values", [experiment.error("convnet-gp", train, test, 1e-3) for train in sets])
        for objective in arguments.objectives:
            more = ["--steps", arguments.steps]
            if objective == "kernel-flow":
                more = ["--steps", arguments.flow_steps, "--batch", arguments.batch, "--sub-batch", arguments.batch // 2]
            errors, values = [], []
            for seed, train in enumerate(sets):
                noise, *found = experiment.train(objective, train, seed, *more)
                values.append(found)
                errors.append(experiment.error("trained.json", train, test, noise))
            row(objective, errors, values)


if __name__ == "__main__":
    main()
