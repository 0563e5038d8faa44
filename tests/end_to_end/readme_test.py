"""Every command that the README and docs/cli.md show runs, in the order of the page.

Blocks marked ```sh are run; blocks marked ```text and ```json are shown only. The two set-up commands of the
README stand in ```console blocks: tests/run.sh runs both of them itself."""

import os
import re
import subprocess
import unittest

from support import BIN, ROOT, CommandTest, main


def blocks(page):
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.S | re.M)


class ReadmeTest(CommandTest):
    def setUp(self):
        super().setUp()
        # What the pages suppose: the built commands, the example images and the source tree.
        (self.dir / "build" / "release").mkdir(parents=True)
        (self.dir / "build" / "release" / "bin").symlink_to(BIN)
        subprocess.run(["/usr/bin/python3", str(ROOT / "data" / "make_example.py"),
                        "build/example"], cwd=self.dir, check=True, stdout=subprocess.DEVNULL)
        for name in ("data", "tests", "docs"):
            (self.dir / name).symlink_to(ROOT / name)

    def check(self, page):
        commands = blocks(page)
        self.assertTrue(commands, f"{page.name} shows no commands")
        script = "set -eu\nPATH=/usr/bin:$PATH\n" + "\n".join(commands)
        result = subprocess.run(["sh", "-c", script], cwd=self.dir, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
                                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        self.assertEqual(result.returncode, 0, f"{page.name}:\n{script}\n{result.stdout[-3000:]}")
        return len(commands)

    def test_the_readme(self):
        self.check(ROOT / "README.md")

    def test_the_command_line_page(self):
        self.check(ROOT / "docs" / "cli.md")

    def test_every_option_is_on_the_command_line_page(self):
        text = (ROOT / "docs" / "cli.md").read_text()
        for command in sorted(BIN.glob("kernel-*")):
            out = self.run_command(command.name, "--help").stdout.split("Examples:")[0]
            for option in re.findall(r"--[a-z][a-z-]+", out):
                with self.subTest(command=command.name, option=option):
                    self.assertIn(f"`{option}", text)


if __name__ == "__main__":
    main()
