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

    def run_with_kills(self, arguments, rng):
        """Kills the run at random moments until it gets through. Returns the number of kills."""
        kills = 0
        longest = self.seconds
        while True:
            process = self.start(arguments, "--resume", "--threads", str(rng.randint(1, 4)))
            try:
                out, err = process.communicate(timeout=rng.uniform(0, longest))
                self.assertEqual(process.returncode, 0, err)
                return kills
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
                longest *= 1.05  # so that an end is certain

    def check_kills(self, arguments, wanted):
        expected = self.undisturbed(arguments)
        rng = random.Random(7)
        kills = runs = 0
        while kills < wanted:
            kills += self.run_with_kills(arguments, rng)
            runs += 1
            self.assertEqual(self.out.read_bytes(), expected)
            self.assertEqual([n for n in self.files() if n.startswith("out.h5.")], [])
            self.out.unlink()
        print(f"{kills} kills over {runs} runs, {runs} of {runs} files identical")

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
        for words, arguments in [(["train"], changed("train.npy", "other.npy")),
                                 (["network"], changed("convnet-gp", "residual-cnn-gp")),
                                 (["tile"], changed("16", "32")),
                                 (["data type"], changed("float64", "float32"))]:
            with self.subTest(words=words):
                self.assert_fails(12, words, *arguments, "--out", "out.h5", "--resume")

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

    def test_a_second_ctrl_c_ends_at_once(self):
        process = self.start(BUILD, "--threads", "1")
        self.wait_for("out.h5.journal")
        process.send_signal(signal.SIGSTOP)  # so that both are there before the first is answered
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=5)
        self.assertIn(process.returncode, (130, 143))


if __name__ == "__main__":
    main()
