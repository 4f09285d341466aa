import JobCore

/// When each job wants to be looked at next: a binary heap by instant, ties in order of
/// arrival. Entries are not removed when a job changes its mind; `DispatchedJob.wakeAt` tells
/// the valid one.
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
    private var nextSequence: UInt64 = 0

    var earliest: Instant? { heap.first?.at }

    mutating func insert(job: Int, at: Instant) {
        heap.append(Entry(at: at, sequence: nextSequence, job: job))
        nextSequence &+= 1
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].precedes(heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Removes and returns the earliest entry that is due at `now`.
    mutating func popDue(_ now: Instant) -> (job: Int, at: Instant)? {
        guard let first = heap.first, first.at <= now else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown()
        }
        return (first.job, first.at)
    }

    mutating func removeAll() { heap.removeAll(keepingCapacity: true) }

    private mutating func siftDown() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if heap[child].precedes(heap[least]) { least = child }
            }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
