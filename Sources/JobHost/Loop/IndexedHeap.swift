/// A binary heap of items by key that knows where every item stands, so that an item has one
/// place, which can be moved both ways. Items are small numbers from 0 (indices of somebody's
/// array). Setting, moving and taking cost O(log n) and hash nothing.
struct IndexedHeap<Key: Comparable> {
    private struct Entry {
        var key: Key
        var item: Int
    }
    private var heap: [Entry] = []
    /// Place in the heap of each item; -1: it is not in it.
    private var places: [Int] = []

    var count: Int { heap.count }
    var isEmpty: Bool { heap.isEmpty }
    var first: (key: Key, item: Int)? { heap.first.map { ($0.key, $0.item) } }

    func contains(_ item: Int) -> Bool { place(of: item) != nil }
    func key(of item: Int) -> Key? { place(of: item).map { heap[$0].key } }

    private func place(of item: Int) -> Int? {
        item < places.count && places[item] >= 0 ? places[item] : nil
    }

    /// Puts `item` at `key`, wherever it stood.
    mutating func set(_ item: Int, to key: Key) {
        if let place = place(of: item) {
            heap[place].key = key
            settle(place)
            return
        }
        if item >= places.count { places += Array(repeating: -1, count: item + 1 - places.count) }
        heap.append(Entry(key: key, item: item))
        places[item] = heap.count - 1
        settle(heap.count - 1)
    }

    /// The item with the least key.
    mutating func popFirst() -> Int? {
        guard let item = heap.first?.item else { return nil }
        remove(item)
        return item
    }

    mutating func remove(_ item: Int) {
        guard let place = place(of: item) else { return }
        places[item] = -1
        let last = heap.removeLast()
        guard place < heap.count else { return }
        heap[place] = last
        places[last.item] = place
        settle(place)
    }

    mutating func removeAll() {
        heap.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
    }

    /// Moves the entry at `place` to where it belongs.
    private mutating func settle(_ place: Int) {
        var place = place
        while place > 0, heap[place].key < heap[(place - 1) / 2].key {
            swap(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
        while true {
            var least = place
            for child in 2 * place + 1 ..< min(2 * place + 3, max(heap.count, 2 * place + 1)) {
                if heap[child].key < heap[least].key { least = child }
            }
            guard least != place else { return }
            swap(place, least)
            place = least
        }
    }

    private mutating func swap(_ a: Int, _ b: Int) {
        heap.swapAt(a, b)
        places[heap[a].item] = a
        places[heap[b].item] = b
    }
}
