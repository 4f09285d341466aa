import ExchangeKit
import JobCore
import SQL

/// People who send coins to the traders of a simulation, over a chain that lives in the
/// database: a block with every tick, now and then a reorganisation, a listener that misses one
/// of four, and a transaction that pays too little to ever get into a block.
struct DepositCrowd {
    let exchange: Exchange
    let driver: ArenaDriver
    /// Its chain's name, too, except for the first: "paper".
    let simulation: String
    let tick: Int64
    private(set) var height: Int64 = 0
    private(set) var sent = 0

    private static let traders = 8
    /// The contract of the simulated dollar, six decimals.
    static let dollar = "0x00000000000000000000000000000000005d0000"

    init(exchange: Exchange, driver: ArenaDriver, simulation: String, tick: Int64) {
        self.exchange = exchange
        self.driver = driver
        self.simulation = simulation
        self.tick = tick
    }

    private var chain: String { simulation == "main" ? "paper" : "paper-" + simulation }
    private var stuck: String { hash(99, 0) }

    /// Where it is not there yet: the chain with its first blocks, the traders' addresses, deposits that wait to be found,
    /// and one that has been waiting since yesterday.
    mutating func settle(_ random: inout SeededGenerator) throws {
        let newest = try exchange.first("chain_head", ["chain": .text(chain)]) { try $0.int64OrNil(0) }
        guard (newest ?? nil) == nil else { return }
        try exchange.run("put_chain", ["chain": .text(chain), "confirmations": .int(3)])
        for trader in 1 ... Self.traders {
            try exchange.run("put_deposit_address", [
                "chain": .text(chain), "address": .text(address(trader)), "owner": .text(owner(trader)),
            ])
        }
        for height in Int64(0) ... 5 {
            try mine(height)
            try pay(number: 10 + Int(height), isSeen: height > 0, &random)
            try exchange.run("include_waiting", ["chain": .text(chain), "height": .int(height), "except": .text(stuck)])
        }
        try send(stuck, to: 1, token: "", units: 250_000_000_000_000_000, seen: driver.now - 30 * 3_600_000)
    }

    /// One block, and the payments that will be in the next one.
    mutating func act(_ random: inout SeededGenerator) throws {
        let newest = try exchange.first("chain_head", ["chain": .text(chain)]) { try $0.int64OrNil(0) }
        guard let head = newest ?? nil else { return }
        height = head + 1
        try mine(height)
        if Int.random(in: 0 ..< 20, using: &random) == 0 {
            // The newest two blocks are replaced; what was in the older one comes back in the newer.
            for replaced in [head - 1, head] { try mine(replaced, fork: tick) }
            try exchange.run("move_transactions", ["chain": .text(chain), "from": .int(head - 1), "to": .int(head)])
        }
        try exchange.run("include_waiting", ["chain": .text(chain), "height": .int(height), "except": .text(stuck)])
        for number in 0 ..< Int.random(in: 0 ... 2, using: &random) {
            try pay(number: number, isSeen: Int.random(in: 0 ..< 4, using: &random) > 0, &random)
        }
        try exchange.run("put_monitor", ["chain": .text(chain), "now": .int(driver.now), "block": .int(height)])
    }

    private func mine(_ height: Int64, fork: Int64 = 0) throws {
        try exchange.run("put_block", [
            "chain": .text(chain), "height": .int(height), "hash": .text(hex(height, 1_000 + fork, digits: 64)),
        ])
    }

    private mutating func pay(number: Int, isSeen: Bool, _ random: inout SeededGenerator) throws {
        let trader = Int.random(in: 1 ... Self.traders, using: &random)
        let isDollar = Int.random(in: 0 ..< 3, using: &random) == 0
        let units = isDollar
            ? Int64.random(in: 10_000_000 ... 5_000_000_000, using: &random)
            : Int64.random(in: 1 ... 2_000, using: &random) * 1_000_000_000_000_000
        try send(
            hash(tick + 1, number), to: trader, token: isDollar ? Self.dollar : "", units: units, seen: isSeen ? driver.now : nil)
    }

    /// - Parameter seen: when the listener wrote the deposit down; nil: it missed it.
    private mutating func send(_ hash: String, to trader: Int, token: String, units: Int64, seen: Int64?) throws {
        let (currency, unitsPerCoin, ordinal) = token.isEmpty ? ("ETH", Int128(1), 0) : ("USD", 1_000_000_000_000, 1)
        let transfer: [String: SQLValue] = [
            "chain": .text(chain), "hash": .text(hash), "ordinal": .int(ordinal), "address": .text(address(trader)),
            "token": .text(token), "units": .text(String(units)),
        ]
        try exchange.run("put_transaction", ["chain": .text(chain), "hash": .text(hash)])
        try exchange.run("put_transfer", transfer)
        sent += 1
        guard let seen else { return }
        let wallet = try Ledger(exchange).wallet(owner: owner(trader), currency: currency)
        let amount = Amount(units: Int128(units) * unitsPerCoin)
        try exchange.run("put_seen_deposit", transfer.merging([
            "wallet": .int(wallet), "amount": .amount(amount), "now": .int(seen),
        ]) { $1 })
    }

    private func owner(_ trader: Int) -> String { "user:\(simulation)-trader-\(trader)" }
    private func address(_ trader: Int) -> String { hex(Int64(trader), 1, digits: 40) }
    private func hash(_ tick: Int64, _ number: Int) -> String { hex(tick, 2 + Int64(number), digits: 64) }

    /// Looks like an address or a hash, and is the same in every run.
    private func hex(_ a: Int64, _ b: Int64, digits: Int) -> String {
        var seed = UInt64(bitPattern: a) &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(bitPattern: b) &* 0xD1B5_4A32_D192_ED03
        for byte in chain.utf8 { seed = (seed ^ UInt64(byte)) &* 0x100_0000_01B3 }
        var generator = SeededGenerator(seed: seed)
        var text = ""
        while text.utf8.count < digits {
            let word = String(generator.next(), radix: 16)
            text += String(repeating: "0", count: 16 - word.utf8.count) + word
        }
        return "0x" + text.prefix(digits)
    }
}
