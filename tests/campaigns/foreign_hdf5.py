#!/usr/bin/python3
"""Campaign on HDF5 data files of other programs: written by h5py in many ways, then damaged, and read by
kernel-build. Whatever the damage, the command ends by itself, in seconds, with a documented exit code, one
line and bounded memory; it never crashes and never hangs.

  tests/campaigns/foreign_hdf5.py [FILES [SEED]]

FILES damaged files (5000), from SEED on (by the clock); prints how they ended, how long the slowest took
and the peak of memory. File number n of seed s is always the same: a failure prints n, and

  tests/campaigns/foreign_hdf5.py --keep FOLDER SEED n

writes it. The short form is part of ctest (tests/end_to_end/foreign_hdf5_test.py)."""

import collections
import concurrent.futures
import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import time
import types

import h5py
import numpy as np

TESTS = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(os.environ.get("GRAMTILE_BIN", TESTS.parent / "build" / "release" / "bin"))
NETWORK = """{"layers": [{"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.3},
  {"type": "relu"}, {"type": "conv2d", "kernel_size": 6, "padding": 0}]}"""
SHAPE = (20, 1, 6, 6)

# docs/cli.md: done; wrong use (a shape that --memory does not hold, a label that is not there); I/O error;
# the images do not suit the network; bad data.
DOCUMENTED = {0, 2, 5, 65, 66}
MEMORY_MIB = 64  # --memory
# The child that looks through a file first may take 512 MiB beside what is mapped (docs/file_format.md, §7).
PEAK_MIB = 512 + MEMORY_MIB
# It may take 5 s of processor time; the clock runs on where other work does.
SECONDS = 70

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, SHAPE, dtype=np.uint8)
LABELS = rng.integers(0, 10, SHAPE[0])


def add_labels_and_texts(f):
    f["y"] = LABELS
    f.attrs["title"] = "images of a test"
    f["X"].attrs["units"] = ["black", "white"]


def plain(path, **options):
    with h5py.File(path, "w", **options) as f:
        f["X"] = IMAGES
        add_labels_and_texts(f)


def stored(path, libver=None, **storage):
    with h5py.File(path, "w", libver=libver) as f:
        f.create_dataset("X", data=IMAGES, **storage)
        add_labels_and_texts(f)


def compact(path):
    with h5py.File(path, "w") as f:
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(SHAPE)
        h5py.h5d.create(f.id, b"X", h5py.h5t.STD_U8LE, space, create).write(h5py.h5s.ALL, h5py.h5s.ALL, IMAGES)
        add_labels_and_texts(f)


def groups(path):
    with h5py.File(path, "w") as f:
        for name in ("train", "test", "empty/deeper/deepest"):
            f.create_group(name)
        f["train/images"], f["train/labels"] = IMAGES, LABELS
        f["soft"], f["hard"] = h5py.SoftLink("/train/images"), f["train"]
        f["nowhere"] = h5py.ExternalLink("elsewhere.h5", "/X")
        f["train"].attrs["of"] = f["train/images"].ref


def many_things(path):
    """A compound table, strings of variable length, references, a scale, an enumeration, a null space."""
    with h5py.File(path, "w") as f:
        f["X"] = IMAGES
        add_labels_and_texts(f)
        f["table"] = np.zeros(7, [("a", "f4"), ("b", "i2", (3,)), ("c", "S5")])
        f.create_dataset("names", data=[f"image {i}" for i in range(20)], dtype=h5py.string_dtype())
        f["references"] = np.array([f["X"].ref, f["y"].ref], dtype=h5py.ref_dtype)
        f["scale"] = np.arange(20)
        f["scale"].make_scale("image")
        f["X"].dims[0].attach_scale(f["scale"])
        f.create_dataset("kind", data=[0, 1], dtype=h5py.enum_dtype({"A": 0, "B": 1}, basetype="i1"))
        f["null"] = h5py.Empty("f4")
        f.create_dataset("ragged", data=np.array([np.arange(n) for n in (3, 5)], dtype=object),
                         dtype=h5py.vlen_dtype("i4"))


def many_links(path):
    with h5py.File(path, "w", libver="latest", track_order=True) as f:
        for i in range(30):
            f[f"array{i}"] = np.arange(i)
        f["X"] = IMAGES
        for i in range(12):
            f["X"].attrs[f"note{i}"] = "x" * i


