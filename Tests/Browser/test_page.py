"""The page as an operator uses it: real clicks in a real browser, on a real host.

scripts/browser runs it. Each test has a host of its own and leaves nothing.
"""

import json
import os
import re
import time
import unittest

from host import DESK, ROOT, many
from pagetest import PageTest

STATIC = ROOT + "/Sources/JobHost/Views/Dashboard/static"


class TroubleTest(PageTest):
    """What is wrong, why, since when, and what to press."""

    jobs = DESK + """
[jobs.statement-export]
plugin = "bench"
entry = "work"
every = "1h"
on_start = true
timeout = "2m"
settings = { ms = 60000 }
health = { critical = { duration = "1s" } }
"""

    def broken(self):
        self.host.until(lambda: self.host.job("deposits-credit")["breaker"]["state"] == "open", "the breaker to open")

    def test_problems_come_first_with_cause_since_when_and_what_to_press(self):
        self.broken()
        page = self.open()
        problem = page.wait("document.querySelector('.problems li')?.innerText")
        self.assertIn("deposits-credit", problem)
        self.assertIn("breaker open", problem)
        self.assertIn("connection refused by node-3.chain.internal:8545", problem)
        self.assertRegex(problem, r"since \d\d:\d\d:\d\d")
        for label in ("Show log", "Reset breaker", "Pause"):
            self.assertIn(label, problem)
        # How many, where the tab is all that is seen.
        self.assertRegex(page.run("document.title"), r"^\(\d+\) Jobs")

    def test_from_the_failed_job_to_its_log_in_one_press(self):
        self.broken()
        page = self.open()
        page.click("text=Show log")
        page.wait_text("How it went")
        page.wait_text("connection refused")
        self.assertIn("peer=node-3.chain.internal:8545", page.text())
        self.assertIn("failed", page.text())

    def test_which_job_failed_last_night(self):
        self.host.run("margin-check")
        page = self.open()
        page.key("g")
        page.key("r")
        # The list of jobs, which stands there until then, names it too, but not the signal.
        row = page.wait("[...document.querySelectorAll('main tbody tr')].map(row => row.innerText)"
                        ".find(text => text.includes('margin-check') && text.includes('SIGABRT'))")
        self.assertIn("crashed", row)

    def test_rerun_with_a_reason(self):
        failed = self.host.run("payouts", {"how": "refuse"})
        page = self.open(f"#/runs/{failed['id']}")
        page.click("text=Retry run")
        self.reason(page, "the bank is back")
        page.wait_text(f"jobhost retry {failed['id']} --reason 'the bank is back'")
        page.key("Enter")
        page.wait_text(f"Run {failed['id']} is tried again as run")
        self.assertEqual(self.audit("retry")["reason"], "the bank is back")
        page.click("text=Show it")
        page.wait_text("retry of")

    def test_open_a_breaker_until_a_time_and_close_it_again(self):
        page = self.open("#/jobs/payouts")
        page.wait_text("Steer")
        # Its config says breaker = false.
        self.assertNotIn("Open breaker", page.text())
        page.go(self.host.url + "?fresh#/jobs/candles-1m")
        page.click("text=Open breaker")
        self.reason(page, "the node is being mended")
        page.type("input[name=until]", "in 2h")
        page.wait("/in (1 h 59 m|2 h 00 m)/.test(document.body.innerText)")
        page.click("dialog button[type=submit]")
        page.wait_text("The breaker of candles-1m is open.")
        breaker = self.host.job("candles-1m")["breaker"]
        self.assertEqual(breaker["state"], "forced_open")
        self.assertIsNotNone(breaker["until"])
        page.wait_text("the node is being mended")
        page.click("text=Close breaker")
        self.reason(page, "it is back")
        page.key("Enter")
        page.wait_text("The breaker of candles-1m is closed.")
        self.assertEqual(self.host.job("candles-1m")["breaker"]["state"], "closed")

    def test_a_breaker_that_opened_by_itself_is_kept_open(self):
        self.broken()
        page = self.open("#/jobs/deposits-credit")
        page.click("text=Keep open")
        self.reason(page, "the chain is down until noon")
        page.click("dialog button[type=submit]")
        page.wait_text("The breaker of deposits-credit is open.")
        self.assertEqual(self.host.job("deposits-credit")["breaker"]["state"], "forced_open")

    def test_a_time_that_cannot_be_read_is_not_sent(self):
        # Of a job that does not fail: its breaker stays as it is while this looks.
        page = self.open("#/jobs/candles-1m")
        page.click("text=Open breaker")
        page.type("input[name=until]", "tomorrowish")
        page.wait_text("no time that can be read")
        page.click("dialog button[type=submit]")
        self.assertTrue(page.run("Boolean(document.querySelector('dialog'))"))
        self.assertEqual(self.host.job("candles-1m")["breaker"]["state"], "closed")
        # Nothing but the time was in the way.
        page.run("document.querySelector('input[name=until]').value = ''")
        page.type("input[name=until]", "in 2h")
        page.click("dialog button[type=submit]")
        page.wait_text("The breaker of candles-1m is open.")

    def test_pause_and_resume(self):
        page = self.open("#/jobs/candles-1m")
        page.click("text=Pause")
        self.reason(page, "month end")
        page.click("dialog button[type=submit]")
        page.wait_text("paused: month end")
        self.assertTrue(self.host.job("candles-1m")["control"]["paused"])
        page.go(self.host.url + "?fresh#/")
        page.wait_text("paused: month end")
        page.click("text=Resume")
        page.key("Enter")
        self.host.until(lambda: not self.host.job("candles-1m")["control"]["paused"], "the pause to end")

    def test_backfill_shows_which_before_it_makes_them(self):
        page = self.open("#/jobs/candles-1m")
        page.click("text=Backfill")
        page.run("document.querySelector('input[name=from]').value = ''")
        # Up to when the dialog came.
        page.type("input[name=from]", "1m ago")
        page.click("text=Show which")
        total = int(page.wait("/([0-9]+) runs:/.exec(document.body.innerText)?.[1]"))
        self.assertTrue(30 <= total <= 61, total)
        self.assertIsNone(self.audit("backfill"))
        page.click("text=Make runs")
        page.wait_text(f"{total} runs of candles-1m made")
        self.host.until(lambda: self.audit("backfill"), "the audit of it")

    def test_why_it_did_not_run(self):
        self.broken()
        skipped = self.host.until(lambda: self.host.get("/api/v1/ranges?job=deposits-credit")["ranges"], "a fire to be skipped")[0]
        page = self.open("#/jobs/deposits-credit/explain")
        page.wait_text("Why did it run, or not?")
        page.run("document.querySelector('input[name=at]').value = ''")
        page.type("input[name=at]", skipped["last"])
        page.click("text=Explain")
        # Verdict, reason, and what the reason came of. (What stood there before was of another time.)
        said = page.wait("document.querySelector('.explained')?.innerText.startsWith('skipped') && document.querySelector('.explained').innerText")
        self.assertRegex(said, r"skipped: the circuit breaker was open: since \S+, .*3 failures in a row")
        self.assertIn("connection refused by node-3.chain.internal:8545", said)
        self.assertIn("is a fire time of the interval", said)

    def test_why_it_ran(self):
        run = self.host.until(lambda: self.host.get("/api/v1/runs?job=candles-1m&state=succeeded&limit=1")["runs"], "a run")[0]
        page = self.open("#/jobs/candles-1m/explain")
        page.wait_text("Why did it run, or not?")
        page.run("document.querySelector('input[name=at]').value = ''")
        page.type("input[name=at]", run["fire_time"])
        page.click("text=Explain")
        said = page.wait(f"(document.querySelector('.explained')?.innerText ?? '').includes('run {run['id']}') && document.querySelector('.explained').innerText")
        self.assertRegex(said, r"^(ran|succeeded)\b")

    def test_a_job_that_is_critical_by_its_rules_says_so(self):
        # It fails in nothing else: it only takes too long.
        page = self.open("#/")
        problem = page.wait("[...document.querySelectorAll('.problems li')].map((item) => item.innerText).find((text) => text.startsWith('statement-export'))")
        self.assertRegex(problem, r"critical: a run has taken [\d.]+s so far")
        self.assertIn("Cancel run", problem)
        run = self.host.job("statement-export")["running"][0]["run"]
        page.go(self.host.url + "?fresh#/jobs/statement-export")
        page.wait("document.querySelector('h1 + .badge').innerText === 'critical'")
        page.click("text=Cancel run")
        self.reason(page, "the disk is full")
        page.wait_text(f"jobhost cancel {run}")
        page.key("Enter")
        self.host.until(lambda: self.host.get(f"/api/v1/runs/{run}")["run"]["state"] == "cancelled", "it to be cancelled")

    def test_a_run_under_way_shows_how_far_it_is_and_can_be_cancelled(self):
        self.host.until(lambda: self.host.job("reconcile")["running"], "reconcile to run")
        page = self.open("#/jobs/reconcile")
        page.wait_text("accounts")
        run = self.host.job("reconcile")["running"][0]["run"]
        page.go(self.host.url + f"?fresh#/runs/{run}")
        page.click("text=Cancel run")
        page.key("Enter")
        page.wait_text("cancelled")


