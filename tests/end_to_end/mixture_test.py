"""Runs continued, and shares merged, across instruction sets: refused with the way out, or accepted on
request; then every tile has the very bits that the instruction set named for it gives, however often the
run was killed in between."""

import os
import random
import re
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

from support import LONG, CommandTest, command, main

MIX = "--mixed-instruction-sets"
ADVICE = [MIX, "GRAMTILE_TARGET"]


def target(name):
    return {"GRAMTILE_TARGET": name}


class MixtureTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.images("train.npy", 120, seed=1, shape=(1, 28, 28))
        self.images("test.npy", 9, seed=2, shape=(1, 28, 28))
        self.factors(120)
        common = ["--network", "convnet-gp", "--train", "train.npy", "--tile", "16", "--quiet"]
        self.runs = {"build": ["kernel-build", *common, "--test", "test.npy"],
                     "gradient": ["kernel-grad", *common, "--with-kernel", "--upstream-factors", "u.h5:/U",
                                  "u.h5:/U"]}
        self.sets = self.available()
        self.assertGreater(len(self.sets), 1, "there is a portable one beside the best")

    def available(self):
        """The instruction sets of this binary and machine, the best first."""
        line = self.assert_fails(2, [], *self.runs["build"], "--out", "none.h5", env=target("none of these"))
        return re.search(r"use one of (.*)", line).group(1).split(", ")

    def pure(self, kind):
        """Files of one instruction set each, by its name."""
        for name in self.sets:
            self.run_command(*self.runs[kind], "--out", f"{kind}_{name}.h5", env=target(name))
        return {name: h5py.File(self.dir / f"{kind}_{name}.h5") for name in self.sets}

    def check_tiles(self, path, pure):
        """Bit for bit; returns how many tiles each made."""
        with h5py.File(path) as f:
            names = list(f.attrs["instruction_sets"])
            makers = f["tile_instruction_set"][()]
            matrices, counts = list(f.attrs["matrices"]), {}
            for i, (bounds, maker) in enumerate(zip(f["tiles"][()], makers)):
                name = names[maker]
                counts[name] = counts.get(name, 0) + 1
                matrix = matrices[f["tile_matrix"][i]]
                rows, columns = slice(*bounds[:2]), slice(*bounds[2:])
                where = (rows, columns) if f[matrix].ndim == 2 else rows
                np.testing.assert_array_equal(f[matrix][where], pure[name][matrix][where])
                if matrix == "Kxx":
                    np.testing.assert_array_equal(f[matrix][columns, rows], f[matrix][rows, columns].T)
                if "tile_gradient" in f:
                    np.testing.assert_array_equal(f["tile_gradient"][i], pure[name]["tile_gradient"][i])
            self.assertEqual(f.attrs["instruction_set"], ", ".join(names))
            self.assertEqual(f.attrs["format_version"], 3)
        return counts

    def check_verified(self, name, counts):
        text = self.run_command("kernel-verify", name, "--train", "train.npy", "--samples", "30").stdout
        line = next(line for line in text.splitlines() if line.startswith("made with"))
        for maker, count in counts.items():
            self.assertIn(f"{maker} {count} tiles", line)

    def share(self, kind, r, count, name, out):
        self.run_command(*self.runs[kind], "--out", out, "--shard", f"{r}/{count}", env=target(name))

    def test_shares_of_unlike_machines(self):
        for kind in self.runs:
            pure = self.pure(kind)
            self.share(kind, 0, 3, self.sets[0], f"{kind}0.h5")
            self.share(kind, 1, 3, self.sets[-1], f"{kind}1.h5")
            self.share(kind, 2, 3, self.sets[0], f"{kind}2.h5")
            shares = [f"{kind}{r}.h5" for r in (2, 0, 1)]
            self.assert_fails(13, ["instruction set", self.sets[-1], *ADVICE], "kernel-merge", "--out",
                              "m.h5", "--overwrite", *shares)
            self.run_command("kernel-merge", "--out", "m.h5", MIX, "--overwrite", *shares)
            counts = self.check_tiles(self.dir / "m.h5", pure)
            self.assertEqual(set(counts), {self.sets[0], self.sets[-1]})
            if kind == "build":
                self.check_verified("m.h5", counts)
            # The order of the files changes nothing; shares of one kind give the file of one run.
            first = (self.dir / "m.h5").read_bytes()
            self.run_command("kernel-merge", "--out", "n.h5", MIX, "--overwrite", *reversed(shares))
            self.assertEqual((self.dir / "n.h5").read_bytes(), first)
            self.share(kind, 1, 3, self.sets[0], f"{kind}same.h5")
            self.run_command("kernel-merge", "--out", "p.h5", MIX, "--overwrite", shares[0], shares[1],
                             f"{kind}same.h5")
            self.assertEqual((self.dir / "p.h5").read_bytes(),
                             (self.dir / f"{kind}_{self.sets[0]}.h5").read_bytes())

    def test_a_merged_file_is_no_share_whatever_it_was_made_of(self):
        for r, name in enumerate((self.sets[0], self.sets[-1])):
            self.share("build", r, 2, name, f"s{r}.h5")
        self.run_command("kernel-merge", "--out", "m.h5", MIX, "s0.h5", "s1.h5")
        self.assert_fails(13, ["m.h5", "no share"], "kernel-merge", "--out", "n.h5", MIX, "m.h5", "s1.h5")

    def run_with_kills(self, arguments, rng):
        """Kills the run at random moments, each session on another machine, until it gets through.
        Returns the names of the sessions."""
        sessions = []
        while True:
            sessions.append(rng.choice(self.sets))
            process = subprocess.Popen(
                command(*arguments, "--out", "out.h5", "--resume", MIX, "--threads", "1"), cwd=self.dir,
                env={**os.environ, **target(sessions[-1])}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                _, err = process.communicate(timeout=rng.uniform(0.01, 0.15) * (1 + len(sessions) / 10))
                self.assertEqual(process.returncode, 0, err)
                return sessions
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM if len(sessions) % 2 else signal.SIGKILL)
                process.communicate()

    def test_runs_killed_and_continued_on_other_machines(self):
        wanted = 100 if LONG else 10
        for kind, arguments in self.runs.items():
            pure, kills, runs, mixed = self.pure(kind), 0, 0, 0
            rng = random.Random(5)
            while kills < wanted or mixed == 0:
                kills, runs = kills + len(self.run_with_kills(arguments, rng)) - 1, runs + 1
                if self.is_mixed("out.h5"):
                    mixed += len(self.check_tiles(self.dir / "out.h5", pure)) > 1
                self.run_command("kernel-verify", "out.h5")
                (self.dir / "out.h5").unlink()
            print(f"\n{kind}: {kills} kills over {runs} runs: {mixed} files of several instruction sets, every "
                  "tile with the bits of its own")

    def is_mixed(self, name):
        with h5py.File(self.dir / name) as f:
            return "instruction_sets" in f.attrs

    def num_committed(self):
        """Tiles in the journal: magic, length, text, check; then 32 bytes a tile."""
        try:
            data = (self.dir / "out.h5.journal").read_bytes()
        except FileNotFoundError:
            return 0
        return (len(data) - 24 - int.from_bytes(data[8:16], "little")) // 32

    def interrupt(self, arguments, name, *more):
        """Stops a session that has committed some tiles; what it said last."""
        before, seconds = self.num_committed(), 0.1
        while self.num_committed() <= before:
            process = subprocess.Popen(command(*arguments, "--out", "out.h5", "--threads", "1", "--resume", *more),
                                       cwd=self.dir, env={**os.environ, **target(name)},
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            time.sleep(seconds)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate()
            self.assertIn(process.returncode, (143, -signal.SIGTERM), err)  # the latter before it listens
            seconds *= 1.5
        return err

    def test_a_run_goes_on_elsewhere_on_request_only(self):
        self.images("train.npy", 400, seed=1, shape=(1, 28, 28))  # so that there is something to interrupt
        build = self.runs["build"]
        first, last = self.sets[0], self.sets[-1]
        self.interrupt(build, first)
        self.assert_fails(12, [f"{first}, now {last}", *ADVICE], *build, "--out", "out.h5", "--resume",
                          env=target(last))
        err = self.interrupt(build, last, MIX)
        self.assertIn(f"{MIX}", re.search(r"continue with: (.*)", err).group(1))
        for name in (first, last):  # a mixture stays one that has to be asked for
            self.assert_fails(12, [f"{first}, {last}", *ADVICE], *build, "--out", "out.h5", "--resume",
                              env=target(name))
        with h5py.File(self.dir / "out.h5.partial") as f:  # can be read at any time
            self.assertEqual(list(f.attrs["instruction_sets"]), [first, last])
            self.assertTrue((f["tile_instruction_set"][()] == -1).all())
        self.assert_fails(13, ["not finished"], "kernel-verify", "out.h5.partial", "--quiet")
        self.run_command(*build, "--out", "out.h5", "--resume", MIX, env=target(first))
        self.assertEqual(set(self.check_tiles(self.dir / "out.h5", self.pure("build"))), {first, last})

    def test_without_a_mixture_the_option_changes_no_byte(self):
        for kind, arguments in self.runs.items():
            self.run_command(*arguments, "--out", f"{kind}.h5")
            self.run_command(*arguments, "--out", f"{kind}_mix.h5", MIX)
            self.assertEqual((self.dir / f"{kind}.h5").read_bytes(), (self.dir / f"{kind}_mix.h5").read_bytes())


if __name__ == "__main__":
    main()
