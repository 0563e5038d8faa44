"""The examples in docstrings."""

import doctest
import importlib
import pathlib
import unittest

import gramtile

#: What needs packages that may be missing; their own tests run these.
EXTRAS = {"torch", "jax", "sklearn", "plot"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class DoctestTest(unittest.TestCase):
    def test_examples_are_true(self):
        num_examples = 0
        for path in sorted(pathlib.Path(gramtile.__file__).parent.glob("*.py")):
            if path.stem in EXTRAS:
                continue
            name = "gramtile" if path.stem == "__init__" else f"gramtile.{path.stem}"
            with self.subTest(module=name):
                result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS,
                                         verbose=False)
                self.assertEqual(result.failed, 0)
                num_examples += result.attempted
        self.assertGreaterEqual(num_examples, 15)


if __name__ == "__main__":
    unittest.main()
