"""A run that is killed or interrupted, and continued with --resume, ends with the very bytes of a run
that nobody disturbed; what stands in the way is refused by name."""

import random
import re
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

from support import LONG, CommandTest, command, main

BUILD = ["kernel-build", "--network", "convnet-gp", "--train", "train.npy", "--test", "test.npy",
         "--tile", "16", "--dtype", "float64", "--quiet"]
GRAD = ["kernel-grad", "--network", "convnet-gp", "--train", "train.npy", "--upstream-factors",
        "u.npy", "u.npy", "--with-kernel", "--tile", "16", "--dtype", "float64", "--quiet"]


class ResumeTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.images("train.npy", 500, seed=1, shape=(1, 28, 28))
        self.images("test.npy", 20, seed=2, shape=(1, 28, 28))
        with h5py.File(self.dir / "u.h5", "w") as f:
            f["U"] = np.random.default_rng(3).standard_normal((500, 2))
        self.out = self.dir / "out.h5"

    def grad(self):
        return [a.replace("u.npy", "u.h5:/U") for a in GRAD]

    def undisturbed(self, arguments):
        start = time.monotonic()
        self.run_command(*arguments, "--out", "out.h5", "--threads", "2")
        self.seconds = time.monotonic() - start
        data = self.out.read_bytes()
        self.out.unlink()
        return data

    def start(self, arguments, *more):
        return subprocess.Popen(command(*arguments, "--out", "out.h5", *more), cwd=self.dir, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def num_committed(self):
        """Tiles in the journal: magic, length, text, check; then 32 bytes a tile."""
        try:
            data = (self.dir / "out.h5.journal").read_bytes()
        except FileNotFoundError:
            return 0
        return (len(data) - 24 - int.from_bytes(data[8:16], "little")) // 32

    def run_with_kills(self, arguments, rng):
        """Kills the run at random moments until it gets through. Returns the number of kills, and of
        those that found some tiles committed."""
        kills = midway = 0
        longest = self.seconds
        while True:
            process = self.start(arguments, "--resume", "--threads", str(rng.randint(1, 4)))
            try:
                out, err = process.communicate(timeout=rng.uniform(0, longest))
                self.assertEqual(process.returncode, 0, err)
                return kills, midway
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
                midway += self.num_committed() > 0
                longest *= 1.05  # so that an end is certain

    def check_kills(self, arguments, wanted):
        expected = self.undisturbed(arguments)
        rng = random.Random(7)
        kills = midway = runs = 0
        while kills < wanted:
            more, more_midway = self.run_with_kills(arguments, rng)
            kills, midway, runs = kills + more, midway + more_midway, runs + 1
            self.assertEqual(self.out.read_bytes(), expected)
            self.assertEqual([n for n in self.files() if n.startswith("out.h5.")], [])
            self.out.unlink()
        print(f"{kills} kills over {runs} runs, {midway} with tiles committed: {runs} of {runs} files "
              "identical")
        self.assertGreater(midway, wanted // 4)

    def test_a_build_killed_at_random_moments_ends_with_the_same_bytes(self):
        self.check_kills(BUILD, 200 if LONG else 20)

    def test_a_gradient_killed_at_random_moments_ends_with_the_same_bytes(self):
        self.check_kills(self.grad(), 200 if LONG else 20)

    def test_sigterm_and_ctrl_c_print_the_command_that_continues(self):
        for arguments in (BUILD, self.grad()):
            expected = self.undisturbed(arguments)
            for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
                with self.subTest(command=arguments[0], signal=number):
                    process = self.start(arguments, "--threads", "1")
                    self.wait_for("out.h5.journal")
                    process.send_signal(number)
                    _, err = process.communicate(timeout=5)
                    self.assertEqual(process.returncode, code, err)
                    self.assertEqual(len(err.splitlines()), 1, err)
                    self.assertFalse(self.out.exists())
                    again = re.search(r"continue with: (.*--resume)$", err.strip())
                    self.assertTrue(again, err)
                    subprocess.run(again.group(1), shell=True, cwd=self.dir, check=True)
                    self.assertEqual(self.out.read_bytes(), expected)
                    self.out.unlink()

    def wait_for(self, name, seconds=20):
        end = time.monotonic() + seconds
        while not (self.dir / name).exists():
            self.assertLess(time.monotonic(), end, f"{name} did not appear")
            time.sleep(0.005)

    def interrupted(self):
        """Leaves an unfinished build behind."""
        process = self.start(BUILD, "--threads", "1")
        self.wait_for("out.h5.journal")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=5)
        self.assertEqual(process.returncode, 143, err)

    def test_an_unfinished_run_is_not_overwritten_unasked(self):
        self.interrupted()
        before = self.files()
        line = self.assert_fails(14, ["out.h5", "--resume", "--overwrite"], *BUILD, "--out", "out.h5")
        self.assertEqual(self.files(), before)
        self.run_command(*BUILD, "--out", "out.h5", "--overwrite")
        self.assertTrue(self.out.exists())

    def test_resume_refuses_changed_inputs_by_name(self):
        self.interrupted()
        def changed(old, new):
            return [new if a == old else a for a in BUILD]
        pixels = np.load(self.dir / "train.npy")
        pixels[7, 0, 3, 4] += 1
        np.save(self.dir / "other.npy", pixels)
        before = self.files()
        for words, arguments in [(["pixels of train"], changed("train.npy", "other.npy")),
                                 (["network"], changed("convnet-gp", "residual-cnn-gp")),
                                 (["tile size (16, now 32)"], changed("16", "32")),
                                 (["data type (float64, now float32)"], changed("float64", "float32"))]:
            with self.subTest(words=words):
                self.assert_fails(12, words, *arguments, "--out", "out.h5", "--resume")
        self.assertEqual(self.files(), before)

    def test_resume_refuses_other_labels_and_parameters_by_name(self):
        pixels, labels = np.load(self.dir / "train.npy"), np.arange(500) % 10
        np.savez(self.dir / "train.npz", X=pixels, y=labels)
        one = ('{"layers": [{"type": "conv2d", "kernel_size": 7, "var_bias": 0.3}, {"type": "relu"}, '
               '{"type": "conv2d", "kernel_size": 28, "padding": 0}]}')
        self.write("net.json", one)
        build = ["kernel-build", "--network", "net.json", "--train", "train.npz", "--tile", "8",
                 "--threads", "1", "--dtype", "float64", "--quiet", "--out", "out.h5"]
        process = subprocess.Popen(command(*build), cwd=self.dir)
        self.wait_for("out.h5.journal")
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = (self.dir / "out.h5.journal").read_bytes()
        labels[[3, 4]] = labels[[4, 3]]
        np.savez(self.dir / "train.npz", X=pixels, y=labels)
        self.assert_fails(12, ["labels of train"], *build, "--resume")
        labels[[3, 4]] = labels[[4, 3]]
        np.savez(self.dir / "train.npz", X=pixels, y=labels)
        self.write("net.json", one.replace("0.3", "0.31"))
        self.assert_fails(12, ["parameter conv0.var_bias (0.3, now 0.31)"], *build, "--resume")
        self.write("net.json", one)
        self.assertEqual((self.dir / "out.h5.journal").read_bytes(), before)
        self.run_command(*build, "--resume")

    def test_resume_of_a_finished_run_changes_nothing(self):
        self.run_command(*BUILD, "--out", "out.h5")
        before = self.out.read_bytes()
        self.run_command(*BUILD, "--out", "out.h5", "--resume")
        self.assertEqual(self.out.read_bytes(), before)

    def test_a_second_writer_is_refused(self):
        first = self.start(BUILD, "--threads", "1")
        self.wait_for("out.h5.journal")
        self.assert_fails(11, ["out.h5"], *BUILD, "--out", "out.h5", "--resume")
        _, err = first.communicate(timeout=60)
        self.assertEqual(first.returncode, 0, err)

    def test_a_signal_at_any_moment_commits_within_2_s_and_the_tile_in_hand(self):
        rng = random.Random(13)
        for arguments in (BUILD, self.grad()):
            expected = self.undisturbed(arguments)
            # Generous: the time of all tiles of both threads over their number.
            tile_seconds = 2 * self.seconds / 528
            signals, slowest = 0, 0
            while signals < (50 if LONG else 10):
                threads = rng.randint(1, 4)
                process = self.start(arguments, "--resume", "--threads", str(threads))
                time.sleep(rng.uniform(0, self.seconds / 2))
                number = rng.choice((signal.SIGINT, signal.SIGTERM))
                sent = time.monotonic()
                process.send_signal(number)
                _, err = process.communicate(timeout=60)
                seconds = time.monotonic() - sent
                if process.returncode == 0:  # it was done just before
                    self.assertEqual(self.out.read_bytes(), expected)
                    self.out.unlink()
                    continue
                signals, slowest = signals + 1, max(slowest, seconds)
                self.assertLess(seconds, 2 + threads * tile_seconds)
                # A signal that comes before the run has begun ends the command as it ends any other.
                if "interrupted" in err:
                    self.assertEqual(process.returncode, 128 + number)
                    self.assertRegex(err, r"continue with: .*--resume")
                else:
                    self.assertEqual(process.returncode, -number, err)
            self.run_command(*arguments, "--resume", "--out", "out.h5")
            self.assertEqual(self.out.read_bytes(), expected)
            self.out.unlink()
            print(f"\n{arguments[0]}: {signals} signals at random moments, the slowest answer took"
                  f" {slowest:.2f} s, a tile {tile_seconds:.3f} s; identical at the end")

    def test_a_second_ctrl_c_ends_at_once(self):
        # One large tile, many seconds long: the first signal has to wait for it.
        self.images("large.npy", 2048)
        self.write("deep.json", """{"layers": [{"type": "repeat", "times": 30, "layers": [
            {"type": "conv2d", "kernel_size": 3, "var_weight": 2}, {"type": "relu"}]},
            {"type": "conv2d", "kernel_size": 12, "padding": 0}]}""")
        slow = ["kernel-build", "--network", "deep.json", "--train", "large.npy", "--tile", "2048",
                "--dtype", "float64"]
        for second, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = self.start(slow, "--threads", "1", "--overwrite")
            self.wait_for("out.h5.journal")
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            self.assertIsNone(process.poll(), "the tile was done too soon for this test")
            sent = time.monotonic()
            process.send_signal(second)
            process.communicate(timeout=60)
            seconds = time.monotonic() - sent
            print(f"\na second signal ended the command after {seconds:.3f} s")
            self.assertEqual(process.returncode, code)
            self.assertLess(seconds, 0.5)
            self.assertFalse(self.out.exists())


if __name__ == "__main__":
    main()
