import JobCore

/// Jobs by the instant at which each wants its turn: a binary heap that knows where every job
/// stands, so that a job has one place, which can be moved both ways. Ties in order of arrival.
/// Setting, moving and taking cost O(log n).
struct Timeline {
    private struct Entry {
        var at: Instant
        var sequence: UInt64
        var job: Int
        func precedes(_ other: Entry) -> Bool {
            at != other.at ? at < other.at : sequence < other.sequence
        }
    }
    private var heap: [Entry] = []
    /// Place in the heap of each job that is in it.
    private var places: [Int: Int] = [:]
    private var nextSequence: UInt64 = 0

    var earliest: Instant? { heap.first?.at }
    var count: Int { heap.count }
    var isEmpty: Bool { heap.isEmpty }

    func contains(_ job: Int) -> Bool { places[job] != nil }
    func instant(of job: Int) -> Instant? { places[job].map { heap[$0].at } }

    /// Puts `job` at `at`, wherever it stood; nil takes it out. A job that stands there already
    /// keeps its turn among its equals.
    mutating func set(job: Int, at: Instant?) {
        guard let at else { return remove(job) }
        if let place = places[job] {
            guard heap[place].at != at else { return }
            heap[place].at = at
            heap[place].sequence = nextSequence
            settle(place)
        } else {
            heap.append(Entry(at: at, sequence: nextSequence, job: job))
            places[job] = heap.count - 1
            settle(heap.count - 1)
        }
        nextSequence &+= 1
    }

    /// Removes and returns the earliest job.
    mutating func popFirst() -> Int? {
        guard let first = heap.first else { return nil }
        remove(first.job)
        return first.job
    }

    /// Removes and returns the earliest job that is due at `now`.
    mutating func popDue(_ now: Instant) -> Int? {
        guard let first = heap.first, first.at <= now else { return nil }
        return popFirst()
    }

    mutating func removeAll() {
        heap.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
    }

    mutating func remove(_ job: Int) {
        guard let place = places.removeValue(forKey: job) else { return }
        let last = heap.removeLast()
        guard place < heap.count else { return }
        heap[place] = last
        places[last.job] = place
        settle(place)
    }

    /// Moves the entry at `place` to where it belongs.
    private mutating func settle(_ place: Int) {
        var place = place
        while place > 0, heap[place].precedes(heap[(place - 1) / 2]) {
            swap(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2] where child < heap.count {
                if heap[child].precedes(heap[least]) { least = child }
            }
            guard least != place else { return }
            swap(place, least)
            place = least
        }
    }

    private mutating func swap(_ a: Int, _ b: Int) {
        heap.swapAt(a, b)
        places[heap[a].job] = a
        places[heap[b].job] = b
    }
}
