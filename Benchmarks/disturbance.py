"""What jobs cost the jobs beside them: one that floods, one that hangs."""
import subprocess
import time

from .host import Host, plugin, private, quantile

# The supervisor may keep the tail of a run's output and log, and what is under way.
MOST_MEMORY = 64


# What each of its runs does, and how many of them are due in a phase, 50 ms apart.
DEEDS = {"flood": ("a flood of stdout and log", 1), "litter": ("garbage to every descriptor", 60), "shut": ("all descriptors closed", 60)}
# How long the calm is that each phase is compared with: as long as the phases are.
CALM = 3


def flood(bench):
    """Lateness in the three seconds before each phase and in the phase, in one life of one host; the samples of all
    rounds are one, so that the worst of a hundred is no single one. In C the same: its timer beside a process that
    writes into a pipe is not disturbed at all on two cores; what is compared here is the host with itself."""
    jobs = ('[jobs.tick]\nplugin = "noop"\nentry = "noop"\nevery = "20ms"\noverlap = "allow"\nconcurrency = 64\nretention = { runs = 100000 }\n'
            '[plugins.loud]\nlibrary = "libloud.so"\n[jobs.well]\nplugin = "loud"\nentry = "noop"\nschedule = "none"\n')
    jobs += "".join(f'[jobs.{deed}]\nplugin = "loud"\nentry = "{deed}"\nschedule = "none"\ntimeout = "30s"\nretry = {{ max_attempts = 1 }}\nbreaker = false\n'
                    for deed in DEEDS)
    calm, beside, most = {deed: [] for deed in DEEDS}, {deed: [] for deed in DEEDS}, dict.fromkeys(DEEDS, 0)
    host = Host(bench.binaries, jobs)
    plugin(host.folder, "loud")  # its own workers
    with host:
        for _ in range(max(bench.rounds, 3)):
            for deed, (_, count) in DEEDS.items():
                time.sleep(CALM + 1)
                begin, end, more = phase(host, deed, count)
                time.sleep(1)  # the last results of the ticks
                calm[deed] += host.late(begin - CALM, begin, "tick")
                beside[deed] += host.late(begin, end, "tick")
                most[deed] = max(most[deed], more)
        ((missed,),) = host.query("SELECT count(*) FROM ledger_ranges WHERE job = 'tick'")
    bench.say("\nBeside what a plugin does, 50 runs a second of another job, lateness p99:\n",
              "| | before, ms | beside it, ms | the supervisor's private memory, MB more at the most | fires |", "|---|---|---|---|---|")
    p99 = {deed: (quantile(calm[deed], 0.99), quantile(beside[deed], 0.99)) for deed in DEEDS}
    for deed, (title, _) in DEEDS.items():
        before, during = p99[deed]
        bench.say(f"| {title} | {before:.1f} | {during:.1f} | {most[deed]:.0f} | {len(calm[deed])} and {len(beside[deed])} |")
    for deed, (title, _) in DEEDS.items():
        before, during = p99[deed]
        bench.rule(f"beside {title}, lateness p99 ≤ twice the calm one and 5 ms", during <= 2 * before + 5, f"{before:.1f} ms, then {during:.1f} ms")
        bench.rule(f"beside {title}, the supervisor takes at most {MOST_MEMORY} MB more", most[deed] <= MOST_MEMORY, f"{most[deed]:.0f} MB")
    bench.rule("beside all of this, nothing that is due is missed", missed == 0, f"{missed} ranges missed")


def phase(host, deed, count):
    """From when until when it was done, and how many megabytes more the supervisor had meanwhile at the most."""
    calm, most, began = private(host.process.pid), 0, time.time()
    # After each a run that ends well: a plugin that only crashes is started ever more seldom.
    rows = [(job, int(began * 1e3) + 50 * n + later) for n in range(count) for job, later in ((deed, 0), ("well", 25))]
    with host.connect() as connection:
        connection.executemany("INSERT INTO enqueue_inbox (job, run_at_ms) VALUES (?, ?)", rows)
    connection.close()
    since = int(began * 1e6) - 10_000  # a row's own instant is in milliseconds
    left = len(rows)
    while left:
        if time.time() - began > 60:
            raise SystemExit(f"{deed}: {left} of {len(rows)} runs have not ended")
        time.sleep(0.25)
        most = max(most, private(host.process.pid) - calm)
        ((ended,),) = host.query(f"SELECT count(*) FROM runs WHERE job IN ('{deed}', 'well') AND created_at >= {since} AND finished_at IS NOT NULL")
        left = len(rows) - ended
    ((begin, end, done),) = host.query(f"SELECT min(started_at), max(finished_at), count(started_at) FROM runs WHERE job = '{deed}' AND created_at >= {since}")
    if done < count:
        raise SystemExit(f"{deed}: {done} of {count} runs have begun")
    return begin / 1e6, end / 1e6, most


def sibling(bench):
    """A job of ten minutes that hangs, and one of the same plugin each 100 ms: the latter's lateness in one life
    of one host, before and beside it."""
    jobs = ('[jobs.sibling]\nplugin = "noop"\nentry = "noop"\nevery = "100ms"\n'
            '[jobs.hung]\nplugin = "noop"\nentry = "hang"\nschedule = "none"\ntimeout = "10m"\n')
    seconds = 8 if bench.quick else 20
    with Host(bench.binaries, jobs, settings='log_level = "warning"\ngrace = "100ms"') as host:
        time.sleep(3)
        began = time.time()
        time.sleep(seconds)
        with_it = time.time()
        subprocess.run([f"{bench.binaries}/jobhost", "trigger", "hung"], cwd=host.folder, check=True, capture_output=True)
        time.sleep(seconds + 1)
        calm, beside = host.late(began, with_it, "sibling"), host.late(with_it, with_it + seconds, "sibling")
        ((hangs,),) = host.query("SELECT count(*) FROM runs WHERE job = 'hung' AND state = 'running'")
        ((missed,),) = host.query("SELECT count(*) FROM ledger_ranges WHERE job = 'sibling'")
    if not hangs:
        raise SystemExit("the job that should hang does not run")
    told = lambda late: " / ".join(f"{value:.1f}" for value in (quantile(late, 0.5), quantile(late, 0.99), max(late)))
    bench.say(f"\nBeside a job of the same plugin that hangs: a sibling each 100 ms is late by p50 / p99 / worst {told(calm)} ms without it, "
              f"{told(beside)} ms with it ({len(calm)} and {len(beside)} runs).")
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        before, during = quantile(calm, share), quantile(beside, share)
        bench.rule(f"beside a hung job, the sibling is not late for it: {name} ≤ twice the one without and 5 ms",
                   during <= 2 * before + 5, f"{before:.1f} ms, then {during:.1f} ms")
    bench.rule("beside a hung job, nothing of the sibling that is due is missed", missed == 0 and len(beside) >= 10 * seconds - 1,
               f"{missed} ranges missed, {len(beside)} runs")
