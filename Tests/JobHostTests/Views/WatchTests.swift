import JobCore
import Testing

@testable import JobHost

/// `jobhost status` within the terminal that there is.
struct WatchTests {
    private let screen = Screen(width: 100, color: false, now: sampleNow)

    /// Healthy ones, and among the last of them one that fails.
    private var many: HostSnapshot {
        var jobs = (1...40).map { number in
            var job = Samples.healthy
            job.name = "job-\(number < 10 ? "0" : "")\(number)"
            return job
        }
        jobs[37].last = Samples.record(77, job: "job-38", state: .discarded, outcome: .failed, reason: "no route to the chain")
        return Samples.snapshot(jobs)
    }

    @Test(arguments: [4, 8, 12, 24, 46, 60])
    func statusKeepsWithinTheScreen(_ rows: Int) {
        let lines = StatusView(screen: screen).lines(API.Status(many), rows: rows)
        #expect(lines.count <= rows)
    }

    @Test func theWorstJobComesFirstAndTheRestIsCounted() {
        let lines = StatusView(screen: screen).lines(API.Status(many), rows: 12).map { $0.text(color: false) }
        #expect(lines.count == 12)
        #expect(lines[3] == "!  job-38  run 77 failed: no route to the chain. See: jobhost logs 77")
        #expect(lines[6].hasPrefix("✗  job-38"))
        #expect(lines[7].hasPrefix("●  job-01"))
        #expect(lines[11] == "… 35 more jobs")
    }

    @Test func whatFitsStaysInItsOrder() {
        let all = StatusView(screen: screen).lines(API.Status(many))
        #expect(StatusView(screen: screen).lines(API.Status(many), rows: all.count) == all)
        #expect(all.map { $0.text(color: false) }.filter { $0.contains("job-") && !$0.hasPrefix("!") }.count == 40)
    }

    @Test func problemsMakeRoomForTheTable() {
        let broken = (1...20).map { number in
            var job = Samples.broken
            job.name = "broken-\(number)"
            return job
        }
        let lines = StatusView(screen: screen).lines(API.Status(Samples.snapshot(broken)), rows: 20).map { $0.text(color: false) }
        #expect(lines.count == 20)
        #expect(lines.contains { $0.hasSuffix("more lines of problems") })
        #expect(lines.contains { $0.hasSuffix("more jobs") })
        #expect(lines.contains { $0.hasPrefix("✗  broken-1") })
    }

    @Test(arguments: [UInt8(ascii: "q"), UInt8(ascii: "Q"), 3, 4, 28])
    func aKeyEndsTheWatchAndTheTerminalIsPutBack(_ key: UInt8) async throws {
        try await withServer { _, socket, _ in
            let keyboard = ScriptedKeyboard([nil, UInt8(ascii: "x"), key])
            let spoken = await speak(["status", "--watch", "--socket", socket, "--no-color"], columns: 100, keyboard: keyboard)
            #expect(spoken.code == 0, "\(spoken.errors)")
            #expect(keyboard.called == ["begin", "end"])
            #expect(spoken.out.split(separator: "prod-1 · running").count == 3)
            #expect(spoken.out.hasSuffix("q ends\n"))
        }
    }

    @Test func aResizedTerminalIsDrawnAnew() async throws {
        try await withServer({ $0.edit { $0 = many } }) { _, socket, _ in
            let terminal = TextCapture(columns: 100, rows: 24)
            let keyboard = ScriptedKeyboard([nil, nil]) { left in
                if left == 1 { terminal.resize(columns: 60, rows: 10) }
            }
            _ = await speak(["status", "--watch", "--socket", socket, "--no-color"], keyboard: keyboard, screen: terminal)
            let pictures = terminal.written.split(separator: "\u{1B}[H\u{1B}[2J")
            #expect(pictures.count == 2)
            #expect(pictures[0].split(separator: "\n", omittingEmptySubsequences: false).count == 24)
            let second = try #require(pictures.last).split(separator: "\u{1B}[9F\u{1B}[J")
            #expect(second.count == 2)
            for picture in second {
                let lines = picture.split(separator: "\n", omittingEmptySubsequences: false)
                #expect(lines.count == 10)
                #expect(lines.allSatisfy { $0.count <= 60 })
            }
        }
    }
}
