"""What somebody wanted so is said and wakes nobody; what is wrong is said with its beginning, and whether anybody hears of it."""

import contextlib
import sqlite3

from pagetest import PageTest

JOBS = """
[jobs.candles-1m]
plugin = "bench"
entry = "work"
every = "1s"
settings = { ms = 12 }
breaker = { failures = 3 }

[jobs.payouts]
plugin = "bench"
entry = "work"
schedule = "none"
"""
PROBLEMS = "[...document.querySelectorAll('.problems li')].map((item) => [item.className, item.innerText])"


class WantedTest(PageTest):
    jobs = JOBS
    http = '[alerts]\ngather = "0s"\ncommand = ["/bin/false"]\n'

    def alerts(self):
        return [alert["key"] for alert in self.host.get("/api/v1/alerts")["alerts"]]

    def told_after(self):
        """What is told once a later trouble is: whatever was to be told before it has been."""
        self.host.write(self.jobs + "\n[jobs.broken\n")
        self.host.post("/reload")
        self.host.until(lambda: "reload_refused" in self.alerts(), "the refused reload to be told")
        return self.alerts()

    def health(self):
        return self.host.request("GET", "/healthz")

    def test_a_breaker_opened_by_hand_wakes_nobody(self):
        self.assertEqual(self.health()[0], 200)
        self.host.post("/jobs/candles-1m/breaker", {"action": "open", "reason": "the feed is wrong"})
        status, said = self.host.until(lambda: (lambda answer: answer if answer[1]["jobs"] else None)(self.health()), "the job to be graded")
        self.assertEqual((status, said["grade"]), (200, "warning"))
        self.assertRegex(said["jobs"][0]["reasons"][0]["text"], r"^its breaker is held open by \S+ from 127\.0\.0\.1: the feed is wrong$")
        page = self.open()
        page.wait_text("the feed is wrong")
        (look, text), = page.run(PROBLEMS)
        self.assertIn("tone-warn", look)
        self.assertRegex(text, r"breaker opened by hand by \S+ from 127\.0\.0\.1: the feed is wrong")
        self.assertRegex(page.run("document.title"), r"^Jobs")
        self.assertEqual(self.told_after(), ["reload_refused"])

    def test_a_rollback_by_hand_wakes_nobody_and_leads_to_the_versions(self):
        self.host.compile(version="2.5.0")
        self.host.post("/reload")
        self.host.post("/plugins/bench/rollback", {"reason": "wrong volumes"})
        status, said = self.health()
        self.assertEqual((status, said["grade"], said["problems"]), (200, "warning", []))
        self.assertEqual([(line["kind"], line["subject"]) for line in said["conditions"]], [("rollback", "bench")])
        page = self.open()
        page.wait_text("wrong volumes")
        (look, text), = page.run(PROBLEMS)
        self.assertIn("tone-warn", look)
        self.assertRegex(text.replace("\n", " "), r"^host.*serves instead of the file's.* since \d\d:\d\d:\d\d")
        page.click("text=Versions")
        page.wait_text("Versions of bench")
        page.wait_text("rolled back from")
        self.assertEqual(self.told_after(), ["reload_refused"])

    def test_what_is_wrong_with_the_host_says_since_when(self):
        page = self.open()
        page.wait_text("Nothing is wrong")
        with contextlib.closing(sqlite3.connect(self.host.folder + "/var/jobhost.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            text = page.wait(f"{PROBLEMS}.map(([, text]) => text).find((text) => text.includes('the store does not answer'))")
            self.assertRegex(text.replace("\n", " "), r"^host.*since \d\d:\d\d:\d\d")
            since = self.health()[1]["conditions"][0]["since"]
            # However long it lasts.
            self.host.until(lambda: self.health()[1]["conditions"][0]["text"] != "" and self.host.get("/api/v1/host")["now"] > since, "some time to pass")
            self.assertEqual(self.health()[1]["conditions"][0]["since"], since)
            other.execute("ROLLBACK")
        page.wait_text("Nothing is wrong")

    def test_a_receiver_that_takes_no_alerts_is_on_the_page(self):
        page = self.open()
        page.wait_text("Nothing is wrong")
        self.told_after()
        page.wait_text("alerts do not reach /bin/false")
        page.go(self.host.url + "?fresh#/host")
        page.wait("document.querySelector('section[aria-label=Alerts]')?.innerText.includes('/bin/false')")
        self.assertIn("the last reload was refused", page.run("document.querySelector('section[aria-label=Alerts]').innerText"))
