import ExchangeKit
import JobKit
import SQL

/// Nobody has mined on a paper chain yet: nothing is wrong, and nothing is to be done.
struct NoBlockYet: Error, CustomStringConvertible {
    var chain: String
    var description: String { "chain \(chain): the paper chain has no block yet" }
}

/// A chain that lives in the exchange's own database, in simulations only: what the Arena mines,
/// and what tests write.
final class PaperChain: Chain {
    private let name: String
    private let exchange: Exchange
    private let genesis: GenesisRecord

    init(genesis: GenesisRecord) {
        name = genesis.name
        exchange = genesis.exchange
        self.genesis = genesis
    }

    func verify() throws {
        guard try exchange.purpose() == .simulation else {
            throw JobFailure.permanent(
                "chain \(name): adapter \"paper\" is for simulations, and \(exchange.place) was not created as one")
        }
        let first = try exchange.first("paper_genesis", ["chain": .text(name)]) { try $0.text(0) }
        guard let first else { throw NoBlockYet(chain: name) }
        try genesis.check(first)
    }

    func head() throws -> ChainHead {
        let height = try exchange.first("paper_head", ["chain": .text(name)]) { try $0.int64OrNil(0) }
        guard case .some(.some(let height)) = height else {
            throw NoBlockYet(chain: name)
        }
        return ChainHead(height: height)
    }

    func blockHashes(_ heights: Set<Int64>) throws -> [Int64: String] {
        var hashes: [Int64: String] = [:]
        for height in heights {
            hashes[height] = try exchange.first("paper_block", ["chain": .text(name), "height": .int(height)]) { try $0.text(0) }
        }
        return hashes
    }

    func sightings(_ transactions: Set<String>) throws -> [String: Sighting] {
        var seen: [String: Sighting] = [:]
        for hash in transactions {
            let key: [String: SQLValue] = ["chain": .text(name), "hash": .text(hash)]
            let row = try exchange.first("paper_transaction", key) {
                (block: try $0.int64OrNil(0), blockHash: try $0.textOrNil(1), failed: try $0.bool(2))
            }
            guard let row else {
                seen[hash] = .unknown
                continue
            }
            guard let block = row.block, let blockHash = row.blockHash else {
                seen[hash] = .waiting
                continue
            }
            var inclusion = Inclusion(block: block, blockHash: blockHash, succeeded: !row.failed, transfers: [:])
            try exchange.forEach("paper_transfers", key) {
                inclusion.transfers[Int(try $0.int64(0))] = try Self.transfer($0, from: 1)
            }
            seen[hash] = .included(inclusion)
        }
        return seen
    }

    func transfers(in range: ClosedRange<Int64>, isOurs: (String) throws -> Bool) throws -> [ChainTransfer] {
        guard try head().height >= range.upperBound else {
            throw JobFailure.transient("chain \(name): there is no block \(range.upperBound) yet")
        }
        let between: [String: SQLValue] = [
            "chain": .text(name), "first": .int(range.lowerBound), "last": .int(range.upperBound),
        ]
        let found = try exchange.rows("paper_range", between) { row in
            ChainTransfer(
                transaction: try row.text(0), ordinal: Int(try row.int64(1)), transfer: try Self.transfer(row, from: 2),
                block: try row.int64(5), blockHash: try row.text(6))
        }
        return try found.filter { try !$0.transfer.units.isZero && isOurs($0.transfer.address) }
    }

    private static func transfer(_ row: any SQLStatement, from column: Int) throws -> Transfer {
        let units = try row.text(column + 2)
        guard let parsed = TokenUnits(decimal: units) else {
            throw JobFailure.permanent("paper_transfers: units '\(units)' is no number")
        }
        return Transfer(address: try row.text(column), token: try row.text(column + 1), units: parsed)
    }

    func canonical(address: String) -> String { address.lowercased() }
    func canonical(transaction: String) -> String { transaction.lowercased() }
}
