"""What a call costs from Python, and a step of training: medians, beside what a prototype needed. On a
machine that does other things, too, a wall clock tells little: processor seconds are those of all threads together.

    python tests/python/bench.py

The network is the post's: 7 convolutions of 7×7 with relus, a convolution of 28×28; 16 variances. Results are checked
before they are timed. Images are random bytes of MNIST's shape.
"""

import os
import statistics
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's waits for its threads by spinning, which counts as work

import numpy as np

import gramtile as gt
from gramtile import _engine, _options

NET = gt.Sequential(*[layer for _ in range(7) for layer in (
    gt.Conv2d(7, padding="same", var_weight=2.79 * 49, var_bias=7.86), gt.ReLU())],
    gt.Conv2d(28, padding=0, var_weight=2.79 * 784, var_bias=7.86))
#: [s]; a call's overhead at N = 1, calls and steps with two threads of the machine that the prototype ran on.
PROTOTYPE = {"K, N = 1": 0.24e-3, "K, N = 100": 10e-3, "step, N = 100": 0.04, "step, N = 1000": 1.75}


def median(call, repeats):
    """(median, least) of the seconds of a call, and the median of its processor seconds, of all threads."""
    call()
    seconds, busy = [], []
    for _ in range(repeats):
        start, start_busy = time.perf_counter(), time.process_time()
        call()
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - start_busy)
    return statistics.median(seconds), min(seconds), statistics.median(busy)


def likelihood_step(net, x, y, noise=1e-2):
    """−log p(y | X) and its gradient by the logarithms of the variances."""
    k = net(x).astype(np.float64)
    scale = np.mean(np.diagonal(k))
    k = k / scale
    k[np.diag_indices_from(k)] += noise
    factor = np.linalg.cholesky(k)
    inverse = np.linalg.inv(factor)
    inverse = inverse.T @ inverse
    a = inverse @ y
    value = 0.5 * np.sum(y * a) + y.shape[1] * np.sum(np.log(np.diagonal(factor)))
    by_k = 0.5 * (y.shape[1] * inverse - a @ a.T)  # of K / scale + noise
    upstream = by_k / scale
    upstream[np.diag_indices_from(k)] -= np.sum(by_k * (k - noise * np.eye(len(k)))) / (scale * len(k))
    return value, net.gradient(x, upstream).by_log


def check_gradient():
    """The step's gradient is its value's derivative: a central difference along it, to a part in a thousand."""
    rng = np.random.default_rng(1)
    x, y = rng.random((12, 28, 28)), rng.normal(size=(12, 2))
    net, delta = NET.network(), 1e-4
    gradient = likelihood_step(net, x, y)[1]
    assert len(gradient) == 16
    direction = gradient / np.linalg.norm(gradient)
    ends = [likelihood_step(net.with_values(net.values * np.exp(sign * delta * direction)), x, y)[0]
            for sign in (1, -1)]
    found = (ends[0] - ends[1]) / (2 * delta)
    assert abs(found - np.linalg.norm(gradient)) <= 1e-3 * abs(found), (found, np.linalg.norm(gradient))


def main():
    check_gradient()
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (1000, 28, 28), np.uint8), rng.normal(size=(1000, 10))
    net = NET.network()
    print(f"{_engine.instruction_set()}, {_options.num_threads(None)} threads, numpy {np.__version__}")
    print(f"{'':16} {'median':>10} {'least':>10} {'processor':>10} {'prototype':>10}")
    rows = [(f"K, N = {n}", lambda n=n: net(x[:n]), 30 if n > 10 else 300) for n in (1, 10, 100)]
    rows += [(f"step, N = {n}", lambda n=n: likelihood_step(net, x[:n], y[:n]), 10 if n < 1000 else 5)
             for n in (100, 1000)]
    for name, call, repeats in rows:
        middle, least, busy = median(call, repeats)
        other = f"{1e3 * PROTOTYPE[name]:7.2f} ms" if name in PROTOTYPE else ""
        print(f"{name:16} {1e3 * middle:7.2f} ms {1e3 * least:7.2f} ms {1e3 * busy:7.2f} ms {other:>10}")


if __name__ == "__main__":
    main()
