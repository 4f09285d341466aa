import ExchangeKit
import JobCore
import JobKit
import OutsideKit

/// What a minter is told.
struct MintOrder: Hashable, Sendable {
    /// The same for ever for one sale: the minter mints once for it.
    var key: String
    var asset: String
    var size: Amount
    /// Of the sale, milliseconds since 1970 UTC.
    var createdAt: Int64

    /// The number of a run ("run-17"), which the host gives where a run has no unique key: in another store, or a new one,
    /// it is another sale's.
    static func isNumbered(_ key: String) -> Bool {
        key.hasPrefix("run-") && key.utf8.count > 4 && key.utf8.dropFirst(4).allSatisfy { (48 ... 57).contains($0) }
    }
}

/// Who mints.
protocol Minter {
    /// Whether `look` works: without it an unknown result stays unknown.
    var looksUp: Bool { get }

    /// Asks for a mint: minted, pending, refused, or no answer.
    /// - Throws: `CallError` when the order has certainly not had an effect; `CancellationNotice`,
    ///   after which it may have.
    func put(_ order: MintOrder) throws -> MintEvent

    /// What became of a key: minted, pending, refused, or not known.
    /// - Throws: `CallError` without an answer; `CancellationNotice`.
    func look(_ key: String) throws -> MintEvent
}

/// A minter over HTTP: `PUT /mints/{key}` with `{"assetId": …, "size": "1.5", "createdAt": …}`
/// and `GET /mints/{key}`, both answered by `{"status": "minted" | "pending" | "failed",
/// "reference": "…", "reason": "…"}`.
struct HTTPMinter: Minter {
    let http: HTTPClient
    let peer: Peer
    let looksUp: Bool

    func put(_ order: MintOrder) throws -> MintEvent {
        let body = JSONObject([
            ("assetId", .string(order.asset)), ("size", .string(order.size.description)),
            ("createdAt", .number(String(order.createdAt))),
        ])
        // Not repeatable for the caller's sake: what may have arrived is asked for first.
        let request = HTTPRequest(
            "PUT", path(order.key), headers: Self.headers(order.key), body: JSON.object(body).bytes, isRepeatable: false)
        do {
            return try peer.call("mint \(order.key)") { attempt in
                try PeerAnswer.toOrder(try http.send(request, attempt), http.redactor, event)
            }
        } catch let error as CallError where error.resultUnknown {
            return .noAnswer(reason: error.text)
        } catch let error as CallError where error.kind == .business {
            return .refused(reason: error.text)
        }
    }

    func look(_ key: String) throws -> MintEvent {
        try peer.call("look-up of mint \(key)") { attempt in
            try PeerAnswer.toQuestion(try http.send(HTTPRequest("GET", path(key)), attempt), event) ?? .notKnown
        }
    }

    private func path(_ key: String) -> String { "/mints/\(key.percentEncoded)" }
    private static func headers(_ key: String) -> [(name: String, value: String)] {
        [("Content-Type", "application/json"), ("Idempotency-Key", key)]
    }

    /// nil: not understood.
    private func event(_ answer: JSONObject) -> MintEvent? {
        switch answer["status"] {
        case .string("minted"): .minted(reference: answer.text("reference"))
        case .string("pending"): .pending
        case .string("failed"): .refused(reason: http.redactor.redact(answer.text("reason")))
        default: nil
        }
    }
}

/// What the answers to `PUT` and `GET` of an idempotent resource mean.
enum PeerAnswer {
    /// To an order that must not be given twice.
    /// - Throws: `CallError`: `resultUnknown` when it may have had its effect, business when it
    ///   was refused.
    static func toOrder<Answer>(
        _ response: HTTPResponse, _ redactor: Redactor, _ read: (JSONObject) -> Answer?
    ) throws -> Answer {
        guard var error = response.error else {
            guard let answer = (try? response.json())?.objectValue.flatMap(read) else {
                throw CallError(
                    .unavailable, "\(response.what): HTTP \(response.status), the answer is not understood",
                    code: response.status, resultUnknown: true)
            }
            return answer
        }
        switch response.status {
        // In work, by the words of RFC 9110: the resource's state conflicts, so there is one.
        case 409: throw CallError(.unavailable, error.text, code: 409, resultUnknown: true)
        case 408, 425, 500...: throw CallError(.unavailable, error.text, code: response.status, resultUnknown: true)
        default:
            let reason = (try? response.json())?.objectValue?.text("reason") ?? ""
            if error.kind == .business, !reason.isEmpty { error.text += ": " + redactor.redact(reason) }
            throw error
        }
    }

    /// To a question; nil: the peer has never heard of it.
    static func toQuestion<Answer>(_ response: HTTPResponse, _ read: (JSONObject) -> Answer?) throws -> Answer? {
        if response.status == 404 { return nil }
        guard let answer = try response.checked().json().objectValue.flatMap(read) else {
            throw CallError(
                .unavailable, "\(response.what): HTTP \(response.status), the answer is not understood", code: response.status)
        }
        return answer
    }
}

extension JSONObject {
    /// The text, or the digits, of a member; "" where there is none.
    func text(_ key: String) -> String {
        switch self[key] {
        case .string(let text): text
        case .number(let digits): digits
        default: ""
        }
    }
}

/// A minter for simulations, in the exchange's own database: deterministic by key. Of some
/// orders the answer is lost after the mint, some it refuses.
struct PaperMinter: Minter {
    let exchange: Exchange
    let luck: PaperLuck
    let looksUp = true

    func put(_ order: MintOrder) throws -> MintEvent {
        let isRefused = luck.refuses(order.key)
        try exchange.write {
            _ = try exchange.run("put_paper_mint", [
                "key": .text(order.key), "asset": .text(order.asset), "size": .amount(order.size),
                "status": .text(isRefused ? "failed" : "minted"),
                "reference": .text(isRefused ? "the paper minter refuses this one" : "paper-\(order.key)"),
            ])
        }
        if luck.losesAnswer(order.key) { return .noAnswer(reason: "the paper minter's answer was lost") }
        return try look(order.key)
    }

    func look(_ key: String) throws -> MintEvent {
        try exchange.first("paper_mint", ["key": .text(key)]) { row -> MintEvent in
            let text = try row.text(1)
            return try row.text(0) == "minted" ? .minted(reference: text) : .refused(reason: text)
        } ?? .notKnown
    }
}

/// What goes wrong at a paper peer.
struct PaperLuck: Codable, Hashable, Sendable {
    /// Percent of the keys whose first answer is lost.
    var lostPercent = 10
    /// Percent of the keys that are refused.
    var refusedPercent = 3

    func refuses(_ key: String) -> Bool { Self.roll(key, salt: "refused") < refusedPercent }
    func losesAnswer(_ key: String) -> Bool { Self.roll(key, salt: "lost") < lostPercent }

    /// 0 … 99.
    private static func roll(_ key: String, salt: String) -> Int {
        let hash = (salt + ":" + key).utf8.fnv1a()
        // Its low bits alone would repeat with the key's last ones.
        return Int((hash ^ (hash >> 32)) % 100)
    }
}
