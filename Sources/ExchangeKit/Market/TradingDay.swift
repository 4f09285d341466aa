import Glibc
import JobCore

/// When a market's day begins: at midnight UTC, or at a local time such as 17:00 in New York.
///
/// A day that begins at noon or later is named after the date on which it ends, as on the
/// currency markets: what begins on Sunday at 17:00 in New York is Monday's, and so the
/// first day of its week; what begins on the last evening of a month opens the next month.
public struct TradingDay: Hashable, Sendable {
    /// As it was written: "UTC", "17:00 America/New_York".
    public let text: String
    private let secondOfDay: Int64
    private let zone: Zone?
    private let daysAhead: Int64

    /// Instants that buckets are computed for, milliseconds since 1970 UTC: the years 1900 to 9999.
    public static let instants: ClosedRange<Int64> = -2_208_988_800_000 ... 253_402_300_799_999

    public static let utc = TradingDay(text: "UTC", secondOfDay: 0, zone: nil)

    private init(text: String, secondOfDay: Int, zone: Zone?) {
        self.text = text
        self.secondOfDay = Int64(secondOfDay)
        self.zone = zone
        daysAhead = secondOfDay >= 43_200 ? 1 : 0
    }

    /// "UTC", "17:00 America/New_York", "17:00 UTC".
    public init(parsing text: String, zones: some ZoneSource = SystemZones()) throws(TradingDayError) {
        if text == "UTC" {
            self = .utc
            return
        }
        let words = text.split(separator: " ")
        guard words.count == 2, let second = CivilTime.secondOfDay(String(words[0])), second < 86_400 else {
            throw TradingDayError(text: text, reason: "write \"UTC\" or a time and a zone, \"17:00 America/New_York\"")
        }
        do {
            let zone = try zones.zone(named: String(words[1]))
            self.init(text: text, secondOfDay: second, zone: zone)
        } catch {
            throw TradingDayError(text: text, reason: error.description)
        }
    }

    /// The trading date of an instant (milliseconds), in days since 1970-01-01.
    public func date(at instant: Int64) -> Int64 {
        guard let zone else { return instant.floorDivide(86_400_000) }
        let utc = instant.floorDivide(1_000)
        let local = utc + Int64(zone.offset(at: Instant(seconds: utc)))
        var date = (local - secondOfDay).floorDivide(86_400) + daysAhead
        // Where the clock was changed between the day's beginning and the instant.
        while open(of: date) > instant { date -= 1 }
        while open(of: date + 1) <= instant { date += 1 }
        return date
    }

    /// When a trading date opens, in milliseconds. A local time that the clock jumped over is
    /// taken at the end of the jump, a repeated one at its first occurrence.
    public func open(of date: Int64) -> Int64 {
        let local = (date - daysAhead) * 86_400 + secondOfDay
        guard let zone else { return local * 1_000 }
        switch zone.instants(of: CivilTime(localSeconds: local)) {
        case .once(let instant), .twice(let instant, _), .never(let instant): return instant.milliseconds
        }
    }
}

public struct TradingDayError: Error, Hashable, Sendable, CustomStringConvertible {
    public var text: String
    public var reason: String
    public var description: String { "day_start \"\(text)\": \(reason)" }
}

/// The system's tz database.
public struct SystemZones: ZoneSource {
    public init() {}

    public func zone(named name: String) throws(ZoneError) -> Zone {
        if name == "UTC" { return .utc }
        // A name, never a way out of the folder.
        let plain = name.utf8.count <= 64 && !name.hasPrefix("/") && !name.hasPrefix(".") && !name.contains("..")
            && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "/_+-".contains($0)) }
        guard plain, !name.isEmpty, let bytes = readFile("/usr/share/zoneinfo/" + name, limit: 1 << 20) else {
            throw ZoneError.unknown(name: name, nearest: nil)
        }
        return try Zone(name: name, tzif: bytes)
    }
}

/// A small file's bytes; nil: not there, not readable, not a file, or longer than `limit`.
public func readFile(_ path: String, limit: Int) -> [UInt8]? {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: limit + 1)
    let count = bytes.withUnsafeMutableBytes { fread($0.baseAddress, 1, $0.count, file) }
    guard ferror(file) == 0, count <= limit else { return nil }
    return Array(bytes[..<count])
}
