import JobCore
import Testing

@testable import ExchangeKit

@Suite struct IntervalTests {
    private func instant(_ text: String) throws -> Int64 { try #require(Instant(rfc3339: text)?.milliseconds) }
    private func bucket(_ interval: CandleInterval, _ text: String, _ day: TradingDay = .utc) throws -> [String] {
        let bucket = interval.bucket(containing: try instant(text), day)
        return [Instant(milliseconds: bucket.open).rfc3339, Instant(milliseconds: bucket.close).rfc3339]
    }

    @Test(arguments: [
        (CandleInterval.minute, "2024-02-29T13:47:00Z", "2024-02-29T13:48:00Z"),
        (.fiveMinutes, "2024-02-29T13:45:00Z", "2024-02-29T13:50:00Z"),
        (.fifteenMinutes, "2024-02-29T13:45:00Z", "2024-02-29T14:00:00Z"),
        (.halfHour, "2024-02-29T13:30:00Z", "2024-02-29T14:00:00Z"),
        (.hour, "2024-02-29T13:00:00Z", "2024-02-29T14:00:00Z"),
        (.fourHours, "2024-02-29T12:00:00Z", "2024-02-29T16:00:00Z"),
        (.day, "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
        (.week, "2024-02-26T00:00:00Z", "2024-03-04T00:00:00Z"),
        (.month, "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
    ])
    func bucketsInUTC(_ interval: CandleInterval, _ open: String, _ close: String) throws {
        #expect(try bucket(interval, "2024-02-29T13:47:30Z") == [open, close])
    }

    @Test func weeksOpenOnMonday() throws {
        #expect(try bucket(.week, "2025-03-09T23:59:59Z") == ["2025-03-03T00:00:00Z", "2025-03-10T00:00:00Z"])
        #expect(try bucket(.week, "2025-03-10T00:00:00Z") == ["2025-03-10T00:00:00Z", "2025-03-17T00:00:00Z"])
        #expect(try bucket(.week, "1969-12-31T00:00:00Z") == ["1969-12-29T00:00:00Z", "1970-01-05T00:00:00Z"])
    }

    @Test func bucketsBefore1970() throws {
        #expect(try bucket(.fiveMinutes, "1969-12-31T23:59:59Z") == ["1969-12-31T23:55:00Z", "1970-01-01T00:00:00Z"])
        #expect(try bucket(.month, "1969-12-31T23:59:59Z") == ["1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z"])
    }

    @Test func namesAreCaseSensitive() {
        #expect(CandleInterval(rawValue: "1m") == .minute)
        #expect(CandleInterval(rawValue: "1M") == .month)
        #expect(CandleInterval(rawValue: "1H") == nil)
        #expect(CandleInterval.allCases.map(\.rawValue) == ["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "1M"])
    }

    @Test func aDayFrom17InNewYorkIsNamedAfterTheDateItEndsOn() throws {
        let day = try TradingDay(parsing: "17:00 America/New_York")
        // Summer: 21:00Z. Friday 17:00 opens Saturday's, Sunday 17:00 Monday's and the week.
        #expect(try bucket(.day, "2025-07-13T20:59:59Z", day) == ["2025-07-12T21:00:00Z", "2025-07-13T21:00:00Z"])
        #expect(try bucket(.week, "2025-07-13T21:00:00Z", day) == ["2025-07-13T21:00:00Z", "2025-07-20T21:00:00Z"])
        #expect(try bucket(.month, "2025-06-30T21:00:00Z", day) == ["2025-06-30T21:00:00Z", "2025-07-31T21:00:00Z"])
        #expect(try bucket(.month, "2025-06-30T20:59:59Z", day) == ["2025-05-31T21:00:00Z", "2025-06-30T21:00:00Z"])
    }

    @Test func daysAreShorterAndLongerWhereClocksChange() throws {
        let day = try TradingDay(parsing: "17:00 America/New_York")
        #expect(try bucket(.day, "2025-03-09T12:00:00Z", day) == ["2025-03-08T22:00:00Z", "2025-03-09T21:00:00Z"])
        #expect(try bucket(.day, "2025-11-02T12:00:00Z", day) == ["2025-11-01T21:00:00Z", "2025-11-02T22:00:00Z"])
    }

    @Test func aDayFromAMorningHourKeepsItsDate() throws {
        let day = try TradingDay(parsing: "09:00 Asia/Tokyo")
        #expect(try bucket(.week, "2025-03-09T23:59:59Z", day) == ["2025-03-03T00:00:00Z", "2025-03-10T00:00:00Z"])
        #expect(try bucket(.day, "2025-03-09T23:59:59Z", day) == ["2025-03-09T00:00:00Z", "2025-03-10T00:00:00Z"])
    }

    /// 02:30 does not exist in Berlin on 2025-03-30, and exists twice on 2025-10-26.
    @Test func aBeginningInTheGapOrTheRepeatedHour() throws {
        let day = try TradingDay(parsing: "02:30 Europe/Berlin")
        #expect(try bucket(.day, "2025-03-30T05:00:00Z", day)[0] == "2025-03-30T01:00:00Z")
        #expect(try bucket(.day, "2025-10-26T05:00:00Z", day)[0] == "2025-10-26T00:30:00Z")
    }

    @Test(arguments: ["UTC", "17:00 America/New_York", "02:30 Europe/Berlin", "00:00 America/Santiago", "15:15 Australia/Lord_Howe"])
    func bucketsTileTime(_ text: String) throws {
        let day = try TradingDay(parsing: text)
        var random = SeededGenerator(seed: 4)
        for interval in CandleInterval.allCases {
            for _ in 0 ..< 300 {
                let instant = Int64.random(in: -2_000_000_000_000 ... 4_000_000_000_000, using: &random)
                let bucket = interval.bucket(containing: instant, day)
                #expect(bucket.open <= instant && instant < bucket.close)
                #expect(interval.bucket(containing: bucket.open, day) == bucket)
                #expect(interval.bucket(containing: bucket.close - 1, day) == bucket)
                #expect(interval.bucket(containing: bucket.close, day).open == bucket.close)
            }
        }
    }

    @Test(arguments: ["", "17:00", "25:00 UTC", "24:00 UTC", "17:00 Mars/Olympus", "17:00 ../../etc/passwd", "utc"])
    func aBeginningThatIsNone(_ text: String) {
        #expect(throws: TradingDayError.self) { try TradingDay(parsing: text) }
    }
}
