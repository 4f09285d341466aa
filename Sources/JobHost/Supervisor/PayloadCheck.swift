import JobConfig
import JobCore
import JobJSON

/// Payloads are checked before they are stored: JSON of bounded size and depth, and what the
/// entry's schema asks for.
enum PayloadCheck {
    /// A sentence; nil: accepted. No payload at all is accepted where the schema asks for none.
    static func problem(_ payload: [UInt8], schema text: String) -> String? {
        let longest = EnqueueBounds.longestPayload
        guard payload.count <= longest else { return "\(payload.count) bytes; at most \(longest) are allowed" }
        let value: JSON
        do {
            guard !payload.isEmpty else {
                return text.isEmpty ? nil : try missing(schema: text)
            }
            value = try JSON(parsing: payload)
            guard !text.isEmpty else { return nil }
            return try violations(of: value, schema: text)
        } catch let error as JSONError {
            return "\(error)"
        } catch {
            return "the entry's payload schema cannot be used: \(error)"
        }
    }

    /// An entry whose schema accepts null or an empty object runs without a payload.
    private static func missing(schema text: String) throws -> String? {
        let schema = try JSONSchema(text: text)
        if schema.validate(.null).isEmpty || schema.validate(.object([:])).isEmpty { return nil }
        return "the entry needs a payload" + (try violations(of: .object([:]), schema: text).map { ": \($0)" } ?? "")
    }

    private static func violations(of value: JSON, schema text: String) throws -> String? {
        let violations = try JSONSchema(text: text).validate(value)
        guard !violations.isEmpty else { return nil }
        return violations.prefix(5).map(\.description).joined(separator: "; ")
    }
}
