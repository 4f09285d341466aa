"""A real host for the browser tests: its own folder, port and plugin; nothing of it is left."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
# Ended from outside, it clears away as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)

HEAD = """
[host]
name = "{name}"
grace = "5s"
[http]
listen = "127.0.0.1:{port}"
[defaults]
timeout = "20s"
retry = {{ max_attempts = 1 }}
breaker = false
[plugins.bench]
library = "libbench.so"
[plugins.margin]
library = "libbench.so"
"""

# A morning at a desk: most works, deposits do not.
DESK = """
[jobs.deposits-credit]
plugin = "bench"
entry = "fail"
every = "1s"
breaker = { failures = 3, open_for = "10m" }
labels = ["money"]

[jobs.margin-check]
plugin = "margin"
entry = "crash"
every = "2h"
isolate = true

[jobs.candles-1m]
plugin = "bench"
entry = "work"
every = "1s"
settings = { ms = 12 }
breaker = { failures = 3 }

[jobs.order-expiry]
plugin = "bench"
entry = "work"
cron = "*/2 * * * * *"
timezone = "Europe/Berlin"
settings = { ms = 30 }

[jobs.reconcile]
plugin = "bench"
entry = "work"
every = "1h"
on_start = true
settings = { ms = 15000 }

[jobs.payouts]
plugin = "bench"
entry = "work"
schedule = "none"

[jobs.statements]
plugin = "bench"
entry = "work"
cron = "0 6 * * MON-FRI"
enabled = false

[jobs.markup]
plugin = "bench"
entry = "markup"
schedule = "none"
description = "<img src=x onerror=document.title='owned'>"
labels = ["loud"]
settings = { note = "</pre><script>document.title='owned'</script>" }
"""


def many(count):
    """So many jobs; a tenth runs every second."""
    return "\n".join(
        f'[jobs.job-{number:04d}]\nplugin = "bench"\nentry = "work"\nevery = "{"10s" if number % 10 == 0 else "1h"}"\n'
        for number in range(count))


class Host:
    PERSONS = {"alice": "alice-may-act-0123456789-0123456789", "bob": "bob-may-act-too-0123456789-0123456789"}

    def __init__(self, jobs=DESK, bin=None, http="", name="desk-1", store=""):
        """`store`: a URL; "": a file of its own."""
        self.bin = bin or os.environ["JOBHOST_BIN_DIR"]
        self.folder = tempfile.mkdtemp(prefix="jobhost-page-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = None
        self.http = http
        self.name = name
        self.store = f'\n[store]\nurl = "{store}"\nlease = "3s"\n' if store else ""
        try:
            with open(self.folder + "/read.token", "w") as file:
                file.write("a-token-that-may-only-read-0123456789\n")
            with open(self.folder + "/acting", "w") as file:
                file.writelines(f"{person} {token}\n" for person, token in self.PERSONS.items())
            self.write(jobs)
            self.compile()
            self.start()
        except BaseException:
            self.end()
            raise

    def compile(self, version="2.4.1"):
        """The plugin, renamed into place."""
        library = self.folder + "/libbench.so"
        subprocess.run(
            [
                "cc", "-std=c11", "-O1", "-fPIC", "-shared", f'-DVERSION="{version}"', "-I", ROOT + "/Sources/JobABI/include",
                "-o", library + ".new", ROOT + "/Tests/Browser/plugin.c",
            ], check=True)
        os.rename(library + ".new", library)

    def write(self, jobs):
        with open(self.folder + "/jobs.toml", "w") as file:
            file.write(HEAD.format(port=self.port, name=self.name).replace("[defaults]", self.http + "\n[defaults]") + jobs + self.store)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    @property
    def token(self):
        """The acting one, of the first person where there are several."""
        if "act_token" in self.http:
            return self.PERSONS["alice"]
        with open(self.folder + "/var/act.token") as file:
            return file.read().strip()

    def start(self):
        self.log = open(self.folder + "/host.log", "ab")
        self.process = subprocess.Popen(
            [self.bin + "/jobhost", "run", "--config", "jobs.toml"], cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log)
        self.until(lambda: self.get("/readyz") is not None, "the host to serve")

    def stop(self, how=signal.SIGTERM, drain=True):
        if self.process is None:
            return
        self.process.send_signal(how)
        if not drain:
            # A second wish kills at once; within a tenth of a second it is taken for the first one's echo.
            try:
                self.process.wait(timeout=0.15)
            except subprocess.TimeoutExpired:
                self.process.send_signal(how)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.log.close()

    def end(self):
        self.stop(drain=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def until(self, test, what, seconds=120):
        limit = time.monotonic() + seconds
        while True:
            value = test()
            if value:
                return value
            if self.process is not None and self.process.poll() is not None:
                with open(self.folder + "/host.log") as file:
                    raise AssertionError(f"the host ended while waiting for {what}:\n{file.read()[-3000:]}")
            if time.monotonic() > limit:
                raise AssertionError(f"not within {seconds} s: {what}")
            time.sleep(0.05)

    def request(self, method, path, body=None):
        """(status, answer), or None where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Authorization": "Bearer " + self.token} if path.startswith("/api") else {}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
            kind = answer.getheader("Content-Type") or ""
            return answer.status, json.loads(text) if "json" in kind else text.decode()
        except OSError:
            return None
        finally:
            connection.close()

    @contextlib.contextmanager
    def events(self, path, last=None):
        """Of a stream: (id, kind, data) of each event, as it comes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Authorization": "Bearer " + self.token, "Accept": "text/event-stream"}
            connection.request("GET", path, headers=headers | ({"Last-Event-ID": last} if last else {}))
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            yield self.parts(answer)
        finally:
            connection.close()

    @staticmethod
    def parts(lines):
        fields = {}
        for line in lines:
            name, _, value = line.decode().rstrip("\n").partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            elif line == b"\n":
                if "data" in fields:
                    yield fields.get("id"), fields.get("event", "message"), json.loads(fields["data"])
                fields = {}

    def get(self, path):
        answer = self.request("GET", path)
        return answer[1] if answer and answer[0] == 200 else None

    def post(self, path, body=None):
        answer = self.request("POST", "/api/v1" + path, body or {})
        assert answer and answer[0] < 300, f"{path}: {answer}"
        return answer[1]

    def job(self, name):
        return self.get(f"/api/v1/jobs/{name}")

    def run(self, job, payload=None):
        """A run by hand, ended."""
        run = self.post(f"/jobs/{job}/trigger", {"payload": payload} if payload is not None else {})["run"]["id"]
        ended = ("succeeded", "cancelled", "discarded")
        return self.until(
            lambda: (lambda run: run if run["state"] in ended and run["outcome"] else None)(
                self.get(f"/api/v1/runs/{run}")["run"]), f"run {run} to end")
