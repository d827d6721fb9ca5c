"""Is the Dockerfile one that builders take? It is built and tried by `build_image`, by hand: that takes too long here."""

import re
import subprocess
import sys
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = {"sluice-planner", "sluice-extractor", "sluice-loader"}


class Dockerfile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = (ROOT / "Dockerfile").read_text()
        cls.ignored = (ROOT / ".dockerignore").read_text().splitlines()

    def test_the_linter_takes_it(self):
        hadolint = Path(sys.executable).parent / "hadolint"
        ended = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_the_script_that_builds_it_is_valid(self):
        shellcheck = Path(sys.executable).parent / "shellcheck"
        ended = subprocess.run([shellcheck, Path(__file__).parent / "build_image"], capture_output=True, text=True)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_every_crate_is_in_the_context(self):
        """Cargo reads the manifest of each member of the workspace, and asks for its targets."""
        members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
        kept = [line[1:] for line in self.ignored if line.startswith("!")]
        self.assertEqual(self.ignored[1], "*")
        for member in members:
            manifest = f"{member}/Cargo.toml"
            self.assertTrue(any(manifest == one or manifest.startswith(f"{one}/") for one in kept), manifest)
        for path in kept:
            self.assertTrue((ROOT / path).exists(), path)

    def test_the_compiler_is_new_enough(self):
        version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
        (found,) = re.findall(r"^FROM docker.io/library/rust:([\d.]+)-slim-bookworm AS", self.text, re.MULTILINE)
        self.assertGreaterEqual([*map(int, found.split("."))], [*map(int, version.split("."))])

    def test_the_dependencies_are_compiled_as_the_programs_are(self):
        """Otherwise cargo compiles them once more, and the cached layer is for nothing."""
        cook, build = (
            sorted(re.split(r"\s+\\?\s*", found.strip()))
            for found in re.findall(r"^RUN cargo (?:chef cook --recipe-path recipe.json|build) ((?:.*\\\n)*.*)", self.text, re.MULTILINE)
        )
        self.assertEqual(cook, build)
        self.assertEqual({word for word in build if word.startswith("sluice-")}, PROGRAMS)

    def test_the_image_is_small_and_its_user_is_nobody(self):
        final = self.text[self.text.rindex("FROM ") :]
        self.assertTrue(final.startswith("FROM gcr.io/distroless/cc-debian12:nonroot\n"))
        self.assertNotIn("USER", final)
        self.assertEqual(set(re.findall(r"dist/(sluice-\w+)", final)), PROGRAMS)
        # In the exec form, SIGTERM reaches the program itself.
        self.assertIn('ENTRYPOINT ["/usr/local/bin/sluice-planner"]', final)


if __name__ == "__main__":
    unittest.main()
