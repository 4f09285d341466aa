"""The back office's jobs, each in this process through the plugin contract (entry.c) on an exchange in
SQLite, beside a floor in plain C in the same run: the same effect in SQL written for it, on a copy of
the same database. Each with a short and a long history, or few and many rows that wait: the cost has
to follow what is new. `scripts/bench --only jobs`."""
import http.server
import json
import os
import shutil
import socketserver
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
DAY = 86_400_000


def rows(count, start=1):
    """A table n with the numbers from start on."""
    return f"WITH RECURSIVE n(i) AS (SELECT {start} UNION ALL SELECT i + 1 FROM n WHERE i < {start + count - 1})"


class Office:
    """An exchange in SQLite, and runs of entries on it."""

    def __init__(self, binaries, runs):
        self.binaries, self.runs = binaries, runs
        self.folder = tempfile.mkdtemp(prefix="jobhost-bench-")
        self.entry = f"{self.folder}/entry"
        subprocess.run(["cc", "-std=c11", "-O2", "-I", f"{ROOT}/Sources/JobABI/include", "-o", self.entry, f"{ROOT}/Benchmarks/entry.c",
                        "-lsqlite3", "-ldl", "-lpthread"], check=True)
        self.empty = f"{self.folder}/empty.db"
        plugins = ("Tickers tickers", "Candles candles", "OrderExpiry expire", "Deposits credit", "MarginCheck check", "Reconciler reconcile")
        with open(f"{self.folder}/jobs.toml", "w", encoding="utf-8") as file:
            for name, entry in (each.split() for each in plugins):
                file.write(f'[plugins.{name}]\nlibrary = "lib{name}.so"\nsettings = {{ database = "sqlite:{self.empty}" }}\n'
                           f'[jobs.{name}]\nplugin = "{name}"\nentry = "{entry}"\nschedule = "none"\n')
                if name == "Deposits":
                    file.write('settings = { chains = { paper = {} } }\n')
        made = subprocess.run([f"{binaries}/jobhost", "schema", "apply", "--simulation"], cwd=self.folder, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise SystemExit(f"no exchange: {made.stdout}{made.stderr}")

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def measure(self, title, plugin, entry, settings, build, new, floor=None, runs=None, per=None, environment=None):
        """- build: SQL that makes the exchange; new: SQL before each run; floor: SQL of the same effect.
        - per: items of a run; then the figures are for one of them."""
        path = f"{self.folder}/exchange.db"
        for each in (path, path + ".floor"):
            for end in ("", "-wal", "-shm"):
                if os.path.exists(each + end):
                    os.remove(each + end)
        shutil.copy(self.empty, path)
        connection = sqlite3.connect(path)
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN;" + build + "; COMMIT; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        shutil.copy(path, path + ".floor")
        files = []
        for name, sql in (("new", new), ("floor", floor)):
            with open(f"{self.folder}/{name}.sql", "w", encoding="utf-8") as file:
                file.write(sql or "")
            files.append(f"{self.folder}/{name}.sql" if sql is not None else "-")
        said = self.execute(plugin, entry, settings, path, *files, runs=runs, environment=environment)
        # The first run opens what the others find open: library, statements, pages.
        ours, cpu = (statistics.median(said[name][1:] or said[name]) / (per or 1) for name in ("ours", "cpu"))
        base = statistics.median(said["floor"][1:] or said["floor"]) / (per or 1) if "floor" in said else None
        self.line(title, ours, cpu, base, said["said"])
        return ours

    def execute(self, plugin, entry, settings, path, new, floor="-", runs=None, environment=None):
        """What entry.c says of so many runs on the exchange at `path`; `new` and `floor` are files with SQL."""
        settings = json.dumps({"database": f"sqlite:{path}", **settings})
        done = subprocess.run([self.entry, f"{self.binaries}/lib{plugin}.so", entry, settings, str(runs or self.runs), path, new, floor],
                              capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})})
        if done.returncode != 0:
            raise SystemExit(f"{plugin}, {entry}: {done.stderr}")
        return json.loads(done.stdout)

    @staticmethod
    def line(title, ours, cpu, base, said):
        ratio = f"{base:.2f} | {ours / base:.1f}" if base else "– | –"
        print(f"| {title} | {ours:.2f} | {cpu:.2f} | {ratio} | {said} |", flush=True)


