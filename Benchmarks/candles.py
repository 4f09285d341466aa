"""Candles in bulk: millions of trades of ten pairs in a day of market time, from SQLite to exact candles in
SQLite through the real job, committed; and one run with new trades after a short and a long history.
Beside it in C: the same statement stepped, SQLite's own GROUP BY, a loop over memory (the latter two are
not exact)."""
import contextlib
import decimal
import json
import random
import shutil
import sqlite3
import statistics
import time

from . import peers
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
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for name, peer in peers.candles(bench, connection):
            bench.say(f"| {name}, nothing written | {peer['rate']:,.0f} | | {base['read'] / peer['rate']:.2f} |" if isinstance(peer, dict)
                      else f"| {name} | {peer} | | |")
    for title, keep in (("1m alone", ["1m"]), ("nine intervals", None)):
        said = office.execute("Candles", "candles", {"interval": "1m", **({"keep": keep} if keep else {})}, path, sql(office, "forget", FORGET), runs=bench.rounds)
        watch, cpu = (trades / statistics.median(said[name]) * 1e3 for name in ("ours", "cpu"))
        compared = check(path, trades)
        bench.say(f"| the job, exact ({compared} candles compared), committed: {title} | {watch:,.0f} | {cpu:,.0f} | {base['read'] / watch:.1f} |")
        if keep:
            bench.goal("candles: rows a second from SQLite into exact 1m candles", watch, least=3_000_000)


def check(path, trades):
    """Every trade is in a candle, and of some candles of each interval every value is exactly that of their trades."""
    connection = sqlite3.connect(path)
    try:
        ((seen,),) = connection.execute("SELECT sum(trades) FROM candles WHERE interval = '1m'")
        if seen != trades:
            raise SystemExit(f"{seen} of {trades} trades are in candles")
        found = sample(connection)
        wrong = [fault for candle in found if (fault := differs(connection, candle))]
    finally:
        connection.close()
    if wrong:
        raise SystemExit(f"{len(wrong)} of {len(found)} candles are not what their trades say:\n" + "\n".join(wrong[:10]))
    return len(found)


def sample(connection, minutes=200, others=3):
    """Keys of candles with trades, the same at each run."""
    dice, keys = random.Random(5), []
    for (interval,) in connection.execute("SELECT DISTINCT interval FROM candles ORDER BY interval").fetchall():
        all_keys = connection.execute("SELECT pair_id, interval, open_ms, close_ms FROM candles WHERE interval = ? AND trades > 0 ORDER BY open_ms, pair_id", (interval,)).fetchall()
        keys += dice.sample(all_keys, min(len(all_keys), minutes if interval == "1m" else others))
    return keys


def differs(connection, key):
    """What of a candle is not as its trades have it, reckoned in decimal numbers of any length; None: nothing."""
    pair, interval, begin, end = key
    exact = decimal.Context(prec=200, traps=[decimal.Inexact, decimal.InvalidOperation])
    trades = [(decimal.Decimal(price), decimal.Decimal(amount)) for price, amount in connection.execute(
        "SELECT price, amount FROM trades WHERE pair_id = ? AND ts_ms >= ? AND ts_ms < ? ORDER BY ts_ms, id", (pair, begin, end))]
    prices, volume, turnover = [price for price, _ in trades], decimal.Decimal(0), decimal.Decimal(0)
    for price, amount in trades:
        volume, turnover = exact.add(volume, amount), exact.fma(price, amount, turnover)
    wanted = (prices[0], max(prices), min(prices), prices[-1], volume, turnover, len(trades))
    (row,) = connection.execute(
        "SELECT open, high, low, close, volume, quote_volume, trades FROM candles WHERE pair_id = ? AND interval = ? AND open_ms = ?", (pair, interval, begin)).fetchall()
    kept = (*map(decimal.Decimal, row[:-1]), row[-1])
    return None if kept == wanted else f"{interval} of pair {pair} at {begin}: {', '.join(map(str, kept))}, its trades: {', '.join(map(str, wanted))}"


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
