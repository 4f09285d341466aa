/// What keeps the workers of each pool from starting. A pool that cannot start one fails again
/// at every retry, so the log hears of changes only, and health has the count. Pure.
struct PoolHealth {
    private struct Problem {
        var message: String
        var count = 1
    }
    private var problems: [String: Problem] = [:]

    /// The line for the log; nil: the same as the last time.
    mutating func failed(_ pool: String, _ message: String) -> String? {
        let before = problems[pool]
        if before?.message == message {
            problems[pool]?.count += 1
            return nil
        }
        problems[pool] = Problem(message: message)
        return "pool \(pool): \(message)" + (before.map { " (before that, \(Self.times($0.count)): \($0.message))" } ?? "")
    }

    /// The line for the log; nil: there was no problem.
    mutating func recovered(_ pool: String) -> String? {
        problems.removeValue(forKey: pool).map { "pool \(pool): recovered, after it failed \(Self.times($0.count)): \($0.message)" }
    }

    /// What is wrong with a pool now; nil: nothing.
    func message(of pool: String) -> String? { problems[pool]?.message }

    /// For health, in order of the pools' names.
    var sentences: [(pool: String, sentence: String)] {
        problems.sorted { $0.key < $1.key }.map { pool, problem in
            (pool, "pool \(pool): \(problem.message)" + (problem.count > 1 ? " (\(Self.times(problem.count)))" : ""))
        }
    }

    private static func times(_ count: Int) -> String { count == 1 ? "once" : "\(count) times" }
}
