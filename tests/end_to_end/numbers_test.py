"""Images with numbers at the edge, through the real commands: what is not finite is refused with the
image's index; everything else gives a matrix that kernel-verify recomputes, every entry of it (of deep
networks, some)."""

import struct

import h5py
import numpy as np

from support import PROMISED, CommandTest, main

N, TILE = 12, 8


class NumbersTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.write("no_bias.json", """{"layers": [
            {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7}, {"type": "relu"},
            {"type": "conv2d", "kernel_size": 12, "padding": 0, "var_weight": 1.1}]}""")
        self.pixels = np.random.default_rng(5).standard_normal((N, 1, 12, 12))

    def build(self, pixels, dtype, network="net.json", verify=True, samples=1000):
        """K of `pixels`; so many drawn entries, by default enough for every one, recomputed by kernel-verify."""
        np.save(self.dir / "x.npy", pixels)
        self.run_command("kernel-build", "--network", network, "--train", "x.npy", "--out", "k.h5",
                         "--dtype", dtype, "--tile", TILE, "--overwrite", "--quiet")
        if verify:
            self.run_command("kernel-verify", "k.h5", "--train", "x.npy", "--samples", samples)
        with h5py.File(self.dir / "k.h5") as file:
            matrix = file["Kxx"][...]
        self.assertTrue(np.isfinite(matrix).all())
        self.assertTrue(np.array_equal(matrix, matrix.T))
        return matrix

    def in_every_form(self, action):
        for dtype in ("float32", "float64"):
            for network in ("net.json", "no_bias.json"):
                with self.subTest(dtype=dtype, network=network):
                    action(dtype, network)

    def write_in_every_format(self, pixels):
        np.save(self.dir / "bad.npy", pixels)
        np.savez(self.dir / "bad.npz", X=pixels)
        with h5py.File(self.dir / "bad.h5", "w") as file:
            file["X"] = pixels
        header = struct.pack(">BBBBIIII", 0, 0, 14, 4, *pixels.shape)
        (self.dir / "bad-idx").write_bytes(header + pixels.astype(">f8").tobytes())
        return ["bad.npy", "bad.npz", "bad.h5", "bad-idx"]

    def test_nan_and_infinity_are_refused_with_the_image_s_index_in_every_format(self):
        refused = 0
        for value in (np.nan, np.inf, -np.inf):
            for index in (0, N - 1):
                bad = self.pixels.copy()
                bad[index, 0, 5, 7] = value
                for name in self.write_in_every_format(bad):
                    for source, stated in ((name, index), (f"{name}#{index}:", index)):
                        line = self.assert_fails(
                            66, [name, f"image {stated} ", "row 5, column 7", "finite", str(value)],
                            "kernel-build", "--network", "net.json", "--train", source, "--out", "k.h5")
                        self.assertNotIn("\n", line)
                        refused += 1
        print(f"\n{refused} files with a NaN or an infinity refused with the image's index")

    def test_black_images(self):
        self.pixels[[2, 9]] = 0
        def check(dtype, network):
            matrix = self.build(self.pixels, dtype, network)
            if network == "no_bias.json":
                self.assertTrue((matrix[[2, 9]] == 0).all())
            else:
                self.assertEqual(matrix[2, 2], matrix[9, 9])
                # What the biases alone make, once as a variance and once as a pair: the accuracy that
                # the engine promises.
                bound = PROMISED[dtype]["kernel"] * matrix[2, 2]
                self.assertLess(abs(matrix[2, 9] - matrix[2, 2]), bound)
        self.in_every_form(check)

    def test_constant_images(self):
        self.pixels[3], self.pixels[10] = 1, 0.25
        self.in_every_form(lambda dtype, network: self.build(self.pixels, dtype, network))

    def test_a_duplicated_image_has_the_row_of_the_first(self):
        self.pixels[10] = self.pixels[1]
        def check(dtype, network):
            matrix = self.build(self.pixels, dtype, network)
            # Their own entries aside: the diagonal is the variance, K(x, x') is summed as a pair.
            others = [i for i in range(N) if i not in (1, 10)]
            self.assertTrue(np.array_equal(matrix[1, others], matrix[10, others]))
            self.assertEqual(matrix[1, 1], matrix[10, 10])
        self.in_every_form(check)

    def test_antipodal_images(self):
        self.pixels[6] = -self.pixels[1]
        def check(dtype, network):
            matrix = self.build(self.pixels, dtype, network)
            self.assertEqual(matrix[1, 1], matrix[6, 6])
            if network == "no_bias.json":  # no relu of one is ever on together with that of the other
                self.assertLess(abs(matrix[1, 6]), 1e-3 * matrix[1, 1])
        self.in_every_form(check)

    def test_denormal_pixels(self):
        for smallest in (5e-324, 1e-310, 1e-40, 1e-20):
            pixels = self.pixels.copy()
            pixels[4] = smallest
            for dtype in ("float32", "float64"):
                with self.subTest(smallest=smallest, dtype=dtype):
                    self.build(pixels, dtype)  # with a bias such an image is as good as black
                    # Without one it counts as long as the type holds its variance.
                    if 1e-19 < smallest or dtype == "float64" and 1e-150 < smallest:
                        self.build(pixels, dtype, "no_bias.json")
                        continue
                    np.save(self.dir / "x.npy", pixels)
                    cure = "--dtype float64" if smallest > 1e-150 else "no --dtype"
                    self.assert_fails(1, ["image 4", "K(x, x)", dtype, cure], "kernel-build", "--network",
                                      "no_bias.json", "--train", "x.npy", "--out", "k.h5", "--overwrite",
                                      "--dtype", dtype)

    def test_pixels_of_1e30_overflow_float32_which_is_named_with_advice_and_not_float64(self):
        self.pixels[7] *= 1e30
        np.save(self.dir / "x.npy", self.pixels)
        line = self.assert_fails(1, ["image 7", "--dtype float64", "scale"], "kernel-build", "--network",
                                 "net.json", "--train", "x.npy", "--out", "k.h5", "--dtype", "float32")
        print(f"\n{line}")
        self.assertFalse((self.dir / "k.h5").exists())
        self.build(self.pixels, "float64")

    def test_any_number_of_images_around_a_tile_gives_the_leading_block(self):
        pixels = np.random.default_rng(6).standard_normal((2 * TILE + 1, 1, 12, 12))
        for dtype in ("float32", "float64"):
            whole = self.build(pixels, dtype)
            for count in (1, TILE - 1, TILE, TILE + 1, 2 * TILE - 1, 2 * TILE):
                with self.subTest(count=count, dtype=dtype):
                    part = self.build(pixels[:count], dtype)
                    self.assertEqual(part.shape, (count, count))
                    self.assertTrue(np.array_equal(part, whole[:count, :count]))

    def test_deep_networks_keep_their_digits_or_are_refused_by_name(self):
        def deep(layers):
            self.write("deep.json", f"""{{"layers": [{{"type": "repeat", "times": {layers}, "layers": [
                {{"type": "conv2d", "kernel_size": 3, "var_weight": 1}}, {{"type": "relu"}}]}},
                {{"type": "conv2d", "kernel_size": 12, "padding": 0}}]}}""")
        for layers, held in ((60, ("float32", "float64")), (150, ("float64",)), (700, ("float64",)), (2000, ())):
            deep(layers)
            np.save(self.dir / "x.npy", self.pixels)
            for dtype in ("float32", "float64"):
                with self.subTest(layers=layers, dtype=dtype):
                    if dtype in held:
                        # 1,000 draws of 78 entries would keep the reference busy for a minute.
                        self.build(self.pixels, dtype, "deep.json", samples=100)
                        continue
                    cure = "--dtype float64" if "float64" in held else "no --dtype"
                    self.assert_fails(1, ["image ", "K(x, x)", dtype, cure], "kernel-build", "--network",
                                      "deep.json", "--train", "x.npy", "--out", "k.h5", "--overwrite",
                                      "--dtype", dtype)


if __name__ == "__main__":
    main()
