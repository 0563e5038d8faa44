"""What the tests of the Python package share. They run against whatever `import gramtile` finds: the installed
package, or build/…/python on PYTHONPATH, with the commands on PATH."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import numpy as np

TESTS = pathlib.Path(__file__).resolve().parents[1]
SMALL_GOLDEN = sorted((TESTS / "golden").glob("small_*.json"))
LARGE_GOLDEN_DIR = pathlib.Path(os.environ.get("GRAMTILE_GOLDEN_DIR", TESTS.parents[1] / "shared" / "golden"))


def promised(dtype):
    """{"kernel": …, "jacobian": …, "gradient": …}: what is promised (engine/network/promised_accuracy.hpp)."""
    header = (TESTS.parent / "engine/network/promised_accuracy.hpp").read_text()
    numbers = re.search(rf"kPromised{dtype.capitalize()}{{([^}}]*)}}", header).group(1)
    return {name: float(value) for name, value in re.findall(r"\.(\w+) = ([0-9.e-]+)", numbers)}


#: A network with every kind of layer and of parameter, for images [2, 8, 8].
EVERYTHING = {
    "name": "everything",
    "parameters": {"w": 1.5, "b": {"value": 0.3, "trainable": False}},
    "layers": [
        {"type": "conv2d", "kernel_size": 3, "var_weight": {"parameter": "w", "scale": 2}, "var_bias": "b"},
        {"type": "relu"},
        {"type": "sum", "branches": [[], [{"type": "conv2d", "kernel_size": [3, 5], "padding": "circular"},
                                          {"type": "leaky_relu", "negative_slope": 0.1}]]},
        {"type": "mixture", "logits": [0.2, -0.4], "branches": [
            [{"type": "conv2d", "kernel_size": 1, "var_weight": 0.7}], [{"type": "erf"}]]},
        {"type": "repeat", "times": 2, "layers": [{"type": "conv2d", "kernel_size": 2, "var_bias": 0.1},
                                                  {"type": "relu"}]},
        {"type": "dense", "var_weight": "w"}],
}


def images(seed, num_images, shape=(2, 8, 8), dtype=np.float64):
    """Images of every sign, or bytes."""
    rng = np.random.default_rng(seed)
    if dtype == np.uint8:
        return rng.integers(0, 256, (num_images, *shape), np.uint8)
    return rng.normal(size=(num_images, *shape)).astype(dtype)


class GoldenCase:
    """Exact K, its jacobian and a gradient, made outside of this project."""

    def __init__(self, path):
        self.name = path.name
        if path.suffix == ".json":
            self._read(json.loads(path.read_text()))
        else:
            import h5py
            with h5py.File(path) as file:
                names = file["dK"].attrs["parameters"]
                self._read({**{k: file[k][...] for k in file}, **dict(file.attrs), "parameters": names})

    def _read(self, data):
        text = data["network"]
        self.network = text if isinstance(text, str) else json.dumps(text)
        shape = list(data.get("shape", np.shape(data["X"])[1:]))
        self.x = np.array(data["X"], float).reshape(-1, *shape)
        z = np.array(data.get("Z", []), float)
        self.z = z.reshape(-1, *shape) if z.size else None
        size = (len(self.x), len(self.x if self.z is None else self.z))
        self.k = np.array(data["K"], float).reshape(size)
        self.parameters = [n.decode() if isinstance(n, bytes) else str(n) for n in data["parameters"]]
        self.jacobian = np.array(data["dK"], float).reshape(-1, *size)
        self.upstream = np.array(data["upstream"], float).reshape(size)
        self.gradient = np.array(data["gradient"], float)

    def by_parameter(self, names):
        """The jacobian [P, N, M] and the gradient [P], in the order of these names."""
        order = [self.parameters.index(name) for name in names]
        return self.jacobian[order], self.gradient[order]

    def gradient_room(self, names, dtype, upstream_rounding=0.0):
        """How far a gradient of that dtype may be off, [P]; `upstream_rounding`: of entries of the upstream."""
        scales = np.abs(self.by_parameter(names)[0]).max((1, 2))
        return (promised(dtype)["gradient"] + upstream_rounding) * scales * np.abs(self.upstream).sum()


def golden_cases():
    """The small cases, which travel with the code, and the large ones, where they are."""
    large = sorted(LARGE_GOLDEN_DIR.rglob("*.h5")) if LARGE_GOLDEN_DIR.is_dir() else []
    if os.environ.get("CI") and not large:
        raise AssertionError(f"there are no golden files in {LARGE_GOLDEN_DIR}")
    return [GoldenCase(path) for path in SMALL_GOLDEN + large]


class WithinTest(unittest.TestCase):
    def within(self, found, exact, room):
        """Checks that `found` is `exact` but for `room`, entry by entry."""
        self.assertEqual(np.shape(found), np.shape(exact))
        difference = np.abs(np.asarray(found) - exact)
        self.assertTrue((difference <= room).all(), f"{difference.max()}")


#: Rounding of an upstream that is given in this type.
UPSTREAM_ROUNDING = {"float32": 2.0**-24, "float64": 0.0}


class FolderTest(unittest.TestCase):
    """A test with a folder of its own, self.dir, and the commands."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def command(self, name, *arguments):
        """Runs a command in the folder; fails unless it ends well. Returns what it printed."""
        path = shutil.which(name)
        self.assertIsNotNone(path, f"{name} is not on PATH")
        done = subprocess.run([path, *map(str, arguments)], cwd=self.dir, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


def peak_growth(call):
    """By how much a call raises the peak of this process's resident memory [bytes], from what it is before."""
    status = pathlib.Path("/proc/self/status")

    def field(name):
        return int(status.read_text().split(f"{name}:")[1].split()[0]) * 1024

    from gramtile import _engine

    _engine.keep_freed_buffers(0)  # what calls before have left would hide what this one takes
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = field("VmRSS")
    call()
    return field("VmHWM") - before
