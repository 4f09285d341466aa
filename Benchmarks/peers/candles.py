"""Trades of a CSV file (pair_id, ts_ms, price, amount; ordered by time) into 1m candles with doubles, in memory, nothing written:
rows a second of the grouping alone. `candles.py pandas|polars|duckdb FILE`"""
import importlib
import json
import sys
import time

MINUTE = 60_000


def pandas(library, path):
    trades = library.read_csv(path)
    yield len(trades)
    yield len(trades.groupby(["pair_id", trades.ts_ms // MINUTE]).agg(
        open=("price", "first"), high=("price", "max"), low=("price", "min"), close=("price", "last"), volume=("amount", "sum"), trades=("price", "count")))


def polars(library, path):
    trades, price = library.read_csv(path), library.col("price")
    yield len(trades)
    yield len(trades.group_by("pair_id", (library.col("ts_ms") // MINUTE).alias("minute")).agg(
        price.first().alias("open"), price.max().alias("high"), price.min().alias("low"), price.last().alias("close"),
        library.col("amount").sum().alias("volume"), price.count().alias("trades")))


def duckdb(library, path):
    connection = library.connect()
    connection.execute(f"CREATE TABLE trades AS SELECT * FROM read_csv_auto('{path}')")
    yield connection.execute("SELECT count(*) FROM trades").fetchall()[0][0]
    yield len(connection.execute(
        f"SELECT pair_id, ts_ms // {MINUTE} AS minute, arg_min(price, ts_ms), max(price), min(price), arg_max(price, ts_ms), sum(amount), count(*) "
        "FROM trades GROUP BY pair_id, minute").fetchall())


name, path = sys.argv[1:]
steps = {"pandas": pandas, "polars": polars, "duckdb": duckdb}[name](importlib.import_module(name), path)
rows = next(steps)
began = time.monotonic()
candles = next(steps)
print(json.dumps({"rate": rows / (time.monotonic() - began), "candles": candles}))
