import Glibc
import JobCore
import JobJSON
import JobTestKit
import Testing

@testable import JobHost

/// What is kept of a run's output, and how it is read.
@Suite(.timeLimit(.minutes(5))) struct RunLogTests {
    static let at = Instant(seconds: 1_735_689_600)

    private func line(_ text: String) -> LogLine { LogLine(at: Self.at, level: .info, stream: .stdout, text: text) }

    @Test(arguments: [
        ("plain", #""plain""#), (#"a "quoted" \ word"#, #""a \"quoted\" \\ word""#), ("tab\tnewline\n", #""tab\tnewline\n""#),
        ("\u{1}\u{7f}", #""\u0001\u007f""#), ("Zürich — 東京", #""Zürich — 東京""#), ("", #""""#),
    ])
    func textIsEscapedAsJSON(text: String, json: String) {
        #expect(
            String(decoding: line(text).json(), as: UTF8.self)
                == #"{"t":1735689600000000,"level":"info","stream":"stdout","text":"# + json + "}\n")
    }

    @Test("Each line of a run says which, also the one that the host puts in for what it left out")
    func whose() throws {
        let run = LoggedRun(RunID(41), job: #"mint "fast""#)
        let whole = #"{"t":1735689600000000,"job":"mint \"fast\"","run":41,"level":"info","stream":"stdout","text":"hi"}"#
        #expect(String(decoding: line("hi").json(of: run), as: UTF8.self) == whole + "\n")
        var budget = LogBudget(of: run)
        for _ in 0..<3_000 { _ = budget.add(line(String(repeating: "x", count: 1_000)).json(of: run)) }
        let kept = budget.takeReady() + budget.takeTail(now: Self.at)
        for line in kept.split(separator: UInt8(ascii: "\n")) {
            #expect(try JSON(parsing: Array(line)).objectValue?["run"]?.int64Value == 41)
        }
        #expect(String(decoding: kept, as: UTF8.self).contains("bytes left out"))
    }

    @Test func brokenUTF8IsRepaired() throws {
        let zero = LogLine(at: Self.at, level: .info, stream: .stdout, text: [0x61, 0x00, 0x62]).json()
        #expect(try JSON(parsing: zero).objectValue?["text"]?.stringValue == "a␀b")
        let broken = LogLine(at: Self.at, level: .error, stream: .stderr, text: [0x61, 0xff, 0x62])
        #expect(String(validating: broken.json(), as: UTF8.self)?.contains("a\u{fffd}b") == true)
    }

    @Test(arguments: [
        (#"{ "a" : [ 1, -2.5e+3 , true, null ], "b" : {"c": "d\n\u00e9"} }"#, #"{"a":[1,-2.5e+3,true,null],"b":{"c":"d\n\u00e9"}}"#),
        ("{}", "{}"),
        ("{\n}\n", "{}"),
    ])
    func fieldsAreOneCompactObject(fields: String, compact: String) {
        #expect(JSONText.compactObject(Array(fields.utf8)) == Array(compact.utf8))
    }

    @Test(arguments: [
        "", "1", "[]", "{", "}", "{}{}", #"{"a"}"#, #"{"a":}"#, #"{"a":01}"#, #"{"a":1,}"#, #"{"a":"\x"}"#, #"{"a":"\u12"}"#,
        "{\"a\":\"\n\"}", #"{"a":tru}"#, #"{a:1}"#, #"{"a":.5}"#, #"{"a":-}"#,
        String(repeating: #"{"a":"#, count: 40) + "1" + String(repeating: "}", count: 40),
    ])
    func fieldsThatAreNoObjectAreKeptAsText(fields: String) {
        #expect(JSONText.compactObject(Array(fields.utf8)) == nil)
        guard !fields.isEmpty else { return }
        let line = LogLine(at: Self.at, level: .info, stream: .log, text: "x", fields: Array(fields.utf8))
        #expect(String(decoding: line.json(), as: UTF8.self).contains(#""fields":{"invalid":""#))
        #expect(line.json().count { $0 == UInt8(ascii: "\n") } == 1)
    }

    @Test func randomFieldsNeverBreakALine() {
        var random = Seeded(3)
        let alphabet = Array(#"{}[]":,\u0e1.-tfn "#.utf8) + [0xff, 0x0a]
        for _ in 0..<20_000 {
            let bytes = [UInt8(ascii: "{")] + (0..<random.below(12)).map { _ in random.one(of: alphabet) }
            let line = LogLine(at: Self.at, level: .info, stream: .log, text: "x", fields: bytes).json()
            #expect(line.count { $0 == UInt8(ascii: "\n") } == 1)
        }
    }

    @Test func headAndTailAreKeptAndTheGapIsSaid() {
        var budget = LogBudget()
        let line = [UInt8](repeating: 0x61, count: 1_024)
        var written = 0
        for _ in 0..<2_048 where budget.add(line) { written += budget.takeReady().count }
        #expect(written == 512 << 10)
        #expect(budget.leftOut == 1 << 20)
        let tail = budget.takeTail(now: Self.at)
        #expect(String(decoding: tail.prefix(200), as: UTF8.self).contains("… 1048576 bytes left out …"))
        #expect(tail.count > 512 << 10 && tail.count < (512 << 10) + 200)
    }

    @Test func aShortLogIsWhole() {
        var budget = LogBudget()
        let isDue = budget.add([1, 2, 3])
        let (head, tail) = (budget.takeReady(), budget.takeTail(now: Self.at))
        #expect(isDue)
        #expect(head == [1, 2, 3])
        #expect(tail == [])
    }

    @Test func aLogIsReadInPiecesOfWholeLinesToItsEnd() throws {
        let folder = TemporaryFolder()
        let logs = try RunLogs(stateDir: folder.path)
        for number in 1...100 { logs.append(run: RunID(7), job: "candles", line("line \(number)")) }
        #expect(!logs.read(job: "candles", run: RunID(7), from: 0, limit: 100).ended)
        logs.close(run: RunID(7))
        logs.shutdown()
        var offset: Int64 = 0
        var lines = 0
        while true {
            let slice = logs.read(job: "candles", run: RunID(7), from: offset, limit: 250)
            #expect(slice.bytes.isEmpty || slice.bytes.last == UInt8(ascii: "\n"))
            lines += slice.bytes.count { $0 == UInt8(ascii: "\n") }
            offset = slice.next
            if slice.ended { break }
        }
        #expect(lines == 100)
        #expect(access(folder.path + "/logs/candles/7.log", R_OK) == 0)
    }

    @Test func aSecondAttemptGoesOnInTheSameFile() throws {
        let folder = TemporaryFolder()
        let logs = try RunLogs(stateDir: folder.path)
        for attempt in 1...2 {
            logs.append(run: RunID(7), job: "a", line("attempt \(attempt)"))
            logs.close(run: RunID(7))
        }
        logs.shutdown()
        let log = text(logs, job: "a", run: 7)
        #expect(log.contains("attempt 1") && log.contains("attempt 2"))
    }

    @Test func aRunOfVeryManyAttemptsDoesNotFillTheDisk() throws {
        let folder = TemporaryFolder()
        try #require(mkdir(folder.path + "/logs", 0o755) == 0 && mkdir(folder.path + "/logs/a", 0o755) == 0)
        try write([UInt8](repeating: 0x0a, count: RunLogs.rotateAt), to: folder.path + "/logs/a/7.log")
        let logs = try RunLogs(stateDir: folder.path)
        logs.append(run: RunID(7), job: "a", line("attempt 1000"))
        logs.close(run: RunID(7))
        logs.shutdown()
        #expect(text(logs, job: "a", run: 7).hasSuffix(#""text":"attempt 1000"}"# + "\n"))
        #expect(text(logs, job: "a", run: 7).utf8.count < 200)
        #expect(access(folder.path + "/logs/a/7.log.1", R_OK) == 0)
    }

    @Test func noRunNoFile() throws {
        let folder = TemporaryFolder()
        let logs = try RunLogs(stateDir: folder.path)
        logs.close(run: RunID(1))
        let slice = logs.read(job: "a", run: RunID(1), from: 0, limit: 10)
        #expect(slice.bytes == [] && slice.ended)
        logs.shutdown()
        #expect(access(folder.path + "/logs", F_OK) != 0)
    }

    @Test func removedLogsAreGone() throws {
        let folder = TemporaryFolder()
        let logs = try RunLogs(stateDir: folder.path)
        logs.append(run: RunID(1), job: "a", line("x"))
        logs.close(run: RunID(1))
        logs.remove(job: "a", run: RunID(1))
        logs.shutdown()
        #expect(access(folder.path + "/logs/a/1.log", F_OK) != 0)
    }

    @Test(arguments: [
        ("candles-1m", "candles-1m"), ("a.b_c", "a.b_c"), ("..", "%2E."), ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        ("_workers", "%5Fworkers"), ("", "%"), ("a\0b", "a%00b"), ("é", "%C3%A9"),
    ])
    func aNameIsOnePathComponent(name: String, component: String) {
        #expect(RunLogs.component(name) == component)
    }

    @Test func outputBetweenRunsIsRotatedOnce() throws {
        let folder = TemporaryFolder()
        let logs = try RunLogs(stateDir: folder.path)
        let long = String(repeating: "x", count: 8_000)
        for _ in 0..<400 { logs.appendBetweenRuns(plugin: "deposits", line(long)) }
        logs.shutdown()
        let path = folder.path + "/logs/_workers/deposits.log"
        var info = stat()
        #expect(stat(path, &info) == 0)
        #expect(Int(info.st_size) <= RunLogs.betweenLimit * 5 / 4 + 200)
    }

    @Test func linesAreCutOutOfPiecesOfAnySize() {
        let text = "one\r\n\ntwo\nthree" + String(repeating: "x", count: 20_000) + "\nlast"
        var expected: [[UInt8]] = []
        for seed in UInt64(0)...50 {
            var random = Seeded(seed)
            var splitter = LineSplitter()
            var lines: [[UInt8]] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                let piece = rest.prefix(seed == 0 ? rest.count : 1 + random.below(9_000))
                splitter.split(Array(piece)) { lines.append($0) }
                rest = rest.dropFirst(piece.count)
            }
            splitter.flush { lines.append($0) }
            if seed == 0 { expected = lines }
            #expect(lines == expected, "seed \(seed)")
        }
        #expect(expected.prefix(3).map { String(decoding: $0, as: UTF8.self) } == ["one", "", "two"])
        #expect(expected.last == Array("last".utf8))
        #expect(expected.allSatisfy { $0.count <= LineSplitter.longest })
    }

    @Test func theThrottleGivesItsRateAndNoMore() {
        let clock = ManualClock()
        var throttle = Throttle(bytesPerSecond: 8 << 20, burst: 1 << 20, now: clock.now().monotonic)
        var read = 0
        for _ in 0..<10_000 {
            let allowed = throttle.allowance(clock.now().monotonic)
            throttle.spend(min(allowed, 65_536))
            read += min(allowed, 65_536)
            clock.advance(by: .milliseconds(1))
        }
        #expect(abs(read - (80 << 20)) <= 2 << 20)
        throttle.spend(throttle.allowance(clock.now().monotonic))
        let rest = throttle.allowance(clock.now().monotonic)
        #expect(rest == 0)
        let resume = throttle.resumeAt
        #expect(resume > clock.now().monotonic)
        let later = throttle.allowance(resume)
        #expect(later >= 1 << 17)
    }
}
