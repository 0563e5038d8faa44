"""Shares of a run, merged in any order, are the run; what is missing or foreign is named."""

import random
import unittest

import h5py
import numpy as np

from support import CommandTest, main


class ShardsTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.images("train.npy", 70, seed=1)
        self.images("test.npy", 9, seed=2)
        with h5py.File(self.dir / "u.h5", "w") as f:
            f["U"] = np.random.default_rng(3).standard_normal((70, 70))
        common = ["--network", "net.json", "--train", "train.npy", "--tile", "16"]
        self.runs = {
            "build": ["kernel-build", *common, "--test", "test.npy"],
            "gradient": ["kernel-grad", *common, "--upstream", "u.h5:/U"],
            "jacobian": ["kernel-grad", *common, "--jacobian", "--with-kernel"],
        }

    def run_to(self, arguments, out, *more):
        self.run_command(*arguments, "--out", out, "--quiet", *more)
        return (self.dir / out).read_bytes()

    def shares(self, arguments, count):
        names = []
        for r in range(count):
            names.append(f"s{r}of{count}.h5")
            self.run_to(arguments, names[-1], "--shard", f"{r}/{count}", "--threads", r % 3 + 1,
                        "--overwrite")
        return names

    def test_merged_shares_have_the_bytes_of_one_run(self):
        for kind, arguments in self.runs.items():
            whole, identical = self.run_to(arguments, "whole.h5", "--overwrite"), []
            for count in (1, 2, 3, 7):
                with self.subTest(kind=kind, shares=count):
                    names = self.shares(arguments, count)
                    random.Random(count).shuffle(names)
                    self.run_command("kernel-merge", "--out", "merged.h5", "--overwrite", *names)
                    self.assertEqual((self.dir / "merged.h5").read_bytes(), whole)
                    identical.append(str(count))
            print(f"\n{kind}: {', '.join(identical)} shares merged, each time the bytes of one run")

    def test_more_shares_than_tiles(self):
        whole = self.run_to(self.runs["build"], "whole.h5")
        names = self.shares(self.runs["build"], 40)
        self.run_command("kernel-merge", "--out", "merged.h5", *names)
        self.assertEqual((self.dir / "merged.h5").read_bytes(), whole)

    def test_a_missing_share_is_named(self):
        for kind, arguments in self.runs.items():
            for count in (2, 3, 7):
                names = self.shares(arguments, count)
                for r in range(count):
                    with self.subTest(kind=kind, missing=f"{r}/{count}"):
                        line = self.assert_fails(13, [f"share {r}/{count}"], "kernel-merge", "--out",
                                                 "m.h5", *names[:r], *names[r + 1:])
                        self.assertEqual(line.count(f"/{count}"), 1, "another one is named too")
                        self.assertFalse((self.dir / "m.h5").exists())

    def test_a_file_that_is_not_there_is_named(self):
        names = self.shares(self.runs["gradient"], 2)
        (self.dir / names[1]).unlink()
        self.assert_fails(13, [names[1], "No such file"], "kernel-merge", "--out", "m.h5", *names)

    def test_a_share_given_twice_is_named(self):
        names = self.shares(self.runs["build"], 2)
        self.assert_fails(13, [names[0]], "kernel-merge", "--out", "m.h5", *names, names[0])

    def test_a_share_of_another_run_is_named(self):
        names = self.shares(self.runs["build"], 2)
        self.images("train.npy", 70, seed=8)
        self.run_to(self.runs["build"], "other.h5", "--shard", "1/2")
        self.assert_fails(13, ["other.h5", "train"], "kernel-merge", "--out", "m.h5", names[0],
                          "other.h5")

    def test_shares_of_nodes_with_different_memory_and_threads_merge(self):
        """The tile size depends on neither: images large enough that little memory would choose another."""
        self.images("large.npy", 300, shape=(3, 24, 24))
        self.write("deep.json", """{"layers": [{"type": "repeat", "times": 20, "layers": [
            {"type": "conv2d", "kernel_size": 3, "var_weight": 2}, {"type": "relu"}]},
            {"type": "conv2d", "kernel_size": 24, "padding": 0}]}""")
        build = ["kernel-build", "--network", "deep.json", "--train", "large.npy", "--out"]
        self.run_command(*build, "whole.h5")
        for share, more in enumerate((["--memory", "400MB", "--threads", "1"], ["--memory", "8GiB"], [])):
            self.run_command(*build, f"l{share}.h5", "--shard", f"{share}/3", *more)
        self.run_command("kernel-merge", "--out", "m.h5", "l0.h5", "l1.h5", "l2.h5")
        self.assertEqual((self.dir / "m.h5").read_bytes(), (self.dir / "whole.h5").read_bytes())
        # What does not fit is refused with what to give to every share, not changed for this one alone.
        self.assert_fails(2, ["--tile (the same for every share)"], *build, "s.h5", "--shard", "0/3",
                          "--memory", "40MB")
        self.run_command(*build, "small.h5", "--memory", "40MB")

    def test_shares_of_two_instruction_sets_are_refused_with_the_way_to_agree_on_one(self):
        slow = {"GRAMTILE_TARGET": "SCALAR"}
        names = self.shares(self.runs["build"], 2)
        (self.dir / names[1]).rename(self.dir / "best.h5")
        def share(r, name):
            self.run_command(*self.runs["build"], "--out", name, "--shard", f"{r}/2", env=slow)
        share(1, "scalar1.h5")
        self.assert_fails(13, ["instruction set", "SCALAR", "GRAMTILE_TARGET", "--mixed-instruction-sets"], "kernel-merge", "--out",
                          "m.h5", names[0], "scalar1.h5")
        share(0, "scalar0.h5")
        self.run_command("kernel-merge", "--out", "m.h5", "scalar0.h5", "scalar1.h5")
        for name in ("kernel-build", "kernel-grad", "kernel-merge"):
            self.assertIn("GRAMTILE_TARGET", self.run_command(name, "--help").stdout)

    def test_a_damaged_share_is_named(self):
        names = self.shares(self.runs["build"], 2)
        path = self.dir / names[1]
        data = bytearray(path.read_bytes())
        data[-100] ^= 1  # in the last tile's numbers or its hash
        path.write_bytes(data)
        self.assert_fails(13, [names[1]], "kernel-merge", "--out", "m.h5", *names)

    def test_an_existing_output_is_kept(self):
        names = self.shares(self.runs["build"], 2)
        (self.dir / "m.h5").write_bytes(b"precious")
        self.assert_fails(73, ["m.h5"], "kernel-merge", "--out", "m.h5", *names)
        self.assertEqual((self.dir / "m.h5").read_bytes(), b"precious")

    def test_the_output_cannot_be_a_share(self):
        names = self.shares(self.runs["build"], 2)
        self.assert_fails(2, [names[0]], "kernel-merge", "--overwrite", "--out", names[0], *names)


if __name__ == "__main__":
    main()
