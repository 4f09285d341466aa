import ExchangeKit
import JobKit

/// The first block that a chain had when it was first looked at. A node of another network, or a
/// test network that was begun anew, has another one: nothing it says is believed.
struct GenesisRecord {
    let name: String
    let exchange: Exchange
    /// false: a chain without a record is believed, and none is made.
    let mayRecord: Bool

    /// - Throws: `JobFailure.permanent` when another first block is on record.
    func check(_ genesis: String) throws {
        let known = try exchange.first("chain", ["name": .text(name)]) { try $0.text(1) }
        guard let known, !known.isEmpty else {
            if mayRecord { try exchange.run("set_genesis", ["name": .text(name), "genesis": .text(genesis)]) }
            return
        }
        guard known == genesis else {
            throw JobFailure.permanent(
                "chain \(name): this is another chain, its first block is \(genesis), not \(known); nothing it says is believed")
        }
    }
}
