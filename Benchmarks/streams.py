"""Lateness and memory beside 200 listeners and 1,000 requests a second."""
import json
import re
import select
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request

from .host import ROOT, private, quantile

# The ring of events has at most 8 MB; the rest is what is under way to 200 listeners, and answers.
MOST_MEMORY = 100

def measure(bench, listeners=200, wanted=1_000):
    """Lateness with nobody looking, then with listeners of /events, half of which read nothing, and
    `wanted` requests a second. Those who do not read are dropped, and go on after their last id."""
    seconds = 30 if bench.quick else 60
    sys.path.insert(0, f"{ROOT}/Tests/Browser")
    import host as pages
    jobs = "".join(f'[jobs.j{n}]\nplugin = "bench"\nentry = "work"\nevery = "1s"\nsettings = {{ ms = 0 }}\nretention = {{ runs = 200 }}\n' for n in range(200))
    with pages.Host(jobs, bin=bench.binaries) as host:
        def figure(name):
            text = urllib.request.urlopen(host.url + "metrics", timeout=60).read().decode()
            return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))

        def late(begin, end):
            connection = sqlite3.connect(f"file:{host.folder}/var/jobhost.db?mode=ro", uri=True, timeout=30)
            rows = connection.execute(
                "SELECT started_at - fire_time FROM runs WHERE trigger = 'schedule' AND started_at IS NOT NULL AND fire_time BETWEEN ? AND ?",
                (int(begin * 1e6), int(end * 1e6))).fetchall()
            connection.close()
            return [row[0] / 1e3 for row in rows]

        def listen(last=None, buffer=None):
            stream = socket.socket()
            if buffer:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            stream.settimeout(60)
            stream.connect(("127.0.0.1", host.port))
            more = f"Last-Event-ID: {last}\r\n" if last else ""
            stream.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{host.port}\r\n{more}\r\n".encode())
            return stream

        time.sleep(3)
        began = time.time()
        time.sleep(seconds / 2)
        calm, before = late(began, time.time() - 1), private(host.process.pid)

        asker = subprocess.Popen([sys.executable, "-c", ASKER, str(host.port), str(wanted), str(seconds)], stdout=subprocess.PIPE, text=True)
        quick = [listen() for _ in range(listeners // 2)]
        slow = [listen(buffer=4_096) for _ in range(listeners - len(quick))]
        began, heard = time.time(), 0
        poll = select.epoll()
        for stream in quick:
            poll.register(stream, select.EPOLLIN)
        by_number, most = {stream.fileno(): stream for stream in quick}, 0.0
        while time.time() - began < seconds:
            for number, _ in poll.poll(1):
                heard += by_number[number].recv(1 << 20).count(b"\nevent: ")
            most = max(most, private(host.process.pid))
        busy = late(began + 2, time.time() - 1)
        asked = json.loads(asker.communicate(timeout=60)[0])
        dropped = figure("jobhost_event_streams_dropped_total")

        # What a dropped one got before its end; it goes on behind that. One that has not been dropped
        # yet goes on and on.
        ended, resumed = 0, 0
        for stream in slow:
            seen, until = b"", time.monotonic() + 5
            stream.settimeout(2)
            try:
                while time.monotonic() < until and (data := stream.recv(1 << 20)):
                    seen += data
                if time.monotonic() >= until:
                    continue
            except TimeoutError:
                continue
            except OSError:
                pass  # cut off while it still had something to read
            ids = re.findall(rb"^id: (\S+)$", seen, re.M)
            if not ids:
                continue
            ended += 1
            with listen(last=ids[-1].decode()) as again:
                text = b""
                while b"\ndata: " not in text and (data := again.recv(1 << 16)):
                    text += data
                resumed += b"event: hello" in text or b"event: reset" in text
        for stream in quick + slow:
            stream.close()
        before_p99, busy_p99 = quantile(calm, 0.99), quantile(busy, 0.99)
        bench.say(f"\n200 runs a second; then {len(quick)} listeners that read, {len(slow)} that do not, for {seconds} s:\n", "| | calm | with them |", "|---|---|---|",
                  f"| lateness p50 / p99 | {quantile(calm, 0.5):.1f} / {before_p99:.1f} ms | {quantile(busy, 0.5):.1f} / {busy_p99:.1f} ms |",
                  f"| private memory of the supervisor | {before:.0f} MB | {most:.0f} MB at the most |",
                  f"| requests answered | | {asked['answered'] / seconds:,.0f} a second, {asked['failed']} failed, p99 {asked['p99']:.0f} ms |",
                  f"| events heard by each that reads | | {heard / len(quick):,.0f} |",
                  f"| of those that read nothing | | {ended} were cut off, {dropped:.0f} of them because events were gone; {resumed} went on after their last id |", "")
        bench.rule("beside listeners, lateness p99 ≤ twice the calm one and 5 ms", busy_p99 <= 2 * before_p99 + 5, f"{before_p99:.1f} ms, then {busy_p99:.1f} ms")
        bench.rule(f"beside listeners, the supervisor takes at most {MOST_MEMORY} MB more", most - before <= MOST_MEMORY, f"{before:.0f} MB, then {most:.0f} MB")
        bench.rule("beside listeners, no request fails", asked["failed"] == 0, f"{asked['failed']} failed")


# Four connections that ask for one job, again and again, as often as is wanted.
ASKER = """
import json, socket, sys, threading, time
port, wanted, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
end, took, failed, lock = time.monotonic() + seconds, [], 0, threading.Lock()
def ask():
    global failed
    stream = socket.create_connection(("127.0.0.1", port))
    reader, mine, due = stream.makefile("rb"), [], time.monotonic()
    while time.monotonic() < end:
        due += 4 / wanted
        time.sleep(max(0, due - time.monotonic()))
        began = time.monotonic()
        stream.sendall(b"GET /api/v1/jobs/j7 HTTP/1.1\\r\\nHost: 127.0.0.1:%d\\r\\n\\r\\n" % port)
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
