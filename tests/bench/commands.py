"""Whole runs of kernel-build and kernel-grad on MNIST: seconds, and peak resident memory."""

import functools
import os
import pathlib
import statistics
import subprocess
import sys

MEMORY = "1GiB"
REPEATS = 5
LONG_RUN = 2500  # images; with more of them there is one run instead of REPEATS
PEAK_MEMORY = pathlib.Path(__file__).parents[1] / "support" / "peak_memory.py"


class Commands:
    def __init__(self, build):
        self.bin = build / "bin"
        self.folder = build / "report"
        self.folder.mkdir(exist_ok=True)
        self.threads = os.cpu_count()

    def mnist(self):
        named = os.environ.get("GRAMTILE_MNIST")
        for folder in [named] if named else ["../shared/data/mnist", "data/mnist"]:
            if pathlib.Path(folder).is_dir():
                return folder
        sys.exit("no MNIST images: run data/download.sh, or name their folder in GRAMTILE_MNIST")

    def run(self, command, num_images, *options):
        """(seconds, peak resident MiB) of one run on MNIST's first test images."""
        images = f"{self.mnist()}/t10k-images-idx3-ubyte.gz#0:{num_images}"
        output = self.folder / "out.h5"
        done = subprocess.run(
            [sys.executable, "-I", "-S", PEAK_MEMORY, self.bin / command, "--network", "convnet-gp",
             "--train", images, "--memory", MEMORY, "--out", output, "--overwrite", "--quiet",
             *options], stdout=subprocess.PIPE, text=True)
        output.unlink(missing_ok=True)
        if done.returncode != 0:
            sys.exit(f"{command} on {num_images} images ended with {done.returncode}")
        seconds, peak_bytes = done.stdout.split()[-2:]
        return float(seconds), int(peak_bytes) / 2**20

    @functools.cache
    def runs_of_gradient(self, num_images):
        """As many results of run() for kernel-grad as the number of images allows."""
        import h5py  # only these sections need it
        import numpy
        factors = self.folder / "factors.h5"
        with h5py.File(factors, "w") as file:
            file["U"], file["V"] = numpy.random.default_rng(0).standard_normal((2, num_images, 2))
        return [self.run("kernel-grad", num_images, "--upstream-factors", f"{factors}:/U",
                         f"{factors}:/V") for _ in range(REPEATS if num_images <= LONG_RUN else 1)]


def build_rows(commands, bench, number, num_images=4000):
    """kernel-build against the tile rate, measured before and after every run."""
    name = "tile/convnet-gp/float32"

    def tile_rate():
        return bench.run(f"{name}/threads:1", turns=5)[f"{name}/threads:1"]["pairs_per_s"]

    pairs = num_images * (num_images - 1) / 2
    seconds, rates, shares = [], [], []
    before = tile_rate()
    for _ in range(REPEATS):
        elapsed, _ = commands.run("kernel-build", num_images)
        after = tile_rate()
        rates.append((before + after) / 2)
        shares.append(pairs / elapsed / (rates[-1] * commands.threads))
        seconds.append(elapsed)
        before = after
    row = [number(num_images), str(commands.threads), number(statistics.median(seconds)),
           number(pairs / statistics.median(seconds)), number(statistics.median(rates)),
           f"{statistics.median(shares):.3f}"]
    return (f"A whole kernel-build, convnet-gp, float32, median of {REPEATS} runs",
            ["images", "threads", "seconds", "pairs/s", "tile rate of 1 thread, pairs/s",
             "share of tile rate × threads"], [row])


def median(runs):
    """(seconds, MiB) in the middle of some runs."""
    return tuple(statistics.median(values) for values in zip(*runs))


def memory_rows(commands, number):
    """Peak memory of all of MNIST's test images beside that of the first thousand."""
    few = commands.runs_of_gradient(1000)
    rows = []
    for command, num_images, runs in [
            ("kernel-build", 10000, [commands.run("kernel-build", 10000)]),
            ("kernel-grad", 1000, few),
            ("kernel-grad", 10000, commands.runs_of_gradient(10000))]:
        seconds, mebibytes = median(runs)
        peaks = [peak for _, peak in runs]
        ratio = f"{mebibytes / median(few)[1]:.3f}" if command == "kernel-grad" else ""
        rows.append([f"`{command}`", number(num_images, 5), str(len(runs)), number(seconds),
                     number(mebibytes), f"{number(min(peaks))} … {number(max(peaks))}", ratio])
    return (f"Peak resident memory of whole runs, convnet-gp, float32, `--memory {MEMORY}`, "
            f"{commands.threads} threads",
            ["command", "images", "runs", "seconds (median)", "peak MiB (median)",
             "least … most", "over 1,000 images"], rows)


def forum_rows(commands, number):
    """The images of the forum post, and on to all that MNIST's test set has."""
    pytorch = {100: "2 GB", 125: "3.5 GB", 150: "5 GB", 175: "no figure"}
    rows = []
    for num_images in (100, 125, 150, 175, 1000, 10000):
        seconds, mebibytes = median(commands.runs_of_gradient(num_images))
        autograd = pytorch.get(num_images, "out of 16 GB")
        rows.append([number(num_images, 5), autograd, number(mebibytes), number(seconds)])
    return (f"The images of the post and more: convnet-gp, float32, `--memory {MEMORY}`, "
            f"{commands.threads} threads",
            ["images", "PyTorch's autograd, as posted", "`kernel-grad`: peak resident MiB",
             "`kernel-grad`: seconds"], rows)
