/// Members in the order in which they were written; names are unique. Equal objects have equal
/// members, in whatever order.
public struct JSONObject: Sendable {
    public typealias Member = (key: String, value: JSON)

    public private(set) var members: [Member] = []
    /// Where each name is, once there are too many members to look at one by one.
    private var places: [String: Int]?

    public init() {}
    /// Of several members of one name the last counts, at the place of the first.
    public init(_ members: [(String, JSON)]) {
        for (key, value) in members { set(key, value) }
    }
    /// In the order of the names.
    public init(_ members: [String: JSON]) {
        for (key, value) in members.sorted(by: { $0.key < $1.key }) { set(key, value) }
    }

    public var keys: [String] { members.map(\.key) }
    public var count: Int { members.count }
    public var isEmpty: Bool { members.isEmpty }

    public subscript(key: String) -> JSON? {
        get { place(of: key).map { members[$0].value } }
        set {
            guard let newValue else { return remove(key) }
            set(key, newValue)
        }
    }

    /// false: the name was there, and its value is replaced.
    @discardableResult
    mutating func set(_ key: String, _ value: JSON) -> Bool {
        if let place = place(of: key) {
            members[place].value = value
            return false
        }
        places?[key] = members.count
        members.append((key, value))
        if places == nil, members.count > 12 { index() }
        return true
    }

    private mutating func remove(_ key: String) {
        guard let place = place(of: key) else { return }
        members.remove(at: place)
        if places != nil { index() }
    }

    private func place(of key: String) -> Int? {
        if let places { return places[key] }
        return members.firstIndex { $0.key == key }
    }

    private mutating func index() {
        places = Dictionary(members.enumerated().map { ($1.key, $0) }, uniquingKeysWith: { first, _ in first })
    }

    public func mapValues<T>(_ transform: (JSON) throws -> T) rethrows -> [String: T] {
        try Dictionary(members.map { ($0.key, try transform($0.value)) }, uniquingKeysWith: { first, _ in first })
    }
}

extension JSONObject: Sequence {
    public func makeIterator() -> IndexingIterator<[Member]> { members.makeIterator() }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, JSON)...) { self.init(elements) }
}

extension JSONObject: Hashable {
    public static func == (a: JSONObject, b: JSONObject) -> Bool {
        a.count == b.count && a.members.allSatisfy { b[$0.key] == $0.value }
    }

    public func hash(into hasher: inout Hasher) {
        // A sum, because the order does not count.
        var sum = 0
        for (key, value) in members {
            var one = Hasher()
            one.combine(key)
            one.combine(value)
            sum &+= one.finalize()
        }
        hasher.combine(sum)
    }
}