# MARK: Market

def market(pairs, trades, now):
    """Pairs, and trades of the last 24 hours spread over them."""
    step = DAY / trades
    return f"""{rows(pairs)} INSERT INTO pairs (id, symbol, base, quote, created_ms) SELECT i, 'C' || i || '/USD', 'C' || i, 'USD', 0 FROM n;
        {rows(trades)} INSERT INTO trades (pair_id, id, ts_ms, side, price, amount)
        SELECT 1 + i % {pairs}, i, CAST({now - DAY} + i * {step} AS INTEGER), 'buy', '100.' || (10 + i * 7919 % 90), '0.' || (1 + i % 97) FROM n"""


def new_trades(pairs, each):
    """Some for each of so many pairs, now."""
    return f"""{rows(pairs * each, 0)} INSERT INTO trades (pair_id, id, ts_ms, side, price, amount)
        SELECT 1 + i / {each}, (SELECT max(seq) FROM trades) + 1 + i, :now - 50, 'buy', '100.' || (10 + i * 7919 % 90), '0.5' FROM n;"""


def floor_market(pairs, each, write):
    """Reads the new trades and writes one row for each pair."""
    return f"""BEGIN IMMEDIATE; SELECT id, ts_ms, price, amount, seq, pair_id FROM trades WHERE seq > (SELECT max(seq) FROM trades) - {pairs * each};
        {write}; COMMIT;"""


def tickers(office):
    write = "INSERT OR REPLACE INTO tickers SELECT id, '1', '1', '1', '1', '0', '0', '1', '1', 1, :now FROM pairs WHERE id <= {}"
    for title, pairs, trades, active, each in (
            ("tickers, 10 pairs, 50 new trades; 100,000 in 24 h", 10, 100_000, 10, 5), ("… 1,000,000 in 24 h", 10, 1_000_000, 10, 5),
            ("tickers, 1,000 pairs, 500 new trades in 100 of them; 1,000,000 in 24 h", 1_000, 1_000_000, 100, 5),
            ("… 5,000 new trades in all 1,000", 1_000, 1_000_000, 1_000, 5)):
        now = int(time.time() * 1000)
        office.measure(title, "Tickers", "tickers", {}, market(pairs, trades, now), new_trades(active, each), floor_market(active, each, write.format(active)))


def candles(office):
    intervals = " UNION ALL SELECT ".join(f"'{name}' AS interval" if name == "1m" else f"'{name}'" for name in "1m 5m 15m 30m 1h 4h 1d 1w 1M".split())
    write = ("INSERT OR REPLACE INTO candles SELECT id, interval, :now / 60000 * 60000, :now / 60000 * 60000 + 60000, '1', '1', '1', '1', '1', '1', 1, 0, 0, 0, 0, 0 "
             f"FROM pairs, (SELECT {intervals}) WHERE id <= {{}}")
    for title, interval, pairs, trades in (
            ("candles 1m, 10 pairs, 50 new trades; 100,000 before", "1m", 10, 100_000), ("… 1,000,000 before", "1m", 10, 1_000_000),
            ("candles 1h", "1h", 10, 100_000), ("candles 1d", "1d", 10, 100_000),
            ("candles 1m, 1,000 pairs, 5,000 new trades; 1,000,000 before", "1m", 1_000, 1_000_000)):
        now = int(time.time() * 1000)
        office.measure(title, "Candles", "candles", {"interval": interval}, market(pairs, trades, now), new_trades(pairs, 5), floor_market(pairs, 5, write.format(pairs)))


# MARK: Money

WALLETS = """{rows} INSERT INTO wallets (id, owner, currency, available, locked) SELECT i, 'user:' || i, 'USD', '0', '{locked}' FROM n;
    INSERT INTO wallets (id, owner, currency, may_be_negative) VALUES (1000000, 'platform:external', 'USD', 1);
    INSERT INTO pairs (id, symbol, base, quote, created_ms) VALUES (1, 'ETH/USD', 'ETH', 'USD', 0);"""
