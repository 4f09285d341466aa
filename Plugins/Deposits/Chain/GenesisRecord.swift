import ExchangeKit
import JobKit

/// The first block of a chain: as the settings say, as it is known by the chain's name, or as it
/// was when the chain was first looked at. A node of another network, or of a test network that
/// was begun anew, has another one: nothing it says is believed.
struct GenesisRecord {
    let plan: ChainPlan
    let exchange: Exchange
    /// false: a chain without a record is believed, and none is made.
    let mayRecord: Bool

    var name: String { plan.name }

    /// - Throws: `JobFailure.permanent` when another first block is expected.
    func check(_ genesis: String) throws {
        let stored = try exchange.first("chain", ["name": .text(name)]) { try $0.text(1) } ?? ""
        for known in [plan.genesis ?? "", stored] where !known.isEmpty && known != genesis {
            throw JobFailure.permanent(
                "chain \(name): this is another chain, its first block is \(genesis), not \(known); nothing it says is believed")
        }
        guard stored.isEmpty, mayRecord else { return }
        try exchange.run("put_chain", ["name": .text(name), "confirmations": .int(plan.defaultConfirmations)])
        try exchange.run("set_genesis", ["name": .text(name), "genesis": .text(genesis)])
    }
}
