import ExchangeKit

/// The matching engine of a simulation, as OrderExpiry sees it (`engine = "ack"`): takes orders
/// out of its book when asked to and says how much of each was ever filled.
struct EngineDesk {
    let exchange: Exchange
    let driver: ArenaDriver
    let simulation: String

    /// How many it has removed.
    func answer() throws -> Int {
        let asked = try exchange.rows("asked_removals", ["simulation": .text(simulation)]) {
            (id: try $0.text(0), filled: try $0.text(1))
        }
        for removal in asked {
            try exchange.run("answer_removal", [
                "id": .text(removal.id), "filled": .text(removal.filled), "now": .int(driver.now),
            ])
        }
        return asked.count
    }
}
