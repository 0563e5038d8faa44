"""A command whose stdin, stdout or stderr is closed, a broken pipe or a full device: the result is that
of any other run, because no file of a run ever gets the number of a stream."""

import itertools
import os
import signal
import subprocess
import time
import unittest

import h5py

from support import CommandTest, command, main

SUBSETS = [c for n in range(1, 4) for c in itertools.combinations(range(3), n)]


class StreamsTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.images("train.npy", 40, seed=1)
        self.factors(40)
        build = ["kernel-build", "--network", "net.json", "--train", "train.npy", "--tile", "16"]
        grad = ["kernel-grad", "--network", "net.json", "--train", "train.npy", "--tile", "16",
                "--upstream-factors", "u.h5:/U", "u.h5:/U"]
        for share in range(2):
            self.run_command(*build, "--out", f"s{share}.h5", "--shard", f"{share}/2")
        self.commands = [build, grad, ["kernel-merge", "s0.h5", "s1.h5"]]

    def without(self, streams, arguments):
        closing = " ".join(f"{n}>&-" for n in streams)
        return subprocess.run(["sh", "-c", f'exec "$@" {closing}', "sh", *command(*arguments)],
                              cwd=self.dir, timeout=120, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode

    def test_whatever_streams_are_closed_the_output_is_that_of_any_other_run(self):
        for arguments in self.commands:
            self.run_command(*arguments, "--out", "k.h5")
            expected = (self.dir / "k.h5").read_bytes()
            for streams in SUBSETS:
                with self.subTest(command=arguments[0], closed=streams):
                    (self.dir / "k.h5").unlink()
                    self.assertEqual(self.without(streams, [*arguments, "--out", "k.h5"]), 0)
                    self.assertEqual((self.dir / "k.h5").read_bytes(), expected)
                    self.assertEqual(self.without(streams, ["kernel-verify", "k.h5"]), 0)
                    self.assertEqual((self.dir / "k.h5").read_bytes(), expected)
            (self.dir / "k.h5").unlink()

    def test_a_refusal_without_streams_changes_no_file(self):
        (self.dir / "k.h5").write_bytes(b"precious")
        before = self.files()
        for streams in SUBSETS:
            self.assertEqual(self.without(streams, [*self.commands[0], "--out", "k.h5"]), 73)
        self.assertEqual(self.files(), before)

    def start_slow(self, streams, out):
        """Without these streams, and held up for more than the two seconds after which progress is told."""
        closing = " ".join(f"{n}>&-" for n in streams)
        process = subprocess.Popen(["sh", "-c", f'exec "$@" {closing}', "sh",
                                    *command(*self.slow, "--out", out)],
                                   cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (self.dir / f"{out}.journal").exists():
            self.assertIsNone(process.poll(), "the run was over before it could be held up")
            time.sleep(0.001)
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.2)
        process.send_signal(signal.SIGCONT)
        return process

    def test_progress_and_the_word_about_an_interruption_do_not_reach_the_files_either(self):
        self.images("slow.npy", 600, shape=(1, 28, 28))
        self.slow = ["kernel-build", "--network", "convnet-gp", "--train", "slow.npy", "--tile", "16",
                     "--dtype", "float64", "--threads", "1"]
        self.run_command(*self.slow, "--out", "whole.h5")
        expected = (self.dir / "whole.h5").read_bytes()
        for streams in [s for s in SUBSETS if 2 in s]:
            with self.subTest(closed=streams):
                process = self.start_slow(streams, "k.h5")
                self.assertEqual(process.wait(timeout=60), 0)
                self.assertEqual((self.dir / "k.h5").read_bytes(), expected)
                (self.dir / "k.h5").unlink()
                process = self.start_slow(streams, "k.h5")
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(timeout=60), 143)
                h5py.File(self.dir / "k.h5.partial").close()
                self.run_command(*self.slow, "--out", "k.h5", "--resume")
                self.assertEqual((self.dir / "k.h5").read_bytes(), expected)
                (self.dir / "k.h5").unlink()

    def test_a_reader_of_stdout_or_stderr_that_went_away_ends_no_run(self):
        self.run_command(*self.commands[0], "--out", "whole.h5")
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run(command(*self.commands[0], "--out", "k.h5"), cwd=self.dir,
                                stdout=writer, stderr=writer, timeout=60)
        self.assertEqual(result.returncode, 0)
        self.assertEqual((self.dir / "k.h5").read_bytes(), (self.dir / "whole.h5").read_bytes())
        for arguments, code in ((["kernel-verify", "k.h5"], 0), (["kernel-build", "--help"], 0),
                                (["kernel-build", "--frobnicate"], 2)):
            result = subprocess.run(command(*arguments), cwd=self.dir, stdout=writer, stderr=writer)
            self.assertEqual(result.returncode, code)
        os.close(writer)

    def test_output_to_a_full_device_ends_no_run(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run(command(*self.commands[0], "--out", "k.h5"), cwd=self.dir,
                                    stdout=full, stderr=full, timeout=60)
        self.assertEqual(result.returncode, 0)
        self.run_command("kernel-verify", "k.h5")

    def test_a_limit_on_the_size_of_files_is_an_error_with_one_line(self):
        line = subprocess.run(["sh", "-c", 'ulimit -f 4; exec "$@"', "sh",
                               *command(*self.commands[0], "--out", "k.h5")],
                              cwd=self.dir, text=True, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(line.returncode, 5, line.stderr)
        self.assertRegex(line.stderr, r"^kernel-build: k\.h5.*: File too large\n$")
        self.assertFalse((self.dir / "k.h5").exists())


if __name__ == "__main__":
    main()
