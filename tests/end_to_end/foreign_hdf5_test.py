"""The short form of the campaign on damaged HDF5 data files of other programs (tests/campaigns/foreign_hdf5.py,
which has the long one): the same files every time, and others by the clock, whose seed it prints."""

import pathlib
import sys
import time
import unittest

from support import main

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "campaigns"))
from foreign_hdf5 import Campaign  # noqa: E402

FILES = 120  # of each kind


class ForeignHdf5Test(unittest.TestCase):
    def check(self, seed):
        campaign = Campaign()
        campaign.run(seed, FILES)
        print(f"\nseed {seed}: {campaign.report()}", flush=True)
        self.assertEqual(campaign.problems, [])
        # Damage that nobody meets, or a command that refuses everything, would prove nothing.
        self.assertGreater(campaign.ends[66], FILES // 10)
        self.assertGreater(campaign.ends[0], FILES // 10)

    def test_the_same_files_every_time(self):
        self.check(1)

    def test_other_files_by_the_clock(self):
        self.check(int(time.time()))


if __name__ == "__main__":
    main()
