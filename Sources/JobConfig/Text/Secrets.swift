/// Texts that are never printed: not by interpolating, dumping or reflecting whatever holds them either.
public struct Secrets: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public private(set) var texts: Set<String>

    public init(_ texts: Set<String> = []) { self.texts = texts }

    public mutating func insert(_ text: String) {
        if !text.isEmpty { texts.insert(text) }
    }
    public func union(_ other: Secrets) -> Secrets { Secrets(texts.union(other.texts)) }

    public var description: String { "\(texts.count) secrets" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["count": texts.count]) }
}
