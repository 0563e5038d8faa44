"""Data files made to harm, one reader after the other, through the real command: exit 66, one line with
file, offset, what was expected and what was found, little memory, and nothing left behind.

The same forms are tried on the readers alone in tests/unit/data_*_test.cpp."""

import gzip
import io
import struct
import zipfile
import zlib

from support import CommandTest, Measured, main

MIB = 32  # the command itself takes 12
BOMB_MIB = 256  # what a bomb unpacks to
PIXELS = bytes(i % 251 for i in range(2 * 12 * 12))
SIZES = (0, 2**31, 2**32 - 1)
CIFAR_RECORD = 3073


def idx(shape=(2, 12, 12), payload=PIXELS, code=8, order=">"):
    return struct.pack(f"{order}BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + payload


def npy(dtype="|u1", shape="(2, 12, 12)", payload=PIXELS, fortran="False"):
    text = f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + payload


def npz(member=None, method=zipfile.ZIP_STORED, name="X.npy"):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as file:
        file.writestr(zipfile.ZipInfo(name), npy() if member is None else member, method)
    return data.getvalue()


def patched(data, at, value, size=4):
    at %= len(data)
    return data[:at] + struct.pack({2: "<H", 4: "<I"}[size], value) + data[at + size:]


def truncations(data, header_bytes):
    return {f"truncated at byte {n}": data[:n] for n in range(header_bytes)} | {
        "last byte missing": data[:-1]}


def zeros_packed(head, window_bits):
    """`head` and BOMB_MIB of zeros, deflated; packed piece by piece."""
    packer = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    parts = [packer.compress(head)]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(BOMB_MIB)]
    return b"".join(parts + [packer.flush()])


def with_axis(size):
    """Shapes with `size` on each of the three axes."""
    return [tuple(size if i == axis else n for i, n in enumerate((2, 12, 12))) for axis in range(3)]


OVERFLOWS = {"2^16 · 2^16 · 2^16 · 2^16": (65536,) * 4, "2^32 · 2^32 and more": (2**32 - 1,) * 4}


def idx_forms():
    forms = truncations(idx(), 16)
    forms |= {f"magic byte {at} wrong": idx()[:at] + b"\x33" + idx()[at + 1:] for at in range(4)}
    forms |= {f"shape {shape}": idx(shape) for size in SIZES for shape in with_axis(size)}
    forms |= {f"overflow {name}": idx(shape) for name, shape in OVERFLOWS.items()}
    forms["little-endian extents"] = idx(order="<")
    forms["trailing garbage"] = idx() + b"garbage"
    forms["integers of 32 bits"] = idx((2, 6, 6), bytes(288), code=12)
    return forms


def gzip_forms():
    good = gzip.compress(idx(), mtime=0)
    forms = truncations(good, len(good) - 1)
    forms |= {f"magic {magic.hex()}": magic + good[2:] for magic in (b"\x1f\x8c", b"\x1e\x8b")}
    forms["method 7"] = good[:2] + b"\x07" + good[3:]
    forms |= {f"length {size}": patched(good, -4, size) for size in SIZES}
    forms["checksum wrong"] = patched(good, -8, 1)
    forms |= {f"IDX in it of shape {shape}": gzip.compress(idx(shape))
              for size in SIZES for shape in with_axis(size)}
    forms |= {f"IDX in it: overflow {name}": gzip.compress(idx(shape))
              for name, shape in OVERFLOWS.items()}
    forms["IDX in it with little-endian extents"] = gzip.compress(idx(order="<"))
    forms["IDX in it with trailing garbage"] = gzip.compress(idx() + b"garbage")
    forms["trailing garbage"] = good + b"garbage"
    forms[f"bomb of {BOMB_MIB} MiB"] = zeros_packed(idx(), 31)
    return forms


def npy_forms():
    forms = truncations(npy(), len(npy()) - len(PIXELS))
    forms |= {f"magic byte {at} wrong": npy()[:at] + b"\x33" + npy()[at + 1:] for at in range(7)}
    forms |= {f"header of {n} bytes": patched(npy(), 8, n, 2) for n in (0, 1, 65535)}
    forms |= {f"shape {shape}": npy(shape=str(shape)) for size in SIZES for shape in with_axis(size)}
    forms |= {f"overflow {name}": npy(shape=str(shape)) for name, shape in OVERFLOWS.items()}
    forms["shape 2^64"] = npy(shape="(18446744073709551616, 12, 12)")
    forms["shape -2"] = npy(shape="(-2, 12, 12)")
    forms["big-endian"] = npy(">f4", payload=PIXELS * 4)
    forms["Fortran order"] = npy(fortran="True")
    forms["Python objects"] = npy("|O", payload=PIXELS * 8)
    forms["a structure"] = npy("|V4", payload=PIXELS * 4)
    forms["trailing garbage"] = npy() + b"garbage"
    return forms