class QueueTest(PageTest):
    def test_many_dead_letters_are_retried_at_once(self):
        for account in range(3):
            self.host.run("payouts", {"how": "refuse", "account": account})
        page = self.open("#/queues?job=payouts")
        page.wait_text("the bank refused the transfer: R03")
        self.assertEqual(page.run("document.querySelectorAll('input[aria-label^=\"Choose run\"]').length"), 3)
        page.click("input[aria-label='Choose all of the list']")
        page.click("text=Retry 3")
        self.reason(page, "the bank is back")
        page.click("dialog button[type=submit]")
        page.wait_text("3 dead letters tried again.")
        retried = [entry for entry in self.host.get("/api/v1/audit")["audit"] if entry["action"] == "retry"]
        self.assertEqual([entry["reason"] for entry in retried], ["the bank is back"] * 3)

    def test_one_is_dismissed(self):
        run = self.host.run("payouts", {"how": "refuse"})["id"]
        page = self.open("#/queues?job=payouts")
        page.wait_text(str(run))
        page.click("text=Dismiss")
        self.reason(page, "account closed")
        page.click("dialog button[type=submit]")
        page.wait_text("None: nothing was given up.")
        self.assertEqual(self.host.get(f"/api/v1/runs/{run}")["run"]["state"], "cancelled")


