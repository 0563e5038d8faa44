"""Networks made to harm: exit 65 with one line and little memory, each one timed; none hangs."""

import json

from support import CommandTest, Measured, main

CONV = {"type": "conv2d", "kernel_size": 3}
LAST = {"type": "conv2d", "kernel_size": 12, "padding": 0}
MIB = 64
MEBIBYTE = 1 << 20


def network(*layers):
    return json.dumps({"layers": [*layers, LAST]})


def conv(**changes):
    return network({**CONV, **changes})


def raw(key, text):
    """A network with `text` as it is behind `key` of its first layer."""
    return conv(**{key: "HERE"}).replace('"HERE"', text)


def nested(depth):
    return '{"layers": ' + '[{"type": "sequential", "layers": ' * depth + "[]" + "}]" * depth + "}"


NETWORKS = {
    **{f"kernel_size {k}": (conv(kernel_size=k), "layers[0].kernel_size") for k in (0, -1, 2**31)},
    "kernel_size 2^63": (raw("kernel_size", str(2**63)), "layers[0].kernel_size"),
    "kernel_size 3.0": (raw("kernel_size", "3.0"), "layers[0].kernel_size"),
    **{f"{key} {value}": (conv(**{key: value}), f"layers[0].{key}")
       for key in ("stride", "dilation") for value in (0, -1, 2**31)},
    "padding -1": (conv(padding=-1), "layers[0].padding"),
    "padding 2^31": (conv(padding=2**31), "layers[0].padding"),
    **{f"{key} {text}": (raw(key, text), text if "999" in text else "" if text == "NaN" else
                           f"layers[0].{key}")
       for key in ("var_weight", "var_bias")
       for text in ("1e999", "-1e999", "-1", "NaN", '"1"', "true", "null", "[1]")},
    **{f"negative_slope {text}": (f'{{"layers": [{{"type": "leaky_relu", "negative_slope": {text}}}]}}',
                                  "999" if "999" in text else "" if text == "NaN" else "layers[0].negative_slope")
       for text in ("1e999", "NaN", '"1"', "1e300", "-1e101", "true", "null", "[1]")},
    "no negative_slope": (network({"type": "leaky_relu"}), 'layers[0]: '),
    "an erf's slope": (network({"type": "erf", "negative_slope": 1}), 'layers[0]: unknown key "negative_slope"'),
    "10^6 layers": ('{"layers":[' + ",".join(['{"type":"relu"}'] * 10**6) + "]}", "1048576"),
    "40,000 layers, below 1 MiB":
        ('{"layers":[' + ",".join(['{"type":"relu"}'] * 40_000) + "]}", "layers"),
    "repeat 2^31 times": (network({"type": "repeat", "times": 2**31, "layers": [CONV]}), "layers[0]"),
    "10 nested repeats of 1000": (network(json.loads(
        '{"type": "repeat", "times": 1000, "layers": [' * 10 + '{"type": "relu"}' + "]}" * 10)), "layers[0]"),
    "nesting 10^6": (nested(10**6), "1048576"),
    "nesting 20,000, below 1 MiB": (nested(20_000), "deep"),
    "brackets 10^6": ("[" * 10**6, ""),
    "no branches": (network({"type": "sum", "branches": []}), "layers[0].branches"),
    "empty mixture": (network({"type": "mixture", "branches": [], "logits": []}), "layers[0].branches"),
    "branches of unequal shape": (network({"type": "sum", "branches": [
        [CONV], [{**CONV, "stride": 2}]]}), "layers[0]"),
    "more logits than branches": (network({"type": "mixture", "branches": [[CONV], [CONV]],
                                           "logits": [0, 0, 0]}), "layers[0].logits"),
    "a key twice": ('{"layers": [], "layers": []}', "layers"),
    "an unknown key": (conv(kernel=3), 'layers[0]: unknown key "kernel"'),
    "an unknown type": (network({"type": "conv3d"}), "layers[0].type"),
    "2 MiB of spaces": (" " * (2 * MEBIBYTE), "1048576"),
    "empty": ("", ""),
    "half a text": ('{"layers": [{"type": "co', ""),
    "not UTF-8": ('{"name": "\udcff", "layers": []}', ""),
    "text behind it": (network() + "x", ""),
}


class HostileNetworksTest(CommandTest):
    def test_every_one_is_refused_with_its_place_and_little_memory(self):
        self.images("train.npy", 3)
        measured = Measured(self.dir)
        self.addCleanup(measured.close)
        print()
        slowest = largest = 0
        for name, (text, word) in NETWORKS.items():
            with self.subTest(network=name):
                (self.dir / "bad.json").write_bytes(text.encode(errors="surrogateescape"))
                result = measured.run("kernel-build", "--network", "bad.json", "--train", "train.npy",
                                      "--out", "k.h5")
                print(f"{name:32} exit {result.code} {result.seconds:5.3f} s {result.peak_mib:5.1f} MiB  "
                      f"{result.stderr.strip()[:100]}")
                self.assertEqual(result.code, 65, result.stderr)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                self.assertTrue(result.stderr.startswith("kernel-build: bad.json: "), result.stderr)
                self.assertIn(word, result.stderr)
                self.assertLess(len(result.stderr), 500)
                self.assertLess(result.peak_mib, MIB)
                slowest, largest = max(slowest, result.seconds), max(largest, result.peak_mib)
        print(f"{len(NETWORKS)} hostile networks: all refused with exit 65, the slowest in {slowest:.3f} s,"
              f" at most {largest:.1f} MiB")
        self.assertEqual(sorted(self.files()), ["bad.json", "train.npy"])


if __name__ == "__main__":
    main()
