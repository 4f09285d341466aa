import Glibc
import Testing

@testable import JobHost

/// Days of the pure core. `JOBHOST_DAY=SEED` repeats all of a day of 1,000 jobs (`scripts/soak days` has thousands of
/// them), `JOBHOST_DAY=SEED,JOBS,MINUTES` a smaller one.
@Suite("A busy day, whatever goes wrong") struct BusyDayTests {
    private static let named = getenv("JOBHOST_DAY").map { String(cString: $0) }

    private func hold(_ scenario: SimulatedWorld.Scenario) {
        if let failure = SimulatedWorld.failure(scenario) { Issue.record("\(failure)") }
    }

    @Test("The day that JOBHOST_DAY names", .enabled(if: named != nil))
    func again() throws { hold(try #require(Self.named.flatMap { SimulatedWorld.day(named: $0) }, "JOBHOST_DAY is SEED or SEED,JOBS,MINUTES")) }

    @Test("The first hours of a thousand jobs with every kind of fault: each due time once, breakers and trials of libraries by their rules, nothing forgotten", .enabled(if: named == nil))
    func busy() { hold(SimulatedWorld.day(3, minutes: 4 * 60)) }

    @Test("Two hundred smaller days, each from its seed", .enabled(if: named == nil))
    func many() async {
        for seed in 1...200 as ClosedRange<UInt64> {
            hold(SimulatedWorld.day(seed, jobs: 10, minutes: 4 * 60))
            // Others wait for the thread.
            await Task.yield()
        }
    }

    @Test("A day is named by its seed, or by seed, jobs and minutes; anything else names none")
    func names() {
        for scenario in [SimulatedWorld.day(7), SimulatedWorld.day(7, jobs: 20, minutes: 90)] {
            let name = SimulatedWorld.again(scenario).split(separator: " ")[0].dropFirst("JOBHOST_DAY=".count)
            let again = SimulatedWorld.day(named: String(name))
            #expect(again?.seed == 7 && again?.jobs == scenario.jobs && again?.steps == scenario.steps && again?.faults == scenario.faults)
        }
        for text in ["", "x", "1,2", "1,2,3,4", "1,0,5", "1,2,999999999999"] { #expect(SimulatedWorld.day(named: text) == nil, "\(text)") }
    }
}