class TextTest(PageTest):
    """What comes from outside is text, whatever it is made of."""

    jobs = DESK.replace('entry = "markup"', 'entry = "markup"\ntimeout = "5m"')

    @staticmethod
    def picture(name):
        """Of a picture that cannot be loaded the handler would be run."""
        return f"<img src=x id={name} onerror=document.title='owned'>"

    def expect_no_foreign(self, page, where):
        """Neither ran a script, nor is there an element that the page's own files do not make, or with a handler in its markup."""
        self.assertNotIn("owned", page.run("document.title"), where)
        self.assertEqual(page.run(
            f"[...document.body.querySelectorAll('*')].filter((node) => !{json.dumps(self.own_tags())}.includes(node.localName) || node.matches('b b')"
            " || [...node.attributes].some((attribute) => attribute.name.startsWith('on'))).map((node) => node.outerHTML.slice(0, 100))"), [], where)

    @staticmethod
    def own_tags():
        texts = {}
        for name in os.listdir(STATIC):
            with open(os.path.join(STATIC, name)) as file:
                texts[name] = file.read()
        made = re.findall(r'\bh\("([a-z0-9]+)|createElement\("([a-z0-9]+)"\)', "".join(text for name, text in texts.items() if name.endswith(".js")))
        return sorted({tag for pair in made for tag in pair if tag} | set(re.findall(r"<([a-z0-9]+)", texts["index.html"].partition("<body>")[2])))

    def test_markup_in_names_settings_payloads_logs_and_errors(self):
        run = self.host.run("markup", {"<b>": "<img src=x onerror=document.title='owned'>"})
        self.host.compile(version=self.picture("version"))
        self.host.post("/reload")
        # Under way until the host ends.
        self.host.post("/jobs/markup/trigger", {"payload": {"ms": 300_000}})
        self.host.until(lambda: any("accounts" in running["text"] for running in self.host.job("markup")["running"]), "how far it is")
        self.host.post("/jobs/markup/pause", {"reason": self.picture("reason")})
        self.host.write(self.jobs + f'\n[jobs.fees]\nplugin = "bench"\nentry = "work"\n"{self.picture("key")}" = 1\n')
        self.assertFalse(self.host.post("/reload")["accepted"])
        places = ["#/", "#/jobs/markup", f"#/runs/{run['id']}", "#/queues", "#/runs?job=markup", "#/runs?job=%3Cimg%20src%3Dx%3E", "#/timeline", "#/plugins?versions=bench",
                  "#/host", "#/hosts", "#/audit", "#/jobs/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"]
        page = self.open()
        seen = ""
        for place in places:
            page.go(self.host.url + "?fresh" + place)
            page.wait("document.querySelector('main').innerText.length > 30")
            time.sleep(0.3)
            seen += page.text()
            self.expect_no_foreign(page, place)
        for text in ("<script>document.title='owned'</script>", "<img src=x onerror=\"document.title='owned'\">", "<b>bold</b> & \"quoted\"", "was no account",
                     *(f"<img src=x id={name}" for name in ("version", "progress", "reason", "key"))):
            self.assertIn(text, seen)
        page.go(self.host.url + "?fresh#/jobs/markup")
        page.click("text=Resume")
        self.reason(page, self.picture("dialog"))
        page.wait("document.querySelector('dialog .command').innerText.includes('<img src=x id=dialog')")
        self.expect_no_foreign(page, "a dialog")
        page.click("dialog button[type=submit]")
        page.wait_text("markup goes on.")
        self.expect_no_foreign(page, "a notice")

    def test_the_files_of_the_page_have_no_way_to_write_markup(self):
        banned = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|createContextualFragment|DOMParser|srcdoc|javascript:")
        for name in os.listdir(STATIC):
            with open(os.path.join(STATIC, name)) as file:
                text = file.read()
            self.assertIsNone(banned.search(text), name)
            self.assertNotRegex(text, r"https?://(?!www\.w3\.org/2000/svg)", name)

    def test_the_policy_forbids_what_is_not_the_page_s_own(self):
        page = self.open()
        page.run("document.body.append(Object.assign(document.createElement('script'), { textContent: \"document.title = 'owned'\" }))")
        self.assertNotIn("owned", page.run("document.title"))


