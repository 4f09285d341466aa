"""Pictures for the docs, into the folder that is given: a bad morning, task by task."""

import os
import sys
import time

from chromium import Chromium
from host import DESK, Host

folder = sys.argv[1]
MOST = 200_000  # bytes of a picture

MORNING = DESK + """
[jobs.mint]
plugin = "bench"
entry = "work"
schedule = "none"
concurrency = 3
settings = { ms = 150 }

[jobs.withdrawals]
plugin = "bench"
entry = "work"
schedule = "none"
"""


class Morning:
    """`take` asserts that what a picture is for is in it, and in sight."""

    def __init__(self, host, page):
        self.host, self.page, self.number = host, page, 0

    def show(self, place, ready, width=1280, height=760, scheme="light"):
        self.page.size(width, height)
        self.page.scheme(scheme)
        # Another document: no notice of what was done before.
        self.number += 1
        self.page.go(f"{self.host.url}?{self.number}{place}")
        self.page.wait_text(ready)

    def take(self, name, *shows):
        # The notices and countdowns of this second.
        time.sleep(1.2)
        self.page.wait("document.querySelector('#top .live.tone-ok')")
        for text in shows:
            self.page.wait(IN_SIGHT.replace("TEXT", repr(text)), 10)
        path = os.path.join(folder, name + ".webp")
        self.page.picture(path, "webp")
        size = os.path.getsize(path)
        assert 5_000 < size < MOST, f"{path} has {size} bytes"
        taken.add(name + ".webp")
        print(f"{path}: {size} bytes")


# Whether a text is somewhere on the screen, as text or in a field, and not beneath a dialog.
IN_SIGHT = """[...(document.querySelector('dialog') ?? document.body).querySelectorAll('*')].some((node) => {
    const text = node.matches('input, textarea') ? node.value : node.innerText ?? '';
    const box = node.getBoundingClientRect();
    return text.includes(TEXT) && box.width > 0 && box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth + 1; })"""

taken = set()

with Host(MORNING) as host, Chromium() as browser:
    for account in range(4):
        host.run("payouts", {"how": "refuse", "account": account})
    host.run("margin-check")
    host.post("/jobs/order-expiry/pause", {"reason": "month end, until the books are closed"})
    host.until(lambda: host.job("deposits-credit")["breaker"]["state"] == "open", "the breaker to open")
    host.until(lambda: len(host.job("candles-1m")["recent_outcomes"]) == 20, "some history", seconds=60)
    page = browser.page(host.url, 1280, 760)
    page.run(f"sessionStorage.setItem('jobhost.token', {host.token!r})")
    morning = Morning(host, page)
    show, take = morning.show, morning.take

    show("#/", "candles-1m")
    take("jobs", "breaker open after 3 failures in a row", "Show log", "paused: month end")
    show("#/", "candles-1m", scheme="dark")
    take("jobs-dark", "breaker open after 3 failures in a row")
    show("#/", "candles-1m", 360, 740)
    take("phone", "breaker open after 3 failures in a row", "Reset breaker")
    show("#/jobs/deposits-credit", "connection refused", height=860)
    take("job", "connection refused", "Keep open", "Why did it run, or not?")

    # Which job failed last night, and why; and run it again.
    show("#/runs", "SIGABRT", height=420)
    take("failed-last-night", "12 h", "exited by signal 6 (SIGABRT)", "the bank refused the transfer: R03")
    dead = host.get("/api/v1/dead?job=payouts")["runs"][0]["id"]
    show(f"#/runs/{dead}", "account=7", height=700)
    take("run", f"Run {dead}", "the bank refused the transfer: R03, no such account", "account=7", "Retry run")
    page.click("text=Retry run")
    page.wait("document.activeElement?.name === 'reason'")
    page.ask("Input.insertText", text="the bank is back")
    take("reason", f"Retry run {dead}", "the bank is back", f"jobhost retry {dead} --reason 'the bank is back'")
    page.key("Escape")
    page.wait("!document.querySelector('dialog')")

    # Open a breaker by hand.
    show("#/jobs/candles-1m", "Steer", height=620)
    page.click("text=Open breaker")
    page.wait("document.activeElement?.name === 'reason'")
    page.ask("Input.insertText", text="the feed sends yesterday's prices")
    page.type("input[name=until]", "in 2h")
    page.run("scrollTo(0, 0)")
    take("open-breaker", "Open the breaker of candles-1m", "in 2h", "the feed sends yesterday's prices")
    page.click("dialog button[type=submit]")
    page.wait_text("breaker opened by hand")
    take("breaker-opened", "breaker opened by hand by act.token from 127.0.0.1", "Close breaker", "forced open")
    host.post("/jobs/candles-1m/breaker", {"action": "close"})

    show("#/timeline?window=0.1", "with something to show", height=420)
    take("timeline", "deposits-credit", "did not run")
    show("#/queues?job=payouts", "R03", height=560)
    page.click("input[aria-label='Choose all of the list']")
    take("dead-letters", "Dead letters of payouts", "Retry 4", "the bank refused the transfer")

    # See that the queue drains; the other one does not, and why.
    host.post("/jobs/withdrawals/pause", {"reason": "the bank's cut-off"})
    for account in range(25):
        host.post("/jobs/withdrawals/enqueue", {"payload": {"account": account}})
    for asset in range(400):
        host.post("/jobs/mint/enqueue", {"payload": {"asset": asset}})
    host.until(
        lambda: next(job for job in host.get("/api/v1/counters")["jobs"] if job["job"] == "mint")["ended_last_minute"] > 40, "a pace")
    show("#/queues", "about", height=420)
    take("queue", "mint", "about", "paused")

    # Take a plugin back to its previous version.
    host.compile(version="2.5.0")
    host.post("/reload")
    show("#/plugins", "2.5.0", height=560)
    page.click("button[aria-label='Versions of bench']")
    page.wait_text("Versions of bench")
    take("plugins", "2.4.1", "Roll back to this", "2.5.0")
    page.click("text=Roll back to this")
    page.run("scrollTo(0, 0)")
    page.wait("document.activeElement?.name === 'reason'")
    page.ask("Input.insertText", text="wrong volumes since the release")
    take("rollback", "Roll bench back to 2.4.1", "wrong volumes since the release", "jobhost plugin rollback bench")
    page.click("dialog button[type=submit]")
    page.wait_text("bench serves with")
    take("rolled-back", "2.4.1", "rolled back from")

# No picture of yesterday's page stays behind.
for name in set(os.listdir(folder)) - taken:
    os.remove(os.path.join(folder, name))
