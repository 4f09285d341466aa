import Glibc
import Testing

@testable import JobHost

@Suite("A busy day, whatever goes wrong") struct BusyDayTests {
    /// The first hours of a day with every kind of fault; or all of the day that JOBHOST_DAY names. `scripts/soak days`
    /// has thousands of them.
    @Test("A day of a thousand jobs: each due time once, breakers and trials of libraries by their rules, nothing forgotten")
    func days() {
        let seed = getenv("JOBHOST_DAY").flatMap { UInt64(String(cString: $0)) }
        var scenario = SimulatedWorld.day(seed ?? 3)
        if seed == nil { scenario.steps = 4 * 60 }
        if let failure = SimulatedWorld.failure(scenario, again: "JOBHOST_DAY=\(scenario.seed) swift test --filter BusyDayTests") {
            Issue.record("\(failure)")
        }
    }
}
