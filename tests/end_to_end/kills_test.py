"""A run that is killed at random moments, and continued with --resume, ends with the very bytes of a run that
nobody disturbed."""

import random
import signal
import subprocess

from long_run import BUILD, GRAD, LongRunTest
from support import LONG, main

KILLS = 200 if LONG else 20


class KillsTest(LongRunTest):
    def run_with_kills(self, arguments, rng):
        """Kills the run at random moments until it gets through. Returns the number of kills, and of
        those that found some tiles committed."""
        kills = midway = 0
        longest = self.seconds
        while True:
            process = self.start(arguments, "--resume", "--threads", str(rng.randint(1, 4)))
            try:
                out, err = process.communicate(timeout=rng.uniform(0, longest))
                self.assertEqual(process.returncode, 0, err)
                return kills, midway
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
                midway += self.num_committed() > 0
                longest *= 1.05  # so that an end is certain

    def check_kills(self, arguments, wanted):
        expected = self.undisturbed(arguments)
        rng = random.Random(7)
        kills = midway = runs = 0
        while kills < wanted:
            more, more_midway = self.run_with_kills(arguments, rng)
            kills, midway, runs = kills + more, midway + more_midway, runs + 1
            self.assertEqual(self.out.read_bytes(), expected)
            self.assertEqual([n for n in self.files() if n.startswith("out.h5.")], [])
            self.out.unlink()
        print(f"{kills} kills over {runs} runs, {midway} with tiles committed: {runs} of {runs} files "
              "identical")
        self.assertGreater(midway, wanted // 4)

    def test_a_build_killed_at_random_moments_ends_with_the_same_bytes(self):
        self.check_kills(BUILD, KILLS)

    def test_a_gradient_killed_at_random_moments_ends_with_the_same_bytes(self):
        self.check_kills(GRAD, KILLS)


if __name__ == "__main__":
    main()
