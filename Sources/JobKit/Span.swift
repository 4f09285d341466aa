/// A length of time in settings, written as in the host's config: "300ms", "45s", "5m",
/// "1h30m". Units: ms, s, m, h, d, w. Zero or more, in whole milliseconds.
public struct Span: Hashable, Comparable, Codable, Sendable, CustomStringConvertible, SchemaDescribed {
    public var milliseconds: Int64

    /// Negative becomes zero.
    public init(milliseconds: Int64) { self.milliseconds = max(0, milliseconds) }
    public static func milliseconds(_ count: Int64) -> Span { Span(milliseconds: count) }
    public static func seconds(_ count: Int64) -> Span { Span(count, times: 1_000) }
    public static func minutes(_ count: Int64) -> Span { Span(count, times: 60_000) }
    public static func hours(_ count: Int64) -> Span { Span(count, times: 3_600_000) }
    public static func days(_ count: Int64) -> Span { Span(count, times: 86_400_000) }
    public static let zero = Span(milliseconds: 0)

    private init(_ count: Int64, times unit: Int64) {
        let (value, overflow) = count.multipliedReportingOverflow(by: unit)
        self.init(milliseconds: overflow ? (count < 0 ? 0 : .max) : value)
    }

    public var duration: Duration { .milliseconds(milliseconds) }
    /// Saturating.
    public var microseconds: Int64 {
        let (value, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000)
        return overflow ? .max : value
    }
    public static func < (a: Span, b: Span) -> Bool { a.milliseconds < b.milliseconds }

    private static let units: [(name: String, milliseconds: Int64)] = [
        ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1),
    ]

    /// nil: not a length of time, or longer than 64 bits of milliseconds.
    public init?(_ text: String) {
        var total: Int64 = 0
        var rest = text[...]
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(name.count)
            guard let count = Int64(digits), let unit = Span.units.first(where: { $0.name == name }) else { return nil }
            let (product, tooLong) = count.multipliedReportingOverflow(by: unit.milliseconds)
            let (sum, tooLongInAll) = total.addingReportingOverflow(product)
            guard !tooLong, !tooLongInAll else { return nil }
            total = sum
        }
        milliseconds = total
    }

    /// The shortest way to write it: 90 seconds are "1m30s".
    public var description: String {
        var rest = milliseconds
        var text = ""
        for unit in Span.units where rest >= unit.milliseconds && unit.name != "w" {
            text += "\(rest / unit.milliseconds)\(unit.name)"
            rest %= unit.milliseconds
        }
        return text.isEmpty ? "0s" : text
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let span = Span(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "'\(text)' is not a length of time such as \"300ms\", \"45s\", \"1h30m\"")
        }
        self = span
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
    public static var schema: JSONObject { JSONObject([("type", "string"), ("format", "duration")]) }
    public static var example: JSON { "1s" }
}
