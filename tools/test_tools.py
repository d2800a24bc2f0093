"""Tests of the scripts whose mistakes would hide a failure: python3 -m unittest discover -s tools"""

import contextlib
import io
import os
import unittest

import ci_counts
import ports


class Counts(unittest.TestCase):
    def test_each_runner(self):
        for text, expected in (
            ("     Summary [   0.005s] 3 tests run: 3 passed, 0 skipped", (3, 0)),
            ("     Summary [   1.2s] 10 tests run: 7 passed (1 slow), 2 failed, 1 timed out, 4 skipped", (7, 3)),
            ("     Summary [   1.2s] 3/10 tests run: 2 passed, 1 failed, 0 skipped", (2, 1)),
            ("\x1b[32;1m     Summary\x1b[0m [   0.005s] 1 test run: 1 passed, 0 skipped", (1, 0)),
            ("test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured", (5, 2)),
            ("Ran 4 tests in 0.001s\n\nFAILED (failures=1, errors=2)", (1, 3)),
            ("65 passed, 0 failed, 1 skipped", (65, 0)),
            ("24 passed, 0 failed, 1 skipped", (24, 0)),
            ("we saw 3 passed, 2 failed in a sentence", (0, 0)),
        ):
            with self.subTest(text=text):
                self.assertEqual(ci_counts.count(text), expected)

    def test_lines_add_up(self):
        self.assertEqual(ci_counts.count("1 passed, 2 failed\ntest result: ok. 3 passed; 0 failed;"), (4, 2))


class Ports(unittest.TestCase):
    def test_free_ports_differ(self):
        self.assertEqual(len(set(ports.free_ports(5))), 5)

    def test_waiting_for_a_dead_process_ends_at_once(self):
        pid = os.spawnlp(os.P_NOWAIT, "true", "true")
        os.waitpid(pid, 0)
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertFalse(ports.wait("1", pid, 30))


if __name__ == "__main__":
    unittest.main()
