#!/usr/bin/env python3
"""Compares the speed of two builds on one machine: OLD and NEW are build folders of the preset `bench`, of two
commits. For every preset network and type, and the forward pass, gradient and jacobian of a tile, the two
programs run in turns (old new, new old, …) and the table gives NEW's time over OLD's: the median over the turns, and
the two quartiles beside it. Each turn's rates are taken against the processor's peak, measured in the same process, so
that a clock that drifts cancels. Ends with 1 when a median is above --most."""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

NETWORKS = ["convnet-gp", "residual-cnn-gp", "resnet32-gp", "resnet32-gp-cifar10"]
WORK = ["tile", "gradient", "jacobian"]
TYPES = ["float32", "float64"]


def rates(build, names, slices, slice_ms):
    """{name: pairs/s per GFLOP/s}, the median over some slices of one process."""
    program = build / "tests" / "bench" / "gramtile_bench"
    with tempfile.NamedTemporaryFile(suffix=".json") as output:
        subprocess.run([program, f"--turns={slices}", f"--slice_ms={slice_ms}",
                        f"--benchmark_filter=^({names})/threads:1/", f"--benchmark_out={output.name}",
                        "--benchmark_out_format=json"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        found = json.loads(pathlib.Path(output.name).read_text())["benchmarks"]
    return {b["name"].split("/threads")[0]: b["pairs_per_s_per_GFLOPs"] for b in found}


def turns_of(arguments, names):
    """The time of NEW over that of OLD, turn by turn, by name."""
    ratios = {}
    for turn in range(arguments.turns):
        order = [arguments.old, arguments.new]
        found = {}
        for build in order if turn % 2 == 0 else order[::-1]:
            found[build] = rates(build, names, arguments.slices, arguments.slice_ms)
        for name, rate in found[arguments.old].items():
            ratios.setdefault(name, []).append(rate / found[arguments.new][name])
    return ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path, metavar="OLD")
    parser.add_argument("new", type=pathlib.Path, metavar="NEW")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--slices", type=int, default=5, help="of a process")
    parser.add_argument("--slice-ms", type=int, default=40)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--work", nargs="+", default=WORK)
    parser.add_argument("--types", nargs="+", default=TYPES)
    parser.add_argument("--most", type=float, default=1.02)
    arguments = parser.parse_args()
    print("| network | type | work | new / old | quartiles |\n|---|---|---|---|---|")
    over = []
    for network in arguments.networks:
        for data_type in arguments.types:
            names = "|".join(f"{work}/{network}/{data_type}" for work in arguments.work)
            for name, ratios in turns_of(arguments, names).items():
                low, middle, high = statistics.quantiles(ratios, n=4)
                work = name.split("/")[0].replace("tile", "forward")
                print(f"| {network} | {data_type} | {work} | {middle:.3f} | {low:.3f} … {high:.3f} |", flush=True)
                if middle > arguments.most:
                    over.append(name)
    print(f"\nabove {arguments.most}: {', '.join(over)}" if over else f"\nnone above {arguments.most}")
    sys.exit(bool(over))


if __name__ == "__main__":
    main()
