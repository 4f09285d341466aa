"""What an operator does at 3 a.m., against the stopwatch: each within ten seconds of the machine's time and
five presses or commands, by page and by command line.

The clock runs from the first press (or the opening of the page) until what was wanted is seen. Typing a
reason is no press; the Enter that sends it is one.
"""

import re
import subprocess
import time

from host import DESK
from pagetest import PageTest

SECONDS = 10
MOST = 5

JOBS = DESK + """
[jobs.mint]
plugin = "bench"
entry = "work"
schedule = "none"
concurrency = 2
settings = { ms = 100 }
"""


class Stopwatch:
    """`with Stopwatch(test, "what is done") as watch`: counts presses and commands, and says what it took."""

    def __init__(self, test, task):
        self.test, self.task, self.count = test, task, 0

    def __enter__(self):
        self.started = time.monotonic()
        return self

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.started
        if kind is not None:
            return
        print(f"stopwatch: {self.task}: {took:.1f} s, {self.count} presses or commands", flush=True)
        self.test.assertLess(took, SECONDS, self.task)
        self.test.assertLessEqual(self.count, MOST, self.task)
        self.test.assertGreater(self.count, 0, self.task)

    def open(self):
        """The page, as an operator finds it: all jobs."""
        self.page = self.test.open()
        return self.page

    def click(self, what):
        self.count += 1
        self.page.click(what)

    def keys(self, *names):
        for name in names:
            self.count += 1
            self.page.key(name)

    def command(self, *arguments):
        """What `jobhost …` prints."""
        self.count += 1
        host = self.test.host
        done = subprocess.run(
            [host.bin + "/jobhost", *arguments, "--no-color"], cwd=host.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60)
        self.test.assertEqual(done.returncode, 0, f"jobhost {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout


class StopwatchTest(PageTest):
    jobs = JOBS

    def newest(self, job):
        return self.host.get(f"/api/v1/runs?job={job}&limit=1")["runs"][0]

    def enqueue(self, count):
        for asset in range(count):
            self.host.post("/jobs/mint/enqueue", {"payload": {"asset": asset}})

    def counted(self):
        return next(job for job in self.host.get("/api/v1/counters")["jobs"] if job["job"] == "mint")

    def waiting(self):
        return self.counted()["waiting"]

    # Which job failed last night, and why.

    def test_which_job_failed_and_why_by_page(self):
        failed = self.host.run("payouts", {"how": "refuse"})["id"]
        with Stopwatch(self, "which job failed, by page") as watch:
            page = watch.open()
            watch.keys("g", "r")
            row = page.wait("[...document.querySelectorAll('main tbody tr')].map((row) => row.innerText)"
                            f".find((text) => text.startsWith('{failed}') && text.includes('R03'))")
            self.assertIn("payouts", row)
            watch.click(f"main a[href='#/runs/{failed}']")
            # What it said itself, not only how it ended.
            page.wait("document.querySelector('main').innerText.includes('account=7')")
        self.assertIn("the bank refused the transfer: R03, no such account", page.text())

    def test_which_job_failed_and_why_by_command(self):
        failed = self.host.run("payouts", {"how": "refuse"})["id"]
        with Stopwatch(self, "which job failed, by command") as watch:
            runs = watch.command("runs", "--outcome", "failed,crashed,timed_out", "--from", "12h ago")
            row = next(line for line in runs.splitlines() if line.split()[0] == str(failed))
            self.assertIn("payouts", row)
            self.assertIn("the bank refused the transfer: R03, no such account", row)
            log = watch.command("logs", str(failed))
        self.assertIn("the bank refused the transfer", log)
        self.assertIn("account=7", log)

    # Run it again.

    def retried(self, failed, reason):
        """The new run; the one that failed is as it was."""
        again = self.newest("payouts")
        self.assertEqual(again["retry_of"], failed)
        self.assertEqual(again["payload"], {"how": "refuse"})
        self.assertEqual(self.audit("retry")["reason"], reason)

    def test_run_it_again_by_page(self):
        # From then on it offers no retry of its own.
        self.host.until(lambda: self.host.job("deposits-credit")["breaker"]["state"] == "open", "the breaker to open")
        failed = self.host.run("payouts", {"how": "refuse"})["id"]
        with Stopwatch(self, "run it again, by page") as watch:
            page = watch.open()
            watch.click("text=Retry run")
            page.wait("document.querySelector('dialog h2').textContent === 'Retry run %d'" % failed)
            self.reason(page, "the bank is back")
            watch.keys("Enter")
            page.wait_text(f"Run {failed} is tried again as run")
        self.retried(failed, "the bank is back")

    def test_run_it_again_by_command(self):
        failed = self.host.run("payouts", {"how": "refuse"})["id"]
        with Stopwatch(self, "run it again, by command") as watch:
            watch.command("retry", str(failed), "--reason", "the bank is back")
        self.retried(failed, "the bank is back")

    # Open a breaker by hand, with the reason.

    def opened(self, reason):
        breaker = self.host.job("candles-1m")["breaker"]
        self.assertEqual(breaker["state"], "forced_open")
        self.assertIn(reason, breaker["reason"])
        self.assertIn(reason, [entry["reason"] for entry in self.host.get("/api/v1/audit?job=candles-1m")["audit"]])

    def test_open_a_breaker_by_page(self):
        with Stopwatch(self, "open a breaker, by page") as watch:
            page = watch.open()
            watch.click("main a[href='#/jobs/candles-1m']")
            page.wait_text("Steer")
            watch.click("text=Open breaker")
            self.reason(page, "the feed is wrong")
            watch.keys("Enter")
            page.wait("document.querySelector('.callout')?.innerText.includes('the feed is wrong')")
        self.assertRegex(page.text(), r"breaker opened by hand by \S+ from 127\.0\.0\.1: the feed is wrong")
        self.opened("the feed is wrong")

    def test_open_a_breaker_by_command(self):
        with Stopwatch(self, "open a breaker, by command") as watch:
            watch.command("breaker", "candles-1m", "open", "--until", "in 2h", "--reason", "the feed is wrong")
            status = watch.command("status")
        self.assertRegex(status, r"candles-1m +breaker forced open.*the feed is wrong")
        self.opened("the feed is wrong")

    # Take a plugin back to its previous version.

    def bench(self):
        plugin = next(plugin for plugin in self.host.get("/api/v1/plugins")["plugins"] if plugin["name"] == "bench")
        return plugin["version"], plugin["library_hash"]

    def upgraded(self):
        """The hash of the library before, once another one serves."""
        _, before = self.bench()
        self.host.compile(version="2.5.0")
        self.host.post("/reload")
        self.assertEqual(self.bench()[0], "2.5.0")
        return before

    def test_take_a_plugin_back_by_page(self):
        before = self.upgraded()
        with Stopwatch(self, "take a plugin back, by page") as watch:
            page = watch.open()
            watch.keys("g", "p")
            watch.click("button[aria-label='Versions of bench']")
            watch.click("text=Roll back to this")
            self.reason(page, "wrong volumes")
            watch.keys("Enter")
            page.wait_text("bench serves with " + before[:7])
        self.assertEqual(self.bench(), ("2.4.1", before))

    def test_take_a_plugin_back_by_command(self):
        before = self.upgraded()
        with Stopwatch(self, "take a plugin back, by command") as watch:
            versions = watch.command("plugin", "versions", "bench")
            self.assertRegex(versions, before[:12] + r" +2\.4\.1 .*can be rolled back to")
            watch.command("plugin", "rollback", "bench", "--reason", "wrong volumes")
        self.assertEqual(self.bench(), ("2.4.1", before))

    # See that the queue drains.

    ROW = "[...document.querySelectorAll('section[aria-label=Queues] tbody tr')].find((row) => row.innerText.startsWith('mint'))"

    def cells(self, page):
        """By the names of the columns; one look."""
        script = (
            "(() => { const texts = (nodes) => [...nodes].map((node) => node.innerText.trim());"
            f"const row = {self.ROW}; if (!row) return null;"
            "const names = texts(row.closest('table').querySelectorAll('th')), values = texts(row.children);"
            "return Object.fromEntries(names.map((name, index) => [name, values[index]])); })()")
        return page.wait(script)

    def test_the_queue_drains_by_page(self):
        self.enqueue(300)
        self.host.until(lambda: (self.counted()["shrinks_per_minute"] or 0) > 0, "the queue to get shorter")
        with Stopwatch(self, "the queue drains, by page") as watch:
            page = watch.open()
            watch.keys("g", "q")
            first = self.cells(page)
            self.assertGreater(int(first["Waiting"]), 0)
            self.assertRegex(first["Empty in"], r"^about \d")
            # It is seen to go down, without a press.
            page.wait(f"Number({self.ROW}.children[1].innerText) < {int(first['Waiting']) - 10}")
            later = self.cells(page)
        self.assertGreaterEqual(int(later["Done last minute"]), int(first["Done last minute"]))
        # To the end.
        page.wait(f"{self.ROW}.children[1].innerText === '0'")
        self.assertEqual(self.cells(page)["Empty in"], "–")
        self.assertEqual(self.waiting(), 0)

    def test_the_queue_drains_by_command(self):
        self.enqueue(300)
        self.host.until(lambda: (self.counted()["shrinks_per_minute"] or 0) > 0, "the queue to get shorter")

        def look():
            head, row, *_ = watch.command("queue", "mint").splitlines()
            self.assertRegex(head, r"^JOB +WAITING +EMPTY IN")
            return row.split()

        with Stopwatch(self, "the queue drains, by command") as watch:
            first = look()
            self.assertRegex(" ".join(first), r"^mint \d+ about \d")
            self.host.until(lambda: self.waiting() < int(first[1]) - 5, "the queue to be drained further")
            later = look()
        self.assertLess(int(later[1]), int(first[1]))

    def test_a_queue_that_grows_is_not_said_to_drain(self):
        # Many are done, and more come; what is to run later does not count.
        for asset in range(40):
            self.host.post("/jobs/mint/enqueue", {"payload": {"asset": asset}, "delay_ms": 3_600_000})
        page = self.open("#/queues")
        self.assertEqual(self.cells(page)["Empty in"], "–")

        def grown():
            self.enqueue(30)
            return (self.counted()["shrinks_per_minute"] or 0) < 0 and self.cells(page)["Empty in"] == "grows"

        self.host.until(grown, "the queue to grow, and the page to say so")
        done = subprocess.run(
            [self.host.bin + "/jobhost", "queue", "mint", "--no-color"], cwd=self.host.folder, capture_output=True, text=True, check=True)
        self.assertRegex(done.stdout.splitlines()[1], r"^mint +\d+ +grows ")
        self.assertGreater(self.counted()["waiting"], self.counted()["due"])

    def test_a_queue_that_is_held_back_is_not_said_to_drain(self):
        # Some were done within the last minute: that says nothing of the others.
        self.enqueue(3)
        self.host.until(lambda: self.waiting() == 0, "the queue to be done")
        self.host.post("/jobs/mint/pause", {"reason": "month end"})
        self.enqueue(2)
        with Stopwatch(self, "why the queue does not drain, by page") as watch:
            page = watch.open()
            watch.keys("g", "q")
            page.wait(f"{self.ROW}?.children[1].innerText === '2'")
            self.assertEqual(self.cells(page)["Empty in"], "paused")
        with Stopwatch(self, "why the queue does not drain, by command") as watch:
            row = watch.command("queue", "mint").splitlines()[1]
        self.assertTrue(re.match(r"mint +2 +paused ", row), row)
        page.go(self.host.url + "?fresh#/")
        page.wait_text("paused: month end; 2 runs wait for it")
