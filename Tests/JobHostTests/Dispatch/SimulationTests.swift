import Glibc
import Testing

@testable import JobHost

/// Random stories, each from its seed. A failure prints the shortest story found that still
/// fails, and the one command that repeats it.
@Suite("Whatever happens, the promises hold") struct SimulationTests {
    static var seeds: [UInt64] {
        if let text = getenv("JOBHOST_SEED"), let seed = UInt64(String(cString: text)) { return [seed] }
        let count = getenv("JOBHOST_SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 300
        return Array(1...max(1, count))
    }

    @Test("Every due time is accounted for once, nothing runs that may not, and nothing is forgotten")
    func stories() async {
        for seed in Self.seeds {
            await Task.yield()
            guard let failure = SimulatedWorld.failure(SimulatedWorld.story(seed)) else { continue }
            Issue.record("\(failure)")
            return
        }
    }

    @Test("A fault that is planted is found within a few stories, told with the command that repeats it, and found again by that", arguments: PlantedFault.allCases)
    func planted(fault: PlantedFault) throws {
        func spoiled(_ scenario: SimulatedWorld.Scenario) -> SimulatedWorld.Scenario {
            var scenario = scenario
            scenario.planted = fault
            return scenario
        }
        // Every third has all kinds of trouble.
        let found = (1...20 as ClosedRange<UInt64>).lazy.map { seed in
            spoiled([.deafBreaker, .deafTrial].contains(fault) ? SimulatedWorld.day(seed * 3, jobs: 60, minutes: 12 * 60) : SimulatedWorld.story(seed * 3))
        }.first { SimulatedWorld.fails($0) }
        let scenario = try #require(found, "no story meets it")
        let told = try #require(SimulatedWorld.failure(scenario))
        #expect(fault.signs.contains { told.contains($0) }, "\(told)")
        #expect(told.hasSuffix("Again: \(SimulatedWorld.again(scenario))"), "\(told)")
        #expect(SimulatedWorld.failure(scenario) == told)
        var sound = scenario
        sound.planted = nil
        #expect(!SimulatedWorld.fails(sound), "it is the planted fault that is found")
    }

    @Test("The same story twice is the same story", arguments: [4, 33, 60])
    func repeats(seed: UInt64) {
        func tell() -> [String] {
            var world = SimulatedWorld(SimulatedWorld.story(seed))
            world.run()
            return world.trace
        }
        let (first, second) = (tell(), tell())
        #expect(first == second)
    }
}

extension PlantedFault {
    /// What is said where it is found, one of these.
    fileprivate var signs: [String] {
        switch self {
        case .forgottenRange: ["due times"]
        case .shiftedFire: ["is no due time of"]
        case .runTwice: ["was started twice at a time"]
        case .forgottenEnd, .forgottenClaim: ["nobody has it", "still waits"]
        case .deafBreaker: ["the breaker of"]
        case .forgetfulRescue: ["was started again, and its entry is not idempotent"]
        case .deafTrial: ["was rolled back, and serves run"]
        }
    }
}
