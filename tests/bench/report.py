#!/usr/bin/env python3
"""Runs gramtile_bench and the commands and prints Markdown tables; called by run.sh.

Every figure is the median of at least 5 turns or runs in which what is compared alternates, but for
runs of minutes, which happen once. With --update the tables also replace those between the marks of
docs/performance.md, docs/predict.md and docs/decisions/forward_pass.md.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import time

import commands
import solving

SECTIONS = ["networks", "operations", "scaling"]
LONG_SECTIONS = ["build", "memory", "forum", "solve"]
NETWORKS = ["convnet-gp", "residual-cnn-gp", "resnet32-gp", "resnet32-gp-cifar10"]
OPERATIONS = ["window3", "window7", "relu", "window3_relu", "window7_relu"]
TYPES = ["float32", "float64"]
DOCS = pathlib.Path(__file__).parents[2] / "docs"


def document_of(section):
    other = {"operations": "decisions/forward_pass.md", "solve": "predict.md"}
    return DOCS / other.get(section, "performance.md")


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


class Text:
    """What a section printed, for the document."""

    def __init__(self):
        self.lines = []

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def table(self, title, header, rows):
        self.say(f"\n**{title}**\n")
        self.say("| " + " | ".join(header) + " |")
        self.say("|" + "---|" * len(header))
        for row in rows:
            self.say("| " + " | ".join(row) + " |")

    def replace_in_document(self, section):
        """Replaces what stands between `<!-- run.sh SECTION -->` and `<!-- end -->`."""
        document = document_of(section)
        before, mark, rest = document.read_text().partition(f"<!-- run.sh {section} -->\n")
        _, end, after = rest.partition("<!-- end -->\n")
        if not mark or not end:
            sys.exit(f"{document}: no marks for {section}")
        document.write_text(before + mark + "\n".join(self.lines) + "\n" + end + after)


def number(value, digits=3):
    """A count with `digits` figures and thousands apart; "" for what was not measured."""
    if value is None:
        return ""
    if abs(value) >= 1000:
        places = max(0, len(str(int(abs(value)))) - digits)
        return f"{round(value, -places):,.0f}"
    return f"{value:.{digits}g}"


# Virtual machines hide the model behind "AMD EPYC".
AMD_FAMILIES = {"23": "Zen 1 or 2", "25": "Zen 3 or 4", "26": "Zen 5"}


def processor():
    """Such as "2 virtual cores of Intel Xeon Processor", "2 virtual cores of AMD EPYC, Zen 5"."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    named = dict(map(str.strip, line.split(":", 1)) for line in reversed(info.splitlines())
                 if ":" in line)
    model = named.get("model name", "an unknown processor").replace("(R)", "")
    if "AMD" in model and named.get("cpu family") in AMD_FAMILIES:
        model += ", " + AMD_FAMILIES[named["cpu family"]]
    virtual = "virtual " if " hypervisor" in info else ""
    return f"{os.cpu_count()} {virtual}cores of {model}"


