import ExchangeKit
import JobKit
import SQL

/// The life of an order at another exchange.
enum OrderStatus: String, CaseIterable, Sendable {
    case pending, new, partial
    case filled, cancelled, rejected, expired

    var isFinal: Bool { rank == 3 }

    /// An order's life goes up in these, never down.
    var rank: Int {
        switch self {
        case .pending: 0
        case .new: 1
        case .partial: 2
        case .filled, .cancelled, .rejected, .expired: 3
        }
    }
}

/// An order as our database has it.
struct PlacedOrder: Sendable {
    var id: String
    /// As the exchange writes it.
    var symbol: String
    var exchangeID: String?
    var clientID: String?
    var status: OrderStatus
    var executed: Amount
    /// As stored: what the compare-and-set compares with.
    var executedText: String
    /// nil: not known.
    var quantity: Amount?
    var averagePrice: Amount?
    var version: String
    /// In a row.
    var failures: Int64
    var notFound: Int64
    /// nil: no money of this order is ours to settle.
    var holding: Holding?

    init(_ row: any SQLStatement) throws {
        id = try row.text(0)
        symbol = try row.text(1)
        exchangeID = try row.textOrNil(2)
        clientID = try row.textOrNil(3)
        guard exchangeID ?? clientID != nil else { throw JobFailure.permanent("it has neither exchange_id nor client_id") }
        let word = try row.text(4)
        guard let status = OrderStatus(rawValue: word) else {
            throw JobFailure.permanent("its status '\(word)' is not one of ours")
        }
        self.status = status
        executed = try row.amount(5)
        executedText = try row.text(5)
        quantity = try row.amountOrNil(6)
        averagePrice = try row.amountOrNil(7)
        version = try row.text(8)
        failures = try row.int64(9)
        notFound = try row.int64(10)
        guard let owner = try row.textOrNil(11) else { return }
        let side = try row.text(12)
        guard side == "buy" || side == "sell" else { throw JobFailure.permanent("its side '\(side)' is neither buy nor sell") }
        holding = Holding(
            owner: owner, isBuy: side == "buy", base: try row.text(13), quote: try row.text(14), settled: try row.amount(15),
            settledQuote: try row.amount(16), locked: try row.amount(17))
    }
}

/// What an order has moved and still holds.
struct Holding: Hashable, Sendable {
    var owner: String
    var isBuy: Bool
    var base: String
    var quote: String
    /// Of the base, by the ledger.
    var settled: Amount
    var settledQuote: Amount
    var locked: Amount

    var lockedCurrency: String { isBuy ? quote : base }
}
