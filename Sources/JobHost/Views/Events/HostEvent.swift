import JobCore
import JobStore
import Synchronization

/// Something that happened, as the host tells its views.
public enum HostEvent: Sendable {
    case started(job: String, run: RunID, at: Instant, pid: Int32)
    /// As the attempt left it.
    case ended(RunRecord)
    /// A run that waited ended without another attempt: it was cancelled, or has expired.
    case endedWaiting(RunRecord)
    /// Attempts of the job ended on other hosts.
    case elsewhere(job: String, at: Instant)
    /// Fires that never became an attempt. `text` is a sentence.
    case notRun(job: String, reason: NoRunReason, text: String, at: Instant)
    /// It moved, by itself or by an operator. `mode` as in `BreakerSnapshot.state`.
    case breaker(job: String, mode: String, text: String, at: Instant)
    case reload(ReloadReport)
    /// What an operator, or the host by itself, did.
    case action(AuditRow)
    /// What is wrong with the host, in sentences; all of it, whenever it changes.
    case problems([String], at: Instant)
    case worker(WorkerChange)
    /// How long the store took over a call.
    case store(operation: String, took: Duration)
    /// Every end that the ledger has of this host's runs up to this instant has been told by now.
    case settled(Instant)

    /// Listeners of `/events` hear of it.
    var isStreamed: Bool {
        switch self {
        case .started, .ended, .endedWaiting, .elsewhere, .notRun, .breaker, .reload, .action, .problems: true
        case .worker, .store, .settled: false
        }
    }
}

/// Where the host's loop leaves what happened. It never waits and never grows without bound:
/// what views are too slow to take is dropped, and they are told.
public final class EventOutlet: Sendable {
    /// Events that may wait to be taken.
    public static let limit = 20_000

    private struct State {
        var events: [HostEvent] = []
        var dropped: UInt64 = 0
    }
    private let state = Mutex(State())
    private let bell: AsyncStream<Void>.Continuation
    /// Rings when there is something to take. For one listener.
    let rings: AsyncStream<Void>

    public init() {
        (rings, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    public func emit(_ event: HostEvent) {
        let isFirst = state.withLock { state in
            guard state.events.count < Self.limit else {
                state.dropped &+= 1
                return false
            }
            state.events.append(event)
            return state.events.count == 1
        }
        if isFirst { bell.yield() }
    }

    /// Everything that waits, and how many have been dropped since the last call.
    func take() -> (events: [HostEvent], dropped: UInt64) {
        state.withLock { state in
            defer { state = State() }
            return (state.events, state.dropped)
        }
    }

    func close() { bell.finish() }
}
