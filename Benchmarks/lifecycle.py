"""How soon: a worker is ready, a reload serves new code, a host with much to read starts its first run."""
import json
import os
import signal
import statistics
import subprocess
import time

from .dispatch import noop, wire, wire_version
from .host import Host, ROOT, plugin, run


def loads(bench):
    """The program in C that loads a library and ends."""
    return bench.compile("load", "load.c", flags=("-ldl",))


def worker_start(bench):
    """From the spawn of a worker to its word that it is ready, as the supervisor sees it; the floor is the same
    spawn of a program in C that does nothing, or loads the same library, to its exit."""
    count = str(20 if bench.quick else 60)
    program = wire(bench)
    nothing = bench.compile("nothing", "load.c", flags=("-static", "-DNOTHING"))

    def spawn(*command):
        return bench.median(lambda: json.loads(run(program, "spawn", *command, count)))

    bench.say("\nStart, in ms:\n", "| | median | best |", "|---|---|---|")
    line = lambda title, took: bench.say(f"| {title} | {took['p50'] / 1e3:.2f} | {took['best'] / 1e3:.2f} |")
    line("floor: spawn and exit of a static program in C", spawn(nothing, ""))
    for language, library, most in (("C", noop(bench), 2), ("Swift", f"{bench.binaries}/libCandles.so", 10),
                                    ("Swift, with Foundation for calls outside", f"{bench.binaries}/libReconciler.so", None)):
        ours = bench.median(lambda: json.loads(run(program, "start", f"{bench.binaries}/jobhost-worker", library, wire_version(), count)))
        base = spawn(loads(bench), library)
        line(f"worker to ready, plugin in {language}", ours)
        line("… floor: a program in C that loads the same library, to its exit", base)
        bench.say(f"| … times the floor | {ours['p50'] / base['p50']:.1f} | {ours['best'] / base['best']:.1f} |")
        if most:
            bench.goal(f"worker start to ready, plugin in {language}", ours["p50"] / 1e3, most=most, unit="ms")


def reload_time(bench):
    """From SIGHUP to the first run on the new code, and until the old worker has gone: 1,000 jobs, one changed library.
    The floor are the two processes that a reload starts, the probe and then the worker: a program in C that loads the
    same library and ends, twice."""
    jobs = "".join(f'[jobs.j{n}]\nplugin = "noop"\nentry = "noop"\nevery = "1h"\n' for n in range(1_000))
    jobs += '[plugins.fresh]\nlibrary = "libfresh.so"\n[jobs.fresh]\nplugin = "fresh"\nentry = "noop"\nevery = "1ms"\nretention = { runs = 10000 }\n'
    first, gone, reported = [], [], []
    host = Host(bench.binaries, jobs)
    plugin(host.folder, "fresh", "0")
    with host:
        time.sleep(2)
        newest = "SELECT library_hash, pid FROM runs WHERE job = 'fresh' AND started_at IS NOT NULL ORDER BY id DESC LIMIT 1"
        for number in range(bench.rounds * 5):
            plugin(host.folder, "fresh", f"{number + 1}")
            ((old, pid),) = host.query(newest)
            signalled = time.time()
            host.process.send_signal(signal.SIGHUP)
            while os.path.exists(f"/proc/{pid}") and time.time() - signalled < 10:
                time.sleep(0.0005)
            gone.append((time.time() - signalled) * 1e3)
            time.sleep(1.2)
            ((started,),) = host.query(
                f"SELECT min(started_at) FROM runs WHERE job = 'fresh' AND library_hash <> '{old}' AND started_at > {int(signalled * 1e6)}")
            if started:
                first.append(started / 1e3 - signalled * 1e3)
            ((report,),) = host.query("SELECT report FROM reloads ORDER BY id DESC LIMIT 1")
            reported.append(json.loads(report)["duration_ms"])
    # Without the thousand runs a second of that host.
    base = bench.median(lambda: json.loads(run(wire(bench), "twice", loads(bench), noop(bench), "20" if bench.quick else "60")))["p50"] / 1e3
    bench.goal("reload of 1,000 jobs, first run on the new code", statistics.median(first), most=10, unit="ms")
    bench.goal("reload of 1,000 jobs, the old worker gone", statistics.median(gone), most=100, unit="ms")
    bench.say(f"\nReload of 1,000 jobs with one changed library, from the signal: first run on the new code {statistics.median(first):.1f} ms "
          f"(worst {max(first):.1f}, of {len(first)}), the old worker gone {statistics.median(gone):.1f} ms (worst {max(gone):.1f}); "
          f"building the generation {statistics.median(reported):.0f} ms. Floor: two programs in C that load the same library, one after the other, "
          f"{base:.1f} ms (the first run is {statistics.median(first) / base:.1f} times that).")


