"""What jobs cost the jobs beside them: one that floods, one that hangs."""
import statistics
import subprocess
import threading
import time

from .host import Host, plugin, private, quantile

# The supervisor may keep the tail of a run's output and log, and what is under way.
MOST_MEMORY = 64


def flood(bench):
    """Lateness in the three seconds before the flood and in those of it, in one life of one host. In C the
    same: its timer beside a process that writes into a pipe is not disturbed at all on two cores; what is
    compared here is the host with itself."""
    jobs = ('[jobs.tick]\nplugin = "noop"\nentry = "noop"\nevery = "20ms"\noverlap = "allow"\nconcurrency = 64\n'
            '[plugins.loud]\nlibrary = "libloud.so"\n'
            '[jobs.flood]\nplugin = "loud"\nentry = "flood"\nschedule = "none"\ntimeout = "30s"\n')
    pairs, most = [], 0
    host = Host(bench.binaries, jobs)
    plugin(host.folder, "loud")  # its own workers
    with host:
        for _ in range(max(bench.rounds, 3)):
            time.sleep(4)
            calm = private(host.process.pid)
            flooding = threading.Thread(target=subprocess.run, args=[[f"{bench.binaries}/jobhost", "trigger", "flood", "--wait"]],
                                        kwargs={"cwd": host.folder, "check": True, "capture_output": True})
            flooding.start()
            while flooding.is_alive():
                flooding.join(0.25)
                most = max(most, private(host.process.pid) - calm)
            time.sleep(1)  # the last results of the ticks
            start, end = (value / 1e6 for value in host.query("SELECT started_at, finished_at FROM runs WHERE job = 'flood' ORDER BY id DESC LIMIT 1")[0])
            pairs.append((quantile(host.late(2 * start - end, start, "tick"), 0.99), quantile(host.late(start, end, "tick"), 0.99)))
        ((missed,),) = host.query("SELECT count(*) FROM ledger_ranges WHERE job = 'tick'")
    before, during = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    bench.say(f"\nBeside a flood, 50 runs a second of another job, lateness p99: {before:.1f} ms before, {during:.1f} ms during it; "
              f"{missed} ranges missed; the supervisor's private memory {most:.0f} MB more at the most.")
    bench.rule("beside a flood, lateness p99 ≤ twice the calm one and 5 ms", during <= 2 * before + 5, f"{before:.1f} ms, then {during:.1f} ms")
    bench.rule(f"beside a flood, the supervisor takes at most {MOST_MEMORY} MB more", most <= MOST_MEMORY, f"{most:.0f} MB")
    bench.rule("beside a flood, nothing that is due is missed", missed == 0, f"{missed} ranges missed")


def sibling(bench):
    """A job of ten minutes that hangs, and one of the same plugin each second: the latter's lateness in one life
    of one host, before and beside it."""
    jobs = ('[jobs.sibling]\nplugin = "noop"\nentry = "noop"\nevery = "1s"\n'
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
    if not hangs:
        raise SystemExit("the job that should hang does not run")
    bench.say(f"\nBeside a job of the same plugin that hangs: a sibling each second is late by p50 / worst {quantile(calm, 0.5):.1f} / {max(calm):.1f} ms without it, "
              f"{quantile(beside, 0.5):.1f} / {max(beside):.1f} ms with it ({len(calm)} and {len(beside)} runs).")
    bench.rule("beside a hung job, the sibling is not late for it: p50 ≤ twice the one without and 5 ms",
               len(beside) >= seconds - 1 and quantile(beside, 0.5) <= 2 * quantile(calm, 0.5) + 5, f"{quantile(calm, 0.5):.1f} ms, then {quantile(beside, 0.5):.1f} ms")
