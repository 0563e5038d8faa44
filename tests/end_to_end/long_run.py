"""What the tests of interrupted runs share: a build and a gradient of 528 tiles, started and watched."""

import subprocess
import time

from support import CommandTest, command

BUILD = ["kernel-build", "--network", "convnet-gp", "--train", "train.npy", "--test", "test.npy",
         "--tile", "16", "--dtype", "float64", "--quiet"]
GRAD = ["kernel-grad", "--network", "convnet-gp", "--train", "train.npy", "--upstream-factors",
        "u.h5:/U", "u.h5:/U", "--with-kernel", "--tile", "16", "--dtype", "float64", "--quiet"]
NUM_TILES = 528
# A command that takes longer than this to end hangs. [s]
HANGS = 60


class LongRunTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.images("train.npy", 500, seed=1, shape=(1, 28, 28))
        self.images("test.npy", 20, seed=2, shape=(1, 28, 28))
        self.factors(500)
        self.out = self.dir / "out.h5"

    def undisturbed(self, arguments):
        """The bytes of the output; what it took stands in self.seconds."""
        start = time.monotonic()
        self.run_command(*arguments, "--out", "out.h5", "--threads", "2")
        self.seconds = time.monotonic() - start
        data = self.out.read_bytes()
        self.out.unlink()
        return data

    def start(self, arguments, *more):
        return subprocess.Popen(command(*arguments, "--out", "out.h5", *more), cwd=self.dir, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_for(self, name):
        """Returns once the run has made the file."""
        end = time.monotonic() + HANGS
        while not (self.dir / name).exists():
            self.assertLess(time.monotonic(), end, f"{name} did not appear")
            time.sleep(0.005)

    def num_committed(self):
        """Tiles in the journal: magic, length, text, check; then 32 bytes a tile."""
        try:
            data = (self.dir / "out.h5.journal").read_bytes()
        except FileNotFoundError:
            return 0
        return (len(data) - 24 - int.from_bytes(data[8:16], "little")) // 32

    def signalled(self, arguments, number):
        """The exit code and stderr of a run that gets a signal once it has begun."""
        process = self.start(arguments, "--threads", "1")
        self.wait_for("out.h5.journal")
        process.send_signal(number)
        _, err = process.communicate(timeout=HANGS)
        return process.returncode, err
