import ExchangeKit
import JobKit
import OutsideKit

/// What the gateway says of an order.
struct GatewayAnswer: Hashable, Sendable {
    /// new, pending, partial, filled, cancelled, rejected, expired.
    var status: String
    var executed: Amount
    /// The exchange's own id; "": it says none.
    var reference: String

    static let statuses: Set<String> = ["new", "pending", "partial", "filled", "cancelled", "rejected", "expired"]
    var isFinal: Bool { !["new", "pending", "partial"].contains(status) }
}

/// Who places orders.
protocol OrderGateway {
    /// Places an order; nil: it may have arrived or not.
    /// - Throws: `CallError` when it has certainly not been placed; `CancellationNotice`, after
    ///   which it may have.
    func place(_ order: PlacedOrder) throws -> GatewayAnswer?

    /// What became of an order; nil: the exchange knows nothing of it.
    /// - Throws: `CallError` without an answer; `CancellationNotice`.
    func look(_ clientID: String) throws -> GatewayAnswer?
}

/// A gateway over HTTP: `PUT /orders/{clientOrderId}` with `{"symbol": "BTC/USD", "side": "buy",
/// "price": "…", "quantity": "…"}` and `GET /orders/{clientOrderId}`, both answered by
/// `{"status": "new", "executedQty": "0", "orderId": "…"}`.
struct HTTPOrderGateway: OrderGateway {
    let http: HTTPClient
    let peer: Peer

    func place(_ order: PlacedOrder) throws -> GatewayAnswer? {
        let body = JSONObject([
            ("symbol", .string(order.symbol)), ("side", .string(order.side)), ("price", .string(order.price.description)),
            ("quantity", .string(order.quantity.description)),
        ])
        let request = HTTPRequest(
            "PUT", path(order.clientID), headers: [("Content-Type", "application/json"), ("Idempotency-Key", order.clientID)],
            body: JSON.object(body).bytes, isRepeatable: false)
        do {
            return try peer.call("order \(order.clientID)") { attempt in
                try PeerAnswer.toOrder(try http.send(request, attempt), http.redactor, Self.answer)
            }
        } catch let error as CallError where error.resultUnknown {
            return nil
        } catch let error as CallError where error.kind == .business {
            return GatewayAnswer(status: "rejected", executed: .zero, reference: "")
        }
    }

    func look(_ clientID: String) throws -> GatewayAnswer? {
        try peer.call("look-up of order \(clientID)") { attempt in
            try PeerAnswer.toQuestion(try http.send(HTTPRequest("GET", path(clientID)), attempt), Self.answer)
        }
    }

    private func path(_ clientID: String) -> String { "/orders/\(clientID.percentEncoded)" }

    /// nil: not understood.
    private static func answer(_ object: JSONObject) -> GatewayAnswer? {
        let status = object.text("status")
        guard GatewayAnswer.statuses.contains(status),
            let executed = try? Amount(parsing: object.text("executedQty")), !executed.isNegative
        else { return nil }
        return GatewayAnswer(status: status, executed: executed, reference: object.text("orderId"))
    }
}

/// A gateway for simulations, in the exchange's own database: fills at once; some answers are lost.
struct PaperOrderGateway: OrderGateway {
    let exchange: Exchange
    let luck: PaperLuck

    func place(_ order: PlacedOrder) throws -> GatewayAnswer? {
        let isRefused = luck.refuses(order.clientID)
        try exchange.write {
            _ = try exchange.run("put_paper_placement", [
                "client": .text(order.clientID), "symbol": .text(order.symbol), "side": .text(order.side),
                "price": .amount(order.price), "quantity": .amount(order.quantity),
                "executed": .amount(isRefused ? .zero : order.quantity), "status": .text(isRefused ? "rejected" : "filled"),
            ])
        }
        return luck.losesAnswer(order.clientID) ? nil : try look(order.clientID)
    }

    func look(_ clientID: String) throws -> GatewayAnswer? {
        try exchange.first("paper_placement", ["client": .text(clientID)]) {
            GatewayAnswer(status: try $0.text(0), executed: try $0.amount(1), reference: "paper-\(clientID)")
        }
    }
}
