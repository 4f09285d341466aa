"""Lists stay true however far back they go; what is pressed says what became of it; all of it is reached by keys."""

from pagetest import PageTest

BOXES = "document.querySelectorAll('input[aria-label^=\"Choose run\"]').length"


class ListTest(PageTest):
    def dead(self, count):
        for account in range(count):
            self.host.post("/jobs/payouts/enqueue", {"payload": {"how": "refuse", "account": account}})
        self.host.until(lambda: self.host.job("payouts")["dead"] == count, f"{count} dead letters")

    def test_after_older_a_dead_letter_that_is_retried_is_not_offered_again(self):
        self.dead(103)
        page = self.open("#/queues?job=payouts")
        page.wait(f"{BOXES} === 100")
        page.click("text=Older")
        page.wait(f"{BOXES} === 103")
        letters = self.host.get("/api/v1/dead?job=payouts&limit=200")["runs"]
        newest, oldest = letters[0]["id"], letters[-1]["id"]
        for run in (newest, oldest):
            self.host.post(f"/dead/{run}/discard", {"reason": "from elsewhere"})
        page.wait(f"{BOXES} === 101")
        for run in (newest, oldest):
            self.assertFalse(page.run(f"Boolean(document.querySelector('input[aria-label=\"Choose run {run}\"]'))"))

    def test_older_reloads_are_there_and_stay_when_another_comes(self):
        for _ in range(22):
            self.host.post("/reload")
        self.host.until(lambda: len(self.host.get("/api/v1/reloads?limit=100")["reloads"]) > 22, "the reloads to be kept")
        total = len(self.host.get("/api/v1/reloads?limit=100")["reloads"])
        page = self.open("#/plugins")
        rows = "document.querySelectorAll('section[aria-label^=Reloads] tbody tr').length"
        page.wait(f"{rows} === 20")
        page.click("text=Older")
        page.wait(f"{rows} === {total}")
        self.assertFalse(page.run("[...document.querySelectorAll('section[aria-label^=Reloads] button')].some((button) => button.innerText === 'Older')"))
        newest = self.host.post("/reload")["generation"]
        page.wait(f"document.querySelector('section[aria-label^=Reloads] tbody td').innerText === '{newest}' && {rows} === {total}")
        page.click("text=Older")
        page.wait(f"{rows} === {total + 1}")

    def test_after_older_a_history_goes_on(self):
        self.host.until(lambda: len(self.host.get("/api/v1/runs?job=candles-1m&limit=50")["runs"]) > 27, "more runs than a page")
        page = self.open("#/jobs/candles-1m")
        rows = "document.querySelectorAll('section[aria-label=History] tbody a.num').length"
        page.wait(f"{rows} === 25")
        page.click("text=Older")
        page.wait(f"{rows} > 25")
        newest = self.host.run("candles-1m")["id"]
        page.wait(f"[...document.querySelectorAll('section[aria-label=History] tbody a.num')].some((link) => Number(link.textContent) === {newest})")
        self.assertGreater(page.run(rows), 25)

    def test_many_that_break_off_say_how_many_were_done_and_go_on_with_the_rest(self):
        self.dead(3)
        page = self.open("#/queues?job=payouts")
        page.wait(f"{BOXES} === 3")
        page.click("input[aria-label='Choose all of the list']")
        page.click("text=Dismiss 3")
        self.reason(page, "accounts closed")
        # The host is out of reach for the second one.
        page.run("window.real = window.fetch; window.posts = 0; window.fetch = (where, options) => {"
                 "  if (options?.method === 'POST' && ++window.posts === 2) return Promise.reject(new TypeError('Failed to fetch'));"
                 "  return window.real(where, options); }; true")
        page.click("dialog button[type=submit]")
        page.wait_text("1 of 3 dismissed, then at run")
        page.click("dialog button[type=submit]")
        page.wait_text("2 dead letters dismissed")
        self.host.until(lambda: self.host.job("payouts")["dead"] == 1, "all but the one that nobody knows of to be done")

    def test_a_late_answer_of_another_job_is_not_shown(self):
        self.host.post("/jobs/payouts/pause", {"reason": "for payouts"})
        self.host.post("/jobs/reconcile/pause", {"reason": "for reconcile"})
        page = self.open("#/audit")
        page.wait_text("for payouts")
        page.run("window.real = window.fetch; window.gate = new Promise((go) => { window.letGo = go; }); window.fetch = async (where, ...rest) => {"
                 "  const answer = await window.real(where, ...rest); if (String(where).includes('job=payouts')) { await window.gate; window.gone = true; }"
                 "  return answer; }; true")
        for job in ("payouts", "reconcile"):
            page.run(f"(() => {{ const field = document.getElementById('search'); field.value = '{job}'; field.dispatchEvent(new Event('change')); }})()")
        page.wait("!document.querySelector('section tbody').innerText.includes('for payouts')")
        page.run("letGo()")
        page.wait("window.gone")
        # Whatever it is answered with has been drawn by then.
        page.run("new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 50))")
        self.assertNotIn("for payouts", page.run("document.querySelector('section tbody').innerText"))

    def test_after_a_reload_its_plan_is_gone(self):
        page = self.open("#/plugins")
        page.click("text=Plan a reload")
        page.wait_text("would be accepted")
        self.host.post("/reload")
        page.wait("!document.body.innerText.includes('would be accepted')")


