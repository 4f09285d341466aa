"""Where the host, its store or its events are away, the page says so and invents nothing; what it knew stays."""

import json
import signal
import time

from host import DESK
from pagetest import PageTest
from test_wanted import JOBS

# Before any script of the page: `window.refuse(where)` says which requests fail, and how.
REFUSE = """
window.refuse ??= () => null;
const real = window.fetch;
window.fetch = async (where, ...rest) => {
  const status = window.refuse(String(where));
  if (status === 0) throw new TypeError("Failed to fetch");
  if (status) return new Response(JSON.stringify({ detail: "the store does not answer", code: "unavailable", status }),
    { status, headers: { "Content-Type": "application/problem+json" } });
  const answer = await real(where, ...rest);
  return (await window.changed?.(String(where), answer)) ?? answer;
};
"""


class AwayTest(PageTest):
    jobs = JOBS

    def test_a_host_that_was_killed_is_neither_fine_nor_late(self):
        page = self.open()
        page.wait_text("Nothing is wrong")
        self.host.stop(signal.SIGKILL)
        page.wait_text("the host does not answer")
        killed = time.monotonic()
        # A fire that would be called late after 15 s has long passed by then; the clock alone brings it about.
        while time.monotonic() < killed + 18:
            text = page.text()
            self.assertNotIn("Nothing is wrong", text)
            self.assertNotIn("was due", text)
            self.assertNotRegex(text, r"\d s late")
            time.sleep(1)
        first = page.run("document.querySelector('.problems li').innerText").replace("\n", " ")
        self.assertRegex(first, r"^host\s*the host does not answer.* since \d\d:\d\d:\d\d")
        # Heard once, not with each second.
        said = page.run("document.querySelector('#top [role=status]').innerText")
        self.assertRegex(said, r"^the host does not answer, data as of \d\d:\d\d:\d\d$")
        self.assertEqual(page.run("document.querySelectorAll('#top [role=status]').length"), 1)
        self.host.start()
        page.wait("!document.body.innerText.includes('the host does not answer')")

    def test_the_title_of_a_tab_that_is_not_seen_changes(self):
        page = self.open()
        page.wait_text("Nothing is wrong")
        # As it is there: nothing is drawn.
        page.run("window.requestAnimationFrame = () => 0")
        self.host.run("payouts", {"how": "refuse"})
        page.wait("document.title.startsWith('(1) Jobs')")


class PartsTest(PageTest):
    jobs = DESK

    def prepared(self, place, script=""):
        page = self.browser.page("about:blank", 1280, 900, "light")
        self.addCleanup(page.close)
        page.ask("Page.addScriptToEvaluateOnNewDocument", source=REFUSE + script)
        page.go(self.host.url)
        page.run(f"sessionStorage.setItem('jobhost.token', {json.dumps(self.host.token)})")
        page.go(self.host.url + "?fresh" + place)
        return page

    def test_without_events_the_timeline_moves_on(self):
        page = self.prepared("#/timeline?window=0.1", "window.refuse = (where) => (where.includes('/events') ? 0 : null);")
        page.wait("document.querySelector('#top .live')?.textContent === 'polling'")
        page.wait("document.querySelector('.lane svg')")
        self.assertFalse(page.run("Boolean(document.querySelector('.lane a[title=payouts]'))"))
        self.host.run("payouts")
        page.wait("document.querySelector('.lane a[title=payouts]')?.parentNode.querySelector('path.tone-ok')", 12)

    def test_while_the_store_is_away_a_job_stays_in_sight(self):
        page = self.prepared("#/jobs/candles-1m")
        page.wait_text("Steer")
        page.wait("document.querySelector('section[aria-label=History] tbody tr')")
        page.run("window.refuse = (where) => (/\\/(runs|audit)\\?/.test(where) ? 503 : null)")
        page.wait("document.querySelector('section[aria-label=History] .problem')?.innerText.includes('the store does not answer')")
        # What does not need it goes on.
        self.host.post("/jobs/candles-1m/pause", {"reason": "month end"})
        page.wait("document.querySelector('.callout')?.innerText.includes('paused: month end')")
        self.assertTrue(page.run("document.querySelectorAll('section[aria-label=History] tbody tr').length > 0"))
        page.wait("document.querySelector('section[aria-label=Steer]').innerText.includes('Resume')")
        # From the first look on, too.
        page.run("window.refuse = (where) => (/\\/(runs|audit)\\?/.test(where) ? 503 : null); location.hash = '#/jobs/payouts'")
        page.wait_text("Run now")
        self.assertEqual(page.run("document.querySelector('h1').innerText"), "payouts")

    def test_while_the_store_is_away_a_run_stays_in_sight(self):
        run = self.host.run("payouts", {"how": "refuse"})["id"]
        page = self.prepared(f"#/runs/{run}")
        page.wait_text("How it went")
        page.run(f"window.refuse = (where) => (where.endsWith('/runs/{run}') ? 503 : null)")
        self.host.run("payouts")
        page.wait_text("the store does not answer")
        self.assertIn("How it went", page.text())
        self.assertIn("Retry run", page.text())

    def test_a_job_page_says_why_it_is_overdue(self):
        # No real host is late: one that says so.
        late = ("window.changed = async (where, answer) => { if (!where.includes('/overview')) return null;"
                "const told = await answer.json(); const job = told.jobs.find((job) => job.name === 'payouts');"
                "if (job) job.next_fire = new Date(Date.parse(told.host.now) - 61000).toISOString();"
                "return new Response(JSON.stringify(told), { status: 200, headers: { 'Content-Type': 'application/json' } }); };")
        page = self.prepared("#/jobs/payouts", late)
        said = page.wait("document.querySelector('.callout')?.innerText")
        self.assertRegex(said, r"was due 1 m 0\d s ago and has not started")
        self.assertIn("Why not?", said)
