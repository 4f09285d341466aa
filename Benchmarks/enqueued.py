"""Enqueued runs, on SQLite and on a PostgreSQL of its own with fsync: from the first enqueue to all completed,
beside the same rows in plain C in the same run, and beside peers; one host, two and four; how soon a run
starts when nothing else is to be done; calls of jobhost.enqueue a second."""
import contextlib
import shutil
import statistics
import subprocess
import time

from . import peers
from .dispatch import DONE
from .host import Host, ROOT, quantile, run

QUEUE = '[jobs.q]\nplugin = "noop"\nentry = "noop"\nschedule = "none"\nconcurrency = {}\nretention = {{ runs = 1000000 }}\n'


def drained(host, count, enqueue):
    """Runs a second, from before the first is enqueued until all are recorded."""
    began, done = time.monotonic(), 0
    enqueue()
    while done < count and time.monotonic() - began < 300:
        # Looks cost too, on PostgreSQL a process each: few, but the last ones close to the end.
        spent = time.monotonic() - began
        time.sleep(min(1, max(0.05, 0.5 * (count - done) * spent / done)) if done else 0.05)
        ((done,),) = host.query(DONE)
    return done / (time.monotonic() - began)


# MARK: SQLite

def insert(host, rows):
    connection = host.connect()
    with connection:
        connection.executemany("INSERT INTO enqueue_inbox (job, payload) VALUES ('q', ?)", rows)
    connection.close()


def sqlite(bench, count, concurrency):
    with Host(bench.binaries, QUEUE.format(concurrency)) as host:
        return drained(host, count, lambda: insert(host, [("1",)] * count))


