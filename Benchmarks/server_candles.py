"""Candles from trades that lie in PostgreSQL, exact: the job, which reads the trades and adds them up itself, beside one
statement that adds them up in the server. The same candles come out of both, value by value. The watch, and the CPU of
the job and of the server."""
import resource
import statistics
import tempfile
import time

from .enqueued import server_cpu
from .host import postgres, run

PAIRS = 10
# As an application brings them: 100 in a transaction, of ten pairs in a day of market time.
MARKET = "INSERT INTO pairs (id, symbol, base, quote, created_ms) SELECT i, 'C' || i || '/USD', 'C' || i, 'USD', 0 FROM generate_series(1, {pairs}) i"
TRADES = """DO $$ BEGIN FOR part IN 0..{trades} / 100 - 1 LOOP
        INSERT INTO trades (pair_id, id, ts_ms, side, price, amount)
        SELECT 1 + i % {pairs}, i, {begin} + i * 86400000::bigint / {trades}, 'buy', (100 + (10 + i * 7919::bigint % 90) / 100.0)::numeric(9, 2), (1 + i % 97) / 100.0
        FROM generate_series(part * 100, part * 100 + 99) i;
        COMMIT;
    END LOOP; END $$"""
# First and last by the order in which they were traded; each way of asking for these is exact.
FIRST_AND_LAST = {
    "sorted": ("(array_agg(price ORDER BY ts_ms, id))[1]", "(array_agg(price ORDER BY ts_ms DESC, id DESC))[1]",
               "(array_agg(id ORDER BY ts_ms, id))[1]", "(array_agg(id ORDER BY ts_ms DESC, id DESC))[1]"),
    "least and greatest": ("(min(ARRAY[ts_ms, id, price]))[3]", "(max(ARRAY[ts_ms, id, price]))[3]",
                           "(min(ARRAY[ts_ms, id]))[2]", "(max(ARRAY[ts_ms, id]))[2]"),
}
GROUPED = """INSERT INTO {table} (pair_id, interval, open_ms, close_ms, open, high, low, close, volume, quote_volume, trades, first_ms, first_id, last_ms, last_id, closed)
    SELECT pair_id, '1m', ts_ms / 60000 * 60000, ts_ms / 60000 * 60000 + 60000, {first}, max(price), min(price), {last}, sum(amount), sum(price * amount),
        count(*), min(ts_ms), {first_id}, max(ts_ms), {last_id}, 0
    FROM trades GROUP BY pair_id, ts_ms / 60000"""
VALUES = "pair_id, interval, open_ms, close_ms, open, high, low, close, volume, quote_volume, trades, first_ms, first_id, last_ms, last_id"


class Server:
    """An exchange with its trades in PostgreSQL, and the job's config."""

    def __init__(self, bench, folder, place, url, trades):
        self.bench, self.folder, self.place, self.url = bench, folder, place, url
        with open(f"{folder}/jobs.toml", "w", encoding="utf-8") as file:
            file.write(f'[plugins.candles]\nlibrary = "libCandles.so"\nsettings = {{ database = "{url}", interval = "1m", keep = ["1m"] }}\n'
                       '[jobs.candles]\nplugin = "candles"\nentry = "candles"\nschedule = "none"\ntimeout = "10m"\n')
        self.jobhost("schema", "apply", "--simulation")
        # Ended yesterday: nothing is closed or filled but by the job's own rules, which are the same at each run.
        begin = (int(time.time()) // 86400 - 1) * 86_400_000
        self.sql(MARKET.format(pairs=PAIRS), TRADES.format(pairs=PAIRS, trades=trades, begin=begin))
        self.sql("CREATE TABLE grouped (LIKE candles INCLUDING ALL)", "VACUUM ANALYZE")

    def jobhost(self, *words):
        return run(f"{self.bench.binaries}/jobhost", *words, cwd=self.folder)

    def sql(self, *statements):
        words = [word for statement in ("SET search_path = jobhost, public", *statements) for word in ("-c", statement)]
        return run("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", *words, self.url).strip()

    def took(self, act):
        """Seconds by the watch, of the CPU on this side, and on the server's."""
        def read():
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            return time.monotonic(), used.ru_utime + used.ru_stime, server_cpu(self.place)
        before = read()
        act()
        return [after - first for after, first in zip(read(), before)]


def measure(bench):
    trades = 20_000 if bench.quick else 1_000_000
    place = f"{bench.folder}-db"
    with tempfile.TemporaryDirectory(prefix="jobhost-bench-") as folder, postgres(place, "fsync=on", "autovacuum=off") as url:
        server = Server(bench, folder, place, url, trades)
        bench.say(f"\n{trades:,} trades of {PAIRS} pairs in PostgreSQL into exact 1m candles there, committed:\n",
                  "| | by the watch, s | CPU beside the server, s | CPU of the server, s |", "|---|---|---|---|")

        def line(title, forget, act):
            seen = []
            for _ in range(bench.rounds):
                server.sql(forget, "CHECKPOINT")
                seen.append(server.took(act))
            bench.say("| " + " | ".join([title] + [f"{statistics.median(column):.2f}" for column in zip(*seen)]) + " |")

        line("the job", "TRUNCATE candles; DELETE FROM checkpoints", lambda: server.jobhost("exec", "candles"))
        for title, words in FIRST_AND_LAST.items():
            statement = GROUPED.format(table="grouped", **dict(zip(("first", "last", "first_id", "last_id"), words)))
            line(f"one statement in the server, GROUP BY, first and last {title}", "TRUNCATE grouped", lambda statement=statement: server.sql(statement))
            differ = server.sql(f"SELECT count(*) FROM (SELECT {VALUES} FROM candles WHERE trades > 0 EXCEPT SELECT {VALUES} FROM grouped) c "
                                f"UNION ALL SELECT count(*) FROM (SELECT {VALUES} FROM grouped EXCEPT SELECT {VALUES} FROM candles) c UNION ALL SELECT sum(trades) FROM candles")
            if differ.split() != ["0", "0", str(trades)]:
                raise SystemExit(f"the job and the server differ ({title}): {differ.split()}")
