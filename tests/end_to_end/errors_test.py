"""Every refusal: one line on stderr that says what, where and what to do; the exit code of the table;
nothing that existed is lost and no half-written file is left."""

import gzip
import json
import os
import re
import struct
import unittest

import h5py
import numpy as np

from support import NETWORK, CommandTest, main


class ErrorsTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.images("train.npy", 20, seed=1)
        self.images("test.npy", 6, seed=2)

    def build(self, *more, network="net.json", train="train.npy"):
        return ["kernel-build", "--network", network, "--train", train, "--out", "k.h5", *more]

    def check(self, code, words, *arguments):
        before = self.files()
        line = self.assert_fails(code, words, *arguments)
        self.assertEqual(self.files(), before, "a refused run changed files")
        return line

    def check_network(self, words, text):
        self.write("bad.json", text)
        return self.check(65, words, *self.build(network="bad.json"))

    def layers(self, **changes):
        network = json.loads(NETWORK)
        network["layers"][0].update(changes)
        return json.dumps(network)

    # networks: 65

    def test_a_map_that_does_not_end_1x1_is_named_with_its_size(self):
        network = json.loads(NETWORK)
        del network["layers"][2]
        self.check_network(["bad.json", "12", "1"], json.dumps(network))

    def test_an_unknown_key_is_named_with_its_place(self):
        self.check_network(["bad.json", "layers[0]", "kernel"], self.layers(kernel=3))

    def test_a_negative_variance_is_named_with_its_place(self):
        self.check_network(["layers[0].var_weight", "-1"], self.layers(var_weight=-1))

    def test_text_that_is_not_json(self):
        self.check_network(["bad.json"], "{")

    def test_a_network_that_is_neither_file_nor_preset_lists_the_presets(self):
        self.check(65, ["convnet-pg", "convnet-gp"], *self.build(network="convnet-pg"))

    # data: 66

    def test_a_channel_mismatch_between_train_and_test(self):
        self.images("rgb.npy", 5, shape=(3, 12, 12))
        self.check(66, ["rgb.npy", "train.npy", "3", "1"], *self.build("--test", "rgb.npy"))

    def test_a_size_mismatch_between_train_and_validation(self):
        self.images("wide.npy", 5, shape=(1, 12, 13))
        self.check(66, ["wide.npy", "13"], *self.build("--validation", "wide.npy"))

    def test_a_file_that_does_not_exist_is_an_io_error(self):
        self.check(5, ["nowhere.npy", "No such file"], *self.build(train="nowhere.npy"))

    def test_a_truncated_idx_file(self):
        header = struct.pack(">IIII", 0x803, 10, 12, 12)
        (self.dir / "short-idx3-ubyte").write_bytes(header + bytes(1000))
        self.check(66, ["short-idx3-ubyte"], *self.build(train="short-idx3-ubyte"))

    def test_a_truncated_gzip_file(self):
        whole = gzip.compress(struct.pack(">IIII", 0x803, 10, 12, 12) + os.urandom(1440))
        (self.dir / "short.gz").write_bytes(whole[:700])
        self.check(66, ["short.gz"], *self.build(train="short.gz"))

    def test_a_missing_dataset_in_an_hdf5_file(self):
        with h5py.File(self.dir / "data.h5", "w") as f:
            f["images"] = np.zeros((3, 12, 12))
        self.check(66, ["data.h5", "/X"], *self.build(train="data.h5:/X"))

    def test_pixels_that_are_not_finite_name_the_image(self):
        for value in (np.nan, np.inf):
            pixels = np.load(self.dir / "train.npy")
            pixels[13, 0, 5, 7] = value
            np.save(self.dir / "bad.npy", pixels)
            self.check(66, ["bad.npy", "13"], *self.build(train="bad.npy"))

    # wrong use: 2

    def test_an_empty_range(self):
        self.check(2, ["train.npy#5:5"], *self.build(train="train.npy#5:5"))

    def test_a_range_past_the_end_names_the_number_of_images(self):
        self.check(2, ["train.npy#0:21", "20"], *self.build(train="train.npy#0:21"))

    def test_options_that_do_not_fit(self):
        for more, word in [(["--dtype", "float16"], "float16"), (["--memory", "lots"], "lots"),
                           (["--tile", "0"], "--tile"), (["--tile", "x"], "--tile"),
                           (["--threads", "0"], "--threads"), (["--shard", "4/4"], "4/4"),
                           (["--frobnicate"], "--frobnicate"), (["--layout", "round"], "round"),
                           (["--resume", "--overwrite"], "--resume")]:
            with self.subTest(more=more):
                self.check(2, [word], *self.build(*more))

    def test_a_missing_option(self):
        self.check(2, ["--train"], "kernel-build", "--network", "net.json", "--out", "k.h5")

    def test_memory_that_does_not_hold_one_tile_names_the_least(self):
        line = self.check(2, ["--memory 64.0 KiB"], *self.build("--memory", "64KiB", "--tile", "512"))
        least = float(re.search(r"at least ([\d.]+) MiB", line).group(1))
        self.check(2, ["--memory"], *self.build("--memory", f"{least - 1}MiB", "--tile", "512"))
        self.run_command(*self.build("--memory", f"{least}MiB", "--tile", "512"))

    # outputs

    def test_an_existing_output_is_kept(self):
        (self.dir / "k.h5").write_bytes(b"precious")
        self.check(73, ["k.h5", "--overwrite"], *self.build())

    def test_an_existing_output_is_replaced_with_overwrite(self):
        (self.dir / "k.h5").write_bytes(b"precious")
        self.run_command(*self.build("--overwrite", "--quiet"))
        with h5py.File(self.dir / "k.h5") as f:
            self.assertEqual(f["Kxx"].shape, (20, 20))
        self.assertEqual(sorted(self.files()), ["k.h5", "net.json", "test.npy", "train.npy"])

    def test_an_existing_output_survives_a_refused_overwrite(self):
        (self.dir / "k.h5").write_bytes(b"precious")
        self.check(5, ["nowhere"], *self.build("--overwrite", train="nowhere.npy"))

    def test_a_folder_that_does_not_exist(self):
        self.check(73, ["no/such"], "kernel-build", "--network", "net.json", "--train", "train.npy",
                   "--out", "no/such/k.h5")

    def test_float_overflow_is_named_with_advice(self):
        pixels = np.load(self.dir / "train.npy") * np.float32(1e30)
        np.save(self.dir / "huge.npy", pixels)
        before = set(self.files())
        self.assert_fails(1, ["image ", "float64"], *self.build("--overwrite", train="huge.npy"))
        self.assertNotIn("k.h5", self.files())
        self.assertLessEqual(set(self.files()) - before, {"k.h5.partial", "k.h5.journal"})


if __name__ == "__main__":
    main()