def matlab(path):
    """As MATLAB v7.3 writes X = uint8(H, W, C, N): a user block with its text, axes in reverse."""
    with h5py.File(path, "w", userblock_size=512) as f:
        f.create_dataset("X", data=IMAGES.transpose(0, 1, 3, 2), chunks=(5, 1, 6, 6), compression="gzip")
        f["X"].attrs["MATLAB_class"] = np.bytes_("uint8")
        f["y"] = LABELS.reshape(1, -1).astype("f8")
        f["y"].attrs["MATLAB_class"] = np.bytes_("double")
    with open(path, "r+b") as f:
        f.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


FORMS = {
    "contiguous": plain,
    "compact": compact,
    "chunked": lambda path: stored(path, chunks=(3, 1, 6, 6)),
    "gzip": lambda path: stored(path, chunks=(7, 1, 6, 6), compression="gzip"),
    "gzip, shuffle, checksum": lambda path: stored(path, chunks=(4, 1, 3, 6), compression="gzip", shuffle=True,
                                                   fletcher32=True),
    "growing, one image a chunk": lambda path: stored(path, chunks=(1, 1, 6, 6), maxshape=(None, 1, 6, 6)),
    "scale-offset": lambda path: stored(path, chunks=(5, 1, 6, 6), scaleoffset=0),
    "user block": lambda path: plain(path, userblock_size=1024),
    "latest": lambda path: plain(path, libver="latest"),
    "latest, chunked": lambda path: stored(path, libver="latest", chunks=(3, 1, 6, 6), maxshape=(None, 1, 6, 6)),
    "latest, gzip": lambda path: stored(path, libver="latest", chunks=(3, 1, 6, 6), compression="gzip"),
    "groups": groups,
    "many things": many_things,
    "many links": many_links,
    "MATLAB v7.3": matlab,
}


def flip_bits(data, rng):
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)


def change_bytes(data, rng):
    for _ in range(rng.choice((1, 2, 4))):
        data[rng.integers(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)))


def truncate(data, rng):
    del data[rng.integers(len(data)):]


def zero_run(data, rng):
    start, size = rng.integers(len(data)), int(rng.choice((4, 8, 32, 512)))
    data[start:start + size] = bytes(len(data[start:start + size]))


def random_block(data, rng):
    start, size = rng.integers(len(data)), int(rng.choice((2, 8, 64, 512)))
    data[start:start + size] = rng.bytes(len(data[start:start + size]))


