"""Peers, where they are installed: Python packages in the interpreter that `--peers` names, programs on PATH.
Each is measured once beside ours, in the way its users run it."""
import array
import csv
import json
import os
import shutil
import signal
import subprocess
import time

from ..host import ROOT, postgres, quantile, run

HERE = f"{ROOT}/Benchmarks/peers"
MISSING = "not installed"
# More processes at one instant take the whole machine with them.
MOST_PROCESSES, TOO_MANY = 1_000, "not tried: a process for each at one instant"


def script(*command):
    """What it says, as JSON; or a word about why not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return "failed: " + (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return json.loads(done.stdout)


def python(bench, package, file, *arguments):
    """What the package's script says, a dict; or a word about why not."""
    return script(bench.python, "-B", f"{HERE}/{file}", *arguments) if bench.has(package) else MISSING


# MARK: Lateness

def lateness(bench, count, seconds):
    """Of each its name, and its figures or a word."""
    yield "APScheduler, in process", python(bench, "apscheduler", "apscheduler_lateness.py", str(count), str(seconds))
    yield "the JDK's ScheduledThreadPoolExecutor, in process", jdk(count, seconds)
    yield "collectd, in process (from its own first instant)", collectd(bench, count, seconds)
    yield "supercronic, a process each", supercronic(bench, count, seconds)
    yield "cron, a process each, at one full minute", cron(bench, count)


def jdk(count, seconds):
    return script("java", f"{HERE}/JdkLateness.java", str(count), str(seconds)) if shutil.which("java") else MISSING


def numbers(path):
    values = array.array("q")
    if os.path.exists(path):
        with open(path, "rb") as file:
            values.frombytes(file.read())
    return values


