"""What the commands say and when: help, version, progress, quiet, dry run."""

import os
import pty
import re
import select
import signal
import subprocess
import time
import unittest

from support import BIN, CommandTest, command, main

COMMANDS = sorted(p.name for p in BIN.glob("kernel-*"))
# Many seconds of work: progress appears after two, and then the test ends it.
SLOW = ["kernel-build", "--network", "resnet32-gp", "--train", "slow.npy", "--tile", "16", "--threads",
        "1", "--dtype", "float64", "--out", "k.h5"]


class MannersTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.images("train.npy", 40, seed=1)
        self.images("test.npy", 6, seed=2)
        self.build = ["kernel-build", "--network", "net.json", "--train", "train.npy", "--out", "k.h5"]

    def test_every_command_has_help_with_examples_and_exit_codes(self):
        self.assertLessEqual({"kernel-build", "kernel-grad", "kernel-merge", "kernel-verify"}, set(COMMANDS))
        for name in COMMANDS:
            with self.subTest(command=name):
                out = self.run_command(name, "--help").stdout
                self.assertIn("Examples:\n  " + name, out)
                self.assertIn("Exit codes:", out)
                for code in (0, 1, 2, 5, 11, 12, 13, 14, 28, 65, 66, 70, 73, 130, 143):
                    self.assertRegex(out, rf"\b{code}\b")
                self.assertLess(max(map(len, out.splitlines())), 101)

    def test_only_commands_that_solve_load_openblas_which_starts_threads(self):
        for name in COMMANDS:
            header = subprocess.run(["readelf", "-d", BIN / name], check=True, capture_output=True, text=True).stdout
            loaded = re.findall(r"\(NEEDED\).*\[(\w+)", header)
            self.assertTrue(loaded)
            self.assertEqual("libopenblas" in loaded, name in ("kernel-predict", "kernel-train"), name)

    def test_every_command_has_a_version(self):
        more = {"kernel-predict": r"OpenBLAS \d+\.\d+\.\d+ \((serial|pthread|OpenMP), \w+\)\n"}  # its bits depend on it
        for name in COMMANDS:
            self.assertRegex(self.run_command(name, "--version").stdout,
                             rf"^{name} \d+\.\d+\.\d+\n{more.get(name, '')}$")

    def test_quiet_prints_nothing(self):
        result = self.run_command(*self.build, "--quiet")
        self.assertEqual(result.stdout + result.stderr, "")

    def test_a_run_says_in_a_line_per_set_what_it_reads_and_in_one_what_was_written(self):
        result = self.run_command(*self.build)
        self.assertEqual(result.stderr, "")
        self.assertRegex(result.stdout,
                         r"^train: 40 images of 1 × 12 × 12, no labels\nk\.h5: Kxx 40×40.*\n$")

    def test_a_dry_run_prints_the_plan_and_writes_nothing(self):
        before = self.files()
        out = self.run_command(*self.build, "--test", "test.npy", "--tile", "16", "--dry-run").stdout
        self.assertEqual(self.files(), before)
        # Kxx: 3 blocks, 6 tiles on and above the diagonal; Kxtx: 1 × 3 tiles; Kt_diag: 1 tile.
        self.assertRegex(out, r"tiles\s+10 of 16")
        # 820 pairs on and above the diagonal, 240 across, 6 on the test diagonal.
        self.assertRegex(out, r"pairs\s+1,066")
        for word in ("disk", "memory", "time", "Kxx 40×40", "Kxtx 6×40", "Kt_diag 6"):
            self.assertIn(word, out)

    def test_a_dry_run_of_an_impossible_run_fails_as_the_run_would(self):
        self.assert_fails(2, ["--memory"], *self.build, "--memory", "64KiB", "--tile", "512", "--dry-run")

    def interrupted(self, reader, writer):
        """What a slow run writes to `writer`, interrupted once it has told its progress twice."""
        self.images("slow.npy", 2000, shape=(1, 28, 28))
        process = subprocess.Popen(command(*SLOW), cwd=self.dir, stdout=subprocess.DEVNULL, stderr=writer)
        text, signalled = b"", False
        # The writer stays open here too, or the terminal would drop the last line.
        while select.select([reader], [], [], 0.2)[0] or process.poll() is None:
            if select.select([reader], [], [], 0)[0]:
                text += os.read(reader, 4096)
            if text.count(b"left") >= 2 and not signalled:
                process.send_signal(signal.SIGTERM)
                signalled = True
        os.close(reader)
        os.close(writer)
        self.assertEqual(process.wait(timeout=60), 143)
        return text.decode()

    def test_progress_off_a_terminal_is_a_plain_line_every_ten_seconds(self):
        start = time.monotonic()
        shown = self.interrupted(*os.pipe())
        self.assertGreater(time.monotonic() - start, 12)
        self.assertNotIn("\r", shown)
        self.assertRegex(shown, r"^( *\d+\.\d %  [\d,]+ pairs/s  .+ left\n){2}k\.h5: interrupted .*\n$")

    def test_progress_on_a_terminal_is_one_line_that_is_taken_away(self):
        shown = self.interrupted(*pty.openpty())
        self.assertRegex(shown, r"^(\r *\d+\.\d %  [\d,]+ pairs/s  [^\r\n]+ left *){2,}\r +\r"
                                r"k\.h5: interrupted .*\r\n$")


if __name__ == "__main__":
    main()
