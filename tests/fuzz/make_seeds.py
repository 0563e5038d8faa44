#!/usr/bin/env python3
"""Writes the seed corpora of the fuzz targets: tests/fuzz/make_seeds.py FOLDER

One folder per target, a handful of small good files in each; the fuzzer finds the bad ones itself.
Made by a script so that no binary file lies in the repository. Standard library only.
"""

import gzip
import io
import os
import struct
import sys
import zipfile
import zlib

PIXELS = bytes(range(12))


def idx(code, shape, payload):
    return struct.pack(f">HBB{len(shape)}I", 0, code, len(shape), *shape) + payload


def npy(descr, shape, payload, version=1):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    length_bytes = 2 if version == 1 else 4
    header += b" " * (-(8 + length_bytes + len(header) + 1) % 64) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + payload


def npz(members, method):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, contents in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            with archive.open(info, "w", force_zip64=True) as member:  # as NumPy does
                member.write(contents)
    return file.getvalue()


def idx_seeds():
    return [idx(0x08, (2, 2, 3), PIXELS), idx(0x08, (1, 3, 2, 2), PIXELS),
            idx(0x0D, (1, 1, 3), struct.pack(">3f", 0, 0.5, 1)),
            idx(0x0E, (1, 1, 1), struct.pack(">d", 0.25)), idx(0x08, (12,), PIXELS)]


def gzip_seeds():
    good = [gzip.compress(seed, mtime=0) for seed in idx_seeds()]
    two_members = gzip.compress(idx_seeds()[0][:9], mtime=0) + gzip.compress(idx_seeds()[0][9:], mtime=0)
    return [b"\0" + seed for seed in good + [two_members]] + [b"\1" + seed for seed in idx_seeds()]


def npy_seeds():
    return [npy("|u1", "(2, 2, 3)", PIXELS), npy("<f4", "(1, 1, 3)", PIXELS),
            npy("<f8", "(1, 1, 1, 1)", struct.pack("<d", 1)), npy("<f2", "(1, 2, 3)", PIXELS, 2),
            npy("<i8", "(1,)", struct.pack("<q", 3), 3)]


def npz_seeds():
    members = {"x.npy": npy("|u1", "(2, 2, 3)", PIXELS), "y.npy": npy("|u1", "(2,)", b"\1\2")}
    return [npz(members, zipfile.ZIP_STORED), npz(members, zipfile.ZIP_DEFLATED),
            npz({"a.npy": members["x.npy"]}, zipfile.ZIP_DEFLATED), npz({}, zipfile.ZIP_STORED)]


def cifar_seeds():
    record = bytes([7]) + bytes(i % 256 for i in range(3072))
    return [record, record * 2]


def mat5_seeds():
    def element(kind, contents):
        return struct.pack("<II", kind, len(contents)) + contents + b"\0" * (-len(contents) % 8)

    def variable(name, shape, values):
        return element(14, element(6, struct.pack("<II", 9, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
                       + struct.pack("<HH", 1, len(name)) + name.ljust(4, b"\0") + element(2, values))

    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    plain = [variable(b"X", (3, 2, 2), PIXELS[:12]), variable(b"y", (2, 1), b"\1\2")]
    packed = [zlib.compress(v) for v in plain]
    return [header + b"".join(plain), header + b"".join(struct.pack("<II", 15, len(p)) + p for p in packed)]


def source_spec_seeds():
    return [b"a.h5:/g/X#10:20", b"folder", b"a#:5", b"a.npz:/x", b"a#b.npy#:", b"a#5:,0:2", b"a#@b.npy:/x",
            b"a#labels=1,-2"]


def network_seeds():
    conv = b'{"type": "conv2d", "kernel_size": 8, "padding": 0, "var_weight": 2.5, "var_bias": 1}'
    relu = b'{"type": "relu"}'
    return [
        b'{"name": "n", "layers": [' + conv + b"]}",
        b'{"name": "n", "parameters": {"w": 2.79, "b": {"value": 1, "trainable": false}}, "layers": ['
        b'{"type": "repeat", "times": 2, "layers": [{"type": "conv2d", "kernel_size": 3, "stride": 1, '
        b'"padding": "same", "dilation": 1, "var_weight": {"parameter": "w", "scale": 9}, '
        b'"var_bias": "b"}, ' + relu + b"]}, " + conv + b"]}",
        b'{"layers": [{"type": "sum", "branches": [[], [' + relu + b']]}, {"type": "sequential", '
        b'"layers": [' + conv + b"]}]} // end",
        b'{"layers": [{"type": "mixture", "branches": [[], [' + relu + b']], "logits": [0, 1]}, '
        + conv + b"]}",
        b'{"layers": [{"type": "conv2d", "kernel_size": [3, 5], "stride": [2, 1], "padding": [1, 2], "dilation": 1}, '
        b'{"type": "identity"}, {"type": "conv2d", "kernel_size": 3, "padding": "circular"}, '
        b'{"type": "conv2d", "kernel_size": 3, "padding": "valid"}, {"type": "dense", "var_bias": 0.5}]}',
        b'{"layers": [{"type": "leaky_relu", "negative_slope": -0.5}, {"type": "erf"}, ' + conv + b"]}",
    ]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.splitlines()[0])
    seeds = {"idx": idx_seeds(), "gzip": gzip_seeds(), "npy": npy_seeds(), "npz": npz_seeds(),
             "cifar": cifar_seeds(), "mat5": mat5_seeds(), "source_spec": source_spec_seeds(), "network": network_seeds()}
    for target, contents in seeds.items():
        folder = os.path.join(sys.argv[1], f"{target}_fuzz")
        os.makedirs(folder, exist_ok=True)
        for number, content in enumerate(contents):
            with open(os.path.join(folder, f"seed{number}"), "wb") as file:
                file.write(content)


if __name__ == "__main__":
    main()
