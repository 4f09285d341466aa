import Testing
@testable import JobCore

@Suite struct ZoneTests {
    @Test func offsetsAndNamesAroundAClockChange() {
        let zone = SystemZones.newYork
        #expect(zone.offset(at: at("2025-03-09T06:59:59Z")) == -18_000)
        #expect(zone.offset(at: at("2025-03-09T07:00:00Z")) == -14_400)
        #expect(zone.abbreviation(at: at("2025-03-09T06:59:59Z")) == "EST")
        #expect(zone.abbreviation(at: at("2025-03-09T07:00:00Z")) == "EDT")
        #expect(zone.civil(at: at("2025-03-09T07:00:00Z")).description == "2025-03-09 03:00:00")
        #expect(zone.nextTransition(after: at("2025-03-09T06:59Z"))?.instant == at("2025-03-09T07:00Z"))
        #expect(zone.nextTransition(after: at("2025-03-09T07:00Z"))?.instant == at("2025-11-02T06:00Z"))
        #expect(zone.lastTransition(atOrBefore: at("2025-03-09T07:00Z")).map { [$0.before, $0.after] } == [-18_000, -14_400])
    }

    @Test func theRuleOfTheFooterHoldsForCenturies() {
        // Second Sunday of March, first Sunday of November.
        for (spring, autumn) in [
            ("2050-03-13T07:00Z", "2050-11-06T06:00Z"), ("2100-03-14T07:00Z", "2100-11-07T06:00Z"),
            ("2444-03-13T07:00Z", "2444-11-06T06:00Z"), ("9999-03-14T07:00Z", "9999-11-07T06:00Z"),
        ] {
            #expect(SystemZones.newYork.nextTransition(after: at(spring) - .seconds(86_400))?.instant == at(spring))
            #expect(SystemZones.newYork.nextTransition(after: at(spring))?.instant == at(autumn))
        }
    }

    @Test func localTimesOccurOnceTwiceOrNever() {
        func local(_ text: String) -> CivilTime {
            CivilTime(date: CivilDate(String(text.prefix(10)))!, hour: Int(text.dropFirst(11).prefix(2))!, minute: Int(text.suffix(2))!)!
        }
        let zone = SystemZones.newYork
        #expect(zone.instants(of: local("2025-03-09 01:30")) == .once(at("2025-03-09T06:30Z")))
        #expect(zone.instants(of: local("2025-03-09 02:30")) == .never(gapEnd: at("2025-03-09T07:00Z")))
        #expect(zone.instants(of: local("2025-03-09 03:00")) == .once(at("2025-03-09T07:00Z")))
        #expect(zone.instants(of: local("2025-11-02 01:30")) == .twice(first: at("2025-11-02T05:30Z"), last: at("2025-11-02T06:30Z")))
        #expect(SystemZones.apia.instants(of: local("2011-12-30 12:00")) == .never(gapEnd: at("2011-12-30T10:00Z")))
        #expect(Zone.utc.instants(of: local("2025-03-09 02:30")) == .once(at("2025-03-09T02:30Z")))
    }

    @Test func everyLocalTimeResolvesToInstantsThatShowIt() {
        var random = SeededGenerator(seed: 7)
        for name in SystemZones.names {
            let zone = SystemZones.zone(name)
            for _ in 0..<20 {
                let instant = Instant(seconds: Int64.random(in: -4_000_000_000...8_000_000_000, using: &random))
                switch zone.instants(of: zone.civil(at: instant)) {
                case .once(let found): #expect(found == instant, "\(name)")
                case .twice(let first, let last): #expect(first < last && [first, last].contains(instant), "\(name)")
                case .never: Issue.record("\(name): \(instant.rfc3339) shows a time that does not exist")
                }
            }
        }
    }

    // MARK: Files made by hand

