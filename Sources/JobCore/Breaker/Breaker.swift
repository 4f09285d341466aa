/// Stops a job that keeps failing from being started again and again, and finds out by single
/// probes when it works again. The states are those of Nygard's "Release It!"; the counting
/// is by number of failures, not by rate, so that it trips for an hourly job too.
///
///     closed ── `failures` counted ──► open ── `openFor` is over ──► halfOpen
///       ▲                               ▲                              │  │
///       │                               └──── a probe failed ──────────┘  │
///       └────────────────── `successes` probes succeeded ─────────────────┘
///
/// An operator moves it from any mode to forcedOpen, closed or disabled. A forced opening with
/// an end goes to halfOpen then: if what it was opened for is not over, one run finds out.
///
/// Instants are wall-clock ones, so that a restart keeps the probe time. A clock that was set
/// back cannot hold it open for longer than `openFor` from now.
///
/// Every permit carries a generation; a change of mode and every granted probe start a new
/// one. What an earlier generation reports or gives back is ignored: an attempt that was
/// started while closed cannot close a half-open breaker.
public struct Breaker: Hashable, Sendable {
    public enum Mode: Hashable, Sendable {
        /// Lets everything through and counts failures.
        case closed
        /// Refuses until then; then half-open.
        case open(until: Instant)
        /// One probe at a time.
        case halfOpen
        /// By an operator; nil: until an operator says otherwise.
        case forcedOpen(until: Instant?)
        /// By an operator: lets everything through and counts nothing.
        case disabled
    }

    public enum Permit: Hashable, Sendable {
        /// Start it, and report its end with these two by `record` (or give it back by `release`).
        case granted(generation: Int64, isProbe: Bool)
        /// Until when; nil: until the probe under way has ended, or until an operator closes it.
        case refused(until: Instant?)
    }

    /// A change of mode.
    public struct Transition: Hashable, Sendable {
        public var from: Mode
        public var to: Mode
        public var at: Instant
        public var reason: String
        public init(from: Mode, to: Mode, at: Instant, reason: String) {
            self.from = from
            self.to = to
            self.at = at
            self.reason = reason
        }
    }

    /// `policy.failures` and `policy.successes` beyond this count as this, which bounds what is remembered.
    public static let maximumCount = 10_000

    public private(set) var policy: BreakerPolicy
    public private(set) var mode: Mode = .closed
    /// Start of the mode; nil: as it was created.
    public private(set) var since: Instant?
    /// Why it is in this mode, a clause; "": as it was created.
    public private(set) var reason = ""
    public private(set) var generation: Int64 = 1
    /// Instants of the failures that count at present, oldest first, at most `maximumCount`:
    /// those since the last success, or those inside the window.
    private var counted: [Instant] = []
    /// Probes that succeeded since it became half-open.
    private var probeSuccesses = 0
    private var probeUnderWay = false

    public init(policy: BreakerPolicy) { self.policy = policy }

    /// Failures that count toward opening, as of the last `record`.
    public var failures: Int { counted.count }

    /// When the mode changes by itself, if an attempt asks then; nil: it does not.
    public var nextChange: Instant? {
        switch mode {
        case .open(let until): until
        case .forcedOpen(let until): until
        case .closed, .halfOpen, .disabled: nil
        }
    }

    /// Follow another policy (a reload) with the mode, the memory and the generation as they are.
    public mutating func adopt(policy: BreakerPolicy) { self.policy = policy }

    /// The same in another generation, which permits of this one are none of.
    public func inGeneration(_ generation: Int64) -> Breaker {
        var breaker = self
        breaker.generation = generation
        return breaker
    }

    // MARK: Attempts

    /// Asks to start an attempt now. Moves an opening that is over to half-open.
    public mutating func acquire(now: Instant) -> Permit {
        settleOpening(now: now)
        switch mode {
        case .closed, .disabled:
            return .granted(generation: generation, isProbe: false)
        case .open(let until) where now < until:
            return .refused(until: until)
        case .forcedOpen(let until?) where now < until:
            return .refused(until: until)
        case .forcedOpen(nil):
            return .refused(until: nil)
        case .open, .forcedOpen:
            move(to: .halfOpen, reason: "trying again", now: now)
        case .halfOpen:
            if probeUnderWay { return .refused(until: nil) }
            generation &+= 1
        }
        probeUnderWay = true
        return .granted(generation: generation, isProbe: true)
    }

    /// Would an attempt that starts at `now` be let through? Changes nothing and reserves
    /// nothing: ask `acquire` when it starts.
    public func peek(now: Instant) -> Bool {
        switch mode {
        case .closed, .disabled: true
        // Further ahead than any opening: the clock was set back. `acquire` will see to it.
        case .open(let until): now >= until || until > now + openFor
        case .forcedOpen(let until): until.map { now >= $0 } ?? false
        case .halfOpen: !probeUnderWay
        }
    }

