import JobConfig
import JobCore
import JobStore
import NearestName

/// The query of a request, strictly read: each name must be one that the endpoint knows, each
/// value one that it can use.
struct APIQuery {
    private let values: [String: String]

    /// Throws a `Problem` for a malformed query, a repeated or an unknown name.
    init(_ query: String?, allowed: [String]) throws {
        var values: [String: String] = [:]
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = percentDecoded(parts[0]), let value = percentDecoded(parts.count > 1 ? parts[1] : "") else {
                throw API.Problem.invalid("the query is not valid: '\(pair.prefix(60))'", hint: "percent-encode UTF-8")
            }
            guard allowed.contains(name) else {
                let hint = nearestName(name, among: allowed).map { "did you mean '\($0)'?" }
                    ?? (allowed.isEmpty ? "it takes no query" : "allowed: \(allowed.joined(separator: ", "))")
                throw API.Problem.invalid("unknown query parameter '\(name.prefix(60))'", hint: hint)
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw API.Problem.invalid("the query parameter '\(name)' is there twice")
            }
        }
        self.values = values
    }

    func text(_ name: String) -> String? { values[name] }

    func instant(_ name: String) throws -> Instant? {
        guard let text = values[name] else { return nil }
        guard let instant = Instant(rfc3339: text) else {
            throw API.Problem.invalid(
                "'\(name)' is not an instant: '\(text.prefix(60))'", hint: "RFC 3339, such as 2027-01-01T00:00:00Z")
        }
        return instant
    }

    func integer(_ name: String, in range: ClosedRange<Int64>) throws -> Int64? {
        guard let text = values[name] else { return nil }
        guard let value = Int64(text), range.contains(value) else {
            throw API.Problem.invalid(
                "'\(name)' is not usable: '\(text.prefix(60))'",
                hint: "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// What `next_before` of ranges said.
    func place(_ name: String) throws -> RangePlace? {
        guard let text = values[name] else { return nil }
        guard let place = RangePlace(text: text) else {
            throw API.Problem.invalid("'\(name)' is not usable: '\(text.prefix(60))'", hint: "what next_before of the page before said")
        }
        return place
    }

    /// Comma-separated raw values.
    func words<Word: RawRepresentable & CaseIterable>(_ name: String, _ type: Word.Type) throws -> [Word]
    where Word.RawValue == String {
        try (values[name] ?? "").split(separator: ",").map { part in
            guard let word = Word(rawValue: String(part)) else {
                let allowed = Word.allCases.map(\.rawValue)
                let hint = nearestName(String(part), among: allowed).map { "did you mean '\($0)'?" }
                    ?? "allowed: \(allowed.joined(separator: ", "))"
                throw API.Problem.invalid("'\(name)' does not know '\(part.prefix(60))'", hint: hint)
            }
            return word
        }
    }
}

extension RangePlace {
    /// "1777888740000000-12": its end in microseconds, and its number.
    var text: String { "\(last.microseconds)-\(id)" }

    /// What texts look like, for programs: in this way both numbers fit, whatever they are.
    static let pattern = "^-?[0-9]{1,18}-[0-9]{1,18}$"

    init?(text: String) {
        guard let dash = text.lastIndex(of: "-") else { return nil }
        let (last, id) = (text[..<dash], text[text.index(after: dash)...])
        let digits = [last.first == "-" ? last.dropFirst() : last, id]
        guard digits.allSatisfy({ (1...18).contains($0.utf8.count) && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
            let last = Int64(last), let id = Int64(id)
        else { return nil }
        self.init(last: Instant(microseconds: last), id: id)
    }
}

/// RFC 3986 §2.1; nil: a broken escape, or bytes that are not UTF-8.
func percentDecoded(_ text: some StringProtocol) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            bytes.append(byte)
            continue
        }
        guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else { return nil }
        bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
}

/// Everything but RFC 3986's unreserved characters as escapes.
func percentEncoded(_ text: String) -> String {
    let hex = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            out.append(byte)
        default: out += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
        }
    }
    return String(decoding: out, as: UTF8.self)
}

private func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
