"""Tests of check_dependencies.py."""

import unittest

import check_dependencies as deps

CONFIG = {"licenses": {"allow": ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]}, "bans": {"deny": [{"name": "ring"}]}}


def package(**changes):
    """A dependency that is in order, but for these changes."""
    return {"name": "a", "license": "MIT", "source": deps.REGISTRY} | changes


class Licences(unittest.TestCase):
    """SPDX expressions."""

    def test_what_is_allowed(self):
        for licence in ("MIT", "MIT OR GPL-3.0", "MIT/GPL-3.0", "MIT AND Apache-2.0", "(MIT OR X) AND Apache-2.0",
                        "GPL-3.0 OR Apache-2.0 WITH LLVM-exception"):
            self.assertEqual(deps.problems(package(license=licence), CONFIG), [], licence)

    def test_what_is_not(self):
        for licence in (None, "", "GPL-3.0", "MIT AND GPL-3.0", "MIT AND (GPL-3.0 OR X)", "GPL-3.0 WITH LLVM-exception",
                        "MIT OR", "(MIT", "MIT GPL-3.0"):
            self.assertEqual(len(deps.problems(package(license=licence), CONFIG)), 1, licence)


class Crates(unittest.TestCase):
    """Names and sources."""

    def test_banned_and_foreign_crates_are_found(self):
        self.assertEqual(deps.problems(package(name="ring"), CONFIG), ["is banned"])
        self.assertEqual(deps.problems(package(source="git+https://x"), CONFIG), ["comes from git+https://x"])

    def test_lines_of_cargo_tree_are_read(self):
        read = deps.read_line
        self.assertEqual(read("a v1.0.0\tMIT OR X (*)"), {"name": "a", "version": "1.0.0", "license": "MIT OR X", "source": deps.REGISTRY})
        self.assertEqual(read("a v1.0.0 (proc-macro)\tMIT")["source"], deps.REGISTRY)
        self.assertEqual(read("a v1.0.0 (https://x#1)\tMIT")["source"], "https://x#1")
        self.assertIsNone(read("a v1.0.0\t")["license"])
        self.assertIsNone(read("ojs-core v0.1.0 (/work/shared)\tApache-2.0"))
        self.assertIsNone(read(""))


if __name__ == "__main__":
    unittest.main()
