"""What a host costs that has little to do: CPU with 1,000 hourly jobs, private memory with few and many."""
import time

from .host import Host, threads


def hourly(count):
    return "".join(f'[jobs.j{n}]\nplugin = "noop"\nentry = "noop"\nevery = "1h"\n' for n in range(count))


def idle(bench):
    """A program in C that waits uses nothing at all: that is the floor."""
    seconds = 10 if bench.quick else 30
    with Host(bench.binaries, hourly(1_000)) as host:
        time.sleep(5)
        before = threads(host.process.pid)
        time.sleep(seconds)
        used = {name: value - before.get(name, 0) for name, value in threads(host.process.pid).items()}
    busiest = ", ".join(f"{name} {value * 1e3:.1f} ms" for name, value in sorted(used.items(), key=lambda item: -item[1])[:3])
    share = sum(used.values()) / seconds * 100
    bench.say(f"\nIdle, 1,000 hourly jobs: {sum(used.values()) * 1e3:.1f} ms of CPU in {seconds} s, {share:.3f} % of one ({busiest}).")
    bench.goal("CPU of an idle host with 1,000 hourly jobs", share, most=0.5, unit="%")


def memory(bench):
    """Eight jobs of them each second, so that there are several workers: what those have in common is not private."""
    for count, most in ((10, 30), (10_000, 60)):
        ticks = "".join(f'[jobs.tick{n}]\nplugin = "noop"\nentry = "noop"\nevery = "1s"\n' for n in range(8))
        with Host(bench.binaries, hourly(count - 8) + ticks) as host:
            time.sleep(5)
            workers = len(host.children())
            supervisor, worker = host.memory()
        bench.say(f"Private memory with {count:,} jobs, eight of them each second: supervisor {supervisor:.1f} MB, "
                  f"each of {workers} workers with a plugin in C {worker:.2f} MB.")
        bench.goal(f"private memory of the supervisor, {count:,} jobs", supervisor, most=most, unit="MB")
    bench.goal("private memory of a worker with a plugin in C", worker, most=2, unit="MB")


def measure(bench):
    idle(bench)
    memory(bench)
