#!/usr/bin/env python3
"""Gathers the tests of several build directories into one ctest run.

suites.py OUT NAME=BUILD… writes OUT/CTestTestfile.cmake with the tests of each build directory; those of every build but
"release" are called NAME.TEST, run with the sanitizers' settings, and leave out what needs no second run. With
--expected FILE the names are compared with the file's lines first; with --list they are printed and nothing is
written.
"""

import argparse
import functools
import json
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {
    "asan": ["ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1", "UBSAN_OPTIONS=print_stacktrace=1"],
    "tsan": ["TSAN_OPTIONS=ignore_noninstrumented_modules=1 halt_on_error=1 second_deadlock_stack=1"],
    "fuzz": ["UBSAN_OPTIONS=print_stacktrace=1"],
}
LEFT_OUT = {"asan": {"e2e", "peers", "bench", "fuzz"}, "tsan": {"e2e", "peers", "bench", "fuzz"}}
ONLY = {"fuzz": "fuzz"}
SLOWER = {"asan": 3, "tsan": 6}
NAMES = {"DEPENDS", "FIXTURES_SETUP", "FIXTURES_REQUIRED", "FIXTURES_CLEANUP"}  # properties that name tests or fixtures


def quoted(text):
    bars = "=" * next(n for n in range(100) if f"]{'=' * n}]" not in text)
    return f"[{bars}[{text}]{bars}]"


@functools.cache
def without_random_addresses():
    """The sanitizers of Debian 12 fail now and then where the kernel moves mappings further than they know."""
    works = subprocess.run(["setarch", "-R", "true"], capture_output=True).returncode == 0
    return ["setarch", "-R"] if works else []


def tests_of(suite, build):
    """(name, command, properties) of every test that belongs into the run."""
    shown = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], capture_output=True, text=True, check=True)
    prefix = "" if suite == "release" else f"{suite}."
    for test in json.loads(shown.stdout)["tests"]:
        properties = {p["name"]: p["value"] for p in test.get("properties", [])}
        labels = set(properties.get("LABELS", []))
        if labels & LEFT_OUT.get(suite, set()) or (suite in ONLY and ONLY[suite] not in labels):
            continue
        command = test.get("command", [])  # none: not built yet
        if suite != "release":
            command = without_random_addresses() + command
            properties["ENVIRONMENT"] = properties.get("ENVIRONMENT", []) + ENVIRONMENT[suite]
            properties["LABELS"] = sorted(labels | {suite})
            for name in NAMES & properties.keys():
                properties[name] = [prefix + value for value in properties[name]]
        properties["TIMEOUT"] = properties.get("TIMEOUT", 300) * SLOWER.get(suite, 1)
        yield prefix + test["name"].removeprefix(prefix), command, properties


def written(value):
    if isinstance(value, list):
        return quoted(";".join(str(v) for v in value))
    return quoted("ON" if value is True else "OFF" if value is False else str(value))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expected", type=Path, metavar="FILE")
    parser.add_argument("--list", action="store_true", help="only print the names")
    parser.add_argument("out", type=Path)
    parser.add_argument("builds", nargs="+", metavar="NAME=BUILD")
    arguments = parser.parse_args()

    tests = [test for build in arguments.builds for test in tests_of(*build.split("=", 1))]
    names = [name for name, _, _ in tests]
    if len(set(names)) != len(names):
        sys.exit(f"two tests have one name: {sorted({n for n in names if names.count(n) > 1})}")
    if arguments.list:
        print("\n".join(sorted(names)))
        return
    if arguments.expected:
        expected = set(arguments.expected.read_text().split())
        if missing := expected - set(names):
            sys.exit(f"tests of {arguments.expected} that no build registers: {' '.join(sorted(missing))}")
        if added := set(names) - expected:
            sys.exit(f"tests that {arguments.expected} does not list: {' '.join(sorted(added))}")

    if unbuilt := [name for name, command, _ in tests if command in ([], without_random_addresses())]:
        sys.exit(f"tests that have not been built: {' '.join(unbuilt)}")

    arguments.out.mkdir(parents=True, exist_ok=True)
    with open(arguments.out / "CTestTestfile.cmake", "w") as file:
        for name, command, properties in tests:
            file.write(f"add_test({quoted(name)} {' '.join(quoted(part) for part in command)})\n")
            pairs = " ".join(f"{key} {written(value)}" for key, value in properties.items())
            file.write(f"set_tests_properties({quoted(name)} PROPERTIES {pairs})\n")
    print(f"{len(tests)} tests")


if __name__ == "__main__":
    main()
