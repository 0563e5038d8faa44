"""What kernel-build writes, opened as other people open it: h5py, numpy's memmap, h5dump."""

import json
import shutil
import subprocess
import unittest

import h5py
import numpy as np

from support import ROOT, CommandTest, main


class BuildTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        rng = np.random.default_rng(4)
        with h5py.File(self.dir / "data.h5", "w") as f:
            f["X"] = rng.random((50, 1, 12, 12))
            f["Z"] = rng.random((21, 1, 12, 12))
        self.images("test.npy", 9, seed=3)

    def build(self, *more, out="k.h5"):
        self.run_command("kernel-build", "--network", "net.json", "--train", "data.h5:/X#5:45",
                         "--validation", "data.h5:/Z", "--test", "test.npy", "--out", out,
                         "--dtype", "float64", *more)
        return self.dir / out

    def test_every_matrix_is_there_with_its_shape_and_type(self):
        with h5py.File(self.build("--tile", "16")) as f:
            shapes = {n: f[n].shape for n in ("Kxx", "Kxvx", "Kxtx", "Kv_diag", "Kt_diag")}
            self.assertEqual(shapes, {"Kxx": (40, 40), "Kxvx": (21, 40), "Kxtx": (9, 40),
                                      "Kv_diag": (21,), "Kt_diag": (9,)})
            for name in shapes:
                self.assertEqual(f[name].dtype, np.dtype("<f8"))
                self.assertTrue(np.all(np.isfinite(f[name][...])))
            kxx = f["Kxx"][...]
        self.assertTrue(np.array_equal(kxx, kxx.T))
        self.assertGreater(np.linalg.eigvalsh(kxx).min(), 0)

    def test_the_diagonals_are_those_of_the_symmetric_matrix(self):
        self.run_command("kernel-build", "--network", "net.json", "--train", "test.npy", "--test",
                         "test.npy", "--out", "same.h5", "--dtype", "float64")
        with h5py.File(self.dir / "same.h5") as f:
            self.assertTrue(np.array_equal(np.diag(f["Kxx"][...]), f["Kt_diag"][...]))

    def test_entries_do_not_depend_on_tile_size_or_threads(self):
        expected = None
        for tile in (8, 13, 64):
            for threads in (1, 3):
                with h5py.File(self.build("--tile", tile, "--threads", threads, "--overwrite")) as f:
                    found = [f[n][...] for n in ("Kxx", "Kxvx", "Kxtx", "Kv_diag", "Kt_diag")]
                expected = expected or found
                for a, b in zip(found, expected):
                    self.assertTrue(np.array_equal(a, b))

    def test_a_permuted_data_set_gives_the_permuted_matrix(self):
        order = np.random.default_rng(5).permutation(40)
        with h5py.File(self.dir / "data.h5") as f:
            np.save(self.dir / "permuted.npy", f["X"][5:45][order])
        self.run_command("kernel-build", "--network", "net.json", "--train", "permuted.npy",
                         "--out", "p.h5", "--dtype", "float64")
        with h5py.File(self.build()) as k, h5py.File(self.dir / "p.h5") as p:
            self.assertTrue(np.array_equal(k["Kxx"][...][np.ix_(order, order)], p["Kxx"][...]))

    def test_attributes_say_where_the_matrix_comes_from(self):
        with h5py.File(self.build()) as f:
            attributes = dict(f.attrs)
            self.assertEqual(f["complete"][()], 1)
        text = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
        self.assertEqual(text["data_type"], "float64")
        self.assertIn("layers", json.loads(text["network"]))
        self.assertIn("kernel-build", text["command"])
        self.assertNotIn("--out", text["command"])
        self.assertEqual(list(text["train_range"]), [5, 45])
        self.assertRegex(text["program_version"], r"^\d+\.\d+\.\d+$")

    def test_labels_are_carried_along(self):
        subprocess.run(["/usr/bin/python3", str(ROOT / "data" / "make_example.py"), "example",
                        "--train", "30", "--test", "10"], cwd=self.dir, check=True,
                       stdout=subprocess.DEVNULL)
        self.run_command("kernel-build", "--network", "convnet-gp", "--train", "example", "--test",
                         "example", "--out", "k.h5")
        with h5py.File(self.dir / "k.h5") as f:
            names = [n for n in f if "label" in n]
            self.assertEqual(len(names), 2, list(f))
            for name in names:
                self.assertTrue(np.all((f[name][...] >= 0) & (f[name][...] < 10)))

    def test_memmap_reads_the_tiles_without_hdf5(self):
        """The recipe of docs/file_format.md: chunk (i, j) begins at offset + (i·columns + j)·tile²."""
        with h5py.File(self.build("--tile", "16")) as f:
            kxx = f["Kxx"]
            expected, offset = kxx[...], int(kxx.attrs["offset"])
            tile = int(kxx.attrs["chunk_shape"][0])
        blocks = -(-40 // tile)
        stored = np.memmap(self.dir / "k.h5", dtype="<f8", mode="r", offset=offset,
                           shape=(blocks, blocks, tile, tile))
        dense = stored.transpose(0, 2, 1, 3).reshape(blocks * tile, blocks * tile)[:40, :40]
        self.assertTrue(np.array_equal(dense, expected))

    @unittest.skipUnless(shutil.which("h5dump"), "h5dump is not installed")
    def test_h5dump_reads_it(self):
        result = subprocess.run(["h5dump", "-d", "/Kt_diag", str(self.build())], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("H5T_IEEE_F64LE", result.stdout)

    def test_data_larger_than_the_memory_bound_works(self):
        """24,000 values per image as float64: 200 images are 38 MiB, the bound is 24 MiB."""
        self.write("big.json", '{"layers": [{"type": "conv2d", "kernel_size": 1}, {"type": "relu"},'
                               '{"type": "conv2d", "kernel_size": 40, "padding": 0}]}')
        self.images("big.npy", 200, seed=6, shape=(15, 40, 40))
        for memory, out in (("24MiB", "small.h5"), ("1GiB", "large.h5")):
            self.run_command("kernel-build", "--network", "big.json", "--train", "big.npy", "--out",
                             out, "--memory", memory, "--tile", "8", "--threads", "2")
        with h5py.File(self.dir / "small.h5") as a, h5py.File(self.dir / "large.h5") as b:
            self.assertTrue(np.array_equal(a["Kxx"][...], b["Kxx"][...]))


if __name__ == "__main__":
    main()
