/// First in, first out, in one array: taking the first moves nothing, and the memory stays for
/// what comes next.
struct FIFO<Element> {
    private var elements: [Element?] = []
    private var head = 0

    var count: Int { elements.count - head }
    var isEmpty: Bool { head == elements.count }
    var first: Element? { isEmpty ? nil : elements[head] }
    /// In order.
    var all: [Element] { elements[head...].compactMap { $0 } }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = elements[head].take()
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 64, head > elements.count / 2 {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    /// Before the first element for which `isAfter` holds, or at the end.
    mutating func insert(_ element: Element, before isAfter: (Element) -> Bool) {
        let place = elements[head...].firstIndex { $0.map(isAfter) ?? false } ?? elements.endIndex
        elements.insert(element, at: place)
    }

    /// Takes the first element out for which `matches` holds.
    mutating func remove(where matches: (Element) -> Bool) -> Element? {
        if let first, matches(first) { return popFirst() }
        guard let place = elements[head...].firstIndex(where: { $0.map(matches) ?? false }) else { return nil }
        return elements.remove(at: place)
    }
}
