import ExchangeKit
import JobKit
import OutsideKit

/// Reads what Binance answers.
/// developers.binance.com/docs/binance-spot-api-docs/errors and …/enums
enum BinanceAnswer {
    enum Fault: Error {
        /// −1021: the stamp lies outside of the window.
        case clock(String)
    }

    static func order(_ response: HTTPResponse, _ order: PlacedOrder, _ redactor: Redactor) throws -> ExchangeAnswer {
        do {
            try check(response, redactor)
        } catch let error as CallError where error.code == -2013 {
            throw OrderProblem.noSuchOrder
        } catch let error as CallError where error.code == -2026 {
            // "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
            return ExchangeAnswer(status: .cancelled, executed: .zero, executedQuote: .zero)
        }
        let json = try response.json()
        guard let object = json.objectValue, case .string(let word)? = object["status"] else {
            throw CallError(.unavailable, "\(response.what): the answer is no order")
        }
        try checkIdentity(object, order, response)
        let executed = try amount(object, "executedQty", response)
        let quote = try amount(object, "cummulativeQuoteQty", response)
        // Negative: "the data is not available at this time".
        return ExchangeAnswer(
            status: try status(word, redactor), executed: executed, executedQuote: quote.isNegative ? nil : quote)
    }

    /// nil: unchanged.
    private static func status(_ word: String, _ redactor: Redactor) throws -> OrderStatus? {
        switch word {
        case "NEW": .new
        case "PENDING_NEW": .pending
        case "PARTIALLY_FILLED": .partial
        case "FILLED": .filled
        case "CANCELED": .cancelled
        case "PENDING_CANCEL": nil
        case "REJECTED": .rejected
        case "EXPIRED", "EXPIRED_IN_MATCH": .expired
        default: throw OrderProblem.strange("its status at the exchange is '\(redactor.redact(String(word.prefix(50))))'")
        }
    }

    /// The order that was asked for, and no other.
    private static func checkIdentity(_ object: JSONObject, _ order: PlacedOrder, _ response: HTTPResponse) throws {
        func text(_ key: String) -> String? {
            switch object[key] {
            case .string(let text), .number(let text): text
            default: nil
            }
        }
        let isOurs = text("symbol") == order.symbol
            && (order.exchangeID.map { $0 == text("orderId") } ?? (order.clientID == text("clientOrderId")))
        guard isOurs else { throw CallError(.unavailable, "\(response.what): the answer is about another order") }
    }

    private static func amount(_ object: JSONObject, _ key: String, _ response: HTTPResponse) throws -> Amount {
        let text: String
        switch object[key] {
        case .string(let value), .number(let value): text = value
        default: throw CallError(.unavailable, "\(response.what): \(key) is missing")
        }
        do {
            return try Amount(parsing: text)
        } catch {
            throw OrderProblem.strange("\(key): \(error)")
        }
    }

    /// Throws what an answer that is no success means.
    static func check(_ response: HTTPResponse, _ redactor: Redactor) throws {
        if response.isSuccess { return }
        var (code, message) = (0, "")
        if let object = try? response.json().objectValue {
            if case .number(let text)? = object["code"] { code = Int(text) ?? 0 }
            if case .string(let text)? = object["msg"] { message = redactor.redact(String(text.prefix(200))) }
        }
        let why = code == 0 ? "HTTP \(response.status)" : "\(message) (\(code), HTTP \(response.status))"
        let text = "\(response.what): \(why)"
        if code == -1021 { throw Fault.clock(text) }
        throw CallError(kind(code, response), text, code: code == 0 ? response.status : code)
    }

    private static func kind(_ code: Int, _ response: HTTPResponse) -> CallError.Kind {
        switch code {
        // Too many requests, banned.
        case -1003, -1015: return .throttled(until: response.retryAfter)
        // Unknown, disconnected, unexpected answer, time-out, busy, shutting down.
        case -1000, -1001, -1006, -1007, -1008, -1016: return .unavailable
        // Not authorised, bad signature, bad key, key or address or permission refused.
        case -1002, -1022, -2014, -2015: return .denied
        default: break
        }
        switch response.status {
        case 429, 418: return .throttled(until: response.retryAfter)
        case 401, 403: return .denied
        case 408, 500...: return .unavailable
        default: return .business
        }
    }
}
