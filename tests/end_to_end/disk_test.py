"""A disk that is full or read-only: the right exit code, a message with path and bytes, nothing lost.

Mounting a small tmpfs needs root; without it those tests are skipped and say so."""

import os
import signal
import subprocess
import time

import h5py
import numpy as np

from support import CommandTest, command, main


class DiskTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.images("train.npy", 300, seed=1)
        self.build = ["kernel-build", "--network", "net.json", "--train", "train.npy", "--tile", "16"]

    def mount(self, size, *options):
        """A tmpfs in self.dir/disk."""
        disk = self.dir / "disk"
        disk.mkdir()
        result = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]),
                                 "gramtile-test", str(disk)], text=True, stderr=subprocess.PIPE)
        if result.returncode != 0:
            self.skipTest(f"no tmpfs here, needs root: {result.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", str(disk)], check=True)
        return disk

    def test_a_full_disk_shows_at_the_start_and_leaves_what_was_there(self):
        disk = self.mount("200k")  # Kxx alone is 300·300·4 = 352 KiB
        (disk / "precious").write_bytes(b"x" * 50_000)
        self.assert_fails(28, ["disk/k.h5", "bytes"], *self.build, "--out", "disk/k.h5")
        self.assertEqual((disk / "precious").read_bytes(), b"x" * 50_000)
        self.assertFalse((disk / "k.h5").exists())

    def test_an_existing_output_survives_a_full_disk(self):
        disk = self.mount("200k")
        (disk / "k.h5").write_bytes(b"x" * 50_000)
        self.assert_fails(28, ["disk/k.h5"], *self.build, "--out", "disk/k.h5", "--overwrite")
        self.assertEqual((disk / "k.h5").read_bytes(), b"x" * 50_000)

    def test_a_run_that_found_no_space_works_once_there_is_some(self):
        disk = self.mount("200k")
        self.run_command(*self.build, "--out", "disk/k.h5", code=28)
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        self.run_command(*self.build, "--out", "disk/k.h5", "--resume")
        with h5py.File(disk / "k.h5") as f:
            self.assertEqual(f["Kxx"].shape, (300, 300))
        self.assertEqual([p.name for p in disk.iterdir()], ["k.h5"])

    def test_a_disk_that_fills_up_during_a_run_ends_it_and_loses_nothing(self):
        """The matrix has its space from the start; the journal grows, and finds none."""
        with h5py.File(self.dir / "u.h5", "w") as file:
            file["U"] = np.random.default_rng(1).standard_normal((300, 2))
        self.images("train.npy", 300, seed=1, shape=(1, 28, 28))
        common = ["--network", "convnet-gp", "--train", "train.npy", "--tile", "8", "--dtype", "float64",
                  "--threads", "1", "--quiet"]
        disk = self.mount("4m")
        for arguments in (["kernel-build", *common],
                          ["kernel-grad", *common, "--upstream-factors", "u.h5:/U", "u.h5:/U"]):
            with self.subTest(command=arguments[0]):
                self.run_command(*arguments, "--out", "whole.h5", "--overwrite")
                process = subprocess.Popen(command(*arguments, "--out", "disk/k.h5"), cwd=self.dir,
                                           stderr=subprocess.PIPE, text=True)
                while not (disk / "k.h5.journal").exists():
                    self.assertIsNone(process.poll())
                    time.sleep(0.001)
                process.send_signal(signal.SIGSTOP)
                free = os.statvfs(disk)
                (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize))
                process.send_signal(signal.SIGCONT)
                _, error = process.communicate(timeout=120)
                print(f"\n{error.strip()}")
                self.assertEqual(process.returncode, 28, error)
                self.assertEqual(len(error.splitlines()), 1)
                self.assertRegex(error, r"disk/k\.h5\.journal.*\d+ bytes")
                (disk / "filler").unlink()
                self.run_command(*arguments, "--out", "disk/k.h5", "--resume")
                self.assertEqual((disk / "k.h5").read_bytes(), (self.dir / "whole.h5").read_bytes())
                self.assertEqual([p.name for p in disk.iterdir()], ["k.h5"])
                (disk / "k.h5").unlink()

    def test_a_read_only_file_system(self):
        disk = self.mount("1m")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        self.assert_fails(73, ["disk/k.h5"], *self.build, "--out", "disk/k.h5")

    def test_a_folder_without_permission(self):
        folder = self.dir / "closed"
        folder.mkdir()
        folder.chmod(0o555)
        if os.geteuid() != 0:
            self.assert_fails(73, ["closed/k.h5"], *self.build, "--out", "closed/k.h5")
            return
        # Root passes every permission, so the command runs as somebody else.
        self.dir.chmod(0o755)
        result = subprocess.run(command(*self.build, "--out", "closed/k.h5"), cwd=self.dir, text=True,
                                user=65534, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 73, result.stderr)
        self.assertIn("closed/k.h5", result.stderr)

    def test_an_output_that_is_a_folder(self):
        (self.dir / "k.h5").mkdir()
        self.assert_fails(73, ["k.h5"], *self.build, "--out", "k.h5")


if __name__ == "__main__":
    main()