def sqlite_floor(bench, count):
    program = bench.compile("floor-sqlite", "floor-sqlite.c", flags=("-lsqlite3",))
    with Host(bench.binaries, QUEUE.format(1)) as host:
        host.stop()  # it has made the schema
        return {size: float(run(program, f"{host.folder}/var/jobhost.db", str(count if size > 1 else count // 20), str(size))) for size in (100, 1)}


def idle_sqlite(bench, count):
    """From enqueue to start, through the inbox by SQL, and by the API."""
    with Host(bench.binaries, QUEUE.format(2)) as host:
        connection = host.connect()
        connection.isolation_level = None
        for _ in range(count):
            connection.execute("INSERT INTO enqueue_inbox (job, payload) VALUES ('q', ?)", (str(int(time.time() * 1e6)),))
            time.sleep(0.05)
        connection.close()
        time.sleep(1)
        ((last,),) = host.query("SELECT max(id) FROM runs")
        call = host.call()
        for _ in range(count):
            host.post(call, "/jobs/q/enqueue", {"payload": int(time.time() * 1e6)})
            time.sleep(0.05)
        call.close()
        time.sleep(0.5)
        late = "SELECT (started_at - CAST(payload AS INTEGER)) / 1000.0 FROM runs WHERE started_at IS NOT NULL AND id "
        return [[row[0] for row in host.query(late + which)] for which in (f"<= {last}", f"> {last}")]


# MARK: PostgreSQL

@contextlib.contextmanager
def hosts(bench, url, count, concurrency):
    """So many, all serving."""
    with contextlib.ExitStack() as stack:
        # Last of all, when no host is left.
        stack.callback(run, "psql", "-X", "-q", "-c", "DROP SCHEMA IF EXISTS jobhost CASCADE", url)
        yield [stack.enter_context(Host(bench.binaries, QUEUE.format(concurrency), url, f'name = "h{n}"\nlog_level = "warning"')) for n in range(count)]


def postgres(bench, url, count, number, concurrency):
    with hosts(bench, url, number, concurrency) as serving:
        return drained(serving[0], count, lambda: run(
            "psql", "-X", "-q", "-c", f"SELECT jobhost.enqueue_many('q', array_fill('1'::text, ARRAY[{count}]))", url))


def idle_postgres(bench, url, count):
    """Of each call, in milliseconds: how long it took, with its commit; from its return to the start of the run;
    both together."""
    program = bench.compile("floor-postgres", "floor-postgres.c", flags=("-l:libpq.so.5",))
    with hosts(bench, url, 1, 2) as (host,):
        calls = [tuple(map(int, words.split())) for words in run(program, url, "idle", str(count), "50").splitlines()]
        time.sleep(1)
        started = {int(begin): at for begin, at in host.query("SELECT payload, started_at FROM runs WHERE started_at IS NOT NULL")}
    calls = [(begin, end, started[begin]) for begin, end in calls if begin in started]
    return [[(end - begin) / 1e3 for begin, end, _ in calls], [(start - end) / 1e3 for _, end, start in calls],
            [(start - begin) / 1e3 for begin, _, start in calls]]


# MARK: The tables

def line(bench, title, rate, floor=None):
    bench.say(f"| {title} | {rate:,.0f} | {rate / floor:.2f} |" if floor else f"| {title} | {rate if isinstance(rate, str) else format(rate, ',.0f')} | |")


def peer_lines(bench, several):
    for name, peer in several:
        if isinstance(peer, str):
            line(bench, name, peer)
            continue
        idle = f", idle p50 {peer['p50']:.1f} ms, p99 {peer['p99']:.1f} ms" if "p50" in peer else ""
        line(bench, name + idle, peer["rate"])


def on_sqlite(bench, count):
    floors = [sqlite_floor(bench, count) for _ in range(bench.rounds)]
    batched, single = (statistics.median(floor[size] for floor in floors) for size in (100, 1))
    line(bench, "SQLite, floor in C, batches of 100", batched)
    line(bench, "… one at a time", single, batched)
    rates = []
    for concurrency in (2, 16):
        rates.append(bench.median(lambda: sqlite(bench, count, concurrency)))
        line(bench, f"SQLite, one host, concurrency {concurrency}", rates[-1], batched)
    bench.goal("enqueued runs a second on SQLite", max(rates), least=40_000)
    peer_lines(bench, peers.queue_on_sqlite(bench, count // 10))


def on_postgres(bench, url, count):
    program = bench.compile("floor-postgres", "floor-postgres.c", flags=("-l:libpq.so.5",))
    with Host(bench.binaries, QUEUE.format(1), url):
        pass  # makes the schema
    batched = bench.median(lambda: float(run(program, url, "work", str(count), "100")))
    single = bench.median(lambda: float(run(program, url, "work", str(count // 20), "1")))
    line(bench, "PostgreSQL, floor through libpq, batches of 100", batched)
    line(bench, "… one at a time", single, batched)
    rates = {}
    for number, concurrency in ((1, 2), (1, 16), (2, 32), (4, 64)):
        rates[number] = bench.median(lambda: postgres(bench, url, count, number, concurrency))
        line(bench, f"PostgreSQL, {'one host' if number == 1 else f'{number} hosts'}, concurrency {concurrency}", rates[number], batched)
    peer_lines(bench, peers.queues_on_postgres(bench, url, count // 10))
    bench.say("", f"A second host slows nobody down: {rates[2]:,.0f} a second with two, {rates[1]:,.0f} with one: "
              + ("so it is." if rates[2] >= rates[1] else f"NOT so, {1 - rates[2] / rates[1]:.0%} less."))
    bench.goal("enqueued runs a second on PostgreSQL, one host", rates[1], least=20_000)
    bench.goal("two hosts on one PostgreSQL, times one", rates[2] / rates[1], least=1)


def idle(bench, url):
    count = 50 if bench.quick else 200
    inbox, api = idle_sqlite(bench, count)
    call, after, late = idle_postgres(bench, url, count)
    bench.say(f"Idle, PostgreSQL: jobhost.enqueue itself, one commit, takes p50 {quantile(call, 0.5):.2f} ms, p99 {quantile(call, 0.99):.2f} ms; "
              f"from its return to the start, with the claim's commit, p50 {quantile(after, 0.5):.2f} ms, p99 {quantile(after, 0.99):.2f} ms.")
    for title, late in (("SQLite, a row in the inbox", inbox), ("SQLite, by the API", api), ("PostgreSQL, jobhost.enqueue", late)):
        bench.say(f"Idle, from enqueue to start, {title}: p50 {quantile(late, 0.5):.2f} ms, p99 {quantile(late, 0.99):.2f} ms ({len(late)} runs).")
        bench.goal(f"idle, from enqueue to start, p50: {title}", quantile(late, 0.5), most=0.8, unit="ms")
        bench.goal(f"idle, from enqueue to start, p99: {title}", quantile(late, 0.99), most=3, unit="ms")


def single_rows(bench, url, count):
    program = bench.compile("floor-postgres", "floor-postgres.c", flags=("-l:libpq.so.5",))
    with hosts(bench, url, 1, 2):
        one, eight = (bench.median(lambda: float(run(program, url, "enqueue", str(count // 10), connections))) for connections in ("1", "8"))
    bench.say(f"jobhost.enqueue, a transaction each: {one:,.0f} a second over one connection, {eight:,.0f} over eight.")
    bench.goal("jobhost.enqueue, single rows a second", max(one, eight), least=4_000)


def measure(bench):
    count = 5_000 if bench.quick else 50_000
    place = f"{bench.folder}-db"
    url = run(f"{ROOT}/scripts/postgres", "start", place, "fsync=on").strip()
    try:
        bench.say(f"\n{count:,} enqueued no-op runs (peers: {count // 10:,}), durable, from the first enqueue to all completed:\n",
                  "| | a second | of the floor in batches |", "|---|---|---|")
        on_sqlite(bench, count)
        on_postgres(bench, url, count)
        idle(bench, url)
        single_rows(bench, url, count)
    finally:
        subprocess.run([f"{ROOT}/scripts/postgres", "stop", place], check=False)
        shutil.rmtree(place, ignore_errors=True)