def large_number(data, rng):
    """Eight bytes as a length or an address of the format could be."""
    start = rng.integers(max(1, len(data) - 8))
    bits = int(rng.choice((8, 16, 24, 31, 32, 40, 63, 64)))
    numbers = ((1 << bits) - 1, 1 << (bits - 1), len(data), len(data) // 2, int(start))
    data[start:start + 8] = numbers[rng.integers(len(numbers))].to_bytes(8, "little")


def copied_block(data, rng):
    size = int(rng.choice((8, 40, 96, 544)))
    source, target = rng.integers(len(data), size=2)
    block = data[source:source + size]
    data[target:target + len(block)] = block


DAMAGES = (flip_bits, change_bytes, truncate, zero_run, random_block, large_number, copied_block)


class Files:
    """The undamaged files, and the damaged ones by seed and number."""

    def __init__(self):
        self.good = {}
        with tempfile.TemporaryDirectory() as folder:
            for name, write in FORMS.items():
                path = pathlib.Path(folder) / "file.h5"
                write(path)
                self.good[name] = path.read_bytes()

    def damaged(self, seed, number):
        rng = np.random.default_rng((seed, number))
        form = list(FORMS)[rng.integers(len(FORMS))]
        data = bytearray(self.good[form])
        # Where half of a file is zeros, half of the damage would fall there: three tries to change anything.
        for _ in range(3):
            damage = DAMAGES[rng.integers(len(DAMAGES))]
            damage(data, rng)
            if data != self.good[form]:
                break
        return f"{form}, {damage.__name__}", bytes(data)


class Runner:
    """kernel-build on one file after the other, in a folder of its own (tests/end_to_end/measured.py)."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="gramtile-foreign-")
        (pathlib.Path(self.folder.name) / "net.json").write_text(NETWORK)
        script = TESTS / "end_to_end" / "measured.py"
        self.process = subprocess.Popen(["/usr/bin/python3", "-S", "-E", str(script)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, data):
        folder = pathlib.Path(self.folder.name)
        (folder / "x.h5").write_bytes(data)
        command = ["/usr/bin/timeout", "-s", "KILL", str(SECONDS), str(BIN / "kernel-build"), "--network",
                   "net.json", "--train", "x.h5", "--out", "k.h5", "--threads", "1", "--memory",
                   f"{MEMORY_MIB}MiB", "--quiet", "--overwrite"]
        self.process.stdin.write(json.dumps({"command": command, "folder": str(folder)}) + "\n")
        self.process.stdin.flush()
        result = types.SimpleNamespace(**json.loads(self.process.stdout.readline()))
        for left in folder.glob("k.h5*"):
            left.unlink()
        return result

    def close(self):
        self.process.communicate()
        self.folder.cleanup()


def problem_of(result):
    """What is wrong with the end of a run, "" when nothing is."""
    lines = result.stderr.splitlines()
    if result.code == 137 or result.seconds > SECONDS:
        return "hung"
    if result.code < 0 or result.code > 128 or result.code == 70:
        return f"crashed ({result.code})"
    if result.code not in DOCUMENTED:
        return f"exit code {result.code}"
    if result.code != 0 and (len(lines) != 1 or not lines[0].startswith("kernel-build: ")):
        return f"said {lines}"
    if result.peak_mib > PEAK_MIB:
        return f"took {result.peak_mib:.0f} MiB"
    return ""


class Campaign:
    """Counts how runs end. Undamaged files have to be read."""

    def __init__(self):
        self.files = Files()
        self.ends = collections.Counter()
        self.refusals = collections.Counter()  # by the probe
        self.problems = []
        self.slowest = self.peak = (0.0, "none")

    def run(self, seed, count, workers=os.cpu_count() or 1):
        runners = queue.SimpleQueue()
        made = [Runner() for _ in range(workers)]
        for runner in made:
            runners.put(runner)

        def one(number):
            what, data = self.files.damaged(seed, number)
            runner = runners.get()
            try:
                return what, runner.run(data)
            finally:
                runners.put(runner)

        try:
            self.check_good(made[0])
            with concurrent.futures.ThreadPoolExecutor(workers) as pool:
                for number, (what, result) in enumerate(pool.map(one, range(count))):
                    self.count(f"seed {seed}, file {number} ({what})", result)
        finally:
            for runner in made:
                runner.close()

    def check_good(self, runner):
        for name, data in self.files.good.items():
            result = runner.run(data)
            expected = 66 if name == "scale-offset" else 0  # of a filter that is refused
            if result.code != expected:
                self.problems.append(f"undamaged, {name}: {result.code}: {result.stderr}")

    def count(self, label, result):
        self.ends[result.code] += 1
        for word in ("crashes on it", "to look through it"):
            if word in result.stderr:
                self.refusals["crash" if "crashes" in word else
                              "hunger" if "MiB to look" in result.stderr else "hang"] += 1
        self.slowest = max(self.slowest, (result.seconds, label))
        self.peak = max(self.peak, (result.peak_mib, label))
        problem = problem_of(result)
        if problem:
            self.problems.append(f"{label}: {problem}")

    def report(self):
        ends = ", ".join(f"{code}: {count}" for code, count in sorted(self.ends.items()))
        told = ", ".join(f"{self.refusals[what]} {what}" for what in ("crash", "hang", "hunger"))
        return (f"{sum(self.ends.values())} damaged HDF5 files: exit codes {ends}; of the library, told by the "
                f"probe: {told}; slowest {self.slowest[0]:.1f} s, peak {self.peak[0]:.0f} MiB; "
                f"{len(self.problems)} wrong")


def main(arguments):
    if arguments[:1] == ["--keep"]:
        folder, seed, number = pathlib.Path(arguments[1]), int(arguments[2]), int(arguments[3])
        what, data = Files().damaged(seed, number)
        (folder / f"seed{seed}_file{number}.h5").write_bytes(data)
        print(what)
        return 0
    count = int(arguments[0]) if arguments else 5000
    seed = int(arguments[1]) if len(arguments) > 1 else int(time.time())
    campaign = Campaign()
    campaign.run(seed, count)
    print(f"seed {seed}: {campaign.report()}")
    print(f"slowest: {campaign.slowest[1]}; most memory: {campaign.peak[1]}")
    print("\n".join(campaign.problems[:20]), end="\n" if campaign.problems else "")
    return 1 if campaign.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
