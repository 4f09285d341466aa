import Glibc
import JobCore
import NearestName
import Synchronization

/// The system's tz database: the files below `$TZDIR` or /usr/share/zoneinfo. Zones are read
/// once and kept; an update of the database counts from the next start. Any thread.
public final class SystemZones: ZoneSource {
    private let folder: String
    /// Only what was found: names are the database's, so they do not grow without end, and
    /// what is missing may be installed before the next reload.
    private let cache = Mutex<[String: Zone]>([:])

    /// `folder`: absolute.
    public init(folder: String) { self.folder = folder }

    /// From the environment of the process: `TZDIR`, if it is absolute.
    public convenience init(environment: [String: String]) {
        let folder = environment["TZDIR"] ?? ""
        self.init(folder: folder.hasPrefix("/") ? folder : "/usr/share/zoneinfo")
    }

    public func zone(named name: String) throws(ZoneError) -> Zone {
        if let known = cache.withLock({ $0[name] }) { return known }
        let zone = try read(name)
        cache.withLock { $0[name] = zone }
        return zone
    }

    private func read(_ name: String) throws(ZoneError) -> Zone {
        // UTC is there without any database.
        if name == "UTC" { return .utc }
        guard SystemZones.isZoneName(name) else { throw .unknown(name: printable(shownName(name)), nearest: nearestName(name, among: names())) }
        let bytes: [UInt8]
        do {
            bytes = try readWholeFile(folder + "/" + name, limit: 1 << 20)
        } catch {
            if error.isOfHost { throw .unreadable(name: name, reason: error.reason) }
            throw .unknown(name: printable(shownName(name)), nearest: nearestName(name, among: names()))
        }
        return try Zone(name: name, tzif: bytes)
    }

    /// "Area/Place": letters, digits, `_ - +`, parts that do not begin with a dot. So no name
    /// leads out of the folder.
    private static func isZoneName(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.count <= 100 else { return false }
        return name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty
                && part.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                        UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "+"):
                        true
                    default: false
                    }
                }
        }
    }

    /// All names of the database, sorted, for suggestions and completion; empty when it is
    /// not installed. Reads `tzdata.zi` or the tables beside the zones, not the whole tree.
    public func names() -> [String] {
        var found: Set<String> = ["UTC"]
        for table in ["tzdata.zi", "zone1970.tab", "zone.tab"] {
            guard let bytes = try? readWholeFile(folder + "/" + table, limit: 4 << 20) else { continue }
            let text = String(decoding: bytes, as: UTF8.self)
            for line in text.split(separator: "\n") {
                if let name = table == "tzdata.zi" ? SystemZones.zoneOfRule(line) : SystemZones.zoneOfTable(line) { found.insert(name) }
            }
            if table == "tzdata.zi" { break }
        }
        return found.sorted()
    }

    /// `Z Europe/Berlin 0:53:28 …` and `L Europe/Berlin Arctic/Longyearbyen` (zic's short form).
    private static func zoneOfRule(_ line: Substring) -> String? {
        let words = line.split(separator: " ", maxSplits: 3)
        if words.count >= 2, words[0] == "Z" { return String(words[1]) }
        if words.count == 3, words[0] == "L" { return String(words[2]) }
        return nil
    }

    /// `DE<tab>+5230+01322<tab>Europe/Berlin<tab>…`
    private static func zoneOfTable(_ line: Substring) -> String? {
        let words = line.split(separator: "\t")
        return words.count >= 3 && !line.hasPrefix("#") ? String(words[2]) : nil
    }
}
