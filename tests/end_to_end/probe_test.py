"""Files on which the HDF5 library crashes, hangs or takes gigabytes, and data that leads out of its file: exit
code 66 and one line, in seconds and little memory (io/hdf5/probe.hpp)."""

import os
import pathlib
import struct
import unittest

import h5py
import numpy as np

from support import ROOT, CommandTest, Measured, main

CRASHING = ROOT.parent / "shared" / "faults" / "data_crash_m8399.h5"
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 1, 12, 12), dtype=np.uint8)
MIB = 64
CRASH, HANG, HUNGER = "crashes on it", "takes more than 5 s", "wants more than 512 MiB"


class ProbeTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.measured = Measured(self.dir)
        self.addCleanup(self.measured.close)

    def build(self, source):
        return self.measured.run("kernel-build", "--network", "net.json", "--train", source, "--out", "k.h5",
                                 "--threads", "1", "--overwrite")

    def assert_read(self, source):
        result = self.build(source)
        self.assertEqual(result.code, 0, result.stderr)

    def assert_refused(self, source, words, seconds=3):
        """`seconds` of this machine when it has nothing else to do; tenfold is allowed."""
        result = self.build(source)
        self.assertEqual(result.code, 66, result.stderr)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertIn(words, lines[0])
        self.assertIn(pathlib.Path(source.split(":")[0]).name, lines[0])
        self.assertLess(result.seconds, 10 * seconds)
        self.assertLess(result.peak_mib, MIB)
        self.assertFalse((self.dir / "k.h5").exists())
        print(f"\n{words}: {result.seconds:.2f} s, {result.peak_mib:.0f} MiB", end=" ", flush=True)

    def with_a_text(self):
        """A file whose one attribute lies in a global heap; and where the heap's first object has its size."""
        with h5py.File(self.dir / "good.h5", "w") as f:
            f["X"] = IMAGES
            f.attrs["title"] = "images of a test"
        self.assert_read("good.h5")
        (self.dir / "k.h5").unlink()
        data = (self.dir / "good.h5").read_bytes()
        return data, data.index(b"GCOL") + 24

    def patched(self, data, at, number, name="bad.h5"):
        data = bytearray(data)
        struct.pack_into("<Q", data, at, number)
        (self.dir / name).write_bytes(data)

    def test_a_heap_that_crashes_the_library(self):
        data, at = self.with_a_text()
        for size in (2**16, 2**32, 2**63):
            self.patched(data, at, size)
            self.assert_refused("bad.h5", CRASH)

    def test_a_heap_that_hangs_the_library(self):
        data, at = self.with_a_text()
        self.patched(data, at, 2**64 - 16)
        self.assert_refused("bad.h5", HANG, seconds=6)

    def test_a_heap_that_takes_all_memory(self):
        """A gigabyte that is not there, in a file with a hole of that size."""
        with h5py.File(self.dir / "bad.h5", "w") as f:
            f["X"] = IMAGES
            early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            early.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            h5py.h5d.create(f.id, b"hole", h5py.h5t.STD_U8LE, h5py.h5s.create_simple((1 << 30,)), early)
        with open(self.dir / "bad.h5", "r+b") as f:
            f.seek(f.read(1 << 16).index(b"HEAP") + 8)  # extent of the root's local heap
            f.write(struct.pack("<Q", 900 << 20))
        self.assert_refused("bad.h5", HUNGER)

    def test_a_file_that_was_found_to_crash_it(self):
        if not CRASHING.exists():
            self.assertFalse(os.environ.get("CI"), f"{CRASHING} is missing, and CI is set")
            self.skipTest(f"{CRASHING} is not there")
        (self.dir / "found.h5").write_bytes(CRASHING.read_bytes())
        self.assert_refused("found.h5", CRASH)

    def test_what_is_freed_though_it_was_never_set(self):
        """A group of many links with a flipped bit in its heap: whether the library crashes depends on what its
        memory held before. Each flip is refused, and some of them because it crashes."""
        with h5py.File(self.dir / "good.h5", "w", libver="latest") as f:
            for i in range(30):
                f[f"array{i}"] = np.arange(i)
            f["X"] = IMAGES
        data = (self.dir / "good.h5").read_bytes()
        at, crashes = data.index(b"FHDB"), 0
        for byte in range(at, at + 400, 9):
            flipped = bytearray(data)
            flipped[byte] ^= 4
            (self.dir / "bad.h5").write_bytes(flipped)
            result = self.build("bad.h5")
            self.assertIn(result.code, (0, 66), f"byte {byte}: {result.stderr}")
            crashes += CRASH in result.stderr
        self.assertGreater(crashes, 0)

    def test_numbers_with_more_bits_than_bytes(self):
        """The library writes past its buffers for some of them; it is never asked to."""
        with h5py.File(self.dir / "good.h5", "w") as f:
            f["X"] = IMAGES
        data = (self.dir / "good.h5").read_bytes()
        at = data.index(bytes([0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0])) + 8  # offset, precision
        ends = {0: 0, 66: 0}
        for offset in (0, 1, 7, 8, 9, 64, 0x7fff, 0xffff):
            for precision in (0, 1, 7, 8, 9, 16, 64, 65, 256, 0x7fff, 0xffff):
                bad = bytearray(data)
                struct.pack_into("<HH", bad, at, offset, precision)
                (self.dir / "bad.h5").write_bytes(bad)
                result = self.build("bad.h5")
                inside = precision > 0 and offset + precision <= 8
                self.assertEqual(result.code, 0 if inside else 66, f"{offset}, {precision}: {result.stderr}")
                ends[result.code] += 1
        print(f"\n{ends[0]} read, {ends[66]} refused", end=" ", flush=True)

    def test_what_stands_behind_an_object_that_cannot_be_opened(self):
        with h5py.File(self.dir / "two.h5", "w") as f:  # "A" comes before "X"
            f["A/Y"] = np.arange(3)
            f["X"] = IMAGES
            f["X"].attrs["title"] = "images of a test"
            place = h5py.h5o.get_info(f["A"].id).addr
        data = bytearray((self.dir / "two.h5").read_bytes())
        data[place] ^= 0xff  # version of the header of A
        struct.pack_into("<Q", data, data.index(b"GCOL") + 24, 2**32)
        (self.dir / "bad.h5").write_bytes(data)
        self.assert_refused("bad.h5:/X", CRASH)

    def write_virtual(self, source):
        """X, and beside it a virtual dataset V of as many images that lie in `source`."""
        layout = h5py.VirtualLayout((20, 1, 12, 12), "u1", maxshape=(None, 1, 12, 12))
        layout[:] = h5py.VirtualSource(source, "X", (20, 1, 12, 12), maxshape=(None, 1, 12, 12))
        with h5py.File(self.dir / "v.h5", "w", libver="latest") as f:
            f["X"] = IMAGES
            f.create_virtual_dataset("V", layout)

    def test_a_virtual_dataset_beside_the_images(self):
        with h5py.File(self.dir / "other.h5", "w") as f:
            f["X"] = IMAGES
        os.mkfifo(self.dir / "pipe")  # which the library would open, and wait for ever
        for source in ("other.h5", "nowhere.h5", "pipe"):
            with self.subTest(source=source):
                self.write_virtual(source)
                self.assert_read("v.h5:/X")
                (self.dir / "k.h5").unlink()
                self.assert_refused("v.h5:/V", "virtual dataset")

    def test_data_and_links_that_lead_to_a_pipe(self):
        os.mkfifo(self.dir / "pipe")
        with h5py.File(self.dir / "e.h5", "w") as f:
            f["X"] = IMAGES
            f.create_dataset("E", (20, 1, 12, 12), "u1", external=[("pipe", 0, h5py.h5f.UNLIMITED)])
            f["L"] = h5py.ExternalLink("pipe", "/X")
        self.assert_read("e.h5:/X")
        (self.dir / "k.h5").unlink()
        self.assert_refused("e.h5:/E", "another file")
        self.assert_refused("e.h5:/L", "link")


if __name__ == "__main__":
    main()
