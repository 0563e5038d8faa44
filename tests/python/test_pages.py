"""The Python that README.md and docs/python.md show runs, in the order of the page, and so does the script that goes from
autograd to ours."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import unittest

import gramtile
from support import TESTS, FolderTest

ROOT = TESTS.parent
NEEDS = ("torch", "sklearn", "matplotlib", "jax")
MISSING = [name for name in NEEDS if importlib.util.find_spec(name) is None]


@unittest.skipIf(MISSING, f"skipped: no {', '.join(MISSING)}")
class PagesTest(FolderTest):
    def setUp(self):
        super().setUp()
        for name in ("data", "docs", "tests"):
            (self.dir / name).symlink_to(ROOT / name)
        self.run_python(str(ROOT / "data" / "make_example.py"), "build/example")

    def run_python(self, *arguments):
        """Runs in the folder, with the package of this process; returns what was printed."""
        package = str(pathlib.Path(gramtile.__file__).parents[1])
        environment = {**os.environ, "PYTHONPATH": package, "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, *arguments], cwd=self.dir, env=environment, text=True, timeout=1500,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        return done.stdout

    def check(self, page):
        shown = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M)
        self.assertTrue(shown, f"{page.name} shows no Python")
        (self.dir / "page.py").write_text("\n".join(shown))
        self.run_python("page.py")

    def test_the_readme(self):
        self.check(ROOT / "README.md")

    def test_the_python_page(self):
        self.check(ROOT / "docs" / "python.md")
        for picture in ("kernel", "spectrum", "training"):
            self.assertGreater((self.dir / "build" / f"{picture}.png").stat().st_size, 10000)

    def test_the_recipe_on_the_page_is_the_examples(self):
        example = (ROOT / "docs" / "examples" / "gpytorch_kernel.py").read_text()
        recipe = re.search(r"^class NetworkKernel.*?(?=\n\n\n)", example, re.S | re.M).group(0)
        self.assertIn(recipe, (ROOT / "docs" / "python.md").read_text())

    def test_the_benchmark_that_the_pages_name_runs(self):
        for options in ([], ["--plain"]):
            printed = self.run_python("tests/python/bench_torch.py", "--sizes", "8", *options)
            self.assertRegex(printed, r"\| 8 \| \d+ \| \S+ \| \S+ \|")

    def test_the_script_goes_from_autograd_to_a_trained_network(self):
        printed = self.run_python("docs/examples/from_autograd.py", "build/example", "16", "100")
        difference = float(re.search(r"differ by (\S+) of the largest", printed).group(1))
        self.assertLess(difference, 1e-4)  # autograd's own rounding, in float32
        losses = [float(loss) for loss in re.findall(r"step \d+: loss (\S+),", printed)]
        self.assertEqual(len(losses), 10)
        self.assertLess(losses[-1], losses[0])
        self.assertEqual(len(re.findall(r"test images are recognised", printed)), 2)
        gramtile.Network(self.dir / "build" / "trained.json").check((1, 28, 28))
        self.assertGreater((self.dir / "build" / "trained.png").stat().st_size, 10000)


if __name__ == "__main__":
    unittest.main()
