"""Pictures for the docs, into the folder that is given."""

import os
import sys
import time

from chromium import Chromium
from host import Host

folder = sys.argv[1]
MOST = 200_000  # bytes of a picture


def take(page, name):
    # The notices and countdowns of this second.
    time.sleep(1.2)
    path = os.path.join(folder, name + ".webp")
    page.picture(path, "webp")
    size = os.path.getsize(path)
    assert size < MOST, f"{path} has {size} bytes"
    print(f"{path}: {size} bytes")


with Host() as host, Chromium() as browser:
    for account in range(4):
        host.run("payouts", {"how": "refuse", "account": account})
    host.run("margin-check")
    host.post("/jobs/order-expiry/pause", {"reason": "month end, until the books are closed"})
    host.until(lambda: host.job("deposits-credit")["breaker"]["state"] == "open", "the breaker to open")
    host.until(lambda: len(host.job("candles-1m")["recent_outcomes"]) == 20, "some history", seconds=60)
    page = browser.page(host.url, 1280, 760)
    page.run(f"sessionStorage.setItem('jobhost.token', {host.token!r})")

    def show(place, ready, width=1280, height=760, scheme="light"):
        page.size(width, height)
        page.scheme(scheme)
        page.go(host.url + "?fresh" + place)
        page.wait_text(ready)

    show("#/", "candles-1m")
    take(page, "jobs")
    show("#/", "candles-1m", scheme="dark")
    take(page, "jobs-dark")
    show("#/", "candles-1m", 360, 740)
    take(page, "phone")
    show("#/jobs/deposits-credit", "connection refused", height=860)
    take(page, "job")
    page.click("text=Pause")
    page.wait("document.activeElement?.name === 'reason'")
    page.ask("Input.insertText", text="the node is being mended")
    take(page, "reason")
    page.key("Escape")
    dead = host.get("/api/v1/dead?job=payouts")["runs"][0]["id"]
    show(f"#/runs/{dead}", "How it went")
    take(page, "run")
    show("#/timeline?window=0.1", "with something to show", height=420)
    take(page, "timeline")
    show("#/queues", "R03", height=640)
    page.click("input[aria-label='Choose all of the list']")
    take(page, "dead-letters")
    show("#/plugins", "2.4.1", height=520)
    take(page, "plugins")