class ReloadTest(PageTest):
    def test_a_plan_and_a_reload_with_its_report(self):
        page = self.open("#/plugins")
        page.wait_text("2.4.1")
        self.host.write(DESK + '\n[jobs.fees]\nplugin = "bench"\nentry = "work"\nevery = "1h"\n')
        page.click("text=Plan a reload")
        page.wait_text("would be accepted")
        page.wait("document.querySelector('main').innerText.match(/added\\s*fees/)")
        self.assertIsNone(self.host.job("fees"))
        page.click("text=Reload")
        page.click("dialog button[type=submit]")
        page.wait_text("Generation 2 serves.")
        self.assertIsNotNone(self.host.job("fees"))

    def test_a_plugin_goes_back_to_its_previous_version(self):
        before = self.host.get("/api/v1/plugins")["plugins"][0]["library_hash"]
        self.host.compile(version="2.5.0")
        self.host.post("/reload")
        page = self.open("#/plugins")
        page.wait_text("2.5.0")
        page.click("button[aria-label='Versions of bench']")
        page.click("text=Roll back to this")
        self.reason(page, "wrong volumes")
        page.click("dialog button[type=submit]")
        page.wait_text("bench serves with " + before[:7])
        now = {plugin["name"]: plugin["version"] for plugin in self.host.get("/api/v1/plugins")["plugins"]}
        self.assertEqual(now, {"bench": "2.4.1", "margin": "2.5.0"})

    def test_a_refused_reload_is_on_top_with_the_place_of_the_fault(self):
        self.host.write(DESK + '\n[jobs.fees]\nplugin = "bench"\nentry = "work"\nevry = "1h"\n')
        page = self.open("#/plugins")
        page.click("text=Reload")
        page.click("dialog button[type=submit]")
        page.wait_text("The reload was refused")
        page.go(self.host.url + "?fresh#/")
        page.wait_text("the last reload was refused")
        self.assertRegex(page.text(), r"jobs\.toml:\d+:\d+: .*evry")


class AccessTest(PageTest):
    def test_acting_asks_for_the_token_once(self):
        page = self.open("#/jobs/payouts", token=False)
        page.click("text=Run now")
        page.wait_text("jobhost trigger payouts")
        page.click("dialog button[type=submit]")
        page.wait_text("token for acting")
        page.type("input[name=token]", self.host.token)
        page.key("Enter")
        page.wait_text("of payouts waits to start")
        page.click("text=Run now")
        page.click("dialog button[type=submit]")
        page.wait("!document.querySelector('dialog')")

    def test_a_wrong_token_is_said_to_be_wrong(self):
        page = self.open("#/jobs/payouts", token=False)
        page.click("text=Run now")
        page.click("dialog button[type=submit]")
        page.wait("document.querySelector('input[name=token]')")
        page.type("input[name=token]", "0" * 64)
        page.key("Enter")
        page.wait_text("this token is not known")


