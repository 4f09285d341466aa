import Glibc
import Testing

@testable import JobHost

/// Random stories, each from its seed. A failure prints the shortest story found that still
/// fails, and the one command that repeats it.
@Suite("Whatever happens, the promises hold") struct SimulationTests {
    typealias Scenario = SimulatedWorld.Scenario
    typealias Fault = SimulatedWorld.Fault

    static var seeds: [UInt64] {
        if let text = getenv("JOBHOST_SEED"), let seed = UInt64(String(cString: text)) { return [seed] }
        let count = getenv("JOBHOST_SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 300
        return Array(1...max(1, count))
    }

    /// Every third seed has all kinds of faults, the others a few, so that rare combinations
    /// come without the noise of the rest.
    static func scenario(_ seed: UInt64) -> Scenario {
        let faults = Fault.allCases.enumerated().filter { seed % 3 == 0 || (seed &* 0x9E37_79B9_7F4A_7C15) >> UInt64(20 + $0.offset) & 1 == 1 }
        return Scenario(seed: seed, steps: 40 + Int(seed % 5) * 40, jobs: 1 + Int(seed % 4), faults: Set(faults.map(\.element)))
    }

    @Test("Every due time is accounted for once, nothing runs that may not, and nothing is forgotten")
    func stories() {
        for seed in Self.seeds {
            let scenario = Self.scenario(seed)
            guard Self.fails(scenario) != nil else { continue }
            let small = Self.shrink(scenario)
            var world = SimulatedWorld(small)
            world.run()
            Issue.record("""
                \(world.violation ?? "")
                \(world.trace.suffix(40).joined(separator: "\n"))
                \(small.steps) steps, \(small.jobs) jobs, faults: \(small.faults.map { "\($0)" }.sorted().joined(separator: ", "))
                Again: JOBHOST_SEED=\(seed) swift test --filter SimulationTests
                """)
            return
        }
    }

    @Test("The same story twice is the same story", arguments: [4, 33, 60])
    func repeats(seed: UInt64) {
        func tell() -> [String] {
            var world = SimulatedWorld(Self.scenario(seed))
            world.run()
            return world.trace
        }
        let (first, second) = (tell(), tell())
        #expect(first == second)
    }

    private static func fails(_ scenario: Scenario) -> String? {
        var world = SimulatedWorld(scenario)
        world.run()
        return world.violation
    }

    /// Fewer kinds of faults, fewer jobs, fewer steps: whatever still fails.
    private static func shrink(_ scenario: Scenario) -> Scenario {
        var best = scenario
        func tries(_ change: (inout Scenario) -> Void) -> Bool {
            var smaller = best
            change(&smaller)
            guard fails(smaller) != nil else { return false }
            best = smaller
            return true
        }
        for fault in Fault.allCases where best.faults.contains(fault) { _ = tries { $0.faults.remove(fault) } }
        while best.jobs > 1, tries({ $0.jobs -= 1 }) {}
        while best.steps > 1, tries({ $0.steps /= 2 }) {}
        while best.steps > 1, tries({ $0.steps -= 1 }) {}
        return best
    }
}
