"""Files that we write, opened whole by readers that walk through everything in them: GNU Octave's load, xarray over
netCDF4. Both stop or crash at strings of fixed length. Where one is not installed, this is said aloud."""

import importlib.util
import shutil
import subprocess

import h5py
import numpy as np

from support import CommandTest, main

XARRAY = """
import sys, xarray
with xarray.open_dataset(sys.argv[1], engine="netcdf4") as f:
    f.load()
    print("names:", *sorted(f.variables))
    print("axes:", *sorted(f.dims))
"""
OCTAVE = "s = load('%s'); printf('names:'); printf(' %%s', fieldnames(s){:}); printf('\\n'); fflush(stdout);"


def has_module(name):
    """As Debian's Python, which runs this test, sees it."""
    return importlib.util.find_spec(name) is not None


class ReadersTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.images("x.npy", 20)
        np.save(self.dir / "y.npy", np.arange(20) % 3)
        np.save(self.dir / "u.npy", np.ones((20, 20)))
        common = ("--network", "net.json", "--train", "x.npy", "--train-labels", "y.npy", "--tile", "8", "--quiet")
        for name, command, *more in (
                ("plain", "kernel-build", "--test", "x.npy#:5", "--validation", "x.npy#7:9,1:3"),
                ("cnn-gp", "kernel-build", "--layout", "cnn-gp"),
                ("share", "kernel-build", "--shard", "1/2"),
                ("gradient", "kernel-grad", "--upstream", "u.npy"),
                ("jacobian", "kernel-grad", "--jacobian", "--with-kernel")):
            self.run_command(command, *common, *more, "--out", f"{name}.h5")
        self.outputs = sorted(self.dir.glob("*.h5"))
        self.assertEqual(len(self.outputs), 5)

    def test_every_dataset_is_of_plain_numbers_and_its_axes_have_scales(self):
        for path in self.outputs:
            with h5py.File(path) as f:
                for name, dataset in f.items():
                    self.assertIn(dataset.dtype.kind, "iuf", f"{path.name}: {name}")
                    if path.stem != "share":
                        for axis in dataset.dims:
                            self.assertTrue(h5py.h5ds.is_scale(dataset.id) or len(axis) == 1, f"{path.name}: {name}")

    def test_names_of_parameters_and_bounds_are_attributes_of_the_root(self):
        names = ["conv0.var_weight", "conv0.var_bias", "conv1.var_weight", "conv1.var_bias"]
        for path in self.outputs:
            with h5py.File(path) as f:
                self.assertEqual(list(f.attrs["parameter_names"]), names)
                self.assertEqual(list(f.attrs["tile_bound_names"]),
                                 ["row_start", "row_stop", "column_start", "column_stop"])
                if "parameters" in f:
                    self.assertEqual(list(f["parameters"]), [0, 1, 2, 3])

    def check_names(self, path, output):
        found = next(line for line in output.splitlines() if line.startswith("names:")).split()[1:]
        with h5py.File(path) as f:
            self.assertEqual(sorted(found), sorted(f))

    def test_xarray_over_netcdf4_loads_them_whole(self):
        if not (has_module("xarray") and has_module("netCDF4")):
            self.skipTest("NOT CHECKED: python3-xarray or python3-netcdf4 is not installed")
        for path in self.outputs:
            if path.stem == "share":
                continue  # its datasets have no axes to speak of
            result = subprocess.run(["/usr/bin/python3", "-c", XARRAY, str(path)], text=True, timeout=300,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.check_names(path, result.stdout)

    def test_octave_loads_them_whole(self):
        if shutil.which("octave-cli") is None:
            self.skipTest("NOT CHECKED: octave is not installed")
        for path in self.outputs:
            # Octave's own end fails in some containers, after all was printed: its exit code says nothing.
            result = subprocess.run(["octave-cli", "--eval", OCTAVE % path], text=True, timeout=300,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertNotIn("error while reading", result.stderr)
            self.check_names(path, result.stdout)


if __name__ == "__main__":
    main()
