"""The page and the API with 1,000 jobs: answers over TCP, and from a navigation to rows that are painted."""
import statistics
import sys
import time
import urllib.request

from .host import ROOT


def measure(bench):
    """A tenth of them every 10 s."""
    rounds = 5 if bench.quick else 21
    sys.path.insert(0, f"{ROOT}/Tests/Browser")
    from chromium import Chromium
    import host as pages
    with pages.Host(pages.many(1_000), bin=bench.binaries) as host:
        bench.say("\nThe page with 1,000 jobs:\n", "| | median | worst | bytes |", "|---|---|---|---|")
        for path in ("/livez", "/api/v1/overview?first=20", "/api/v1/overview", "/api/v1/jobs", "/metrics"):
            took, size = [], 0
            for _ in range(rounds):
                # Past what the host keeps for others who ask at the same time.
                time.sleep(1.1)
                began = time.monotonic()
                answer = urllib.request.urlopen(host.url + path[1:], timeout=60)
                size = len(answer.read())
                took.append((time.monotonic() - began) * 1e3)
            bench.say(f"| GET {path} | {statistics.median(took):.1f} ms | {max(took):.1f} ms | {size:,} |")
        with Chromium() as browser:
            view = browser.page(host.url)
            shown = []
            for _ in range(rounds):
                time.sleep(1.1)
                view.go(host.url + "?fresh")
                # From the start of the navigation until the rows are in the document and painted.
                shown.append(view.wait("performance.getEntriesByName('jobs shown')[0]?.startTime"))
        bench.say(f"| the page, until the rows are painted | {statistics.median(shown):.0f} ms | {max(shown):.0f} ms | |")
        bench.goal("the page with 1,000 jobs, until the rows are painted", statistics.median(shown), most=100, unit="ms")
