import Foundation
@testable import JobCore

/// The machine's tz database, for tests only: the host reads it elsewhere.
enum SystemZones {
    static let folder = "/usr/share/zoneinfo"

    static func bytes(_ name: String) -> [UInt8] {
        guard let bytes = FileManager.default.contents(atPath: "\(folder)/\(name)") else {
            fatalError("the tests need \(folder)/\(name)")
        }
        return Array(bytes)
    }

    static func zone(_ name: String) -> Zone {
        do { return try Zone(name: name, tzif: bytes(name)) } catch { fatalError("\(error)") }
    }

    /// Every zone that the database lists, sorted.
    static let names: [String] = {
        let table = FileManager.default.contents(atPath: "\(folder)/zone1970.tab") ?? Data()
        let listed = String(decoding: table, as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("#") }
            .compactMap { $0.split(separator: "\t").dropFirst(2).first.map(String.init) }
        return listed.sorted()
    }()

    static let newYork = zone("America/New_York")
    static let berlin = zone("Europe/Berlin")
    static let santiago = zone("America/Santiago")
    static let lordHowe = zone("Australia/Lord_Howe")
    static let apia = zone("Pacific/Apia")
}

/// `2025-03-09T07:00Z` or any RFC 3339 text.
func at(_ text: String) -> Instant {
    let full = text.hasSuffix("Z") && text.utf8.count == 17 ? String(text.dropLast()) + ":00Z" : text
    guard let instant = Instant(rfc3339: full) else { fatalError("not an instant: \(text)") }
    return instant
}

func cron(_ text: String) -> CronExpression {
    do { return try CronExpression(text) } catch { fatalError("\(error)") }
}

/// The next `count` fires, as RFC 3339.
func fires(_ text: String, _ zone: Zone, after: String, count: Int) -> [String] {
    let expression = cron(text)
    var instant = at(after)
    var fires: [String] = []
    while fires.count < count, let next = expression.next(after: instant, in: zone) {
        fires.append(next.rfc3339)
        instant = next
    }
    return fires
}
