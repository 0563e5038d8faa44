#!/usr/bin/env python3
"""Writes a small data set of drawn digits in MNIST's format and file names.

    data/make_example.py [FOLDER] [--train 500] [--test 100]

FOLDER is build/example by default. Images are 28×28 uint8: ten digits drawn as polylines, each
shifted, turned, sheared, scaled and stroked at random. The same call draws the same images on every
machine (fixed seeds, Python's own generator; tests/unit/data_example_test.cpp holds their hashes), so
results can be compared. Needs nothing but Python's standard library. Running it twice is safe:
finished files are replaced as a whole.
"""

import argparse
import gzip
import math
import os
import random
import struct

SIZE = 28  # pixels per side
SEED = 20190507


def arc(cx, cy, rx, ry, start, stop, steps=10):
    """Points of an ellipse; angles in degrees, 0 to the right, 90 downwards."""
    angles = [math.radians(start + (stop - start) * i / steps) for i in range(steps + 1)]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


# Strokes of each digit in a box of [-1, 1] × [-1, 1], y downwards.
GLYPHS = [
    [arc(0, 0, 0.6, 0.95, 0, 360, 20)],
    [[(-0.35, -0.6), (0.05, -0.95), (0.05, 0.95)]],
    [arc(0, -0.45, 0.55, 0.5, 180, 390) + [(-0.6, 0.95), (0.65, 0.95)]],
    [arc(-0.05, -0.48, 0.5, 0.46, 200, 450) + arc(-0.05, 0.46, 0.6, 0.5, 270, 510)],
    [[(0.3, 0.95), (0.3, -0.95), (-0.65, 0.35), (0.65, 0.35)]],
    [[(0.55, -0.95), (-0.45, -0.95), (-0.5, -0.1)] + arc(0, 0.35, 0.6, 0.6, 230, 500)],
    [[(0.4, -0.95), (-0.3, -0.2)] + arc(0, 0.4, 0.55, 0.55, 200, 560, 20)],
    [[(-0.6, -0.95), (0.6, -0.95), (-0.15, 0.95)], [(-0.25, 0.05), (0.4, 0.05)]],
    [arc(0, -0.47, 0.45, 0.46, 90, 450, 20), arc(0, 0.47, 0.55, 0.48, 270, 630, 20)],
    [arc(0, -0.4, 0.52, 0.52, 0, 360, 20), [(0.52, -0.4), (0.35, 0.95)]],
]


def uniform(rng, low, high):
    # rng.random() alone is promised to stay the same over versions of Python.
    return low + (high - low) * rng.random()


def random_map(rng):
    """A random affine map from the glyph's box to pixels."""
    turn, shear = uniform(rng, -0.25, 0.25), uniform(rng, -0.25, 0.25)
    width, height = uniform(rng, 6.5, 9.0), uniform(rng, 8.0, 10.0)
    dx, dy = uniform(rng, -2, 2), uniform(rng, -1.5, 1.5)
    cos, sin = math.cos(turn), math.sin(turn)

    def to_pixels(point):
        x, y = width * (point[0] + shear * point[1]), height * point[1]
        # Rounded to 1/4096 pixel: the last digit of sin and cos differs between machines.
        return (round((SIZE / 2 + dx + cos * x - sin * y) * 4096) / 4096,
                round((SIZE / 2 + dy + sin * x + cos * y) * 4096) / 4096)

    return to_pixels


def distance(px, py, a, b):
    """From the point (px, py) to the segment a–b."""
    ux, uy = b[0] - a[0], b[1] - a[1]
    length2 = ux * ux + uy * uy
    t = 0.0 if length2 == 0 else ((px - a[0]) * ux + (py - a[1]) * uy) / length2
    t = min(1.0, max(0.0, t))
    dx, dy = px - a[0] - t * ux, py - a[1] - t * uy
    return math.sqrt(dx * dx + dy * dy)


def draw_segment(pixels, a, b, radius):
    """Brightens pixels within `radius` of the segment, with a soft edge of one pixel."""
    reach = radius + 1
    columns = range(max(0, int(min(a[0], b[0]) - reach)), min(SIZE, int(max(a[0], b[0]) + reach) + 1))
    rows = range(max(0, int(min(a[1], b[1]) - reach)), min(SIZE, int(max(a[1], b[1]) + reach) + 1))
    for row in rows:
        for column in columns:
            ink = radius + 0.5 - distance(column + 0.5, row + 0.5, a, b)
            value = int(255 * min(1.0, max(0.0, ink)))
            at = row * SIZE + column
            pixels[at] = max(pixels[at], value)


def draw_digit(digit, rng):
    to_pixels, radius = random_map(rng), uniform(rng, 0.7, 1.5)
    pixels = bytearray(SIZE * SIZE)
    for stroke in GLYPHS[digit]:
        points = [to_pixels(p) for p in stroke]
        for a, b in zip(points, points[1:]):
            draw_segment(pixels, a, b, radius)
    return pixels


def write_idx(path, type_code_and_extents, payload):
    """Writes a gzip file under a temporary name first, so that no half of one is ever left."""
    rank = len(type_code_and_extents) - 1
    header = struct.pack(">HBB", 0, type_code_and_extents[0], rank)
    header += struct.pack(f">{rank}I", *type_code_and_extents[1:])
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "wb") as file:
        file.write(gzip.compress(header + payload, 9, mtime=0))
    os.replace(partial, path)


def write_set(folder, half, count, rng):
    labels = bytes(int(10 * rng.random()) for _ in range(count))
    images = b"".join(bytes(draw_digit(label, rng)) for label in labels)
    write_idx(f"{folder}/{half}-images-idx3-ubyte.gz", (0x08, count, SIZE, SIZE), images)
    write_idx(f"{folder}/{half}-labels-idx1-ubyte.gz", (0x08, count), labels)


def main():
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "example")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.path.normpath(default))
    parser.add_argument("--train", type=int, default=500, metavar="N")
    parser.add_argument("--test", type=int, default=100, metavar="N")
    options = parser.parse_args()
    if options.train < 1 or options.test < 1:
        parser.error("both halves need at least one image")
    os.makedirs(options.folder, exist_ok=True)
    write_set(options.folder, "train", options.train, random.Random(SEED))
    write_set(options.folder, "t10k", options.test, random.Random(SEED + 1))
    print(f"{options.train} training and {options.test} test images in {options.folder}")


if __name__ == "__main__":
    main()