# Two entries and their cause, a record, two events and a note for each of `source`, and the wallets.
LEDGER = """INSERT INTO ledger_causes SELECT 'floor:' || id || ':' || :now, 'floor', :now FROM {source};
    INSERT INTO ledger_entries (cause, wallet_id, bucket, amount) SELECT 'floor:' || id || ':' || :now, {wallet}, 'available', '1' FROM {source};
    INSERT INTO ledger_entries (cause, wallet_id, bucket, amount) SELECT 'floor:' || id || ':' || :now, {wallet}, 'locked', '-1' FROM {source};
    INSERT INTO outbox_events (event, key, payload, created_ms) SELECT 'A', 'a:' || id || ':' || :now, '{{}}', :now FROM {source};
    INSERT INTO outbox_events (event, key, payload, created_ms) SELECT 'B', 'b:' || id || ':' || :now, '{{}}', :now FROM {source};
    INSERT INTO activity_log (actor, action, subject, created_ms) SELECT 'x', 'y', 'z:' || id, :now FROM {source};
    UPDATE wallets SET available = '2' WHERE id IN (SELECT {wallet} FROM {source});"""


def order_expiry(office):
    for title, due, waiting, history in (
            ("order expiry, 100 due; 10,000 open", 100, 10_000, 0), ("… 100,000 open", 100, 100_000, 0),
            ("… and 1,000,000 that ended", 100, 100_000, 1_000_000), ("order expiry, none due; 100,000 open", 0, 100_000, 0)):
        build = WALLETS.format(rows=rows(1_000), locked="1000000000") + f"""
            {rows(waiting)} INSERT INTO orders (owner, pair_id, side, price, amount, locked, status, created_ms, expires_ms)
            SELECT 'user:' || (1 + i % 1000), 1, 'buy', '100', '2', '200', 'open', 0, 4000000000000 + i FROM n;"""
        if history:
            build += f"""{rows(history)} INSERT INTO orders (owner, pair_id, side, price, amount, status, created_ms, expires_ms)
                SELECT 'user:' || (1 + i % 1000), 1, 'buy', '100', '2', 'expired', 0, i FROM n;"""
        new = f"""{rows(due)} INSERT INTO orders (owner, pair_id, side, price, amount, locked, status, created_ms, expires_ms)
            SELECT 'user:' || (1 + i % 1000), 1, 'buy', '100', '2', '200', 'open', 0, :now - 1000 FROM n;""" if due else "SELECT 1"
        late = "status IN ('open', 'partial') AND expires_ms IS NOT NULL AND expires_ms <= :now"
        source = f"(SELECT id, owner FROM orders WHERE {late})"
        floor = "BEGIN IMMEDIATE;" + LEDGER.format(source=source, wallet="CAST(substr(owner, 6) AS INTEGER)") + f"""
            INSERT INTO order_expiries (order_id, state, acted_ms) SELECT id, 'expired', :now FROM {source};
            UPDATE orders SET status = 'expired', locked = '0', version = version + 1 WHERE {late}; COMMIT;"""
        office.measure(title, "OrderExpiry", "expire", {"mode": "live", "max_orders_per_hour": 1_000_000}, build, new, floor)


PAPER = """INSERT INTO chains VALUES ('paper', 12, 'h0'); INSERT INTO paper_blocks VALUES ('paper', 0, 'h0');
    {blocks} INSERT INTO paper_blocks SELECT 'paper', i, 'h' || i FROM n;"""


