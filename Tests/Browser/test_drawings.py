"""What the page draws is what the host says: bars, gaps and overlaps of the timeline, outcomes, lengths,
countdowns, memory. What is expected is worked out here, from the API's answers, not by the page's scripts.
"""

import re
from datetime import datetime, timezone
from urllib.parse import parse_qs, urlsplit

from pagetest import PageTest

# Nothing fires by itself but `ticks`, so that what has been read stays true.
QUIET = """
[jobs.single]
plugin = "bench"
entry = "work"
schedule = "none"
settings = { ms = 300 }

[jobs.several]
plugin = "bench"
entry = "work"
schedule = "none"
concurrency = 3
settings = { ms = 1500 }

[jobs.bad]
plugin = "bench"
entry = "fail"
schedule = "none"

[jobs.ticks]
plugin = "bench"
entry = "work"
every = "1s"
settings = { ms = 5 }

[jobs.slow-tick]
plugin = "bench"
entry = "work"
every = "1h"
"""


def ms(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def ages(seconds):
    """As the page writes whole seconds."""
    s = int(seconds)
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60} m {s % 60:02} s"
    return f"{s // 3600} h {s // 60 % 60:02} m"


def span(us):
    """As the page writes a length."""
    if us < 1000:
        return f"{us} µs"
    if us < 999_500:
        return f"{us / 1000:.1f} ms" if us < 9_950 else f"{round(us / 1000)} ms"
    return f"{us / 1e6:.2f} s" if us < 9_950_000 else f"{us / 1e6:.1f} s"


class DrawingTest(PageTest):
    jobs = QUIET

    def quiet(self):
        """No tick any more, and none under way; what is skipped from now on grows by one range only."""
        self.host.post("/jobs/ticks/pause", {"reason": "looked at"})
        self.host.until(lambda: not self.host.job("ticks")["running"], "the last tick to end")

    def ended(self, job, count):
        self.host.until(
            lambda: len(self.host.get(f"/api/v1/runs?job={job}&state=succeeded")["runs"]) >= count, f"{count} runs of {job}")


