/// A point in wall-clock time: microseconds since 1970-01-01T00:00:00Z, leap seconds not
/// counted (POSIX time).
///
/// Microseconds because that is what PostgreSQL's `timestamptz` keeps: an instant survives
/// both stores unchanged. Arithmetic saturates at the ends of the range (years ±292,000)
/// instead of trapping, since instants come from configs and payloads too.
public struct Instant: Hashable, Comparable, Codable, Sendable {
    public var microseconds: Int64

    public init(microseconds: Int64) { self.microseconds = microseconds }
    public init(milliseconds: Int64) { self.microseconds = milliseconds.saturatingMultiply(1_000) }
    public init(seconds: Int64) { self.microseconds = seconds.saturatingMultiply(1_000_000) }

    public static let epoch = Instant(microseconds: 0)
    public static let distantPast = Instant(microseconds: .min)
    public static let distantFuture = Instant(microseconds: .max)

    /// Whole seconds since the epoch, rounded toward the past.
    public var secondsFloor: Int64 { microseconds.floorDivide(1_000_000) }
    /// Whole milliseconds since the epoch, rounded toward the past.
    public var milliseconds: Int64 { microseconds.floorDivide(1_000) }

    public static func < (a: Instant, b: Instant) -> Bool { a.microseconds < b.microseconds }

    public static func + (a: Instant, b: Duration) -> Instant {
        Instant(microseconds: a.microseconds.saturatingAdd(b.microseconds))
    }
    public static func - (a: Instant, b: Duration) -> Instant {
        Instant(microseconds: a.microseconds.saturatingSubtract(b.microseconds))
    }
    /// The time from `b` to `a`; negative when `a` is earlier.
    public static func - (a: Instant, b: Instant) -> Duration {
        .microseconds(a.microseconds.saturatingSubtract(b.microseconds))
    }

    // Encoded as the bare number of microseconds.
    public init(from decoder: any Decoder) throws {
        microseconds = try decoder.singleValueContainer().decode(Int64.self)
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(microseconds)
    }
}

/// A reading of the monotonic clock (CLOCK_BOOTTIME: it goes on during suspend), in
/// microseconds since boot. Limits are measured on it; it says nothing about the date.
public struct MonotonicInstant: Hashable, Comparable, Sendable {
    public var microseconds: Int64
    public init(microseconds: Int64) { self.microseconds = microseconds }
    public static let distantFuture = MonotonicInstant(microseconds: .max)

    public static func < (a: Self, b: Self) -> Bool { a.microseconds < b.microseconds }
    public static func + (a: Self, b: Duration) -> Self {
        Self(microseconds: a.microseconds.saturatingAdd(b.microseconds))
    }
    public static func - (a: Self, b: Self) -> Duration {
        .microseconds(a.microseconds.saturatingSubtract(b.microseconds))
    }
}

/// Both readings, taken together. Every state machine's `now`.
public struct Now: Hashable, Sendable {
    public var wall: Instant
    public var monotonic: MonotonicInstant
    public init(wall: Instant, monotonic: MonotonicInstant) {
        self.wall = wall
        self.monotonic = monotonic
    }
}

/// The injected clock. The system's lives in JobHost; tests turn the hands of a manual one.
public protocol TimeSource: Sendable {
    func now() -> Now
}

extension Duration {
    /// The duration in whole microseconds, truncated toward zero, saturating.
    public var microseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds.saturatingMultiply(1_000_000).saturatingAdd(attoseconds / 1_000_000_000_000)
    }
    /// The duration in whole milliseconds, truncated toward zero, saturating.
    public var milliseconds: Int64 { microseconds / 1_000 }
}

extension Int64 {
    /// Quotient rounded toward negative infinity. `divisor` must be positive.
    public func floorDivide(_ divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
    /// Remainder of `floorDivide`, in 0 ..< divisor. `divisor` must be positive.
    public func floorRemainder(_ divisor: Int64) -> Int64 {
        let remainder = self % divisor
        return remainder < 0 ? remainder + divisor : remainder
    }
    public func saturatingAdd(_ other: Int64) -> Int64 {
        let (value, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : value
    }
    public func saturatingSubtract(_ other: Int64) -> Int64 {
        let (value, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : value
    }
    public func saturatingMultiply(_ other: Int64) -> Int64 {
        let (value, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? ((self < 0) == (other < 0) ? .max : .min) : value
    }
}
