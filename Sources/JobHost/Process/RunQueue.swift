import JobCore

/// Runs that wait for a worker, oldest first. Taking the first is O(1); how many jobs wait is
/// known without looking through.
struct RunQueue {
    struct Request: Hashable {
        var run: RunID
        var job: String
        var since: MonotonicInstant
    }
    private var items: [Request] = []
    private var head = 0
    private var byJob: [String: Int] = [:]

    var isEmpty: Bool { head == items.count }
    var count: Int { items.count - head }
    var jobCount: Int { byJob.count }
    var first: Request? { isEmpty ? nil : items[head] }
    var runs: [RunID] { items[head...].map(\.run) }

    mutating func append(_ request: Request) {
        items.append(request)
        byJob[request.job, default: 0] += 1
    }

    /// Back to where its age belongs.
    mutating func putBack(_ request: Request) {
        let index = items[head...].firstIndex { $0.since > request.since } ?? items.count
        items.insert(request, at: index)
        byJob[request.job, default: 0] += 1
    }

    mutating func removeFirst() -> Request? {
        guard !isEmpty else { return nil }
        return take(at: head)
    }

    /// The oldest request of a job.
    mutating func removeFirst(of job: String) -> Request? {
        items[head...].firstIndex { $0.job == job }.map { take(at: $0) }
    }

    mutating func remove(_ run: RunID) -> Request? {
        items[head...].firstIndex { $0.run == run }.map { take(at: $0) }
    }

    mutating func removeAll() {
        items = []
        head = 0
        byJob = [:]
    }

    /// The jobs that wait, in the order of their oldest request.
    var jobs: [String] {
        var seen: Set<String> = []
        var ordered: [String] = []
        for item in items[head...] where seen.insert(item.job).inserted {
            ordered.append(item.job)
            if ordered.count == byJob.count { break }
        }
        return ordered
    }

    private mutating func take(at index: Int) -> Request {
        let request = items[index]
        if index == head {
            head += 1
            if head > 64, head > items.count / 2 {
                items.removeFirst(head)
                head = 0
            }
        } else {
            items.remove(at: index)
        }
        let left = (byJob[request.job] ?? 1) - 1
        byJob[request.job] = left == 0 ? nil : left
        return request
    }
}