    /// Gives a permit back whose attempt was never started, or was removed: the next attempt
    /// may be the probe. Refusals and permits of an earlier generation are ignored.
    public mutating func release(_ permit: Permit) {
        guard case .granted(let generation, isProbe: true) = permit, generation == self.generation else { return }
        probeUnderWay = false
    }

    /// Reports how an attempt ended, with the two values of its permit.
    ///
    /// `failed`, `retry`, `timedOut`, `crashed` count; `succeeded` and `nothingToDo` are
    /// successes; `cancelled`, `lost`, `snoozed` say nothing about the job and give a probe's
    /// permit back. Host faults are not reported at all: release the permit instead.
    ///
    /// - Parameter text: what the attempt said of its end. When it opens the breaker, it becomes
    ///   part of the reason, bounded and on one line.
    /// - Returns: the change of mode, nil if there is none. The memory may have changed even so.
    public mutating func record(
        _ outcome: Outcome, generation: Int64, wasProbe: Bool, text: String = "", now: Instant
    ) -> Transition? {
        guard generation == self.generation else { return nil }
        settle(now: now)
        switch mode {
        case .closed: return recordClosed(outcome, text, now: now)
        case .halfOpen where wasProbe && probeUnderWay: return recordProbe(outcome, text, now: now)
        case .halfOpen, .open, .forcedOpen, .disabled: return nil
        }
    }

    private mutating func recordClosed(_ outcome: Outcome, _ text: String, now: Instant) -> Transition? {
        switch Self.verdict(of: outcome) {
        case .silent:
            return nil
        case .success:
            // Inside a window a success takes nothing back.
            if policy.window == nil { counted.removeAll() } else { forgetOld(now: now) }
            return nil
        case .failure:
            counted.append(now)
            forgetOld(now: now)
            guard counted.count >= Self.bounded(policy.failures) else { return nil }
            let number = counted.count == 1 ? "1 failure" : "\(counted.count) failures"
            let place = policy.window.map { " within \(Self.text($0))" } ?? (counted.count == 1 ? "" : " in a row")
            return move(
                to: .open(until: now + openFor), reason: "\(number)\(place), the last: \(Self.words(outcome, text))", now: now)
        }
    }

    private mutating func recordProbe(_ outcome: Outcome, _ text: String, now: Instant) -> Transition? {
        probeUnderWay = false
        switch Self.verdict(of: outcome) {
        case .silent:
            return nil
        case .success:
            probeSuccesses += 1
            guard probeSuccesses >= Self.bounded(policy.successes) else { return nil }
            let number = probeSuccesses == 1 ? "1 probe" : "\(probeSuccesses) probes"
            return move(to: .closed, reason: "\(number) succeeded", now: now)
        case .failure:
            return move(to: .open(until: now + openFor), reason: "the probe ended: \(Self.words(outcome, text))", now: now)
        }
    }

    // MARK: Operators

    /// Refuses everything until `until`, or until an operator says otherwise (nil).
    @discardableResult
    public mutating func forceOpen(until: Instant?, reason: String, now: Instant) -> Transition {
        move(to: .forcedOpen(until: until), reason: reason, now: now)
    }

    /// Closes it from any mode, with a clean memory.
    @discardableResult
    public mutating func close(reason: String, now: Instant) -> Transition {
        move(to: .closed, reason: reason, now: now)
    }

    /// Never opens, until `reset`, `close` or `forceOpen`.
    @discardableResult
    public mutating func disable(reason: String, now: Instant) -> Transition {
        move(to: .disabled, reason: reason, now: now)
    }

    /// As newly created, apart from the generation: closed, nothing remembered, nobody's decision.
    @discardableResult
    public mutating func reset(now: Instant) -> Transition {
        var transition = move(to: .closed, reason: "", now: now)
        transition.reason = "reset"
        since = nil
        return transition
    }

    // MARK: Time and moves

    /// An opening lasts no longer than `openFor` from when the clock was set back, or the policy shortened.
    public mutating func settleOpening(now: Instant) {
        if case .open(let until) = mode, until > now + openFor { mode = .open(until: now + openFor) }
    }

    /// Brings what is remembered back in reach when the clock was set back. Where an attempt ends only: with that it
    /// is stored, and who counts by the store would reckon with other instants else.
    private mutating func settle(now: Instant) {
        settleOpening(now: now)
        guard let last = counted.last, last > now else { return }
        for index in counted.indices where counted[index] > now { counted[index] = now }
    }

    @discardableResult
    private mutating func move(to next: Mode, reason: String, now: Instant) -> Transition {
        let transition = Transition(from: mode, to: next, at: now, reason: Self.shortened(reason))
        mode = next
        since = now
        self.reason = transition.reason
        generation &+= 1
        counted.removeAll()
        probeSuccesses = 0
        probeUnderWay = false
        return transition
    }

