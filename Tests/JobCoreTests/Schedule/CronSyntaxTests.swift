import Testing
@testable import JobCore

@Suite struct CronSyntaxTests {
    /// Fires from 2025-01-01T00:00Z (a Wednesday) on, in UTC.
    @Test(arguments: [
        ("5-5 0 * * *", ["2025-01-01T00:05:00Z", "2025-01-02T00:05:00Z"]),
        ("5/15 0 * * *", ["2025-01-01T00:05:00Z", "2025-01-01T00:20:00Z", "2025-01-01T00:35:00Z", "2025-01-01T00:50:00Z", "2025-01-02T00:05:00Z"]),
        ("0 22-2 * * *", ["2025-01-01T01:00:00Z", "2025-01-01T02:00:00Z", "2025-01-01T22:00:00Z", "2025-01-01T23:00:00Z", "2025-01-02T00:00:00Z"]),
        ("0 22-2/2 * * *", ["2025-01-01T02:00:00Z", "2025-01-01T22:00:00Z", "2025-01-02T00:00:00Z"]),
        ("0 0 ? * FRI-MON", ["2025-01-03T00:00:00Z", "2025-01-04T00:00:00Z", "2025-01-05T00:00:00Z", "2025-01-06T00:00:00Z", "2025-01-10T00:00:00Z"]),
        ("0 0 * * 5-7", ["2025-01-03T00:00:00Z", "2025-01-04T00:00:00Z", "2025-01-05T00:00:00Z", "2025-01-10T00:00:00Z"]),
        ("0 0 * * 7-2", ["2025-01-05T00:00:00Z", "2025-01-06T00:00:00Z", "2025-01-07T00:00:00Z", "2025-01-12T00:00:00Z"]),
        ("0 0 * * 7", ["2025-01-05T00:00:00Z", "2025-01-12T00:00:00Z"]),
        ("0 0 * * sun", ["2025-01-05T00:00:00Z", "2025-01-12T00:00:00Z"]),
        ("0 0 L * *", ["2025-01-31T00:00:00Z", "2025-02-28T00:00:00Z", "2025-03-31T00:00:00Z"]),
        ("0 0 L-3 * *", ["2025-01-28T00:00:00Z", "2025-02-25T00:00:00Z"]),
        ("0 0 L-30 * *", ["2025-03-01T00:00:00Z", "2025-05-01T00:00:00Z"]),
        ("0 0 LW * *", ["2025-01-31T00:00:00Z", "2025-02-28T00:00:00Z", "2025-03-31T00:00:00Z", "2025-04-30T00:00:00Z", "2025-05-30T00:00:00Z"]),
        ("0 0 15W * *", ["2025-01-15T00:00:00Z", "2025-02-14T00:00:00Z", "2025-03-14T00:00:00Z", "2025-04-15T00:00:00Z", "2025-05-15T00:00:00Z", "2025-06-16T00:00:00Z"]),
        ("0 0 1W 2,3,6 *", ["2025-02-03T00:00:00Z", "2025-03-03T00:00:00Z", "2025-06-02T00:00:00Z"]),
        ("0 0 31W 1,2,8 *", ["2025-01-31T00:00:00Z", "2025-08-29T00:00:00Z", "2026-01-30T00:00:00Z"]),
        ("0 0 1,L * *", ["2025-01-31T00:00:00Z", "2025-02-01T00:00:00Z", "2025-02-28T00:00:00Z"]),
        ("0 0 * * 5L", ["2025-01-31T00:00:00Z", "2025-02-28T00:00:00Z", "2025-03-28T00:00:00Z"]),
        ("0 0 * * FRIL", ["2025-01-31T00:00:00Z", "2025-02-28T00:00:00Z", "2025-03-28T00:00:00Z"]),
        ("0 0 * * MON#2", ["2025-01-13T00:00:00Z", "2025-02-10T00:00:00Z", "2025-03-10T00:00:00Z"]),
        ("0 0 * * 7#1,3#5", ["2025-01-05T00:00:00Z", "2025-01-29T00:00:00Z", "2025-02-02T00:00:00Z"]),
        ("0 0 29 2 *", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("0 0 13 * FRI", ["2025-01-03T00:00:00Z", "2025-01-10T00:00:00Z", "2025-01-13T00:00:00Z"]),
        ("0 0 */13 * FRI", ["2025-02-14T00:00:00Z", "2025-03-14T00:00:00Z", "2025-06-27T00:00:00Z"]),
        ("0 0 13 * */5", ["2025-04-13T00:00:00Z", "2025-06-13T00:00:00Z", "2025-07-13T00:00:00Z"]),
        ("@hourly", ["2025-01-01T01:00:00Z", "2025-01-01T02:00:00Z"]),
        ("@daily", ["2025-01-02T00:00:00Z"]), ("@midnight", ["2025-01-02T00:00:00Z"]),
        ("@weekly", ["2025-01-05T00:00:00Z", "2025-01-12T00:00:00Z"]),
        ("@monthly", ["2025-02-01T00:00:00Z"]), ("@yearly", ["2026-01-01T00:00:00Z"]), ("@Annually", ["2026-01-01T00:00:00Z"]),
        ("*/20 * * * * *", ["2025-01-01T00:00:20Z", "2025-01-01T00:00:40Z", "2025-01-01T00:01:00Z"]),
        ("59 59 23 31 DEC ?", ["2025-12-31T23:59:59Z", "2026-12-31T23:59:59Z"]),
        ("0 0 1 nov-feb *", ["2025-02-01T00:00:00Z", "2025-11-01T00:00:00Z", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"]),
    ] as [(String, [String])])
    func meaning(text: String, expected: [String]) {
        #expect(fires(text, .utc, after: "2025-01-01T00:00Z", count: expected.count) == expected)
    }

    @Test func theRarestDateIsFoundAcrossACenturyWithoutLeapDay() {
        // 29 February on a Sunday: 2088 was a leap year's Sunday, 2100 has no leap day.
        #expect(fires("0 0 29 2 */7", .utc, after: "2025-01-01T00:00Z", count: 4)
            == ["2032-02-29T00:00:00Z", "2060-02-29T00:00:00Z", "2088-02-29T00:00:00Z", "2128-02-29T00:00:00Z"])
        #expect(cron("0 0 29 2 */7").previous(atOrBefore: at("2128-02-28T00:00Z"), in: .utc) == at("2088-02-29T00:00Z"))
    }

    @Test(arguments: [
        ("*/61 * * * *", "the minute field has \"*/61\": the step 61 is larger than the field, allowed are 1-60 (for an interval that is not part of an hour write every = \"61m\" instead of cron)"),
        ("*/120 * * * *", "the minute field has \"*/120\": the step 120 is larger than the field, allowed are 1-60 (every 2 hours is */2 in the hour field)"),
        ("*/0 * * * *", "the minute field has \"*/0\": the step is 0 (leave the step out for every value)"),
        ("1#6 * * * *", "the minute field has \"1#6\": \"1#6\" is not a value, allowed are 0-59"),
        ("0 0 * * 1#6", "the day-of-week field has \"1#6\": a month has no \"1#6\", allowed after # are 1-5 (the last one is written 1L)"),
        ("1,,2 * * * *", "the minute field has \"1,,2\": an item of the list is empty (remove the extra comma)"),
        ("0 0 0 * * * 2027", "the cron expression has \"0 0 0 * * * 2027\": it has 7 fields, allowed are 5 (minute, hour, day of month, month, day of week) or 6 (second first) (a year cannot be given; for one date write at = \"2027-01-01T00:00:00Z\")"),
        ("0 0 * *", "the cron expression has \"0 0 * *\": it has 4 fields, allowed are 5 (minute, hour, day of month, month, day of week) or 6 (second first)"),
        ("", "the cron expression has \"\": it has 0 fields, allowed are 5 (minute, hour, day of month, month, day of week) or 6 (second first) (every minute is * * * * *)"),
        ("0 0 30 2 *", "the cron expression has \"0 0 30 2 *\": it can never fire, no year has such a day (FEB has at most 29 days; the last day of a month is L)"),
        ("0 0 31 4,6 *", "the cron expression has \"0 0 31 4,6 *\": it can never fire, no year has such a day (APR, JUN have at most 30 days; the last day of a month is L)"),
        ("@reboot", "the cron expression has \"@reboot\": it is no time; allowed are @annually, @daily, @hourly, @midnight, @monthly, @weekly, @yearly (write on_start = true to run when the host starts)"),
        ("@every 5m", "the cron expression has \"@every 5m\": intervals are not cron (write every = \"5m\" instead of cron)"),
        ("@dayly", "the cron expression has \"@dayly\": there is no such shorthand; allowed are @annually, @daily, @hourly, @midnight, @monthly, @weekly, @yearly (did you mean @daily?)"),
        ("0 0 * * MOM", "the day-of-week field has \"MOM\": \"MOM\" is not a value, allowed are 0-7 (0 and 7 are Sunday), SUN-SAT, FRIL (the last Friday) and MON#2 (the second Monday) (did you mean 'MON'?)"),
        ("0 0 1 SEPT *", "the month field has \"SEPT\": \"SEPT\" is not a value, allowed are 1-12 and JAN-DEC (did you mean 'SEP'?)"),
        ("60 * * * *", "the minute field has \"60\": 60 is out of range, allowed are 0-59"),
        ("0 24 * * *", "the hour field has \"24\": 24 is out of range, allowed are 0-23 (midnight is hour 0)"),
        ("0 0 0 * *", "the day-of-month field has \"0\": 0 is out of range, allowed are 1-31, L, LW, L-n and nW"),
        ("0 0 * * L", "the day-of-week field has \"L\": L needs a weekday, as in FRIL (the last Friday) (Saturday is SAT, the last day of the month is L in the day-of-month field)"),
        ("0 0 L-31 * *", "the day-of-month field has \"L-31\": \"L-31\" is not a day before the last, allowed are L-1 to L-30"),
        ("0 0 32W * *", "the day-of-month field has \"32W\": \"32W\" is not a workday, allowed are 1W to 31W and LW"),
        ("1-2-3 * * * *", "the minute field has \"1-2-3\": \"1-2-3\" is not a range"),
        ("1/2/3 * * * *", "the minute field has \"1/2/3\": \"1/2/3\" has more than one step"),
        ("-5 * * * *", "the minute field has \"-5\": a value is missing, allowed are 0-59"),
        ("*5 * * * *", "the minute field has \"*5\": \"*5\" is not a value, allowed are 0-59 (a step is written */5)"),
    ])
    func refusal(text: String, sentence: String) {
        #expect { try CronExpression(text) } throws: { "\($0)" == sentence }
    }

    @Test func theTextIsKeptAsWrittenWithItsBlanksFolded() {
        #expect(cron("  0\t 9  *  *   mon-fri ").text == "0 9 * * mon-fri")
        #expect(cron("@Daily").text == "@Daily")
        #expect(cron("0 9 * * 1") == cron(" 0 9 * * 1 "))
    }

    @Test func quotedTextIsShortAndHarmless() {
        #expect { try CronExpression("\u{1B}[31m * * * *") } throws: { !"\($0)".unicodeScalars.contains("\u{1B}") }
        #expect { try CronExpression(String(repeating: "*", count: 100_000)) } throws: { "\($0)".count < 500 }
        #expect { try CronExpression(String(repeating: "a", count: 900) + " * * * *") } throws: { "\($0)".count < 1_000 }
    }

    @Test func randomTextIsReadOrRefusedAndNeverTraps() {
        var random = SeededGenerator(seed: 0xC405)
        let alphabet = Array("0123456789*/-,#?LW@MONFRIJA\u{00DF}\u{0301}")
        var accepted = 0
        for _ in 0..<20_000 {
            let fields = (0..<Int.random(in: 4...7, using: &random)).map { _ in
                Bool.random(using: &random) ? "*" : String((0..<[1, 1, 1, 3, 5].randomElement(using: &random)!).map { _ in alphabet.randomElement(using: &random)! })
            }
            guard let expression = try? CronExpression(fields.joined(separator: " ")) else { continue }
            accepted += 1
            let next = expression.next(after: .epoch, in: .utc)
            #expect(next.map { $0 > .epoch } == true, "\(expression.text)")
        }
        #expect(accepted > 100)
    }
}