    /// A version 2 file with these transitions; type 0 is LMT +1h, type 1 is TWO +2h.
    static func file(transitions: [(Int64, UInt8)] = [], footer: String = "", version: UInt8 = 0x32, leaps: UInt8 = 0) -> [UInt8] {
        func header(_ count: UInt8, _ types: UInt8, _ names: UInt8) -> [UInt8] {
            var bytes = Array("TZif".utf8) + [version] + [UInt8](repeating: 0, count: 15)
            for value in [0, 0, leaps, count, types, names] { bytes += [0, 0, 0, value] }
            return bytes
        }
        func big(_ value: Int64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) } }
        let first = header(0, 1, 4) + [0, 0, 0, 0, 0, 0] + Array("LMT\0".utf8)
        var second = header(UInt8(transitions.count), 2, 8)
        second += transitions.flatMap { big($0.0) } + transitions.map(\.1)
        second += [0, 0, 0x0E, 0x10, 0, 0] + [0, 0, 0x1C, 0x20, 1, 4] + Array("LMT\0TWO\0".utf8)
        return first + second + Array("\n\(footer)\n".utf8)
    }

    @Test(arguments: [
        // All-year daylight time, as RFC 9636 writes it.
        ("EST5EDT,0/0,J365/25", "2025-07-01T00:00Z", -14_400), ("EST5EDT,0/0,J365/25", "2025-12-31T23:00Z", -14_400),
        // Ireland's winter time is the daylight one, an hour behind.
        ("IST-1GMT0,M10.5.0,M3.5.0/1", "2025-01-01T00:00Z", 0), ("IST-1GMT0,M10.5.0,M3.5.0/1", "2025-07-01T00:00Z", 3_600),
        // Hours beyond the day, before and after it.
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2025-03-30T00:59Z", -7_200), ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2025-03-30T01:00Z", -3_600),
        ("IST-2IDT,M3.4.4/26,M10.5.0", "2025-03-27T23:59Z", 7_200), ("IST-2IDT,M3.4.4/26,M10.5.0", "2025-03-28T00:00Z", 10_800),
        ("AAA0BBB,M1.1.0/167,M6.1.0", "2025-01-11T22:59Z", 0), ("AAA0BBB,M1.1.0/167,M6.1.0", "2025-01-11T23:00Z", 3_600),
        // Jn never counts 29 February, n does.
        ("AAA0BBB,J60/0,J300", "2024-03-01T00:00Z", 3_600), ("AAA0BBB,J60/0,J300", "2024-02-29T23:59Z", 0),
        ("AAA0BBB,59/0,J300", "2024-02-29T00:00Z", 3_600), ("AAA0BBB,59/0,J300", "2025-03-01T00:00Z", 3_600),
        ("<+0545>-5:45", "2025-03-01T00:00Z", 20_700), ("ABC-1:02:03", "2025-03-01T00:00Z", 3_723),
    ]) func footer(rule: String, instant: String, offset: Int) throws {
        let zone = try Zone(name: "Test", tzif: Self.file(transitions: rule.contains(",") ? [(0, 1)] : [], footer: rule))
        #expect(zone.offset(at: at(instant)) == offset)
    }

    @Test func daylightTimeAllYearIsNoClockChange() throws {
        let zone = try Zone(name: "Test", tzif: Self.file(footer: "EST5EDT,0/0,J365/25"))
        #expect(zone.nextTransition(after: at("2025-01-02T00:00Z")) == nil)
        #expect(fires("30 2 * * *", zone, after: "2025-12-31T12:00Z", count: 2) == ["2026-01-01T06:30:00Z", "2026-01-02T06:30:00Z"])
    }

    @Test func withoutAFooterTheLastOffsetStays() throws {
        let zone = try Zone(name: "Test", tzif: Self.file(transitions: [(1_000, 1)]))
        #expect(zone.offset(at: Instant(seconds: 999)) == 3_600)
        #expect(zone.offset(at: .distantFuture) == 7_200)
        #expect(zone.nextTransition(after: Instant(seconds: 1_000)) == nil)
    }

    @Test(arguments: [
        (Array("nonsense".utf8), "it does not start with \"TZif\""), ([], "it is cut off"),
        (file(transitions: [(5, 1), (5, 0)]), "its transitions are not in order"),
        (file(transitions: [(5, 2)]), "a transition names a local time type that is not there"),
        (file(leaps: 1), "it does not start with \"TZif\""),
        (file(footer: "EST5EDT"), "its rule for the future cannot be read"), (file(footer: "E5"), "its rule for the future cannot be read"),
        (file(footer: "EST99"), "its rule for the future cannot be read"), (file(footer: "EST5EDT,M13.1.0,M1.1.0"), "its rule for the future cannot be read"),
        (file(footer: "EST5EDT,J0,J5"), "its rule for the future cannot be read"), (file(footer: "EST5EDT,J1/168,J5"), "its rule for the future cannot be read"),
        (Array(file().dropLast()), "its footer is cut off"),
    ] as [([UInt8], String)]) func damagedFile(bytes: [UInt8], reason: String) {
        #expect(throws: ZoneError.malformed(name: "Test", reason: reason)) { try Zone(name: "Test", tzif: bytes) }
    }

    @Test func zonesThatCountLeapSecondsAreRefused() throws {
        #expect(throws: ZoneError.malformed(name: "right/UTC", reason: "it counts leap seconds, which POSIX time does not")) {
            var bytes = Self.file()
            // The second header's count of leap seconds.
            bytes[44 + 10 + 31] = 1
            _ = try Zone(name: "right/UTC", tzif: bytes)
        }
    }

    @Test func damagedBytesAreAnErrorOrAZoneThatAnswers() {
        var random = SeededGenerator(seed: 0xBAD)
        let intact = [SystemZones.bytes("America/New_York"), SystemZones.bytes("Africa/Casablanca"), Self.file(transitions: [(0, 1)], footer: "EST5EDT,M3.2.0,M11.1.0")]
        var refused = 0
        for round in 0..<3_000 {
            var bytes = intact[round % intact.count]
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if round % 5 == 0 { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
            guard let zone = try? Zone(name: "X", tzif: bytes) else {
                refused += 1
                continue
            }
            let instant = Instant(microseconds: Int64.random(in: .min ... .max, using: &random))
            #expect(abs(zone.offset(at: instant)) < 26 * 3_600)
            _ = zone.instants(of: zone.civil(at: instant))
            let from = Instant(seconds: Int64.random(in: 0...4_000_000_000, using: &random))
            for text in ["30 2 * * *", "*/15 1-2 * * *"] {
                #expect(cron(text).next(after: from, in: zone).map { $0 > from } == true)
            }
        }
        #expect(refused > 500)
    }

    @Test func equalFilesOfOneNameAreOneZone() {
        #expect(SystemZones.zone("Europe/Berlin") == SystemZones.berlin)
        #expect(SystemZones.berlin != SystemZones.newYork)
        #expect(Set([SystemZones.zone("Europe/Berlin"), SystemZones.berlin]).count == 1)
    }
}
