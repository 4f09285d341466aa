import Synchronization

/// Runs that a store ended while it did something else, since their time was over: for whoever asks next what has expired.
final class ExpiredBeside: Sendable {
    /// More than that nobody has fetched for a long time; the ledger has them all.
    private static let most = 10_000

    private let runs = Mutex<[RunRecord]>([])

    /// In a transaction: the value of `body`, and the runs that it ended.
    static func noting<Book: Ledger, Value>(_ ledger: Book, _ body: (Book) throws -> Value) rethrows -> (Value, [RunRecord]) {
        ledger.expiredBeside = []
        let value = try body(ledger)
        return (value, ledger.expiredBeside)
    }

    /// After the commit.
    func keep<Value>(_ noted: (Value, [RunRecord])) -> Value {
        if !noted.1.isEmpty { runs.withLock { $0.append(contentsOf: noted.1.prefix(max(0, Self.most - $0.count))) } }
        return noted.0
    }

    /// At most `limit`: those that are kept here, and then `more`. Where that fails they stay.
    func joined(_ limit: Int, _ more: (_ limit: Int) async throws -> [RunRecord]) async throws -> [RunRecord] {
        let kept = runs.withLock { runs -> [RunRecord] in
            defer { runs.removeFirst(min(limit, runs.count)) }
            return Array(runs.prefix(limit))
        }
        do {
            return try await kept + more(limit - kept.count)
        } catch {
            runs.withLock { $0.insert(contentsOf: kept, at: 0) }
            throw error
        }
    }
}
