"""The page of one of several hosts that share a PostgreSQL."""

import os
import shutil
import subprocess
import tempfile

from host import DESK, ROOT, Host
from pagetest import PageTest


class Postgres:
    """A server of its own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="jobhost-page-db-")
        # Run by root, the server is another user.
        os.chmod(self.folder, 0o755)
        self.url = self.ask("start").strip()

    def ask(self, verb, *more):
        return subprocess.run(
            [ROOT + "/scripts/postgres", verb, self.folder + "/db", *more], check=True, stdout=subprocess.PIPE, text=True).stdout

    def end(self):
        self.ask("stop")
        shutil.rmtree(self.folder, ignore_errors=True)


class ClusterTest(PageTest):
    """Whichever host is asked, it shows all."""

    def setUp(self):
        self.postgres = Postgres()
        self.addCleanup(self.postgres.end)
        self.host = Host(DESK, name="desk-1", store=self.postgres.url)
        self.addCleanup(self.host.end)
        # Looks, and runs nothing: what it shows of runs it has from the store.
        self.other = Host(DESK, name="desk-2", store=self.postgres.url)
        self.addCleanup(self.other.end)
        for host, idle in ((self.host, self.other), (self.other, self.host)):
            host.until(lambda: {entry["name"] for entry in host.get("/api/v1/hosts")["hosts"]} == {"desk-1", "desk-2"}, "both hosts to be seen")

    def test_hosts_are_listed_and_one_is_taken_out_and_let_in_again(self):
        page = self.open("#/hosts")
        page.wait_text("2 hosts of 2 serve")
        row = "[...document.querySelectorAll('main tbody tr')].find(row => row.innerText.includes('desk-2'))"
        self.assertIn("serves", page.run(row + ".innerText"))
        page.click("text=Take out", within=row)
        self.reason(page, "new kernel")
        page.wait_text("jobhost hosts drain desk-2 --reason 'new kernel'")
        page.click("dialog button[type=submit]")
        page.wait_text("desk-2 is taken out.")
        page.wait(row + ".innerText.includes('taken out')")
        self.assertIn("new kernel", page.run(row + ".innerText"))
        self.other.until(lambda: self.other.get("/api/v1/overview")["host"]["problems"], "desk-2 to know")
        # On its own page it says so, and leads there.
        own = self.browser.page(self.other.url + "#/")
        self.addCleanup(own.close)
        own.wait_text("the host was taken out by an operator: new kernel")
        own.click("text=Hosts")
        own.wait_text("1 host of 2 serves")
        # Only what is in front is drawn.
        page.ask("Page.bringToFront")
        page.click("text=Put back")
        page.key("Enter")
        page.wait_text("2 hosts of 2 serve")
        # The entry for the last one is written with the act; each is under its own name.
        actions = [entry["action"] for entry in self.host.get("/api/v1/audit")["audit"]]
        self.assertIn("drain host", actions)
        self.assertIn("undo drain host", actions)

    def test_what_ended_on_another_host_is_seen_without_a_reload(self):
        # desk-2 claims nothing, so desk-1 runs it.
        self.host.post("/hosts/desk-2/drain", {"reason": "looks only"})
        self.other.until(lambda: self.other.get("/api/v1/overview")["host"]["problems"], "desk-2 to know")
        page = self.browser.page(self.other.url + "#/jobs/payouts")
        self.addCleanup(page.close)
        page.wait_text("never ran")
        page.wait("document.querySelector('#top .live').textContent === 'live'")
        self.host.run("payouts", {"how": "refuse"})
        page.wait_text("the bank refused the transfer: R03")
        line = self.other.until(lambda: (lambda job: job if job["last"] else None)(self.other.job("payouts")), "desk-2 to have read it")
        self.assertEqual(line["last"]["owner"], "desk-1")
        page.go(self.other.url + f"?fresh#/runs/{line['last']['id']}")
        page.wait_text("Its log is on desk-1, which ran it.")
        # A job that runs over there only is not failing here.
        self.other.until(lambda: self.other.job("candles-1m")["recent_outcomes"][-3:] == ["succeeded"] * 3, "candles")
        self.assertEqual(self.other.job("candles-1m")["health"]["grade"], "healthy")

    def test_a_restart_of_the_database_is_said_and_survived(self):
        page = self.open("#/jobs/candles-1m")
        page.wait_text("succeeded")
        self.postgres.ask("restart", "immediate")
        def newest():
            answer = self.host.get("/api/v1/runs?job=candles-1m&state=succeeded&limit=1")
            return answer["runs"][0]["id"] if answer else 0

        before = self.host.until(newest, "the host to be back")
        self.host.until(lambda: newest() > before, "a run after it")
        # The list that stood there all the time goes on.
        page.wait(f"[...document.querySelectorAll('main tbody a.num')].some(link => Number(link.textContent) > {before})")
        page.wait("document.querySelector('#top .live').textContent === 'live'")
        self.host.until(lambda: self.host.get("/api/v1/overview")["host"]["problems"] == [], "all to be well")
        # No due time is missing or there twice.
        self.expect_every_second(self.host.get("/api/v1/runs?job=candles-1m&limit=1000"))
