"""The tests of the page, a class of them at a time on each processor: they mostly wait for a host or for Chromium.

    python3 run.py [-k PATTERN] [-j PROCESSES] [-v]
"""

import argparse
import os
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))


def cases(suite):
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from cases(part)
        else:
            yield part


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-k", dest="patterns", action="append", help="only tests with this in their name")
    parser.add_argument("-j", dest="processes", type=int, default=os.cpu_count(), help="classes at a time (default: processors)")
    parser.add_argument("-v", dest="verbose", action="store_true", help="each test, and how long its class took")
    options = parser.parse_args()
    loader = unittest.TestLoader()
    if options.patterns:
        loader.testNamePatterns = [pattern if "*" in pattern else f"*{pattern}*" for pattern in options.patterns]
    classes = {}
    for case in cases(loader.loadTestsFromNames(MODULES)):
        classes.setdefault(f"{type(case).__module__}.{type(case).__qualname__}", []).append(case.id())
    if not classes:
        sys.exit("no test has that in its name")

    def run(name):
        began = time.monotonic()
        # Each process its own: a browser of the class, hosts of the tests.
        command = [sys.executable, "-m", "unittest", *(["-v"] if options.verbose else ["--quiet"]), *classes[name]]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        if options.verbose or done.returncode:
            print(f"== {name}: {time.monotonic() - began:.0f} s\n{done.stdout}", flush=True)
        return done.returncode == 0

    began = time.monotonic()
    # The largest first, so that none is left alone at the end.
    order = sorted(classes, key=lambda name: -len(classes[name]))
    with ThreadPoolExecutor(options.processes) as pool:
        results = dict(zip(order, pool.map(run, order)))
    failed = [name for name, is_good in results.items() if not is_good]
    print(f"{sum(map(len, classes.values()))} tests of the page in {time.monotonic() - began:.0f} s", "failed: " + ", ".join(failed) if failed else "OK")
    sys.exit(1 if failed else 0)


main()
