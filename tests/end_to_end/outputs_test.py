"""Where a result goes: whatever --out names is looked at before any work, and no input is ever replaced,
removed, or changed under a run without a word."""

import gzip
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import time
import unittest

import h5py
import numpy as np

from support import NETWORK, CommandTest, command, main

SUFFIXES = ["", ".partial", ".journal", ".partial.new", ".journal.new", ".lock"]


class OutputsTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.images("train.npy", 20, seed=1)
        self.factors(20)
        for share in range(2):
            self.run_command(*self.build(), "--tile", "8", "--out", f"s{share}.h5", "--shard", f"{share}/2")
        self.commands = {
            "kernel-build": self.build(),
            "kernel-grad": ["kernel-grad", "--network", "net.json", "--train", "train.npy",
                            "--upstream-factors", "u.h5:/U", "u.h5:/U"],
            "kernel-merge": ["kernel-merge", "s0.h5", "s1.h5"]}

    def build(self, network="net.json", train="train.npy"):
        return ["kernel-build", "--network", network, "--train", train]

    def check_refused(self, code, words, arguments, out, modes=("", "--resume", "--overwrite")):
        """Refused in every mode, before any input is opened."""
        for mode in modes:
            more = [mode] if mode else []
            before = self.files()
            line = self.assert_fails(code, words, *arguments, "--out", out, *more)
            self.assertEqual(self.files(), before)
            self.assertNotIn("--overwrite", line)

    def test_an_output_that_is_no_regular_file_is_refused_before_any_work(self):
        (self.dir / "folder").mkdir()
        os.mkfifo(self.dir / "pipe")
        os.mknod(self.dir / "null", 0o666 | 0o020000, os.makedev(1, 3)) if os.geteuid() == 0 else \
            (self.dir / "null").symlink_to("/dev/null")
        (self.dir / "to-folder").symlink_to("folder")
        (self.dir / "to-pipe").symlink_to("pipe")
        (self.dir / "to-null").symlink_to("null")
        (self.dir / "circle").symlink_to("circle")
        for name, arguments in self.commands.items():
            arguments = [a.replace("train.npy", "nowhere.npy").replace("s0.h5", "nowhere.h5")
                         for a in arguments]
            for out in ("folder", "folder/", "pipe", "null", "to-folder", "to-pipe", "to-null", "circle",
                        "/dev/null", "no/such/k.h5", "train.npy/k.h5", "new/"):
                with self.subTest(command=name, out=out):
                    self.check_refused(73, [out.rstrip("/").removeprefix("to-")], arguments, out)
            self.check_refused(2, ["--out"], arguments, "")
        self.assertTrue(os.path.exists("/dev/null") and not os.path.isfile("/dev/null"))

    def test_a_link_stays_and_the_files_stand_beside_its_target(self):
        (self.dir / "disk").mkdir()
        (self.dir / "k.h5").symlink_to("disk/real.h5")  # leads to nothing yet
        (self.dir / "link2").symlink_to("k.h5")
        for arguments in self.commands.values():
            self.run_command(*arguments, "--out", "link2")
            self.run_command("kernel-verify", "disk/real.h5")
            self.assertTrue((self.dir / "k.h5").is_symlink() and (self.dir / "link2").is_symlink())
            self.assertEqual(os.listdir(self.dir / "disk"), ["real.h5"])
            self.run_command(*arguments, "--out", "k.h5", "--overwrite")
            self.run_command(*arguments, "--out", "k.h5", "--resume")
            self.assertTrue((self.dir / "k.h5").is_symlink())
            self.assertFalse((self.dir / "disk" / "real.h5").is_symlink())
            (self.dir / "disk" / "real.h5").unlink()

    def test_an_interrupted_run_through_a_link_is_continued_through_it(self):
        (self.dir / "disk").mkdir()
        (self.dir / "k.h5").symlink_to("disk/real.h5")
        process = self.start_slow()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 143)
        self.assertTrue((self.dir / "disk" / "real.h5.partial").exists())
        self.run_command(*self.slow, "--resume")
        self.assertEqual(os.listdir(self.dir / "disk"), ["real.h5"])

    def test_no_input_may_bear_a_name_that_the_run_makes_or_removes(self):
        """Every input of every command, as itself, by a hard link and by a link, under each of the names."""
        os.makedirs(self.dir / "mnist")
        images = struct.pack(">IIII", 0x803, 20, 12, 12) + bytes(range(240)) * 12
        labels = struct.pack(">II", 0x801, 20) + bytes(20)
        inputs = {"net.json": NETWORK.encode(), "x.npy": (self.dir / "train.npy").read_bytes(),
                  "u.h5": (self.dir / "u.h5").read_bytes(), "s.h5": (self.dir / "s0.h5").read_bytes(),
                  "train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels,
                  "t10k-images-idx3-ubyte": images, "t10k-labels-idx1-ubyte": labels}
        cases = [("net.json", lambda p: self.build(network=p)), ("x.npy", lambda p: self.build(train=p)),
                 ("x.npy", lambda p: [*self.build(), "--validation", p]),
                 ("x.npy", lambda p: [*self.build(), "--test", f"{p}#0:4" if "#" not in p else p]),
                 ("u.h5", lambda p: [*self.commands["kernel-grad"][:-2], f"{p}:/U", "u.h5:/U"]),
                 ("u.h5", lambda p: [*self.commands["kernel-grad"][:-2], "u.h5:/U", f"{p}:/U"]),
                 ("s.h5", lambda p: ["kernel-merge", p, "s1.h5"])]
        # Hidden in a folder source.
        cases += [(name, lambda p: self.build(train="mnist")) for name in inputs if name.startswith("train-")]
        cases += [(name, lambda p: [*self.build(), "--test", "mnist"]) for name in inputs
                  if name.startswith("t10k-")]
        tried = 0
        for base, arguments in cases:
            for suffix in SUFFIXES:
                for kind in ("itself", "hard link", "link"):
                    (self.dir / "k").mkdir()
                    bearer = self.dir / "k" / f"out{suffix}"
                    for name in inputs:
                        if name.endswith("ubyte"):
                            (self.dir / "mnist" / name).write_bytes(inputs[name])
                    source = self.dir / "mnist" / base if base.endswith("ubyte") else self.dir / f"in-{base}"
                    source.write_bytes(inputs[base])
                    if kind == "itself":
                        source.rename(bearer)
                        source.symlink_to(bearer) if base.endswith("ubyte") else None
                        path = str(bearer)
                    else:
                        os.link(source, bearer) if kind == "hard link" else bearer.symlink_to(source)
                        path = str(source)
                    with self.subTest(input=base, suffix=suffix, kind=kind):
                        for mode in ("--overwrite", "--resume"):
                            if kind == "link" and suffix == "":
                                continue  # the output is then the input's target, a case of its own
                            before = self.files()
                            result = subprocess.run(command(*arguments(path), "--out", "k/out", mode),
                                                    cwd=self.dir, text=True, stdout=subprocess.PIPE,
                                                    stderr=subprocess.PIPE, timeout=60)
                            self.assertEqual(result.returncode, 2, result.stderr)
                            self.assertIn("is an input", result.stderr)
                            self.assertEqual(self.files(), before)
                            tried += 1
                    shutil.rmtree(self.dir / "k")
                    source.unlink(missing_ok=True)
        print(f"\n{tried} runs on names of inputs refused")

    def test_an_output_link_to_an_input_is_refused(self):
        (self.dir / "k.h5").symlink_to("train.npy")
        self.check_refused(2, ["train.npy", "input"], self.build(), "k.h5", ["--overwrite", "--resume"])

    def test_names_with_a_hash_work_again_and_again(self):
        (self.dir / "net.json").rename(self.dir / "net#2.json")
        for share in range(2):
            (self.dir / f"s{share}.h5").rename(self.dir / f"s#{share}.h5")
        for arguments in (self.build(network="net#2.json"), ["kernel-merge", "s#0.h5", "s#1.h5"]):
            for more in ([], ["--overwrite"], ["--resume"]):
                self.run_command(*arguments, "--out", f"k#{arguments[0]}.h5", *more)

    def start_slow(self, arguments=None):
        """Stopped as soon as its files are there, with nearly all tiles still to do."""
        if arguments is None:
            self.images("slow.npy", 600, shape=(1, 28, 28))
            arguments = ["kernel-build", "--network", "convnet-gp", "--train", "slow.npy"]
        self.slow = [*arguments, "--tile", "16", "--dtype", "float64", "--threads", "1", "--out", "k.h5"]
        process = subprocess.Popen(command(*self.slow), cwd=self.dir, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        journal = self.journal()
        while not journal.exists():
            self.assertIsNone(process.poll())
            time.sleep(0.001)
        process.send_signal(signal.SIGSTOP)
        return process

    def journal(self):
        return pathlib.Path(os.path.realpath(self.dir / "k.h5") + ".journal")

    def slow_inputs(self):
        """One input of every kind: its file and the run that reads it."""
        pixels = np.random.default_rng(5).random((300, 1, 28, 28), dtype=np.float32)
        bytes_ = (pixels * 255).astype(np.uint8)
        np.save(self.dir / "a.npy", pixels)
        np.savez(self.dir / "a.npz", X=pixels)
        np.savez_compressed(self.dir / "b.npz", X=pixels)
        idx = struct.pack(">IIII", 0x803, 300, 28, 28) + bytes_.tobytes()
        (self.dir / "a-idx3-ubyte").write_bytes(idx)
        (self.dir / "a-idx3-ubyte.gz").write_bytes(gzip.compress(idx))
        with h5py.File(self.dir / "a.h5", "w") as f:
            f["X"] = pixels
            f["U"] = np.random.default_rng(3).standard_normal((300, 300))
            f["V"] = np.random.default_rng(4).standard_normal((300, 3))
        def build(source):
            return ["kernel-build", "--network", "convnet-gp", "--train", source]
        grad = ["kernel-grad", "--network", "convnet-gp", "--train", "a.npy"]
        yield "a.npy", build("a.npy")
        yield "a.npz", build("a.npz")
        yield "b.npz", build("b.npz")
        yield "a-idx3-ubyte", build("a-idx3-ubyte")
        yield "a-idx3-ubyte.gz", build("a-idx3-ubyte.gz")
        yield "a.h5", build("a.h5:/X")
        yield "a.h5", [*grad, "--upstream", "a.h5:/U"]
        yield "a.h5", [*grad, "--upstream-factors", "a.h5:/V", "a.h5:/V"]

    def test_an_input_that_is_written_into_during_a_run_ends_it_and_never_a_mixture(self):
        def last_bytes(path):
            with open(path, "r+b") as file:
                file.seek(-64, os.SEEK_END)
                file.write(bytes(64))
        def same_size_and_time(path):
            status = os.stat(path)
            last_bytes(path)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        def longer(path):
            with open(path, "ab") as file:
                file.write(b"more")
        for name, arguments in self.slow_inputs():
            whole = (self.dir / name).read_bytes()
            process = self.start_slow(arguments)
            process.send_signal(signal.SIGCONT)
            process.communicate(timeout=120)
            expected = (self.dir / "k.h5").read_bytes()
            (self.dir / "k.h5").unlink()
            for change in (last_bytes, same_size_and_time, longer):
                with self.subTest(run=arguments[-1], change=change.__name__):
                    (self.dir / name).write_bytes(whole)
                    process = self.start_slow(arguments)
                    change(self.dir / name)
                    process.send_signal(signal.SIGCONT)
                    _, error = process.communicate(timeout=120)
                    self.assertEqual(process.returncode, 66, error)
                    self.assertEqual(len(error.splitlines()), 1, error)
                    self.assertIn(name, error)
                    self.assertFalse((self.dir / "k.h5").exists())
                    (self.dir / name).write_bytes(whole)
                    self.run_command(*self.slow, "--resume")
                    self.assertEqual((self.dir / "k.h5").read_bytes(), expected)
                    (self.dir / "k.h5").unlink()

    def test_a_new_file_in_the_place_of_an_input_does_not_disturb_the_run_that_reads_the_old_one(self):
        process = self.start_slow()
        (self.dir / "new").write_bytes(b"something else")
        (self.dir / "new").rename(self.dir / "slow.npy")
        process.send_signal(signal.SIGCONT)
        _, error = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, error)


if __name__ == "__main__":
    main()