def serve(command, seconds, **options):
    """Runs it for so long; false: it ended by itself."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        time.sleep(seconds)
        if process.poll() is not None:
            return False
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return True


def figures(late, due):
    return {"p50": quantile(late, 0.5), "p99": quantile(late, 0.99), "executed": len(late) / due, "cpu": None}


def supercronic(bench, count, seconds):
    program = shutil.which("supercronic")
    if not program:
        return MISSING
    if count > MOST_PROCESSES:
        return TOO_MANY
    stamp, out = bench.compile("stamp", "peers/stamp.c", flags=("-static",)), f"{bench.folder}/stamps"
    with open(f"{bench.folder}/crontab", "w", encoding="utf-8") as file:
        file.write(f"* * * * * * * {stamp} {out} 1\n" * count)
    if not serve([program, f"{bench.folder}/crontab"], seconds + 4):
        return "did not run"
    values = numbers(out)
    first = min(values[0::2], default=0) + 2
    late = [micros / 1e3 for second, micros in zip(values[0::2], values[1::2]) if first <= second < first + seconds]
    os.remove(out)
    return figures(late, count * seconds) if late else "executed nothing"


def cron(bench, count):
    """It knows one folder of crontabs only: it gets its own there, in a room of its own, which takes root."""
    program = shutil.which("cron") or shutil.which("crond")
    if not program:
        return MISSING
    if count > MOST_PROCESSES:
        return TOO_MANY
    if os.geteuid() != 0:
        return "needs root here"
    if bench.quick:
        return "takes a minute: not in a quick run"
    stamp, out, spool = bench.compile("stamp", "peers/stamp.c", flags=("-static",)), f"{bench.folder}/stamps", f"{bench.folder}/spool"
    shutil.rmtree(spool, ignore_errors=True)
    os.makedirs(f"{spool}/cron/crontabs")
    os.makedirs(f"{spool}/empty")
    path = f"{spool}/cron/crontabs/root"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"* * * * * {stamp} {out} 60\n" * count)
    os.chmod(path, 0o600)
    # Nothing of the machine's own is run, nor touched.
    script = ('mount --bind "$0" /var/spool && mount -t tmpfs none /run && if [ -d /etc/cron.d ]; then mount --bind "$0/empty" /etc/cron.d; fi && '
              'if [ -e /etc/crontab ]; then mount --bind /dev/null /etc/crontab; fi && exec "$1" -f')
    until = 60 - time.time() % 60 + 20
    if not serve(["unshare", "-m", "sh", "-c", script, spool, program], until if until > 25 else until + 60):
        return "did not run"
    values = numbers(out)
    late = [micros / 1e3 for micros in values[1::2]]
    if os.path.exists(out):
        os.remove(out)
    return figures(late, count) if late else "executed nothing"


def collectd(bench, count, seconds):
    program = shutil.which("collectd")
    if not program:
        return MISSING
    out, library = f"{bench.folder}/readings", f"{bench.folder}/benchread.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, f"{HERE}/collectd_lateness.c"], check=True)
    with open(f"{bench.folder}/collectd.conf", "w", encoding="utf-8") as file:
        file.write(f'BaseDir "{bench.folder}"\nPIDFile "{bench.folder}/collectd.pid"\nPluginDir "{bench.folder}"\nTypesDB "/dev/null"\nInterval 1\nReadThreads 5\nLoadPlugin benchread\n')
    if not serve([program, "-f", "-C", f"{bench.folder}/collectd.conf"], seconds + 3,
                 env={**os.environ, "BENCH_COUNT": str(count), "BENCH_FILE": out}):
        return "did not run"
    values = numbers(out)
    os.remove(out)
    instants = sorted(values[1:values[0] + 1])
    if not instants:
        return "executed nothing"
    # It has no instant but the one at which it was told of the reading: the earliest is everybody's.
    instants = [instant for instant in instants if instants[0] + 1_000_000 <= instant + 500_000 and instant < instants[0] + (seconds + 1) * 1_000_000 - 500_000]
    phase = min((instant - instants[0] + 500_000) % 1_000_000 for instant in instants)
    late = [((instant - instants[0] + 500_000) % 1_000_000 - phase) / 1e3 for instant in instants]
    return figures(late, count * seconds)


# MARK: Queues

def queue_on_sqlite(bench, count):
    folder = f"{bench.folder}/huey"
    os.makedirs(folder, exist_ok=True)
    try:
        yield "huey, two threads", python(bench, "huey", "huey_queue.py", folder, str(count))
    finally:
        shutil.rmtree(folder)


def queues_on_postgres(bench, url, count):
    for name, file in (("procrastinate", "procrastinate_queue.py"), ("pgqueuer", "pgqueuer_queue.py")):
        yield f"{name}, in process", python(bench, name, file, url, str(count))
    yield "pgmq, in the server, nothing run", pgmq(url, count)


def pgmq(url, count):
    ask = ["psql", "-X", "-q", "-A", "-t", url]
    found = subprocess.run([*ask, "-c", "SELECT 1 FROM pg_available_extensions WHERE name = 'pgmq'"], capture_output=True, text=True, check=True)
    if not found.stdout.strip():
        return MISSING
    subprocess.run([*ask, "-c", "CREATE EXTENSION IF NOT EXISTS pgmq"], check=True)
    rate = script(*ask, "-v", f"count={count}", "-f", f"{HERE}/pgmq_queue.sql")
    return {"rate": rate} if isinstance(rate, (int, float)) else rate


# MARK: Candles

COLUMNS = "pair_id, ts_ms, price, amount"


def candles(bench, trades):
    """Of each its name, and rows a second or a word. They group into 1m candles what they have in memory, and write
    nothing."""
    file = f"{bench.folder}/trades.csv"
    with open(file, "w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(COLUMNS.split(", "))
        rows.writerows(trades.execute(f"SELECT {COLUMNS} FROM trades ORDER BY ts_ms, id"))
    try:
        for package in ("pandas", "polars", "duckdb"):
            yield f"{package}, with doubles", python(bench, package, "candles.py", package, file)
        yield "PostgreSQL's GROUP BY, without first and last price", candles_in_postgres(bench, file)
    finally:
        os.remove(file)


def candles_in_postgres(bench, file):
    if not shutil.which("psql"):
        return MISSING
    with postgres(f"{bench.folder}-db") as url, open(file, encoding="utf-8") as trades:
        load = ("CREATE TABLE trades (pair_id bigint, ts_ms bigint, price numeric, amount numeric)", "COPY trades FROM STDIN CSV HEADER", "VACUUM ANALYZE trades")
        subprocess.run(["psql", "-X", "-q", url, *(word for sql in load for word in ("-c", sql))], stdin=trades, check=True)
        clock = "SELECT extract(epoch FROM clock_timestamp())"
        ask = ("SELECT sum(trades), max(high), max(volume) FROM (SELECT pair_id, ts_ms / 60000 AS minute, max(price) AS high, min(price) AS low, "
               "sum(amount) AS volume, count(*) AS trades FROM trades GROUP BY pair_id, minute) AS candles")
        began, found, ended = run("psql", "-X", "-q", "-A", "-t", url, "-c", clock, "-c", ask, "-c", clock).splitlines()
    return {"rate": int(found.split("|")[0]) / (float(ended) - float(began))}
