"""Enqueued runs, on SQLite and on a PostgreSQL of its own with fsync: from the first enqueue to all completed,
beside the same rows in plain C in the same run, and beside peers; one host, two and four; how soon a run
starts when nothing else is to be done; calls of jobhost.enqueue a second."""
import contextlib
import os
import statistics
import time

from . import peers
from .dispatch import DONE
from .host import Host, postgres as server, quantile, run, threads

QUEUE = '[jobs.q]\nplugin = "noop"\nentry = "noop"\nschedule = "none"\nconcurrency = {}\nretention = {{ runs = 1000000 }}\n'


# MARK: What is full meanwhile

def server_cpu(place):
    """Seconds of CPU of a PostgreSQL server, of all its processes that there were."""
    with open(f"{place}/data/postmaster.pid", encoding="utf-8") as file:
        postmaster = file.readline().strip()
    ticks = 0
    for pid in [postmaster] + run("ps", "-o", "pid=", "--ppid", postmaster).split():
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue  # has just ended, and is counted with those that the first of them has waited for
        ticks += sum(map(int, fields[11:15] if pid == postmaster else fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


class Meter:
    """Of processors and of who had them, from `with` on."""

    def __init__(self, hosts, place=None):
        """`place`: the server's folder."""
        self.hosts, self.place = hosts, place

    def read(self):
        with open("/proc/stat", encoding="utf-8") as file:
            ticks = [int(field) for field in file.readline().split()[1:9]]
        return {"all": sum(ticks), "idle": ticks[3], "iowait": ticks[4], "server": server_cpu(self.place) if self.place else 0,
                "hosts": sum(sum(threads(host.process.pid).values()) for host in self.hosts), "workers": sum(host.workers_cpu() for host in self.hosts)}

    def __enter__(self):
        self.before = self.read()
        return self

    def __exit__(self, *_):
        self.used = {name: value - self.before[name] for name, value in self.read().items()}

    def shares(self, count):
        """Of all processors: busy, and idle while something waited for the disk. Of each of `count` runs: microseconds."""
        used = self.used
        shares = {"busy": 1 - (used["idle"] + used["iowait"]) / used["all"], "iowait": used["iowait"] / used["all"]}
        return shares | {name: used[name] / count * 1e6 for name in ("server", "hosts", "workers")}


def drained(serving, count, enqueue, place=None):
    """Runs a second, from before the first is enqueued until all are recorded; how many seconds of that the enqueuer
    took; and what was full meanwhile."""
    with Meter(serving, place) as meter:
        began, done = time.monotonic(), 0
        enqueue()
        enqueued = time.monotonic() - began
        while done < count and time.monotonic() - began < 300:
            # Looks cost too, on PostgreSQL a process each: few, but the last ones close to the end.
            spent = time.monotonic() - began
            time.sleep(min(1, max(0.05, 0.5 * (count - done) * spent / done)) if done else 0.05)
            ((done,),) = serving[0].query(DONE)
        took = time.monotonic() - began
    return {"rate": done / took, "took": took, "enqueued": enqueued} | meter.shares(max(done, 1))


def told(title, one):
    server = f"server {one['server']:.0f}, " if one["server"] else ""
    return (f"{title}: {one['took']:.2f} s, of which the enqueuer took {one['enqueued']:.2f} s; all processors {one['busy']:.0%} busy, {one['iowait']:.0%} idle "
            f"while something waited for the disk; CPU a run: {server}hosts {one['hosts']:.0f}, workers {one['workers']:.0f} µs.")


# MARK: SQLite

def insert(host, rows):
    connection = host.connect()
    with connection:
        connection.executemany("INSERT INTO enqueue_inbox (job, payload) VALUES ('q', ?)", rows)
    connection.close()


def sqlite(bench, count, concurrency):
    with Host(bench.binaries, QUEUE.format(concurrency)) as host:
        return drained([host], count, lambda: insert(host, [("1",)] * count))


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


def postgres(bench, url, place, count, number, concurrency):
    with hosts(bench, url, number, concurrency) as serving:
        return drained(serving, count, lambda: run(
            "psql", "-X", "-q", "-c", f"SELECT jobhost.enqueue_many('q', array_fill('1'::text, ARRAY[{count}]))", url), place)


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
    rates, notes = [], []
    for concurrency in (2, 16, 64):
        title = f"SQLite, one host, concurrency {concurrency}"
        one = bench.median(lambda: sqlite(bench, count, concurrency))
        line(bench, title, one["rate"], batched)
        rates.append(one["rate"])
        notes.append(told(title, one))
    bench.goal("enqueued runs a second on SQLite", max(rates), least=40_000)
    peer_lines(bench, peers.queue_on_sqlite(bench, count // 10))
    return notes


def on_postgres(bench, url, place, count):
    program = bench.compile("floor-postgres", "floor-postgres.c", flags=("-l:libpq.so.5",))
    with Host(bench.binaries, QUEUE.format(1), url):
        pass  # makes the schema
    batched = bench.median(lambda: float(run(program, url, "work", str(count), "100")))
    single = bench.median(lambda: float(run(program, url, "work", str(count // 20), "1")))
    line(bench, "PostgreSQL, floor through libpq, batches of 100", batched)
    line(bench, "… one at a time", single, batched)
    rates, notes = {}, []
    for number, concurrency in ((1, 2), (1, 16), (2, 32), (4, 64)):
        title = f"PostgreSQL, {'one host' if number == 1 else f'{number} hosts'}, concurrency {concurrency}"
        one = bench.median(lambda: postgres(bench, url, place, count, number, concurrency))
        line(bench, title, one["rate"], batched)
        rates[number] = one["rate"]
        notes.append(told(title, one))
    peer_lines(bench, peers.queues_on_postgres(bench, url, count // 10))
    bench.say("", f"A second host slows nobody down: {rates[2]:,.0f} a second with two, {rates[1]:,.0f} with one: "
              + ("so it is." if rates[2] >= rates[1] else f"NOT so, {1 - rates[2] / rates[1]:.0%} less."))
    bench.goal("enqueued runs a second on PostgreSQL, one host", rates[1], least=20_000)
    bench.goal("two hosts on one PostgreSQL, times one", rates[2] / rates[1], least=1)
    return notes


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
    rates = {}
    with hosts(bench, url, 1, 2):
        for connections in (1, 8, 16, 32):
            rates[connections], floor = (bench.median(lambda: float(run(program, url, what, str(count // 10), str(connections)))) for what in ("enqueue", "insert"))
            bench.say(f"jobhost.enqueue, a transaction each, over {connections} connection{'s' * (connections > 1)}: {rates[connections]:,.0f} a second; "
                      f"a plain INSERT {floor:,.0f}, {rates[connections] / floor:.2f} of that.")
    bench.goal("jobhost.enqueue, single rows a second", max(rates.values()), least=4_000)


def measure(bench):
    count = 5_000 if bench.quick else 50_000
    place = f"{bench.folder}-db"
    with server(place, "fsync=on") as url:
        bench.say(f"\n{count:,} enqueued no-op runs (peers: {count // 10:,}), durable, from the first enqueue to all completed:\n",
                  "| | a second | of the floor in batches |", "|---|---|---|")
        notes = on_sqlite(bench, count) + on_postgres(bench, url, place, count)
        bench.say("", *notes, "")
        idle(bench, url)
        single_rows(bench, url, count)
