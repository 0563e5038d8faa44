"""Data as people have it: every form of the same images and labels gives the same run, and what is left out or
taken for something else is said. The inputs are made here, with h5py, NumPy and byte by byte."""

import gzip
import struct
import zlib

import h5py
import numpy as np

from support import CommandTest, Measured, main

NETWORK = """{"layers": [
  {"type": "conv2d", "kernel_size": 3, "stride": 2, "var_weight": 2, "var_bias": 0.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "stride": 2, "var_weight": 2, "var_bias": 0.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "stride": 2, "var_weight": 2, "var_bias": 0.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "stride": 2, "var_weight": 2, "var_bias": 0.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "stride": 2, "var_weight": 2, "var_bias": 0.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "stride": 2, "var_weight": 2, "var_bias": 0.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "stride": 2, "var_weight": 2, "var_bias": 0.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 1, "padding": 0}]}"""  # ends in 1×1 for every image up to 128×128

rng = np.random.default_rng(11)
GREY = rng.integers(0, 256, (12, 7, 9), dtype=np.uint8)      # [N, H, W], not square
COLOUR = rng.integers(0, 256, (12, 3, 7, 9), dtype=np.uint8)  # [N, C, H, W]
LABELS = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8])


def mat_element(kind, payload):
    """One element of a MATLAB 5 file: tag, payload, zeros up to eight bytes; up to four bytes in the tag itself."""
    if len(payload) <= 4:
        return struct.pack("<HH", kind, len(payload)) + payload.ljust(4, b"\0")
    return struct.pack("<II", kind, len(payload)) + payload + b"\0" * (-len(payload) % 8)


def mat_variable(name, array, compressed, stored=None, flags=0):
    """`array` as MATLAB keeps it, column by column; `stored`: the type of the bytes when that is another."""
    classes = {"f8": 6, "f4": 7, "i1": 8, "u1": 9, "i2": 10, "u2": 11, "i4": 12, "u4": 13, "i8": 14, "u8": 15}
    kinds = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
    as_stored = array.astype(stored or array.dtype)
    contents = (mat_element(6, struct.pack("<II", classes[array.dtype.str[1:]] | flags, 0))
                + mat_element(5, struct.pack(f"<{array.ndim}i", *array.shape))
                + mat_element(1, name.encode())
                + mat_element(kinds[as_stored.dtype.str[1:]], as_stored.tobytes(order="F")))
    element = struct.pack("<II", 14, len(contents)) + contents
    if not compressed:
        return element
    packed = zlib.compress(element)
    return struct.pack("<II", 15, len(packed)) + packed


def mat_file(*variables):
    header = b"MATLAB 5.0 MAT-file, made by a test".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    return header + b"".join(variables)


def to_matlab(images):
    """[N, C, H, W] as MATLAB has it: [H, W, C, N]; [N, H, W] as [H, W, N]."""
    return images.transpose(2, 3, 1, 0) if images.ndim == 4 else images.transpose(1, 2, 0)


def idx(array, code, element):
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(element).tobytes()


class DataSourcesTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network(NETWORK)
        np.save(self.dir / "grey.npy", GREY)
        np.save(self.dir / "colour.npy", COLOUR)
        np.save(self.dir / "labels.npy", LABELS)

    def build(self, source, *more, out="k.h5", **keywords):
        """Runs kernel-build; gives its result, and of the file the hash of the pixels, labels and positions."""
        result = self.run_command("kernel-build", "--network", "net.json", "--train", source, "--out", out,
                                  "--overwrite", *more, **keywords)
        with h5py.File(self.dir / out) as f:
            result.pixels = f.attrs["train_hash"]
            result.labels = list(f["train_labels"]) if "train_labels" in f else None
            result.positions, result.range = list(f["train"]), list(f.attrs["train_range"])
        return result

    def hash_of(self, images):
        np.save(self.dir / "expected.npy", images)
        return self.build("expected.npy", out="expected.h5").pixels

    def assert_source(self, source, images, labels, *more):
        result = self.build(source, *more)
        self.assertEqual(result.pixels, self.hash_of(images), source)
        self.assertEqual(result.labels, None if labels is None else list(labels), source)
        return result

    def h5(self, name, datasets, **options):
        with h5py.File(self.dir / name, "w", **options) as f:
            for path, values in datasets.items():
                f[path] = values
        return name

    # --- shapes and channels -------------------------------------------------------------------

    def test_the_shape_of_every_set_is_printed_before_the_work_and_in_a_dry_run(self):
        for more in ((), ("--dry-run",)):
            out = self.run_command("kernel-build", "--network", "net.json", "--train", "colour.npy", "--test",
                                   "colour.npy#:5", "--out", "k.h5", *more).stdout
            for name, count in (("train", 12), ("test", 5)):
                self.assertRegex(out, rf"(?m)^{name}:? +{count} images of 3 × 7 × 9")
            (self.dir / "k.h5").unlink(missing_ok=True)
        quiet = self.build("colour.npy", "--quiet")
        self.assertEqual(quiet.stdout + quiet.stderr, "")

    def test_images_with_their_channels_last_are_warned_of_and_read(self):
        for channels in (1, 3, 4):
            images = rng.random((5, channels, 7, 9))
            last = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
            np.save(self.dir / "last.npy", last)
            np.savez(self.dir / "last.npz", images=last)
            self.h5("last.h5", {"X": last})
            for source in ("last.npy", "last.npz", "last.h5"):
                warned = self.build(source)
                self.assertIn("--channels-last", warned.stderr)
                self.assertIn(f"7 channels of 9 × {channels}", warned.stderr)
                self.assertEqual(self.build(source, "--quiet").stderr, "")
                read = self.assert_source(source, images, None, "--channels-last")
                self.assertEqual(read.stderr, "")
            self.run_command("kernel-verify", "k.h5", "--train", "last.h5", "--channels-last")
            self.run_command("kernel-verify", "k.h5", "--train", "expected.npy")

    def test_images_that_do_not_look_channel_last_are_not_warned_of(self):
        for shape in ((5, 3, 7, 9), (5, 1, 9, 3), (5, 3, 9, 3), (5, 7, 9), (5, 9, 3), (5, 2, 7, 8)):
            np.save(self.dir / "x.npy", rng.random(shape))
            self.assertEqual(self.build("x.npy").stderr, "", shape)

    def test_channels_last_leaves_alone_what_has_no_channels_or_knows_them(self):
        self.assert_source("grey.npy", GREY, None, "--channels-last")
        self.write_bytes("colour.mat", mat_file(mat_variable("X", to_matlab(COLOUR), True)))
        self.assert_source("colour.mat", COLOUR, None, "--channels-last")

    def write_bytes(self, name, data):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    # --- labels --------------------------------------------------------------------------------

    def test_labels_of_any_shape_and_type_that_is_one_number_per_image_are_taken(self):
        one_hot = np.eye(10, dtype=np.uint8)[LABELS]
        for dtype in ("u1", "i2", "i4", "i8", "u8", "f4", "f8"):
            for shape in ((12,), (12, 1), (1, 12), (12, 1, 1, 1)):
                labels = LABELS.astype(dtype).reshape(shape)
                np.savez(self.dir / "a.npz", images=GREY, labels=labels)
                self.h5("a.h5", {"images": GREY, "labels": labels})
                for source in ("a.npz", "a.h5"):
                    result = self.build(source + "#2:9")
                    self.assertEqual((result.labels, result.stderr), (list(LABELS[2:9]), ""), (dtype, shape))
        for dtype in ("u1", "f4"):
            np.savez(self.dir / "a.npz", images=GREY, y=one_hot.astype(dtype))
            result = self.build("a.npz")
            self.assertEqual(result.labels, list(LABELS))
            self.assertIn("one-hot", result.stderr)

    def test_labels_that_are_left_out_are_named_with_the_reason(self):
        regression = rng.random(12)
        cases = {"fraction": (regression, "no whole number"), "nan": (np.full(12, np.nan), "no whole number"),
                 "columns": (rng.integers(0, 2, (12, 14)) + rng.integers(0, 2, (12, 1)), "14 numbers per image")}
        for labels, reason in cases.values():
            np.savez(self.dir / "a.npz", images=GREY, labels=labels)
            self.h5("a.h5", {"images": GREY, "labels": labels})
            for source in ("a.npz", "a.h5"):
                result = self.build(source)
                self.assertIsNone(result.labels)
                self.assertIn(reason, result.stderr)
                self.assertIn("no labels", result.stdout)
                self.assertIn("labels", result.stderr)
        np.savez(self.dir / "a.npz", images=GREY, labels=LABELS[:11])
        self.assert_fails(66, ["12 labels", "found 11"], "kernel-build", "--network", "net.json", "--train",
                          "a.npz", "--out", "x.h5")

    def test_names_of_images_and_labels_as_common_files_have_them(self):
        pairs = [("x_train", "y_train"), ("X_train", "Y_train"), ("train_images", "train_labels"),
                 ("images", "labels"), ("X", "Y"), ("data", "target"), ("data", "label"), ("x", "targets"),
                 ("images_train", "labels_train")]
        for images, labels in pairs:
            np.savez(self.dir / "a.npz", **{images: GREY, labels: LABELS})
            self.h5("a.h5", {images: GREY, labels: LABELS})
            for source in ("a.npz", "a.h5"):
                self.assert_source(source, GREY, LABELS)

    def test_each_role_takes_its_own_part_of_a_file(self):
        sets = {"train": slice(0, 6), "val": slice(6, 9), "test": slice(9, 12)}
        np.savez(self.dir / "med.npz", **{f"{n}_images": GREY[s] for n, s in sets.items()},
                 **{f"{n}_labels": LABELS[s].reshape(-1, 1).astype(np.uint8) for n, s in sets.items()})
        self.run_command("kernel-build", "--network", "net.json", "--train", "med.npz", "--validation", "med.npz",
                         "--test", "med.npz", "--out", "med.h5")
        with h5py.File(self.dir / "med.h5") as f:
            self.assertEqual(f["Kxvx"].shape, (3, 6))
            for name, part in (("train", "train"), ("validation", "val"), ("test", "test")):
                self.assertEqual(list(f[f"{name}_labels"]), list(LABELS[sets[part]]))

    def test_labels_may_lie_in_a_file_of_their_own(self):
        self.h5("y.h5", {"y": LABELS.astype(np.uint8).reshape(12, 1, 1, 1)})
        np.savez(self.dir / "y.npz", other=GREY, targets=LABELS)
        self.write_bytes("y-idx1-ubyte.gz", gzip.compress(idx(LABELS, 8, ">u1")))
        self.write_bytes("y.mat", mat_file(mat_variable("y", LABELS.reshape(-1, 1).astype("f8"), True, "u1")))
        for labels in ("labels.npy", "y.h5", "y.h5:/y", "y.npz", "y.npz:/targets", "y-idx1-ubyte.gz", "y.mat"):
            self.assertEqual(self.build("grey.npy", "--train-labels", labels).labels, list(LABELS), labels)
            chosen = self.build("grey.npy#8:,0:2", "--train-labels", labels)
            self.assertEqual(chosen.labels, list(LABELS[[8, 9, 10, 11, 0, 1]]), labels)
        np.save(self.dir / "five.npy", LABELS[:5])  # as many as there are examples, not as images
        self.assertEqual(self.build("grey.npy#3:8", "--train-labels", "five.npy").labels, list(LABELS[:5]))
        self.run_command("kernel-build", "--network", "net.json", "--train", "grey.npy", "--validation",
                         "grey.npy#:4", "--validation-labels", "labels.npy", "--test", "grey.npy#4:6",
                         "--test-labels", "labels.npy", "--out", "all.h5")
        with h5py.File(self.dir / "all.h5") as f:
            self.assertEqual(list(f["validation_labels"]), list(LABELS[:4]))
            self.assertEqual(list(f["test_labels"]), list(LABELS[4:6]))

    def test_labels_of_their_own_that_do_not_fit_are_refused(self):
        np.save(self.dir / "real.npy", rng.random(12))
        build = ("kernel-build", "--network", "net.json", "--train", "grey.npy", "--out", "x.h5")
        np.save(self.dir / "seven.npy", LABELS[:7])
        self.assert_fails(66, ["seven.npy", "12", "found 7"], *build, "--train-labels", "seven.npy")
        self.assert_fails(66, ["real.npy", "whole"], *build, "--train-labels", "real.npy")
        self.assert_fails(2, ["--test"], *build, "--test-labels", "labels.npy")
        self.assert_fails(2, ["labels.npy#0:3"], *build, "--train-labels", "labels.npy#0:3")
        self.assert_fails(5, ["nowhere.npy"], *build, "--train-labels", "nowhere.npy")

    def test_qmnist_has_its_label_in_the_first_of_eight_columns(self):
        columns = np.zeros((12, 8), dtype=np.int32)
        columns[:, 0] = LABELS
        columns[:, 2] = rng.integers(0, 4000, 12)
        self.write_bytes("q/qmnist-train-images-idx3-ubyte.gz", gzip.compress(idx(GREY, 8, ">u1")))
        self.write_bytes("q/qmnist-train-labels-idx2-int.gz", gzip.compress(idx(columns, 12, ">i4")))
        for source in ("q", "q/qmnist-train-images-idx3-ubyte.gz"):
            self.assertIn("left out", self.assert_source(source, GREY, LABELS).stderr)

    # --- HDF5 as others write it ---------------------------------------------------------------

    def test_hdf5_files_with_a_user_block_are_read(self):
        for size in (512, 1024, 65536):
            self.h5("u.h5", {"images": GREY, "labels": LABELS}, userblock_size=size)
            self.assert_source("u.h5", GREY, LABELS)
            with open(self.dir / "u.h5", "r+b") as f:
                f.write(b"\0\0 what a user block holds")  # begins like an IDX file
            self.assert_source("u.h5", GREY, LABELS)

    def test_matlab_files_are_read_with_their_axes_in_matlabs_order(self):
        for images in (GREY, COLOUR):
            with h5py.File(self.dir / "m73.mat", "w", userblock_size=512) as f:
                for name, values in (("X", to_matlab(images)), ("y", LABELS.reshape(-1, 1).astype("f8"))):
                    f[name] = np.ascontiguousarray(values.T)
                    f[name].attrs["MATLAB_class"] = np.bytes_(b"double" if name == "y" else b"uint8")
            with open(self.dir / "m73.mat", "r+b") as f:
                f.write(b"MATLAB 7.3 MAT-file, made by a test".ljust(124) + struct.pack("<H", 0x0200) + b"IM")
            self.assert_source("m73.mat", images, LABELS)
            for compressed in (False, True):
                for labels, stored in ((LABELS.astype("f8"), "u1"), (LABELS.astype("u1"), None)):
                    self.write_bytes("m5.mat", mat_file(
                        mat_variable("X", to_matlab(images), compressed),
                        mat_variable("y", labels.reshape(-1, 1), compressed, stored)))
                    self.assert_source("m5.mat", images, LABELS)
                    self.assert_source("m5.mat:/X", images, LABELS)

    def test_numbers_that_matlab_keeps_as_integers_to_save_room_are_not_scaled(self):
        self.write_bytes("m5.mat", mat_file(mat_variable("X", to_matlab(GREY.astype("f8")), True, "u1")))
        self.assert_source("m5.mat", GREY.astype("f8"), None)

    def test_matlab_files_that_are_damaged_or_hold_no_plain_numbers_are_refused(self):
        plain = mat_variable("X", to_matlab(GREY), False)
        packed = mat_variable("X", to_matlab(GREY), True)
        build = ("kernel-build", "--network", "net.json", "--out", "x.h5", "--train")
        for variable in (plain, packed):
            whole = mat_file(variable)
            for size in range(len(whole) - 1, 19, -max(1, len(whole) // 40)):
                self.write_bytes("cut.mat", whole[:size])
                self.assert_fails(66, ["cut.mat"], *build, "cut.mat")
        damaged = bytearray(mat_file(packed))
        damaged[-3] ^= 0xff  # zlib's checksum
        self.write_bytes("bad.mat", bytes(damaged))
        self.assert_fails(66, ["bad.mat"], *build, "bad.mat")
        self.write_bytes("complex.mat", mat_file(mat_variable("X", to_matlab(GREY), False, flags=0x800)))
        self.assert_fails(66, ["complex.mat"], *build, "complex.mat")
        big = bytearray(mat_file(plain))
        big[126:128] = b"MI"
        self.write_bytes("big.mat", bytes(big))
        self.assert_fails(66, ["little-endian"], *build, "big.mat")
        huge = struct.pack("<II", 14, 1 << 31)  # two gigabytes declared in a few bytes
        packed = zlib.compress(huge + plain[8:200])
        self.write_bytes("huge.mat", mat_file(struct.pack("<II", 15, len(packed)) + packed))
        self.assert_fails(66, ["huge.mat"], *build, "huge.mat")

    def test_images_in_groups_are_listed_and_the_only_ones_taken(self):
        build = ("kernel-build", "--network", "net.json", "--out", "x.h5", "--train")
        self.h5("g.h5", {"train/data": GREY, "train/target": LABELS, "test/data": GREY[:4], "b/c/d": GREY[:2]})
        line = self.assert_fails(66, ["train/data [12, 7, 9]", "test/data [4, 7, 9]", "b/c/d [2, 7, 9]"],
                                 *build, "g.h5")
        self.assertNotIn("target", line)
        self.assert_source("g.h5:/train/data", GREY, LABELS)
        self.h5("one.h5", {"train/data": GREY, "train/target": LABELS})
        self.assert_source("one.h5", GREY, LABELS)
        self.h5("none.h5", {"a/matrix": np.zeros((3, 4)), "b": np.zeros(2)})
        self.assert_fails(66, ["a/matrix", "rank 3 or 4"], *build, "none.h5")
        with h5py.File(self.dir / "loop.h5", "w") as f:  # a group within itself, and two names for one
            f["a/again"] = f["/"]
            f["a/data"], f["a/other"] = GREY, GREY
            f["b"] = f["a"]
        self.assert_fails(66, ["a/data"], *build, "loop.h5")

    def test_parts_of_a_format_that_is_too_new_are_refused_with_the_version_that_is_needed(self):
        """Messages of an object header of the first version have no checksum: their version is made a later one."""
        for kind, size_at, needed in ((8, 0, "2.0"), (3, 0, "1.12")):
            self.h5("new.h5", {"images": GREY})
            data = bytearray((self.dir / "new.h5").read_bytes())
            with h5py.File(self.dir / "new.h5") as f:
                header = h5py.h5o.get_info(f["images"].id).addr
            at = data.index(struct.pack("<H", kind), header + 16)
            while data[at + 4] & ~5 or data[at + 5:at + 8] != b"\0\0\0":
                at = data.index(struct.pack("<H", kind), at + 1)
            version = at + 8 + size_at
            data[version] = 9 if kind == 8 else data[version] & 15 | 9 << 4
            (self.dir / "new.h5").write_bytes(data)
            for source in ("new.h5", "new.h5:/images"):
                self.assert_fails(66, ["newer format", f"version {needed}", "libver"], "kernel-build", "--network",
                                  "net.json", "--out", "x.h5", "--train", source)

    def test_chunks_that_were_never_written_are_no_black_images(self):
        build = ("kernel-build", "--network", "net.json", "--out", "x.h5", "--train")
        for options in ({}, {"compression": "gzip"}, {"fletcher32": True}, {"maxshape": (None, 7, 9)}):
            for chunks in ((2, 7, 9), (5, 4, 9)):
                with h5py.File(self.dir / "half.h5", "w") as f:
                    images = f.create_dataset("images", GREY.shape, GREY.dtype, chunks=chunks, **options)
                    images[:5] = GREY[:5]
                self.assert_fails(66, ["half.h5:/images", "ever written", "images"], *build, "half.h5")
                self.assert_fails(66, ["ever written"], *build, "half.h5#3:12")
                self.assertEqual(self.build("half.h5#1:5").pixels, self.hash_of(GREY[1:5]))
                with h5py.File(self.dir / "half.h5", "a") as f:
                    f["images"][5:] = GREY[5:]
                self.assert_source("half.h5", GREY, None)
        with h5py.File(self.dir / "many.h5", "w") as f:  # too many to look for the first that is missing
            images = f.create_dataset("images", (9000, 1, 1), "u1", chunks=(1, 1, 1))
            images[:20] = 1
        self.assert_fails(66, ["only 20 of 9000 chunks"], *build, "many.h5#:10")
        with h5py.File(self.dir / "never.h5", "w") as f:
            f.create_dataset("images", (12, 7, 9), "u1")
        self.assert_fails(66, ["never written"], *build, "never.h5")

    # --- which images --------------------------------------------------------------------------

    def test_ranges_lists_and_labels_choose_the_images_and_their_labels(self):
        order = [11, 0, 1, 2, 7, 7, 3]
        np.save(self.dir / "list.npy", np.array(order))
        np.save(self.dir / "column.npy", np.array(order, dtype=np.float32).reshape(-1, 1))
        np.savez(self.dir / "split.npz", train=np.array(order), other=GREY)
        self.h5("split.h5", {"splits/train": np.array(order, dtype=np.uint8)})
        np.savez(self.dir / "a.npz", images=GREY, labels=LABELS)
        self.h5("a.h5", {"images": GREY, "labels": LABELS})
        choices = {"7:,0:4": [7, 8, 9, 10, 11, 0, 1, 2, 3], "0:3,3:5": [0, 1, 2, 3, 4], "1:4,2:6": [1, 2, 3, 2, 3, 4, 5],
                   "@list.npy": order, "@column.npy": order, "@split.npz:/train": order,
                   "@split.h5:/splits/train": order, "labels=5": [4, 8, 10], "labels=9,1": [1, 3, 5]}
        for source in ("a.npz", "a.h5"):
            for choice, chosen in choices.items():
                result = self.assert_source(f"{source}#{choice}", GREY[chosen], LABELS[chosen], "--tile", "2")
                self.assertEqual(result.positions, chosen)
                self.assertEqual(result.range, [min(chosen), max(chosen) + 1])
        self.assertEqual(self.build("grey.npy#labels=5", "--train-labels", "labels.npy").positions, [4, 8, 10])

    def test_chosen_images_go_through_shares_merging_resuming_and_verifying(self):
        source = "grey.npy#9:,2:5"
        arguments = ("--network", "net.json", "--train", source, "--train-labels", "labels.npy", "--tile", "2")
        self.run_command("kernel-build", *arguments, "--out", "whole.h5")
        for r in range(3):
            self.run_command("kernel-build", *arguments, "--out", f"s{r}.h5", "--shard", f"{r}/3")
        self.run_command("kernel-merge", "--out", "merged.h5", "s2.h5", "s0.h5", "s1.h5")
        self.assertEqual((self.dir / "merged.h5").read_bytes(), (self.dir / "whole.h5").read_bytes())
        self.run_command("kernel-verify", "merged.h5", "--train", source)
        self.run_command("kernel-build", *arguments, "--out", "whole.h5", "--resume")
        self.assert_fails(66, ["not the images"], "kernel-verify", "merged.h5", "--train", "grey.npy#2:5,9:")

    def test_choices_that_lead_nowhere_are_refused(self):
        np.savez(self.dir / "a.npz", images=GREY, labels=LABELS)
        build = ("kernel-build", "--network", "net.json", "--out", "x.h5", "--train")
        bad_lists = {"high": [0, 12], "negative": [0, -1], "fraction": [0.5, 1], "empty": np.zeros(0, int),
                     "matrix": np.zeros((3, 4), int)}
        for name, values in bad_lists.items():
            np.save(self.dir / f"{name}.npy", np.array(values))
            self.assert_fails(66, [f"{name}.npy", "image number"], *build, f"a.npz#@{name}.npy")
        self.assert_fails(5, ["nowhere.npy"], *build, "a.npz#@nowhere.npy")
        self.assert_fails(2, ["label 7"], *build, "a.npz#labels=5,7")
        self.assert_fails(2, ["no labels"], *build, "grey.npy#labels=5")
        self.assert_fails(2, ["12 images"], *build, "a.npz#0:3,8:13")

    def test_choosing_images_takes_no_memory_for_the_others(self):
        """1.2 GB of images in a file with a hole; 20 of them are chosen, by label and by a list without order."""
        count = 200_000
        with open(self.dir / "large.npy", "wb") as f:
            np.lib.format.write_array_header_1_0(f, {"descr": "<f8", "fortran_order": False, "shape": (count, 28, 28)})
            f.truncate(f.tell() + count * 28 * 28 * 8)
        chosen = rng.choice(count, 20, replace=False)
        labels = np.zeros(count, dtype=np.int64)
        labels[chosen] = 1
        np.save(self.dir / "y.npy", labels)
        np.save(self.dir / "chosen.npy", chosen)
        measured = Measured(self.dir)
        self.addCleanup(measured.close)
        for which in ("#labels=1", "#@chosen.npy"):
            run = measured.run("kernel-build", "--network", "net.json", "--train", "large.npy" + which,
                               "--train-labels", "y.npy", "--out", "k.h5", "--overwrite")
            self.assertEqual(run.code, 0, run.stderr)
            with h5py.File(self.dir / "k.h5") as f:
                expected = sorted(chosen) if "labels" in which else list(chosen)
                self.assertEqual(list(f["train"]), expected)
                self.assertEqual(set(f["train_labels"]), {1})
            print(f"{which}: {run.peak_mib:.0f} MiB")
            self.assertLess(run.peak_mib, 64)

    # --- public data sets ----------------------------------------------------------------------

    def test_cifar_100_stl_10_and_svhn_are_read_from_their_folders(self):
        cifar = rng.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
        fine = rng.integers(0, 100, 6, dtype=np.uint8)
        stl = rng.integers(0, 256, (6, 3, 96, 96), dtype=np.uint8)
        digits = rng.integers(1, 11, 6, dtype=np.uint8)
        for half, count in (("train", 6), ("test", 2)):
            records = b"".join(bytes([7, f]) + image.tobytes() for f, image in zip(fine[:count], cifar))
            self.write_bytes(f"cifar/cifar-100-binary/{half}.bin", records)
            self.write_bytes(f"stl/stl10_binary/{half}_X.bin", stl[:count].transpose(0, 1, 3, 2).tobytes())
            self.write_bytes(f"stl/stl10_binary/{half}_y.bin", digits[:count].tobytes())
            self.write_bytes(f"svhn/{half}_32x32.mat", mat_file(
                mat_variable("X", to_matlab(cifar[:count]), True),
                mat_variable("y", digits[:count].reshape(-1, 1), True)))
        for folder, below, images, labels in (("cifar", "cifar-100-binary/", cifar, fine),
                                              ("stl", "stl10_binary/", stl, digits), ("svhn", "", cifar, digits)):
            self.assert_source(folder, images, labels)
            self.assert_source(f"{folder}/{below}".rstrip("/"), images, labels)
            self.run_command("kernel-build", "--network", "net.json", "--train", folder, "--test", folder, "--out",
                             "both.h5", "--overwrite")
            with h5py.File(self.dir / "both.h5") as f:
                self.assertEqual(f.attrs["test_hash"], self.hash_of(images[:2]))
                self.assertEqual(list(f["test_labels"]), list(labels[:2]))
        self.assert_source("stl/stl10_binary/test_X.bin", stl[:2], digits[:2])
        self.assert_source("svhn/test_32x32.mat", cifar[:2], digits[:2])
        self.assert_source("cifar/cifar-100-binary/test.bin#1:", cifar[1:2], fine[1:2])
        bad = bytearray((self.dir / "cifar/cifar-100-binary/test.bin").read_bytes())
        bad[1] = 100
        self.write_bytes("bad/test.bin", bytes(bad))
        self.assert_fails(66, ["0 to 99", "found 100"], "kernel-build", "--network", "net.json", "--train",
                          "bad/test.bin", "--out", "x.h5")
        self.write_bytes("short/train_X.bin", b"\0" * 27647)
        self.assert_fails(66, ["truncated"], "kernel-build", "--network", "net.json", "--train",
                          "short/train_X.bin", "--out", "x.h5")

    # --- matrices of one set, upstreams --------------------------------------------------------

    def test_only_writes_the_matrices_of_one_set_with_the_same_numbers(self):
        sets = ("--train", "grey.npy#:6", "--validation", "grey.npy#6:8", "--test", "grey.npy#8:")
        self.run_command("kernel-build", "--network", "net.json", *sets, "--out", "all.h5")
        names = {"Kxx": "train", "Kxvx": "validation", "Kv_diag": "validation", "Kxtx": "test", "Kt_diag": "test"}
        with h5py.File(self.dir / "all.h5") as everything:
            for only in ("train", "validation", "test"):
                self.run_command("kernel-build", "--network", "net.json", *sets, "--only", only, "--out", f"{only}.h5")
                with h5py.File(self.dir / f"{only}.h5") as f:
                    self.assertEqual({n for n in names if n in f}, {n for n, s in names.items() if s == only})
                    for name in names:
                        if name in f:
                            self.assertTrue(np.array_equal(f[name][...], everything[name][...]))
                self.run_command("kernel-verify", f"{only}.h5", *sets)
        self.assert_fails(2, ["--test"], "kernel-build", "--network", "net.json", "--train", "grey.npy", "--only",
                          "test", "--out", "x.h5")

    def test_an_upstream_gradient_may_be_npy_or_npz(self):
        upstream = rng.standard_normal((12, 12))
        u, v = rng.standard_normal((12, 3)), rng.standard_normal((12, 3))
        self.h5("u.h5", {"dLdK": upstream, "U": u, "V": v})
        np.savez(self.dir / "u.npz", dLdK=upstream)
        for name, values in (("dLdK", upstream), ("U", u), ("V", v), ("small", upstream[:5]),
                             ("bad", np.where(upstream == upstream[3, 4], np.nan, upstream)),
                             ("whole", np.round(upstream * 9).astype("i2")), ("list", upstream[0])):
            np.save(self.dir / f"{name}.npy", values)
        np.save(self.dir / "whole_f8.npy", np.round(upstream * 9).astype("i2").astype("f8"))

        def gradient(*upstream):
            self.run_command("kernel-grad", "--network", "net.json", "--train", "grey.npy", "--out", "g.h5",
                             "--overwrite", "--dtype", "float64", "--tile", "5", *upstream)
            with h5py.File(self.dir / "g.h5") as f:
                return f["gradient"][...], f.attrs["upstream_hash"]

        def assert_same(first, *others):
            for other in others:
                self.assertTrue(np.array_equal(first[0], other[0]))
                self.assertEqual(first[1], other[1])

        assert_same(*(gradient("--upstream", s) for s in ("u.h5:/dLdK", "dLdK.npy", "u.npz", "u.npz:/dLdK")))
        assert_same(*(gradient("--upstream", s) for s in ("whole.npy", "whole_f8.npy")))
        assert_same(gradient("--upstream-factors", "u.h5:/U", "u.h5:/V"),
                    gradient("--upstream-factors", "U.npy", "V.npy"),
                    gradient("--upstream-factors", "u.h5:/U", "V.npy"))
        grad = ("kernel-grad", "--network", "net.json", "--train", "grey.npy", "--out", "x.h5", "--upstream")
        self.assert_fails(66, ["small.npy", "[5, 12]", "[12, 12]"], *grad, "small.npy")
        self.assert_fails(66, ["bad.npy", "[3, 4]", "finite"], *grad, "bad.npy")
        self.assert_fails(66, ["list.npy", "matrix"], *grad, "list.npy")
        self.assert_fails(2, ["FILE:/DATASET"], *grad, "u.h5")
        self.assert_fails(2, ["dLdK.npy"], *grad, "dLdK.npy:/x")
        self.assert_fails(5, ["nowhere.npy"], *grad, "nowhere.npy")


if __name__ == "__main__":
    main()