def reloads_under_load(bench, count):
    periods = {f"j{n}": 100_000 for n in range(50)}
    jobs = "".join(f'[jobs.{name}]\nplugin = "fresh"\nentry = "noop"\nevery = "100ms"\nretention = {{ runs = 100000 }}\n' for name in periods)
    host = Host(bench.binaries, '[plugins.fresh]\nlibrary = "libfresh.so"\n' + jobs)
    plugin(host.folder, "fresh", "0")
    with host:
        time.sleep(1)
        for number in range(count):
            plugin(host.folder, "fresh", f"{number % 2}")
            host.process.send_signal(signal.SIGHUP)
            time.sleep(0.25)
            # Signals during a reload make one further reload.
            until_applied(host, number + 1)
        time.sleep(1)
        stopped = time.time()
        host.process.send_signal(signal.SIGTERM)
        host.process.wait(60)
        ended = dict(host.query("SELECT outcome, count(*) FROM runs WHERE outcome IS NOT NULL GROUP BY outcome"))
        again = host.query("SELECT count(*) FROM runs WHERE attempt > 1")[0][0]
        not_run = dict(host.query("SELECT reason, sum(count) FROM ledger_ranges GROUP BY reason"))
        done = applied(host)
        every = [argument for job in periods for argument in ("--every", f"{job}=0.1")]
        check = subprocess.run([f"{ROOT}/scripts/check-ledger", f"{host.folder}/var/jobhost.db", *every, "--until", f"{stopped}"],
                               capture_output=True, text=True, check=False)
    otherwise = sum(number for outcome, number in ended.items() if outcome != "succeeded")
    # What a job's own rule skips, since its run before has not ended, is no run lost; anything else is.
    skipped = not_run.pop("overlap", 0)
    lost = otherwise + again + sum(not_run.values())
    bench.say(f"{done} reloads under 500 runs a second: {ended.get('succeeded', 0):,} runs succeeded, {otherwise} ended otherwise, "
              f"{again} took more than one attempt; {skipped:,} fires were skipped as overlaps, {sum(not_run.values())} did not run for another reason.")
    bench.goal(f"runs lost over {count} reloads under load", lost, most=0)
    bench.goal(f"fires skipped as overlaps over {count} reloads under load", skipped, most=0)
    bench.rule(f"{count} reloads under load lose no run", lost == 0, f"{otherwise} ended otherwise, {again} again, not run: {not_run or 'none'}")
    bench.rule(f"each of {count} reloads under load is applied", done == count, done)
    bench.rule("the ledger is complete after them", check.returncode == 0, check.stdout.strip() or check.stderr.strip() or "as scripts/check-ledger reads it")


def applied(host):
    """Reloads of this life, whose start is in the table too."""
    return host.query("SELECT count(*) FROM reloads WHERE accepted")[0][0] - 1


def until_applied(host, count):
    began = time.monotonic()
    while applied(host) < count and time.monotonic() - began < 30:
        time.sleep(0.01)


def start_time(bench):
    """From the spawn of the host to the first start of a run, with much to read. The floor: a program in C reads the
    same config's bytes and steps the same queries over the same ledger, from its spawn to the last row."""
    jobs = "".join(f'[jobs.j{n}]\nplugin = "noop"\nentry = "noop"\nevery = "1h"\n' for n in range(9_999))
    jobs += '[jobs.first]\nplugin = "noop"\nentry = "noop"\nevery = "1ms"\nretention = { runs = 10000 }\n'
    host, times, floors = Host(bench.binaries, jobs), [], []
    floor = bench.compile("floor-start", "floor-start.c", flags=("-lsqlite3",))
    with host:
        time.sleep(2)
        host.process.send_signal(signal.SIGTERM)
        host.process.wait(60)
        connection = host.connect()
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        ((newest,),) = connection.execute("SELECT max(id) FROM runs")
        values = ["n" if name == "id" else "'j' || (n % 10000)" if name == "job" else "fire_time - n" if name == "fire_time" else
                  "'key' || n" if name == "idempotency_key" else name for name in columns]
        with connection:
            connection.execute("UPDATE sequences SET value = value + 2000000")
            connection.execute(
                f"WITH RECURSIVE rows(n) AS (SELECT {newest + 1} UNION ALL SELECT n + 1 FROM rows WHERE n < {newest + 1_000_000}) "
                f"INSERT INTO runs ({', '.join(columns)}) SELECT {', '.join(values)} FROM rows, (SELECT * FROM runs WHERE job = 'first' AND state = 'succeeded' LIMIT 1)")
        connection.close()
        for _ in range(bench.rounds):
            began = time.time()
            host.begin()
            started = None
            while started is None and time.time() - began < 60:
                time.sleep(0.05)
                ((started,),) = host.query(f"SELECT min(started_at) FROM runs WHERE job = 'first' AND started_at > {int(began * 1e6)}")
            times.append(started / 1e3 - began * 1e3)
            host.process.send_signal(signal.SIGTERM)
            host.process.wait(60)
            began = time.time()
            said = json.loads(run(floor, f"{host.folder}/jobs.toml", f"{host.folder}/var/jobhost.db"))
            floors.append(said["at"] / 1e3 - began * 1e3)
    ours, base = statistics.median(times), statistics.median(floors)
    bench.goal("start with 10,000 jobs and 1,000,000 rows, to the first run", ours, most=300, unit="ms")
    bench.say(f"Start with 10,000 jobs and 1,000,000 rows in the ledger: first run after {ours:.0f} ms (worst {max(times):.0f}). Floor: the config's "
              f"{said['bytes']:,} bytes and the same queries in C ({said['rows']:,} rows), {base:.1f} ms (ours is {ours / base:.0f} times that).")


def measure(bench):
    worker_start(bench)
    reload_time(bench)
    reloads_under_load(bench, 10 if bench.quick else 50)
    start_time(bench)
