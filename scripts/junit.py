"""Counts the tests in a JUnit file and prints "<passed> <failed>".

Strict on purpose: a test that was skipped, asserted nothing or never ran is a
failure, because a green line must mean that everything was looked at.
"""

import argparse
import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def complain(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def verdict(case: ET.Element) -> str:
    """The reason why a test case does not count as passed, or nothing."""
    for tag in ("failure", "error", "skipped"):
        element = case.find(tag)
        if element is not None:
            text = (element.text or "").strip() or element.get("message", "")
            return f"{tag}: {text}"
    # GUT writes a status; other writers say nothing where a test passed.
    status = case.get("status", "pass")
    return "" if status == "pass" else f"status {status}"


def count(root: ET.Element) -> tuple[int, int]:
    passed = failed = 0
    for suite in root.iter("testsuite"):
        suite_failed = 0
        for case in suite.findall("testcase"):
            reason = verdict(case)
            if reason:
                suite_failed += 1
                complain(f"{case.get('classname')}::{case.get('name')}: {reason}")
            else:
                passed += 1
        # An assert that fails in before_all or after_all has no case of its own.
        if suite_failed == 0 and int(suite.get("failures") or 0) > 0:
            suite_failed = 1
            complain(f"{suite.get('name')}: failed outside its tests")
        failed += suite_failed
    return passed, failed


def missing_suites(root: ET.Element, folders: list[Path], base: Path) -> list[str]:
    """The test scripts of which not one test ran."""
    ran = [
        suite.get("name") for suite in root.iter("testsuite") if suite.find("testcase") is not None
    ]
    scripts = sorted(path for folder in folders for path in folder.rglob("test_*.gd"))
    names = [path.resolve().relative_to(base.resolve()).as_posix() for path in scripts]
    # An inner class reports as "<script>.<class>".
    return [name for name in names if not any(f"{r}.".startswith(f"{name}.") for r in ran)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--status", type=int, default=0, help="exit status of what wrote the file")
    parser.add_argument(
        "--root", type=Path, default=Path(), help="what script names are relative to"
    )
    parser.add_argument(
        "--expect-suites",
        type=Path,
        nargs="*",
        default=[],
        help="folders whose scripts must all run",
    )
    args = parser.parse_args()

    passed = failed = 0
    try:
        root = ET.parse(args.file).getroot()
        passed, failed = count(root)
        for name in missing_suites(root, args.expect_suites, args.root):
            failed += 1
            complain(f"{name}: no test of it ran")
    except (OSError, ET.ParseError) as error:
        complain(f"no test results: {error}")
        failed = 1
    # Crashing at exit, or hanging until the time limit, is no success either.
    if args.status != 0 and failed == 0:
        complain(f"every test passed, but the test program ended with status {args.status}")
        failed = 1
    print(passed, failed)


if __name__ == "__main__":
    main()
