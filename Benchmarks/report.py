"""What one run of the bench has at hand, and what it concludes: goals, which may be missed, and rules, which
may not."""
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

from .host import ROOT, run


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = {line.split(":", 1)[1].strip() for line in file if line.startswith("model name")}
    return f"{', '.join(sorted(models)) or platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}"


def load():
    return "load " + " / ".join(f"{value:.1f}" for value in os.getloadavg())


class Bench:
    def __init__(self, binaries, quick, peers):
        """`peers`: the Python in which peers are looked for."""
        self.binaries, self.quick, self.python = os.path.abspath(binaries), quick, peers
        self.rounds = 1 if quick else 3
        self.folder = tempfile.mkdtemp(prefix="jobhost-bench-")
        self.goals, self.broken = [], []
        self.floor = self.compile("floor", "floor.c")

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def compile(self, name, *sources, flags=()):
        """A program of Benchmarks/; its path."""
        path = f"{self.folder}/{name}"
        if not os.path.exists(path):
            run("cc", "-std=gnu11", "-O2", "-I", f"{ROOT}/Sources/CLinux/include", "-I", f"{ROOT}/Sources/JobABI/include", "-o", path,
                *(f"{ROOT}/Benchmarks/{source}" for source in sources), *flags)
        return path

    def median(self, measure, rounds=None):
        """Of so many rounds of something that gives a number, or a dict of numbers."""
        results = [measure() for _ in range(rounds or self.rounds)]
        if isinstance(results[0], dict):
            return {name: statistics.median(result[name] for result in results) for name in results[0]}
        return statistics.median(results)

    def has(self, package):
        """Whether the peers' Python has it."""
        return subprocess.run([self.python, "-c", f"import {package}"], capture_output=True, check=False).returncode == 0

    @staticmethod
    def say(*lines):
        print(*lines, sep="\n", flush=True)

    # MARK: What it comes to

    def goal(self, what, value, most=None, least=None, unit=""):
        self.goals.append((what, value, most, least, unit))

    def rule(self, what, holds, value):
        """One that is broken makes the whole run fail."""
        self.say(f"Rule: {what}: {'holds' if holds else 'BROKEN'} ({value}).")
        if not holds:
            self.broken.append(f"{what} ({value})")

    def conclude(self):
        if self.goals:
            self.say("", "| goal | wanted | measured | |", "|---|---|---|---|")
        for what, value, most, least, unit in self.goals:
            reached = value <= most if most is not None else value >= least
            space = " " if unit else ""
            wanted = f"≤ {most:,}" if most is not None else f"≥ {least:,}"
            shown = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
            self.say(f"| {what} | {wanted}{space}{unit} | {shown}{space}{unit} | {'reached' if reached else 'not reached'} |")
        for rule in self.broken:
            print(f"bench: a rule is broken: {rule}", file=sys.stderr, flush=True)
        return 1 if self.broken else 0
