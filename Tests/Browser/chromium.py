"""Headless Chromium, driven over a pair of pipes (its DevTools protocol; no port, no library).

    with Chromium() as browser:
        page = browser.page("http://127.0.0.1:9480/", width=1280, height=800)
        page.click("text=Run now")
        page.wait("document.querySelector('dialog')")
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

# No wait is longer than this, in seconds: for what never comes, not for what is slow.
PATIENCE = float(os.environ.get("PATIENCE", 60))


class Failure(AssertionError):
    pass


def find():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    raise Failure("there is no chromium: scripts/setup --test installs it")


class Chromium:
    """One browser process with a profile of its own; both are gone when it is left."""

    def __enter__(self):
        self.profile = tempfile.mkdtemp(prefix="jobhost-browser-")
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # The browser reads commands from descriptor 3 and writes to 4.
        high_in, high_out = os.dup2(theirs_in, 210), os.dup2(theirs_out, 211)

        def place():
            os.dup2(high_in, 3)
            os.dup2(high_out, 4)

        self.process = subprocess.Popen(
            [
                find(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", "--font-render-hinting=none", "--remote-debugging-pipe", "--user-data-dir=" + self.profile,
                "about:blank",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=place,
            pass_fds=(3, 4, high_in, high_out), start_new_session=True, env={**os.environ, "HOME": self.profile})
        for descriptor in (theirs_in, theirs_out, high_in, high_out):
            os.close(descriptor)
        self.reading, self.writing = ours_in, ours_out
        self.rest = b""
        self.number = 0
        self.answers = {}
        self.events = []
        return self

    def __exit__(self, *_):
        try:
            self.ask("Browser.close")
        except Failure:
            pass
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            pass
        # Its helpers too: they are in its session.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.reading)
        os.close(self.writing)
        shutil.rmtree(self.profile, ignore_errors=True)

    def ask(self, method, parameters=None, session=None):
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        try:
            os.write(self.writing, json.dumps(message).encode() + b"\0")
        except OSError as error:
            raise Failure(f"the browser is gone: {error}") from error
        limit = time.monotonic() + PATIENCE
        while number not in self.answers:
            self.read(limit, method)
        answer = self.answers.pop(number)
        if "error" in answer:
            raise Failure(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def read(self, limit, what):
        left = limit - time.monotonic()
        if left <= 0 or not select.select([self.reading], [], [], left)[0]:
            raise Failure(f"the browser does not answer: {what}")
        data = os.read(self.reading, 1 << 20)
        if not data:
            raise Failure(f"the browser ended: {what}")
        self.rest += data
        *whole, self.rest = self.rest.split(b"\0")
        for text in whole:
            message = json.loads(text)
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.events.append(message)

    def page(self, url, width=1280, height=800, scheme="light"):
        target = self.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        return Page(self, target, session).opened(url, width, height, scheme)


class Page:
    def __init__(self, browser, target, session):
        self.browser, self.target, self.session = browser, target, session

    def ask(self, method, **parameters):
        return self.browser.ask(method, parameters, self.session)

    def opened(self, url, width, height, scheme):
        self.ask("Page.enable")
        self.ask("Runtime.enable")
        self.ask("Log.enable")
        self.size(width, height)
        self.scheme(scheme)
        self.go(url)
        return self

    def size(self, width, height):
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)

    def scheme(self, scheme):
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def go(self, url):
        self.ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def close(self):
        self.browser.ask("Target.closeTarget", {"targetId": self.target})

    def run(self, script):
        """The value of an expression; a promise is awaited."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise Failure(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, script, seconds=PATIENCE):
        """Until the expression is true; its value."""
        limit = time.monotonic() + seconds
        while True:
            try:
                # An element is no value, but there.
                value = self.run(f"((value) => value instanceof Node || value)({script})")
            except Failure as failure:
                # The document may just be changing.
                if "context" not in str(failure) and "null" not in str(failure):
                    raise
                value = None
            if value:
                return value
            if time.monotonic() > limit:
                raise Failure(f"not within {seconds} s: {script}\n--- the page says:\n{self.text()[:2000]}")
            time.sleep(0.02)

    def text(self):
        return self.run("document.body.innerText") or ""

    def wait_text(self, text, seconds=PATIENCE):
        return self.wait(f"document.body.innerText.includes({json.dumps(text)})", seconds)

    @staticmethod
    def finder(what, within):
        """"text=Run now": the innermost visible thing to press with that text, of what the expression `within` gives; else
        a CSS selector."""
        if not what.startswith("text="):
            return f"[...document.querySelectorAll({json.dumps(what)})].find((node) => seen(node) && !node.disabled)"
        text = json.dumps(what.removeprefix("text="))
        root = within or "(document.querySelector('dialog') ?? document)"
        return (
            f"[...{root}.querySelectorAll('button, a, [role=button], summary, label')]"
            f".find((node) => seen(node) && !node.disabled && node.textContent.trim() === {text})")

    def place(self, what, within=None):
        script = (
            "(() => { const seen = (node) => node.getClientRects().length > 0;"
            f"const node = {self.finder(what, within)}; if (!node) return null;"
            "node.scrollIntoView({ block: 'center', inline: 'nearest', behavior: 'instant' });"
            "const box = node.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()")
        return self.wait(script)

    def click(self, what, within=None):
        """A real press of the mouse in the middle of it. What moved away meanwhile is pressed where it is then, as by
        whoever sees that nothing came of it."""
        for _ in range(5):
            x, y = self.place(what, within)
            # What has just come may move it: whoever clicks sees it stand still.
            for _ in range(40):
                time.sleep(0.05)
                before, (x, y) = (x, y), self.place(what, within)
                if before == (x, y):
                    break
            self.run(
                "(() => { const seen = (node) => node.getClientRects().length > 0; window.pressed = 'nothing';"
                "document.addEventListener('click', (event) => {"
                f"const node = {self.finder(what, within)}; window.pressed = node?.contains(event.target) ? 'it' : 'another';"
                "}, { capture: true, once: true }); })()")
            for kind, count in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 1)):
                self.ask(
                    "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left" if count else "none", clickCount=count)
            try:
                # Of another document by now, nothing is known: it was a link to that.
                if self.run("window.pressed ?? 'it'") == "it":
                    return
            except Failure as failure:
                if "context" not in str(failure):
                    raise
                return

    def type(self, what, text):
        self.click(what)
        self.ask("Input.insertText", text=text)

    KEYS = {"Enter": (13, "\r"), "Escape": (27, None), "Tab": (9, None)}

    def key(self, name):
        code, text = self.KEYS.get(name, (ord(name.upper()[0]), name))
        more = {"text": text} if text else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=name, windowsVirtualKeyCode=code, **more)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=name, windowsVirtualKeyCode=code)

    def complaints(self):
        """What the browser logged as an error: scripts, the content security policy, failed requests."""
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            details = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(details["exceptionDetails"].get("exception", {}).get("description", "an exception"))
            elif event["method"] == "Log.entryAdded" and details["entry"]["level"] == "error":
                found.append(details["entry"]["text"] + " " + details["entry"].get("url", ""))
        return found

    def picture(self, path, kind="png"):
        more = {"quality": 82} if kind == "webp" else {}
        data = self.ask("Page.captureScreenshot", format=kind, **more)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
