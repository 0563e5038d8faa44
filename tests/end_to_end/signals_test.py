"""The signals that clusters and terminals send: each commits what is finished, in every command that writes,
and the next run ends in the very bytes of an undisturbed one."""

import os
import re
import signal
import subprocess
import time
import unittest

from support import CommandTest, command, main

STOPPING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU]


class SignalsTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.images("train.npy", 400, seed=1, shape=(1, 28, 28))
        self.factors(400)
        common = ["--network", "convnet-gp", "--train", "train.npy", "--tile", "8", "--threads", "1",
                  "--quiet"]
        self.build = ["kernel-build", *common, "--out", "k.h5"]
        self.grad = ["kernel-grad", *common, "--upstream-factors", "u.h5:/U", "u.h5:/U", "--out", "k.h5"]

    def start(self, arguments, **keywords):
        """Running, its files there; held."""
        process = subprocess.Popen(command(*arguments), cwd=self.dir, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **keywords)
        while not (self.dir / "k.h5.journal").exists():
            self.assertIsNone(process.poll(), "the run was over too soon for this test")
            time.sleep(0.0005)
        process.send_signal(signal.SIGSTOP)
        return process

    def end(self, process, *numbers):
        for number in numbers:
            process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        _, error = process.communicate(timeout=60)
        return process.returncode, error

    def check_continues(self, arguments, number, expected):
        code, error = self.end(self.start(arguments), number)
        self.assertEqual(code, 128 + number, error)
        self.assertEqual(len(error.splitlines()), 1, error)
        self.assertFalse((self.dir / "k.h5").exists())
        again = re.search(r"with \d+ of \d+ tiles done; continue with: (.*--resume)$", error.strip())
        self.assertTrue(again, error)
        subprocess.run(again.group(1), shell=True, cwd=self.dir, check=True)
        self.assertEqual((self.dir / "k.h5").read_bytes(), expected)
        self.assertEqual([n for n in self.files() if n.startswith("k.h5.")], [])
        (self.dir / "k.h5").unlink()

    def whole(self, arguments):
        self.run_command(*arguments)
        expected = (self.dir / "k.h5").read_bytes()
        (self.dir / "k.h5").unlink()
        return expected

    def test_every_signal_commits_and_the_next_run_continues(self):
        for arguments in (self.build, self.grad):
            expected = self.whole(arguments)
            for number in STOPPING:
                with self.subTest(command=arguments[0], signal=number):
                    self.check_continues(arguments, number, expected)

    def test_a_merge_commits_too(self):
        self.images("many.npy", 3000, seed=2)
        self.network()
        shares = []
        for share in range(2):
            shares.append(f"s{share}.h5")
            self.run_command("kernel-build", "--network", "net.json", "--train", "many.npy", "--tile", "32",
                             "--shard", f"{share}/2", "--out", shares[-1])
        merge = ["kernel-merge", *shares, "--out", "k.h5", "--quiet"]
        expected = self.whole(merge)
        for number in STOPPING:
            with self.subTest(signal=number):
                self.check_continues(merge, number, expected)

    def test_signals_that_come_again_and_again_do_not_end_a_run_in_the_middle(self):
        expected = self.whole(self.build)
        code, error = self.end(self.start(self.build), signal.SIGXCPU, signal.SIGUSR1, signal.SIGXCPU,
                               signal.SIGHUP, signal.SIGTERM)
        self.assertIn(code - 128, STOPPING, error)
        self.assertIn("continue with", error)
        self.run_command(*self.build, "--resume")
        self.assertEqual((self.dir / "k.h5").read_bytes(), expected)

    def test_a_hangup_that_the_parent_ignores_stays_ignored(self):
        """As nohup does."""
        process = self.start(self.build, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        code, error = self.end(process, signal.SIGHUP)
        self.assertEqual(code, 0, error)

    def test_the_limit_on_processor_time_commits_before_it_kills(self):
        """A soft limit sends SIGXCPU every second from its first on."""
        self.images("train.npy", 1500, seed=1, shape=(1, 28, 28))
        arguments = [*self.build, "--dtype", "float64"]
        result = subprocess.run(["sh", "-c", 'ulimit -S -t 2; exec "$@"', "sh", *command(*arguments)],
                                cwd=self.dir, text=True, stderr=subprocess.PIPE, timeout=120)
        self.assertEqual(result.returncode, 128 + signal.SIGXCPU, result.stderr)
        self.assertIn("continue with", result.stderr)
        self.assertTrue((self.dir / "k.h5.journal").exists())


if __name__ == "__main__":
    main()
