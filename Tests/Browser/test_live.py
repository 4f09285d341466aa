"""What happens is seen as it happens; over a dropped connection and a dead host nothing is missing.
"""

import json
import signal
import time

from pagetest import PageTest

# The numbers of the runs in a job's history.
SHOWN = "[...document.querySelectorAll('section[aria-label=History] tbody a.num')].map((link) => Number(link.textContent))"


class LiveTest(PageTest):
    def test_what_happens_is_seen_without_a_reload(self):
        page = self.open("#/jobs/payouts")
        page.wait_text("never ran")
        page.wait("document.querySelector('#top .live').textContent === 'live'")
        self.host.run("payouts")
        page.wait_text("succeeded")
        self.host.post("/jobs/payouts/pause", {"reason": "from elsewhere"})
        page.wait_text("paused: from elsewhere")

    def test_documents_that_are_left_give_their_streams_back(self):
        page = self.open()
        alive = "document.querySelector('#top .live.tone-ok')"
        began = time.monotonic()
        # More than a browser has connections for a host.
        for number in range(8):
            page.go(f"{self.host.url}?{number}#/runs")
            page.wait(alive)
        self.assertLess(time.monotonic() - began, 30)
        streams = "\njobhost_event_streams 1\n"
        self.host.until(lambda: streams in self.host.get("/metrics"), "the one that is seen to be the only one that listens")
        # The way back leads to a page that goes on.
        page.run("history.back()")
        page.wait("location.search === '?6'")
        page.wait(alive)
        self.host.until(lambda: streams in self.host.get("/metrics"), "the one that is seen again to listen")
        run = self.host.run("payouts", {"how": "refuse"})["id"]
        page.wait(f"document.querySelector('main tbody').innerText.includes('{run}')")

    def test_a_log_is_followed_while_it_runs(self):
        self.host.until(lambda: self.host.job("reconcile")["running"], "reconcile to run")
        page = self.open("#/jobs/reconcile")
        page.wait_text("looked at 120 accounts changed=4")
        page.wait_text("live")

    def test_a_host_that_goes_away_is_said_so_and_comes_back(self):
        page = self.open()
        page.wait_text("candles-1m")
        self.host.stop()
        page.wait_text("reconnecting")
        self.assertRegex(page.text(), r"data as of \d\d:\d\d:\d\d")
        # What was known is still shown.
        self.assertIn("candles-1m", page.text())
        self.host.start()
        page.wait("!document.body.innerText.includes('reconnecting')")
        page.wait("document.querySelector('#top .live.tone-ok')")
        pid = self.host.get("/api/v1/host")["pid"]
        page.go(self.host.url + "?fresh#/host")
        page.wait_text(str(pid))

    def test_a_host_that_is_killed_resumes_without_a_gap(self):
        page = self.open("#/jobs/candles-1m")
        page.wait_text("succeeded")
        known = max(page.run(SHOWN))
        self.host.stop(signal.SIGKILL)
        page.wait_text("reconnecting")
        self.host.start()
        page.wait("!document.body.innerText.includes('reconnecting')")
        # Two that the new process ran.
        newest = self.host.until(
            lambda: (lambda runs: runs[0]["id"] if len(runs) == 2 and runs[1]["id"] > known else None)(
                self.host.get("/api/v1/runs?job=candles-1m&state=succeeded&limit=2")["runs"]), "runs after the start")
        page.wait(f"{SHOWN}.some((run) => run >= {newest})")
        ledger = self.host.get("/api/v1/runs?job=candles-1m&limit=1000")
        between = {run["id"] for run in ledger["runs"] if known <= run["id"] <= newest}
        self.assertGreaterEqual(len(between), 3)
        self.assertEqual(between - set(page.run(SHOWN)), set())
        # What did not run meanwhile is there too: each of its seconds is accounted for, and once.
        missed = [row for row in ledger["ranges"] if row["state"] in ("skipped", "missed")]
        shown = page.run("[...document.querySelectorAll('section[aria-label=History] tr.range')].map((row) => row.innerText)")
        self.assertEqual(len(shown), len(missed))
        self.expect_every_second(ledger)