def say_other_work(text):
    """While nothing of ours runs."""
    def busy_ticks():
        user, nice, system, _idle, _wait, *others = map(
            int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
        return user + nice + system + sum(others)

    before, seconds = busy_ticks(), 2
    time.sleep(seconds)
    busy = (busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds
    if busy > 0.1:
        text.say(f"The machine was not quiet: other work kept {busy:.1f} cores busy as this began.")


def say_machine(text, bench):
    bench.run("operation/window3/float32", turns=1)
    context = bench.context
    level2 = next((c["size"] >> 20 for c in context["caches"] if c["level"] == 2), "?")
    text.say(f"\n{datetime.date.today()}, {processor()} ({level2} MiB L2), instruction set "
             f"{context['instruction_set']}, peak of {context['peak_instruction_set']}; "
             f"{context['images']}; medians of {bench.turns} turns.")
    say_other_work(text)


def say_whole_runs(text, rows, runs):
    """A section that needs the commands alone."""
    text.say(f"\n{datetime.date.today()}, {processor()}; MNIST's test images; medians of "
             f"{commands.REPEATS} runs, of more than {number(commands.LONG_RUN)} images one run.")
    say_other_work(text)
    text.table(*rows(runs, number))


def say_networks(text, bench):
    header = ["network", "type", "pairs/s", "peak GFLOP/s", "pairs/s per GFLOP/s", "useful operations per slot",
              "2 threads / 1", "the same of the peak", "gradient / forward", "jacobian / forward"]
    rows, useful, forced = [], {}, []
    for network in NETWORKS:
        found = bench.run(f"(tile|threads|gradient_cost|jacobian_cost)/{network}")
        for data_type in TYPES:
            def value(kind, counter, threads=1):
                return found.get(f"{kind}/{network}/{data_type}/threads:{threads}", {}).get(counter)

            useful[network, data_type] = value("tile", "useful_per_slot")
            forced.append((network, data_type, value("tile", "target_peak_GFLOPs"),
                           value("tile", "pairs_per_s_per_target_GFLOPs")))
            rows.append([network, data_type, *(number(value(*counter)) for counter in (
                ("tile", "pairs_per_s"), ("tile", "peak_GFLOPs"), ("tile", "pairs_per_s_per_GFLOPs"),
                ("tile", "useful_per_slot"), ("threads", "ratio", 2), ("threads", "peak_ratio", 2),
                ("gradient_cost", "cost"), ("jacobian_cost", "cost")))])
    text.table("Networks: one tile of 128 × 128 pairs, one thread", header, rows)
    if forced[0][2] is not None:
        text.table("The same by the peak of the instruction set in use, one thread",
              ["network", "type", "its peak GFLOP/s", "pairs/s per GFLOP/s"],
              [[n, t, number(p), number(r)] for n, t, p, r in forced])
    rate = useful["resnet32-gp", "float32"] / useful["convnet-gp", "float32"]
    text.say(f"\nUseful-operation rate of resnet32-gp over that of convnet-gp, float32: {rate:.2f}.")


def say_operations(text, bench):
    rows = []
    for network in OPERATIONS:
        found = bench.run(f"operation/{network}")
        for data_type in TYPES:
            entry = found[f"operation/{network}/{data_type}/threads:1"]
            rows.append([network, data_type, number(entry["pairs_per_s"]),
                         number(entry["peak_GFLOPs"]), number(entry["pairs_per_s_per_GFLOPs"]),
                         number(entry["ns_per_layer_pixel"]),
                         number(entry["slots_per_layer_pixel"])])
    text.table("Operations: one pack, one thread",
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
    text.table("Around the tile, one thread",
          ["network", "type", "one pack: pairs/s per GFLOP/s",
           "run of 256 images, preparation included: pairs/s per GFLOP/s",
           "images prepared/s", "pairs in the time of one image's preparation"], rows)


def say_scaling(text, bench):
    found = bench.run("scale")
    rows = [["/".join(name.split("/")[1:-2]).replace(":", " ").replace("/", ", "),
             number(entry["pairs_per_s"]), number(entry["ns_per_layer_pixel"]),
             number(entry["slots_per_layer_pixel"])] for name, entry in found.items()]
    text.table("Scaling: layers of 7×7 window and relu, float32, one thread",
          ["", "pairs/s", "ns per pixel, layer and pair", "slots per pixel, layer and pack"], rows)


def say_solving(text, build, turns):
    text.say(f"\n{datetime.date.today()}, {processor()}; medians of {turns} turns.")
    say_other_work(text)
    for table in solving.factor_rows(build, turns, number):
        text.table(*table)
    text.table(*solving.run_rows(build, number))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION",
                        help=" ".join(SECTIONS + LONG_SECTIONS))
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/bench"))
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--long", action="store_true", help="also whole runs of the commands")
    parser.add_argument("--update", action="store_true", help="put the tables in the document")
    arguments = parser.parse_args()
    unknown = set(arguments.sections) - set(SECTIONS + LONG_SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}")
    sections = arguments.sections or SECTIONS + (LONG_SECTIONS if arguments.long else [])

    bench = Bench(arguments.build, arguments.turns)
    runs = commands.Commands(arguments.build)
    say = {"networks": lambda text: say_networks(text, bench),
           "operations": lambda text: say_operations(text, bench),
           "scaling": lambda text: say_scaling(text, bench),
           "build": lambda text: text.table(*commands.build_rows(runs, bench, number)),
           "memory": lambda text: say_whole_runs(text, commands.memory_rows, runs),
           "solve": lambda text: say_solving(text, arguments.build, min(arguments.turns, 5)),
           "forum": lambda text: say_whole_runs(text, commands.forum_rows, runs)}
    for section in sections:
        text = Text()
        if section not in ("memory", "forum", "solve"):
            say_machine(text, bench)
        say[section](text)
        if arguments.update:
            text.replace_in_document(section)


if __name__ == "__main__":
    main()
