#!/usr/bin/env python3
"""Runs gramtile_bench and the commands and prints Markdown tables; called by run.sh.

Every figure is the median of at least 5 turns or runs in which what is compared alternates.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys

import commands

SECTIONS = ["networks", "operations", "scaling"]
LONG_SECTIONS = ["build", "memory", "forum"]
NETWORKS = ["convnet-gp", "residual-cnn-gp", "resnet32-gp", "resnet32-gp-cifar10"]
OPERATIONS = ["window3", "window7", "relu", "window3_relu", "window7_relu"]
TYPES = ["float32", "float64"]


class Bench:
    """gramtile_bench: runs what matches a filter and keeps the counters by name."""

    def __init__(self, build, turns):
        self.program = build / "tests" / "bench" / "gramtile_bench"
        self.output = build / "report.json"
        self.turns = turns

    def run(self, names, turns=None):
        """{"KIND/NETWORK/TYPE/threads:N": counters}. Ends the program when a check fails."""
        done = subprocess.run(
            [self.program, f"--turns={turns or self.turns}", f"--benchmark_filter=^({names})/",
             f"--benchmark_out={self.output}", "--benchmark_out_format=json"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(done.stdout)
        result = json.loads(self.output.read_text())
        self.context = result["context"]
        return {b["name"].split("/iterations")[0]: b for b in result["benchmarks"]}


def table(title, header, rows):
    print(f"\n**{title}**\n")
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def number(value, digits=3):
    """A count with `digits` figures and thousands apart; "" for what was not measured."""
    if value is None:
        return ""
    if abs(value) >= 1000:
        places = max(0, len(str(int(abs(value)))) - digits)
        return f"{round(value, -places):,.0f}"
    return f"{value:.{digits}g}"


def print_machine(bench):
    bench.run("operation/window3/float32", turns=1)
    context = bench.context
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), "unknown processor")
    caches = ", ".join(f"L{c['level']} {c['type'].lower()} {c['size'] >> 10} KiB"
                       for c in context["caches"])
    print(f"{datetime.date.today()}, {context['num_cpus']} × {model} ({caches}); instruction set "
          f"{context['instruction_set']}, peak of {context['peak_instruction_set']}; images: "
          f"{context['images']}; medians of {bench.turns} turns")
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"The machine is not quiet: load {load:.1f}.")


def print_networks(bench):
    header = ["network", "type", "threads", "pairs/s", "peak GFLOP/s", "pairs/s per GFLOP/s",
              "useful operations per slot", "float64 / float32", "2 threads / 1",
              "gradient / forward", "jacobian / forward"]
    rows, useful, forced = [], {}, []
    for network in NETWORKS:
        found = bench.run(f"(tile|types|threads|gradient_cost|jacobian_cost)/{network}")
        for data_type in TYPES:
            def value(kind, counter, threads=1):
                entry = found.get(f"{kind}/{network}/{data_type}/threads:{threads}")
                return None if entry is None else entry.get(counter)

            useful[network, data_type] = value("tile", "useful_per_slot")
            forced.append((network, data_type, value("tile", "target_peak_GFLOPs"),
                           value("tile", "pairs_per_s_per_target_GFLOPs")))
            for threads in (1, 2):
                if value("tile", "pairs_per_s", threads) is None:
                    continue
                one = threads == 1
                rows.append([
                    network, data_type, str(threads),
                    number(value("tile", "pairs_per_s", threads)),
                    number(value("tile", "peak_GFLOPs", threads)),
                    number(value("tile", "pairs_per_s_per_GFLOPs", threads)),
                    number(value("tile", "useful_per_slot", threads)),
                    number(value("types", "ratio") if one else None),
                    number(value("threads", "ratio", 2) if not one else None),
                    number(value("gradient_cost", "cost") if one else None),
                    number(value("jacobian_cost", "cost") if one else None)])
    table("Networks: one tile of 128 × 128 pairs", header, rows)
    if forced[0][2] is not None:
        table("The same by the peak of the instruction set in use, one thread",
              ["network", "type", "its peak GFLOP/s", "pairs/s per GFLOP/s"],
              [[n, t, number(p), number(r)] for n, t, p, r in forced])
    rate = useful["resnet32-gp", "float32"] / useful["convnet-gp", "float32"]
    print(f"\nUseful-operation rate of resnet32-gp over that of convnet-gp, float32: {rate:.2f}")


def print_operations(bench):
    rows = []
    for network in OPERATIONS:
        found = bench.run(f"operation/{network}")
        for data_type in TYPES:
            entry = found[f"operation/{network}/{data_type}/threads:1"]
            rows.append([network, data_type, number(entry["pairs_per_s"]),
                         number(entry["peak_GFLOPs"]), number(entry["pairs_per_s_per_GFLOPs"]),
                         number(entry["ns_per_layer_pixel"]),
                         number(entry["slots_per_layer_pixel"])])
    table("Operations: one pack, one thread",
          ["operation", "type", "pairs/s", "peak GFLOP/s", "pairs/s per GFLOP/s",
           "ns per pixel, operation and pair", "slots per pixel, operation and pack"], rows)
    rows = []
    for network in NETWORKS:
        found = bench.run(f"(pack|variances|run)/{network}")
        for data_type in TYPES:
            pack = found[f"pack/{network}/{data_type}/threads:1"]
            run = found[f"run/{network}/{data_type}/threads:1"]
            images = found[f"variances/{network}/{data_type}/threads:1"]
            rows.append([network, data_type, number(pack["pairs_per_s_per_GFLOPs"]),
                         number(run["pairs_per_s_per_GFLOPs"]), number(images["images_per_s"]),
                         number(pack["pairs_per_s"] / images["images_per_s"])])
    table("Around the tile, one thread",
          ["network", "type", "one pack: pairs/s per GFLOP/s",
           "run of 256 images, preparation included: pairs/s per GFLOP/s",
           "images prepared/s", "pairs in the time of one image's preparation"], rows)


def print_scaling(bench):
    found = bench.run("scale")
    rows = [["/".join(name.split("/")[1:-2]).replace(":", " ").replace("/", ", "),
             number(entry["pairs_per_s"]), number(entry["ns_per_layer_pixel"]),
             number(entry["slots_per_layer_pixel"])] for name, entry in found.items()]
    table("Scaling: layers of 7×7 window and relu, float32, one thread",
          ["", "pairs/s", "ns per pixel, layer and pair", "slots per pixel, layer and pack"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION",
                        help=" ".join(SECTIONS + LONG_SECTIONS))
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/bench"))
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--long", action="store_true", help="also whole runs of the commands")
    arguments = parser.parse_args()
    unknown = set(arguments.sections) - set(SECTIONS + LONG_SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}")
    sections = arguments.sections or SECTIONS + (LONG_SECTIONS if arguments.long else [])

    bench = Bench(arguments.build, arguments.turns)
    runs = commands.Commands(arguments.build)
    print_machine(bench)
    if "networks" in sections:
        print_networks(bench)
    if "operations" in sections:
        print_operations(bench)
    if "scaling" in sections:
        print_scaling(bench)
    if "build" in sections:
        table(*commands.build_rows(runs, bench, number))
    if "memory" in sections:
        table(*commands.memory_rows(runs, number))
    if "forum" in sections:
        table(*commands.forum_rows(runs, number))


if __name__ == "__main__":
    main()
