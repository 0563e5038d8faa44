"""Fronts for other libraries are imported when they are used, and not before."""

import importlib.util
import subprocess
import sys
import unittest

import gramtile as gt

FRONTS = {"torch": "torch", "jax": "jax", "sklearn": "sklearn", "plot": "matplotlib"}


class FrontsTest(unittest.TestCase):
    def python(self, code):
        done = subprocess.run([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split()

    def test_importing_the_package_imports_no_other_library(self):
        found = self.python("import gramtile, sys; print(*sys.modules)")
        self.assertIn("numpy", found)
        self.assertEqual(set(FRONTS.values()) & set(found), set())

    def test_using_a_front_imports_its_library_alone(self):
        for front, library in FRONTS.items():
            with self.subTest(front=front):
                if importlib.util.find_spec(library) is None:
                    with self.assertRaisesRegex(ModuleNotFoundError, f"{library}|scipy"):  # scikit-learn brings SciPy
                        getattr(gt, front)
                    continue
                found = self.python(f"import gramtile as gt, sys; gt.{front}.__all__; print(*sys.modules)")
                self.assertIn(library, found)
                others = {"torch", "jax", "matplotlib"} - {library}
                self.assertEqual(others & set(found), set())

    def test_what_is_not_there_is_an_attribute_error(self):
        with self.assertRaisesRegex(AttributeError, "module 'gramtile' has no attribute 'tensorflow'"):
            gt.tensorflow


if __name__ == "__main__":
    unittest.main()
