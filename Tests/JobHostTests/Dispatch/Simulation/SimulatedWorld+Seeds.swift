/// A story from its seed, and the shortest that still fails.
extension SimulatedWorld {
    /// Every third seed has all kinds of faults, the others a few, so that rare combinations
    /// come without the noise of the rest.
    static func story(_ seed: UInt64) -> Scenario {
        let faults = Fault.allCases.enumerated().filter { seed % 3 == 0 || (seed &* 0x9E37_79B9_7F4A_7C15) >> UInt64(20 + $0.offset) & 1 == 1 }
        return Scenario(seed: seed, steps: 40 + Int(seed % 5) * 40, jobs: 1 + Int(seed % 4), faults: Set(faults.map(\.element)))
    }

    /// A thousand jobs over a day; or so many, for so many minutes.
    static func day(_ seed: UInt64, jobs: Int = 1_000, minutes: Int = 24 * 60) -> Scenario {
        var scenario = story(seed)
        (scenario.steps, scenario.jobs, scenario.isDay) = (minutes, jobs, true)
        return scenario
    }

    /// `SEED`, or `SEED,JOBS,MINUTES`, as `again` writes it; nil: neither.
    static func day(named text: String) -> Scenario? {
        let numbers = text.split(separator: ",").map { UInt64($0) }
        switch (numbers.count, numbers.compactMap(\.self)) {
        case (1, let known) where known.count == 1: return day(known[0])
        case (3, let known) where known.count == 3 && known[1...].allSatisfy({ (1...100_000).contains($0) }):
            return day(known[0], jobs: Int(known[1]), minutes: Int(known[2]))
        default: return nil
        }
    }

    /// The command that repeats it.
    static func again(_ scenario: Scenario) -> String {
        guard scenario.isDay else { return "JOBHOST_SEED=\(scenario.seed) swift test --filter SimulationTests" }
        let size = (scenario.jobs, scenario.steps) == (1_000, 24 * 60) ? "" : ",\(scenario.jobs),\(scenario.steps)"
        return "JOBHOST_DAY=\(scenario.seed)\(size) swift test --filter BusyDayTests"
    }

    static func fails(_ scenario: Scenario) -> Bool {
        var world = SimulatedWorld(scenario, isTold: false)
        world.run()
        return world.violation != nil
    }

    /// nil: no promise is broken.
    static func failure(_ scenario: Scenario) -> String? {
        guard fails(scenario) else { return nil }
        let least = shrink(scenario)
        var world = SimulatedWorld(least)
        world.run()
        return """
            \(world.violation ?? "")
            \(world.told.joined(separator: "\n"))
            \(least.steps) \(least.isDay ? "minutes" : "steps"), \(least.jobs) jobs, faults: \(least.faults.map { "\($0)" }.sorted().joined(separator: ", "))
            Again: \(again(scenario))
            """
    }

    /// Fewer kinds of faults, fewer jobs, fewer steps: whatever still fails. Of a day it tries a few.
    private static func shrink(_ scenario: Scenario) -> Scenario {
        var best = scenario
        func tries(_ change: (inout Scenario) -> Void) -> Bool {
            var smaller = best
            change(&smaller)
            guard fails(smaller) else { return false }
            best = smaller
            return true
        }
        while best.jobs > 20, tries({ $0.jobs /= 2 }) {}
        for fault in Fault.allCases where best.faults.contains(fault) { _ = tries { $0.faults.remove(fault) } }
        while best.jobs > 1, !best.isDay, tries({ $0.jobs -= 1 }) {}
        while best.steps > 1, tries({ $0.steps /= 2 }) {}
        while best.steps > 1, !best.isDay, tries({ $0.steps -= 1 }) {}
        return best
    }

    /// What led to the violation: the last lines, of a day those about the same job and those about all.
    private var told: [String] {
        guard scenario.isDay, let name = violation?.firstMatch(of: /job[0-9]+/).map({ String($0.output) }) else { return trace.suffix(60) }
        let word = try? Regex("\\b\(name)\\b")
        return trace.filter { line in word.map { line.contains($0) } == true || !line.contains(/job[0-9]/) }.suffix(60)
    }
}
