"""What every test of the page begins with."""

import json
import unittest
from datetime import datetime

from chromium import Chromium
from host import DESK, Host


def seconds(text):
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


class PageTest(unittest.TestCase):
    jobs = DESK
    http = ""

    @classmethod
    def setUpClass(cls):
        cls.browser = Chromium().__enter__()
        cls.addClassCleanup(cls.browser.__exit__, None, None, None)

    def setUp(self):
        self.host = Host(self.jobs, http=self.http)
        self.addCleanup(self.host.end)

    def open(self, place="", width=1280, height=900, scheme="light", token=True):
        page = self.browser.page(self.host.url, width, height, scheme)
        self.addCleanup(page.close)
        # What the token's dialog does, which has its own test.
        page.run(f"sessionStorage.setItem('jobhost.token', {json.dumps(self.host.token if token else '')})")
        page.go(self.host.url + "?fresh" + place)
        page.wait("document.querySelector('#top .live') && !document.querySelector('#top .live').innerText.includes('connecting')")
        return page

    def reason(self, page, text):
        page.wait("document.activeElement?.name === 'reason'")
        page.ask("Input.insertText", text=text)

    def reach_bar(self, page, job):
        """The first bar of a job's lane of the timeline, by keys."""
        lane = f"document.querySelector('.lane a[title={job}]')"
        page.wait(lane)
        page.run(f"{lane}.parentNode.querySelector('svg').focus()")
        page.ask("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", windowsVirtualKeyCode=39)

    def expect_every_second(self, ledger):
        """Of a job that is due each second: each is there as a run, or as one that was skipped or missed, and once."""
        fires = [seconds(run["fire_time"]) for run in ledger["runs"] if run["trigger"] in ("schedule", "catch_up")]
        for row in ledger["ranges"]:
            if row["state"] in ("skipped", "missed"):
                fires += range(seconds(row["first"]), seconds(row["last"]) + 1)
        self.assertEqual(sorted(fires), list(range(min(fires), max(fires) + 1)))

    def audit(self, action):
        return next((entry for entry in self.host.get("/api/v1/audit")["audit"] if entry["action"] == action), None)
