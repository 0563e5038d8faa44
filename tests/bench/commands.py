"""Whole runs of kernel-build and kernel-grad on MNIST: seconds, and peak resident memory."""

import os
import pathlib
import statistics
import subprocess
import sys
import time

MEMORY = "1GiB"
REPEATS = 5

# h5py runs in a process of its own: a child's peak memory is at least what its parent holds.
WRITE_FACTORS = """
import sys, h5py, numpy
n = int(sys.argv[2])
rng = numpy.random.default_rng(0)
with h5py.File(sys.argv[1], "w") as file:
    file["U"], file["V"] = rng.standard_normal((2, n, 2))
"""


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
        """(seconds, peak resident MB) of one run on MNIST's first test images."""
        images = f"{self.mnist()}/t10k-images-idx3-ubyte.gz#0:{num_images}"
        output = self.folder / "out.h5"
        started = time.monotonic()
        process = subprocess.Popen(
            [self.bin / command, "--network", "convnet-gp", "--train", images, "--memory", MEMORY,
             "--out", output, "--overwrite", "--quiet", *options])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
        output.unlink(missing_ok=True)
        if process.returncode != 0:
            sys.exit(f"{command} on {num_images} images ended with {process.returncode}")
        return seconds, usage.ru_maxrss * 1024 / 1e6

    def run_gradient(self, num_images):
        factors = self.folder / "factors.h5"
        subprocess.run([sys.executable, "-c", WRITE_FACTORS, factors, str(num_images)], check=True)
        return self.run("kernel-grad", num_images, "--upstream-factors", f"{factors}:/U",
                        f"{factors}:/V")


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


def memory_rows(commands, number):
    rows = []
    seconds, megabytes = commands.run("kernel-build", 10000)
    rows.append(["kernel-build", "10,000", number(seconds), number(megabytes, 4), ""])
    first = None
    for num_images in (1000, 10000):
        seconds, megabytes = commands.run_gradient(num_images)
        first = first or megabytes
        rows.append(["kernel-grad", number(num_images), number(seconds), number(megabytes, 4),
                     f"{megabytes / first:.3f}"])
    return (f"Memory of whole runs, convnet-gp, float32, --memory {MEMORY} (1,074 MB)",
            ["command", "images", "seconds", "peak resident MB", "over 1,000 images"], rows)


def forum_rows(commands, number):
    """The images of the forum post, and on to all that MNIST's test set has."""
    pytorch = {100: "2 GB", 125: "3.5 GB", 150: "5 GB"}
    rows = []
    for num_images in (100, 125, 150, 175, 250, 500, 1000, 2500, 5000, 10000):
        seconds, megabytes = commands.run_gradient(num_images)
        autograd = pytorch.get(num_images, "out of 16 GB")
        rows.append([number(num_images, 5), autograd, number(megabytes, 4), number(seconds)])
    return (f"kernel-grad on MNIST, convnet-gp, float32, --memory {MEMORY}",
            ["images", "PyTorch's autograd, as posted", "kernel-grad: peak resident MB",
             "kernel-grad: seconds"], rows)
