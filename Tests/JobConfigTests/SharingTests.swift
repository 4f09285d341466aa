import Testing

@testable import JobConfig
@testable import JobCore

/// Thousands of jobs are kept by several at a time: what they have in common is there once.
@Suite("What jobs share") struct SharingTests {
    private func jobs(_ lines: [String]) throws -> [JobConfig] {
        let names = lines.indices.map { "j\($0)" }
        let tables = zip(names, lines).map { "[jobs.\($0)]\nplugin = \"a\"\nentry = \"e\"\n\($1)\n" }
        let config = try load("[plugins.a]\nlibrary = \"libA.so\"\n" + tables.joined())
        return try names.map { try #require(config.jobs[$0]) }
    }

    @Test func aCopyCostsTwoPointers() {
        #expect(MemoryLayout<JobConfig>.size == 2 * MemoryLayout<UnsafeRawPointer>.size)
    }

    @Test func equalLimitsAreKeptOnce() throws {
        let some = try jobs(["every = \"1h\"\ntimeout = \"7s\"", "every = \"2h\"\ntimeout = \"7s\"", "every = \"1h\"\ntimeout = \"8s\""])
        #expect(some[0].limits.box === some[1].limits.box)
        #expect(some[0].limits.box !== some[2].limits.box)
        #expect(some.map(\.timeout) == [.seconds(7), .seconds(7), .seconds(8)])
    }

    @Test func settingAPartOfOneLeavesTheOthers() throws {
        var some = try jobs(["every = \"1h\"", "every = \"1h\""])
        some[0].retry.maxAttempts = 9
        some[0].description = "the first"
        #expect(some[0].retry.maxAttempts == 9 && some[0].description == "the first")
        #expect(some[1].retry.maxAttempts == 4 && some[1].description.isEmpty)
    }

    /// Each has a table of some hundred bytes, and reading it takes longer than all else of a job.
    @Test func equalCronRulesAreKeptOnce() throws {
        let rule = "cron = \"0 3 * * MON-FRI\"\ntimezone = \"Europe/Berlin\""
        let some = try jobs([rule, rule, "cron = \"0 3 * * MON-FRI\"", "cron = \"0 4 * * MON-FRI\"\ntimezone = \"Europe/Berlin\""])
        let tables = some.map { job in
            if case .cron(let expression, _)? = job.schedule { expression.calendar.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) } } else { 0 as UInt }
        }
        #expect(tables[0] == tables[1])
        #expect(Set(tables).count == 3)
        #expect(some.map(\.schedule) == [
            .cron(try CronExpression("0 3 * * MON-FRI"), timeZone: "Europe/Berlin"), .cron(try CronExpression("0 3 * * MON-FRI"), timeZone: "Europe/Berlin"),
            .cron(try CronExpression("0 3 * * MON-FRI"), timeZone: "UTC"), .cron(try CronExpression("0 4 * * MON-FRI"), timeZone: "Europe/Berlin"),
        ])
    }
}