def deposits(office):
    mine = "INSERT INTO paper_blocks SELECT 'paper', max(height) + 1, 'h' || (max(height) + 1) FROM paper_blocks;"
    chains = {"chains": {"paper": {"confirmations": 100_000, "currency": "USD"}}}
    row = "INSERT INTO deposits (wallet_id, chain, tx_hash, amount, units, block, block_hash, confirmations, status, verified, watched, created_ms, credited_ms)"
    for title, pending, history, news in (
            ("confirmations, 50 pending, a new block", 50, 0, True), ("… beside 1,000,000 that were credited", 50, 1_000_000, True),
            ("confirmations, 10,000 pending, a new block", 10_000, 0, True), ("… no new block", 10_000, 0, False)):
        build = WALLETS.format(rows=rows(10_000), locked="0") + PAPER.format(blocks=rows(50)) + f"""
            {rows(pending)} {row} SELECT 1 + i % 10000, 'paper', '0x' || i, '1.5', '1500000000000000000', 1 + i % 50, 'h' || (1 + i % 50), 50 - i % 50, 'CONFIRMING', 1, 1, 0, NULL FROM n;"""
        if history:
            build += f"{rows(history)} {row} SELECT 1 + i % 10000, 'paper', '0xa' || i, '1', '1', 1, 'h1', 50, 'CREDITED', 1, 0, 0, 1 FROM n;"
        floor = """BEGIN IMMEDIATE; SELECT d.*, w.currency FROM deposits d JOIN wallets w ON w.id = d.wallet_id WHERE d.watched = 1;
            UPDATE deposits SET confirmations = confirmations + 1, version = version + 1 WHERE watched = 1; COMMIT;"""
        if not news:
            floor = "SELECT d.*, w.currency FROM deposits d JOIN wallets w ON w.id = d.wallet_id WHERE d.watched = 1"
        office.measure(title, "Deposits", "confirmations", chains, build, mine if news else "SELECT 1", floor)
    for title, count, history in (
            ("crediting, each of 50", 50, 0), ("… beside 1,000,000 that were credited", 50, 1_000_000), ("crediting, each of 1,000", 1_000, 0)):
        build = WALLETS.format(rows=rows(10_000), locked="0") + PAPER.format(blocks=rows(50))
        if history:
            build += f"{rows(history)} {row} SELECT 1 + i % 10000, 'paper', '0xa' || i, '1', '1', 1, 'h1', 50, 'CREDITED', 1, 0, 0, 1 FROM n;"
        new = f"""{rows(count)} {row} SELECT 1 + i % 10000, 'paper', '0x' || :now || ':' || i, '1.5', '1500000000000000000', 1 + i % 50, 'h' || (1 + i % 50), 50,
            'CONFIRMED', 1, 1, 0, NULL FROM n;"""
        # Each a transaction of its own, as it has to be: one that fails stops no other.
        one = "(SELECT id, wallet_id AS owner FROM deposits INDEXED BY deposits_by_status WHERE status = 'CONFIRMED' LIMIT 1)"
        floor = ("BEGIN IMMEDIATE;" + LEDGER.format(source=one, wallet="owner") + f"""
            UPDATE deposits SET status = 'CREDITED', credited_ms = :now, version = version + 1 WHERE id IN (SELECT id FROM {one}); COMMIT;""") * count
        settings = {**chains, "mode": "live", "max_credits_per_hour": 1_000_000}
        office.measure(title, "Deposits", "credit", settings, build, new, floor, per=count, runs=min(office.runs, 5) if count > 50 else None)


def margin(office):
    for title, accounts, history, below in (
            ("margin check, 1,000 positions of 250 accounts", 250, 0, 0), ("margin check, 100,000 positions of 25,000 accounts, 1,000 pairs", 25_000, 0, 0),
            ("… beside 1,000,000 that were closed", 25_000, 1_000_000, 0), ("… 10 accounts to be liquidated", 25_000, 0, 10)):
        build = f"""{rows(1_000)} INSERT INTO pairs (id, symbol, base, quote, created_ms) SELECT i, 'C' || i || '/USD', 'C' || i, 'USD', 0 FROM n;
            {rows(accounts)} INSERT INTO wallets (id, owner, currency, available) SELECT i, 'account:' || i, 'USD', '20000' FROM n;
            INSERT INTO accounts (id, name, currency, wallet_id) SELECT id, 'account-' || id, 'USD', id FROM wallets;
            {rows(accounts * 4)} INSERT INTO positions (account_id, pair_id, side, size, open_price, leverage, opened_ms)
            SELECT 1 + i % {accounts}, 1 + i * 7 % 1000, CASE i % 2 WHEN 0 THEN 'long' ELSE 'short' END, '10.25', '100.5', '10', 0 FROM n;"""
        if history:
            build += f"""{rows(history)} INSERT INTO positions (account_id, pair_id, side, size, open_price, leverage, opened_ms, status, closed_ms)
                SELECT 1 + i % {accounts}, 1 + i * 7 % 1000, 'long', '10', '100', '10', 0, 'closed', 1 FROM n;"""
        new = "INSERT INTO quotes (pair_id, ts_ms, bid, ask) SELECT id, :now, '100.25', '100.75' FROM pairs;"
        if below:
            # Worth nothing any more, positions and all.
            new += f"""INSERT INTO positions (account_id, pair_id, side, size, open_price, leverage, opened_ms)
                SELECT id, id, 'long', '1000', '120.75', '100', 0 FROM accounts WHERE id <= {below};
                UPDATE wallets SET available = '20000' WHERE id <= {below} AND NOT EXISTS (SELECT 1 FROM ledger_entries WHERE wallet_id = wallets.id);"""
        floor = """BEGIN; SELECT p.*, m.* FROM positions p JOIN pairs m ON m.id = p.pair_id WHERE p.status = 'open' ORDER BY p.account_id, p.id;
            SELECT a.*, w.available FROM accounts a JOIN wallets w ON w.id = a.wallet_id ORDER BY a.id; COMMIT;"""
        office.measure(title, "MarginCheck", "check", {"mode": "live", "max_closings_per_hour": 1_000_000}, build, new, floor)


