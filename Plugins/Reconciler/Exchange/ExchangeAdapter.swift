import ExchangeKit
import SQL

/// How orders are asked for at another exchange.
protocol ExchangeAdapter {
    /// For each order, in its place: the answer, or why there is none: `OrderProblem`,
    /// `CallError`, `CancellationNotice`.
    func ask(_ orders: [PlacedOrder], _ exchange: Exchange) throws -> [Result<ExchangeAnswer, any Error>]

    /// Asks for nothing in particular: whether it answers, as the end of a sentence that begins
    /// with its name. Throws `CallError`, `CancellationNotice`.
    func greeting() throws -> String
}

/// What an exchange answers instead of an order's state.
enum OrderProblem: Error, Hashable, CustomStringConvertible {
    case noSuchOrder
    /// A status, an amount, an order that we cannot make sense of.
    case strange(String)

    var description: String {
        switch self {
        case .noSuchOrder: "the exchange does not know it"
        case .strange(let text): text
        }
    }
}

/// The exchange of a simulation, in its database.
struct PaperExchange: ExchangeAdapter {
    func greeting() -> String { "is in the exchange's database" }

    func ask(_ orders: [PlacedOrder], _ exchange: Exchange) throws -> [Result<ExchangeAnswer, any Error>] {
        try exchange.read {
            try orders.map { order in
                let key: [String: SQLValue] = ["exchange_id": .text(order.exchangeID), "client_id": .text(order.clientID)]
                let found = try exchange.first("paper_order", key) {
                    (status: try $0.text(0), executed: try $0.amount(1), quote: try $0.amount(2))
                }
                guard let found else { return .failure(OrderProblem.noSuchOrder) }
                guard let status = OrderStatus(rawValue: found.status) else {
                    return .failure(OrderProblem.strange("its status at the exchange is '\(found.status)'"))
                }
                return .success(ExchangeAnswer(status: status, executed: found.executed, executedQuote: found.quote))
            }
        }
    }
}
