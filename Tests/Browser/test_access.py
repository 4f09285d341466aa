"""For whom the page is there: those who see little, use keys alone, a phone, the dark.
"""

import json
import os
import time

from pagetest import PageTest

# Parts of the page that reach beyond its right edge, but for those in a region that scrolls by itself or is cut off.
OUTSIDE = """[...document.querySelectorAll('main *, #top *, dialog *')]
    .filter((node) => node.getClientRects().length > 0 && node.getBoundingClientRect().right > innerWidth + 1)
    .filter((node) => {
        for (let at = node; at && at !== document.body; at = at.parentElement) {
            if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(at).overflowX)) return false;
        }
        return !node.closest('.unseen');
    }).slice(0, 3).map((node) => node.outerHTML.slice(0, 120))"""


class KeyTest(PageTest):
    def test_find_walk_and_open_by_keys(self):
        page = self.open()
        page.wait_text("candles-1m")
        page.key("/")
        page.ask("Input.insertText", text="order")
        page.wait("document.querySelectorAll('table.jobs tbody tr:not(.space)').length === 1")
        page.key("Enter")
        page.wait("document.querySelector('tr[aria-selected=true]')")
        page.key("Enter")
        page.wait("location.hash === '#/jobs/order-expiry'")
        page.wait_text("Europe/Berlin")
        for key, place in (("t", "timeline"), ("q", "queues"), ("p", "plugins"), ("h", "host"), ("o", "hosts"), ("a", "audit"), ("r", "runs"), ("j", "")):
            page.key("g")
            page.key(key)
            page.wait(f"location.hash === '#/{place}'")
        page.key("?")
        page.wait_text("Keys and marks")
        page.key("Escape")
        page.wait("!document.querySelector('dialog')")

    def test_j_and_k_walk_the_table(self):
        page = self.open()
        page.wait_text("candles-1m")
        names = page.run("[...document.querySelectorAll('.c-name a')].map((link) => link.textContent)")
        for key, place in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
            page.key(key)
            page.wait(f"document.querySelector('tr[aria-selected=true] .c-name a')?.textContent === {json.dumps(names[place])}")

    def test_skipping_to_the_content_stays_on_the_page(self):
        page = self.open("#/queues")
        page.wait_text("Queues and dead letters")
        page.key("Tab")
        self.assertEqual(page.run("document.activeElement.textContent"), "Skip to content")
        page.key("Enter")
        page.wait("document.activeElement.id === 'main'")
        self.assertEqual(page.run("location.hash"), "#/queues")
        self.assertIn("Queues and dead letters", page.text())

    def test_by_keys_alone_from_the_page_to_the_deed(self):
        """Tab to what helps, Enter, the reason, Enter: the focus is always seen, and is where it was afterwards."""
        # From then on it offers no retry of its own.
        self.host.until(lambda: self.host.job("deposits-credit")["breaker"]["state"] == "open", "the breaker to open")
        failed = self.host.run("payouts", {"how": "refuse"})["id"]
        page = self.open()
        page.wait_text("R03")
        page.key("Tab")
        self.assertEqual(page.run("document.activeElement.textContent"), "Skip to content")
        page.key("Enter")
        self.assertEqual(page.wait("document.activeElement.id"), "main")
        passed = []
        for _ in range(20):
            page.key("Tab")
            passed.append(page.run("document.activeElement.textContent"))
            seen = page.run("(() => { const style = getComputedStyle(document.activeElement); return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0; })()")
            self.assertTrue(seen, f"the focus on {passed[-1]} is not seen")
            if passed[-1] == "Retry run":
                break
        self.assertEqual(passed[-1], "Retry run", passed)
        page.key("Enter")
        self.reason(page, "the bank is back")
        # Not out of the dialog.
        for _ in range(6):
            page.key("Tab")
            self.assertTrue(page.run("document.activeElement === document.body || Boolean(document.activeElement.closest('dialog'))"))
        page.run("document.querySelector('input[name=reason]').focus()")
        page.key("Escape")
        page.wait("!document.querySelector('dialog')")
        self.assertEqual(page.run("document.activeElement.textContent"), "Retry run")
        page.key("Enter")
        self.reason(page, "the bank is back")
        page.key("Enter")
        page.wait_text(f"Run {failed} is tried again as run")
        self.assertEqual(self.audit("retry")["reason"], "the bank is back")
        # Said to those who do not see it.
        self.assertEqual(page.run("document.getElementById('notices').getAttribute('aria-live')"), "polite")


