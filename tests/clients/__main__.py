"""Runs the tests, all of them or those named, and sums up in the words of `cargo test`."""

import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    sys.path.insert(0, str(HERE))
    sys.dont_write_bytecode = True  # the source tree stays as it was cloned
    loader = unittest.defaultTestLoader
    if sys.argv[1:]:
        suite = loader.loadTestsFromNames(sys.argv[1:])
    else:
        suite = loader.discover(str(HERE))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    passed = max(result.testsRun - failed - skipped, 0)
    ok = result.wasSuccessful() and passed > 0
    verdict = "ok" if ok else "FAILED"
    # ci.sh adds these numbers to those of the Rust tests.
    print(f"test result: {verdict}. {passed} passed; {failed} failed; {skipped} ignored")
    return 0 if ok else 1


sys.exit(main())
