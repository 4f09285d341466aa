"""A host of its own in a folder of its own, and what /proc and its ledger tell of it."""
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def quantile(samples, share):
    samples = sorted(samples)
    return samples[min(len(samples) - 1, int(len(samples) * share))] if samples else float("nan")


def plugin(folder, name, version="0"):
    """noop.c as a library with bytes of its own, renamed into place; its path."""
    target = f"{folder}/plugins/lib{name}.so"
    run("cc", "-std=c11", "-O2", "-fPIC", "-shared", "-I", f"{ROOT}/Sources/JobABI/include", f'-DUNIQUE="{version}"',
        "-include", f"{ROOT}/Benchmarks/unique.h", "-o", target + ".new", f"{ROOT}/Benchmarks/noop.c")
    os.rename(target + ".new", target)
    return target


def private(pid):
    """Megabytes that nobody else has."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    return sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) / 1024


def threads(pid):
    """Seconds of CPU of each thread that lives, summed by name."""
    used = {}
    for task in os.listdir(f"/proc/{pid}/task") if os.path.exists(f"/proc/{pid}/task") else []:
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="utf-8") as file:
                seconds = int(file.read().split()[0]) / 1e9
            with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
                name = file.read().strip()
        except OSError:
            continue  # has just ended
        used[name] = used.get(name, 0) + seconds
    return used


@contextlib.contextmanager
def postgres(folder, *options):
    """A PostgreSQL of one's own meanwhile; its URL."""
    url = run(f"{ROOT}/scripts/postgres", "start", folder, *options).strip()
    try:
        yield url
    finally:
        subprocess.run([f"{ROOT}/scripts/postgres", "stop", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)


class Host:
    """Serves from `with` on, and leaves nothing."""

    def __init__(self, binaries, jobs, store=None, settings='log_level = "warning"'):
        """`store`: a URL; None: a file of its own. `settings`: lines of [host]."""
        self.binaries = binaries
        self.store = store
        self.folder = tempfile.mkdtemp(prefix="jobhost-bench-")
        os.mkdir(f"{self.folder}/plugins")
        plugin(self.folder, "noop")
        with open(f"{self.folder}/jobs.toml", "w", encoding="utf-8") as file:
            file.write(f'[host]\n{settings}\n[plugins.noop]\nlibrary = "libnoop.so"\n' + jobs)
            if store:
                file.write(f'\n[store]\nurl = "{store}"\n')

    def __enter__(self):
        self.process = None
        self.log = open(f"{self.folder}/host.log", "w", encoding="utf-8")
        try:
            self.until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def until_ready(self):
        began = time.monotonic()
        self.begin()
        while subprocess.run([f"{self.binaries}/jobhost", "status"], cwd=self.folder, capture_output=True, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() - began > 60:
                with open(f"{self.folder}/host.log", encoding="utf-8") as log:
                    raise SystemExit("the host did not start:\n" + log.read())

    def begin(self):
        self.process = subprocess.Popen([f"{self.binaries}/jobhost", "run"], cwd=self.folder, stderr=self.log, stdout=self.log)

    def stop(self):
        if not self.process:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __exit__(self, *_):
        self.stop()
        self.log.close()
        shutil.rmtree(self.folder)

    def query(self, sql):
        if self.store:
            lines = run("psql", "-X", "-A", "-t", "-q", "-c", "SET search_path = jobhost", "-c", sql, self.store).splitlines()
            return [[float(value) for value in line.split("|")] for line in lines]
        connection = self.connect("?mode=ro")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def connect(self, options=""):
        """To the store's file."""
        return sqlite3.connect(f"file:{self.folder}/var/jobhost.db{options}", uri=True, timeout=30)

    def late(self, begin, until, job=None):
        """How many milliseconds after its nominal instant each scheduled run of these instants (epoch seconds) started."""
        only = f"AND job = '{job}'" if job else ""
        return [row[0] / 1e3 for row in self.query(
            f"SELECT started_at - fire_time FROM runs WHERE trigger = 'schedule' AND started_at IS NOT NULL {only} "
            f"AND fire_time >= {int(begin * 1e6)} AND fire_time < {int(until * 1e6)}")]

    def call(self):
        """A connection to its API over the control socket; ask it with `post`."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(f"{self.folder}/var/jobhost.sock")
        return connection

    @staticmethod
    def post(connection, path, body):
        connection.request("POST", "/api/v1" + path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{path}: {answer.status} {text!r}")

    def children(self):
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(pid) for pid in listed.stdout.split()]

    def workers_cpu(self):
        """Seconds of CPU of all workers that live."""
        return sum(sum(threads(pid).values()) for pid in self.children())

    def memory(self):
        """Private megabytes of the supervisor, and of one worker (None: there is none)."""
        children = self.children()
        return private(self.process.pid), private(children[0]) if children else None