class EventsTest(PageTest):
    """The stream that the page lives on, without the page."""

    def ended(self, since=0):
        """Of the ledger."""
        runs = self.host.get("/api/v1/runs?job=candles-1m&state=succeeded&limit=1000")["runs"]
        return sorted(run["id"] for run in runs if run["id"] >= since)

    def read(self, enough, last=None):
        """The numbers of the next runs of candles-1m that ended, until they are `enough`, the id of the last event, and the kinds."""
        runs, kinds = [], []
        with self.host.events("/api/v1/events?job=candles-1m", last) as events:
            for name, kind, data in events:
                last = name or last
                kinds.append(kind)
                if kind == "run_ended":
                    runs.append(data["id"])
                if kind == "reset" or enough(runs):
                    return runs, last, kinds
        raise AssertionError(f"the stream ended after {kinds}")

    def test_what_happened_while_nobody_listened_comes_by_the_last_id(self):
        first, last, _ = self.read(lambda runs: len(runs) == 2)
        # Nobody listens meanwhile.
        self.host.until(lambda: len(self.ended(first[-1])) > 3, "more runs to end")
        before = self.ended(first[-1])
        later, _, kinds = self.read(lambda runs: len(runs) == len(before) + 1, last)
        self.assertNotIn("reset", kinds)
        # Each of the ledger's once, in its order.
        self.assertEqual(first + later, self.ended(first[0])[:len(first + later)])

    def test_over_a_death_the_stream_goes_on_by_the_last_id(self):
        first, last, _ = self.read(lambda runs: len(runs) == 2)
        self.host.until(lambda: len(self.ended(first[-1])) > 2, "more runs to end")
        self.host.stop(signal.SIGKILL)
        self.host.start()
        # Of the ledger first: what ends while the stream is read may be before it in one and after it in the other.
        between = set(self.ended(first[-1] + 1))
        self.assertGreater(len(between), 1)
        # Each that the ledger has is heard.
        _, _, kinds = self.read(between.issubset, last)
        self.assertNotIn("reset", kinds)


class LateAnswerTest(PageTest):
    # Nothing else happens that would have the page ask again.
    jobs = '[jobs.payouts]\nplugin = "bench"\nentry = "work"\nschedule = "none"\n'

    def holding(self, page, place):
        """The page's next answer from there is kept from it until `letGo()`; what it says is of then."""
        page.run("window.real ??= window.fetch; window.held = false; window.gate = new Promise((go) => { window.letGo = go; });"
                 "window.looks = 0; window.fetch = async (where, ...rest) => {"
                 "  const answer = await window.real(where, ...rest);"
                 "  if (String(where).includes('/overview')) window.looks += 1;"
                 f"  if (!String(where).includes({json.dumps(place)}) || window.held) return answer;"
                 "  window.held = true; await window.gate; return answer; }; true")

    def test_what_happens_while_a_run_is_asked_for_is_asked_for_again(self):
        run = self.host.run("payouts", {"how": "refuse"})["id"]
        page = self.open(f"#/runs/{run}")
        page.wait_text("How it went")
        page.wait("document.querySelector('#top .live').textContent === 'live'")
        self.holding(page, f"/runs/{run}")
        self.host.run("payouts")
        page.wait("window.held")
        looks = page.run("window.looks")
        self.host.post(f"/dead/{run}/discard", {"reason": "account closed"})
        page.wait(f"window.looks > {looks}")
        page.run("letGo()")
        # Before everything is looked at again.
        page.wait_text("account closed", 8)

    def test_what_happens_while_queues_are_asked_for_is_asked_for_again(self):
        run = self.host.run("payouts", {"how": "refuse"})["id"]
        page = self.open("#/queues?job=payouts")
        page.wait_text(str(run))
        page.wait("document.querySelector('#top .live').textContent === 'live'")
        self.holding(page, "/dead")
        self.host.run("payouts")
        page.wait("window.held")
        looks = page.run("window.looks")
        self.host.post(f"/dead/{run}/discard", {"reason": "account closed"})
        page.wait(f"window.looks > {looks}")
        page.run("letGo()")
        page.wait_text("None: nothing was given up.", 8)
