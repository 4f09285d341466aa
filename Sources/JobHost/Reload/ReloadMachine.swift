import JobCore

/// When a reload is built, switched to and answered. Pure: the shell builds and switches.
///
///                 request              built(ready)           switched
///     idle ───────────────► building ─────────────► switching ─────────► idle
///      ▲                       │ built(refused), or the time limit        │
///      └───────────────────────┴──── or building again, if asked since ◄──┘
///
/// However many requests come during a reload, exactly one more follows, and it reads the
/// file as it is then. Somebody who asks gets the report of a reload that began at or after
/// the request, never of one that may have read the file before the edit. Requests during
/// start-up wait for its end.
public struct ReloadMachine: Sendable {
    public enum Phase: Hashable, Sendable {
        case starting
        case idle
        case building(reload: Int64, since: MonotonicInstant)
        case switching(reload: Int64)
        case stopped
    }

    /// Names somebody who waits for a report. Chosen by the shell.
    public typealias Ticket = Int64

    public enum Action: Hashable, Sendable {
        /// Build the next generation from the file as it is now; then call `built`.
        case build(reload: Int64)
        /// Switch to what was built; then call `switched`.
        case switchOver(reload: Int64)
        /// These get the report of this reload.
        case answer([Ticket], reload: Int64)
        /// These get an error: the host is stopping.
        case turnAway([Ticket])
        /// The build took longer than its limit: it is given up, its late result is ignored,
        /// these get that as the report.
        case giveUp([Ticket], reload: Int64)
    }

    public private(set) var phase: Phase = .starting
    private var nextReload: Int64 = 1
    /// Asked for since the present reload began.
    private var isAsked = false
    private var waitingForNext: [Ticket] = []
    private var waitingForPresent: [Ticket] = []
    private let buildLimit: Duration

    /// - Parameter buildLimit: the longest that building may take. Each probe has a limit of its
    ///   own; this one is for a file system that hangs, which must not wedge all later reloads.
    public init(buildLimit: Duration = .seconds(300)) { self.buildLimit = buildLimit }

    /// The host is up: what was asked meanwhile is done now.
    public mutating func startUpEnded(now: MonotonicInstant) -> [Action] {
        guard phase == .starting else { return [] }
        phase = .idle
        return beginIfAsked(now: now)
    }

    /// nil: nobody waits for the report.
    public mutating func request(ticket: Ticket?, now: MonotonicInstant) -> [Action] {
        if phase == .stopped { return ticket.map { [.turnAway([$0])] } ?? [] }
        isAsked = true
        if let ticket { waitingForNext.append(ticket) }
        return phase == .idle ? beginIfAsked(now: now) : []
    }

    /// `ready`: there is a generation to switch to. Results of given-up builds are ignored.
    public mutating func built(reload: Int64, ready: Bool, now: MonotonicInstant) -> [Action] {
        guard case .building(reload, _) = phase else { return [] }
        if ready {
            phase = .switching(reload: reload)
            return [.switchOver(reload: reload)]
        }
        return end(reload, now: now)
    }

    public mutating func switched(reload: Int64, now: MonotonicInstant) -> [Action] {
        guard phase == .switching(reload: reload) else { return [] }
        return end(reload, now: now)
    }

    /// Call at `deadline` or later.
    public mutating func timePassed(now: MonotonicInstant) -> [Action] {
        guard case .building(let reload, let since) = phase, now >= since + buildLimit else { return [] }
        let tickets = waitingForPresent
        waitingForPresent = []
        phase = .idle
        return [.giveUp(tickets, reload: reload)] + beginIfAsked(now: now)
    }

    /// When `timePassed` has something to do.
    public var deadline: MonotonicInstant? {
        guard case .building(_, let since) = phase else { return nil }
        return since + buildLimit
    }

    /// The host stops: nothing is built or switched any more.
    public mutating func stop() -> [Action] {
        guard phase != .stopped else { return [] }
        phase = .stopped
        let tickets = waitingForPresent + waitingForNext
        (waitingForPresent, waitingForNext, isAsked) = ([], [], false)
        return tickets.isEmpty ? [] : [.turnAway(tickets)]
    }

    private mutating func end(_ reload: Int64, now: MonotonicInstant) -> [Action] {
        let tickets = waitingForPresent
        waitingForPresent = []
        phase = .idle
        return [.answer(tickets, reload: reload)] + beginIfAsked(now: now)
    }

    private mutating func beginIfAsked(now: MonotonicInstant) -> [Action] {
        guard isAsked else { return [] }
        isAsked = false
        (waitingForPresent, waitingForNext) = (waitingForNext, [])
        let reload = nextReload
        nextReload &+= 1
        phase = .building(reload: reload, since: now)
        return [.build(reload: reload)]
    }
}
