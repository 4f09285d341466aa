import JobCore

/// Watches the wall clock against the monotonic one. A jump of more than `tolerance` means
/// that somebody set the clock: hold all firing, alert, go on after `holdFor` by the clock that
/// cannot be set (DESIGN §7, Clock).
struct ClockWatch {
    enum Verdict: Equatable {
        case steady
        /// Set by a little: followed at once. Positive: forward.
        case stepped(by: Duration)
        /// Positive: the wall clock went forward.
        case jumped(by: Duration)
        /// The hold is over; cursors in the future may be rewound now.
        case resumed
    }
    static let tolerance = Duration.seconds(600)
    static let holdFor = Duration.seconds(60)
    /// A difference up to this is reading two clocks one after the other, or slewing.
    static let noise = Duration.milliseconds(50)

    /// Wall minus monotonic, microseconds, at the last look.
    private var offset: Int64
    private(set) var heldUntil: MonotonicInstant?

    init(now: Now) { offset = Self.offset(now) }

    var isHolding: Bool { heldUntil != nil }

    /// What the wall clock will read when the hold is over, if nobody sets it; nil: no hold.
    func holdEnd(_ now: Now) -> Instant? {
        heldUntil.map { now.wall + max($0 - now.monotonic, .milliseconds(1)) }
    }

    mutating func observe(_ now: Now) -> Verdict {
        let current = Self.offset(now)
        let jump = Duration.microseconds(current.saturatingSubtract(offset))
        // Small steps and slewing are followed; they move the base so that they never add up to a jump.
        offset = current
        if jump > Self.tolerance || jump < .zero - Self.tolerance {
            heldUntil = now.monotonic + Self.holdFor
            return .jumped(by: jump)
        }
        if let until = heldUntil, now.monotonic >= until {
            heldUntil = nil
            return .resumed
        }
        return jump > Self.noise || jump < .zero - Self.noise ? .stepped(by: jump) : .steady
    }

    private static func offset(_ now: Now) -> Int64 {
        now.wall.microseconds.saturatingSubtract(now.monotonic.microseconds)
    }
}
