"""What --resume continues and what it refuses, by name."""

import signal
import subprocess

import numpy as np

from long_run import BUILD, HANGS, LongRunTest
from support import command, main


class ResumeTest(LongRunTest):
    def interrupted(self):
        """Leaves an unfinished build behind."""
        code, err = self.signalled(BUILD, signal.SIGTERM)
        self.assertEqual(code, 143, err)

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
        before = self.files()
        for words, arguments in [(["pixels of train"], changed("train.npy", "other.npy")),
                                 (["network"], changed("convnet-gp", "residual-cnn-gp")),
                                 (["tile size (16, now 32)"], changed("16", "32")),
                                 (["data type (float64, now float32)"], changed("float64", "float32"))]:
            with self.subTest(words=words):
                self.assert_fails(12, words, *arguments, "--out", "out.h5", "--resume")
        self.assertEqual(self.files(), before)

    def test_resume_refuses_other_labels_and_parameters_by_name(self):
        pixels, labels = np.load(self.dir / "train.npy"), np.arange(500) % 10
        np.savez(self.dir / "train.npz", X=pixels, y=labels)
        one = ('{"layers": [{"type": "conv2d", "kernel_size": 7, "var_bias": 0.3}, {"type": "relu"}, '
               '{"type": "conv2d", "kernel_size": 28, "padding": 0}]}')
        self.write("net.json", one)
        build = ["kernel-build", "--network", "net.json", "--train", "train.npz", "--tile", "8",
                 "--threads", "1", "--dtype", "float64", "--quiet", "--out", "out.h5"]
        process = subprocess.Popen(command(*build), cwd=self.dir)
        self.wait_for("out.h5.journal")
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = (self.dir / "out.h5.journal").read_bytes()
        labels[[3, 4]] = labels[[4, 3]]
        np.savez(self.dir / "train.npz", X=pixels, y=labels)
        self.assert_fails(12, ["labels of train"], *build, "--resume")
        labels[[3, 4]] = labels[[4, 3]]
        np.savez(self.dir / "train.npz", X=pixels, y=labels)
        self.write("net.json", one.replace("0.3", "0.31"))
        self.assert_fails(12, ["parameter conv0.var_bias (0.3, now 0.31)"], *build, "--resume")
        self.write("net.json", one)
        self.assertEqual((self.dir / "out.h5.journal").read_bytes(), before)
        self.run_command(*build, "--resume")

    def test_resume_of_a_finished_run_changes_nothing(self):
        self.run_command(*BUILD, "--out", "out.h5")
        before = self.out.read_bytes()
        self.run_command(*BUILD, "--out", "out.h5", "--resume")
        self.assertEqual(self.out.read_bytes(), before)

    def test_a_second_writer_is_refused(self):
        first = self.start(BUILD, "--threads", "1")
        self.wait_for("out.h5.journal")
        self.assert_fails(11, ["out.h5"], *BUILD, "--out", "out.h5", "--resume")
        _, err = first.communicate(timeout=HANGS)
        self.assertEqual(first.returncode, 0, err)


if __name__ == "__main__":
    main()
