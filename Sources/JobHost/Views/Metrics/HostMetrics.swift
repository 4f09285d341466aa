import JobCore
import JobStore
import Synchronization

/// What is counted as it happens, since this host started. The rest of `/metrics` is the state
/// at the moment of asking.
final class HostMetrics: Sendable {
    struct Job {
        var lateness = Histogram.lateness
        var duration = Histogram.duration
        var queueTime = Histogram.queueTime
        /// By the mode that it went to.
        var breakerTransitions: [String: UInt64] = [:]
    }

    struct Figures {
        var jobs: [String: Job] = [:]
        var store: [String: Histogram] = [:]
        /// true: accepted.
        var reloads: [Bool: UInt64] = [:]
        var lastAcceptedReload: Instant?
        var workerStarts: [String: UInt64] = [:]
        var workerExits: [String: [WorkerEnd: UInt64]] = [:]
    }

    private let state = Mutex(Figures())

    var figures: Figures { state.withLock { $0 } }

    func observe(_ events: [HostEvent]) {
        state.withLock { figures in for event in events { Self.add(event, to: &figures) } }
    }

    private static func add(_ event: HostEvent, to figures: inout Figures) {
        switch event {
        case .ended(let run): add(run, to: &figures.jobs[run.job, default: Job()])
        case .breaker(let job, let mode, _, _): figures.jobs[job, default: Job()].breakerTransitions[mode, default: 0] &+= 1
        case .reload(let report):
            figures.reloads[report.accepted, default: 0] &+= 1
            if report.accepted { figures.lastAcceptedReload = report.at }
        case .store(let operation, let took): figures.store[operation, default: .store].observe(took.seconds)
        case .worker(.started(let plugin)): figures.workerStarts[plugin, default: 0] &+= 1
        case .worker(.ended(let plugin, let how)): figures.workerExits[plugin, default: [:]][how, default: 0] &+= 1
        case .started, .endedWaiting, .elsewhere, .notRun, .action, .problems, .settled: break
        }
    }

    private static func add(_ run: RunRecord, to job: inout Job) {
        guard let started = run.startedAt else { return }
        // When a lost one ended, nobody knows: what is written is when that was found.
        if let finished = run.finishedAt, run.outcome != .lost { job.duration.observe(max(.zero, finished - started).seconds) }
        // A retry's wait is its backoff.
        guard run.attempt == 1 else { return }
        let waited = max(.zero, started - run.fireTime).seconds
        if run.trigger == .schedule { job.lateness.observe(waited) } else { job.queueTime.observe(waited) }
    }
}

extension Duration {
    var seconds: Double { Double(microseconds) / 1e6 }
}
