"""A soak: a long run with random kills every few seconds until it is done gives the same bytes, and its
memory is flat: bounded by --memory, the same in every session, and in the long form no larger at the end than
in the second quarter (in the short one the cache of images is still filling then).

Short: 1,000 MNIST images (generated ones where the checkout has no MNIST), killed about every second.
GRAMTILE_LONG=1: 4,000, killed every 1 to 6 seconds."""

import pathlib
import random
import signal
import subprocess
import time

from support import LONG, MNIST, ROOT, CommandTest, command, main

NUM_IMAGES = 4000 if LONG else 1000
MEMORY_MIB = 256
# What malloc and the threads' stacks may add between one session and another, or within one.
FLAT_MIB = 16


def memory_mib(pid):
    """Resident memory of a process now and at its peak; zeros once it has ended."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    values = dict(line.split(":", 1) for line in lines)
    return [int(values.get(key, "0 kB").split()[0]) / 1024 for key in ("VmRSS", "VmHWM")]


class Session:
    """A process with a sample of its memory every 10 ms, until it ends or `seconds` are over."""

    def __init__(self, process, seconds=float("inf")):
        start = time.monotonic()
        self.resident, self.peak = [], 0
        while process.poll() is None and time.monotonic() < start + seconds:
            now, peak = memory_mib(process.pid)
            if now > 0:
                self.resident.append(now)
                self.peak = max(self.peak, peak)
            time.sleep(0.01)
        self.ended = process.poll() is not None
        if not self.ended:
            process.send_signal(signal.SIGKILL)
        _, self.error = process.communicate()
        self.code, self.seconds = process.returncode, time.monotonic() - start

    def growth(self):
        """Largest memory of the last quarter over that of the second quarter [MiB]."""
        quarter = max(len(self.resident) // 4, 1)
        return max(self.resident[-quarter:]) - max(self.resident[quarter:2 * quarter])


class SoakTest(CommandTest):
    def source(self):
        if MNIST.exists():
            return f"{MNIST}/t10k-images-idx3-ubyte.gz#0:{NUM_IMAGES}", "MNIST"
        subprocess.run(["/usr/bin/python3", str(ROOT / "data" / "make_example.py"), "example",
                        "--train", "10", "--test", str(NUM_IMAGES)], cwd=self.dir, check=True,
                       stdout=subprocess.DEVNULL)
        return str(self.dir / "example" / "t10k-images-idx3-ubyte.gz"), "generated"

    def start(self, train, out, *more):
        return subprocess.Popen(
            command("kernel-build", "--network", "residual-cnn-gp", "--train", train, "--out", out,
                    "--dtype", "float64", "--tile", "64", "--memory", f"{MEMORY_MIB}MiB", "--quiet", *more),
            cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def test_killed_every_few_seconds_until_done(self):
        train, kind = self.source()
        whole = Session(self.start(train, "whole.h5"))
        self.assertEqual(whole.code, 0, whole.error)
        print(f"\n{NUM_IMAGES} {kind} images undisturbed: {whole.seconds:.1f} s, peak {whole.peak:.1f} MiB"
              f" of {MEMORY_MIB} MiB, last quarter against second {whole.growth():+.1f} MiB")

        rng = random.Random(11)
        sessions = []
        while not sessions or not sessions[-1].ended:
            # Several kills in any run, however fast the machine, and slowly more time, so that an
            # end is certain.
            seconds = rng.uniform(1, 6) if LONG else rng.uniform(0.1, 1) * max(whole.seconds / 4, 0.2)
            sessions.append(Session(self.start(train, "killed.h5", "--resume"),
                                    seconds * 1.05 ** len(sessions)))
            last = sessions[-1]
            print(f"session {len(sessions)}: {'ended' if last.ended else 'killed'} after "
                  f"{last.seconds:.1f} s, peak {last.peak:.1f} MiB")
        self.assertEqual(sessions[-1].code, 0, sessions[-1].error)
        identical = (self.dir / "killed.h5").read_bytes() == (self.dir / "whole.h5").read_bytes()
        kills, peak = len(sessions) - 1, max(session.peak for session in sessions)
        print(f"{kills} kills, {'identical' if identical else 'DIFFERENT'}; largest peak of a session"
              f" {peak:.1f} MiB, of the undisturbed run {whole.peak:.1f} MiB")
        self.assertTrue(identical)
        self.assertGreater(kills, 1)
        self.assertLess(max(peak, whole.peak), MEMORY_MIB)
        self.assertLess(peak, whole.peak + FLAT_MIB)
        if LONG:
            self.assertLess(whole.growth(), FLAT_MIB)


if __name__ == "__main__":
    main()