class TimelineTest(DrawingTest):
    WIDTH = 1000

    def setUp(self):
        super().setUp()
        self.host.run("single")
        self.host.run("bad")
        for _ in range(3):
            self.host.post("/jobs/several/enqueue", {})
        self.ended("several", 3)
        # The gap between the two.
        self.host.run("single")
        self.ended("ticks", 3)
        self.quiet()
        self.host.until(lambda: self.host.get("/api/v1/ranges?job=ticks")["ranges"], "a tick to be skipped")

    def drawn(self, page):
        """What was asked for, and what is drawn of each job: in one look."""
        return page.wait(
            "(() => { const asked = performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/timeline?')).at(-1)?.name;"
            "const lanes = [...document.querySelectorAll('.timeline .lane:not(.axis)')].map((lane) => ({"
            "  job: lane.querySelector('.name').textContent, words: lane.querySelector('svg').getAttribute('aria-label'),"
            "  bars: Object.fromEntries([...lane.querySelectorAll('path.fill')].map((path) => [path.getAttribute('class').match(/tone-(\\w+)/)[1], path.getAttribute('d')])),"
            "  ranges: [...lane.querySelectorAll('rect.range')].map((rect) => ['x', 'width'].map((name) => Number(rect.getAttribute(name)))) }));"
            "return asked && lanes.length > 0 && { asked, lanes }; })()")

    def expected(self, asked):
        """What that question's answer asks to be drawn, and how to reckon with it."""
        address = urlsplit(asked)
        limits = {name: value[0] for name, value in parse_qs(address.query).items()}
        self.start, self.end = ms(limits["from"]), ms(limits["to"])
        return self.host.get(f"{address.path}?{address.query}")

    def x(self, at):
        return (at - self.start) / (self.end - self.start) * self.WIDTH

    @staticmethod
    def bars(path):
        """(x, top, width) of each."""
        return [tuple(map(float, bar)) for bar in re.findall(r"M([\d.]+) (\d+)h([\d.]+)V18h-[\d.]+z", path)]

    TONES = {"succeeded": "ok", "nothing_to_do": "ok", "failed": "bad", "crashed": "bad", "retry": "warn"}

    def compare(self, page):
        look = self.drawn(page)
        data = self.expected(look["asked"])
        lanes = {lane["job"]: lane for lane in look["lanes"]}
        self.assertEqual(set(lanes), {entry["job"] for entry in data["spans"] + data["ranges"]})
        for job, lane in lanes.items():
            spans = [entry for entry in data["spans"] if entry["job"] == job]
            for tone in ("ok", "warn", "bad"):
                mine = sorted((entry for entry in spans if self.TONES[entry["outcome"]] == tone), key=lambda entry: entry["first"])
                bars = sorted(self.bars(lane["bars"].get(tone, "")))
                self.assertEqual(len(bars), len(mine), f"{job} {tone}: {lane}")
                for (x, top, width), entry in zip(bars, mine):
                    first, last = self.x(ms(entry["first"])), self.x(ms(entry["last"]))
                    self.assertAlmostEqual(x, first, delta=0.11, msg=job)
                    self.assertAlmostEqual(width, max(2, last - first), delta=0.11, msg=job)
                    # Three that took 1.5 s each stand higher than one after the other would.
                    self.assertEqual(top, 1 if tone == "bad" else 4 if job == "several" else 8, job)
        return lanes, data

    def test_bars_overlaps_gaps_and_what_did_not_run(self):
        page = self.open("#/timeline?window=0.1")
        lanes, data = self.compare(page)
        # Every run of the ledger is under a bar of its job; where there was none, there is none.
        for job in ("single", "several", "bad", "ticks"):
            # One that was taken ahead of its fire and then paused has not begun.
            runs = [run for run in self.host.get(f"/api/v1/runs?job={job}&limit=1000")["runs"] if run["started_at"]]
            self.assertIn(f"{job}: {len(runs)} run", lanes[job]["words"], runs)
            bars = [bar for path in lanes[job]["bars"].values() for bar in self.bars(path)]
            for run in runs:
                middle = self.x((ms(run["started_at"]) + ms(run["finished_at"])) / 2)
                self.assertTrue(any(x - 0.2 <= middle <= x + width + 0.2 for x, _, width in bars), f"run {run['id']} of {job}")
        first, second = sorted(
            ((ms(run["started_at"]), ms(run["finished_at"])) for run in self.host.get("/api/v1/runs?job=single")["runs"]))
        gap = self.x((first[1] + second[0]) / 2)
        self.assertFalse(any(x <= gap <= x + width for x, _, width in self.bars(lanes["single"]["bars"]["ok"])))
        # Those of the three that ran at once are seen as such, by what the ledger says too.
        times = [(ms(run["started_at"]), ms(run["finished_at"])) for run in self.host.get("/api/v1/runs?job=several")["runs"]]
        self.assertLess(max(start for start, _ in times), min(end for _, end in times))
        # The pause: from its first fire to its last.
        ranges = [entry for entry in data["ranges"] if entry["job"] == "ticks"]
        self.assertEqual(len(lanes["ticks"]["ranges"]), len(ranges))
        self.assertAlmostEqual(lanes["ticks"]["ranges"][0][0], self.x(ms(ranges[0]["first"])), delta=0.11)
        self.assertRegex(lanes["ticks"]["words"], r"\d+ runs?, 0 failed, \d+ did not run")
        # Those with trouble first.
        self.assertEqual(list(lanes)[0], "bad")
        self.assertEqual(lanes["bad"]["words"], "bad: 1 run, 1 failed")

    def test_pointing_says_which_and_pressing_leads_there(self):
        page = self.open("#/timeline?window=0.1")
        self.compare(page)
        run = self.host.get("/api/v1/runs?job=bad")["runs"][0]

        def place(job, at):
            """Of an instant of a lane, on the screen."""
            box = page.run(
                "(() => { const track = [...document.querySelectorAll('.timeline .lane')].find((lane) => lane.querySelector('.name')?.textContent ==="
                f" '{job}').querySelector('svg.track').getBoundingClientRect(); return [track.x, track.y + track.height / 2, track.width]; }})()")
            return box[0] + self.x(at) / self.WIDTH * box[2], box[1]

        def point(job, at, kind="mouseMoved", **more):
            x, y = place(job, at)
            page.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

        range_ = next(entry for entry in self.host.get("/api/v1/ranges?job=ticks")["ranges"])
        point("ticks", ms(range_["first"]) + 300)
        page.wait("/[1-9]\\d* skipped: it was paused/.test(document.querySelector('.pointed').innerText)")
        point("single", self.start + 1000)
        page.wait("document.querySelector('.pointed').innerText.endsWith('nothing ran')")
        point("bad", ms(run["started_at"]))
        page.wait(f"document.querySelector('.pointed').innerText.includes('1 failed') && document.querySelector('.pointed').innerText.includes('run {run['id']}')")
        for kind in ("mousePressed", "mouseReleased"):
            point("bad", ms(run["started_at"]), kind, button="left", clickCount=1)
        page.wait(f"location.hash === '#/runs/{run['id']}'")

    def test_today_begins_at_midnight(self):
        page = self.open("#/timeline")
        page.click("text=Today")
        page.wait("performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/timeline?')).length > 1"
                  " && document.querySelector('.timeline').getAttribute('aria-label').includes(' 00:00:00 ')"
                  " || document.querySelector('.timeline').getAttribute('aria-label').startsWith('Runs from 00:00:00 ')")
        self.compare(page)
        day = datetime.fromtimestamp(self.end / 1000, timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        self.assertIn(day.timestamp() * 1000, (self.start, self.start + 86_400_000))
        self.assertLess(abs(self.end - ms(self.host.get("/api/v1/overview")["host"]["now"])), 30_000)

    def test_what_runs_is_drawn_to_the_present(self):
        run = self.host.post("/jobs/single/trigger", {"payload": {"ms": 15_000}})["run"]["id"]
        self.host.until(lambda: any(entry["started_at"] for entry in self.host.job("single")["running"]), "it to run")
        page = self.open("#/timeline?window=0.1")
        width = "Number(document.querySelector('rect.tone-busy')?.getAttribute('width') ?? 0)"
        page.wait(width + " > 0")
        started = ms(self.host.get(f"/api/v1/runs/{run}")["run"]["started_at"])
        look = self.drawn(page)
        self.expected(look["asked"])
        self.assertAlmostEqual(page.run("Number(document.querySelector('rect.tone-busy').getAttribute('x'))"), self.x(started), delta=0.5)
        # By mouse, by keys: what it is, and the way to it.
        page.run("[...document.querySelectorAll('.timeline .lane')].find((lane) => lane.querySelector('.name')?.textContent === 'single').querySelector('svg.track').focus()")
        page.ask("Input.dispatchKeyEvent", type="keyDown", key="End", windowsVirtualKeyCode=35)
        page.wait(f"/running since .*, for \\d+ s; run {run}$/.test(document.querySelector('.pointed').innerText.trim())")
        page.wait("document.querySelectorAll('rect.reached').length === 1")
        page.key("Enter")
        page.wait(f"location.hash === '#/runs/{run}'")
        # It is still drawn when there is nothing else of it in the window.
        self.host.post(f"/runs/{run}/cancel", {})

    def test_runs_that_overlap_are_drawn_so_whenever_they_began(self):
        began = self.host.post("/jobs/several/enqueue", {"payload": {"ms": 2500}})["run"]["id"]

        def is_under_way():
            run = self.host.get(f"/api/v1/runs/{began}")["run"]
            now = ms(self.host.get("/api/v1/overview")["host"]["now"])
            # In a later step of the drawing than this one.
            return run["started_at"] and now - ms(run["started_at"]) > 800

        self.host.until(is_under_way, "the first one to run for a while")
        self.host.post("/jobs/several/enqueue", {"payload": {"ms": 2500}})
        self.ended("several", 5)
        page = self.open("#/timeline?window=0.1")
        page.wait("[...document.querySelectorAll('.timeline .lane')].some((lane) => lane.querySelector('svg')?.getAttribute('aria-label') === 'several: 5 runs, 0 failed')")
        lanes, data = self.compare(page)
        steps = {entry["step"] for entry in data["spans"] if entry["job"] == "several"}
        self.assertGreater(len(steps), 2)

    def test_what_did_not_run_is_reached_by_keys(self):
        page = self.open("#/timeline?window=0.1")
        page.wait("document.querySelector('.timeline .lane rect.range')")
        page.run("[...document.querySelectorAll('.timeline .lane')].find((lane) => lane.querySelector('.name')?.textContent === 'ticks').querySelector('svg.track').focus()")
        page.ask("Input.dispatchKeyEvent", type="keyDown", key="End", windowsVirtualKeyCode=35)
        page.wait("/\\d+ skipped: it was paused/.test(document.querySelector('.pointed').innerText)")


class CellTest(DrawingTest):
    """The cells of the table of jobs, and the same on a job's page."""

    def attempts(self, job):
        return self.host.get(f"/api/v1/overview?job={job}&recent=20")["jobs"][0]["recent"]

    def cell(self, page, job, name):
        return (f"[...document.querySelectorAll('table.jobs tbody tr')].find((row) => row.querySelector('.c-name a')?.textContent === '{job}')"
                f"?.querySelector('td.c-{name}')")

    def test_the_outcome_strip_is_the_last_attempts_in_their_order(self):
        for how in (None, {"how": "refuse"}, None, None, {"how": "refuse"}):
            self.host.run("single", how)
        page = self.open(width=1440)
        shapes = (
            "[...SVG.children].map((node) => (node.tagName === 'rect' ? 'bar ' : 'cross ') + node.getAttribute('class').match(/tone-\\w+/)[0])")
        of = {"succeeded": "bar tone-ok", "failed": "cross tone-bad"}
        expected = [of[attempt["outcome"]] for attempt in self.attempts("single")]
        self.assertEqual(expected, ["bar tone-ok", "cross tone-bad", "bar tone-ok", "bar tone-ok", "cross tone-bad"])
        strip = f"{self.cell(page, 'single', 'strip')}?.querySelector('svg.strip')"
        page.wait(f"{strip}?.children.length === 5")
        self.assertEqual(page.run(shapes.replace("SVG", strip)), expected)
        self.assertEqual(page.run(f"{strip}.getAttribute('aria-label')"), "last 5 attempts: 3 succeeded, 2 failed")
        page.go(self.host.url + "?fresh#/jobs/single")
        page.wait("document.querySelector('main svg.strip')?.children.length === 5")
        self.assertEqual(page.run(shapes.replace("SVG", "document.querySelector('main svg.strip')")), expected)

    def sparks(self, page, svg, values):
        """Its points stand for these lengths, from zero to the longest."""
        page.wait(f"{svg}?.querySelector('path')")
        path, height, label = page.run(f"[{svg}.querySelector('path').getAttribute('d'), {svg}.viewBox.baseVal.height, {svg}.getAttribute('aria-label')]")
        points = [tuple(map(float, point)) for point in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]
        self.assertEqual(len(points), len(values))
        for (_, y), value in zip(points, values):
            self.assertAlmostEqual(y, height - 2 - value / max(values) * (height - 4), delta=0.06)
        self.assertEqual([x for x, _ in points], sorted(x for x, _ in points))
        self.assertTrue(label.endswith(f": last {span(values[-1])}, longest {span(max(values))}"), label)

    def test_how_long_and_how_late_over_time(self):
        # So far apart that a busy processor does not change their order.
        for length in (150, 1_200, 10, 600):
            self.host.run("single", {"ms": length})
        attempts = self.attempts("single")
        took, late = ([attempt[name] for attempt in attempts] for name in ("duration_us", "lateness_us"))
        # What was asked for is what the host measured.
        self.assertEqual(sorted(range(4), key=took.__getitem__), [2, 0, 3, 1])
        page = self.open(width=1440)
        for name, values in (("took", took), ("late", late)):
            cell = self.cell(page, "single", name)
            self.sparks(page, f"{cell}?.querySelector('svg.spark')", values)
            self.assertEqual(page.run(f"{cell}.innerText.trim()"), span(values[-1]))
        # A narrower window has the last of each at least.
        page.size(1280, 900)
        for name, values in (("took", took), ("late", late)):
            page.wait(f"{self.cell(page, 'single', name)}.innerText.trim() === '{span(values[-1])}'")
            self.assertTrue(page.run(f"{self.cell(page, 'single', name)}.getClientRects().length > 0"))
        page.go(self.host.url + "?fresh#/jobs/single")
        page.wait("document.querySelectorAll('main svg.spark path').length === 2")
        for index, values in enumerate((took, late)):
            self.sparks(page, f"document.querySelectorAll('main svg.spark')[{index}]", values)

    def test_the_memory_of_the_workers(self):
        self.host.run("single")
        self.quiet()
        page = self.open()

        def shown(text):
            number, unit = re.fullmatch(r"([\d.]+) (kB|MB|GB)", text).groups()
            return float(number) * {"kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]

        cell = self.cell(page, "single", "memory")
        page.wait(f"/\\d/.test({cell}?.innerText) && {cell}.getClientRects().length > 0")
        page.go(self.host.url + "?again#/")
        page.wait(f"/\\d/.test({cell}?.innerText)")
        told = self.host.get("/api/v1/overview?job=single")["jobs"][0]["resident_bytes"]
        # Measured anew every now and then.
        self.assertAlmostEqual(shown(page.run(f"{cell}.innerText.trim()")) / told, 1, delta=0.1)
        workers = [worker for worker in self.host.get("/api/v1/workers")["workers"] if worker["plugin"] == "bench"]
        self.assertAlmostEqual(sum(worker["resident_bytes"] for worker in workers) / told, 1, delta=0.1)
        page.go(self.host.url + "?fresh#/plugins")
        row = "[...document.querySelectorAll('section[aria-label=Plugins] tbody tr')].find((row) => row.innerText.startsWith('bench'))"
        page.wait(row)
        cells = page.run(f"[...{row}.children].map((cell) => cell.innerText.trim())")
        self.assertEqual(cells[5], str(len(workers)))
        self.assertAlmostEqual(shown(cells[6]) / told, 1, delta=0.1)

    def fire(self):
        """Its next one, not within this moment."""
        job = self.host.until(
            lambda: (lambda job: job if ms(job["next_fire"]) - ms(self.host.get("/api/v1/overview")["host"]["now"]) > 15_000 else None)(
                self.host.job("slow-tick")), "the fire of this moment to pass")
        return ms(job["next_fire"])

    def countdown(self, page):
        """What is shown at one instant, and what it counts to: the page's clock and the cell, in one look."""
        return page.run(
            f"(() => {{ const cell = {self.cell(page, 'slow-tick', 'next')};"
            "return [cell.innerText.trim(), cell.title, document.querySelector('#top .status button').innerText]; })()")

    def test_the_next_fire_counts_down_by_the_host_s_clock(self):
        page = self.open()
        fire = self.fire()
        seen = []
        for _ in range(4):
            seen.append(self.countdown(page))
            page.wait(f"{self.cell(page, 'slow-tick', 'next')}.innerText.trim() !== '{seen[-1][0]}'")
        for text, title, clock in seen:
            self.assertTrue(title.startswith(datetime.fromtimestamp(fire / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")), title)
            # What the page's own clock shows at that instant, to the second.
            hour, minute, second = map(int, clock.split()[0].split(":"))
            left = (fire / 1000 - (hour * 3600 + minute * 60 + second)) % 86_400
            self.assertIn(text, {ages(left), ages(left - 1)}, clock)
        host = ms(self.host.get("/api/v1/overview")["host"]["now"])
        self.assertIn(self.countdown(page)[0], {ages((fire - host) / 1000 + more) for more in (-2, -1, 0, 1)})

    def test_a_machine_whose_clock_is_wrong_counts_down_right(self):
        page = self.browser.page("about:blank")
        self.addCleanup(page.close)
        page.ask("Page.addScriptToEvaluateOnNewDocument", source="{ const real = Date.now; Date.now = () => real() + 5_000_000; }")
        page.go(self.host.url)
        page.wait("document.querySelector('#top .live.tone-ok')")
        page.wait(f"{self.cell(page, 'slow-tick', 'next')}?.innerText")
        fire = self.fire()
        text, _, clock = self.countdown(page)
        host = ms(self.host.get("/api/v1/overview")["host"]["now"])
        self.assertIn(text, {ages((fire - host) / 1000 + more) for more in (-1, 0, 1, 2)})
        self.assertIn(clock.split()[0], {datetime.fromtimestamp(host / 1000 + more, timezone.utc).strftime("%H:%M:%S") for more in (-2, -1, 0, 1)})
