import ExchangeKit
import JobKit

/// How a chain is reached.
enum ChainAdapter: String, CaseIterable, Codable, Sendable {
    /// Embedded in the exchange's database; simulations only.
    case paper
}

/// When a deposit counts as confirmed.
enum ConfirmOn: String, CaseIterable, Codable, Sendable {
    /// Its number of confirmations.
    case depth
    /// The block that the chain calls `safe`.
    case safe
    /// The block that the chain calls `finalized`.
    case finalized
}

/// A token that is credited.
struct TokenSettings: Hashable, Codable, Sendable {
    var contract = ""
    /// Of the wallet it goes to.
    var currency = ""
    /// Digits of its smallest unit after the point.
    var decimals = 18

    init(contract: String, currency: String, decimals: Int) {
        self.contract = contract
        self.currency = currency
        self.decimals = decimals
    }

    init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: CodingKeys.self)
        contract = try keys.decodeIfPresent(String.self, forKey: .contract) ?? ""
        currency = try keys.decodeIfPresent(String.self, forKey: .currency) ?? ""
        decimals = try keys.decodeIfPresent(Int.self, forKey: .decimals) ?? 18
    }
}

/// One table of `chains`. Keys that are not given follow from the chain's name.
struct ChainSettings: Hashable, Codable, Sendable {
    var adapter: ChainAdapter?
    /// Blocks, the deposit's own among them; nil: by the table `chains`, or by the name.
    var confirmations: Int?
    var confirmOn = ConfirmOn.depth
    /// Blocks after which a credited deposit is no longer looked at; nil: four times `confirmations`.
    var watch: Int?
    /// Of the native coin; nil: by the name.
    var currency: String?
    var decimals: Int?
    var tokens: [TokenSettings] = []
    /// Where a scan begins that has never been made; nil: where the listener is, else at the head.
    var startBlock: Int64?
    /// Blocks in one question.
    var range = 100

    init() {}

    enum CodingKeys: String, CodingKey {
        case adapter, confirmations, watch, currency, decimals, tokens, range
        case confirmOn = "confirm_on"
        case startBlock = "start_block"
    }

    init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: CodingKeys.self)
        let defaults = ChainSettings()
        adapter = try keys.decodeIfPresent(ChainAdapter.self, forKey: .adapter)
        confirmations = try keys.decodeIfPresent(Int.self, forKey: .confirmations)
        confirmOn = try keys.decodeIfPresent(ConfirmOn.self, forKey: .confirmOn) ?? defaults.confirmOn
        watch = try keys.decodeIfPresent(Int.self, forKey: .watch)
        currency = try keys.decodeIfPresent(String.self, forKey: .currency)
        decimals = try keys.decodeIfPresent(Int.self, forKey: .decimals)
        tokens = try keys.decodeIfPresent([TokenSettings].self, forKey: .tokens) ?? defaults.tokens
        startBlock = try keys.decodeIfPresent(Int64.self, forKey: .startBlock)
        range = try keys.decodeIfPresent(Int.self, forKey: .range) ?? defaults.range
    }
}

/// A chain's settings with what follows from its name.
struct ChainPlan: Hashable, Sendable {
    var name: String
    var adapter: ChainAdapter
    /// nil: the table `chains` says it, and `defaultConfirmations` where it does not.
    var confirmations: Int64?
    var defaultConfirmations: Int64
    var confirmOn: ConfirmOn
    var watch: Int64?
    var currency: String
    var decimals: Int
    /// By contract in the chain's one form.
    var tokens: [String: TokenSettings]
    var startBlock: Int64?
    var range: Int64

    /// What is known of a chain by its name.
    private struct Known {
        var adapter: ChainAdapter?
        var confirmations: Int64
        var currency: String
        var decimals: Int
    }
    private static let known: [String: Known] = [
        "paper": Known(adapter: .paper, confirmations: 12, currency: "ETH", decimals: 18),
        "bitcoin": Known(adapter: nil, confirmations: 6, currency: "BTC", decimals: 8),
        "ethereum": Known(adapter: nil, confirmations: 12, currency: "ETH", decimals: 18),
        "bsc": Known(adapter: nil, confirmations: 15, currency: "BNB", decimals: 18),
        "polygon": Known(adapter: nil, confirmations: 128, currency: "POL", decimals: 18),
        "solana": Known(adapter: nil, confirmations: 32, currency: "SOL", decimals: 9),
    ]

    /// - Throws: `JobFailure.badSettings` with the place and what is allowed.
    init(name: String, _ settings: ChainSettings) throws {
        let known = Self.known[name]
        func refuse(_ key: String, _ text: String) -> JobFailure { .badSettings("chains.\(name).\(key): \(text)") }
        guard let adapter = settings.adapter ?? known?.adapter else {
            let all = ChainAdapter.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw JobFailure.badSettings("chains.\(name): there is no adapter for this chain; name one: adapter = \(all)")
        }
        self.name = name
        self.adapter = adapter
        confirmations = settings.confirmations.map(Int64.init)
        defaultConfirmations = known?.confirmations ?? 12
        confirmOn = settings.confirmOn
        watch = settings.watch.map(Int64.init)
        decimals = settings.decimals ?? known?.decimals ?? 18
        startBlock = settings.startBlock
        range = Int64(settings.range)
        guard let currency = settings.currency ?? known?.currency, !currency.isEmpty else {
            throw refuse("currency", "write the currency of the chain's own coin, \"ETH\"")
        }
        self.currency = currency
        tokens = [:]
        for (key, value, allowed) in [
            ("confirmations", confirmations, 1 ... 100_000), ("watch", watch, 1 ... 10_000_000), ("range", range, 1 ... 10_000),
            ("start_block", startBlock, 0 ... 1_000_000_000_000), ("decimals", Int64(decimals), 0 ... 77),
        ] as [(String, Int64?, ClosedRange<Int64>)] {
            guard let value, !allowed.contains(value) else { continue }
            throw refuse(key, "\(value) is out of range (\(allowed.lowerBound) to \(allowed.upperBound))")
        }
        for token in settings.tokens {
            let contract = token.contract.lowercased()
            guard !contract.isEmpty, !token.currency.isEmpty else {
                let example = "{ contract = \"0x…\", currency = \"USDT\", decimals = 6 }"
                throw refuse("tokens", "each needs a contract and a currency: \(example)")
            }
            guard (0 ... 77).contains(token.decimals) else {
                throw refuse("tokens", "\(token.contract): decimals \(token.decimals) is out of range (0 to 77)")
            }
            guard tokens.updateValue(token, forKey: contract) == nil else {
                throw refuse("tokens", "\(token.contract) is there twice")
            }
        }
    }

    /// Currency and decimals of what a transfer moves; nil: a token that is not on the list.
    func asset(_ token: String) -> (currency: String, decimals: Int)? {
        if token.isEmpty { return (currency, decimals) }
        return tokens[token.lowercased()].map { ($0.currency, $0.decimals) }
    }

    /// All of `chains`, in the order of their names.
    static func all(_ chains: [String: ChainSettings]) throws -> [ChainPlan] {
        try chains.sorted { $0.key < $1.key }.map { try ChainPlan(name: $0.key, $0.value) }
    }

    /// - Parameter mayRecord: the run may write down what it learns of the chain itself.
    func open(_ exchange: Exchange, mayRecord: Bool) throws -> any Chain {
        let genesis = GenesisRecord(name: name, exchange: exchange, mayRecord: mayRecord)
        switch adapter {
        case .paper: return PaperChain(genesis: genesis)
        }
    }
}
