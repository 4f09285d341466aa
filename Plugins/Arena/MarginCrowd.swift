import ExchangeKit
import JobCore

/// Margin traders of a simulation: most are careful, four are reckless and give the margin
/// check its work.
struct MarginCrowd {
    let exchange: Exchange
    let driver: ArenaDriver
    let simulation: String
    let tick: Int64
    let pairs: [LivePair]
    private(set) var opened = 0
    private(set) var closed = 0

    private static let reckless = 4
    private static let deposit = Amount(10_000)

    init(exchange: Exchange, driver: ArenaDriver, simulation: String, tick: Int64, pairs: [LivePair]) {
        self.exchange = exchange
        self.driver = driver
        self.simulation = simulation
        self.tick = tick
        self.pairs = pairs
    }

    /// The pairs they trade: those in the currency of their accounts.
    private var currency: String { pairs.first?.symbol.quote ?? "" }
    private var traded: [LivePair] { pairs.filter { $0.symbol.quote == currency } }

    private func name(_ index: Int) -> String {
        let number = String(index + 1)
        return "\(simulation)-margin-" + String(repeating: "0", count: max(0, 3 - number.count)) + number
    }

    /// Opens the accounts, where they are not there yet. The first two reckless ones begin with a position that has already
    /// gone against them, so that the first margin check finds a call and a liquidation.
    mutating func settle(accounts: Int) throws {
        guard accounts > 0, try account(0) == nil else { return }
        for index in 0 ..< accounts {
            let wallet = try Ledger(exchange).wallet(owner: "account:" + name(index), currency: currency)
            try pay(Self.deposit, into: wallet, cause: "deposit:\(name(index)):0")
            try exchange.run("create_account", [
                "name": .text(name(index)), "currency": .text(currency), "wallet": .int(wallet),
            ])
            guard let account = try account(index) else { continue }
            let pair = traded[index % traded.count]
            switch index {
            case 0: try open(account, pair, isLong: true, worth: Amount(800_000), leverage: 100, lost: Amount(3_600))
            case 1: try open(account, pair, isLong: false, worth: Amount(800_000), leverage: 100, lost: Amount(6_600))
            case 2, 3: break
            default: try open(account, pair, isLong: index % 2 == 0, worth: Amount(20_000), leverage: 5, lost: .zero)
            }
        }
    }

    /// The reckless ones take profits, pay in what they lost and bet again.
    mutating func act(_ random: inout SeededGenerator) throws {
        for index in 0 ..< Self.reckless {
            guard let account = try account(index), !traded.isEmpty else { continue }
            if try takeProfit(account) { continue }
            let position = try exchange.first("account_position", ["account": .int(account.id)]) { try $0.int64(0) }
            guard position == nil else { continue }
            var balance = account.balance
            if balance < Amount(5_000) {
                let missing = try Self.deposit - balance
                try pay(missing, into: account.wallet, cause: "deposit:\(name(index)):\(tick)")
                balance = Self.deposit
            }
            let pair = traded[Int.random(in: 0 ..< traded.count, using: &random)]
            // A margin of 80 % of the balance: a level of 125 % to begin with.
            let worth = try balance.times(Amount(80), .down)
            try open(account, pair, isLong: Bool.random(using: &random), worth: worth, leverage: 100, lost: .zero)
        }
    }

    private struct Account {
        var id: Int64
        var wallet: Int64
        var balance: Amount
    }

    private func account(_ index: Int) throws -> Account? {
        try exchange.first("account", ["name": .text(name(index))]) {
            Account(id: try $0.int64(0), wallet: try $0.int64(1), balance: try $0.amount(2))
        }
    }

    /// From outside the exchange into a wallet.
    private func pay(_ amount: Amount, into wallet: Int64, cause: String) throws {
        let ledger = Ledger(exchange)
        let outside = try ledger.wallet(owner: "platform:external", currency: currency, mayBeNegative: true)
        try ledger.post(
            cause: "simulation:\(simulation):\(cause)", kind: "deposit",
            [.init(wallet, .available, amount), .init(outside, .available, try -amount)], at: driver.now)
    }

    /// - Parameter lost: what the position has already lost.
    private mutating func open(
        _ account: Account, _ pair: LivePair, isLong: Bool, worth: Amount, leverage: Int32, lost: Amount
    ) throws {
        let exit = isLong ? pair.bid : pair.ask
        let size = try worth.over(pair.price, .down).rounded(to: 4, .down)
        guard size.isPositive else { return }
        let entry = isLong ? pair.ask : pair.bid
        let shift = try lost.over(size, .halfEven)
        let price = lost.isZero ? entry : isLong ? try exit + shift : try exit - shift
        guard price.isPositive else { return }
        try exchange.run("open_position", [
            "account": .int(account.id), "pair": .int(pair.id), "side": .text(isLong ? "long" : "short"),
            "size": .amount(size), "price": .amount(try price.rounded(to: 8, .halfEven)),
            "leverage": .amount(Amount(leverage)), "now": .int(driver.now),
        ])
        opened += 1
    }

    /// Closes a position that has earned half of the balance, as the application would.
    private mutating func takeProfit(_ account: Account) throws -> Bool {
        let found = try exchange.first("account_position", ["account": .int(account.id)]) { row in
            (id: try row.int64(0), pair: try row.int64(1), isLong: try row.text(2) == "long", size: try row.amount(3),
             price: try row.amount(4), version: try row.int64(5))
        }
        guard let position = found, let pair = pairs.first(where: { $0.id == position.pair }) else { return false }
        let price = position.isLong ? pair.bid : pair.ask
        let move = position.isLong ? try price - position.price : try position.price - price
        let profit = try move.times(position.size, .halfEven)
        guard try profit >= account.balance.over(Amount(2), .up) else { return false }
        let changed = try exchange.run("close_position", [
            "position": .int(position.id), "version": .int(position.version), "price": .amount(price),
            "realised": .amount(profit), "now": .int(driver.now),
        ])
        guard changed == 1 else { return false }
        let ledger = Ledger(exchange)
        let house = try ledger.wallet(owner: "platform:trading", currency: currency, mayBeNegative: true)
        try ledger.post(
            cause: "close:\(position.id):\(position.version)", kind: "close",
            [.init(account.wallet, .available, profit), .init(house, .available, try -profit)], at: driver.now)
        closed += 1
        return true
    }
}