class PressTest(PageTest):
    def test_what_is_not_answered_in_time_may_still_be_done(self):
        page = self.open("#/jobs/payouts")
        # The host does it, and its answer does not come; the page's patience is a hundredth.
        page.run("window.real = window.fetch; window.patience = []; const timeout = AbortSignal.timeout.bind(AbortSignal);"
                 "AbortSignal.timeout = (ms) => { window.patience.push(ms); return timeout(ms / 100); };"
                 "window.fetch = async (where, options = {}) => { if (options.method !== 'POST') return window.real(where, { ...options, signal: undefined });"
                 "  await window.real(where, { ...options, signal: undefined });"
                 "  return new Promise((_, no) => { if (options.signal.aborted) no(options.signal.reason); options.signal.onabort = () => no(options.signal.reason); }); }; true")
        page.click("text=Run now")
        page.wait_text("jobhost trigger payouts")
        page.click("dialog button[type=submit]")
        page.wait_text("the host has not answered after 15 s; it may still do it")
        said = page.run("document.querySelector('dialog').innerText")
        self.assertNotIn("tries again by itself", said)
        self.assertIn("before you press again", said)
        self.assertEqual(len(self.host.get("/api/v1/runs?job=payouts")["runs"]), 1)
        page.click("text=Cancel")
        # A reload builds and probes first.
        page.run("window.patience = []; location.hash = '#/plugins'")
        page.click("text=Reload")
        page.click("dialog button[type=submit]")
        page.wait("Math.max(...window.patience) >= 60000")

    def test_dialogs_have_names(self):
        page = self.open("#/jobs/payouts")
        page.wait_text("Steer")
        page.key("?")
        self.assertEqual(page.wait("document.querySelector('dialog')?.computedName ?? document.getElementById(document.querySelector('dialog').getAttribute('aria-labelledby'))?.innerText"), "Keys and marks")
        page.key("Escape")
        page.wait("!document.querySelector('dialog')")
        page.click("text=Run now")
        self.assertEqual(page.wait("document.getElementById(document.querySelector('dialog')?.getAttribute('aria-labelledby'))?.innerText"), "Run payouts now")

    def test_keys_move_the_focus_from_job_to_job(self):
        page = self.open()
        page.wait("document.querySelector('table.jobs tbody a')")
        page.key("j")
        page.wait("document.activeElement?.closest('tr')?.getAttribute('aria-selected') === 'true'")
        first = page.run("document.activeElement.innerText")
        page.key("j")
        second = page.wait(f"document.activeElement?.innerText !== '{first}' && document.activeElement.innerText")
        page.key("k")
        page.wait(f"document.activeElement?.innerText === '{first}'")
        page.key("j")
        page.wait(f"document.activeElement?.innerText === '{second}'")
        page.key("Enter")
        page.wait(f"document.querySelector('h1')?.innerText === '{second}'")

    def test_a_bar_of_the_timeline_is_reached_by_keys(self):
        run = self.host.run("payouts", {"how": "refuse"})["id"]
        page = self.open("#/timeline?window=0.1")
        self.reach_bar(page, "payouts")
        page.wait(f"document.querySelector('.pointed').innerText.includes('run {run}')")
        self.assertEqual(page.run("document.querySelector('.pointed').getAttribute('aria-live')"), "polite")
        page.key("Enter")
        page.wait_text("How it went")
        self.assertIn(f"Run {run}", page.run("document.querySelector('h1').innerText"))
