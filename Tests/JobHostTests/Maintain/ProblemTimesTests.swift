import JobCore
import Testing

@testable import JobHost

struct ProblemTimesTests {
    private func at(_ seconds: Int64) -> Instant { Instant(seconds: 1_000_000 + seconds) }
    private func problem(_ kind: HostProblem.Kind, _ text: String, subject: String = "") -> HostProblem { HostProblem(kind: kind, subject: subject, text: text) }

    @Test func whatLastsKeepsItsBeginningHoweverItIsTold() {
        var times = ProblemTimes()
        let first = times.dated([problem(.other, "pool a: down", subject: "pool a")], now: at(0))
        #expect(first.map(\.since) == [at(0)])
        let later = times.dated([problem(.other, "pool a: down (3 times)", subject: "pool a"), problem(.other, "pool b: down", subject: "pool b")], now: at(9))
        #expect(later.map(\.since) == [at(0), at(9)])
        #expect(later[0].text == "pool a: down (3 times)")
    }

    @Test func whatWasOverBeginsAnew() {
        var times = ProblemTimes()
        _ = times.dated([problem(.store, "away")], now: at(0))
        #expect(times.dated([], now: at(5)) == [])
        #expect(times.dated([problem(.store, "away")], now: at(60)).map(\.since) == [at(60)])
    }

    @Test func aKnownInstantIsTakenAndNoneIsInTheFuture() {
        var times = ProblemTimes()
        var reload = problem(.reload, "refused")
        reload.since = at(-50)
        #expect(times.dated([reload, problem(.clock, "jumped")], now: at(0)).map(\.since) == [at(-50), at(0)])
        // The clock was set back.
        #expect(times.dated([problem(.clock, "jumped")], now: at(-3_600)).map(\.since) == [at(-3_600)])
    }
}
