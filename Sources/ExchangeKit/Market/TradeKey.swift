/// The order of trades: by time, those of the same millisecond by id.
@frozen public struct TradeKey: Hashable, Comparable, Sendable {
    /// Milliseconds since 1970 UTC.
    public var instant: Int64
    public var id: Int64

    @inlinable public init(instant: Int64, id: Int64) {
        self.instant = instant
        self.id = id
    }

    @inlinable public static func < (a: TradeKey, b: TradeKey) -> Bool {
        a.instant != b.instant ? a.instant < b.instant : a.id < b.id
    }
}
