"""h5py opens and reads the growing file of kernel-build 1,000 times: never an error, and every entry is
NaN or has its final value; what was final once stays so. The readers do not hold up the writer."""

import subprocess

import h5py
import numpy as np

from support import CommandTest, command, main

NUM_POLLS = 1000
MATRICES = ("Kxx", "Kxtx", "Kt_diag")


class PollingTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.images("train.npy", 300, seed=1, shape=(1, 28, 28))
        self.images("test.npy", 40, seed=2, shape=(1, 28, 28))

    def start(self, depth):
        """Deep: a run that takes long though its matrix, which every poll reads, is small."""
        self.network(f"""{{"layers": [
            {{"type": "repeat", "times": {depth}, "layers": [
                {{"type": "conv2d", "kernel_size": 3, "var_weight": 2}}, {{"type": "relu"}}]}},
            {{"type": "conv2d", "kernel_size": 28, "padding": 0}}]}}""")
        return subprocess.Popen(
            command("kernel-build", "--network", "net.json", "--train", "train.npy", "--test",
                    "test.npy", "--dtype", "float64", "--tile", "16", "--threads", "1", "--out", "k.h5",
                    "--quiet"),
            cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def poll(self):
        """Every entry of the file at this moment; None before the run has created it."""
        for name in ("k.h5.partial", "k.h5"):
            try:
                with h5py.File(self.dir / name) as file:
                    return np.concatenate([file[m][...].ravel() for m in MATRICES])
            except FileNotFoundError:
                continue
        return None

    def poll_while_it_runs(self, process):
        """Returns the number of polls, of those that saw some entries but not all, and the last one."""
        polls, partly, last = 0, 0, None
        while polls < NUM_POLLS and process.poll() is None:
            values = self.poll()
            if values is None:
                continue
            there = ~np.isnan(values)
            polls, partly = polls + 1, partly + (0 < there.sum() < there.size)
            if last is not None:
                known = ~np.isnan(last)
                self.assertTrue(np.array_equal(values[known], last[known]), "an entry changed")
            last = values
        return polls, partly, last

    def test_a_thousand_polls_see_nan_or_final_values(self):
        polls, depth = 0, 40
        while polls < NUM_POLLS:  # on a fast machine, with a longer run
            depth *= 2
            (self.dir / "k.h5").unlink(missing_ok=True)
            process = self.start(depth)
            polls, partly, last = self.poll_while_it_runs(process)
            _, error = process.communicate()
            self.assertEqual(process.returncode, 0, error)
        final = self.poll()
        # No entry changed from poll to poll; now those of the last poll have to be the final ones.
        known = ~np.isnan(last)
        self.assertTrue(np.array_equal(last[known], final[known]))
        self.assertFalse(np.isnan(final).any())
        print(f"\n{polls} polls by h5py while {depth} layers were computed: 0 errors, {partly} saw a "
              f"part of the {final.size:,} entries, every entry NaN or final")
        self.assertGreater(partly, NUM_POLLS // 4)


if __name__ == "__main__":
    main()
