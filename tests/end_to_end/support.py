"""What the end-to-end tests share: running a command, making inputs, checking how a command ended."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import types
import unittest

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Run by hand, a script takes the release build.
BIN = pathlib.Path(os.environ.get("GRAMTILE_BIN", ROOT / "build" / "release" / "bin"))
# The time of creation is stored in a file; fixed, two runs can be compared byte for byte.
os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
LONG = os.environ.get("GRAMTILE_LONG") == "1"
# MNIST's test images, where the checkout stands beside them.
MNIST = pathlib.Path(os.environ.get("GRAMTILE_GOLDEN_DIR", ROOT.parent / "shared" / "golden")
                     ).parent / "data" / "mnist"

LARGE_CASES = {"convnet_gp", "convnet_gp_tied", "dilation", "mixture", "readme_rgb", "residual_cnn_gp",
               "resnet32", "activations"}

def promised():
    """The accuracy that the engine promises, {"float32": {"kernel": …, "jacobian": …, "gradient": …}, "float64": …}."""
    text = (ROOT / "engine" / "network" / "promised_accuracy.hpp").read_text()
    constants = re.findall(r"kPromised(Float\d+)\s*\{([^}]*)\}", text)
    return {name.lower(): {field: float(value) for field, value in re.findall(r"\.(\w+) = ([\de.+-]+)", body)}
            for name, body in constants}


PROMISED = promised()

# Small and quick: 12×12 images, two convolutions.
NETWORK = """{"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.3}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 12, "padding": 0, "var_weight": 1.1, "var_bias": 0.2}]}"""


def golden_files(folder):
    """The small golden cases of the repository, written to `folder` as HDF5; and the large golden files,
    where the checkout has them: missing ones are named, and where CI is set they are an error."""
    for case in sorted((ROOT / "tests" / "golden").glob("small_*.json")):
        values = json.loads(case.read_text())
        rows, columns, names = values["num_rows"], values["num_columns"], values["parameters"]
        with h5py.File(folder / f"{case.stem}.h5", "w") as f:
            f.attrs["network"] = json.dumps(values["network"])
            f["X"] = np.reshape(values["X"], (rows, *values["shape"]))
            if values["Z"]:
                f["Z"] = np.reshape(values["Z"], (columns, *values["shape"]))
            for name in ("K", "upstream"):
                f[name] = np.reshape(values[name], (rows, columns))
            f["dK"] = np.reshape(values["dK"], (len(names), rows, columns))
            f["dK"].attrs["parameters"] = names
            f["gradient"] = values["gradient"]
    large = pathlib.Path(os.environ.get("GRAMTILE_GOLDEN_DIR", ROOT.parent / "shared" / "golden"))
    files = sorted(folder.glob("small_*.h5")) + sorted(large.glob("*.h5")) + sorted(large.glob("activations/*.h5"))
    missing = sorted(LARGE_CASES - {file.stem for file in files})
    print(f"golden files: {len(files)}" + (f"; NOT CHECKED, for want of {large}: {missing}" if missing else ""))
    if missing and os.environ.get("CI"):
        raise AssertionError(f"golden files {missing} are missing in {large}, and CI is set")
    return files


def command(name, *arguments):
    return [str(BIN / name), *(str(a) for a in arguments)]


class CommandTest(unittest.TestCase):
    """A test with a folder of its own, `self.dir`, and a way to run the commands in it."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="gramtile-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def run_command(self, name, *arguments, code=0, env=None, timeout=300):
        """Runs a command in self.dir; its exit code has to be `code`."""
        result = subprocess.run(command(name, *arguments), cwd=self.dir, text=True, timeout=timeout,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, **(env or {})})
        self.assertEqual(result.returncode, code,
                         f"{name} {' '.join(map(str, arguments))}\n{result.stdout}{result.stderr}")
        return result

    def assert_fails(self, code, words, name, *arguments, **keywords):
        """The command ends with `code` and one line on stderr that holds every one of `words`."""
        result = self.run_command(name, *arguments, code=code, **keywords)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertTrue(lines[0].startswith(f"{name}: "), lines[0])
        for word in words:
            self.assertIn(word, lines[0])
        return lines[0]

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    def network(self, text=NETWORK):
        return self.write("net.json", text)

    def images(self, name, count, seed=0, shape=(1, 12, 12)):
        """Random images in [0, 1) with black corners, as float32 .npy."""
        pixels = np.random.default_rng(seed).random((count, *shape), dtype=np.float32)
        pixels[:, :, :3, :3] = 0
        np.save(self.dir / name, pixels)
        return self.dir / name

    def factors(self, count):
        """Factors of rank 2 of an upstream gradient of `count` images: u.h5:/U."""
        with h5py.File(self.dir / "u.h5", "w") as f:
            f["U"] = np.random.default_rng(3).standard_normal((count, 2))

    def files(self):
        """Everything in self.dir, with contents."""
        return {str(p.relative_to(self.dir)): p.read_bytes()
                for p in sorted(self.dir.rglob("*")) if p.is_file()}


class Measured:
    """Runs commands in `folder` with their time [s] and their peak of resident memory [MiB]."""

    def __init__(self, folder):
        self.folder = str(folder)
        script = pathlib.Path(__file__).parent / "measured.py"
        self.process = subprocess.Popen(["/usr/bin/python3", "-S", "-E", str(script)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, name, *arguments):
        line = json.dumps({"command": command(name, *arguments), "folder": self.folder})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return types.SimpleNamespace(**json.loads(self.process.stdout.readline()))

    def close(self):
        self.process.communicate()


def worst(errors):
    """The largest of some errors; NaN when one of them is (Python's max() drops a NaN by its place)."""
    return np.max(list(errors))


def relative_error(actual, expected):
    return np.max(np.abs(actual - expected) / np.abs(expected))


def main():
    if not (BIN / "kernel-build").exists():
        print(f"no commands in {BIN}")
        raise SystemExit(1)
    unittest.main()
