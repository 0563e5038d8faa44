"""A step of training in PyTorch, as the post does it: peak memory and seconds, each size in a process of its own.

    python tests/python/bench_torch.py              # gramtile.torch at 100 to 1,000 images
    python tests/python/bench_torch.py --plain      # autograd through the plain recursion, at 25 to 100: gigabytes
    python tests/python/bench_torch.py --save FILE  # the table as Markdown, too

The network is the post's (preset convnet-gp, 16 variances), the loss the likelihood of test_post.py. Memory is what a
step adds to the process's resident peak: Python and torch are there before. Processor seconds are those of all threads.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

STEPS = 5


def step_of(num_images, plain):
    """A function that makes one step."""
    import torch

    import gramtile as gt
    import gramtile.torch as gt_torch
    import plain_torch
    from test_post import likelihood

    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (num_images, 1, 28, 28), np.uint8))
    targets = torch.from_numpy(rng.normal(size=(num_images, 10)))
    module = gt_torch.Module("convnet-gp")
    net, floats = gt.Network("convnet-gp"), images.float() / 255
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)

    def step():
        optimiser.zero_grad()
        k = plain_torch.kernel(net, module.values().float(), floats) if plain else module(images)
        likelihood(k, targets).backward()
        optimiser.step()

    return step


def measure(num_images, plain):
    """Prints MiB, seconds and processor seconds."""
    from support import peak_growth
    step = step_of(num_images, plain)
    memory = peak_growth(step)
    seconds, busy = [], []
    for _ in range(1 if plain else STEPS):
        start, start_busy = time.perf_counter(), time.process_time()
        step()
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - start_busy)
    print(memory / 2**20, statistics.median(seconds), statistics.median(busy))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="*")
    parser.add_argument("--save", type=pathlib.Path)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        return measure(given.measure, given.plain)
    lines = ["| images | MiB of a step | seconds | processor seconds |", "|---|---|---|---|"]
    for size in given.sizes or ([25, 50, 75, 100] if given.plain else [100, 125, 150, 175, 1000]):
        command = [sys.executable, __file__, "--measure", str(size)] + ["--plain"] * given.plain
        mib, wall, busy = map(float, subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.split())
        lines.append(f"| {size:,} | {mib:,.0f} | {wall:.3g} | {busy:.3g} |")
        print(lines[-1], flush=True)
    if given.save:
        given.save.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
