import JobCore
import JobKit

public struct HTTPRequest: Sendable {
    public var method: String
    /// Behind the base URL, beginning with "/", query included; percent-encoded already.
    public var path: String
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]
    /// Sending it twice does no harm. If not, an error after it was sent has `resultUnknown`.
    public var isRepeatable: Bool

    public init(
        _ method: String, _ path: String, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
        isRepeatable: Bool? = nil
    ) {
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.isRepeatable = isRepeatable ?? ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].contains(method)
    }
}

public struct HTTPResponse: Sendable {
    public var status: Int
    /// Names in lower case.
    public var headers: [String: String]
    public var body: [UInt8]
    /// For messages: "order 17 at https://api.binance.com".
    public var what: String
    /// When it was received.
    public var receivedAt: Instant

    public var isSuccess: Bool { (200 ..< 300).contains(status) }

    /// The body as JSON, numbers exact.
    /// - Throws: `CallError.unavailable` where it is not JSON: whatever answered was not the peer.
    public func json() throws(CallError) -> JSON {
        do {
            return try JSON(parsing: body, limits: .wide)
        } catch {
            throw CallError(.unavailable, "\(what): HTTP \(status), \(error)", code: status)
        }
    }

    /// What `Retry-After` says (RFC 9110, 10.2.3: seconds or a date); nil: nothing that can be read.
    public var retryAfter: Instant? { headers["retry-after"].flatMap { RetryAfter.instant($0, now: receivedAt) } }

    /// What the status alone says, for adapters without codes of their own: nil for 2xx.
    /// 429 and 503 with `Retry-After` are throttled, 408, 425 and 5xx unavailable, 401 and 403
    /// denied, the rest business.
    public var error: CallError? {
        if isSuccess { return nil }
        let kind: CallError.Kind = switch status {
        case 429: .throttled(until: retryAfter)
        case 503 where retryAfter != nil: .throttled(until: retryAfter)
        case 408, 425, 500...: .unavailable
        case 401, 403, 407: .denied
        default: .business
        }
        return CallError(kind, "\(what): HTTP \(status)", code: status)
    }

    /// The response, if it is a success.
    public func checked() throws(CallError) -> HTTPResponse {
        if let error { throw error }
        return self
    }
}

enum RetryAfter {
    static func instant(_ text: String, now: Instant) -> Instant? {
        let text = text.trimmingSpaces
        if !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0") ... UInt8(ascii: "9")).contains($0) }) {
            return now + .seconds(Int64(text) ?? 1 << 40)
        }
        return date(text)
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// "Sun, 06 Nov 1994 08:49:37 GMT": the only form that senders may write (RFC 9110, 5.6.7).
    private static func date(_ text: String) -> Instant? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", parts[1].utf8.count == 2, parts[3].utf8.count == 4,
            let month = months.firstIndex(of: String(parts[2]))
        else { return nil }
        let number = String(month + 1)
        return Instant(rfc3339: "\(parts[3])-\(number.utf8.count == 1 ? "0" : "")\(number)-\(parts[1])T\(parts[4])Z")
    }
}

extension String {
    var trimmingSpaces: String {
        var text = self[...]
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }

    /// Percent-encoded as RFC 3986 has it: all but letters, digits, `-._~`, over UTF-8.
    public var percentEncoded: String {
        let hex = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "a") ... UInt8(ascii: "z"), UInt8(ascii: "A") ... UInt8(ascii: "Z"),
                UInt8(ascii: "0") ... UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                out.append(byte)
            default: out += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
