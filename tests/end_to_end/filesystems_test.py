"""File systems and machines that lack something: no locks, no hard links, no renames with flags, no sync of
folders, no reserving, no more threads. The real commands, with calls that a preloaded library lets fail."""

import errno
import itertools
import os
import pathlib
import signal
import subprocess
import time
import unittest

from support import ROOT, CommandTest, command, main

NONE = {"flock": errno.ENOLCK, "link": errno.EPERM, "rename_flags": errno.EINVAL,
        "fsync_folder": errno.EINVAL, "fallocate": errno.EOPNOTSUPP}
# What file systems say in place of a call that they lack.
KINDS = [{"flock": e} for e in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)]
KINDS += [{"rename_flags": r, "link": e} for r, e in itertools.product(
    (errno.EINVAL, errno.ENOSYS), (errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP))]
KINDS += [{"rename_flags": errno.EINVAL}, {"fsync_folder": errno.EINVAL}, {"fallocate": errno.ENOSYS},
          NONE]


class FileSystemsTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.images("train.npy", 60, seed=1)
        self.library = self.dir / "limited.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(self.library),
                        str(ROOT / "tests" / "support" / "limited_system.c"), "-ldl"], check=True)
        self.build = ["kernel-build", "--network", "net.json", "--train", "train.npy", "--tile", "16"]
        self.run_command(*self.build, "--out", "whole.h5")
        self.expected = (self.dir / "whole.h5").read_bytes()

    def limited(self, limits):
        return {"LD_PRELOAD": str(self.library),
                "LIMITED": ",".join(f"{name}={value}" for name, value in limits.items())}

    def check_output(self, name="k.h5"):
        self.assertEqual((self.dir / name).read_bytes(), self.expected)
        self.assertEqual([n for n in self.files() if n.startswith(f"{name}.")], [])
        (self.dir / name).unlink()

    def test_a_run_ends_as_everywhere_on_a_file_system_that_lacks_a_call(self):
        for limits in KINDS:
            with self.subTest(limits=limits):
                result = self.run_command(*self.build, "--out", "k.h5", env=self.limited(limits))
                said = result.stderr.splitlines()
                self.assertEqual(len(said), 1 if "flock" in limits else 0, result.stderr)
                for line in said:
                    self.assertIn("k.h5.lock", line)
                self.check_output()

    def test_an_output_that_appeared_meanwhile_is_not_replaced_there_either(self):
        limits = self.limited({"rename_flags": errno.EINVAL, "link": errno.ENOSYS})
        process = self.start_slow(limits)
        (self.dir / "k.h5").write_bytes(b"precious")
        process.send_signal(signal.SIGCONT)
        _, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 73, error)
        self.assertEqual((self.dir / "k.h5").read_bytes(), b"precious")
        (self.dir / "k.h5").unlink()
        self.run_command(*self.slow, "--resume", env=limits)
        self.run_command("kernel-verify", "k.h5")

    def start_slow(self, limits):
        """Stopped where its files are there."""
        self.images("slow.npy", 600, shape=(1, 28, 28))
        self.slow = ["kernel-build", "--network", "convnet-gp", "--train", "slow.npy", "--tile", "16",
                     "--dtype", "float64", "--threads", "1", "--out", "k.h5"]
        process = subprocess.Popen(command(*self.slow), cwd=self.dir, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env={**os.environ, **limits})
        while not (self.dir / "k.h5.journal").exists():
            self.assertIsNone(process.poll())
            time.sleep(0.001)
        process.send_signal(signal.SIGSTOP)
        return process

    def test_a_second_writer_is_kept_out_without_locks_and_a_killed_one_is_not_in_the_way(self):
        limits = self.limited(NONE)
        process = self.start_slow(limits)
        for more in ("--resume", "--overwrite"):
            for env in (limits, {}):
                line = self.run_command(*self.slow, more, env=env, code=11).stderr.splitlines()[-1]
                self.assertIn("k.h5.lock", line)
                self.assertIn(f"process {process.pid} on ", line)
        process.kill()
        process.communicate()
        self.assertTrue((self.dir / "k.h5.lock").exists())
        self.run_command(*self.slow, "--resume", env=limits)
        self.assertEqual([n for n in self.files() if n.startswith("k.h5.")], [])
        self.run_command("kernel-verify", "k.h5")

    def test_no_lock_is_the_last_resort(self):
        (self.dir / "k.h5.lock").write_text("host = elsewhere\nprocess = 7\n")
        limits = self.limited({"flock": errno.ENOLCK})
        line = self.run_command(*self.build, "--out", "k.h5", env=limits, code=11).stderr
        self.assertIn("process 7 on elsewhere", line)
        self.assertIn("k.h5.lock", line)
        result = self.run_command(*self.build, "--out", "k.h5", "--no-lock", env=limits)
        self.assertEqual(result.stderr, "")
        (self.dir / "k.h5.lock").unlink()
        self.check_output()

    def test_no_thread_to_be_had_is_no_bug(self):
        codes = set()
        for threads in range(0, 6):
            for arguments in (self.build, [*self.build, "--threads", "4"]):
                with self.subTest(threads=threads):
                    result = subprocess.run(command(*arguments, "--out", "k.h5"), cwd=self.dir, text=True,
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                                            env={**os.environ, **self.limited({"threads": threads})})
                    codes.add(result.returncode)
                    if result.returncode == 0:
                        self.check_output()
                        continue
                    self.assertEqual(result.returncode, 1, result.stderr)
                    self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                    self.assertIn("no thread", result.stderr)
                    self.assertFalse((self.dir / "k.h5").exists())
                    for left in self.dir.glob("k.h5.*"):
                        left.unlink()
        self.assertIn(1, codes)


if __name__ == "__main__":
    main()