class LookTest(PageTest):
    PLACES = ["#/", "#/jobs/deposits-credit", "#/runs", "#/timeline", "#/queues", "#/plugins", "#/host", "#/hosts", "#/audit"]

    def test_nothing_is_wider_than_a_phone(self):
        run = self.host.run("payouts", {"how": "refuse", "note": "x" * 300})["id"]
        page = self.open("", 360, 740)
        for place in [*self.PLACES, f"#/runs/{run}"]:
            page.go(self.host.url + "?fresh" + place)
            page.wait("document.querySelector('main').innerText.length > 30")
            time.sleep(0.4)
            self.assertLessEqual(page.run("document.documentElement.scrollWidth"), 360, place)
            # What is not in a region that scrolls by itself is in sight, wholly.
            self.assertEqual(page.run(OUTSIDE), [], place)

    def test_on_a_phone_what_is_wrong_is_read_and_mended(self):
        failed = self.host.run("payouts", {"how": "refuse"})["id"]
        self.host.until(lambda: self.host.job("deposits-credit")["breaker"]["state"] == "open", "the breaker to open")
        page = self.open("", 360, 740)
        problem = page.wait("[...document.querySelectorAll('.problems li')].find((item) => item.innerText.startsWith('payouts'))?.innerText")
        self.assertIn("R03, no such account", problem)
        self.assertRegex(problem, r"since \d\d:\d\d:\d\d")
        # State, name, how it went and when it goes on, of each job.
        row = "[...document.querySelectorAll('table.jobs tbody tr')].find((row) => row.innerText.includes('candles-1m'))"
        for cell in ("mark", "name", "last", "next"):
            box = page.wait(f"(() => {{ const box = {row}?.querySelector('.c-{cell}')?.getBoundingClientRect(); return box?.width > 0 && [box.left, box.right]; }})()")
            self.assertGreaterEqual(box[0], 0)
            self.assertLessEqual(box[1], 360)
        # Large enough for a finger.
        self.assertGreaterEqual(min(page.run("[...document.querySelectorAll('.problems .press > *')].map((node) => node.getBoundingClientRect().height)")), 32)
        page.click("text=Retry run")
        self.reason(page, "the bank is back")
        self.assertEqual(page.run(OUTSIDE), [])
        page.click("dialog button[type=submit]")
        page.wait_text(f"Run {failed} is tried again as run")
        # Whether the queue drains is seen without moving it.
        page.go(self.host.url + "?fresh#/queues")
        page.wait_text("Empty in")
        edge = page.run("[...document.querySelectorAll('section[aria-label=Queues] th')].find((cell) => cell.innerText === 'Empty in').getBoundingClientRect().right")
        self.assertLessEqual(edge, 360)

    def test_no_script_fails_and_nothing_breaks_the_policy(self):
        page = self.open()
        for place in self.PLACES:
            page.go(self.host.url + "?fresh" + place)
            page.wait("document.querySelector('main').innerText.length > 30")
            time.sleep(0.3)
        self.assertEqual(page.complaints(), [])

    def test_accessible(self):
        axe = os.environ.get("AXE_JS")
        if not axe:
            self.skipTest("AXE_JS names no axe.min.js")
        with open(axe) as file:
            script = file.read()
        run = self.host.run("payouts", {"how": "refuse"})["id"]
        self.host.until(lambda: self.host.job("deposits-credit")["breaker"]["state"] == "open", "the breaker to open")
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 360)):
            page = self.open("", width=width, scheme=scheme)

            def check(what):
                time.sleep(0.3)
                self.assertEqual(self.violations(page, script), [], f"{scheme} {width} {what}")

            for place in [*self.PLACES, f"#/runs/{run}"]:
                page.go(self.host.url + "?fresh" + place)
                page.wait("document.querySelector('main').innerText.length > 30")
                check(place)
            # What opens by a press.
            page.go(self.host.url + "?fresh#/plugins")
            page.click("button[aria-label='Versions of bench']")
            page.click("text=Plan a reload")
            page.wait_text("Versions of bench")
            page.wait_text("would be accepted")
            check("versions and plan")
            page.go(self.host.url + "?fresh#/jobs/deposits-credit/explain")
            page.wait("document.querySelector('.explained')")
            check("explanation")
            for button, key in (("text=Pause", None), ("text=Keep open", None), (None, "?")):
                page.key(key) if key else page.click(button)
                page.wait("document.querySelector('dialog')")
                check(f"dialog {button or key}")
                page.key("Escape")
                page.wait("!document.querySelector('dialog')")
            # What is chosen, reached by keys, and asked for.
            page.go(self.host.url + "?fresh#/queues")
            page.click("input[aria-label='Choose all of the list']")
            page.wait("document.querySelector('tr[aria-selected=true]')")
            check("chosen dead letters")
            page.go(self.host.url + "?fresh#/timeline?window=0.1")
            self.reach_bar(page, "payouts")
            page.wait(f"document.querySelector('.pointed').innerText.includes('run {run}')")
            check("a bar of the timeline")
            page.run("sessionStorage.removeItem('jobhost.token')")
            # Another document: the token is read when it is loaded.
            page.go(self.host.url + "?none#/jobs/payouts")
            page.click("text=Run now")
            page.click("dialog button[type=submit]")
            page.wait("document.querySelector('input[name=token]')")
            check("the token's dialog")

    def violations(self, page, script):
        page.run(script + "; undefined")
        checked, found = page.run(
            "axe.run(document).then((result) => [result.passes.length, result.violations.map((v) => [v.impact, v.id,"
            " v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + ' ' + (n.failureSummary ?? '').slice(0, 200))])])")
        # That it looked at all.
        self.assertGreater(checked, 10)
        return [violation for violation in found if violation[0] in ("serious", "critical", "moderate")]

    def test_theme_follows_the_system_and_the_switch(self):
        page = self.open(scheme="dark")
        ground = "getComputedStyle(document.body).backgroundColor"
        dark = page.run(ground)
        page.scheme("light")
        self.assertNotEqual(page.run(ground), dark)
        page.click("button[aria-label^=Theme]")  # light
        page.click("button[aria-label^=Theme]")  # dark
        self.assertEqual(page.wait(f"document.documentElement.dataset.theme === 'dark' && {ground}"), dark)
        page.go(self.host.url + "?fresh")
        self.assertEqual(page.run(ground), dark)
        page.run("localStorage.clear()")
