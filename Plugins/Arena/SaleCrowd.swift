import ExchangeKit
import struct JobCore.SeededGenerator
import JobKit

/// What an application would enqueue: sales whose assets are to be minted, and trades whose
/// orders have failed on an exchange.
struct SaleCrowd {
    struct Enqueued: Hashable {
        var job: String
        var payload: JSONObject
        /// Of the sale or trade: enqueued twice it is one run.
        var key: String
    }

    let simulation: String
    let seed: Int64
    let driver: ArenaDriver
    /// The names of the jobs; empty: nothing is enqueued.
    let mintJob: String
    let positionJob: String

    private static let exchangeName = "desk"

    init(_ settings: TickEntry.Settings, seed: Int64, driver: ArenaDriver) {
        simulation = settings.simulation
        self.seed = seed
        self.driver = driver
        mintJob = settings.mintJob
        positionJob = settings.positionJob
    }

    /// What a tick enqueues. The same for a tick that is made again because its end was lost.
    func enqueued(tick: Int64) throws -> [Enqueued] {
        var random = ArenaTick.generator(seed: seed, tick: tick, stream: 4_000)
        var all: [Enqueued] = []
        let created = JSON.number(String(driver.now))
        if !mintJob.isEmpty {
            for number in 1 ... 2 {
                let size = try Amount(Int32.random(in: 1 ... 400, using: &random)).over(Amount(100), .down)
                let payload = JSONObject([
                    ("assetId", .number(String(Int.random(in: 1 ... 12, using: &random)))), ("size", .string(size.description)),
                    ("createdAt", created),
                ])
                all.append(Enqueued(job: mintJob, payload: payload, key: "sale-\(simulation)-\(tick)-\(number)"))
            }
        }
        if !positionJob.isEmpty {
            let payload = JSONObject([
                ("tradeId", .string("\(simulation)-\(tick)")), ("originalOrders", .array([.string(orderID(tick))])),
                ("createdAt", created),
            ])
            all.append(Enqueued(job: positionJob, payload: payload, key: "trade-\(simulation)-\(tick)"))
        }
        return all
    }

    /// The order that has failed on the exchange, with a part of it executed.
    func placeFailedOrder(_ exchange: Exchange, tick: Int64, pair: LivePair, _ random: inout SeededGenerator) throws {
        guard !positionJob.isEmpty else { return }
        let quantity = Amount(Int32.random(in: 2 ... 20, using: &random))
        let executed = try quantity.times(Amount(Int32.random(in: 0 ... 9, using: &random)), over: Amount(10), .down)
        try exchange.run("put_failed_order", [
            "exchange": .text(Self.exchangeName), "client": .text(orderID(tick)), "pair": .int(pair.id),
            "side": .text(Bool.random(using: &random) ? "buy" : "sell"),
            "price": .amount(try pair.price.rounded(to: 2, .halfEven)), "quantity": .amount(quantity),
            "executed": .amount(executed), "now": .int(driver.now),
        ])
    }

    private func orderID(_ tick: Int64) -> String { "\(simulation)-\(tick)" }
}
