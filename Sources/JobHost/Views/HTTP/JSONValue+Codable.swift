import JobConfig

/// A `JSONValue` as a member of an API type. `APIJSON`'s own coders pass it unchanged and never
/// come here; any other coder would lose digits of its numbers, so to them it is its text.
extension JSONValue: Codable {
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        self = try JSONValue(parsing: text)
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
