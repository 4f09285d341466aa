"""Lateness and memory beside 200 listeners and 1,000 requests a second."""
import concurrent.futures
import http.client
import json
import multiprocessing
import re
import select
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from datetime import datetime

from .host import ROOT, private, quantile

# The ring of events has at most 8 MB; the rest is what is under way to 200 listeners, and answers.
MOST_MEMORY = 100
# Of those that were cut off: how many are held against the ledger, run by run.
CHECKED = 5


class Stream:
    """A listener of /events; `buffer`: what the kernel takes for it, in bytes."""

    def __init__(self, port, last=None, buffer=None):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", port))
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.sock = self.socket
        connection.request("GET", "/api/v1/events", headers={"Last-Event-ID": last} if last else {})
        self.answer, self.rest, self.has_ended = connection.getresponse(), b"", False
        # What it was told: where it goes on, what it was greeted with, and when each run ended (number → seconds).
        self.last, self.greeting, self.ended = None, None, {}

    def read(self, seconds, until):
        """What comes within so long; less where it ends, or `until` holds."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and not self.has_ended and not until(self):
            self.socket.settimeout(max(0.01, limit - time.monotonic()))
            try:
                data = self.answer.read1(1 << 20)
            except TimeoutError:
                return
            except (OSError, http.client.HTTPException):
                data = b""  # cut off while it still had something to read
            self.has_ended = not data
            # An event counts once it is whole.
            *events, self.rest = (self.rest + data).split(b"\n\n")
            for event in events:
                self.take(dict(line.split(b": ", 1) for line in event.split(b"\n") if b": " in line))

    def take(self, fields):
        if b"id" in fields:
            self.last = fields[b"id"].decode()
        if fields.get(b"event") in (b"hello", b"reset"):
            self.greeting = (fields[b"event"].decode(), json.loads(fields[b"data"]))
        if fields.get(b"event") == b"run_ended":
            run = json.loads(fields[b"data"])
            self.ended[run["id"]] = datetime.fromisoformat(run["finished_at"].replace("Z", "+00:00")).timestamp()

    def close(self):
        self.socket.close()


def measure(bench, listeners=200, wanted=1_000):
    """Lateness with nobody looking, then with listeners of /events, half of which read nothing, and `wanted` requests a
    second. Those who do not read are to be dropped, and to go on after their last id without missing anything."""
    seconds = 60
    sys.path.insert(0, f"{ROOT}/Tests/Browser")
    import host as pages
    jobs = "".join(f'[jobs.j{n}]\nplugin = "bench"\nentry = "work"\nevery = "1s"\nsettings = {{ ms = 0 }}\nretention = {{ runs = 200 }}\n' for n in range(200))
    with pages.Host(jobs, bin=bench.binaries) as host:
        def figure(name):
            text = urllib.request.urlopen(host.url + "metrics", timeout=60).read().decode()
            return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))

        def ledger(sql, *values):
            connection = sqlite3.connect(f"file:{host.folder}/var/jobhost.db?mode=ro", uri=True, timeout=30)
            rows = connection.execute(sql, values).fetchall()
            connection.close()
            return rows

        def late(begin, end):
            return [row[0] / 1e3 for row in ledger(
                "SELECT started_at - fire_time FROM runs WHERE trigger = 'schedule' AND started_at IS NOT NULL AND fire_time BETWEEN ? AND ?",
                int(begin * 1e6), int(end * 1e6))]

        time.sleep(3)
        began = time.time()
        time.sleep(seconds / 2)
        calm, before = late(began, time.time() - 1), private(host.process.pid)

        asker = subprocess.Popen([sys.executable, "-c", ASKER, str(host.port), str(wanted), str(seconds)], stdout=subprocess.PIPE, text=True)
        quick = [Stream(host.port) for _ in range(listeners // 2)]
        # A window below a loopback segment would be drained later in steps of 200 ms each.
        slow = [Stream(host.port, buffer=1 << 18) for _ in range(listeners - len(quick))]
        began, heard = time.time(), 0
        poll = select.epoll()
        for stream in quick:
            poll.register(stream.socket, select.EPOLLIN)
        by_number, most, open_streams, looked = {stream.socket.fileno(): stream.socket for stream in quick}, 0.0, listeners, began
        # By a process of its own: those who read go on meanwhile.
        answers, answer = multiprocessing.Pipe(duplex=False)
        returning = multiprocessing.get_context("fork").Process(target=lambda: answer.send(take_up(slow, host.port, ledger)), daemon=True)
        while time.time() - began < seconds:
            for number, _ in poll.poll(1):
                heard += by_number[number].recv(1 << 20).count(b"\nevent: ")
            most = max(most, private(host.process.pid))
            if open_streams > len(quick) and time.time() - looked > 1:
                open_streams, looked = figure("jobhost_event_streams"), time.time()
            elif open_streams <= len(quick) and returning.pid is None:
                # They wake up, find out, and are back at once, as a page is.
                returning.start()
        busy = late(began + 2, time.time() - 1)
        asked = json.loads(asker.communicate(timeout=60)[0])
        if returning.pid is None:
            returning.start()
        resumed, checked, missed = answers.recv() if answers.poll(120) else (0, 0, 0)
        returning.kill()
        returning.join()
        for stream in quick + slow:
            stream.close()
        dropped = listeners - open_streams
        before_p99, busy_p99 = quantile(calm, 0.99), quantile(busy, 0.99)
        answered = asked["answered"] / seconds
        bench.say(f"\n200 runs a second; then {len(quick)} listeners that read, {len(slow)} that do not, for {seconds} s:\n", "| | calm | with them |", "|---|---|---|",
                  f"| lateness p50 / p99 | {quantile(calm, 0.5):.1f} / {before_p99:.1f} ms | {quantile(busy, 0.5):.1f} / {busy_p99:.1f} ms |",
                  f"| private memory of the supervisor | {before:.0f} MB | {most:.0f} MB at the most |",
                  f"| requests answered | | {answered:,.0f} a second, {asked['failed']} failed, p99 {asked['p99']:.0f} ms |",
                  f"| events heard by each that reads | | {heard / len(quick):,.0f} |",
                  f"| of those that read nothing | | {dropped:.0f} were cut off; {resumed} went on after their last id, {missed} ends missed by the first {checked} |", "")
        bench.rule("beside listeners, lateness p99 ≤ twice the calm one and 5 ms", busy_p99 <= 2 * before_p99 + 5, f"{before_p99:.1f} ms, then {busy_p99:.1f} ms")
        bench.rule(f"beside listeners, the supervisor takes at most {MOST_MEMORY} MB more", most - before <= MOST_MEMORY, f"{before:.0f} MB, then {most:.0f} MB")
        bench.rule("beside listeners, no request fails", asked["failed"] == 0, f"{asked['failed']} failed")
        # Each of the four that ask waits for its answer: who is late asks without a pause.
        bench.rule(f"beside listeners, {wanted:,} requests a second are answered", answered >= 0.98 * wanted, f"{answered:,.0f} a second")
        bench.rule("listeners that read nothing are dropped", dropped >= len(slow), f"{dropped:.0f} of {len(slow)}")
        bench.rule("who was dropped goes on after its last id", resumed == len(slow), f"{resumed} of {len(slow)}")
        bench.rule("and has been told of every run that ended meanwhile", checked > 0 and missed == 0, f"{missed} missed by {checked}")


def take_up(streams, port, ledger):
    """Each goes on where it was cut off. How many could; of how many the ends were held against the ledger; how many they missed."""
    resumed, missed = [], []
    # At nearly the same time: at 200 runs a second the host tells again what 80 s hold, of which 30 have passed.
    with concurrent.futures.ThreadPoolExecutor(len(streams)) as threads:
        back = list(threads.map(lambda stream: come_back(stream, port), streams))
    for stream, again in filter(None, back):
        if again.greeting != ("hello", {"resumed": True}):
            continue
        resumed.append(again)
        if len(missed) < CHECKED:
            missed.append(len(missing(stream, again, ledger)))
    return len(resumed), len(missed), sum(missed)


def come_back(stream, port):
    """What a dropped one got before its end is read, then it goes on behind that: both streams. None: it has not ended."""
    stream.read(20, until=lambda stream: stream.has_ended)
    if not stream.has_ended or not stream.last:
        return None
    again = Stream(port, last=stream.last)
    again.read(20, until=lambda stream: stream.greeting)
    return stream, again


def missing(stream, again, ledger):
    """Runs that ended from the first that it was told of until it was back, of which neither stream tells."""
    now = time.time()
    first = min(stream.ended.values(), default=now)
    again.read(30, until=lambda stream: stream.ended and next(reversed(stream.ended.values())) > now)
    told = stream.ended.keys() | again.ended.keys()
    return {row[0] for row in ledger("SELECT id FROM runs WHERE finished_at > ? AND finished_at < ?", int((first + 1) * 1e6), int(now * 1e6))} - told


# Four connections that ask for what pages ask for, as often as is wanted: mostly for a job, also for an overview of a few,
# for a page of runs and for the counters.
ASKER = """
import itertools, json, socket, sys, threading, time
port, wanted, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
end, took, failed, lock = time.monotonic() + seconds, [], 0, threading.Lock()
some = "overview?recent=20&job=" + ",".join(f"j{n}" for n in range(8))
paths = ["jobs/j7", some, "jobs/j8", "runs?job=j7&limit=25", "jobs/j9", "jobs/j7", some, "jobs/j8", "counters", "jobs/j9"]
def ask():
    global failed
    stream = socket.create_connection(("127.0.0.1", port))
    reader, mine, due = stream.makefile("rb"), [], time.monotonic()
    for path in itertools.cycle(paths):
        if time.monotonic() >= end: break
        due += 4 / wanted
        time.sleep(max(0, due - time.monotonic()))
        began = time.monotonic()
        stream.sendall(b"GET /api/v1/%s HTTP/1.1\\r\\nHost: 127.0.0.1:%d\\r\\n\\r\\n" % (path.encode(), port))
        status, length = reader.readline(), 0
        while (line := reader.readline()) not in (b"\\r\\n", b""):
            if line.lower().startswith(b"content-length:"): length = int(line.split(b":")[1])
        reader.read(length)
        if b" 200 " not in status:
            with lock: failed += 1
        mine.append(time.monotonic() - began)
    with lock: took.extend(mine)
threads = [threading.Thread(target=ask) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
took.sort()
print(json.dumps({"answered": len(took), "failed": failed, "p99": took[int(len(took) * 0.99)] * 1e3 if took else 0}))
"""
