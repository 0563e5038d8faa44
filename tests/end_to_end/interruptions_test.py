"""Ctrl-C and SIGTERM end a run soon, keep what is finished, and print the command that continues."""

import random
import re
import signal
import subprocess
import time

from long_run import BUILD, GRAD, HANGS, NUM_TILES, LongRunTest
from support import LONG, main

SIGNALS = 50 if LONG else 10


class InterruptionsTest(LongRunTest):
    def test_sigterm_and_ctrl_c_print_the_command_that_continues(self):
        for arguments in (BUILD, GRAD):
            expected = self.undisturbed(arguments)
            for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
                with self.subTest(command=arguments[0], signal=number):
                    ended, err = self.signalled(arguments, number)
                    self.assertEqual(ended, code, err)
                    self.assertEqual(len(err.splitlines()), 1, err)
                    self.assertFalse(self.out.exists())
                    self.assertLess(self.num_committed(), NUM_TILES)
                    again = re.search(r"continue with: (.*--resume)$", err.strip())
                    self.assertTrue(again, err)
                    subprocess.run(again.group(1), shell=True, cwd=self.dir, check=True)
                    self.assertEqual(self.out.read_bytes(), expected)
                    self.out.unlink()

    def interrupt_at_random(self, arguments, rng):
        """One signal at a random moment. Returns how long the answer took [s], None where the run was
        done just before."""
        process = self.start(arguments, "--resume", "--threads", str(rng.randint(1, 4)))
        time.sleep(rng.uniform(0, self.seconds / 2))
        number = rng.choice((signal.SIGINT, signal.SIGTERM))
        sent = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=HANGS)
        if process.returncode == 0:
            return None
        # A signal that comes before the run has begun ends the command as it ends any other.
        if "interrupted" in err:
            self.assertEqual(process.returncode, 128 + number)
            self.assertRegex(err, r"continue with: .*--resume")
        else:
            self.assertEqual(process.returncode, -number, err)
        return time.monotonic() - sent

    def test_a_signal_at_any_moment_keeps_what_is_finished(self):
        rng = random.Random(13)
        for arguments in (BUILD, GRAD):
            expected = self.undisturbed(arguments)
            answers = []
            while len(answers) < SIGNALS:
                committed = self.num_committed()
                answer = self.interrupt_at_random(arguments, rng)
                if answer is None:
                    self.assertEqual(self.out.read_bytes(), expected)
                    self.out.unlink()
                    continue
                self.assertGreaterEqual(self.num_committed(), committed)
                answers.append(answer)
            self.run_command(*arguments, "--resume", "--out", "out.h5")
            self.assertEqual(self.out.read_bytes(), expected)
            self.out.unlink()
            print(f"\n{arguments[0]}: {SIGNALS} signals at random moments, the slowest answer took"
                  f" {max(answers):.2f} s; identical at the end")

    def test_a_second_signal_does_not_wait_for_the_tile_in_hand(self):
        # One large tile, many seconds long: the first signal waits for it.
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
            process.communicate(timeout=HANGS)
            print(f"\na second signal ended the command after {time.monotonic() - sent:.3f} s")
            self.assertEqual(process.returncode, code)
            self.assertFalse(self.out.exists())
            self.assertEqual(self.num_committed(), 0, "it waited for the tile")


if __name__ == "__main__":
    main()
