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
    func stories() {
        for seed in Self.seeds {
            let again = "JOBHOST_SEED=\(seed) swift test --filter SimulationTests"
            guard let failure = SimulatedWorld.failure(SimulatedWorld.story(seed), again: again) else { continue }
            Issue.record("\(failure)")
            return
        }
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
