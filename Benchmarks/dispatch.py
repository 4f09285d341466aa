"""What it costs to hand a run to a warm worker and have its result. Without loop and ledger: wire.c speaks
to a real worker as the supervisor does; its floor are two processes in C that echo 64 bytes. With the
ledger: runs from the inbox to recorded, and whose CPU it was."""
import json
import os
import re
import time

from .host import Host, ROOT, plugin, run, threads

# Not the rows: counting them would cost the store what is measured.
DONE = "SELECT coalesce(sum(value), 0) FROM counters WHERE name = 'succeeded'"


def wire_version():
    with open(f"{ROOT}/Sources/JobCore/Wire/Frame.swift", encoding="utf-8") as source:
        return re.search(r"wireVersion: UInt16 = (\d+)", source.read()).group(1)


def wire(bench):
    return bench.compile("wire", "wire.c", "../Sources/CLinux/slate.c")


def noop(bench):
    os.makedirs(f"{bench.folder}/plugins", exist_ok=True)
    return plugin(bench.folder, "noop")


def without_ledger(bench):
    count = "5000" if bench.quick else "20000"
    program, library = wire(bench), noop(bench)
    ours = bench.median(lambda: json.loads(run(program, "runs", f"{bench.binaries}/jobhost-worker", library, wire_version(), count)))
    pingpong = bench.median(lambda: json.loads(run(bench.floor, "pingpong", count)))
    pipelined = bench.median(lambda: json.loads(run(bench.floor, "pipelined", str(int(count) * 10))))
    bench.say("\nDispatch to a warm worker and back, without ledger:\n", "| | p50 µs | p99 µs | in a burst, µs a run |", "|---|---|---|---|",
              f"| a no-op run | {ours['p50']:.1f} | {ours['p99']:.1f} | {ours['burst']:.2f} |",
              f"| floor: 64 bytes between two processes in C | {pingpong['p50']:.1f} | {pingpong['p99']:.1f} | {pipelined['each']:.2f} |",
              f"| times the floor | {ours['p50'] / pingpong['p50']:.1f} | {ours['p99'] / pingpong['p99']:.1f} | {ours['burst'] / pipelined['each']:.0f} |")
    bench.goal("dispatch, one at a time, p50", ours["p50"], most=20, unit="µs")
    bench.goal("dispatch, one at a time, p99", ours["p99"], most=45, unit="µs")
    bench.goal("dispatch in a burst, a run", ours["burst"], most=2, unit="µs")


def ledger_once(bench, count, concurrency):
    jobs = f'[jobs.q]\nplugin = "noop"\nentry = "noop"\nschedule = "none"\nconcurrency = {concurrency}\nretention = {{ runs = 200000 }}\n'
    with Host(bench.binaries, jobs) as host:
        before, workers, began, done = threads(host.process.pid), host.workers_cpu(), time.monotonic(), 0
        with host.connect() as connection:
            connection.executemany("INSERT INTO enqueue_inbox (job) VALUES (?)", [("q",)] * count)
        connection.close()
        while done < count and time.monotonic() - began < 180:
            time.sleep(0.05)
            ((done,),) = host.query(DONE)
        took = time.monotonic() - began
        used = {name: value - before.get(name, 0) for name, value in threads(host.process.pid).items()}
        workers = host.workers_cpu() - workers
    store = sum(value for name, value in used.items() if name.startswith("store"))
    each = 1e6 / max(done, 1)
    return {"rate": done / took, "store": store * each, "loop": (sum(used.values()) - store) * each, "workers": workers * each}


def with_ledger(bench):
    count = 5_000 if bench.quick else 20_000
    bench.say("\nWith the ledger, from the first enqueue to all recorded:\n",
              "| concurrency | runs a second | CPU µs a run: store | loop and the rest | workers | the store's share |", "|---|---|---|---|---|---|")
    for concurrency in (1, 2, 64):
        one = bench.median(lambda: ledger_once(bench, count, concurrency))
        whole = one["store"] + one["loop"] + one["workers"]
        bench.say(f"| {concurrency} | {one['rate']:,.0f} | {one['store']:.0f} | {one['loop']:.0f} | {one['workers']:.0f} | {one['store'] / whole:.0%} |")


def measure(bench):
    without_ledger(bench)
    with_ledger(bench)
