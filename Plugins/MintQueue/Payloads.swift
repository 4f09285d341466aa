import ExchangeKit
import JobKit

/// What the application enqueues after a sale: `{"assetId": 7, "size": "1.5", "createdAt": "2026-05-01T12:00:00Z"}`.
struct MintPayload: Decodable, Hashable, Sendable {
    var assetId: PlainID
    var size: Amount
    var createdAt: Moment
}

/// What the application enqueues after a trade:
/// `{"tradeId": "t-1", "originalOrders": ["t-1-stop"], "createdAt": "2026-05-01T12:00:00Z"}`.
struct PositionPayload: Decodable, Hashable, Sendable {
    var tradeId: PlainID
    /// Client order ids.
    var originalOrders: [PlainID]
    var createdAt: Moment
}

/// An id: text, or a whole number.
struct PlainID: Decodable, Hashable, Sendable, SchemaDescribed {
    var text: String

    init(_ text: String) { self.text = text }
    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self), !text.isEmpty, text.utf8.count <= 200 {
            self.text = text
        } else if let number = try? container.decode(Int64.self) {
            text = String(number)
        } else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "an id is a text of 1 to 200 bytes or a whole number")
        }
    }
    static var schema: JSONObject { JSONObject([("type", .array(["string", "integer"]))]) }
    static var example: JSON { 1 }
}

/// An instant: RFC 3339, or milliseconds since 1970 UTC.
struct Moment: Decodable, Hashable, Sendable, SchemaDescribed {
    var milliseconds: Int64

    init(milliseconds: Int64) { self.milliseconds = milliseconds }
    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int64.self) {
            milliseconds = number
        } else if let text = try? container.decode(String.self), let instant = utcInstant(text) {
            milliseconds = instant
        } else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "an instant is \"2026-05-01T12:00:00Z\" or milliseconds since 1970")
        }
    }
    static var schema: JSONObject { JSONObject([("type", .array(["string", "integer"]))]) }
    static var example: JSON { 0 }
}
