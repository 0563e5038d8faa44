"""kernel-predict: how fast a factor is made beside dgemm, in memory and on disk, and what whole runs take."""

import json
import pathlib
import subprocess
import sys

PEAK_MEMORY = pathlib.Path(__file__).parents[1] / "support" / "peak_memory.py"
SIZE = 10_000
MEMORY_MIB = 256
# Small images and one convolution: K of 10,000 in seconds.
NETWORK = """{"layers": [{"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.3}, {"type": "relu"},
                         {"type": "conv2d", "kernel_size": 6, "padding": 0, "var_weight": 1.1, "var_bias": 0.2}]}"""


def factor_rows(build, turns, number):
    """Rates of the factorisation, and its bytes beside the paper count."""
    done = subprocess.run([build / "tests" / "bench" / "gramtile_solve_bench", str(SIZE), str(MEMORY_MIB), build / "report",
                           str(turns)], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit("gramtile_solve_bench failed")
    found = json.loads(done.stdout)
    rows = []
    for name, what, beside in (("dgemm", f"dgemm of 4096, one for each of {found['threads']} threads", None),
                               ("memory", "factor in memory", "dgemm"), ("disk", f"factor on disk, {found['panels']} panels", "memory")):
        wall, processor = found[name]
        shares = ["", ""] if beside is None else [f"{a / b:.2f} of {beside}" for a, b in zip(found[name], found[beside])]
        rows.append([what, number(wall), shares[0], number(processor), shares[1]])
    rates = (f"Factor of {SIZE:,} images, {found['blas']}, `--memory {MEMORY_MIB}MiB`",
             ["", "GFLOP/s, wall", "", "GFLOP a processor second", ""], rows)
    rows = [[what, number(found[what] / 1e6), number(found["paper_" + what] / 1e6),
             f"{found[what] / found['paper_' + what]:.2f}"] for what in ("written", "read")]
    return rates, ("Bytes of the work file", ["", "MB", "paper count, MB", "ratio"], rows)


def run_rows(build, number):
    """Whole runs of kernel-predict: seconds and peak resident memory."""
    import numpy
    folder = build / "report"
    rng = numpy.random.default_rng(0)
    numpy.save(folder / "train.npy", rng.random((SIZE, 1, 6, 6), dtype=numpy.float32))
    numpy.save(folder / "test.npy", rng.random((500, 1, 6, 6), dtype=numpy.float32))
    numpy.save(folder / "labels.npy", rng.integers(0, 10, SIZE))
    (folder / "net.json").write_text(NETWORK)
    kernel, out = folder / "K.h5", folder / "P.h5"
    subprocess.run([build / "bin" / "kernel-build", "--network", folder / "net.json", "--train", folder / "train.npy", "--test",
                    folder / "test.npy", "--out", kernel, "--overwrite", "--quiet", "--dtype", "float64"], check=True,
                   stdout=subprocess.DEVNULL)
    rows = []
    for options in (["--memory", "2GiB"], ["--memory", f"{MEMORY_MIB}MiB"], ["--memory", f"{MEMORY_MIB}MiB", "--solver", "cg"]):
        done = subprocess.run([sys.executable, "-I", "-S", PEAK_MEMORY, build / "bin" / "kernel-predict", "--kernels", kernel,
                               "--labels", folder / "labels.npy", "--jitter-relative", "1e-2", "--out", out, "--overwrite",
                               "--quiet", *options], stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit("kernel-predict failed")
        seconds, peak_bytes = done.stdout.split()[-2:]
        mebibytes = int(peak_bytes) / 2**20
        if options[1] == f"{MEMORY_MIB}MiB" and mebibytes >= MEMORY_MIB:
            sys.exit(f"kernel-predict {options} took {mebibytes:.0f} MiB")
        rows.append([f"`{' '.join(options)}`", number(float(seconds)), number(mebibytes)])
    for path in (kernel, out):
        path.unlink()
    return (f"Whole runs of kernel-predict: {SIZE:,} images to train (K is 800 MB), 500 to test, 10 outputs",
            ["options", "seconds", "peak resident MiB"], rows)
