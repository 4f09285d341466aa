"""Candles in bulk: millions of trades of ten pairs in a day of market time, from SQLite to exact candles in
SQLite through the real job, committed; and one run with new trades after a short and a long history.
Beside it in C: the same statement stepped, SQLite's own GROUP BY, a loop over memory (the latter two are
not exact)."""
import json
import shutil
import sqlite3
import statistics
import time

from .host import run
from .jobs import Office, market, new_trades

FORGET = "DELETE FROM candles; DELETE FROM checkpoints;"


def exchange(office, trades):
    path = f"{office.folder}/candles-{trades}.db"
    shutil.copy(office.empty, path)
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN;" + market(10, trades, int(time.time() * 1000))
                             + "; COMMIT; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


def sql(office, name, text):
    path = f"{office.folder}/{name}.sql"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def bulk(bench, office, path, trades):
    floor = bench.compile("floor-candles", "floor-candles.c", flags=("-lsqlite3",))
    base = bench.median(lambda: json.loads(run(floor, path)))
    bench.say(f"\n{trades:,} trades of 10 pairs, rows a second:\n", "| | by the watch | by the CPU | times the floor |", "|---|---|---|---|",
              f"| floor: stepping the statement in C | {base['read']:,.0f} | | 1 |",
              f"| SQLite's own GROUP BY into 1m, not exact | {base['group']:,.0f} | | {base['read'] / base['group']:.1f} |",
              f"| a loop in C over memory, not exact | {base['memory']:,.0f} | | {base['read'] / base['memory']:.2f} |")
    for title, keep in (("1m alone", ["1m"]), ("nine intervals", None)):
        said = office.execute("Candles", "candles", {"interval": "1m", **({"keep": keep} if keep else {})}, path, sql(office, "forget", FORGET), runs=bench.rounds)
        watch, cpu = (trades / statistics.median(said[name]) * 1e3 for name in ("ours", "cpu"))
        check(path, trades)
        bench.say(f"| the job, exact, committed: {title} | {watch:,.0f} | {cpu:,.0f} | {base['read'] / watch:.1f} |")
        if keep:
            bench.goal("candles: rows a second from SQLite into exact 1m candles", watch, least=3_000_000)


def check(path, trades):
    """Every trade is in a candle."""
    connection = sqlite3.connect(path)
    ((seen,),) = connection.execute("SELECT sum(trades) FROM candles WHERE interval = '1m'")
    connection.close()
    if seen != trades:
        raise SystemExit(f"{seen} of {trades} trades are in candles")


def one_more(bench, office, paths):
    """50 new trades."""
    bench.say("", "| 50 new trades, 10 pairs, all nine intervals | a run, ms | CPU, ms |", "|---|---|---|")
    runs, took = 5 if bench.quick else 21, {}
    for trades, path in paths.items():
        said = office.execute("Candles", "candles", {"interval": "1m"}, path, sql(office, "new", new_trades(10, 5)), runs=runs)
        # The first catches up.
        ours, took[trades] = (statistics.median(said[name][1:]) for name in ("ours", "cpu"))
        bench.say(f"| after {trades:,} | {ours:.1f} | {took[trades]:.2f} |")
    few, many = min(took), max(took)
    bench.goal(f"candles: CPU of a run after {many:,} trades, times that after {few:,}", took[many] / took[few], most=1.25)


def measure(bench):
    few, many = (10_000, 200_000) if bench.quick else (100_000, 5_000_000)
    office = Office(bench.binaries, bench.rounds)
    try:
        paths = {trades: exchange(office, trades) for trades in (few, many)}
        bulk(bench, office, paths[many], many)
        one_more(bench, office, paths)
    finally:
        office.close()
