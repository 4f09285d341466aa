import JobCore
import JobStore
import Testing

@testable import JobHost

@Suite("Progress that other hosts are told") struct ToldProgressTests {
    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }
    private func row(_ done: UInt64) -> RunProgress {
        RunProgress(run: RunID(1), fence: 7, startedAt: .epoch, pid: 42, done: done, total: 10)
    }

    @Test("what has moved is told at once, what has not once a minute, and that nothing runs any more once")
    func eachMinute() {
        var (told, times) = (ToldProgress(), [Int64]())
        for second in stride(from: Int64(100), to: 400, by: 2) {
            let rows = second >= 300 ? [] : [row(second >= 230 ? 5 : 1)]
            guard told.lacks(rows, now: at(second)) else { continue }
            told = ToldProgress(rows: rows, at: at(second))
            times.append(second)
        }
        #expect(times == [100, 160, 220, 230, 290, 300])
    }
}