# MARK: Another exchange

class Exchange(http.server.BaseHTTPRequestHandler):
    """Says of every order that it is filled, 100 ms after it was asked."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        path, _, query = self.path.partition("?")
        fields = dict(each.split("=") for each in query.split("&") if each)
        if path.endswith("time"):
            answer = {"serverTime": int(time.time() * 1000)}
        else:
            time.sleep(0.1)
            answer = {"symbol": fields.get("symbol", ""), "orderId": int(fields["orderId"]), "status": "FILLED", "executedQty": "2", "cummulativeQuoteQty": "200"}
        body = json.dumps(answer).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads, request_queue_size = True, 64


def serve():
    server = Server(("127.0.0.1", 0), Exchange)
    print(server.server_port, flush=True)
    server.serve_forever()


def reconciler(office):
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())
        floors = [json.loads(subprocess.run([office.entry, "http", str(port), "200", "10"], check=True, capture_output=True, text=True).stdout)["floor"][0]
                  for _ in range(3)]
        print(f"| 200 calls of 100 ms, ten at a time, in C | {statistics.median(floors):.0f} | | | | |", flush=True)
        for title, waiting, history in (("reconciliation of 200 orders, 100 ms a call", 0, 0), ("… 100,000 open, 1,000,000 that ended", 100_000, 1_000_000)):
            build = WALLETS.format(rows=rows(1_000), locked="1000000000") + "INSERT INTO wallets (owner, currency) SELECT owner, 'ETH' FROM wallets WHERE id < 1000000;"
            columns = "(exchange, client_id, exchange_id, owner, pair_id, side, price, quantity, locked, status, placed_ms, last_synced_ms)"
            for prefix, count, status, synced in (("w", waiting, "new", 4_000_000_000_000), ("h", history, "filled", 1)):
                if count:
                    build += f"""{rows(count)} INSERT INTO exchange_orders {columns}
                        SELECT 'binance', '{prefix}' || i, i, 'user:' || (1 + i % 1000), 1, 'buy', '100', '2', '200', '{status}', 1, {synced} FROM n;"""
            new = f"""{rows(200)} INSERT INTO exchange_orders {columns}
                SELECT 'binance', 'n' || i || ':' || :now, 9000000 + i, 'user:' || (1 + i % 1000), 1, 'buy', '100', '2', '200', 'new', 1, NULL FROM n;"""
            settings = {"mode": "live", "exchange": "binance", "url": f"http://127.0.0.1:{port}", "max_updates_per_hour": 1_000_000,
                        "calls": {"rate": {"calls": 100_000}}}
            ours = office.measure(title, "Reconciler", "reconcile", settings, build, new, runs=min(office.runs, 5), environment={
                "BINANCE_API_KEY": "bench", "BINANCE_API_SECRET": "bench"})
            print(f"| … times the floor | {ours / statistics.median(floors):.2f} | | | | |", flush=True)
    finally:
        server.kill()
        server.wait()


def measure(bench):
    runs = 5 if bench.quick else 21
    office = Office(bench.binaries, runs)
    try:
        bench.say(f"\nThe jobs, milliseconds, medians of {runs} runs:\n", "| | a run | CPU | floor in C | ratio | |", "|---|---|---|---|---|---|")
        for part in (tickers, candles, order_expiry, deposits, margin, reconciler):
            part(office)
    finally:
        office.close()


if __name__ == "__main__" and sys.argv[1:] == ["serve"]:
    serve()
