"""The recursion of docs/mathematics.md in plain PyTorch, differentiated by autograd: the slow twin of gramtile.torch.

All pairs at once, every intermediate kept: it is what runs out of memory. One state is three maps: xy [N, M, H, W],
xx [N, H, W], yy [M, H, W].
"""
import math

import torch
import torch.nn.functional as F


def kernel(net, values, x, z=None):
    """K(x, x) [N, N] or K(x, z) [N, M] of a gramtile network with these values of its trainable parameters, [P]."""
    document = net.to_dict()
    recursion = _Recursion(document["parameters"], dict(zip((p.name for p in net.trainable_parameters), values)))
    other = x if z is None else z
    maps = (torch.einsum("nchw,mchw->nmhw", x, other) / x.shape[1], (x * x).mean(1), (other * other).mean(1))  # (1)
    xy, xx, _ = recursion.layers(document["layers"], maps)
    k = xy[:, :, 0, 0]
    if z is not None:
        return k
    same = torch.eye(len(x), dtype=torch.bool)
    return torch.where(same, torch.diag(xx[:, 0, 0]), (k + k.T) / 2)


class _Recursion:
    def __init__(self, named, values):
        self.named, self.values, self.counts = named, values, {}

    def layers(self, layers, maps):
        for layer in layers:
            maps = getattr(self, layer["type"])(layer, maps)
        return maps

    def next_of(self, kind):
        self.counts[kind] = self.counts.get(kind, -1) + 1
        return f"{kind}{self.counts[kind]}"

    def variance(self, given, name):
        if isinstance(given, dict):
            return given.get("scale", 1) * self.variance(given["parameter"], name)
        if isinstance(given, str):
            fixed = self.named[given]
            return fixed["value"] if isinstance(fixed, dict) and not fixed.get("trainable", True) else self.values[given]
        return self.values.get(name, given)

    def windows(self, layer, maps, name, kernel_size, stride, dilation, padding):
        """(4), by convolutions with ones, one along each axis."""
        weight = self.variance(layer.get("var_weight", 1), f"{name}.var_weight") / math.prod(kernel_size)
        bias = self.variance(layer.get("var_bias", 0), f"{name}.var_bias")
        column, row = torch.ones(kernel_size[0], 1).to(maps[0]), torch.ones(1, kernel_size[1]).to(maps[0])
        lows, highs, mode = padding

        def window_sum(z):
            flat = z.reshape(-1, 1, *z.shape[-2:])
            padded = F.pad(flat, (lows[1], highs[1], lows[0], highs[0]), mode=mode)
            sums = F.conv2d(padded, column[None, None], stride=(stride[0], 1), dilation=(dilation[0], 1))
            sums = F.conv2d(sums, row[None, None], stride=(1, stride[1]), dilation=(1, dilation[1]))
            return sums.reshape(*z.shape[:-2], *sums.shape[-2:])

        return tuple(weight * window_sum(z) + bias for z in maps)

    def conv2d(self, layer, maps):
        size, stride, dilation = (_pair(layer.get(key, 1)) for key in ("kernel_size", "stride", "dilation"))
        padding = layer.get("padding", "same")
        if padding in ("same", "circular"):  # (5)
            highs = [d * (k // 2) for k, d in zip(size, dilation)]
            lows = [h if k % 2 else h - d for h, k, d in zip(highs, size, dilation)]
        else:
            lows = highs = [0, 0] if padding == "valid" else _pair(padding)
        mode = "circular" if padding == "circular" else "constant"
        return self.windows(layer, maps, self.next_of("conv"), size, stride, dilation, (lows, highs, mode))

    def dense(self, layer, maps):
        size = list(maps[0].shape[-2:])
        return self.windows(layer, maps, self.next_of("dense"), size, [1, 1], [1, 1], ([0, 0], [0, 0], "constant"))

    def relu(self, layer, maps):
        xy, xx, yy = maps
        return _arc_cosine(xy, xx[:, None], yy[None]), xx / 2, yy / 2  # (6)

    def leaky_relu(self, layer, maps):  # (29)
        slope = layer["negative_slope"]
        f = _arc_cosine(maps[0], maps[1][:, None], maps[2][None])
        return ((1 - slope) ** 2 * f + slope * maps[0], *((1 + slope ** 2) / 2 * z for z in maps[1:]))

    def erf(self, layer, maps):  # (30)
        xy, xx, yy = maps
        s = 2 * xy / torch.sqrt((1 + 2 * xx[:, None]) * (1 + 2 * yy[None]))
        return (2 / math.pi * torch.asin(s), *(2 / math.pi * torch.asin(2 * z / (1 + 2 * z)) for z in (xx, yy)))

    def identity(self, layer, maps):
        return maps

    def sequential(self, layer, maps):
        return self.layers(layer["layers"], maps)

    def repeat(self, layer, maps):
        for _ in range(layer["times"]):
            maps = self.layers(layer["layers"], maps)
        return maps

    def sum(self, layer, maps):
        return self.branches(layer, maps, [1.0] * len(layer["branches"]))

    def mixture(self, layer, maps):
        name = self.next_of("mixture")
        logits = torch.stack([self.values[f"{name}.logit{i}"] for i in range(len(layer["branches"]))])
        return self.branches(layer, maps, torch.softmax(logits, 0))

    def branches(self, layer, maps, weights):  # (11)
        results = [self.layers(branch, maps) for branch in layer["branches"]]
        return tuple(sum(w * z for w, z in zip(weights, maps_of_all)) for maps_of_all in zip(*results))


def _pair(value):
    return list(value) if isinstance(value, (list, tuple)) else [value, value]


def _arc_cosine(xy, xx, yy):
    """f of (6). At an angle of 0 or π, where its parts have no derivative but it has one, and of black pixels, by the
    limits that the mathematics page states: ½·max(xy, 0) and slopes ½, 0 and ¼."""
    r2 = xx * yy
    d = r2 - xy * xy
    regular = d > 0
    s = torch.sqrt(torch.where(regular, d, torch.ones_like(d)))
    angle = torch.atan2(s, torch.where(regular, xy, torch.zeros_like(xy)))
    parallel = torch.where(r2 > 0, (xy > 0) / 2 * xy, xy / 4)
    return torch.where(regular, (s + (math.pi - angle) * xy) / (2 * math.pi), parallel)
