"""Lateness is what the ledger says: started_at minus the nominal instant of each scheduled run, every run in
a worker process, every claim and result durable (synchronous = FULL). With it what a no-op run costs, and
the same of peers that are installed: in their process, without isolation or ledger, or a process for each."""
import json
import math
import statistics
import time

from . import peers
from .host import Host, quantile, run, threads

GOALS = {10: 0.35, 1_000: 4, 10_000: 30}


def floor(bench, count, seconds):
    return json.loads(run(bench.floor, "lateness", str(count), str(seconds)))


def once(bench, count, seconds):
    jobs = "".join(f'[jobs.j{n}]\nplugin = "noop"\nentry = "noop"\nevery = "1s"\nretention = {{ runs = 100 }}\n' for n in range(count))
    with Host(bench.binaries, jobs) as host:
        time.sleep(3)  # past the first claims
        begin = math.ceil(time.time())
        time.sleep(begin - time.time() - 0.01)
        before, workers = sum(threads(host.process.pid).values()), host.workers_cpu()
        time.sleep(seconds)
        used, workers = sum(threads(host.process.pid).values()) - before, host.workers_cpu() - workers
        supervisor, worker = host.memory()
        time.sleep(2)  # the last ends
        late = host.late(begin, begin + seconds)
    due = count * seconds
    return {"p50": quantile(late, 0.5), "p99": quantile(late, 0.99), "executed": len(late) / due, "cpu": used / due * 1e6,
            "workers": workers / due * 1e6, "supervisor": supervisor, "worker": worker or 0}


def measure(bench):
    seconds = 6 if bench.quick else 20
    bench.say(f"\nLateness, {bench.rounds} rounds of {seconds} s:\n", "| jobs due each second | p50 ms | p99 ms | executed | "
              "CPU of supervisor / workers, µs a run | private memory of supervisor / a worker, MB |", "|---|---|---|---|---|---|")
    for count in (10, 1_000) if bench.quick else GOALS:
        rounds = [once(bench, count, seconds) for _ in range(bench.rounds)]
        ours = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
        base = bench.median(lambda: floor(bench, count, min(seconds, 5)))
        bench.say(f"| {count:,} | {ours['p50']:.2f} | {ours['p99']:.2f} | {min(each['executed'] for each in rounds):.2%} | "
                  f"{ours['cpu']:.0f} / {ours['workers']:.0f} | {ours['supervisor']:.1f} / {ours['worker']:.1f} |",
                  f"| … floor: a timer and callbacks in C | {base['p50'] / 1e3:.3f} | {base['p99'] / 1e3:.3f} | | {base['cpu']:.2f} | |",
                  f"| … times the floor | | {ours['p99'] * 1e3 / base['p99']:.1f} | | | |")
        for name, peer in peers.lateness(bench, count, seconds):
            bench.say(f"| … {name} | " + (f"{peer['p50']:.2f} | {peer['p99']:.2f} | {peer['executed']:.2%} | {'' if peer['cpu'] is None else format(peer['cpu'], '.0f')} | |"
                                         if isinstance(peer, dict) else f"{peer} | | | | |"))
        bench.goal(f"lateness p99, {count:,} jobs each second", ours["p99"], most=GOALS[count], unit="ms")
        bench.goal(f"due runs executed, {count:,} jobs each second", 100 * min(each["executed"] for each in rounds), least=100, unit="%")
