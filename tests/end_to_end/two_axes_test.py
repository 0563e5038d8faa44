"""Networks whose windows are not alike along the axes, on images that are not square, against a few lines of NumPy."""

import json

import h5py
import numpy as np

from support import PROMISED, CommandTest, main

N, SHAPE = 9, (2, 9, 14)


def pads(size, kernel, dilation):
    high = dilation * (kernel // 2)
    return high - (dilation if kernel % 2 == 0 else 0), high


def window_sums(z, conv):
    """Sums of maps [..., H, W] over every window of a convolution."""
    pair = lambda key, default: np.broadcast_to(conv.get(key, default), 2)
    kernel, stride, dilation = pair("kernel_size", 1), pair("stride", 1), pair("dilation", 1)
    padding = conv.get("padding", "same")
    if padding in ("same", "circular"):
        around = [pads(z.shape[i - 2], kernel[i], dilation[i]) for i in (0, 1)]
    else:
        around = [(p, p) for p in np.broadcast_to(0 if padding == "valid" else padding, 2)]
    z = np.pad(z, [(0, 0)] * (z.ndim - 2) + around, mode="wrap" if padding == "circular" else "constant")
    reach = dilation * (kernel - 1) + 1
    windows = np.lib.stride_tricks.sliding_window_view(z, tuple(reach), axis=(-2, -1))
    windows = windows[..., ::stride[0], ::stride[1], ::dilation[0], ::dilation[1]]
    return windows.sum(axis=(-2, -1)) / kernel.prod()


def relu(xy, xx, yy):
    r = np.sqrt(xx * yy)
    theta = np.arccos(np.clip(xy / r, -1, 1))
    return r * (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi)


def kernel_of(layers, x):
    """K(x, x) of a chain, [N, N]."""
    xy = np.einsum("ichw,jchw->ijhw", x, x) / x.shape[1]
    for layer in layers:
        if layer["type"] == "relu":
            xx = np.einsum("iihw->ihw", xy)
            value = relu(xy, xx[:, None], xx[None, :])
            value[np.arange(len(x)), np.arange(len(x))] = xx / 2
            xy = value
        elif layer["type"] != "identity":
            sums = xy.mean(axis=(-2, -1), keepdims=True) if layer["type"] == "dense" else window_sums(xy, layer)
            xy = layer.get("var_weight", 1) * sums + layer.get("var_bias", 0)
    return xy[:, :, 0, 0]


def conv(**keys):
    return {"type": "conv2d", "var_weight": 1.9, "var_bias": 0.2} | keys


RELU, IDENTITY = {"type": "relu"}, {"type": "identity"}
DENSE = {"type": "dense", "var_weight": 1.3, "var_bias": 0.1}
NETWORKS = {
    "unequal kernel": [conv(kernel_size=[3, 5]), RELU, conv(kernel_size=[4, 2]), RELU, DENSE],
    "column and row": [conv(kernel_size=[5, 1]), RELU, conv(kernel_size=[1, 7]), RELU, DENSE],
    "stride": [conv(kernel_size=[3, 4], stride=[2, 1], padding=[1, 2]), RELU, conv(kernel_size=3, stride=[1, 3]),
               RELU, DENSE],
    "dilation": [conv(kernel_size=[2, 3], dilation=[3, 2]), RELU, conv(kernel_size=3, dilation=[1, 2], padding="valid"),
                 RELU, DENSE],
    "valid": [conv(kernel_size=[2, 5], padding="valid"), RELU, conv(kernel_size=[5, 3], padding="valid"), RELU, DENSE],
    "circular": [conv(kernel_size=3, padding="circular"), RELU, conv(kernel_size=[7, 4], padding="circular"), RELU,
                 IDENTITY, DENSE],
    "circular, any window": [conv(kernel_size=[6, 3], dilation=[1, 2], padding="circular"), RELU,
                             conv(kernel_size=3, stride=[2, 3], padding="circular"), RELU,
                             conv(kernel_size=9, padding="circular"), RELU, DENSE],
    "whole map": [conv(kernel_size=3), RELU, conv(kernel_size=[9, 14], padding=0), RELU, DENSE],
}


class TwoAxesTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.x = np.random.default_rng(4).standard_normal((N, *SHAPE))
        np.save(self.dir / "x.npy", self.x)

    def test_kernels_are_those_of_numpy(self):
        for name, layers in NETWORKS.items():
            self.network(json.dumps({"layers": layers}))
            expected = kernel_of(layers, self.x)
            roots = np.sqrt(np.diag(expected))
            for dtype in ("float32", "float64"):
                with self.subTest(name, dtype=dtype):
                    self.run_command("kernel-build", "--network", "net.json", "--train", "x.npy", "--dtype", dtype,
                                     "--out", "k.h5", "--overwrite", "--quiet")
                    with h5py.File(self.dir / "k.h5") as f:
                        error = np.abs(f["Kxx"][...] - expected) / np.outer(roots, roots)
                    # NumPy's own sums and angles: some hundred roundings.
                    self.assertLess(error.max(), PROMISED[dtype]["kernel"] + 1e-13)

    def test_dense_is_a_window_over_the_whole_map(self):
        common = ["--train", "x.npy", "--dtype", "float64", "--overwrite", "--quiet"]
        kernels = []
        for last in (DENSE, conv(kernel_size=[9, 14], padding="valid", var_weight=1.3, var_bias=0.1)):
            self.network(json.dumps({"layers": [conv(kernel_size=3), RELU, last]}))
            self.run_command("kernel-build", "--network", "net.json", *common, "--out", "k.h5")
            with h5py.File(self.dir / "k.h5") as f:
                kernels.append(f["Kxx"][...])
        self.assertTrue(np.array_equal(*kernels))


if __name__ == "__main__":
    main()
