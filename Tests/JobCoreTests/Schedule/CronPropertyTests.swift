import Testing
@testable import JobCore

/// Against the oracle and against themselves: random expressions, every zone of the tz database.
@Suite struct CronPropertyTests {
    /// Around the clock changes of one year, to the minute.
    @Test func firesAreThoseOfTheOracleInEveryZone() throws {
        var random = SeededGenerator(seed: 0x0C10C)
        var compared = 0
        for name in SystemZones.names {
            let zone = SystemZones.zone(name)
            let from = Instant(seconds: Int64.random(in: 0...4_000_000_000, using: &random))
            guard let change = zone.nextTransition(after: from), (change.after - change.before) % 60 == 0,
                change.instant.secondsFloor % 60 == 0, change.before % 60 == 0
            else { continue }
            for _ in 0..<3 {
                let oracle = CronOracle(&random, withSeconds: false)
                compared += try compare(oracle, zone, around: change.instant.secondsFloor, days: 2, step: 60)
            }
        }
        #expect(compared > 1_000)
    }

    @Test func secondsAreThoseOfTheOracleToo() throws {
        var random = SeededGenerator(seed: 0x5EC)
        for name in ["America/New_York", "Australia/Lord_Howe", "America/Santiago", "Europe/Dublin", "Africa/Casablanca", "Pacific/Apia"] {
            let zone = SystemZones.zone(name)
            var instant = at("2005-01-01T00:00Z")
            for _ in 0..<4 {
                guard let change = zone.nextTransition(after: instant) else { break }
                let oracle = CronOracle(&random, withSeconds: true)
                _ = try compare(oracle, zone, around: change.instant.secondsFloor, days: 0, step: 1)
                instant = change.instant
            }
        }
    }

    /// next, previous and count all have to name the same fires. Returns how many there were.
    private func compare(_ oracle: CronOracle, _ zone: Zone, around change: Int64, days: Int64, step: Int64) throws -> Int {
        guard let expression = try? CronExpression(oracle.text) else {
            Issue.record("refused: \(oracle.text)")
            return 0
        }
        let start = change - days * 86_400 - 3 * 3_600
        let end = change + days * 86_400 + 3 * 3_600
        let expected = oracle.fires(after: start, upTo: end, step: step, in: zone)
        var found: [Int64] = []
        var instant = Instant(seconds: start)
        while let next = expression.next(after: instant, in: zone), next.secondsFloor <= end {
            try #require(next > instant)
            found.append(next.secondsFloor)
            instant = next
        }
        let comment: Comment = "\(oracle.text) in \(zone.name) around \(Instant(seconds: change).rfc3339)"
        #expect(found == expected, comment)
        var backward: [Int64] = []
        instant = Instant(seconds: end)
        while let previous = expression.previous(atOrBefore: instant, in: zone), previous.secondsFloor > start {
            backward.append(previous.secondsFloor)
            instant = previous - .microseconds(1)
        }
        #expect(backward.reversed() == expected, comment)
        #expect(expression.count(after: Instant(seconds: start), upTo: Instant(seconds: end), in: zone) == Int64(expected.count), comment)
        return expected.count
    }

    /// Rule 8, and what it takes for a cursor to be trusted.
    @Test func theNextFireIsLaterAndTheSameFromEveryInstantBeforeIt() throws {
        var random = SeededGenerator(seed: 8)
        for name in SystemZones.names {
            let zone = SystemZones.zone(name)
            for _ in 0..<5 {
                let expression = try CronExpression(CronOracle(&random, withSeconds: Bool.random(using: &random)).text)
                let start = Instant(microseconds: Int64.random(in: -3_000_000_000_000_000...9_000_000_000_000_000, using: &random))
                let first = try #require(expression.next(after: start, in: zone))
                let second = try #require(expression.next(after: first, in: zone))
                #expect(start < first && first < second)
                let between = Instant(microseconds: Int64.random(in: first.microseconds..<second.microseconds, using: &random))
                #expect(expression.next(after: between, in: zone) == second)
                #expect(expression.previous(atOrBefore: between, in: zone) == first)
                #expect(expression.next(after: first - .microseconds(1), in: zone) == first)
                #expect(expression.count(after: start, upTo: between, in: zone) == 1)
            }
        }
    }

    @Test func countsOfDecadesAddUp() throws {
        var random = SeededGenerator(seed: 99)
        for name in ["UTC", "America/New_York", "Asia/Tehran", "Africa/Casablanca", "Antarctica/Troll"] {
            let zone = SystemZones.zone(name)
            for _ in 0..<40 {
                let expression = try CronExpression(CronOracle(&random, withSeconds: true).text)
                let points = (0..<3).map { _ in Instant(seconds: Int64.random(in: -4_000_000_000...6_000_000_000, using: &random)) }.sorted()
                let parts = expression.count(after: points[0], upTo: points[1], in: zone) + expression.count(after: points[1], upTo: points[2], in: zone)
                #expect(parts == expression.count(after: points[0], upTo: points[2], in: zone), "\(expression.text) in \(name)")
            }
        }
        #expect(cron("* * * * * *").count(after: at("2000-01-01T00:00Z"), upTo: at("2100-01-01T00:00Z"), in: .utc) == 3_155_760_000)
        #expect(cron("0 0 29 2 *").count(after: at("1970-01-01T00:00Z"), upTo: at("2370-01-01T00:00Z"), in: .utc) == 97)
    }

    @Test func theEndsOfTimeAreNoTrap() {
        for text in ["* * * * * *", "0 0 29 2 */7", "30 2 * * *", "@yearly"] {
            for zone in [Zone.utc, SystemZones.newYork, SystemZones.lordHowe] {
                let expression = cron(text)
                #expect(expression.next(after: .distantFuture, in: zone) == nil)
                #expect(expression.previous(atOrBefore: .distantPast, in: zone) == nil)
                #expect(expression.next(after: .distantPast, in: zone).map { $0 > .distantPast } == true)
                #expect(expression.previous(atOrBefore: .distantFuture, in: zone).map { $0 < .distantFuture } == true)
                #expect(expression.count(after: .distantPast, upTo: at("2026-01-01T00:00Z"), in: zone) > 9_000)
            }
        }
    }
}
