/// A value that all its copies share: each costs one pointer. The value never changes; setting a part makes a new one.
public struct Shared<Value: Sendable>: Sendable {
    @usableFromInline final class Box: Sendable {
        @usableFromInline let value: Value
        @inlinable init(_ value: Value) { self.value = value }
    }
    @usableFromInline var box: Box

    @inlinable public init(_ value: Value) { box = Box(value) }
    @inlinable public var value: Value { box.value }

    @inlinable public mutating func set<Part>(_ part: WritableKeyPath<Value, Part>, _ new: Part) {
        var changed = value
        changed[keyPath: part] = new
        self = Shared(changed)
    }
}

extension Shared: Equatable where Value: Equatable {
    public static func == (a: Self, b: Self) -> Bool { a.box === b.box || a.value == b.value }
}
