"""What every test of the page begins with."""

import json
import unittest

from chromium import Chromium
from host import DESK, Host


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

    def audit(self, action):
        return next((entry for entry in self.host.get("/api/v1/audit")["audit"] if entry["action"] == action), None)
