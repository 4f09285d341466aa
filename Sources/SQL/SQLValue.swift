/// One value that goes into a statement or comes out of a row.
public enum SQLValue: Hashable, Sendable {
    case null
    case int(Int64)
    case double(Double)
    case text(String)
    case bytes([UInt8])
    /// SQLite keeps it as 0 or 1 and gives it back as `.int`.
    case bool(Bool)

    public static func int(_ value: Int) -> SQLValue { .int(Int64(value)) }
    /// `nil` becomes NULL.
    public static func int(_ value: Int64?) -> SQLValue { value.map(SQLValue.int) ?? .null }
    /// `nil` becomes NULL.
    public static func text(_ value: String?) -> SQLValue { value.map(SQLValue.text) ?? .null }
}

extension SQLValue: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral, ExpressibleByNilLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByFloatLiteral
{
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(stringLiteral value: String) { self = .text(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
}
