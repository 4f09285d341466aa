/// Timers by due time; equal times in the order of their making. Pure: it neither knows a
/// clock nor calls anything. Insert and pop are O(log n); cancelling is O(1), its heap entry
/// goes when it comes up or when more than half of the heap is stale.
struct TimerQueue<Payload> {
    private struct Entry {
        var due: Int64
        /// Ascending with the making: the tie-break of equal times, and the timer's identity.
        var id: UInt64
        func isBefore(_ other: Entry) -> Bool { due != other.due ? due < other.due : id < other.id }
    }
    private var heap: [Entry] = []
    private var live: [UInt64: Payload] = [:]

    var count: Int { live.count }

    /// `id` must ascend from call to call.
    mutating func insert(id: UInt64, due: Int64, _ payload: Payload) {
        live[id] = payload
        heap.append(Entry(due: due, id: id))
        siftUp(from: heap.count - 1)
    }

    /// false: it had fired, was cancelled before, or never was.
    @discardableResult
    mutating func cancel(_ id: UInt64) -> Bool {
        guard live.removeValue(forKey: id) != nil else { return false }
        if heap.count > 64, heap.count > 2 * live.count { compact() }
        return true
    }

    /// The earliest due time, nil when empty.
    mutating func nextDue() -> Int64? {
        while let first = heap.first {
            if live[first.id] != nil { return first.due }
            removeFirst()
        }
        return nil
    }

    /// Takes the earliest timer if it is due.
    mutating func popDue(at now: Int64) -> Payload? {
        guard let due = nextDue(), due <= now else { return nil }
        let id = heap[0].id
        removeFirst()
        return live.removeValue(forKey: id)
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        siftDown(from: 0)
    }

    private mutating func compact() {
        heap.removeAll { live[$0.id] == nil }
        for index in stride(from: heap.count / 2, through: 0, by: -1) { siftDown(from: index) }
    }

    private mutating func siftUp(from start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].isBefore(heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(from start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if heap[child].isBefore(heap[least]) { least = child }
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
