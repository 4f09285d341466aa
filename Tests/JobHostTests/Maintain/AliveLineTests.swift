import JobCore
import Testing

@testable import JobHost

@Suite("The line that says that the host is alive")
struct AliveLineTests {
    private func instant(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }
    private func status(_ problems: String...) -> AliveLine.Status {
        .init(jobs: 18, running: 3, waiting: 1, generation: 2, problems: problems)
    }

    @Test("It says what there is, and what ended since the line before or the start, not what ended ever")
    func since() {
        var line = AliveLine(ended: AttemptCount(ended: 1_000_000, failed: 500), now: instant(0))
        #expect(line.text(status(), ended: AttemptCount(ended: 1_001_204, failed: 503), now: MonotonicInstant(microseconds: 300_000_821))
            == "alive: 18 jobs, 3 running, 1 waiting, generation 2; in 5m 1204 attempts ended, 3 of them as failures")
        #expect(line.text(status(), ended: AttemptCount(ended: 1_001_205, failed: 503), now: instant(600))
            == "alive: 18 jobs, 3 running, 1 waiting, generation 2; in 5m 1 attempt ended")
    }

    @Test("It names the first thing that is wrong and how many there are; counters of a job that was forgotten do not make it lie")
    func problems() {
        var line = AliveLine(ended: AttemptCount(ended: 10, failed: 10), now: instant(0))
        #expect(line.text(status("the store is away", "b", "c"), ended: AttemptCount(ended: 3, failed: 0), now: instant(1))
            == "alive: 18 jobs, 3 running, 1 waiting, generation 2; in 1s 0 attempts ended; the store is away (and 2 more)")
    }
}