class PersonsTest(PageTest):
    jobs = DESK + '\n[jobs.settle]\nplugin = "bench"\nentry = "work"\nschedule = "none"\napproval = 2\n'
    http = 'act_token = "file:acting"'

    def test_a_second_person_approves_what_the_first_asked_for(self):
        page = self.open("#/jobs/settle")
        page.click("text=Run now")
        self.reason(page, "month end")
        page.click("dialog button[type=submit]")
        page.wait_text("settle takes two persons: trigger waits for a second person")
        page.wait("!document.querySelector('dialog')")
        page.go(self.host.url + "?fresh#/")
        page.wait_text("alice asks for trigger of settle: month end")
        page.click("text=Approve")
        page.click("dialog button[type=submit]")
        page.wait_text("you are alice, who asked for it")
        page.run(f"sessionStorage.setItem('jobhost.token', {json.dumps(self.host.PERSONS['bob'])})")
        # Another document: the token is read when it is loaded.
        page.go(self.host.url + "?bob#/")
        page.click("text=Approve")
        page.click("dialog button[type=submit]")
        page.wait_text("trigger of settle is approved.")
        self.host.until(lambda: (self.host.job("settle")["last"] or {}).get("outcome") == "succeeded", "settle to run")


class ReadingTest(PageTest):
    http = 'read_token = "file:read.token"'

    def test_reading_asks_for_a_token_where_the_host_does(self):
        page = self.browser.page(self.host.url + "#/")
        self.addCleanup(page.close)
        page.wait_text("no access")
        self.assertNotIn("candles-1m", page.text())
        page.click("text=Give a token")
        page.wait_text("token for reading")
        page.type("input[name=token]", "a-token-that-may-only-read-0123456789")
        page.key("Enter")
        page.wait_text("candles-1m")
        # Acting takes another one.
        page.go(self.host.url + "?fresh#/jobs/payouts")
        page.click("text=Run now")
        page.click("dialog button[type=submit]")
        page.wait_text("this token may read, not act")


class ThousandTest(PageTest):
    jobs = many(1000)

    def test_a_thousand_jobs(self):
        page = self.open()
        page.wait_text("job-0000")
        self.assertLess(page.run("document.querySelectorAll('table.jobs tr').length"), 120)
        self.assertEqual(page.run("document.querySelector('table.jobs').getAttribute('aria-rowcount')"), "1001")
        page.key("/")
        page.ask("Input.insertText", text="job-0777")
        page.wait("document.querySelectorAll('table.jobs tbody tr:not(.space)').length === 1")
        # What scripts/bench measures.
        page.wait("performance.getEntriesByName('jobs shown')[0]?.startTime > 0")

    def test_what_is_asked_for_first_fills_the_window_and_little_more(self):
        page = self.browser.page("about:blank")
        self.addCleanup(page.close)
        # What is asked for then never comes.
        page.ask("Page.addScriptToEvaluateOnNewDocument", source=(
            "{ const real = window.fetch; window.asked = 0; window.fetch = (where, ...rest) =>"
            " String(where).includes('/overview?first=') ? (window.asked += 1, real(where, ...rest)) : new Promise(() => {}); }"))
        # The document brings along what fills a tall window; the tallest asks.
        for width, height, asked in ((1280, 800, 0), (1280, 1600, 0), (390, 844, 0), (1280, 2200, 1)):
            page.size(width, height)
            page.go(f"{self.host.url}?{height}")
            page.wait("performance.getEntriesByName('jobs shown')[0]?.startTime > 0")
            end = page.run(
                "(() => { const rows = [...document.querySelectorAll('table.jobs tbody tr:not(.space)')];"
                " return rows.at(-1).getBoundingClientRect().bottom; })()")
            self.assertGreaterEqual(end, height)
            self.assertLess(end, height + 200)
            self.assertEqual(page.run("window.asked"), asked)
            self.assertEqual(page.run("document.querySelector('table.jobs').getAttribute('aria-rowcount')"), "1001")
            self.assertGreater(page.run("document.documentElement.scrollHeight"), 30_000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
