"""Each button that acts is pressed: what it says is done, for the reason that was given, and on record."""

import glob
import json
import os
import re
import unittest

from host import DESK, ROOT
from pagetest import PageTest


class SteerTest(PageTest):
    def press(self, page, label, reason, said):
        page.click("text=" + label)
        self.reason(page, reason)
        page.click("dialog button[type=submit]")
        page.wait_text(said)
        page.wait("!document.querySelector('dialog')")

    def expect_audit(self, action, reason, job=None):
        entry = self.host.until(lambda: self.audit(action), f"the audit of {action}")
        self.assertEqual((entry["reason"], entry["job"], entry["via"]), (reason, job, "http"), action)


class JobTest(SteerTest):
    jobs = DESK + """
[jobs.quotes]
plugin = "bench"
entry = "work"
schedule = "none"
settings = { ms = 7, venue = "<b>north</b>", pairs = ["XRP/ETH", "ETH/XRP"] }
timeout = "90s"
"""

    def test_a_job_is_switched_off_and_on_again(self):
        page = self.open("#/jobs/candles-1m")
        self.press(page, "Switch off", "the feed is wrong", "candles-1m is off.")
        job = self.host.job("candles-1m")
        self.assertEqual((job["enabled"], job["control"]["enabled"]), (False, False))
        self.expect_audit("disable", "the feed is wrong", "candles-1m")
        page.wait_text("switched off by an operator: the feed is wrong")
        self.press(page, "Switch on", "the feed is right", "candles-1m is on.")
        job = self.host.job("candles-1m")
        self.assertEqual((job["enabled"], job["control"]["enabled"]), (True, True))
        self.expect_audit("enable", "the feed is right", "candles-1m")

    def test_what_was_decided_by_hand_is_forgotten(self):
        page = self.open("#/jobs/statements")
        self.press(page, "Switch on", "just today", "statements is on.")
        self.assertTrue(self.host.job("statements")["enabled"])
        self.press(page, "As configured", "the day is over", "statements is as the config says.")
        job = self.host.job("statements")
        self.assertEqual((job["enabled"], job["control"]["enabled"]), (False, None))
        self.expect_audit("enable as configured", "the day is over", "statements")

    def test_a_breaker_is_reset_and_disabled(self):
        self.host.post("/jobs/candles-1m/breaker", {"action": "open", "reason": "the node is being mended"})
        page = self.open("#/jobs/candles-1m")
        self.press(page, "Reset breaker", "it is back", "The breaker of candles-1m is reset.")
        self.assertEqual(self.host.job("candles-1m")["breaker"]["state"], "closed")
        self.expect_audit("breaker reset", "it is back", "candles-1m")
        self.press(page, "Disable breaker", "it opens for nothing", "The breaker of candles-1m is disabled.")
        self.assertEqual(self.host.job("candles-1m")["breaker"]["state"], "disabled")
        self.expect_audit("breaker disable", "it opens for nothing", "candles-1m")

    def test_a_job_s_settings_and_limits_are_shown(self):
        page = self.open("#/jobs/quotes")
        shown = page.wait("document.querySelector('section[aria-label=Settings] pre')?.innerText")
        self.assertEqual(json.loads(shown), {"ms": 7, "venue": "<b>north</b>", "pairs": ["XRP/ETH", "ETH/XRP"]})
        limits = page.run("document.querySelector('section[aria-label^=Limits]').innerText")
        told = {limit["name"]: limit["value"] for limit in self.host.job("quotes")["limits"] if limit["value"]}
        self.assertIn("timeout", told)
        for name, value in told.items():
            self.assertRegex(limits, rf"(?i){re.escape(name.replace('_', ' '))}\s+{re.escape(value)}")


class WholeHostTest(SteerTest):
    def test_the_host_is_paused_and_goes_on(self):
        page = self.open("#/host")
        self.press(page, "Pause host", "the database moves", "The host is paused.")
        control = self.host.get("/api/v1/host")["control"]
        self.assertEqual((control["paused"], control["pause_reason"]), (True, "the database moves"))
        self.expect_audit("pause", "the database moves")
        page.go(self.host.url + "?fresh#/")
        page.wait_text("the whole host is paused: the database moves")
        self.press(page, "Resume host", "it has moved", "The host goes on.")
        self.assertFalse(self.host.get("/api/v1/host")["control"]["paused"])
        self.expect_audit("resume", "it has moved")

    def test_a_plugin_that_was_rolled_back_goes_forward_again(self):
        self.host.compile(version="2.5.0")
        self.host.post("/reload")
        newest = self.host.get("/api/v1/plugins")["plugins"][0]["library_hash"]
        self.host.post("/plugins/bench/rollback", {"reason": "wrong volumes"})
        page = self.open("#/plugins?versions=bench")
        page.wait_text("rolled back from")
        self.press(page, "Go forward to this", "the volumes were right", f"bench serves with {newest[:7]}.")
        now = {plugin["name"]: plugin["version"] for plugin in self.host.get("/api/v1/plugins")["plugins"]}
        self.assertEqual(now, {"bench": "2.5.0", "margin": "2.5.0"})
        self.expect_audit("plugin rollback", "the volumes were right")


class RefusalTest(SteerTest):
    jobs = '\n[jobs.settle]\nplugin = "bench"\nentry = "work"\nschedule = "none"\napproval = 2\n'
    http = 'act_token = "file:acting"'

    def test_a_second_person_refuses_what_the_first_asked_for(self):
        self.assertEqual(self.host.request("POST", "/api/v1/jobs/settle/trigger", {"reason": "month end"})[0], 409)
        page = self.open()
        page.run(f"sessionStorage.setItem('jobhost.token', {json.dumps(self.host.PERSONS['bob'])})")
        # Another document: the token is read when it is loaded.
        page.go(self.host.url + "?bob#/")
        page.wait_text("alice asks for trigger of settle: month end")
        self.press(page, "Refuse", "not today", "trigger of settle is refused.")
        ask = self.host.get("/api/v1/asks")["asks"][0]
        self.assertEqual((ask["state"], ask["asked_by"], ask["decided_by"]), ("refused", "alice", "bob"))
        self.expect_audit("refuse", "not today", "settle")
        self.assertEqual(self.host.get("/api/v1/runs?job=settle")["runs"], [])
        page.wait("!document.body.innerText.includes('alice asks for')")


class LabelTest(unittest.TestCase):
    def test_every_button_that_acts_is_pressed_by_a_test(self):
        with open(ROOT + "/Sources/JobHost/Views/Dashboard/static/actions.js") as file:
            labels = re.findall(r'\blabel: "([^"]+)", verb:', file.read())
        self.assertGreaterEqual(len(labels), 22)
        tests = ""
        for path in glob.glob(os.path.dirname(os.path.abspath(__file__)) + "/test_*.py"):
            with open(path) as file:
                tests += file.read()
        pressed = set(re.findall(r'(?:click\("text=|press\(page, ")([^"]+)"', tests))
        self.assertEqual([label for label in labels if label not in pressed], [])
