"""A soak: a long run with random kills every few seconds until it is done gives the same bytes, and its
memory stays within --memory. Short: 600 generated images. GRAMTILE_LONG=1: 4,000 MNIST images."""

import os
import pathlib
import random
import signal
import subprocess
import time
import unittest

from support import LONG, ROOT, CommandTest, command, main

MNIST = ROOT.parent / "shared" / "data" / "mnist"
MEMORY_MIB = 256


class SoakTest(CommandTest):
    def source(self):
        if LONG and MNIST.exists():
            return f"{MNIST}#0:4000"
        subprocess.run(["/usr/bin/python3", str(ROOT / "data" / "make_example.py"), "example",
                        "--train", "10", "--test", "600"], cwd=self.dir, check=True,
                       stdout=subprocess.DEVNULL)
        return str(self.dir / "example" / "t10k-images-idx3-ubyte.gz")

    def start(self, *more):
        return subprocess.Popen(
            command("kernel-build", "--network", "convnet-gp", "--train", self.train, "--tile", "64",
                    "--memory", f"{MEMORY_MIB}MiB", "--quiet", *more),
            cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_killed_every_few_seconds_until_done(self):
        self.train = self.source()
        began = time.monotonic()
        process = self.start("--out", "whole.h5")
        out, err = process.communicate()
        self.assertEqual(process.returncode, 0, err)
        seconds = time.monotonic() - began

        rng = random.Random(11)
        kills, peaks = 0, []
        while True:
            process = self.start("--out", "killed.h5", "--resume")
            # Several kills in any run, however fast the machine; at least two commits between them
            # in the long form.
            end = time.monotonic() + rng.uniform(0.1, 1) * max(seconds / 4, 0.2) * 1.1**kills
            peak = 0
            while process.poll() is None and time.monotonic() < end:
                peak = max(peak, resident_mib(process.pid))
                time.sleep(0.01)
            peaks.append(peak)
            if process.poll() is not None:
                self.assertEqual(process.returncode, 0, process.communicate()[1])
                break
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
        self.assertEqual((self.dir / "killed.h5").read_bytes(), (self.dir / "whole.h5").read_bytes())
        print(f"{kills} kills, peak resident memory {max(peaks):.0f} MiB of {MEMORY_MIB} MiB")
        self.assertGreater(kills, 0)
        self.assertLess(max(peaks), MEMORY_MIB)


def resident_mib(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:  # it has just ended
        pass
    return 0


if __name__ == "__main__":
    main()
