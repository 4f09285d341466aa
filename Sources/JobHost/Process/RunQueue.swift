import JobCore

/// Runs that wait for a worker of a pool, and how its workers are shared among jobs: every
/// question (who came first? whose turn is it?) is answered in O(log n), so that thousands of
/// jobs may be due at one instant.
struct RunQueue {
    struct Request: Hashable {
        var run: RunID
        var job: String
        var since: MonotonicInstant
        /// What it adds to the frames of its worker, about.
        var bytes = 0
        /// Sent ahead: its worker begins it then.
        var notBefore: MonotonicInstant?
        /// Its place among those of one instant, given by the queue.
        fileprivate(set) var sequence: UInt64 = 0
        init(run: RunID, job: String, since: MonotonicInstant, bytes: Int = 0, notBefore: MonotonicInstant? = nil) {
            self.run = run
            self.job = job
            self.since = since
            self.bytes = bytes
            self.notBefore = notBefore
        }
        fileprivate var age: Age { Age(since: since, sequence: sequence) }
    }

    /// What one job has in the pool.
    private struct Line {
        /// Waiting, oldest first.
        var waiting = FIFO<Request>()
        /// Runs that are with workers.
        var assigned = 0
        /// Larger: served later.
        var lastServed: UInt64 = 0
    }
    fileprivate struct Age: Comparable {
        var since: MonotonicInstant
        var sequence: UInt64
        static func < (a: Self, b: Self) -> Bool { a.since != b.since ? a.since < b.since : a.sequence < b.sequence }
    }
    /// The job with the fewest runs at workers is next, then the one served longest ago, then
    /// the one that has waited longest.
    private struct Turn: Comparable {
        var assigned: Int
        var lastServed: UInt64
        var age: Age
        static func < (a: Self, b: Self) -> Bool {
            if a.assigned != b.assigned { return a.assigned < b.assigned }
            return a.lastServed != b.lastServed ? a.lastServed < b.lastServed : a.age < b.age
        }
    }

    private var lines: [Line] = []
    private var lineOf: [String: Int] = [:]
    private var ages = IndexedHeap<Age>()
    private var turns = IndexedHeap<Turn>()
    private(set) var count = 0
    private var nextSequence: UInt64 = 0
    private var serveCount: UInt64 = 0

    var isEmpty: Bool { count == 0 }
    /// The one that has waited longest.
    var first: Request? { ages.first.flatMap { lines[$0.item].waiting.first } }
    /// All that wait, oldest first.
    var runs: [RunID] {
        lines.flatMap(\.waiting.all).sorted { $0.age < $1.age }.map(\.run)
    }
    /// Runs of a job that are with workers.
    func assigned(of job: String) -> Int { lineOf[job].map { lines[$0].assigned } ?? 0 }

    // MARK: Coming and going

    mutating func append(_ request: Request) {
        let line = line(of: request.job)
        var request = request
        nextSequence += 1
        request.sequence = nextSequence
        lines[line].waiting.append(request)
        count += 1
        if lines[line].waiting.count == 1 { rank(line) }
    }

    /// Back to the place that it was taken from: among its equals, too, in front of those that
    /// came after it.
    mutating func putBack(_ request: Request) {
        let line = line(of: request.job)
        lines[line].waiting.insert(request) { $0.age > request.age }
        count += 1
        rank(line)
    }

    /// The one that has waited longest, to be given to a worker.
    mutating func takeOldest() -> Request? { ages.first.flatMap { take($0.item) } }

    /// The oldest one of the job whose turn it is, to be given to a worker.
    mutating func takeTurn() -> Request? { turns.first.flatMap { take($0.item) } }

    private mutating func take(_ line: Int) -> Request? {
        guard let request = lines[line].waiting.popFirst() else { return nil }
        count -= 1
        serveCount += 1
        lines[line].assigned += 1
        lines[line].lastServed = serveCount
        rank(line)
        return request
    }

    /// One that passes the queue by was given to a worker.
    mutating func assign(job: String) {
        let line = line(of: job)
        lines[line].assigned += 1
        rank(line)
    }

    /// A run of the job is no longer with a worker.
    mutating func release(job: String) {
        guard let line = lineOf[job], lines[line].assigned > 0 else { return }
        lines[line].assigned -= 1
        rank(line)
    }

    /// Takes a waiting run out.
    mutating func remove(_ run: RunID) -> Request? {
        for line in lines.indices {
            guard let found = lines[line].waiting.remove(where: { $0.run == run }) else { continue }
            count -= 1
            rank(line)
            return found
        }
        return nil
    }

    /// Nothing waits any more; what is with workers is still counted.
    mutating func removeAll() {
        let busy = lineOf.filter { lines[$0.value].assigned > 0 }
        let old = lines
        (lines, lineOf, count) = ([], [:], 0)
        ages.removeAll()
        turns.removeAll()
        for (job, index) in busy {
            let line = line(of: job)
            lines[line].assigned = old[index].assigned
            lines[line].lastServed = old[index].lastServed
        }
    }

    private mutating func line(of job: String) -> Int {
        if let known = lineOf[job] { return known }
        lines.append(Line())
        lineOf[job] = lines.count - 1
        return lines.count - 1
    }

    private mutating func rank(_ line: Int) {
        guard let oldest = lines[line].waiting.first else {
            ages.remove(line)
            return turns.remove(line)
        }
        ages.set(line, to: oldest.age)
        turns.set(line, to: Turn(assigned: lines[line].assigned, lastServed: lines[line].lastServed, age: oldest.age))
    }
}
