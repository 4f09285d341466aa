import JobCore

/// The length of a candle. Names are case-sensitive: `1m` is a minute, `1M` a month.
public enum CandleInterval: String, CaseIterable, Codable, Comparable, Sendable {
    case minute = "1m"
    case fiveMinutes = "5m"
    case fifteenMinutes = "15m"
    case halfHour = "30m"
    case hour = "1h"
    case fourHours = "4h"
    case day = "1d"
    case week = "1w"
    case month = "1M"

    /// In milliseconds; nil where the calendar decides.
    public var fixedLength: Int64? {
        switch self {
        case .minute: 60_000
        case .fiveMinutes: 300_000
        case .fifteenMinutes: 900_000
        case .halfHour: 1_800_000
        case .hour: 3_600_000
        case .fourHours: 14_400_000
        case .day, .week, .month: nil
        }
    }

    public static func < (a: Self, b: Self) -> Bool { a.rank < b.rank }
    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    /// The bucket `[open, close)` that an instant falls into.
    /// - Parameter instant: milliseconds since 1970 UTC, within `TradingDay.instants`.
    public func bucket(containing instant: Int64, _ day: TradingDay) -> Bucket {
        if let length = fixedLength {
            let open = instant - instant.floorRemainder(length)
            return Bucket(open: open, close: open + length)
        }
        let date = day.date(at: instant)
        let (first, next) = dates(around: date)
        return Bucket(open: day.open(of: first), close: day.open(of: next))
    }

    /// The first trading date of the day, week or month of `date`, and that of the next one,
    /// in days since 1970-01-01.
    private func dates(around date: Int64) -> (first: Int64, next: Int64) {
        switch self {
        case .week:
            // 1970-01-01 was a Thursday; weeks open on Monday.
            let monday = date - (date + 3).floorRemainder(7)
            return (monday, monday + 7)
        case .month:
            let civil = CivilDate(daysSinceEpoch: date)
            let first = date - Int64(civil.day - 1)
            // No month is longer than 31 days, so 31 days after its first is in the next one.
            let next = first + 31
            return (first, next - Int64(CivilDate(daysSinceEpoch: next).day - 1))
        default:
            return (date, date + 1)
        }
    }
}

/// `[open, close)` in milliseconds since 1970 UTC.
public struct Bucket: Hashable, Sendable {
    public var open: Int64
    public var close: Int64
    public init(open: Int64, close: Int64) {
        self.open = open
        self.close = close
    }
}