def npz_forms():
    good = npz()
    directory = good.rindex(b"PK\x01\x02")
    forms = truncations(good, 30 + len("X.npy") + len(npy()) - len(PIXELS))
    forms |= {f"truncated at byte {n} of the directory": good[:n] for n in range(directory, len(good))}
    forms["local magic wrong"] = b"PK\x03\x05" + good[4:]
    forms["directory's magic wrong"] = patched(good, directory, 0)
    forms["end's magic wrong"] = patched(good, -22, 0)
    for size in SIZES:
        forms |= {f"member of {size} bytes": patched(good, directory + 24, size),
                  f"member packed in {size} bytes": patched(good, directory + 20, size),
                  f"directory of {size} bytes": patched(good, -10, size),
                  f"directory at {size}": patched(good, -6, size)}
        forms |= {f"member of shape {shape}": npz(npy(shape=str(shape))) for shape in with_axis(size)}
    forms |= {f"member with overflow {name}": npz(npy(shape=str(shape)))
              for name, shape in OVERFLOWS.items()}
    forms["big-endian member"] = npz(npy(">f4", payload=PIXELS * 4))
    forms["member in Fortran order"] = npz(npy(fortran="True"))
    forms["member of Python objects"] = npz(npy("|O", payload=PIXELS * 8))
    forms["member with trailing garbage"] = npz(npy() + b"garbage")
    forms["trailing garbage"] = good + b"garbage"
    forms["checksum wrong"] = patched(good, directory + 16, 1)
    forms["encrypted"] = patched(good, directory + 8, 1, 2)
    forms["packed with LZMA"] = npz(method=zipfile.ZIP_LZMA)
    # A member that declares two images, deflated from zeros without end.
    small = npz(method=zipfile.ZIP_DEFLATED)
    begin, entry = 30 + len("X.npy"), small.rindex(b"PK\x01\x02")
    packed = zeros_packed(npy(payload=b""), -15)
    tail = patched(small[entry:], 20, len(packed))
    bomb = small[:begin] + packed + patched(tail, -6, begin + len(packed))
    forms[f"bomb of {BOMB_MIB} MiB"] = bomb
    return forms


def cifar_forms():
    good = bytes([3]) + bytes(CIFAR_RECORD - 1)
    forms = {f"truncated at byte {n}": (good * 2)[:n] for n in
             (0, 1, 2, 3, 1024, 1025, 2049, 3072, 3074, 2 * 3073 - 1)}
    forms["trailing garbage"] = good * 2 + b"garbage"
    forms |= {f"label {label}": good + bytes([label]) + good[1:] for label in (10, 255)}
    forms["an npy file"] = npy()
    # Files without data on disk: sizes that overflow 32 bits are only refused by their remainder.
    forms |= {f"a file of {size} bytes": size for size in SIZES}
    return forms


READERS = {"IDX": ("bad-idx3-ubyte", idx_forms), "gzip": ("bad.gz", gzip_forms),
           "npy": ("bad.npy", npy_forms), "npz": ("bad.npz", npz_forms),
           "CIFAR": ("test_batch.bin", cifar_forms)}
GOOD = {"IDX": idx(), "gzip": gzip.compress(idx()), "npy": npy(), "npz": npz(),
        "CIFAR": (bytes([3]) + bytes(CIFAR_RECORD - 1)) * 2}


class HostileDataTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.network()
        self.measured = Measured(self.dir)
        self.addCleanup(self.measured.close)

    def build(self, name, *more):
        return self.measured.run("kernel-build", "--network", "net.json", "--train", name, "--out",
                                 "k.h5", "--threads", "1", *more)

    def make(self, name, content):
        if not isinstance(content, int):
            (self.dir / name).write_bytes(content)
            return
        with open(self.dir / name, "wb") as file:
            file.truncate(content)

    def check(self, name, form, content):
        """Returns the peak of memory [MiB]."""
        self.make(name, content)
        result = self.build(name)
        with self.subTest(file=name, form=form):
            self.assertEqual(result.code, 66, result.stderr)
            lines = result.stderr.splitlines()
            self.assertEqual(len(lines), 1, result.stderr)
            self.assertRegex(lines[0], rf"^kernel-build: {name}[^ ]*: offset \d+: expected .+, found .+$")
            self.assertLess(len(lines[0]), 500)
            self.assertLess(result.peak_mib, MIB)
            self.assertEqual(sorted(p.name for p in self.dir.iterdir()), sorted(["net.json", name]))
        return result.peak_mib

    def check_reader(self, reader):
        name, forms = READERS[reader]
        self.make(name, GOOD[reader])
        if reader == "CIFAR":  # 32 × 32: read, but not what the network is for
            self.write("net.json", '{"layers": [{"type": "conv2d", "kernel_size": 32, "padding": 0}]}')
        good = self.build(name)
        self.assertEqual(good.code, 0, good.stderr)
        (self.dir / "k.h5").unlink()
        cases = forms()
        peaks = [self.check(name, form, content) for form, content in cases.items()]
        print(f"\n{reader}: {len(cases)} hostile files, all refused with exit 66; at most {max(peaks):.1f}"
              f" MiB (a good file: {good.peak_mib:.1f} MiB)")

    def test_idx(self):
        self.check_reader("IDX")

    def test_gzip(self):
        self.check_reader("gzip")

    def test_npy(self):
        self.check_reader("npy")

    def test_npz(self):
        self.check_reader("npz")

    def test_cifar(self):
        self.check_reader("CIFAR")


if __name__ == "__main__":
    main()
