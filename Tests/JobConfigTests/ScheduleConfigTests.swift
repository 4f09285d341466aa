import JobConfig
import JobCore
import Testing

@Suite struct ScheduleConfigTests {
    @Test func eachFormOfScheduleIsRead() throws {
        #expect(try loadJob("").schedule == nil)
        #expect(try loadJob("schedule = \"none\"").schedule == ScheduleSpec.none)
        #expect(try loadJob("every = \"250ms\"").schedule == .every(.milliseconds(250), phase: .zero))
        #expect(try loadJob("every = { interval = \"10s\", phase = \"2s\" }").schedule == .every(.seconds(10), phase: .seconds(2)))
        #expect(try loadJob("every = { interval = \"10s\", after = \"finish\" }").schedule == .afterFinish(.seconds(10)))
        #expect(try loadJob("adaptive = { min = \"1s\", max = \"1m\" }").schedule == .adaptive(min: .seconds(1), max: .seconds(60)))
        #expect(
            try loadJob("cron = \"*/5 * * * *\"\ntimezone = \"Europe/Berlin\"").schedule
                == .cron(try CronExpression("*/5 * * * *"), timeZone: "Europe/Berlin"))
        let newYear = ScheduleSpec.once(Instant(seconds: 1_798_761_600))
        #expect(try loadJob("at = \"2027-01-01T00:00:00Z\"").schedule == newYear)
        #expect(try loadJob("at = 2027-01-01T01:00:00+01:00").schedule == newYear)
        #expect(try loadJob("at = 2027-01-01 00:00:00\ntimezone = \"UTC\"").schedule == newYear)
        #expect(try loadJob("at = \"2027-01-01 00:00\"").schedule == newYear)
    }

    @Test func aLocalInstantIsOfItsZone() throws {
        let files = ["/etc/host/jobs.toml": job("at = \"2026-07-01T09:00:00\"\ntimezone = \"Europe/Berlin\"")]
        let config = try ConfigLoader.load(file: "jobs.toml", environment: [:], zones: SystemZones(environment: [:]), machine: machine(files))
        #expect(config.jobs["j"]?.schedule == .once(try #require(Instant(rfc3339: "2026-07-01T07:00:00Z"))))
    }

    @Test(arguments: [
        ("every = \"1s\"\ncron = \"* * * * *\"", "jobs.toml:7:1: 'every' and 'cron' say when this job is due; only one may"),
        ("every = \"1s\"\nschedule = \"none\"\nat = \"x\"", "jobs.toml:8:1: 'every', 'at' and 'schedule' say when this job is due; only one may"),
        ("every = \"100us\"", #"jobs.toml:6:9: 'every' must be a duration, 1ms … 366d, or a table, found the string "100us""#),
        ("every = 10", #"jobs.toml:6:9: 'every' must be a duration, 1ms … 366d, or a table, found the integer 10 (write the unit: "10s")"#),
        ("every = { after = \"finish\" }", #"jobs.toml:6:9: 'every' lacks 'interval' (as in every = { interval = "10s", after = "finish" })"#),
        ("every = { interval = \"1s\", phase = \"1s\" }", "jobs.toml:6:36: 'phase' 1s must be less than the interval 1s"),
        ("every = { interval = \"1s\", phase = \"0s\", after = \"finish\" }", "jobs.toml:6:28: 'phase' has no effect with after = \"finish\" (remove it)"),
        ("every = { interval = \"1s\", after = \"start\" }", #"jobs.toml:6:36: 'after' must be "finish", found the string "start""#),
        ("adaptive = { min = \"1m\", max = \"1s\" }", "jobs.toml:6:32: 'max' 1s must be above 'min' 1m"),
        ("adaptive = { min = \"1m\" }", #"jobs.toml:6:12: 'adaptive' lacks 'max' (as in adaptive = { min = "1s", max = "1m" })"#),
        ("schedule = \"never\"", #"jobs.toml:6:12: 'schedule' must be "none", found the string "never""#),
        ("after = \"other\"", "jobs.toml:6:9: there is no job 'other' (allowed: j)"),
        ("after = \"j\"", "jobs.toml:6:9: jobs wait for each other in a circle: j → j"),
        ("cron = \"* * * * *\"\ntimezone = \"Europe/Berln\"", "jobs.toml:7:12: the time zone \"Europe/Berln\" is not in the system's tz database, did you mean \"Europe/Berlin\"?"),
        ("at = \"2027-02-30T00:00:00Z\"", #"jobs.toml:6:6: 'at' must be a date-time, RFC 3339 in a string or TOML's own, found the string "2027-02-30T00:00:00Z" (as in "2027-01-01T00:00:00Z")"#),
    ])
    func anImpossibleScheduleIsRefused(lines: String, message: String) {
        #expect(findings(job(lines)) == [message])
    }

    @Test func aCronErrorStandsAtTheExpression() throws {
        for text in ["*/61 * * * *", "0 0 30 2 *", "@reboot", "1,,2 * * * *", ""] {
            let found = findings(job("cron = \"\(text)\""))
            #expect(found.count == 1)
            #expect(try #require(found.first).hasPrefix("jobs.toml:6:8: 'cron': "))
        }
    }

    @Test func jobsThatWaitInACircleAreRefusedOnce() {
        func waiting(_ name: String, _ other: String) -> String { "[jobs.\(name)]\nplugin = \"a\"\nentry = \"e\"\nafter = \"\(other)\"\n" }
        let text = "[plugins.a]\nlibrary = \"libA.so\"\n" + waiting("x", "y") + waiting("y", "z") + waiting("z", "y")
        #expect(findings(text) == ["jobs.toml:10:9: jobs wait for each other in a circle: y → z → y"])
    }

    @Test(arguments: [
        ("", ScheduleSpec.none), ("none", .none), ("every 10s", .every(.seconds(10), phase: .zero)),
        ("every 10s phase 3s", .every(.seconds(10), phase: .seconds(3))), ("every 1m after finish", .afterFinish(.seconds(60))),
        ("adaptive 1s 1m", .adaptive(min: .seconds(1), max: .seconds(60))), ("at 1970-01-01T00:00:01Z", .once(Instant(seconds: 1))),
    ])
    func theDefaultScheduleOfAnEntryIsRead(text: String, spec: ScheduleSpec) throws {
        #expect(try ScheduleSpec(defaultText: text, zones: FewZones()) == spec)
    }

    @Test(arguments: [
        ("cron 0 * * * * *", "0 * * * * *", "UTC"), ("cron 0 0 9 * * MON", "0 0 9 * * MON", "UTC"),
        ("cron 0 9 * * MON UTC", "0 9 * * MON", "UTC"), ("cron 0 0 9 * * MON-FRI Europe/Berlin", "0 0 9 * * MON-FRI", "Europe/Berlin"),
        ("cron @daily", "@daily", "UTC"), ("cron @daily America/New_York", "@daily", "America/New_York"),
    ])
    func aDefaultCronMayNameAZone(text: String, expression: String, zone: String) throws {
        #expect(try ScheduleSpec(defaultText: text, zones: FewZones()) == .cron(try CronExpression(expression), timeZone: zone))
    }

    @Test(arguments: [
        "every", "every 10", "every 10s phase 10s", "every 0s", "adaptive 2s 1s", "cron", "cron * * *", "cron 0 9 * * * Europe/Berln",
        "cron 0 9 * * Europe/Berln", "at tomorrow", "sometimes", "after x",
    ])
    func aBadDefaultScheduleIsRefused(text: String) {
        let error = #expect(throws: ConfigError.self) { try ScheduleSpec(defaultText: text, zones: FewZones()) }
        #expect(error?.message == "the default schedule \"\(text)\" is not valid")
        #expect(error?.hint != nil && error?.isOfHost == false)
    }

    @Test("A default schedule with a word that is a zone, or may be one, whose file the host cannot read now is not said to be wrong", arguments: [
        "cron 0 9 * * * Europe/Berlin", "cron 0 9 * * MON CET", "cron 0 0 9 * * MON",
    ])
    func aDefaultScheduleIsNotWrongForAZoneThatCannotBeRead(text: String) {
        struct Short: ZoneSource {
            func zone(named name: String) throws(ZoneError) -> Zone { throw .unreadable(name: name, reason: "too many open files") }
        }
        let error = #expect(throws: ConfigError.self) { try ScheduleSpec(defaultText: text, zones: Short()) }
        #expect(error?.isOfHost == true && error?.description.contains("too many open files") == true, "\(String(describing: error))")
        #expect(error?.message.contains("not valid") == false)
    }
}

@Suite struct CalendarConfigTests {
    private func calendar(_ lines: String, files: [String: String] = [:]) throws -> CalendarConfig {
        try #require(try load("[calendars.c]\n" + lines, files: files).calendars["c"])
    }

    @Test func weekdaysAreNamedAloneInRangesAndInLists() throws {
        let week = try calendar("sessions = { sat-sun = \"10:00-12:00\", \"mon,wed\" = [\"09:00-11:00\", \"12:00-18:30\"], Friday = [] }").calendar.weekly
        #expect(week.map(\.count) == [1, 2, 0, 2, 0, 0, 1])
        #expect(week[3] == [.init(open: 32_400, close: 39_600), .init(open: 43_200, close: 66_600)])
        #expect(try calendar("sessions = { all = \"00:00-24:00\" }").calendar.weekly.allSatisfy { $0 == [.init(open: 0, close: 86_400)] })
        #expect(try calendar("sessions = { fri-mon = \"18:00-17:00\" }").calendar.weekly.map(\.count) == [1, 1, 0, 0, 0, 1, 1])
    }

    @Test func aCalendarMayLiveInAFileOfItsOwn() throws {
        let file = "timezone = \"Europe/Berlin\"\nsessions = { mon-fri = [\"09:00-17:30\"] }\nholidays = [2026-12-25, \"2026-12-26\"]\nhalf_days = { \"2026-12-24\" = [\"09:00-11:00\"] }\n"
        let calendar = try calendar("file = \"xetra.toml\"", files: ["/etc/host/xetra.toml": file])
        #expect(calendar.timezone == "Europe/Berlin")
        #expect(calendar.calendar.holidays.count == 2)
        #expect(calendar.calendar.halfDays.values.map { "\($0)" }.first?.hasPrefix("sessions(") == true)
        #expect(
            findings("[calendars.c]\nfile = \"x.toml\"\n", files: ["/etc/host/x.toml": "sessions = { mun = \"1-2\" }\n"])
                == ["x.toml:1:14: 'mun' names no weekdays (as in mon, mon-fri, \"mon,wed\" or all)"])
    }

    @Test(arguments: [
        ("", "jobs.toml:1:1: [calendars.c] lacks 'sessions' (as in sessions = { mon-fri = [\"09:30-16:00\"] })"),
        ("sessions = { mon = [\"9:30-16:00\"] }", "jobs.toml:2:21: a session must be a string such as \"09:30-16:00\", found the string \"9:30-16:00\""),
        ("sessions = { mon-wed = \"09:00-10:00\", tue = \"11:00-12:00\" }", "jobs.toml:2:39: 'sessions' has tue twice"),
        ("sessions = {}", "jobs.toml:2:12: a calendar without sessions is never open (as in sessions = { mon-fri = [\"09:30-16:00\"] })"),
        ("sessions = { all = \"09:00-10:00\" }\nholidays = [2026-12-25, 5]", "jobs.toml:3:25: a holiday must be a date such as 2026-12-25, found the integer 5"),
        ("sessions = { all = \"09:00-10:00\" }\nhalf_days = { 2026-12-24 = \"25:00\" }", "jobs.toml:3:28: a half day must be a time such as \"13:00\", or sessions, found the string \"25:00\""),
        ("sessions = { all = \"09:00-10:00\" }\nhalf_days = { xmas = \"13:00\" }", "jobs.toml:3:15: 'xmas' is no date such as 2026-11-27"),
        ("sessions = { all = \"09:00-10:00\" }\ntimezone = \"Mars\"", "jobs.toml:3:12: the time zone \"Mars\" is not in the system's tz database"),
        ("file = \"x.toml\"\ntimezone = \"UTC\"", "jobs.toml:3:1: 'file' is there too: 'timezone' belongs into the file"),
    ])
    func aBadCalendarIsRefused(lines: String, message: String) {
        let found = findings("[calendars.c]\n" + lines + "\n", files: ["/etc/host/x.toml": "sessions = { all = \"09:00-10:00\" }\n"])
        #expect(found == [message])
    }
}
