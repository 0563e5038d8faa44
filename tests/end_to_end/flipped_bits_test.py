"""Whatever bit of a finished file or of OUT.partial is flipped, the commands notice it, by name: no crash,
no hang, no "ok".

The short form flips every 401st bit of small files; GRAMTILE_LONG=1 flips each of the 8 bits of every byte
(half a million runs of kernel-verify: hours). GRAMTILE_FLIPS_EVERY=N chooses another step."""

import collections
import concurrent.futures
import os
import subprocess
import unittest

import h5py
import numpy as np

from support import LONG, CommandTest, command, main

EVERY = int(os.environ.get("GRAMTILE_FLIPS_EVERY", "1" if LONG else "401"))
WORKERS = os.cpu_count() or 1
HANG_SECONDS = 120

NETWORK = """{"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.3}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_weight": 1.1, "var_bias": 0.2}]}"""


class FlippedBitsTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network(NETWORK)
        self.images("train.npy", 5, seed=1, shape=(1, 4, 4))
        with h5py.File(self.dir / "u.h5", "w") as f:
            f["U"] = np.ones((5, 5))
        self.inputs = ["--network", "net.json", "--train", "train.npy", "--tile", "4", "--quiet"]

    def flip(self, source, name, bit):
        data = bytearray(source)
        data[bit // 8] ^= 1 << (bit % 8)
        (self.dir / name).write_bytes(data)

    def end_of(self, *words):
        try:
            result = subprocess.run(command(*words), cwd=self.dir, timeout=HANG_SECONDS, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace")
        except subprocess.TimeoutExpired:
            return "hung"
        if result.returncode < 0 or result.returncode == 70:
            return f"crashed ({result.returncode})"
        if len(result.stderr.splitlines()) != (0 if result.returncode == 0 else 1):
            return "said more or less than one line"
        return result.returncode

    def campaign(self, source, what, run_one, allowed):
        """run_one(name, bit) for every EVERY-th bit, on several workers; prints and checks the counts."""
        bits = range(0, len(source) * 8, EVERY)
        ends = collections.defaultdict(list)
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for bit, end in zip(bits, pool.map(lambda b: run_one(f"flip{b}", b), bits)):
                ends[end].append(bit)
        counts = ", ".join(f"{end}: {len(at)}" for end, at in sorted(ends.items(), key=str))
        print(f"\n{what}: {len(bits)} of {len(source) * 8} bits flipped; exit codes {counts}", flush=True)
        for end, at in ends.items():
            places = [f"byte {b // 8} bit {b % 8}" for b in at[:10]]
            self.assertIn(end, allowed, f"{what}: {places}")

    def verify_notices(self, name, what):
        source = (self.dir / name).read_bytes()
        self.run_command("kernel-verify", name, "--quiet")

        def verify(flipped, bit):
            self.flip(source, flipped, bit)
            end = self.end_of("kernel-verify", flipped, "--quiet")
            (self.dir / flipped).unlink()
            return end

        self.campaign(source, what, verify, {13, 66})

    def test_a_kernel_file(self):
        self.run_command("kernel-build", *self.inputs, "--out", "k.h5")
        self.verify_notices("k.h5", "kernel file")

    def test_a_share(self):
        self.run_command("kernel-build", *self.inputs, "--shard", "0/2", "--out", "s.h5")
        self.verify_notices("s.h5", "share")

    def test_a_gradient_file(self):
        self.run_command("kernel-grad", *self.inputs, "--upstream", "u.h5:/U", "--out", "g.h5")
        self.verify_notices("g.h5", "gradient file")

    def test_a_jacobian_file(self):
        self.run_command("kernel-grad", *self.inputs, "--jacobian", "--with-kernel", "--out", "j.h5")
        self.verify_notices("j.h5", "jacobian file")

    def test_a_merged_file_of_two_instruction_sets(self):
        for r, target in enumerate((None, "SCALAR")):
            env = {"GRAMTILE_TARGET": target} if target else {}
            self.run_command("kernel-build", *self.inputs, "--shard", f"{r}/2", "--out", f"m{r}.h5", env=env)
        self.run_command("kernel-merge", "m0.h5", "m1.h5", "--out", "m.h5", "--mixed-instruction-sets")
        with h5py.File(self.dir / "m.h5") as f:
            self.assertEqual(len(f.attrs["instruction_sets"]), 2)
        self.verify_notices("m.h5", "merged file of two instruction sets")

    def test_a_share_that_is_merged(self):
        for r in (0, 1):
            self.run_command("kernel-build", *self.inputs, "--shard", f"{r}/2", "--out", f"s{r}.h5")
        source = (self.dir / "s1.h5").read_bytes()

        def merge(flipped, bit):
            self.flip(source, flipped, bit)
            end = self.end_of("kernel-merge", "s0.h5", flipped, "--out", f"{flipped}.out", "--quiet")
            for left in self.dir.glob(f"{flipped}*"):
                self.assertNotEqual(left.name, f"{flipped}.out")
                left.unlink()
            return end

        self.campaign(source, "merged share", merge, {13})

    def test_a_partial_file_that_is_resumed(self):
        # Everything is mended: the result has the bytes of an undisturbed run.
        partial, journal, whole = self.stopped_before_its_end()

        def resume(flipped, bit):
            (self.dir / f"{flipped}.journal").write_bytes(journal)
            self.flip(partial, f"{flipped}.partial", bit)
            end = self.end_of(*self.slow, "--out", flipped, "--resume")
            if end == 0 and (self.dir / flipped).read_bytes() != whole:
                end = "another file"
            for left in self.dir.glob(f"{flipped}*"):
                left.unlink()
            return end

        self.campaign(partial, "resumed file", resume, {0})

    def test_a_partial_file_that_is_looked_at(self):
        partial, _, _ = self.stopped_before_its_end()

        def verify(flipped, bit):
            self.flip(partial, flipped, bit)
            end = self.end_of("kernel-verify", flipped, "--quiet")
            (self.dir / flipped).unlink()
            return end

        self.campaign(partial, "unfinished file", verify, {13, 66})

    def stopped_before_its_end(self):
        """OUT.partial and OUT.journal of a run that could not take its name at the end, because another
        file had appeared there; and the bytes it ends with. All its tiles are committed."""
        layers = '{"type": "conv2d", "kernel_size": 7, "var_weight": "w", "var_bias": "b"}, {"type": "relu"}'
        for times in (100, 400, 1600, 6400):
            self.network(f"""{{"parameters": {{"w": 1.9, "b": 0.1}}, "layers": [
              {{"type": "repeat", "times": {times}, "layers": [{layers}]}},
              {{"type": "conv2d", "kernel_size": 24, "padding": 0, "var_weight": "w"}}]}}""")
            self.images("large.npy", 5, seed=2, shape=(1, 24, 24))
            self.slow = ["kernel-build", "--network", "net.json", "--train", "large.npy", "--tile", "4",
                         "--threads", "1", "--quiet"]
            process = subprocess.Popen(command(*self.slow, "--out", "p.h5"), cwd=self.dir,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not (self.dir / "p.h5.journal").exists():
                pass
            try:
                (self.dir / "p.h5").touch(exist_ok=False)
            except FileExistsError:  # the run was faster
                process.wait()
                (self.dir / "p.h5").unlink()
                continue
            if process.wait() != 73:
                self.fail(f"expected exit code 73, found {process.returncode}")
            saved = [(self.dir / f"p.h5.{part}").read_bytes() for part in ("partial", "journal")]
            (self.dir / "p.h5").unlink()
            self.run_command(*self.slow, "--out", "p.h5", "--resume")
            return *saved, (self.dir / "p.h5").read_bytes()
        self.fail("every run was over before its output could be taken")


if __name__ == "__main__":
    main()