    private mutating func forgetOld(now: Instant) {
        if let window = policy.window {
            let oldest = now - max(window, .zero)
            counted.removeAll { $0 < oldest }
        }
        if counted.count > Self.maximumCount { counted.removeFirst(counted.count - Self.maximumCount) }
    }

    private var openFor: Duration { max(policy.openFor, .zero) }

    private enum Verdict { case success, failure, silent }

    private static func verdict(of outcome: Outcome) -> Verdict {
        switch outcome {
        case .succeeded, .nothingToDo: .success
        case .failed, .retry, .timedOut, .crashed: .failure
        case .snoozed, .cancelled, .lost: .silent
        }
    }

    private static func bounded(_ count: Int) -> Int { min(max(count, 1), maximumCount) }

    private static func text(_ duration: Duration) -> String {
        let milliseconds = duration.milliseconds
        return milliseconds % 1_000 == 0 ? "\(milliseconds / 1_000)s" : "\(milliseconds)ms"
    }

    /// Bytes kept of a reason …
    static let longestReason = 500
    /// … and of an attempt's text within it.
    static let longestText = 400

    private static func shortened(_ reason: String) -> String { prefix(of: reason, bytes: longestReason) }

    private static func prefix(of text: String, bytes limit: Int) -> String {
        var scalars = text.unicodeScalars
        var bytes = text.utf8.count
        while bytes > limit, let last = scalars.popLast() { bytes -= UTF8.width(last) }
        return String(scalars)
    }

    /// "retry: no answer within 5s"
    private static func words(_ outcome: Outcome, _ text: String) -> String {
        // What is far beyond the limit is not even looked at.
        let head = prefix(of: String(text.prefix(longestText + 1)), bytes: longestText)
        let line = head.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        if line.isEmpty { return outcome.rawValue }
        return "\(outcome.rawValue): \(line)" + (head.utf8.count < text.utf8.count ? "…" : "")
    }
}

// MARK: - Encoding

extension Breaker {
    /// One line of fields for the store, read by `init?(encoded:policy:)`:
    /// `1|mode|until or -|since or -|generation|probe successes|failure instants,…|reason`,
    /// instants in microseconds. The reason is last: it may contain anything. A probe under way
    /// is left out on purpose, for a restart ends it and must not keep its permit.
    public var encoded: String {
        let (name, until): (String, Instant?) = switch mode {
        case .closed: ("closed", nil)
        case .open(let until): ("open", until)
        case .halfOpen: ("half_open", nil)
        case .forcedOpen(let until): ("forced_open", until)
        case .disabled: ("disabled", nil)
        }
        let instants = counted.map { String($0.microseconds) }.joined(separator: ",")
        return [
            "1", name, Self.field(until), Self.field(since), String(generation), String(probeSuccesses), instants, reason,
        ].joined(separator: "|")
    }

    /// Restores what `encoded` wrote. nil for any other text, of whatever size and origin.
    public init?(encoded: String, policy: BreakerPolicy) {
        guard encoded.utf8.count <= Self.longestEncoding else { return nil }
        let fields = encoded.split(separator: "|", maxSplits: 7, omittingEmptySubsequences: false)
        guard fields.count == 8, fields[0] == "1", let until = Self.instant(fields[2]),
            let since = Self.instant(fields[3]), let generation = Int64(fields[4]),
            (0...Int64.max / 2).contains(generation), let successes = Int(fields[5]),
            (0...Self.maximumCount).contains(successes), fields[7].utf8.count <= Self.longestReason
        else { return nil }

        switch (fields[1], until) {
        case ("closed", nil): mode = .closed
        case ("open", let until?): mode = .open(until: until)
        case ("half_open", nil): mode = .halfOpen
        case ("forced_open", let until): mode = .forcedOpen(until: until)
        case ("disabled", nil): mode = .disabled
        default: return nil
        }
        let instants = fields[6].split(separator: ",", omittingEmptySubsequences: true).map { Int64($0) }
        guard instants.count <= Self.maximumCount, !instants.contains(nil) else { return nil }
        counted = instants.compactMap { $0.map(Instant.init(microseconds:)) }.sorted()
        self.policy = policy
        self.since = since
        self.generation = generation
        probeSuccesses = successes
        reason = String(fields[7])
    }

    /// 10,000 instants of 20 digits, a reason, and room to spare.
    private static let longestEncoding = 256 << 10

    private static func field(_ instant: Instant?) -> String { instant.map { String($0.microseconds) } ?? "-" }

    /// `.some(nil)` for "-".
    private static func instant(_ text: Substring) -> Instant?? {
        if text == "-" { return .some(nil) }
        return Int64(text).map { .some(Instant(microseconds: $0)) }
    }
}
