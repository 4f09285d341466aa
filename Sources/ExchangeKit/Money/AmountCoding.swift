import JobKit

/// As JSON text: `"0.1"`. A bare number is accepted where its digits are still there (in
/// settings and payloads, which JobKit reads) and refused where another reader has already
/// made a binary float of it.
extension Amount: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            self = try Amount(parsing: text)
        } else if case .number(let digits)? = try? container.decode(JSON.self) {
            self = try Amount(jsonNumber: digits)
        } else {
            throw AmountError.notExact
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// A JSON number's own digits: as `parsing`, with an exponent ("1e-8").
    init(jsonNumber text: String) throws(AmountError) {
        let parts = text.split(separator: "e", omittingEmptySubsequences: false)
        let upper = text.split(separator: "E", omittingEmptySubsequences: false)
        let (mantissa, exponent) = parts.count == 2
            ? (parts[0], parts[1]) : upper.count == 2 ? (upper[0], upper[1]) : (text[...], "0")
        // More than 60 either way cannot fit whatever the mantissa is, but for zero.
        guard let shift = Int(exponent), mantissa.utf8.count <= 100 else { throw .notADecimal(text) }
        guard shift.magnitude <= 60 else { throw shift > 0 ? .outOfRange : .tooPrecise }
        if shift == 0 {
            self = try Amount(parsing: mantissa)
            return
        }
        let sign = mantissa.hasPrefix("-") ? "-" : ""
        let digits = mantissa.drop { $0 == "-" }.split(separator: ".", omittingEmptySubsequences: false)
        guard let whole = digits.first, digits.count <= 2 else { throw .notADecimal(text) }
        let fraction = digits.count == 2 ? digits[1] : ""
        let zeros = String(repeating: "0", count: 60)
        let all = Array(zeros + whole + fraction + zeros)
        let point = 60 + whole.count + shift
        self = try Amount(parsing: sign + String(all[..<point]) + "." + String(all[point...]))
    }
}

extension Amount: SchemaDescribed {
    public static var schema: JSONObject {
        JSONObject([("type", .array(["string", "number"])), ("format", "decimal")])
    }
    public static var example: JSON { "1" }
}
